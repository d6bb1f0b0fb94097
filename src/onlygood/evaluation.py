"""Evaluate: how good a model is on labelled images. Nothing of it reaches the model or its threshold."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._extras import need_extra
from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood.datasets.labelled import LabelledImage, LabelledSet, find_labelled
from onlygood.datasets.masks import read_mask
from onlygood.errors import ImageError, LabelledSetError, SettingError
from onlygood.graph.verdict import CalibrationScores
from onlygood.images.reading import read_image
from onlygood.inspector import Inspector
from onlygood.metrics.image import (
    Area,
    F1Max,
    OperatingPoint,
    Share,
    average_precision,
    cheapest_operating_point,
    cost_per_thousand,
    exact_share,
    f1_max,
    image_auroc,
)
from onlygood.metrics.pixel import PixelMetrics, PixelTally
from onlygood.model import CalibratedModel
from onlygood.rates import format_rate
from onlygood.recalibration import guarantee_of, rule_of

# Misses and false alarms are tabulated at these false-alarm rates beside the model's own.
TABULATED_RATES = (0.01, 0.05, 0.1)


@dataclass(frozen=True, kw_only=True)
class EvaluatedImage:
    """A labelled image and what the model says of it.

    Attributes:
        image: which, and what it is known to be.
        score: as the model gives it; above 0 anomalous.
        p_value: share of good images at least this strange.
        is_anomaly: the model's verdict.
        latency_ms: of the graph's run on one thread.
    """

    image: LabelledImage
    score: float
    p_value: float
    is_anomaly: bool
    latency_ms: float

    @property
    def is_right(self) -> bool:
        """Whether verdict and label agree."""
        return self.is_anomaly == self.image.is_anomalous

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.image.name,
            "label": int(self.image.is_anomalous),
            "defect": self.image.defect,
            "session": self.image.session,
            "is_anomaly": self.is_anomaly,
            "score": self.score,
            "p_value": self.p_value,
            "latency_ms": round(self.latency_ms, 3),
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
    auroc: Area | None
    average_precision: float | None
    f1_max: F1Max | None
    false_alarms: Share | None
    misses: Share | None

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
class GuaranteeCheck:
    """The guaranteed false-alarm rate beside the observed one.

    Attributes:
        stated_rate: by the model.
        observed: among the good test images, with an exact binomial interval.
        verdict: "contradicted" where the whole interval lies above the rate, "confirmed" where it lies at or below,
            "consistent" where it holds the rate, so that more images would be needed to tell.
        sentence: the same for people.
    """

    stated_rate: float
    observed: Share
    verdict: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "stated_rate": self.stated_rate,
            "observed": self.observed.to_dict(),
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, kw_only=True)
class RateOutcome:
    """What the threshold for a false-alarm rate does to the test images; the threshold itself comes from none of them.

    Attributes:
        requested_rate: the false-alarm rate that the threshold is for.
        guaranteed_rate: what the calibration scores can guarantee: requested_rate, or more where they are too few; by
            leave-one-out the guarantee is approximate. None where the threshold is estimated, which guarantees nothing.
        threshold: relative to the model's own, like scores: an image with a higher score is called anomalous.
        is_own: whether this is the rate and the threshold that the model has.
        false_alarms: good images called anomalous; None without good images.
        misses: anomalous images called good; None without anomalous images.
    """

    requested_rate: float
    guaranteed_rate: float | None
    threshold: float
    is_own: bool
    false_alarms: Share | None
    misses: Share | None

    @property
    def is_guaranteed(self) -> bool:
        """Whether the calibration scores suffice for the rate that is requested."""
        return self.guaranteed_rate is not None and self.guaranteed_rate <= self.requested_rate

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "requested_rate": self.requested_rate,
            "guaranteed_rate": self.guaranteed_rate,
            "threshold": self.threshold,
            "is_own": self.is_own,
            "false_alarms": None if self.false_alarms is None else self.false_alarms.to_dict(),
            "misses": None if self.misses is None else self.misses.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class CostAdvice:
    """What the model's threshold costs, and which threshold would have been the cheapest on these images.

    Attributes:
        cost_false_alarm: of one good part refused.
        cost_miss: of one anomalous part let through.
        anomaly_share: of all parts, that is assumed.
        is_share_of_test: whether that is merely the test images' own share.
        current: the model's own threshold.
        cheapest: chosen on these very images, so its cost is too optimistic.
    """

    cost_false_alarm: float
    cost_miss: float
    anomaly_share: float
    is_share_of_test: bool
    current: OperatingPoint
    cheapest: OperatingPoint

    @property
    def sentence(self) -> str:
        """The advice for people."""
        source = "as among the test images" if self.is_share_of_test else "as given"
        if self.cheapest.cost_per_thousand >= self.current.cost_per_thousand:
            return (
                f"No other threshold would have been cheaper on these images: {self.current.cost_per_thousand:.4g} "
                f"per thousand parts, with {self.anomaly_share:.3g} of them anomalous ({source})."
            )
        return (
            f"Cheapest on these images would have been a threshold at score {self.cheapest.threshold:+.4g}: "
            f"{self.cheapest.cost_per_thousand:.4g} per thousand parts instead of "
            f"{self.current.cost_per_thousand:.4g}, with {self.anomaly_share:.3g} of them anomalous ({source}). It was "
            "chosen on the images that it is measured on, so it flatters; nothing was changed."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "cost_false_alarm": self.cost_false_alarm,
            "cost_miss": self.cost_miss,
            "anomaly_share": self.anomaly_share,
            "is_share_of_test": self.is_share_of_test,
            "current": self.current.to_dict(),
            "cheapest": self.cheapest.to_dict(),
            "sentence": self.sentence,
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


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `onlygood.evaluate` returns.

    Attributes:
        metadata: of the model.
        layout: how the images were labelled: "mvtec", "folders" or "csv".
        images: every image that could be measured.
        image: the figures over all of them.
        per_defect: figures of each type of defect against all good images (its false alarms are None: good images
            have no type).
        per_session: figures within each session; empty unless sessions are known.
        pixel: None without masks.
        guarantee: None without good images.
        advice: None unless costs were given and there are both good and anomalous images.
        at_rates: misses and false alarms at the model's own rate and at TABULATED_RATES, by rising rate; the model's
            own alone where its file holds no calibration scores.
        unreadable: names of images that could not be read or used, each with the reason.
        notes: sentences about what could not be measured, and why.
    """

    metadata: dict[str, Any]
    layout: str
    images: tuple[EvaluatedImage, ...]
    image: ImageFigures
    per_defect: dict[str, ImageFigures]
    per_session: dict[str, ImageFigures]
    pixel: PixelFigures | None
    guarantee: GuaranteeCheck | None
    advice: CostAdvice | None
    at_rates: tuple[RateOutcome, ...]
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def miss_sentence(self) -> str | None:
        """How many anomalous images are missed, and how many would be at higher rates; None where none would be fewer.

        None without images of both kinds, too.
        """
        own = next(outcome for outcome in self.at_rates if outcome.is_own)
        if own.misses is None or own.false_alarms is None:
            return None
        parts: list[str] = []
        fewest, is_guaranteed = own.misses.events, False
        for outcome in self.at_rates:
            misses, alarms = outcome.misses, outcome.false_alarms
            assert misses is not None and alarms is not None  # there are images of both kinds
            if outcome.requested_rate <= own.requested_rate or misses.events >= fewest:
                continue
            # Where one rate is guaranteed, all higher ones are.
            said = f"{outcome.requested_rate:g}" + ("" if is_guaranteed else f" ({self._guarantee(outcome)})")
            if parts:
                parts.append(f"at {said} it would be {misses.events}, with {alarms.events}")
            else:
                parts.append(
                    f"At a rate of {said} {misses.events} of {misses.trials} would be missed instead of "
                    f"{own.misses.events}, with {alarms.events} of {alarms.trials} good images called anomalous"
                )
            fewest, is_guaranteed = misses.events, outcome.is_guaranteed
        if not parts:
            return None
        return (
            f"At the model's threshold {own.misses.events} of {own.misses.trials} anomalous images are missed. "
            f"{'; '.join(parts)}."
        )

    def _guarantee(self, outcome: RateOutcome) -> str:
        """What the calibration scores guarantee at a rate, in words."""
        if outcome.guaranteed_rate is None:
            return "estimated from these calibration scores"
        kind = "guaranteed" if self.metadata["guarantee"]["is_exact"] else "guaranteed approximately"
        if outcome.is_guaranteed:
            return f"{kind} from these calibration scores"
        return f"{format_rate(outcome.guaranteed_rate)} is {kind} from these calibration scores"

    @property
    def latency_ms(self) -> tuple[float, float]:
        """Median and 95th percentile of the graph's run on one image and one thread, of the images measured."""
        latencies = [image.latency_ms for image in self.images]
        return float(np.median(latencies)), float(np.percentile(latencies, 95))

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        median, high = self.latency_ms
        return {
            "layout": self.layout,
            "image": self.image.to_dict(),
            "per_defect": {name: figures.to_dict() for name, figures in self.per_defect.items()},
            "per_session": {name: figures.to_dict() for name, figures in self.per_session.items()},
            "pixel": None if self.pixel is None else self.pixel.to_dict(),
            "guarantee": None if self.guarantee is None else self.guarantee.to_dict(),
            "advice": None if self.advice is None else self.advice.to_dict(),
            "at_rates": [outcome.to_dict() for outcome in self.at_rates],
            "miss_sentence": self.miss_sentence,
            "latency_ms": {"median": round(median, 3), "p95": round(high, 3)},
            "unreadable": [{"name": name, "error": reason} for name, reason in self.unreadable],
            "notes": list(self.notes),
            "images": [image.to_dict() for image in self.images],
        }


