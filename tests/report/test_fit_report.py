import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood.calibration.threshold import calibrate
from onlygood.report import charts, fit_report, score_charts, svg, write_fit_report
from onlygood.report.formatting import percent_notation, score_format
from onlygood.threshold_notes import deciding_sentence
from page_reader import Element, check_page, no_drawing, section
from textures import Array

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHARES = percent_notation([0.1])

Write = Callable[..., Element]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a report without drawing its charts, checks what holds of every page, and returns its tree."""
    for module in (charts, score_charts, svg):
        monkeypatch.setattr(module, "figure_as_svg", no_drawing)

    def written(model: onlygood.Model, **keywords: Any) -> Element:
        settings = {"model_name": "part.onnx", "threads": 1, "written_at": NOON, **keywords}
        write_fit_report(tmp_path / "fit.html", model, **settings)
        return check_page((tmp_path / "fit.html").read_bytes())

    return written


def cells(table: Element) -> list[list[str]]:
    return [[cell.text for cell in row.children] for row in table.one("tbody").all("tr")]


def test_a_page_with_its_charts_is_sound(model: onlygood.Model, tmp_path: Path) -> None:
    curves = {"compactness loss": [3.0, 2.0, 1.5], "descriptiveness loss": [0.3, 0.2, 0.25]}
    write_fit_report(tmp_path / "fit.html", model, model_name="part.onnx", curves=curves, threads=1)
    page = check_page((tmp_path / "fit.html").read_bytes())
    assert [svg.one("title").text for svg in section(page, "training").all("svg")] == list(curves)
    assert "dotted: guaranteed rate 10.0%" in {text.text for text in section(page, "scores").all("text")}


def test_the_guarantee_comes_first_in_its_own_words(write: Write, model: onlygood.Model) -> None:
    page = write(model)
    verdict = page.one("main").children[0]
    assert verdict is section(page, "verdict")
    first, *others = model.guarantee.sentences_in(SHARES)
    assert first.startswith("At most 10.0% of good images")
    assert verdict.one("p", class_="lead").text == (
        f"Learned from {model.guarantee.fitted_images} good images. {first}"
    )
    assert all(sentence in verdict.text for sentence in others)


def test_what_decides_the_threshold_is_said_in_the_pages_form(write: Write, model: onlygood.Model) -> None:
    assert model.deciding in section(write(model), "verdict").text
    said = [
        deciding_sentence(model.calibration, model.good_images, rule="estimated", is_exact=False, **notation)
        for notation in ({}, {"notation": SHARES})
    ]
    assert " at a rate of 0.01" in said[0] and " at a rate of 1.0%" in said[1]
    assert said[0] == said[1].replace("rate of 1.0%", "rate of 0.01").replace("rate of 5.0%", "rate of 0.05")


def test_notes_are_shown_where_there_are_any(write: Write, model: onlygood.Model) -> None:
    page = write(replace(model, notes=("2 of 18 files are <not> images.",)))
    assert section(page, "verdict").one("ul", class_="notes").text == "2 of 18 files are <not> images."
    assert not section(write(replace(model, notes=())), "verdict").all("ul")


def test_the_images_above_the_threshold_are_counted_among_those_that_calibrate(
    write: Write, model: onlygood.Model
) -> None:
    first, second, *others = model.good_images
    changed = [
        replace(first, score=0.5, calibrates=True),
        replace(second, score=0.7, calibrates=False),
        *(replace(each, score=-1.0) for each in others),
    ]
    page = write(replace(model, good_images=tuple(changed)))
    assert "1 of 15" in section(page, "verdict").one("dl").text
    wide, narrow = (svg.one("desc").text for svg in page.all("svg") if svg.one("title").text.startswith("Scores"))
    assert wide == narrow == "Histogram of scores, the threshold at 0. 1 of 15 good images lie above the threshold."


def test_the_strangest_are_shown_and_listed(write: Write, model: onlygood.Model) -> None:
    highest_scoring = section(write(model), "most-anomalous")
    cards = highest_scoring.one("ul", class_="cards")
    assert [each.text for each in cards.all("bdi", class_="name")] == [
        each.image.name for each in model.highest_scoring
    ]
    assert {len(card.all("img")) for card in cards.all("li")} == {2}
    show = score_format([each.score for each in model.good_images])
    ordered = sorted(model.good_images, key=lambda each: -each.score)
    assert [row[:2] for row in cells(highest_scoring.one("table"))] == [
        [each.name, show(each.score)] for each in ordered
    ]


def test_the_list_of_the_strangest_is_bounded(
    write: Write, model: onlygood.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_report, "LISTED", 3)
    highest_scoring = section(write(model), "most-anomalous")
    assert len(cells(highest_scoring.one("table"))) == 3
    assert "All 16 are in fit.csv." in highest_scoring.text


def test_a_good_image_that_is_gone_has_a_card_that_says_so(write: Write, model: onlygood.Model) -> None:
    def gone() -> Array:
        raise onlygood.ImageError("7.png does not exist: check the path")

    first, *others = model.highest_scoring
    strange = replace(first, source=replace(first.source, read=gone))
    cards = section(write(replace(model, highest_scoring=(strange, *others))), "most-anomalous").all(
        "figure", class_="card"
    )
    assert [len(card.all("img")) for card in cards] == [0] + [2] * len(others)
    assert "It can no longer be read: 7.png does not exist: check the path." in cards[0].text


def test_groups_are_listed_the_largest_first(write: Write, model: onlygood.Model) -> None:
    groups = [0, 0, 1, 1, 1, *range(2, 13)]
    images = [replace(each, group=group) for each, group in zip(model.good_images, groups, strict=True)]
    page = write(replace(model, good_images=tuple(images)))
    show = score_format([each.score for each in images])
    text = section(page, "groups")
    assert "The 16 good images form 13 groups." in text.text
    assert cells(text.one("table")) == [
        [images[2].name, "3", show(max(each.score for each in images[2:5]))],
        [images[0].name, "2", show(max(each.score for each in images[:2]))],
    ]


def test_groups_of_one_image_each_need_no_table(write: Write, model: onlygood.Model) -> None:
    alone = [replace(each, group=number) for number, each in enumerate(model.good_images)]
    groups = section(write(replace(model, good_images=tuple(alone))), "groups")
    assert "Each of the 16 good images is a group of its own." in groups.text
    assert not groups.all("table")


def test_without_a_training_there_are_no_curves(write: Write, model: onlygood.Model) -> None:
    assert "training" not in {each.attributes["aria-labelledby"] for each in write(model).all("section")}


def test_the_csv_file_has_a_row_a_good_image(write: Write, model: onlygood.Model, tmp_path: Path) -> None:
    write(model)
    with (tmp_path / "fit.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], float(row["score"]), int(row["group"]), int(row["calibrates"])) for row in rows] == [
        (each.name, each.score, each.group, int(each.calibrates)) for each in model.good_images
    ]


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.01])
def test_the_curve_of_shares_is_what_is_guaranteed_at_every_score(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share above a score is the weight of the calibration scores above it, and the next image's own."""
    scores = np.array([0.5, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0], np.float32)
    calibration = calibrate(scores, ["a", "a", "b", "c", "c", "c", "d", "e"], rate)
    drawn: dict[str, Any] = {}

    def record(identifier: str, scores: Array, shares: Array, **others: Any) -> str:
        drawn.update(scores=scores, shares=shares, **others)
        return ""

    monkeypatch.setattr(score_charts, "share_above", record)
    fit_report._share_above(calibration, SHARES)
    different = sorted(set(calibration.scores.tolist()))
    expected = [
        sum(weight for score, weight in zip(calibration.scores, calibration.weights, strict=True) if score > level)
        + 1 / 6
        for level in different
    ]
    np.testing.assert_allclose(drawn["scores"], np.array(different) - calibration.threshold)
    np.testing.assert_allclose(drawn["shares"], expected)
    assert drawn["rate"] == calibration.stated_rate
    at_threshold = drawn["shares"][drawn["scores"] == 0]
    assert len(at_threshold) == 1 and at_threshold[0] <= calibration.stated_rate + 1e-9


def test_a_16_bit_model_shows_its_images_through_its_window(write: Write, sixteen_bit_model: onlygood.Model) -> None:
    page = write(sixteen_bit_model)
    assert len(section(page, "most-anomalous").all("img")) == 2 * len(sixteen_bit_model.highest_scoring)
    assert "uint16, grey" in section(page, "model").text
