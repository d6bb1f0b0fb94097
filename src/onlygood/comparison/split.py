"""Which images of a person's folder are learned from, and which are tested."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onlygood._parallel import map_in_order
from onlygood._paths import given_path
from onlygood._plurals import pluralize
from onlygood.calibration.near_duplicates import near_duplicate_groups
from onlygood.datasets.folders import ImageFile, group_labels, look_into
from onlygood.datasets.labelled import child_folder, find_labelled, good_folders
from onlygood.datasets.labelled_set import GOOD, LabelledImage, LabelledSet
from onlygood.datasets.sources import file_ranks, list_sources, reading_limits
from onlygood.datasets.splits import hold_out, merge_groups
from onlygood.detectors.base import FitTask
from onlygood.detectors.registry import make_method
from onlygood.errors import FolderError, ImageError, LabelledSetError
from onlygood.features.extraction import Embedder, Features, extract_features, pixel_digest
from onlygood.features.independence import LEAST_GROUPS
from onlygood.features.input_kind import input_kind
from onlygood.features.noise_scale import noise_scale
from onlygood.graph.subgraph import join
from onlygood.graph.view import View
from onlygood.images.reading import ReadingLimits
from onlygood.settings import FitSettings

# The share of the good images, or of their groups, that are held out where nothing says which are to be tested.
HELD_OUT = 1 / 3
# Near-duplicates are found as this method sees images, whichever are compared, so that all comparisons of a folder
# test the same images.
SEEN_BY = "patch"

Layout = Literal["train and test", "held out", "good images alone"]


@dataclass(frozen=True, kw_only=True)
class DataSplit:
    """The images of a comparison; none is on both sides.

    Attributes:
        layout: "train and test" where folders say which image is for what, "held out" where some of the good images
            were drawn to be tested with the anomalous ones, "good images alone" where there are no anomalous ones.
        learned: good images that every method learns from.
        groups: a label each; images with equal labels belong together.
        tested: what every method is measured on.
        sentence: the split in words.
        notes: what to know about the images, a sentence each.
    """

    layout: Layout
    learned: tuple[ImageFile, ...]
    groups: tuple[str, ...]
    tested: LabelledSet
    sentence: str
    notes: tuple[str, ...]


def split_data(data: str | os.PathLike[str], settings: FitSettings, *, show_progress: bool = False) -> DataSplit:
    """Which images are learned from, and which are tested.

    Args:
        data: a folder with `train/good` and `test`; a folder with `good` and a folder for each type of defect; a folder
            of good images alone, or one with nothing but `good`; or a CSV file as `find_labelled` takes it.
        settings: of every fit; `group_by`, `seed`, `threads` and the limits matter here.
        show_progress: draw bars if stderr is a terminal.

    Raises:
        LabelledSetError: it is not certain which images are good.
        FolderError: good images that are missing or too few.
        SettingError: `group_by` is no regular expression, or finds no label in some name.
    """
    root, shown = given_path(data), os.fsdecode(data)
    limits = reading_limits(settings)
    train, test = child_folder(root, "train"), child_folder(root, "test")
    if train is not None and test is not None:
        return _by_folders(train, test, settings, limits)
    if train is not None or test is not None:
        there, missing = ("train", "test") if train is not None else ("test", "train/good")
        alone = train / GOOD if train is not None else test
        raise LabelledSetError(
            f"compare needs images to learn from in train/good and images to test in test, and {shown} holds {there} "
            f"without {missing}: add it, or give {alone}, of whose good images some are then held out"
        )
    labelled = _labelled(root, shown, settings, limits)
    return _by_drawing(labelled, shown, settings, limits, show_progress=show_progress)


def _by_folders(train: Path, test: Path, settings: FitSettings, limits: ReadingLimits) -> DataSplit:
    good = good_folders(train)
    if len(good) != 1:
        there = f"{good[0].name} and {good[1].name}: leave one" if good else f"none: move them into {train / GOOD}"
        raise FolderError(f"images to learn from must lie in a folder called good, and {train} holds {there}")
    found = look_into(good[0], good="compare", limits=limits)
    learned = found.images
    tested = find_labelled(test, limits=limits)
    digests = {digest: file.name for file, digest in _digests(learned, settings.threads, limits) if digest is not None}
    return DataSplit(
        layout="train and test",
        learned=tuple(learned),
        groups=tuple(group_labels(learned, settings.group_by)),
        tested=tested,
        sentence=f"Every method learned from the {pluralize(len(learned), 'image')} in {train.name}/{good[0].name} and "
        f"was tested on those in {test.name}: {_kinds_of(tested)}.",
        notes=(*found.notes, *_shared_notes(digests, tested.images, settings.threads, limits)),
    )


def _labelled(root: Path, shown: str, settings: FitSettings, limits: ReadingLimits) -> LabelledSet:
    """All images of a folder or a CSV file in which nothing says which are to be tested."""
    if root.is_dir() and not good_folders(root):
        found = look_into(root, limits=limits)
        files = found.images
        if not any(file.first_folder for file in files):
            sessions: Sequence[str | None] = [None] * len(files)
            if settings.group_by is not None:
                sessions = group_labels(files, settings.group_by)
            images = tuple(
                LabelledImage(file=file, is_anomalous=False, defect=GOOD, mask=None, session=session)
                for file, session in zip(files, sessions, strict=True)
            )
            return LabelledSet(images=images, layout="folders", notes=tuple(found.notes))
    labelled = find_labelled(root, group_by=settings.group_by, limits=limits)
    if all(image.is_anomalous for image in labelled.images):
        kinds = sorted({image.defect for image in labelled.images})
        remedy = (
            f"put the good ones into {root / GOOD}, in folders of their own if you like"
            if root.is_dir()
            else "label them good"
        )
        raise LabelledSetError(
            f"compare needs good images to learn from, and {shown} holds {', '.join(kinds[:3])}"
            f"{' and others' if len(kinds) > 3 else ''} alone: {remedy}"
        )
    return labelled


def _by_drawing(
    labelled: LabelledSet, shown: str, settings: FitSettings, limits: ReadingLimits, *, show_progress: bool
) -> DataSplit:
    good = [image for image in labelled.images if not image.is_anomalous]
    anomalous = [image for image in labelled.images if image.is_anomalous]
    _check_number(len(good), len(good), shown)
    features, groups = _looked_at(good, settings, limits, show_progress=show_progress)
    readable = {image.name: image for image in good}
    good = [readable[source.name] for source in features.sources]
    number = len(set(groups))
    _check_number(number, len(good), shown)
    # hold_out rounds up; so many groups, at least, are left to learn from.
    fraction = min(HELD_OUT, (number - LEAST_GROUPS) / number)
    held_out = hold_out(groups, fraction, seed=settings.seed).tolist()
    held = [image for image, is_held in zip(good, held_out, strict=True) if is_held]
    learned = [image.file for image, is_held in zip(good, held_out, strict=True) if not is_held]
    tested = LabelledSet(images=(*held, *anomalous), layout=labelled.layout, notes=labelled.notes)
    grouped = f" ({number:,} independent groups)" if number < len(good) else ""
    beside = f"with {pluralize(len(anomalous), 'anomalous one')}" if anomalous else "alone, as no others are there"
    return DataSplit(
        layout="held out" if anomalous else "good images alone",
        learned=tuple(learned),
        groups=tuple(str(group) for group, is_held in zip(groups, held_out, strict=True) if not is_held),
        tested=tested,
        sentence=f"Of {pluralize(len(good), 'good image')}{grouped}, {len(held):,} drawn at random (seed "
        f"{settings.seed}) were held out and tested {beside}; every method learned from the other {len(learned):,}.",
        notes=(
            *features.notes,
            *_shared_notes(
                dict(zip(features.digests, (image.name for image in good), strict=True)),
                anomalous,
                settings.threads,
                limits,
            ),
        ),
    )


def _check_number(groups: int, images: int, shown: str) -> None:
    if groups > LEAST_GROUPS:
        return
    things = "" if groups == images else f" in {pluralize(groups, 'group')} of one session or (nearly) the same"
    raise FolderError(
        f"compare needs good images of at least {LEAST_GROUPS + 1} independent things, {LEAST_GROUPS} to learn from "
        f"and one to test, got {pluralize(images, 'good image')}{things} in {shown}: add others"
    )


def _looked_at(
    good: Sequence[LabelledImage], settings: FitSettings, limits: ReadingLimits, *, show_progress: bool
) -> tuple[Features, list[int]]:
    """What is found of the good images that can be read, and a label each: images of one session or of (nearly) the
    same thing have the same.
    """
    files = [image.file for image in good]
    sources = list_sources(files, group_by=None, groups=_labels(good), limits=limits).sources
    kind = input_kind(sources, settings, show_progress=show_progress)
    view = View(kind.dtype, has_alpha=settings.alpha == "mask")
    task = FitTask(kind=kind.shown(view), images=len(sources), settings=settings, show_progress=show_progress)
    embedding = make_method(SEEN_BY).make_detector(task).embedding
    subgraphs = [*view.subgraphs(opset=embedding.opset), *embedding.subgraphs]
    features = extract_features(
        sources,
        Embedder(join(*subgraphs, outputs=list(embedding.outputs)), embedding.outputs, has_mask=view.has_mask),
        kind,
        settings,
        rows_each=embedding.rows_each,
        show_progress=show_progress,
    )
    alike, _ = near_duplicate_groups(
        features.descriptors,
        features.digests,
        noise_scale=noise_scale(
            features.sources,
            features.describe,
            kind.window,
            seed=settings.seed,
            others=kind.windows[1:],
            has_mask=view.has_mask,
        ),
        file_order=file_ranks(features.sources),
    )
    return features, merge_groups([source.label for source in features.sources], alike)


def _labels(images: Sequence[LabelledImage]) -> list[str]:
    """The session of each image, or a label of its own."""
    return [image.name if image.session is None else f"session {image.session}" for image in images]


def _shared_notes(
    learned: dict[str, str], tested: Iterable[LabelledImage], threads: int, limits: ReadingLimits
) -> list[str]:
    """What to say of tested images that have the pixels of one that is learned from, or could be.

    Args:
        learned: names of good images by their digests.
        tested: the images to look at.
        threads: at once.
        limits: on pixels and bytes.
    """
    listed = list(tested)
    found = _digests([image.file for image in listed], threads, limits)
    shared = [image for image, (_, digest) in zip(listed, found, strict=True) if digest in learned]
    notes = []
    good = [image.name for image in shared if not image.is_anomalous]
    if good:
        notes.append(
            f"{pluralize(len(good), 'good test image', verb='has')} the pixels of an image that is learned from, the "
            f"first: {good[0]}. Nothing new is tested with such images, so there are fewer false alarms than there "
            "will be: remove them from one side."
        )
    anomalous = [image.name for image in shared if image.is_anomalous]
    if anomalous:
        notes.append(
            f"{pluralize(len(anomalous), 'anomalous image', verb='has')} the pixels of a good one, the first: "
            f"{anomalous[0]}. One of the two labels is wrong: remove that image."
        )
    return notes


def _digests(files: Sequence[ImageFile], threads: int, limits: ReadingLimits) -> Iterable[tuple[ImageFile, str | None]]:
    """Each file with the digest of its pixels; None where it cannot be read, which is reported where it is used."""

    def digest(file: ImageFile) -> tuple[ImageFile, str | None]:
        try:
            return file, pixel_digest(file.read(limits))
        except ImageError:
            return file, None

    return map_in_order(digest, files, threads=threads)


def _kinds_of(tested: LabelledSet) -> str:
    anomalous = sum(image.is_anomalous for image in tested.images)
    return f"{len(tested.images) - anomalous:,} good and {anomalous:,} anomalous"
