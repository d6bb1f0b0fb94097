"""Which data set a name stands for, and what it was found to hold."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.datasets.cifar_binary import holds_batches, open_cifar_binary
from benchmarks.datasets.class_folders import open_class_folders
from benchmarks.datasets.elpv import open_elpv
from benchmarks.datasets.files import reason
from benchmarks.datasets.idx import DIGITS, FASHION, FASHION_FOLDER, open_idx
from benchmarks.datasets.mvtec import open_mvtec
from benchmarks.datasets.tasks import Dataset
from onlygood import LabelledSetError, SettingError

KINDS = ("mvtec", "mnist", "cifar10", "elpv")
KIND_OF_NAME = {"mnist": "mnist", "fashion-mnist": "mnist", "cifar10": "cifar10", "elpv": "elpv"}
"""All other names stand for folders of MVTec's layout."""


def open_dataset(name: str, path: str | os.PathLike[str] | None, *, kind: str | None = None) -> Dataset:
    """The data set, found whole; images are decoded only when a task's are read.

    | kind | names | what lies at the path | classes |
    |---|---|---|---|
    | mnist | mnist, fashion-mnist | a folder of four idx files, gzipped or not | ten digits, or ten garments |
    | cifar10 | cifar10 | `train/<class>/` and `test/<class>/` in a folder or a zip; or the authors' binary
      version, in a folder or a tar | the class folders, or the original names |
    | elpv | elpv | a folder with labels.csv | mono, poly, mono-all-grades, poly-all-grades |
    | mvtec | any other | `train/good`, `test/<defect>`, `ground_truth/<defect>`; or a folder of such folders | all, or
      the folders |

    Args:
        name: what the user calls it; some names say its kind.
        path: where it lies. None for elpv means the installed package elpv-dataset, for fashion-mnist the place of
            Debian's package dataset-fashion-mnist.
        kind: where the name does not say it.

    Raises:
        SettingError: an unknown kind, or no path where one is needed.
        LabelledSetError: nothing there, or a data set that is incomplete, damaged or contradicts itself.
        FolderError: a folder of images that cannot be listed or is empty.
        MissingExtraError: no path for elpv, and elpv-dataset is not installed.
    """
    kind = KIND_OF_NAME.get(name, "mvtec") if kind is None else kind
    if kind not in KINDS:
        raise SettingError(f"the kind of a data set must be one of {', '.join(KINDS)}, got {kind!r}")
    if path is None and kind == "elpv":
        return open_elpv(name, None)
    if path is None and name == "fashion-mnist" and kind == "mnist":
        path = FASHION_FOLDER
        if not FASHION_FOLDER.is_dir():
            raise LabelledSetError(
                f"{name} must have a path or lie in {FASHION_FOLDER}, got neither: install Debian's package "
                "dataset-fashion-mnist, or give the folder of its four idx files"
            )
    if path is None:
        raise SettingError(f"the data set {name} must have a path, got none: say where it lies")
    place = Path(path)
    try:
        place.stat()
    except FileNotFoundError as error:
        raise LabelledSetError(f"{place} does not exist: check the path of the data set {name}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise LabelledSetError(_unreadable(place, error)) from error
    try:
        return _open(name, kind, place)
    except OSError as error:
        raise LabelledSetError(_unreadable(Path(error.filename or place), error)) from error


def _unreadable(place: Path, error: Exception) -> str:
    return f"{place} cannot be read ({reason(error)}): check its path and permissions"


def _open(name: str, kind: str, place: Path) -> Dataset:
    if kind == "elpv":
        return open_elpv(name, place)
    if kind == "mnist":
        return open_idx(name, place, classes=FASHION if name == "fashion-mnist" else DIGITS)
    return _open_cifar10(name, place) if kind == "cifar10" else open_mvtec(name, place)


def _open_cifar10(name: str, path: Path) -> Dataset:
    if path.is_dir():
        return open_cifar_binary(name, path) if holds_batches(path) else open_class_folders(name, path)
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    return open_class_folders(name, path) if is_zip else open_cifar_binary(name, path)
