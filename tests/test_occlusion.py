"""Maps by hiding parts of an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from command_line import Ran
from onlygood.occlusion import occlusion_map
from textures import DEFECT, texture, with_defect


def bright(images: np.ndarray) -> np.ndarray:
    """A score: the share of pixels above 200."""
    return (images > 200).mean(axis=(1, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [(80, 80), (61, 130), (9, 5), (1, 1)])
def test_it_is_high_where_the_score_comes_from(size: tuple[int, int]) -> None:
    image = np.full((*size, 1), 90, np.uint8)
    row, column = size[0] // 4, size[1] // 2
    image[row : row + max(1, size[0] // 8), column : column + max(1, size[1] // 8)] = 255
    found = occlusion_map(image, bright)
    assert found.shape == size
    assert found.dtype == np.float32
    assert found.min() >= 0
    if min(size) > 1:
        peak = np.unravel_index(found.argmax(), size)
        assert abs(peak[0] - row) <= max(1, size[0] / 4)
        assert abs(peak[1] - column) <= max(1, size[1] / 4)
        assert found[-1, 0] == 0


def test_hiding_cannot_take_off_more_than_the_whole_score() -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    image[8:16, 8:16] = 255
    assert 0 < occlusion_map(image, bright).max() <= bright(image[None])[0] + 1e-6


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 1), dtype=np.uint8)
    whole = occlusion_map(image, bright)
    monkeypatch.setattr("onlygood.occlusion._AT_ONCE", 1)
    np.testing.assert_array_equal(occlusion_map(image, bright), whole)


def test_an_inspector_gives_them_beside_the_same_verdict(model: onlygood.Model) -> None:
    image = with_defect(texture(140))
    own = onlygood.Inspector(model)(image)
    hiding = onlygood.Inspector(model, by_occlusion=True)
    found = hiding(image)
    assert (found.score, found.p_value) == (own.score, own.p_value)
    assert found.anomaly_map is not None
    row, column = np.unravel_index(found.anomaly_map.argmax(), found.anomaly_map.shape)
    assert DEFECT[0].start - 12 <= row < DEFECT[0].stop + 12
    assert DEFECT[1].start - 12 <= column < DEFECT[1].stop + 12
    typical, high = hiding.map_levels
    assert (typical, high) == (0.0, model.calibration.threshold)
    good = hiding(texture(141)).anomaly_map
    assert good is not None
    assert good.max() < high
    assert onlygood.Inspector(model, with_map=False, by_occlusion=True)(image).anomaly_map is None


def test_the_command_line(model_path: Path, new_folder: Path, tmp_path: Path, run: Callable[..., Ran]) -> None:
    plain, hidden = tmp_path / "plain", tmp_path / "hidden"
    assert run("inspect", model_path, new_folder, "--heatmaps", plain).code == 1
    assert run("inspect", model_path, new_folder, "--heatmaps", hidden, "--occlusion").code == 1
    images: list[Any] = [np.asarray(Image.open(folder / "b_heatmap.png")) for folder in (plain, hidden)]
    assert images[0].shape == images[1].shape
    assert (images[0] != images[1]).any()
    ran = run("inspect", model_path, new_folder, "--occlusion")
    assert (ran.code, "--occlusion makes maps, got none to make: add --heatmaps or --report" in ran.err) == (2, True)
