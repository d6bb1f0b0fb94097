"""What is measured on labelled images: each image, and the figures of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._html import escape, table
from onlygood.datasets.labelled_set import LabelledImage
from onlygood.kind_notes import Difference
from onlygood.metrics.image import (
    AurocEstimate,
    F1Max,
    Proportion,
    average_precision,
    exact_proportion,
    f1_max,
    image_auroc,
)
from onlygood.metrics.pixel import PixelMetrics

# Types of defect that a notebook shows a row of.
LISTED_DEFECTS = 20


@dataclass(frozen=True, kw_only=True)
class EvaluatedImage:
    """A labelled image and what the model says of it.

    Attributes:
        labelled: which image, and what it is known to be.
        score: as the model gives it; above 0 anomalous.
        p_value: share of good images at least this anomalous.
        is_anomaly: the model's verdict.
        latency_ms: of the graph's run on one thread.
        differences: in what the image is as no good image of the model was.
    """

    labelled: LabelledImage
    score: float
    p_value: float
    is_anomaly: bool
    latency_ms: float
    differences: tuple[Difference, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether verdict and label agree."""
        return self.is_anomaly == self.labelled.is_anomalous

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.labelled.name,
            "label": int(self.labelled.is_anomalous),
            "defect": self.labelled.defect,
            "session": self.labelled.session,
            "is_anomaly": self.is_anomaly,
            "score": self.score,
            "p_value": self.p_value,
            "latency_ms": round(self.latency_ms, 3),
            "differences": [difference.to_dict() for difference in self.differences],
        }


@dataclass(frozen=True, kw_only=True)
class ImageFigures:
    """How well verdicts and scores tell good images from anomalous ones.

    Attributes:
        good: number of good images.
        anomalous: number of anomalous images.
        auroc: with its interval; None unless there are both good and anomalous images, as the next two.
        average_precision: area under precision over recall.
        f1_max: the best F1 that any threshold reaches, and that threshold: chosen on these very images.
        false_alarms: good images called anomalous at the model's own threshold; None without good images.
        misses: anomalous images called good at the model's own threshold; None without anomalous images.
    """

    good: int
    anomalous: int
    auroc: AurocEstimate | None
    average_precision: float | None
    f1_max: F1Max | None
    false_alarms: Proportion | None
    misses: Proportion | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "good": self.good,
            "anomalous": self.anomalous,
            "auroc": None if self.auroc is None else self.auroc.to_dict(),
            "average_precision": self.average_precision,
            "f1_max": None if self.f1_max is None else self.f1_max.to_dict(),
            "false_alarms": None if self.false_alarms is None else self.false_alarms.to_dict(),
            "misses": None if self.misses is None else self.misses.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class PixelFigures:
    """Pixel-level metrics, and what they were measured on.

    Attributes:
        metrics: at the images' own sizes.
        images: how many, good and anomalous.
        masks: how many of them have a mask.
    """

    metrics: PixelMetrics
    images: int
    masks: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**self.metrics.to_dict(), "images": self.images, "masks": self.masks}


def image_figures(judged: Sequence[EvaluatedImage]) -> ImageFigures:
    """The figures of some images, as far as there are images of the kinds that they need."""
    scores, labels = scores_and_labels(judged)
    good, anomalous = int((~labels).sum()), int(labels.sum())
    both = good > 0 and anomalous > 0
    verdicts = np.array([image.is_anomaly for image in judged], dtype=bool)
    return ImageFigures(
        good=good,
        anomalous=anomalous,
        auroc=image_auroc(scores, labels) if both else None,
        average_precision=average_precision(scores, labels) if both else None,
        f1_max=f1_max(scores, labels) if both else None,
        false_alarms=exact_proportion(int(verdicts[~labels].sum()), good) if good else None,
        misses=exact_proportion(int((~verdicts[labels]).sum()), anomalous) if anomalous else None,
    )


def figures_per_defect(judged: Sequence[EvaluatedImage]) -> dict[str, ImageFigures]:
    """Each type of defect against all good images."""
    good = [image for image in judged if not image.labelled.is_anomalous]
    found = {}
    for defect in sorted({image.labelled.defect for image in judged if image.labelled.is_anomalous}):
        of_type = [each for each in judged if each.labelled.is_anomalous and each.labelled.defect == defect]
        found[defect] = replace(image_figures([*good, *of_type]), false_alarms=None)
    return found


def figures_per_session(judged: Sequence[EvaluatedImage]) -> dict[str, ImageFigures]:
    """Each session by itself, if sessions are known."""
    sessions = sorted({image.labelled.session for image in judged if image.labelled.session is not None})
    return {name: image_figures([each for each in judged if each.labelled.session == name]) for name in sessions}


def evaluation_table(image: ImageFigures, per_defect: dict[str, ImageFigures], sentence: str | None) -> str:
    """The figures of an evaluation as HTML, with the sentence below them.

    Args:
        image: over all images.
        per_defect: of each type of defect.
        sentence: such as what came of the guarantee; None for none.
    """
    rows = [("all", image), *list(per_defect.items())[:LISTED_DEFECTS]]
    cells = [
        (
            name,
            f"{figures.good:,}",
            f"{figures.anomalous:,}",
            "-" if figures.auroc is None else f"{figures.auroc.value:.3f}",
            "-" if figures.misses is None else f"{figures.misses.events} ({figures.misses.value:.3f})",
            "-"
            if figures.false_alarms is None
            else f"{figures.false_alarms.events} ({figures.false_alarms.value:.3f})",
        )
        for name, figures in rows
    ]
    shown = table(cells, header=("", "good", "anomalous", "AUROC", "missed", "false alarms"))
    return shown if sentence is None else f"{shown}<p>{escape(sentence)}</p>"


def scores_and_labels(judged: Sequence[EvaluatedImage]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores float64 [n] and labels bool [n]."""
    scores = np.array([image.score for image in judged], dtype=np.float64)
    return scores, np.array([image.labelled.is_anomalous for image in judged], dtype=bool)
