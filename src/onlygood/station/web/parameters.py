"""What many routes take: the station, names and numbers in paths, and the filters of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AwareDatetime, BeforeValidator
from starlette.requests import HTTPConnection

from onlygood.station.schemas import Label, Problem, Verdict
from onlygood.station.station_settings import Limits

if TYPE_CHECKING:
    from onlygood.station.station import Station

MOST_ID = 2**63 - 1

ModelName = Annotated[str, Path(description="of the model", examples=["part"], max_length=200)]
SourceName = Annotated[str, Path(description="of the source", examples=["camera"], max_length=200)]
Id = Annotated[int, Path(ge=1, le=MOST_ID, examples=[1742])]
VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="of the version, from 1", examples=[2])]

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "there is no such thing"}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "it is not in a state for it"}}
BUSY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "the queue is full; Retry-After says when to ask again"}
}
TOO_LARGE: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "the body did not arrive whole in time"},
    413: {"model": Problem, "description": "more bytes, pixels or parts than the limits allow"},
    415: {"model": Problem, "description": "neither a form nor the bytes of an image"},
}
NO_ROOM: dict[int | str, dict[str, Any]] = {507: {"model": Problem, "description": "the disk is full"}}


def station_of(connection: HTTPConnection) -> Station:
    """The station whose app this is."""
    station: Station = connection.app.state.station
    return station


def limits_of(connection: HTTPConnection) -> Limits:
    """The bounds of the station whose app this is."""
    return station_of(connection).settings.limits


def binary(description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """How a route documents that it answers with a file."""
    content = {each: {"schema": {"type": "string", "format": "binary"}} for each in media_types}
    return {200: {"content": content, "description": description}}


FilterModel = Annotated[str | None, Query(description="of this model alone", max_length=200, examples=["part"])]
FilterVerdict = Annotated[Verdict | None, Query(description="with this verdict alone")]
FilterLabel = Annotated[
    Label | Literal["any", "none"] | None,
    Query(description="that a person called so; any for those that someone marked, none for the others"),
]
FilterNotes = Annotated[bool | None, Query(description="whether there is something in the image as in no good image")]
FilterSource = Annotated[str | None, Query(description="of this source alone", max_length=200)]
FilterName = Annotated[str | None, Query(description="whose image's name holds this text", max_length=200)]


def _as_written(value: object) -> object:
    """A moment as it was written; a bare number, which could count seconds or milliseconds, is none."""
    if isinstance(value, str) and value.replace(".", "").lstrip("+-").isdigit():
        raise ValueError("a moment is written as 2026-01-31T06:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]
FilterSince = Annotated[Moment | None, Query(description="not before this moment", examples=["2026-01-31T06:00:00Z"])]
FilterUntil = Annotated[Moment | None, Query(description="before this moment")]


def filters(
    model: FilterModel = None,
    verdict: FilterVerdict = None,
    label: FilterLabel = None,
    has_notes: FilterNotes = None,
    source: FilterSource = None,
    name: FilterName = None,
    since: FilterSince = None,
    until: FilterUntil = None,
) -> dict[str, Any]:
    """Which inspections are meant, as the store takes it."""
    return {
        "model": model,
        "verdict": verdict,
        "label": label,
        "has_notes": has_notes,
        "source": source,
        "name": name,
        "since": since,
        "until": until,
    }
