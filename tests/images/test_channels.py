"""Images of several channels, and transparency as a mask: what is read, and what is refused."""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from test_reading import over_black, same

from hostile import encoded, noise, png
from onlygood.errors import ImageError, ImageFormatError, SettingError
from onlygood.images.channels import MOST_CHANNELS, channel_groups, name_channels, shown_channels, split_mask
from onlygood.images.reading import ReadingLimits, read_image

MASK = ReadingLimits(alpha="mask")


def tiff(array: NDArray[Any], extra: list[int], *, planar: str = "contig", photometric: str = "minisblack") -> bytes:
    """A TIFF of an array [H, W, C] whose channels beyond grey or RGB are declared as these: 0, 1 or 2."""
    buffer = io.BytesIO()
    stored = np.ascontiguousarray(np.moveaxis(array, 2, 0)) if planar == "separate" else array
    tifffile.imwrite(buffer, stored, photometric=photometric, planarconfig=planar, extrasamples=extra)
    return buffer.getvalue()


def masked(colours: NDArray[Any], alpha: NDArray[Any], maximum: int) -> NDArray[Any]:
    """What is read of colours [H, W, C] and alpha [H, W] as a mask."""
    opaque = alpha > maximum / 2
    full = np.iinfo(colours.dtype).max
    return np.dstack([np.where(opaque[:, :, None], colours, 0), np.where(opaque, full, 0)]).astype(colours.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [2, 4, 5, 12, 16])
def test_tiff_channels_come_back_as_they_are(dtype: Any, planar: str, channels: int) -> None:
    values = noise(channels, 6, 8, channels, dtype=dtype)
    same(read_image(tiff(values, [0] * (channels - 1), planar=planar)), values)
    if channels > 3:
        same(read_image(tiff(values, [0] * (channels - 3), planar=planar, photometric="rgb")), values)


def test_tiff_says_which_channel_is_alpha_and_who_asks_for_it_gets_it_as_a_channel() -> None:
    values = noise(1, 6, 8, 4)
    data = tiff(values, [2], photometric="rgb")
    same(read_image(data), over_black(values[:, :, :3], values[:, :, 3]))
    same(read_image(data, limits=ReadingLimits(channels=4)), values)
    same(read_image(data, limits=MASK), masked(values[:, :, :3], values[:, :, 3], 255))
    # The third of three extra ones, behind two others.
    six = noise(2, 6, 8, 6)
    data = tiff(six, [0, 0, 2], photometric="rgb")
    same(read_image(data, limits=MASK), masked(six[:, :, :5], six[:, :, 5], 255))
    same(
        read_image(tiff(six, [2, 0, 0], photometric="rgb"), limits=MASK),
        masked(six[:, :, [0, 1, 2, 4, 5]], six[:, :, 3], 255),
    )
    # Colours that were multiplied with it already lie over black as they are.
    same(read_image(tiff(values, [1], photometric="rgb"), limits=MASK), masked(values[:, :, :3], values[:, :, 3], 255))


def test_tiff_channels_where_0_is_white_are_inverted() -> None:
    values = noise(3, 6, 8, 5)
    same(read_image(tiff(values, [0] * 4, photometric="miniswhite")), 255 - values)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (tiff(noise(1, 4, 5, 17), [0] * 16), "part.tif must have at most 16 channels, got 17: save those alone"),
        (tiff(noise(1, 4, 5, 19), [0] * 16, photometric="rgb"), "part.tif must have at most 16 channels, got 19: "),
        (tiff(noise(1, 4, 5, 5), [2, 2], photometric="rgb"), "part.tif has 5 channels that the file does not declare"),
        (tiff(noise(1, 4, 5, 3), [0, 0]), "part.tif has 3 channels that the file does not declare as grey, RGB"),
    ],
)
def test_tiff_channels_that_are_too_many_or_unclear_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(data, name="part.tif")
    assert str(caught.value).startswith(sentence)


