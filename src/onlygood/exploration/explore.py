"""Explore: how images lie to one another in the space in which a model compares them, before and after training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from onlygood._extras import need_extra
from onlygood._integers import HIGHEST_SEED, check_integer
from onlygood._plurals import pluralize
from onlygood._progress import waiting
from onlygood.datasets.selection import ChosenImage, Label, choose_images
from onlygood.exploration.embeddings import embeddings
from onlygood.exploration.tsne import LEAST_IMAGES, Layout, align_points, check_perplexity, lay_out
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.images.reading import ReadingLimits
from onlygood.metadata import Metadata
from onlygood.model import ModelSource
from onlygood.results import Inspection

MAX_IMAGES = 2000


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What `onlygood.explore` returns.

    Attributes:
        metadata: of the model.
        labels: of the folders.
        images: those that could be read, by label.
        inspections: of each.
        source: the value of the model file that is laid out, as in `Embeddings`.
        dimensions: how many numbers an embedding has.
        after: where each image lies.
        before: the same by the backbone before training, turned to lie as `after` does; None where there is none.
        before_note: why there is none, where it may be expected; else None.
        seed: of what was random.
        unreadable: names of images that could not be read or used, each with the reason.
        notes: what was left out where the images lie, a sentence each.

    Example:
        >>> import onlygood
        >>> from onlygood.report import write_exploration
        >>> exploration = onlygood.explore("part.onnx", ["good", "new"])
        >>> exploration.after.points.shape
        (16, 2)
        >>> write_exploration("map.html", exploration, model_name="part.onnx")
    """

    metadata: Metadata
    labels: tuple[Label, ...]
    images: tuple[ChosenImage, ...]
    inspections: tuple[Inspection, ...]
    source: str
    dimensions: int
    after: Layout
    before: Layout | None
    before_note: str | None
    seed: int
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        anomalous = sum(each.is_anomaly for each in self.inspections)
        maps = "one map" if self.before is None else "maps before and after training"
        unreadable = f", {len(self.unreadable)} not readable" if self.unreadable else ""
        return (
            f"<Exploration: {pluralize(len(self.images), 'image')} in {pluralize(len(self.labels), 'folder')}, "
            f"{anomalous} called anomalous{unreadable}; {self.source} of {self.dimensions} dimensions, {maps}>"
        )


def explore(
    model: ModelSource,
    folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    reference: str | os.PathLike[str] | None = None,
    max_images: int = MAX_IMAGES,
    perplexity: float | None = None,
    seed: int = 0,
    backbone: str | os.PathLike[str] | None = None,
    provider: str = "cpu",
    threads: int = 0,
    max_pixels: int = ReadingLimits.max_pixels,
    max_bytes: int = ReadingLimits.max_bytes,
    require_signature: str | os.PathLike[str] | None = None,
    max_model_bytes: int = MAX_MODEL_BYTES,
    progress: bool = False,
) -> Exploration:
    """Images on a plane, near one another where a model sees them as alike, and its verdicts on them.

    `onlygood.report.write_exploration` makes a page of it.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector of either,
            whose rate is kept; provider and limits are those given here.
        folders: one folder, whose images are labelled by its first sub-folders, or several, each labelled by its
            name.
        reference: a folder of other things to compare with, with a sub-folder for each class.
        max_images: most images; where there are more they are drawn at random, evenly from the labels.
        perplexity: of t-SNE, about how many neighbours of each image are looked at; 30, or a third of the other
            images where that is less, unless given.
        seed: of the drawing and of t-SNE.
        backbone: path of the backbone whose end the fit trained, where it is not one of those shipped.
        provider: the hardware that ONNX Runtime uses, as for `Inspector`.
        threads: images worked on at once; 0 for one a core.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        require_signature: path of a public key: the model must be signed by its holder.
        max_model_bytes: most bytes that the model file may have.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        FolderError: a folder without images, too few images, or none that can be read.
        SettingError: a number that cannot be used.
        ModelFileError, BackboneError: as `embeddings`.
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> import onlygood
        >>> exploration = onlygood.explore("part.onnx", ["good", "new"])
        >>> [(label.name, label.found) for label in exploration.labels]
        [('good', 12), ('new', 4)]
    """
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="explore")
    max_images = check_integer("max_images", max_images, LEAST_IMAGES)
    seed = check_integer("seed", seed, 0, HIGHEST_SEED)
    limits = ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes)
    given = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
    choice = choose_images(given, reference=reference, most=max_images, seed=seed, limits=limits)
    # Once more below, when it is known which can be read; but most mistakes can be told before the work.
    check_perplexity(perplexity, len(choice.images))
    found = embeddings(
        model,
        choice.images,
        backbone=backbone,
        provider=provider,
        threads=threads,
        limits=limits,
        require_signature=require_signature,
        max_model_bytes=max_model_bytes,
        progress=progress,
    )
    before = None
    with waiting("laying out", show=progress):
        after = lay_out(found.vectors, perplexity=perplexity, seed=seed)
        if found.vectors_before is not None:
            before = lay_out(found.vectors_before, perplexity=perplexity, seed=seed)
            before = replace(before, points=align_points(before.points, after.points))
    return Exploration(
        metadata=found.metadata,
        labels=choice.labels,
        images=found.images,
        inspections=found.inspections,
        source=found.source,
        dimensions=found.vectors.shape[1],
        after=after,
        before=before,
        before_note=found.before_note,
        seed=seed,
        unreadable=found.unreadable,
        notes=choice.notes,
    )
