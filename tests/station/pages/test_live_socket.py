"""Live images over WebSockets, as a program sees them."""

from __future__ import annotations

import gc
import io
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import current_thread
from typing import Any

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import onlygood
from onlygood.errors import NotFoundError
from onlygood.heatmap import scale_positions
from onlygood.station.live_feed import LiveFrame
from onlygood.station.serving.models import Served, ServedModels
from onlygood.station.station_settings import FolderSource, StationSettings, Token
from onlygood.station.web.live import KEPT_FRAMES
from onlygood.station.web.live_messages import MAP_SIDE, frame_message, unpack
from onlygood.station.web.tokens import new_token
from onlygood.thumbnails import shrink_map
from tests.station.pages.conftest import PATCH
from tests.station.server import Running, bad_png, good_png, running, until
from textures import texture, twelve_bit


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("live")
    (root / "incoming").mkdir()
    (root / "data").mkdir()
    source = FolderSource(name="line-1", path=str(root / "incoming"), model="part", starts=False)
    with running(root / "data", StationSettings(sources=(source,)), models={"part": PATCH}) as station:
        yield station


def open_socket(station: Running, path: str, **settings: Any) -> Any:
    return connect(f"ws://127.0.0.1:{station.port}{path}", max_size=None, **settings)


def frame(station: Running, sequence: int, content: bytes) -> LiveFrame:
    served = station.station.models.get("part")
    inspection, pixels = served.inspector.inspect(content, "a.png", None)
    height, width = pixels.shape[:2]
    return LiveFrame(
        sequence=sequence,
        at=datetime.now(UTC),
        name=f"{sequence}.png",
        content=content,
        suffix=".png",
        width=width,
        height=height,
        model="part",
        version=served.version,
        inspection=inspection,
    )


def test_an_image_of_a_browser_is_answered_with_verdict_and_map(watched: Running) -> None:
    inspector = onlygood.Inspector(PATCH)
    with open_socket(watched, "/v1/live/browser?model=part&m=1&n=2") as socket:
        for number, content in enumerate((good_png(0), bad_png()), 1):
            socket.send(content)
            header, image, map_bytes = unpack(socket.recv(timeout=20))
            expected = inspector(content)
            assert image == b""
            assert header["seq"] == number
            assert header["id"] is None
            assert header["score"] == pytest.approx(expected.score, abs=1e-4)
            assert header["verdict"] == ("anomalous" if expected.is_anomaly else "good")
            assert (header["width"], header["height"]) == (96, 96)
            assert expected.anomaly_map is not None
            shrunk = shrink_map(expected.anomaly_map, long_side=MAP_SIDE)
            positions = np.frombuffer(map_bytes, np.uint8).reshape(header["map"]["h"], header["map"]["w"])
            assert np.abs(positions.astype(int) - scale_positions(shrunk, inspector.map_levels)).max() <= 1
    assert header["is_alarmed"] and (header["anomalous"], header["of"]) == (1, 2)
    assert header["average"] == pytest.approx((inspector(good_png(0)).score + inspector(bad_png()).score) / 2, abs=1e-4)


def test_an_image_is_remembered_when_that_is_asked_for_and_only_that_one(watched: Running) -> None:
    before = watched.station.store.inspections.count()
    with open_socket(watched, "/v1/live/browser?model=part") as socket:
        socket.send(good_png(1))
        socket.recv(timeout=20)
        socket.send(json.dumps({"record": True, "name": "from a person"}))
        socket.send(good_png(2))
        header, _, _ = unpack(socket.recv(timeout=20))
        socket.send(good_png(3))
        assert unpack(socket.recv(timeout=20))[0]["id"] is None
    record = watched.station.inspection(header["id"])
    assert (record.name, record.source) == ("from a person", "page")
    assert watched.station.store.inspections.image(record.id) == (good_png(2), ".png")
    assert watched.station.store.inspections.count() == before + 1


