"""Drift: whether the images of a process still score as those that the threshold rests on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from onlygood._files import check_writable
from onlygood._plurals import name_some, pluralize
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.given import find_given, stands_for_several
from onlygood.datasets.sources import is_one_in_memory, name_of, ranks_of
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.images.limits import reason
from onlygood.images.named import NamedImage
from onlygood.images.reading import ImageSource, ReadingLimits
from onlygood.inspector import Inspector, inspect_each
from onlygood.kind_notes import Difference, difference_notes
from onlygood.model import ModelSource
from onlygood.monitoring.drift_result import Drift
from onlygood.monitoring.drift_test import FALSE_DRIFT_RATE, DriftTest, resumed
from onlygood.validation import nearest

Order = Literal["name", "time"]
# How many names a note gives.
_SHOWN_NAMES = 3
# How many images that cannot be inspected are named; all of them are counted.
MOST_UNREADABLE = 1000


def drift(
    model: ModelSource,
    images: str | os.PathLike[str] | Iterable[ImageSource | NamedImage],
    *,
    order: Order = "name",
    state: str | os.PathLike[str] | None = None,
    false_drift_rate: float | None = None,
    baseline: int | None = None,
    provider: str = "cpu",
    threads: int = 0,
    max_pixels: int = ReadingLimits.max_pixels,
    max_bytes: int = ReadingLimits.max_bytes,
    progress: bool = False,
) -> Drift:
    """Whether the process that gives these images has changed since the fit, since when, and in what way.

    The images are inspected in the order in which they came, and a `DriftTest` takes their scores, whose documentation
    says what is guaranteed. All images are taken, also those that come after drift was found.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector, with whose
            threads, hardware and limits it then works.
        images: a folder, a ZIP archive, a pattern, a list or a sequence of such, or an iterable of images, as
            `Inspector.map` takes them.
        order: of the images of folders: "name", numbers in names by their value, or "time", when each file was last
            written. An iterable of images keeps its own.
        state: path of a file from which the test goes on, and to which it is written at the end; it is begun where
            there is none. Then give new images alone: those that came in earlier runs would count again.
        false_drift_rate: as for `DriftTest`; 0.01 unless given. A state keeps the one that it was begun with.
        baseline: as for `DriftTest`; 0 unless given. A state keeps the one that it was begun with.
        provider: the hardware that ONNX Runtime uses.
        threads: images worked on at once; 0 for one a core.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        FolderError: no image, or none that can be inspected.
        SettingError: a setting that cannot be used, too few calibration scores, or a state of another model or with
            other settings.
        ModelFileError: the model cannot be used, or has no calibration scores.
        WriteError: the state cannot be written.

    Example:
        >>> import onlygood
        >>> onlygood.drift("part.onnx", "good", baseline=20).sentences
        ('No image is tested yet: 12 of the 20 images that later ones are compared with are there.',)
    """
    if order not in get_args(Order):
        raise SettingError(
            f"order must be one of {', '.join(get_args(Order))}, got {order!r}{nearest(str(order), get_args(Order))}"
        )
    inspector = (
        model
        if isinstance(model, Inspector)
        else Inspector(model, provider=provider, threads=1, with_map=False, max_pixels=max_pixels, max_bytes=max_bytes)
    )
    test = _test_of(inspector, state, false_drift_rate, baseline)
    if state is not None:
        check_writable(state)
    items, notes = _items(images, order, inspector.limits)
    last = test.last_name
    taken, is_again = 0, False
    unreadable: list[tuple[str, str]] = []
    differing: list[tuple[str, tuple[Difference, ...]]] = []
    missed = 0
    results = inspect_each(
        inspector,
        items,
        image=lambda each: each.named(inspector.limits) if isinstance(each, ImageFile) else each,
        then=lambda _, inspection, __: inspection.without_map(),
        threads=threads,
        total=len(items) if isinstance(items, Sequence) else None,
        description="inspecting",
        progress=progress,
    )
    for result in results:
        if isinstance(result, ImageError):
            missed += 1
            if missed <= MOST_UNREADABLE:
                unreadable.append((result.name or "an image", str(result)))
            continue
        taken += 1
        if result.differences:
            differing.append((result.name, result.differences))
        is_again = is_again or (bool(last) and result.name == last)
        test.add(result)
    if not taken:
        first = f", the first: {unreadable[0][1]}" if unreadable else ""
        raise FolderError(
            f"drift needs at least one image that this model can inspect, got {missed} that it cannot{first}"
        )
    if state is not None:
        test.save(state)
    notes += difference_notes(differing, taken)
    if is_again:
        notes.append(
            f"{last}, the last image of the run before, is among these: give new images alone, or those of earlier "
            "runs count again."
        )
    if missed > MOST_UNREADABLE:
        notes.append(f"{missed:,} images could not be inspected, the first {MOST_UNREADABLE:,} are named.")
    return replace(test.result, unreadable=tuple(unreadable), notes=tuple(notes))


def _test_of(
    inspector: Inspector, state: str | os.PathLike[str] | None, false_drift_rate: float | None, baseline: int | None
) -> DriftTest:
    """The test that goes on from a state, or a new one.

    Raises:
        SettingError: the state was begun with other settings than those given.
    """
    test = None if state is None else resumed(state, inspector)
    if test is None:
        return DriftTest(
            inspector,
            false_drift_rate=FALSE_DRIFT_RATE if false_drift_rate is None else false_drift_rate,
            baseline=0 if baseline is None else baseline,
        )
    begun = test.result
    for name, given, had in (
        ("false_drift_rate", false_drift_rate, begun.false_drift_rate),
        ("baseline", baseline, begun.baseline),
    ):
        if given is not None and given != had:
            raise SettingError(
                f"{name} must be as the state was begun with, {had:g}, got {given:g}: leave it out, or begin with a "
                "new state"
            )
    return test


def _items(
    images: str | os.PathLike[str] | Iterable[ImageSource | NamedImage], order: Order, limits: ReadingLimits
) -> tuple[Iterable[ImageFile | NamedImage], list[str]]:
    """The images in the order in which they came, and what was left out, a sentence each."""
    if isinstance(images, str | os.PathLike) or stands_for_several(images):
        found = find_given(images, limits=limits)
        return (_by_time(found.images) if order == "time" else _by_name(found.images)), [*found.notes]
    if is_one_in_memory(images) or not isinstance(images, Iterable):
        raise SettingError(
            f"drift takes a folder or several images, got one {type(images).__name__}: give a list, or give its score "
            "to a DriftTest"
        )
    return (
        each if isinstance(each, NamedImage) else NamedImage(name_of(each, position), each)
        for position, each in enumerate(images)
    ), []


def _by_name(images: Sequence[ImageFile]) -> list[ImageFile]:
    ranks = ranks_of([each.name for each in images])
    return [each for _, each in sorted(zip(ranks, images, strict=True), key=lambda pair: pair[0])]


def _by_time(images: Sequence[ImageFile]) -> list[ImageFile]:
    """By when each file was last written; those of one moment by name.

    Raises:
        SettingError: an image of an archive, whose own time says nothing.
    """
    packed = [each.name for each in images if each.member is not None]
    if packed:
        raise SettingError(
            f"an order by time needs files, got {pluralize(len(packed), 'image')} in an archive "
            f"({name_some(packed, _SHOWN_NAMES)}): unpack it, or order by name"
        )

    def written(each: ImageFile) -> float:
        try:
            return each.path.stat().st_mtime
        except OSError as error:
            if each.problem is not None:  # it is named later, as one that cannot be read
                return 0.0
            raise FolderError(f"{each.name} has no time of writing ({reason(error)}): order by name") from error

    return sorted(_by_name(images), key=written)
