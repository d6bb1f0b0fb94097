"""What a benchmark runs: tasks, each of good images to learn from and of test images to judge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood import SettingError


@dataclass(frozen=True, kw_only=True)
class TaskImage:
    """One image of a task.

    Attributes:
        name: unique in the task.
        source: what `onlygood.read_image` takes: a path, the bytes of an image file, or pixels uint8 or uint16.
        is_anomalous: what a detector is to find out.
        defect: what is wrong with it; "good" if nothing is.
        mask: an image file, above 0 where the defect is; None if there is none.
    """

    name: str
    source: Path | bytes | NDArray[Any] = field(compare=False, repr=False)
    is_anomalous: bool = False
    defect: str = "good"
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """Learn from `good`, then tell which of `test` are anomalous.

    Attributes:
        data: name of the data set.
        class_name: what is good in it.
        good: images to learn from, all of them good.
        test: images to judge, at least one good and one anomalous.
        reference: images of other things, by class, for methods that learn from them, too.
        notes: what a reader of the figures must know: where pixels or splits differ from what others used.
    """

    data: str
    class_name: str
    good: tuple[TaskImage, ...] = field(repr=False)
    test: tuple[TaskImage, ...] = field(repr=False)
    reference: Mapping[str, tuple[TaskImage, ...]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Images of which some will be in a task, and that are loaded only if they are.

    Attributes:
        is_anomalous: bool [n].
        load: the images at these positions, int [any], in their order.
    """

    is_anomalous: NDArray[np.bool_]
    load: Callable[[NDArray[np.intp]], Iterable[TaskImage]]


def candidates(images: Sequence[TaskImage]) -> Candidates:
    """Candidates that are loaded already."""
    return Candidates(
        np.array([image.is_anomalous for image in images], dtype=np.bool_),
        lambda positions: [images[position] for position in positions],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(ABC):
    """A data set that was found whole, and the tasks that can be made from it.

    Attributes:
        name: what the user calls it.
        kind: how it lies on disk: "mvtec", "mnist", "cifar10" or "elpv".
        classes: one task each.
        counts: how many images were found, under "train" and "test".
        notes: as in Task, for all of its tasks.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What was found, for the user to read."""
        train, test, classes = self.counts["train"], self.counts["test"], len(self.classes)
        return (
            f"{self.name}: {train:,} training and {test:,} test image{'s' * (test != 1)} "
            f"of {classes} class{'es' * (classes != 1)}"
        )

    def task(self, class_name: str, *, seed: int, max_train: int | None = None, max_test: int | None = None) -> Task:
        """The task of one class; the same arguments give the same task.

        Args:
            class_name: one of `classes`; where classes are numbered, the number from 0 will do.
            seed: of everything random: of the split where the data set has none, and of what is left out.
            max_train: most images to learn from, drawn at random; all of them unless given. A smaller draw is part
                of a larger one.
            max_test: most images to judge, drawn in the same way; good and anomalous ones keep their proportion, as
                near as whole images allow with at least one of each.

        Raises:
            SettingError: no such class, a seed below 0, or a bound that leaves nothing to learn from or to tell apart.
            LabelledSetError: an image in an archive is damaged.
        """
        check_count("seed", seed, 0)
        if max_train is not None:
            check_count("max_train", max_train, 1)
        if max_test is not None:
            check_count("max_test", max_test, 2)
        class_name = self.find_class(class_name)
        good, test = self._split(class_name, seed)
        learned = _draw(good.is_anomalous, max_train, np.random.default_rng([seed, 1]))
        judged = _draw(test.is_anomalous, max_test, np.random.default_rng([seed, 2]))
        drawn = tuple(
            f"{len(chosen):,} of {len(all_of.is_anomalous):,} {what} images, drawn with seed {seed}"
            for what, chosen, all_of in (("training", learned, good), ("test", judged, test))
            if len(chosen) < len(all_of.is_anomalous)
        )
        return Task(
            data=self.name,
            class_name=class_name,
            good=tuple(good.load(learned)),
            test=tuple(test.load(judged)),
            notes=self._notes_of(class_name) + drawn,
        )

    def find_class(self, class_name: str) -> str:
        """The class of that name, as it is in `classes`.

        Raises:
            SettingError: there is none.
        """
        if class_name not in self.classes:
            raise SettingError(f"a class of {self.name} must be one of {', '.join(self.classes)}, got {class_name!r}")
        return class_name

    def _notes_of(self, class_name: str) -> tuple[str, ...]:
        return self.notes

    @abstractmethod
    def _split(self, class_name: str, seed: int) -> tuple[Candidates, Candidates]:
        """All images to learn from, and all images to judge."""


def check_count(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number of at least so many.

    Raises:
        SettingError: as said.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _draw(is_anomalous: NDArray[np.bool_], most: int | None, rng: np.random.Generator) -> NDArray[np.intp]:
    """Positions, ascending, of at most `most` images, good and anomalous in proportion."""
    good, anomalous = np.flatnonzero(~is_anomalous), np.flatnonzero(is_anomalous)
    total = len(is_anomalous)
    if most is None or most >= total:
        return np.arange(total)
    # Beginnings of one shuffled order: so a smaller draw is part of a larger one.
    good, anomalous = rng.permutation(good), rng.permutation(anomalous)
    of_good = round(most * len(good) / total)
    if len(good) and len(anomalous):
        of_good = min(max(of_good, 1), most - 1)
    return np.sort(np.concatenate([good[:of_good], anomalous[: most - of_good]]))
