import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood.datasets.folders import ImageFile, find_images
from onlygood.errors import ImageError
from onlygood.report import InspectedImage, charts, inspection_report, score_charts, svg, write_inspection_report
from onlygood.report.formatting import format_p_value, score_format
from page_reader import Element, check_page, no_drawing, section
from textures import save, texture, with_defect

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def inspector(model: onlygood.Model) -> onlygood.Inspector:
    return onlygood.Inspector(model, threads=1)


def inspect_all(model: onlygood.Model, folder: Path) -> list[InspectedImage]:
    """As a command would: without maps, and with the reasons of those that cannot be read."""
    inspector = onlygood.Inspector(model, with_map=False, threads=1)
    inspected = []
    for file in find_images(folder):
        try:
            inspection = inspector(file.path, name=file.name)
        except ImageError as error:
            inspected.append(InspectedImage(name=file.name, file=file, inspection=None, error=str(error)))
        else:
            inspected.append(InspectedImage(name=file.name, file=file, inspection=inspection, error=None))
    return inspected


@pytest.fixture(scope="module")
def inspected(model: onlygood.Model, tmp_path_factory: pytest.TempPathFactory) -> list[InspectedImage]:
    """Five good images, three with a defect, and one that is no image."""
    folder = tmp_path_factory.mktemp("incoming")
    save(folder, {f"fine/{number}.png": texture(400 + number) for number in range(5)})
    save(folder, {f"{number}.png": with_defect(texture(500 + number), 40 * number) for number in range(3)})
    (folder / "zz.png").write_bytes(b"no image at all")
    found = inspect_all(model, folder)
    assert [each.inspection.is_anomaly for each in found if each.inspection and "/" not in each.name] == [True] * 3
    return found


Write = Callable[..., Element]


