"""The report of a fit: what the model learned, what it guarantees, and which good images to look at once more."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from onlygood.calibration.threshold import Calibration
from onlygood.model import GoodImage, Model
from onlygood.rates import Notation
from onlygood.report import charts, score_charts
from onlygood.report.facts import machine_sentence, model_facts
from onlygood.report.formatting import format_count, percent_notation
from onlygood.report.gallery import draw_highest
from onlygood.report.pages import report_paths, write_report
from onlygood.threshold_notes import OTHER_RATES, deciding_sentence

# Lines of the tables; the CSV file has every image.
LISTED = 20
LISTED_GROUPS = 10
COLUMNS = ("name", "score", "group", "calibrates")


@dataclass(frozen=True)
class Group:
    """Good images that count as one.

    Attributes:
        first: the name of the first of them.
        count: how many they are.
        highest: the highest of their scores.
    """

    first: str
    count: int
    highest: float


def write_fit_report(
    path: str | os.PathLike[str],
    model: Model,
    *,
    model_name: str,
    curves: Mapping[str, Sequence[float]] | None = None,
    threads: int = 0,
    written_at: datetime | None = None,
) -> None:
    """Write one HTML page for any browser, and beside it a CSV file with a row a good image.

    Args:
        path: of the page, ending in .html.
        model: what `onlygood.fit` returned. Its highest_scoring images are read again to be drawn.
        model_name: what the page calls the model, such as its file's name.
        curves: what to draw by epoch, by name; the losses that the model's training wrote down unless given.
        threads: images drawn at once; 0 for one a core.
        written_at: the date and time that the page bears; None for now.

    Raises:
        SettingError: a path that does not end in .html, or a negative number of threads.
        MissingExtraError: Jinja2 or matplotlib are not installed.
        WriteError: a file cannot be written.
    """
    report_paths(path)
    metadata, guarantee = model.metadata, model.guarantee
    rates = (guarantee.requested_rate, *OTHER_RATES)
    notation = percent_notation(rates)
    descending = sorted(model.good_images, key=lambda each: (-each.score, each.name))
    calibrating = np.array([each.score for each in model.good_images if each.calibrates], dtype=np.float64)
    if curves is None:
        training = metadata.training
        curves = {} if training is None else {f"Loss, {stage}": losses for stage, losses in training.losses.items()}
    write_report(
        path,
        "fit",
        model_name=model_name,
        written_at=written_at,
        scores=[each.score for each in model.good_images],
        rates=rates,
        header=COLUMNS,
        rows=((each.name, each.score, each.group, int(each.calibrates)) for each in model.good_images),
        metadata=metadata,
        guarantee=guarantee,
        deciding=deciding_sentence(
            model.calibration,
            model.good_images,
            rule=metadata.threshold_rule,
            is_exact=guarantee.is_exact,
            notation=notation,
        ),
        odd=sorted((each for each in model.good_images if each.is_odd), key=lambda each: -each.score),
        notes=model.notes,
        images=len(model.good_images),
        calibrating=len(calibrating),
        above=int((calibrating > 0).sum()),
        histogram=_histogram(calibrating),
        share_above=_share_above(model.calibration, notation),
        listed=descending[:LISTED],
        highest_scoring=draw_highest(
            model.highest_scoring,
            levels=(metadata.map_levels.typical, metadata.map_levels.high),
            window=metadata.input.window,
            threads=threads,
            has_mask=metadata.input.alpha is not None,
        ),
        groups=_groups(model.good_images)[:LISTED_GROUPS],
        groups_total=len({each.group for each in model.good_images}),
        curves=[
            (name, _curve(f"curve-{number}", name, values))
            for number, (name, values) in enumerate(curves.items(), start=1)
        ],
        model=model_facts(metadata, model_name, notation),
        machine=machine_sentence(),
    )


def _histogram(scores: Any) -> str:
    above, images = int((scores > 0).sum()), format_count(len(scores), "good image")
    return score_charts.histogram(
        "scores",
        [score_charts.Scores(images, scores, None)],
        title="Scores of the good images that the threshold rests on",
        description=f"Histogram of scores, the threshold at 0. {above:,} of {images} lie above the threshold.",
    )


def _share_above(calibration: Calibration, notation: Notation) -> str:
    """The share of good images above each score as it is guaranteed: by weights, and with the next image's own."""
    scores = np.asarray(calibration.scores, dtype=np.float64)
    different, last = np.unique(scores[::-1], return_index=True)
    stated = notation.stated(calibration.stated_rate, is_guaranteed=calibration.is_guaranteed)
    at_or_below = np.cumsum(calibration.weights)[len(scores) - 1 - last]
    return score_charts.share_above(
        "shares",
        different - calibration.threshold,
        1.0 - at_or_below,
        rate=calibration.stated_rate,
        title="Share of good images above a score",
        rate_name=f"{'guaranteed' if calibration.is_guaranteed else 'estimated'} rate {stated}",
        description=f"The share falls to the guaranteed rate of {stated}, or just below it, at the threshold, 0."
        if calibration.is_guaranteed
        else f"The threshold, 0, was estimated for a rate of {stated}.",
    )


def _groups(images: Sequence[GoodImage]) -> list[Group]:
    """Groups of more than one image, the largest first."""
    members: dict[int, list[GoodImage]] = {}
    for each in images:
        members.setdefault(each.group, []).append(each)
    groups = [
        Group(first=group[0].name, count=len(group), highest=max(each.score for each in group))
        for group in members.values()
        if len(group) > 1
    ]
    return sorted(groups, key=lambda group: (-group.count, group.first))


def _curve(identifier: str, name: str, values: Sequence[float]) -> str:
    finite = [value for value in values if np.isfinite(value)]
    said = f" from {finite[0]:.4g} to {finite[-1]:.4g}" if finite else ""
    return charts.curve(
        identifier,
        values,
        title=name,
        description=f"{name} over {format_count(len(values), 'epoch')}{said}.",
    )
