import base64
import io
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from onlygood.heatmap import CONTOUR, MASK_DASHES
from onlygood.thumbnails import Thumbnail, _block_means, _cover, draw_thumbnails, fit_in, shrink_map
from textures import Array, texture

LEVELS = (1.0, 3.0)
WINDOW = (0.0, 255.0)


def decoded(thumbnail: Thumbnail | None) -> Array:
    assert thumbnail is not None
    head, _, encoded = thumbnail.uri.partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as image:
        assert (image.format, image.size) == ("JPEG", (thumbnail.width, thumbnail.height))
        return np.asarray(image.convert("RGB")).astype(int)


def blocks(length: int, count: int) -> list[slice]:
    """As evenly as whole numbers can: block i from floor(i length / count) on."""
    bounds = [position * length // count for position in range(count)] + [length]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((256, 256), (256, 256)),
        ((512, 256), (256, 128)),
        ((256, 512), (128, 256)),
        ((300, 200), (256, 171)),
        ((255, 100), (255, 100)),
        ((128, 100), (256, 200)),
        ((100, 90), (200, 180)),
        ((28, 28), (252, 252)),
        ((1, 1), (256, 256)),
        ((1, 5000), (1, 256)),
        ((5000, 2), (256, 1)),
    ],
)
def test_the_long_side_is_256_at_most_and_small_images_grow_by_a_whole_factor(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit_in(*size) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 900), (255, 257), (256, 256), (1025, 1030), (40, 28)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_become_two_thumbnails_of_one_size(size: tuple[int, int], channels: int) -> None:
    image = np.full((*size, channels), 90, np.uint8)
    plain, marked = draw_thumbnails(
        image, np.zeros(size, np.float32), levels=LEVELS, window=WINDOW, mask=np.zeros(size, bool)
    )
    assert marked is not None
    assert (plain.height, plain.width) == (marked.height, marked.width) == fit_in(*size)
    assert np.abs(decoded(plain) - 90).max() <= 2
    assert np.abs(decoded(marked) - 90).max() <= 2


