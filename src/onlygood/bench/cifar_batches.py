"""CIFAR-10 as its authors publish it: pickled batches, read without running what a pickle can make Python do.

What the original batches refer to by name (NumPy's arrays and types) is replaced by stand-ins that only keep what they
are given; every other name is refused. The pixels are then taken from the stand-ins' bytes, of a shape and a type that
are checked here, so that nothing from the file reaches code that trusts it.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.bench.one_versus_rest import OneVersusRest, Part, one_versus_rest
from onlygood.bench.tasks import TaskImage
from onlygood.errors import LabelledSetError
from onlygood.images.limits import reason

FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
NAMES = "batches.meta"
MAX_BATCH_BYTES = 100_000_000
"""Most bytes of one file; the original ones have 31,000,000."""
_FILES = (*TRAIN_BATCHES, TEST_BATCH, NAMES)
_SHAPE = (3, 32, 32)  # a row's order: all red, then all green, then all blue
_WIDTH = math.prod(_SHAPE)


def open_cifar_batches(name: str, path: Path) -> OneVersusRest:
    """The data set of the folder `cifar-10-batches-py`, of the folder that holds it, or of the tar archive of it.

    Raises:
        LabelledSetError: a file is missing, is damaged, asks for code, or holds something else than a batch.
    """
    files = dict(_files_of(path) if path.is_dir() else _members_of(path))
    missing = [file for file in _FILES if file not in files]
    if missing:
        raise LabelledSetError(f"{path} must hold {', '.join(_FILES)}, got no {', '.join(missing)}: copy all of them")
    classes = _read_names(files[NAMES], f"{NAMES} in {path}")
    return one_versus_rest(
        name=name,
        kind="cifar10",
        classes=classes,
        train=_part("train", [(f"{batch} in {path}", files[batch]) for batch in TRAIN_BATCHES], f"train in {path}"),
        test=_part("test", [(f"{TEST_BATCH} in {path}", files[TEST_BATCH])], f"{TEST_BATCH} in {path}"),
    )


def holds_batches(folder: Path) -> bool:
    """Whether a folder is, or holds, that of the original batches, if not all of them."""
    return any((place / file).is_file() for place in (folder, folder / FOLDER) for file in _FILES)


def _part(split: str, batches: list[tuple[str, bytes]], shown: str) -> Part:
    rows: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for batch_shown, data in batches:
        batch_rows, batch_labels = _read_batch(data, batch_shown)
        rows.extend(batch_rows)
        labels.extend(batch_labels)

    def load(positions: NDArray[np.intp]) -> list[TaskImage]:
        return [
            TaskImage(name=f"{split}/{position:05}", source=rows[position].reshape(_SHAPE).transpose(1, 2, 0))
            for position in positions
        ]

    return Part(shown=shown, labels=np.array(labels, dtype=np.int64), load=load)


# Files


def _files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    place = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    for file in _FILES:
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
                opened = archive.extractfile(member) if file in _FILES and member.isreg() else None
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


# What a batch holds


def _read_names(data: bytes, shown: str) -> tuple[str, ...]:
    names = _entry(_read_dictionary(data, shown), "label_names", list, shown)
    decoded = tuple(name.decode("ascii", "replace") if isinstance(name, bytes) else name for name in names)
    if not all(isinstance(name, str) for name in decoded) or len(set(decoded)) != len(decoded):
        raise LabelledSetError(f"{shown} must hold a different name for each class: download the original again")
    return decoded


def _read_batch(data: bytes, shown: str) -> tuple[NDArray[np.uint8], list[int]]:
    entries = _read_dictionary(data, shown)
    rows = _entry(entries, "data", _Array, shown).rows(shown)
    labels = _entry(entries, "labels", list, shown)
    if not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise LabelledSetError(f"{shown} must hold labels that are small whole numbers: download the original again")
    if len(rows) != len(labels):
        raise LabelledSetError(
            f"{shown} must hold a label for each image, got {len(labels):,} for {len(rows):,}: download the original "
            "again"
        )
    return rows, labels


def _entry(entries: dict[str, Any], key: str, kind: type, shown: str) -> Any:
    value = entries.get(key)
    if not isinstance(value, kind):
        what = "nothing" if value is None else f"a {type(value).__name__.strip('_').lower()}"
        raise LabelledSetError(
            f"{shown} must hold {'an array' if kind is _Array else 'a list'} under {key!r}, got {what}: "
            "download the original again"
        )
    return value


def _read_dictionary(data: bytes, shown: str) -> dict[str, Any]:
    try:
        _check_memory(data)
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except _RefusedError as error:
        raise LabelledSetError(
            f"{shown} asks for {error}, which no batch of CIFAR-10 does, and was not run: do not trust where it came "
            "from, download the original"
        ) from error
    except Exception as error:  # a damaged pickle can raise nearly everything
        raise LabelledSetError(
            f"{shown} cannot be read as a batch of CIFAR-10, it is damaged or cut short ({reason(error)}): download "
            "the original again"
        ) from error
    if not isinstance(content, dict):
        raise LabelledSetError(
            f"{shown} must hold a dictionary, got {type(content).__name__}: download the original again"
        )
    # Written by Python 2, keys are bytes.
    return {
        key.decode("ascii", "replace") if isinstance(key, bytes) else key: value
        for key, value in content.items()
        if isinstance(key, bytes | str)
    }


# Unpickling


class _RefusedError(Exception):
    """A name that no batch refers to."""


class _Array:
    """What stands for `numpy.core.multiarray._reconstruct`: keeps the state that an array would be made from."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def rows(self, shown: str) -> NDArray[np.uint8]:
        """The array, uint8 [n, 3072], without a copy."""
        try:
            _, (count, width), kind, by_columns, pixels = self.state
            is_bytes = isinstance(kind, _Type) and kind.code in ("u1", b"u1") and isinstance(pixels, bytes)
            if is_bytes and type(count) is int and width == _WIDTH and len(pixels) == count * _WIDTH:
                rows = np.frombuffer(pixels, np.uint8)
                return rows.reshape((count, _WIDTH), order="F" if by_columns else "C")
        except (TypeError, ValueError):
            pass
        raise LabelledSetError(
            f"{shown} must hold an array of bytes, {_WIDTH:,} an image, got another: download the original again"
        )


class _Type:
    """What stands for `numpy.dtype`: keeps the code; bytes have no byte order that its state could tell."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        pass


class _Encoded:
    """What stands for `_codecs.encode`, with which Python 3 writes bytes for Python 2: gives the bytes."""

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        """The bytes that `encoding`, which must be Latin-1, makes of `text`."""
        if encoding != "latin1":
            raise _RefusedError("an encoding that is not Latin-1")
        return text.encode("latin-1")

    def __setstate__(self, state: Any) -> None:
        pass


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Encoded,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _RefusedError(" ".join(f"{module}.{name}".split())[:100]) from None


def _check_memory(data: bytes) -> None:
    """Nothing, if each object has a number that a writer could have given it.

    The unpickler makes room up to the highest number: one instruction of five bytes could ask for all memory.
    """
    for instruction, argument, _ in pickletools.genops(data):
        if instruction.name in ("PUT", "LONG_BINPUT") and (argument or 0) > len(data):
            raise pickle.UnpicklingError(f"it numbers an object {argument:,}")