def evaluate(
    model: str | os.PathLike[str] | CalibratedModel | Inspector,
    images: str | os.PathLike[str] | LabelledSet,
    *,
    group_by: str | None = None,
    cost_false_alarm: float | None = None,
    cost_miss: float | None = None,
    anomaly_share: float | None = None,
    threads: int = 0,
    progress: bool = False,
) -> Evaluation:
    """How good a model is on labelled images; the model stays as it is.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector of either
            (for another false-alarm rate, other hardware or limits; with maps, or there are no pixel metrics).
        images: a folder in MVTec layout, a folder with `good` and other sub-folders, a CSV file of
            path,label[,mask][,defect][,session], or what `find_labelled` returned.
        group_by: what says which session an image is of: "folder" or a regular expression, as in `FitSettings`.
        cost_false_alarm: of one good part refused, in any unit; with cost_miss, asks for advice on the threshold.
        cost_miss: of one anomalous part let through, in the same unit.
        anomaly_share: share of anomalous parts among all, for that advice; as among the test images unless given.
        threads: images worked on at once; 0 for one a core.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        LabelledSetError: labels or masks that cannot be understood, or no image that can be read.
        SettingError: costs or a share that cannot be used.
        MissingExtraError: scikit-learn is not installed.
        ModelFileError, FolderError: as `Inspector` and `find_labelled`.
    """
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="evaluate")
    costs = _check_costs(cost_false_alarm, cost_miss, anomaly_share)
    # Several images at once, each on one thread, are faster than one image on all threads.
    inspector = model if isinstance(model, Inspector) else Inspector(model, threads=1)
    if not isinstance(images, LabelledSet):
        images = find_labelled(images, group_by=group_by, limits=inspector.limits)
    elif group_by is not None:
        raise SettingError("group_by goes with a folder or a CSV file, got images that are labelled already")
    with PixelTally() as tally:
        results = map_in_order(_Judge(inspector, images, tally), images.images, threads=threads)
        results = track(results, total=len(images.images), description="evaluating", show=progress)
        judged, unreadable, unmasked = _sort_out(images.images, results)
        notes = [*images.notes, *_notes_on_missing(judged, unmasked)]
        masks = sum(image.image.mask is not None for image in judged) - len(unmasked)
        pixel = None
        if masks:
            pluralize = [each for each in judged if each.image.mask is not None or not each.image.is_anomalous]
            try:
                pixel = PixelFigures(metrics=tally.result(), images=len(pluralize) - len(unmasked), masks=masks)
            except ValueError as error:  # the masks mark every pixel that there is
                notes.append(f"There are no pixel metrics: {error}.")
    image = _figures(judged)
    return Evaluation(
        metadata=inspector.metadata,
        layout=images.layout,
        images=tuple(judged),
        image=image,
        per_defect=_per_defect(judged),
        per_session=_per_session(judged),
        pixel=pixel,
        guarantee=None if image.false_alarms is None else check_guarantee(inspector.metadata, image.false_alarms),
        advice=None if costs is None or image.auroc is None else _advice(judged, image, *costs),
        at_rates=outcomes_at_rates(judged, inspector.metadata, inspector.calibration_scores),
        unreadable=tuple(unreadable),
        notes=tuple(notes),
    )


