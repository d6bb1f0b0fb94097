"""The parts of a multipart body, bounded while they arrive: their number, their bytes, and those of their headers."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from onlygood._plurals import pluralize
from onlygood.station.web.problems import Refusal

MAX_HEADER_BYTES = 8192
MAX_BOUNDARY_BYTES = 200

_CLOSE = {"Connection": "close"}


@dataclass
class Part:
    """One part of a form.

    Attributes:
        field: its name in the form.
        filename: that the sender gives the file; None for a part that is no file.
        content: the bytes.
    """

    field: str = ""
    filename: str | None = None
    content: bytearray = dataclasses.field(default_factory=bytearray)


async def read_parts(
    stream: AsyncIterable[bytes], content_type: str, *, max_parts: int, max_part_bytes: int
) -> list[Part]:
    """The parts of a multipart body.

    Args:
        stream: the body.
        content_type: as its header says it.
        max_parts: of one body.
        max_part_bytes: of one part.

    Raises:
        Refusal: too many or too large parts, or a body that is no form.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
        raise Refusal(
            422,
            f"a multipart body must name its boundary, 1 to {MAX_BOUNDARY_BYTES} bytes, in Content-Type, got one of "
            f"{len(boundary)}: let an HTTP library write the header",
        )
    reader = _Reader(max_parts, max_part_bytes)
    try:
        parser = MultipartParser(boundary, reader.callbacks)  # type: ignore[arg-type]
        async for chunk in stream:
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise _damaged() from None
    if not reader.is_ended:
        raise _damaged()
    return reader.parts


class _Reader:
    """What the parser calls."""

    def __init__(self, max_parts: int, max_part_bytes: int) -> None:
        self._max_parts, self._max_part_bytes = max_parts, max_part_bytes
        self._name, self._value = bytearray(), bytearray()
        self._header_bytes = 0
        self._has_disposition = False
        self.parts: list[Part] = []
        self.is_ended = False
        self.callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= self._max_parts:
            raise Refusal(
                413,
                f"a request may hold {pluralize(self._max_parts, 'image')} (max_images), and this one holds more: send "
                "fewer at a time, or raise the limit in the station's settings",
                _CLOSE,
                kind="SettingError",
            )
        self._header_bytes, self._has_disposition = 0, False
        self.parts.append(Part())

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise Refusal(
                413,
                f"the headers of a part may have {MAX_HEADER_BYTES:,} bytes, and these have more: shorten its name",
                _CLOSE,
            )

    def _header_end(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            part = self.parts[-1]
            if b"name" in options:
                part.field, self._has_disposition = _text(options[b"name"]), True
            if b"filename" in options:
                part.filename = _text(options[b"filename"])
        self._name.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        if not self._has_disposition:
            raise Refusal(422, "a part of a form must have a name in its Content-Disposition, and one has none: add it")

    def _data(self, data: bytes, start: int, end: int) -> None:
        content = self.parts[-1].content
        if len(content) + end - start > self._max_part_bytes:
            raise Refusal(
                413,
                f"an image's file may have {self._max_part_bytes:,} bytes (max_image_bytes), and one of these has "
                "more: make it smaller, or raise the limit in the station's settings",
                _CLOSE,
                kind="ImageTooLargeError",
            )
        content += data[start:end]

    def _end(self) -> None:
        self.is_ended = True


def _text(given: bytes) -> str:
    """A name, in UTF-8 as browsers send it, or else in Latin-1."""
    try:
        return given.decode("utf-8")
    except UnicodeDecodeError:
        return given.decode("latin-1")


def _damaged() -> Refusal:
    return Refusal(
        422,
        "a multipart body must be a whole form, and this one is damaged or cut short: send it again",
        _CLOSE,
    )
