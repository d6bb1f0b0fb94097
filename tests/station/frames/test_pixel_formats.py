"""Pixels of machine-vision cameras, against arrays that are laid out by hand."""

import numpy as np
import pytest

from onlygood.errors import SourceError
from onlygood.station.frames.pixel_formats import FORMATS, to_pixels

BY_NAME = {found.name: found.code for found in FORMATS.values()}
PLACES = {"RGGB": "RGGB", "GRBG": "GRBG", "GBRG": "GBRG", "BGGR": "BGGR"}


def test_codes_say_how_many_bits_a_pixel_takes() -> None:
    # bits 16 to 23 of a code, and bits 24 to 31: 1 for grey and mosaics, 2 for colour
    for found in FORMATS.values():
        assert found.code >> 16 & 0xFF == 8 * found.channels * found.byte_count, found.name
        assert found.code >> 24 == (1 if found.channels == 1 else 2), found.name


@pytest.mark.parametrize("name", ["Mono8", "Mono10", "Mono12", "Mono14", "Mono16"])
@pytest.mark.parametrize("padding", [0, 3])
def test_grey(name: str, padding: int) -> None:
    dtype = np.dtype("u1" if name == "Mono8" else "<u2")
    image = np.arange(12).reshape(3, 4).astype(dtype) * 20
    data = b"".join(row.tobytes() + b"\xee" * padding for row in image)
    got = to_pixels(data, BY_NAME[name], 3, 4, padding)
    assert got.dtype == (np.uint8 if name == "Mono8" else np.uint16)
    assert np.array_equal(got, image[:, :, None])
    # the last row needs no bytes behind it
    assert np.array_equal(got, to_pixels(data[: len(data) - padding], BY_NAME[name], 3, 4, padding))


@pytest.mark.parametrize("name", ["RGB8", "BGR8", "RGBa8", "BGRa8", "RGB10", "BGR12", "RGB16"])
def test_colour(name: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype("u1" if "8" in name else "<u2")
    order = rgb[:, :, ::-1] if name.startswith("BGR") else rgb
    if "a" in name:
        order = np.concatenate([order, np.full((3, 4, 1), 77, rgb.dtype)], axis=2)
    got = to_pixels(np.ascontiguousarray(order).tobytes(), BY_NAME[name], 3, 4)
    assert np.array_equal(got, rgb) and got.flags.c_contiguous


@pytest.mark.parametrize("mosaic", PLACES)
@pytest.mark.parametrize("bits", [8, 12])
def test_a_mosaic_of_one_colour_gives_that_colour(mosaic: str, bits: int) -> None:
    name = f"Bayer{ {'RGGB': 'RG', 'GRBG': 'GR', 'GBRG': 'GB', 'BGGR': 'BG'}[mosaic] }{bits}"
    colour = {"R": 200, "G": 100, "B": 50} if bits == 8 else {"R": 4000, "G": 2000, "B": 1000}
    cell = np.array([colour[letter] for letter in mosaic]).reshape(2, 2)
    image = np.tile(cell, (6, 8)).astype("u1" if bits == 8 else "<u2")
    got = to_pixels(image.tobytes(), BY_NAME[name], 12, 16)
    assert got.shape == (12, 16, 3) and got.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.array_equal(got[2:-2, 2:-2].reshape(-1, 3), np.tile([*colour.values()], (8 * 12, 1)))


def test_what_cannot_be_read() -> None:
    remedy = "set its node PixelFormat to Mono8, Mono12, RGB8 or BayerRG8"
    expected = f"^a camera must give a pixel format that is read, got one with the code 0x010c0047: {remedy}$"
    with pytest.raises(SourceError, match=expected):
        to_pixels(bytes(100), 0x010C0047, 3, 4)
    with pytest.raises(
        SourceError, match=r"^an image of 4 x 3 pixels in RGB8 must have 36 bytes, got 35: check the cable"
    ):
        to_pixels(bytes(35), BY_NAME["RGB8"], 3, 4)
