"""A web server that receives inspections, on a thread; each test says what it answers."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request, and which connection it came through."""

    path: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]

    @property
    def id(self) -> int:
        number: int = json.loads(self.body)["id"]
        return number


# What is done with a request: a status with headers is answered; None closes the connection without an answer.
Answer = Callable[[Received], "tuple[int, dict[str, str]] | None"]


def taken(_: Received) -> tuple[int, dict[str, str]]:
    return 200, {}


class Receiver:
    """Runs between `start` and `stop`, always on the same port."""

    def __init__(self, answer: Answer = taken, *, certificate: Path | None = None) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.accepted: list[int] = []
        self.port = 0
        self._certificate = certificate
        self._guard = Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self._certificate else ''}://127.0.0.1:{self.port}/inspections"

    def start(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Received(self.path, headers, body, self.client_address)
                with receiver._guard:
                    receiver.received.append(request)
                answer = receiver.answer(request)
                if answer is None:
                    self.close_connection = True
                    return
                status, added = answer
                if 200 <= status < 300:
                    with receiver._guard:
                        receiver.accepted.append(request.id)
                self.send_response(status)
                for name, value in ({"content-length": "2"} | added).items():
                    self.send_header(name, value)
                self.end_headers()
                if added.get("content-length") != "0":
                    self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def __init__(self) -> None:
                self.connections: set[Any] = set()
                super().__init__(("127.0.0.1", receiver.port), Handler)

            def get_request(self) -> tuple[socket.socket, Any]:
                connection, address = super().get_request()
                if receiver._certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(receiver._certificate)
                    connection = context.wrap_socket(connection, server_side=True)
                self.connections.add(connection)
                return connection, address

            def handle_error(self, *_: Any) -> None:
                pass  # clients that go away are what is tested

        self._server = Server()
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End it, and every connection."""
        if self._server is None:
            return
        self._server.shutdown()
        self._thread.join()
        for connection in self._server.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._server = None
