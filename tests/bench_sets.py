"""Benchmark data sets in small, as they lie on disk: two or three images a class, numbered so that each is known."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostile import encoded

Array = NDArray[Any]

TRAIN_LABELS = np.repeat(np.arange(10), 3)[::-1].astype(np.uint8)
TEST_LABELS = np.tile(np.arange(10), 2).astype(np.uint8)
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


# idx files


def images(count: int, *, start: int = 0) -> Array:
    """uint8 [count, 4, 5]; image i is start + i everywhere."""
    return np.broadcast_to(np.arange(start, start + count, dtype=np.uint8)[:, None, None], (count, 4, 5))


def idx(array: Array) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def put_idx(folder: Path, *, gzipped: bool = False, dot: str = "-") -> Path:
    """The four files; training image i is i everywhere, test image i is 100 + i."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, given, labels in (
        ("train", images(len(TRAIN_LABELS)), TRAIN_LABELS),
        ("t10k", images(len(TEST_LABELS), start=100), TEST_LABELS),
    ):
        for stem, content in ((f"images{dot}idx3-ubyte", idx(given)), (f"labels{dot}idx1-ubyte", idx(labels))):
            path = folder / f"{prefix}-{stem}{'.gz' if gzipped else ''}"
            path.write_bytes(gzip.compress(content) if gzipped else content)
    return folder


# Folders of images


def image(level: int) -> bytes:
    """A PNG of one level."""
    return encoded(np.full((4, 5), level, np.uint8), "PNG")


def put(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def class_files() -> dict[str, bytes]:
    """Three classes, two training and one test image each, all of different levels."""
    names = [f"train/{kind}/{number}.png" for kind in ("bird", "cat", "dog") for number in (0, 1)]
    names += [f"test/{kind}/0.png" for kind in ("bird", "cat", "dog")]
    return {name: image(level) for level, name in enumerate(names)}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def mvtec_files(*, start: int = 0) -> dict[str, bytes]:
    names = ["train/good/0.png", "train/good/1.png", "test/good/0.png", "test/crack/0.png", "test/hole/0.png"]
    return {name: image(start + level) for level, name in enumerate(names)} | {
        "ground_truth/crack/0_mask.png": image(255),
        "ground_truth/hole/0_mask.png": image(255),
    }


# The original batches of CIFAR-10


def python2_batch(rows: Array, labels: Iterable[int]) -> bytes:
    """A batch in the words that Python 2 and NumPy wrote it in: text as bytes, every object numbered."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    pixels = rows.tobytes()
    return b"".join(
        [
            b"\x80\x02}q\x01(" + short(b"batch_label") + b"q\x02" + short(b"training batch 1 of 5") + b"q\x03",
            short(b"labels") + b"q\x04]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            short(b"data") + b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85q\tU\x01bq\n\x87Rq\x0b(K\x01M" + struct.pack("<H", len(rows)) + b"M\x00\x0c\x86cnumpy\ndtype\n",
            b"q\x0cU\x02u1q\rK\x00K\x01\x87Rq\x0e(K\x03U\x01|q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b",
            b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"q\x11tq\x12b",
            short(b"filenames") + b"q\x13]q\x14(" + b"".join(short(b"x.png") for _ in rows) + b"eu.",
        ]
    )


def batch_rows(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def cifar_batches(protocol: int | None = None) -> dict[str, bytes]:
    """All seven files: four images a training batch, ten test images; as Python 2 wrote them unless told."""
    files = {}
    for number in range(1, 6):
        labels = [(4 * (number - 1) + place) % 10 for place in range(4)]
        files[f"data_batch_{number}"] = batch(batch_rows(4, number), labels, protocol)
    files["test_batch"] = batch(batch_rows(10, 9), list(range(10)), protocol)
    names = [name.encode() for name in CIFAR_CLASSES]
    files["batches.meta"] = pickle.dumps({b"num_cases_per_batch": 4, b"label_names": names}, protocol=protocol or 2)
    return files


def batch(rows: Array, labels: list[int], protocol: int | None = None) -> bytes:
    if protocol is None:
        return python2_batch(rows, labels)
    return pickle.dumps({b"data": rows, b"labels": labels, b"filenames": [b"x.png"]}, protocol=protocol)


def tarred(path: Path, files: dict[str, bytes], *, folder: str = "cifar-10-batches-py/", mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


# ELPV

ELPV_GRADES = {"0.0": 5, "0.3333333333333333": 1, "0.6666666666666666": 2, "1.0": 3}


def put_elpv(folder: Path) -> Path:
    """Of each kind of cell five good ones, and one, two and three of the grades above; cells in the order of grades."""
    lines, files = [], {}
    for kind in ("mono", "poly"):
        for grade, count in ELPV_GRADES.items():
            for _ in range(count):
                name = f"images/cell{len(lines) + 1:04}.png"
                files[name] = image(len(lines))
                lines.append(f"{name}  {grade:<18}  {kind}")
    return put(folder, files | {"labels.csv": "\n".join([*lines, ""]).encode()})
