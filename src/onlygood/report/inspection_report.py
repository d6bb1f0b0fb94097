"""The report of an inspection: which of the images are not good, for those who go and look at the parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from onlygood.datasets.folders import ImageFile
from onlygood.inspector import as_inspector
from onlygood.kind_notes import aspects_of, difference_notes
from onlygood.model import ModelSource, title_of
from onlygood.report import score_charts
from onlygood.report.facts import machine_sentence, model_facts
from onlygood.report.formatting import format_count, percent_notation
from onlygood.report.gallery import Wanted, draw_cards
from onlygood.report.pages import report_paths, write_report
from onlygood.results import Inspection

# Cards of anomalous images and of those near the threshold, and lines of tables; the CSV file has every image.
HIGHEST_SHOWN = 100
BORDERLINE = 24
LISTED = 200
LISTED_UNREADABLE = 50
COLUMNS = ("name", "verdict", "score", "p_value", "differences", "latency_ms", "error")


@dataclass(frozen=True, kw_only=True)
class InspectedImage:
    """An image, and what the model says of it or why it cannot.

    Attributes:
        name: as the report calls it.
        file: where to read it again.
        inspection: without its map, which is computed again for the images that are shown; None if there is an error.
        error: why the image could not be inspected; None if it was.
    """

    name: str
    file: ImageFile
    inspection: Inspection | None
    error: str | None

    def __post_init__(self) -> None:
        if (self.inspection is None) == (self.error is None):
            raise ValueError(f"an inspected image must have an inspection or an error, got both or none: {self.name!r}")


def write_inspection_report(
    path: str | os.PathLike[str],
    inspected: Sequence[InspectedImage],
    model: ModelSource,
    *,
    model_name: str | None = None,
    threads: int = 0,
    written_at: datetime | None = None,
    progress: bool = False,
) -> None:
    """Write one HTML page for any browser, and beside it a CSV file with a row an image.

    The most anomalous images and those nearest to the threshold are read and inspected again to be drawn.

    Args:
        path: of the page, ending in .html.
        inspected: at least one image.
        model: that inspected them, at the same rate: a path, a Model or CalibratedModel, or an Inspector with maps.
        model_name: what the page calls the model; its file's name unless given.
        threads: images drawn at once; 0 for one a core.
        written_at: the date and time that the page bears; None for now.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError: a path that does not end in .html, or a negative number of threads.
        MissingExtraError: Jinja2 or matplotlib are not installed.
        WriteError: a file cannot be written.
        ValueError: no image.
    """
    report_paths(path)
    if not inspected:
        raise ValueError("a report needs at least one inspected image, got none")
    inspector, model_name = as_inspector(model), model_name or title_of(model)
    rates = (inspector.metadata.guarantee.requested_rate,)
    found = [(each, each.inspection) for each in inspected if each.inspection is not None]
    descending = sorted(found, key=lambda pair: (-pair[1].score, pair[0].name))
    anomalous = [pair for pair in descending if pair[1].is_anomaly]
    shown = anomalous[:HIGHEST_SHOWN]
    others = descending[len(shown) :]
    nearest = sorted(others, key=lambda pair: (abs(pair[1].score), pair[0].name))[:BORDERLINE]
    nearest.sort(key=lambda pair: (-pair[1].score, pair[0].name))
    latencies = [inspection.latency_ms for _, inspection in found]
    unreadable = [(each.name, each.error) for each in inspected if each.error is not None]
    wanted = [_wanted(*pair) for pair in (*shown, *nearest)]
    cards = draw_cards(inspector, wanted, threads=threads, progress=progress)
    write_report(
        path,
        "inspection",
        model_name=model_name,
        written_at=written_at,
        scores=[inspection.score for _, inspection in found],
        rates=rates,
        header=COLUMNS,
        rows=_rows(inspected),
        metadata=inspector.metadata,
        total=len(inspected),
        read=len(found),
        anomalous=len(anomalous),
        notes=difference_notes([(each.name, one.differences) for each, one in found], len(inspected)),
        expected=len(found) * inspector.metadata.guarantee.stated_rate,
        histogram=_histogram([inspection for _, inspection in found]) if found else None,
        listed=anomalous[:LISTED],
        highest_scoring=cards[: len(shown)],
        nearest=cards[len(shown) :],
        model=model_facts(inspector.metadata, model_name, percent_notation(rates)),
        machine=machine_sentence(),
        latency_median=float(np.median(latencies)) if latencies else None,
        latency_high=float(np.percentile(latencies, 95)) if latencies else None,
        unreadable=unreadable[:LISTED_UNREADABLE],
        unreadable_total=len(unreadable),
    )


def _rows(inspected: Sequence[InspectedImage]) -> Iterator[Sequence[Any]]:
    for each in inspected:
        found = each.inspection
        if found is None:
            yield each.name, None, None, None, None, None, each.error
        else:
            verdict = "anomalous" if found.is_anomaly else "good"
            differing = aspects_of(found.differences)
            yield each.name, verdict, found.score, found.p_value, differing, round(found.latency_ms, 3), None


def _histogram(inspections: Sequence[Inspection]) -> str:
    scores = np.array([each.score for each in inspections], dtype=np.float64)
    above = int((scores > 0).sum())
    return score_charts.histogram(
        "scores",
        [score_charts.Scores(format_count(len(scores), "image"), scores, None)],
        title="Scores of the images",
        description=f"Histogram of scores, the threshold at 0. {above:,} of {format_count(len(scores), 'image')} lie "
        "above the threshold.",
    )


def _wanted(each: InspectedImage, found: Inspection) -> Wanted:
    return Wanted(name=each.name, file=each.file, score=found.score, p_value=found.p_value, is_anomaly=found.is_anomaly)
