"""The input of the detectors on a frozen backbone: its height and width, and backbones that take only one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import onlygood
from flat import fit
from onlygood.backbones.backbone import Backbone, load_backbone
from onlygood.datasets.sources import list_sources
from onlygood.detectors.on_backbone import MOST_ELONGATED, elongated_shape, patch_input_shape, squeezing_notes
from onlygood.errors import FolderError, SettingError
from onlygood.features.input_kind import SIZED_IMAGES, input_kind
from onlygood.images.reading import ReadingLimits
from onlygood.settings import FitSettings
from textures import FAST, save, texture, with_defect
from tiny_backbone import TOKEN_INPUT, tiny_card, tiny_model, token_card, token_model, write_backbone

Array = NDArray[Any]
LITE0 = load_backbone("lite0")


def tiny(folder: Path, *, shape: tuple[int, int] | None = None, **changes: Any) -> Backbone:
    model = tiny_model()
    for dimension, side in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], shape or (), strict=False):
        dimension.dim_value = side
    return load_backbone(write_backbone(folder, model, {**tiny_card(), **changes}))


# The shape of the input


@pytest.mark.parametrize(
    ("size", "side", "multiple", "expected"),
    [
        ((300, 300), 320, 32, (320, 320)),
        ((7, 7), 320, 32, (320, 320)),
        ((300, 300), 224, 14, (224, 224)),
        ((480, 640), 320, 32, (288, 384)),  # 277.1 x 369.5
        ((640, 480), 320, 32, (384, 288)),
        ((100, 400), 128, 8, (64, 256)),  # 4:1 exactly
        ((40, 1600), 320, 32, (160, 640)),  # 1:40, as 1:4
        ((5, 4000), 320, 32, (160, 640)),
        ((4000, 5), 320, 32, (640, 160)),
        ((1, 4000), 32, 32, (32, 64)),  # 16 x 64: at least one multiple
        ((100, 100), 5, 32, (32, 32)),
    ],
)
def test_an_input_has_the_area_of_a_square_and_the_shape_of_the_images(
    size: tuple[int, int], side: int, multiple: int, expected: tuple[int, int]
) -> None:
    assert elongated_shape(size, side, multiple) == expected


@given(
    height=st.integers(1, 20_000),
    width=st.integers(1, 20_000),
    side=st.integers(16, 1024),
    multiple=st.sampled_from([1, 8, 14, 32]),
)
def test_height_and_width_are_the_multiples_nearest_to_those_of_that_area_and_aspect(
    height: int, width: int, side: int, multiple: int
) -> None:
    found = elongated_shape((height, width), side, multiple)
    aspect = min(max(width / height, 1 / MOST_ELONGATED), MOST_ELONGATED)
    for pixels, exact in zip(found, (math.sqrt(side**2 / aspect), math.sqrt(side**2 * aspect)), strict=True):
        assert pixels % multiple == 0
        assert pixels == multiple or abs(pixels - exact) <= multiple / 2 + 1e-6
    assert elongated_shape((width, height), side, multiple) == found[::-1] or multiple > 1 or aspect == 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 100), (320, 320)),  # below the smallest
        ((3000, 3000), (384, 384)),  # above the largest
        ((350, 350), (352, 352)),  # between them the images' own, as the nearest multiple
        ((1000, 2000), (256, 544)),  # 271.5 x 543.1
        ((160, 640), (160, 640)),
        ((20, 4000), (160, 640)),
        ((400, 300), (384, 288)),  # 400 x 300 have the area of a square of 346: 399.5 x 299.6
    ],
)
def test_the_images_own_size_decides_within_the_bounds_of_the_card(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert LITE0.card.patch_input_sizes == (320, 384)
    assert patch_input_shape(LITE0, size, None, multiple=32) == expected


def test_without_bounds_the_cards_input_size_decides(tmp_path: Path) -> None:
    backbone = tiny(tmp_path)
    for size, expected in (((9, 9), (64, 64)), ((999, 999), (64, 64)), ((100, 400), (32, 128))):
        assert patch_input_shape(backbone, size, None, multiple=8) == expected


def test_the_side_that_is_asked_for_is_that_of_the_square_whatever_the_bounds(tmp_path: Path) -> None:
    assert patch_input_shape(LITE0, (500, 500), 64, multiple=32) == (64, 64)
    assert patch_input_shape(LITE0, (100, 400), 64, multiple=32) == (32, 128)
    backbone = tiny(tmp_path, patch_input_sizes=[64, 96])
    assert patch_input_shape(backbone, (70, 70), 128, multiple=8) == (128, 128)
    with pytest.raises(SettingError, match="multiple of 8 for backbone tiny, got 100: try 96"):
        patch_input_shape(backbone, (70, 70), 100, multiple=8)


@pytest.mark.parametrize("size", [(64, 64), (500, 20), (10, 10)])
def test_a_backbone_that_was_exported_for_one_shape_gets_it(tmp_path: Path, size: tuple[int, int]) -> None:
    backbone = tiny(tmp_path, shape=(64, 64), patch_input_sizes=[96, 128])
    assert backbone.fixed_shape == (64, 64)
    assert patch_input_shape(backbone, size, None, multiple=8) == (64, 64)
    assert patch_input_shape(backbone, size, 64, multiple=8) == (64, 64)
    with pytest.raises(SettingError, match="must be 64 for backbone tiny, which was exported for it, got 128"):
        patch_input_shape(backbone, size, 128, multiple=8)


def test_a_backbone_that_was_exported_for_an_oblong_gets_it(tmp_path: Path) -> None:
    backbone = tiny(tmp_path, shape=(32, 64))
    assert patch_input_shape(backbone, (500, 500), None, multiple=8) == (32, 64)


def test_a_backbone_that_takes_any_shape_says_so() -> None:
    assert LITE0.fixed_shape == (0, 0)


# The size of the images


def median_size(images: list[Any]) -> tuple[int, int]:
    sources = list_sources(images, group_by=None, groups=None, limits=ReadingLimits(), allow_one=True).sources
    return input_kind(sources, FitSettings(), show_progress=False).size


def blank(height: int, width: int) -> Array:
    return np.zeros((height, width), np.uint8)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(10, 20), (50, 60), (30, 40)], (30, 40)),
        ([(10, 60), (50, 20), (30, 40)], (30, 40)),  # height and width, each on its own
        ([(100, 30)] * 3 + [(4000, 4000)], (100, 30)),
        ([(10, 20), (30, 44)], (20, 32)),
        ([(1, 1)], (1, 1)),
    ],
)
def test_the_size_is_the_median_over_the_images(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert median_size([blank(*size) for size in sizes]) == expected


def test_images_that_cannot_be_read_have_no_size() -> None:
    assert median_size([b"no image", blank(10, 20), b"", blank(10, 20), blank(90, 90)]) == (10, 20)


def test_the_size_of_many_images_is_that_of_some_evenly_spaced_among_all() -> None:
    count = 10 * SIZED_IMAGES
    looked_at = np.unique(np.linspace(0, count - 1, SIZED_IMAGES).astype(int))
    images = [blank(8, 8)] * count
    for position in looked_at[: SIZED_IMAGES // 2 + 1]:
        images[position] = blank(16, 24)
    assert median_size(images) == (16, 24)


def test_where_none_of_these_can_be_read_the_first_that_can_gives_the_size() -> None:
    count = 4 * SIZED_IMAGES
    looked_at = set(np.linspace(0, count - 1, SIZED_IMAGES).astype(int).tolist())
    images: list[Any] = [b"no image" if number in looked_at else blank(8, 9) for number in range(count)]
    images[min(set(range(count)) - looked_at)] = blank(16, 24)
    assert median_size(images) == (16, 24)
    with pytest.raises(FolderError, match="must be readable, got none among 3"):
        median_size([b"no image"] * 3)


# Fits


@pytest.fixture(scope="module")
def oblong() -> onlygood.Model:
    return fit([texture(seed, (48, 160)) for seed in range(12)], **FAST)


def test_a_fit_of_oblong_images_keeps_their_aspect(oblong: onlygood.Model) -> None:
    # 64 x 64 pixels at 1:3.3 are 35 x 117, in multiples of 32.
    assert oblong.metadata.input.input_shape == (32, 128)
    assert "input_size" not in oblong.metadata.to_dict()["input"]
    grids = [level["grid"] for level in oblong.metadata.detector["levels"][:-1]]
    assert grids == [[2, 8], [4, 16], [2, 8]]
    assert oblong.highest_scoring[0].patch_scores.shape == (4, 16)


@pytest.mark.parametrize("size", [(48, 160), (160, 48), (96, 96), (7, 300), (1, 1)])
def test_a_file_of_oblong_images_takes_any_size(oblong: onlygood.Model, size: tuple[int, int], tmp_path: Path) -> None:
    oblong.save(tmp_path / "part.onnx")
    found = onlygood.Inspector(tmp_path / "part.onnx")(texture(50, size))
    assert found.anomaly_map is not None
    assert found.anomaly_map.shape == size
    assert math.isfinite(found.score)


def test_a_defect_is_marked_where_it_is_in_an_oblong_image(oblong: onlygood.Model) -> None:
    blotted = texture(50, (48, 160)).copy()
    blotted[10:34, 110:134] = 0
    found = onlygood.Inspector(oblong)(blotted)
    assert found.is_anomaly
    assert found.anomaly_map is not None
    row, column = np.unravel_index(found.anomaly_map.argmax(), (48, 160))
    # Patches of the finest level are 12 x 10 pixels.
    assert 10 - 12 <= row < 34 + 12
    assert 110 - 10 <= column < 134 + 10


def test_images_of_either_orientation_have_the_shape_of_most(tmp_path: Path) -> None:
    sizes = [(48, 160)] * 5 + [(160, 48)] * 8
    model = fit([texture(seed, size) for seed, size in enumerate(sizes)], **FAST)
    assert model.metadata.input.input_shape == (128, 32)


ON_FROZEN_TRUNK = ("patch", "knn", "lof", "mahalanobis")
TRUNKS = {"tokens": (token_model, token_card), "convolutions": (tiny_model, tiny_card)}


@pytest.mark.parametrize("detector", ON_FROZEN_TRUNK)
@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_detector_on_a_frozen_trunk_takes_a_backbone_of_another_kind_and_its_file_gives_the_scores_of_fit(
    tmp_path: Path, detector: str, trunk: str
) -> None:
    make, card = TRUNKS[trunk]
    path = write_backbone(tmp_path, make(), card())
    images = [texture(seed, (50, 120)) for seed in range(24)]
    model = fit(images, method=detector, backbone=str(path), calibration="split", false_alarm_rate=0.2, threads=1)
    if trunk == "tokens":
        assert model.metadata.input.input_shape == (TOKEN_INPUT, TOKEN_INPUT)
        if detector == "patch":
            assert [level["grid"] for level in model.metadata.detector["levels"]] == [[5, 5], [2, 2]]
            assert [level["taps"] for level in model.metadata.detector["levels"]] == [["last"], ["last"]]
    model.save(tmp_path / "part.onnx")
    inspect = onlygood.Inspector(tmp_path / "part.onnx")
    # What was held out is scored by the finished detector, so that the file must give the same.
    held_out = [number for number, good in enumerate(model.good_images) if good.calibrates]
    assert held_out
    scale = float(np.std([good.score for good in model.good_images])) + abs(model.calibration.threshold)
    for number in held_out:
        found = inspect(images[number])
        assert found.score == pytest.approx(model.good_images[number].score, abs=1e-4 * scale)
        assert found.anomaly_map is not None
        assert found.anomaly_map.shape == (50, 120)


def test_a_backbone_for_one_shape_is_not_asked_for_another(tmp_path: Path) -> None:
    path = write_backbone(tmp_path, token_model(), token_card())
    for detector in ON_FROZEN_TRUNK:
        with pytest.raises(SettingError, match="must be 70 for backbone tiny, which was exported for it, got 140"):
            fit([texture(seed) for seed in range(4)], method=detector, backbone=str(path), input_size=140)


@pytest.mark.parametrize(("size", "grid"), [((14, 14), [1, 1]), ((14, 60), [1, 2]), ((60, 14), [2, 1])])
def test_the_smallest_grids_have_patches_and_regions(tmp_path: Path, size: tuple[int, int], grid: list[int]) -> None:
    """One patch, which is its own region, and two."""
    card = {**tiny_card(), "input_size": 8, "patch_taps": ["deep"]}
    path = write_backbone(tmp_path, tiny_model(), card)
    images = [texture(seed, size) for seed in range(12)]
    model = fit(images, backbone=str(path), false_alarm_rate=0.2, near_duplicates="ignore")
    assert [level["grid"] for level in model.metadata.detector["levels"]] == [grid, grid]
    assert model.metadata.detector["region_size"] == [1, 1]
    found = onlygood.Inspector(model)(texture(50, size))
    assert math.isfinite(found.score)
    assert found.anomaly_map is not None
    assert found.anomaly_map.shape == size


def test_saved_folders_give_the_median_size_of_what_lies_in_them(tmp_path: Path) -> None:
    save(tmp_path, {f"{seed:02}.png": with_defect(texture(seed, (100, 200))) for seed in range(10)})
    model = fit(tmp_path, **FAST)
    # 64 x 64 at 1:2 are 45 x 91: in multiples of 32, 32 x 96.
    assert model.metadata.input.input_shape == (32, 96)


def test_elongated_images_are_noted_with_their_width_first_as_all_sizes_are() -> None:
    (note,) = squeezing_notes((5000, 200), (768, 192))
    assert "of 200 x 5000 pixels, are more elongated than 4 : 1 and are squeezed to 192 x 768" in note
    assert squeezing_notes((800, 200), (384, 96)) == []
