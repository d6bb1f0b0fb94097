"""The cookie by which a browser shows its token: no script can read it, and no other site's page can make use of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from onlygood.station.schemas import Problem, Schema
from onlygood.station.station_settings import Right
from onlygood.station.web.access import COOKIE, Access, address_of
from onlygood.station.web.rights import GuardedRoute, identity_of, needs
from onlygood.station.web.tokens import MOST_CHARACTERS

router = APIRouter(tags=["session"])
guarded = APIRouter(route_class=GuardedRoute, tags=["session"])

COOKIE_S = 365 * 24 * 3600


class Login(Schema):
    """A token, as a person was given it."""

    token: str = Field(min_length=1, max_length=MOST_CHARACTERS)


class Session(Schema):
    """Who is asking."""

    name: str = Field(description="of the token; empty where the station has none", examples=["line-1"])
    right: Right


@router.post(
    "/v1/session",
    operation_id="log_in",
    summary="Show a token, for the cookie of a browser",
    responses={
        401: {"model": Problem, "description": "the token is not known"},
        422: {"model": Problem, "description": "no token"},
        429: {"model": Problem, "description": "too many wrong tokens came from this address"},
    },
)
def log_in(request: Request, response: Response, login: Login) -> Session:
    """Who has this token; the answer sets the cookie."""
    access: Access = request.app.state.access
    identity = access.check_token(login.token.strip(), address_of(request.scope)) if access.has_tokens else None
    if identity is None:
        identity = identity_of(request)
    else:
        response.set_cookie(
            COOKIE,
            login.token.strip(),
            max_age=COOKIE_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return Session(name=identity.name, right=identity.right)


@router.delete("/v1/session", operation_id="log_out", summary="Forget the cookie", status_code=204)
def log_out() -> Response:
    """An answer that takes the cookie away."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@guarded.get("/v1/identity", operation_id="identity", summary="Whose token this is, and what it may do")
@needs("inspect")
def identity(request: Request) -> Session:
    """Who is asking."""
    found = identity_of(request)
    return Session(name=found.name, right=found.right)
