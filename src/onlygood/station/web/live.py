"""Live images over WebSockets.

A message from the station is binary: 4 bytes with the length of a header (little-endian), the header as JSON in UTF-8,
then the bytes of an image file and of a map, which may both be empty. Texts are JSON objects, in both directions.

`/v1/live/{source}`: what a source of the station sees.

- The station sends a message for each frame. Its header: `kind` ("frame"), `seq` (ascending), `at`, `name`, `width`,
  `height`, `model`, `version`, `model_sha256`, `id` (of the inspection; null where it is not recorded), `verdict`
  ("good" or "anomalous"), `score`, `p_value`, `latency_ms`, `regions`, `notes`, `average` (the mean score of the newest
  images), `anomalous` and `of` (how many of those are), `is_alarmed`, `problem` (why there is no verdict, or null),
  `skipped` (frames that this receiver did not get), `image` (`bytes`, `type`; 0 bytes of a damaged file), `map`: null,
  or `h`, `w`, `typical` and `high`. The map has h x w bytes, row by row: 0 is `typical` of good images or below, 51 is
  `high`, which few of them reach anywhere, and each 51 more a doubling of the distance from typical. Without a verdict,
  its entries are missing.
- The page sends {"ack": seq} for each frame that it has drawn. At most MOST_UNACKNOWLEDGED are under way; frames that
  come meanwhile are skipped, so that what is seen is never late by more than those.
- The page sends {"record": seq} to have one of the frames that it was sent remembered, and gets
  {"recorded": seq, "id": id} or {"recorded": seq, "problem": sentence}.

`/v1/live/browser?model=NAME&m=3&n=5`: what the camera of a browser sees. No source can have the name "browser".

- The page sends an image file in a binary message, and the next one when it has the answer. The answer is a message as
  above, with an empty image.
- The page sends {"record": true, "name": name} before an image that is to be remembered.

A station that refuses sends {"problem": sentence, "status": status of HTTP}, and closes with 4000 + that code.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from onlygood.errors import NotFoundError, OnlygoodError, SettingError
from onlygood.results import Inspection
from onlygood.station.alarm import AlarmWindow
from onlygood.station.inspecting import ToInspect
from onlygood.station.live_feed import LiveFeed, LiveFrame
from onlygood.station.station_settings import Alarm
from onlygood.station.web.futures import result_of
from onlygood.station.web.live_messages import frame_message, model_entries, pack, small_map, verdict_entries
from onlygood.station.web.problems import Refusal, status_of
from onlygood.station.web.rights import check_right

if TYPE_CHECKING:
    from onlygood.station.station import Station

MOST_UNACKNOWLEDGED = 2
# Frames that were sent to a page and can still be recorded when it asks for it.
KEPT_FRAMES = 16
BROWSER, PAGE = "browser", "page"
# Of a name that a page gives an image.
NAME_CHARACTERS = 200

_log = logging.getLogger("onlygood.station")


def live_router(station: Station) -> APIRouter:
    """The WebSockets of a station."""
    router = APIRouter()

    @router.websocket("/v1/live/browser")
    async def browser(socket: WebSocket, model: str = "", m: int = 3, n: int = 5) -> None:
        await socket.accept()
        async with _Refusing(socket):
            check_right(socket, "inspect")
            if not 1 <= m <= n <= 1000:
                raise SettingError(f"an alarm must be at m of n images, m at most n and n at most 1000, got {m} of {n}")
            # An unknown name is refused before the first image; one that is not loaded yet takes a while.
            if station.models.ready(model) is None:
                await asyncio.to_thread(station.models.get, model)
            await _Browser(socket, station, model, Alarm(m=m, n=n)).run()

    @router.websocket("/v1/live/{source}")
    async def live(socket: WebSocket, source: str) -> None:
        await socket.accept()
        async with _Refusing(socket):
            check_right(socket, "inspect")
            await _Watching(socket, station, station.line(source).feed).run()

    return router


class _Refusing:
    """Sends the sentence of an error and closes; a page that went away is no error."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, WebSocketDisconnect):
            return True
        if isinstance(error, OnlygoodError):
            await self._refuse(status_of(error), str(error))
            return True
        if isinstance(error, Refusal):
            await self._refuse(error.status_code, error.detail)
            return True
        return False

    async def _refuse(self, status: int, sentence: str) -> None:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            return
        try:
            await self._socket.send_text(json.dumps({"problem": sentence, "status": status}))
            await self._socket.close(4000 + status)
        except (WebSocketDisconnect, RuntimeError):  # it went away meanwhile
            return


