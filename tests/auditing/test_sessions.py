"""Sessions: the rank test against SciPy's, the correction against many sets in which no session differs."""

import numpy as np
import pytest
from scipy.stats import binom, mannwhitneyu

from onlygood.auditing import sessions
from onlygood.auditing.sessions import LEVEL, session_differences


def labels(*counts: int) -> list[str]:
    return [f"day {number}" for number, count in enumerate(counts) for _ in range(count)]


@pytest.mark.parametrize("seed", range(8))
def test_the_rank_test_is_that_of_scipy_also_with_ties(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LEVEL", 1.0)
    monkeypatch.setattr(sessions, "LEAST_PROBABILITY", 0.5)
    random = np.random.default_rng(seed)
    counts = random.integers(5, 30, 2).tolist()
    values = random.normal(size=sum(counts))
    if seed % 2:
        values = np.rint(values)
    found, few = session_differences({"level": values}, labels(*counts), list(range(sum(counts))))
    assert few == []
    first = next(each for each in found if each.session == "day 0")
    own, others = values[: counts[0]], values[counts[0] :]
    expected = mannwhitneyu(own, others, method="asymptotic", use_continuity=True)
    assert first.probability == pytest.approx(expected.statistic / (len(own) * len(others)))
    # Holm: two tests, of each session against the other, with one p-value.
    assert first.p_value == pytest.approx(min(1.0, 2 * expected.pvalue))
    assert (first.median, first.others, first.images) == (np.median(own), np.median(others), len(own))


def test_where_no_session_differs_hardly_ever_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LEAST_PROBABILITY", 0.5)  # as certain as ever, however small
    random = np.random.default_rng(0)
    sets = 400
    wrong = 0
    for _ in range(sets):
        measures = {f"measure {number}": random.normal(size=70) for number in range(4)}
        found, _ = session_differences(measures, labels(7, 13, 20, 30), list(range(70)))
        wrong += bool(found)
    assert wrong <= binom.ppf(0.999, sets, LEVEL)


def test_a_session_that_differs_is_named_with_what_it_differs_in_and_how_strongly() -> None:
    random = np.random.default_rng(1)
    sessions_of = labels(20, 20, 20)
    brightness, other = random.normal(size=60), random.normal(size=60)
    brightness[20:40] += 3
    found, few = session_differences({"brightness": brightness, "other": other}, sessions_of, list(range(60)))
    assert few == []
    assert found[0].session == "day 1" and found[0].measure == "brightness"
    assert found[0].probability > 0.95 and found[0].p_value < 1e-6
    assert {each.measure for each in found} == {"brightness"}


def test_a_certain_difference_that_is_small_is_not_named() -> None:
    random = np.random.default_rng(2)
    values = random.normal(size=4000)
    values[:2000] += 0.3
    found, _ = session_differences({"level": values}, labels(2000, 2000), list(range(4000)))
    assert found == []


def test_many_images_of_one_thing_are_one_image() -> None:
    values = np.concatenate([np.full(100, 5.0), np.random.default_rng(3).normal(size=50)])
    sessions_of = labels(100, 50)
    found, few = session_differences({"level": values}, sessions_of, list(range(150)))
    assert [each.session for each in found] == ["day 0", "day 1"] and few == []
    found, few = session_differences({"level": values}, sessions_of, [0] * 100 + list(range(1, 51)))
    assert found == [] and few == ["day 0", "day 1"]  # the second has nothing to be compared with


def test_values_that_are_not_known_are_left_out() -> None:
    values = np.concatenate([np.full(20, 1.0), np.full(20, 2.0)])
    values[4:20] = np.nan
    found, few = session_differences({"level": values}, labels(20, 20), list(range(40)))
    assert found == [] and few == []  # four of the first session are too few
