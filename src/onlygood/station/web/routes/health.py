"""How the station is doing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from onlygood.station.schemas import Health, Schema
from onlygood.station.web.parameters import station_of
from onlygood.station.web.rights import GuardedRoute, needs

router = APIRouter(tags=["health"])
guarded = APIRouter(route_class=GuardedRoute, tags=["health"])


class Sign(Schema):
    """A sign of life."""

    status: str = Field(examples=["ok"])


@router.get("/healthz", operation_id="healthz", summary="Whether the process answers")
async def healthz() -> Sign:
    """Always ok: who gets it knows that the event loop runs."""
    return Sign(status="ok")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Whether it can inspect",
    response_model=Sign,
    responses={503: {"model": Sign, "description": "it cannot inspect now; /v1/health says why"}},
)
def readyz(request: Request) -> Response:
    """Ok, or not ready; why is for those alone who have a token."""
    is_ready = station_of(request).is_ready
    return JSONResponse({"status": "ok" if is_ready else "not ready"}, 200 if is_ready else 503)


@guarded.post(
    "/v1/clock/trust",
    operation_id="trust_clock",
    summary="Say that the clock is right",
    description="After a jump of the computer's clock nothing is let go of by its age until somebody says this.",
)
@needs("manage")
def trust_clock(request: Request) -> Health:
    """How everything is doing then."""
    station_of(request).trust_clock()
    return station_of(request).health()


@guarded.get("/v1/health", operation_id="health", summary="How everything is doing")
@needs("inspect")
def health(request: Request) -> Health:
    """Queue, throughput, disk, sources, outputs, models and drift."""
    return station_of(request).health()
