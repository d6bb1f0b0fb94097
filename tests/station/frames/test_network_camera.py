"""Cameras in the network, by RTSP from a server of the tests: they come, go, refuse and fall silent."""

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from onlygood.errors import SettingError, SourceError
from onlygood.station.frames import Capture, Frame, rtsp
from onlygood.station.frames.backoff import Backoff
from onlygood.station.frames.opencv import VideoReader
from onlygood.station.frames.rtsp import RtspFrames
from onlygood.station.frames.rtsp_probe import why_not_opened
from onlygood.station.schemas import SourceState, SourceStatus
from onlygood.station.station_settings import RtspSource
from rtsp_server import Clip, RtspServer, h264_clip_of, jpeg_clip, number_of, numbered_image
from scripted import DEADLINE_S, wait_until

CLIP = jpeg_clip([numbered_image(number) for number in range(100)])
# 50 numbered images, encoded once by x264: no B-frames, a key frame each second
H264 = h264_clip_of(Path(__file__).with_name("numbered.h264").read_bytes(), 25)
# A generous limit for what must come, and a short one for what must not.
LONG_S, SHORT_S = 20.0, 0.5
Serve = Callable[..., RtspServer]
Open = Callable[..., RtspFrames]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def serve_one(clip: Clip = CLIP, **options: Any) -> RtspServer:
        # faster than cameras are: FFmpeg waits for some frames before it is open
        servers.append(RtspServer(clip, **{"frames_per_s": 100.0, **options}).start())
        return servers[-1]

    yield serve_one
    for server in servers:
        server.stop()


@pytest.fixture
def source() -> Iterator[Open]:
    made = []

    def make(url: str, open_s: float = LONG_S, silence_s: float = LONG_S, **more: Any) -> RtspFrames:
        settings = RtspSource(name="gate", url=url, **more)
        made.append(RtspFrames(settings, open_timeout_s=open_s, silence_timeout_s=silence_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


def read(frames: RtspFrames) -> Frame:
    frame = frames.read(LONG_S)
    assert frame is not None
    return frame


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_in_their_order(serve: Serve, source: Open, transport: str) -> None:
    server = serve()
    frames = source(server.url(), transport=transport)
    frames.open()
    got = [read(frames) for _ in range(5)]
    assert server.transports[0] == transport
    assert [frame.number for frame in got] == [1, 2, 3, 4, 5]
    numbers = [number_of(frame.pixels) for frame in got if frame.pixels is not None]
    assert numbers == [(numbers[0] + step) % 100 for step in range(5)]
    first = got[0]
    assert first.pixels is not None and first.pixels.shape == (240, 320, 3)
    assert np.abs(first.pixels[-1, -1].astype(int) - (200, 90 + numbers[0] % 32, 30)).max() < 6
    assert first.name == "gate-000001"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_is_asked_for_its_whole_address(serve: Serve, source: Open, transport: str) -> None:
    server = serve()
    frames = source(server.url(path="/live?channel=2&subtype=0"), transport=transport)
    frames.open()
    assert read(frames).number == 1
    assert server.transports[0] == transport
    assert [url.partition("/live")[2] for url in server.described] == ["?channel=2&subtype=0"]


def test_a_camera_at_this_computer_does_not_wait_for_one_that_does_not_answer(serve: Serve) -> None:
    silent = serve()
    silent.stop_answering()
    thread = threading.Thread(target=lambda: VideoReader().open(silent.url(), "ffmpeg", open_timeout_s=SHORT_S * 10))
    thread.start()
    wait_until(lambda: len(silent.methods) > 0, "it is asked")
    assert not VideoReader().open("/dev/no-such-camera", "camera")
    assert thread.is_alive()
    thread.join(DEADLINE_S)


def test_frames_of_h264_come_in_their_order(serve: Serve, source: Open) -> None:
    server = serve(H264)
    frames = source(server.url())
    frames.open()
    got = [read(frames) for _ in range(5)]
    numbers = [number_of(frame.pixels) for frame in got if frame.pixels is not None]
    assert numbers == [(numbers[0] + step) % 50 for step in range(5)]
    assert len(H264.frames) == 50
    first = got[0]
    assert first.pixels is not None
    assert np.abs(first.pixels[-1, -1].astype(int) - (200, 90 + numbers[0] % 32, 30)).max() < 12


def test_a_user_and_a_password_that_needs_quoting(serve: Serve, source: Open) -> None:
    server = serve(username="line", password="p@ss:w/rd")
    frames = source(server.url("line:p%40ss%3Aw%2Frd"))
    frames.open()
    assert read(frames).number == 1


@pytest.mark.parametrize(
    ("user", "path", "expected"),
    [
        (
            "line:guess-4711",
            "/live",
            "refuses this user and password: write them into the address as rtsp://user:password",
        ),
        ("", "/live", "asks for a user and a password: write them into the address as rtsp://user:password@host"),
        ("line:secret", "/other", "has no stream at this path: look the path up in the camera's manual"),
    ],
)
def test_a_camera_that_refuses(
    serve: Serve, source: Open, capfd: pytest.CaptureFixture[str], user: str, path: str, expected: str
) -> None:
    server = serve(username="line", password="secret")
    with pytest.raises(SourceError) as error:
        source(server.url(user, path)).open()
    where = f"rtsp://127.0.0.1:{server.port}"
    assert str(error.value).startswith(f"the camera of the source gate cannot be opened: {where} {expected}")
    assert "guess-4711" not in str(error.value) and "secret" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_camera_that_is_not_there(source: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceError) as error:
        source(f"rtsp://line:secret@127.0.0.1:{port}/live?password=secret").open()
    assert str(error.value) == (
        f"the camera of the source gate cannot be opened: nothing listens at rtsp://127.0.0.1:{port}: check the port, "
        "and whether the camera offers RTSP"
    )
    with pytest.raises(SourceError, match=r": no-such-host\.invalid has no address in this network: check its name$"):
        source("rtsp://no-such-host.invalid/live").open()


def test_a_camera_that_does_not_answer(serve: Serve, source: Open) -> None:
    server = serve()
    server.stop_answering()
    with pytest.raises(SourceError, match=r"accepts connections and does not answer: switch the camera off and on$"):
        source(server.url(), open_s=SHORT_S).open()


def test_a_stream_without_images(serve: Serve, source: Open) -> None:
    server = serve()
    server.fall_silent()
    with pytest.raises(SourceError, match=r"offers a stream that gives no images: choose H\.264, H\.265 or MJPEG"):
        source(server.url(), open_s=SHORT_S, silence_s=SHORT_S).open()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ends the connection: check that it offers RTSP"),
        (b"", "ends the connection: check that it offers RTSP, and how many may watch it at once"),
        (b"RTSP/1.0 503 Service Unavailable\r\n\r\n", "answers with the status 503: look it up in the camera's manual"),
    ],
)
def test_what_else_may_listen_there(answer: bytes, expected: str) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=serve_one)
        thread.start()
        port = listener.getsockname()[1]
        said = why_not_opened(urlsplit(f"rtsp://127.0.0.1:{port}/live"), LONG_S)
        thread.join()
    assert said.startswith(f"rtsp://127.0.0.1:{port} {expected}")


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("http://camera/live", "one that begins with http"),
        ("camera/live", "one without rtsp://"),
        ("rtsp:///live", "one that begins with rtsp"),
        ("rtsp://line:secret@camera:99999/live", "one that cannot be taken apart"),
        ("rtsp://line:secret@[::1/live", "one that cannot be taken apart"),
    ],
)
def test_what_is_no_address(url: str, got: str) -> None:
    with pytest.raises(SettingError) as error:
        RtspFrames(RtspSource(name="gate", url=url))
    remedy = "write it as rtsp://user:password@host:port/path, with %40 for an @ in the password"
    assert str(error.value) == f"the address of the source gate must be one of RTSP, got {got}: {remedy}"


