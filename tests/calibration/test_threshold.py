from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.calibration.threshold import Calibration, calibrate
from onlygood.errors import FolderError, SettingError
from onlygood.rates import check_false_alarm_rate, images_needed

RATES = ("0.001", "0.005", "0.01", "0.02", "0.03", "0.05", "0.07", "0.1", "0.15", "0.2", "0.3", "0.5", "0.7", "0.99")


def rank(n: int, rate: str) -> int:
    """k = ceil((n + 1)(1 - alpha)), in rational numbers."""
    return math.ceil((n + 1) * (1 - Fraction(rate)))


def calibrate_each(scores: Any, rate: float) -> Calibration:
    """Every image its own group."""
    return calibrate(np.asarray(scores, dtype=np.float32), range(len(scores)), rate)


def exact_weights(groups: Sequence[Hashable]) -> list[Fraction]:
    sizes = Counter(groups)
    return [Fraction(1, (len(sizes) + 1) * sizes[group]) for group in groups]


def exact_threshold(scores: Sequence[float], groups: Sequence[Hashable], rate: Fraction) -> tuple[float, Fraction]:
    """Threshold and guaranteed rate by definition: the lowest score at or below which 1 - alpha of the weight lies."""
    weights = exact_weights(groups)
    for candidate in sorted(scores):
        below = sum(weight for score, weight in zip(scores, weights, strict=True) if score <= candidate)
        if below >= 1 - rate:
            return candidate, rate
    return max(scores), Fraction(1, len(set(groups)) + 1)


def exact_p_value(score: float, scores: Sequence[float], groups: Sequence[Hashable]) -> Fraction:
    own = Fraction(1, len(set(groups)) + 1)
    return own + sum(
        (weight for other, weight in zip(scores, exact_weights(groups), strict=True) if other >= score), Fraction(0)
    )


@pytest.mark.parametrize(
    ("n", "rate", "k"),
    [
        (19, 0.05, 19),  # 20 * (1 - 0.05) is exactly 19; in binary 19.000000000000004 on some roads
        (99, 0.01, 99),
        (999, 0.001, 999),
        (9, 0.1, 9),
        (99, 0.05, 95),
        (100, 0.05, 96),  # 95.95
        (39, 0.3, 28),  # 28 exactly
        (2, 0.5, 2),  # 1.5
    ],
)
def test_the_threshold_is_the_kth_smallest_score(n: int, rate: float, k: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1))
    calibration = calibrate_each(scores, rate)
    assert calibration.threshold == k
    assert calibration.stated_rate == calibration.requested_rate == rate
    assert calibration.stated_rate <= calibration.requested_rate


@pytest.mark.parametrize("rate", RATES)
def test_k_is_exact_for_every_number_of_images(rate: str) -> None:
    for n in [*range(1, 130), 199, 399, 999, 1000, 1999]:
        calibration = calibrate_each(np.arange(1, n + 1), float(rate))
        k = rank(n, rate)
        if k <= n:
            assert (calibration.threshold, calibration.stated_rate) == (k, float(rate)), n
        else:
            assert (calibration.threshold, calibration.stated_rate) == (n, 1 / (n + 1)), n
        assert (calibration.stated_rate <= calibration.requested_rate) == (k <= n), n


@pytest.mark.parametrize("rate", RATES)
def test_images_needed_is_the_fewest_that_can_guarantee_the_rate(rate: str) -> None:
    needed = images_needed(float(rate))
    assert rank(needed, rate) <= needed
    assert needed == 1 or rank(needed - 1, rate) > needed - 1


def test_one_image_in_n_plus_one_needs_n_images() -> None:
    # In binary, 1 / (1 / 49) is a little more than 49.
    assert [images_needed(1 / (n + 1)) for n in range(1, 2000)] == list(range(1, 2000))
    for n in range(1, 200):
        calibration = calibrate_each(np.arange(1, n + 1), 1 / (n + 1))
        assert (calibration.threshold, (calibration.stated_rate <= calibration.requested_rate)) == (n, True)


def test_too_few_images_guarantee_one_in_n_plus_one_at_the_largest_score() -> None:
    calibration = calibrate_each([3.0, 1.0, 2.0], 0.01)
    assert (calibration.threshold, calibration.stated_rate) == (3.0, 0.25)
    assert (calibration.requested_rate, (calibration.stated_rate <= calibration.requested_rate)) == (0.01, False)
    assert calibrate_each([5.0], 0.5).stated_rate <= calibrate_each([5.0], 0.5).requested_rate
    assert calibrate_each([5.0], 0.4).stated_rate == 0.5


