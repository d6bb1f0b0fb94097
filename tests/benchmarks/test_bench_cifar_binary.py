import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

import onlygood
from bench_sets import CIFAR_CLASSES, batch, batch_rows, cifar_batches, put, tarred
from benchmarks.datasets import cifar_binary as module
from benchmarks.datasets.cifar_binary import holds_batches, open_cifar_binary
from onlygood import LabelledSetError


@pytest.mark.parametrize("form", ["folder", "folder in a folder", "tar.gz", "tar"])
def test_every_image_comes_with_its_class(tmp_path: Path, form: str) -> None:
    files = cifar_batches()
    if form.startswith("tar"):
        path = tarred(tmp_path / f"c.{form}", files, mode="w:gz" if form == "tar.gz" else "w")
    else:
        path = tmp_path / "x"
        put(path if form == "folder" else path / "cifar-10-batches-bin", files)
    data = open_cifar_binary("cifar10", path)
    assert data.classes == CIFAR_CLASSES
    assert data.sentence == "cifar10: 20 training and 10 test images of 10 classes"
    rows = np.concatenate([batch_rows(4, number) for number in range(1, 6)])
    for label, kind in enumerate(CIFAR_CLASSES):
        task = data.task(kind, seed=0)
        assert [one.name for one in task.good] == [f"train/{label:05}", f"train/{label + 10:05}"]
        for one, row in zip(task.good, rows[[label, label + 10]], strict=True):
            expected = np.stack([row[:1024], row[1024:2048], row[2048:]], axis=-1).reshape(32, 32, 3)
            np.testing.assert_array_equal(onlygood.read_image(one.source), expected)
        assert [one.defect for one in task.test] == ["good" if other == kind else other for other in CIFAR_CLASSES]
        assert len({one.name for one in task.good + task.test}) == 12


def test_folders_of_batches_are_known(tmp_path: Path) -> None:
    assert not holds_batches(tmp_path)
    put(tmp_path / "a", {"test_batch.bin": b""})
    put(tmp_path / "b/cifar-10-batches-bin", {"data_batch_3.bin": b""})
    put(tmp_path / "c", {"data_batch_1": b""})
    assert all(holds_batches(tmp_path / folder) for folder in "abc")


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_the_pickled_version_is_refused_with_the_name_of_the_other(tmp_path: Path, form: str) -> None:
    files = {"data_batch_1": b"cos\nsystem\n(S'true'\ntR.", "batches.meta": b"."}
    path = put(tmp_path / "set", files) if form == "folder" else tarred(tmp_path / "set.tar.gz", files)
    words = r"but data_batch_1 of the pickled version: download the authors' binary version, cifar-10-binary\.tar\.gz"
    with pytest.raises(LabelledSetError, match=words):
        open_cifar_binary("cifar10", path)


def refuse(tmp_path: Path, content: bytes, words: str, file: str = "data_batch_2.bin") -> None:
    path = put(tmp_path / "set", cifar_batches() | {file: content})
    with pytest.raises(LabelledSetError, match=words) as raised:
        open_cifar_binary("cifar10", path)
    assert str(raised.value).startswith(f"{file} in {path} ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"no batch", batch(batch_rows(4, 1), [0, 1, 2, 3])[:-30]])
def test_a_batch_of_another_length_has_its_sentence(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path, content, f"must hold records of 3,073 bytes, got {len(content):,} bytes in all: download")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"cat\ncat\n"])
def test_class_names_must_be_names(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path, content, "must hold a different name for each class, got .*: download", "batches.meta.txt")


def test_labels_must_have_names_and_classes_must_have_images(tmp_path: Path) -> None:
    files = cifar_batches()
    path = put(tmp_path / "a", files | {"test_batch.bin": batch(batch_rows(10, 0), [*range(9), 10])})
    with pytest.raises(LabelledSetError, match=r"test_batch.bin in .* must hold labels from 0 to 9, got 10 for image"):
        open_cifar_binary("cifar10", path)
    path = put(tmp_path / "b", files | {"test_batch.bin": batch(batch_rows(10, 0), [*range(9), 8])})
    with pytest.raises(LabelledSetError, match=r"test_batch.bin in .* must have images of every class, got none of tr"):
        open_cifar_binary("cifar10", path)


def test_all_files_are_needed(tmp_path: Path) -> None:
    files = cifar_batches()
    del files["data_batch_4.bin"], files["batches.meta.txt"]
    for path in (put(tmp_path / "set", files), tarred(tmp_path / "set.tar.gz", files)):
        words = r"set.* must hold data_batch_1\.bin, .*, got no data_batch_4\.bin, batches\.meta\.txt: download"
        with pytest.raises(LabelledSetError, match=words):
            open_cifar_binary("cifar10", path)


# Archives


def test_links_and_folders_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", cifar_batches())
    secret = put(tmp_path, {"secret": cifar_batches()["test_batch.bin"]}) / "secret"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in cifar_batches().items():
            member = tarfile.TarInfo(f"x/{name}")
            if name == "test_batch.bin":
                member.type, member.linkname = tarfile.SYMTYPE, str(secret)
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(LabelledSetError, match="got no test_batch\\.bin: download the authors' binary"):
        open_cifar_binary("cifar10", path)


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_file_is_bounded(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = cifar_batches()
    path = put(tmp_path / "set", files) if form == "folder" else tarred(tmp_path / "set.tar", files, mode="w")
    largest = max(map(len, files.values()))
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", largest)
    open_cifar_binary("cifar10", path)
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", largest - 1)
    with pytest.raises(
        LabelledSetError, match=rf"test_batch.* has {largest:,} bytes, and at most {largest - 1:,} are read"
    ):
        open_cifar_binary("cifar10", path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00 and no more"])
def test_a_file_that_is_no_archive_has_its_sentence(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path, {"c.tar.gz": content}) / "c.tar.gz"
    words = (
        r"c\.tar\.gz must be a folder, a zip or a tar archive that is whole, and cannot be unpacked \(.*\): download"
    )
    with pytest.raises(LabelledSetError, match=words) as raised:
        open_cifar_binary("cifar10", path)
    assert "\n" not in str(raised.value)


def test_a_cut_archive_has_its_sentence(tmp_path: Path) -> None:
    path = tarred(tmp_path / "c.tar.gz", cifar_batches())
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(LabelledSetError, match=r"c\.tar\.gz must be .* that is whole, and cannot be unpacked"):
        open_cifar_binary("cifar10", path)
