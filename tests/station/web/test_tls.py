"""HTTPS: what is served over it, and that the bounds on connections hold for TLS, too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from onlygood.station.station_settings import Limits, StationSettings, Token
from onlygood.station.web.certificate import Certificate
from onlygood.station.web.session_cookie import COOKIE, SECURE_COOKIE
from onlygood.station.web.tokens import sha256_of
from tests.station.outputs.certificates import Authority
from tests.station.server import Running, good_png, running, until
from tests.station.web.conftest import PATCH, Narrow
from tests.station.web.raw import head

ADDRESS = "127.0.0.1"
DEADLINE_S = 20.0


class Hasty(Narrow):
    """Narrow, and with little patience for handshakes."""

    handshake_timeout_s, head_timeout_s = 0.5, 2.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.path)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Running]:
    """A station with a token, over HTTPS."""
    settings = StationSettings(tokens=(Token(name="x", sha256=sha256_of("right"), right="manage"),))
    certificate = Certificate(authority.certificate(ADDRESS))
    folder = tmp_path_factory.mktemp("secure")
    with running(
        folder, settings, models={"part": PATCH}, certificate=certificate, token="right", heartbeat_s=0.1
    ) as station:

        @station.app.websocket("/echo")
        async def echo(socket: WebSocket) -> None:
            await socket.accept()
            with contextlib.suppress(Exception):
                while True:
                    await socket.send_bytes(await socket.receive_bytes())

        yield station


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Running]:
    """A station with narrow limits, over HTTPS."""
    settings = StationSettings(limits=Limits(max_body_bytes=100_000, max_image_bytes=40_000, body_timeout_s=0.5))
    certificate = Certificate(authority.certificate("127.0.0.9"))
    folder = tmp_path_factory.mktemp("hasty")
    with running(folder, settings, models={"part": PATCH}, certificate=certificate, protocol=Hasty) as station:
        yield station


def plain(station: Running) -> socket.socket:
    return socket.create_connection((ADDRESS, station.port), DEADLINE_S)


def secured(station: Running, connection: socket.socket | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection or plain(station))


def is_closed(connection: socket.socket) -> bool:
    """Whether the station closes it, without an answer, before the deadline."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def answer(connection: socket.socket) -> bytes:
    """All that comes until the end."""
    received = b""
    with contextlib.suppress(ssl.SSLEOFError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


# What is served


def test_requests_streams_and_web_sockets_are_served_to_those_who_trust_its_authority(
    secure: Running, trusting: ssl.SSLContext
) -> None:
    headers = {"Authorization": "Bearer right"}
    assert secure.url.startswith("https://")
    with httpx.Client(base_url=secure.url, headers=headers, verify=trusting, timeout=DEADLINE_S) as client:
        [result] = client.post("/v1/models/part/inspect", files={"image": good_png()}).json()["results"]
        assert result["inspection"]["verdict"] == "good"
        with client.stream("GET", "/v1/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "retry: 2000"
            client.post("/v1/models/part/inspect", files={"image": good_png()})
            assert next(line for line in lines if line.startswith("event:")) == "event: inspection"
    address = secure.url.replace("https", "wss")
    with connect(f"{address}/echo", ssl=trusting, additional_headers=headers, max_size=None) as socket:
        for size in (0, 1, 100_000, 5_000_000):
            socket.send(b"x" * size)
            assert socket.recv() == b"x" * size


def test_who_does_not_trust_its_authority_is_told_nothing(secure: Running) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{secure.url}/healthz")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_bodies_of_every_size_come_and_go_whole(secure: Running, version: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with httpx.Client(base_url=secure.url, verify=context, headers={"Authorization": "Bearer right"}) as client:
        for size in (1, 16_384, 16_385, 300_000, 3_000_000):
            found = client.put("/v1/models/other", content=b"x" * size)
            assert (found.status_code, found.json()["error"]) == (422, "ModelFormatError"), found.text
        content = client.get("/v1/models/part/versions/1/file").content
    assert content == PATCH.read_bytes()


def test_older_versions_of_tls_are_refused(secure: Running) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with plain(secure) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(connection)


def test_the_cookie_is_sent_over_https_alone(secure: Running) -> None:
    with httpx.Client(base_url=secure.url, verify=False, timeout=DEADLINE_S) as client:
        found = client.post("/v1/session", json={"token": "right"})
        name, *attributes = found.headers["set-cookie"].lower().split("; ")
        assert name.startswith(f"{SECURE_COOKIE.lower()}=")
        assert {"secure", "httponly", "samesite=strict", "path=/"} < set(attributes)
        assert not any(each.startswith("domain") for each in attributes)
        assert client.get("/v1/identity").json()["name"] == "x"
        assert "secure" in client.delete("/v1/session").headers["set-cookie"].lower().split("; ")
        assert client.get("/v1/identity").status_code == 401
        # One that was sent over HTTP, where anybody may have set it, is none.
        assert client.get("/v1/identity", headers={"Cookie": f"{COOKIE}=right"}).status_code == 401


def test_a_page_that_came_over_http_may_send_nothing(secure: Running) -> None:
    host = f"{ADDRESS}:{secure.port}"
    for scheme, status in (("https", 200), ("http", 403)):
        origin = {"Origin": f"{scheme}://{host}"}
        assert secure.client.post("/v1/session", json={"token": "right"}, headers=origin).status_code == status


def test_no_browser_is_told_to_ask_for_https_alone(secure: Running) -> None:
    """It would hold for all ports of this computer, and for a year."""
    assert "strict-transport-security" not in secure.client.get("/healthz").headers


# Bounds


def test_plain_http_is_told_so_and_anything_else_is_closed(hasty: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            with plain(hasty) as connection:
                connection.sendall(head("GET", "/healthz"))
                first, _, body = answer(connection).partition(b"\r\n\r\n")
            assert first.startswith(b"HTTP/1.1 400 ")
            assert json.loads(body)["detail"] == (
                "a request to this port must be one of HTTPS, got one of HTTP: begin the address with https://"
            )
        for garbage in (b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"SSH-2.0-x\r\n", b"\x80" * 5):
            with plain(hasty) as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(garbage)
                with contextlib.suppress(ConnectionError):
                    assert b"HTTP" not in answer(connection)
        with plain(hasty):  # gone at once
            pass
    assert caplog.records == []
    assert hasty.client.get("/healthz").status_code == 200


def test_what_is_no_tls_any_more_ends_the_connection_and_is_not_in_the_log(
    hasty: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n" * 10,
            b"\x17\x03\x03\x00\x20" + b"x" * 32,
            b"\x15\x03\x03\x00\x02\x02\x00",
        ):
            connection = secured(hasty)
            connection.sendall(head("GET", "/healthz"))
            with socket.socket(fileno=connection.detach()) as below:
                below.settimeout(DEADLINE_S)
                below.sendall(garbage)
                with contextlib.suppress(ConnectionResetError):
                    answer(below)
    assert caplog.records == []
    assert hasty.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("sent", [b"", b"\x16", "half"])
def test_a_handshake_that_is_not_finished_holds_no_place(hasty: Running, sent: bytes | str) -> None:
    """Nor can one that goes on slowly."""
    if isinstance(sent, str):
        outgoing = ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        sent = hello[: len(hello) // 2]
    with plain(hasty) as connection:
        connection.sendall(sent)
        assert is_closed(connection)
    assert hasty.client.get("/healthz").status_code == 200


def test_at_most_so_many_handshakes_are_under_way_and_others_are_served_after_them(hasty: Running) -> None:
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(plain(hasty)) for _ in range(2 * Hasty.most_connections)]
        assert all(map(is_closed, connections[Hasty.most_connections :]))
        assert all(map(is_closed, connections[: Hasty.most_connections]))
    assert hasty.client.get("/healthz").status_code == 200


def test_one_connection_too_many_is_told_so(hasty: Running) -> None:
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(secured(hasty)) for _ in range(Hasty.most_connections)]
        with secured(hasty) as one_more:
            received = answer(one_more)
        assert received.startswith(b"HTTP/1.1 503 ") and b"takes 8 connections at once" in received
        # Those that said nothing lose their places.
        statuses = [answer(each).split()[1] for each in held]
    # The client of the tests may have one.
    assert statuses[:-1] == [b"408"] * (len(held) - 1) and statuses[-1] in (b"408", b"503")


def test_a_head_that_never_ends_is_refused(hasty: Running) -> None:
    with secured(hasty) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert answer(connection).startswith(b"HTTP/1.1 408 ")


def test_who_sends_too_much_reads_why_before_the_connection_ends(hasty: Running) -> None:
    with secured(hasty) as connection:
        connection.sendall(head("POST", "/v1/models/part/inspect", Content_Length=50_000_000, Content_Type="image/png"))
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"x" * 100_000)
        received = answer(connection)
    assert received.startswith(b"HTTP/1.1 413 ") and b"max_body_bytes" in received


def test_an_answer_that_nobody_takes_is_let_go_of(hasty: Running) -> None:
    has_ended = threading.Event()

    @hasty.app.get("/endless")
    async def endless() -> StreamingResponse:
        async def content() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(100_000)
                    await asyncio.sleep(0)
            finally:
                has_ended.set()

        return StreamingResponse(content())

    with secured(hasty) as connection:
        connection.sendall(head("GET", "/endless"))
        assert has_ended.wait(DEADLINE_S)


@pytest.mark.parametrize("closes", [False, True])
def test_one_who_takes_the_answer_slowly_gets_all_of_it(hasty: Running, closes: bool) -> None:
    size, received = 24_000_000, 0
    hasty.app.add_api_route("/large", lambda: Response(bytes(size)))
    headers = {"Connection": "close"} if closes else {}
    with (
        httpx.Client(base_url=hasty.url, timeout=DEADLINE_S, verify=False, headers=headers) as client,
        client.stream("GET", "/large") as found,
    ):
        for block in found.iter_raw():
            received += len(block)
            if received % 1_000_000 < len(block):
                time.sleep(0.08)  # in all, longer than an answer may lie there untouched
    assert received == size


def test_it_stops_at_once_whoever_is_connected(tmp_path: Path, authority: Authority) -> None:
    with contextlib.ExitStack() as opened:
        with running(
            tmp_path, models={"part": PATCH}, certificate=Certificate(authority.certificate("127.0.0.3"))
        ) as station:
            opened.enter_context(plain(station))  # its handshake never ends
            idle = opened.enter_context(secured(station))
            idle.sendall(head("GET", "/healthz"))
            assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
            address = station.url.replace("https", "wss")
            opened.enter_context(connect(f"{address}/v1/live/browser?model=part", ssl=idle.context))
            begins = time.monotonic()
        taken_s = time.monotonic() - begins
        assert answer(idle).endswith(b"}")
    assert taken_s < 9  # less than requests that run are given


# Renewal


def test_connections_that_are_made_after_it_was_renewed_see_the_new_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    path = authority.certificate("127.0.0.4", ends_in_days=5)
    with running(tmp_path, certificate=Certificate(path, look_s=0.05)) as station:

        def shown() -> bytes | None:
            with secured(station) as connection:
                return connection.getpeercert(binary_form=True)

        before = shown()
        with secured(station) as goes_on:
            authority.certificate("127.0.0.4", ends_in_days=50)
            until(lambda: shown() != before)
            goes_on.sendall(head("GET", "/healthz"))
            assert goes_on.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert shown() not in (None, before)
        path.write_text("garbage")
        until(lambda: station.client.get("/v1/health").json()["problems"])
        assert "the one before goes on" in station.client.get("/v1/health").json()["problems"][0]
        assert shown() not in (None, before)