def test_a_stream_that_is_cut_or_silent_is_lost(serve: Serve, source: Open) -> None:
    server = serve()
    frames = source(server.url(), silence_s=SHORT_S)
    frames.open()
    server.cut()
    lost = (
        r"^the stream of the source gate from rtsp://127\.0\.0\.1:\d+ ended, or sent no image for 0\.5 s: it is opened"
    )
    with pytest.raises(SourceError, match=lost):
        wait_until(lambda: frames.read(0.0) is None, "it is lost")
    frames.close()
    frames.open()
    assert read(frames).number == 1
    server.fall_silent()
    with pytest.raises(SourceError, match=lost):
        wait_until(lambda: frames.read(0.0) is None, "it is lost")


def test_a_stream_that_one_thread_cannot_follow_is_decoded_on_several(
    serve: Serve, source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(H264)
    frames = source(server.url())
    opened_with: list[int] = []
    really_open = VideoReader.open

    def open_and_remember(self: VideoReader, *arguments: Any, **options: Any) -> bool:
        opened_with.append(options["threads"])
        return really_open(self, *arguments, **options)

    monkeypatch.setattr(VideoReader, "open", open_and_remember)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(rtsp, "_WATCHED_S", 0.0)
    monkeypatch.setattr(rtsp.time, "thread_time", lambda: 0.0)  # it only waits
    frames.open()
    assert [read(frames).number for _ in range(3)] == [1, 2, 3]
    monkeypatch.setattr(rtsp.time, "thread_time", time.monotonic)  # it works all the time
    with pytest.raises(SourceError, match=r"comes faster than one thread decodes it: it is opened again with 4, which"):
        wait_until(lambda: frames.read(0.0) is None, "it is too slow")
    frames.close()
    frames.open()
    assert [read(frames).number for _ in range(3)] == [1, 2, 3]
    assert opened_with == [1, 4]


def test_a_capture_finds_the_camera_again(
    serve: Serve, source: Open, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(username="line", password="secret-4711")
    frames = source(server.url("line:secret-4711"), silence_s=1.0, open_s=2.0)
    told: queue.Queue[SourceStatus] = queue.Queue()
    settings = RtspSource(name="gate", url=server.url())
    with Capture(frames, settings, on_status=told.put, backoff=Backoff(0.01, 0.02)) as capture:
        assert capture.next(DEADLINE_S) is not None
        server.stop()
        wait_until(lambda: "nothing listens" in (capture.status.problem or ""), "it says that the camera is gone")
        assert capture.status.state is SourceState.LOST
        server.start()
        wait_until(lambda: capture.status.state is SourceState.RUNNING, "it is back")
        capture.next(0.0)  # perhaps one of before
        assert capture.next(DEADLINE_S) is not None
        status = capture.status
    assert status.reconnects == 1 and status.problem is None
    problems = " ".join(each.problem or "" for each in told.queue)
    assert "4711" not in caplog.text + problems + "".join(capfd.readouterr()) + repr(settings)
