"""`--method knn`, `lof` and `mahalanobis` as people use them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onlygood
from flat import POOLED_METHODS, fit
from onlygood.calibration.threshold import calibrate
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.pooled_heads import TemplateHeads
from onlygood.detectors.template_scores import NEAREST_NEIGHBORS, OUTLIER_FACTOR, TemplateScore
from onlygood.errors import SettingError
from onlygood.graph.subgraph import OPSET
from textures import FAST_POOLED, texture, textures, with_defect

NEW = [texture(100), with_defect(texture(101)), texture(102)]


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "whitened"])
@pytest.mark.parametrize("method", POOLED_METHODS)
def test_a_defect_scores_above_good_images_and_is_on_the_map(method: str, metric: str) -> None:
    inspect = onlygood.Inspector(fit(textures(30), method=method, metric=metric, **FAST_POOLED))
    good = [inspect(texture(seed)).score for seed in range(200, 210)]
    bad = [inspect(with_defect(texture(seed), 255)) for seed in range(210, 215)]
    assert min(one.score for one in bad) > max(good)
    for one in bad:
        assert one.anomaly_map is not None
        assert one.anomaly_map.shape == (96, 96)
        assert one.anomaly_map.max() > 0


@pytest.mark.parametrize("method", POOLED_METHODS)
def test_held_out_images_calibrate_and_nothing_else(method: str) -> None:
    model = fit(textures(30), method=method, calibration="split", **FAST_POOLED)
    assert model.guarantee.is_exact
    assert model.guarantee.fitted_images + model.guarantee.calibration_images == 30
    held = [image for image in model.good_images if image.calibrates]
    inspect = onlygood.Inspector(model)
    for image in held:
        number = int(image.name.split()[-1])
        assert inspect(texture(number)).score == pytest.approx(image.score, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("method", POOLED_METHODS)
def test_scores_of_good_images_are_of_detectors_that_have_not_seen_them(method: str) -> None:
    """As many folds as images: leave-one-out by hand."""
    images = textures(8)
    settings = FAST_POOLED if method == "mahalanobis" else {**FAST_POOLED, "num_neighbors": 3}
    model = fit(images, method=method, **settings)
    by_hand = []
    for number in range(8):
        others = [*images[:number], *images[number + 1 :]]
        inspect = onlygood.Inspector(fit(others, method=method, **settings))
        threshold = inspect.metadata.calibration.threshold
        by_hand.append(inspect(images[number]).score + threshold)
    ours = [image.score + model.calibration.threshold for image in model.good_images]
    np.testing.assert_allclose(ours, by_hand, rtol=1e-3)


def test_what_it_is_is_in_the_file() -> None:
    model = fit(textures(20), method="lof", **{**FAST_POOLED, "bank_size": 12})
    assert model.metadata.detector == {"tap": "stage4", "metric": "cosine", "templates": 12, "num_neighbors": 5}
    assert model.metadata.title == (
        "lof: cosine vectors, the mean of stage4 over all places, 5 neighbours among 12 templates"
    )


def test_few_templates_lower_the_number_of_neighbours_unless_it_was_asked_for() -> None:
    model = fit(textures(4), method="lof", **FAST_POOLED)
    assert model.metadata.detector["num_neighbors"] == 2
    with pytest.raises(SettingError, match="num_neighbors must be at most 2 for lof with 3 templates left while"):
        fit(textures(4), method="lof", num_neighbors=3, **FAST_POOLED)
    with pytest.raises(SettingError, match="num_neighbors must be at most 3 for knn with 3 templates left while"):
        fit(textures(4), method="knn", num_neighbors=4, **FAST_POOLED)


@pytest.mark.parametrize("method", ["knn", "lof"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_bank_of_a_few_templates_is_used_or_refused(method: str, size: int) -> None:
    settings = {**FAST_POOLED, "bank_size": size}
    try:
        model = fit(textures(12), method=method, **settings)
    except SettingError as error:
        assert size < 4
        assert "templates left while calibrating, got none: add good images, raise bank_size, or lower" in str(error)
    else:
        assert model.metadata.detector["templates"] == size
        assert np.isfinite(model.calibration.scores).all()


@pytest.mark.parametrize("method", ["knn", "lof"])
def test_copies_make_fewer_templates(method: str) -> None:
    model = fit([*textures(6), *textures(6)], method=method, **FAST_POOLED)
    assert model.metadata.detector["templates"] == 6


@pytest.mark.parametrize("method", POOLED_METHODS)
def test_images_whose_maps_are_not_looked_at_change_no_score(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(textures(12), method=method, **FAST_POOLED)
    monkeypatch.setattr("onlygood.detectors.pooled_detector.MAPPED", 4)
    part = fit(textures(12), method=method, **FAST_POOLED)
    np.testing.assert_array_equal(part.calibration.scores, whole.calibration.scores)
    assert all(np.isfinite(level) for level in part.metadata.to_dict()["map_levels"].values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"taps": ("stage2", "stage4")}, "taps must be one name for methods on the pooled output, got stage2, stage4"),
        ({"taps": ("stage9",)}, "taps must be different names out of stage0"),
        ({"metric": "manhattan"}, "metric must be one of euclidean, cosine, whitened, got 'manhattan'"),
        ({"num_neighbors": 0}, "num_neighbors must be a whole number of at least 1, got 0"),
    ],
)
def test_settings_that_they_cannot_use_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        fit(textures(8), method="knn", **{**FAST_POOLED, **settings})
    assert message in str(caught.value)


def test_vectors_that_are_all_alike_have_no_outlier_factor() -> None:
    heads = TemplateHeads(OUTLIER_FACTOR, onlygood.Lof(), np.ones((6, 4), np.float32), seed=0, maps="maps", opset=OPSET)
    with pytest.raises(SettingError, match="lof needs at least 2 good images that differ, got copies of one"):
        heads.make(np.ones(6, dtype=bool), 5)


@pytest.mark.parametrize(("score", "neighbours"), [(NEAREST_NEIGHBORS, 1), (OUTLIER_FACTOR, 5)])
def test_the_guarantee_holds_where_templates_are_means_of_many(score: TemplateScore, neighbours: int) -> None:
    """With templates chosen beside the images that are left out, half as many again were called anomalous."""
    rates = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        vectors, new = (random.normal(1, 0.3, (count, 40)).astype(np.float32) for count in (1000, 4000))
        settings = onlygood.Knn(metric="euclidean", bank_size=100)
        heads = TemplateHeads(score, settings, vectors, seed=0, maps="maps", opset=OPSET)
        raw = np.empty(1000, dtype=np.float32)
        everything = np.ones(1000, dtype=bool)
        for part in folds_of_groups(np.arange(1000), seed=seed):
            learned = everything.copy()
            learned[part] = False
            raw[part] = heads.make(learned, neighbours).scores(vectors[part])
        threshold = calibrate(raw, range(1000), 0.05).threshold
        rates.append((heads.make(everything, neighbours).scores(new) > threshold).mean())
    assert np.mean(rates) <= 0.05 + 3 * np.std(rates) / np.sqrt(len(rates))
