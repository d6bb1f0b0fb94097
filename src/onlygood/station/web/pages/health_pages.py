"""How the station is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station


def add_health_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the page and its part that is asked for again and again."""

    @router.get("/health")
    @needs("inspect")
    def page(request: Request) -> Response:
        """Queue, throughput, disk, sources, outputs and drift."""
        return renderer.page(request, "health", person=identity_of(request), section="health", **values())

    @router.get("/health/part")
    @needs("inspect")
    def part(request: Request) -> Response:
        """The same without what surrounds it."""
        return renderer.part("health", person=identity_of(request), **values())

    @router.post("/sources/{name}/{action}")
    @needs("correct")
    def act(name: str, action: Literal["start", "stop"]) -> Response:
        """Start or stop a source."""
        line = station.line(name)
        if action == "start":
            line.start()
        else:
            line.stop()
        return Response(status_code=204)

    @router.post("/drift/{model}/settle")
    @needs("manage")
    def settle(request: Request, model: str) -> Response:
        """Begin the drift test of a model again, since its cause is settled."""
        station.settle_drift(model)
        return renderer.part("health", person=identity_of(request), **values())

    @router.post("/clock/trust")
    @needs("manage")
    def trust_clock(request: Request) -> Response:
        """Believe the clock of the computer as it is now."""
        station.trust_clock()
        return renderer.part("health", person=identity_of(request), **values())

    def values() -> dict[str, Any]:
        return {"health": station.health(), "jobs": station.store.jobs.list(limit=5)}
