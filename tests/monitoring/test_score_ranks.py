"""P-values of one score after another: uniform and independent as long as scores are exchangeable."""

import itertools
import math

import numpy as np
import pytest

from onlygood.monitoring.score_ranks import MOST_BINS, ScoreRanks, uniform_draw


def p_values_of(scores: list[float], draws: list[float]) -> list[float]:
    ranks, found = ScoreRanks(0.0, 1.0), []
    for score, draw in zip(scores, draws, strict=True):
        found.append(ranks.p_value(score, draw))
        ranks.add(score)
    return found


def test_p_values_are_ranks_among_all_scores_before() -> None:
    # So far apart that no two scores share a bin.
    scores = (np.random.default_rng(0).permutation(60) / 20 - 1.5).tolist()
    draws = np.random.default_rng(1).random(60).tolist()
    expected = [
        (sum(each > score for each in scores[:at]) + draw) / (at + 1)
        for at, (score, draw) in enumerate(zip(scores, draws, strict=True))
    ]
    assert p_values_of(scores, draws) == pytest.approx(expected)


def test_scores_of_one_bin_are_ties() -> None:
    ranks = ScoreRanks(0.0, 1.0)
    for score in (1.0, 1.0001, 2.0, 0.5):
        ranks.add(score)
    assert ranks.p_value(1.00005, 0.25) == pytest.approx((1 + 0.25 * 3) / 5)


def test_each_order_of_exchangeable_scores_gives_other_ranks_and_all_ranks_there_are() -> None:
    """So ranks are uniform and independent: of the 120 orders of 5 scores, each possible row of ranks comes of one."""
    rows = set()
    for order in itertools.permutations([0.1, 0.5, 1.0, 2.0, 7.0]):
        found = p_values_of(list(order), [0.5] * 5)
        rows.add(tuple(int(p_value * (at + 1)) for at, p_value in enumerate(found)))
    assert rows == set(itertools.product(range(1), range(2), range(3), range(4), range(5)))


def test_weights_count_as_so_much_of_a_score() -> None:
    ranks = ScoreRanks(0.0, 1.0)
    ranks.add(1.0, 0.5)
    ranks.add(3.0, 0.5)
    ranks.add(2.0)
    assert ranks.p_value(1.5, 0.4) == pytest.approx((1.5 + 0.4) / 3)


@pytest.mark.parametrize("score", [1e300, -1e300, 3.4e38])
def test_however_far_a_score_is_it_has_a_bin(score: float) -> None:
    ranks = ScoreRanks(0.0, 1e-40)
    ranks.add(score)
    assert abs(ranks.to_pairs()[0][0]) <= MOST_BINS
    assert math.isfinite(ranks.standardized(score) ** 2)


def test_what_was_kept_goes_on_as_before() -> None:
    ranks, again = ScoreRanks(0.3, 0.7), ScoreRanks(0.3, 0.7)
    for score in np.random.default_rng(2).normal(size=40):
        ranks.add(float(score), 0.25)
    again.add_pairs(ranks.to_pairs())
    assert again.p_value(0.1, 0.3) == pytest.approx(ranks.p_value(0.1, 0.3))


def test_draws_are_uniform_and_follow_from_seed_and_number() -> None:
    draws = np.array([uniform_draw(0, number) for number in range(4000)])
    # The first is none that a generator gives that begins with 0.
    assert 0.01 < draws[0] < 0.99
    assert (draws > 0).all() and (draws < 1).all()
    counts, _ = np.histogram(draws, bins=10, range=(0, 1))
    # 400 expected of each tenth, with a deviation of 19.
    assert (abs(counts - 400) < 5 * 19).all()
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.08
    assert uniform_draw(0, 7) == draws[7] != uniform_draw(1, 7)
