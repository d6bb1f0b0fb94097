"""A connection that a test cuts or silences: bytes go through this to a real server, and back."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread


class WeakLine:
    """Forwards from a port of its own to another one.

    Attributes:
        port: to connect to.
        is_mute: whether what the server answers is swallowed.
        cuts_when: whether an answer ends all connections instead of being forwarded.
        refuses_when: what is answered instead of what the server would, to a request; None to ask the server.
        sent: all that clients sent.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_mute = False
        self.cuts_when: Callable[[bytes], bool] = lambda _: False
        self.refuses_when: Callable[[bytes], bytes | None] = lambda _: None
        self.sent = bytearray()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._guard = Lock()
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections at once."""
        with self._guard:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._guard:
                self._pairs.append((client, server))
            Thread(target=self._forward, args=(client, server, False), daemon=True).start()
            Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, origin: socket.socket, goal: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := origin.recv(1 << 16):
                if is_answer and self.is_mute:
                    continue
                if is_answer and self.cuts_when(data):
                    self.cut()
                    break
                if not is_answer:
                    self.sent += data
                    refusal = self.refuses_when(data)
                    if refusal is not None:
                        origin.sendall(refusal)
                        break
                goal.sendall(data)
        for end in (origin, goal):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if is_answer:
            origin.close()
            goal.close()
