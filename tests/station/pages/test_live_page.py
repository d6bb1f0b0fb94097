"""The Live page: verdicts, keys, the map, an alarm, and what happens when the station goes away and comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from onlygood.station.alarm import AlarmWindow
from onlygood.station.live_feed import LiveFrame
from onlygood.station.station import Station
from onlygood.station.station_settings import Alarm, FolderSource, StationSettings
from onlygood.station.web.app import make_app
from onlygood.station.web.server import WebServer
from tests.station.pages.conftest import PATCH, chromium
from tests.station.server import Running, bad_png, good_png, running


@pytest.fixture
def watched(tmp_path: Path, camera_model: Path) -> Iterator[Running]:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "data").mkdir()
    sources = tuple(
        FolderSource(name=name, path=str(tmp_path / "incoming"), model="part", starts=False)
        for name in ("line-1", "line-2")
    )
    settings = StationSettings(sources=sources)
    with running(tmp_path / "data", settings, models={"part": PATCH, "camera": camera_model}) as station:
        yield station


def frames(page: Any) -> int:
    return int(page.evaluate("Number(document.body.dataset.frames || 0)"))


def wait_for_frames(page: Any, expect: Any, more: int = 3) -> None:
    """Wait until so many more images were shown."""
    wanted = frames(page) + more
    pattern = re.compile("|".join(str(number) for number in range(wanted, wanted + 2000)))
    expect(page.locator("body")).to_have_attribute("data-frames", pattern)


def test_the_camera_of_the_browser_is_inspected_and_its_images_are_taken_by_key(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=browser&model=camera")
    page.keyboard.press("s")
    expect(page.locator(".verdict.good, .verdict.anomalous")).to_be_visible()
    assert watched.station.store.inspections.count() == 0  # what is only looked at is not remembered
    # The view stands still, and what is taken is what is seen.
    page.keyboard.press(" ")
    expect(page.locator("#ribbon")).to_contain_text("Frozen")
    score = page.inner_text("#score")
    page.keyboard.press("p")
    expect(page.locator(".notice.done")).to_contain_text("number 1")
    record = watched.station.inspection(1)
    assert (record.source, record.model, record.has_image) == ("page", "camera", True)
    assert f"{record.score:+.2f}".replace("-", "\N{MINUS SIGN}") == score
    # Saying something of it remembers no second one.
    page.keyboard.press("d")
    expect(page.locator(".notice.done")).to_contain_text("defect")
    feedback = watched.station.inspection(1).feedback
    assert feedback is not None and feedback.label == "defect"
    assert watched.station.store.inspections.count() == 1
    page.keyboard.press(" ")
    expect(page.locator("#ribbon")).to_be_hidden()
    wait_for_frames(page, expect)
    page.keyboard.press("g")
    expect(page.locator(".notice.done")).to_contain_text("Image 2 is marked as good")
    page.keyboard.press("s")
    expect(page.locator("#start")).to_contain_text("Start")


def test_a_camera_that_gives_no_image_once_is_asked_again(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=browser&model=camera")
    page.evaluate(
        """() => {
          const encode = HTMLCanvasElement.prototype.toBlob;
          let count = 0;
          HTMLCanvasElement.prototype.toBlob = function (done, ...settings) {
            count += 1;
            if (count === 2) done(null);
            else if (count === 4) throw new Error("no memory");
            else encode.call(this, done, ...settings);
          };
        }"""
    )
    page.keyboard.press("s")
    wait_for_frames(page, expect, 6)


def test_the_map_is_shown_and_hidden_by_slider_and_key(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=browser&model=camera")
    opacity = page.locator("#map")
    page.fill("#opacity", "40")
    expect(opacity).to_have_css("opacity", "0.4")
    page.keyboard.press("m")
    expect(opacity).to_have_css("opacity", "0")
    page.keyboard.press("m")
    expect(opacity).to_have_css("opacity", "1")


def test_keys_are_listed_and_do_nothing_in_fields(watched: Running, open_page: Callable[..., Any], expect: Any) -> None:
    page = open_page(f"{watched.url}/live?source=browser&model=camera")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert [each.strip() for each in page.locator("#keys dt").all_inner_texts()][:5] == ["s", "p", "space", "g", "d"]
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.focus("#m")
    page.keyboard.press("s")
    assert page.locator("#stage").get_attribute("data-state") == "stopped"


def show(station: Station, images: list[bytes], alarm: Alarm, *, start: int = 1) -> None:
    """Have the source show images, as its line does."""
    window, served = AlarmWindow(alarm), station.models.get("part")
    for number, content in enumerate(images, start):
        inspection, pixels = served.inspector.inspect(content, f"{number}.png", None)
        reading = window.add(inspection.score, is_anomaly=inspection.is_anomaly)
        station.line("line-1").feed.publish(
            LiveFrame(
                sequence=number,
                at=datetime.now(UTC),
                name=f"{number}.png",
                content=content,
                suffix=".png",
                width=pixels.shape[1],
                height=pixels.shape[0],
                model="part",
                version=served.version,
                inspection=inspection,
                average=reading.mean_score,
                anomalous=reading.anomalous,
                of=reading.images,
                is_alarmed=reading.is_alarmed,
            )
        )


def test_a_single_bad_image_is_no_alarm_and_m_of_n_are(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    expect(page.locator("#stage")).to_have_attribute("data-state", "running")
    alarm = Alarm(m=2, n=3)
    show(watched.station, [good_png(), bad_png()], alarm)
    expect(page.locator("#word")).to_have_text("anomalous")
    expect(page.locator("#alarm-text")).to_have_text("1 of the last 2 images anomalous")
    expect(page.locator("#alarm-word")).to_have_text("no alarm")
    show(watched.station, [good_png(), bad_png(), bad_png()], alarm, start=3)
    expect(page.locator("#alarm-word")).to_have_text("Alarm")
    expect(page.locator("#alarm-text")).to_have_text("2 of the last 3 images anomalous")
    # The map is coloured where the defect is, and clear elsewhere.
    opaque = page.evaluate(
        """() => {
          const { width, height } = document.getElementById("map");
          const pixels = document.getElementById("map").getContext("2d").getImageData(0, 0, width, height).data;
          return [[0.44, 0.5], [0.95, 0.95]].map(
            ([x, y]) => pixels[4 * (Math.floor(y * height) * width + Math.floor(x * width)) + 3],
          );
        }"""
    )
    assert opaque[0] > 100 > opaque[1]
    show(watched.station, [good_png()], alarm, start=6)
    expect(page.locator("#word")).to_have_text("good")


def test_an_image_of_a_source_is_remembered_when_a_person_takes_it(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    show(watched.station, [bad_png()], Alarm())
    expect(page.locator("#word")).to_have_text("anomalous")
    page.keyboard.press("g")
    expect(page.locator(".notice.done")).to_contain_text("Image 1 is marked as good")
    record = watched.station.inspection(1)
    assert watched.station.store.inspections.image(1) == (bad_png(), ".png")
    assert record.feedback is not None and record.feedback.label == "good"


def test_frames_that_come_faster_than_a_page_draws_are_skipped(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    expect(page.locator("#stage")).to_have_attribute("data-state", "running")
    show(watched.station, [good_png(seed) for seed in range(60)] + [bad_png()], Alarm())
    # The newest one is shown at the end, whatever was passed over.
    expect(page.locator("#word")).to_have_text("anomalous")
    assert frames(page) <= 61


def test_a_model_that_does_not_fit_the_image_says_so_on_the_page(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    show(watched.station, [good_png()], Alarm())
    latest = watched.station.line("line-1").feed.latest
    assert latest is not None
    sentence = "2.png has 16 bits, and this model takes 8"
    watched.station.line("line-1").feed.publish(replace(latest, sequence=2, inspection=None, problem=sentence))
    expect(page.locator("#problem")).to_have_text(sentence)
    expect(page.locator("#word")).to_have_text("no verdict")


@pytest.mark.parametrize(("content", "suffix"), [(b"", ""), (b"no image", ""), (b"\x89PNG\r\n\x1a\n", ".png")])
def test_a_damaged_file_of_a_source_says_so_and_the_view_goes_on(
    watched: Running, open_page: Callable[..., Any], expect: Any, content: bytes, suffix: str
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    show(watched.station, [good_png()], Alarm())
    expect(page.locator("#word")).to_have_text("good")
    feed = watched.station.line("line-1").feed
    assert feed.latest is not None
    damaged = replace(feed.latest, sequence=2, content=content, suffix=suffix, width=0, height=0, inspection=None)
    feed.publish(replace(damaged, problem="2.png is cut short: copy it again"))
    expect(page.locator("#problem")).to_be_visible()
    # The verdict on the image before it is no longer there.
    expect(page.locator("#word")).to_have_text("no verdict")
    show(watched.station, [bad_png()], Alarm(), start=3)
    expect(page.locator("#word")).to_have_text("anomalous")


def test_another_source_does_not_begin_with_the_image_of_the_one_before(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    show(watched.station, [bad_png()], Alarm())
    expect(page.locator("#word")).to_have_text("anomalous")
    page.select_option("#source", "line-2")
    expect(page.locator("#stage")).to_have_attribute("data-state", "running")
    expect(page.locator("#word")).to_have_text("no verdict")
    assert page.inner_text("#score") == "\N{EN DASH}"
    # Nor is that one marked.
    page.locator("#stage").click()
    page.keyboard.press("g")
    expect(page.locator(".notice.problem")).to_contain_text("There is no image with a verdict to take")
    assert watched.station.store.inspections.count() == 0


def test_a_view_that_goes_on_shows_what_came_while_it_stood_still(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=line-1")
    show(watched.station, [good_png()], Alarm())
    expect(page.locator("#word")).to_have_text("good")
    page.keyboard.press(" ")
    show(watched.station, [bad_png()], Alarm(), start=2)
    expect(page.locator("#alarm-text")).to_have_text("1 of the last 1 images anomalous")
    assert page.inner_text("#word") == "good"
    page.keyboard.press(" ")
    expect(page.locator("#word")).to_have_text("anomalous")
    page.keyboard.press("d")
    expect(page.locator(".notice.done")).to_contain_text("Image 1 is marked as a defect")
    assert watched.station.store.inspections.image(1) == (bad_png(), ".png")


def test_an_unknown_source_and_an_unknown_model_are_refused_in_a_sentence(
    watched: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{watched.url}/live?source=browser&model=camera")
    page.evaluate("document.querySelector('#model option').value = 'camrea'")
    page.select_option("#model", "camrea")
    page.click("#start")
    expect(page.locator("#hint")).to_contain_text("a model must be one that is served, got 'camrea'")


def test_a_browser_without_a_camera_is_told_so_in_a_sentence(watched: Running, browser: Any, expect: Any) -> None:
    without = browser.browser_type.launch(executable_path=chromium(browser.browser_type))
    try:
        page = without.new_context(permissions=["camera"]).new_page()
        page.goto(f"{watched.url}/live?source=browser&model=camera")
        page.keyboard.press("s")
        expect(page.locator("#hint")).to_have_text(
            "This browser has no camera: connect one, or choose a source of the station."
        )
        page.goto(f"{watched.url}/teach/part")
        page.keyboard.press("s")
        expect(page.locator("#hint")).to_contain_text("This browser has no camera")
    finally:
        without.close()


def test_the_page_recovers_by_itself_when_the_station_restarts(
    tmp_path: Path, camera_model: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    def started(port: int) -> tuple[Station, WebServer]:
        station = Station(tmp_path / "data")
        station.start()
        if not station.store.models.names():
            station.models.add("camera", camera_model.read_bytes(), origin="upload")
        server = WebServer(make_app(station), port=port)
        server.start()
        return station, server

    def stopped(station: Station, server: WebServer) -> None:
        server.stop()
        station.stop()

    station, server = started(0)
    try:
        # What a browser says of a connection that is refused meanwhile is expected.
        page = open_page(
            f"http://127.0.0.1:{server.port}/live?source=browser&model=camera",
            expects=("ERR_CONNECTION", "WebSocket", "Failed to fetch"),
        )
        page.keyboard.press("s")
        wait_for_frames(page, expect)
        health = open_page(f"http://127.0.0.1:{server.port}/health", expects=("ERR_CONNECTION", "Failed to fetch"))
        expect(health.locator("#health")).to_contain_text("All is well")
    finally:
        stopped(station, server)
    expect(page.locator("#ribbon")).to_contain_text("The station does not answer")
    expect(health.locator("#offline")).to_be_visible()
    station, server = started(server.port)
    try:
        wait_for_frames(page, expect)
        expect(page.locator("#ribbon")).to_be_hidden()
        expect(health.locator("#offline")).to_be_hidden()
        page.keyboard.press("p")
        expect(page.locator(".notice.done")).to_contain_text("number 1")
    finally:
        page.close()
        health.close()
        stopped(station, server)
