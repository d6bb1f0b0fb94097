"""Who may come in: the name that a browser uses for the station, the page that asks, and the token that is sent.

What a browser is made to send by another site's page comes from the person's own computer and with the person's cookie;
it is told by the headers that browsers set and pages cannot. Programs send none of them and need none.
"""

from __future__ import annotations

import ipaddress
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from onlygood._printable import printable
from onlygood.errors import SettingError
from onlygood.station.web.problems import Refusal, quoted
from onlygood.station.web.rights import Identity
from onlygood.station.web.session_cookie import is_https, token_in_cookie
from onlygood.station.web.tokens import KnownTokens, WrongTokens

LOGIN_PATH = "/login"

# What is answered without a token, and reveals nothing: liveness, the page that takes a token, and what it looks like.
_OPEN_PATHS = ("/healthz", "/readyz", LOGIN_PATH, "/v1/session", "/favicon.ico")
_OPEN_FOLDERS = ("/static/",)

# What a socket for both kinds of addresses puts before one of IPv4.
_MAPPED = "::ffff:"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ANYWHERE = ("", "0.0.0.0", "::", "[::]")

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def is_local(host: str) -> bool:
    """Whether who listens on this address is reached from this computer alone."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_listening(host: str, tokens: int, *, without_tokens: bool) -> None:
    """Nothing, if a station may listen on this address.

    Args:
        host: the address.
        tokens: how many the station has.
        without_tokens: whether it was asked for by name.

    Raises:
        SettingError: everybody in the network could use it.
    """
    if not tokens and not without_tokens and not is_local(host):
        raise SettingError(
            f"a station that listens on {printable(host)}, beyond this computer, needs tokens, got none: make one with "
            "--make-token, or let everyone in the network use it with --without-tokens"
        )


class KnownHosts:
    """The names under which a station answers, so that no other site's name can be made to lead to it.

    A name in someone else's domain can be made to lead here, a bare address cannot: one that listens everywhere answers
    under every address.

    Args:
        host: the address that it listens on.
        allowed: gives more names, from the settings.
    """

    def __init__(self, host: str, allowed: Callable[[], Sequence[str]]) -> None:
        names = {*_LOCAL_NAMES, host.casefold()}
        if ":" in host:  # an address of IPv6, which has brackets in a URL
            names |= {f"[{host.strip('[]').casefold()}]"}
        self._allowed = allowed
        self._takes_addresses = host in _ANYWHERE
        if not is_local(host):
            names |= {socket.gethostname().casefold()}
        self._names = names

    def __contains__(self, header: str) -> bool:
        name = _without_port(header.casefold())
        if name in self._names or name in (each.casefold() for each in self._allowed()):
            return True
        if not self._takes_addresses:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class Access:
    """Refuses who may not come in, and says of the others who they are (`identity_of`).

    Args:
        app: what comes after.
        tokens: of the station.
        hosts: the names under which it answers.
        is_open: whether everyone who reaches a station without tokens may do everything; else, one whose last token is
            removed while it runs answers nobody.
    """

    def __init__(self, app: ASGIApp, *, tokens: KnownTokens, hosts: KnownHosts, is_open: bool) -> None:
        self._app, self._tokens, self._hosts, self._is_open = app, tokens, hosts, is_open
        self._wrong = WrongTokens()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            scope["onlygood.identity"] = self._identity(scope)
            scope["onlygood.may_go_on"] = partial(self._may_go_on, scope)
        except Refusal as refusal:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            else:
                await _answer(scope, refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @property
    def has_tokens(self) -> bool:
        """Whether a token is needed."""
        return not self._is_open or len(self._tokens) > 0

    def check_token(self, token: str, address: str) -> Identity:
        """Who has this token.

        Raises:
            Refusal: nobody has, or too many wrong ones came from this address.
        """
        identity = self._tokens.identify(token)
        if identity is None:
            # The right ones go on: behind a proxy that is not trusted, all share one address.
            wait_s = self._wrong.wait_s(address)
            if wait_s:
                raise Refusal(
                    429,
                    f"too many wrong tokens came from {address}: try again in {math.ceil(wait_s)} seconds",
                    {"Retry-After": str(math.ceil(wait_s))},
                )
            self._wrong.note(address, token)
            raise Refusal(401, "the token is not one of this station's: check that it was copied whole", _CHALLENGE)
        return identity

    def _may_go_on(self, scope: Scope) -> bool:
        """Whether who was let in would be let in now: for what lasts, such as a stream."""
        if not self.has_tokens:
            return True
        token = _token(scope, Headers(scope=scope))
        return token is not None and self._tokens.identify(token) is not None

    def _identity(self, scope: Scope) -> Identity:
        headers = Headers(scope=scope)
        self._check_host(headers)
        _check_origin(scope, headers)
        if not self.has_tokens:
            return Identity("", "manage")
        token = _token(scope, headers)
        path = scope["path"]
        is_open = path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS)
        if token is None and not is_open:
            raise Refusal(
                401, "a token must come with each request, as 'Authorization: Bearer TOKEN', and none did", _CHALLENGE
            )
        if token is None or is_open:
            return _NOBODY
        return self.check_token(token, address_of(scope))

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            got = quoted(hosts[0]) if hosts else "none"
            raise Refusal(
                421,
                f"the Host header must be a name under which this station answers, got {got}: add it to allowed_hosts "
                "in the station's settings, or use localhost",
            )


# Of paths that are open: it has no right that a route could need.
_NOBODY = Identity("nobody", "inspect")


def address_of(scope: Scope) -> str:
    """Where a request comes from; an address of IPv4 as such, whatever kind of socket took it."""
    client = scope.get("client")
    return str(client[0]).removeprefix(_MAPPED) if client else "nowhere"


def _check_origin(scope: Scope, headers: Mapping[str, str]) -> None:
    """Nothing, unless another site's page made a browser send this.

    Raises:
        Refusal: it did.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    is_unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
    if site is not None and site not in ("same-origin", "none"):
        # A link on another page may lead here; nothing else of it may.
        if is_unsafe or headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document":
            raise _foreign(f"Sec-Fetch-Site {quoted(site)}")
    elif is_unsafe and origin is not None and not _is_same_origin(scope, origin, headers.get("host", "")):
        raise _foreign(f"the Origin {quoted(origin)}")


def _foreign(got: str) -> Refusal:
    return Refusal(
        403,
        f"a browser may use this station from its own pages alone, got a request with {got}: open the station's page",
    )


def _is_same_origin(scope: Scope, origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in _DEFAULT_PORTS or (is_https(scope) and parts.scheme != "https"):
        return False
    # Some proxies add the port that browsers leave out.
    port = _DEFAULT_PORTS[parts.scheme]
    return parts.netloc.casefold().removesuffix(port) == host.casefold().removesuffix(port)


def _token(scope: Scope, headers: Headers) -> str | None:
    given = headers.get("authorization")
    if given is not None:
        scheme, _, token = given.partition(" ")
        if scheme.casefold() != "bearer" or not token.strip():
            raise Refusal(401, "the Authorization header must be 'Bearer TOKEN', and it is not", _CHALLENGE)
        return token.strip()
    return token_in_cookie(scope)


def _answer(scope: Scope, refusal: Refusal) -> Response:
    headers = Headers(scope=scope)
    if refusal.status_code == 401 and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        return RedirectResponse(f"{LOGIN_PATH}?next={quote(scope['path'], safe='/')}", 303)
    return refusal.response()


def _without_port(host: str) -> str:
    """The name in a Host header; an address of IPv6 keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
