"""The cookie by which a browser shows its token: no script can read it, and no other site's page can make use of it.

Over HTTPS it has a name of its own, whose prefix has browsers take it from this very host over HTTPS alone (`__Host-`).
One of the same name could not be set over HTTP any more, and so nobody could log in who goes back from HTTPS to HTTP.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

COOKIE, SECURE_COOKIE = "onlygood_token", "__Host-onlygood_token"
COOKIE_S = 365 * 24 * 3600


def is_https(scope: Scope) -> bool:
    """Whether a request came by HTTPS, to the station itself or to a proxy that it trusts."""
    return scope.get("scheme") in ("https", "wss")


def set_cookie(response: Response, scope: Scope, token: str) -> None:
    """Have a browser keep a token.

    Args:
        response: that says so.
        scope: of the request that it answers.
        token: which.
    """
    response.set_cookie(_name(scope), token, max_age=COOKIE_S, httponly=True, samesite="strict", secure=is_https(scope))


def delete_cookie(response: Response, scope: Scope) -> None:
    """Have a browser forget its token; from the arguments of `set_cookie`."""
    response.delete_cookie(_name(scope), httponly=True, samesite="strict", secure=is_https(scope))


def token_in_cookie(scope: Scope) -> str | None:
    """The token that a browser shows."""
    for header in Headers(scope=scope).getlist("cookie"):
        try:
            found = SimpleCookie(header).get(_name(scope))
        except CookieError:
            continue
        if found is not None and found.value:
            return found.value
    return None


def _name(scope: Scope) -> str:
    return SECURE_COOKIE if is_https(scope) else COOKIE