def check_guarantee(metadata: dict[str, Any], observed: Share) -> GuaranteeCheck:
    """Whether the false alarms among good test images agree with what the model guarantees.

    The interval takes the images as independent. Where they are of few parts or sessions it is too narrow.

    Args:
        metadata: of the model.
        observed: good images called anomalous.
    """
    guaranteed = float(metadata["guarantee"]["stated_rate"])
    is_guaranteed = guarantee_of(metadata).is_guaranteed
    what = "guarantee" if is_guaranteed else "estimate"
    stated = (
        f"at most {format_rate(guaranteed)} was guaranteed" if is_guaranteed else f"about {guaranteed:g} was estimated"
    )
    seen = (
        f"{observed.events} of {observed.trials} good images were called anomalous, {observed.value:.3g} "
        f"({observed.confidence:.0%} interval {observed.low:.3g} to {observed.high:.3g}), and {stated}"
    )
    if observed.low > guaranteed:
        verdict = "contradicted"
        sentence = (
            f"The {what} is CONTRADICTED: {seen}. These good images are not like those that the model learned from: "
            "look at the false alarms, and fit anew with good images taken as these were."
        )
    elif observed.high <= guaranteed:
        verdict, sentence = "confirmed", f"The {what} is confirmed: {seen}."
    else:
        verdict = "consistent"
        sentence = f"The {what} is not contradicted: {seen}. More good images would be needed to confirm it."
    return GuaranteeCheck(stated_rate=guaranteed, observed=observed, verdict=verdict, sentence=sentence)


