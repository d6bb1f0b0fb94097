"""TIFF: the pages of a file, and the pixels of one page, from files and stacks of cameras, scanners and microscopes.

tifffile parses the page and imagecodecs decodes its strips and tiles. The chain of pages is read here, so that a limit
bounds it and thumbnails are told from images. What has no one meaning as grey or colour is refused, never converted.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images._quiet import quiet_decoders
from onlygood.images.ccitt import check_ccitt_part
from onlygood.images.extensions import CAMERA_RAW
from onlygood.images.jpeg import check_jpeg_part
from onlygood.images.limits import MOST_CHANNELS, RESCALE, ReadingLimits, check_no_zeros, check_size, damaged, decoding
from onlygood.images.pixels import ImageArray, cmyk_to_rgb, look_up, opaque, turn, with_alpha

# none, CCITT (2, 3, 4), LZW, JPEG, deflate (8, 32946), PackBits, LZMA, ZSTD: those with a size that can be bounded
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32946, 32773, 34925, 50000})
_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
_BITS = {
    0: {1, 2, 4, *range(8, 17)},
    1: {1, 2, 4, *range(8, 17)},
    2: set(range(8, 17)),
    3: {1, 2, 4, 8},
    5: {8, 16},
    6: {8},
}
# ExtraSamples: 1 is alpha that the colours were multiplied with, 2 alpha that they were not; 0 is something else
_MULTIPLIED = 1
_ALPHAS = (_MULTIPLIED, 2)
_VALUES = {
    2: "signed integers",
    3: "floating-point numbers",
    4: "values of undefined type",
    5: "complex numbers",
    6: "complex numbers",
}
_COLOURS = {4: "a transparency mask", 8: "CIE L*a*b* colour", 9: "ICC L*a*b* colour", 10: "ITU L*a*b* colour"} | {
    32803: "an undemosaiced raw image",
    34892: "a linear raw image",
}
# a tag of these that tifffile could not parse would silently take its default
_LAYOUT_TAGS = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 332, 338, 339, 347}
    | {512, 513, 514, 530, 32997, 32998}
)
# a block of 128 kB that hardly gets smaller is stored as it is, with up to a 64th of zeros
_ZSTD_ZEROS = 4096
_DNG_VERSION, _SUB_DIRECTORIES = 50706, 330


@dataclass(frozen=True, slots=True)
class _Directory:
    offset: int
    tags: frozenset[int]
    is_secondary: bool  # a reduced copy or a mask of another page


def _directories(file: BinaryIO, name: str, limits: ReadingLimits) -> Iterator[_Directory]:
    """The chain of pages, each read when asked for, so that page k of a stack costs k short reads."""
    file.seek(0)
    header = file.read(16)
    order = "<" if header[:2] == b"II" else ">"
    is_big = header[2:4] in (b"+\0", b"\0+")
    count_format, entry_format, offset_format = (
        (order + "Q", order + "HHQ8s", order + "Q") if is_big else (order + "H", order + "HHI4s", order + "I")
    )
    entry_size, offset_size, count_size = (20, 8, 8) if is_big else (12, 4, 2)
    try:
        (offset,) = struct.unpack_from(offset_format, header, 8 if is_big else 4)
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise damaged(name, "TIFF", "its list of pages runs in a circle")
            if len(seen) == limits.max_pages:
                raise ImageTooLargeError(
                    f"{name} has more than {limits.max_pages:,} pages: split the file or raise max_pages"
                )
            seen.add(offset)
            file.seek(offset)
            (count,) = struct.unpack(count_format, file.read(count_size))
            if count > 4096:
                raise damaged(name, "TIFF", "its list of pages cannot be read")
            entries = file.read(count * entry_size)
            (following,) = struct.unpack(offset_format, file.read(offset_size))
            tags = set()
            is_secondary = False
            for tag, field_type, _, value in struct.iter_unpack(entry_format, entries):
                tags.add(tag)
                if tag in (254, 255) and field_type in (3, 4):
                    (flags,) = struct.unpack_from(order + ("H" if field_type == 3 else "I"), value)
                    # NewSubfileType: bit 0 reduced, bit 2 mask; the old SubfileType: 2 reduced
                    is_secondary = bool(flags & 0b101) if tag == 254 else is_secondary or flags == 2
            yield _Directory(offset, frozenset(tags), is_secondary)
            offset = following
    except (struct.error, OverflowError, OSError, ValueError) as error:
        raise damaged(name, "TIFF", "its list of pages ends too early") from error


def tiff_pages(file: BinaryIO, name: str, limits: ReadingLimits) -> tuple[int, ...]:
    """Indices of the pages that are images: neither reduced copies nor masks of another page."""
    return _full_pages(list(_directories(file, name, limits)))


def _full_pages(directories: list[_Directory]) -> tuple[int, ...]:
    return tuple(index for index, one in enumerate(directories) if not one.is_secondary) or (0,)


def read_tiff(file: BinaryIO, size: int, page: int | None, name: str, limits: ReadingLimits) -> ImageArray:
    """One page as grey, RGB or up to 16 channels, upright, its values as the file has them; alpha as the limits say.

    Args:
        file: the TIFF; it need not be at its start.
        size: its bytes.
        page: which page, from 0; None for a file that holds one image, thumbnails and masks aside.
        name: what errors call the image.
        limits: bounds on pixels and pages.

    Raises:
        ImageTooLargeError: if it exceeds a limit.
        ImageError: if there is no such page, it is damaged, or its values have no one meaning as grey, colour or
            channels.
    """
    if page is None:
        directories = list(_directories(file, name, limits))
        pages = _full_pages(directories)
        if len(pages) > 1:
            raise ImageError(
                f"{name} holds {len(pages)} images where one is meant: say which with page, from {pages[0]} to "
                f"{pages[-1]}"
            )
        page = pages[0]
    else:
        directories = list(islice(_directories(file, name, limits), page + 1))
    _refuse_camera_raw(directories, name)
    if page >= len(directories):
        raise ImageError(f"{name} has {len(directories)} pages, and page {page} was asked for, counting from 0")
    with quiet_decoders(), decoding("TIFF", name):
        import tifffile

        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            tiff.filehandle.seek(directories[page].offset)
            parsed = tifffile.TiffPage(tiff, index=page)
            if any(tag in _LAYOUT_TAGS and tag not in parsed.tags for tag in directories[page].tags):
                raise damaged(name, "TIFF", "a tag that its pixels depend on cannot be read")
            _check_kind(parsed, name, limits)
            pixels = _pixels(parsed, file, size, name, limits)
            if not _alpha_of(parsed, limits):
                pixels = opaque(pixels, limits)
            return turn(pixels, _orientation(parsed))


def _refuse_camera_raw(directories: list[_Directory], name: str) -> None:
    """Raises if the pages are previews of a raw image, which a camera keeps beside them in a form of its own."""
    first = directories[0] if directories else None
    if first is not None and (_DNG_VERSION in first.tags or (first.is_secondary and _SUB_DIRECTORIES in first.tags)):
        raise ImageError(CAMERA_RAW.sentence(name))


def _orientation(page: Any) -> int:
    value = page.tags.valueof(274, 1)
    return value if value in range(1, 9) else 1


def _check_kind(page: Any, name: str, limits: ReadingLimits) -> None:
    """Raises unless the page has a size within the limits and values that have one meaning as grey, colour or more."""
    check_size(page.imagewidth, page.imagelength, name, limits)
    if page.imagedepth != 1:
        raise ImageError(f"{name} is a volume of {page.imagedepth} layers: save each layer as a page of its own")
    if page.is_tiled:
        if page.tiledepth != 1:
            raise ImageError(f"{name} is tiled in volumes {page.tiledepth} deep: save it untiled")
        check_size(page.tilewidth, page.tilelength, f"a tile of {name}", limits)
    if 262 not in page.tags:
        raise damaged(name, "TIFF", "it does not say what its values mean (photometric interpretation)")
    photometric, compression = int(page.photometric), int(page.compression)
    if compression not in _COMPRESSIONS:
        raise ImageError(
            f"{name} is compressed in a way that is not read (TIFF compression {compression}): save it uncompressed or "
            "with LZW, deflate, ZSTD, PackBits or JPEG"
        )
    if compression == 3 and page.tags.valueof(292, 0) & 3:
        raise ImageError(
            f"{name} is compressed as Group 3 fax in two dimensions, in which damage is not found: save it with "
            "Group 4 or LZW"
        )
    if photometric not in _CHANNELS:
        what = _COLOURS.get(photometric, f"colour of a kind that is not read (TIFF photometric {photometric})")
        raise ImageError(f"{name} holds {what}, and grey, RGB, palette and CMYK images are read: save it as RGB")
    if photometric == 6 and compression != 7:
        raise ImageError(f"{name} holds YCbCr colour without JPEG compression: save it as RGB")
    if photometric == 5 and (compression == 7 or page.tags.valueof(332, 1) != 1):
        raise ImageError(f"{name} holds inks other than plain CMYK, or CMYK as JPEG: save it as RGB")
    bits = page.bitspersample
    values = _VALUES.get(int(page.sampleformat)) if page.sampleformat != 1 else None
    if page.sampleformat != 1 or bits not in _BITS[photometric]:
        raise ImageError(
            f"{name} holds {values or 'unsigned integers'} of {bits} bits a channel, and unsigned integers of up to 16 "
            f"bits are read: {RESCALE}"
        )
    if bits in (1, 2, 4) and page.samplesperpixel > 1:
        raise ImageError(f"{name} has {page.samplesperpixel} channels of {bits} bits: {RESCALE}")
    _check_channels(page, name, limits)


def _check_channels(page: Any, name: str, limits: ReadingLimits) -> None:
    """Raises unless it is said of each channel what it is, by the file or by who asks for so many."""
    photometric, channels = int(page.photometric), int(page.samplesperpixel)
    extra = channels - _CHANNELS[photometric]
    if not extra:
        return
    alphas = [kind for kind in page.extrasamples if kind in _ALPHAS]
    # Three that are not called red, green and blue may be those, or three images.
    is_declared = len(page.extrasamples) == extra and len(alphas) <= 1 and (channels != 3 or alphas or photometric == 2)
    if photometric not in (0, 1, 2) or extra < 0 or not (is_declared or limits.channels == channels):
        raise ImageError(
            f"{name} has {channels} channels that the file does not declare as grey, RGB or further ones, with or "
            f"without alpha: save it as grey or RGB, one image a page, or fit with channels={channels}"
        )
    if channels - len(alphas) > MOST_CHANNELS:
        raise ImageError(
            f"{name} must have at most {MOST_CHANNELS} channels, got {channels - len(alphas)}: save those alone that "
            "defects show in"
        )


def _pixels(page: Any, file: BinaryIO, size: int, name: str, limits: ReadingLimits) -> ImageArray:
    """The channels of a page that passed `_check_kind`, not yet turned."""
    stored = _samples(page, file, size, name, limits)
    photometric, bits = int(page.photometric), int(page.bitspersample)
    maximum = 2**bits - 1
    if photometric == 3:
        return look_up(stored[:, :, 0].astype(np.uint8), _palette(page, name), None, name)
    pixels: ImageArray
    if bits < 8:
        pixels, maximum = stored.astype(np.uint8) * np.uint8(255 // maximum), 255
    else:
        pixels = stored
    if bits not in (8, 16) and int(pixels.max()) > maximum:
        raise damaged(name, "TIFF", f"it has values above the {maximum} that {bits} bits hold")
    if photometric == 5:
        return cmyk_to_rgb(pixels, maximum)
    alpha: ImageArray | None = None
    if place := _alpha_of(page, limits):
        alpha = pixels[:, :, [place]]
        pixels = np.delete(pixels, place, axis=2)
    if photometric == 0:
        pixels = (pixels.dtype.type(maximum) - pixels).astype(pixels.dtype, copy=False)
    if alpha is None:
        return pixels
    return with_alpha(pixels, alpha, maximum, limits, is_multiplied=_MULTIPLIED in page.extrasamples)


def _alpha_of(page: Any, limits: ReadingLimits) -> int:
    """Which channel is alpha; 0, which never is, for none."""
    if limits.channels == page.samplesperpixel:
        return 0
    kinds = enumerate(page.extrasamples, _CHANNELS[int(page.photometric)])
    return next((place for place, kind in kinds if kind in _ALPHAS), 0)


def _samples(page: Any, file: BinaryIO, size: int, name: str, limits: ReadingLimits) -> NDArray[Any]:
    """Values `[H, W, samples]` as stored. Not `page.asarray()`, which fills missing strips and tiles with zeros."""
    count = math.prod(page.chunked)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))[:count]
    if len(places) < count:
        raise damaged(name, "TIFF", f"it has {len(places)} of {count} parts of its pixels")
    if any(offset <= 0 or length <= 0 or offset + length > size for offset, length in places):
        raise damaged(name, "TIFF", "it ends too early, parts of its pixels are missing")
    samples = np.zeros(page.shaped, page.dtype.newbyteorder("="))
    height, width = samples.shape[2:4]
    for index, (offset, length) in enumerate(places):
        file.seek(offset)
        data = file.read(length)
        if page.compression == 7:
            check_jpeg_part((page.jpegheader or b"") + data, page.jpegtables, name, limits)
        if page.compression == 50000:
            check_no_zeros(data, 0, len(data), _ZSTD_ZEROS, name, "TIFF")
        part, (plane, _, top, left, _), _ = page.decode(
            data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader
        )
        if page.compression in (2, 3, 4):
            import imagecodecs

            in_order = bytes(imagecodecs.bitorder_decode(data)) if page.fillorder == 2 else data
            check_ccitt_part(in_order, part[0, :, :, 0], int(page.compression), name)
        rows, columns = min(part.shape[1], height - top), min(part.shape[2], width - left)
        if part.dtype.itemsize > samples.dtype.itemsize:
            raise damaged(name, "TIFF", "its pixels have more bits than it says")
        samples[plane, 0, top : top + rows, left : left + columns] = part[0, :rows, :columns]
    return np.moveaxis(samples[:, 0, :, :, 0], 0, 2) if samples.shape[0] > 1 else samples[0, 0]


def _palette(page: Any, name: str) -> ImageArray:
    """Colours `[entries, 3]`. TIFF keeps them in 16 bits: 8-bit ones times 257, from some programs times 256.

    Old programs wrote 8-bit ones as they are. libtiff takes a palette for such a one if no level is above 255, as here:
    16-bit colours would all be all but black.
    """
    colours = np.asarray(page.colormap)
    if colours.ndim != 2 or colours.shape[0] != 3:
        raise damaged(name, "TIFF", "it has no palette")
    if int(colours.max()) <= 255:
        return colours.T.astype(np.uint8)
    high = colours >> 8
    if (colours == high * 257).all() or (colours == high * 256).all():
        return high.T.astype(np.uint8)
    return colours.T.astype(np.uint16)
