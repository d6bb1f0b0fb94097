"""Tasks with reference images: which classes they are of, and which are still judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_sets import CIFAR_CLASSES, put_idx
from benchmarks.datasets.one_versus_rest import OneVersusRest
from benchmarks.datasets.opening import open_dataset
from benchmarks.datasets.reference import reference_classes, task_with_reference
from benchmarks.datasets.tasks import Task
from benchmarks.one_run import main as one_run
from benchmarks.runs import Run, key_of
from benchmarks.table import as_markdown
from onlygood import SettingError
from textures import reference_images, save, textures, with_defect


@pytest.fixture
def digits(tmp_path: Path) -> OneVersusRest:
    dataset = open_dataset("mnist", put_idx(tmp_path / "mnist"))
    assert isinstance(dataset, OneVersusRest)
    return dataset


def task(dataset: Any, class_name: str, reference: str, **others: Any) -> Task:
    settings: dict[str, Any] = {
        "reference_path": None,
        "max_reference": None,
        "seed": 0,
        "max_train": None,
        "max_test": None,
    }
    return task_with_reference(dataset, class_name, reference=reference, **{**settings, **others})


@pytest.mark.parametrize(
    ("class_name", "text", "expected"),
    [
        ("3", "2", ("4", "5")),
        ("8", "4", ("9", "0", "1", "2")),
        ("3", "7, 1", ("7", "1")),
    ],
)
def test_reference_classes_are_the_next_ones_or_those_named(
    digits: OneVersusRest, class_name: str, text: str, expected: tuple[str, ...]
) -> None:
    assert reference_classes(digits, class_name, text) == expected


@pytest.mark.parametrize("text", ["0", "1", "9", "3,4", "0,1,2,4,5,6,7,8,9", ","])
def test_reference_classes_must_be_two_and_leave_one_to_judge(digits: OneVersusRest, text: str) -> None:
    with pytest.raises(SettingError, match="reference must be at least 2 classes of mnist beside 3, and leave one to"):
        reference_classes(digits, "3", text)


def test_reference_classes_are_learned_from_and_not_judged(digits: OneVersusRest) -> None:
    found, whole = task(digits, "3", "4"), digits.task("3", seed=0)
    assert found.good == whole.good
    assert list(found.reference) == ["4", "5", "6", "7"]
    assert all(len(images) == 3 for images in found.reference.values())
    assert {image.defect for image in found.test} == {"good", "0", "1", "2", "8", "9"}
    assert set(found.test) < set(whole.test)
    # Training images, each of its class: image i is i everywhere, and of class (29 - i) // 3.
    for name, images in found.reference.items():
        assert {str((29 - int(np.asarray(image.source).flat[0])) // 3) for image in images} == {name}
    assert found.notes[-1] == (
        "reference images, for methods that learn from them: 12 of the classes 4, 5, 6, 7, which are not judged"
    )


def test_reference_images_are_bounded_by_class(digits: OneVersusRest) -> None:
    found = task(digits, "3", "4", max_reference=8)
    assert [len(images) for images in found.reference.values()] == [2, 2, 2, 2]
    assert task(digits, "3", "4", max_reference=8).reference == found.reference
    more = task(digits, "3", "4", max_reference=10)
    assert [len(images) for images in more.reference.values()] == [3, 3, 2, 2]


def test_another_data_set_gives_all_its_classes_and_all_is_judged(digits: OneVersusRest, tmp_path: Path) -> None:
    parts = save(tmp_path / "parts", _parts())
    found = task(open_dataset("parts", parts), "all", "mnist", reference_path=str(tmp_path / "mnist"))
    assert list(found.reference) == [str(number) for number in range(10)]
    assert len(found.test) == 4


def test_reference_images_that_cannot_be_are_refused(digits: OneVersusRest, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="max_reference must be at least 4, one image of each class, got 2"):
        task(digits, "3", "4", max_reference=2)
    with pytest.raises(SettingError, match="of all classes must come from another data set than mnist, got the same"):
        task(digits, "3", "mnist", reference_path=str(tmp_path / "mnist"))


def test_reference_images_need_classes(tmp_path: Path) -> None:
    parts = open_dataset("parts", save(tmp_path / "parts", _parts()))
    with pytest.raises(SettingError, match="reference images must come from a data set of many classes, such as cif"):
        task(parts, "all", "4")


def _parts() -> dict[str, Any]:
    good = textures(22)
    return {
        **{f"train/good/{number:02}.png": image for number, image in enumerate(good[:20])},
        **{f"test/good/{number}.png": image for number, image in enumerate(good[20:])},
        **{f"test/hole/{number}.png": with_defect(image) for number, image in enumerate(good[20:])},
    }


def test_doc_is_run_with_reference_images_and_others_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    parts = save(tmp_path / "parts", _parts())
    stripes = reference_images()
    others = {
        f"{split}/{name}/{number}.png": image
        for split in ("train", "test")
        for name, group in zip(CIFAR_CLASSES[:2], stripes.values(), strict=True)
        for number, image in enumerate(group)
    }
    save(tmp_path / "cifar", others)
    results = []
    for method in ("doc@input_size=64+epochs=2+batch_size=8", "knn@input_size=64"):
        run = Run(
            data="parts",
            path=str(parts),
            class_name="all",
            method=method,
            seed=0,
            reference="cifar10",
            reference_path=str(tmp_path / "cifar"),
        )
        order, answer = tmp_path / "order.json", tmp_path / "answer.json"
        order.write_text(json.dumps({"run": run.to_dict(), "peer_python": None, "peer_weights": None}))
        assert one_run([str(order), str(answer)]) == 0
        machine = {"processor": "p", "cores": 2, "system": "s", "python": "3"}
        results.append(
            {"format": 1, "run": run.identity(), "machine": machine, "status": "ok", **json.loads(answer.read_text())}
        )
    assert results[0]["counts"] == {"good": 20, "reference": 12, "test_good": 2, "test_anomalous": 2}
    assert "reference_path" not in results[0]["run"]
    text = as_markdown(results, [])
    assert "## parts beside cifar10" in text
    assert "Learned from 20 good images (doc also from 12 reference images), tested on 2 good and" in text
    assert key_of(run.identity()) == ("parts beside cifar10", "all", "knn@input_size=64", 0)
