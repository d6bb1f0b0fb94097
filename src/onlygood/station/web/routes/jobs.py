"""Fits and updates in the background."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from onlygood.station.schemas import FitRequest, Job, Name, Schema
from onlygood.station.web.parameters import BUSY, CONFLICT, NOT_FOUND, Id, station_of
from onlygood.station.web.rights import GuardedRoute, needs

router = APIRouter(route_class=GuardedRoute, tags=["jobs"])


class UpdateRequest(Schema):
    """An update of a model with the false alarms that a person called good."""

    model: Name


@router.get("/v1/jobs", operation_id="list_jobs", summary="The newest jobs")
@needs("inspect")
def list_jobs(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> list[Job]:
    """The newest first."""
    return list(station_of(request).jobs.list(limit=limit))


@router.get("/v1/jobs/{id:int}", operation_id="get_job", summary="One job", responses=NOT_FOUND)
@needs("inspect")
def get_job(request: Request, id: Id) -> Job:
    """Where it is."""
    return station_of(request).jobs.get(id)


@router.post(
    "/v1/jobs/fit", operation_id="fit", summary="Fit a model to what was taught", status_code=202, responses=BUSY
)
@needs("manage")
def fit(request: Request, asked: FitRequest) -> Job:
    """The job, which waits or runs; its model is served when it is done."""
    return station_of(request).fit(asked)


@router.post(
    "/v1/jobs/update",
    operation_id="update",
    summary="Learn from the false alarms of a model",
    status_code=202,
    responses={**NOT_FOUND, **BUSY},
)
@needs("manage")
def update(request: Request, asked: UpdateRequest) -> Job:
    """The job, which waits or runs; its model is served when it is done, as a new version beside the old."""
    return station_of(request).update(asked.model)


@router.post(
    "/v1/jobs/{id}/cancel", operation_id="cancel_job", summary="Cancel a job", responses={**NOT_FOUND, **CONFLICT}
)
@needs("manage")
def cancel_job(request: Request, id: Id) -> Job:
    """The job, which ends soon; one that has ended is left as it is."""
    return station_of(request).jobs.cancel(id)
