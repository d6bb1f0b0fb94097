import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from test_reading import over_black, same

from hostile import encoded, noise, png, tiff, tiff_tags
from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images.reading import ReadingLimits, image_pages, read_image


def by_tifffile(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


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
    same(read_image(data), values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}, {"rowsperstrip": 4}], ids=str)
def test_tiff_of_separate_planes_keeps_every_value(dtype: Any, options: dict[str, Any]) -> None:
    values = noise(2, 35, 41, 3, dtype=dtype)
    data = by_tifffile(np.moveaxis(values, 2, 0), photometric="rgb", planarconfig="separate", **options)
    same(read_image(data), values)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_tiff_as_libtiff_writes_it_keeps_every_value(compression: str | None) -> None:
    for array in (noise(1, 35, 41), noise(2, 35, 41, 3), noise(3, 35, 41, dtype=np.uint16)):
        same(read_image(encoded(array, "TIFF", compression=compression)), array)


@pytest.mark.parametrize("compression", [None, "group3", "group4", "tiff_ccitt", "packbits"])
def test_tiff_of_one_bit_gives_0_and_255(compression: str | None) -> None:
    values = noise(1, 17, 24) > 127
    same(read_image(encoded(values, "TIFF", compression=compression)), values * np.uint8(255))


@pytest.mark.parametrize("bits", [2, 4])
def test_tiff_of_2_or_4_bits_has_white_at_255(bits: int) -> None:
    values = noise(1, 6, 8) % 2**bits
    rows = np.packbits(np.unpackbits(values[:, :, None], axis=2)[:, :, -bits:].reshape(6, -1), axis=1)
    got = read_image(tiff([tiff_tags(8, 6, rows.tobytes(), t258=(3, [bits]))]))
    same(got, values * np.uint8(255 // (2**bits - 1)))


def test_tiff_of_packed_12_bits_gives_the_raw_values() -> None:
    values = noise(1, 6, 8, dtype=np.uint16) % 4096
    digits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(6, 8, 2), axis=2)[:, :, 4:]
    same(read_image(tiff([tiff_tags(8, 6, np.packbits(digits).tobytes(), t258=(3, [12]))])), values)


def test_12_bits_in_a_16_bit_file_stay_as_they_are() -> None:
    values = noise(1, 6, 8, dtype=np.uint16) % 4096
    same(read_image(png(values, "grey", 16)), values)
    same(read_image(by_tifffile(values, photometric="minisblack")), values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_0_is_white_is_inverted(dtype: Any) -> None:
    values = noise(1, 6, 8, dtype=dtype)
    same(read_image(by_tifffile(values, photometric="miniswhite")), np.iinfo(dtype).max - values)
    bits = np.packbits(values > np.iinfo(dtype).max // 2, axis=1)
    got = read_image(tiff([tiff_tags(8, 6, bits.tobytes(), t258=(3, [1]), t262=(3, [0]))]))
    same(got, (values <= np.iinfo(dtype).max // 2) * np.uint8(255))


def test_tiff_jpeg_is_decoded_within_what_jpeg_loses() -> None:
    ramp = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    rgb = np.stack([ramp, 200 - ramp, ramp // 2], axis=2)
    for array, photometric in ((ramp, "minisblack"), (rgb, "rgb")):
        data = by_tifffile(array, photometric=photometric, compression="jpeg", compressionargs={"level": 95})
        got = read_image(data).astype(int)
        assert np.abs(got - array.reshape(got.shape)).max() <= 6
    by_pillow = encoded(rgb, "TIFF", compression="jpeg", quality=95)
    assert np.abs(read_image(by_pillow).astype(int) - rgb).max() <= 6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_alpha_is_laid_over_black(dtype: Any, planar: str) -> None:
    values = noise(3, 6, 8, 4, dtype=dtype)
    stored = np.moveaxis(values, 2, 0) if planar == "separate" else values

    def written(meaning: str) -> bytes:
        return by_tifffile(stored, photometric="rgb", planarconfig=planar, extrasamples=[meaning])

    same(read_image(written("unassalpha")), over_black(values[:, :, :3], values[:, :, 3]))
    same(read_image(written("assocalpha")), values[:, :, :3])
    same(read_image(written("unspecified")), values)


def test_tiff_grey_with_alpha_is_laid_over_black_after_inversion() -> None:
    values = noise(3, 6, 8, 2)
    options: dict[str, Any] = {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
    got = read_image(by_tifffile(values, photometric="minisblack", **options))
    same(got, over_black(values[:, :, :1], values[:, :, 1]))
    got = read_image(by_tifffile(values, photometric="miniswhite", **options))
    same(got, over_black(255 - values[:, :, :1], values[:, :, 1]))


@pytest.mark.parametrize("scale", [256, 257])
def test_tiff_palette_gives_its_colours(scale: int) -> None:
    palette, indices = noise(6, 256, 3), noise(7, 6, 8)
    colormap = (palette.astype(np.uint16) * np.uint16(scale)).T
    same(read_image(by_tifffile(indices, photometric="palette", colormap=colormap)), palette[indices])


def test_tiff_palette_of_8_bit_colours_in_16_bit_fields_gives_8_bit_ones() -> None:
    palette, indices = noise(6, 256, 3), noise(7, 6, 8)
    data = by_tifffile(indices, photometric="palette", colormap=palette.astype(np.uint16).T)
    same(read_image(data), palette[indices])


def test_tiff_palette_of_16_bit_colours_gives_them() -> None:
    colormap, indices = noise(6, 3, 256, dtype=np.uint16), noise(7, 6, 8)
    same(read_image(by_tifffile(indices, photometric="palette", colormap=colormap)), colormap.T[indices])
    grey = np.repeat(colormap[:1], 3, axis=0)
    same(read_image(by_tifffile(indices, photometric="palette", colormap=grey)), grey[0][indices])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_cmyk_gives_its_colours(dtype: Any) -> None:
    ink = noise(3, 6, 8, 4, dtype=dtype)
    paper = np.iinfo(dtype).max - ink
    got = read_image(by_tifffile(ink, photometric="separated", extrasamples=()))
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
        (by_tifffile(np.zeros((4, 4, 17), np.uint8), photometric="minisblack", planarconfig="contig"), "at most 16 ch"),
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
    with pytest.raises(ImageError, match=words) as raised:
        read_image(data, name="part.tif")
    assert "part.tif" in str(raised.value)


def test_tiff_tag_that_cannot_be_parsed_does_not_take_its_default() -> None:
    data = bytearray(tiff([tiff_tags(4, 4, bytes(16))]))
    entry = data.index(struct.pack("<HHI", 262, 3, 1))
    struct.pack_into("<H", data, entry + 2, 99)  # no such field type; the default would be 0 is white
    with pytest.raises(ImageError, match="a tag that its pixels depend on cannot be read"):
        read_image(bytes(data))


# Pages


def test_each_page_of_a_tiff_is_an_image() -> None:
    stack = noise(1, 3, 6, 8, dtype=np.uint16)
    data = by_tifffile(stack, photometric="minisblack")
    assert image_pages(data) == (0, 1, 2)
    for index in range(3):
        same(read_image(data, page=index), stack[index])
    with pytest.raises(ImageError, match=r"holds 3 images where one is meant: say which with page, from 0 to 2"):
        read_image(data)
    with pytest.raises(ImageError, match="has 3 pages, and page 3 was asked for"):
        read_image(data, page=3)


def test_pages_may_differ_in_size_and_kind() -> None:
    buffer = io.BytesIO()
    grey, rgb = noise(1, 6, 8), noise(2, 5, 4, 3, dtype=np.uint16)
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(grey, photometric="minisblack")
        writer.write(rgb, photometric="rgb", compression="lzw")
    same(read_image(buffer.getvalue(), page=0), grey)
    same(read_image(buffer.getvalue(), page=1), rgb)


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {"metadata": None}], ids=str)
def test_stacks_of_microscopes_have_all_their_pages(options: dict[str, Any]) -> None:
    stack = noise(1, 4, 6, 8)
    data = by_tifffile(stack, photometric="minisblack", **options)
    assert image_pages(data) == (0, 1, 2, 3)
    same(read_image(data, page=3), stack[3])


def test_thumbnails_and_masks_are_no_images() -> None:
    buffer = io.BytesIO()
    full = noise(1, 16, 16)
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(full[::4, ::4], photometric="minisblack", subfiletype=1)
        writer.write(full, photometric="minisblack")
        writer.write(full[::2, ::2], photometric="minisblack", subfiletype=1)
        writer.write(full > 9, photometric="mask", subfiletype=4)
    data = buffer.getvalue()
    assert image_pages(data) == (1,)
    same(read_image(data), full)
    same(read_image(data, page=0), full[::4, ::4])
    old_style = tiff([tiff_tags(4, 4, bytes(16)), tiff_tags(2, 2, bytes(4), t255=(3, [2]))], order=">")
    assert image_pages(old_style) == (0,)


def test_a_list_of_pages_that_runs_in_a_circle_is_refused() -> None:
    data = bytearray(tiff([tiff_tags(4, 4, bytes(16))] * 2))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, len(data) - 4, first)
    with pytest.raises(ImageError, match="runs in a circle"):
        read_image(bytes(data))
    with pytest.raises(ImageError, match="runs in a circle"):
        image_pages(bytes(data))
    same(read_image(bytes(data), page=1), np.zeros((4, 4), np.uint8))


def test_more_pages_than_the_limit_are_refused() -> None:
    data = tiff([tiff_tags(4, 4, bytes(16))] * 5)
    assert image_pages(data, limits=ReadingLimits(max_pages=5)) == (0, 1, 2, 3, 4)
    with pytest.raises(ImageTooLargeError, match="more than 4 pages: split the file or raise max_pages"):
        image_pages(data, limits=ReadingLimits(max_pages=4))


# Damage in fax codes


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("damage", ["zeros", "removed", "twice"])
def test_damage_in_fax_codes_is_found(compression: str, damage: str) -> None:
    y, x = np.mgrid[:200, :300]
    bits = (np.hypot(y - 90, x - 140) < 60) | (noise(1, 200, 300) > 250)
    data = encoded(bits, "TIFF", compression=compression)
    same(read_image(data), bits * np.uint8(255))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        start, size = page.dataoffsets[0], page.databytecounts[0]
    codes, half = data[start : start + size], size // 2
    hurt = {
        "zeros": codes[:half] + bytes(32) + codes[half + 32 :],
        "removed": codes[:half] + codes[half + 32 :] + bytes(32),
        "twice": (codes[: half + 32] + codes[half:])[:size],
    }[damage]
    with pytest.raises(ImageError, match=r"part\.tif (is a damaged TIFF file: its pixels are not whole|cannot be)"):
        read_image(data[:start] + hurt + data[start + size :], name="part.tif")


def test_fax_codes_with_the_lowest_bit_first_are_read() -> None:
    bits = noise(1, 17, 24) > 127
    data = encoded(bits, "TIFF", compression="group4")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        codes = data[page.dataoffsets[0] :][: page.databytecounts[0]]
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in codes)
    tags = tiff_tags(24, 17, turned, t258=(3, [1]), t259=(3, [4]), t266=(3, [2]))
    same(read_image(tiff([tags])), bits * np.uint8(255))


def test_fax_codes_in_two_dimensions_are_refused() -> None:
    tags = tiff_tags(8, 1, bytes(8), t258=(3, [1]), t259=(3, [3]), t292=1)
    with pytest.raises(
        ImageError, match="Group 3 fax in two dimensions, in which damage is not found: save it with Group 4"
    ):
        read_image(tiff([tags]))
