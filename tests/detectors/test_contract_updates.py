"""What holds of an update by every method: it is as good as a fit, or it is refused with a sentence that says why."""

from typing import Any

import numpy as np
import pytest

import onlygood
from flat import POOLED_METHODS, TRAINED_METHODS, kind_of
from onlygood.errors import ModelFileError
from textures import Array, texture, textures

FURTHER = textures(6, start=700)
NEW = textures(10, start=1500)


def scores(model: Any, images: list[Array]) -> Array:
    inspect = onlygood.Inspector(model)
    return np.array([inspect(image).score for image in images])


def test_every_method_is_updated_or_refused_with_a_sentence(fitted: onlygood.Model, method: str) -> None:
    if kind_of(method).updates:
        updated = onlygood.update(fitted, FURTHER, accept_anomalous=True)
        count = fitted.metadata.good_images.count + len(FURTHER)
        assert updated.metadata.good_images.count == updated.guarantee.calibration_images == count
        assert np.isfinite(scores(updated, NEW)).all()
        return
    assert method in TRAINED_METHODS
    with pytest.raises(ModelFileError) as caught:
        onlygood.update(fitted, FURTHER)
    assert str(caught.value) == (
        f"the model in memory must be one that can be updated, got one of method {method}, which trains a network on "
        "all images at once: fit it again with the old and the new images, or fit with method patch, knn, lof or "
        "mahalanobis"
    )
    assert fitted.file.kept is None and fitted.metadata.kept is None


def test_pooled_methods_give_what_a_fit_to_all_images_gives(
    fitted: onlygood.Model, good_images: list[Array], method: str, fast: dict[str, Any]
) -> None:
    if method not in POOLED_METHODS:
        pytest.skip("its update is no fit")
    from flat import fit

    updated = onlygood.update(fitted, FURTHER, accept_anomalous=True)
    whole = fit([*good_images, *FURTHER], method=method, **fast)
    np.testing.assert_allclose(updated.calibration.scores, whole.calibration.scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores(updated, NEW), scores(whole, NEW), rtol=1e-3, atol=1e-5)
    assert updated.metadata.detector == whole.metadata.detector


def test_what_joins_and_leaves_again_changes_nothing(fitted: onlygood.Model, method: str) -> None:
    if not kind_of(method).updates:
        pytest.skip("it cannot be updated")
    back = onlygood.update(onlygood.update(fitted, FURTHER, accept_anomalous=True), remove="update:1")
    assert back.metadata.good_images == fitted.metadata.good_images
    ours = scores(back, NEW) + back.calibration.threshold
    theirs = scores(fitted, NEW) + fitted.calibration.threshold
    # A bank of the same rows, rounded, may hold another one of two that are alike.
    np.testing.assert_allclose(ours, theirs, atol=0.25 * float(np.std(fitted.calibration.scores)), rtol=0.02)
    assert len(back.metadata.updates) == 2


def test_an_update_of_one_image_moves_the_threshold_little(fitted: onlygood.Model, method: str) -> None:
    if not kind_of(method).updates:
        pytest.skip("it cannot be updated")
    updated = onlygood.update(fitted, [texture(720)])
    spread = float(np.std(fitted.calibration.scores))
    assert abs(updated.calibration.threshold - fitted.calibration.threshold) < spread
