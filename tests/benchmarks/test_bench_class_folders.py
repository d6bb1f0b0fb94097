import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench_sets import class_files, image, put, zipped
from benchmarks.datasets import class_folders
from benchmarks.datasets.class_folders import open_class_folders
from hostile import encoded
from onlygood import FolderError, LabelledSetError, OnlygoodError, read_image


def made(tmp_path: Path, files: dict[str, bytes], form: str) -> Path:
    return put(tmp_path / "set", files) if form == "folder" else zipped(tmp_path / "set.zip", files)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_every_image_comes_with_its_class(tmp_path: Path, form: str) -> None:
    data = open_class_folders("cifar10", made(tmp_path, class_files(), form))
    assert data.classes == ("bird", "cat", "dog")
    assert data.sentence == "cifar10: 6 training and 3 test images of 3 classes"
    assert not any("JPEG" in note for note in data.notes)
    levels = {name: level for level, name in enumerate(class_files())}
    for kind in data.classes:
        task = data.task(kind, seed=0)
        assert [one.name for one in task.good] == [f"train/{kind}/0.png", f"train/{kind}/1.png"]
        assert [(one.name, one.defect) for one in task.test] == [
            (f"test/{other}/0.png", "good" if other == kind else other) for other in data.classes
        ]
        for one in task.good + task.test:
            np.testing.assert_array_equal(read_image(one.source), levels[one.name])
    assert data.task("1", seed=0) == data.task("cat", seed=0)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_images_that_are_jpeg_files_are_said_to_be(tmp_path: Path, form: str) -> None:
    files = class_files() | {"train/dog/9.JPG": encoded(np.zeros((4, 4), np.uint8), "JPEG")}
    data = open_class_folders("cifar10", made(tmp_path, files, form))
    assert "re-coded as JPEG: pixels differ from the original batches" in data.task("bird", seed=0).notes


def test_an_archive_may_hold_it_all_in_a_folder_and_other_files_beside_it(tmp_path: Path) -> None:
    files = {f"CIFAR-10-master/{name}": content for name, content in class_files().items()}
    others = {
        "CIFAR-10-master/README.md": b"read me",
        "CIFAR-10-master/train/cat/Thumbs.db": b"x",
        "CIFAR-10-master/train/cat/.hidden.png": b"x",
        "CIFAR-10-master/train/loose.png": b"x",
        "__MACOSX/CIFAR-10-master/train/cat/._0.png": b"x",
        "CIFAR-10-master/sample.png": b"x",
    }
    data = open_class_folders("cifar10", zipped(tmp_path / "a.zip", others | files))
    assert data.counts == {"train": 6, "test": 3}
    assert data.task("cat", seed=0).good[0].name == "train/cat/0.png"


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("test/dog/", "test in .*set.* must have images of every class, got none of dog: copy"),
        ("train/bird/", "train in .*set.* must have images of every class, got none of bird: copy"),
    ],
)
def test_a_class_must_be_in_both_splits(tmp_path: Path, form: str, gone: str, words: str) -> None:
    files = {name: content for name, content in class_files().items() if not name.startswith(gone)}
    with pytest.raises(LabelledSetError, match=words):
        open_class_folders("cifar10", made(tmp_path, files, form))


def test_a_folder_must_hold_both_splits_and_images_in_classes(tmp_path: Path) -> None:
    path = put(tmp_path / "one", {"train/cat/0.png": image(0)})
    with pytest.raises(
        LabelledSetError, match=r"must hold train/<class>/ and test/<class>/, .* got no folder test: give"
    ):
        open_class_folders("cifar10", path)
    put(path, {"train/0.png": image(0), "test/cat/0.png": image(1)})
    with pytest.raises(LabelledSetError, match=r"train must hold a folder for each class, got the image 0\.png: move"):
        open_class_folders("cifar10", path)
    empty = put(tmp_path / "two", {"train/cat/0.png": image(0)})
    (empty / "test").mkdir()
    with pytest.raises(FolderError, match=r"test must hold images \(.*\), got none: put images into it"):
        open_class_folders("cifar10", empty)


def test_an_archive_without_classes_has_its_sentence(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cat/0.png": image(0), "train/0.png": image(0), "train/cat/0.txt": b"x"})
    with pytest.raises(LabelledSetError, match=r"must hold images in train/<class>/ and test/<class>/, got 3 others"):
        open_class_folders("cifar10", path)


def test_an_archive_holds_one_data_set_and_each_image_once(tmp_path: Path) -> None:
    files = class_files()
    path = zipped(tmp_path / "two.zip", files | {"copy/train/cat/7.png": image(0)})
    with pytest.raises(LabelledSetError, match="must hold one data set, got one in copy and one in its top: unpack it"):
        open_class_folders("cifar10", path)
    path = zipped(tmp_path / "again.zip", files)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/cat/0.png", image(9))
    with pytest.raises(LabelledSetError, match=r"must hold each image once, got train/cat/0\.png twice: download"):
        open_class_folders("cifar10", path)


def test_an_archive_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", class_files())
    size = sum(map(len, class_files().values()))
    monkeypatch.setattr(class_folders, "MAX_ARCHIVE_BYTES", size)
    open_class_folders("cifar10", path)
    monkeypatch.setattr(class_folders, "MAX_ARCHIVE_BYTES", size - 1)
    words = rf"holds {size:,} bytes of images, and at most {size - 1:,} are read from an archive: unpack it and give"
    with pytest.raises(LabelledSetError, match=words):
        open_class_folders("cifar10", path)


def test_an_archive_that_asks_for_a_password_has_its_sentence(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", class_files())
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(LabelledSetError, match=r"a\.zip cannot be unpacked \(.*encrypted.*\): download it again"):
        open_class_folders("cifar10", path).task("bird", seed=0)


def test_a_changed_image_is_found_when_a_task_has_it(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", class_files())
    content = path.read_bytes()
    path.write_bytes(content.replace(image(4), image(5)))
    data = open_class_folders("cifar10", path)
    assert len(data.task("bird", seed=0).good) == 2
    with pytest.raises(LabelledSetError, match=r"a\.zip cannot be unpacked \(Bad CRC-32.*\): download it again"):
        data.task("dog", seed=0)


def test_a_cut_archive_has_its_sentence(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", class_files())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LabelledSetError, match=r"a\.zip cannot be unpacked \(File is not a zip file\): download it"):
        open_class_folders("cifar10", path)


def test_whatever_the_damage_the_error_is_one_of_ours(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", class_files()).read_bytes()
    chance, path, refused = random.Random(0), tmp_path / "b.zip", 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            data = open_class_folders("cifar10", path)
            for kind in data.classes:
                data.task(kind, seed=0)
        except OnlygoodError as error:
            refused += 1
            assert str(path) in str(error) or str(error).startswith("cifar10 must have at least two classes")
            assert "\n" not in str(error)
    assert refused > 200
