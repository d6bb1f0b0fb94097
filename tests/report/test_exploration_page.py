"""The page of `onlygood explore`."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.exploration.explore import Exploration, explore
from onlygood.report import palette, write_exploration
from onlygood.report.exploration_page import WIDTH
from page_reader import Element, check_page, section
from textures import save, texture, with_defect

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)<",
    "'\"><img src=x onerror=alert(1)>.png",
    "{{ 7 * 7 }} %}.png",
    "\u202egnp.png",
    "&lt;b&gt;.png",
    "<!--.png",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("test")
    images = {f"good/{number}.png": texture(400 + number) for number in range(5)}
    return save(root, images | {f"hole/{number}.png": with_defect(texture(500 + number)) for number in range(3)})


@pytest.fixture(scope="module")
def exploration(model: onlygood.Model, folder: Path) -> Exploration:
    return explore(model, folder, threads=1)


def with_before(exploration: Exploration) -> Exploration:
    points = np.random.default_rng(2).normal(size=exploration.after.points.shape)
    return replace(exploration, before=replace(exploration.after, points=points, variance_kept=0.5))


def write(path: Path, exploration: Exploration, **keywords: Any) -> bytes:
    settings = {"model_name": "part.onnx", "threads": 1, "written_at": NOON, **keywords}
    write_exploration(path / "map.html", exploration, **settings)
    return (path / "map.html").read_bytes()


def data_of(page: Element) -> dict[str, Any]:
    (element,) = page.all("script", type="application/json")
    found: dict[str, Any] = json.loads("".join(element.pieces))
    return found


def test_the_page_stands_alone_and_runs_its_own_script_alone(exploration: Exploration, tmp_path: Path) -> None:
    page = check_page(write(tmp_path, exploration), with_script=True)
    data, script = page.all("script")
    assert (data.attributes, script.attributes) == ({"type": "application/json", "id": "data"}, {})
    digest = base64.b64encode(hashlib.sha256("".join(script.pieces).encode()).digest()).decode()
    (policy,) = [each for each in page.all("meta") if each.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"] == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["map.html"]


def test_every_image_has_a_mark_by_verdict_and_kind_and_says_what_it_is(
    exploration: Exploration, tmp_path: Path
) -> None:
    page = check_page(write(tmp_path, exploration), with_script=True)
    svg = page.one("svg")
    marks = {int(mark.attributes["data-image"]): mark for mark in svg.all("circle", "path", class_="mark-on-map")}
    assert sorted(marks) == list(range(8))
    for number, (image, found) in enumerate(zip(exploration.images, exploration.inspections, strict=True)):
        assert marks[number].tag == ("path" if found.is_anomaly else "circle")
        assert f"kind-{image.label}" in marks[number].attributes["class"].split()
        verdict = "anomalous" if found.is_anomaly else "good"
        label = exploration.labels[image.label].name
        assert marks[number].one("title").text.startswith(f"{image.name}, {label}, called {verdict}, score ")
    assert {found.is_anomaly for found in exploration.inspections} == {False, True}
    style = "".join(page.one("style").pieces)
    assert f".kind-0 {{ --colour: {palette.KINDS[0]};" in style and f".kind-1 {{ --colour: {palette.KINDS[1]};" in style


def test_marks_lie_within_the_map_at_one_scale(exploration: Exploration, tmp_path: Path) -> None:
    page = check_page(write(tmp_path, exploration), with_script=True)
    (places,) = data_of(page)["places"]
    _, _, width, height = map(float, page.one("svg").attributes["viewbox"].split())
    assert width == WIDTH
    x, y = np.array(places).T
    assert x.min() > 0 and x.max() < width
    assert y.min() > 0 and y.max() < height
    points = exploration.after.points
    scale = np.ptp(x) / np.ptp(points[:, 0])
    np.testing.assert_allclose(x - x.mean(), (points[:, 0] - points[:, 0].mean()) * scale, atol=0.2)
    np.testing.assert_allclose(y - y.mean(), (points[:, 1].mean() - points[:, 1]) * scale, atol=0.2)


def test_the_script_has_each_image_and_its_thumbnail(exploration: Exploration, tmp_path: Path) -> None:
    data = data_of(check_page(write(tmp_path, exploration), with_script=True))
    assert [each["name"] for each in data["images"]] == [image.name for image in exploration.images]
    scores = [found.score for found in exploration.inspections]
    assert data["highest_scoring"] == np.argsort(-np.array(scores), kind="stable").tolist()
    for each in data["images"]:
        uri, width, height = each["thumbnail"]
        thumbnail = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        assert thumbnail.size == (width, height) == (192, 192)


def test_before_and_after_training_stand_side_by_side(exploration: Exploration, tmp_path: Path) -> None:
    page = check_page(write(tmp_path, with_before(exploration)), with_script=True)
    assert [heading.text for heading in section(page, "maps").all("h3")] == ["Before training", "After training"]
    assert len(page.all("svg")) == len(data_of(page)["places"]) == 2
    assert len({svg.attributes["viewbox"] for svg in page.all("svg")}) == 1
    captions = [caption.text for caption in page.all("figcaption")]
    assert "keep 50.0% of the variance; perplexity 2.333." in captions[0]
    assert "mirrored" in section(page, "reading").text


def test_why_there_is_no_map_before_training_is_said(exploration: Exploration, tmp_path: Path) -> None:
    page = check_page(write(tmp_path, replace(exploration, before_note="Give <its> file.")), with_script=True)
    assert page.one("p", class_="status").text == "Give <its> file."


def test_how_many_of_how_many_are_shown(model: onlygood.Model, folder: Path, tmp_path: Path) -> None:
    page = check_page(write(tmp_path, explore(model, folder, max_images=6, seed=4)), with_script=True)
    text = section(page, "folders").text
    assert "6 of 8 images were drawn at random, with seed 4" in text
    rows = [[cell.text for cell in row.children] for row in section(page, "folders").one("tbody").all("tr")]
    assert [row[:3] for row in rows] == [["good", "3", "5"], ["hole", "3", "3"]]


def test_equal_seeds_write_equal_pages(
    model: onlygood.Model, folder: Path, exploration: Exploration, tmp_path: Path
) -> None:
    once = write(tmp_path, exploration)
    assert write(tmp_path, explore(model, folder, threads=2), threads=2) == once
    few = write(tmp_path, explore(model, folder, max_images=6, seed=1))
    assert write(tmp_path, explore(model, folder, max_images=6, seed=1)) == few
    assert write(tmp_path, explore(model, folder, max_images=6, seed=2)) != few


def test_hostile_names_are_text_and_nothing_else(model: onlygood.Model, tmp_path: Path) -> None:
    root = tmp_path / "in"
    # The slash of the closing tag makes a folder: both halves are shown.
    save(root, {"<script>alert(1)</script>.png": texture(1)} | {f"a/{name}": texture(3) for name in HOSTILE[1:]})
    content = write(tmp_path, explore(model, root), model_name="</script><b>.onnx")
    page = check_page(content, with_script=True)
    assert len(page.all("script")) == 2 and not page.all("b", "img")
    names = [each["name"] for each in data_of(page)["images"]]
    assert "<script>alert(1)</script>.png" in names and r"a/\u202egnp.png" in names
    assert "<script>alert(1)<" in [each.text for each in section(page, "folders").all("bdi")]
    titles = [title.text for title in page.one("svg").all("title")]
    assert any(title.startswith("a/'\"><img src=x onerror=alert(1)>.png, a, called ") for title in titles)
    assert "49" not in " ".join(names)


def test_images_that_cannot_be_read_or_not_any_more_are_said_to_be(
    model: onlygood.Model, folder: Path, tmp_path: Path
) -> None:
    root = save(tmp_path / "in", {f"{number}.png": texture(number) for number in range(6)})
    (root / "torn<.png").write_bytes(b"no image")
    exploration = explore(model, root)
    (root / "0.png").unlink()
    page = check_page(write(tmp_path, exploration), with_script=True)
    assert "torn<.png is a text file" in section(page, "unreadable").text
    assert "Every image of these folders that could be read is shown." in section(page, "folders").text
    assert [each["thumbnail"] is None for each in data_of(page)["images"]] == [True, *[False] * 5]


def test_equal_images_lie_on_one_place(model: onlygood.Model, tmp_path: Path) -> None:
    root = save(tmp_path / "in", {f"{number}.png": texture(1) for number in range(6)})
    (places,) = data_of(check_page(write(tmp_path, explore(model, root)), with_script=True))["places"]
    assert len({tuple(place) for place in places}) == 1


def test_more_kinds_than_colours_are_told_apart_by_hollow_marks(exploration: Exploration, tmp_path: Path) -> None:
    others = [replace(exploration.labels[1], name=f"more {number}") for number in range(len(palette.KINDS))]
    reference = replace(exploration.labels[1], name="reference: x", is_reference=True)
    page = check_page(
        write(tmp_path, replace(exploration, labels=(*exploration.labels, *others, reference))), with_script=True
    )
    style = "".join(page.one("style").pieces)
    inside = dict(re.findall(r"\.kind-(\d+) \{ --colour: #\w+; --inside: var\(--(\w+)\)", style))
    assert [inside[str(number)] for number in (0, 9, 10, 11, 12)] == ["colour", "colour", "page", "page", "colour"]
    assert f".kind-12 {{ --colour: {palette.REFERENCES[0]};" in style


def test_two_thousand_images_stay_below_ten_megabytes(
    model: onlygood.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By sixty, at the size that two thousand get."""
    root = save(tmp_path / "in", {f"{number}.png": texture(number, (200, 200)) for number in range(60)})
    exploration = explore(model, root)
    monkeypatch.setattr("onlygood.report.exploration_page._THUMBNAILS", ())
    assert len(write(tmp_path, exploration)) / 60 < 10e6 / 2000
