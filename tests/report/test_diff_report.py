"""The page of a diff."""

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import onlygood
from onlygood.errors import SettingError
from onlygood.model_diff.rows import COLUMNS
from onlygood.report import diff_chart, diff_report, svg, write_diff_report
from page_reader import Element, check_page, no_drawing, section
from textures import save, texture, with_defect

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def looser(model: onlygood.Model) -> onlygood.CalibratedModel:
    return onlygood.calibrate(model, threshold=1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = {f"good/{number}.png": texture(100 + number) for number in range(4)}
    images |= {f"<hole>/{number}.png": with_defect(texture(110 + number)) for number in range(2)}
    root = save(tmp_path_factory.mktemp("test"), images)
    (root / "good" / "torn.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def diff(model: onlygood.Model, looser: onlygood.CalibratedModel, folder: Path) -> onlygood.Diff:
    found = onlygood.diff(model, looser, folder, labelled=True, threads=1)
    return replace(found, old_name="part.onnx", new_name="<new> & part.onnx")


@pytest.fixture(scope="module")
def written(
    diff: onlygood.Diff,
    model: onlygood.Model,
    looser: onlygood.CalibratedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("page") / "swap.html"
    write_diff_report(path, diff, model, looser, threads=1, written_at=NOON)
    return path


@pytest.fixture(scope="module")
def page(written: Path) -> Element:
    return check_page(written.read_bytes())


def test_what_flips_comes_first(page: Element, diff: onlygood.Diff) -> None:
    first = page.one("main").children[0]
    assert first is section(page, "verdict")
    said = [each.text for each in first.all("p")]
    assert (said[0], *said[1:]) == (diff.sentences[0], *diff.sentences[2:])
    figures = [each.text.split()[0] for each in first.all("dd") if "figure" in (each.attributes.get("class") or "")]
    assert figures == [str(each) for each in (len(diff.to_anomalous), len(diff.to_good), *diff.anomalous)]
    assert page.one("h1").text == "part.onnx and <new> & part.onnx"


def test_what_differs_is_a_table(page: Element, diff: onlygood.Diff) -> None:
    rows = section(page, "differs").one("tbody").all("tr")
    assert [[cell.text for cell in row.children] for row in rows] == [
        [fact.label, fact.old or "none", fact.new or "none"] for fact in diff.facts
    ]


def test_each_flip_has_the_image_and_both_maps(page: Element, diff: onlygood.Diff) -> None:
    cards = section(page, "flips").one("ul").all("li")
    assert len(cards) == len(diff.flips) >= 2
    for card, each in zip(cards, diff.flips, strict=True):
        assert len(card.all("img")) == 3
        assert each.name in card.text
        assert f"the {'new' if each.is_right else 'old'} model is right" in card.text
        relative = f"relative {each.old.relative_score:+.2f}".replace("-", MINUS)
        assert relative in card.text
    listed = section(page, "flips").one("tbody").all("tr")
    assert [row.children[0].text for row in listed] == [each.name for each in diff.flips]


def test_refused_images_are_named(page: Element, diff: onlygood.Diff) -> None:
    (item,) = section(page, "refused").all("li")
    assert item.text == f"good/torn.png: {diff.refused[0].sentence}"


def test_every_image_is_in_the_csv_file(written: Path, diff: onlygood.Diff) -> None:
    with written.with_suffix(".csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert len(rows) == len(diff.images) + len(diff.refused)
    assert [row[0] for row in rows[: len(diff.flips)]] == [each.name for each in diff.flips]


def test_of_many_flips_those_with_the_largest_change_are_shown(
    diff: onlygood.Diff,
    model: onlygood.Model,
    looser: onlygood.CalibratedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(svg, "figure_as_svg", no_drawing)
    monkeypatch.setattr(diff_report, "CARDS_SHOWN", 1)
    monkeypatch.setattr(diff_report, "LISTED", 1)
    write_diff_report(tmp_path / "swap.html", diff, model, looser, threads=1, written_at=NOON)
    found = section(check_page((tmp_path / "swap.html").read_bytes()), "flips")
    assert len(found.one("ul").all("li")) == 1
    assert f"1 of {len(diff.flips)} are shown" in found.text
    more = len(diff.flips) - 1
    assert f"{more} more {'is' if more == 1 else 'are'} in swap.csv." in found.text


def test_without_flips_and_relative_scores_their_sections_are_left_out(
    diff: onlygood.Diff, model: onlygood.Model, looser: onlygood.CalibratedModel, tmp_path: Path
) -> None:
    same = [
        replace(each, old=replace(each.old, relative_score=None), new=replace(each.old, relative_score=None))
        for each in diff.images
    ]
    quiet = replace(diff, images=tuple(same), refused=(), notes=("A note.",))
    write_diff_report(tmp_path / "swap.html", quiet, model, looser, threads=1, written_at=NOON)
    page = check_page((tmp_path / "swap.html").read_bytes())
    assert [each.attributes["aria-labelledby"] for each in page.all("section")] == ["verdict", "differs"]
    assert "A note." in page.text


def test_a_page_needs_its_ending(diff: onlygood.Diff, model: onlygood.Model, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"must have a name that ends in \.html"):
        write_diff_report(tmp_path / "swap.pdf", diff, model, model)


def test_the_axes_of_the_chart_are_even_near_the_threshold_and_logarithmic_beyond() -> None:
    values = np.array([-50.0, -2.0, -1.0, 0.0, 0.5, 2.0, 2 * np.e, 1e4])
    placed = diff_chart._even_then_logarithmic(values)
    np.testing.assert_allclose(placed[1:6], values[1:6])
    assert placed[6] == pytest.approx(4.0)
    assert (np.diff(placed) > 0).all()
    np.testing.assert_allclose(diff_chart._back(placed), values)
    assert diff_chart._ticks(-1.5, 3.0, 9) == [-1.0, 0.0, 1.0, 2.0]
    assert diff_chart._ticks(-60.0, 2000.0, 5) == [-10.0, -1.0, 0.0, 1.0, 10.0, 100.0, 1000.0]
