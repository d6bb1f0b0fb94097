"""The page of a comparison."""

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood.comparison.compare import FailedMethod
from onlygood.comparison.recommendation import Recommendation
from onlygood.evaluation.rates import GuaranteeCheck
from onlygood.metrics.image import exact_proportion
from onlygood.report import charts, comparison_report, score_charts, svg, write_comparison_report
from onlygood.report.formatting import format_area, percent_notation
from page_reader import Element, check_page, no_drawing, section
from textures import DEFECT, SIZE, save, texture, with_defect

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DASH = "\N{EN DASH}"
SHARES = percent_notation([0.1])


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> onlygood.Comparison:
    """Three clear defects with masks, one that nobody can see, and a torn file; a method that cannot be fitted."""
    root = tmp_path_factory.mktemp("parts")
    images = {f"test/good/{number}.png": texture(200 + number) for number in range(4)}
    images |= {f"test/hole/{number}.png": with_defect(texture(300 + number)) for number in range(3)}
    images |= {f"train/good/{number}.png": texture(number) for number in range(8)} | {"test/hole/9.png": texture(310)}
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[DEFECT] = 255
    save(root, images | {f"ground_truth/hole/{number}_mask.png": mask for number in range(3)})
    (root / "test" / "good" / "torn.png").write_bytes(b"no image")
    methods = [
        onlygood.Patch(input_size=64, bank_size=300),
        onlygood.Knn(input_size=64, taps=("stage4",)),
    ]
    return onlygood.compare(root, [*methods, "doc"], false_alarm_rate=0.2, threads=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, comparison: onlygood.Comparison) -> Element:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_comparison_report(path, comparison, data_name="parts", written_at=NOON)
    return check_page(path.read_bytes())


