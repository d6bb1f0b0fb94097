"""`--report` of `onlygood inspect` and `onlygood fit`."""

from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import FAST, left, one_sentence
from textures import GOOD, numbered, save, textures


def test_inspect_writes_a_report_with_what_could_not_be_read(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    save(tmp_path / "in", numbered(textures(2)))
    (tmp_path / "in" / "torn.png").write_bytes(b"no image")
    ran = run("inspect", model_path, new_folder, tmp_path / "in", "--report", tmp_path / "today.html")
    assert ran.code == 2
    assert left(tmp_path)[-2:] == ["today.csv", "today.html"]
    page, rows = (tmp_path / "today.html").read_text(), (tmp_path / "today.csv").read_text().splitlines()
    assert len(rows) == 1 + 6 and sum("torn.png" in row for row in rows) == 1
    assert "1 of 6 images is anomalous" in page and "torn.png" in page and "b.png" in page
    assert page.count("<img") >= 4


def test_the_exit_code_stays_the_verdicts(run: Any, model_path: Path, new_folder: Path, tmp_path: Path) -> None:
    assert run("inspect", model_path, new_folder, "--report", tmp_path / "a.html").code == 1
    assert run("inspect", model_path, new_folder / "a.png", "--report", tmp_path / "b.html").code == 0


def test_json_lines_stay_alone_on_stdout(run: Any, model_path: Path, new_folder: Path, tmp_path: Path) -> None:
    with_report = run("inspect", model_path, new_folder, "--json", "--report", tmp_path / "a.html")
    assert len(with_report.out.splitlines()) == 3
    assert all(line.startswith("{") for line in with_report.out.splitlines())


def test_fit_writes_a_report_beside_the_same_model(
    run: Any, good_folder: Path, model: onlygood.Model, tmp_path: Path
) -> None:
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", "--report", tmp_path / "fit.html", *FAST)
    assert ran.code == 0
    assert left(tmp_path) == ["fit.csv", "fit.html", "part.onnx"]
    assert (tmp_path / "part.onnx").read_bytes() == model.file.content
    page = (tmp_path / "fit.html").read_text()
    assert (
        "At most 10.0% of good images will be called anomalous" in page and model.highest_scoring[0].image.name in page
    )
    assert len((tmp_path / "fit.csv").read_text().splitlines()) == 1 + GOOD


@pytest.mark.parametrize("command", ["fit", "inspect"])
def test_a_report_that_cannot_be_written_is_refused_first(
    run: Any, command: str, model_path: Path, good_folder: Path, tmp_path: Path
) -> None:
    first = (
        ("fit", good_folder, "-o", tmp_path / "x.onnx") if command == "fit" else ("inspect", model_path, good_folder)
    )
    assert "there is no folder" in one_sentence(run(*first, "--report", tmp_path / "none" / "a.html"))
    assert "must have a name that ends in .html" in one_sentence(run(*first, "--report", tmp_path / "a.pdf"))
    assert left(tmp_path) == []


def test_without_its_libraries_a_report_is_refused_with_the_line_that_installs_them(
    run: Any, monkeypatch: pytest.MonkeyPatch, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr("onlygood._extras.find_spec", lambda name: None)
    sentence = one_sentence(run("inspect", model_path, new_folder, "--report", tmp_path / "a.html"))
    assert sentence == "--report needs Jinja2, which is not installed: run pip install 'onlygood[report]'"
    assert run("inspect", model_path, new_folder).code == 1
