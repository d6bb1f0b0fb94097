"""The images that a request brings: a form with one or several, or the bytes of one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from onlygood._plurals import shorten
from onlygood._printable import printable
from onlygood.station.station_settings import Limits
from onlygood.station.web.multipart import read_parts
from onlygood.station.web.problems import Refusal, quoted

# Of an image's name: what file systems allow, and more than a person reads.
NAME_CHARACTERS = 255
UNNAMED = "image"

_CLOSE = {"Connection": "close"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES = {
    "type": "array",
    "items": {"type": "string", "format": "binary"},
    "description": "a field for each file, whatever its name",
}

# How a route that takes images describes its body.
IMAGES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One or several images as the files of a form, or the bytes of one image's file.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": _FILES},
                }
            },
            "image/jpeg": _BINARY,
            "image/png": _BINARY,
            "application/octet-stream": _BINARY,
        },
    }
}


@dataclass(frozen=True)
class Upload:
    """One image that was sent.

    Attributes:
        name: that the sender gives it, in one line: data, never a path.
        content: of the file.
    """

    name: str
    content: bytes


async def read_images(request: Request, limits: Limits) -> list[Upload]:
    """The images that a request brings, at least one.

    Args:
        request: whose body is read.
        limits: bounds on images and their number.

    Raises:
        Refusal: there are none, too many, too large ones, or something else.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().casefold()
    try:
        if kind == "multipart/form-data":
            parts = await read_parts(
                request.stream(),
                content_type,
                max_parts=limits.max_images,
                max_part_bytes=limits.max_image_bytes,
            )
            images = [Upload(clean_name(each.filename or each.field), bytes(each.content)) for each in parts]
        elif kind.startswith("image/") or kind == "application/octet-stream":
            content = await read_body(
                request,
                limits.max_image_bytes,
                "an image's file may have {:,} bytes (max_image_bytes)",
                kind="ImageTooLargeError",
            )
            images = [Upload(clean_name(request.query_params.get("name", "")), content)]
        else:
            raise Refusal(
                415,
                "an image must come as a file of a form (multipart/form-data) or as the bytes of its file with "
                f"Content-Type image/jpeg, image/png or application/octet-stream, got {quoted(content_type)}: with "
                "curl use -F image=@FILE",
                _CLOSE,
                kind="ImageError",
            )
    except ClientDisconnect:
        raise Refusal(400, "the request ended before its body was whole: send it again", _CLOSE) from None
    if not images:
        raise Refusal(
            422,
            "a request must hold an image, got a form without a file: add one with -F image=@FILE",
            kind="ImageError",
        )
    return images


async def read_body(request: Request, max_bytes: int, bound: str, *, kind: str) -> bytes:
    """The bytes of a body.

    Args:
        request: whose body is read.
        max_bytes: that it may have.
        bound: the beginning of the sentence that refuses more; {:,} stands for the number.
        kind: the name of the error that it is.

    Raises:
        Refusal: it has more.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise Refusal(
                413,
                f"{bound.format(max_bytes)}, and this one has more: make it smaller, or raise the limit in the "
                "station's settings",
                _CLOSE,
                kind=kind,
            )
        chunks.append(chunk)
    return b"".join(chunks)


def clean_name(given: str) -> str:
    """A name as it is kept: in one line, and of a bounded length; never empty."""
    return shorten(printable(given), NAME_CHARACTERS) or UNNAMED