def test_what_is_no_image_is_said_and_the_next_image_is_inspected(watched: Running) -> None:
    with open_socket(watched, "/v1/live/browser?model=part") as socket:
        socket.send(b"no image at all")
        header, _, map_bytes = unpack(socket.recv(timeout=20))
        assert "verdict" not in header
        assert map_bytes == b""
        assert "is a text file, which is not read" in header["problem"]
        socket.send(good_png(0))
        assert unpack(socket.recv(timeout=20))[0]["verdict"] == "good"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/live/browser?model=prat", 404, "a model must be one that is served, got 'prat'"),
        ("/v1/live/line-2", 404, "'line-2'"),
        ("/v1/live/browser?model=part&m=3&n=2", 422, "an alarm must be at m of n images"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(watched: Running, path: str, status: int, said: str) -> None:
    with open_socket(watched, path) as socket:
        refusal = json.loads(socket.recv(timeout=20))
        assert refusal["status"] == status
        assert said in refusal["problem"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4000 + status


def test_a_model_that_is_not_loaded_is_not_waited_for_on_the_event_loop(
    watched: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def get(_: ServedModels, name: str) -> Served:
        threads.append(current_thread().name)
        raise NotFoundError(f"there is no model {name}")

    monkeypatch.setattr(ServedModels, "get", get)
    with open_socket(watched, "/v1/live/browser?model=unloaded") as socket:
        assert json.loads(socket.recv(timeout=20)) == {"problem": "there is no model unloaded", "status": 404}
    (thread,) = threads
    assert thread != "web"  # on which all requests are answered


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"ack": "one"}', '{"ack": 1.5}', "[" * 200_000], ids=range(5))
def test_a_text_that_is_none_of_the_protocol_is_refused(watched: Running, text: str) -> None:
    with open_socket(watched, "/v1/live/line-1") as socket:
        socket.send(text)
        assert "a text must be a JSON object" in json.loads(socket.recv(timeout=20))["problem"]


def test_a_receiver_that_acknowledges_nothing_gets_two_frames_and_then_the_newest(watched: Running) -> None:
    feed = watched.station.line("line-1").feed
    with open_socket(watched, "/v1/live/line-1") as socket:
        feed.publish(frame(watched, 1, good_png(0)))
        header, image, _ = unpack(socket.recv(timeout=20))
        assert (header["seq"], header["verdict"], image) == (1, "good", good_png(0))
        feed.publish(frame(watched, 2, good_png(1)))
        assert unpack(socket.recv(timeout=20))[0]["seq"] == 2
        for sequence in range(3, 10):
            feed.publish(frame(watched, sequence, good_png(2)))
        socket.send(json.dumps({"ack": 2}))
        header, _, _ = unpack(socket.recv(timeout=20))
        assert header["seq"] == 9
        assert header["skipped"] == 6


def test_images_that_browsers_show_black_or_not_at_all_are_drawn_for_them(watched: Running) -> None:
    def shown(content: bytes, suffix: str) -> tuple[str, np.ndarray]:
        seen = replace(frame(watched, 1, good_png(0)), content=content, suffix=suffix, inspection=None, version=None)
        header, image, _ = unpack(frame_message(seen, skipped=0))
        return header["image"]["type"], np.asarray(Image.open(io.BytesIO(image)).convert("L"))

    def written(pixels: np.ndarray, kind: str) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format=kind)
        return buffer.getvalue()

    grey = texture(3)
    twelve = twelve_bit(3)
    assert shown(written(grey, "PNG"), ".png") == ("image/png", pytest.approx(grey))
    for content, suffix in ((written(twelve, "PNG"), ".png"), (written(grey, "TIFF"), ".tif")):
        media_type, seen = shown(content, suffix)
        assert media_type == "image/jpeg"
        # As bright as an image for eyes, whatever the depth of the camera.
        assert seen.max() > 200
        assert (
            np.corrcoef(np.asarray(Image.fromarray(seen).resize(grey.shape[::-1])).ravel(), grey.ravel())[0, 1] > 0.95
        )


def test_a_frame_that_was_shown_is_remembered_while_it_is_kept(watched: Running) -> None:
    feed = watched.station.line("line-1").feed
    with open_socket(watched, "/v1/live/line-1") as socket:
        seen = []
        for sequence in range(100, 100 + KEPT_FRAMES + 2):
            feed.publish(frame(watched, sequence, bad_png(sequence)))
            while True:  # the newest frame of before may come first
                got = unpack(socket.recv(timeout=20))[0]["seq"]
                socket.send(json.dumps({"ack": got}))
                if got == sequence:
                    break
            seen.append(sequence)
        socket.send(json.dumps({"record": seen[-1]}))
        answer = json.loads(socket.recv(timeout=20))
        assert answer["recorded"] == seen[-1]
        assert watched.station.store.inspections.image(answer["id"]) == (bad_png(seen[-1]), ".png")
        socket.send(json.dumps({"record": 100}))
        assert "frame 100 is no longer kept" in json.loads(socket.recv(timeout=20))["problem"]


def test_maps_of_frames_that_were_shown_do_not_stay_in_memory(watched: Running) -> None:
    feed = watched.station.line("line-1").feed
    with open_socket(watched, "/v1/live/line-1") as socket:
        seen = frame(watched, 1, good_png(0))
        assert seen.inspection is not None and seen.inspection.anomaly_map is not None
        first_map = weakref.ref(seen.inspection.anomaly_map)
        for each in (seen, frame(watched, 2, good_png(1))):
            feed.publish(each)
            while True:  # the newest frame of before may come first
                got = unpack(socket.recv(timeout=20))[0]["seq"]
                socket.send(json.dumps({"ack": got}))
                if got == each.sequence:
                    break
        del seen, each
        until(lambda: gc.collect() >= 0 and first_map() is None)


def test_pages_of_other_sites_and_those_without_a_token_see_nothing(tmp_path: Path) -> None:
    secret, sha256 = new_token()
    (tmp_path / "data").mkdir()
    settings = StationSettings(tokens=(Token(name="eye", sha256=sha256, right="inspect"),))
    with running(tmp_path / "data", settings, models={"part": PATCH}) as station:
        for headers in ({}, {"Cookie": f"onlygood_token={secret}", "Origin": "https://elsewhere.example"}):
            with (
                pytest.raises(InvalidStatus),
                open_socket(station, "/v1/live/browser?model=part", additional_headers=headers),
            ):
                pass
        own = {"Cookie": f"onlygood_token={secret}", "Origin": station.url}
        with open_socket(station, "/v1/live/browser?model=part", additional_headers=own) as socket:
            socket.send(good_png(0))
            assert unpack(socket.recv(timeout=20))[0]["verdict"] == "good"


@pytest.mark.parametrize("path", ["/v1/live/browser?model=part", "/v1/live/line-1"])
def test_who_loses_the_token_sees_no_further_image(tmp_path: Path, path: str) -> None:
    secret, sha256 = new_token()
    (tmp_path / "incoming").mkdir()
    source = FolderSource(name="line-1", path=str(tmp_path / "incoming"), model="part", starts=False)
    token, other = (
        Token(name=name, sha256=sha256_of, right="manage")
        for name, sha256_of in (("eye", sha256), ("other", new_token()[1]))
    )
    settings = StationSettings(sources=(source,), tokens=(token, other))
    with running(tmp_path / "data", settings, models={"part": PATCH}) as station:

        def next_image() -> None:
            if "browser" in path:
                socket.send(good_png(0))
            else:
                station.station.line("line-1").feed.publish(frame(station, 1, good_png(0)))

        with open_socket(station, path, additional_headers={"Cookie": f"onlygood_token={secret}"}) as socket:
            next_image()
            assert unpack(socket.recv(timeout=20))[0]["verdict"] == "good"
            station.station.change_settings(lambda now: now.model_copy(update={"tokens": (other,)}))
            next_image()
            refusal = json.loads(socket.recv(timeout=20))
            assert (refusal["status"], refusal["problem"][:9]) == (401, "the token")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=20)
