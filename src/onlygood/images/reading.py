"""Read one image, exactly: its file's own values come back, or a sentence that says why they cannot.

Everything becomes an array `[H, W, C]` of uint8 or uint16 with 1 (grey) or 3 (colour) channels:

    grey, 1-bit, 2-bit, 4-bit     C = 1; fewer than 8 bits become 8, with white at 255 (1-bit: 0 and 255)
    RGB                           C = 3
    palette                       C = 1 if every entry of the palette is a grey, else C = 3; the palette decides, never
                                  the pixels, so that images of one camera have one number of channels
    CMYK                          C = 3; R = (1 - C)(1 - K) and so on, without colour profiles
    alpha, transparent colours    dropped if opaque everywhere, else laid over black, with the image's own arithmetic:
                                  round(value * alpha / maximum)
    9 to 16 bits in a container   the raw values: a 12-bit camera gives 0..4095, never stretched
    TIFF where 0 means white      inverted, so that 0 is black in every image

EXIF and TIFF orientation is applied; an EXIF block that cannot be read asks for nothing, as in every viewer. Colour
profiles and gamma tags are not applied: inspection compares images of one camera. Animations are refused. Each page
of a multi-page TIFF is an image of its own.

Files are told apart by content, not by name. Bytes and pixels are checked against the limits on the headers, before any
decoding. This module opens the source and says which format it is; the formats are read in `single_image_formats`
(JPEG, PNG, BMP, WebP) and `tiff`, arrays and PIL images in `images_in_memory`. `pixels` has the arithmetic of the
table above, `limits_and_damage` the refusals that all of them share.
"""

import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood._integers import check_integer
from onlygood._paths import given_path
from onlygood.errors import ImageError, ImageFormatError, SettingError
from onlygood.images.formats import PNG_SIGNATURE, read_bmp, read_jpeg, read_png, read_webp
from onlygood.images.in_memory import from_array, from_pil
from onlygood.images.limits import DEFAULT_LIMITS, ReadingLimits, check_bytes, decoding, reason
from onlygood.images.pixels import ImageArray
from onlygood.images.tiff import read_tiff, tiff_pages

__all__ = [
    "DEFAULT_LIMITS",
    "ImageArray",
    "ImageSource",
    "ReadingLimits",
    "fit_channels",
    "image_pages",
    "read_image",
    "require_depth",
]

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]

_READABLE = "JPEG, PNG, BMP, TIFF and WebP"


