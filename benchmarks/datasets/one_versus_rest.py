"""Data sets of many classes, one of which is called good: the rest of them are the anomalies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.tasks import Candidates, Dataset, TaskImage
from onlygood import LabelledSetError

PROTOCOL = "one class against the rest: good is one class of the training split, the whole test split is judged"
LEAVING_OUT = "good is one class of the training split, the test split is judged, but for reference classes"


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """The training or the test split.

    Attributes:
        shown: what errors call it.
        labels: int64 [n], the number of each image's class.
        load: the images at these positions, all of them as if they were good.
    """

    shown: str
    labels: NDArray[np.int64]
    load: Callable[[NDArray[np.intp]], Iterable[TaskImage]]


@dataclass(frozen=True, kw_only=True, eq=False)
class OneVersusRest(Dataset):
    """Tasks as Deep SVDD and its relatives are measured on them.

    Source: Ruff et al., "Deep One-Class Classification", 2018, section 4.
    """

    train: Part = field(repr=False)
    test: Part = field(repr=False)

    def find_class(self, class_name: str) -> str:
        """The class of that name, or of that number from 0 where it is no name."""
        numbers = {str(number): known for number, known in enumerate(self.classes)}
        return super().find_class(class_name if class_name in self.classes else numbers.get(class_name, class_name))

    def leaving_out(self, classes: Collection[str]) -> OneVersusRest:
        """The same data set, but images of these classes are not judged."""
        numbers = [self.classes.index(name) for name in classes]
        kept = np.flatnonzero(~np.isin(self.test.labels, numbers))
        test = replace(self.test, labels=self.test.labels[kept], load=lambda positions: self.test.load(kept[positions]))
        counts = {**self.counts, "test": len(kept)}
        return replace(self, test=test, counts=counts, notes=(LEAVING_OUT, *self.notes[1:]))

    def _split(self, class_name: str, seed: int) -> tuple[Candidates, Candidates]:
        label = self.classes.index(class_name)
        own = np.flatnonzero(self.train.labels == label)
        is_anomalous = self.test.labels != label

        def load_test(positions: NDArray[np.intp]) -> Iterator[TaskImage]:
            for position, image in zip(positions, self.test.load(positions), strict=True):
                if is_anomalous[position]:
                    image = replace(image, is_anomalous=True, defect=self.classes[self.test.labels[position]])
                yield image

        good = Candidates(np.zeros(len(own), dtype=np.bool_), lambda positions: self.train.load(own[positions]))
        return good, Candidates(is_anomalous, load_test)


def one_versus_rest(
    *, name: str, kind: str, classes: tuple[str, ...], train: Part, test: Part, notes: tuple[str, ...] = ()
) -> OneVersusRest:
    """The data set, if every class is in both splits.

    Raises:
        LabelledSetError: fewer than two classes, a label that stands for none of them, or a class without images.
    """
    if len(classes) < 2:
        raise LabelledSetError(
            f"{name} must have at least two classes, one to be good and one not, got {', '.join(classes) or 'none'}: "
            "give the whole data set"
        )
    for part in (train, test):
        wrong = np.flatnonzero((part.labels < 0) | (part.labels >= len(classes)))
        if len(wrong):
            raise LabelledSetError(
                f"{part.shown} must hold labels from 0 to {len(classes) - 1}, got {part.labels[wrong[0]]} for image "
                f"{wrong[0]:,}: copy the data set again"
            )
        missing = [classes[number] for number in np.setdiff1d(np.arange(len(classes)), part.labels)]
        if missing:
            raise LabelledSetError(
                f"{part.shown} must have images of every class, got none of {', '.join(missing)}: copy the data set "
                "again"
            )
    return OneVersusRest(
        name=name,
        kind=kind,
        classes=classes,
        counts={"train": len(train.labels), "test": len(test.labels)},
        notes=(PROTOCOL, *notes),
        train=train,
        test=test,
    )
