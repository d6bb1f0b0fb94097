from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from onlygood.calibration.tail import ODD_EXPECTED, Tail, count_odd, fit_tail, rate_interval
from onlygood.calibration.threshold import ENOUGH_ABOVE, calibrate, choose_rule


def ones(n: int) -> NDArray[np.float64]:
    return np.ones(n)


def sorted32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.sort(values).astype(np.float32)


def test_the_tail_of_five_scores_by_hand() -> None:
    # The median is 3; above it lie 4 and 9, two fifths of all, by 1 and 6, so by 3.5 in the mean.
    tail = fit_tail(np.float32([1, 2, 3, 4, 9]), ones(5), 5)
    assert tail == Tail(begin=3.0, share=pytest.approx(0.4), count=pytest.approx(2.0), mean_excess=pytest.approx(3.5))
    # 0.1 is a quarter of 0.4: (1 + y / 7) ** -2 = 1 / 4 at y = 7.
    assert tail.threshold(0.1) == pytest.approx(10.0)
    assert tail.rate(10.0) == pytest.approx(0.1)
    assert tail.rate(3.0) == pytest.approx(0.4)


@pytest.mark.parametrize("rate", [0.3, 0.05, 0.001])
def test_threshold_and_rate_are_inverse(rate: float) -> None:
    tail = fit_tail(sorted32(np.random.default_rng(0).gamma(2.0, size=40)), ones(40), 40)
    assert tail.rate(tail.threshold(rate)) == pytest.approx(rate)


def test_weights_count_scores_as_copies_would() -> None:
    scores = sorted32(np.random.default_rng(1).exponential(size=9))
    copied = np.repeat(scores, 3)
    whole, third = fit_tail(copied, ones(27), 9), fit_tail(scores, ones(9), 9)
    assert whole.begin == third.begin
    np.testing.assert_allclose(
        [whole.share, whole.count, whole.mean_excess], [third.share, third.count, third.mean_excess], rtol=1e-9
    )


@pytest.mark.parametrize("n", [10, 20, 60])
@pytest.mark.parametrize("rate", [0.1, 0.05, 0.01])
def test_an_exponential_tail_has_the_rate_that_is_estimated(n: int, rate: float) -> None:
    # By theory, exponential scores exceed a level t with the probability exp(-t); its mean over samples is the rate.
    random = np.random.default_rng(n)
    found = []
    for _ in range(2000):
        scores = sorted32(random.exponential(size=n))
        tail = fit_tail(scores, ones(n), n)
        found.append(np.exp(-tail.threshold(rate)))
    error = np.std(found) / np.sqrt(len(found))
    # Where the tail begins is estimated, too, which the predictive distribution does not count.
    assert abs(np.mean(found) - rate) <= 4 * error + 0.15 * rate


def test_scores_without_spread_give_their_own_level() -> None:
    tail = fit_tail(np.float32([2, 2, 2, 2]), ones(4), 4)
    assert (tail.threshold(0.01), tail.rate(2.0), tail.rate(2.5)) == (2.0, 0.5, 0.0)


