"""Read one picture, exactly: its file's own values come back, or a sentence that says why they cannot.

Everything becomes an array `[H, W, C]` of uint8 or uint16 with 1 (grey) or 3 (colour) channels:

    grey, 1-bit, 2-bit, 4-bit     C = 1; fewer than 8 bits become 8, with white at 255 (1-bit: 0 and 255)
    RGB                           C = 3
    palette                       C = 1 if every entry of the palette is a grey, else C = 3; the palette decides, never
                                  the pixels, so that pictures of one camera have one number of channels
    CMYK                          C = 3; R = (1 - C)(1 - K) and so on, without colour profiles
    alpha, transparent colours    dropped if opaque everywhere, else laid over black, with the picture's own arithmetic:
                                  round(value * alpha / maximum)
    9 to 16 bits in a container   the raw values: a 12-bit camera gives 0..4095, never stretched
    TIFF where 0 means white      inverted, so that 0 is black in every picture

EXIF and TIFF orientation is applied; an EXIF block that cannot be read asks for nothing, as in every viewer. Colour
profiles and gamma tags are not applied: inspection compares pictures of one camera. Animations are refused. Each page
of a multi-page TIFF is a picture of its own.

Files are told apart by content, not by name. Bytes and pixels are checked against the limits on the headers, before any
decoding. Pillow decodes JPEG, BMP, and PNG but for 16-bit colour, which it would reduce to 8 bits; imagecodecs and
tifffile do the rest. Pillow's format classes are called directly, because `Image.open` brings its process-wide pixel
limit and its warnings.
"""

import io
import logging
import math
import os
import re
import stat
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from onlygood.errors import OnlygoodError, PictureError, PictureFormatError, PictureTooLargeError, SettingError

Picture: TypeAlias = NDArray[np.uint8 | np.uint16]
PictureSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]

_READABLE = "JPEG, PNG, BMP, TIFF and WebP"
_RESCALE = "save it with 8 or 16 bits a channel, by one scale chosen for all pictures"


@dataclass(frozen=True, kw_only=True)
class ReadingLimits:
    """Bounds that a picture file must keep to, against mistakes and decompression bombs.

    Args:
        max_pixels: pixels of one picture, width times height.
        max_bytes: bytes of one file.
        max_pages: pages of one TIFF file.

    Raises:
        SettingError: if one is not a whole number of at least 1.
    """

    max_pixels: int = 100_000_000
    max_bytes: int = 500_000_000
    max_pages: int = 10_000

    def __post_init__(self) -> None:
        for setting in ("max_pixels", "max_bytes", "max_pages"):
            value = getattr(self, setting)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SettingError(f"{setting} must be a whole number of at least 1, got {value!r}")


DEFAULT_LIMITS = ReadingLimits()


