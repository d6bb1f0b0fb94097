"""Cards: images with their maps, read and inspected once more for the page, so that none had to be kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.labelled_set import LabelledImage
from onlygood.datasets.masks import read_mask
from onlygood.errors import ImageError, LabelledSetError
from onlygood.images.channels import shown_channels
from onlygood.images.reading import ImageArray
from onlygood.inspector import Inspector, inspect_each
from onlygood.model import ScoredImage
from onlygood.results import Inspection
from onlygood.thumbnails import Thumbnail, draw_thumbnails

# Two scores of one image may differ by this share of the score or the threshold: several threads add in another order
# than one, and other hardware does.
_TOLERANCE = 1e-3
# Images wider than this are drawn above their maps, not beside them.
_WIDE = 1.6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An image that is to have a card.

    Attributes:
        name: as the page calls it.
        file: where to read it.
        score: when it was inspected.
        p_value: when it was inspected.
        is_anomaly: the verdict.
        labelled: what people say of it, if they do.
    """

    name: str
    file: ImageFile
    score: float
    p_value: float
    is_anomaly: bool
    labelled: LabelledImage | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """An image as the page shows it.

    Attributes:
        name: of the image.
        score: when it was inspected.
        p_value: when it was inspected; None where there is none.
        is_anomaly: the verdict.
        defect: its type, or "good", as people say; None where they say nothing.
        plain: the image; None if it cannot be read any more.
        marked: the same with its map; None without one.
        has_mask: whether `marked` shows where the defect is known to be.
        problem: a sentence on what is not as it was; None if all is.
    """

    name: str
    score: float
    p_value: float | None
    is_anomaly: bool
    defect: str | None = None
    plain: Thumbnail | None = None
    marked: Thumbnail | None = None
    has_mask: bool = False
    problem: str | None = None

    @property
    def is_wide(self) -> bool:
        """Whether the image is so wide that its map belongs below it."""
        return self.plain is not None and self.plain.width > _WIDE * self.plain.height


def draw_cards(inspector: Inspector, wanted: Sequence[Wanted], *, threads: int, progress: bool) -> list[Card]:
    """A card an image, in order.

    Args:
        inspector: made with maps; without, the cards have none.
        wanted: which images.
        threads: how many are drawn at once; 0 for one a core.
        progress: draw a progress bar if stderr is a terminal.
    """
    drawn = inspect_each(
        inspector,
        wanted,
        image=lambda each: replace(each.file.named(inspector.limits), name=each.name),
        then=lambda each, inspection, pixels: _draw(inspector, each, inspection, pixels),
        threads=threads,
        total=len(wanted),
        description="drawing",
        progress=progress,
    )
    return [
        replace(_card(each), problem=_gone(card)) if isinstance(card, ImageError) else card
        for each, card in zip(wanted, drawn, strict=True)
    ]


def draw_highest(
    shown: Sequence[ScoredImage],
    *,
    levels: tuple[float, float],
    window: tuple[float, float],
    threads: int,
    has_mask: bool = False,
) -> list[Card]:
    """A card for each of a fit's most anomalous images, in order.

    Args:
        shown: the images.
        levels: typical and high, of the map.
        window: the levels of black and white.
        threads: how many are drawn at once; 0 for one a core.
        has_mask: whether the last channel of the images is a mask.
    """

    def draw(each: ScoredImage) -> Card:
        found = each.image
        card = Card(name=found.name, score=found.score, p_value=None, is_anomaly=found.score > 0)
        try:
            image = shown_channels(each.source.read(), has_mask=has_mask)
        except ImageError as error:
            return replace(card, problem=_gone(error))
        plain, marked = draw_thumbnails(image, each.patch_scores, levels=levels, window=window)
        return replace(card, plain=plain, marked=marked)

    return list(map_in_order(draw, shown, threads=threads))


def _card(wanted: Wanted) -> Card:
    """The card without images."""
    return Card(
        name=wanted.name,
        score=wanted.score,
        p_value=wanted.p_value,
        is_anomaly=wanted.is_anomaly,
        defect=None if wanted.labelled is None else wanted.labelled.defect,
    )


def _draw(inspector: Inspector, wanted: Wanted, inspection: Inspection, image: ImageArray) -> Card:
    mask, problem = _mask(inspector, wanted, image.shape[:2])
    scale = max(abs(wanted.score), abs(inspector.metadata.calibration.threshold))
    if abs(inspection.score - wanted.score) > _TOLERANCE * scale:
        problem = (
            f"The file is not the one that was inspected: its score is now {inspection.score:+.4g}, and "
            "image and map are those of now."
        )
    plain, marked = draw_thumbnails(
        inspector.shown(image), inspection.anomaly_map, levels=inspector.map_levels, window=inspector.window, mask=mask
    )
    return replace(_card(wanted), plain=plain, marked=marked, has_mask=mask is not None, problem=problem)


def _mask(inspector: Inspector, wanted: Wanted, size: tuple[int, ...]) -> tuple[NDArray[np.bool_] | None, str | None]:
    """The mask, if there is one, or why it cannot be shown."""
    if wanted.labelled is None or wanted.labelled.mask is None:
        return None, None
    try:
        return read_mask(wanted.labelled, height=size[0], width=size[1], limits=inspector.limits), None
    except LabelledSetError as error:
        return None, f"Its mask is not shown: {error}."


def _gone(error: ImageError) -> str:
    return f"It can no longer be read: {error}."
