"""Logging in and out: the cookie of a browser that has a token."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from onlygood.station.schemas import Problem, Schema
from onlygood.station.station_settings import Right
from onlygood.station.web.access import Access, address_of
from onlygood.station.web.rights import GuardedRoute, identity_of, needs
from onlygood.station.web.session_cookie import delete_cookie, set_cookie
from onlygood.station.web.tokens import MOST_CHARACTERS

router = APIRouter(tags=["session"])
guarded = APIRouter(route_class=GuardedRoute, tags=["session"])


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
        set_cookie(response, request.scope, login.token.strip())
    return Session(name=identity.name, right=identity.right)


@router.delete("/v1/session", operation_id="log_out", summary="Forget the cookie", status_code=204)
def log_out(request: Request) -> Response:
    """An answer that takes the cookie away."""
    response = Response(status_code=204)
    delete_cookie(response, request.scope)
    return response


@guarded.get("/v1/identity", operation_id="identity", summary="Whose token this is, and what it may do")
@needs("inspect")
def identity(request: Request) -> Session:
    """Who is asking."""
    found = identity_of(request)
    return Session(name=found.name, right=found.right)
