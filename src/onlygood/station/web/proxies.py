"""Proxies that may say for whom they ask: the address and the scheme of a request behind them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from onlygood._printable import printable
from onlygood.errors import SettingError

# Addresses of IPv4, as a socket that takes both kinds shows them.
_MAPPED_BITS = 96


def trusted_networks(proxies: Sequence[str]) -> tuple[str, ...]:
    """The networks that are meant, in both ways in which a socket may show addresses of IPv4.

    Args:
        proxies: addresses, and networks such as 10.0.0.0/8.

    Raises:
        SettingError: one is neither, or is everybody's.
    """
    found: list[str] = []
    for each in proxies:
        try:
            network = ipaddress.ip_network(each.strip().strip("[]"))
        except ValueError as error:
            raise SettingError(
                f"a proxy must be an address or a network, such as 127.0.0.1 or 10.0.0.0/8, got {printable(each)!r}: "
                "give what its connections come from"
            ) from error
        if network.prefixlen == 0:
            raise SettingError(
                f"a proxy must be a few addresses, got {network}, which is everybody, who could then say to be anyone: "
                "give the address of the proxy alone"
            )
        found.append(str(network))
        if isinstance(network, ipaddress.IPv4Network):
            found.append(f"::ffff:{network.network_address}/{_MAPPED_BITS + network.prefixlen}")
    return tuple(found)


class TrustedProxies:
    """Gives requests that come from a proxy the address and the scheme that the proxy says; nobody else is believed.

    X-Forwarded-For is read from its end, which is what the nearest proxy wrote: the first address there that is none of
    the proxies is who asks. What stands before it may be made up by anyone.

    Args:
        app: what comes after.
        networks: of the proxies, from `trusted_networks`.
    """

    def __init__(self, app: ASGIApp, networks: Sequence[str]) -> None:
        self._app = app
        self._believing = ProxyHeadersMiddleware(self._with_address, list(networks))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app."""
        scope["onlygood.connection"] = scope.get("client")
        await self._believing(scope, receive, send)  # type: ignore[arg-type]

    async def _with_address(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on; a name that stands in the place of an address, as some proxies write it, tells nobody apart."""
        client = scope.get("client")
        if client is not None:
            try:
                ipaddress.ip_address(client[0])
            except ValueError:
                scope["client"] = scope["onlygood.connection"]
        await self._app(scope, receive, send)
