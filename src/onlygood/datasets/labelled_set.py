"""Labelled images, and a set of them that can be measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onlygood._plurals import pluralize
from onlygood.datasets.folders import ImageFile
from onlygood.errors import LabelledSetError

GOOD = "good"


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image, and what people say of it.

    Attributes:
        file: where to read it.
        is_anomalous: whether it is defective.
        defect: the type of defect; "good" if it has none.
        mask: the file that marks the anomalous pixels, for `read_mask`; None if there is none.
        more_masks: further files, where there is one a defect, each of which marks its own.
        session: images of one session, lot or part have the same; None if that is not known.
    """

    file: ImageFile
    is_anomalous: bool
    defect: str
    mask: Path | None
    session: str | None
    more_masks: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Relative to the folder, `good/0001.png`, or as in the CSV file; no other image of the set has it."""
        return self.file.name


@dataclass(frozen=True, kw_only=True)
class LabelledSet:
    """Labelled images; all of them may be good, or none.

    Attributes:
        images: at least one; sorted by name in folders, in the order of a CSV file.
        layout: "mvtec" (folders, with masks), "folders" (without), or "csv".
        notes: what to know about the set, a sentence each.
    """

    images: tuple[LabelledImage, ...]
    layout: str
    notes: tuple[str, ...]

    @property
    def has_masks(self) -> bool:
        """Whether any image has a mask."""
        return any(image.mask is not None for image in self.images)


def checked_set(labelled: Sequence[LabelledImage], layout: str, notes: list[str], shown: str) -> LabelledSet:
    """A set of these images, after checks: an image that is there twice, masks of other images, sets of one kind."""
    first: dict[tuple[str, str, int], LabelledImage] = {}
    again: list[str] = []
    for image in labelled:
        same = first.setdefault(image.file.place, image)
        if same.is_anomalous != image.is_anomalous:
            good, anomalous = (image, same) if same.is_anomalous else (same, image)
            raise LabelledSetError(
                f"an image must be good or anomalous, and in {shown} one file is both {good.name} (good) and "
                f"{anomalous.name} (anomalous): remove the wrong one"
            )
        if same is not image:
            again.append(image.name)
    if again:
        notes.append(
            f"{pluralize(len(again), 'image', verb='is')} the same file as another by a link and counted again, the "
            f"first: {again[0]}."
        )
    result = LabelledSet(images=tuple(labelled), layout=layout, notes=())
    without = [image.name for image in labelled if image.is_anomalous and image.mask is None]
    if result.has_masks and without:
        verb, left = ("has", "is") if len(without) == 1 else ("have", "are")
        notes.append(
            f"{pluralize(len(without), 'anomalous image')} {verb} no mask and {left} left out of the pixel metrics, "
            f"the first: {without[0]}."
        )
    return replace(result, notes=tuple(notes))
