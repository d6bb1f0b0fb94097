"""The bets of the drift test: densities with the mean 1, whatever they bet on."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from onlygood.monitoring.bets import BETS, HIGHEST, KINDS, Bet, normal_score


def test_the_shares_of_all_bets_are_the_whole_capital_and_each_kind_has_as_much() -> None:
    shares = {kind: sum(math.exp(bet.log_weight) for bet in BETS if bet.kind == kind) for kind in KINDS}
    assert shares == pytest.approx({kind: 1 / len(KINDS) for kind in KINDS})


@pytest.mark.parametrize("bet", BETS)
def test_a_bet_on_uniform_p_values_neither_wins_nor_loses(bet: Bet) -> None:
    """The integral over normal scores, whose density is the normal one; steps of the tail bets are named."""

    def paid(z: float) -> float:
        return math.exp(bet.log_density(float(norm.sf(z)), z)) * float(norm.pdf(z))

    edges = [-12.0, *(float(norm.isf(share)) for share in (1 - HIGHEST, 0.1, HIGHEST)), 12.0]
    parts = [quad(paid, low, high)[0] for low, high in pairwise(edges)]
    assert sum(parts) == pytest.approx(1.0, abs=1e-6)


def test_normal_scores_are_those_of_scipy() -> None:
    p_values = [1e-12, 0.02, 0.5, 0.9, 1 - 1e-12]
    np.testing.assert_allclose([normal_score(each) for each in p_values], norm.isf(p_values), rtol=1e-6, atol=1e-12)
    assert normal_score(1.0) < -8


def test_densities_are_those_of_the_changes_that_they_are_for() -> None:
    """Against the densities of SciPy, and the tail's share by algebra: 0.05 + 0.95 * 0.02 of the images."""
    z = 0.7
    p_value = float(norm.sf(z))
    less = [bet.log_density(0.5, 0.0) for bet in BETS if bet.kind != "tail"]
    paid = [bet.log_density(p_value, z) for bet in BETS if bet.kind != "tail"]
    changed = [norm(0.5), norm(1), norm(-0.5), norm(-1), norm(0, 0.5)]
    # Against the middle: the densities of shifts are flat beyond HIGHEST, and have another factor for that.
    expected = [each.logpdf(z) - norm.logpdf(z) - each.logpdf(0.0) + norm.logpdf(0.0) for each in changed]
    assert np.subtract(paid, less) == pytest.approx(expected)
    assert paid[-1] == pytest.approx(norm(0, 0.5).logpdf(z) - norm.logpdf(z))
    shift = next(bet for bet in BETS if bet.kind == "higher")
    assert shift.log_density(1e-9, 6.0) == shift.log_density(1e-3, 3.1)
    tail = [bet for bet in BETS if bet.kind == "tail"][1]
    assert HIGHEST * math.exp(tail.log_density(HIGHEST, 0.0)) == pytest.approx(0.05 + 0.95 * 0.02)
    assert math.exp(tail.log_density(HIGHEST + 1e-9, 0.0)) == pytest.approx(0.95)
