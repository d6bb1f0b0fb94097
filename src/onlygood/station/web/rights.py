"""What each route needs: the right to inspect, to correct or to manage."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from onlygood.station.schemas import Problem
from onlygood.station.station_settings import Right
from onlygood.station.web.problems import Refusal

# Each includes those before it.
RIGHTS: tuple[Right, ...] = get_args(Right)

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_RIGHT = "_onlygood_right"
_REFUSALS = {
    401: "the token is missing or not known",
    403: "the token may not do this, or another site's page asks",
    422: "a value cannot be used",
    429: "too many wrong tokens came from this address",
}


@dataclass(frozen=True)
class Identity:
    """Who asks.

    Attributes:
        name: of the token; empty where a station has none.
        right: what may be done with it.
    """

    name: str
    right: Right

    def may(self, right: Right) -> bool:
        """Whether this right is among those that it has."""
        return RIGHTS.index(self.right) >= RIGHTS.index(right)


def identity_of(connection: HTTPConnection) -> Identity:
    """Who asks, as `Access` found it."""
    identity = connection.scope["onlygood.identity"]
    assert isinstance(identity, Identity)
    return identity


def needs(right: Right) -> Callable[[Endpoint], Endpoint]:
    """Mark the function of a route with the right that it takes; a route of `GuardedRoute` without one is refused."""

    def marked(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _RIGHT, right)
        return endpoint

    return marked


def check_right(connection: HTTPConnection, right: Right) -> Identity:
    """Who asks.

    Raises:
        Refusal: that token lacks this right.
    """
    identity = identity_of(connection)
    if not identity.may(right):
        raise Refusal(
            403,
            f"the token {identity.name!r} has the right to {identity.right}, and this needs the right to {right}: use "
            "another token",
        )
    return identity


class GuardedRoute(APIRoute):
    """A route that checks the right that its function is marked with before it reads a body."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        if not hasattr(endpoint, _RIGHT):
            raise TypeError(f"the route {path} must say what it needs: mark its function with @needs")
        documented = {status: {"model": Problem, "description": said} for status, said in _REFUSALS.items()}
        settings["responses"] = documented | (settings.get("responses") or {})
        settings["openapi_extra"] = {"x-right": getattr(endpoint, _RIGHT)} | (settings.get("openapi_extra") or {})
        super().__init__(path, endpoint, **settings)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        handle = super().get_route_handler()
        right: Right = getattr(self.endpoint, _RIGHT)

        async def guarded(request: Request) -> Response:
            check_right(request, right)
            return await handle(request)

        return guarded
