"""The page to draw on, in Chromium: what is drawn with mouse, finger and keys is what the saved files say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onlygood.datasets.sources import list_sources
from onlygood.images.limits import DEFAULT_LIMITS
from onlygood.images.roi import read_roi
from onlygood.report import write_roi_page
from textures import save, texture

HEIGHT, WIDTH = 120, 200
LAYOUT_CHECK = Path(__file__).with_name("layout_check.js").read_text(encoding="utf-8")
Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("roi")
    save(root / "parts", {f"{number}.png": texture(number, (HEIGHT, WIDTH)) for number in range(4)})
    found = list_sources(root / "parts", group_by=None, groups=None, limits=DEFAULT_LIMITS).sources
    write_roi_page(root / "plain.html", found, size=(HEIGHT, WIDTH), data_name="parts", threads=1)
    proposed = np.zeros((HEIGHT, WIDTH), bool)
    proposed[20:100, 30:170] = True
    write_roi_page(root / "proposed.html", found, size=(HEIGHT, WIDTH), data_name="parts", mask=proposed, threads=1)
    return {"plain": root / "plain.html", "proposed": root / "proposed.html"}


@pytest.fixture
def open_page(browser: Any, pages: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    complaints: list[str] = []
    contexts = []

    def opened(name: str, width: int = 1200, *, scheme: str = "light", **settings: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 1600}, color_scheme=scheme, has_touch=width < 600, **settings
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(pages[name].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place of the image is on the screen."""
    box = page.locator("#board").bounding_box()
    return box["x"] + x * box["width"] / WIDTH, box["y"] + y * box["height"] / HEIGHT


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=3)
    page.mouse.up()


def click(page: Any, *places: tuple[float, float]) -> None:
    for place in places:
        page.mouse.click(*at(page, *place))


def saved(page: Any, folder: Path, kind: str = "png") -> Mask:
    with page.expect_download() as download:
        page.click(f"#save-{kind}")
    path = folder / download.value.suggested_filename
    assert path.name == f"roi.{kind}"
    download.value.save_as(path)
    return read_roi(path)


def box(left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def triangle() -> Mask:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.asarray((x >= 100) & (y >= 20) & (x - 100 + y - 20 < 80))


def test_a_box_and_a_polygon_drawn_with_the_mouse_are_in_both_files(open_page: Any, tmp_path: Path) -> None:
    page = open_page("plain")
    assert page.is_disabled("#save-png") and page.is_disabled("#save-json")
    drag(page, (10, 20), (60, 90))
    page.click("button[data-tool=polygon]")
    click(page, (100, 20), (180, 20), (100, 100), (100, 20))
    expected = box(10, 20, 60, 90) | triangle()
    share, _, said = page.inner_text("#status").partition(" ")
    assert float(share) == pytest.approx(100 * expected.mean(), abs=0.5)
    assert said == "% of the image is looked at, 2 shapes."
    # A place on the screen is known to a fraction of a pixel, and the triangle has a slope.
    assert (saved(page, tmp_path) != expected).sum() <= 100
    assert (saved(page, tmp_path, "json") != expected).sum() <= 100


def test_what_is_left_out_is_cut_from_what_was_drawn_before(open_page: Any, tmp_path: Path) -> None:
    page = open_page("plain")
    drag(page, (10, 10), (110, 110))
    page.click("button[data-cut=true]")
    drag(page, (40, 40), (80, 80))
    assert np.array_equal(saved(page, tmp_path), box(10, 10, 110, 110) & ~box(40, 40, 80, 80))
    assert page.is_disabled("#save-json")
    page.click("#undo")
    assert np.array_equal(saved(page, tmp_path), box(10, 10, 110, 110))
    assert page.is_enabled("#save-json")


def test_shapes_and_their_corners_are_moved_and_removed(open_page: Any, tmp_path: Path) -> None:
    page = open_page("plain")
    drag(page, (10, 10), (60, 60))
    page.click("button[data-tool=move]")
    drag(page, (30, 30), (50, 40))
    assert np.array_equal(saved(page, tmp_path), box(30, 20, 80, 70))
    drag(page, (80, 70), (110, 100))
    assert np.array_equal(saved(page, tmp_path), box(30, 20, 110, 100))
    page.click("#undo")
    page.click("#undo")
    assert np.array_equal(saved(page, tmp_path), box(10, 10, 60, 60))
    click(page, (30, 30))
    page.click("#remove")
    assert page.is_disabled("#save-png")


def test_all_of_it_works_with_keys_alone(open_page: Any, tmp_path: Path) -> None:
    page = open_page("plain")
    page.focus("#board")
    page.keyboard.press("ArrowUp")  # the cross appears in the middle: 100, 60
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert np.array_equal(saved(page, tmp_path), box(60, 60, 90, 71))
    page.focus("#board")
    page.keyboard.press("p")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert "2 shapes" in page.inner_text("#status")
    page.keyboard.press("Control+z")
    page.keyboard.press("]")
    assert page.inner_text("#name") == "1.png"
    assert np.array_equal(saved(page, tmp_path), box(60, 60, 90, 71))


def test_a_finger_draws_too_and_a_polygon_can_be_given_up(open_page: Any, tmp_path: Path) -> None:
    page = open_page("plain", 400)
    page.tap("button[data-tool=box]")
    page.touchscreen.tap(*at(page, 20, 30))
    page.touchscreen.tap(*at(page, 120, 90))
    assert (saved(page, tmp_path) != box(20, 30, 120, 90)).sum() <= 200
    page.tap("button[data-tool=polygon]")
    page.touchscreen.tap(*at(page, 150, 50))
    page.keyboard.press("Escape")
    assert "1 shape." in page.inner_text("#status")


def test_the_proposed_region_is_where_it_begins(open_page: Any, tmp_path: Path) -> None:
    page = open_page("proposed")
    page.wait_for_selector("#begin", state="visible")
    assert np.array_equal(saved(page, tmp_path), box(30, 20, 170, 100))
    page.click("button[data-cut=true]")
    drag(page, (0, 0), (100, 120))
    assert np.array_equal(saved(page, tmp_path), box(100, 20, 170, 100))
    page.uncheck("#base")
    assert page.is_disabled("#save-png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1200])
@pytest.mark.parametrize("name", ["plain", "proposed"])
def test_nothing_is_cut_off_or_makes_the_page_wider_than_the_screen(
    open_page: Any, name: str, width: int, scheme: str
) -> None:
    page = open_page(name, width, scheme=scheme)
    assert page.evaluate(LAYOUT_CHECK) == []
    assert page.is_visible("#begin") == (name == "proposed")


def test_without_its_script_the_page_says_so(browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["plain"].as_uri())
    assert "needs its own script" in page.inner_text("noscript")
    assert not page.is_visible("#save-png")
    context.close()
