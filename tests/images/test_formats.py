import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_reading import SMALL, over_black, same

from hostile import bmp, encoded, jpeg_claiming, noise, png, png_chunk
from onlygood.errors import ImageError
from onlygood.images.reading import read_image


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (2, 3), (4, 15), (8, 255)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_grey_of_up_to_8_bits_has_white_at_255(bits: int, white: int, interlaced: bool) -> None:
    levels = noise(1, 9, 13) & np.uint8(white)
    got = read_image(png(levels, "grey", bits, interlaced=interlaced))
    same(got, levels * np.uint8(255 // white))
    assert {int(got.min()), int(got.max())} == {int(levels.min()) * 255 // white, int(levels.max()) * 255 // white}


@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_keeps_every_value(kind: str, dtype: Any, interlaced: bool) -> None:
    values = noise(2, 11, 9, 1 if kind == "grey" else 3, dtype=dtype)
    same(read_image(png(values, kind, np.iinfo(dtype).bits, interlaced=interlaced, idat_size=37)), values)


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("width", [1, 2, 4, 5, 9])
def test_interlaced_png_of_16_bit_colour_with_empty_passes_keeps_every_value(height: int, width: int) -> None:
    values = noise(2, height, width, 3, dtype=np.uint16)
    same(read_image(png(values, "rgb", 16, interlaced=True)), values)


def test_interlaced_png_of_16_bit_colour_with_too_few_pixels_is_refused() -> None:
    data = png(noise(2, 8, 8, 3, dtype=np.uint16), "rgb", 16, interlaced=True)
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    rows = zlib.decompress(data[start + 8 : end - 4])
    for short in (zlib.compress(rows[:-1]), zlib.compress(rows)[:-20], b"not deflate"):
        with pytest.raises(ImageError, match="cannot be decoded as PNG"):
            read_image(data[:start] + png_chunk(b"IDAT", short) + data[end:])


@pytest.mark.parametrize("kind", ["grey-alpha", "rgba"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_with_alpha_is_laid_over_black_unless_opaque(kind: str, dtype: Any) -> None:
    values = noise(3, 11, 9, 2 if kind == "grey-alpha" else 4, dtype=dtype)
    bits, maximum = np.iinfo(dtype).bits, np.iinfo(dtype).max
    values[0, 0, -1], values[0, 1, -1], values[0, 2] = 0, maximum, maximum
    got = read_image(png(values, kind, bits))
    same(got, over_black(values[:, :, :-1], values[:, :, -1]))
    assert (got[0, 0] == 0).all()
    assert (got[0, 1] == values[0, 1, :-1]).all()
    assert (got[0, 2] == maximum).all()
    values[:, :, -1] = maximum
    same(read_image(png(values, kind, bits)), values[:, :, :-1])


@pytest.mark.parametrize(
    ("kind", "bits", "key"), [("grey", 1, [1]), ("grey", 4, [9]), ("grey", 8, [200]), ("grey", 16, [513])]
)
def test_png_transparent_grey_becomes_black(kind: str, bits: int, key: list[int]) -> None:
    values = noise(4, 8, 8, 1, dtype=np.uint16) & np.uint16(2**bits - 1)
    values[2, 3] = key
    got = read_image(png(values, kind, bits, before=[png_chunk(b"tRNS", struct.pack(">H", *key))]))
    expected = np.where(values == key, 0, values)
    same(got, expected.astype(np.uint16) if bits == 16 else (expected * (255 // (2**bits - 1))).astype(np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_transparent_colour_becomes_black_and_no_other(dtype: Any) -> None:
    values = noise(5, 8, 8, 3, dtype=dtype)
    values[2, 3], values[4, 4], key = [1, 2, 3], [1, 2, 4], [1, 2, 3]
    got = read_image(png(values, "rgb", np.iinfo(dtype).bits, before=[png_chunk(b"tRNS", struct.pack(">HHH", *key))]))
    values[2, 3] = 0
    same(got, values)
    assert got[4, 4].tolist() == [1, 2, 4]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_palette_gives_its_colours(bits: int) -> None:
    palette, indices = noise(6, 2**bits, 3), noise(7, 9, 7) & np.uint8(2**bits - 1)
    same(read_image(png(indices, "palette", bits, palette=palette)), palette[indices])


def test_png_palette_with_transparency_is_laid_over_black() -> None:
    palette, indices = noise(6, 16, 3), noise(7, 9, 7) % 16
    alpha = np.array([0, 10, 128, 255, 77], np.uint8)
    got = read_image(png(indices, "palette", 8, palette=palette, before=[png_chunk(b"tRNS", alpha.tobytes())]))
    opacity = np.concatenate([alpha, np.full(11, 255, np.uint8)])
    same(got, over_black(palette[indices], opacity[indices]))


def test_grey_palette_gives_one_channel_whatever_the_pixels_use() -> None:
    greys = np.repeat(noise(8, 16, 1), 3, axis=1)
    indices = noise(9, 6, 5) % 16
    same(read_image(png(indices, "palette", 4, palette=greys)), greys[indices][:, :, :1])
    one_colour = greys.copy()
    one_colour[15] = [1, 2, 3]
    unused = indices % 15
    same(read_image(png(unused, "palette", 4, palette=one_colour)), one_colour[unused])


def test_palette_index_without_a_colour_is_refused() -> None:
    data = png(np.full((4, 4), 9, np.uint8), "palette", 8, palette=noise(6, 4, 3))
    with pytest.raises(ImageError, match="uses colour 9 of a palette of 4"):
        read_image(data)


def test_png_metadata_cannot_upset_the_pixels() -> None:
    values = noise(5, 8, 8, 3)
    junk = [
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10_000_000))),
        png_chunk(b"iCCP", b"x\0\0not deflate"),
        png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        png_chunk(b"tEXt", b"no separator")[:-4] + b"\0\0\0\0",
    ]
    same(read_image(png(values, "rgb", 8, before=junk, after=junk)), values)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 100}])
def test_jpeg_gives_what_pillow_decodes(options: dict[str, Any]) -> None:
    for array in (noise(1, 33, 41), noise(2, 33, 41, 3)):
        data = encoded(array, "JPEG", **options)
        same(read_image(data), np.asarray(Image.open(io.BytesIO(data))))


def test_jpeg_cmyk_as_adobe_writes_it_gives_its_colours() -> None:
    ink = np.zeros((16, 64, 4), np.uint8)
    ink[:, 16:32, 0], ink[:, 32:48, 3], ink[:, 48:] = 255, 255, [0, 128, 255, 64]
    buffer = io.BytesIO()
    Image.fromarray(ink, "CMYK").save(buffer, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in buffer.getvalue()
    got = read_image(buffer.getvalue()).astype(int)
    for column, colour in ((4, [255, 255, 255]), (20, [0, 255, 255]), (40, [0, 0, 0]), (60, [191, 95, 0])):
        assert np.abs(got[8, column] - colour).max() <= 3


def test_jpeg_cmyk_that_does_not_say_whether_it_is_inverted_is_refused() -> None:
    data = SMALL["jpeg-cmyk"]
    at = data.index(b"\xff\xee")
    with pytest.raises(ImageError, match="does not say whether it is inverted: save it as RGB"):
        read_image(data[:at] + data[at + 16 :])


def test_jpeg_of_12_bits_is_refused() -> None:
    with pytest.raises(ImageError, match="is a JPEG of 12 bits"):
        read_image(jpeg_claiming(16, 16, bits=12))


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
    same(read_image(odd), read_image(data))


@pytest.mark.parametrize("array", [noise(1, 7, 5), noise(2, 7, 5, 3)], ids=["grey", "rgb"])
def test_bmp_keeps_every_value(array: NDArray[Any]) -> None:
    same(read_image(encoded(array, "BMP")), array)


def test_bmp_with_alpha_is_laid_over_black() -> None:
    values = noise(3, 7, 5, 4)
    same(read_image(encoded(values, "BMP")), values[:, :, :3])  # without masks its fourth byte means nothing
    header = struct.pack("<IiiHHIIiiII", 108, 5, 7, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + 140, 0, 0, 14 + 108) + header
    data += values[::-1, :, [2, 1, 0, 3]].tobytes()
    same(read_image(data), over_black(values[:, :, :3], values[:, :, 3]))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bmp_palette_gives_its_colours(bits: int) -> None:
    palette = noise(6, 2**bits, 3)
    indices = noise(7, 5, 32) & np.uint8(2**bits - 1)
    rows = np.packbits(np.unpackbits(indices[:, :, None], axis=2)[:, :, -bits:].reshape(5, -1), axis=1)
    same(read_image(bmp(rows, bits, palette[:, ::-1])), palette[indices])


def test_bmp_palette_that_is_grey_but_not_a_ramp_gives_one_channel() -> None:
    falling = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    indices = noise(7, 5, 32)
    same(read_image(bmp(indices, 8, falling)), 255 - indices)


def test_bmp_of_8_bits_with_two_colours_is_not_misread() -> None:
    indices = noise(7, 5, 32) % 2
    two = np.array([[0] * 3, [255] * 3], np.uint8)
    same(read_image(bmp(indices, 8, two)), indices * 255)
    wrong = indices.copy()
    wrong[0, 0] = 2
    with pytest.raises(ImageError, match="damaged BMP file: a pixel has colour 2 of a palette of two"):
        read_image(bmp(wrong, 8, two))
    padded = Image.fromarray(noise(7, 5, 33) % 2, "L").convert("P")
    padded.putpalette([0, 0, 0, 255, 255, 255])
    stream = io.BytesIO()
    padded.save(stream, "BMP")
    same(read_image(stream.getvalue()), noise(7, 5, 33) % 2 * 255)


def test_webp_lossless_keeps_every_value() -> None:
    rgb, rgba = noise(2, 9, 7, 3), noise(3, 9, 7, 4)
    same(read_image(encoded(rgb, "WEBP", lossless=True)), rgb)
    same(read_image(encoded(rgba, "WEBP", lossless=True, exact=True)), over_black(rgba[:, :, :3], rgba[:, :, 3]))


def test_webp_lossy_gives_what_pillow_decodes() -> None:
    for array in (noise(2, 33, 41, 3), noise(1, 33, 41)):
        data = encoded(array, "WEBP")
        got = read_image(data)
        same(got, np.asarray(Image.open(io.BytesIO(data))))
        assert got.shape == (33, 41, 3)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animations_are_refused_and_one_frame_is_not(kind: str) -> None:
    frames = [Image.fromarray(noise(seed, 8, 8, 3)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(ImageError, match=r"is an animation, and one still image is required"):
        read_image(buffer.getvalue())
    still = png_chunk(b"acTL", struct.pack(">II", 1, 0))
    same(read_image(png(noise(1, 8, 8, 3), "rgb", 8, before=[still])), noise(1, 8, 8, 3))
