import io
import pickle
import random
import struct
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_sets import CIFAR_CLASSES, batch, batch_rows, cifar_batches, put, python2_batch, tarred
from onlygood.bench import cifar_batches as module
from onlygood.bench.cifar_batches import holds_batches, open_cifar_batches
from onlygood.errors import LabelledSetError, OnlygoodError
from onlygood.images.reading import read_image


def test_python_reads_the_tests_batch_as_the_original_ones() -> None:
    rows = batch_rows(3, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 2 has moved what the originals name
        content = pickle.loads(python2_batch(rows, [7, 1, 2]), encoding="bytes")
    np.testing.assert_array_equal(content[b"data"], rows)
    assert content[b"labels"] == [7, 1, 2]


@pytest.mark.parametrize("protocol", [None, 2, 3, 4])
@pytest.mark.parametrize("form", ["folder", "folder in a folder", "tar.gz", "tar"])
def test_every_image_comes_with_its_class(tmp_path: Path, form: str, protocol: int | None) -> None:
    files = cifar_batches(protocol)
    if form.startswith("tar"):
        path = tarred(tmp_path / f"c.{form}", files, mode="w:gz" if form == "tar.gz" else "w")
    else:
        path = tmp_path / "x"
        put(path if form == "folder" else path / "cifar-10-batches-py", files)
    data = open_cifar_batches("cifar10", path)
    assert data.classes == CIFAR_CLASSES
    assert data.sentence == "cifar10: 20 training and 10 test images of 10 classes"
    rows = np.concatenate([batch_rows(4, number) for number in range(1, 6)])
    for label, kind in enumerate(CIFAR_CLASSES):
        task = data.task(kind, seed=0)
        assert [one.name for one in task.good] == [f"train/{label:05}", f"train/{label + 10:05}"]
        for one, row in zip(task.good, rows[[label, label + 10]], strict=True):
            expected = np.stack([row[:1024], row[1024:2048], row[2048:]], axis=-1).reshape(32, 32, 3)
            np.testing.assert_array_equal(read_image(one.source), expected)
        assert [one.defect for one in task.test] == ["good" if other == kind else other for other in CIFAR_CLASSES]
        assert len({one.name for one in task.good + task.test}) == 12


def test_an_array_written_by_columns_is_read_by_columns(tmp_path: Path) -> None:
    rows = batch_rows(4, 1)
    files = cifar_batches() | {"data_batch_1": batch(np.asfortranarray(rows), [0, 1, 2, 3], 2)}
    task = open_cifar_batches("cifar10", put(tmp_path, files)).task("cat", seed=0)
    np.testing.assert_array_equal(
        np.asarray(task.good[0].source).transpose(2, 0, 1).reshape(-1),
        rows[3],
    )


def test_folders_of_batches_are_known(tmp_path: Path) -> None:
    assert not holds_batches(tmp_path)
    put(tmp_path / "a", {"test_batch": b""})
    put(tmp_path / "b/cifar-10-batches-py", {"data_batch_3": b""})
    assert holds_batches(tmp_path / "a")
    assert holds_batches(tmp_path / "b")


# Pickles that ask for code


class Call:
    """Pickled as a call; unpickled by a careless reader, it is made."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def refuse(tmp_path: Path, content: bytes, words: str, file: str = "data_batch_2") -> None:
    path = put(tmp_path / "set", cifar_batches() | {file: content})
    with pytest.raises(LabelledSetError, match=words) as raised:
        open_cifar_batches("cifar10", path)
    assert str(raised.value).startswith(f"{file} in {path} ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_code_runs(tmp_path: Path, protocol: int, file: str) -> None:
    victim = tmp_path / "made-by-the-pickle"
    content = pickle.dumps({b"data": Call(Path.touch, victim)}, protocol=protocol)
    refuse(tmp_path, content, r"asks for .*, which no batch of CIFAR-10 does, and was not run: do not trust", file)
    assert not victim.exists()
    content = pickle.dumps([Call(eval, f"open({str(victim)!r}, 'w')")], protocol=protocol)
    refuse(tmp_path, content, r"asks for (builtins|__builtin__)\.eval, which no batch", file)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"os\.system"),
        (b"(S'true'\nios\nsystem\n.", r"os\.system"),
        (b"(cos\nsystem\nS'true'\no.", r"os\.system"),
        (b"cnumpy\nload\n(S'x.npy'\ntR.", r"numpy\.load"),
        (b"cnumpy.core.multiarray\nscalar\n.", r"numpy\.core\.multiarray\.scalar"),
        (b"c__builtin__\ngetattr\n.", r"__builtin__\.getattr"),
        (b"c_codecs\nlookup\n.", r"_codecs\.lookup"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.", "an encoding that is not Latin-1"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0bcore.system\x93.", r"numpy\.core\.system"),
        (b"\x80\x04\x8c\x02a\nX\xc8\x00\x00\x00" + 200 * b"b" + b"\x93.", r"a \.b{97}"),
    ],
)
def test_each_way_to_name_code_is_refused(tmp_path: Path, content: bytes, asked: str) -> None:
    refuse(tmp_path, content, f"asks for {asked}, which no batch of CIFAR-10 does, and was not run")


@pytest.mark.parametrize(
    "stand_in", [b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"cnumpy.core.multiarray\n_reconstruct\n"]
)
def test_what_stands_for_numpy_cannot_be_changed_from_a_file(tmp_path: Path, stand_in: bytes) -> None:
    for state in (
        b"(dX\x04\x00\x00\x00codeX\x02\x00\x00\x00u1s",
        b"N(dX\x04\x00\x00\x00rowsN s".replace(b" ", b"") + b"\x86",
    ):
        refuse(tmp_path, stand_in + state + b"b.", "cannot be read as a batch of CIFAR-10, it is damaged or cut short")
    open_cifar_batches("cifar10", put(tmp_path / "good", cifar_batches()))


def test_an_object_numbered_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    for numbered in (b"]r\xff\xff\xff\x7f.", b"]p2147483647\n."):
        refuse(tmp_path, b"\x80\x02" + numbered, r"damaged or cut short \(it numbers an object 2,147,483,647\)")


def test_a_length_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    for opcode in (b"B\xff\xff\xff\x7f", b"\x8e" + struct.pack("<Q", 2**62), b"\x8b\xff\xff\xff\x7f"):
        refuse(tmp_path, b"\x80\x04" + opcode + b"abc.", "cannot be read as a batch of CIFAR-10, it is damaged")


# Pickles that hold something else

ROWS = batch_rows(4, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as a batch of CIFAR-10, it is damaged or cut short"),
        (b"no pickle", "cannot be read as a batch of CIFAR-10, it is damaged or cut short"),
        (python2_batch(ROWS, [0, 1, 2, 3])[:-30], "cannot be read as a batch of CIFAR-10, it is damaged or cut short"),
        (pickle.dumps([1]), "must hold a dictionary, got list: download"),
        (pickle.dumps({b"labels": [1]}), "must hold an array under 'data', got nothing: download"),
        (pickle.dumps({b"data": b"x", b"labels": [1]}), "must hold an array under 'data', got a bytes: download"),
        (pickle.dumps({1: ROWS, (2, 3): [1]}, protocol=4), "must hold an array under 'data', got nothing"),
        (batch(ROWS.astype(np.float32), [0, 1, 2, 3], 2), "must hold an array of bytes, 3,072 an image, got another"),
        (batch(ROWS.astype(np.int8), [0, 1, 2, 3], 2), "must hold an array of bytes, 3,072 an image, got another"),
        (batch(ROWS[:, :-1], [0, 1, 2, 3], 2), "must hold an array of bytes, 3,072 an image, got another: download"),
        (batch(ROWS[0], [0], 2), "must hold an array of bytes, 3,072 an image, got another: download"),
        (batch(ROWS.reshape(4, 3, 32, 32), [0, 1, 2, 3], 2), "must hold an array of bytes, 3,072 an image"),
        (batch(np.array([[None] * 3072]), [0], 2), "must hold an array of bytes, 3,072 an image, got another"),
        (
            python2_batch(ROWS, [0, 1, 2, 3]).replace(b"K\x01M\x04\x00", b"K\x01M\xff\xff"),
            "must hold an array of bytes, 3,072 an image, got another",
        ),
        (
            b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n)RU\x06labels]u.",
            "must hold an array of bytes, 3,072 an image, got another",
        ),
        (batch(ROWS, [0, 1, 2], 2), "must hold a label for each image, got 3 for 4: download"),
        (batch(ROWS, (0, 1, 2, 3), 2), "must hold a list under 'labels', got a tuple: download"),
        (batch(ROWS, [0, 1, 2, 2**70], 2), "must hold labels that are small whole numbers: download"),
        (batch(ROWS, [0, 1, 2, "3"], 2), "must hold labels that are small whole numbers: download"),
    ],
)
def test_a_batch_of_something_else_has_its_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    refuse(tmp_path, content, words)


@pytest.mark.parametrize("names", [[b"cat", b"cat"], [b"cat", 1], [["cat"]]])
def test_class_names_must_be_names(tmp_path: Path, names: list[Any]) -> None:
    content = pickle.dumps({b"label_names": names}, protocol=2)
    refuse(tmp_path, content, "must hold a different name for each class: download", "batches.meta")


def test_labels_must_have_names_and_classes_must_have_images(tmp_path: Path) -> None:
    files = cifar_batches()
    path = put(tmp_path / "a", files | {"test_batch": batch(batch_rows(10, 0), [*range(9), 10])})
    with pytest.raises(LabelledSetError, match=r"test_batch in .* must hold labels from 0 to 9, got 10 for image 9"):
        open_cifar_batches("cifar10", path)
    path = put(tmp_path / "b", files | {"test_batch": batch(batch_rows(10, 0), [*range(9), 8])})
    with pytest.raises(LabelledSetError, match=r"test_batch in .* must have images of every class, got none of truck"):
        open_cifar_batches("cifar10", path)


def test_all_files_are_needed(tmp_path: Path) -> None:
    files = cifar_batches()
    del files["data_batch_4"], files["batches.meta"]
    for path in (put(tmp_path / "set", files), tarred(tmp_path / "set.tar.gz", files)):
        words = r"set.* must hold data_batch_1, .*, got no data_batch_4, batches\.meta: copy all of them"
        with pytest.raises(LabelledSetError, match=words):
            open_cifar_batches("cifar10", path)


# Archives


def test_links_and_folders_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", cifar_batches())
    secret = put(tmp_path, {"secret": cifar_batches()["test_batch"]}) / "secret"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in cifar_batches().items():
            member = tarfile.TarInfo(f"x/{name}")
            if name == "test_batch":
                member.type, member.linkname = tarfile.SYMTYPE, str(secret)
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(LabelledSetError, match="got no test_batch: copy all of them"):
        open_cifar_batches("cifar10", path)


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_file_is_bounded(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = cifar_batches()
    path = put(tmp_path / "set", files) if form == "folder" else tarred(tmp_path / "set.tar", files, mode="w")
    largest = max(map(len, files.values()))
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", largest)
    open_cifar_batches("cifar10", path)
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", largest - 1)
    with pytest.raises(
        LabelledSetError, match=rf"test_batch.* has {largest:,} bytes, and at most {largest - 1:,} are read"
    ):
        open_cifar_batches("cifar10", path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00 and no more"])
def test_a_file_that_is_no_archive_has_its_sentence(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path, {"c.tar.gz": content}) / "c.tar.gz"
    words = (
        r"c\.tar\.gz must be a folder, a zip or a tar archive that is whole, and cannot be unpacked \(.*\): download"
    )
    with pytest.raises(LabelledSetError, match=words) as raised:
        open_cifar_batches("cifar10", path)
    assert "\n" not in str(raised.value)


def test_a_cut_archive_has_its_sentence(tmp_path: Path) -> None:
    path = tarred(tmp_path / "c.tar.gz", cifar_batches())
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(LabelledSetError, match=r"c\.tar\.gz must be .* that is whole, and cannot be unpacked"):
        open_cifar_batches("cifar10", path)


def test_whatever_the_damage_the_error_is_one_of_ours(tmp_path: Path) -> None:
    whole = cifar_batches()["data_batch_1"]
    head = whole[: whole.index(b"\x89T") + 6], whole[-200:]
    chance, folder, refused = random.Random(0), put(tmp_path, cifar_batches()), 0
    for _ in range(400):
        start, end = (bytearray(part) for part in head)
        for _ in range(chance.randint(1, 3)):
            part = chance.choice([start, end])
            part[chance.randrange(len(part))] = chance.randrange(256)
        (folder / "data_batch_1").write_bytes(bytes(start) + whole[len(start) : -200] + bytes(end))
        try:
            open_cifar_batches("cifar10", folder)
        except OnlygoodError as error:
            refused += 1
            assert "data_batch_1" in str(error) or "train in" in str(error)
    assert refused > 200
