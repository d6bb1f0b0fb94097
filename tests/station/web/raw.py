"""Requests as no HTTP library would write them."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

from tests.station.server import Running

DEADLINE_S = 20.0


class Socket:
    """A connection to a station."""

    def __init__(self, station: Running) -> None:
        self._socket = socket.create_connection(("127.0.0.1", station.port), DEADLINE_S)

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_answered(self) -> bool:
        """Whether something came that was not read yet."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the connection must be closed after it."""
        received = b""
        while chunk := self._socket.recv(65536):
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, body

    def problem(self) -> tuple[int, str]:
        """Status and sentence; the connection must be closed after it."""
        status, headers, body = self.answer()
        assert headers["connection"] == "close"
        said: dict[str, Any] = json.loads(body)
        return status, said["detail"]


def head(method: str, path: str, **headers: object) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
