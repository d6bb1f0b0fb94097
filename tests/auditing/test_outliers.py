"""The limit beyond which a tail holds too few images: by algebra, and by how often it is wrong."""

import numpy as np
import pytest

from onlygood.auditing.outliers import tail_limit
from onlygood.calibration.tail import ODD_EXPECTED


def test_by_algebra() -> None:
    # 20 values: the median is the 10th (10), the highest tenth is censored at the 18th (18).
    values = np.arange(1.0, 21.0)
    above = np.minimum(np.arange(11.0, 21.0), 18.0) - 10.0
    observed = 8  # 11 to 18
    mean = above.sum() / observed
    # The predictive distribution: (1 + y / (k m)) ** -k = expected share beyond y, of half of all.
    expected = 10 + observed * mean * ((ODD_EXPECTED / 10) ** (-1 / observed) - 1)
    assert tail_limit(values, np.ones(20)) == pytest.approx(expected)


def test_how_far_the_highest_tenth_lies_does_not_matter() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    limit = tail_limit(values, np.ones(200))
    values[np.argsort(values)[-20:]] += 1e6
    assert tail_limit(values, np.ones(200)) == pytest.approx(limit)


@pytest.mark.parametrize("count", [12, 40, 400])
def test_of_an_exponential_tail_about_as_many_lie_beyond_as_are_said_to(count: int) -> None:
    random = np.random.default_rng(count)
    beyond = [
        (values > tail_limit(values, np.ones(count))).sum()
        for values in (random.exponential(size=count) for _ in range(2000))
    ]
    assert 0.2 * ODD_EXPECTED < np.mean(beyond) < 2 * ODD_EXPECTED


@pytest.mark.parametrize("count", [12, 40, 400])
def test_of_a_normal_distribution_hardly_any_do(count: int) -> None:
    random = np.random.default_rng(count)
    samples = (random.normal(size=count) for _ in range(500))
    assert np.mean([(values > tail_limit(values, np.ones(count))).sum() for values in samples]) < ODD_EXPECTED


def test_images_of_one_thing_count_as_one() -> None:
    values = np.random.default_rng(1).exponential(size=30)
    limit = tail_limit(values, np.ones(30))
    assert tail_limit(np.repeat(values, 5), np.full(150, 0.2)) == pytest.approx(limit)


def test_too_few_or_equal_values() -> None:
    assert tail_limit(np.arange(7.0), np.ones(7)) == np.inf
    assert tail_limit(np.full(20, 3.0), np.ones(20)) == 3.0
    mostly = np.zeros(40)
    mostly[-3:] = 0.5  # the highest of the lower nine tenths is 0: anything else stands out
    assert tail_limit(mostly, np.ones(40)) == 0.0
