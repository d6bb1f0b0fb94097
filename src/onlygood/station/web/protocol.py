"""Connections with bounds of their own, which uvicorn does not have.

How many there are, how long and how large the head of a request may be, how long an answer may lie there untouched, and
for how long a connection that was refused is still read: closed at once, it would often be reset before the other side
has read why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from onlygood.station.schemas import Problem

MOST_CONNECTIONS = 256
MAX_HEAD_BYTES = 32 * 1024
HEAD_TIMEOUT_S = 10.0
# Of TLS.
HANDSHAKE_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 60.0
# Of a connection that was refused: what is read and thrown away so that the other side gets to read the answer.
LINGER_S, LINGER_BYTES = 2.0, 64 * 1024 * 1024


# What uvicorn warns of, such as bytes that are no HTTP, comes as often as somebody likes to send it.
_uvicorn_log = logging.getLogger("onlygood.station.uvicorn")
_uvicorn_log.setLevel(logging.ERROR)
_access_log = logging.getLogger("onlygood.station.access")


class StationProtocol(HttpToolsProtocol):
    """One connection. Each bound can be set on a subclass."""

    most_connections = MOST_CONNECTIONS
    max_head_bytes = MAX_HEAD_BYTES
    head_timeout_s = HEAD_TIMEOUT_S
    handshake_timeout_s = HANDSHAKE_TIMEOUT_S
    write_timeout_s = WRITE_TIMEOUT_S
    linger_s = LINGER_S

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.logger = _uvicorn_log
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.Handle | None = None
        self._head_bytes = 0
        self._is_in_head = True
        self._lingering: _Lingering | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many."""
        self._lingering = _Lingering(transport, self.loop, self.linger_s)
        super().connection_made(self._lingering)  # type: ignore[arg-type]
        if len(self.connections) > self.most_connections:
            self._refuse(
                503,
                f"a station takes {self.most_connections:,} connections at once, and has as many: close some, or try "
                "again later",
                b"retry-after: 2\r\n",
            )
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_head_timer()
        self._stop_write_timer()
        if self._lingering is not None:
            self._lingering.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        assert self._lingering is not None
        if self._lingering.is_closing():
            self._lingering.discard(len(data))
            return
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        if self._head_timer is None:
            self._start_head_timer()

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        self._stop_head_timer()
        self._is_in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.max_head_bytes:
            self._refuse_head()
            return
        super().on_headers_complete()
        if self.cycle is not None and self._lingering is not None:
            cycle = self.cycle
            self._lingering.must_linger = lambda: bool(cycle.more_body)

    def on_body(self, body: bytes) -> None:
        """A part of a body came."""
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self.cycle is not None:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        if self._lingering is None or not self._lingering.is_closing():
            self._refuse(400, "a request must be valid HTTP/1.1, and this one is not: let an HTTP library write it")

    def pause_writing(self) -> None:
        """The other side does not take its answer."""
        super().pause_writing()
        if self._write_timer is None:
            # When all is handed over that is being written: TLS does that piece by piece.
            self._write_timer = self.loop.call_soon(self._watch_writing)

    def resume_writing(self) -> None:
        """The other side goes on."""
        self._stop_write_timer()
        super().resume_writing()

    def _watch_writing(self) -> None:
        """Look again after a while: a slow reader takes something, one that is gone or stuck takes nothing."""
        waiting = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() >= waiting:
                self.transport.abort()
            else:
                self._watch_writing()

        self._write_timer = self.loop.call_later(self.write_timeout_s, look)

    def _refuse_head(self) -> None:
        self._refuse(
            431,
            f"the head of a request may have {self.max_head_bytes:,} bytes, and this one has more: send fewer or "
            "shorter headers",
        )

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        self._refuse(
            408,
            f"the head of a request must arrive whole within {self.head_timeout_s:g} seconds, and this one has not: "
            "send it at once",
        )

    def _refuse(self, status: int, sentence: str, header: bytes = b"") -> None:
        """Answer with a sentence, and close."""
        self._stop_head_timer()
        assert self._lingering is not None
        _access_log.info("%s: %d, %s", self.client[0] if self.client else "nowhere", status, sentence)
        body = Problem(detail=sentence).model_dump_json().encode()
        self._lingering.must_linger = lambda: True
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\nconnection: close\r\n"
            + header
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class _Lingering:
    """A transport that, closed while the other side still sends, reads on for a while before it closes.

    Attributes:
        must_linger: whether the other side may still send.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, linger_s: float) -> None:
        self._transport, self._loop, self._linger_s = transport, loop, linger_s
        self._timer: asyncio.TimerHandle | None = None
        self._discarded = 0
        self.must_linger: Callable[[], bool] = lambda: False

    def __getattr__(self, name: str) -> Any:
        """All else as the transport itself does it."""
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more will be written."""
        return self._timer is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close, now or after a while."""
        if self.is_closing():
            return
        if not self.must_linger() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._timer = self._loop.call_later(self._linger_s, self._transport.close)
        self._transport.write_eof()
        self._transport.resume_reading()

    def discard(self, size: int) -> None:
        """Count what still comes."""
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self._transport.abort()

    def end(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
