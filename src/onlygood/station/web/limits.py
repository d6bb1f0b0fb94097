"""Bounds on bodies: their bytes, the time until they are whole, and the bytes of all that arrive at once.

Who is refused before the body was whole loses the connection, so that nobody goes on streaming into it.
"""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onlygood.station.station_settings import MIB, Limits
from onlygood.station.web.problems import Refusal

MAX_JSON_BYTES = 1 * MIB
# The bodies that arrive at one moment may have as many bytes as this many of the largest, and one model file.
MOST_AT_ONCE = 8
BUSY_RETRY_S = 2

_MODEL_PATH = re.compile(r"/v1/models/[^/]+/?")
_CLOSE = {"Connection": "close"}


class BodyLimits:
    """Bounds the bodies of requests.

    Args:
        app: what comes after.
        limits: the bounds.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._most_in_flight = MOST_AT_ONCE * limits.max_body_bytes + limits.max_model_bytes
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if "transfer-encoding" not in headers and length in ("", "0"):
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive, *self._bound(scope, headers))
        try:
            body.check_length(length)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.is_whole:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, body.receive, closing)
        finally:
            self._in_flight -= body.taken

    def take(self, size: int) -> None:
        """Count bytes that arrived.

        Raises:
            Refusal: the bodies that arrive at this moment have too many.
        """
        self._in_flight += size
        if self._in_flight > self._most_in_flight:
            raise Refusal(
                503,
                f"the requests that arrive at one moment may have {self._most_in_flight:,} bytes together, and they "
                "have more: send this one again later",
                _CLOSE | {"Retry-After": str(BUSY_RETRY_S)},
                kind="BusyError",
            )

    def _bound(self, scope: Scope, headers: Headers) -> tuple[int, tuple[str, str], float]:
        """The most bytes of a body, what the bound is called, and the seconds until it must be whole."""
        limits = self._limits
        if scope["method"] in ("PUT", "POST") and _MODEL_PATH.fullmatch(scope["path"]):
            # At the rate that a request of the largest size needs, too.
            timeout_s = limits.body_timeout_s * max(1.0, limits.max_model_bytes / limits.max_body_bytes)
            return limits.max_model_bytes, ("a model file", " (max_model_bytes)"), timeout_s
        kind = headers.get("content-type", "").partition(";")[0].strip().casefold()
        if kind == "application/json" or kind.endswith("+json"):  # all that is read as JSON
            return min(MAX_JSON_BYTES, limits.max_body_bytes), ("a request in JSON", ""), limits.body_timeout_s
        return limits.max_body_bytes, ("a request", " (max_body_bytes)"), limits.body_timeout_s


class _Body:
    """One body, as it arrives."""

    def __init__(
        self, all_bodies: BodyLimits, receive: Receive, max_bytes: int, bound: tuple[str, str], timeout_s: float
    ) -> None:
        self._all, self._receive = all_bodies, receive
        self._max_bytes, self._bound, self._timeout_s = max_bytes, bound, timeout_s
        self._ends_at = asyncio.get_running_loop().time() + timeout_s
        self.taken = 0
        self.is_whole = False

    def check_length(self, length: str) -> None:
        """Nothing, if a body of the length that its headers say may come.

        Raises:
            Refusal: it is too large.
        """
        if length.isascii() and length.isdigit() and int(length) > self._max_bytes:
            raise self._too_large(f"this one has {int(length):,}")

    async def receive(self) -> Message:
        """The next part of it.

        Raises:
            Refusal: it is too large, or comes too slowly.
        """
        if self.is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(
                408,
                f"a request must arrive whole within {self._timeout_s:g} seconds, body_timeout_s, and this one has not "
                f"({self.taken:,} bytes came): send less at a time, or raise body_timeout_s",
                _CLOSE,
            ) from None
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        self.taken += size
        self.is_whole = not message.get("more_body", False)
        self._all.take(size)
        if self.taken > self._max_bytes:
            raise self._too_large("this one has more")
        return message

    def _too_large(self, got: str) -> Refusal:
        subject, setting = self._bound
        return Refusal(
            413,
            f"{subject} may have {self._max_bytes:,} bytes{setting}, and {got}: send less at a time, or raise the "
            "limit in the station's settings",
            _CLOSE,
            kind="SettingError",
        )
