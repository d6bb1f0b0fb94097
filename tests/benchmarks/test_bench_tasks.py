from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.datasets.tasks import Candidates, Dataset, TaskImage, candidates
from onlygood import SettingError

PIXELS = np.zeros((2, 2), np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbered(Dataset):
    """As many images as it is told, good and anomalous ones by turns until one kind is used up."""

    good: int = 4
    test_good: int = 3
    test_anomalous: int = 3
    loaded: list[int] = field(default_factory=list)

    def _split(self, class_name: str, seed: int) -> tuple[Candidates, Candidates]:
        kinds = [False, True] * max(self.test_good, self.test_anomalous)
        left = {False: self.test_good, True: self.test_anomalous}
        chosen = []
        for kind in kinds:
            if left[kind]:
                left[kind] -= 1
                chosen.append(kind)
        test = [TaskImage(name=f"test/{i}", source=PIXELS, is_anomalous=kind) for i, kind in enumerate(chosen)]

        def load(positions: NDArray[np.intp]) -> list[TaskImage]:
            self.loaded.extend(positions.tolist())
            return [TaskImage(name=f"train/{position}", source=PIXELS) for position in positions]

        return Candidates(np.zeros(self.good, dtype=np.bool_), load), candidates(test)


def numbered(*, good: int = 4, test_good: int = 3, test_anomalous: int = 3) -> Numbered:
    return Numbered(
        name="numbered",
        kind="mvtec",
        classes=("a", "b"),
        counts={"train": good, "test": test_good + test_anomalous},
        notes=("made up",),
        good=good,
        test_good=test_good,
        test_anomalous=test_anomalous,
    )


def names(images: tuple[TaskImage, ...]) -> list[str]:
    return [image.name for image in images]


def test_without_bounds_a_task_is_all_there_is_in_order() -> None:
    task = numbered().task("b", seed=7)
    assert (task.data, task.class_name, task.notes) == ("numbered", "b", ("made up",))
    assert names(task.good) == [f"train/{i}" for i in range(4)]
    assert names(task.test) == [f"test/{i}" for i in range(6)]
    assert task == numbered().task("b", seed=8, max_train=4, max_test=6)


def test_a_seed_decides_what_a_bound_leaves_out_and_the_order_stays() -> None:
    data = numbered(good=50, test_good=30, test_anomalous=20)
    task = data.task("a", seed=3, max_train=20, max_test=10)
    assert task == data.task("a", seed=3, max_train=20, max_test=10)
    places = [int(name.partition("/")[2]) for name in names(task.good)]
    assert places == sorted(set(places))
    assert len(places) == 20
    assert names(task.good) != names(data.task("a", seed=4, max_train=20, max_test=10).good)
    assert names(task.test) != names(data.task("a", seed=4, max_train=20, max_test=10).test)


def test_bounds_are_drawn_by_themselves() -> None:
    data = numbered(good=50, test_good=30, test_anomalous=20)
    both, train, test = (
        data.task("a", seed=3, **bounds)
        for bounds in ({"max_train": 9, "max_test": 9}, {"max_train": 9}, {"max_test": 9})
    )
    assert both.good == train.good
    assert both.test == test.test
    assert len(train.test) == len(test.good) == 50


def test_training_and_test_images_at_the_same_places_are_drawn_apart() -> None:
    data = numbered(good=40, test_good=40, test_anomalous=40)
    task = data.task("a", seed=0, max_train=20, max_test=40)
    learned = [int(one.name.partition("/")[2]) for one in task.good]
    judged = [int(one.name.partition("/")[2]) // 2 for one in task.test if not one.is_anomalous]
    assert len(learned) == len(judged) == 20
    assert learned != judged


def test_what_a_bound_left_out_is_noted() -> None:
    task = numbered(good=2000).task("a", seed=5, max_train=1500, max_test=2)
    assert task.notes == (
        "made up",
        "1,500 of 2,000 training images, drawn with seed 5",
        "2 of 6 test images, drawn with seed 5",
    )


def test_only_images_of_the_task_are_loaded() -> None:
    data = numbered(good=1000)
    task = data.task("a", seed=0, max_train=3)
    assert names(task.good) == [f"train/{position}" for position in data.loaded]
    assert len(data.loaded) == 3


@pytest.mark.parametrize(
    ("good", "anomalous", "most", "of_good"),
    [(1000, 9000, 100, 10), (9000, 1000, 10, 9), (1, 99, 10, 1), (99, 1, 10, 9), (1, 1, 2, 1), (500, 500, 3, 2)],
)
def test_test_images_keep_their_proportion_and_both_kinds(good: int, anomalous: int, most: int, of_good: int) -> None:
    test = numbered(test_good=good, test_anomalous=anomalous).task("a", seed=1, max_test=most).test
    assert len(test) == most
    assert sum(not image.is_anomalous for image in test) == of_good


@settings(max_examples=50, deadline=None)
@given(
    good=st.integers(1, 20),
    anomalous=st.integers(1, 20),
    seed=st.integers(0, 3),
    smaller=st.integers(2, 45),
    more=st.integers(0, 5),
)
def test_a_smaller_draw_is_part_of_a_larger_one(good: int, anomalous: int, seed: int, smaller: int, more: int) -> None:
    data = numbered(good=good, test_good=good, test_anomalous=anomalous)
    small = data.task("a", seed=seed, max_train=smaller, max_test=smaller)
    large = data.task("a", seed=seed, max_train=smaller + more, max_test=smaller + more)
    assert len(small.good) == min(smaller, good)
    assert len(small.test) == min(smaller, good + anomalous)
    assert {image.is_anomalous for image in small.test} == {False, True}
    assert set(small.good) <= set(large.good)
    assert set(small.test) <= set(large.test)


def test_every_image_can_be_drawn() -> None:
    data = numbered(good=6)
    drawn = {name for seed in range(40) for name in names(data.task("a", seed=seed, max_train=2, max_test=2).good)}
    judged = {name for seed in range(40) for name in names(data.task("a", seed=seed, max_train=2, max_test=2).test)}
    assert len(drawn) == len(judged) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"class_name": "c"}, "a class of numbered must be one of a, b, got 'c'"),
        ({"class_name": "0"}, "a class of numbered must be one of a, b, got '0'"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": True}, "seed must be a whole number of at least 0, got True"),
        ({"max_train": 0}, "max_train must be a whole number of at least 1, got 0"),
        ({"max_train": 2.0}, r"max_train must be a whole number of at least 1, got 2\.0"),
        ({"max_test": 1}, "max_test must be a whole number of at least 2, got 1"),
    ],
)
def test_arguments_must_be_usable(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        numbered().task(**{"class_name": "a", "seed": 0} | arguments)


def test_the_sentence_counts() -> None:
    assert numbered(good=60_000, test_good=1).sentence == "numbered: 60,000 training and 4 test images of 2 classes"