def read_picture(
    source: PictureSource, *, name: str | None = None, page: int | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> Picture:
    """Pixels `[H, W, C]`, uint8 or uint16, C-contiguous, 0 is black; C is 1 (grey) or 3 (red, green, blue).

    The array may be read-only or share memory with `source`. Safe to call from many threads.

    Args:
        source: a file's path, a file's bytes, a PIL image, or an array uint8 or uint16 of shape `[H, W]`, `[H, W, 1]`,
            `[H, W, 3]` or `[H, W, 4]` (the last channel is alpha). Of a PIL image the current frame is taken; one that
            Pillow has already reduced from 16-bit colour to 8 bits cannot be told from an 8-bit one, so give the path.
        name: what errors call the picture; by default the path.
        page: which page of a multi-page TIFF, from 0; see `picture_pages`. None wants a file that holds one picture.
        limits: bounds on pixels, bytes and pages.

    Raises:
        PictureTooLargeError: if it exceeds a limit.
        PictureError: if there is no such file, it cannot be decoded in full, or its values are not of a kind above.
        SettingError: if `page` is not a whole number of at least 0.
    """
    if page is not None and (not isinstance(page, int) or isinstance(page, bool) or page < 0):
        raise SettingError(f"a page must be a whole number of at least 0, got {page!r}")
    shown = name if name is not None else _name_of(source) + (f"#{page + 1}" if page else "")
    if isinstance(source, np.ndarray):
        _require_single(page, shown)
        return np.ascontiguousarray(_from_array(source, shown, limits))
    if isinstance(source, Image.Image):
        _require_single(page, shown)
        return np.ascontiguousarray(_from_pil(source, shown, limits))
    with _opened(source, shown, limits) as (file, size):
        head = file.read(512)
        file.seek(0)
        kind = _kind_of(head)
        if kind == "TIFF":
            return np.ascontiguousarray(_read_tiff(file, size, page, shown, limits))
        if kind is None:
            raise PictureError(_not_a_picture(head, shown))
        _require_single(page, shown)
        data = source if isinstance(source, bytes) else file.read()
    with _decoding(kind, shown):
        return np.ascontiguousarray(_READERS[kind](data, shown, limits))


def picture_pages(
    source: str | os.PathLike[str] | bytes, *, name: str | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> tuple[int, ...]:
    """Indices of the pages of a file that are pictures, for `read_picture(..., page=...)`; (0,) if it is not a TIFF.

    Pages marked as reduced copies (thumbnails, pyramid levels) or as masks of another page are left out.

    Raises:
        PictureTooLargeError: if the file exceeds a limit.
        PictureError: if the file cannot be opened or its list of pages is damaged.
    """
    shown = name if name is not None else _name_of(source)
    with _opened(source, shown, limits) as (file, _):
        head = file.read(512)
        if _kind_of(head) != "TIFF":
            return (0,)
        return _full_pages(list(_tiff_directories(file, shown, limits)))


def fit_channels(picture: Picture, channels: int, name: str) -> Picture:
    """The picture with as many channels as the model takes, if that loses nothing.

    Args:
        picture: `[H, W, C]` as `read_picture` returns it.
        channels: 1 or 3. Grey becomes three equal channels; three equal channels become grey.
        name: what errors call the picture.

    Raises:
        PictureFormatError: if one channel is wanted and the picture has colour.
        SettingError: if `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise SettingError(f"channels must be 1 (grey) or 3 (colour), got {channels!r}")
    if picture.shape[2] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=2)
    grey = picture[:, :, :1]
    if not np.array_equal(picture[:, :, 1:2], grey) or not np.array_equal(picture[:, :, 2:], grey):
        raise PictureFormatError(
            f"{name} is a colour picture, but the model takes grey pictures: convert it to grey as the good pictures "
            "were, or fit a model on colour pictures"
        )
    return np.ascontiguousarray(grey)


def require_depth(picture: Picture, dtype: np.typing.DTypeLike, name: str) -> None:
    """Nothing, if the picture has as many bits a channel as the model takes.

    Raises:
        PictureFormatError: if the picture is uint8 and `dtype` uint16, or the other way round.
    """
    wanted = np.dtype(dtype)
    if picture.dtype != wanted:
        raise PictureFormatError(
            f"{name} has {picture.dtype.itemsize * 8} bits a channel, the model takes {wanted.itemsize * 8}: save it "
            "in the depth of the good pictures, or fit a model on pictures of this depth"
        )


# Sources


def _name_of(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    if isinstance(source, Image.Image):
        return os.fsdecode(getattr(source, "filename", "")) or "the PIL image"
    return "the array" if isinstance(source, np.ndarray) else "the picture"


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes, name: str, limits: ReadingLimits) -> Iterator[tuple[BinaryIO, int]]:
    """The file at its start, and its size in bytes, which is within the limit and not 0."""
    if isinstance(source, bytes):
        _check_bytes(len(source), name, limits)
        yield io.BytesIO(source), len(source)
        return
    if not isinstance(source, (str, os.PathLike)):
        raise PictureError(
            f"a picture must be a path, bytes, a PIL image or an array, got {type(source).__name__}: give one of those"
        )
    try:
        path = Path(source)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PictureError(f"{name} is a folder where a picture is meant: give the path of one picture file")
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(f"{name} is a device or a pipe where a picture is meant: give the path of a file")
        _check_bytes(status.st_size, name, limits)
        file = path.open("rb")
    except FileNotFoundError as error:
        raise PictureError(f"{name} does not exist: check the path") from error
    except PermissionError as error:
        raise PictureError(f"{name} may not be read by this user: change its permissions") from error
    except (OSError, ValueError, TypeError) as error:  # ValueError: a null character; TypeError: a path of bytes
        raise PictureError(f"{name} cannot be opened ({_reason(error)}): check the path") from error
    with file, _decoding("a picture", name):
        yield file, status.st_size


def _check_bytes(size: int, name: str, limits: ReadingLimits) -> None:
    if size == 0:
        raise PictureError(f"{name} is empty (0 bytes): copy or save the picture again")
    if size > limits.max_bytes:
        raise PictureTooLargeError(
            f"{name} has {size:,} bytes, and at most {limits.max_bytes:,} are read: make it smaller or raise max_bytes"
        )


def _check_size(width: int, height: int, name: str, limits: ReadingLimits) -> None:
    if width < 1 or height < 1:
        raise PictureError(f"{name} must have at least one pixel, got {width} x {height}: save it again")
    if width * height > limits.max_pixels:
        raise PictureTooLargeError(
            f"{name} has {width} x {height} = {width * height:,} pixels, and at most {limits.max_pixels:,} are read: "
            "make it smaller or raise max_pixels"
        )


def _require_single(page: int | None, name: str) -> None:
    if page:
        raise PictureError(f"{name} holds one picture, and page {page} was asked for: only TIFF files have pages")


@contextmanager
def _decoding(kind: str, name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into a PictureError: codecs raise nearly every type there is."""
    try:
        yield
    except OnlygoodError:
        raise
    except MemoryError as error:
        raise PictureTooLargeError(f"{name} needs more memory than there is: make it smaller") from error
    except Exception as error:
        raise PictureError(
            f"{name} cannot be decoded as {kind}, it is damaged or cut short ({_reason(error)}): copy or save it again"
        ) from error


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _damaged(name: str, kind: str, what: str) -> PictureError:
    return PictureError(f"{name} is a damaged {kind} file: {what}; copy or save the picture again")


# Which format


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF picture"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"\0\0\x01\0", "an icon file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def _kind_of(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _not_a_picture(head: bytes, name: str) -> str:
    what = next((what for magic, what in _OTHERS if head.startswith(magic)), None)
    if what == "a Git LFS pointer":
        return f"{name} is a Git LFS pointer, not the picture that it stands for: run `git lfs pull`"
    if what is None and head[4:8] == b"ftyp":
        what = "an AVIF picture" if head[8:12] in (b"avif", b"avis") else "a HEIF picture or a video"
    if what is None and re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xff]+", head):
        what = "a text file"
    if what is None:
        what = f"in a format that is not known (it begins with {head[:8].hex(' ')})"
    return f"{name} is {what}, and only {_READABLE} pictures are read: save it as one of those"


# From pixels as stored to grey or RGB over black


def _over_black(colour: Picture, alpha: Picture, maximum: int) -> Picture:
    """round(colour * alpha / maximum), exact in integers; `colour` itself if alpha is `maximum` everywhere."""
    if int(alpha.min()) == maximum:
        return colour
    # maximum squared + maximum / 2 fits: 65,152 in uint16, 4,294,868,992 in uint32
    wide = np.uint16 if maximum <= 255 else np.uint32
    product = np.multiply(colour, alpha, dtype=wide)
    product += wide(maximum // 2)
    product //= wide(maximum)
    return product.astype(colour.dtype)


def _split_alpha(pixels: Picture, maximum: int) -> Picture:
    return _over_black(pixels[:, :, :-1], pixels[:, :, -1:], maximum)


def _cmyk_to_rgb(ink: Picture, maximum: int) -> Picture:
    paper = (ink.dtype.type(maximum) - ink).astype(ink.dtype, copy=False)
    return _split_alpha(paper, maximum)


def _look_up(
    indices: NDArray[np.uint8], palette: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, name: str
) -> Picture:
    """Colours `[H, W, 3]`, or `[H, W, 1]` if the palette is all grey, of palette indices `[H, W]`."""
    last = int(indices.max())
    if last >= len(palette):
        raise PictureError(f"{name} is damaged, it uses colour {last} of a palette of {len(palette)}: save it again")
    colours: Picture = palette[:, :1] if (palette == palette[:, :1]).all() else palette
    if alpha is not None:
        opacity = np.full((len(palette), 1), 255, np.uint8)
        opacity[: len(alpha), 0] = alpha[: len(palette)]
        colours = _over_black(colours, opacity, 255)
    return np.asarray(colours[indices])


def _blacken(pixels: Picture, key: int | tuple[int, ...]) -> Picture:
    """The picture with its transparent colour over black."""
    transparent = (pixels == np.asarray(key)).all(axis=2)
    return np.where(transparent[:, :, None], pixels.dtype.type(0), pixels) if transparent.any() else pixels


def _turn(pixels: Picture, orientation: int) -> Picture:
    """The picture upright, for an EXIF orientation of 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _exif_orientation(exif: bytes) -> int:
    """1 to 8; 1 (upright) if the EXIF block asks for nothing or cannot be read, as every viewer takes it."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, field_type = struct.unpack_from(order + "HH", block, at)
            if tag == 274 and field_type in (3, 4):
                (value,) = struct.unpack_from(order + ("H" if field_type == 3 else "I"), block, at + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


# Arrays and PIL images


def _from_array(array: NDArray[Any], name: str, limits: ReadingLimits) -> Picture:
    if isinstance(array, np.ma.MaskedArray):
        raise PictureError(f"{name} must be a plain array, got a masked one: fill the masked pixels")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise PictureError(f"{name} must be of type uint8 or uint16, got {array.dtype}: {_RESCALE}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PictureError(
            f"{name} must have the shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], got {list(array.shape)}: "
            "put the channels last, one picture at a time"
        )
    _check_size(array.shape[1], array.shape[0], name, limits)
    pixels = np.asarray(array, dtype=array.dtype.newbyteorder("="))
    if pixels.ndim == 2:
        return pixels[:, :, None]
    return _split_alpha(pixels, int(np.iinfo(pixels.dtype).max)) if pixels.shape[2] == 4 else pixels


def _from_pil(image: Image.Image, name: str, limits: ReadingLimits) -> Picture:
    _check_size(image.width, image.height, name, limits)
    for tile in getattr(image, "tile", ()):
        raw_mode = tile.args if isinstance(tile.args, str) else next(iter(tile.args or ()), "")
        if not image.mode.startswith("I;16") and re.search(r"(?<!^BGR);16[BLNS]?$", str(raw_mode)):
            raise PictureError(
                f"{name} has 16-bit colour, which Pillow reduces to 8 bits: give its path or bytes, not a PIL image"
            )
    with _decoding("a picture", name):
        image.load()
        pixels = _pil_pixels(image, name)
        key = image.info.get("transparency")
        if key is not None and image.mode in ("1", "L", "I;16", "RGB"):
            pixels = _blacken(pixels, key * 255 if image.mode == "1" and key == 1 else key)
    try:
        orientation = image.getexif().get(274, 1)
    except Exception:
        orientation = 1  # as for files: an EXIF block that cannot be read asks for nothing
    return _turn(pixels, orientation if orientation in range(1, 9) else 1)


def _pil_pixels(image: Image.Image, name: str) -> Picture:
    """Grey or RGB of a loaded image; a transparent colour that `info` names is left as it is, save in a palette."""
    mode = image.mode
    pixels: NDArray[Any] = np.asarray(image)
    if mode == "L":
        return pixels[:, :, None]
    if mode == "RGB":
        return pixels
    if mode == "1":
        return pixels[:, :, None].astype(np.uint8) * np.uint8(255)
    if mode.startswith("I;16"):
        return pixels[:, :, None].astype(np.uint16, copy=False)
    if mode in ("LA", "RGBA"):
        return _split_alpha(pixels, 255)
    if mode == "CMYK":
        return _cmyk_to_rgb(pixels, 255)
    if mode in ("P", "PA") and image.palette is not None:
        entry = "RGBA" if image.palette.mode == "RGBA" else "RGB"
        table = np.asarray(image.getpalette(entry), np.uint8).reshape(-1, len(entry))
        alpha = table[:, 3] if entry == "RGBA" else _palette_alpha(image.info.get("transparency"))
        if mode == "P":
            return _look_up(pixels, table[:, :3], alpha, name)
        return _over_black(_look_up(pixels[:, :, 0], table[:, :3], None, name), pixels[:, :, 1:], 255)
    raise PictureError(f"{name} has the PIL mode {mode}, which is neither 8- nor 16-bit grey or colour: {_RESCALE}")


def _palette_alpha(transparency: bytes | int | None) -> NDArray[np.uint8] | None:
    if isinstance(transparency, int):
        transparency = b"\xff" * transparency + b"\0"
    return None if transparency is None else np.frombuffer(transparency, np.uint8)


def _load(
    plugin: Callable[[BinaryIO], ImageFile.ImageFile], data: bytes, name: str, limits: ReadingLimits
) -> Image.Image:
    """The decoded image; Pillow raises on files cut short, unless the process has told it not to."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise PictureError(
            f"{name} is not read while PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, because of a file cut short Pillow "
            "would give half a picture: turn it off"
        )
    image = plugin(io.BytesIO(data))
    _check_size(image.width, image.height, name, limits)
    image.load()
    return image


# JPEG


def _read_jpeg(data: bytes, name: str, limits: ReadingLimits) -> Picture:
    stream, exif = _plain_jpeg(data, name, limits)
    image = _load(JpegImagePlugin.JpegImageFile, stream, name, limits)
    if image.mode == "CMYK" and "adobe" not in image.info:
        # Pillow would take it for inverted; without Adobe's marker programs differ on what 0 means
        raise PictureError(f"{name} is a CMYK JPEG that does not say whether it is inverted: save it as RGB")
    return _turn(_pil_pixels(image, name), _exif_orientation(exif))


def _plain_jpeg(data: bytes, name: str, limits: ReadingLimits) -> tuple[bytes, bytes]:
    """The JPEG without metadata, and its EXIF block.

    Pillow parses metadata of all makers on opening and warns about what it does not understand; pixels depend only on
    the JFIF (APP0) and Adobe (APP14) segments.
    """
    kept = [b"\xff\xd8"]
    exif = b""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if at < 0 or at + 3 > len(data):
            raise _damaged(name, "JPEG", "it ends within its header")
        marker = data[at]
        if marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            at += 1
            continue
        if marker == 0xD9:
            raise _damaged(name, "JPEG", "it ends before its pixels")
        if marker == 0xDA:
            if data.rfind(b"\xff\xd9") < at:
                # Pillow takes the zeros that a broken copy leaves at the end for pixels
                raise _damaged(name, "JPEG", "it has no end marker")
            kept.append(data[at - 1 :])
            return b"".join(kept), exif
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        segment = data[at - 1 : at + 1 + length]
        if length < 2 or len(segment) < length + 2:
            raise _damaged(name, "JPEG", "it ends within its header")
        if _is_frame_header(marker) and length >= 8:
            _check_size(*_frame_size(segment), name, limits)
            if segment[4] != 8:
                raise PictureError(f"{name} is a JPEG of {segment[4]} bits, 8 are required: save it as PNG or TIFF")
        if marker == 0xE1 and not exif and segment[4:10] == b"Exif\0\0":
            exif = segment[10:]
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept.append(segment)
        at += 1 + length


def _is_frame_header(marker: int) -> bool:
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def _frame_size(segment: bytes) -> tuple[int, int]:
    return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")


# PNG


def _read_png(data: bytes, name: str, limits: ReadingLimits) -> Picture:
    chunks = _png_chunks(data, name)
    width, height, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"][0][8:21])
    _check_size(width, height, name, limits)
    if b"acTL" in chunks and int.from_bytes(chunks[b"acTL"][0][8:12], "big") > 1:
        raise PictureError(f"{name} is an animation, and one still picture is required: save its frames as files")
    if b"IDAT" not in chunks:
        raise _damaged(name, "PNG", "it has no pixels")
    # only what the pixels depend on: text and profiles are work for a decoder, and ways to upset it
    stream = b"".join(
        [_MAGIC[1][0], chunks[b"IHDR"][0], *chunks.get(b"PLTE", [])[:1], *chunks[b"IDAT"], *chunks[b"IEND"]]
    )
    transparency = bytes(chunks[b"tRNS"][0][8:-4]) if b"tRNS" in chunks else None
    pixels: Picture
    if bits == 16 and colour_type != 0:
        import imagecodecs

        stored = _png_passes(chunks, name) if interlaced else imagecodecs.png_decode(stream)
        if stored.dtype != np.uint16 or stored.shape[:2] != (height, width):
            raise _damaged(name, "PNG", "its pixels are not of the kind that its header says")
        pixels = _split_alpha(stored, 65535) if colour_type in (4, 6) else stored
    else:
        image = _load(PngImagePlugin.PngImageFile, stream, name, limits)
        if transparency is not None and colour_type == 3:
            image.info["transparency"] = transparency
        pixels = _pil_pixels(image, name)
    if transparency is not None and colour_type in (0, 2):
        key = struct.unpack_from(">H" if colour_type == 0 else ">HHH", transparency)
        scale = 255 // (2**bits - 1) if bits < 8 else 1
        pixels = _blacken(pixels, tuple(value * scale for value in key))
    exif = bytes(chunks[b"eXIf"][0][8:-4]) if b"eXIf" in chunks else b""
    return _turn(pixels, _exif_orientation(exif))


# the seven passes of an interlaced PNG: first column, first row, step across, step down
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _png_passes(chunks: dict[bytes, list[memoryview]], name: str) -> NDArray[Any]:
    """Samples `[H, W, channels]` of an interlaced 16-bit PNG, each pass decoded as a PNG of its own.

    imagecodecs decodes interlaced files too, but its libpng then writes a warning to stderr.
    """
    import imagecodecs

    header = bytes(chunks[b"IHDR"][0][8:21])
    width, height, _, colour_type = struct.unpack(">IIBB", header[:10])
    channels = {2: 3, 4: 2, 6: 4}[colour_type]
    size = sum(_png_pass_size(width, height, channels, *one)[2] for one in _ADAM7)
    rows_of_all = zlib.decompressobj().decompress(b"".join(chunk[8:-4] for chunk in chunks[b"IDAT"]), size)
    if len(rows_of_all) < size:
        raise _damaged(name, "PNG", "parts of its pixels are missing")
    samples = np.empty((height, width, channels), np.uint16)
    at = 0
    for x, y, dx, dy in _ADAM7:
        columns, rows, size = _png_pass_size(width, height, channels, x, y, dx, dy)
        if size:
            plain = struct.pack(">II", columns, rows) + header[8:12] + b"\0"
            body = zlib.compress(rows_of_all[at : at + size], 0)
            parts = (_png_chunk(b"IHDR", plain), _png_chunk(b"IDAT", body), _png_chunk(b"IEND", b""))
            samples[y::dy, x::dx] = imagecodecs.png_decode(_MAGIC[1][0] + b"".join(parts))
            at += size
    return samples


def _png_pass_size(width: int, height: int, channels: int, x: int, y: int, dx: int, dy: int) -> tuple[int, int, int]:
    """Columns, rows and bytes (with the filter byte of each row) of one pass."""
    columns, rows = max(-((x - width) // dx), 0), max(-((y - height) // dy), 0)
    return columns, rows, rows * (1 + columns * channels * 2) if columns else 0


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_chunks(data: bytes, name: str) -> dict[bytes, list[memoryview]]:
    """Whole chunks (length, type, body, checksum) by type, with the checksums of those that matter verified.

    The check finds files cut short or damaged in the pixels; decoders skip the checksums of the pixel data.
    """
    view = memoryview(data)
    chunks: dict[bytes, list[memoryview]] = {}
    at = 8
    while b"IEND" not in chunks:
        if at + 12 > len(data):
            raise _damaged(name, "PNG", "it ends too early")
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise _damaged(name, "PNG", "it ends too early")
        is_critical = not kind[0] & 0x20
        if is_critical and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            raise _damaged(name, "PNG", "it has parts that are not in the PNG standard")
        if is_critical or kind in (b"tRNS", b"eXIf", b"acTL"):
            body = view[at + 4 : at + 8 + length]
            if zlib.crc32(body) != int.from_bytes(view[at + 8 + length : at + 12 + length], "big"):
                raise _damaged(name, "PNG", f"the checksum of its {kind.decode('latin-1')} part is wrong")
            chunks.setdefault(kind, []).append(view[at : at + 12 + length])
        at += 12 + length
    if b"IHDR" not in chunks or len(chunks[b"IHDR"][0]) != 25:
        raise _damaged(name, "PNG", "it has no header")
    return chunks


# BMP


def _read_bmp(data: bytes, name: str, limits: ReadingLimits) -> Picture:
    (header_size,) = struct.unpack_from("<I", data, 14)
    (bits,) = struct.unpack_from("<H", data, 24 if header_size == 12 else 28)
    image = _load(BmpImagePlugin.BmpImageFile, data, name, limits)
    if image.mode == "1" and bits != 1:
        # Pillow takes the bytes of a picture with a palette of black and white for bits
        raise PictureError(f"{name} is a BMP of {bits} bits with a palette of two colours: save it as PNG")
    return _pil_pixels(image, name)


# WebP


def _read_webp(data: bytes, name: str, limits: ReadingLimits) -> Picture:
    """Always colour: WebP knows no grey. imagecodecs decodes it, as Pillow's class applies its own pixel limit."""
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise _damaged(name, "WebP", "it ends too early")
    chunk, body = data[12:16], data[20:30]
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", body[6:10]))
    elif chunk == b"VP8L" and body[:1] == b"\x2f":
        packed = int.from_bytes(body[1:5], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8X" and len(body) == 10:
        if body[0] & 0x02:
            raise PictureError(f"{name} is an animation, and one still picture is required: save its frames as files")
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
    else:
        raise _damaged(name, "WebP", "its header cannot be read")
    _check_size(width, height, name, limits)
    import imagecodecs

    pixels: Picture = imagecodecs.webp_decode(data)
    if pixels.shape[:2] != (height, width):
        raise _damaged(name, "WebP", "its pixels are not of the size that its header says")
    colour = _split_alpha(pixels, 255) if pixels.shape[2] == 4 else pixels
    return _turn(colour, _exif_orientation(_webp_exif(data)))


def _webp_exif(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        chunk, size = struct.unpack_from("<4sI", data, at)
        if chunk == b"EXIF":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return b""


_READERS: dict[str, Callable[[bytes, str, ReadingLimits], Picture]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "BMP": _read_bmp,
    "WebP": _read_webp,
}


# TIFF


# none, CCITT (2, 3, 4), LZW, JPEG, deflate (8, 32946), PackBits, LZMA, ZSTD: those with a size that can be bounded
_TIFF_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32946, 32773, 34925, 50000})
_TIFF_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
_TIFF_BITS = {
    0: {1, 2, 4, *range(8, 17)},
    1: {1, 2, 4, *range(8, 17)},
    2: set(range(8, 17)),
    3: {1, 2, 4, 8},
    5: {8, 16},
    6: {8},
}
_TIFF_VALUES = {
    2: "signed integers",
    3: "floating-point numbers",
    4: "values of undefined type",
    5: "complex numbers",
    6: "complex numbers",
}
_TIFF_COLOURS = {4: "a transparency mask", 8: "CIE L*a*b* colour", 9: "ICC L*a*b* colour", 10: "ITU L*a*b* colour"} | {
    32803: "an undemosaiced raw picture",
    34892: "a linear raw picture",
}
# a tag of these that tifffile could not parse would silently take its default
_TIFF_LAYOUT_TAGS = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 332, 338, 339, 347}
    | {512, 513, 514, 530, 32997, 32998}
)


@dataclass(frozen=True, slots=True)
class _TiffDirectory:
    offset: int
    tags: frozenset[int]
    is_secondary: bool  # a reduced copy or a mask of another page


def _tiff_directories(file: BinaryIO, name: str, limits: ReadingLimits) -> Iterator[_TiffDirectory]:
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
                raise _damaged(name, "TIFF", "its list of pages runs in a circle")
            if len(seen) == limits.max_pages:
                raise PictureTooLargeError(
                    f"{name} has more than {limits.max_pages:,} pages: split the file or raise max_pages"
                )
            seen.add(offset)
            file.seek(offset)
            (count,) = struct.unpack(count_format, file.read(count_size))
            if count > 4096:
                raise _damaged(name, "TIFF", "its list of pages cannot be read")
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
            yield _TiffDirectory(offset, frozenset(tags), is_secondary)
            offset = following
    except (struct.error, OverflowError, OSError, ValueError) as error:
        raise _damaged(name, "TIFF", "its list of pages ends too early") from error


def _full_pages(directories: list[_TiffDirectory]) -> tuple[int, ...]:
    return tuple(index for index, one in enumerate(directories) if not one.is_secondary) or (0,)


def _read_tiff(file: BinaryIO, size: int, page: int | None, name: str, limits: ReadingLimits) -> Picture:
    if page is None:
        directories = list(_tiff_directories(file, name, limits))
        pages = _full_pages(directories)
        if len(pages) > 1:
            raise PictureError(
                f"{name} holds {len(pages)} pictures where one is meant: say which with page, from {pages[0]} to "
                f"{pages[-1]}"
            )
        page = pages[0]
    else:
        directories = list(islice(_tiff_directories(file, name, limits), page + 1))
    if page >= len(directories):
        raise PictureError(f"{name} has {len(directories)} pages, and page {page} was asked for, counting from 0")
    with _quiet_tifffile(), _decoding("TIFF", name):
        import tifffile

        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            tiff.filehandle.seek(directories[page].offset)
            parsed = tifffile.TiffPage(tiff, index=page)
            if any(tag in _TIFF_LAYOUT_TAGS and tag not in parsed.tags for tag in directories[page].tags):
                raise _damaged(name, "TIFF", "a tag that its pixels depend on cannot be read")
            _check_tiff_kind(parsed, name, limits)
            pixels = _tiff_pixels(parsed, file, size, name, limits)
            return _turn(pixels, _tiff_orientation(parsed))


def _tiff_orientation(page: Any) -> int:
    value = page.tags.valueof(274, 1)
    return value if value in range(1, 9) else 1


def _check_tiff_kind(page: Any, name: str, limits: ReadingLimits) -> None:
    """Raises unless the page has a size within the limits and values that have one meaning as grey or colour."""
    _check_size(page.imagewidth, page.imagelength, name, limits)
    if page.imagedepth != 1:
        raise PictureError(f"{name} is a volume of {page.imagedepth} layers: save each layer as a page of its own")
    if page.is_tiled:
        if page.tiledepth != 1:
            raise PictureError(f"{name} is tiled in volumes {page.tiledepth} deep: save it untiled")
        _check_size(page.tilewidth, page.tilelength, f"a tile of {name}", limits)
    if 262 not in page.tags:
        raise _damaged(name, "TIFF", "it does not say what its values mean (photometric interpretation)")
    photometric, compression = int(page.photometric), int(page.compression)
    if compression not in _TIFF_COMPRESSIONS:
        raise PictureError(
            f"{name} is compressed in a way that is not read (TIFF compression {compression}): save it uncompressed or "
            "with LZW, deflate, ZSTD, PackBits or JPEG"
        )
    if photometric not in _TIFF_CHANNELS:
        what = _TIFF_COLOURS.get(photometric, f"colour of a kind that is not read (TIFF photometric {photometric})")
        raise PictureError(f"{name} holds {what}, and grey, RGB, palette and CMYK pictures are read: save it as RGB")
    if photometric == 6 and compression != 7:
        raise PictureError(f"{name} holds YCbCr colour without JPEG compression: save it as RGB")
    if photometric == 5 and (compression == 7 or page.tags.valueof(332, 1) != 1):
        raise PictureError(f"{name} holds inks other than plain CMYK, or CMYK as JPEG: save it as RGB")
    bits = page.bitspersample
    values = _TIFF_VALUES.get(int(page.sampleformat)) if page.sampleformat != 1 else None
    if page.sampleformat != 1 or bits not in _TIFF_BITS[photometric]:
        raise PictureError(
            f"{name} holds {values or 'unsigned integers'} of {bits} bits a channel, and unsigned integers of up to 16 "
            f"bits are read: {_RESCALE}"
        )
    if bits in (1, 2, 4) and page.samplesperpixel > 1:
        raise PictureError(f"{name} has {page.samplesperpixel} channels of {bits} bits: {_RESCALE}")
    extra = page.samplesperpixel - _TIFF_CHANNELS[photometric]
    # ExtraSamples: 1 is alpha that the colours were multiplied with, 2 alpha that they were not
    has_alpha = extra == 1 and tuple(page.extrasamples) in ((1,), (2,)) and photometric in (0, 1, 2)
    if extra and not has_alpha:
        raise PictureError(
            f"{name} has {page.samplesperpixel} channels that the file does not declare as grey or RGB, with or "
            "without alpha: save it as grey or RGB, one picture a page"
        )


def _tiff_pixels(page: Any, file: BinaryIO, size: int, name: str, limits: ReadingLimits) -> Picture:
    """Grey or RGB of a page that passed `_check_tiff_kind`, not yet turned."""
    stored = _tiff_samples(page, file, size, name, limits)
    photometric, bits = int(page.photometric), int(page.bitspersample)
    maximum = 2**bits - 1
    if photometric == 3:
        return _look_up(stored[:, :, 0].astype(np.uint8), _tiff_palette(page, name), None, name)
    pixels: Picture
    if bits < 8:
        pixels, maximum = stored.astype(np.uint8) * np.uint8(255 // maximum), 255
    else:
        pixels = stored
    if bits not in (8, 16) and int(pixels.max()) > maximum:
        raise _damaged(name, "TIFF", f"it has values above the {maximum} that {bits} bits hold")
    if photometric == 5:
        return _cmyk_to_rgb(pixels, maximum)
    alpha = pixels[:, :, -1:] if page.samplesperpixel in (2, 4) else None
    if alpha is not None:
        pixels = pixels[:, :, :-1]
    if photometric == 0:
        pixels = (pixels.dtype.type(maximum) - pixels).astype(pixels.dtype, copy=False)
    if alpha is not None and tuple(page.extrasamples) == (2,):
        pixels = _over_black(pixels, alpha, maximum)
    return pixels


def _tiff_samples(page: Any, file: BinaryIO, size: int, name: str, limits: ReadingLimits) -> NDArray[Any]:
    """Values `[H, W, samples]` as stored. Not `page.asarray()`, which fills missing strips and tiles with zeros."""
    count = math.prod(page.chunked)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))[:count]
    if len(places) < count:
        raise _damaged(name, "TIFF", f"it has {len(places)} of {count} parts of its pixels")
    if any(offset <= 0 or length <= 0 or offset + length > size for offset, length in places):
        raise _damaged(name, "TIFF", "it ends too early, parts of its pixels are missing")
    samples = np.zeros(page.shaped, page.dtype.newbyteorder("="))
    height, width = samples.shape[2:4]
    for index, (offset, length) in enumerate(places):
        file.seek(offset)
        data = file.read(length)
        if page.compression == 7:
            _check_jpeg_part(data, name, limits)
        part, (plane, _, top, left, _), _ = page.decode(
            data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader
        )
        rows, columns = min(part.shape[1], height - top), min(part.shape[2], width - left)
        if part.dtype.itemsize > samples.dtype.itemsize:
            raise _damaged(name, "TIFF", "its pixels have more bits than it says")
        samples[plane, 0, top : top + rows, left : left + columns] = part[0, :rows, :columns]
    return np.moveaxis(samples[:, 0, :, :, 0], 0, 2) if samples.shape[0] > 1 else samples[0, 0]


def _check_jpeg_part(data: bytes, name: str, limits: ReadingLimits) -> None:
    """Raises if a JPEG strip or tile claims more pixels than the limit: it need not be as large as the page says."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if _is_frame_header(data[at + 1]):
            _check_size(*_frame_size(data[at : at + 9]), f"a part of {name}", limits)
            return
        at += 2 + length
    raise _damaged(name, "TIFF", "a JPEG part of its pixels has no header")


def _tiff_palette(page: Any, name: str) -> NDArray[np.uint8]:
    """Colours `[entries, 3]`. TIFF keeps them in 16 bits: 8-bit ones times 257, or times 256 from some programs."""
    colours = np.asarray(page.colormap)
    if colours.ndim != 2 or colours.shape[0] != 3:
        raise _damaged(name, "TIFF", "it has no palette")
    high = colours >> 8
    if not ((colours == high * 257).all() or (colours == high * 256).all()):
        raise PictureError(f"{name} has a palette of 16-bit colours, which 8 bits cannot hold: save it as 16-bit RGB")
    return high.T.astype(np.uint8)


class _SilenceFilter(logging.Filter):
    """Drops what tifffile logs while this thread reads a picture: what matters is in the error that we raise."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.thread, "reading", False)


_SILENCE = _SilenceFilter()


@contextmanager
def _quiet_tifffile() -> Iterator[None]:
    # a filter added once and switched on per thread: setting the logger's level would race with other threads
    logging.getLogger("tifffile").addFilter(_SILENCE)
    _SILENCE.thread.reading = True
    try:
        yield
    finally:
        _SILENCE.thread.reading = False
