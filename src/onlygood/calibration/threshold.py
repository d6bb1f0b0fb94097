"""Where the threshold is decided: from scores of good images alone, guaranteed or estimated."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration.tail import count_odd, fit_tail, rate_interval
from onlygood.errors import FolderError
from onlygood.rates import TOLERANCE, Rule, ThresholdRule, check_false_alarm_rate, images_needed

# How a threshold is decided.
RULES = ("conformal", "estimated")
# Fewer independent images have no tail.
LEAST_FOR_TAIL = 3
# With leave-one-out the order statistic is chosen where so many independent images are expected above it, so that no
# few of them decide it.
ENOUGH_ABOVE = 10


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold, and everything that it rests on.

    Attributes:
        scores: float32 [n], ascending: scores of good images that the detector had not seen.
        weights: float64 [n], of each score in the p-value: 1 / ((groups + 1) * size of its group).
        groups: how many independent groups of images there were; equal to n where each is its own.
        requested_rate: the false-alarm rate that was asked for.
        stated_rate: with the conformal rule, what is guaranteed: requested_rate, or 1 / (groups + 1) where that is
            larger. With the estimated rule, what is estimated: requested_rate.
        threshold: the calibration score above which an image is called anomalous.
        rule: "conformal" or "estimated"; "given" for a threshold that a person named.
        odd: how many of the highest scores stand apart from the others. The estimated rule sets them aside.
        interval: between which rates the true one lies (90 %): with the estimated rule by resampling, of a threshold
            that was given by counting; None with the conformal rule.
    """

    scores: NDArray[np.float32] = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    groups: int
    requested_rate: float
    stated_rate: float
    threshold: float
    rule: Rule = "conformal"
    odd: int = 0
    interval: tuple[float, float] | None = None

    @property
    def is_guaranteed(self) -> bool:
        """Whether stated_rate is guaranteed, and not only estimated."""
        return self.rule == "conformal"


def choose_rule(groups: int, false_alarm_rate: float, *, is_exact: bool) -> Rule:
    """The rule where none is asked for: which of RULES.

    Held-out images are asked for when a guarantee is wanted, so they give one wherever they are enough for the rate.
    With leave-one-out, where the guarantee is approximate anyway, the order statistic is left to numbers of images that
    make it robust.

    Args:
        groups: how many independent images calibrate.
        false_alarm_rate: alpha, in (0, 1).
        is_exact: whether they were held out.
    """
    needed = images_needed(false_alarm_rate) if is_exact else ENOUGH_ABOVE / false_alarm_rate
    is_conformal = groups < LEAST_FOR_TAIL or groups >= needed - TOLERANCE
    return "conformal" if is_conformal else "estimated"


def resolve_rule(asked: ThresholdRule, groups: int, false_alarm_rate: float, *, is_exact: bool) -> Rule:
    """The rule that is asked for, or what `choose_rule` says of these numbers where that is "auto"."""
    return choose_rule(groups, false_alarm_rate, is_exact=is_exact) if asked == "auto" else asked


def calibrate(
    scores: NDArray[np.float32], groups: Sequence[Hashable], false_alarm_rate: float, *, rule: Rule = "conformal"
) -> Calibration:
    """The threshold that good images exceed at `false_alarm_rate`, if new ones are like these.

    The conformal rule guarantees that it is at most this rate.

    Where every image is its own group, the threshold is the k-th smallest score, k = ceil((n + 1)(1 - alpha)), and
    a new good image that is exchangeable with these exceeds it with a probability of at most alpha. Where groups
    (sessions, near-duplicates) hold several images, images of one group are not independent; then groups take the
    place of images, each with the same total weight, and the guarantee is for an image of a new group.

    Where k > n the rate is finer than the images can support: the threshold is then the largest score, and what is
    guaranteed is 1 / (groups + 1).

    The estimated rule extrapolates the upper tail of the scores (`onlygood.calibration.tail`), without those that stand
    apart. It says something at any rate and from few images, and no single image decides it, but guarantees nothing.

    Args:
        scores: float32 [n], higher is more anomalous, of images that the detector has not seen.
        groups: n labels; equal labels belong together.
        false_alarm_rate: alpha, in (0, 1).
        rule: one of RULES; rates of a half and above are the order statistic's in any case.

    Raises:
        SettingError: the rate is outside (0, 1).
        FolderError: no scores.
        ValueError: scores that are not finite, or another number of groups.

    Source: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005 (the order statistic); Lee,
    Barber and Willett, "Distribution-free inference with hierarchical data", 2023 (groups, "HCP").
    """
    return calibrate_weighted(*_sorted_and_weighted(scores, groups), false_alarm_rate, rule=rule)


def threshold_of(
    scores: NDArray[np.float32], groups: Sequence[Hashable], false_alarm_rate: float, *, rule: Rule = "conformal"
) -> float:
    """The threshold of `calibrate`, without the rest; arguments and errors are those of `calibrate`."""
    ascending, weights, count = _sorted_and_weighted(scores, groups)
    return threshold_weighted(ascending, weights, count, false_alarm_rate, rule=rule)