def test_tiff_channels_that_are_unclear_are_read_where_so_many_are_asked_for() -> None:
    three, five = noise(1, 4, 5, 3), noise(2, 4, 5, 5)
    same(read_image(tiff(three, [0, 0]), limits=ReadingLimits(channels=3)), three)
    same(read_image(tiff(five, [2, 2], photometric="rgb"), limits=ReadingLimits(channels=5)), five)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_of_several_channels(dtype: Any) -> None:
    for channels in range(5, MOST_CHANNELS + 1):
        values = noise(channels, 20, 8, channels, dtype=dtype)
        same(read_image(values), values)
    for channels in (2, 4):
        values = noise(channels, 6, 8, channels, dtype=dtype)
        same(read_image(values, limits=ReadingLimits(channels=channels)), values)
    maximum = int(np.iinfo(dtype).max)
    for channels in (2, 4):
        values = noise(channels, 6, 8, channels, dtype=dtype)
        expected = masked(values[:, :, :-1], values[:, :, -1], maximum)
        same(read_image(values, limits=MASK), expected)
    thirteen = noise(13, 6, 8, 13, dtype=dtype)
    limits = ReadingLimits(channels=12, alpha="mask")
    same(read_image(thirteen, limits=limits), masked(thirteen[:, :, :12], thirteen[:, :, 12], maximum))


