"""The pages of a station: templates that the server renders, with a little script where a page is alive.

- `rendering`: templates, errors as sentences, how numbers are written; `files`: scripts, styles, the colours of maps.
- `image_sizes`: the sizes in which pages show images, and their maps.
- `live_pages`, `teach_pages`, `history_pages`, `review_pages`, `guarantee_pages`, `models_pages`, `health_pages`,
  `settings_pages`: one module for each entry of the navigation.
- `comparing`, `score_histogram`: what the pages of models show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from onlygood._printable import printable
from onlygood.errors import NotFoundError, OnlygoodError
from onlygood.station.web.pages.files import static_files
from onlygood.station.web.pages.guarantee_pages import add_guarantee_pages
from onlygood.station.web.pages.health_pages import add_health_pages
from onlygood.station.web.pages.history_pages import add_history_pages
from onlygood.station.web.pages.live_pages import add_live_pages
from onlygood.station.web.pages.models_pages import add_models_pages
from onlygood.station.web.pages.rendering import Renderer, static_digest
from onlygood.station.web.pages.review_pages import add_review_pages
from onlygood.station.web.pages.settings_pages import add_settings_pages
from onlygood.station.web.pages.teach_pages import add_teach_pages
from onlygood.station.web.rights import identity_of, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station


def pages_router(station: Station) -> APIRouter:
    """All pages of a station, and their scripts and styles."""

    def waiting() -> int:
        try:
            active = (station.store.models.active(name) for name in station.store.models.names())
            return sum(version.in_review for version in active if version is not None)
        except OnlygoodError:  # the page says what is wrong; its navigation need not
            return 0

    def problems() -> list[str]:
        return [*station.store.problems(), *station.models.problems]

    renderer = Renderer(waiting=waiting, problems=problems)
    router = APIRouter(route_class=renderer.route_class(), include_in_schema=False)
    files = static_files()

    @router.get("/static/{digest}/{path:path}")
    @needs("inspect")
    def static(digest: str, path: str) -> Response:
        """A script, a style or an icon."""
        if digest != static_digest() or path not in files:
            raise NotFoundError(f"there is no such file, {path!r}: open the page again")
        content, media_type = files[path]
        return Response(
            content, media_type=media_type, headers={"Cache-Control": "public, max-age=31536000, immutable"}
        )

    @router.get("/favicon.ico")
    @needs("inspect")
    def favicon() -> Response:
        """The icon, for browsers that ask for it by this name."""
        content, media_type = files["icon.svg"]
        return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=86400"})

    @router.get("/login")
    @needs("inspect")
    def login(request: Request, next: str = "/") -> Response:
        """Where a token is shown to the station; where there are none, nobody needs to."""
        # An address of this station alone: nothing that a browser takes for another site. What is not seen is written
        # out on pages with a backslash, which browsers take for a slash.
        is_own = next.startswith("/") and not next.startswith("//") and "\\" not in printable(next)
        path = next if is_own else "/"
        if not station.settings.tokens:
            return RedirectResponse(path, 303)
        return renderer.page(request, "login", person=None, next=path)

    @router.get("/state")
    @needs("inspect")
    def state(request: Request) -> Response:
        """What keeps the station from its work now: every page asks for it again and again."""
        return renderer.part("state", person=identity_of(request), problems=problems())

    add_live_pages(router, station, renderer)
    add_teach_pages(router, station, renderer)
    add_history_pages(router, station, renderer)
    add_review_pages(router, station, renderer)
    add_guarantee_pages(router, station, renderer)
    add_models_pages(router, station, renderer)
    add_health_pages(router, station, renderer)
    add_settings_pages(router, station, renderer)
    return router
