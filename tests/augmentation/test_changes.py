"""Each kind of change by its own algebra, or against SciPy, which knows nothing of ours."""

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, special

from onlygood.augmentation import changes as image_changes
from onlygood.augmentation.changes import Change, change_image
from onlygood.errors import ImageError
from onlygood.images.window import Window

Array = NDArray[Any]

FULL = {np.dtype(np.uint8): Window(0, 255), np.dtype(np.uint16): Window(0, 65_535)}
BORDERS = {"mirror": "mirror", "edge": "nearest", "constant": "grid-constant"}  # ours and SciPy's


def change(image: Array, *, window: Window | None = None, border: str = "mirror", **done: Any) -> Array:
    level = done.pop("border_level", None)
    changed = change_image(
        image,
        Change(**done),
        window=window or FULL[image.dtype],
        border=border,
        border_level=level,
        noise=np.random.default_rng(0),
    )
    assert changed.shape == image.shape
    assert changed.dtype == image.dtype
    assert changed.flags.c_contiguous and changed.flags.writeable
    return changed


def noise_image(shape: tuple[int, int, int], dtype: Any = np.uint8, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def plane(height: int, width: int, *, down: float, right: float, level: float = 30_000) -> Array:
    """A 16-bit image whose level rises evenly about its centre; the same at coordinates between pixels."""
    y, x = np.mgrid[:height, :width].astype(float)
    return on_plane(y, x, height, width, down=down, right=right, level=level)


def on_plane(y: Array, x: Array, height: int, width: int, *, down: float, right: float, level: float = 30_000) -> Array:
    levels = level + down * (y - (height - 1) / 2) + right * (x - (width - 1) / 2)
    return np.rint(levels).astype(np.uint16)[:, :, None]


def through_jpeg(image: Array, quality: int) -> Array:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer)).reshape(image.shape)


# Nothing


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_no_change_gives_an_equal_image_of_its_own_memory(dtype: Any, channels: int, border: str) -> None:
    image = noise_image((7, 5, channels), dtype)
    image.flags.writeable = False
    changed = change(image, border=border)
    np.testing.assert_array_equal(changed, image)
    assert not np.shares_memory(changed, image)


# Light


@pytest.mark.parametrize("share", [-0.2, -0.013, 0.05, 0.1])
def test_brightness_adds_its_share_of_black_to_white(share: float) -> None:
    image = noise_image((20, 30, 3)) // 3 + 60
    expected = np.rint(image + share * 255)
    assert np.abs(change(image, brightness=share) - expected).max() <= 1  # where 64ths round to a half
    deep = image.astype(np.uint16) * 100
    levels = change(deep, brightness=share, window=Window(5_000, 20_000)).astype(float)
    np.testing.assert_allclose(levels, deep + share * 15_000, atol=0.51)


@pytest.mark.parametrize("factor", [0.53, 0.9, 1.13])
def test_contrast_moves_levels_away_from_the_mean_and_leaves_the_mean(factor: float) -> None:
    image = noise_image((40, 50, 3), np.uint16) // 4 + 20_000
    expected = image.mean() + factor * (image - image.mean())
    changed = change(image, contrast=factor, window=Window(10_000, 50_000))
    np.testing.assert_allclose(changed, expected, atol=0.51)
    assert changed.mean() == pytest.approx(image.mean(), abs=0.02)


@pytest.mark.parametrize("exponent", [0.5, 0.9, 1.1, 2.0])
@pytest.mark.parametrize("size", [10, 300])  # fewer pixels than levels, and more
def test_gamma_is_a_power_between_black_and_white_and_leaves_both(exponent: float, size: int) -> None:
    image = np.resize(np.arange(1_000, 5_001, 7), (size, size, 1)).astype(np.uint16)
    expected = 1_000 + 4_000 * ((image - 1_000) / 4_000) ** exponent
    changed = change(image, gamma=exponent, window=Window(1_000, 5_000))
    np.testing.assert_allclose(changed, expected, atol=0.51)
    ends = np.array([0, 255], np.uint8).reshape(1, 2, 1)
    np.testing.assert_array_equal(change(ends, gamma=exponent), ends)


def test_levels_beyond_the_window_go_on_in_parallel_and_are_not_clipped_at_it() -> None:
    image = np.array([100, 900, 1_000, 5_000, 5_100, 9_000], np.uint16).reshape(1, 6, 1)
    window = Window(1_000, 5_000)
    np.testing.assert_array_equal(change(image, gamma=1.3, window=window), image)
    np.testing.assert_array_equal(change(image, brightness=0.1, window=window), image + 400)


