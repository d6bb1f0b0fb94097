"""The page of an audit."""

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import onlygood
from onlygood.auditing.findings import RULES, TITLES, Finding
from onlygood.report import audit_report, write_audit_report
from page_reader import Element, check_page, section
from textures import SIZE, numbered, save, texture, textures

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> onlygood.Audit:
    root = tmp_path_factory.mktemp("audited")
    save(root, numbered(textures(14)) | {"flat.png": np.full((SIZE, SIZE), 90, np.uint8), "copy.png": texture(3)})
    save(root, {"deep.png": texture(40).astype(np.uint16) * 256, "<b>.bmp": texture(41)})
    (root / "torn.png").write_bytes(b"no image")
    return onlygood.audit(root, max_left_out=0)


def page_of(audit: onlygood.Audit, folder: Path) -> Element:
    write_audit_report(folder / "page.html", audit, data_name="parts", written_at=NOON, threads=1)
    return check_page((folder / "page.html").read_bytes(), with_verdicts=False)


def test_each_kind_has_its_rule_its_sentences_and_its_images(audit: onlygood.Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    for each in audit.findings:
        part = section(page, each.kind.replace(" ", "-"))
        assert part.one("h2").text == TITLES[each.kind]
        assert RULES[each.kind] in part.text
        assert each.sentence in part.text
    assert {image.attributes["alt"] for image in page.all("img")} == {
        *("flat.png", "copy.png", "03.png", "deep.png", "<b>.bmp"),
    }
    assert "cannot be read" in section(page, "unreadable").text
    assert [item.text for item in section(page, "exclude").all("bdi")] == list(audit.exclude)


def test_the_csv_file_has_a_row_for_each_image_of_each_finding(audit: onlygood.Audit, tmp_path: Path) -> None:
    page_of(audit, tmp_path)
    with (tmp_path / "page.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [name for each in audit.findings for name in each.images]
    assert {row["kind"] for row in rows} == {each.kind for each in audit.findings}
    assert {row["image"] for row in rows if row["excludes"] == "1"} == set(audit.exclude)


def test_of_many_findings_the_first_are_shown_and_the_others_are_counted(
    audit: onlygood.Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_report, "SHOWN", 3)
    monkeypatch.setattr(audit_report, "SHOWN_OF_ONE", 2)
    many = [Finding(kind="blurred", images=("00.png",), sentence=f"Finding {number}.") for number in range(5)]
    large = Finding(kind="near-duplicate", images=("00.png", "01.png", "02.png"), sentence="They are alike.")
    page = page_of(replace(audit, findings=(*many, large)), tmp_path)
    assert "Finding 2." in page.text and "Finding 3." not in page.text
    assert "2 more findings are in page.csv." in section(page, "blurred").text
    assert "1 more image in page.csv." in section(page, "near-duplicate").text


def test_where_nothing_was_found_it_says_so(audit: onlygood.Audit, tmp_path: Path) -> None:
    page = page_of(replace(audit, findings=(), notes=("A note.",)), tmp_path)
    assert "Nothing needs a decision before a fit with these 19 images." in page.text
    assert "A note." in page.text
    assert [heading.text for heading in page.all("h2")] == ["Summary", "Made on"]


def test_an_image_that_is_gone_has_no_picture(audit: onlygood.Audit, tmp_path: Path) -> None:
    gone = replace(audit.sources["flat.png"], read=audit.sources["torn.png"].read)
    page = page_of(replace(audit, sources=audit.sources | {"flat.png": gone}), tmp_path)
    assert "flat.png" not in {image.attributes["alt"] for image in page.all("img")}
