import logging
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.websockets import WebSocket

from onlygood.errors import StationError
from onlygood.station.web.app import make_app
from onlygood.station.web.routes.events import HEARTBEAT_S
from onlygood.station.web.server import WebServer, listen
from tests.station.server import Running, running, until
from tests.station.web.conftest import PATCH


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StationError) as refused:
            WebServer(FastAPI(), port=port)
    assert str(refused.value) == (
        f"port {port} on 127.0.0.1 is taken by another program: end that, or choose another one with --port"
    )


@pytest.mark.parametrize("host", ["203.0.113.5", "no such name", "a" * 300, "x\x00y", "\u2028"])
def test_an_address_of_another_computer_is_said_in_a_sentence(host: str) -> None:
    with pytest.raises(StationError, match=r"^the address to listen on must be one of this computer, got ") as refused:
        listen(host, 0)
    assert str(refused.value).isprintable()


def test_a_port_is_free_again_after_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as station:
        station.client.get("/healthz")
        port = station.port
    listen("127.0.0.1", port).close()


def test_a_request_that_runs_is_finished_and_a_stream_ended_when_it_stops(tmp_path: Path) -> None:
    has_begun, goes_on = threading.Event(), threading.Event()
    with running(tmp_path, models={"part": PATCH}) as station:

        @station.app.get("/slow")
        def slow() -> str:
            has_begun.set()
            goes_on.wait()
            return "finished"

        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{station.url}/slow", timeout=30).text))
        asking.start()
        lines: list[str] = []

        def follow() -> None:
            with httpx.stream("GET", f"{station.url}/v1/events", timeout=30) as answer:
                lines.extend(answer.iter_lines())

        following = threading.Thread(target=follow)
        following.start()
        until(lambda: station.app.state.streams.open == 1 and has_begun.is_set())
        threading.Timer(0.1, goes_on.set).start()
    for thread in (asking, following):
        thread.join()
    assert answers == ['"finished"']
    assert lines[0] == "retry: 2000"
    assert HEARTBEAT_S > 10  # the stream was ended, it did not run out of patience


def test_where_a_person_opens_it(tmp_path: Path) -> None:
    for host, shown in (("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("::1", "localhost")):
        try:
            server = WebServer(FastAPI(), host=host, port=0)
        except StationError:
            assert host == "::1"  # a computer without IPv6
            continue
        assert server.url == f"http://{shown}:{server.port}"
        server._socket.close()


def test_a_web_socket_is_served(tmp_path: Path) -> None:
    from websockets.sync.client import connect

    with running(tmp_path) as station:

        @station.app.websocket("/echo")
        async def echo(socket: WebSocket) -> None:
            await socket.accept()
            await socket.send_bytes(await socket.receive_bytes())
            await socket.close()

        with connect(f"ws://127.0.0.1:{station.port}/echo") as client:
            client.send(b"x" * 100_000)
            assert client.recv() == b"x" * 100_000


def test_a_signal_ends_the_server_and_not_the_process(tmp_path: Path) -> None:
    """What comes after it, such as closing the database, is still done."""
    program = (
        "import os, signal, threading\n"
        "from fastapi import FastAPI\n"
        "from onlygood.station.web.server import WebServer\n"
        "server = WebServer(FastAPI(), port=0)\n"
        "def end():\n"
        "    server._server.has_started.wait()\n"
        f"    os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
        "threading.Thread(target=end).start()\n"
        "server.run()\n"
        "print('closed')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "closed\n")


def test_what_nobody_expected_reveals_nothing_and_is_in_the_log(
    served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    @served.app.get("/fails")
    def fails() -> None:
        raise RuntimeError("a secret")

    with caplog.at_level(logging.ERROR, "onlygood.station"):
        answer = served.client.get("/fails")
    assert (answer.status_code, answer.json()) == (
        500,
        {"detail": "the station met an error that it does not know: its log has the details", "error": ""},
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    [record] = [each for each in caplog.records if each.name == "onlygood.station"]
    assert record.getMessage() == "GET /fails failed"
    assert record.exc_info is not None and "a secret" in str(record.exc_info[1])


def test_a_path_cannot_write_a_line_of_its_own_into_the_log(served: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onlygood.station.access"):
        served.client.get("/x%0aINFO%20all%20is%20well%1b%5b31m")
        [line] = until(lambda: [each.getMessage() for each in caplog.records if "GET /x" in each.getMessage()])
    assert line.isprintable()
    assert "GET /x\\nINFO all is well\\x1b[31m: 404 in " in line


def test_one_app_can_be_made_after_another_of_the_same_station(served: Running) -> None:
    """Metrics are of an app, not of the process."""
    assert make_app(served.station).state.metrics.registry is not served.app.state.metrics.registry
