"""The report of a comparison: which method to use on one's own images, and what it was measured on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from onlygood.comparison.compare import Comparison, MeasuredMethod
from onlygood.evaluation.figures import EvaluatedImage
from onlygood.report import score_charts
from onlygood.report.facts import machine_sentence
from onlygood.report.formatting import format_count
from onlygood.report.pages import report_paths, write_report

# Lines of lists and tables; the CSV file has every image.
LISTED_IMAGES = 50
LISTED_UNREADABLE = 50


def write_comparison_report(
    path: str | os.PathLike[str],
    comparison: Comparison,
    *,
    data_name: str,
    written_at: datetime | None = None,
) -> None:
    """Write one HTML page for any browser, and beside it a CSV file with a row an image.

    Args:
        path: of the page, ending in .html.
        comparison: what `onlygood.compare` returned.
        data_name: what the page calls the images, such as their folder.
        written_at: the date and time that the page bears; None for now.

    Raises:
        SettingError: a path that does not end in .html.
        MissingExtraError: Jinja2 or matplotlib are not installed.
        WriteError: a file cannot be written.
    """
    report_paths(path)
    measured = comparison.measured
    verdicts = _verdicts(measured)
    missed = [
        row for row in verdicts if row[0].is_anomalous and not all(each is None or each.is_right for each in row[1])
    ]
    write_report(
        path,
        "comparison",
        model_name=data_name,
        written_at=written_at,
        scores=[each.score for method in measured for each in method.evaluation.images],
        rates=(comparison.false_alarm_rate,),
        header=("name", "label", "defect", *(f"{method.label} {what}" for method in measured for what in _OF_EACH)),
        rows=_rows(comparison, verdicts),
        comparison=comparison,
        has_anomalous=any(image.is_anomalous for image in comparison.tested.images),
        has_masks=any(method.evaluation.pixel is not None for method in measured),
        confidence=_confidence(measured),
        histograms=[(method, _histogram(f"scores-{at}", method)) for at, method in enumerate(measured, start=1)],
        missed=missed[:LISTED_IMAGES],
        missed_total=len(missed),
        unreadable=comparison.unreadable[:LISTED_UNREADABLE],
        machine=machine_sentence(),
    )


_OF_EACH = ("verdict", "score", "p_value")


def _verdicts(measured: Sequence[MeasuredMethod]) -> list[tuple[Any, list[EvaluatedImage | None]]]:
    """Each tested image that a method could inspect, and what every method says of it; None where it could not."""
    found: dict[str, list[EvaluatedImage | None]] = {}
    images: dict[str, Any] = {}
    for at, method in enumerate(measured):
        for each in method.evaluation.images:
            images.setdefault(each.labelled.name, each.labelled)
            found.setdefault(each.labelled.name, [None] * len(measured))[at] = each
    return [(images[name], said) for name, said in found.items()]


def _rows(
    comparison: Comparison, verdicts: Sequence[tuple[Any, list[EvaluatedImage | None]]]
) -> Iterator[Sequence[Any]]:
    for image, said in verdicts:
        row: list[Any] = [image.name, "anomalous" if image.is_anomalous else "good", image.defect]
        for each in said:
            if each is None:
                row += [None, None, None]
            else:
                row += ["anomalous" if each.is_anomaly else "good", each.score, each.p_value]
        yield row
    known = {image.name for image, _ in verdicts}
    for image in comparison.tested.images:
        if image.name not in known:
            yield (
                image.name,
                "anomalous" if image.is_anomalous else "good",
                image.defect,
                *(["not readable", None, None] * len(comparison.measured)),
            )


def _confidence(measured: Sequence[MeasuredMethod]) -> str:
    """Of all intervals on the page; empty without any."""
    for method in measured:
        share = method.evaluation.image.misses or method.evaluation.image.false_alarms
        if share is not None:
            return f"{share.confidence:.0%}"
    return ""


def _histogram(identifier: str, method: MeasuredMethod) -> str:
    scores = np.array([each.score for each in method.evaluation.images], dtype=np.float64)
    labels = np.array([each.labelled.is_anomalous for each in method.evaluation.images], dtype=bool)
    groups = [
        score_charts.Scores(format_count(len(values), f"{kind} image"), values, kind == "anomalous")
        for kind, values in (("good", scores[~labels]), ("anomalous", scores[labels]))
    ]
    said = [
        f"{int((group.values > 0).sum()):,} of {group.label} lie above the threshold"
        for group in groups
        if len(group.values)
    ]
    return score_charts.small_histogram(
        identifier,
        groups,
        title=f"Scores by {method.label}",
        description=f"Histogram of scores, the threshold at 0. {'; '.join(said)}.",
    )