class _Browser:
    """Inspects what one page sends, one image at a time."""

    def __init__(self, socket: WebSocket, station: Station, model: str, alarm: Alarm) -> None:
        self._socket, self._station, self._model = socket, station, model
        self._window = AlarmWindow(alarm)
        self._sequence = 0

    async def run(self) -> None:
        """Answer until the page goes away."""
        wanted: dict[str, Any] = {}
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            _check_token(self._socket)
            if (text := message.get("text")) is not None:
                wanted = _read_text(text)
                continue
            await self._socket.send_bytes(await self._answer(message["bytes"], wanted))
            wanted = {}

    async def _answer(self, content: bytes, wanted: dict[str, Any]) -> bytes:
        self._sequence += 1
        at = datetime.now(UTC)
        name = str(wanted.get("name") or f"camera-{at:%Y%m%d-%H%M%S-%f}"[:-3] + ".jpg")[:NAME_CHARACTERS]
        header: dict[str, Any] = {
            "kind": "frame",
            "model": self._model,
            "seq": self._sequence,
            "at": at.isoformat(),
            "name": name,
            "id": None,
            "skipped": 0,
            "image": {"bytes": 0, "type": "image/jpeg"},
            "map": None,
            "problem": None,
        }
        map_bytes = b""
        try:
            limit = self._station.settings.limits.max_image_bytes
            if len(content) > limit:
                raise SettingError(f"an image file may have {limit} bytes, got {len(content)}: use a smaller one")
            image = ToInspect(
                model=self._model,
                content=content,
                source=PAGE,
                name=name,
                at=at,
                keep="all" if wanted.get("record") else "none",
                with_map=True,
            )
            inspected = await result_of(self._station.submit(image))
            inspection, header["id"] = inspected.inspection, inspected.record.id or None
            header |= verdict_entries(inspection) | model_entries(self._model, inspected.served.version)
            header["map"], map_bytes = small_map(inspection)
            header |= {"width": inspected.record.width, "height": inspected.record.height}
            header |= self._read(inspection)
        except OnlygoodError as error:
            header |= {"problem": str(error), "width": 0, "height": 0}
        return pack(header, b"", map_bytes)

    def _read(self, inspection: Inspection) -> dict[str, Any]:
        """What a header says of the newest images."""
        reading = self._window.add(inspection.score, is_anomaly=inspection.is_anomaly)
        return {
            "average": reading.mean_score,
            "anomalous": reading.anomalous,
            "of": reading.images,
            "is_alarmed": reading.is_alarmed,
        }


class _Watching:
    """Sends one page what a source sees."""

    def __init__(self, socket: WebSocket, station: Station, feed: LiveFeed) -> None:
        self._socket, self._station, self._feed = socket, station, feed
        self._kept: OrderedDict[int, LiveFrame] = OrderedDict()
        self._under_way: set[int] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Send until the page goes away."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._changed.set)

        reading = asyncio.create_task(self._read())
        try:
            with self._feed.watch(wake) as watch:
                while not reading.done():
                    waiting = asyncio.create_task(self._changed.wait())
                    await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    self._changed.clear()
                    if reading.done() or len(self._under_way) >= MOST_UNACKNOWLEDGED:
                        continue
                    frame = watch.take()
                    if frame is None:
                        continue
                    _check_token(self._socket)
                    # Without its map and pixels: those of sixteen large images would fill the memory.
                    self._kept[frame.sequence] = replace(frame, inspection=None)
                    if len(self._kept) > KEPT_FRAMES:
                        self._kept.popitem(last=False)
                    self._under_way.add(frame.sequence)
                    message = await asyncio.to_thread(frame_message, frame, skipped=watch.skipped)
                    await self._socket.send_bytes(message)
            await reading
        finally:
            reading.cancel()

    async def _read(self) -> None:
        """Take what the page says until it goes away."""
        while True:
            said = _read_text(await self._socket.receive_text())
            _check_token(self._socket)
            if "ack" in said:
                # What was sent before it has arrived, too.
                self._under_way = {each for each in self._under_way if each > int(said["ack"])}
                self._changed.set()
            if "record" in said:
                await self._record(int(said["record"]))

    async def _record(self, sequence: int) -> None:
        """Remember one of the frames that were sent."""
        answer: dict[str, Any] = {"recorded": sequence}
        frame = self._kept.get(sequence)
        try:
            if frame is None:
                raise NotFoundError(f"frame {sequence} is no longer kept: freeze the view, and take the image then")
            if frame.record is not None:
                answer["id"] = frame.record.id
            elif frame.model is None:
                raise SettingError("a frame is remembered with its verdict, and this source has no model: choose one")
            else:
                image = ToInspect(model=frame.model, content=frame.content, source=PAGE, name=frame.name, at=frame.at)
                answer["id"] = (await result_of(self._station.submit(image))).record.id
        except OnlygoodError as error:
            answer["problem"] = str(error)
        await self._socket.send_text(json.dumps(answer))


def _check_token(socket: WebSocket) -> None:
    """Nothing, if who was let in would be let in now.

    Raises:
        Refusal: its token was removed.
    """
    if not socket.scope["onlygood.may_go_on"]():
        raise Refusal(
            401, "the token of this live view must be one of this station's, and it was removed: log in with another"
        )


def _read_text(text: str) -> dict[str, Any]:
    """The JSON object of a text.

    Raises:
        SettingError: it is none, or has numbers that are none.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingError(
            "a text must be a JSON object, got something else: see the documentation of this socket"
        ) from error
    if not isinstance(said, dict) or not all(isinstance(said.get(name, 0), int) for name in ("ack", "record")):
        raise SettingError("a text must be a JSON object with whole numbers for 'ack' and 'record', got another one")
    return said
