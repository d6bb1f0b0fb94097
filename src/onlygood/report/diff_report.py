"""The report of a diff: what an engineer looks at before a new model takes the place of an old one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from onlygood.inspector import Inspector, as_inspector
from onlygood.model import ModelSource
from onlygood.model_diff.diff_result import Diff, DiffedImage
from onlygood.model_diff.rows import COLUMNS, rows_of
from onlygood.report.diff_chart import relative_scores
from onlygood.report.facts import machine_sentence
from onlygood.report.formatting import format_count
from onlygood.report.gallery import Card, Wanted, draw_cards
from onlygood.report.pages import report_paths, write_report

# Cards of flips, lines of tables; the CSV file has every image.
CARDS_SHOWN = 60
LISTED = 200
LISTED_REFUSED = 50


@dataclass(frozen=True)
class FlipCard:
    """A flipped image as the page shows it.

    Attributes:
        image: what both models say.
        old: the image with the old model's map.
        new: the image with the new model's map.
    """

    image: DiffedImage
    old: Card
    new: Card


def write_diff_report(
    path: str | os.PathLike[str],
    diff: Diff,
    old: ModelSource,
    new: ModelSource,
    *,
    threads: int = 0,
    written_at: datetime | None = None,
    progress: bool = False,
) -> None:
    """Write one HTML page for any browser, and beside it a CSV file with a row an image.

    The flipped images with the largest change are read and inspected again with both models to be drawn.

    Args:
        path: of the page, ending in .html.
        diff: what `onlygood.diff` returned.
        old: the old model, at the rate of the diff: a path, a Model or CalibratedModel, or an Inspector with maps.
        new: the new model, given in the same way.
        threads: images drawn at once; 0 for one a core.
        written_at: the date and time that the page bears; None for now.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError: a path that does not end in .html, or a negative number of threads.
        MissingExtraError: Jinja2 or matplotlib are not installed.
        WriteError: a file cannot be written.
    """
    report_paths(path)
    shown = diff.flips[:CARDS_SHOWN]
    before = _cards(as_inspector(old), shown, "old", threads=threads, progress=progress)
    after = _cards(as_inspector(new), shown, "new", threads=threads, progress=progress)
    anomalous = diff.anomalous
    write_report(
        path,
        "diff",
        model_name=_short_names(diff)[1],
        written_at=written_at,
        scores=[score for each in diff.images for score in (each.old.score, each.new.score)],
        rates=(diff.old.guarantee.requested_rate, diff.new.guarantee.requested_rate),
        header=COLUMNS,
        rows=rows_of(diff),
        diff=diff,
        old_name=_short_names(diff)[0],
        total=len(diff.images),
        to_anomalous=len(diff.to_anomalous),
        to_good=len(diff.to_good),
        anomalous_old=anomalous[0],
        anomalous_new=anomalous[1],
        has_relative=_has_relative(diff),
        chart=_chart(diff),
        cards=[FlipCard(*parts) for parts in zip(shown, before, after, strict=True)],
        listed=diff.flips[:LISTED],
        flips_total=len(diff.flips),
        refused=diff.refused[:LISTED_REFUSED],
        refused_total=len(diff.refused),
        machine=machine_sentence(),
    )


def _short_names(diff: Diff) -> tuple[str, str]:
    """The names of both files, without their folders where that tells them apart."""
    old, new = Path(diff.old_name).name, Path(diff.new_name).name
    return (old, new) if old != new else (diff.old_name, diff.new_name)


def _cards(
    inspector: Inspector, images: Sequence[DiffedImage], which: Literal["old", "new"], *, threads: int, progress: bool
) -> list[Card]:
    wanted = [
        Wanted(
            name=each.name,
            file=each.file,
            score=getattr(each, which).score,
            p_value=getattr(each, which).p_value,
            is_anomaly=getattr(each, which).is_anomaly,
            labelled=each.labelled,
        )
        for each in images
    ]
    return draw_cards(inspector, wanted, threads=threads, progress=progress)


def _has_relative(diff: Diff) -> bool:
    return diff.images[0].change is not None


def _chart(diff: Diff) -> str | None:
    """The scores against each other; None where they have no common unit."""
    if not _has_relative(diff):
        return None
    return relative_scores(
        "scores",
        diff.images,
        title="Relative scores by both models",
        description=f"Relative score by the new model over that by the old model, of "
        f"{format_count(len(diff.images), 'image')}. {len(diff.to_anomalous):,} lie above the new model's threshold "
        f"and below the old one's, {len(diff.to_good):,} the other way round.",
    )
