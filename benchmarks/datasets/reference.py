"""Tasks with reference images: of other classes of the same data set, or of another data set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.datasets.one_versus_rest import OneVersusRest
from benchmarks.datasets.opening import open_dataset
from benchmarks.datasets.tasks import Dataset, Task, TaskImage
from onlygood import SettingError


def task_with_reference(
    dataset: Dataset,
    class_name: str,
    *,
    reference: str,
    reference_path: str | None,
    max_reference: int | None,
    seed: int,
    max_train: int | None,
    max_test: int | None,
) -> Task:
    """The task of one class, with reference images for methods that learn from them.

    Reference classes of the data set itself are not judged: a method that has seen them must not be asked for them.
    The others are, and are the only anomalies.

    Args:
        dataset: of the class.
        class_name: one of its classes.
        reference: a number N for the N classes after it, around the end; names of classes between commas; or, with
            a path, the name of another data set, of which all classes are taken.
        reference_path: of the other data set.
        max_reference: most reference images, drawn at random, as many of each class as can be; all unless given.
        seed: as for `Dataset.task`, and of the draw.
        max_train: as for `Dataset.task`.
        max_test: as for `Dataset.task`.

    Raises:
        SettingError: a data set without classes to take, no such class, none left to judge, or a bad number.
        LabelledSetError: another data set that cannot be read.
    """
    if reference_path is not None:
        other = _of_many_classes(open_dataset(reference, reference_path))
        if other.name == dataset.name:
            raise SettingError(
                f"reference images of all classes must come from another data set than {dataset.name}, got the same: "
                "give a number of classes, or their names"
            )
        classes, judged, kind = other.classes, dataset, f"all classes of {reference}"
    else:
        other = _of_many_classes(dataset)
        class_name = other.find_class(class_name)
        classes = reference_classes(other, class_name, reference)
        judged, kind = other.leaving_out(classes), f"the classes {', '.join(classes)}, which are not judged"
    task = judged.task(class_name, seed=seed, max_train=max_train, max_test=max_test)
    images = _draw(other, classes, max_reference, seed=seed)
    count = sum(map(len, images.values()))
    return replace(
        task,
        reference=images,
        notes=(*task.notes, f"reference images, for methods that learn from them: {count:,} of {kind}"),
    )


def reference_classes(dataset: OneVersusRest, class_name: str, reference: str) -> tuple[str, ...]:
    """The classes that a text names, beside the good one.

    Raises:
        SettingError: no such class, the good one, or none left to judge.
    """
    if reference.isdecimal():
        place, count = dataset.classes.index(class_name), int(reference)
        following = dataset.classes[place + 1 :] + dataset.classes[:place]
        chosen = following[:count]
    else:
        chosen = tuple(dataset.find_class(name.strip()) for name in reference.split(",") if name.strip())
    left = [name for name in dataset.classes if name not in (class_name, *chosen)]
    if len(set(chosen)) < 2 or class_name in chosen or not left:
        raise SettingError(
            f"reference must be at least 2 classes of {dataset.name} beside {class_name}, and leave one to judge, got "
            f"{reference!r}: name others, or a number from 2 to {len(dataset.classes) - 2}"
        )
    return chosen


def _of_many_classes(dataset: Dataset) -> OneVersusRest:
    if not isinstance(dataset, OneVersusRest):
        raise SettingError(
            f"reference images must come from a data set of many classes, such as cifar10, got {dataset.name}: name "
            "another as cifar10=PATH"
        )
    return dataset


def _draw(
    dataset: OneVersusRest, classes: tuple[str, ...], most: int | None, *, seed: int
) -> dict[str, tuple[TaskImage, ...]]:
    if most is not None and most < len(classes):
        raise SettingError(
            f"max_reference must be at least {len(classes)}, one image of each class, got {most}: raise it"
        )
    images = {}
    for place, name in enumerate(classes):
        number = dataset.classes.index(name)
        own = np.flatnonzero(dataset.train.labels == number)
        if most is not None:
            # What cannot be shared equally goes to the first.
            share = most // len(classes) + (place < most % len(classes))
            own = np.sort(np.random.default_rng([seed, 3, number]).permutation(own)[:share])
        images[name] = tuple(dataset.train.load(own))
    return images
