"""Read one image, exactly: its file's own values come back, or a sentence that says why they cannot.

Everything becomes an array `[H, W, C]` of uint8 or uint16 with 1 (grey) or 3 (colour) channels, or up to 16:

    grey, 1-bit, 2-bit, 4-bit     C = 1; fewer than 8 bits become 8, with white at 255 (1-bit: 0 and 255)
    RGB                           C = 3
    palette                       C = 1 if every entry of the palette is a grey, else C = 3; the palette decides, never
                                  the pixels, so that images of one camera have one number of channels
    CMYK                          C = 3; R = (1 - C)(1 - K) and so on, without colour profiles
    several channels              C = 2 to 16, of TIFF files that declare them and of arrays
    alpha, transparent colours    dropped if opaque everywhere, else laid over black, with the image's own arithmetic:
                                  round(value * alpha / maximum); or the last channel, where ReadingLimits say so
    9 to 16 bits in a container   the raw values: a 12-bit camera gives 0..4095, never stretched
    0 means white                 inverted, so that 0 is black in every image (TIFF, PBM, DICOM)
    PGM, PPM, PAM                 a largest value below 255 becomes 255, from 256 on the values are raw
    BMP with bit fields           fewer than 8 bits become 8, with white at 255, rounded down; 9 to 16 bits are raw
    DICOM                         the stored values: slope, intercept and the window of display are not applied

Orientation is applied as EXIF, TIFF, AVIF and JPEG XL say it; an EXIF block that cannot be read asks for nothing, as in
every viewer. Colour profiles and gamma tags are not applied: inspection compares images of one camera. Animations are
refused. Each page of a multi-page TIFF is an image of its own. Of a damaged file no pixels come back, as far as
its format lets damage be found: docs/guides/images.md says how far.

Files are told apart by content, not by name. Bytes and pixels are checked against the limits on the headers, before any
decoding. This module opens the source; `signatures` says which format it is, modules with the names of the formats read
it (PNG and WebP are in `formats`), arrays and PIL images are read in `in_memory`. `pixels` has the arithmetic of the
table above, `limits` the refusals that all of them share.
"""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood._integers import check_integer
from onlygood._paths import given_path, missing
from onlygood._plurals import shorten
from onlygood.errors import ImageError, ImageFormatError, SettingError
from onlygood.images.avif import read_avif
from onlygood.images.bmp import read_bmp
from onlygood.images.channels import MOST_CHANNELS, count_channels, is_grey_or_colour
from onlygood.images.dicom import read_dicom
from onlygood.images.formats import read_png, read_webp
from onlygood.images.gif import read_gif
from onlygood.images.heic import read_heic
from onlygood.images.in_memory import from_array, from_pil
from onlygood.images.jpeg import read_jpeg
from onlygood.images.jpeg2000 import read_jpeg_2000
from onlygood.images.jpegxl import read_jpeg_xl
from onlygood.images.limits import DEFAULT_LIMITS, ReadingLimits, check_bytes, decoding, reason
from onlygood.images.netpbm import read_netpbm
from onlygood.images.pixels import ImageArray, opaque
from onlygood.images.signatures import HEAD_BYTES, format_of, unread_kind
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

ChannelOrder: TypeAlias = Literal["rgb", "bgr"]

# Of what is too long to be a path.
_SHOWN_CHARACTERS = 60

_READABLE = "JPEG, PNG, TIFF, BMP, WebP, GIF, PGM, PPM, JPEG 2000, AVIF, JPEG XL, DICOM and HEIC"


