"""uvicorn for a station: one socket, bound before anything else begins, and an end that lets requests finish."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

import uvicorn
from fastapi import FastAPI

from onlygood._printable import printable
from onlygood.errors import StationError
from onlygood.station.web.certificate import Certificate
from onlygood.station.web.protocol import StationProtocol
from onlygood.station.web.tls import TlsConnections

_log = logging.getLogger("onlygood.station")

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
KEEP_ALIVE_S = 30
# For requests that run when the station is stopped.
GRACE_S = 10
BACKLOG = 512
# Of a message of a WebSocket, where the app does not say.
MAX_MESSAGE_BYTES = 1024 * 1024
START_TIMEOUT_S = 30.0


def listen(host: str, port: int) -> socket.socket:
    """A socket on which nobody else listens.

    Args:
        host: the address or name to listen on.
        port: 0 for any that is free.

    Raises:
        StationError: the port is taken or may not be used, or there is no such address.
    """
    shown = printable(host)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise StationError(f"the address to listen on must be one of this computer, got {shown}: check it") from error
    found = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it lets two programs listen on one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise StationError(_why(error, shown, port)) from error
    found.setblocking(False)
    return found


class WebServer:
    """A station's HTTP server.

    Args:
        app: what it runs.
        host: the address or name to listen on.
        port: 0 for any that is free; `port` says which it is then.
        protocol: of connections, with their bounds.
        certificate: for HTTPS; plain HTTP unless given.

    Raises:
        StationError: as `listen`.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        protocol: type[StationProtocol] = StationProtocol,
        certificate: Certificate | None = None,
    ) -> None:
        self.certificate = certificate
        self._secured = None if certificate is None else TlsConnections(protocol, lambda: certificate.context)
        self._socket = listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            http=self._secured or protocol,  # type: ignore[arg-type]
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            ws_max_size=getattr(app.state, "max_message_bytes", MAX_MESSAGE_BYTES),
            ws_max_queue=4,
            ws_per_message_deflate=False,  # what goes over it are images, which are compressed already
        )
        self._server = _Server(config, app, self._secured)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where a person on this computer opens it."""
        host = "localhost" if self.host in ("", "0.0.0.0", "::", "127.0.0.1", "::1") else self.host
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self) -> None:
        """Serve until `stop`, or until the process is asked to end (Ctrl-C, SIGTERM)."""
        _log.info("the station listens on %s", self.url)
        with nullcontext() if self.certificate is None else self.certificate.watched():
            self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve on a thread of its own; returns when requests are answered.

        Raises:
            StationError: it did not begin.
        """
        self._thread = threading.Thread(target=self.run, name="web", daemon=True)
        self._thread.start()
        if not self._server.has_started.wait(START_TIMEOUT_S) or not self._server.started:
            raise StationError(f"the server on port {self.port} must start within {START_TIMEOUT_S:g} seconds")

    @property
    def is_running(self) -> bool:
        """Whether the thread that `start` began still serves."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Let the requests that run finish, and end."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()


class _Server(uvicorn.Server):
    """uvicorn's server: streams without an end are told that the station stops, and signals end this server alone."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, secured: TlsConnections | None) -> None:
        super().__init__(config)
        self._app, self._secured = app, secured
        self.has_started = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        try:
            await super().startup(sockets)
        finally:
            self.has_started.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        stop_streams = getattr(self._app.state, "stop_streams", None)
        if stop_streams is not None:
            stop_streams()
        if self._secured is not None:
            self._secured.stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the process goes on after it, and ends by itself: the station's database is still open."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; at once where a person asks a second time."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: end that, or choose another one with --port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} may not be used by this user: choose one from 1024 on with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"the address to listen on must be one of this computer, got {host}: check it"
    return f"port {port} on {host} cannot be listened on ({error.strerror}): choose another one"