Write = Callable[[onlygood.Comparison], Element]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a report without drawing its charts, checks what holds of every page, and returns its tree."""
    for module in (charts, score_charts, svg):
        monkeypatch.setattr(module, "figure_as_svg", no_drawing)

    def written(comparison: onlygood.Comparison) -> Element:
        write_comparison_report(tmp_path / "report.html", comparison, data_name="parts", written_at=NOON)
        return check_page((tmp_path / "report.html").read_bytes())

    return written


def cells(table: Element) -> list[list[str]]:
    return [[cell.text for cell in row.children] for row in table.one("tbody").all("tr")]


def test_the_recommendation_comes_first_with_all_its_sentences(page: Element, comparison: onlygood.Comparison) -> None:
    first = page.one("main").children[0]
    assert first is section(page, "verdict")
    assert tuple(each.text for each in first.all("p")) == comparison.recommendation.sentences


def test_the_figures_are_those_of_the_comparison(page: Element, comparison: onlygood.Comparison) -> None:
    errors, others = (cells(table) for table in section(page, "figures").all("table"))
    assert len(errors) == len(others) == 2
    for method, error, other in zip(comparison.measured, errors, others, strict=True):
        evaluation = method.evaluation
        image, pixel = evaluation.image, evaluation.pixel
        assert image.misses is not None and image.false_alarms is not None and image.auroc is not None
        assert pixel is not None and evaluation.guarantee is not None
        assert error[0].removesuffix(" (recommended)") == other[0].removesuffix(" (recommended)") == method.label
        assert error[1:5] == [
            text
            for share in (image.misses, image.false_alarms)
            for text in (
                f"{share.events} of {share.trials}",
                f"{SHARES.share(share.low, 3)} to {SHARES.share(share.high, 3)}",
            )
        ]
        assert error[6] == evaluation.guarantee.verdict.replace("consistent", "not contradicted")
        assert other[1:] == [
            format_area(image.auroc.value),
            f"{format_area(image.auroc.low)} to {format_area(image.auroc.high)}",
            format_area(pixel.metrics.pixel_auroc),
            format_area(pixel.metrics.aupro),
            f"{method.fit_seconds:.1f} s",
            f"{method.latency_ms:.1f} ms",
            f"{method.megabytes:.1f} MB",
        ]


def test_the_method_that_is_recommended_is_marked(write: Write, comparison: onlygood.Comparison) -> None:
    knn = comparison.measured[1].label
    chosen = replace(comparison, recommendation=Recommendation(method=knn, sentences=("So.",), tests=()))
    rows = cells(section(write(chosen), "figures").all("table")[0])
    assert ["(recommended)" in row[0] for row in rows] == [False, True]
    none = replace(comparison, recommendation=Recommendation(method=None, sentences=("So.",), tests=()))
    assert "(recommended)" not in write(none).text


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("contradicted", "contradicted"), ("consistent", "not contradicted"), ("confirmed", "confirmed")],
)
def test_what_was_observed_stands_beside_what_is_stated(
    write: Write, comparison: onlygood.Comparison, verdict: str, said: str
) -> None:
    patch = comparison.measured[0]
    check = GuaranteeCheck(stated_rate=0.2, observed=exact_proportion(3, 4), verdict=verdict, sentence="So.")
    changed = replace(patch, evaluation=replace(patch.evaluation, guarantee=check))
    rows = cells(section(write(replace(comparison, measured=(changed,))), "figures").all("table")[0])
    assert rows[0][6] == said
    assert rows[0][5].endswith(("guaranteed", "estimated"))


def test_methods_that_were_not_measured_are_listed_with_their_reasons(
    page: Element, write: Write, comparison: onlygood.Comparison
) -> None:
    (item,) = section(page, "figures").one("ul").all("li")
    assert item.text.startswith("doc: reference must be given for method doc, got none")
    both = replace(comparison, failed=(*comparison.failed, FailedMethod(label="b<i>", reason="it is <b>broken</b>")))
    assert section(write(both), "figures").one("ul").all("li")[1].text == "b<i>: it is <b>broken</b>."


def test_each_method_has_a_histogram_of_good_and_anomalous_images(
    page: Element, comparison: onlygood.Comparison
) -> None:
    charts_ = section(page, "scores").all("figure")
    assert [chart.one("figcaption").text for chart in charts_] == [method.label for method in comparison.measured]
    for chart, method in zip(charts_, comparison.measured, strict=True):
        found = sum(each.is_anomaly for each in method.evaluation.images if each.labelled.is_anomalous)
        assert f"{found} of 4 anomalous images lie above the threshold" in chart.one("svg").one("desc").text


def test_missed_images_are_listed_with_what_every_method_says(
    page: Element, write: Write, comparison: onlygood.Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {row[0]: row[1:] for row in cells(section(page, "missed").one("table"))}
    expected: dict[str, list[str]] = {}
    for method in comparison.measured:
        for each in method.evaluation.images:
            if each.labelled.is_anomalous:
                expected.setdefault(each.labelled.name, ["hole"]).append("found" if each.is_anomaly else "missed")
    assert "missed" in expected["hole/9.png"], "nobody can see it"
    assert rows == {name: row for name, row in expected.items() if "missed" in row}
    monkeypatch.setattr(comparison_report, "LISTED_IMAGES", 0)
    assert (
        f"{len(rows)} more {'is' if len(rows) == 1 else 'are'} in report.csv"
        in section(write(comparison), "missed").text
    )


def test_notes_and_unreadable_images_are_on_the_page(
    page: Element, write: Write, comparison: onlygood.Comparison
) -> None:
    assert "torn.png" in section(page, "unreadable").text
    noted = replace(comparison, notes=("Of all.",), measured=(replace(comparison.measured[0], notes=("Of one.",)),))
    label = comparison.measured[0].label
    assert [each.text for each in section(write(noted), "notes").all("li")] == ["Of all.", f"{label}: Of one."]


def test_without_anomalous_images_there_are_no_columns_of_misses(tmp_path: Path, write: Write) -> None:
    save(tmp_path / "good", {f"{number}.png": texture(number) for number in range(6)})
    knn = onlygood.Knn(input_size=64, taps=("stage4",))
    page = write(onlygood.compare(tmp_path / "good", [knn], threads=1))
    heads = [[head.text for head in table.one("thead").all("th")] for table in section(page, "figures").all("table")]
    assert heads == [
        ["Method", "False alarms", "Its interval", "Stated rate", "Observed beside stated"],
        ["Method", "Fit", "An image", "File"],
    ]
    assert not [each for each in page.all("section") if each.attributes["aria-labelledby"] == "missed"]


def test_the_csv_file_has_a_row_an_image(comparison: onlygood.Comparison, tmp_path: Path, write: Write) -> None:
    write(comparison)
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    patch = comparison.measured[0]
    assert {row["name"] for row in rows} == {image.name for image in comparison.tested.images}
    by_name = {row["name"]: row for row in rows}
    for each in patch.evaluation.images:
        row = by_name[each.labelled.name]
        assert row["label"] == ("anomalous" if each.labelled.is_anomalous else "good")
        assert row["defect"] == each.labelled.defect
        assert row[f"{patch.label} verdict"] == ("anomalous" if each.is_anomaly else "good")
        assert float(row[f"{patch.label} score"]) == each.score
        assert float(row[f"{patch.label} p_value"]) == each.p_value
    assert by_name["good/torn.png"][f"{patch.label} verdict"] == "not readable"


def test_a_name_that_is_no_page_is_refused(comparison: onlygood.Comparison, tmp_path: Path) -> None:
    with pytest.raises(onlygood.SettingError, match=r"a report must have a name that ends in \.html"):
        write_comparison_report(tmp_path / "page.txt", comparison, data_name="parts")
