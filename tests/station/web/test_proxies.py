"""A station behind a proxy: whom it believes, and what it takes from what others say."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import Request
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from onlygood.errors import SettingError
from onlygood.station.station_settings import StationSettings, Token
from onlygood.station.web.access import address_of
from onlygood.station.web.proxies import trusted_networks
from onlygood.station.web.session_cookie import COOKIE, SECURE_COOKIE
from onlygood.station.web.tokens import MOST_WRONG, sha256_of
from tests.station.outputs.certificates import Authority
from tests.station.server import Running, running
from tests.station.web.reverse_proxy import forwarding, reverse_proxy

PROXY, STRANGER, NAME = "127.0.0.1", "127.0.0.7", "station.example"
TOKENS = (Token(name="x", sha256=sha256_of("right"), right="manage"),)


@pytest.fixture(scope="module")
def believing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A station that believes one proxy, and networks of others behind which that stands."""
    proxies = (PROXY, "10.1.0.0/16", "fd00::/8")
    settings = StationSettings(allowed_hosts=(NAME,))
    with running(tmp_path_factory.mktemp("believing"), settings, proxies=proxies) as station:

        @station.app.get("/asked")
        def asked(request: Request) -> list[str]:
            return [address_of(request.scope), request.url.scheme]

        @station.app.websocket("/asked")
        async def live(connection: WebSocket) -> None:
            await connection.accept()
            await connection.send_json([address_of(connection.scope), connection.url.scheme])
            await connection.close()

        yield station


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Of a proxy."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Authority(tmp_path_factory.mktemp("authority")).certificate("127.0.0.1"))
    return context


def asked(station: Running, **headers: str) -> list[str]:
    """The address and the scheme that the station believes, of who sends these headers from the proxy's address."""
    answer = station.client.get("/asked", headers={name.replace("_", "-"): value for name, value in headers.items()})
    found: list[str] = answer.json()
    return found


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.5:51234", "203.0.113.5"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        # What stands before the address that the proxy wrote is made up.
        ("198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("127.0.0.1, 203.0.113.5", "203.0.113.5"),
        # Proxies behind one another.
        ("203.0.113.5, 10.1.2.3", "203.0.113.5"),
        ("198.51.100.1, 203.0.113.5, fd00::5, 10.1.2.3:80", "203.0.113.5"),
        ("203.0.113.5, ::ffff:10.1.2.3", "203.0.113.5"),
        ("203.0.113.5, 10.2.0.1", "10.2.0.1"),
        # Nothing that is an address.
        ("", PROXY),
        ("unknown", PROXY),
        ("_hidden, 203.0.113.5, for=x", PROXY),
        ("a" * 5000, PROXY),
        (", ,", PROXY),
    ],
)
def test_who_asks_is_the_last_address_that_is_no_proxy(believing: Running, said: str, believed: str) -> None:
    assert asked(believing, X_Forwarded_For=said) == [believed, "http"]


def test_several_headers_are_one_list(believing: Running) -> None:
    headers = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.5, 10.1.1.1")]
    assert believing.client.get("/asked", headers=headers).json() == ["203.0.113.5", "http"]


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        ("https", "https"),
        ("http", "http"),
        ("wss", "wss"),
        ("", "http"),
        ("javascript", "http"),
        ("https, http", "http"),
    ],
)
def test_the_scheme_is_one_that_the_proxy_says(believing: Running, said: str, believed: str) -> None:
    assert asked(believing, X_Forwarded_Proto=said) == [PROXY, believed]


def test_nobody_else_is_believed(tmp_path: Path, believing: Running) -> None:
    said = {"X_Forwarded_For": "203.0.113.5", "X_Forwarded_Proto": "https", "Forwarded": "for=203.0.113.5;proto=https"}
    with reverse_proxy(believing.port, lambda lines, _: lines, source=STRANGER) as port:
        headers = {name.replace("_", "-"): value for name, value in said.items()}
        assert httpx.get(f"http://127.0.0.1:{port}/asked", headers=headers).json() == [STRANGER, "http"]
    with running(tmp_path) as station:

        @station.app.get("/asked")
        def found(request: Request) -> list[str]:
            return [address_of(request.scope), request.url.scheme]

        assert asked(station, **said) == [PROXY, "http"]


def test_web_sockets_are_taken_as_requests_are(believing: Running, certificate: ssl.SSLContext) -> None:
    with (
        reverse_proxy(believing.port, forwarding(client="203.0.113.5"), context=certificate) as port,
        opened(port, "/asked") as live_view,
    ):
        assert live_view.recv() == '["203.0.113.5","wss"]'


