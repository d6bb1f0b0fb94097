import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.datasets.one_versus_rest import PROTOCOL, OneVersusRest, Part, one_versus_rest
from benchmarks.datasets.tasks import TaskImage
from onlygood import LabelledSetError, SettingError


def part(shown: str, labels: list[int]) -> Part:
    def load(positions: NDArray[np.intp]) -> list[TaskImage]:
        return [TaskImage(name=f"{shown}/{i}", source=np.full((1, 1), i, np.uint8)) for i in positions]

    return Part(shown=shown, labels=np.array(labels, dtype=np.int64), load=load)


def made(train: list[int], test: list[int], classes: tuple[str, ...] = ("cat", "dog", "owl")) -> OneVersusRest:
    return one_versus_rest(
        name="pets", kind="cifar10", classes=classes, train=part("train", train), test=part("test", test), notes=("n",)
    )


def test_one_class_is_learned_and_the_rest_of_the_test_split_is_anomalous() -> None:
    data = made([0, 1, 2, 1], [2, 1, 0, 1])
    assert data.counts == {"train": 4, "test": 4}
    task = data.task("dog", seed=0)
    assert task.notes == (PROTOCOL, "n")
    assert [(one.name, one.is_anomalous, one.defect) for one in task.good] == [
        ("train/1", False, "good"),
        ("train/3", False, "good"),
    ]
    assert [(one.name, one.is_anomalous, one.defect) for one in task.test] == [
        ("test/0", True, "owl"),
        ("test/1", False, "good"),
        ("test/2", True, "cat"),
        ("test/3", False, "good"),
    ]
    assert [int(one.source[0, 0]) for one in task.test] == [0, 1, 2, 3]


def test_a_bounded_task_has_the_images_and_labels_of_the_whole_one() -> None:
    data = made([0, 1, 2] * 10, [2, 1, 0] * 10)
    whole, some = data.task("owl", seed=1), data.task("owl", seed=1, max_train=4, max_test=12)
    assert set(some.good) < set(whole.good)
    assert set(some.test) < set(whole.test)
    assert sum(not one.is_anomalous for one in some.test) == 4


def test_a_class_goes_by_its_name_before_its_number() -> None:
    data = made([0, 1, 2], [0, 1, 2])
    assert data.task("2", seed=0).class_name == "owl"
    digits = made([0, 1], [0, 1], ("1", "0"))
    assert digits.task("1", seed=0).good[0].name == "train/0"


@pytest.mark.parametrize("wrong", ["3", "-1", "00", "Cat", ""])
def test_a_class_must_be_known(wrong: str) -> None:
    with pytest.raises(SettingError, match=f"a class of pets must be one of cat, dog, owl, got '{wrong}'"):
        made([0, 1, 2], [0, 1, 2]).task(wrong, seed=0)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ([0, 1, 3], [0, 1, 2], "train must hold labels from 0 to 2, got 3 for image 2: copy"),
        ([0, 1, 2], [-1, 0, 1, 2], "test must hold labels from 0 to 2, got -1 for image 0: copy"),
        ([0, 0, 2], [0, 1, 2], "train must have images of every class, got none of dog: copy"),
        ([0, 1, 2], [1], "test must have images of every class, got none of cat, owl: copy"),
        ([], [1], "train must have images of every class, got none of cat, dog, owl: copy"),
    ],
)
def test_every_class_must_be_in_both_splits(train: list[int], test: list[int], words: str) -> None:
    with pytest.raises(LabelledSetError, match=words):
        made(train, test)


def test_one_class_has_no_rest() -> None:
    with pytest.raises(LabelledSetError, match=r"pets must have at least two classes, .* got cat: give the whole"):
        made([0], [0], ("cat",))