def outcomes_at_rates(
    judged: Sequence[EvaluatedImage], metadata: dict[str, Any], calibration_scores: CalibrationScores | None
) -> tuple[RateOutcome, ...]:
    """Misses and false alarms at the model's own false-alarm rate and at TABULATED_RATES, by rising rate.

    Args:
        judged: the test images.
        metadata: of the model.
        calibration_scores: in the model's file, from which the other thresholds come; None for its own rate alone.
    """
    guarantee = metadata["guarantee"]
    own = float(guarantee["requested_rate"])
    guaranteed = float(guarantee["stated_rate"]) if guarantee_of(metadata).is_guaranteed else None
    found = [_outcome(judged, own, guaranteed, np.float32(0.0), is_own=True)]
    if calibration_scores is not None:
        for rate in TABULATED_RATES:
            if rate != own:
                calibration = calibration_scores.at(rate, rule=rule_of(metadata), is_exact=bool(guarantee["is_exact"]))
                # The difference that the graph would make of a raw score at that threshold.
                relative = np.float32(calibration.threshold) - np.float32(calibration_scores.threshold)
                guaranteed = calibration.stated_rate if calibration.is_guaranteed else None
                found.append(_outcome(judged, rate, guaranteed, relative, is_own=False))
    return tuple(sorted(found, key=lambda outcome: outcome.requested_rate))


