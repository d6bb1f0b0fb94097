"""How well scores tell good images from anomalous ones, with intervals that say how far the figures can be trusted.

Scores are float [n], higher is more anomalous; labels are bool or 0 and 1 [n], 1 is anomalous. A threshold is to be
read as "anomalous if score >= threshold".
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood._extras import need_extra
from onlygood._plain import plain
from onlygood.errors import SettingError

# Costs of thresholds are compared with each other; this absorbs binary rounding, nothing else.
TOLERANCE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """A share that was counted, and what the true one may be.

    Attributes:
        events: how often it happened.
        trials: out of how many, at least 1.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: of the interval.
    """

    events: int
    trials: int
    low: float
    high: float
    confidence: float

    @property
    def value(self) -> float:
        """Events over trials, in [0, 1]."""
        return self.events / self.trials

    def to_dict(self) -> dict[str, Any]:
        """The share, its counts and its interval, as plain JSON values."""
        return {"value": self.value, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class AurocEstimate:
    """An area under the ROC curve, and what the true one may be.

    Attributes:
        value: the chance that an anomalous image has a higher score than a good one, ties half, in [0, 1].
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: of the interval.
    """

    value: float
    low: float
    high: float
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class F1Max:
    """The best F1 that any threshold reaches.

    Attributes:
        value: 2 * precision * recall / (precision + recall), in (0, 1].
        threshold: that reaches it: the highest one that is a score.
        precision: share of anomalous images among those called so.
        recall: share of anomalous images that are called so.
    """

    value: float
    threshold: float
    precision: float
    recall: float

    def to_dict(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points that thresholds give, in the order of the thresholds.

    Attributes:
        x: float64 [m], in [0, 1].
        y: float64 [m], in [0, 1].
        thresholds: float64 [m]; infinite where nothing is called anomalous.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def exact_proportion(events: int, trials: int, *, confidence: float = 0.95) -> Proportion:
    """A share with its exact binomial interval: it holds the true share at least as often as `confidence` says.

    Args:
        events: how often it happened, from 0 to `trials`.
        trials: out of how many, at least 1; they are taken to be independent.
        confidence: in (0, 1).

    Raises:
        SettingError: if the confidence is outside (0, 1).
        ValueError: if the counts are impossible.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.
    """
    tail = _tail(confidence)
    if not (trials >= 1 and 0 <= events <= trials):
        raise ValueError(
            f"a share needs at least 1 trial and from 0 to as many events, got {events} events in {trials} trials"
        )
    need_extra("SciPy", module="scipy", extra="report", purpose="an interval")
    # The closed form. `scipy.stats.binomtest(...).proportion_ci()` looks for the same two numbers step by step, which
    # takes a thousand times as long.
    from scipy.special import betaincinv

    return Proportion(
        events=events,
        trials=trials,
        low=0.0 if events == 0 else float(betaincinv(events, trials - events + 1, tail)),
        high=1.0 if events == trials else float(betaincinv(events + 1, trials - events, 1.0 - tail)),
        confidence=confidence,
    )


def image_auroc(scores: ArrayLike, labels: ArrayLike, *, confidence: float = 0.95) -> AurocEstimate:
    """The area under the ROC curve, with an interval that takes images as independent.

    The interval is DeLong's on the logit scale, so that it stays within [0, 1]; it is approximate, and good from some
    tens of images of each kind on. DeLong's variance is of no use where it is 0 or undefined. There, with m the
    smaller of the two numbers of images, m disjoint pairs of a good and an anomalous image give intervals that are
    too wide rather than too narrow, whatever the distribution:

    - if all anomalous scores are above all good ones, so are they in m independent pairs, and the lower end is the
      exact one for m of m: (alpha / 2)^(1 / m), with the upper end 1; the mirror image if all are below;
    - else (all scores equal, or one image of a kind), by Hoeffding's inequality for the mean over such pairings,
      value +- sqrt(ln(2 / alpha) / (2 m)), cut at 0 and 1.

    Args:
        scores: float [n], higher is more anomalous.
        labels: bool or 0 and 1 [n], 1 is anomalous; both must occur.
        confidence: 1 - alpha, in (0, 1).

    Raises:
        SettingError: if the confidence is outside (0, 1).
        ValueError: if scores are not finite, labels are no labels, their numbers differ, or one kind is missing.

    Example:
        >>> import onlygood
        >>> estimate = onlygood.image_auroc([0.1, 0.4, 0.3, 0.9], [0, 0, 1, 1])
        >>> estimate.value
        0.75

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach", Biometrics 44, 1988; by mid-ranks as in Sun and Xu, "Fast
    implementation of DeLong's algorithm", IEEE Signal Processing Letters 21, 2014. Hoeffding, "Probability inequalities
    for sums of bounded random variables", 1963, section 5.
    """
    tail = _tail(confidence)
    scores, labels = _both_kinds(scores, labels)
    need_extra("SciPy", module="scipy", extra="report", purpose="AUROC")
    from scipy.special import expit, logit, ndtri
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    anomalous, good = scores[labels], scores[~labels]
    # V10 and V01 of the paper: for each image, the share of images of the other kind that it is ranked right with.
    of_anomalous = (ranks[labels] - rankdata(anomalous)) / len(good)
    of_good = 1.0 - (ranks[~labels] - rankdata(good)) / len(anomalous)
    value = float(of_anomalous.mean())
    fewer = min(len(good), len(anomalous))
    variance = 0.0
    if fewer > 1:
        variance = float(of_anomalous.var(ddof=1) / len(anomalous) + of_good.var(ddof=1) / len(good))
    if anomalous.min() > good.max():
        value, low, high = 1.0, tail ** (1 / fewer), 1.0
    elif anomalous.max() < good.min():
        value, low, high = 0.0, 0.0, 1.0 - tail ** (1 / fewer)
    elif variance > 0.0:
        half = -ndtri(tail) * math.sqrt(variance) / (value * (1.0 - value))
        low, high = float(expit(logit(value) - half)), float(expit(logit(value) + half))
    else:
        half = math.sqrt(-math.log(tail) / (2 * fewer))
        low, high = max(0.0, value - half), min(1.0, value + half)
    return AurocEstimate(value=value, low=low, high=high, confidence=confidence)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """The mean over anomalous images of the precision at their score, in (0, 1], as scikit-learn has it.

    Raises:
        ValueError: as `image_auroc`.
    """
    scores, labels = _both_kinds(scores, labels)
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="average precision")
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def f1_max(scores: ArrayLike, labels: ArrayLike) -> F1Max:
    """The best F1 over all thresholds; of equally good ones the highest. It is chosen on the images it is said of.

    Raises:
        ValueError: as `image_auroc`.
    """
    curve = precision_recall_curve(scores, labels)
    precision, recall = curve.y[:-1], curve.x[:-1]  # without the point at which nothing is called anomalous
    # At a score at least one image is called anomalous; where none of these is, precision and recall are both 0.
    values = 2.0 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    best = int(np.flatnonzero(values >= values.max() * (1.0 - TOLERANCE))[-1])
    return F1Max(
        value=float(values[best]),
        threshold=float(curve.thresholds[best]),
        precision=float(precision[best]),
        recall=float(recall[best]),
    )


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> Curve:
    """The share of anomalous images found (y) over the false-alarm rate (x), from (0, 0) to (1, 1).

    Points on the straight line between their neighbours are left out. Thresholds descend from infinity.

    Raises:
        ValueError: as `image_auroc`.
    """
    return roc_points(scores, labels, drop_intermediate=True)


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> Curve:
    """Precision (y) over recall (x), at every score; the last point is precision 1 at recall 0.

    Thresholds ascend to infinity, so that x descends from 1.

    Raises:
        ValueError: as `image_auroc`.
    """
    scores, labels = _both_kinds(scores, labels)
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="a precision-recall curve")
    from sklearn import metrics

    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores)
    return Curve(x=recall, y=precision, thresholds=np.append(thresholds, np.inf))


def roc_points(scores: ArrayLike, labels: ArrayLike, *, drop_intermediate: bool) -> Curve:
    """The points of a ROC curve, those on straight lines left out or not."""
    scores, labels = _both_kinds(scores, labels)
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="a ROC curve")
    from sklearn import metrics

    x, y, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=drop_intermediate)
    return Curve(x=x, y=y, thresholds=thresholds)


def between_scores(thresholds: NDArray[np.float64], place: int) -> float:
    """Midway between the threshold at `place` and the next lower one; infinite at the ends. Thresholds descend."""
    if place == 0:
        return math.inf
    if place == len(thresholds) - 1:
        return -math.inf
    upper, lower = float(thresholds[place]), float(thresholds[place + 1])
    middle = lower / 2 + upper / 2
    # Between neighbouring floats there is none; the upper one calls the same images anomalous.
    return middle if lower < middle else upper


def _tail(confidence: float) -> float:
    """Half of alpha, where alpha is 1 - confidence."""
    confidence = plain(confidence)
    if not (isinstance(confidence, int | float) and 0.0 < confidence < 1.0):
        raise SettingError(f"the confidence must be between 0 and 1, both excluded, got {confidence!r}")
    return (1.0 - confidence) / 2


def _both_kinds(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores float64 [n] and labels bool [n], of both kinds."""
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            f"metrics need as many labels as scores, each in one dimension, got shapes {list(labels.shape)} and "
            f"{list(scores.shape)}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("metrics need finite scores, got some that are not")
    if labels.dtype != np.bool_ and not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (good) or 1 (anomalous), got others")
    labels = labels.astype(np.bool_)
    good, anomalous = int((~labels).sum()), int(labels.sum())
    if good == 0 or anomalous == 0:
        raise ValueError(
            f"this metric needs images of both kinds, got {good} good and {anomalous} anomalous ones: add the others"
        )
    return scores, labels