# Weights: a 1/6 each, b 1/3; so the cumulative weight is 1/6 at 1, 1/2 at 2 and 2/3 at 4.
@pytest.mark.parametrize(("rate", "threshold", "guaranteed"), [(0.5, 2, 0.5), (0.4, 4, 0.4), (0.3, 4, 1 / 3)])
def test_groups_share_one_weight_each(rate: float, threshold: float, guaranteed: float) -> None:
    calibration = calibrate(np.array([4, 2, 1], dtype=np.float32), ["a", "b", "a"], rate)
    assert (calibration.threshold, calibration.stated_rate) == (threshold, guaranteed)
    assert calibration.groups == 2
    np.testing.assert_array_equal(calibration.scores, [1, 2, 4])
    np.testing.assert_allclose(calibration.weights, [1 / 6, 1 / 3, 1 / 6], rtol=1e-15)


def test_singleton_groups_of_any_labels_are_ordinary_calibration() -> None:
    scores = np.random.default_rng(1).normal(size=60).astype(np.float32)
    labels: list[Hashable] = [("lot", number) if number % 2 else f"image {number}" for number in range(60)]
    grouped, ordinary = calibrate(scores, labels, 0.05), calibrate_each(scores, 0.05)
    assert grouped.threshold == ordinary.threshold == np.sort(scores)[rank(60, "0.05") - 1]
    assert grouped.stated_rate == ordinary.stated_rate
    np.testing.assert_array_equal(grouped.weights, np.full(60, 1 / 61))


def test_copies_of_whole_groups_change_nothing() -> None:
    scores = np.random.default_rng(2).normal(size=30).astype(np.float32)
    once = calibrate_each(scores, 0.1)
    often = calibrate(np.repeat(scores, 7), np.repeat(np.arange(30), 7).tolist(), 0.1)
    assert (often.threshold, often.stated_rate, often.groups) == (once.threshold, once.stated_rate, 30)


@settings(deadline=None)
@given(
    images=st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 6)), min_size=1, max_size=40),
    per_mille=st.integers(1, 999),
)
def test_threshold_and_guarantee_are_those_of_the_definition(images: list[tuple[int, int]], per_mille: int) -> None:
    scores, groups = zip(*images, strict=True)
    calibration = calibrate(np.array(scores, dtype=np.float32), groups, per_mille / 1000)
    threshold, guaranteed = exact_threshold(scores, groups, Fraction(per_mille, 1000))
    assert calibration.threshold == threshold
    assert calibration.stated_rate == pytest.approx(float(guaranteed), rel=1e-15)


@settings(deadline=None)
@given(
    images=st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 6)), min_size=1, max_size=40),
    per_mille=st.integers(1, 999),
    score=st.integers(-10, 10).map(lambda value: value / 2),
)
def test_a_score_is_above_the_threshold_iff_its_p_value_is_at_most_the_guaranteed_rate(
    images: list[tuple[int, int]], per_mille: int, score: float
) -> None:
    scores, groups = zip(*images, strict=True)
    calibration = calibrate(np.array(scores, dtype=np.float32), groups, per_mille / 1000)
    guaranteed = (
        Fraction(per_mille, 1000)
        if (calibration.stated_rate <= calibration.requested_rate)
        else Fraction(1, calibration.groups + 1)
    )
    assert (score > calibration.threshold) == (exact_p_value(score, scores, groups) <= guaranteed)


def test_ties_at_the_threshold_are_inside() -> None:
    calibration = calibrate_each([1, 2, 2, 2, 2, 2, 2, 2, 2], 0.5)
    assert calibration.threshold == 2
    assert calibrate_each([7.0] * 50, 0.1).threshold == 7.0


def test_the_order_of_the_images_does_not_matter() -> None:
    random = np.random.default_rng(3)
    scores, groups = random.normal(size=80).astype(np.float32), random.integers(0, 20, size=80)
    first = calibrate(scores, groups.tolist(), 0.1)
    order = random.permutation(80)
    second = calibrate(scores[order], groups[order].tolist(), 0.1)
    assert (first.threshold, first.stated_rate) == (second.threshold, second.stated_rate)
    np.testing.assert_array_equal(first.scores, np.sort(scores))
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_weights_leave_one_share_for_the_new_image() -> None:
    groups = np.random.default_rng(4).integers(0, 12, size=100)
    count = len(set(groups.tolist()))
    weights = calibrate(np.zeros(100, dtype=np.float32), groups.tolist(), 0.1).weights
    assert weights.sum() == pytest.approx(count / (count + 1), rel=1e-12)
    assert weights.dtype == np.float64