@pytest.mark.parametrize("odd", [0, 1, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_scores_far_beyond_the_others_stand_apart_even_if_they_hide_one_another(odd: int, seed: int) -> None:
    ordinary = np.random.default_rng(seed).uniform(1.0, 2.0, size=60)
    scores = sorted32(np.append(ordinary, [10.0 + number / 10 for number in range(odd)]))
    assert count_odd(scores, ones(len(scores)), len(scores)) == odd


def test_more_than_a_tenth_are_a_kind_of_their_own() -> None:
    scores = sorted32(np.append(np.random.default_rng(0).uniform(1, 2, size=50), np.full(10, 30.0)))
    assert count_odd(scores, ones(60), 60) == 0


def test_few_scores_have_no_tail_to_stand_apart_from() -> None:
    assert count_odd(np.float32([1, 1.1, 1.2, 1.3, 1.4, 1.5, 100]), ones(7), 7) == 0


def test_ordinary_exponential_scores_rarely_stand_apart() -> None:
    random = np.random.default_rng(5)
    found = sum(count_odd(sorted32(random.exponential(size=50)), ones(50), 50) > 0 for _ in range(400))
    # Each look has a chance of about ODD_EXPECTED, and there are five of them, which mostly agree.
    assert found <= binom.ppf(0.999, 400, 3 * ODD_EXPECTED)


def test_a_group_of_odd_images_counts_as_one() -> None:
    # Six images of one part among twenty parts: a twentieth of the parts, however many images.
    scores = sorted32(np.append(np.random.default_rng(0).uniform(1, 2, size=20), np.full(6, 40.0)))
    weights = np.append(ones(20), np.full(6, 1 / 6))
    assert count_odd(scores, weights, 21) == 6


def test_the_interval_holds_the_true_rate_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    held = 0
    for trial in range(120):
        scores = sorted32(random.exponential(size=60))
        threshold = fit_tail(scores, ones(60), 60).threshold(0.05)
        low, high = rate_interval(scores, ones(60), 60, threshold, seed=trial)
        held += low <= np.exp(-threshold) <= high
    # 90 % by its word; percentile intervals of 60 scores hold somewhat less.
    assert held >= binom.ppf(0.001, 120, 0.8)


def test_an_estimate_sets_odd_scores_aside_and_a_guarantee_does_not() -> None:
    ordinary = np.random.default_rng(3).uniform(1, 2, size=40)
    scores = np.append(ordinary, [25.0]).astype(np.float32)
    estimated = calibrate(scores, range(41), 0.05, rule="estimated")
    assert (estimated.odd, estimated.rule, estimated.is_guaranteed, estimated.stated_rate) == (
        1,
        "estimated",
        False,
        0.05,
    )
    without = calibrate(ordinary.astype(np.float32), range(40), 0.05, rule="estimated")
    assert estimated.threshold == pytest.approx(without.threshold, rel=1e-6)
    guaranteed = calibrate(scores, range(41), 0.02, rule="conformal")
    assert (guaranteed.threshold, guaranteed.odd, guaranteed.interval) == (25.0, 1, None)


def test_an_estimate_at_a_rate_below_what_the_number_can_guarantee_is_above_all_ordinary_scores() -> None:
    scores = np.random.default_rng(4).normal(10, 1, size=20).astype(np.float32)
    found = calibrate(scores, range(20), 0.001, rule="estimated")
    assert found.threshold > scores.max()
    assert found.interval is not None and found.interval[0] <= found.interval[1] < 0.05


def test_a_rate_of_a_half_and_more_is_the_order_statistics() -> None:
    scores = np.arange(1, 12, dtype=np.float32)
    one, other = (calibrate(scores, range(11), 0.5, rule=rule) for rule in ("conformal", "estimated"))
    assert one.threshold == other.threshold
    assert other.rule == "conformal"


def test_constant_scores_alarm_nobody_at_that_score() -> None:
    found = calibrate(np.full(10, 3.0, dtype=np.float32), range(10), 0.05, rule="estimated")
    assert found.threshold == 3.0


@pytest.mark.parametrize(
    ("groups", "rate", "is_exact", "rule"),
    [
        (199, 0.05, False, "estimated"),
        (200, 0.05, False, "conformal"),
        (19, 0.05, True, "conformal"),
        (18, 0.05, True, "estimated"),
        (99, 0.01, True, "conformal"),
        (999, 0.01, False, "estimated"),
        (1000, 0.01, False, "conformal"),
        (2, 0.01, True, "conformal"),
        (3, 0.01, True, "estimated"),
    ],
)
def test_the_rule_goes_by_the_number_of_independent_images(groups: int, rate: float, is_exact: bool, rule: str) -> None:
    assert ENOUGH_ABOVE == 10
    assert choose_rule(groups, rate, is_exact=is_exact) == rule