def read_image(
    source: ImageSource,
    *,
    name: str | None = None,
    page: int | None = None,
    channel_order: ChannelOrder = "rgb",
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> ImageArray:
    """Pixels `[H, W, C]`, uint8 or uint16, C-contiguous, 0 is black; C is 1 (grey), 3 (red, green, blue) or up to 16.

    The array may be read-only or share memory with `source`. Safe to call from many threads.

    Args:
        source: a file's path, a file's bytes, a PIL image, or an array uint8 or uint16 of shape `[H, W]` or `[H, W, 1]`
            (grey), `[H, W, 3]` (R, G, B), `[H, W, 4]` (R, G, B, alpha) or `[H, W, C]` with 5 to 16 channels; with 2
            or 4 that are none of alpha if the limits ask for so many. Of a PIL image the current frame is taken. Of
            one that Pillow has decoded it cannot be told whether its file was damaged or its 16-bit colour reduced to
            8 bits, so give the path.
        name: what errors call the image; by default the path.
        page: which page of a multi-page TIFF, from 0; see `image_pages`. None wants a file that holds one image.
        channel_order: of an array with colour: "rgb", or "bgr" for B, G, R or B, G, R, alpha, as OpenCV has it. A file
            and a PIL image say their own order, so that only "rgb" is right for them.
        limits: bounds on pixels, bytes and pages, how many channels there must be, and what becomes of transparency.

    Raises:
        ImageTooLargeError: if it exceeds a limit.
        ImageError: if there is no such file, it cannot be decoded in full, or its values are not of a kind above.
        SettingError: if `page` is not a whole number of at least 0, `channel_order` is neither "rgb" nor "bgr", or
            it is "bgr" and `source` is no array.

    Example:
        >>> import onlygood
        >>> image = onlygood.read_image("new/0.png")
        >>> image.shape, image.dtype
        ((96, 112, 3), dtype('uint8'))
        >>> from_opencv = image[:, :, ::-1]  # cv2.imread gives B, G, R
        >>> bool((onlygood.read_image(from_opencv, channel_order="bgr") == image).all())
        True
    """
    return read_with_format(source, name=name, page=page, channel_order=channel_order, limits=limits)[0]


def read_with_format(
    source: ImageSource,
    *,
    name: str | None = None,
    page: int | None = None,
    channel_order: ChannelOrder = "rgb",
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> tuple[ImageArray, str | None]:
    """As `read_image`, and the format of the file, "JPEG" and so on; None for an image that was made in memory.

    Args:
        source: as for `read_image`, and so are the others.
        name: what errors call the image.
        page: of a multi-page TIFF.
        channel_order: of an array.
        limits: bounds on pixels, bytes and pages.

    Raises:
        ImageError, SettingError: as `read_image`.
    """
    if page is not None:
        page = check_integer("a page", page, 0)
    check_channel_order(channel_order)
    shown = name if name is not None else _name_of(source) + (f"#{page + 1}" if page else "")
    if isinstance(source, np.ndarray):
        _require_single(page, shown)
        return _as_asked(from_array(source, shown, limits, is_bgr=channel_order == "bgr"), shown, limits), None
    if channel_order != "rgb":
        raise SettingError(
            f"channel_order {channel_order!r} must go with an array, and {shown} is none: leave it out, as files "
            "and PIL images say their own order"
        )
    if isinstance(source, Image.Image):
        _require_single(page, shown)
        return _as_asked(_with_mask(from_pil(source, shown, limits), limits), shown, limits), source.format
    with _opened(source, shown, limits) as (file, size):
        head = file.read(HEAD_BYTES)
        file.seek(0)
        kind = format_of(head)
        if kind == "TIFF":
            return _as_asked(read_tiff(file, size, page, shown, limits), shown, limits), kind
        if kind is None:
            raise ImageError(_not_an_image(head, shown))
        _require_single(page, shown)
        data = source if isinstance(source, bytes) else file.read()
    with decoding(kind, shown):
        return _as_asked(_with_mask(_READERS[kind](data, shown, limits), limits), shown, limits), kind


def _with_mask(pixels: ImageArray, limits: ReadingLimits) -> ImageArray:
    """Pixels of grey or colour, with a mask where the limits ask for masks; those of two or four channels have one."""
    return opaque(pixels, limits) if is_grey_or_colour(pixels.shape[2]) else pixels


def _as_asked(pixels: ImageArray, name: str, limits: ReadingLimits) -> ImageArray:
    """Pixels that were read, C-contiguous.

    Raises:
        ImageFormatError: they have another number of channels than the limits ask for.
        ImageError: their mask leaves everything out.
    """
    channels, asked = pixels.shape[2] - (limits.alpha == "mask"), limits.channels
    is_either = asked == 3 and channels == 1  # a grey image is one of three equal channels
    if asked is not None and channels != asked and not is_either:
        raise ImageFormatError(
            f"{name} must have {count_channels(asked)}, got {count_channels(channels)}: give images with as many as "
            "are asked for, or as the good images of the model had"
        )
    if limits.alpha == "mask" and not pixels[:, :, -1].any():
        raise ImageError(
            f"{name} must have pixels that are more opaque than transparent, got none: leave it out, or read alpha as "
            "black"
        )
    return np.ascontiguousarray(pixels)


def check_channel_order(order: ChannelOrder) -> ChannelOrder:
    """The order, if it is one.

    Raises:
        SettingError: it is neither "rgb" nor "bgr".
    """
    if order not in get_args(ChannelOrder):
        raise SettingError(f"channel_order must be 'rgb' or 'bgr', got {order!r}")
    return order


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
        head = file.read(HEAD_BYTES)
        if format_of(head) != "TIFF":
            return (0,)
        return tiff_pages(file, shown, limits)


def fit_channels(image: ImageArray, channels: int, name: str) -> ImageArray:
    """The image with as many channels as the model takes, if that loses nothing.

    Args:
        image: `[H, W, C]` as `read_image` returns it, without a mask.
        channels: 1 to 16. Grey becomes three equal channels; three equal channels become grey.
        name: what errors call the image.

    Raises:
        ImageFormatError: if one channel is wanted and the image has colour, or the image has another number of channels
            where neither is grey or colour.
        SettingError: if `channels` is no such number.
    """
    if channels not in range(1, MOST_CHANNELS + 1):
        raise SettingError(f"channels must be 1 (grey), 3 (colour) or up to {MOST_CHANNELS}, got {channels!r}")
    if image.shape[2] == channels:
        return image
    if not (is_grey_or_colour(channels) and is_grey_or_colour(image.shape[2])):
        raise ImageFormatError(
            f"{name} must have {count_channels(channels)} for this model, got {count_channels(image.shape[2])}: give "
            "it images like the good ones, or fit a model on images like this"
        )
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
    if source is None:
        raise ImageError(
            f"{name} must be a path, bytes, a PIL image or an array, got None: check where it comes from, as "
            "cv2.imread gives None for a file that it cannot read"
        )
    if not isinstance(source, (str, os.PathLike)):
        raise ImageError(
            f"an image must be a path, bytes, a PIL image or an array, got {type(source).__name__}: {_instead(source)}"
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
        raise ImageError(missing(name)) from error
    except PermissionError as error:
        raise ImageError(f"{name} may not be read by this user: change its permissions") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise ImageError(f"{name} cannot be opened ({reason(error)}): check the path") from error
        raise ImageError(
            f"{shorten(name, _SHOWN_CHARACTERS)} is no path, as no file has so long a name: give the image itself as "
            "bytes, decoded where it is text such as Base64"
        ) from error
    except (ValueError, TypeError) as error:  # ValueError: a null character; TypeError: a path of bytes
        raise ImageError(f"{name} cannot be opened ({reason(error)}): check the path") from error
    with file, decoding("an image", name):
        yield file, status.st_size


def _instead(source: object) -> str:
    """What to give instead of what is no source of an image."""
    if hasattr(source, "read"):
        return "give the bytes that its read() returns"
    if isinstance(source, bytearray | memoryview):
        return "give bytes(...) of it"
    return "give one of those"


def _require_single(page: int | None, name: str) -> None:
    if page:
        raise ImageError(f"{name} holds one image, and page {page} was asked for: only TIFF files have pages")


# Which format


_READERS: dict[str, Callable[[bytes, str, ReadingLimits], ImageArray]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "BMP": read_bmp,
    "WebP": read_webp,
    "GIF": read_gif,
    "Netpbm": read_netpbm,
    "JPEG 2000": read_jpeg_2000,
    "JPEG XL": read_jpeg_xl,
    "AVIF": read_avif,
    "DICOM": read_dicom,
    "HEIC": read_heic,
}


def _not_an_image(head: bytes, name: str) -> str:
    kind = unread_kind(head)
    if kind is not None:
        return kind.sentence(name)
    return (
        f"{name} is in a format that is not known (it begins with {head[:8].hex(' ')}), and only {_READABLE} images "
        "are read: save it as one of those"
    )
