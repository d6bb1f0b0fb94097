"""One file of a watched folder: its images as frames, those of them that are new, or why it has none yet."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from onlygood._plurals import pluralize
from onlygood.errors import ImageError
from onlygood.images.limits import ReadingLimits
from onlygood.images.reading import image_pages
from onlygood.station.frames.frame import Frame
from onlygood.station.frames.listing import Signature, signature_of
from onlygood.station.frames.whole_file import why_not_whole


class Changed(Exception):  # noqa: N818 - files may change
    """A file is not as it was a moment ago.

    Attributes:
        signature: how it is now; None where it is not there any more.
    """

    def __init__(self, signature: Signature | None) -> None:
        super().__init__(signature)
        self.signature = signature


class NotWhole(Exception):  # noqa: N818 - files may be on their way
    """A file gives no image, at least not yet.

    Attributes:
        frame: to give with its problem, once nobody waits for the file any more.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.problem)
        self.frame = frame


def new_frames(
    root: Path, name: str, signature: Signature, limits: ReadingLimits, is_new: Callable[[str], bool]
) -> list[Frame]:
    """The images of a file that are new, one for each page of a TIFF; their numbers are 0.

    Args:
        root: the folder that is watched.
        name: the file's path within it, with slashes.
        signature: of the file when it was looked at last.
        limits: bounds on bytes and pixels. Of a file that is larger than they allow a frame with a problem comes.
        is_new: whether an image with a key was not seen before.

    Raises:
        Changed: the file has another signature now.
        NotWhole: it cannot be read to its end.
    """
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    at = datetime.now(UTC)
    if signature[0] > limits.max_bytes:
        # too much to read: known by when it was written, so that touching it repeats the problem
        key = key_of(name, f"{signature[0]} bytes, {signature[1]}".encode())
        problem = (
            f"{shown} has {pluralize(signature[0], 'byte')}, the limit is {limits.max_bytes:,}: save it smaller, or "
            "raise the limit"
        )
        return [Frame(number=0, at=at, name=shown, key=key, problem=problem)] if is_new(key) else []
    try:
        content = _read(root / name, signature)
    except FileNotFoundError as error:
        raise Changed(None) from error
    except OSError as error:
        # on Windows a program keeps the file to itself while it writes it
        is_closed = isinstance(error, PermissionError)
        remedy = "change its permissions" if is_closed else "check the drive and the network"
        problem = f"{shown} cannot be read by this user ({error.strerror or type(error).__name__}): {remedy}"
        raise NotWhole(Frame(number=0, at=at, name=shown, problem=problem)) from error
    try:
        pages = image_pages(content, name=shown, limits=limits)
    except ImageError:
        pages = (0,)
    whole = key_of(name, content)
    keys = {page: f"{whole}#{page}" if len(pages) > 1 else whole for page in pages}
    new = [page for page in pages if is_new(keys[page])]
    if not new:
        return []
    if problem := why_not_whole(content, shown, limits):
        if not is_new(whole):
            return []
        raise NotWhole(Frame(number=0, at=at, name=shown, content=content, key=whole, problem=problem))
    several = len(pages) > 1
    return [
        Frame(number=0, at=at, name=shown, content=content, page=page if several else None, key=keys[page])
        for page in new
    ]


def key_of(name: str, content: bytes) -> str:
    """What identifies an image across restarts: the SHA-256 of its name and its content, 64 hexadecimal digits.

    Args:
        name: the file's path within the folder, with slashes.
        content: of the file.
    """
    digest = hashlib.sha256(os.fsencode(name) + b"\0")
    digest.update(content)
    return digest.hexdigest()


def _read(path: Path, signature: Signature) -> bytes:
    """The content of a file that does not change meanwhile.

    Raises:
        Changed: it does.
        OSError: it cannot be read.
    """
    # of two moments: a link that took the file's place is not followed, and a pipe is not waited for
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, os.O_RDONLY | flags)
    with os.fdopen(handle, "rb") as file:
        content = file.read(signature[0] + 1)
        now = signature_of(os.fstat(handle))
    if now != signature or len(content) != signature[0]:
        raise Changed(now)
    return content
