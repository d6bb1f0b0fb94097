"""Boxes of length, type and body, of which JPEG 2000, JPEG XL, AVIF, HEIC and MP4 files are made."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from onlygood.images.limits import damaged


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, and where its body begins and ends."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int, end: int, name: str, kind: str) -> Iterator[Box]:
    """The boxes from `start` to `end`, one after the other.

    Args:
        data: the file.
        start: where the first begins.
        end: where the last must end.
        name: what errors call the image.
        kind: what errors call the format.

    Raises:
        ImageError: if a box is longer than what it lies in.
    """
    at = start
    while at < end:
        if at + 8 > end:
            raise damaged(name, kind, "its parts are longer than the file")
        size, box = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif size == 0:
            size = end - at
        if size < body - at or at + size > end:
            raise damaged(name, kind, "its parts are longer than the file")
        yield Box(box, body, at + size)
        at += size
