"""Patch memory as a method of `fit`: in which units its banks are compared."""

from typing import Any

import numpy as np
import pytest

import flat
import onlygood
from textures import FAST, texture, textures


def units(model: onlygood.Model) -> list[tuple[float, float]]:
    return [(level["center"], level["scale"]) for level in model.file.metadata.detector["levels"]]


def fit(images: Any, **settings: Any) -> onlygood.Model:
    return flat.fit(images, near_duplicates="ignore", **FAST, **settings)


def test_which_images_belong_together_changes_no_unit() -> None:
    """A group says who may vouch for whom, not how much a bank counts."""
    images = textures(16)
    assert units(fit(images, groups=[str(number // 4) for number in range(16)])) == units(fit(images))


def test_copies_are_one_image_to_a_unit() -> None:
    images = textures(12)
    doubled = [images[number // 2] for number in range(24)]
    for (center, scale), (expected_center, expected_scale) in zip(units(fit(doubled)), units(fit(images)), strict=True):
        # The memory's sample holds each patch twice, so it is not the same to the last digit.
        assert center == pytest.approx(expected_center, rel=0.1)
        assert scale == pytest.approx(expected_scale, rel=0.25)


def test_near_copies_make_a_bank_count_twice_as_much_at_most() -> None:
    """Shots of six parts: without the image alone, every bank knows its part, and nothing varies."""
    shots = [texture(part) for part in range(6) for _ in range(4)]
    shots = [(shot.astype(int) + (number % 4)).clip(0, 255).astype("uint8") for number, shot in enumerate(shots)]
    groups = [str(number // 4) for number in range(24)]
    grouped, parts = fit(shots, groups=groups), fit(shots[::4])
    for (center, _), (of_parts, _) in zip(units(grouped), units(parts), strict=True):
        assert 0.4 * of_parts < center < 0.75 * of_parts


def test_maps_that_were_not_kept_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    images = textures(12)
    monkeypatch.setattr("onlygood.detectors.patch.good_scores.MAPPED", 2)
    kept = fit(images).highest_scoring
    monkeypatch.setattr("onlygood.detectors.patch.good_scores.KEPT_BYTES", 0)
    again = fit(images).highest_scoring
    for ours, theirs in zip(again, kept, strict=True):
        assert ours.image == theirs.image
        np.testing.assert_array_equal(ours.patch_scores, theirs.patch_scores)


def test_images_of_a_rare_kind_are_judged_by_memories_that_know_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [texture(number) for number in range(30)]
    images += [(texture(number).astype(int) // 2).astype("uint8") for number in range(4)]

    def excess() -> float:
        """By how much the rare ones score above the others, in the spread of these."""
        scores = np.array([each.score for each in fit(images).good_images])
        return float((np.mean(scores[30:]) - np.median(scores[:30])) / np.std(scores[:30]))

    # Each without itself alone, or without a half of all, and so of its kind.
    alone = excess()
    monkeypatch.setattr("onlygood.detectors.patch.scores.FOLDS", 2)
    assert alone < 0.7 * excess()
