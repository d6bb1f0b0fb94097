import io
import logging
import os
import struct
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from hostile import (
    bmp,
    bombs,
    encoded,
    exif,
    jpeg_claiming,
    noise,
    not_pictures,
    png,
    png_chunk,
    small_pictures,
    tiff,
    tiff_tags,
)
from onlygood.errors import PictureError, PictureFormatError, PictureTooLargeError, SettingError
from onlygood.reading import ReadingLimits, fit_channels, picture_pages, read_picture, require_depth

SMALL = small_pictures()
MULTI_PAGE = {"tiff-pages"}


def by_tifffile(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def same(got: NDArray[Any], expected: NDArray[Any]) -> None:
    expected = expected if expected.ndim == 3 else expected[:, :, None]
    assert got.flags.c_contiguous
    assert got.dtype == expected.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, expected, strict=True)


def over_black(colour: NDArray[Any], alpha: NDArray[Any]) -> Any:
    """Reference in Python's integers: round(colour * alpha / maximum); maximum is odd, so there are no ties."""
    maximum = int(np.iinfo(colour.dtype).max)
    product = colour.astype(object) * alpha.astype(object)[:, :, None]
    return ((2 * product + maximum) // (2 * maximum)).astype(colour.dtype)


# Formats and modes


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (2, 3), (4, 15), (8, 255)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_grey_of_up_to_8_bits_has_white_at_255(bits: int, white: int, interlaced: bool) -> None:
    levels = noise(1, 9, 13) & np.uint8(white)
    got = read_picture(png(levels, "grey", bits, interlaced=interlaced))
    same(got, levels * np.uint8(255 // white))
    assert {int(got.min()), int(got.max())} == {int(levels.min()) * 255 // white, int(levels.max()) * 255 // white}


@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_keeps_every_value(kind: str, dtype: Any, interlaced: bool) -> None:
    values = noise(2, 11, 9, 1 if kind == "grey" else 3, dtype=dtype)
    same(read_picture(png(values, kind, np.iinfo(dtype).bits, interlaced=interlaced, idat_size=37)), values)


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("width", [1, 2, 4, 5, 9])
def test_interlaced_png_of_16_bit_colour_with_empty_passes_keeps_every_value(height: int, width: int) -> None:
    values = noise(2, height, width, 3, dtype=np.uint16)
    same(read_picture(png(values, "rgb", 16, interlaced=True)), values)


def test_interlaced_png_of_16_bit_colour_with_too_few_pixels_is_refused() -> None:
    data = png(noise(2, 8, 8, 3, dtype=np.uint16), "rgb", 16, interlaced=True)
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    rows = zlib.decompress(data[start + 8 : end - 4])
    for short in (zlib.compress(rows[:-1]), zlib.compress(rows)[:-20], b"not deflate"):
        with pytest.raises(PictureError, match=r"parts of its pixels are missing|cannot be decoded as PNG"):
            read_picture(data[:start] + png_chunk(b"IDAT", short) + data[end:])


@pytest.mark.parametrize("kind", ["grey-alpha", "rgba"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_with_alpha_is_laid_over_black_unless_opaque(kind: str, dtype: Any) -> None:
    values = noise(3, 11, 9, 2 if kind == "grey-alpha" else 4, dtype=dtype)
    bits, maximum = np.iinfo(dtype).bits, np.iinfo(dtype).max
    values[0, 0, -1], values[0, 1, -1], values[0, 2] = 0, maximum, maximum
    got = read_picture(png(values, kind, bits))
    same(got, over_black(values[:, :, :-1], values[:, :, -1]))
    assert (got[0, 0] == 0).all()
    assert (got[0, 1] == values[0, 1, :-1]).all()
    assert (got[0, 2] == maximum).all()
    values[:, :, -1] = maximum
    same(read_picture(png(values, kind, bits)), values[:, :, :-1])


@pytest.mark.parametrize(
    ("kind", "bits", "key"), [("grey", 1, [1]), ("grey", 4, [9]), ("grey", 8, [200]), ("grey", 16, [513])]
)
def test_png_transparent_grey_becomes_black(kind: str, bits: int, key: list[int]) -> None:
    values = noise(4, 8, 8, 1, dtype=np.uint16) & np.uint16(2**bits - 1)
    values[2, 3] = key
    got = read_picture(png(values, kind, bits, before=[png_chunk(b"tRNS", struct.pack(">H", *key))]))
    expected = np.where(values == key, 0, values)
    same(got, expected.astype(np.uint16) if bits == 16 else (expected * (255 // (2**bits - 1))).astype(np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_transparent_colour_becomes_black_and_no_other(dtype: Any) -> None:
    values = noise(5, 8, 8, 3, dtype=dtype)
    values[2, 3], values[4, 4], key = [1, 2, 3], [1, 2, 4], [1, 2, 3]
    got = read_picture(png(values, "rgb", np.iinfo(dtype).bits, before=[png_chunk(b"tRNS", struct.pack(">HHH", *key))]))
    values[2, 3] = 0
    same(got, values)
    assert got[4, 4].tolist() == [1, 2, 4]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_palette_gives_its_colours(bits: int) -> None:
    palette, indices = noise(6, 2**bits, 3), noise(7, 9, 7) & np.uint8(2**bits - 1)
    same(read_picture(png(indices, "palette", bits, palette=palette)), palette[indices])


def test_png_palette_with_transparency_is_laid_over_black() -> None:
    palette, indices = noise(6, 16, 3), noise(7, 9, 7) % 16
    alpha = np.array([0, 10, 128, 255, 77], np.uint8)
    got = read_picture(png(indices, "palette", 8, palette=palette, before=[png_chunk(b"tRNS", alpha.tobytes())]))
    opacity = np.concatenate([alpha, np.full(11, 255, np.uint8)])
    same(got, over_black(palette[indices], opacity[indices]))


def test_grey_palette_gives_one_channel_whatever_the_pixels_use() -> None:
    greys = np.repeat(noise(8, 16, 1), 3, axis=1)
    indices = noise(9, 6, 5) % 16
    same(read_picture(png(indices, "palette", 4, palette=greys)), greys[indices][:, :, :1])
    one_colour = greys.copy()
    one_colour[15] = [1, 2, 3]
    unused = indices % 15
    same(read_picture(png(unused, "palette", 4, palette=one_colour)), one_colour[unused])


def test_palette_index_without_a_colour_is_refused() -> None:
    data = png(np.full((4, 4), 9, np.uint8), "palette", 8, palette=noise(6, 4, 3))
    with pytest.raises(PictureError, match="uses colour 9 of a palette of 4"):
        read_picture(data)


def test_png_metadata_cannot_upset_the_pixels() -> None:
    values = noise(5, 8, 8, 3)
    junk = [
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10_000_000))),
        png_chunk(b"iCCP", b"x\0\0not deflate"),
        png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        png_chunk(b"tEXt", b"no separator")[:-4] + b"\0\0\0\0",
    ]
    same(read_picture(png(values, "rgb", 8, before=junk, after=junk)), values)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 100}])
def test_jpeg_gives_what_pillow_decodes(options: dict[str, Any]) -> None:
    for array in (noise(1, 33, 41), noise(2, 33, 41, 3)):
        data = encoded(array, "JPEG", **options)
        same(read_picture(data), np.asarray(Image.open(io.BytesIO(data))))


def test_jpeg_cmyk_as_adobe_writes_it_gives_its_colours() -> None:
    ink = np.zeros((16, 64, 4), np.uint8)
    ink[:, 16:32, 0], ink[:, 32:48, 3], ink[:, 48:] = 255, 255, [0, 128, 255, 64]
    buffer = io.BytesIO()
    Image.fromarray(ink, "CMYK").save(buffer, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in buffer.getvalue()
    got = read_picture(buffer.getvalue()).astype(int)
    for column, colour in ((4, [255, 255, 255]), (20, [0, 255, 255]), (40, [0, 0, 0]), (60, [191, 95, 0])):
        assert np.abs(got[8, column] - colour).max() <= 3


def test_jpeg_cmyk_that_does_not_say_whether_it_is_inverted_is_refused() -> None:
    data = SMALL["jpeg-cmyk"]
    at = data.index(b"\xff\xee")
    with pytest.raises(PictureError, match="does not say whether it is inverted: save it as RGB"):
        read_picture(data[:at] + data[at + 16 :])


def test_jpeg_of_12_bits_is_refused() -> None:
    with pytest.raises(PictureError, match="is a JPEG of 12 bits"):
        read_picture(jpeg_claiming(16, 16, bits=12))


def test_jpeg_with_odd_but_lawful_headers_reads() -> None:
    data = encoded(noise(1, 16, 16), "JPEG")
    odd = (
        data[:2]
        + b"\xff\xff\xff\xfe\0\x04hi"  # fill bytes, a comment
        + b"\xff\xe1\0\x08Exif\0\0"  # an EXIF block with nothing in it
        + b"\xff\xe2\0\x10ICC_PROFILE\0\x09\x01"  # a colour profile that is cut short
        + b"\xff\xed\0\x12Photoshop 3.0\0\x01\x02"
        + data[2:]
        + b"rubbish after the end"
    )
    same(read_picture(odd), read_picture(data))


@pytest.mark.parametrize("array", [noise(1, 7, 5), noise(2, 7, 5, 3)], ids=["grey", "rgb"])
def test_bmp_keeps_every_value(array: NDArray[Any]) -> None:
    same(read_picture(encoded(array, "BMP")), array)


def test_bmp_with_alpha_is_laid_over_black() -> None:
    values = noise(3, 7, 5, 4)
    same(read_picture(encoded(values, "BMP")), values[:, :, :3])  # without masks its fourth byte means nothing
    header = struct.pack("<IiiHHIIiiII", 108, 5, 7, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + 140, 0, 0, 14 + 108) + header
    data += values[::-1, :, [2, 1, 0, 3]].tobytes()
    same(read_picture(data), over_black(values[:, :, :3], values[:, :, 3]))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bmp_palette_gives_its_colours(bits: int) -> None:
    palette = noise(6, 2**bits, 3)
    indices = noise(7, 5, 32) & np.uint8(2**bits - 1)
    rows = np.packbits(np.unpackbits(indices[:, :, None], axis=2)[:, :, -bits:].reshape(5, -1), axis=1)
    same(read_picture(bmp(rows, bits, palette[:, ::-1])), palette[indices])


def test_bmp_palette_that_is_grey_but_not_a_ramp_gives_one_channel() -> None:
    falling = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    indices = noise(7, 5, 32)
    same(read_picture(bmp(indices, 8, falling)), 255 - indices)


def test_bmp_of_8_bits_with_two_colours_is_not_misread() -> None:
    indices = noise(7, 5, 32) % 2
    with pytest.raises(PictureError, match="8 bits with a palette of two colours: save it as PNG"):
        read_picture(bmp(indices, 8, np.array([[0] * 3, [255] * 3], np.uint8)))


def test_webp_lossless_keeps_every_value() -> None:
    rgb, rgba = noise(2, 9, 7, 3), noise(3, 9, 7, 4)
    same(read_picture(encoded(rgb, "WEBP", lossless=True)), rgb)
    same(read_picture(encoded(rgba, "WEBP", lossless=True, exact=True)), over_black(rgba[:, :, :3], rgba[:, :, 3]))


def test_webp_lossy_gives_what_pillow_decodes() -> None:
    for array in (noise(2, 33, 41, 3), noise(1, 33, 41)):
        data = encoded(array, "WEBP")
        got = read_picture(data)
        same(got, np.asarray(Image.open(io.BytesIO(data))))
        assert got.shape == (33, 41, 3)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_refused_and_one_frame_is_not(kind: str) -> None:
    frames = [Image.fromarray(noise(seed, 8, 8, 3)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(PictureError, match=r"is an animation, and one still picture is required"):
        read_picture(buffer.getvalue())
    still = png_chunk(b"acTL", struct.pack(">II", 1, 0))
    same(read_picture(png(noise(1, 8, 8, 3), "rgb", 8, before=[still])), noise(1, 8, 8, 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">"},
        {"rowsperstrip": 5},
        {"tile": (16, 32)},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True, "byteorder": ">"},
        {"compression": "zlib", "rowsperstrip": 7},
        {"compression": "zlib", "predictor": True, "tile": (16, 16)},
        {"compression": "packbits", "rowsperstrip": 7},
        {"compression": "zstd"},
        {"compression": "lzma"},
    ],
    ids=str,
)
def test_tiff_keeps_every_value(dtype: Any, kind: str, options: dict[str, Any]) -> None:
    values = noise(2, 35, 41, dtype=dtype) if kind == "grey" else noise(2, 35, 41, 3, dtype=dtype)
    data = by_tifffile(values, photometric="minisblack" if kind == "grey" else "rgb", **options)
    same(read_picture(data), values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}, {"rowsperstrip": 4}], ids=str)
def test_tiff_of_separate_planes_keeps_every_value(dtype: Any, options: dict[str, Any]) -> None:
    values = noise(2, 35, 41, 3, dtype=dtype)
    data = by_tifffile(np.moveaxis(values, 2, 0), photometric="rgb", planarconfig="separate", **options)
    same(read_picture(data), values)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_tiff_as_libtiff_writes_it_keeps_every_value(compression: str | None) -> None:
    for array in (noise(1, 35, 41), noise(2, 35, 41, 3), noise(3, 35, 41, dtype=np.uint16)):
        same(read_picture(encoded(array, "TIFF", compression=compression)), array)


@pytest.mark.parametrize("compression", [None, "group3", "group4", "tiff_ccitt", "packbits"])
def test_tiff_of_one_bit_gives_0_and_255(compression: str | None) -> None:
    values = noise(1, 17, 24) > 127
    same(read_picture(encoded(values, "TIFF", compression=compression)), values * np.uint8(255))


@pytest.mark.parametrize("bits", [2, 4])
def test_tiff_of_2_or_4_bits_has_white_at_255(bits: int) -> None:
    values = noise(1, 6, 8) % 2**bits
    rows = np.packbits(np.unpackbits(values[:, :, None], axis=2)[:, :, -bits:].reshape(6, -1), axis=1)
    got = read_picture(tiff([tiff_tags(8, 6, rows.tobytes(), t258=(3, [bits]))]))
    same(got, values * np.uint8(255 // (2**bits - 1)))


def test_tiff_of_packed_12_bits_gives_the_raw_values() -> None:
    values = noise(1, 6, 8, dtype=np.uint16) % 4096
    digits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(6, 8, 2), axis=2)[:, :, 4:]
    same(read_picture(tiff([tiff_tags(8, 6, np.packbits(digits).tobytes(), t258=(3, [12]))])), values)


def test_12_bits_in_a_16_bit_file_stay_as_they_are() -> None:
    values = noise(1, 6, 8, dtype=np.uint16) % 4096
    same(read_picture(png(values, "grey", 16)), values)
    same(read_picture(by_tifffile(values, photometric="minisblack")), values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_0_is_white_is_inverted(dtype: Any) -> None:
    values = noise(1, 6, 8, dtype=dtype)
    same(read_picture(by_tifffile(values, photometric="miniswhite")), np.iinfo(dtype).max - values)
    bits = np.packbits(values > np.iinfo(dtype).max // 2, axis=1)
    got = read_picture(tiff([tiff_tags(8, 6, bits.tobytes(), t258=(3, [1]), t262=(3, [0]))]))
    same(got, (values <= np.iinfo(dtype).max // 2) * np.uint8(255))


def test_tiff_jpeg_is_decoded_within_what_jpeg_loses() -> None:
    ramp = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    rgb = np.stack([ramp, 200 - ramp, ramp // 2], axis=2)
    for array, photometric in ((ramp, "minisblack"), (rgb, "rgb")):
        data = by_tifffile(array, photometric=photometric, compression="jpeg", compressionargs={"level": 95})
        got = read_picture(data).astype(int)
        assert np.abs(got - array.reshape(got.shape)).max() <= 6
    by_pillow = encoded(rgb, "TIFF", compression="jpeg", quality=95)
    assert np.abs(read_picture(by_pillow).astype(int) - rgb).max() <= 6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_alpha_is_laid_over_black(dtype: Any, planar: str) -> None:
    values = noise(3, 6, 8, 4, dtype=dtype)
    stored = np.moveaxis(values, 2, 0) if planar == "separate" else values

    def written(meaning: str) -> bytes:
        return by_tifffile(stored, photometric="rgb", planarconfig=planar, extrasamples=[meaning])

    same(read_picture(written("unassalpha")), over_black(values[:, :, :3], values[:, :, 3]))
    same(read_picture(written("assocalpha")), values[:, :, :3])
    with pytest.raises(PictureError, match="has 4 channels that the file does not declare as grey or RGB"):
        read_picture(written("unspecified"))


def test_tiff_grey_with_alpha_is_laid_over_black_after_inversion() -> None:
    values = noise(3, 6, 8, 2)
    options: dict[str, Any] = {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
    got = read_picture(by_tifffile(values, photometric="minisblack", **options))
    same(got, over_black(values[:, :, :1], values[:, :, 1]))
    got = read_picture(by_tifffile(values, photometric="miniswhite", **options))
    same(got, over_black(255 - values[:, :, :1], values[:, :, 1]))


@pytest.mark.parametrize("scale", [256, 257])
def test_tiff_palette_gives_its_colours(scale: int) -> None:
    palette, indices = noise(6, 256, 3), noise(7, 6, 8)
    colormap = (palette.astype(np.uint16) * np.uint16(scale)).T
    same(read_picture(by_tifffile(indices, photometric="palette", colormap=colormap)), palette[indices])


def test_tiff_palette_of_16_bit_colours_is_refused() -> None:
    colormap = noise(6, 3, 256, dtype=np.uint16)
    with pytest.raises(PictureError, match="palette of 16-bit colours"):
        read_picture(by_tifffile(noise(7, 6, 8), photometric="palette", colormap=colormap))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_cmyk_gives_its_colours(dtype: Any) -> None:
    ink = noise(3, 6, 8, 4, dtype=dtype)
    paper = np.iinfo(dtype).max - ink
    got = read_picture(by_tifffile(ink, photometric="separated", extrasamples=()))
    same(got, over_black(paper[:, :, :3], paper[:, :, 3]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (by_tifffile(np.zeros((4, 4), np.float32)), "floating-point numbers of 32 bits a channel"),
        (by_tifffile(np.zeros((4, 4), np.float16)), "floating-point numbers of 16 bits"),
        (by_tifffile(np.zeros((4, 4), np.int16)), "signed integers of 16 bits"),
        (by_tifffile(np.zeros((4, 4), np.int8)), "signed integers of 8 bits"),
        (by_tifffile(np.zeros((4, 4), np.uint32)), "unsigned integers of 32 bits"),
        (by_tifffile(np.zeros((4, 4), np.complex64)), "complex numbers"),
        (by_tifffile(np.zeros((4, 4, 3), np.float32), photometric="rgb"), "floating-point numbers"),
        (by_tifffile(np.zeros((4, 4, 7), np.uint8), photometric="minisblack", planarconfig="contig"), "has 7 channels"),
        (by_tifffile(np.zeros((3, 4, 4), np.uint8), photometric="minisblack", planarconfig="separate"), "3 channels"),
        (by_tifffile(np.zeros((4, 4, 3), np.uint8), photometric="cielab"), r"L\*a\*b\* colour"),
        (by_tifffile(np.zeros((4, 4), np.uint8), photometric="cfa"), "undemosaiced raw"),
        (by_tifffile(np.zeros((4, 16, 16), np.uint8), photometric="minisblack", volumetric=True), "a volume of 4"),
        (by_tifffile(np.zeros((16, 16), np.uint8), compression="jpeg2000"), r"TIFF compression \d+"),
        (tiff([tiff_tags(4, 4, bytes(80), t258=(3, [8] * 5), t262=(3, [5]), t277=(3, [5]))]), "has 5 channels"),
        (tiff([tiff_tags(4, 4, bytes(16), t262=None)]), "does not say what its values mean"),
        (tiff([tiff_tags(4, 4, bytes(16), t262=(3, [99]))]), "TIFF photometric 99"),
        (tiff([tiff_tags(4, 4, bytes(16), t258=(3, [6]))]), "unsigned integers of 6 bits"),
        (tiff([tiff_tags(4, 4, bytes(48), t258=(3, [5, 6, 5]), t262=(3, [2]), t277=(3, [3]))]), "bits a channel"),
        (tiff([tiff_tags(4, 4, bytes(48), t258=(3, [8] * 3), t262=(3, [6]), t277=(3, [3]))]), "YCbCr"),
        (tiff([tiff_tags(4, 4, bytes(64), t258=(3, [8] * 4), t262=(3, [5]), t277=(3, [4]), t332=(3, [2]))]), "inks"),
        (tiff([tiff_tags(4, 4, bytes(16), t262=(3, [3]))]), "no palette|cannot be decoded"),
        (tiff([tiff_tags(4, 4, bytes(15))]), "cannot be decoded"),
        (tiff([tiff_tags(4, 4, bytes(16), t279=0)]), "parts of its pixels are missing"),
        (tiff([tiff_tags(4, 4, bytes(16), t278=2)]), "1 of 2 parts"),
        (tiff([tiff_tags(4, 4, bytes(16), t273=0, t279=16)]), "parts of its pixels are missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tiff_of_other_kinds_is_refused_and_never_converted(data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words) as raised:
        read_picture(data, name="part.tif")
    assert "part.tif" in str(raised.value)


def test_tiff_tag_that_cannot_be_parsed_does_not_take_its_default() -> None:
    data = bytearray(tiff([tiff_tags(4, 4, bytes(16))]))
    entry = data.index(struct.pack("<HHI", 262, 3, 1))
    struct.pack_into("<H", data, entry + 2, 99)  # no such field type; the default would be 0 is white
    with pytest.raises(PictureError, match="a tag that its pixels depend on cannot be read"):
        read_picture(bytes(data))


# Orientation


TURNED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}
TWO_BY_THREE = np.array(TURNED[1], np.uint8)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_orientation_is_applied(orientation: int, order: str, kind: int) -> None:
    upright = np.array(TURNED[orientation], np.uint8)
    block = exif(orientation, order, kind)
    same(read_picture(png(TWO_BY_THREE, "grey", 8, before=[png_chunk(b"eXIf", block)])), upright)
    same(read_picture(png(TWO_BY_THREE, "grey", 8, after=[png_chunk(b"eXIf", block)])), upright)
    colour = np.repeat(TWO_BY_THREE[:, :, None], 3, axis=2)
    webp = encoded(colour, "WEBP", lossless=True, exif=block)
    same(read_picture(webp), np.repeat(upright[:, :, None], 3, axis=2))
    tagged = tiff([tiff_tags(3, 2, TWO_BY_THREE.tobytes(), t274=(kind, [orientation]))], order=order)
    same(read_picture(tagged), upright)
    deep = png(TWO_BY_THREE[:, :, None].repeat(3, 2), "rgb", 16, before=[png_chunk(b"eXIf", block)])
    same(read_picture(deep), upright[:, :, None].repeat(3, 2).astype(np.uint16))


@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_of_a_jpeg_is_applied(orientation: int) -> None:
    big = np.kron(TWO_BY_THREE * 40, np.ones((8, 8), np.uint8))
    plain = read_picture(encoded(big, "JPEG", quality=100))[:, :, 0]
    got = read_picture(encoded(big, "JPEG", quality=100, exif=b"Exif\0\0" + exif(orientation)))[:, :, 0]
    np.testing.assert_array_equal(got[::8, ::8] // 40, np.array(TURNED[orientation]))
    assert sorted(got.ravel()) == sorted(plain.ravel())


@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_of_a_pil_image_is_applied_once(orientation: int) -> None:
    image = Image.fromarray(TWO_BY_THREE)
    image.getexif()[274] = orientation
    upright = np.array(TURNED[orientation], np.uint8)
    same(read_picture(image), upright)
    tagged = tiff([tiff_tags(3, 2, TWO_BY_THREE.tobytes(), t274=(3, [orientation]))])
    same(read_picture(Image.open(io.BytesIO(tagged))), upright)


@pytest.mark.parametrize(
    "block", [b"", b"MM\0*", exif(0), exif(9), exif(6)[:20], b"XX" + exif(6), exif(6)[:4] + b"\xff" * 4]
)
def test_exif_that_cannot_be_read_asks_for_nothing(block: bytes) -> None:
    same(read_picture(png(TWO_BY_THREE, "grey", 8, before=[png_chunk(b"eXIf", block)])), TWO_BY_THREE)
    if block:
        webp = encoded(TWO_BY_THREE[:, :, None].repeat(3, 2), "WEBP", lossless=True, exif=b"Exif\0\0" + block)
        same(read_picture(webp), TWO_BY_THREE[:, :, None].repeat(3, 2))
    tagged = tiff([tiff_tags(3, 2, TWO_BY_THREE.tobytes(), t274=(3, [0]))])
    same(read_picture(tagged), TWO_BY_THREE)


# Pages


def test_each_page_of_a_tiff_is_a_picture() -> None:
    stack = noise(1, 3, 6, 8, dtype=np.uint16)
    data = by_tifffile(stack, photometric="minisblack")
    assert picture_pages(data) == (0, 1, 2)
    for index in range(3):
        same(read_picture(data, page=index), stack[index])
    with pytest.raises(PictureError, match=r"holds 3 pictures where one is meant: say which with page, from 0 to 2"):
        read_picture(data)
    with pytest.raises(PictureError, match="has 3 pages, and page 3 was asked for"):
        read_picture(data, page=3)


def test_pages_may_differ_in_size_and_kind() -> None:
    buffer = io.BytesIO()
    grey, rgb = noise(1, 6, 8), noise(2, 5, 4, 3, dtype=np.uint16)
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(grey, photometric="minisblack")
        writer.write(rgb, photometric="rgb", compression="lzw")
    same(read_picture(buffer.getvalue(), page=0), grey)
    same(read_picture(buffer.getvalue(), page=1), rgb)


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {"metadata": None}], ids=str)
def test_stacks_of_microscopes_have_all_their_pages(options: dict[str, Any]) -> None:
    stack = noise(1, 4, 6, 8)
    data = by_tifffile(stack, photometric="minisblack", **options)
    assert picture_pages(data) == (0, 1, 2, 3)
    same(read_picture(data, page=3), stack[3])


def test_thumbnails_and_masks_are_no_pictures() -> None:
    buffer = io.BytesIO()
    full = noise(1, 16, 16)
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(full[::4, ::4], photometric="minisblack", subfiletype=1)
        writer.write(full, photometric="minisblack")
        writer.write(full[::2, ::2], photometric="minisblack", subfiletype=1)
        writer.write(full > 9, photometric="mask", subfiletype=4)
    data = buffer.getvalue()
    assert picture_pages(data) == (1,)
    same(read_picture(data), full)
    same(read_picture(data, page=0), full[::4, ::4])
    old_style = tiff([tiff_tags(4, 4, bytes(16)), tiff_tags(2, 2, bytes(4), t255=(3, [2]))], order=">")
    assert picture_pages(old_style) == (0,)


def test_a_list_of_pages_that_runs_in_a_circle_is_refused() -> None:
    data = bytearray(tiff([tiff_tags(4, 4, bytes(16))] * 2))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, len(data) - 4, first)
    with pytest.raises(PictureError, match="runs in a circle"):
        read_picture(bytes(data))
    with pytest.raises(PictureError, match="runs in a circle"):
        picture_pages(bytes(data))
    same(read_picture(bytes(data), page=1), np.zeros((4, 4), np.uint8))


def test_more_pages_than_the_limit_are_refused() -> None:
    data = tiff([tiff_tags(4, 4, bytes(16))] * 5)
    assert picture_pages(data, limits=ReadingLimits(max_pages=5)) == (0, 1, 2, 3, 4)
    with pytest.raises(PictureTooLargeError, match="more than 4 pages: split the file or raise max_pages"):
        picture_pages(data, limits=ReadingLimits(max_pages=4))


@pytest.mark.parametrize("source", [SMALL["png-grey"], np.zeros((4, 4), np.uint8), Image.new("L", (4, 4))])
def test_only_tiff_has_pages(source: Any) -> None:
    assert read_picture(source, page=0).shape[2] == 1
    with pytest.raises(PictureError, match="only TIFF files have pages"):
        read_picture(source, page=1)


@pytest.mark.parametrize("page", [-1, 1.0, True, "1"])
def test_a_page_is_a_whole_number(page: Any) -> None:
    with pytest.raises(SettingError, match="a page must be a whole number of at least 0"):
        read_picture(SMALL["tiff-pages"], page=page)


# Limits


@pytest.mark.parametrize("kind", bombs())
def test_bombs_are_refused_before_decoding(kind: str) -> None:
    import tracemalloc

    data = bombs()[kind]
    tracemalloc.start()
    with pytest.raises(PictureTooLargeError, match=r"60000 x 60000 = 3,600,000,000 pixels|16383 x 16383"):
        read_picture(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000_000


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind not in MULTI_PAGE])
def test_the_pixel_limit_is_exact(kind: str) -> None:
    assert read_picture(SMALL[kind], limits=ReadingLimits(max_pixels=256)).shape[:2] == (16, 16)
    with pytest.raises(PictureTooLargeError, match=r"16 x 16 = 256 pixels, and at most 255 are read.*raise max_pixels"):
        read_picture(SMALL[kind], limits=ReadingLimits(max_pixels=255))


def test_arrays_and_images_keep_to_the_pixel_limit() -> None:
    limits = ReadingLimits(max_pixels=15)
    for source in (np.zeros((4, 4), np.uint8), Image.new("L", (4, 4))):
        with pytest.raises(PictureTooLargeError):
            read_picture(source, limits=limits)


def test_the_byte_limit_is_exact(tmp_path: Path) -> None:
    data = SMALL["png-grey"]
    path = tmp_path / "part.png"
    path.write_bytes(data)
    for source in (data, path):
        read_picture(source, limits=ReadingLimits(max_bytes=len(data)))
        with pytest.raises(PictureTooLargeError, match="raise max_bytes"):
            read_picture(source, limits=ReadingLimits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("setting", ["max_pixels", "max_bytes", "max_pages"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_limits_are_whole_numbers_of_at_least_1(setting: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"{setting} must be a whole number of at least 1"):
        ReadingLimits(**{setting: value})


def test_the_limit_of_pillow_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind, data in SMALL.items():
            assert read_picture(data, page=0 if kind in MULTI_PAGE else None).shape[:2] == (16, 16)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_half_pictures_are_not_read_even_if_pillow_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("jpeg-grey", "png-grey", "bmp-grey"):
        with pytest.raises(PictureError, match=r"LOAD_TRUNCATED_IMAGES is on.*: turn it off"):
            read_picture(SMALL[kind])
    for kind in ("png-rgb16", "webp-lossy", "tiff-lzw"):  # not read by Pillow
        assert read_picture(SMALL[kind]).shape == (16, 16, 3)


# Damage


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind not in MULTI_PAGE])
def test_a_file_cut_short_anywhere_is_refused(kind: str) -> None:
    data = SMALL[kind]
    for end in range(1, len(data)):
        with pytest.raises(PictureError):
            read_picture(data[:end])


def test_a_stack_cut_short_anywhere_gives_only_whole_pages() -> None:
    data = SMALL["tiff-pages"]
    for page in range(3):
        whole = read_picture(data, page=page)
        read = 0
        for end in range(1, len(data)):
            try:
                got = read_picture(data[:end], page=page)
            except PictureError:
                continue
            read += 1
            np.testing.assert_array_equal(got, whole)
        assert read <= len(data) - 256 * (page + 1)


@pytest.mark.parametrize("kind", ["jpeg-grey", "jpeg-rgb", "jpeg-progressive"])
def test_a_jpeg_whose_end_is_zeros_gives_an_error_or_all_of_its_pixels(kind: str) -> None:
    data = SMALL[kind]
    whole = read_picture(data)
    for end in range(len(data) // 2, len(data) - 1):
        try:
            got = read_picture(data[:end] + bytes(len(data) - end))
        except PictureError:
            continue
        np.testing.assert_array_equal(got, whole)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(SMALL)), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4)
)
@example("tiff-grey", [(0.0, 1)])
def test_damage_gives_a_picture_or_a_picture_error(kind: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(SMALL[kind])
    for place, mask in flips:
        data[int(place * (len(data) - 1))] ^= mask
    try:
        got = read_picture(bytes(data), name="part", page=0, limits=ReadingLimits(max_pixels=1_000_000))
    except PictureError as error:
        assert "part" in str(error)
        assert "\n" not in str(error)
    else:
        assert got.ndim == 3
        assert got.shape[2] in (1, 3)
        assert got.dtype in (np.uint8, np.uint16)


def test_damage_writes_nothing_to_stderr_or_logs(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for data in SMALL.values():
            read_picture(data, page=0)
            for _ in range(40):
                damaged = bytearray(data)
                for place in random.integers(0, len(data), 3):
                    damaged[place] = random.integers(256)
                try:
                    read_picture(bytes(damaged), page=0, limits=ReadingLimits(max_pixels=1_000_000))
                except PictureError:
                    continue
    assert caught == []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_pixels_of_a_png_is_found() -> None:
    data = bytearray(SMALL["png-grey"])
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(PictureError, match="the checksum of its IDAT part is wrong; copy or save the picture again"):
        read_picture(bytes(data))


def test_other_users_of_tifffile_keep_their_log(caplog: pytest.LogCaptureFixture) -> None:
    read_picture(SMALL["tiff-grey"])
    with caplog.at_level(logging.WARNING, "tifffile"):
        logging.getLogger("tifffile").warning("of another thread")
    assert "of another thread" in caplog.text


def test_the_cause_is_chained() -> None:
    with pytest.raises(PictureError) as raised:
        read_picture(SMALL["bmp-grey"][:-40])
    assert isinstance(raised.value.__cause__, OSError)


# Files


@pytest.mark.parametrize("kind", not_pictures())
def test_files_that_are_no_pictures_say_what_they_are(kind: str, tmp_path: Path) -> None:
    data, words = not_pictures()[kind]
    path = tmp_path / "part.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=words) as raised:
        read_picture(path)
    assert str(path) in str(raised.value)


def test_each_way_in_which_a_file_cannot_be_opened_has_its_sentence(tmp_path: Path) -> None:
    missing, empty, pipe = tmp_path / "missing.png", tmp_path / "empty.png", tmp_path / "pipe.png"
    empty.touch()
    cases: list[tuple[Any, str]] = [
        (missing, "missing.png does not exist: check the path"),
        (str(missing), "does not exist"),
        (tmp_path, "is a folder where a picture is meant"),
        (empty, r"empty.png is empty \(0 bytes\)"),
        (b"", r"the picture is empty \(0 bytes\)"),
        ("null\0character", "cannot be opened"),
        ([1, 2], "must be a path, bytes, a PIL image or an array, got list"),
        (None, "got NoneType"),
    ]
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
        cases.append((pipe, "is a device or a pipe"))
    for source, words in cases:
        with pytest.raises(PictureError, match=words):
            read_picture(source)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(SMALL["png-grey"])
    path.chmod(0)
    with pytest.raises(PictureError, match="may not be read by this user"):
        read_picture(path)


def test_permission_errors_have_their_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(SMALL["png-grey"])

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PictureError, match=r"part.png may not be read by this user: change its permissions"):
        read_picture(path)


@pytest.mark.parametrize("kind", SMALL)
def test_paths_and_bytes_of_any_name_give_the_same(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture with another extension.txt"
    path.write_bytes(SMALL[kind])
    for source in (path, str(path)):
        same(read_picture(source, page=0), read_picture(SMALL[kind], page=0))


def test_errors_name_the_page_or_what_the_caller_says(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    path.write_bytes(tiff([tiff_tags(4, 4, bytes(16)), tiff_tags(4, 4, bytes(16), t262=None)]))
    with pytest.raises(PictureError, match=r"stack\.tif#2 is a damaged TIFF"):
        read_picture(path, page=1)
    with pytest.raises(PictureError, match=r"^upload 7 is a damaged TIFF"):
        read_picture(path, page=1, name="upload 7")


# Arrays and PIL images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_are_taken_as_they_are(dtype: Any) -> None:
    for shape in ((6, 8), (6, 8, 1), (6, 8, 3)):
        array = noise(1, *shape, dtype=dtype)
        same(read_picture(array), array)
    array = noise(1, 6, 8, 4, dtype=dtype)
    same(read_picture(array), over_black(array[:, :, :3], array[:, :, 3]))
    turned = noise(1, 6, 8, 3, dtype=dtype)[::-1, ::2]
    same(read_picture(turned), turned)


def test_arrays_of_the_other_byte_order_keep_their_values() -> None:
    array = noise(1, 6, 8, dtype=np.uint16)
    same(read_picture(array.astype(array.dtype.newbyteorder())), array)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4), np.float32), "must be of type uint8 or uint16, got float32"),
        (np.zeros((4, 4), bool), "got bool"),
        (np.zeros((4, 4), np.int16), "got int16"),
        (np.zeros((4, 4), np.uint32), "got uint32"),
        (np.zeros((4, 4), object), "got object"),
        (np.zeros(4, np.uint8), r"must have the shape .* got \[4\]"),
        (np.zeros((4, 4, 2), np.uint8), r"got \[4, 4, 2\]"),
        (np.zeros((3, 8, 8), np.uint8), r"got \[3, 8, 8\]: put the channels last"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"got \[1, 4, 4, 3\]"),
        (np.zeros((0, 4), np.uint8), "at least one pixel, got 4 x 0"),
        (np.zeros((4, 0, 3), np.uint8), "at least one pixel, got 0 x 4"),
        (np.ma.zeros((4, 4), np.uint8), "got a masked one"),
    ],
)
def test_arrays_of_other_kinds_are_refused(array: NDArray[Any], words: str) -> None:
    with pytest.raises(PictureError, match=words):
        read_picture(array)


def test_pil_images_keep_their_values() -> None:
    grey, rgb, deep = noise(1, 6, 8), noise(2, 6, 8, 3), noise(3, 6, 8, dtype=np.uint16)
    same(read_picture(Image.fromarray(grey)), grey)
    same(read_picture(Image.fromarray(rgb)), rgb)
    same(read_picture(Image.fromarray(deep)), deep)
    same(read_picture(Image.frombytes("I;16B", (8, 6), deep.astype(">u2").tobytes())), deep)
    same(read_picture(Image.fromarray(grey > 99)), (grey > 99) * np.uint8(255))
    for channels in (2, 4):
        values = noise(4, 6, 8, channels)
        same(read_picture(Image.fromarray(values)), over_black(values[:, :, :-1], values[:, :, -1]))
    ink = noise(5, 6, 8, 4)
    same(read_picture(Image.fromarray(ink, "CMYK")), over_black(255 - ink[:, :, :3], 255 - ink[:, :, 3]))
    same(read_picture(Image.fromarray(ink, "CMYK")), np.asarray(Image.fromarray(ink, "CMYK").convert("RGB")))


def test_pil_palettes_and_transparent_colours_are_laid_over_black() -> None:
    palette, indices = noise(6, 16, 3), noise(7, 6, 8) % 16
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    same(read_picture(image), palette[indices])
    image.info["transparency"] = 3
    opacity = np.where(np.arange(16) == 3, 0, 255).astype(np.uint8)
    same(read_picture(image), over_black(palette[indices], opacity[indices]))
    opacity = noise(8, 16)
    image.info["transparency"] = opacity.tobytes()
    same(read_picture(image), over_black(palette[indices], opacity[indices]))
    with_alpha = Image.fromarray(indices, "P")
    with_alpha.putpalette(np.column_stack([palette, opacity]).tobytes(), "RGBA")
    same(read_picture(with_alpha), over_black(palette[indices], opacity[indices]))
    grey = Image.fromarray(indices)
    grey.info["transparency"] = 5
    same(read_picture(grey), np.where(indices == 5, 0, indices).astype(np.uint8))
    bilevel = Image.fromarray(np.array([[False, True]]))
    bilevel.info["transparency"] = 1
    same(read_picture(bilevel), np.zeros((1, 2), np.uint8))
    bilevel.info["transparency"] = 0
    same(read_picture(bilevel), np.array([[0, 255]], np.uint8))
    opened = Image.open(io.BytesIO(png(indices, "palette", 4, palette=palette)))
    same(read_picture(opened), palette[indices])


@pytest.mark.parametrize("mode", ["I", "F", "YCbCr", "LAB", "HSV"])
def test_pil_modes_without_one_meaning_are_refused(mode: str) -> None:
    with pytest.raises(PictureError, match=f"has the PIL mode {mode}, which is neither"):
        read_picture(Image.new(mode, (4, 4)))


@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey-alpha"])
def test_16_bit_colour_that_pillow_would_reduce_is_refused(kind: str, tmp_path: Path) -> None:
    channels = {"rgb": 3, "rgba": 4, "grey-alpha": 2}[kind]
    path = tmp_path / "deep.png"
    path.write_bytes(png(noise(1, 4, 4, channels, dtype=np.uint16), kind, 16))
    words = r"deep\.png has 16-bit colour, which Pillow reduces to 8 bits: give its path"
    with Image.open(path) as image, pytest.raises(PictureError, match=words):
        read_picture(image)
    same(read_picture(Image.open(io.BytesIO(png(TWO_BY_THREE, "grey", 16)))), TWO_BY_THREE.astype(np.uint16))


def test_a_pil_image_cut_short_is_refused() -> None:
    image = Image.open(io.BytesIO(SMALL["jpeg-rgb"][:-100]))
    with pytest.raises(PictureError, match="cut short"):
        read_picture(image)


# Channels and depth


def test_fit_channels_loses_nothing() -> None:
    grey, colour = noise(1, 6, 8, 1, dtype=np.uint16), noise(2, 6, 8, 3, dtype=np.uint16)
    assert fit_channels(grey, 1, "a") is grey
    assert fit_channels(colour, 3, "a") is colour
    three = fit_channels(grey, 3, "a")
    same(three, np.concatenate([grey] * 3, axis=2))
    same(fit_channels(three, 1, "a"), grey)
    for channel in range(3):
        almost = three.copy()
        almost[3, 4, channel] ^= 1
        with pytest.raises(PictureFormatError, match=r"^a\.png is a colour picture, but the model takes grey pictures"):
            fit_channels(almost, 1, "a.png")
    with pytest.raises(SettingError, match="channels must be 1"):
        fit_channels(grey, 2, "a")


def test_require_depth_refuses_the_other_depth() -> None:
    require_depth(noise(1, 2, 2, 1), np.uint8, "a")
    require_depth(noise(1, 2, 2, 1, dtype=np.uint16), "uint16", "a")
    with pytest.raises(PictureFormatError, match=r"^a\.png has 8 bits a channel, the model takes 16: "):
        require_depth(noise(1, 2, 2, 1), np.uint16, "a.png")
    with pytest.raises(PictureFormatError, match=r"^a\.png has 16 bits a channel, the model takes 8: "):
        require_depth(noise(1, 2, 2, 1, dtype=np.uint16), np.uint8, "a.png")


# Threads


def test_many_threads_read_the_same_as_one(tmp_path: Path) -> None:
    paths = []
    for kind, data in SMALL.items():
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(data)
    expected = [read_picture(path, page=0) for path in paths]
    start = threading.Barrier(8)

    def read_all(_: int) -> list[NDArray[Any]]:
        start.wait()
        return [read_picture(path, page=0) for path in paths for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(read_all, range(8)):
            for index, picture in enumerate(got):
                np.testing.assert_array_equal(picture, expected[index // 3])
