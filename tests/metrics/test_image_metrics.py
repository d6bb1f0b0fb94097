from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binomtest, norm
from sklearn import metrics

from onlygood.errors import SettingError
from onlygood.metrics.costs import cheapest_operating_point, cost_per_thousand
from onlygood.metrics.image import (
    Curve,
    average_precision,
    exact_proportion,
    f1_max,
    image_auroc,
    precision_recall_curve,
    roc_curve,
)

# Few different scores, so that ties are frequent, and at least one image of each kind.
IMAGES = st.tuples(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.lists(st.integers(-3, 3), min_size=1, max_size=12)
)


def arrays(images: tuple[list[int], list[int]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores of good, then of anomalous images; and the labels."""
    good, anomalous = images
    return np.array([*good, *anomalous], dtype=np.float64), np.repeat([False, True], [len(good), len(anomalous)])


def placement_values(
    good: NDArray[np.float64], anomalous: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """DeLong's theta, V10 and V01 by their definition: psi of every pair."""
    psi = (anomalous[:, None] > good[None, :]) + 0.5 * (anomalous[:, None] == good[None, :])
    return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)


def sample_variance(values: NDArray[np.float64]) -> float:
    return sum((value - sum(values) / len(values)) ** 2 for value in values) / (len(values) - 1)


@pytest.mark.parametrize("n", [1, 2, 10, 59, 1000, 100_000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_none_or_all_of_n_have_the_closed_form(n: int, confidence: float) -> None:
    none, every = exact_proportion(0, n, confidence=confidence), exact_proportion(n, n, confidence=confidence)
    high = 1 - ((1 - confidence) / 2) ** (1 / n)
    assert (none.value, none.low, none.high) == (0.0, 0.0, pytest.approx(high, rel=1e-9))
    assert (every.value, every.low, every.high) == (1.0, pytest.approx(1 - high, rel=1e-9), 1.0)


@pytest.mark.parametrize(("events", "trials"), [(1, 2), (3, 7), (1, 5000), (4999, 5000), (17, 334), (250, 500)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_interval_of_a_share_is_the_exact_one(events: int, trials: int, confidence: float) -> None:
    share = exact_proportion(events, trials, confidence=confidence)
    expected = binomtest(events, trials).proportion_ci(confidence, method="exact")
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert share.value == events / trials


def test_the_interval_of_a_share_holds_the_true_share_at_least_as_often_as_guaranteed() -> None:
    # Exactly, not by simulation: the binomial weight of the counts whose interval holds the share.
    trials = 40
    shares = [exact_proportion(events, trials, confidence=0.9) for events in range(trials + 1)]
    for true in (0.003, 0.02, 0.1, 0.37, 0.5, 0.8):
        held = sum(
            math.comb(trials, each.events) * true**each.events * (1 - true) ** (trials - each.events)
            for each in shares
            if each.low <= true <= each.high
        )
        assert 0.9 <= held <= 1.0 + 1e-12, true


@settings(deadline=None)
@given(IMAGES)
def test_areas_and_average_precision_are_those_of_scikit_learn(images: tuple[list[int], list[int]]) -> None:
    scores, labels = arrays(images)
    assert image_auroc(scores, labels).value == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(
        metrics.average_precision_score(labels, scores), abs=1e-12
    )


@settings(deadline=None)
@given(IMAGES)
def test_the_interval_of_an_area_is_delongs_on_the_logit_scale(images: tuple[list[int], list[int]]) -> None:
    scores, labels = arrays(images)
    good, anomalous = scores[~labels], scores[labels]
    area = image_auroc(scores, labels, confidence=0.9)
    value, of_anomalous, of_good = placement_values(good, anomalous)
    assert area.value == pytest.approx(value, abs=1e-12)
    assert 0.0 <= area.low <= area.value <= area.high <= 1.0
    if min(len(good), len(anomalous)) < 2 or value in (0.0, 1.0):
        return
    variance = sample_variance(of_anomalous) / len(anomalous) + sample_variance(of_good) / len(good)
    if variance < 1e-12:
        return
    half = norm.ppf(0.95) * math.sqrt(variance) / (value * (1 - value))
    for end, expected in ((area.low, -half), (area.high, half)):
        assert end == pytest.approx(1 / (1 + (1 - value) / value * math.exp(-expected)), abs=1e-9)


def test_delongs_interval_of_a_case_worked_by_hand() -> None:
    # Good 1, 3; anomalous 2, 4: theta = 3/4, V10 = (1/2, 1), V01 = (1, 1/2), variance 2 * (1/8) / 2 = 1/8.
    area = image_auroc([1, 3, 2, 4], [0, 0, 1, 1], confidence=0.95)
    half = 1.959963984540054 * math.sqrt(1 / 8) / (3 / 16)
    assert area.value == 0.75
    assert area.low == pytest.approx(3 / (3 + math.exp(half)), rel=1e-12)
    assert area.high == pytest.approx(3 / (3 + math.exp(-half)), rel=1e-12)


@pytest.mark.parametrize(("good", "anomalous"), [(1, 1), (4, 9), (9, 4), (300, 2)])
def test_of_perfect_separation_the_lower_end_is_that_of_as_many_independent_pairs(good: int, anomalous: int) -> None:
    pairs = min(good, anomalous)
    scores, labels = np.arange(good + anomalous), np.repeat([0, 1], [good, anomalous])
    area = image_auroc(scores, labels)
    assert (area.value, area.low, area.high) == (1.0, pytest.approx(0.025 ** (1 / pairs)), 1.0)
    assert area.low == pytest.approx(exact_proportion(pairs, pairs).low, rel=1e-9)
    mirrored = image_auroc(-scores, labels)
    assert (mirrored.value, mirrored.low, mirrored.high) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / pairs)))


def test_where_delong_has_no_variance_the_interval_is_hoeffdings() -> None:
    equal = image_auroc(np.zeros(300), np.arange(300) >= 200)
    half = math.sqrt(math.log(2 / 0.05) / (2 * 100))
    assert (equal.value, equal.low, equal.high) == (0.5, pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    one_anomalous = image_auroc([0, 1, 2, 3, 2.5], [0, 0, 0, 0, 1])
    assert (one_anomalous.value, one_anomalous.low, one_anomalous.high) == (0.75, 0.0, 1.0)


@pytest.mark.parametrize(("good", "anomalous", "shift"), [(60, 40, 1.0), (40, 100, 2.0), (30, 30, 0.0)])
def test_the_interval_of_an_area_holds_the_true_area_about_as_often_as_it_says(
    good: int, anomalous: int, shift: float
) -> None:
    # Normal scores a shift apart: the true area is Phi(shift / sqrt 2). 600 draws: one standard error is 0.009.
    true = float(ndtr(shift / math.sqrt(2)))
    rng = np.random.default_rng(7)
    labels = np.repeat([False, True], [good, anomalous])
    held = 0
    for _ in range(600):
        area = image_auroc(rng.normal(size=good + anomalous) + shift * labels, labels, confidence=0.95)
        held += area.low <= true <= area.high
    assert 0.92 <= held / 600 <= 0.985


def test_an_interval_of_higher_confidence_holds_one_of_lower() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(50) % 3 == 0
    scores = rng.normal(size=50) + labels
    wide, narrow = image_auroc(scores, labels, confidence=0.99), image_auroc(scores, labels, confidence=0.8)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@settings(deadline=None)
@given(IMAGES)
def test_f1_max_is_the_best_of_all_thresholds_and_the_highest_of_equals(images: tuple[list[int], list[int]]) -> None:
    scores, labels = arrays(images)
    best = f1_max(scores, labels)
    f1 = {t: metrics.f1_score(labels, scores >= t, zero_division=0) for t in set(scores.tolist())}
    assert best.value == pytest.approx(max(f1.values()), abs=1e-12)
    assert best.threshold == max(t for t, value in f1.items() if value >= max(f1.values()) - 1e-12)
    called = scores >= best.threshold
    assert best.precision == pytest.approx(labels[called].mean())
    assert best.recall == pytest.approx(called[labels].mean())


def check_points(curve: Curve, scores: NDArray[np.float64], labels: NDArray[np.bool_], *, is_roc: bool) -> None:
    assert len(curve.x) == len(curve.y) == len(curve.thresholds)
    for x, y, threshold in zip(curve.x, curve.y, curve.thresholds, strict=True):
        called = scores >= threshold
        recall = called[labels].mean()
        precision = labels[called].mean() if called.any() else 1.0
        expected = (called[~labels].mean(), recall) if is_roc else (recall, precision)
        assert (x, y) == pytest.approx(expected)


@settings(deadline=None)
@given(IMAGES)
def test_each_point_of_a_curve_is_what_its_threshold_gives(images: tuple[list[int], list[int]]) -> None:
    scores, labels = arrays(images)
    roc, precision_recall = roc_curve(scores, labels), precision_recall_curve(scores, labels)
    check_points(roc, scores, labels, is_roc=True)
    check_points(precision_recall, scores, labels, is_roc=False)
    assert (roc.thresholds[0], roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (math.inf, 0, 0, 1, 1)
    assert (precision_recall.thresholds[-1], precision_recall.x[0], precision_recall.x[-1]) == (math.inf, 1, 0)
    area = np.sum(np.diff(roc.x) * (roc.y[1:] + roc.y[:-1])) / 2
    assert area == pytest.approx(image_auroc(scores, labels).value, abs=1e-12)


@settings(deadline=None)
@given(
    images=IMAGES,
    cost_false_alarm=st.sampled_from([0.0, 0.1, 1.0, 7.0, 1e4]),
    cost_miss=st.sampled_from([0.0, 0.3, 1.0, 50.0]),
    anomaly_share=st.sampled_from([1e-6, 0.01, 0.5, 0.9]),
)
def test_the_cheapest_point_is_the_best_of_all_cuts(
    images: tuple[list[int], list[int]], cost_false_alarm: float, cost_miss: float, anomaly_share: float
) -> None:
    scores, labels = arrays(images)
    costs = {"cost_false_alarm": cost_false_alarm, "cost_miss": cost_miss, "anomaly_share": anomaly_share}
    point = cheapest_operating_point(scores, labels, **costs)
    called = scores >= point.threshold
    assert point.threshold not in scores
    assert point.false_alarm_rate == pytest.approx(called[~labels].mean(), abs=1e-12)
    assert point.miss_rate == pytest.approx(1 - called[labels].mean(), abs=1e-12)
    assert point.cost_per_thousand == cost_per_thousand(point.false_alarm_rate, point.miss_rate, **costs)
    different = sorted(set(scores.tolist()))
    cuts = [-math.inf, *[(low + high) / 2 for low, high in pairwise(different)], math.inf]
    found = []
    for cut in cuts:
        alarms, missed = (scores >= cut)[~labels].mean(), (scores < cut)[labels].mean()
        cost = 1000 * ((1 - anomaly_share) * alarms * cost_false_alarm + anomaly_share * missed * cost_miss)
        found.append((cost, alarms, missed, cut))
    least = min(found)[0]
    equals = [(alarms, missed, cut) for cost, alarms, missed, cut in found if cost <= least * (1 + 1e-12)]
    assert point.cost_per_thousand == pytest.approx(least, rel=1e-9, abs=1e-12)
    assert (point.false_alarm_rate, point.miss_rate, point.threshold) == pytest.approx(min(equals), abs=1e-12)


def test_the_cheapest_point_of_a_case_worked_by_hand() -> None:
    # Cutting between 3 and 4 misses one of two; between 1 and 2 it alarms for one of two and misses none.
    scores, labels = [1, 3, 2, 4], [0, 0, 1, 1]
    miss_is_dear = cheapest_operating_point(scores, labels, cost_false_alarm=1, cost_miss=10, anomaly_share=0.5)
    assert (miss_is_dear.threshold, miss_is_dear.false_alarm_rate, miss_is_dear.miss_rate) == (1.5, 0.5, 0.0)
    assert miss_is_dear.cost_per_thousand == 250
    alarm_is_dear = cheapest_operating_point(scores, labels, cost_false_alarm=10, cost_miss=1, anomaly_share=0.5)
    assert (alarm_is_dear.threshold, alarm_is_dear.cost_per_thousand) == (3.5, 250)


def test_the_cheapest_point_may_call_nothing_or_everything_anomalous() -> None:
    scores, labels = [2.0, 1.0], [0, 1]
    nothing = cheapest_operating_point(scores, labels, cost_false_alarm=1, cost_miss=1, anomaly_share=0.1)
    assert (nothing.threshold, nothing.false_alarm_rate, nothing.miss_rate) == (math.inf, 0.0, 1.0)
    assert nothing.cost_per_thousand == pytest.approx(100)
    everything = cheapest_operating_point(scores, labels, cost_false_alarm=1, cost_miss=1, anomaly_share=0.9)
    assert (everything.threshold, everything.false_alarm_rate, everything.miss_rate) == (-math.inf, 1.0, 0.0)
    assert everything.cost_per_thousand == pytest.approx(100)


def test_a_cut_between_neighbouring_floats_calls_the_upper_one_anomalous() -> None:
    lower = 1.0
    upper = np.nextafter(lower, 2.0)
    point = cheapest_operating_point([lower, upper], [0, 1], cost_false_alarm=1, cost_miss=1, anomaly_share=0.5)
    assert lower < point.threshold <= upper
    assert (point.false_alarm_rate, point.miss_rate, point.cost_per_thousand) == (0.0, 0.0, 0.0)
    huge = np.finfo(np.float64).max
    point = cheapest_operating_point([huge / 2, huge], [0, 1], cost_false_alarm=1, cost_miss=1, anomaly_share=0.5)
    assert point.threshold == 0.75 * huge


def test_what_comes_back_goes_into_json() -> None:
    scores, labels = [2.0, 1.0], [0, 1]
    point = cheapest_operating_point(scores, labels, cost_false_alarm=1, cost_miss=1, anomaly_share=0.1)
    told = [
        each.to_dict() for each in (exact_proportion(1, 4), image_auroc(scores, labels), f1_max(scores, labels), point)
    ]
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told[0]["value"], told[0]["events"], told[0]["trials"]) == (0.25, 1, 4)
    assert told[3]["threshold"] == "inf"


@pytest.mark.parametrize("metric", [image_auroc, average_precision, f1_max, roc_curve, precision_recall_curve])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (
            [1.0, 2.0],
            [1, 1],
            "this metric needs images of both kinds, got 0 good and 2 anomalous ones: add the others",
        ),
        (
            [1.0, 2.0],
            [0, 0],
            "this metric needs images of both kinds, got 2 good and 0 anomalous ones: add the others",
        ),
        ([], [], "this metric needs images of both kinds, got 0 good and 0 anomalous ones: add the others"),
        ([1.0, math.nan], [0, 1], "metrics need finite scores, got some that are not"),
        ([1.0, math.inf], [0, 1], "metrics need finite scores, got some that are not"),
        ([1.0, 2.0], [0, 2], "labels must be 0 (good) or 1 (anomalous), got others"),
        ([1.0, 2.0], [-1, 1], "labels must be 0 (good) or 1 (anomalous), got others"),
        (
            [1.0, 2.0],
            [1],
            "metrics need as many labels as scores, each in one dimension, got shapes [1] and [2]",
        ),
        (
            [[1.0, 2.0]],
            [[0, 1]],
            "metrics need as many labels as scores, each in one dimension, got shapes [1, 2] and [1, 2]",
        ),
    ],
)
def test_scores_and_labels_that_cannot_be_used_are_refused(metric: Any, scores: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        metric(scores, labels)
    assert str(caught.value) == message


@pytest.mark.parametrize(("events", "trials"), [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(events: int, trials: int) -> None:
    with pytest.raises(ValueError) as caught:
        exact_proportion(events, trials)
    assert str(caught.value) == (
        f"a share needs at least 1 trial and from 0 to as many events, got {events} events in {trials} trials"
    )


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan, "0.95"])
def test_a_confidence_outside_0_and_1_is_refused(confidence: Any) -> None:
    message = f"the confidence must be between 0 and 1, both excluded, got {confidence!r}"
    for call in (
        lambda: exact_proportion(1, 2, confidence=confidence),
        lambda: image_auroc([1], [1], confidence=confidence),
    ):
        with pytest.raises(SettingError) as caught:
            call()
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cost_false_alarm": -1.0}, "cost_false_alarm must be a number of at least 0, got -1.0"),
        ({"cost_miss": math.inf}, "cost_miss must be a number of at least 0, got inf"),
        ({"cost_miss": math.nan}, "cost_miss must be a number of at least 0, got nan"),
        ({"anomaly_share": 0.0}, "anomaly_share must be between 0 and 1, both excluded, got 0.0"),
        ({"anomaly_share": 1.0}, "anomaly_share must be between 0 and 1, both excluded, got 1.0"),
        ({"anomaly_share": math.nan}, "anomaly_share must be between 0 and 1, both excluded, got nan"),
    ],
)
def test_costs_and_shares_that_cannot_be_used_are_refused(changed: dict[str, float], message: str) -> None:
    costs = {"cost_false_alarm": 1.0, "cost_miss": 10.0, "anomaly_share": 0.01, **changed}
    for call in (
        lambda: cheapest_operating_point([1, 2], [0, 1], **costs),
        lambda: cost_per_thousand(0.0, 0.0, **costs),
    ):
        with pytest.raises(SettingError) as caught:
            call()
        assert str(caught.value) == message


def test_rates_outside_0_and_1_are_refused() -> None:
    costs = {"cost_false_alarm": 1.0, "cost_miss": 10.0, "anomaly_share": 0.01}
    with pytest.raises(ValueError, match=r"the false-alarm rate must be from 0 to 1, got 1\.5"):
        cost_per_thousand(1.5, 0.0, **costs)
    with pytest.raises(ValueError, match=r"the miss rate must be from 0 to 1, got -0\.5"):
        cost_per_thousand(0.0, -0.5, **costs)