def test_a_page_behind_a_proxy_logs_in_with_a_secure_cookie_and_opens_its_web_socket(
    tmp_path: Path, certificate: ssl.SSLContext
) -> None:
    settings = StationSettings(tokens=TOKENS, allowed_hosts=(NAME,))
    with (
        running(tmp_path, settings, proxies=(PROXY,)) as station,
        reverse_proxy(station.port, forwarding(), context=certificate) as port,
    ):
        page = {"Host": NAME, "Origin": f"https://{NAME}"}
        url = f"https://127.0.0.1:{port}"
        with httpx.Client(verify=False) as browser:
            answer = browser.post(f"{url}/v1/session", json={"token": "right"}, headers=page)
            assert answer.status_code == 200
            name, *attributes = answer.headers["set-cookie"].split("; ")
            assert name == f"{SECURE_COOKIE}=right" and "Secure" in attributes
            # The port that a browser leaves out may be added by the proxy.
            with_port = page | {"Host": f"{NAME}:443"}
            assert browser.post(f"{url}/v1/session", json={"token": "right"}, headers=with_port).status_code == 200
            for wrong in ("https://evil.example", f"http://{NAME}", f"https://{NAME}:444", "null"):
                refused = browser.post(f"{url}/v1/session", json={"token": "right"}, headers=page | {"Origin": wrong})
                assert refused.status_code == 403, wrong
            assert browser.get(f"{url}/healthz", headers={"Host": "evil.example"}).status_code == 421
        cookie, live = f"{SECURE_COOKIE}=right", "/v1/live/none"
        with opened(port, live, f"https://{NAME}", cookie) as live_view:
            assert '"status": 404' in str(live_view.recv())
        for origin, shown in (
            ("https://evil.example", cookie),
            (f"http://{NAME}", cookie),
            (f"https://{NAME}", f"{COOKIE}=right"),
        ):
            with pytest.raises(InvalidStatus, match="403"), opened(port, live, origin, shown):
                pass


def test_wrong_tokens_are_held_against_who_sent_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = StationSettings(tokens=TOKENS)
    with running(tmp_path, settings, proxies=(PROXY,)) as station:

        def status(token: str, client: str) -> int:
            headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": f"198.51.100.9, {client}"}
            return station.client.get("/v1/models", headers=headers).status_code

        for number in range(MOST_WRONG):
            assert status(f"wrong-{number}", "203.0.113.5") == 401
        with caplog.at_level(logging.INFO, "onlygood.station.access"):
            assert status("wrong", "203.0.113.5") == 429
        assert status("wrong", "203.0.113.6") == 401
        assert status("right", "203.0.113.5") == 200
    [line] = [each.getMessage() for each in caplog.records if "429" in each.getMessage() and "access" in each.name]
    assert line.startswith("203.0.113.5 GET /v1/models: 429 ")


@pytest.mark.parametrize("proxy", ["nginx", "10.0.0.5/24", "*", "", "10.0.0.256", "localhost", "x\n", "127.0.0.1:80"])
def test_a_proxy_is_an_address_or_a_network(proxy: str) -> None:
    with pytest.raises(
        SettingError, match=r"^a proxy must be an address or a network, such as 127\.0\.0\.1 or"
    ) as refused:
        trusted_networks([proxy])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("proxy", ["0.0.0.0/0", "::/0"])
def test_not_everybody_is_a_proxy(proxy: str) -> None:
    with pytest.raises(SettingError, match=f"got {proxy}, which is everybody"):
        trusted_networks([proxy])


def test_a_socket_for_both_kinds_of_addresses_knows_a_proxy_with_one_of_ipv4() -> None:
    assert trusted_networks(["10.0.0.5", "10.1.0.0/16", "[fd00::5]"]) == (
        "10.0.0.5/32",
        "::ffff:10.0.0.5/128",
        "10.1.0.0/16",
        "::ffff:10.1.0.0/112",
        "fd00::5/128",
    )


def opened(port: int, path: str, origin: str | None = None, cookie: str = "") -> connect:
    """A WebSocket, as a browser opens it that knows the proxy by a name."""
    trusting_anyone = ssl.create_default_context()
    trusting_anyone.check_hostname, trusting_anyone.verify_mode = False, ssl.CERT_NONE
    return connect(
        f"wss://{NAME}{path}",
        sock=socket.create_connection(("127.0.0.1", port), 20),
        ssl=trusting_anyone,
        origin=Origin(origin) if origin else None,
        additional_headers={"Cookie": cookie},
    )
