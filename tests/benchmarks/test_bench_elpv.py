import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench_sets import put_elpv
from benchmarks.datasets.elpv import open_elpv
from onlygood import LabelledSetError, MissingExtraError, read_image


def number(name: str) -> int:
    """The line of labels.csv, from 0, and in these tests the image's level."""
    return int(name.removeprefix("images/cell").removesuffix(".png")) - 1


def test_each_kind_of_cell_is_a_task_with_and_without_the_grades_between(tmp_path: Path) -> None:
    data = open_elpv("elpv", put_elpv(tmp_path))
    assert data.classes == ("mono", "poly", "mono-all-grades", "poly-all-grades")
    assert data.sentence == "elpv: 6 training and 16 test images of 4 classes"
    for kind, start in (("mono", 0), ("poly", 11)):
        clear, every = data.task(kind, seed=0), data.task(f"{kind}-all-grades", seed=0)
        assert clear.good == every.good
        assert Counter(one.defect for one in clear.test) == {"good": 2, "1": 3}
        assert Counter(one.defect for one in every.test) == {"good": 2, "1/3": 1, "2/3": 2, "1": 3}
        assert all(one.is_anomalous == (one.defect != "good") for one in every.good + every.test)
        cells = every.good + every.test
        assert sorted(number(one.name) for one in cells) == list(range(start, start + 11))
        for one in cells:
            np.testing.assert_array_equal(read_image(one.source), number(one.name))
            assert one.defect == [*["good"] * 5, "1/3", "2/3", "2/3", "1", "1", "1"][number(one.name) - start]
        assert [one.name for one in every.test] == sorted(one.name for one in every.test)


@pytest.mark.parametrize("seed", [0, 1, 12])
def test_six_of_ten_good_cells_are_learned_from_as_a_seeded_permutation_says(tmp_path: Path, seed: int) -> None:
    task = open_elpv("elpv", put_elpv(tmp_path)).task("mono", seed=seed)
    order = np.random.default_rng(seed).permutation(5)
    assert [number(one.name) for one in task.good] == sorted(order[:3])
    assert [number(one.name) for one in task.test if not one.is_anomalous] == sorted(order[3:])
    assert task.notes == ("of the good cells 60%, drawn by the seed, are learned from, and the rest are judged",)


def test_the_installed_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "elpv_dataset"
    put_elpv(package / "data")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    data = open_elpv("elpv", None)
    source = data.task("mono", seed=0).good[0].source
    assert isinstance(source, Path)
    assert source.is_relative_to(package / "data" / "images")
    assert "elpv_dataset" not in sys.modules


def test_without_the_package_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    words = r"the data set elpv needs elpv-dataset, which is not installed: run pip install 'onlygood\[bench\]'"
    with pytest.raises(MissingExtraError, match=words):
        open_elpv("elpv", None)


FIRST = "images/cell0001.png  0.0                 mono"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "images/cell0001.png 0.0",
            "must hold a path, a grade and a kind of cell, got 'images/cell0001.png 0.0': copy",
        ),
        ("images/cell0001.png 0.0 mono 1", "must hold a path, a grade and a kind of cell, got "),
        ("images/cell0001.png 0.0 thin", "must name a kind of cell, mono or poly, got 'thin': copy"),
        ("images/cell0001.png 0.5 mono", r"must grade the cell 0, 1/3, 2/3 or 1, got '0\.5': copy"),
        ("images/cell0001.png nan mono", "must grade the cell 0, 1/3, 2/3 or 1, got 'nan': copy"),
        ("images/cell0001.png good mono", "must grade the cell 0, 1/3, 2/3 or 1, got 'good': copy"),
        ("images/cell9999.png 0.0 mono", r"must name an image in .*, got 'images/cell9999\.png', which is not there"),
        ("../outside.png 0.0 mono", r"must name an image in .*, got '\.\./outside\.png', which is not there: copy"),
        ("images 0.0 mono", "must name an image in .*, got 'images', which is not there: copy"),
        ("images/a\0.png 0.0 mono", r"must name an image in .*, got 'images/a\\x00\.png', which is not there"),
        (
            "images/cell0002.png 0.0 mono",
            r"line 2 of .*labels\.csv must name a new image, got images/cell0002\.png ag",
        ),
    ],
)
def test_a_line_that_cannot_be_understood_has_its_sentence(tmp_path: Path, line: str, words: str) -> None:
    folder = put_elpv(tmp_path / "data")
    shutil.copy(folder / "images/cell0001.png", tmp_path / "outside.png")
    labels = folder / "labels.csv"
    content = labels.read_text()
    assert content.startswith(FIRST)
    labels.write_text(content.replace(FIRST, line, 1))
    with pytest.raises(LabelledSetError, match=words) as raised:
        open_elpv("elpv", folder)
    assert str(raised.value).startswith(f"line {2 if 'cell0002' in line else 1} of {labels} must ")


def test_an_image_is_named_by_a_path_in_the_folder(tmp_path: Path) -> None:
    folder = put_elpv(tmp_path)
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("images/cell0001.png", str(folder / "images/cell0001.png")))
    with pytest.raises(LabelledSetError, match=r"line 1 of .* must name an image in "):
        open_elpv("elpv", folder)


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    labels = put_elpv(tmp_path) / "labels.csv"
    labels.write_text("\n" + labels.read_text().replace("\n", "\r\n\r\n"))
    assert open_elpv("elpv", tmp_path).counts == {"train": 6, "test": 16}


@pytest.mark.parametrize(
    ("grade", "kind", "words"),
    [
        ("0.0", "mono", "must list at least two mono cells of grade 0 and one of grade 1, got 0 and 3: copy"),
        ("1.0", "poly", "must list at least two poly cells of grade 0 and one of grade 1, got 5 and 0: copy"),
    ],
)
def test_good_and_defective_cells_of_both_kinds_are_needed(tmp_path: Path, grade: str, kind: str, words: str) -> None:
    labels = put_elpv(tmp_path) / "labels.csv"
    kept = [line for line in labels.read_text().splitlines() if line.split()[1:] != [grade, kind]]
    labels.write_text("\n".join(kept))
    with pytest.raises(LabelledSetError, match=words):
        open_elpv("elpv", tmp_path)


def test_labels_are_needed(tmp_path: Path) -> None:
    with pytest.raises(
        LabelledSetError, match=r"must hold labels\.csv, got none: give the folder data of elpv-dataset"
    ):
        open_elpv("elpv", tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(LabelledSetError, match=r"labels\.csv must be UTF-8 text, got other bytes: copy"):
        open_elpv("elpv", tmp_path)
