"""TLS on the connections of a station.

The event loop's own takes any number of connections that never finish their handshake, keeps 256 KiB for each, does not
tell how much of an answer waits to be sent, and cannot end an answer while it goes on reading. This one keeps nothing
back, so that the transport below it says what waits, and the bounds on plain connections hold as they are.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from onlygood.station.schemas import Problem
from onlygood.station.web.protocol import LINGER_BYTES, StationProtocol

_READ_BYTES = 64 * 1024
# Encrypted at once, so that a large answer is not in the memory three times.
_WRITE_BYTES = 256 * 1024

_access_log = logging.getLogger("onlygood.station.access")


class TlsConnections:
    """Makes what serves each connection, as uvicorn asks for it.

    Args:
        protocol: of connections, once they are secure.
        context: gives the one for the next connection.
    """

    def __init__(self, protocol: type[StationProtocol], context: Callable[[], ssl.SSLContext]) -> None:
        self.protocol, self.context = protocol, context
        self.handshakes: set[_Tls] = set()

    def __call__(self, **settings: Any) -> asyncio.Protocol:
        """What serves the next connection."""
        return _Tls(self, self.protocol(**settings))

    def stop(self) -> None:
        """End those connections whose handshake is not finished."""
        for each in list(self.handshakes):
            each.raw.abort()


class _Tls(asyncio.Protocol):
    """One connection.

    Attributes:
        raw: the transport below.
        ssl: its TLS.
        protocol: what it serves, once it is secure.
    """

    def __init__(self, connections: TlsConnections, protocol: asyncio.Protocol) -> None:
        self._connections, self.protocol = connections, protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.context = connections.context()
        self.ssl = self.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.raw: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._transport: _TlsTransport | None = None
        self._discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the handshake, unless too many connections are in theirs."""
        self.raw, bounds = transport, self._connections.protocol
        if len(self._connections.handshakes) >= bounds.most_connections:
            transport.abort()
            return
        self._connections.handshakes.add(self)
        self._timer = asyncio.get_running_loop().call_later(bounds.handshake_timeout_s, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end_handshake()
        if self._transport is not None:
            self.protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._transport is not None and self._transport.is_ended:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.raw.abort()
            return
        self._incoming.write(data)
        if self._transport is not None:
            self._transport.read()
            return
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            self.send()
        except ssl.SSLError as error:
            self._refuse(error)
        else:
            self._end_handshake()
            self.send()
            self._transport = _TlsTransport(self)
            self.protocol.connection_made(self._transport)
            self._transport.read()

    def eof_received(self) -> None:
        """Close, as nothing is returned: the end of TLS is said within TLS."""

    def pause_writing(self) -> None:
        """The other side does not take its answer."""
        if self._transport is not None:
            self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """The other side goes on."""
        if self._transport is not None:
            self.protocol.resume_writing()

    def send(self) -> None:
        """Send what TLS has to send."""
        if self._outgoing.pending and not self.raw.is_closing():
            self.raw.write(self._outgoing.read())

    def _refuse(self, error: ssl.SSLError) -> None:
        """Say why as far as the other side can know it, and close. Anyone may bring this about: it is no warning."""
        address = self.raw.get_extra_info("peername")
        _access_log.debug("%s: no TLS, %s", address[0] if address else "nowhere", error.reason)
        if error.reason == "HTTP_REQUEST":
            sentence = "a request to this port must be one of HTTPS, got one of HTTP: begin the address with https://"
            body = Problem(detail=sentence).model_dump_json().encode()
            head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.raw.write(STATUS_LINE[400] + head + body)
        else:
            self.send()
        self.raw.close()

    def _end_handshake(self) -> None:
        self._connections.handshakes.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _TlsTransport(asyncio.Transport):
    """What a protocol writes to and reads from, above TLS.

    Attributes:
        is_ended: whether it was said that nothing more is sent; what still comes after that is not decrypted.
    """

    def __init__(self, tls: _Tls) -> None:
        super().__init__()
        self._tls, self._raw = tls, tls.raw
        self._is_paused = self._is_closing = self.is_ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        known = {"sslcontext": self._tls.context, "ssl_object": self._tls.ssl}
        return known[name] if name in known else self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another one goes on, as for a WebSocket."""
        assert isinstance(protocol, asyncio.Protocol)
        self._tls.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Which one it is."""
        return self._tls.protocol

    # Reading

    def read(self) -> None:
        """Hand over what came."""
        data: bytes | None = b""
        while data is not None and not (self._is_paused or self.is_ended or self._raw.is_closing()):
            try:
                data = self._tls.ssl.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                data = None
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError:
                self._raw.abort()
                return
            if data:
                self._tls.protocol.data_received(data)
            elif data is not None:  # the other side has said that it ends
                self._tls.protocol.eof_received()
                self.close()
        self._tls.send()

    def is_reading(self) -> bool:
        """Whether what comes is handed over."""
        return not self._is_paused and self._raw.is_reading()

    def pause_reading(self) -> None:
        """Hand over nothing for now."""
        self._is_paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._is_paused:
            self._is_paused = False
            self._raw.resume_reading()
            asyncio.get_running_loop().call_soon(self.read)

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this."""
        left = memoryview(data)
        try:
            while left and not (self.is_ended or self._raw.is_closing()):
                left = left[self._tls.ssl.write(left[:_WRITE_BYTES]) :]
                self._tls.send()
        except ssl.SSLError:
            self._raw.abort()

    def can_write_eof(self) -> bool:
        """Always: TLS can end in one direction."""
        return True

    def write_eof(self) -> None:
        """Say that nothing more is sent."""
        if self.is_ended:
            return
        self.is_ended = True
        with suppress(ssl.SSLError):  # the other side has not said so, or still sends: it was told
            self._tls.ssl.unwrap()
        self._tls.send()
        if not self._is_closing and not self._raw.is_closing():
            self._raw.write_eof()

    def get_write_buffer_size(self) -> int:
        """How many bytes wait."""
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Between which numbers of bytes a protocol is paused and resumed."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set them."""
        self._raw.set_write_buffer_limits(high, low)

    # The end

    def is_closing(self) -> bool:
        """Whether nothing more will be written."""
        return self._is_closing or self._raw.is_closing()

    def close(self) -> None:
        """Say that nothing more is sent, and close when all is."""
        if not self.is_closing():
            self._is_closing = True
            self.write_eof()
            self._raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._is_closing = True
        self._raw.abort()
