"""The app of a station: routes, pages, and what stands before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from onlygood import _version
from onlygood.station.web import metrics
from onlygood.station.web.access import Access, KnownHosts, check_listening, is_local
from onlygood.station.web.limits import MAX_JSON_BYTES, BodyLimits
from onlygood.station.web.live import live_router
from onlygood.station.web.pages import pages_router
from onlygood.station.web.problems import UnexpectedErrors, add_problem_handlers
from onlygood.station.web.proxies import TrustedProxies, trusted_networks
from onlygood.station.web.reference import reference_router
from onlygood.station.web.routes import (
    events,
    health,
    inspect,
    inspections,
    jobs,
    models,
    session,
    settings,
    sources,
    teach,
)
from onlygood.station.web.security_headers import SecurityHeaders
from onlygood.station.web.server import DEFAULT_HOST
from onlygood.station.web.session_cookie import COOKIE, SECURE_COOKIE
from onlygood.station.web.tokens import KnownTokens

if TYPE_CHECKING:
    from onlygood.station.station import Station

_DESCRIPTION = """Visual inspection that learns from good images only, at a line.

Each refusal is a `Problem`: one sentence with the subject, what is required, what was got and what to do. `x-right` of
an operation says which right a token needs for it: `inspect`, `correct` or `manage`, each including those before it.
"""


def make_app(
    station: Station,
    *,
    host: str = DEFAULT_HOST,
    without_tokens: bool = False,
    proxies: Sequence[str] = (),
    heartbeat_s: float = events.HEARTBEAT_S,
) -> FastAPI:
    """The app of a station.

    Args:
        station: which.
        host: the address that it will listen on.
        without_tokens: whether everyone in the network may do everything, where the station has no tokens.
        proxies: addresses and networks of those who may say for whom they ask.
        heartbeat_s: between two signs of life in a stream of events.

    Raises:
        SettingError: it would listen beyond this computer without tokens, and that was not asked for; or a proxy has
            no address.
    """
    chosen = station.settings
    tokens = KnownTokens(lambda: station.settings.tokens)
    check_listening(host, len(tokens), without_tokens=without_tokens)
    app = FastAPI(
        title="onlygood station",
        version=_version.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.station = station
    app.state.metrics = metrics.Metrics(station)
    app.state.streams = events.Streams(heartbeat_s)
    app.state.max_message_bytes = chosen.limits.max_image_bytes + MAX_JSON_BYTES
    app.state.stop_streams = app.state.streams.stop
    for router in (
        inspect.router,
        inspections.router,
        models.router,
        teach.router,
        jobs.router,
        sources.router,
        events.router,
        settings.router,
        session.router,
        session.guarded,
        health.router,
        health.guarded,
        metrics.router,
    ):
        app.include_router(router)
    app.include_router(live_router(station))
    app.include_router(pages_router(station))
    app.include_router(reference_router())
    add_problem_handlers(app)

    def with_access(inner: ASGIApp) -> ASGIApp:
        hosts = KnownHosts(host, lambda: station.settings.allowed_hosts)
        access = Access(inner, tokens=tokens, hosts=hosts, is_open=without_tokens or is_local(host))
        app.state.access = access
        return access

    # The last one is asked first.
    app.add_middleware(BodyLimits, limits=chosen.limits)
    app.add_middleware(with_access)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(metrics.Observed, metrics=app.state.metrics)
    app.add_middleware(SecurityHeaders)
    if proxies:
        app.add_middleware(TrustedProxies, networks=trusted_networks(proxies))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of all routes, with the ways in which a token can come."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        described.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            "https_cookie": {"type": "apiKey", "in": "cookie", "name": SECURE_COOKIE},
        }
        described["security"] = [{}, {"token": []}, {"cookie": []}, {"https_cookie": []}]
        app.openapi_schema = described
    return app.openapi_schema