@pytest.fixture
def write(tmp_path: Path, inspector: onlygood.Inspector, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a report without drawing its charts, checks what holds of every page, and returns its tree."""
    for module in (charts, score_charts, svg):
        monkeypatch.setattr(module, "figure_as_svg", no_drawing)

    def written(
        inspected: Sequence[InspectedImage], inspector: onlygood.Inspector = inspector, **keywords: Any
    ) -> Element:
        settings = {"model_name": "part.onnx", "threads": 1, "written_at": NOON, **keywords}
        write_inspection_report(tmp_path / "today.html", inspected, inspector, **settings)
        return check_page((tmp_path / "today.html").read_bytes())

    return written


def with_scores(inspected: InspectedImage, scores: Sequence[float]) -> list[InspectedImage]:
    """The same file under many names, with these scores."""
    found = inspected.inspection
    assert found is not None
    return [
        replace(
            inspected,
            name=f"{number:05}.png",
            inspection=replace(found, name=f"{number:05}.png", score=float(score), is_anomaly=bool(score > 0)),
        )
        for number, score in enumerate(scores)
    ]


def names(element: Element) -> list[str]:
    return [each.text for each in element.all("bdi", class_="name")]


def test_a_page_with_its_charts_is_sound(
    inspected: list[InspectedImage], inspector: onlygood.Inspector, tmp_path: Path
) -> None:
    write_inspection_report(tmp_path / "today.html", inspected, inspector, model_name="part.onnx", threads=1)
    page = check_page((tmp_path / "today.html").read_bytes())
    assert "8 images" in {text.text for text in section(page, "scores").all("text")}


def test_the_verdict_comes_first(write: Write, inspected: list[InspectedImage]) -> None:
    page = write(inspected)
    verdict = page.one("main").children[0]
    assert verdict is section(page, "verdict")
    anomalous = sum(each.inspection is not None and each.inspection.is_anomaly for each in inspected)
    assert verdict.one("p", class_="lead").text == f"{anomalous} of 9 images are anomalous, and 1 could not be read."
    assert [tile.children[1].text for tile in verdict.one("dl").children] == [str(anomalous), str(8 - anomalous), "1"]


def test_images_of_another_kind_than_the_good_ones_are_noted(
    write: Write, inspected: list[InspectedImage], model: onlygood.Model, tmp_path: Path
) -> None:
    assert "differ in kind" not in section(write(inspected), "verdict").text
    save(tmp_path / "larger", {f"{number}.png": texture(number, (200, 200)) for number in range(2)})
    text = section(write([*inspected, *inspect_all(model, tmp_path / "larger")]), "verdict").text
    assert "2 of 11 images differ in kind from all good ones" in text
    assert "size (200 x 200 pixels; good ones 96 x 96)" in text


def test_the_verdict_says_how_many_false_alarms_good_images_would_give(
    write: Write, inspected: list[InspectedImage]
) -> None:
    """16 good images and a rate of 0.1: 8 images that were read, 0.8 of them on average."""
    assert (
        "Were all 8 inspected images good, up to 0.8 of them would on average still be called anomalous, at the "
        "guaranteed false-alarm rate of 10.0%."
    ) in section(write(inspected), "verdict").text


def test_anomalous_images_come_strangest_first_then_those_nearest_to_the_threshold(
    write: Write, inspected: list[InspectedImage]
) -> None:
    page = write(inspected)
    found = [each.inspection for each in inspected if each.inspection is not None]
    anomalous = sorted((each for each in found if each.is_anomaly), key=lambda each: -each.score)
    others = sorted((each for each in found if not each.is_anomaly), key=lambda each: -each.score)
    assert names(section(page, "anomalous")) == [each.name for each in anomalous]
    assert names(section(page, "nearest")) == [each.name for each in others]
    show = score_format([each.score for each in found])
    rows = [[cell.text for cell in row.children] for row in section(page, "anomalous").one("tbody").all("tr")]
    assert rows == [[each.name, show(each.score), format_p_value(each.p_value)] for each in anomalous]


def test_every_card_has_the_image_and_its_map(write: Write, inspected: list[InspectedImage]) -> None:
    page = write(inspected)
    assert [len(card.all("img")) for card in page.all("figure", class_="card")] == [2] * 8
    assert "labelled" not in section(page, "anomalous").text


def test_the_page_is_bounded_and_says_what_it_leaves_out(
    write: Write, inspected: list[InspectedImage], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for bound, value in (("HIGHEST_SHOWN", 3), ("BORDERLINE", 4), ("LISTED", 5)):
        monkeypatch.setattr(inspection_report, bound, value)
    scores = np.linspace(-1, 1, 21)
    page = write(with_scores(inspected[0], scores))
    anomalous, nearest = section(page, "anomalous"), section(page, "nearest")
    assert names(anomalous) == ["00020.png", "00019.png", "00018.png"]
    assert "The 3 most anomalous of 10 are shown." in anomalous.text
    assert len(anomalous.one("tbody").all("tr")) == 5
    assert "5 more are in today.csv." in anomalous.text
    shown = [scores[int(name[:5])] for name in names(nearest)]
    assert shown == sorted(shown, reverse=True)
    np.testing.assert_allclose(sorted(np.abs(shown)), [0, 0.1, 0.1, 0.2], atol=1e-9)
    with (tmp_path / "today.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 21


def test_no_image_is_shown_twice(
    write: Write, inspected: list[InspectedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection_report, "HIGHEST_SHOWN", 2)
    page = write(with_scores(inspected[0], [3.0, 2.0, 0.1, -0.1]))
    shown = names(section(page, "anomalous")) + names(section(page, "nearest"))
    assert sorted(shown) == ["00000.png", "00001.png", "00002.png", "00003.png"]


def test_where_all_are_good_it_says_so_and_shows_those_nearest_to_the_threshold(
    write: Write, inspected: list[InspectedImage]
) -> None:
    page = write(with_scores(inspected[-2], [-0.5, -2.0]))
    assert section(page, "verdict").one("p", class_="lead").text == "0 of 2 images are anomalous."
    assert names(section(page, "nearest")) == ["00000.png", "00001.png"]
    headings = {each.attributes["aria-labelledby"] for each in page.all("section")}
    assert headings == {"verdict", "scores", "nearest", "model", "time"}
    assert "its map" in section(page, "nearest").text


def test_one_anomalous_image_is_spoken_of_in_the_singular(write: Write, inspected: list[InspectedImage]) -> None:
    page = write(with_scores(inspected[0], [0.5]))
    assert section(page, "verdict").one("p", class_="lead").text == "1 of 1 image is anomalous."
    headings = {each.attributes["aria-labelledby"] for each in page.all("section")}
    assert "nearest" not in headings


def test_where_nothing_could_be_read_there_are_no_scores_and_no_time(
    write: Write, inspected: list[InspectedImage]
) -> None:
    page = write([inspected[-1]])
    assert (
        section(page, "verdict").one("p", class_="lead").text == "0 of 1 image is anomalous, and 1 could not be read."
    )
    assert "No image could be read, so there are no scores." in section(page, "scores").text
    assert not page.all("svg", "img")
    assert "took" not in section(page, "time").text
    assert "zz.png is a text file" in section(page, "unreadable").text


def test_the_csv_file_has_a_row_an_image_in_the_order_given(
    write: Write, inspected: list[InspectedImage], tmp_path: Path
) -> None:
    write(inspected)
    with (tmp_path / "today.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [each.name for each in inspected]
    for row, each in zip(rows[:-1], inspected, strict=False):
        found = each.inspection
        assert found is not None
        assert row["verdict"] == ("anomalous" if found.is_anomaly else "good")
        assert (float(row["score"]), float(row["p_value"])) == (found.score, found.p_value)
        assert float(row["latency_ms"]) == round(found.latency_ms, 3)
        assert row["error"] == ""
    assert {**rows[-1], "error": ""} == {**dict.fromkeys(rows[0], ""), "name": "zz.png"}
    assert rows[-1]["error"].startswith("zz.png is a text file")


def test_an_image_that_vanished_since_has_a_card_that_says_so(write: Write, inspected: list[InspectedImage]) -> None:
    missing = ImageFile(Path(os.devnull).parent / "nowhere" / "a.png", "a.png")
    page = write([replace(inspected[0], file=missing), inspected[1]])
    cards = [each for each in section(page, "anomalous").all("li") if each.all("figure")]
    assert {len(card.all("img")) for card in cards} == {0, 2}
    assert "It can no longer be read: 0.png does not exist: check the path." in section(page, "anomalous").text


def test_hostile_names_are_shown_as_text(write: Write, inspected: list[InspectedImage], tmp_path: Path) -> None:
    hostile = [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "a\nb\u202e\udcff",
        "שלום.png",
        "@SUM(A1)",
    ]
    page = write([replace(inspected[0], name=name) for name in hostile])
    shown = [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "a\\nb\\u202e\\udcff",
        "שלום.png",
        "@SUM(A1)",
    ]
    assert sorted(names(section(page, "anomalous"))) == sorted(shown)
    with (tmp_path / "today.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [*shown[:4], "'@SUM(A1)"]


def test_pages_of_one_file_are_images_of_their_own(write: Write, model: onlygood.Model, tmp_path: Path) -> None:
    import tifffile

    stack = np.stack([texture(600), with_defect(texture(601)), texture(602)])
    (tmp_path / "stack").mkdir()
    tifffile.imwrite(tmp_path / "stack" / "lot.tif", stack, photometric="minisblack")
    inspector = onlygood.Inspector(model, with_map=False, threads=1)
    inspected = [
        InspectedImage(
            name=file.name, file=file, inspection=inspector(file.path, name=file.name, page=file.page), error=None
        )
        for file in find_images(tmp_path / "stack")
    ]
    page = write(inspected)
    assert "lot.tif#2" in names(section(page, "anomalous"))
    assert not page.all("span", class_="problem")


def test_a_report_needs_an_image(write: Write) -> None:
    with pytest.raises(ValueError, match="a report needs at least one inspected image, got none"):
        write([])


def test_an_image_has_an_inspection_or_an_error(inspected: list[InspectedImage]) -> None:
    for broken in ({"inspection": None, "error": None}, {"error": "both"}):
        with pytest.raises(ValueError, match=r"must have an inspection or an error, got both or none: '0\.png'"):
            replace(inspected[0], **broken)


def test_thousands_of_images_make_a_small_page(write: Write, inspected: list[InspectedImage], tmp_path: Path) -> None:
    page = write(with_scores(inspected[0], np.random.default_rng(0).normal(0, 1, 5000)))
    assert (
        len(page.all("figure", class_="card")) == inspection_report.HIGHEST_SHOWN + inspection_report.BORDERLINE == 124
    )
    assert (tmp_path / "today.html").stat().st_size < 6e6
