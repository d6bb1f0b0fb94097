"""`onlygood roi` as people use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import left, one_sentence
from onlygood.images.roi import read_roi
from page_reader import read_page
from test_roi_proposal import SIZE, on_background
from textures import numbered, save, texture


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return save(tmp_path / "parts", numbered([on_background(seed) for seed in range(6)]))


def test_it_proposes_a_mask_that_reads_as_one(run: Any, parts: Path, tmp_path: Path) -> None:
    ran = run("roi", parts, "-o", tmp_path / "roi.png")
    assert (ran.code, ran.err) == (0, "")
    mask = read_roi(tmp_path / "roi.png")
    assert mask.shape == (SIZE, SIZE) and mask[80, 80] and not mask[0, 0]
    assert ran.out == f"{tmp_path / 'roi.png'}: {mask.mean():.1%} of {SIZE} x {SIZE} pixels are looked at\n"


def test_where_no_background_is_found_it_says_so(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "parts", numbered([texture(seed) for seed in range(4)]))
    ran = run("roi", tmp_path / "parts", "-o", tmp_path / "roi.png")
    assert ran.code == 0
    assert ran.err.startswith("note: no background was found that is plain and the same in all images")
    assert read_roi(tmp_path / "roi.png").all()


def test_polygons_of_a_tool_become_a_mask(run: Any, parts: Path, tmp_path: Path) -> None:
    drawn = {
        "1.png": {"regions": [{"shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}}]}
    }
    (tmp_path / "via.json").write_text(json.dumps(drawn))
    ran = run("roi", parts, "--from", tmp_path / "via.json", "-o", tmp_path / "roi.png")
    assert ran.code == 0
    expected = np.zeros((SIZE, SIZE), bool)
    expected[20:60, 10:40] = True
    assert np.array_equal(np.asarray(Image.open(tmp_path / "roi.png")), expected)


def test_the_page_is_one_file_with_a_few_images(run: Any, parts: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    ran = run("roi", parts, "--page", tmp_path / "out" / "roi.html")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{tmp_path / 'out' / 'roi.html'}: open it in a browser, draw, and save roi.png\n"
    assert left(tmp_path / "out") == ["roi.html"]
    content = (tmp_path / "out" / "roi.html").read_bytes()
    page = read_page(content)
    assert page.one("h1").text == "Draw where parts is looked at"
    data = json.loads("".join(page.one("script", id="data").pieces))
    assert [each["name"] for each in data["images"]] == [f"{number:02}.png" for number in range(6)]
    assert (data["width"], data["height"], data["maskWidth"], data["mask"]) == (SIZE, SIZE, SIZE, None)
    for outside in (b"http:", b"https:", b"@import", b"file:"):
        assert outside not in content
    proposed = run("roi", parts, "--page", tmp_path / "out" / "roi.html", "-o", tmp_path / "roi.png")
    assert proposed.code == 0
    assert b'"mask": "data:image/png;base64,' in (tmp_path / "out" / "roi.html").read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("{root}/parts",), "roi needs -o or --page, got neither: say where the mask or the page to draw on goes"),
        (
            ("{root}/parts", "-o", "roi.jpg"),
            "a mask must have a name that ends in .png, got 'roi.jpg': a page to draw on goes with --page",
        ),
        (
            ("{root}/parts", "--page", "roi.png"),
            "a page to draw on must have a name that ends in .html, got 'roi.png': it is one page for any browser",
        ),
        (("{root}/none", "-o", "{root}/a.png"), "{root}/none does not exist: check the path"),
        (
            ("{root}/two", "-o", "{root}/a.png"),
            "a region is proposed from at least 3 good images of one shape, got 2: add images, or draw it with --page",
        ),
        (
            ("{root}/torn", "--page", "{root}/a.html"),
            "roi needs images that can be read, got none of 1: 0.png is a text file, which is not read: give an image",
        ),
        (
            ("{root}/parts", "--from", "{root}/none.json", "-o", "{root}/a.png"),
            "{root}/none.json does not exist: check the path",
        ),
        (
            ("{root}/parts", "-o", "{root}/none/a.png"),
            "{root}/none/a.png cannot be written: there is no folder {root}/none: make it first",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    run: Any, parts: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    save(tmp_path / "two", numbered([texture(0), texture(1)]))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "0.png").write_bytes(b"no image")
    assert one_sentence(run("roi", *(option.format(root=tmp_path) for option in options))) == sentence.format(
        root=tmp_path
    )
