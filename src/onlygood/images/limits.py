"""The limits on images, and the errors for those that exceed them or whose files are damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from onlygood._integers import check_integer
from onlygood.errors import ImageError, ImageTooLargeError, OnlygoodError, SettingError

AlphaUse: TypeAlias = Literal["black", "mask"]
# The most channels of an image, without its mask.
MOST_CHANNELS = 16

RESCALE = "save it with 8 or 16 bits a channel, by one scale chosen for all images"


@dataclass(frozen=True, kw_only=True)
class ReadingLimits:
    """Bounds that an image file must keep to, against mistakes and decompression bombs, and what its channels are.

    Args:
        max_pixels: pixels of one image, width times height.
        max_bytes: bytes of one file.
        max_pages: pages of one TIFF file.
        channels: how many channels an image must have, 1 to MOST_CHANNELS (with 3 it may be grey, too); what is alpha
            else is then one of them where this gives that number. None for what the file or the array says.
        alpha: "black" lays transparent images over black; "mask" keeps the colours, and gives every image one channel
            more, the last: 0 where it is more transparent than opaque, elsewhere the highest level of its type.

    Raises:
        SettingError: if a bound is not a whole number of at least 1, or the channels are of another kind.
    """

    max_pixels: int = 100_000_000
    max_bytes: int = 500_000_000
    max_pages: int = 10_000
    channels: int | None = None
    alpha: AlphaUse = "black"

    def __post_init__(self) -> None:
        for setting in ("max_pixels", "max_bytes", "max_pages"):
            object.__setattr__(self, setting, check_integer(setting, getattr(self, setting), 1))
        if self.channels is not None:
            object.__setattr__(self, "channels", check_integer("channels", self.channels, 1, MOST_CHANNELS))
        if self.alpha not in get_args(AlphaUse):
            raise SettingError(f"alpha must be one of {', '.join(get_args(AlphaUse))}, got {self.alpha!r}")

    @property
    def bounds(self) -> ReadingLimits:
        """The bounds alone, for images that are none of parts, such as masks."""
        return replace(self, channels=None, alpha="black")


DEFAULT_LIMITS = ReadingLimits()


def check_bytes(size: int, name: str, limits: ReadingLimits) -> None:
    """Nothing, if a file of `size` bytes is not empty and within the limit.

    Raises:
        ImageError: if it is empty.
        ImageTooLargeError: if it has more than `max_bytes`.
    """
    if size == 0:
        raise ImageError(f"{name} is empty (0 bytes): copy or save the image again")
    if size > limits.max_bytes:
        raise ImageTooLargeError(
            f"{name} has {size:,} bytes, and at most {limits.max_bytes:,} are read: make it smaller or raise max_bytes"
        )


def check_size(width: int, height: int, name: str, limits: ReadingLimits) -> None:
    """Nothing, if the image has pixels and no more than the limit.

    Raises:
        ImageError: if it has none.
        ImageTooLargeError: if it has more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{name} must have at least one pixel, got {width} x {height}: save it again")
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"{name} has {width} x {height} = {width * height:,} pixels, and at most {limits.max_pixels:,} are read: "
            "make it smaller or raise max_pixels"
        )


@contextmanager
def decoding(kind: str, name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into a ImageError: codecs raise nearly every type there is."""
    try:
        yield
    except OnlygoodError:
        raise
    except MemoryError as error:
        raise ImageTooLargeError(f"{name} needs more memory than there is: make it smaller") from error
    except Exception as error:
        raise ImageError(
            f"{name} cannot be decoded as {kind}, it is damaged or cut short ({reason(error)}): copy or save it again"
        ) from error


def reason(error: Exception) -> str:
    """One line of what a decoder or the operating system said, of at most 200 characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def damaged(name: str, kind: str, what: str) -> ImageError:
    """The error for a file that its own format calls damaged; the caller raises it."""
    return ImageError(f"{name} is a damaged {kind} file: {what}; copy or save the image again")


def check_no_zeros(data: bytes, start: int, end: int, run: int, name: str, kind: str) -> None:
    """Raises if compressed data hold a run of so many zero bytes, as lost sectors of a disk leave them.

    Compression does not produce them: what is even costs next to nothing.
    """
    if data.find(bytes(run), start, end) >= 0:
        raise damaged(name, kind, "a part of its pixels was overwritten with zeros")
