"""A diff as rows of a CSV file: every image, those that a model refuses among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onlygood.model_diff.diff_result import Diff, ModelVerdict

_OF_EACH = ("verdict", "score", "p_value", "relative_score")
COLUMNS = (
    *("name", "flips", "label"),
    *(f"{which}_{what}" for which in ("old", "new") for what in _OF_EACH),
    *("change", "old_error", "new_error"),
)


def rows_of(found: Diff) -> Iterator[Sequence[Any]]:
    """A row an image: flips with the largest change first, then the others, then those that a model refuses."""
    for each in (*found.flips, *(image for image in found.images if not image.flips)):
        label = None if each.labelled is None else each.labelled.defect
        flips = "yes" if each.flips else "no"
        yield (each.name, flips, label, *_cells(each.old), *_cells(each.new), each.change, None, None)
    for refused in found.refused:
        yield (refused.name, *(None,) * (len(COLUMNS) - 3), refused.old, refused.new)


def _cells(verdict: ModelVerdict) -> tuple[Any, ...]:
    word = "anomalous" if verdict.is_anomaly else "good"
    return word, verdict.score, verdict.p_value, verdict.relative_score
