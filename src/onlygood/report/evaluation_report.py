"""The report of an evaluation: how good a model is on labelled images, for those who have to decide."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from onlygood.evaluation.evaluate import Evaluation
from onlygood.evaluation.figures import EvaluatedImage
from onlygood.evaluation.rates import check_sentence
from onlygood.inspector import Inspector, as_inspector
from onlygood.kind_notes import aspects_of
from onlygood.metrics.image import precision_recall_curve, roc_curve
from onlygood.model import ModelSource, title_of
from onlygood.rates import Notation
from onlygood.report import charts, score_charts
from onlygood.report.facts import machine_sentence, model_facts
from onlygood.report.formatting import format_count, percent_notation
from onlygood.report.gallery import Wanted, draw_cards
from onlygood.report.pages import report_paths, write_report

# Images in each section of the gallery, types of defect and sessions in tables, and lines of the list of unreadable
# images; the CSV file has every image.
GALLERY_IMAGES = 24
LISTED_GROUPS = 100
LISTED_UNREADABLE = 50
COLUMNS = ("name", "label", "defect", "session", "verdict", "score", "p_value", "differences", "latency_ms", "error")


def write_evaluation_report(
    path: str | os.PathLike[str],
    evaluation: Evaluation,
    model: ModelSource,
    *,
    model_name: str | None = None,
    threads: int = 0,
    written_at: datetime | None = None,
    progress: bool = False,
) -> None:
    """Write one HTML page for any browser, and beside it a CSV file with a row an image.

    The worst false alarms, the worst misses and the clearest finds are read and inspected again to be drawn.

    Args:
        path: of the page, ending in .html.
        evaluation: what `onlygood.evaluate` returned.
        model: the same at the same rate: a path, a Model or CalibratedModel, or an Inspector with maps.
        model_name: what the page calls the model; its file's name unless given.
        threads: images drawn at once; 0 for one a core.
        written_at: the date and time that the page bears; None for now.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError: a path that does not end in .html, or a negative number of threads.
        MissingExtraError: Jinja2 or matplotlib are not installed.
        WriteError: a file cannot be written.
    """
    report_paths(path)
    inspector, model_name = as_inspector(model), model_name or title_of(model)
    median, high = evaluation.latency_ms
    rates = [outcome.requested_rate for outcome in evaluation.at_rates]
    notation, check = percent_notation(rates), evaluation.guarantee
    write_report(
        path,
        "evaluation",
        model_name=model_name,
        written_at=written_at,
        scores=[each.score for each in evaluation.images],
        rates=rates,
        header=COLUMNS,
        rows=_rows(evaluation),
        evaluation=evaluation,
        metadata=evaluation.metadata,
        recalibrated=inspector.is_recalibrated,
        confidence=_confidence(evaluation),
        defects=list(evaluation.per_defect.items())[:LISTED_GROUPS],
        sessions=list(evaluation.per_session.items())[:LISTED_GROUPS],
        histogram=_histogram(evaluation),
        check=None if check is None else check_sentence(evaluation.metadata, check.observed, check.verdict, notation),
        trade_off=_trade_off(evaluation, notation),
        ranking=_ranking(evaluation, notation),
        sections=_gallery(evaluation, inspector, threads, progress),
        model=model_facts(evaluation.metadata, model_name, notation),
        machine=machine_sentence(),
        latency_median=median,
        latency_high=high,
        unreadable=evaluation.unreadable[:LISTED_UNREADABLE],
    )


def _rows(evaluation: Evaluation) -> Iterator[Sequence[Any]]:
    for each in evaluation.images:
        image = each.labelled
        yield (
            image.name,
            "anomalous" if image.is_anomalous else "good",
            image.defect,
            image.session,
            "anomalous" if each.is_anomaly else "good",
            each.score,
            each.p_value,
            aspects_of(each.differences),
            round(each.latency_ms, 3),
            None,
        )
    for name, error in evaluation.unreadable:
        yield name, None, None, None, None, None, None, None, None, error


def _confidence(evaluation: Evaluation) -> str:
    """Of all intervals on the page."""
    share = evaluation.image.misses or evaluation.image.false_alarms
    assert share is not None  # there is at least one image
    return f"{share.confidence:.0%}"


def _histogram(evaluation: Evaluation) -> str:
    scores, labels = _arrays(evaluation.images)
    good, anomalous = scores[~labels], scores[labels]
    said = [
        f"{int((values > 0).sum()):,} of {format_count(len(values), f'{kind} image')} lie above the threshold"
        for kind, values in (("good", good), ("anomalous", anomalous))
        if len(values)
    ]
    return score_charts.histogram(
        "scores",
        [
            score_charts.Scores(format_count(len(good), "good image"), good, False),
            score_charts.Scores(format_count(len(anomalous), "anomalous image"), anomalous, True),
        ],
        title="Scores of the images",
        description=f"Histogram of scores, the threshold at 0. {'; '.join(said)}.",
    )


def _trade_off(evaluation: Evaluation, notation: Notation) -> str | None:
    """Misses against false alarms over all thresholds, or None where there are not both kinds of images."""
    if evaluation.image.misses is None or evaluation.image.false_alarms is None:
        return None
    points, said = [], []
    for outcome in evaluation.at_rates:
        misses, alarms = outcome.misses, outcome.false_alarms
        assert misses is not None and alarms is not None  # there are images of both kinds
        rate, own = notation.share(outcome.requested_rate, 6), "the model's threshold, for " if outcome.is_own else ""
        points.append(charts.MarkedPoint(x=alarms.value, y=misses.value, label=rate, is_own=outcome.is_own))
        said.append(
            f"At {own}a false-alarm rate of {rate} "
            f"{misses.events:,} of {format_count(misses.trials, 'anomalous image')} are missed and "
            f"{alarms.events:,} of {format_count(alarms.trials, 'good image')} are called anomalous."
        )
    curve = roc_curve(*_arrays(evaluation.images))
    return charts.misses_against_false_alarms(
        "trade-off",
        curve.x,
        1.0 - curve.y,
        points=points,
        title="Misses against false alarms",
        description=f"Measured on the test images, over all thresholds. {' '.join(said)}",
    )


def _ranking(evaluation: Evaluation, notation: Notation) -> tuple[str, str] | None:
    """The two curves, or None where there are not both kinds of images."""
    image = evaluation.image
    if image.auroc is None or image.false_alarms is None or image.misses is None or image.average_precision is None:
        return None
    scores, labels = _arrays(evaluation.images)
    refused = image.false_alarms.events + image.misses.trials - image.misses.events
    found = 1.0 - image.misses.value
    share_found = notation.share(found, 3)
    curve = roc_curve(scores, labels)
    roc = charts.roc(
        "roc",
        curve.x,
        curve.y,
        at=(image.false_alarms.value, found),
        description=f"The area under the curve is {image.auroc.value:.4f}. At the model's threshold "
        f"{share_found} of the anomalous images are found, and of the good ones "
        f"{notation.share(image.false_alarms.value, 3)} are refused.",
    )
    if refused:
        precision = (refused - image.false_alarms.events) / refused
        at = (found, precision)
        said = (
            f"{notation.share(precision, 3)} of the images refused are anomalous, and {share_found} of the anomalous "
            "ones are found"
        )
    else:
        at, said = None, "the model refuses no image"
    curve = precision_recall_curve(scores, labels)
    pr = charts.precision_recall(
        "precision",
        curve.x,
        curve.y,
        at=at,
        description=f"The average precision is {image.average_precision:.4f}. At the model's threshold {said}.",
    )
    return roc, pr


def _gallery(evaluation: Evaluation, inspector: Inspector, threads: int, progress: bool) -> list[dict[str, Any]]:
    """Sections with a title, how many images there are of this kind, a sentence for none, and cards."""
    ascending = sorted(evaluation.images, key=lambda each: (each.score, each.labelled.name))
    alarms = [each for each in reversed(ascending) if each.is_anomaly and not each.labelled.is_anomalous]
    misses = [each for each in ascending if not each.is_anomaly and each.labelled.is_anomalous]
    finds = [each for each in reversed(ascending) if each.is_anomaly and each.labelled.is_anomalous]
    sections = []
    for identifier, title, none, found, there_are in (
        ("alarms", "Worst false alarms", "No good image was refused.", alarms, evaluation.image.good),
        ("misses", "Worst misses", "No anomalous image was missed.", misses, evaluation.image.anomalous),
        ("finds", "Clearest finds", "No anomalous image was found.", finds, evaluation.image.anomalous),
    ):
        if there_are:
            wanted = [_wanted(each) for each in found[:GALLERY_IMAGES]]
            cards = draw_cards(inspector, wanted, threads=threads, progress=progress)
            sections.append({"id": identifier, "title": title, "none": none, "total": len(found), "cards": cards})
    return sections


def _wanted(each: EvaluatedImage) -> Wanted:
    return Wanted(
        name=each.labelled.name,
        file=each.labelled.file,
        score=each.score,
        p_value=each.p_value,
        is_anomaly=each.is_anomaly,
        labelled=each.labelled,
    )


def _arrays(images: Sequence[EvaluatedImage]) -> tuple[Any, Any]:
    """Scores float64 [n] and labels bool [n]."""
    return (
        np.array([each.score for each in images], dtype=np.float64),
        np.array([each.labelled.is_anomalous for each in images], dtype=bool),
    )