@pytest.mark.parametrize(
    ("array", "keywords", "sentence"),
    [
        (
            noise(1, 6, 8, 17),
            {},
            "x must have the shape [H, W] or [H, W, C] with at most 16 channels C, got [6, 8,",
        ),
        (noise(1, 6, 8, 2), {}, "x must have the shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], or channels of whi"),
        (
            noise(1, 5, 8, 12),
            {},
            "x must have the shape [H, W] or [H, W, C] with at most 16 channels C, got [5, 8,",
        ),
        (
            noise(1, 20, 8, 6),
            {"channel_order": "bgr"},
            "x must have blue, green and red with channel_order 'bgr', ",
        ),
        (noise(1, 20, 8, 6), {"limits": ReadingLimits(channels=5)}, "x must have 5 channels, got 6 channels: give"),
        (
            noise(1, 20, 8, 3),
            {"limits": ReadingLimits(channels=1)},
            "x must have 1 channel (grey), got 3 channels (c",
        ),
        (noise(1, 20, 8), {"limits": ReadingLimits(channels=4)}, "x must have 4 channels, got 1 channel (grey): give"),
    ],
)
def test_arrays_that_cannot_be_told_are_refused(array: NDArray[Any], keywords: Any, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(array, name="x", **keywords)
    assert str(caught.value).startswith(sentence)


def test_grey_is_taken_where_colour_is_asked_for() -> None:
    grey = noise(1, 6, 8)
    same(read_image(grey, limits=ReadingLimits(channels=3)), grey)


ALPHA = np.array([[0, 127, 128, 255], [255, 1, 200, 100]], dtype=np.uint8)
RGBA = np.dstack([noise(5, 2, 4, 3), ALPHA])
LA = np.dstack([noise(6, 2, 4), ALPHA])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP", "PIL", "array", "PAM", "JPEG XL"])
def test_transparency_is_a_mask_in_every_format_that_has_it(kind: str) -> None:
    source: Any = RGBA
    if kind == "PIL":
        source = Image.fromarray(RGBA)
    elif kind == "WebP":
        source = encoded(RGBA, kind, lossless=True, exact=True)
    elif kind == "JPEG XL":
        source = imagecodecs.jpegxl_encode(RGBA, lossless=True)
    elif kind == "PAM":
        header = "P7\nWIDTH 4\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
        source = header.encode() + RGBA.tobytes()
    elif kind == "TIFF":
        source = tiff(RGBA, [2], photometric="rgb")
    elif kind != "array":
        source = encoded(RGBA, kind)
    same(read_image(source, limits=MASK), masked(RGBA[:, :, :3], ALPHA, 255))
    assert read_image(source).shape == (2, 4, 3)
    same(read_image(source, limits=ReadingLimits(channels=4)), RGBA)


def test_grey_with_transparency() -> None:
    for source in (Image.fromarray(LA, "LA"), png(LA, "grey-alpha", 8), LA):
        same(read_image(source, limits=MASK), masked(LA[:, :, :1], ALPHA, 255))
        same(read_image(source, limits=ReadingLimits(channels=2)), LA)


def test_16_bit_transparency_is_a_mask() -> None:
    values = noise(7, 4, 5, 4, dtype=np.uint16)
    for data in (png(values, "rgba", 16), tiff(values, [2], photometric="rgb")):
        same(read_image(data, limits=MASK), masked(values[:, :, :3], values[:, :, 3], 65_535))


def test_transparent_colours_of_png_and_gif_are_a_mask() -> None:
    grey = np.array([[0, 10], [20, 10]], dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", transparency=10)
    same(read_image(buffer.getvalue(), limits=MASK), masked(grey[:, :, None], np.where(grey == 10, 0, 255), 255))
    for kind in ("PNG", "GIF"):
        palette = Image.fromarray(grey // 10, "P")
        palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        buffer = io.BytesIO()
        palette.save(buffer, kind, transparency=1)
        colours = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], dtype=np.uint8)[grey // 10]
        same(read_image(buffer.getvalue(), limits=MASK), masked(colours, np.where(grey == 10, 0, 255), 255))


def test_images_without_transparency_are_looked_at_everywhere(tmp_path: Path) -> None:
    for channels in (1, 3):
        values = noise(channels, 6, 8, channels)
        expected = np.dstack([values, np.full((6, 8), 255, np.uint8)])
        path = tmp_path / f"{channels}.png"
        Image.fromarray(values.squeeze()).save(path)
        for source in (values, path, encoded(values.squeeze(), "TIFF"), Image.fromarray(values.squeeze())):
            same(read_image(source, limits=MASK), expected)


def test_what_is_transparent_everywhere_is_refused() -> None:
    clear = np.dstack([noise(1, 4, 4, 3), np.full((4, 4), 127, np.uint8)])
    with pytest.raises(ImageError, match=r"^a must have pixels that are more opaque than transparent, got none: leave"):
        read_image(clear, name="a", limits=MASK)


def test_limits_are_checked() -> None:
    for channels in (0, 17, 2.5):
        with pytest.raises(SettingError, match="channels must be a whole number from 1 to 16, got"):
            ReadingLimits(channels=channels)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="alpha must be one of black, mask, got 'white'"):
        ReadingLimits(alpha="white")  # type: ignore[arg-type]
    assert ReadingLimits(channels=4, alpha="mask", max_pixels=7).bounds == ReadingLimits(max_pixels=7)


@pytest.mark.parametrize(
    ("channels", "groups"),
    [
        (2, ((0, 0, 0), (1, 1, 1))),
        (4, ((0, 1, 2), (3, 3, 3))),
        (5, ((0, 1, 2), (3, 3, 3), (4, 4, 4))),
        (6, ((0, 1, 2), (3, 4, 5))),
        (12, ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))),
    ],
)
def test_groups_are_threes_and_then_each_alone(channels: int, groups: Any) -> None:
    assert channel_groups(channels) == groups


def test_every_channel_is_in_one_group() -> None:
    for channels in (2, *range(4, MOST_CHANNELS + 1)):
        found = [channel for group in channel_groups(channels) for channel in sorted(set(group))]
        assert found == list(range(channels))


def test_what_a_person_is_shown() -> None:
    for channels, expected in ((1, 1), (2, 1), (3, 3), (4, 3), (12, 3)):
        values = noise(channels, 4, 5, channels)
        same(shown_channels(values), values[:, :, :expected])
        with_mask = np.dstack([values, np.full((4, 5), 255, np.uint8)])
        same(shown_channels(with_mask, has_mask=True), values[:, :, :expected])
    colours, mask = split_mask(read_image(RGBA, limits=MASK), has_mask=True)
    assert colours.shape == (2, 4, 3)
    assert mask is not None
    assert mask.tolist() == (ALPHA > 127).tolist()
    assert [name_channels(number) for number in (1, 3, 4)] == ["grey", "colour", "4 channels"]


def test_a_wrong_number_is_an_error_of_its_own() -> None:
    with pytest.raises(ImageFormatError):
        read_image(noise(1, 6, 8), limits=ReadingLimits(channels=4))
