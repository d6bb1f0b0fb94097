"""Events as they happen, to browsers and programs: server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
from fastapi import APIRouter, Header, Request
from starlette.responses import Response, StreamingResponse

from onlygood.errors import BusyError
from onlygood.station.hub import MOST_WAITING
from onlygood.station.schemas import Event, InspectionRecord
from onlygood.station.web.parameters import BUSY, MOST_ID, station_of
from onlygood.station.web.rights import GuardedRoute, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station

router = APIRouter(route_class=GuardedRoute, tags=["events"])

HEARTBEAT_S = 15.0
RETRY_MS = 2000
MOST_STREAMS = 64
BUSY_RETRY_S = 10.0


class Streams:
    """The streams of events that are open: how many, their end, and each event in bytes once for all of them."""

    def __init__(self, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.heartbeat_s = heartbeat_s
        self.open = 0
        self._wakes: set[asyncio.Event] = set()
        self._encoded: OrderedDict[int, bytes] = OrderedDict()
        self.is_stopping = False

    def stop(self) -> None:
        """End all of them: called on their event loop."""
        self.is_stopping = True
        for wake in self._wakes:
            wake.set()

    @contextlib.contextmanager
    def opened(self, wake: asyncio.Event) -> Iterator[None]:
        """One of them, while it lasts."""
        self.open += 1
        self._wakes.add(wake)
        try:
            yield
        finally:
            self._wakes.discard(wake)
            self.open -= 1

    def encoded(self, number: int, event: Event) -> bytes:
        """An event as it is sent."""
        found = self._encoded.get(number)
        if found is None:
            found = self._encoded[number] = encode(event)
            while len(self._encoded) > MOST_WAITING:
                self._encoded.popitem(last=False)
        return found


def encode(event: Event) -> bytes:
    """An event as it is sent; one of an inspection has its number, from which a browser goes on when it comes back."""
    number = f"id: {recorded_id(event)}\n" if recorded_id(event) else ""
    return f"{number}event: {event.kind}\ndata: {event.model_dump_json(exclude_none=True)}\n\n".encode()


def recorded_id(event: Event) -> int:
    """The number of an inspection that happened and is remembered; 0 for every other event."""
    return event.inspection.id if event.kind == "inspection" and event.inspection is not None else 0


@router.get(
    "/v1/events",
    operation_id="events",
    summary="Events as they happen",
    response_class=Response,
    responses={
        200: {
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 1742\nevent: inspection\ndata: {"kind": "inspection", "inspection": {}}\n\n',
                }
            },
            "description": "a stream without an end; the data of each event are an Event in JSON",
        },
        **BUSY,
    },
)
@needs("inspect")
async def events(
    request: Request,
    last_event_id: Annotated[
        str | None, Header(description="the last inspection that was seen: those after it come first", max_length=64)
    ] = None,
) -> Response:
    """A stream of events: inspections, feedback, jobs, sources, models, drift, alarms.

    A reader that is too slow loses the oldest and is told how many (`event: lost`). A comment comes every few seconds,
    so that both sides notice when the other is gone.
    """
    streams: Streams = request.app.state.streams
    if streams.open >= MOST_STREAMS:
        raise BusyError(
            f"a station gives {MOST_STREAMS} streams of events at once, and as many are open: close one, or try again "
            "later",
            retry_after_s=BUSY_RETRY_S,
        )
    known = last_event_id if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else ""
    last = min(int(known[:20]), MOST_ID) if known else None
    return StreamingResponse(_stream(request, streams, last), media_type="text/event-stream")


async def _stream(request: Request, streams: Streams, last: int | None) -> AsyncIterator[bytes]:
    station = station_of(request)
    loop, wake = asyncio.get_running_loop(), asyncio.Event()

    def woken() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it this stream
            loop.call_soon_threadsafe(wake.set)

    with streams.opened(wake), station.hub.subscribed(woken) as subscription:
        yield f"retry: {RETRY_MS}\n: events of the station\n\n".encode()
        lost = seen = 0
        if last is not None:
            missed = await anyio.to_thread.run_sync(_missed, station, last)
            if len(missed) == MOST_WAITING and missed[0].id > last + 1:
                yield _lost(missed[0].id - last - 1)
            for record in missed:
                yield encode(Event(kind="inspection", inspection=record))
            seen = missed[-1].id if missed else 0
        while not streams.is_stopping:
            try:
                async with asyncio.timeout(streams.heartbeat_s):
                    await wake.wait()
            except TimeoutError:
                if not request.scope["onlygood.may_go_on"]():
                    return  # its token was removed
                yield b": still here\n\n"
                continue
            wake.clear()
            if subscription.lost > lost:
                yield _lost(subscription.lost - lost)
                lost = subscription.lost
            for number, event in subscription.take():
                # Those that were read from the database above came over the hub, too.
                if 0 < recorded_id(event) <= seen:
                    continue
                yield streams.encoded(number, event)


def _missed(station: Station, last: int) -> list[InspectionRecord]:
    """The newest inspections after one, the oldest first."""
    page = station.store.inspections.page(limit=MOST_WAITING)
    return [record for record in reversed(page.inspections) if record.id > last]


def _lost(count: int) -> bytes:
    return f'event: lost\ndata: {{"events": {count}}}\n\n'.encode()
