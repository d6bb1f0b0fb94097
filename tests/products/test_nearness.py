"""The unit by which scores of several products are compared."""

from collections.abc import Sequence

import numpy as np
import pytest

import onlygood
from onlygood.graph.verdict import CalibrationScores
from onlygood.metadata import Training
from onlygood.products.nearness import LEAST_SPREAD, spread, units


def calibration(scores: Sequence[float], sizes: Sequence[int] | None = None) -> CalibrationScores:
    """Ascending scores, each of a group of its own unless sizes say of how many its group is."""
    each = np.array([1] * len(scores) if sizes is None else sizes, np.float64)
    return CalibrationScores(
        scores=np.array(scores, np.float32), weights=1.0 / ((len(scores) + 1) * each), groups=len(scores), threshold=0.0
    )


def test_the_spread_reaches_from_the_median_to_the_quantile() -> None:
    assert spread(calibration(range(1, 101))) == pytest.approx(95 - 50)
    assert spread(calibration(range(1, 21))) == pytest.approx(19 - 10)
    assert spread(calibration([-3.0, -1.0, 2.0])) == pytest.approx(2.0 - -1.0)


def test_images_of_one_group_count_as_one() -> None:
    repeated = [1.0] * 50 + [2.0, 3.0, 4.0, 9.0]
    once = [1.0, 2.0, 3.0, 4.0, 9.0]
    sizes = [50] * 50 + [1] * 4
    assert spread(calibration(repeated, sizes)) == spread(calibration(once)) == pytest.approx(9.0 - 3.0)
    assert spread(calibration(repeated)) == pytest.approx(3.0 - 1.0)


@pytest.mark.parametrize(("scores", "least"), [([4.0] * 5, 4 * LEAST_SPREAD), ([-4.0] * 5, 4 * LEAST_SPREAD)])
def test_scores_without_a_spread_have_a_small_one(scores: list[float], least: float) -> None:
    assert spread(calibration(scores)) == pytest.approx(least)
    assert spread(calibration([0.0] * 5)) > 0.0


def test_models_of_one_method_and_backbone_share_a_unit_and_others_have_their_own(model: onlygood.Model) -> None:
    same = model.metadata
    assert same.backbone is not None
    other_method = same.replaced(method="knn")
    other_backbone = same.replaced(backbone=same.backbone.replaced(sha256="0" * 64))
    trained = same.replaced(training=Training(batch_size=1, learning_rate=1.0, weight_decay=0.0, losses={}))
    wide, narrow = calibration([0.0, 0.0, 8.0]), calibration([0.0, 0.0, 2.0])
    described = [
        (same, narrow),
        (same, wide),
        (same, wide),
        (other_method, narrow),
        (other_backbone, wide),
        (trained, narrow),
        (trained, wide),
    ]
    assert units(described) == [8.0, 8.0, 8.0, 2.0, 8.0, 2.0, 8.0]
