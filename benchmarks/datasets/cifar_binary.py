"""CIFAR-10 in the binary version that its authors publish: a byte of label and 3,072 of pixels an image.

The authors' Python version holds the same pixels as pickles, which can make Python run anything: it is not read.
"""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.files import reason
from benchmarks.datasets.one_versus_rest import OneVersusRest, Part, one_versus_rest
from benchmarks.datasets.tasks import TaskImage
from onlygood import LabelledSetError

FOLDER = "cifar-10-batches-bin"
TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCH = "test_batch.bin"
NAMES = "batches.meta.txt"
MAX_BATCH_BYTES = 100_000_000
"""Most bytes of one file; the original ones have 31,000,000."""
_FILES = (*TRAIN_BATCHES, TEST_BATCH, NAMES)
_SHAPE = (3, 32, 32)  # an image's order: all red, then all green, then all blue
_WIDTH = 1 + math.prod(_SHAPE)
# The files of the Python version, which some have in place of these.
_PICKLES = ("data_batch_1", "test_batch", "batches.meta")
_DOWNLOAD = "download the authors' binary version, cifar-10-binary.tar.gz"


def open_cifar_binary(name: str, path: Path) -> OneVersusRest:
    """The data set of the folder `cifar-10-batches-bin`, of the folder that holds it, or of the tar archive of it.

    Raises:
        LabelledSetError: a file is missing, is damaged, or holds something else than a batch.
    """
    files = dict(_files_of(path) if path.is_dir() else _members_of(path))
    missing = [file for file in _FILES if file not in files]
    if missing:
        pickles = [file for file in _PICKLES if file in files]
        found = f"no {', '.join(missing)}" + (f", but {pickles[0]} of the pickled version" if pickles else "")
        raise LabelledSetError(f"{path} must hold {', '.join(_FILES)}, got {found}: {_DOWNLOAD}")
    return one_versus_rest(
        name=name,
        kind="cifar10",
        classes=_read_names(files[NAMES], f"{NAMES} in {path}"),
        train=_part("train", [(f"{batch} in {path}", files[batch]) for batch in TRAIN_BATCHES], f"train in {path}"),
        test=_part("test", [(f"{TEST_BATCH} in {path}", files[TEST_BATCH])], f"{TEST_BATCH} in {path}"),
    )


def holds_batches(folder: Path) -> bool:
    """Whether a folder is, or holds, that of the authors' batches in either version, if not all of them."""
    return any((folder / file).is_file() or (folder / FOLDER / file).is_file() for file in (*_FILES, *_PICKLES))


def _part(split: str, batches: Sequence[tuple[str, bytes]], shown: str) -> Part:
    records = np.concatenate([_read_batch(data, batch) for batch, data in batches])

    def load(positions: NDArray[np.intp]) -> list[TaskImage]:
        return [
            TaskImage(
                name=f"{split}/{position:05}", source=records[position, 1:].reshape(_SHAPE).transpose(1, 2, 0).copy()
            )
            for position in positions
        ]

    return Part(shown=shown, labels=records[:, 0].astype(np.int64), load=load)


def _read_batch(data: bytes, shown: str) -> NDArray[np.uint8]:
    """Records, uint8 [n, 3073]."""
    if not data or len(data) % _WIDTH:
        raise LabelledSetError(
            f"{shown} must hold records of {_WIDTH:,} bytes, got {len(data):,} bytes in all: {_DOWNLOAD}"
        )
    return np.frombuffer(data, np.uint8).reshape(-1, _WIDTH)


def _read_names(data: bytes, shown: str) -> tuple[str, ...]:
    names = tuple(data.decode("ascii", "replace").split())
    if not names or len(set(names)) != len(names):
        raise LabelledSetError(f"{shown} must hold a different name for each class, got {list(names)}: {_DOWNLOAD}")
    return names


def _files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    place = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    for file in (*_FILES, *_PICKLES):
        path = place / file
        if path.is_file():
            _check_size(path.stat().st_size, str(path))
            yield file, path.read_bytes()


def _members_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Files of the archive by their last name; nothing is unpacked to disk, so paths and links in it do no harm."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = member.name.rpartition("/")[2]
                _check_size(member.size, f"{member.name} in {path}")
                opened = archive.extractfile(member) if file in (*_FILES, *_PICKLES) and member.isreg() else None
                if opened is not None:
                    yield file, opened.read()
    except LabelledSetError:
        raise
    except Exception as error:  # each compression has errors of its own
        raise LabelledSetError(
            f"{path} must be a folder, a zip or a tar archive that is whole, and cannot be unpacked ({reason(error)}): "
            "download it again"
        ) from error


def _check_size(size: int, shown: str) -> None:
    if size > MAX_BATCH_BYTES:
        raise LabelledSetError(
            f"{shown} has {size:,} bytes, and at most {MAX_BATCH_BYTES:,} are read: download the original again"
        )