@pytest.mark.parametrize(("n", "rate"), [(19, "0.05"), (30, "0.1"), (99, "0.05"), (57, "0.3")])
def test_the_false_alarm_rate_is_what_theory_says(n: int, rate: str) -> None:
    # Of uniform scores, the share above a threshold t is 1 - t, and its mean over resamples is 1 - k / (n + 1).
    random, resamples = np.random.default_rng(5), 2000
    alarms = np.array([1 - calibrate_each(random.random(n), float(rate)).threshold for _ in range(resamples)])
    alpha, expected = float(rate), 1 - rank(n, rate) / (n + 1)
    # Five standard deviations of the mean of draws from Beta(k, n + 1 - k).
    margin = 5 * math.sqrt(expected * (1 - expected) / (n + 2) / resamples)
    assert alarms.mean() == pytest.approx(expected, abs=margin)
    assert alpha - 1 / (n + 1) - margin <= alarms.mean() <= alpha + margin


def test_the_guarantee_holds_for_scores_that_are_exchangeable_but_not_independent() -> None:
    # Every resample has a lamp of its own, which shifts and stretches all of its scores.
    random, resamples, n, alpha = np.random.default_rng(6), 4000, 29, 0.1
    alarms = 0
    for _ in range(resamples):
        scores = random.normal() * 10 + random.exponential() * random.normal(size=n + 1)
        alarms += scores[-1] > calibrate_each(scores[:-1], alpha).threshold
    margin = 5 * math.sqrt(alpha * (1 - alpha) / resamples)
    assert alpha - 1 / (n + 1) - margin <= alarms / resamples <= alpha + margin


def test_groups_keep_the_guarantee_that_their_copies_would_break() -> None:
    # Nine parts, ten times each: there are nine independent scores, whose largest is exceeded by one in ten.
    random, resamples = np.random.default_rng(7), 2000
    grouped, ignored = [], []
    labels = np.repeat(np.arange(9), 10).tolist()
    for _ in range(resamples):
        scores = np.repeat(random.random(9), 10).astype(np.float32)
        calibration, naive = calibrate(scores, labels, 0.05), calibrate_each(scores, 0.05)
        assert (calibration.stated_rate, naive.stated_rate) == (0.1, 0.05)
        grouped.append(1 - calibration.threshold)
        ignored.append(1 - naive.threshold)
    margin = 5 * math.sqrt(0.1 * 0.9 / 11 / resamples)
    assert np.mean(grouped) == pytest.approx(0.1, abs=margin)
    assert np.mean(ignored) > 0.05 + margin


def test_the_guarantee_for_a_new_group_holds_where_groups_differ_in_size_and_level() -> None:
    random, resamples, alpha = np.random.default_rng(8), 2000, 0.1
    alarms = 0
    for _ in range(resamples):
        sizes = random.integers(1, 6, size=20)
        levels = random.normal(size=20) + 0.2 * sizes
        scores = np.repeat(levels, sizes) + 0.3 * random.normal(size=sizes.sum())
        new = random.normal() + 0.2 * random.integers(1, 6) + 0.3 * random.normal()
        calibration = calibrate(scores.astype(np.float32), np.repeat(np.arange(20), sizes).tolist(), alpha)
        alarms += new > calibration.threshold
    margin = 5 * math.sqrt(alpha * (1 - alpha) / resamples)
    # Lower bound: an image of each of 20 groups weighs at most 1 / 21.
    assert alpha - 1 / 21 - margin <= alarms / resamples <= alpha + margin


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan, math.inf, "0.1", None, True])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(SettingError, match=r"must be between 0 and 1, both excluded .*, got"):
        check_false_alarm_rate(rate)
    with pytest.raises(SettingError, match="false-alarm rate"):
        calibrate(np.zeros(3, dtype=np.float32), range(3), rate)


def test_scores_that_cannot_calibrate_are_refused() -> None:
    with pytest.raises(FolderError, match="at least one good image"):
        calibrate(np.zeros(0, dtype=np.float32), [], 0.1)
    with pytest.raises(ValueError, match="one group label a score, got 2 for 3 scores"):
        calibrate(np.zeros(3, dtype=np.float32), [0, 1], 0.1)
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="finite"):
            calibrate_each([0.0, value], 0.1)