def test_light_is_clipped_at_what_the_depth_can_hold() -> None:
    image = np.array([0, 10, 128, 245, 255], np.uint8).reshape(1, 5, 1)
    np.testing.assert_array_equal(change(image, brightness=0.2).ravel(), [51, 61, 179, 255, 255])
    np.testing.assert_array_equal(change(image, brightness=-0.2).ravel(), [0, 0, 77, 194, 204])


def test_all_channels_see_the_same_light() -> None:
    grey = noise_image((9, 8, 1))
    colour = np.repeat(grey, 3, axis=2)
    done = {"brightness": 0.05, "contrast": 0.9, "gamma": 1.1, "rotation": 3.0, "blur": 0.6}
    np.testing.assert_array_equal(change(colour, **done), np.repeat(change(grey, **done), 3, axis=2))


# Place


@pytest.mark.parametrize(("x", "y"), [(0.05, 0.0), (0.0, -0.033), (0.0123, 0.0456), (-0.08, 0.02)])
def test_a_plane_shifts_by_exactly_the_share_asked_for(x: float, y: float) -> None:
    H, W = 60, 80
    changed = change(plane(H, W, down=70, right=-110), shift_x=x, shift_y=y)
    row, column = np.mgrid[:H, :W].astype(float)
    expected = on_plane(row - y * H, column - x * W, H, W, down=70, right=-110)
    inside = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(changed[inside].astype(int), expected[inside].astype(int), atol=1)


@pytest.mark.parametrize("degrees", [-33.0, -1.0, 0.4, 5.0, 90.0, 135.0])
def test_a_plane_turns_clockwise_about_the_centre(degrees: float) -> None:
    # A clockwise turn takes a slope that rises to the right into one that rises downwards.
    size, slope, angle = 61, 200.0, math.radians(degrees)
    changed = change(plane(size, size, down=0, right=slope), rotation=degrees)
    expected = plane(size, size, down=slope * math.sin(angle), right=slope * math.cos(angle))
    inside = (slice(16, -16), slice(16, -16))  # within the circle that the image keeps
    np.testing.assert_allclose(changed[inside].astype(int), expected[inside].astype(int), atol=1)


@pytest.mark.parametrize("factor", [0.8, 0.99, 1.01, 1.25])
def test_a_plane_becomes_flatter_as_it_grows_about_the_centre(factor: float) -> None:
    changed = change(plane(50, 70, down=90, right=60), scale=factor)
    expected = plane(50, 70, down=90 / factor, right=60 / factor)
    inside = (slice(8, -8), slice(10, -10))
    np.testing.assert_allclose(changed[inside].astype(int), expected[inside].astype(int), atol=1)


def test_the_centre_of_an_odd_image_stays_where_it_is() -> None:
    image = noise_image((21, 31, 3))
    for done in ({"rotation": 77.0}, {"scale": 1.3}, {"scale": 0.7, "rotation": -10.0}):
        np.testing.assert_array_equal(change(image, **done)[10, 15], image[10, 15])


def test_right_angles_are_exact() -> None:
    image = noise_image((17, 17, 3))
    np.testing.assert_array_equal(change(image, rotation=90), np.rot90(image, -1))
    np.testing.assert_array_equal(change(image, rotation=-90), np.rot90(image))
    np.testing.assert_array_equal(change(image[:, :8], rotation=180), image[::-1, 7::-1])


def test_flips_are_exact_and_come_before_the_turn() -> None:
    image = noise_image((6, 6, 3))
    np.testing.assert_array_equal(change(image, flip_horizontal=True), image[:, ::-1])
    np.testing.assert_array_equal(change(image, flip_vertical=True), image[::-1])
    both = change(image, flip_horizontal=True, rotation=90)
    np.testing.assert_array_equal(both, np.rot90(image[:, ::-1], -1))


