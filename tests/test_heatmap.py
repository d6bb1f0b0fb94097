import io

import numpy as np
import pytest
from PIL import Image

from onlygood.heatmap import (
    COLOURS,
    CONTOUR,
    CONTOURS,
    GAP,
    OCTAVES,
    draw_heatmap,
    overlay,
    scale_colours,
    scale_positions,
    scale_table,
    to_png,
)
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


def lightness(colour: Array) -> float:
    """L* of CIELAB, 0 to 100, of an sRGB colour in [0, 255]."""
    channels = np.asarray(colour, dtype=float) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def drawn_level(strength: float, *, background: int = 128) -> Array:
    """The colour of a place that is so many times as far from typical as the high level is."""
    image = np.full((20, 20, 3), background, np.uint8)
    _, drawn = halves(image, constant_map(image, LEVELS[0] + strength * (LEVELS[1] - LEVELS[0])))
    return drawn[10, 10].astype(int)


def test_a_good_images_map_stays_quiet_and_colour_fades_in_up_to_high() -> None:
    changes = [int(np.abs(drawn_level(share, background=100) - 100).max()) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert changes == sorted(set(changes)), "strictly rising"
    assert changes[2] <= 12, "half way to high is hardly seen"
    assert changes[-1] >= 60


def test_levels_above_high_are_told_apart_also_beyond_twice_as_high() -> None:
    strengths = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)
    for background in (20, 128, 235):
        shades = [lightness(drawn_level(strength, background=background)) for strength in strengths]
        steps = -np.diff(shades)
        assert (steps > 3).all(), f"ever darker, by what eyes can see: {shades} on {background}"
    np.testing.assert_array_equal(drawn_level(16.0), drawn_level(500.0))


def test_the_scale_is_ordered_for_those_who_see_no_red_or_no_green() -> None:
    """What protanopes and deuteranopes see, by the matrices of Machado, Oliveira and Fernandes (2009)."""
    matrices = {
        "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
        "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    }
    for matrix in matrices.values():
        linear = (np.array(COLOURS) / 255) ** 2.2
        seen = 255 * np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        shades = [lightness(colour) for colour in seen]
        assert (-np.diff(shades) > 8).all(), shades


@pytest.mark.parametrize("most", [7.9, 60.0])
def test_lines_inside_a_strong_defect_stand_at_levels_of_equal_ratio(most: float) -> None:
    """A hill whose level falls by a constant ratio: as many rings as the levels that it passes, equally far apart."""
    rows, columns = np.indices((321, 321)) - 160
    distance = np.hypot(rows, columns)
    strength = most * (0.9 / most) ** (distance / 150)
    image = np.full((321, 321, 3), 60, np.uint8)
    _, drawn = halves(image, (1.0 + 2.0 * strength).astype(np.float32))
    ray = drawn[160, 160:]
    outermost = int(np.flatnonzero((ray == CONTOUR).all(axis=1))[-1])
    shades = np.array([lightness(colour) for colour in ray[: outermost + 2]])
    # A ring is lighter than what lies on both of its sides.
    rings = [at for at in range(1, len(shades) - 1) if shades[at] > max(shades[at - 1], shades[at + 1]) + 3]
    expected = [150 * np.log(level / most) / np.log(0.9 / most) for level in CONTOURS if level < most]
    assert len(rings) == len(expected) >= 6
    np.testing.assert_allclose(rings, sorted(expected), atol=1.5)
    assert not (ray[rings[0]] == CONTOUR).all(), "the lines within are fainter"


def test_the_line_is_seen_on_a_white_part() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    anomaly_map = constant_map(image, 1.0)
    anomaly_map[10:20, 12:30] = 3.5
    _, drawn = halves(image, anomaly_map)
    assert (drawn[9, 12:30] == CONTOUR).all()
    assert lightness(drawn[8, 20]) < 80


def test_a_legend_shows_the_colours_of_the_map() -> None:
    strengths = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    positions = np.where(strengths < 1, strengths, 1 + np.log2(np.maximum(strengths, 1)))
    drawn = np.array([drawn_level(strength) for strength in strengths])
    assert np.abs(scale_colours(positions).astype(int) - drawn).max() <= 3
    assert positions[-1] == OCTAVES + 1


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


def test_who_draws_elsewhere_gets_the_colours_of_the_overlay() -> None:
    # Below high, so that no line is drawn; on a colour of which nothing in the scale is part.
    anomaly_map = np.linspace(-1, 3, 64, dtype=np.float32).reshape(8, 8)
    levels = (0.0, 4.0)
    base = np.full((8, 8, 3), (10, 200, 90), np.uint8)
    drawn = np.asarray(overlay(Image.fromarray(base), anomaly_map, levels=levels)).astype(int)
    entries = scale_table()[scale_positions(anomaly_map, levels)].astype(float)
    share = entries[..., 3:] / 255
    expected = share * entries[..., :3] + (1 - share) * base
    assert np.abs(drawn - expected).max() <= 1
