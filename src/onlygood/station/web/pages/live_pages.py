"""The Live page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station


def add_live_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the Live page, and the first page."""

    @router.get("/")
    @needs("inspect")
    def first() -> Response:
        """To what a person needs now: teaching where there is no model yet, else the live view."""
        is_empty = not station.store.models.names() and not station.lines
        return RedirectResponse("/teach" if is_empty else "/live", 303)

    @router.get("/live")
    @needs("inspect")
    def live(request: Request, source: str = "", model: str = "") -> Response:
        """The live view of the browser's camera or of a source."""
        models = station.models.all()
        sources = [line.settings for _, line in sorted(station.lines.items())]
        known = {each.name for each in sources}
        if source not in known:
            source = "browser" if source == "browser" or not sources else sources[0].name
        return renderer.page(
            request,
            "live",
            person=identity_of(request),
            section="live",
            models=models,
            sources=sources,
            source=source,
            model=model,
        )

    @router.post("/live/{source}/trigger")
    @needs("inspect")
    def trigger(source: str) -> Response:
        """Inspect one image of a source now."""
        station.line(source).trigger()
        return Response(status_code=204)
