import io

import numpy as np
import pytest
from PIL import Image

from onlygood.heatmap import CONTOUR, GAP, draw_heatmap, to_png
from textures import Array, texture

LEVELS = (1.0, 3.0)
WINDOW = (0.0, 255.0)


def halves(image: Array, anomaly_map: Array, **keywords: tuple[float, float]) -> tuple[Array, Array]:
    """The image and the image with its map, as they are drawn side by side."""
    sheet = np.asarray(draw_heatmap(image, anomaly_map, **{"levels": LEVELS, "window": WINDOW, **keywords}))
    width = image.shape[1]
    assert sheet.shape == (image.shape[0], 2 * width + GAP, 3)
    return sheet[:, :width], sheet[:, width + GAP :]


def constant_map(image: Array, level: float) -> Array:
    return np.full(image.shape[:2], level, np.float32)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_what_is_typical_stays_clear(level: float) -> None:
    image = texture(0, (40, 60))[:, :, None]
    plain, drawn = halves(image, constant_map(image, level))
    np.testing.assert_array_equal(plain, np.repeat(image, 3, axis=2))
    np.testing.assert_array_equal(drawn, plain)


def test_colour_fades_in_up_to_remarkable_and_darkens_beyond() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)

    def colour(level: float) -> Array:
        _, drawn = halves(image, constant_map(image, level))
        return drawn[10, 10].astype(int)

    reds = [colour(level)[0] for level in (1.0, 1.5, 2.0, 3.0)]
    assert reds == sorted(set(reds)), "strictly rising"
    greens = [colour(level)[1] for level in (3.0, 4.0, 5.0)]
    assert greens == sorted(set(greens), reverse=True), "strictly falling"
    np.testing.assert_array_equal(colour(5.0), colour(500.0))


def test_a_line_surrounds_what_is_remarkable_and_nothing_else() -> None:
    image = np.zeros((40, 40, 1), np.uint8)
    anomaly_map = constant_map(image, 1.0)
    anomaly_map[10:20, 12:30] = 3.5
    _, drawn = halves(image, anomaly_map)
    line = (drawn == CONTOUR).all(axis=2)
    expected = np.zeros_like(line)
    expected[9:21, 11:31] = True
    expected[10:20, 12:30] = False
    np.testing.assert_array_equal(line, expected)


def test_the_scale_is_the_models_and_not_the_images() -> None:
    """The same level looks the same whatever else is in the map."""
    image = texture(1, (40, 40))[:, :, None]
    quiet = constant_map(image, 2.0)
    loud = quiet.copy()
    loud[30:, 30:] = 50.0
    _, alone = halves(image, quiet)
    _, beside = halves(image, loud)
    np.testing.assert_array_equal(alone[:25, :25], beside[:25, :25])


def test_a_16_bit_image_is_shown_through_its_window_and_clipped() -> None:
    image = np.array([[[0], [1000], [2000], [3000], [65_535]]], np.uint16)
    plain, _ = halves(image, constant_map(image, 0.0), window=(1000.0, 3000.0))
    assert plain[0, :, 0].tolist() == [0, 0, 127, 255, 255]


def test_levels_that_are_equal_do_no_harm() -> None:
    image = texture(2, (10, 10))[:, :, None]
    plain, drawn = halves(image, constant_map(image, 1.0), levels=(1.0, 1.0))
    np.testing.assert_array_equal(drawn, plain)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (5, 1)])
@pytest.mark.parametrize("level", [0.0, 9.0])
def test_the_smallest_images_can_be_drawn(size: tuple[int, int], level: float) -> None:
    image = np.full((*size, 1), 90, np.uint8)
    halves(image, constant_map(image, level))


def test_a_drawing_is_a_png() -> None:
    image = Image.new("RGB", (3, 2), (1, 2, 3))
    with Image.open(io.BytesIO(to_png(image))) as back:
        assert (back.format, back.size, back.getpixel((0, 0))) == ("PNG", (3, 2), (1, 2, 3))
