"""Every page in Chromium: no complaint of the browser, nothing wider than a phone, nothing that axe calls serious."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.station.pages.conftest import PATCH, Shown, Tabs, accessibility_problems, layout_problems
from tests.station.server import good_png, running

PAGES = (
    "live",
    "teach",
    "teach/part",
    "history",
    "history?name=nothing-has-this-name",
    "history/{id}",
    "review",
    "guarantee",
    "models",
    "models/part",
    "models/part/1",
    "health",
    "settings",
)
LOOKS = ((1280, "light"), (390, "dark"))


def problems(page: Any, scheme: str = "light") -> list[str]:
    """What is wrong with the page that is open; everything that can be unfolded is unfolded."""
    for summary in page.locator("main details > summary").all():
        if summary.is_visible():
            summary.click()
    return [*layout_problems(page), *accessibility_problems(page, of_colours_alone=scheme == "dark")]


@pytest.fixture(scope="module")
def tabs(shown: Shown, browser: Any) -> Iterator[tuple[Tabs, dict[str, Any]]]:
    """A desk with a light screen and a phone with a dark one, on which one page after another is opened."""
    opened = Tabs(browser)
    yield opened, {scheme: opened(f"{shown.url}/health", width, scheme=scheme) for width, scheme in LOOKS}
    opened.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_complaint_on_a_desk_and_on_a_phone_light_and_dark(
    shown: Shown, tabs: tuple[Tabs, dict[str, Any]], name: str
) -> None:
    opened, pages = tabs
    for scheme, page in pages.items():
        page.goto(f"{shown.url}/{name.format(id=shown.ids[1])}")
        assert page.locator("h1").count() == 1
        assert problems(page, scheme) == []
    complaints, opened.complaints[:] = list(opened.complaints), []
    assert complaints == []


def test_pages_of_an_empty_station_say_how_to_begin(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    with running(tmp_path / "data") as station:
        page = open_page(f"{station.url}/teach", 390)
        for name in ("teach", "live", "history", "models", "review", "guarantee", "health"):
            page.goto(f"{station.url}/{name}")
            assert problems(page, "dark") == []
            assert page.locator("main a, main form button").count() > 0
        page.close()


def test_the_colours_follow_the_screen(shown: Shown, open_page: Callable[..., Any]) -> None:
    def background(scheme: str) -> str:
        page = open_page(f"{shown.url}/history", scheme=scheme)
        found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return found

    assert background("light") == "rgb(255, 255, 255)"
    assert background("dark") == "rgb(18, 22, 28)"


def test_what_is_not_there_is_a_page_with_one_sentence(shown: Shown, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{shown.url}/history/999999", expects=("404",))
    assert page.inner_text("h1") == "Not found"
    assert "999999" in page.inner_text(".lead")
    assert accessibility_problems(page) == []


def test_a_phone_reaches_every_page_by_its_bar(shown: Shown, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{shown.url}/history", 390)
    page.click("nav.phone summary")
    page.click("nav.phone .more a:text('Health')")
    page.wait_for_url("**/health")
    assert page.inner_text("h1") == "Health"


def test_the_names_of_images_are_text_and_not_markup(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    with running(tmp_path / "data", models={"part": PATCH}) as station:
        station.client.post(
            "/v1/models/part/inspect",
            params={"name": name},
            content=good_png(),
            headers={"Content-Type": "image/png"},
        ).raise_for_status()
        page = open_page(f"{station.url}/history")
        assert name in page.inner_text(".shot")
        page.click(".shot .picture")
        assert name in page.inner_text("table.facts")
        page.wait_for_load_state("networkidle")  # or the station is gone before the image is there