def _outcome(
    judged: Sequence[EvaluatedImage], requested: float, guaranteed: float | None, threshold: np.float32, *, is_own: bool
) -> RateOutcome:
    scores, labels = _arrays(judged)
    above = scores.astype(np.float32) > threshold
    good, anomalous = int((~labels).sum()), int(labels.sum())
    return RateOutcome(
        requested_rate=requested,
        guaranteed_rate=guaranteed,
        threshold=float(str(threshold)),
        is_own=is_own,
        false_alarms=exact_share(int(above[~labels].sum()), good) if good else None,
        misses=exact_share(int((~above[labels]).sum()), anomalous) if anomalous else None,
    )


class _Judge:
    """The work on one image, called on several threads: verdict, and its pixels into the tally."""

    def __init__(self, inspector: Inspector, labelled: LabelledSet, tally: PixelTally) -> None:
        self.inspector = inspector
        self.has_masks = labelled.has_masks
        self.tally = tally

    def __call__(self, labelled: LabelledImage) -> tuple[EvaluatedImage, str | None] | ImageError:
        """The verdict, and why the image's mask cannot be used, if so; or why the image cannot."""
        file = labelled.file
        try:
            image = read_image(file.path, name=labelled.name, page=file.page, limits=self.inspector.limits)
            inspection = self.inspector(image, name=labelled.name)
        except ImageError as error:
            return error
        judged = EvaluatedImage(
            image=labelled,
            score=inspection.score,
            p_value=inspection.p_value,
            is_anomaly=inspection.is_anomaly,
            latency_ms=inspection.latency_ms,
        )
        anomaly_map = inspection.anomaly_map
        if not self.has_masks or anomaly_map is None or (labelled.is_anomalous and labelled.mask is None):
            return judged, None
        mask = None
        if labelled.mask is not None:
            height, width = anomaly_map.shape
            try:
                mask = read_mask(labelled, height=height, width=width, limits=self.inspector.limits)
            except LabelledSetError as error:
                return judged, str(error)
        self.tally.add(anomaly_map, mask)
        return judged, None


def _sort_out(
    images: Sequence[LabelledImage], results: Iterable[tuple[EvaluatedImage, str | None] | ImageError]
) -> tuple[list[EvaluatedImage], list[tuple[str, str]], list[str]]:
    """Images judged, images that could not be (name and reason), and the reasons of masks that could not be used.

    Raises:
        LabelledSetError: no image could be judged.
    """
    judged: list[EvaluatedImage] = []
    unreadable: list[tuple[str, str]] = []
    unmasked: list[str] = []
    for image, result in zip(images, results, strict=True):
        if isinstance(result, ImageError):
            unreadable.append((image.name, str(result)))
            continue
        judged.append(result[0])
        if result[1] is not None:
            unmasked.append(result[1])
    if not judged:
        raise LabelledSetError(
            f"evaluate needs at least one image that this model can inspect, and none of {len(images)} is; the "
            f"first: {unreadable[0][1]}"
        )
    return judged, unreadable, unmasked


def _notes_on_missing(judged: Sequence[EvaluatedImage], unmasked: Sequence[str]) -> list[str]:
    """What cannot be had from these images."""
    notes = []
    kinds = {image.image.is_anomalous for image in judged}
    if kinds == {False}:
        notes.append("There are no anomalous images: only false alarms can be measured, not what is missed, nor AUROC.")
    if kinds == {True}:
        notes.append("There are no good images: only misses can be measured, not false alarms, nor AUROC.")
    if unmasked:
        masks = (
            "1 mask cannot be used; its image is"
            if len(unmasked) == 1
            else f"{len(unmasked)} masks cannot be used; their images are"
        )
        notes.append(f"{masks} left out of the pixel metrics; the first: {unmasked[0]}")
    return notes