def calibrate_weighted(
    scores: NDArray[np.float32],
    weights: NDArray[np.float64],
    groups: int,
    false_alarm_rate: float,
    *,
    rule: Rule = "conformal",
) -> Calibration:
    """The threshold of calibration scores that are sorted and weighted already, as a model file holds them.

    Args:
        scores: float32 [n], ascending, at least one.
        weights: float64 [n], of each score: 1 / ((groups + 1) * size of its group).
        groups: the number of independent groups.
        false_alarm_rate: alpha, in (0, 1).
        rule: as in `calibrate`.

    Raises:
        SettingError: the rate is outside (0, 1).
    """
    decided = _decide(scores, weights, groups, false_alarm_rate, rule, count_odd(scores, weights, groups))
    interval = None
    if decided.ordinary is not None:
        ordinary = decided.ordinary
        count = _independent(groups, weights, ordinary)
        interval = rate_interval(scores[:ordinary], weights[:ordinary], count, decided.threshold)
    return Calibration(
        scores=scores,
        weights=weights,
        groups=groups,
        requested_rate=false_alarm_rate,
        stated_rate=decided.stated_rate,
        threshold=decided.threshold,
        rule="conformal" if decided.ordinary is None else "estimated",
        odd=decided.odd,
        interval=interval,
    )


def threshold_weighted(
    scores: NDArray[np.float32],
    weights: NDArray[np.float64],
    groups: int,
    false_alarm_rate: float,
    *,
    rule: Rule = "conformal",
) -> float:
    """The threshold of `calibrate_weighted`, without the rest; its arguments and errors."""
    odd = count_odd(scores, weights, groups) if rule == "estimated" else 0
    return _decide(scores, weights, groups, false_alarm_rate, rule, odd).threshold


@dataclass(frozen=True)
class _Decision:
    """A threshold and what goes with it: see `Calibration`.

    Attributes:
        threshold: in units of the scores.
        stated_rate: guaranteed or estimated.
        odd: how many of the highest scores stand apart.
        ordinary: how many of the scores the tail was estimated from; None with the conformal rule.
    """

    threshold: float
    stated_rate: float
    odd: int
    ordinary: int | None = None


def _decide(
    scores: NDArray[np.float32],
    weights: NDArray[np.float64],
    groups: int,
    false_alarm_rate: float,
    rule: Rule,
    odd: int,
) -> _Decision:
    """The threshold of scores of which the `odd` highest stand apart; other arguments as in `calibrate_weighted`."""
    false_alarm_rate = check_false_alarm_rate(false_alarm_rate)
    if rule not in RULES:
        raise ValueError(f"the rule must be one of {', '.join(RULES)}, got {rule!r}")
    # The tail begins at the median, so a rate of a half or more is the order statistic's.
    if rule == "estimated" and false_alarm_rate < 0.5:
        ordinary = len(scores) - odd
        tail = fit_tail(scores[:ordinary], weights[:ordinary], _independent(groups, weights, ordinary))
        # Many ties can leave less than the rate above the median: the median is then high enough.
        estimated = tail.begin if false_alarm_rate >= tail.share else tail.threshold(false_alarm_rate)
        return _Decision(float(np.float32(estimated)), false_alarm_rate, odd, ordinary)
    # The share of calibration weight at or below each score; the missing 1 / (groups + 1) is the new image's own.
    enough = np.flatnonzero(np.cumsum(weights) >= 1.0 - false_alarm_rate - TOLERANCE)
    if len(enough):
        return _Decision(float(scores[enough[0]]), false_alarm_rate, odd)
    return _Decision(float(scores[-1]), 1.0 / (groups + 1), odd)


def _independent(groups: int, weights: NDArray[np.float64], ordinary: int) -> int:
    """How many independent images the lowest scores stand for, `ordinary` of them."""
    return max(1, round(groups * float(weights[:ordinary].sum() / weights.sum())))


def _sorted_and_weighted(
    scores: NDArray[np.float32], groups: Sequence[Hashable]
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    """Scores in ascending order, the weight of each in the p-value, and how many groups there are."""
    if len(scores) == 0:
        raise FolderError("calibration needs at least one good image that the detector has not seen, got none")
    if len(groups) != len(scores):
        raise ValueError(f"calibration needs one group label a score, got {len(groups)} for {len(scores)} scores")
    scores = np.asarray(scores, dtype=np.float32)
    if not np.isfinite(scores).all():
        raise ValueError("calibration needs finite scores, got some that are not")
    _, membership, sizes = np.unique(_codes(groups), return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    weights = 1.0 / ((len(sizes) + 1) * sizes[membership][order].astype(np.float64))
    return scores[order], weights, len(sizes)


def _codes(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    """Integers that are equal where the labels are."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.int64)
