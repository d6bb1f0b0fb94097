import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from bench_sets import TEST_LABELS, TRAIN_LABELS, idx, images, put_idx
from benchmarks.datasets.idx import DIGITS, FASHION, MAX_BYTES, open_idx
from onlygood import LabelledSetError, read_image


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_every_image_comes_with_its_label(tmp_path: Path, gzipped: bool, dot: str) -> None:
    data = open_idx("mnist", put_idx(tmp_path, gzipped=gzipped, dot=dot), classes=DIGITS)
    assert data.sentence == "mnist: 30 training and 20 test images of 10 classes"
    assert data.classes == tuple("0123456789")
    for digit in range(10):
        task = data.task(str(digit), seed=0)
        learned = [int(read_image(one.source)[3, 4, 0]) for one in task.good]
        assert learned == np.flatnonzero(digit == TRAIN_LABELS).tolist()
        judged = {int(read_image(one.source)[3, 4, 0]) - 100: one for one in task.test}
        assert sorted(judged) == list(range(20))
        for number, one in judged.items():
            assert one.is_anomalous == (TEST_LABELS[number] != digit)
            assert one.defect == (str(TEST_LABELS[number]) if one.is_anomalous else "good")
        assert len({one.name for one in task.good + task.test}) == len(task.good) + 20
    assert task.good[0].name == "train/00000"
    assert read_image(task.good[0].source).shape == (4, 5, 1)


def test_unpacked_images_stay_on_disk(tmp_path: Path) -> None:
    task = open_idx("mnist", put_idx(tmp_path), classes=DIGITS).task("4", seed=0)
    assert isinstance(task.good[0].source, np.memmap)
    assert not task.good[0].source.flags.writeable


def test_gzip_is_told_by_content_and_an_unpacked_file_is_taken_first(tmp_path: Path) -> None:
    put_idx(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.with_name(labels.name + ".gz").write_bytes(b"not looked at")
    labels.write_bytes(gzip.compress(labels.read_bytes()))
    assert len(open_idx("mnist", tmp_path, classes=DIGITS).task("4", seed=0).good) == 3


def test_garments_have_names(tmp_path: Path) -> None:
    data = open_idx("fashion-mnist", put_idx(tmp_path), classes=FASHION)
    task = data.task("9", seed=0)
    assert task.class_name == "ankle-boot"
    assert [one.defect for one in task.test[:3]] == ["t-shirt", "trouser", "pullover"]
    assert task == data.task("ankle-boot", seed=0)


IMAGES, LABELS = idx(images(30)), idx(TRAIN_LABELS)
CASES = {
    "empty": ("images-idx3", b"", "must begin with 00 00 08 03, as idx files of images do, got an empty file: copy"),
    "labels for images": ("images-idx3", LABELS, "must begin with 00 00 08 03, .* got 00 00 08 01"),
    "images for labels": (
        "labels-idx1",
        IMAGES,
        "must begin with 00 00 08 01, as idx files of labels do, got 00 00 08",
    ),
    "two bytes a pixel": ("images-idx3", b"\0\0\x0b\x03" + IMAGES[4:], "got 00 00 0b 03"),
    "a cut magic number": ("images-idx3", IMAGES[:3], "must have a header of 16 bytes, got 3: copy"),
    "a cut header": ("labels-idx1", LABELS[:7], "must have a header of 8 bytes, got 7: copy"),
    "no images": ("images-idx3", idx(images(0)), r"must hold images, got the shape \[0, 4, 5\]: copy"),
    "no pixels": ("images-idx3", struct.pack(">4I", 0x803, 30, 0, 5), r"must hold images, got the shape \[30, 0, 5\]"),
    "cut images": (
        "images-idx3",
        IMAGES[:-1],
        r"must hold 600 bytes after its header, which says \[30, 4, 5\], got 599",
    ),
    "too many bytes": ("images-idx3", IMAGES + b"12", "must hold 600 bytes after its header, .* got more: copy"),
    "cut labels": ("labels-idx1", LABELS[:-3], r"must hold 30 bytes after its header, which says \[30\], got 27: copy"),
    "fewer labels": (
        "labels-idx1",
        idx(TRAIN_LABELS[:-1]),
        "must hold a label for each image of train-images-idx3-ubyte.*, got 29 for 30: take both files from one",
    ),
    "a label of none": (
        "labels-idx1",
        idx(np.append(TRAIN_LABELS[:-1], 11).astype(np.uint8)),
        "must hold labels from 0 to 9, got 11 for image 29: copy",
    ),
    "a class that is missing": (
        "labels-idx1",
        idx(np.minimum(TRAIN_LABELS, 7)),
        "must have images of every class, got none of 8, 9: copy",
    ),
    "more than fits": (
        "images-idx3",
        struct.pack(">4I", 0x803, *[2**32 - 1] * 3),
        f"says that it holds {(2**32 - 1) ** 3:,} bytes of images, and at most {MAX_BYTES:,} are read: copy",
    ),
}


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_broken_file_has_its_sentence(tmp_path: Path, case: str, gzipped: bool) -> None:
    stem, content, words = CASES[case]
    path = put_idx(tmp_path, gzipped=gzipped) / f"train-{stem}-ubyte{'.gz' if gzipped else ''}"
    path.write_bytes(gzip.compress(content) if gzipped else content)
    with pytest.raises(LabelledSetError, match=words) as raised:
        open_idx("mnist", tmp_path, classes=DIGITS)
    assert str(raised.value).startswith(f"{tmp_path}")


@pytest.mark.parametrize("gone", ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"])
def test_all_four_files_are_needed(tmp_path: Path, gone: str) -> None:
    (put_idx(tmp_path) / f"{gone}-ubyte").unlink()
    with pytest.raises(LabelledSetError, match=rf"must hold {gone}-ubyte or {gone}-ubyte\.gz, got neither: copy all"):
        open_idx("mnist", tmp_path, classes=DIGITS)


@pytest.mark.parametrize("damage", ["cut", "another checksum", "no method", "more"])
def test_a_damaged_gzip_file_has_its_sentence(tmp_path: Path, damage: str) -> None:
    path = put_idx(tmp_path, gzipped=True) / "t10k-images-idx3-ubyte.gz"
    packed = bytearray(path.read_bytes())
    if damage == "cut":
        del packed[-12:]
    elif damage == "more":
        packed += b"after the end"
    else:
        packed[-6 if damage == "another checksum" else 2] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(
        LabelledSetError, match=r"ubyte\.gz cannot be unpacked, it is damaged or cut short: copy it again"
    ):
        open_idx("mnist", tmp_path, classes=DIGITS)


def test_a_file_is_no_folder_of_idx_files(tmp_path: Path) -> None:
    path = put_idx(tmp_path) / "train-images-idx3-ubyte"
    with pytest.raises(LabelledSetError, match="must be the folder of the four idx files of mnist, got a file: give"):
        open_idx("mnist", path, classes=DIGITS)