@pytest.mark.parametrize(("size", "blocked"), [((37, 50), (10, 12)), ((9, 9), (9, 9)), ((5, 31), (1, 30))])
def test_blocks_hold_the_highest_value_of_what_they_cover(size: tuple[int, int], blocked: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).normal(size=size).astype(np.float32)
    expected = [
        [plane[rows, columns].max() for columns in blocks(size[1], blocked[1])] for rows in blocks(size[0], blocked[0])
    ]
    np.testing.assert_array_equal(_cover(plane, *blocked), np.array(expected, np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_blocks_hold_the_mean_of_what_they_cover(dtype: type) -> None:
    top = np.iinfo(dtype).max
    image = np.random.default_rng(1).integers(0, top, (37, 50, 3), dtype=dtype, endpoint=True)
    expected = np.array(
        [
            [image[rows, columns].reshape(-1, 3).astype(float).mean(axis=0) for columns in blocks(50, 12)]
            for rows in blocks(37, 10)
        ]
    )
    found = _block_means(image, 10, 12)
    assert found.dtype == dtype
    assert np.abs(found - expected).max() <= 0.51


def test_one_strange_pixel_of_a_large_map_is_seen() -> None:
    image = np.full((2048, 3000, 1), 60, np.uint8)
    anomaly_map = np.zeros((2048, 3000), np.float32)
    anomaly_map[1000, 1500] = 50.0
    plain, marked = draw_thumbnails(image, anomaly_map, levels=LEVELS, window=WINDOW)
    change = np.abs(decoded(marked) - decoded(plain)).max(axis=2)
    rows, columns = np.nonzero(change > 60)
    assert 5 <= len(rows) <= 100, "its colour and the line around it"
    assert abs(rows.mean() - 1000 / 2048 * plain.height) < 2 and abs(columns.mean() - 128) < 2


def test_one_marked_pixel_of_a_large_mask_is_surrounded() -> None:
    image = np.full((2000, 1000, 1), 128, np.uint8)
    mask = np.zeros((2000, 1000), bool)
    mask[1500, 250] = True
    plain, marked = draw_thumbnails(image, np.zeros(mask.shape, np.float32), levels=LEVELS, window=WINDOW, mask=mask)
    change = np.argwhere(np.abs(decoded(marked) - decoded(plain)).max(axis=2) > 60)
    assert len(change) >= 10
    np.testing.assert_allclose(change.mean(axis=0), [192, 32], atol=1.5)


def test_a_coarse_map_is_interpolated_to_the_image() -> None:
    image = np.full((300, 300, 1), 50, np.uint8)
    coarse = np.zeros((8, 8), np.float32)
    coarse[2, 5] = 9.0
    plain, marked = draw_thumbnails(image, coarse, levels=LEVELS, window=WINDOW)
    change = np.abs(decoded(marked) - decoded(plain)).max(axis=2).astype(float)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert abs(row - 2.5 * 32) < 24 and abs(column - 5.5 * 32) < 24


def test_the_contour_is_white_and_as_sharp_as_jpeg_allows() -> None:
    image = np.full((256, 256, 1), 40, np.uint8)
    anomaly_map = np.zeros((256, 256), np.float32)
    anomaly_map[100:150, 100:150] = 3.5
    _, marked = draw_thumbnails(image, anomaly_map, levels=LEVELS, window=WINDOW)
    line = decoded(marked)[99, 105:145]
    assert np.abs(line - np.array(CONTOUR)).mean() < 25


def test_an_image_is_made_small_without_being_darkened_or_moved() -> None:
    tile = np.zeros((1200, 1200, 1), np.uint8)
    tile[600:, :] = 200
    plain, _ = draw_thumbnails(tile, None, levels=LEVELS, window=WINDOW)
    column = decoded(plain)[:, 100, 0]
    assert column[:124].max() < 12 and abs(column[132:] - 200).max() < 12


def test_small_images_are_enlarged_without_being_blurred() -> None:
    image = np.array([[0, 255], [255, 0]], np.uint8)[:, :, None]
    plain, _ = draw_thumbnails(image, None, levels=LEVELS, window=WINDOW)
    pixels = decoded(plain)[:, :, 0]
    assert pixels.shape == (256, 256)
    assert (np.abs(pixels[:127, :127]) < 12).mean() > 0.95
    assert (np.abs(pixels[:127, 129:] - 255) < 12).mean() > 0.95


@pytest.mark.parametrize("size", [(40, 60), (700, 600), (3000, 200)])
def test_a_16_bit_image_is_shown_through_its_window_and_clipped(size: tuple[int, int]) -> None:
    for level, grey in ((0, 0), (1000, 0), (2000, 127), (3000, 255), (65_535, 255)):
        image = np.full((*size, 1), level, np.uint16)
        plain, _ = draw_thumbnails(image, None, levels=LEVELS, window=(1000.0, 3000.0))
        assert np.abs(decoded(plain) - grey).max() <= 2


def test_there_is_no_second_image_without_a_map() -> None:
    assert draw_thumbnails(texture(0)[:, :, None], None, levels=LEVELS, window=WINDOW)[1] is None


def test_colours_of_the_masks_line_survive() -> None:
    image = np.full((256, 256, 1), 128, np.uint8)
    mask = np.zeros((256, 256), bool)
    mask[60:200, 60:200] = True
    _, marked = draw_thumbnails(image, np.zeros(mask.shape, np.float32), levels=LEVELS, window=WINDOW, mask=mask)
    line = decoded(marked)[58:60, 70:190].reshape(-1, 3)
    for colour in MASK_DASHES:
        assert np.abs(line - np.array(colour)).sum(axis=1).min() < 60


def test_a_large_image_is_never_copied_at_full_size() -> None:
    image = np.zeros((6000, 6000, 1), np.uint16)
    anomaly_map = np.zeros((6000, 6000), np.float32)
    tracemalloc.start()
    draw_thumbnails(image, anomaly_map, levels=LEVELS, window=(0.0, 4095.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < image.nbytes / 2


def test_a_shrunken_map_has_the_highest_level_of_what_each_place_covers() -> None:
    anomaly_map = np.zeros((40, 80), np.float32)
    anomaly_map[13, 57] = 7
    shrunk = shrink_map(anomaly_map, long_side=8)
    assert shrunk.shape == (4, 8)
    assert np.argwhere(shrunk == 7).tolist() == [[1, 5]]
    assert shrunk.sum() == 7
    # One that is small enough stays as it is.
    assert shrink_map(anomaly_map, long_side=80).tolist() == anomaly_map.tolist()
