"""The martingale of the drift test, against its definition summed up slowly."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from onlygood.monitoring.bets import BETS, HIGHEST, normal_score
from onlygood.monitoring.evidence import Evidence, Tally, log_share_at, unspent_after


def fed(p_values: list[float]) -> Evidence:
    evidence = Evidence()
    for number, p_value in enumerate(p_values, start=1):
        evidence.add(p_value, name=f"{number}.png", before=Tally())
    return evidence


def capital_by_definition(p_values: list[float]) -> float:
    """The sum over all moments and bets of share, weight and product of densities, and what was not yet bet."""
    total = unspent_after(len(p_values))
    for k in range(1, len(p_values) + 1):
        for bet in BETS:
            won = sum(bet.log_density(each, normal_score(each)) for each in p_values[k - 1 :])
            total += math.exp(log_share_at(k) + bet.log_weight + won)
    return total


def test_shares_of_the_capital_add_up_to_what_was_spent() -> None:
    spent = 0.0
    for image in range(1, 2001):
        spent += math.exp(log_share_at(image))
        assert spent == pytest.approx(1 - unspent_after(image), abs=1e-12)
    assert unspent_after(10**9) > 0
    assert math.isfinite(log_share_at(10**15))


def test_the_recursion_is_the_sum_over_all_moments_and_bets() -> None:
    rng = np.random.default_rng(3)
    p_values = [*rng.random(25).tolist(), *(rng.random(10) ** 3).tolist()]
    for count in (1, 2, 10, 35):
        assert math.exp(fed(p_values[:count]).log_capital) == pytest.approx(capital_by_definition(p_values[:count]))


def test_the_capital_after_the_next_image_is_on_average_what_it_is() -> None:
    """A martingale: the integral over uniform p-values of the capital after one more image."""
    evidence = fed(np.random.default_rng(4).random(12).tolist())

    def after(z: float) -> float:
        grown = evidence.model_copy(deep=True)
        return math.exp(grown.add(float(norm.sf(z)), name="", before=Tally())) * float(norm.pdf(z))

    edges = [-10.0, *(float(norm.isf(share)) for share in (1 - HIGHEST, 0.1, HIGHEST)), 10.0]
    mean = sum(quad(after, low, high, limit=100)[0] for low, high in pairwise(edges))
    assert mean == pytest.approx(math.exp(evidence.log_capital), rel=1e-5)


def test_before_the_first_image_the_capital_is_1() -> None:
    assert Evidence().log_capital == 0.0


def test_the_start_is_the_moment_from_which_its_bet_has_won_most() -> None:
    rng = np.random.default_rng(5)
    p_values = [*rng.random(60).tolist(), *(rng.random(20) * 0.15).tolist()]
    found = fed(p_values).strongest()
    assert found.kind == "higher"
    by_moment = {
        (k, at): sum(bet.log_density(each, normal_score(each)) for each in p_values[k - 1 :])
        for at, bet in enumerate(BETS)
        if bet.kind == "higher"
        for k in range(1, len(p_values) + 1)
    }
    assert found.run.start == max(by_moment, key=lambda each: by_moment[each])[0]
    assert found.run.start_name == f"{found.run.start}.png"
    assert found.run.log_best == pytest.approx(max(by_moment.values()))


def test_differences_of_tallies_describe_a_stretch() -> None:
    scores = np.random.default_rng(6).normal(3, 2, 50)
    tally = Tally()
    for score in scores:
        tally = tally.plus(float(score), is_highest=score > 5)
    assert (tally.mean, tally.deviation) == pytest.approx((scores.mean(), scores.std()))
    assert tally.highest == (scores > 5).sum()
    assert Tally().plus(1.0, weight=0.5).plus(3.0, weight=0.5).mean == 2.0
