import asyncio
import io
import logging
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.responses import Response, StreamingResponse
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from hostile import PNG_SIGNATURE, png_chunk, png_header
from onlygood.station.station_settings import Limits, StationSettings
from tests.station.server import Running, good_png, running, until
from tests.station.web.conftest import KNN, PATCH
from tests.station.web.raw import Socket, head

URL = "/v1/models/part/inspect"
BODY_SENTENCE = (
    "a request may have 100,000 bytes (max_body_bytes), and this one has {}: send less at a time, or raise the limit "
    "in the station's settings"
)
IMAGE_SENTENCE = "an image's file may have 40,000 bytes (max_image_bytes), and "


def still_answers(station: Running) -> bool:
    with httpx.Client(base_url=station.url) as client:
        return client.post(URL, files={"image": good_png()}).status_code == 200


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(narrow: Running) -> None:
    with Socket(narrow) as sock:
        sock.send(head("POST", URL, Content_Type="image/png", Content_Length=100_001))
        assert sock.problem() == (413, BODY_SENTENCE.format("100,001"))


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json", "Application/X+JSON; charset=utf-8"])
def test_json_has_a_bound_of_its_own_whatever_it_is_called(served: Running, kind: str) -> None:
    # Nobody needs a token for this route.
    answer = served.client.post("/v1/session", content=b'{"token": "' + bytes(2**21), headers={"Content-Type": kind})
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("a request in JSON may have 1,048,576 bytes")


def test_a_body_that_expects_to_be_asked_for_is_refused_before_it_comes(narrow: Running) -> None:
    with Socket(narrow) as sock:
        sock.send(head("POST", URL, Content_Type="image/png", Content_Length=10**12, Expect="100-continue"))
        assert sock.problem()[0] == 413


def test_a_body_that_does_not_say_how_large_it_is_is_refused_while_it_comes(narrow: Running) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield bytes(1000)

    answer = narrow.client.post(URL, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (413, 422)
    assert answer.headers["connection"] == "close"
    assert still_answers(narrow)


def test_a_streamed_body_is_counted(narrow: Running) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + bytes(39_000) + b"\r\n"
    with Socket(narrow) as sock:
        sock.send(head("POST", URL, Content_Type="multipart/form-data; boundary=x", Transfer_Encoding="chunked"))
        for _ in range(3):
            sock.send(b"%x\r\n" % len(part) + part + b"\r\n")
        assert sock.problem() == (413, BODY_SENTENCE.format("more"))


@pytest.mark.parametrize("kind", ["form", "raw"])
def test_an_image_of_too_many_bytes_is_refused(narrow: Running, kind: str) -> None:
    content = bytes(40_001)
    if kind == "form":
        answer = narrow.client.post(URL, files={"image": ("a.png", content)})
    else:
        answer = narrow.client.post(URL, content=content, headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["error"]) == (413, "ImageTooLargeError")
    assert answer.json()["detail"].startswith(IMAGE_SENTENCE)


def test_too_many_images_are_refused(narrow: Running) -> None:
    answer = narrow.client.post(URL, files=[("image", (f"{number}.png", good_png())) for number in range(4)])
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "a request may hold 3 images (max_images), and this one holds more: send fewer at a time, or raise the limit "
        "in the station's settings",
    )


def test_long_headers_of_a_part_are_refused(narrow: Running) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="' + b"a" * 10_000 + b'"\r\n\r\nabc\r\n--x--'
    answer = narrow.client.post(URL, content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (413, 422)


def test_too_many_pixels_are_refused_by_the_reader(narrow: Running) -> None:
    bomb = PNG_SIGNATURE + png_header(60_000, 60_000, 8, 2) + png_chunk(b"IDAT", b"x") + png_chunk(b"IEND", b"")
    answer = narrow.client.post(URL, files={"image": ("bomb.png", bomb)})
    assert (answer.status_code, answer.json()["error"]) == (413, "ImageTooLargeError")
    assert "3,600,000,000 pixels, and at most 50,000 are read" in answer.json()["detail"]


def test_a_real_bomb_of_few_bytes_is_refused_by_the_reader(narrow: Running) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((2000, 2000), np.uint8)).save(buffer, format="PNG")
    answer = narrow.client.post(URL, files={"image": ("bomb.png", buffer.getvalue())})
    assert (answer.status_code, answer.json()["error"]) == (413, "ImageTooLargeError")


def test_a_model_file_of_too_many_bytes_is_refused(narrow: Running) -> None:
    answer = narrow.client.put("/v1/models/large", content=bytes(60_001))
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("a model file may have 60,000 bytes (max_model_bytes), and this one has")
    assert narrow.client.put("/v1/models/small", content=KNN.read_bytes()).status_code == 201