def _figures(judged: Sequence[EvaluatedImage]) -> ImageFigures:
    """The figures of some images, as far as they can be had."""
    scores, labels = _arrays(judged)
    good, anomalous = int((~labels).sum()), int(labels.sum())
    both = good > 0 and anomalous > 0
    verdicts = np.array([image.is_anomaly for image in judged], dtype=bool)
    return ImageFigures(
        good=good,
        anomalous=anomalous,
        auroc=image_auroc(scores, labels) if both else None,
        average_precision=average_precision(scores, labels) if both else None,
        f1_max=f1_max(scores, labels) if both else None,
        false_alarms=exact_share(int(verdicts[~labels].sum()), good) if good else None,
        misses=exact_share(int((~verdicts[labels]).sum()), anomalous) if anomalous else None,
    )


def _per_defect(judged: Sequence[EvaluatedImage]) -> dict[str, ImageFigures]:
    """Each type of defect against all good images."""
    good = [image for image in judged if not image.image.is_anomalous]
    found = {}
    for defect in sorted({image.image.defect for image in judged if image.image.is_anomalous}):
        of_type = [each for each in judged if each.image.is_anomalous and each.image.defect == defect]
        found[defect] = replace(_figures([*good, *of_type]), false_alarms=None)
    return found


def _per_session(judged: Sequence[EvaluatedImage]) -> dict[str, ImageFigures]:
    """Each session by itself, if sessions are known."""
    sessions = sorted({image.image.session for image in judged if image.image.session is not None})
    return {name: _figures([each for each in judged if each.image.session == name]) for name in sessions}


def _advice(
    judged: Sequence[EvaluatedImage],
    image: ImageFigures,
    cost_false_alarm: float,
    cost_miss: float,
    share: float | None,
) -> CostAdvice:
    """What the model's own threshold costs, and the cheapest."""
    scores, labels = _arrays(judged)
    assumed = float(labels.mean()) if share is None else share
    costs = {"cost_false_alarm": cost_false_alarm, "cost_miss": cost_miss, "anomaly_share": assumed}
    assert image.false_alarms is not None and image.misses is not None  # there are images of both kinds
    rates = {"false_alarm_rate": image.false_alarms.value, "miss_rate": image.misses.value}
    current = OperatingPoint(threshold=0.0, cost_per_thousand=cost_per_thousand(**rates, **costs), **rates)
    return CostAdvice(
        **costs,
        is_share_of_test=share is None,
        current=current,
        cheapest=cheapest_operating_point(scores, labels, **costs),
    )


def _arrays(judged: Sequence[EvaluatedImage]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores float64 [n] and labels bool [n]."""
    scores = np.array([image.score for image in judged], dtype=np.float64)
    return scores, np.array([image.image.is_anomalous for image in judged], dtype=bool)


def _check_costs(
    false_alarm: float | None, miss: float | None, share: float | None
) -> tuple[float, float, float | None] | None:
    """The costs and the share of anomalous parts; None where none are given.

    Raises:
        SettingError: one cost without the other, a share without costs, or values that cannot be used.
    """
    if false_alarm is None and miss is None:
        if share is not None:
            raise SettingError("anomaly_share goes with cost_false_alarm and cost_miss, got neither: give both")
        return None
    if false_alarm is None or miss is None:
        given, missing = ("cost_miss", "cost_false_alarm") if false_alarm is None else ("cost_false_alarm", "cost_miss")
        raise SettingError(f"{given} goes with {missing}, got none: give both, in the same unit")
    for name, cost in (("cost_false_alarm", false_alarm), ("cost_miss", miss)):
        if not (math.isfinite(cost) and cost >= 0):
            raise SettingError(f"{name} must be a number of at least 0, got {cost!r}")
    if share is not None and not 0.0 < share < 1.0:
        raise SettingError(f"anomaly_share must be between 0 and 1, both excluded, got {share!r}")
    return false_alarm, miss, share
