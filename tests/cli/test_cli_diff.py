"""`onlygood diff`: what it prints where, its exit codes, and what it refuses."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import left, one_sentence
from onlygood.model_diff.rows import COLUMNS
from textures import save, texture, with_defect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = {"good/0.png": texture(100), "good/1.png": texture(102), "hole/2.png": with_defect(texture(101))}
    return save(tmp_path_factory.mktemp("test"), images)


@pytest.fixture(scope="module")
def looser(model: onlygood.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that calls nothing anomalous here."""
    path = tmp_path_factory.mktemp("looser") / "looser.onnx"
    onlygood.calibrate(model, threshold=1000).save(path)
    return path


def test_flips_are_code_1_and_are_listed(run: Any, model_path: Path, looser: Path, folder: Path) -> None:
    ran = run("diff", model_path, looser, folder)
    expected = onlygood.diff(model_path, looser, folder)
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"{model_path} -> {looser}"
    assert tuple(lines[1:3]) == expected.sentences
    assert lines[4] == "What differs between the files:"
    (row,) = [line for line in lines if line.startswith("hole/2.png")]
    flip = expected.flips[0]
    assert flip.old.relative_score is not None and flip.new.relative_score is not None
    assert row.split() == [
        *("hole/2.png", "ANOMALOUS", "good"),
        *(f"{flip.old.relative_score:+.2f}", "->", f"{flip.new.relative_score:+.2f}"),
        *(f"{flip.old.p_value:.4f}", "->", f"{flip.new.p_value:.4f}"),
    ]


def test_labels_are_shown(run: Any, model_path: Path, looser: Path, folder: Path) -> None:
    ran = run("diff", model_path, looser, folder, "--labelled")
    assert "By the labels the new model is right in " in ran.out
    assert [line.split()[-1] for line in ran.out.splitlines() if line.startswith("hole/2.png")] == ["hole"]


def test_no_flip_is_code_0_and_has_no_table(run: Any, model_path: Path, folder: Path, tmp_path: Path) -> None:
    onlygood.calibrate(model_path, threshold=1e-6).save(tmp_path / "barely.onnx")
    ran = run("diff", model_path, tmp_path / "barely.onnx", folder)
    assert (ran.code, ran.err) == (0, "")
    assert "No verdict changes in 3 images." in ran.out
    assert "p-value" not in ran.out


def test_both_models_take_another_rate(run: Any, model_path: Path, looser: Path, folder: Path) -> None:
    """At the same rate, they are the same detector."""
    ran = run("diff", model_path, looser, folder, "--false-alarm-rate", "20%", "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert [each["old"]["score"] for each in found["images"]] == [each["new"]["score"] for each in found["images"]]


def test_json_has_all_of_it_and_csv_every_image(run: Any, model_path: Path, looser: Path, folder: Path) -> None:
    expected = onlygood.diff(model_path, looser, folder)
    ran = run("diff", model_path, looser, folder, "--json")
    assert (ran.code, ran.err) == (1, "")
    assert json.loads(ran.out) == expected.to_dict()
    ran = run("diff", model_path, looser, folder, "--csv")
    header, *rows = csv.reader(ran.out.splitlines())
    assert tuple(header) == COLUMNS
    assert [row[:2] for row in rows] == [
        *([each.name, "yes"] for each in expected.flips),
        *([each.name, "no"] for each in expected.images if not each.flips),
    ]
    assert float(rows[0][COLUMNS.index("old_p_value")]) == expected.flips[0].old.p_value


def test_an_image_that_a_model_refuses_is_code_2(
    run: Any, model_path: Path, looser: Path, folder: Path, tmp_path: Path
) -> None:
    save(tmp_path, {"1.png": texture(1)})
    (tmp_path / "2.png").write_bytes(b"no image")
    ran = run("diff", model_path, looser, tmp_path)
    assert ran.code == 2
    assert ran.err.startswith("onlygood: 2.png is refused by both models: 2.png ")
    rows = list(csv.DictReader(run("diff", model_path, looser, tmp_path, "--csv").out.splitlines()))
    assert (rows[-1]["name"], rows[-1]["flips"], rows[-1]["old_error"] == rows[-1]["new_error"] != "") == (
        "2.png",
        "",
        True,
    )


def test_the_report_is_a_page_and_a_csv_file(
    run: Any, model_path: Path, looser: Path, folder: Path, tmp_path: Path
) -> None:
    ran = run("diff", model_path, looser, folder, "--report", tmp_path / "swap.html", "-q")
    assert (ran.code, ran.err) == (1, "")
    assert left(tmp_path) == ["swap.csv", "swap.html"]


def test_mistakes_get_one_sentence(run: Any, model_path: Path, looser: Path, folder: Path, tmp_path: Path) -> None:
    assert "which are the same (digest" in one_sentence(run("diff", model_path, model_path, folder))
    assert "does not exist" in one_sentence(run("diff", model_path, tmp_path / "none.onnx", folder))
    assert "must have a name that ends in .html" in one_sentence(
        run("diff", model_path, looser, folder, "--report", tmp_path / "swap.pdf")
    )
    (tmp_path / "empty").mkdir()
    assert "is empty" in one_sentence(run("diff", model_path, looser, tmp_path / "empty"))
    assert "diff needs IMAGES, got none" in run("diff", model_path, looser).err
    assert "does not go with" in run("diff", model_path, looser, folder, "--json", "--csv").err
