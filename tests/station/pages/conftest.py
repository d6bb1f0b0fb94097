"""Chromium with a camera that sees a video, and stations that it looks at."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from flat import fit
from onlygood.station.station_settings import FolderSource, StationSettings
from tests.station.server import MODELS, Running, bad_png, good_png, running
from textures import FAST, texture, with_defect

PATCH = MODELS / "format-2-patch.onnx"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CAMERA = (240, 320)
# A name of this computer for browsers: one that is not localhost, to which they give no camera over HTTP.
ANOTHER_NAME = "station.example"
# The model of these tests learned from the textures of so many seeds from 0 on: it calls them good.
LEARNED = 16
# What reaches beyond the page, a sentence each.
LAYOUT = """
() => {
  const problems = [];
  const text = (element) => element.textContent.trim().slice(0, 40);
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) {
    problems.push(`the page is ${document.documentElement.scrollWidth} pixels wide on a screen of ${wide}`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest(".skip, .hidden, .dots, svg, dialog:not([open])")) continue;
    const box = element.getBoundingClientRect();
    if (box.width && box.height && (box.left < -1 || box.right > wide + 1)) {
      problems.push(`${element.tagName} ${element.id} "${text(element)}" lies from ${box.left} to ${box.right}`);
    }
    if (element.matches("button, .button, h1, h2, dt, dd") && element.scrollWidth > element.clientWidth + 1) {
      problems.push(`${element.tagName} "${text(element)}" does not fit`);
    }
  }
  return problems;
}
"""
AXE = """
async (rules) => {
  const found = await axe.run(document, { resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) });
  return found.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
}
"""


def missing(reason: str) -> Any:
    """Where CI runs, a browser is there; elsewhere these tests are left out without one."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: make browser installs it")
    pytest.skip(f"{reason}: make browser installs it")


def camera_image(seed: int, *, is_good: bool = True) -> bytes:
    """The JPEG of what a camera sees: a grey texture in the middle of a frame."""
    image = np.full((*CAMERA, 3), 90, np.uint8)
    seen = texture(seed) if is_good else with_defect(texture(seed))
    image[72 : 72 + 96, 112 : 112 + 96] = seen[:, :, None]
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera of the browser sees: good parts, again and again."""
    path = tmp_path_factory.mktemp("camera") / "clip.mjpeg"
    path.write_bytes(b"".join(camera_image(seed) for seed in range(300)))
    return path


@pytest.fixture(scope="session")
def camera_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of what the camera sees."""
    folder = tmp_path_factory.mktemp("camera-model")
    (folder / "good").mkdir()
    for seed in range(12):
        (folder / "good" / f"{seed}.jpg").write_bytes(camera_image(seed))
    fit(folder / "good", **FAST).save(folder / "camera.onnx")
    return folder / "camera.onnx"


@pytest.fixture(scope="session")
def expect() -> Any:
    """Waits until something holds of a page, generously."""
    try:
        from playwright.sync_api import expect
    except ModuleNotFoundError:
        missing("Playwright is not installed")
    expect.set_options(timeout=30_000)
    return expect


def chromium(playwright_chromium: Any) -> str:
    """The path of a browser."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), playwright_chromium.executable_path)
    if not Path(found).exists():
        missing("no Chromium was found")
    return str(found)


@pytest.fixture(scope="module")
def browser(clip: Path) -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("Playwright is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium(playwright.chromium),
            args=[
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={clip}",
                f"--host-resolver-rules=MAP {ANOTHER_NAME} 127.0.0.1",
            ],
        )
        yield opened
        opened.close()


class Tabs:
    """Pages that are open, and what the browser complained of about any of them."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []

    def __call__(
        self, url: str, width: int = 1280, *, scheme: str = "light", expects: tuple[str, ...] = (), **settings: Any
    ) -> Any:
        """Open a page.

        Args:
            url: of it.
            width: of the screen; a phone's where it is below 600.
            scheme: of its colours.
            expects: parts of complaints that are no problem.
            settings: of the context.
        """
        is_phone = width < 600
        context = self._browser.new_context(
            viewport={"width": width, "height": 844 if is_phone else 800},
            color_scheme=scheme,
            is_mobile=is_phone,
            has_touch=is_phone,
            permissions=["camera"],
            **settings,
        )
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        scheme_of_url, _, rest = url.partition("://")
        host, socket_scheme = rest.partition("/")[0], scheme_of_url.replace("http", "ws")

        def complain(text: str) -> None:
            if not any(each in text for each in expects):
                self.complaints.append(text)

        def only_itself(address: str) -> None:
            own = (f"{scheme_of_url}://{host}/", f"{socket_scheme}://{host}/", "blob:", "data:")
            if not address.startswith(own):
                complain(f"something else was asked for: {address}")

        page.on("console", lambda message: complain(message.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("request", lambda request: only_itself(request.url))
        page.goto(url)
        return page

    def close(self) -> None:
        """Close all of them."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; fails at the end of the test if the browser complained, or something came from elsewhere."""
    tabs = Tabs(browser)
    yield tabs
    tabs.close()
    assert tabs.complaints == []


def accessibility_problems(page: Any, *, of_colours_alone: bool = False) -> list[str]:
    """What axe finds that is serious or critical; on a dark screen nothing but the colours is another."""
    try:
        script = resources.files("axe_playwright_python") / "axe.min.js"
    except ModuleNotFoundError:
        missing("axe-playwright-python is not installed")
    page.evaluate(script.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(AXE, ["color-contrast"] if of_colours_alone else None)
    return found


def layout_problems(page: Any) -> list[str]:
    """What reaches beyond the page, or is cut off."""
    found: list[str] = page.evaluate(LAYOUT)
    return found


@dataclass
class Shown:
    """A station with inspections of every kind.

    Attributes:
        running: it.
        ids: of its inspections, from the first.
    """

    running: Running
    ids: list[int]

    @property
    def url(self) -> str:
        return self.running.url


def fill(running: Running, good: int = 6, anomalous: int = 4) -> list[int]:
    """Inspect good images and anomalous ones in turn, and return the numbers of their inspections."""
    ids = []
    for number in range(good + anomalous):
        is_good = number % 2 == 0 or number >= 2 * anomalous
        content = good_png(number % LEARNED) if is_good else bad_png(200 + number)
        answer = running.client.post(
            f"/v1/models/part/inspect?name=part-{number:02}.png",
            content=content,
            headers={"Content-Type": "image/png"},
        )
        ids.append(answer.json()["results"][0]["inspection"]["id"])
    return ids


def say(running: Running, id: int, label: str) -> None:
    """Mark an inspection."""
    running.client.post(f"/v1/inspections/{id}/feedback", json={"label": label}).raise_for_status()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Two versions, inspections of both verdicts, marked and not, images to learn from, and a source."""
    root = tmp_path_factory.mktemp("shown")
    (root / "incoming").mkdir()
    (root / "data").mkdir()
    source = FolderSource(name="incoming", path=str(root / "incoming"), model="part", starts=False)
    with running(root / "data", StationSettings(sources=(source,)), models={"part": PATCH}) as station:
        ids = fill(station)
        for number, label in ((1, "good"), (3, "defect"), (0, "defect"), (2, "good")):
            say(station, ids[number], label)
        recalibrated = onlygood.calibrate(PATCH, threshold=1.5)
        station.station.models.add("part", recalibrated.file.content, origin="upload", note="stricter")
        for seed in range(3):
            station.station.teach("part", good_png(seed), name=f"good-{seed}.png")
        yield Shown(station, ids)