def test_whole_pixels_shift_exactly_and_what_comes_into_view_is_as_asked() -> None:
    image = np.arange(10, 90, 10, dtype=np.uint8).reshape(1, 8, 1)
    right = {"shift_x": 2 / 8}
    np.testing.assert_array_equal(change(image, **right).ravel(), [30, 20, 10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(change(image, border="edge", **right).ravel(), [10, 10, 10, 20, 30, 40, 50, 60])
    filled = change(image, border="constant", border_level=7, **right)
    np.testing.assert_array_equal(filled.ravel(), [7, 7, 10, 20, 30, 40, 50, 60])


def test_a_constant_border_is_the_median_of_the_outermost_pixels_unless_given() -> None:
    image = noise_image((20, 20, 3))
    image[[0, -1]] = image[:, [0, -1]] = (200, 90, 30)
    image[0, :30] = 5  # fewer than half of them
    moved = change(image, border="constant", shift_y=0.5)
    np.testing.assert_array_equal(moved[:10], np.broadcast_to([200, 90, 30], (10, 20, 3)))
    np.testing.assert_array_equal(moved[10:], image[:10])


def test_what_comes_into_view_is_in_the_same_light() -> None:
    image = np.full((10, 10, 1), 100, np.uint8)
    for border in BORDERS:
        moved = change(image, border=border, shift_x=0.3, rotation=20, brightness=0.1)
        assert np.unique(moved).tolist() == [126], border  # 125.5 to even
    dark = change(image, border="constant", border_level=50, shift_x=0.5, brightness=0.1)
    assert np.unique(dark).tolist() == [76, 126]


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from((1, 3))),
    border=st.sampled_from(sorted(BORDERS)),
    shifts=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    rotation=st.floats(-180, 180),
    scale=st.floats(0.5, 1.5),
)
def test_every_move_is_that_of_scipy(
    shape: tuple[int, int, int], border: str, shifts: tuple[float, float], rotation: float, scale: float
) -> None:
    image = noise_image(shape, np.uint16, seed=shape[0] * 12 + shape[1])
    moved = change(
        image,
        border=border,
        border_level=12_345 if border == "constant" else None,
        shift_x=shifts[0],
        shift_y=shifts[1],
        rotation=rotation,
        scale=scale,
    )
    angle = math.radians(rotation)
    # Rows first: where each pixel comes from.
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / scale
    centre = (np.array(shape[:2]) - 1) / 2
    offset = centre - matrix @ (centre + np.array([shifts[1] * shape[0], shifts[0] * shape[1]]))
    for channel in range(shape[2]):
        expected = ndimage.affine_transform(
            image[:, :, channel].astype(float), matrix, offset, order=1, mode=BORDERS[border], cval=12_345
        )
        np.testing.assert_allclose(moved[:, :, channel].astype(float), expected, atol=0.6)


def test_the_parts_in_which_an_image_is_moved_and_blurred_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise_image((40, 23, 3))
    done = {"rotation": 8.0, "shift_x": 0.1, "scale": 1.1, "blur": 1.3}
    at_once = change(image, **done)
    for chunk in (1, 7 * 23 * 3):
        monkeypatch.setattr(image_changes, "_CHUNK", chunk)
        np.testing.assert_array_equal(change(image, **done), at_once)


# Lens


@pytest.mark.parametrize("sigma", [0.2, 0.7, 1.0, 3.5, 20.0])
def test_blur_spreads_a_point_by_its_variance_and_keeps_its_sum(sigma: float) -> None:
    half = math.ceil(4 * sigma) + 2
    image = np.zeros((2 * half + 1, 2 * half + 1, 1), np.uint16)
    image[half, half] = 60_000
    spread = image_changes._blur(image.astype(np.float32), sigma)[:, :, 0].astype(float)
    at = np.arange(-half, half + 1)
    assert spread.sum() == pytest.approx(60_000, rel=1e-5)
    for axis in (0, 1):
        assert (spread.sum(axis=axis) * at**2).sum() / spread.sum() == pytest.approx(sigma**2, rel=5e-3)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 2.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 3), (30, 1, 1), (3, 2, 1), (25, 40, 3)])
def test_blur_is_that_of_the_bessel_functions(sigma: float, shape: tuple[int, int, int]) -> None:
    image = noise_image(shape, np.uint16)
    orders = np.arange(-40, 41)
    kernel = special.ive(np.abs(orders), sigma**2)  # T(n; t) = exp(-t) I_n(t)
    expected = image.astype(float)
    for axis in (0, 1):
        expected = ndimage.correlate1d(expected, kernel, axis=axis, mode="mirror")
    np.testing.assert_allclose(change(image, blur=sigma).astype(float), expected, atol=10)  # of 65,535 levels


