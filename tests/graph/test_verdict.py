from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onlygood.calibration.threshold import Calibration, calibrate
from onlygood.graph.subgraph import join
from onlygood.graph.verdict import verdict
from onlygood.graph.view import full_size_map
from reference import evaluate, resize


def judge(calibration: Calibration, raw_scores: Any) -> dict[str, NDArray[Any]]:
    model = join(verdict(calibration), outputs=["score", "p_value", "is_anomaly"])
    return evaluate(model, {"raw_score": np.asarray(raw_scores, dtype=np.float32)})


def p_values(scores: NDArray[Any], groups: list[int], raw_scores: NDArray[Any]) -> list[float]:
    """Each group's share of images at least as strange, and the new image's own, averaged."""
    labels = sorted(set(groups))
    members = {label: scores[np.array(groups) == label] for label in labels}
    return [
        (1 + sum(float((members[label] >= raw).mean()) for label in labels)) / (len(labels) + 1) for raw in raw_scores
    ]


@pytest.mark.parametrize("grouped", [False, True])
def test_score_p_value_and_verdict_are_conformal_arithmetic(grouped: bool) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=80).astype(np.float32)
    groups = random.integers(0, 15, size=80).tolist() if grouped else list(range(80))
    calibration = calibrate(scores, groups, 0.1)
    # The calibration scores themselves are among the scores: ties count as at least as strange.
    raw_scores = np.concatenate([random.normal(size=50).astype(np.float32) * 2, scores, [-1e30, 1e30]])
    found = judge(calibration, raw_scores)
    np.testing.assert_array_equal(found["score"], raw_scores.astype(np.float32) - np.float32(calibration.threshold))
    np.testing.assert_array_equal(found["is_anomaly"], raw_scores.astype(np.float32) > calibration.threshold)
    np.testing.assert_allclose(found["p_value"], p_values(scores, groups, raw_scores), rtol=1e-6)
    assert [found[name].dtype for name in ("score", "p_value", "is_anomaly")] == [np.float32, np.float32, np.bool_]
    assert 0 < found["is_anomaly"].sum() < len(raw_scores)


def test_a_small_case_by_hand() -> None:
    # Nine scores 1 to 9 and a rate of 0.2: k = ceil(10 * 0.8) = 8.
    found = judge(calibrate(np.arange(1, 10, dtype=np.float32), range(9), 0.2), [0, 1, 7.5, 8, 8.5, 9, 10])
    np.testing.assert_array_equal(found["score"], [-8, -7, -0.5, 0, 0.5, 1, 2])
    np.testing.assert_allclose(found["p_value"], [1, 1, 0.3, 0.3, 0.2, 0.2, 0.1], rtol=1e-6)
    assert found["is_anomaly"].tolist() == [False, False, False, False, True, True, True]


@settings(deadline=None, max_examples=60)
@given(
    images=st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 30)), min_size=1, max_size=50),
    per_cent=st.integers(1, 99),
)
def test_anomalous_is_a_positive_score_is_a_p_value_of_at_most_the_guaranteed_rate(
    images: list[tuple[int, int]], per_cent: int
) -> None:
    scores, groups = zip(*images, strict=True)
    calibration = calibrate(np.array(scores, dtype=np.float32), groups, per_cent / 100)
    found = judge(calibration, np.arange(-10, 11) / 2)
    np.testing.assert_array_equal(found["is_anomaly"], found["score"] > 0)
    # To float32, as p-values are. A little of rounding apart: shares differ by 1 / (31 * 50) or not at all.
    np.testing.assert_array_equal(found["is_anomaly"], found["p_value"] <= calibration.stated_rate * (1 + 1e-6))


def test_a_p_value_is_never_0_and_falls_as_the_score_rises() -> None:
    scores = np.random.default_rng(1).normal(size=40).astype(np.float32)
    found = judge(calibrate(scores, range(40), 0.05), np.linspace(-5, 5, 300))
    assert (np.diff(found["p_value"]) <= 0).all()
    assert found["p_value"][0] == 1
    assert found["p_value"][-1] == pytest.approx(1 / 41)


def test_p_values_of_new_good_images_are_as_rare_as_they_say() -> None:
    # P(p <= j / (n + 1)) = j / (n + 1) for continuous scores; over 3,000 resamples of 9 scores and a new one.
    random, counts, resamples = np.random.default_rng(2), np.zeros(10), 3000
    for _ in range(30):
        scores = random.random(size=(9 * 100 + 100,)).astype(np.float32)
        for calibration_scores, new in zip(scores[:900].reshape(100, 9), scores[900:], strict=True):
            calibration = calibrate(calibration_scores, range(9), 0.1)
            share = calibration.weights[calibration.scores >= new].sum() + 1 / (calibration.groups + 1)
            counts[round(share * 10) - 1] += 1
    margin = 5 * np.sqrt(0.1 * 0.9 / resamples)
    np.testing.assert_allclose(counts / resamples, 0.1, atol=margin)


def spread(patch_scores: NDArray[np.float32], images: NDArray[Any]) -> NDArray[np.float32]:
    model = join(full_size_map(images.dtype), outputs=["anomaly_map"])
    return np.asarray(evaluate(model, {"patch_scores": patch_scores, "image": images})["anomaly_map"])


@pytest.mark.parametrize("size", [(14, 14), (1, 1), (7, 300), (64, 48), (5, 9), (200, 333)])
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 1)])
def test_the_map_has_the_images_own_size(size: tuple[int, int], dtype: type, channels: int) -> None:
    patch_scores = np.random.default_rng(3).random(size=(2, 14, 14)).astype(np.float32)
    found = spread(patch_scores, np.zeros((2, *size, channels), dtype=dtype))
    assert found.shape == (2, *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, resize(patch_scores, *size, antialias=False), atol=1e-4)


def test_a_map_of_equal_patches_is_flat_and_a_peak_stays_in_its_place() -> None:
    image = np.zeros((1, 140, 280, 3), dtype=np.uint8)
    np.testing.assert_allclose(spread(np.full((1, 14, 14), 2.5, np.float32), image), 2.5, rtol=1e-6)
    patch_scores = np.zeros((1, 14, 14), dtype=np.float32)
    patch_scores[0, 3, 10] = 1
    found = spread(patch_scores, image)[0]
    inside = np.zeros((140, 280), dtype=bool)
    # A patch spreads linearly to the middles of its neighbours, and no further.
    inside[25:45, 190:230] = True
    assert (found[~inside] == 0).all()
    assert found[30:40, 200:220].min() > 0.2
    assert found[34:36, 209:211].min() > 0.85
