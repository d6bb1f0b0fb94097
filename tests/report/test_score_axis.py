import numpy as np
import pytest

from onlygood.report.score_axis import ScoreAxis
from textures import Array

SCORES = [
    np.array([0.0]),
    np.array([2.0]),
    np.array([-2.0]),
    np.zeros(5),
    np.full(4, 3.0),
    np.array([1e-12, -1e-12]),
    np.array([1e6, -1e6]),
    np.array([-1.0, -0.5, -0.8, 40.0]),
    np.concatenate([np.linspace(-1, 2, 30), [40.0]]),
    np.concatenate([np.linspace(-1, 1, 998), [1000.0, -500.0]]),
    np.concatenate([np.full(97, -0.5), [1000.0, 1000.0, -1000.0]]),
    np.random.default_rng(0).normal(-1, 0.4, 90),
]


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("bins", [24, 48])
def test_every_score_lies_in_a_bar_that_holds_it_and_no_bar_holds_images_of_both_verdicts(
    scores: Array, bins: int
) -> None:
    axis = ScoreAxis.around(scores)
    edges = axis.edges(bins)
    assert 0.0 in edges
    assert bins <= len(edges) - 1 <= bins + 2
    assert np.histogram(scores, bins=edges)[0].sum() == len(scores)
    np.testing.assert_allclose(np.diff(axis.forward(edges)), np.diff(axis.forward(edges))[0], rtol=1e-6)


@pytest.mark.parametrize("scores", SCORES)
def test_the_axis_holds_the_threshold_and_all_scores_in_their_order(scores: Array) -> None:
    axis = ScoreAxis.around(scores)
    assert axis.low < 0 < axis.high
    assert axis.low < scores.min() and scores.max() < axis.high
    some = np.linspace(axis.low, axis.high, 200)
    assert (np.diff(axis.forward(some)) > 0).all()
    np.testing.assert_allclose(axis.inverse(axis.forward(some)), some, rtol=1e-9, atol=1e-12)
    inside = some[(some >= axis.core_low) & (some <= axis.core_high)]
    np.testing.assert_array_equal(axis.forward(inside), inside)


def test_an_axis_without_outliers_is_even() -> None:
    for scores in (SCORES[0], SCORES[4], SCORES[6], SCORES[11]):
        axis = ScoreAxis.around(scores)
        assert axis.is_even and axis.stretched == []


def test_a_few_scores_far_away_do_not_squeeze_the_others() -> None:
    axis = ScoreAxis.around(SCORES[9])
    low, high = axis.forward([axis.low, axis.high])
    assert 2.0 / (high - low) > 0.6, "the share of the axis from -1 to 1, where all but two lie"
    assert [part[0] < 0 for part in axis.stretched] == [True, False]


@pytest.mark.parametrize("most", [6, 10])
def test_the_outermost_score_is_named_and_ticks_stand_apart(most: int) -> None:
    for scores, named in ((SCORES[7], {40.0}), (SCORES[8], {40.0}), (SCORES[9], {1000.0, -500.0})):
        axis = ScoreAxis.around(scores)
        ticks = axis.ticks(most)
        assert named | {0.0} <= set(ticks)
        low, high = axis.forward([axis.low, axis.high])
        assert np.diff(axis.forward(ticks)).min() > 0.05 * (high - low)
