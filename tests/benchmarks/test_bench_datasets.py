import subprocess
import sys
from pathlib import Path

import pytest

from bench_sets import cifar_batches, class_files, mvtec_files, put, put_elpv, put_idx, tarred, zipped
from benchmarks.datasets import opening
from benchmarks.datasets.opening import KIND_OF_NAME, KINDS, open_dataset
from benchmarks.datasets.tasks import Dataset
from onlygood import LabelledSetError, OnlygoodError, SettingError


def shown(data: Dataset) -> tuple[str, str, str, int]:
    return data.name, data.kind, data.classes[0], len(data.classes)


def test_the_name_says_the_kind(tmp_path: Path) -> None:
    idx, elpv, parts = put_idx(tmp_path / "idx"), put_elpv(tmp_path / "elpv"), put(tmp_path / "mvtec", mvtec_files())
    assert shown(open_dataset("mnist", idx)) == ("mnist", "mnist", "0", 10)
    assert shown(open_dataset("fashion-mnist", idx)) == ("fashion-mnist", "mnist", "t-shirt", 10)
    assert shown(open_dataset("elpv", elpv)) == ("elpv", "elpv", "mono", 4)
    assert shown(open_dataset("magnetic-tile", parts)) == ("magnetic-tile", "mvtec", "all", 1)
    assert shown(open_dataset("magnetic-tile", parts)) == shown(open_dataset("magnetic-tile", str(parts)))
    assert set(KIND_OF_NAME.values()) < set(KINDS)


def test_cifar10_is_taken_in_each_of_its_forms(tmp_path: Path) -> None:
    folders, archive = put(tmp_path / "folders", class_files()), zipped(tmp_path / "a", class_files())
    batches, tar = put(tmp_path / "batches", cifar_batches()), tarred(tmp_path / "b", cifar_batches())
    assert shown(open_dataset("cifar10", folders)) == ("cifar10", "cifar10", "bird", 3)
    assert shown(open_dataset("cifar10", archive)) == ("cifar10", "cifar10", "bird", 3)
    assert shown(open_dataset("cifar10", batches)) == ("cifar10", "cifar10", "airplane", 10)
    assert shown(open_dataset("cifar10", tar)) == ("cifar10", "cifar10", "airplane", 10)


def test_a_kind_that_is_given_comes_before_the_name(tmp_path: Path) -> None:
    idx, folders = put_idx(tmp_path / "idx"), put(tmp_path / "folders", class_files())
    assert shown(open_dataset("letters", idx, kind="mnist")) == ("letters", "mnist", "0", 10)
    assert shown(open_dataset("pets", folders, kind="cifar10")) == ("pets", "cifar10", "bird", 3)
    assert shown(open_dataset("mnist", put(tmp_path / "m", mvtec_files()), kind="mvtec")) == (
        "mnist",
        "mvtec",
        "all",
        1,
    )
    with pytest.raises(
        SettingError, match=r"the kind of a data set must be one of mvtec, mnist, .*, got 'fashion-mnist'"
    ):
        open_dataset("mnist", idx, kind="fashion-mnist")


def test_fashion_mnist_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FASHION_FOLDER", tmp_path / "fashion-mnist")
    words = (
        "fashion-mnist must have a path or lie in .*fashion-mnist, got neither: install Debian's package dataset-fash"
    )
    with pytest.raises(LabelledSetError, match=words):
        open_dataset("fashion-mnist", None)
    put_idx(tmp_path / "fashion-mnist", gzipped=True)
    assert shown(open_dataset("fashion-mnist", None)) == ("fashion-mnist", "mnist", "t-shirt", 10)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("mnist", None), ("cifar10", None), ("magnetic-tile", None), ("fashion-mnist", "mvtec"), ("letters", "mnist")],
)
def test_other_data_sets_need_a_path(name: str, kind: str | None) -> None:
    with pytest.raises(SettingError, match=f"the data set {name} must have a path, got none: say where it lies"):
        open_dataset(name, None, kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_at_the_path_has_its_sentence(tmp_path: Path, kind: str) -> None:
    with pytest.raises(LabelledSetError, match="missing does not exist: check the path of the data set x"):
        open_dataset("x", tmp_path / "missing", kind=kind)
    with pytest.raises(LabelledSetError, match=r"cannot be read \(.*null.*\): check its path and permissions"):
        open_dataset("x", Path("null\0character"), kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_none_of_the_kind_is_refused_with_its_path(tmp_path: Path, kind: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    file = put(tmp_path, {"a.txt": b"text"}) / "a.txt"
    for path in (empty, file):
        with pytest.raises(OnlygoodError) as raised:
            open_dataset("x", path, kind=kind)
        assert str(raised.value).startswith(f"{path} must ")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "file"), [("mnist", "train-images-idx3-ubyte"), ("elpv", "labels.csv"), ("cifar10", "batches.meta.txt")]
)
def test_a_file_that_may_not_be_read_has_its_sentence(
    tmp_path: Path, kind: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_idx(tmp_path)
    put(put_elpv(tmp_path), cifar_batches())
    opened = Path.open

    def refuse(path: Path, *arguments: object, **settings: object) -> object:
        if path.name == file:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **settings)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(LabelledSetError, match=r"cannot be read \(Permission denied\): check its path and") as raised:
        open_dataset("x", tmp_path, kind=kind)
    assert str(raised.value).startswith(str(tmp_path / file))


def test_data_sets_are_found_without_the_libraries_that_fitting_needs() -> None:
    libraries = ("sklearn", "scipy", "torch", "onnxruntime")
    script = f"import sys, benchmarks.datasets.opening; print([name for name in {libraries} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
