"""Every kind of page, opened in Chromium: on phones and desks, on light and dark screens, on paper, without scripts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood.datasets.folders import find_images
from onlygood.exploration.explore import explore
from onlygood.report import (
    InspectedImage,
    palette,
    write_audit_report,
    write_comparison_report,
    write_diff_report,
    write_evaluation_report,
    write_exploration,
    write_fit_report,
    write_inspection_report,
)
from textures import DEFECT, SIZE, save, texture, with_defect

LONG = "line-3_camera-2_2026-03-01T12-00-00.000_a_name_without_any_place_to_break_it"
LAYOUT_CHECK = Path(__file__).with_name("layout_check.js").read_text(encoding="utf-8")
DEEP = texture(420).astype(np.uint16) * 256
# Between the margins, in CSS pixels.
A4_WIDTH = 688
KINDS = ("audit", "fit", "inspection", "evaluation", "comparison", "diff", "exploration")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, model: onlygood.Model) -> dict[str, Path]:
    """A page of each kind, with long names, outliers, masks, sessions and a file that is no image."""
    root = tmp_path_factory.mktemp("pages")
    images = {f"test/good/lot{number % 2}/{number}.png": texture(200 + number) for number in range(6)}
    images |= {f"test/hole/lot1/{number}.png": with_defect(texture(300 + number)) for number in range(3)}
    images |= {f"test/hole/lot1/{LONG}.png": texture(310)}
    images |= {f"train/good/{number}.png": texture(number) for number in range(8)}
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[DEFECT] = 255
    save(root, images | {f"ground_truth/hole/lot1/{number}_mask.png": mask for number in range(3)})
    (root / "test" / "good" / "torn.png").write_bytes(b"no image")
    paths = {kind: root / f"{kind}.html" for kind in KINDS}
    settings: dict[str, Any] = {"model_name": f"{LONG}.onnx", "threads": 1}

    lots = {f"train/parts/lot{number % 2}/{number}.png": texture(400 + number) for number in range(14)}
    lots |= {f"train/parts/lot1/{LONG}.png": np.full((SIZE, SIZE), 90, np.uint8)}
    save(root, lots | {"train/parts/lot0/copy.png": texture(400), "train/parts/lot0/deep.png": DEEP})
    (root / "train" / "parts" / "torn.png").write_bytes(b"no image")
    audit = onlygood.audit(root / "train" / "parts", group_by="folder", threads=1)
    write_audit_report(paths["audit"], audit, data_name=LONG, threads=1)

    first, *others = model.good_images
    odd = replace(model, good_images=(replace(first, score=40.0, is_odd=True, name=f"{LONG}.png"), *others))
    write_fit_report(paths["fit"], odd, curves={"Loss, warm-up": [3.0, 2.0, 1.5]}, **settings)

    inspector = onlygood.Inspector(model, threads=1)
    inspected = []
    for file in find_images(root / "test"):
        try:
            found = inspector(file.path, name=file.name)
        except onlygood.ImageError as error:
            inspected.append(InspectedImage(name=file.name, file=file, inspection=None, error=str(error)))
        else:
            score = 300.0 if file.name == "hole/lot1/0.png" else found.score
            found = replace(found, score=score, anomaly_map=None)
            inspected.append(InspectedImage(name=file.name, file=file, inspection=found, error=None))
    write_inspection_report(paths["inspection"], inspected, inspector, **settings)

    evaluation = onlygood.evaluate(
        inspector, root / "test", group_by="folder", cost_false_alarm=1, cost_miss=10, anomaly_share=0.01, threads=1
    )
    write_evaluation_report(paths["evaluation"], evaluation, inspector, **settings)

    methods = [
        onlygood.Patch(input_size=64, bank_size=300),
        onlygood.Knn(input_size=64, taps=("stage4",), metric="euclidean"),
    ]
    comparison = onlygood.compare(root, methods, false_alarm_rate=0.1, threads=1)
    write_comparison_report(paths["comparison"], comparison, data_name=f"{LONG}")

    looser = onlygood.calibrate(model, threshold=1000)
    swapped = onlygood.diff(model, looser, root / "test", labelled=True, threads=1)
    write_diff_report(
        paths["diff"], replace(swapped, old_name="part.onnx", new_name=f"{LONG}.onnx"), model, looser, threads=1
    )

    exploration = explore(model, root / "test", threads=1)
    points = np.random.default_rng(2).normal(size=exploration.after.points.shape)
    both = replace(exploration, before=replace(exploration.after, points=points, variance_kept=0.5))
    write_exploration(paths["exploration"], both, **settings)
    return paths


@pytest.fixture
def open_page(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Opens a page of a kind; fails at the end of the test if the browser complained about it."""
    complaints: list[str] = []
    contexts = []

    def opened(kind: str, width: int, *, scheme: str = "light", **settings: Any) -> Any:
        is_phone = width < 600
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            is_mobile=is_phone,
            has_touch=is_phone,
            device_scale_factor=2 if is_phone else 1,
            **settings,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _only_itself(request.url, complaints))
        page.goto(pages[kind].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _only_itself(url: str, complaints: list[str]) -> None:
    if not url.startswith(("file:", "data:image/")):
        complaints.append(f"it asks for {url}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 400, 800, 1200])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_overlaps_or_makes_the_page_wider_than_the_screen(
    open_page: Any, kind: str, width: int, scheme: str
) -> None:
    page = open_page(kind, width, scheme=scheme)
    assert page.evaluate(LAYOUT_CHECK) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    wanted = (palette.LIGHT if scheme == "light" else palette.DARK)["page"]
    assert background == f"rgb({', '.join(str(int(wanted[at : at + 2], 16)) for at in (1, 3, 5))})"


@pytest.mark.parametrize("kind", KINDS)
def test_on_paper_a_page_is_light_whole_and_shows_the_charts_for_wide_screens(open_page: Any, kind: str) -> None:
    page = open_page(kind, A4_WIDTH, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate(LAYOUT_CHECK) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 36, 48)"
    wide, narrow = (
        page.evaluate(f"Array.from(document.querySelectorAll('.chart .{form}'), (each) => each.offsetHeight)")
        for form in ("wide", "narrow")
    )
    assert all(wide) and not any(narrow)


def test_on_a_phone_a_tap_on_a_mark_shows_its_image_within_the_screen(open_page: Any) -> None:
    page = open_page("exploration", 360)
    mark = page.locator(".mark-on-map").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown = page.locator("#shown")
    assert shown.locator("img").count() == 1 and "score" in shown.inner_text()
    place = shown.bounding_box()
    assert place["x"] >= 0 and place["x"] + place["width"] <= 360
    assert page.evaluate(LAYOUT_CHECK) == []


def test_without_scripts_a_map_and_its_legend_are_there(open_page: Any) -> None:
    page = open_page("exploration", 400, java_script_enabled=False)
    assert page.locator(".mark-on-map").count() == 2 * 10
    assert page.locator(".legend li").count() == 4 and page.locator(".legend button").count() == 0
    assert "good" in page.locator(".legend").inner_text()
