"""Cameras, streams and folders; and outputs."""

from __future__ import annotations

from fastapi import APIRouter, Request

from onlygood.station.schemas import OutputStatus, SourceStatus
from onlygood.station.web.parameters import NOT_FOUND, SourceName, station_of
from onlygood.station.web.rights import GuardedRoute, needs

router = APIRouter(route_class=GuardedRoute, tags=["sources"])


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


@router.get("/v1/outputs", operation_id="list_outputs", summary="All outputs", tags=["outputs"])
@needs("inspect")
def list_outputs(request: Request) -> list[OutputStatus]:
    """What each delivered, and what waits for it."""
    return list(station_of(request).output_statuses())