def test_json_is_bounded_more_narrowly(served: Running) -> None:
    answer = served.client.post(
        "/v1/jobs/update", content=b'"' + b"a" * (1 << 20) + b'"', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("a request in JSON may have 1,048,576 bytes, and this one has 1,048,578")


def test_a_body_that_does_not_arrive_in_time_is_refused(narrow: Running) -> None:
    with Socket(narrow) as sock:
        sock.send(head("POST", URL, Content_Type="image/png", Content_Length=100) + b"abc")
        assert sock.problem() == (
            408,
            "a request must arrive whole within 0.5 seconds, body_timeout_s, and this one has not (3 bytes came): send "
            "less at a time, or raise body_timeout_s",
        )


def test_a_body_that_comes_byte_by_byte_has_the_same_time(narrow: Running) -> None:
    gone = Event()
    with Socket(narrow) as sock, ThreadPoolExecutor(1) as pool:
        sock.send(head("POST", URL, Content_Type="image/png", Content_Length=100_000))

        def drip() -> None:
            while not gone.wait(0.02):
                try:
                    sock.send(b"x")
                except OSError:
                    return

        dripping = pool.submit(drip)
        assert sock.problem()[0] == 408
        gone.set()
        dripping.result()


def test_a_client_that_goes_away_with_half_a_body_is_forgotten(narrow: Running) -> None:
    for _ in range(20):
        with Socket(narrow) as sock:
            sock.send(head("POST", URL, Content_Type="image/png", Content_Length=1000) + b"abc")
    assert still_answers(narrow)


# The queue


def test_a_full_queue_refuses_at_once_and_says_when_to_ask_again(narrow: Running) -> None:
    goes_on = Event()
    running = [narrow.station.pool.submit(goes_on.wait)]
    until(lambda: narrow.station.pool.queued == 0)
    running += [narrow.station.pool.submit(goes_on.wait) for _ in range(2)]
    try:
        answer = narrow.client.post(URL, files={"image": good_png()})
        assert (answer.status_code, answer.json()) == (
            503,
            {
                "detail": "at most 2 images may wait to be inspected, and as many do: send this one again later",
                "error": "BusyError",
            },
        )
        assert int(answer.headers["retry-after"]) >= 1
        several = narrow.client.post(URL, files=[("image", good_png()), ("image", good_png())])
        assert several.status_code == 503
        assert narrow.client.get("/healthz").status_code == 200
    finally:
        goes_on.set()
        for each in running:
            each.result()
    assert still_answers(narrow)


def test_several_images_of_one_request_wait_for_one_another(narrow: Running) -> None:
    """More than the queue holds: the first finds room, the others come after it."""
    answer = narrow.client.post(URL, files=[("image", (f"{each}", good_png(each))) for each in range(3)])
    assert [each["problem"] for each in answer.json()["results"]] == [None, None, None]


# Connections


def test_a_head_that_does_not_arrive_in_time_is_refused(narrow: Running) -> None:
    sentence = "the head of a request must arrive whole within 0.3 seconds, and this one has not: send it at once"
    with Socket(narrow) as sock:
        assert sock.problem() == (408, sentence)
    with Socket(narrow) as sock:
        sock.send(b"GET / HTTP/1.1\r\nHost: loc")
        assert sock.problem() == (408, sentence)


def test_a_head_that_comes_byte_by_byte_has_the_same_time(narrow: Running) -> None:
    started = time.monotonic()
    with Socket(narrow) as sock, pytest.raises(OSError):
        while time.monotonic() < started + 20:
            sock.send(b"G")
            time.sleep(0.02)
    assert still_answers(narrow)


def test_a_second_request_on_a_connection_has_the_same_time(narrow: Running) -> None:
    with Socket(narrow) as sock:
        sock.send(head("GET", "/healthz") + b"GET /healthz HT")
        status, _, body = sock.answer()
        assert status == 200
        assert b"408 Request Timeout" in body


@pytest.mark.parametrize("whole", [True, False])
def test_a_head_of_too_many_bytes_is_refused(narrow: Running, whole: bool) -> None:
    with Socket(narrow) as sock:
        sock.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        sock.send(b"X: " + b"y" * 5000)
        if whole:
            sock.send(b"\r\n\r\n")
        assert sock.problem() == (
            431,
            "the head of a request may have 4,096 bytes, and this one has more: send fewer or shorter headers",
        )


def test_too_many_connections_are_refused(narrow: Running) -> None:
    opened = [Socket(narrow) for _ in range(8)]
    try:
        with Socket(narrow) as sock:
            status, sentence = sock.problem()
            assert status == 503
            assert sentence.startswith("a station takes 8 connections at once, and has as many")
    finally:
        for each in opened:
            each.__exit__()
    until(lambda: _answers(narrow))


def _answers(station: Running) -> bool:
    with httpx.Client(base_url=station.url) as client:
        try:
            return client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA\x00B: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n A: folded\r\n\r\n",
        # Two readers of one of these could see two different requests in it.
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5x\r\n\r\nabcde",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\nabcde",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(
    narrow: Running, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Socket(narrow) as sock:
        sock.send(request_bytes)
        status, sentence = sock.problem()
        assert status == 400
        assert sentence == "a request must be valid HTTP/1.1, and this one is not: let an HTTP library write it"
    # In the log of accesses alone, which few read: anybody can send as much of it as they like.
    said = {each.getMessage(): each.name for each in caplog.records}
    assert said[f"127.0.0.1: 400, {sentence}"] == "onlygood.station.access"
    assert "Invalid HTTP request received." not in said


def test_a_chunk_of_a_body_that_is_none_is_refused(narrow: Running) -> None:
    with Socket(narrow) as sock:
        sock.send(head("POST", URL, Content_Type="image/png", Transfer_Encoding="chunked") + b"xyz\r\nabc\r\n")
        status, _, _ = sock.answer()
        assert status == 400


def test_after_a_refusal_nothing_more_of_a_connection_is_read(narrow: Running) -> None:
    """What follows a refused body could be taken for a request of its own."""
    before = len(narrow.client.get("/v1/models").json())
    hidden = head("PUT", "/v1/models/smuggled", Content_Length=PATCH.stat().st_size) + PATCH.read_bytes()
    with Socket(narrow) as sock:
        sock.send(head("POST", "/v1/nothing", Content_Type="image/png", Content_Length=100_000) + hidden)
        assert sock.problem()[0] in (404, 405)
    assert len(narrow.client.get("/v1/models").json()) == before


def test_the_bodies_of_one_moment_are_bounded_together(tmp_path: Path) -> None:
    """Eight of the largest, and one model file, which here has none to speak of."""
    limits = Limits(max_body_bytes=100_000, max_image_bytes=100_000, max_model_bytes=1024)
    with running(tmp_path, StationSettings(limits=limits), models={}) as station, ExitStack() as opened:
        socks = [opened.enter_context(Socket(station)) for _ in range(9)]
        for sock in socks:
            sock.send(head("POST", URL, Content_Type="image/png", Content_Length=100_000) + bytes(95_000))
        [answered] = until(lambda: [each for each in socks if each.is_answered()])
        refused, sentence = answered.problem()
        assert refused == 503
        assert sentence.startswith("the requests that arrive at one moment may have 801,024 bytes together")
        for sock in socks:
            sock.__exit__()
        until(lambda: station.client.get("/healthz").status_code == 200)
        answer = station.client.post(URL, content=bytes(95_000), headers={"Content-Type": "image/png"})
        assert answer.status_code == 404


def test_one_who_does_not_take_the_answer_loses_the_connection(narrow: Running) -> None:
    has_ended = Event()

    @narrow.app.get("/endless")
    async def endless() -> StreamingResponse:
        async def blocks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(100_000)
                    await asyncio.sleep(0)
            finally:
                has_ended.set()

        return StreamingResponse(blocks())

    with Socket(narrow) as sock:
        sock.send(head("GET", "/endless"))
        assert has_ended.wait(20)
    assert still_answers(narrow)


def test_one_who_takes_the_answer_slowly_gets_all_of_it(narrow: Running) -> None:
    size = 24_000_000
    narrow.app.add_api_route("/large", lambda: Response(bytes(size)))
    received = 0
    with httpx.Client(base_url=narrow.url, timeout=20) as client, client.stream("GET", "/large") as answer:
        for block in answer.iter_raw():
            received += len(block)
            if received % 1_000_000 < len(block):
                time.sleep(0.08)  # in all, longer than an answer may lie there untouched
    assert received == size


def test_a_message_of_a_web_socket_is_bounded_as_an_image_is(narrow: Running) -> None:
    url = f"ws://127.0.0.1:{narrow.port}/v1/live/browser?model=part"
    with connect(url, max_size=None) as client, pytest.raises(ConnectionClosedError) as closed:
        client.send(bytes(2_000_000))
        while True:
            client.recv(timeout=20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    assert still_answers(narrow)
