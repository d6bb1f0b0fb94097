"""From an empty station to the first verdict, with ten images of the browser's camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onlygood.station.station_settings import FolderSource, StationSettings
from tests.station.pages.conftest import camera_image
from tests.station.server import good_png, running


def test_an_empty_station_leads_to_a_first_verdict_by_keys_alone(
    tmp_path: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    with running(tmp_path / "data") as station:
        page = open_page(f"{station.url}/")
        page.wait_for_url("**/teach")
        page.keyboard.type("ring")
        page.keyboard.press("Enter")
        page.wait_for_url("**/teach/ring")
        page.keyboard.press("s")
        expect(page.locator("#take")).to_be_enabled()
        for number in range(10):
            page.keyboard.press("p")
            expect(page.locator("#taken li")).to_have_count(number + 1)
        assert page.inner_text("#learn") == "Learn from 10 images"
        page.focus("#learn")
        page.keyboard.press("Enter")
        # The link has the focus when the model is there.
        expect(page.locator("#try")).to_be_focused()
        assert "of good images will be called anomalous" in page.inner_text("#job")
        page.keyboard.press("Enter")
        page.wait_for_url("**/live?**")
        expect(page.locator(".verdict.good, .verdict.anomalous")).to_be_visible()
        assert station.station.store.models.active("ring").good_images == 10
        page.close()


def test_images_are_left_out_taken_in_and_deleted(tmp_path: Path, open_page: Callable[..., Any], expect: Any) -> None:
    with running(tmp_path / "data") as station:
        for seed in range(3):
            station.station.teach("part", good_png(seed), name=f"good-{seed}.png")
        page = open_page(f"{station.url}/teach/part")
        page.click("#taken li:nth-child(1) >> text=Leave out")
        expect(page.locator("#count")).to_have_text("2")
        expect(page.locator("#taken li.left-out")).to_have_count(1)
        page.click("#taken li:nth-child(2) >> role=button[name='Delete good-1.png']")
        expect(page.locator("#taken li")).to_have_count(2)
        expect(page.locator("#count")).to_have_text("1")
        page.click("text=Take in")
        expect(page.locator("#count")).to_have_text("2")
        kept = [each.name for each in station.station.store.taught.list("part") if not each.is_left_out]
        assert kept == ["good-0.png", "good-2.png"]


def test_files_are_taken_in_and_what_is_no_image_says_so(
    tmp_path: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    with running(tmp_path / "data") as station:
        page = open_page(f"{station.url}/teach/part", expects=("422", "415"))
        page.set_input_files(
            "#files",
            [
                {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": camera_image(1)},
                {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"},
                {"name": "b.png", "mimeType": "image/png", "buffer": good_png(2)},
            ],
        )
        expect(page.locator("#taken li")).to_have_count(2)
        expect(page.locator(".notice.problem")).to_contain_text("notes.txt")
        # The same file again is one image.
        page.set_input_files("#files", [{"name": "c.png", "mimeType": "image/png", "buffer": good_png(2)}])
        expect(page.locator(".notice.done")).to_contain_text("there already")
        assert len(station.station.store.taught.list("part")) == 2


def test_a_box_is_drawn_and_typed_reaches_the_fit_and_the_fit_is_cancelled(
    tmp_path: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    with running(tmp_path / "data") as station:
        for seed in range(10):
            station.station.teach("part", camera_image(seed), name=f"good-{seed}.jpg")
        page = open_page(f"{station.url}/teach/part", expects=("422",))
        page.click("#region summary")
        image = page.locator("#board-image")
        expect(image).to_have_js_property("complete", True)
        image.scroll_into_view_if_needed()
        box = page.locator("#board").bounding_box()
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"], steps=4)
        page.mouse.up()
        edges = [float(page.input_value(f"#{edge}")) for edge in ("top", "left", "bottom", "right")]
        assert edges == pytest.approx([25, 25, 75, 75], abs=1)
        page.fill("#bottom", "0")
        page.click("#learn")
        expect(page.locator(".notice.problem")).to_contain_text("needs a top above its bottom")
        page.fill("#top", "20")
        page.fill("#bottom", "80")
        page.select_option("#rate", "0.1")
        page.click("#learn")
        page.click("#job >> text=Cancel")
        expect(page.locator("#job")).to_have_attribute("data-state", "cancelled")
        assert station.station.store.models.names() == []
        (job,) = station.station.jobs.list()
        asked = station.station.store.jobs.request(job.id)
        assert asked["false_alarm_rate"] == 0.1
        assert asked["region"] == pytest.approx([0.2, 0.25, 0.8, 0.75], abs=0.01)


def test_images_are_taken_from_a_camera_of_the_station(
    tmp_path: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    (tmp_path / "data").mkdir()
    settings = StationSettings(sources=(FolderSource(name="line-1", path=str(folder), settle_s=0),))
    with running(tmp_path / "data", settings) as station:
        page = open_page(f"{station.url}/teach/part")
        page.select_option("#source", "line-1")
        page.keyboard.press("s")
        (folder / "first.png").write_bytes(good_png(1))
        expect(page.locator("#take")).to_be_enabled()
        page.keyboard.press("p")
        expect(page.locator("#taken li")).to_have_count(1)
        (taught,) = station.station.store.taught.list("part")
        assert taught.name == "first.png"
        assert station.station.store.taught.content(taught.id) == (good_png(1), ".png")
        # What was fitted with a camera of the station is tried with it.
        assert page.input_value("#fit-source") == "line-1"
        page.close()


def test_a_form_with_several_images_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with running(tmp_path / "data") as station:
        files = [("image", good_png(1)), ("image", good_png(2))]
        answer = station.client.post("/teach/part/images", files=files)
        assert (answer.status_code, answer.text) == (
            422,
            "a request of this page must hold one image, got 2: send them one by one, or all at once to /v1/teach/part",
        )
        assert station.station.store.taught.list("part") == []


def test_a_camera_that_is_stopped_before_the_browser_gives_it_is_closed(
    tmp_path: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    with running(tmp_path / "data") as station:
        page = open_page(f"{station.url}/teach/part")
        page.evaluate(
            """() => {
              const give = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await give(wanted);
                const [track] = stream.getVideoTracks();
                document.body.dataset.track = "asked for";
                await new Promise((done) => (window.allow = done));
                setInterval(() => (document.body.dataset.track = track.readyState), 50);
                return stream;
              };
            }"""
        )
        page.keyboard.press("s")
        expect(page.locator("body")).to_have_attribute("data-track", "asked for")
        page.keyboard.press("s")
        page.evaluate("window.allow()")
        expect(page.locator("body")).to_have_attribute("data-track", "ended")
        expect(page.locator("#stage")).to_have_attribute("data-state", "stopped")
        expect(page.locator("#take")).to_be_disabled()
        page.close()
