"""Cameras, streams and folders; and outputs."""

from __future__ import annotations

from fastapi import APIRouter, Request

from onlygood.station.schemas import Name, OutputStatus, Schema, SourceStatus
from onlygood.station.web.parameters import BUSY, CONFLICT, NOT_FOUND, SourceName, station_of
from onlygood.station.web.rights import GuardedRoute, needs

router = APIRouter(route_class=GuardedRoute, tags=["sources"])


class ChosenModel(Schema):
    """The model that inspects the images of a source."""

    model: Name


@router.get("/v1/sources", operation_id="list_sources", summary="All sources")
@needs("inspect")
def list_sources(request: Request) -> list[SourceStatus]:
    """How each is doing."""
    return list(station_of(request).source_statuses())


@router.get("/v1/sources/{name}", operation_id="get_source", summary="One source", responses=NOT_FOUND)
@needs("inspect")
def get_source(request: Request, name: SourceName) -> SourceStatus:
    """How it is doing."""
    return station_of(request).line(name).status()


@router.post("/v1/sources/{name}/start", operation_id="start_source", summary="Start it", responses=NOT_FOUND)
@needs("correct")
def start_source(request: Request, name: SourceName) -> SourceStatus:
    """How it is doing; one that runs goes on."""
    line = station_of(request).line(name)
    line.start()
    return line.status()


@router.post("/v1/sources/{name}/stop", operation_id="stop_source", summary="Stop it", responses=NOT_FOUND)
@needs("correct")
def stop_source(request: Request, name: SourceName) -> SourceStatus:
    """How it is doing."""
    line = station_of(request).line(name)
    line.stop()
    return line.status()


@router.post(
    "/v1/sources/{name}/trigger",
    operation_id="trigger_source",
    summary="Inspect its next frame",
    status_code=202,
    responses={**NOT_FOUND, **CONFLICT, **BUSY},
)
@needs("inspect")
def trigger_source(request: Request, name: SourceName) -> SourceStatus:
    """How it is doing; what was inspected comes as an event."""
    line = station_of(request).line(name)
    line.trigger()
    return line.status()


@router.put(
    "/v1/sources/{name}/model", operation_id="use_model", summary="Inspect with another model", responses=NOT_FOUND
)
@needs("manage")
def use_model(request: Request, name: SourceName, chosen: ChosenModel) -> SourceStatus:
    """How it is doing; the model holds until the station ends or its settings change."""
    station = station_of(request)
    line = station.line(name)
    station.models.one(chosen.model)
    line.use(chosen.model)
    return line.status()


@router.get("/v1/outputs", operation_id="list_outputs", summary="All outputs", tags=["outputs"])
@needs("inspect")
def list_outputs(request: Request) -> list[OutputStatus]:
    """What each delivered, and what waits for it."""
    return list(station_of(request).output_statuses())
