"""`onlygood audit` as people use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from command_line import FAST, left, one_sentence
from onlygood.auditing.examination import MOST_LEFT_OUT as DEFAULT
from onlygood.cli.audit import MOST_LEFT_OUT
from page_reader import check_page
from textures import SIZE, numbered, save, texture, textures


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    save(tmp_path / "parts", numbered(textures(14)) | {"flat.png": np.full((SIZE, SIZE), 90, np.uint8)})
    (tmp_path / "parts" / "torn.png").write_bytes(b"no image")
    return tmp_path / "parts"


def test_it_prints_what_needs_a_decision_and_writes_a_list_that_fit_takes(
    run: Any, parts: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "exclude.txt"
    ran = run("audit", parts, "-o", listed)
    assert ran.code == 1
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert lines[:2] == [
        "Images that cannot be read: 1 image",
        "  torn.png is a text file, which is not read: give an image.",
    ]
    at = lines.index("Badly exposed images: 1 image")
    assert lines[at + 1] == "  flat.png: All of its pixels have one level, 35% of the scale."
    assert lines[-2].startswith("16 images looked at: ")
    assert lines[-2].endswith(" findings to decide on, 2 images to leave out, perhaps")
    assert lines[-1] == f"{listed}: 2 names, for fit --exclude @{listed}"
    assert listed.read_text() == "flat.png\ntorn.png\n"
    fitted = run("fit", parts, "-o", tmp_path / "part.onnx", "--exclude", f"@{listed}", *FAST)
    assert fitted.code == 0
    assert "learned from 14 good images" in fitted.out
    again = run("audit", parts, "--exclude", f"@{listed}", "-o", listed)
    assert again.code == 0
    assert (
        again.out == f"14 images looked at: nothing needs a decision\n{listed}: 0 names, for fit --exclude @{listed}\n"
    )
    assert listed.read_text() == ""
    assert run("fit", parts, "-o", tmp_path / "part.onnx", "--exclude", f"@{listed}", *FAST).code == 2  # torn.png


def test_json_is_the_same_as_in_python(run: Any, parts: Path) -> None:
    ran = run("audit", parts, "--json", "--max-left-out", 0, "--threads", 1)
    assert ran.code == 1
    assert json.loads(ran.out) == onlygood.audit(parts, max_left_out=0).to_dict()
    assert MOST_LEFT_OUT == DEFAULT


def test_the_page_has_every_finding_with_its_image(run: Any, parts: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    ran = run("audit", parts, "--report", tmp_path / "out" / "page.html", "--max-left-out", 0)
    assert ran.code == 1
    assert left(tmp_path / "out") == ["page.csv", "page.html"]
    page = check_page((tmp_path / "out" / "page.html").read_bytes(), with_verdicts=False)
    assert page.one("h1").text == "What to decide before a fit with parts"
    assert {each.attributes["alt"] for each in page.all("img")} == {"flat.png"}


def test_sessions_and_notes(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "parts", {f"a/{number}.png": texture(number) for number in range(8)})
    ran = run("audit", tmp_path / "parts", "--group-by", "folder", "--max-left-out", 0)
    assert ran.code == 0
    assert ran.err == "note: All images are of one session, so there is none to compare it with.\n"
    assert run("audit", tmp_path / "parts", "--group-by", "folder", "--max-left-out", 0, "-q").err == ""


def test_a_name_that_a_list_cannot_hold_is_said(run: Any, parts: Path, tmp_path: Path) -> None:
    (parts / "torn.png").rename(parts / " torn.png")
    listed = tmp_path / "exclude.txt"
    ran = run("audit", parts, "-o", listed, "--max-left-out", 0)
    assert "note: a list has one name a line, so that ' torn.png' cannot stand in it: rename the image" in ran.err
    assert listed.read_text() == "flat.png\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("{root}/none",), "{root}/none does not exist: check the path"),
        (("{root}/empty",), "{root}/empty is empty: put images into it"),
        (
            ("{root}/one",),
            "audit compares good images with one another and needs at least 3, got 1: add images",
        ),
        (
            ("{root}/torn",),
            "good images must be readable, got none among 3: 0.png is a text file, which is not read: give an image",
        ),
        (
            ("{root}/mixed",),
            "audit needs good images alone, and below {root}/mixed there is what does not look so: scratch (defects, 1 "
            "image): give {root}/mixed/good",
        ),
        (
            ("{root}/one", "-o", "{root}/none/a.txt"),
            "{root}/none/a.txt cannot be written: there is no folder {root}/none: make it first",
        ),
        (
            ("{root}/one", "-o", "{root}/one"),
            "{root}/one is a folder where a file is to be written: add a file name",
        ),
        (
            ("{root}/one", "--report", "a.pdf"),
            "a report must have a name that ends in .html, got 'a.pdf': it is one page for any browser, and a CSV file "
            "of the same name is written beside it",
        ),
        (("{root}/one", "--max-left-out", "-1"), "max_left_out must be a whole number of at least 0, got -1"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(
    run: Any, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "one", {"0.png": texture(0)})
    (tmp_path / "torn").mkdir()
    for number in range(3):
        (tmp_path / "torn" / f"{number}.png").write_bytes(b"no image")
    save(tmp_path / "mixed", {"good/0.png": texture(0), "good/1.png": texture(1), "scratch/0.png": texture(2)})
    ran = run("audit", *(option.format(root=tmp_path) for option in options))
    assert one_sentence(ran) == sentence.format(root=tmp_path)