def read_image(
    source: ImageSource, *, name: str | None = None, page: int | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> ImageArray:
    """Pixels `[H, W, C]`, uint8 or uint16, C-contiguous, 0 is black; C is 1 (grey) or 3 (red, green, blue).

    The array may be read-only or share memory with `source`. Safe to call from many threads.

    Args:
        source: a file's path, a file's bytes, a PIL image, or an array uint8 or uint16 of shape `[H, W]`, `[H, W, 1]`,
            `[H, W, 3]` or `[H, W, 4]` (the last channel is alpha). Of a PIL image the current frame is taken; one that
            Pillow has already reduced from 16-bit colour to 8 bits cannot be told from an 8-bit one, so give the path.
        name: what errors call the image; by default the path.
        page: which page of a multi-page TIFF, from 0; see `image_pages`. None wants a file that holds one image.
        limits: bounds on pixels, bytes and pages.

    Raises:
        ImageTooLargeError: if it exceeds a limit.
        ImageError: if there is no such file, it cannot be decoded in full, or its values are not of a kind above.
        SettingError: if `page` is not a whole number of at least 0.

    Example:
        >>> import onlygood
        >>> image = onlygood.read_image("new/0.png")
        >>> image.shape, image.dtype
        ((96, 112, 3), dtype('uint8'))
    """
    if page is not None:
        page = check_integer("a page", page, 0)
    shown = name if name is not None else _name_of(source) + (f"#{page + 1}" if page else "")
    if isinstance(source, np.ndarray):
        _require_single(page, shown)
        return np.ascontiguousarray(from_array(source, shown, limits))
    if isinstance(source, Image.Image):
        _require_single(page, shown)
        return np.ascontiguousarray(from_pil(source, shown, limits))
    with _opened(source, shown, limits) as (file, size):
        head = file.read(512)
        file.seek(0)
        kind = _kind_of(head)
        if kind == "TIFF":
            return np.ascontiguousarray(read_tiff(file, size, page, shown, limits))
        if kind is None:
            raise ImageError(_not_an_image(head, shown))
        _require_single(page, shown)
        data = source if isinstance(source, bytes) else file.read()
    with decoding(kind, shown):
        return np.ascontiguousarray(_READERS[kind](data, shown, limits))


def image_pages(
    source: str | os.PathLike[str] | bytes, *, name: str | None = None, limits: ReadingLimits = DEFAULT_LIMITS
) -> tuple[int, ...]:
    """Indices of the pages of a file that are images, for `read_image(..., page=...)`; (0,) if it is not a TIFF.

    Pages marked as reduced copies (thumbnails, pyramid levels) or as masks of another page are left out.

    Raises:
        ImageTooLargeError: if the file exceeds a limit.
        ImageError: if the file cannot be opened or its list of pages is damaged.
    """
    shown = name if name is not None else _name_of(source)
    with _opened(source, shown, limits) as (file, _):
        head = file.read(512)
        if _kind_of(head) != "TIFF":
            return (0,)
        return tiff_pages(file, shown, limits)


def fit_channels(image: ImageArray, channels: int, name: str) -> ImageArray:
    """The image with as many channels as the model takes, if that loses nothing.

    Args:
        image: `[H, W, C]` as `read_image` returns it.
        channels: 1 or 3. Grey becomes three equal channels; three equal channels become grey.
        name: what errors call the image.

    Raises:
        ImageFormatError: if one channel is wanted and the image has colour.
        SettingError: if `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise SettingError(f"channels must be 1 (grey) or 3 (colour), got {channels!r}")
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    grey = image[:, :, :1]
    if not np.array_equal(image[:, :, 1:2], grey) or not np.array_equal(image[:, :, 2:], grey):
        raise ImageFormatError(
            f"{name} is a colour image, but the model takes grey images: convert it to grey as the good images "
            "were, or fit a model on colour images"
        )
    return np.ascontiguousarray(grey)


def require_depth(image: ImageArray, dtype: np.typing.DTypeLike, name: str) -> None:
    """Nothing, if the image has as many bits a channel as the model takes.

    Raises:
        ImageFormatError: if the image is uint8 and `dtype` uint16, or the other way round.
    """
    wanted = np.dtype(dtype)
    if image.dtype != wanted:
        raise ImageFormatError(
            f"{name} has {image.dtype.itemsize * 8} bits a channel, the model takes {wanted.itemsize * 8}: save it "
            "in the depth of the good images, or fit a model on images of this depth"
        )


# Sources


def _name_of(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    if isinstance(source, Image.Image):
        return os.fsdecode(getattr(source, "filename", "")) or "the PIL image"
    return "the array" if isinstance(source, np.ndarray) else "the image"


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes, name: str, limits: ReadingLimits) -> Iterator[tuple[BinaryIO, int]]:
    """The file at its start, and its size in bytes, which is within the limit and not 0."""
    if isinstance(source, bytes):
        check_bytes(len(source), name, limits)
        yield io.BytesIO(source), len(source)
        return
    if not isinstance(source, (str, os.PathLike)):
        raise ImageError(
            f"an image must be a path, bytes, a PIL image or an array, got {type(source).__name__}: give one of those"
        )
    try:
        path = given_path(source, error=ImageError)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name} is a folder where an image is meant: give the path of one image file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is a device or a pipe where an image is meant: give the path of a file")
        check_bytes(status.st_size, name, limits)
        file = path.open("rb")
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist: check the path") from error
    except PermissionError as error:
        raise ImageError(f"{name} may not be read by this user: change its permissions") from error
    except (OSError, ValueError, TypeError) as error:  # ValueError: a null character; TypeError: a path of bytes
        raise ImageError(f"{name} cannot be opened ({reason(error)}): check the path") from error
    with file, decoding("an image", name):
        yield file, status.st_size


def _require_single(page: int | None, name: str) -> None:
    if page:
        raise ImageError(f"{name} holds one image, and page {page} was asked for: only TIFF files have pages")


# Which format


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (PNG_SIGNATURE, "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
_READERS: dict[str, Callable[[bytes, str, ReadingLimits], ImageArray]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "BMP": read_bmp,
    "WebP": read_webp,
}
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF image"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"v/1\x01", "an OpenEXR image"),
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


def _not_an_image(head: bytes, name: str) -> str:
    what = next((what for magic, what in _OTHERS if head.startswith(magic)), None)
    if what == "a Git LFS pointer":
        return f"{name} is a Git LFS pointer, not the image that it stands for: run `git lfs pull`"
    if what is None and head[4:8] == b"ftyp":
        what = "an AVIF image" if head[8:12] in (b"avif", b"avis") else "a HEIF image or a video"
    if what is None and re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xff]+", head):
        what = "a text file"
    if what is None:
        what = f"in a format that is not known (it begins with {head[:8].hex(' ')})"
    return f"{name} is {what}, and only {_READABLE} images are read: save it as one of those"