# Sensor


def test_noise_has_its_standard_deviation_and_is_of_its_own_everywhere() -> None:
    image = np.full((300, 300, 3), 30_000, np.uint16)
    added = change(image, noise=0.02, window=Window(20_000, 40_000)).astype(float) - 30_000
    assert added.mean() == pytest.approx(0, abs=4 * 400 / math.sqrt(added.size))
    assert added.std() == pytest.approx(400, rel=4 / math.sqrt(2 * added.size))
    limit = 4 / math.sqrt(300 * 300)
    for a, b in ((added[:, :, 0], added[:, :, 1]), (added[:, 1:, 2], added[:, :-1, 2]), (added[1:], added[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < limit


def test_noise_comes_after_the_lens_and_is_not_blurred() -> None:
    image = np.full((200, 200, 1), 128, np.uint8)
    np.testing.assert_array_equal(change(image, noise=0.03, blur=2.0), change(image, noise=0.03))


# File


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 40, 75, 100])
def test_eight_bits_go_through_jpeg(channels: int, quality: int) -> None:
    image = noise_image((33, 41, channels))
    np.testing.assert_array_equal(change(image, jpeg=quality), through_jpeg(image, quality))


def test_jpeg_comes_last() -> None:
    image = noise_image((24, 24, 1))
    before = change(image, brightness=0.1, rotation=3.0, blur=0.5, noise=0.02)
    after = change(image, brightness=0.1, rotation=3.0, blur=0.5, noise=0.02, jpeg=30)
    np.testing.assert_array_equal(after, through_jpeg(before, 30))


def test_sixteen_bits_get_what_jpeg_does_to_their_rendition_and_keep_their_fine_levels() -> None:
    ramp = np.linspace(1_000, 5_000, 64 * 64).reshape(64, 64, 1)
    image = (ramp + 300 * np.sin(np.arange(64))[:, None, None]).astype(np.uint16)
    window = Window(500, 5_600)  # 20 levels for one of eight bits
    rendition = np.clip(np.rint((image - 500.0) / 20), 0, 255).astype(np.uint8)
    added = through_jpeg(rendition, 50).astype(int) - rendition
    changed = change(image, jpeg=50, window=window)
    np.testing.assert_array_equal(changed.astype(int), image + 20 * added)
    assert np.abs(added).max() >= 3
    assert len(np.unique(changed)) > 2_000


def test_sixteen_bits_that_are_eight_bits_wide_go_through_jpeg_as_eight() -> None:
    image = noise_image((30, 30, 3))
    deep = image.astype(np.uint16) * 257
    np.testing.assert_array_equal(change(deep, jpeg=60), through_jpeg(image, 60).astype(np.uint16) * 257)


def test_images_larger_than_jpeg_holds_go_in_parts_that_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise_image((50, 70, 1))
    monkeypatch.setattr(image_changes, "_JPEG_SIDE", 16)
    np.testing.assert_array_equal(change(image, jpeg=50), through_jpeg(image, 50))
    monkeypatch.undo()
    long = np.full((1, 70_000, 1), 90, np.uint8)
    np.testing.assert_array_equal(change(long, jpeg=90), long)


# Hostile


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[1]], "an image to change must be an array of uint8 or uint16, got list: read it first"),
        (
            np.zeros((4, 4, 1), np.float32),
            "an image to change must be an array of uint8 or uint16, got an array of float32: read it first",
        ),
        *(
            (
                np.zeros(shape, np.uint8),
                f"an image to change must have the shape [H, W, 1] or [H, W, 3], got {list(shape)}: read it first",
            )
            for shape in ((4, 4), (4, 4, 2), (4, 4, 4), (0, 4, 1), (4, 0, 3), (1, 4, 4, 3))
        ),
    ],
)
def test_what_is_no_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        change_image(image, Change(), window=Window(0, 255), border="mirror", noise=np.random.default_rng(0))
    assert str(caught.value) == message


def test_images_that_are_not_contiguous_are_as_good_as_others() -> None:
    image = noise_image((20, 24, 3))
    done = {"brightness": 0.05, "rotation": 4.0, "blur": 0.8, "noise": 0.01, "jpeg": 80}
    for view in (image[::2, ::-3], image.swapaxes(0, 1), np.asfortranarray(image)):
        np.testing.assert_array_equal(change(view, **done), change(np.ascontiguousarray(view), **done))
