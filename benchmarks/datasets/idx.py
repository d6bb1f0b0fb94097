"""MNIST and its relatives: four idx files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.one_versus_rest import OneVersusRest, Part, one_versus_rest
from benchmarks.datasets.tasks import TaskImage
from onlygood import LabelledSetError

DIGITS = tuple(str(digit) for digit in range(10))
FASHION = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle-boot"),
)
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
MAX_BYTES = 2_000_000_000
"""Most bytes of pixels that one file may hold."""
_HOLDS = {1: "labels", 3: "images"}


def open_idx(name: str, folder: Path, *, classes: tuple[str, ...]) -> OneVersusRest:
    """The data set of a folder with `train-images-idx3-ubyte` and its three siblings, `.gz` or not.

    Unpacked images stay on disk and are mapped into memory; gzipped ones are held as one array.

    Args:
        name: what the user calls it.
        folder: where the files are.
        classes: what the labels 0, 1, ... stand for.

    Raises:
        LabelledSetError: a file is missing, is no idx file of its kind, is cut short or too long, or the labels do not
            fit the images.
    """
    if not folder.is_dir():
        raise LabelledSetError(
            f"{folder} must be the folder of the four idx files of {name}, got a file: give its folder"
        )
    return one_versus_rest(
        name=name,
        kind="mnist",
        classes=classes,
        train=_part(folder, "train", "train"),
        test=_part(folder, "t10k", "test"),
    )


def _part(folder: Path, prefix: str, split: str) -> Part:
    images_path, labels_path = _find(folder, f"{prefix}-images", 3), _find(folder, f"{prefix}-labels", 1)
    images, labels = _read(images_path, 3), _read(labels_path, 1)
    if len(images) != len(labels):
        raise LabelledSetError(
            f"{labels_path} must hold a label for each image of {images_path.name}, got {len(labels):,} for "
            f"{len(images):,}: take both files from one data set"
        )

    def load(positions: NDArray[np.intp]) -> list[TaskImage]:
        return [TaskImage(name=f"{split}/{position:05}", source=images[position]) for position in positions]

    return Part(shown=str(labels_path), labels=labels.astype(np.int64), load=load)


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{dot}idx{dimensions}-ubyte" for dot in "-."]
    for name in (*names, *(f"{name}.gz" for name in names)):
        if (folder / name).is_file():
            return folder / name
    raise LabelledSetError(
        f"{folder} must hold {names[0]} or {names[0]}.gz, got neither: copy all four idx files there"
    )


def _read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    with path.open("rb") as file:
        is_gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_gzipped:
            shape = _read_header(file, path, dimensions)
            _check_length(path.stat().st_size - file.tell(), shape, path)
            return np.memmap(path, np.uint8, "r", offset=file.tell(), shape=shape)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                shape = _read_header(cast(BinaryIO, unpacked), path, dimensions)
                pixels = unpacked.read(math.prod(shape) + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise LabelledSetError(f"{path} cannot be unpacked, it is damaged or cut short: copy it again") from error
    _check_length(len(pixels), shape, path)
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _read_header(file: BinaryIO, path: Path, dimensions: int) -> tuple[int, ...]:
    magic = bytes([0, 0, 8, dimensions])  # 8: the values are bytes
    size = 4 + 4 * dimensions
    header = file.read(size)
    if header[:4] != magic[: len(header)] or not header:
        raise LabelledSetError(
            f"{path} must begin with {magic.hex(' ')}, as idx files of {_HOLDS[dimensions]} do, got "
            f"{header[:4].hex(' ') or 'an empty file'}: copy it again"
        )
    if len(header) < size:
        raise LabelledSetError(f"{path} must have a header of {size} bytes, got {len(header)}: copy it again")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not all(shape):
        raise LabelledSetError(f"{path} must hold {_HOLDS[dimensions]}, got the shape {list(shape)}: copy it again")
    if math.prod(shape) > MAX_BYTES:
        raise LabelledSetError(
            f"{path} says that it holds {math.prod(shape):,} bytes of {_HOLDS[dimensions]}, and at most {MAX_BYTES:,} "
            "are read: copy it again, or take a part of it"
        )
    return shape


def _check_length(got: int, shape: tuple[int, ...], path: Path) -> None:
    wanted = math.prod(shape)
    if got != wanted:
        found = f"{got:,}" if got < wanted else "more"
        raise LabelledSetError(
            f"{path} must hold {wanted:,} bytes after its header, which says {list(shape)}, got {found}: copy it again"
        )
