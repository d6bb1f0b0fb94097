"""Benchmark data sets in small, as they lie on disk: two or three images a class, numbered so that each is known."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Sequence
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


# CIFAR-10 in its binary version


def batch_rows(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def batch(rows: Array, labels: Sequence[int]) -> bytes:
    """Records of a label and 3,072 bytes each."""
    return np.column_stack([np.array(labels, np.uint8), rows]).tobytes()


def cifar_batches() -> dict[str, bytes]:
    """All seven files: four images a training batch, ten test images."""
    files = {}
    for number in range(1, 6):
        labels = [(4 * (number - 1) + place) % 10 for place in range(4)]
        files[f"data_batch_{number}.bin"] = batch(batch_rows(4, number), labels)
    files["test_batch.bin"] = batch(batch_rows(10, 9), list(range(10)))
    files["batches.meta.txt"] = "\n".join([*CIFAR_CLASSES, "", ""]).encode()
    return files


def tarred(path: Path, files: dict[str, bytes], *, folder: str = "cifar-10-batches-bin/", mode: str = "w:gz") -> Path:
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
