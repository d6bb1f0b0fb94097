"""What is set about the station, without its secrets."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from onlygood.station.web.parameters import station_of
from onlygood.station.web.rights import GuardedRoute, needs

router = APIRouter(route_class=GuardedRoute, tags=["settings"])


@router.get("/v1/settings", operation_id="get_settings", summary="What is set about the station")
@needs("manage")
def get_settings(request: Request) -> dict[str, Any]:
    """As in station.json; keys and passwords are stars, and of tokens there are names and rights alone."""
    return station_of(request).settings.model_dump(mode="json", exclude={"tokens": {"__all__": {"sha256"}}})
