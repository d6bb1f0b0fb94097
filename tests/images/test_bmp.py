"""BMP files with bit fields: masks say where red, green, blue and alpha are."""

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_reading import over_black, same

from hostile import encoded, noise
from onlygood.errors import ImageError
from onlygood.images.reading import read_image

RGB565, RGB555 = (0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)
RGB888, BGR888 = (0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)


def bmp_of(
    values: NDArray[Any], masks: tuple[int, ...], *, header: int = 40, compression: int = 3, top_down: bool = False
) -> bytes:
    """A BMP of values `[H, W]`, uint16 or uint32."""
    height, width = values.shape
    stride = (width * values.dtype.itemsize + 3) // 4 * 4
    rows = b"".join(row.tobytes().ljust(stride, b"\0") for row in (values if top_down else values[::-1]))
    info = struct.pack(
        "<IiiHHIIiiII", header, width, -height if top_down else height, 1, 8 * values.dtype.itemsize, compression,
        len(rows), 0, 0, 0, 0,
    )  # fmt: skip
    info = (info + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0")
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + rows


def field(values: NDArray[Any], mask: int) -> NDArray[Any]:
    return (values.astype(np.int64) & mask) // (mask & -mask)


@pytest.mark.parametrize("masks", [RGB565, RGB555, RGB565[::-1]], ids=["565", "555", "bgr565"])
@pytest.mark.parametrize("top_down", [False, True])
def test_16_bits_have_the_colours_of_other_decoders(masks: tuple[int, ...], top_down: bool) -> None:
    data = bmp_of(noise(1, 9, 7, dtype=np.uint16), masks, top_down=top_down)
    same(read_image(data), imagecodecs.bmp_decode(data))
    if masks != RGB565[::-1]:
        same(read_image(data), np.asarray(Image.open(io.BytesIO(data))))


def test_16_bits_without_masks_are_555() -> None:
    values = noise(1, 9, 7, dtype=np.uint16)
    same(read_image(bmp_of(values, (), compression=0)), read_image(bmp_of(values, RGB555)))


@pytest.mark.parametrize("masks", [RGB888, BGR888, (0xFF000000, 0xFF0000, 0xFF00)])
def test_32_bits_have_the_colours_that_their_masks_say(masks: tuple[int, ...]) -> None:
    values = noise(2, 9, 7, dtype=np.uint32)
    expected = np.stack([field(values, mask) for mask in masks], axis=2).astype(np.uint8)
    same(read_image(bmp_of(values, masks)), expected)


@pytest.mark.parametrize(("header", "compression"), [(56, 3), (108, 3), (124, 3), (40, 6)])
def test_alpha_is_laid_over_black_where_a_mask_says_it(header: int, compression: int) -> None:
    values = noise(3, 9, 7, dtype=np.uint32)
    colour = np.stack([field(values, mask) for mask in RGB888], axis=2).astype(np.uint8)
    alpha = (values >> 24).astype(np.uint8)
    data = bmp_of(values, (*RGB888, 0xFF000000), header=header, compression=compression)
    same(read_image(data), over_black(colour, alpha))
    same(read_image(bmp_of(values, (*RGB888, 0), header=header, compression=compression)), colour)


def test_one_bit_of_alpha_is_all_or_nothing() -> None:
    values = noise(4, 9, 7, dtype=np.uint16)
    opaque = read_image(bmp_of(values, RGB555))
    got = read_image(bmp_of(values, (*RGB555, 0x8000), header=56))
    same(got, np.where((values >> 15)[:, :, None] == 1, opaque, 0).astype(np.uint8))


def test_ten_bits_a_channel_are_raw() -> None:
    values, masks = noise(5, 9, 7, dtype=np.uint32), (0x3FF00000, 0xFFC00, 0x3FF)
    same(read_image(bmp_of(values, masks)), np.stack([field(values, mask) for mask in masks], axis=2).astype(np.uint16))


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ((0xF8F, 0x7E0, 0x1F), "the bit fields of its colours cannot be read"),
        ((0x1F0000, 0x7E0, 0x1F), "the bit fields of its colours cannot be read"),
        ((0xF800, 0, 0x1F), "colours of 5, 0, 5 bits"),
    ],
)
def test_masks_without_a_meaning_are_refused(masks: tuple[int, ...], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(bmp_of(noise(6, 4, 4, dtype=np.uint16), masks))


def test_colours_of_different_depth_above_8_bits_are_refused() -> None:
    with pytest.raises(ImageError, match="a BMP with colours of 11, 11, 10 bits: save it with 8 or 16 bits"):
        read_image(bmp_of(noise(6, 4, 4, dtype=np.uint32), (0xFFE00000, 0x1FFC00, 0x3FF)))


def test_jpeg_and_png_in_a_bmp_are_named() -> None:
    for compression, what in ((4, "JPEG"), (5, "PNG")):
        with pytest.raises(ImageError, match=f"a BMP file that holds a {what} image: take that out"):
            read_image(bmp_of(noise(6, 4, 4, dtype=np.uint16), (), compression=compression))


def test_a_size_that_the_file_does_not_have_is_damage() -> None:
    data = encoded(noise(7, 16, 16, 3), "BMP")
    with pytest.raises(ImageError, match="it has 812 of 822 bytes"):
        read_image(data[:-10])
    with pytest.raises(ImageError, match="it says that it has 822 bytes, and has 832"):
        read_image(data[:400] + bytes(10) + data[400:])
    # programs leave the field empty, or put something after the pixels and count it
    same(read_image(data[:2] + bytes(4) + data[6:]), noise(7, 16, 16, 3))
    same(read_image(data[:2] + struct.pack("<I", 900) + data[6:] + bytes(78)), noise(7, 16, 16, 3))
