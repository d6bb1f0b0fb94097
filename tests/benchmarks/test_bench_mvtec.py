from pathlib import Path

import numpy as np
import pytest

from bench_sets import image, mvtec_files, put
from benchmarks.datasets.mvtec import open_mvtec
from onlygood import FolderError, LabelledSetError, read_image


def test_one_part_is_one_class(tmp_path: Path) -> None:
    data = open_mvtec("tile", put(tmp_path, mvtec_files()))
    assert data.classes == ("all",)
    assert data.sentence == "tile: 2 training and 3 test images of 1 class"
    task = data.task("all", seed=0)
    assert (task.data, task.class_name, task.notes) == ("tile", "all", ())
    assert [(one.name, one.is_anomalous, one.defect, one.mask) for one in task.good + task.test] == [
        ("train/good/0.png", False, "good", None),
        ("train/good/1.png", False, "good", None),
        ("test/crack/0.png", True, "crack", tmp_path / "ground_truth/crack/0_mask.png"),
        ("test/good/0.png", False, "good", None),
        ("test/hole/0.png", True, "hole", tmp_path / "ground_truth/hole/0_mask.png"),
    ]
    levels = {name: level for level, name in enumerate(mvtec_files())}
    for one in task.good + task.test:
        np.testing.assert_array_equal(read_image(one.source), levels[one.name])


def test_a_folder_of_parts_has_a_class_a_part(tmp_path: Path) -> None:
    for start, part in ((0, "bottle"), (50, "cable")):
        put(tmp_path / part, mvtec_files(start=start))
    put(tmp_path, {"license.txt": b"x", "papers/a.txt": b"x", ".cache/train/good/0.png": b"x"})
    data = open_mvtec("mvtec-ad", tmp_path)
    assert data.classes == ("bottle", "cable")
    assert data.counts == {"train": 4, "test": 6}
    task = data.task("cable", seed=0)
    assert {int(read_image(one.source)[0, 0, 0]) for one in task.good + task.test} == set(range(50, 55))


def test_masks_are_no_must_and_folders_may_be_nested(tmp_path: Path) -> None:
    files = {name: content for name, content in mvtec_files().items() if not name.startswith("ground_truth")}
    task = open_mvtec("tile", put(tmp_path, files | {"train/good/lot2/0.png": image(9)})).task("all", seed=0)
    assert all(one.mask is None for one in task.test)
    assert [one.name for one in task.good] == [f"train/good/{name}.png" for name in ("0", "1", "lot2/0")]


def test_an_image_beside_the_folders_of_defects_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "tile", mvtec_files() | {"test/9.png": image(9)})
    with pytest.raises(LabelledSetError, match=r"must hold a folder for each defect, and good, got the image 9\.png"):
        open_mvtec("tile", path)


def test_what_is_odd_about_a_part_is_noted_for_that_part(tmp_path: Path) -> None:
    put(tmp_path / "bottle", mvtec_files())
    put(tmp_path / "cable", mvtec_files() | {"test/hole/1.png": image(7)})
    data = open_mvtec("mvtec-ad", tmp_path)
    assert data.task("bottle", seed=0).notes == ()
    (note,) = data.task("cable", seed=0).notes
    assert "no mask" in note
    assert "hole/1.png" in note
    assert not note.endswith(".")


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("train/", "tile must hold train/good, got none: arrange its images as train/good and test/<defect>"),
        ("train/good/", "tile must hold train/good, got none: arrange its images as train/good and test/<defect>"),
        ("test/", "tile must hold test, got none: arrange its images as train/good and test/<defect>"),
        (
            "test/good/",
            "test must hold good images, in good, and anomalous ones, .* got 0 and 2: add what is missing",
        ),
    ],
)
@pytest.mark.parametrize("inside", ["", "tile"])
def test_a_part_that_is_not_whole_has_its_sentence(tmp_path: Path, gone: str, words: str, inside: str) -> None:
    root = tmp_path / ("root" if inside else "tile")
    files = {name: content for name, content in mvtec_files().items() if not name.startswith(gone)}
    if gone == "train/good/":
        files["train/bad/0.png"] = image(0)
    put(root / inside, files)
    if inside:
        put(root / "bottle", mvtec_files())
    with pytest.raises(LabelledSetError, match=words):
        open_mvtec("tile", root)


def test_anomalous_test_images_are_needed(tmp_path: Path) -> None:
    files = {name: content for name, content in mvtec_files().items() if "good" in name}
    with pytest.raises(LabelledSetError, match=r"test must hold good images, .* got 1 and 0: add what is missing"):
        open_mvtec("tile", put(tmp_path, files))


def test_training_images_are_needed(tmp_path: Path) -> None:
    files = {name: content for name, content in mvtec_files().items() if not name.startswith("train")}
    (put(tmp_path, files) / "train/good").mkdir(parents=True)
    with pytest.raises(FolderError, match=r"good must hold images \(.*\), got none: put images into it"):
        open_mvtec("tile", tmp_path)


def test_a_folder_of_something_else_has_its_sentence(tmp_path: Path) -> None:
    path = put(tmp_path, {"cat/0.png": image(0)})
    words = (
        r"must hold train/good and test/<defect>, or folders that do, got neither: check its path, or say which kind"
    )
    with pytest.raises(LabelledSetError, match=words):
        open_mvtec("tile", path)
    with pytest.raises(
        LabelledSetError, match=r"must be a folder that holds train/good .*, got a file: give the folder"
    ):
        open_mvtec("tile", path / "cat/0.png")
