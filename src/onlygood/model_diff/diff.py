"""Diff: which verdicts flip where a new model takes the place of an old one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.given import find_given
from onlygood.datasets.labelled import find_labelled
from onlygood.datasets.labelled_set import LabelledImage
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.images.reading import ReadingLimits
from onlygood.inspector import Inspector
from onlygood.model import ModelSource
from onlygood.model_diff.diff_result import Diff, DiffedImage, ModelVerdict, RefusedImage
from onlygood.model_diff.differing_facts import differing_facts

# Folders and files, as all commands take them.
GivenPaths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def diff(
    old: ModelSource,
    new: ModelSource,
    images: GivenPaths,
    *,
    labelled: bool = False,
    false_alarm_rate: float | None = None,
    provider: str = "cpu",
    threads: int = 0,
    max_pixels: int = ReadingLimits.max_pixels,
    max_bytes: int = ReadingLimits.max_bytes,
    require_signature: str | os.PathLike[str] | None = None,
    max_model_bytes: int = MAX_MODEL_BYTES,
    progress: bool = False,
) -> Diff:
    """What two models say of the same images: which verdicts flip, and in what the two files differ.

    Scores of two models have no common unit. What compares are p-values, and scores relative to the distance from a
    typical good image to the threshold of each.

    Args:
        old: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector, whose
            hardware and limits are used then.
        new: the same, of the model that is to take its place.
        images: a folder, an image, a ZIP archive, a pattern or a list, or a sequence of such; with `labelled`, a
            folder or a CSV file as `onlygood.evaluate` takes it.
        labelled: the images are labelled, and the result says which of the flips are right.
        false_alarm_rate: use the thresholds that the calibration scores in both files give at this rate.
        provider: the hardware that ONNX Runtime uses.
        threads: images worked on at once; 0 for one a core.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        require_signature: path of a public key: both models must be signed by its holder.
        max_model_bytes: most bytes that each model file may have.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError: the same model twice, models for images of other depths, or a setting that cannot be used.
        FolderError: no image, or none that both can inspect.
        LabelledSetError: labels that cannot be understood.
        ModelFileError: a model cannot be used.

    Example:
        >>> import onlygood
        >>> stricter = onlygood.calibrate("part.onnx", threshold=-100)
        >>> onlygood.diff("part.onnx", stricter, "good").sentences[0]
        '12 of 12 images change their verdict: 12 from good to anomalous, 0 from anomalous to good.'
    """

    def opened(model: ModelSource) -> Inspector:
        if isinstance(model, Inspector) and false_alarm_rate is None:
            return model
        return Inspector(
            model,
            false_alarm_rate=false_alarm_rate,
            provider=provider,
            threads=1,
            with_map=False,
            max_pixels=max_pixels,
            max_bytes=max_bytes,
            require_signature=require_signature,
            max_model_bytes=max_model_bytes,
        )

    inspectors = (opened(old), opened(new))
    names = (_name_of(old, "the old model"), _name_of(new, "the new model"))
    _check_pair(*inspectors, *names)
    limits = inspectors[0].limits
    labels: list[LabelledImage] | list[None]
    if labelled:
        found = find_labelled(_one_path(images), limits=limits)
        labels, files, notes = list(found.images), [each.file for each in found.images], list(found.notes)
    else:
        given = find_given(images, limits=limits)
        files, notes = given.images, given.notes
        labels = [None] * len(files)
    judge = _Judge(*inspectors)
    results = track(
        map_in_order(judge, files, threads=threads), total=len(files), description="inspecting", show=progress
    )
    diffed: list[DiffedImage] = []
    refused: list[RefusedImage] = []
    for file, label, (before, after) in zip(files, labels, results, strict=True):
        if isinstance(before, ImageError) or isinstance(after, ImageError):
            reasons = [str(each) if isinstance(each, ImageError) else None for each in (before, after)]
            refused.append(RefusedImage(file.name, *reasons))
        else:
            diffed.append(DiffedImage(file, before, after, label))
    if not diffed:
        raise FolderError(
            f"diff needs at least one image that both models can inspect, and none of {len(files)} is; the first, "
            f"{refused[0].name}, is {refused[0].sentence}"
        )
    return Diff(
        old_name=names[0],
        new_name=names[1],
        old=inspectors[0].metadata,
        new=inspectors[1].metadata,
        images=tuple(diffed),
        refused=tuple(refused),
        facts=differing_facts(inspectors[0].metadata, inspectors[1].metadata),
        notes=(*notes, *_notes_on_pair(*inspectors)),
    )


class _Judge:
    """The verdicts of both models on one image, or why one has none; called on several threads."""

    def __init__(self, old: Inspector, new: Inspector) -> None:
        self._models = tuple((each.for_many(), _distance(each)) for each in (old, new))

    def __call__(self, file: ImageFile) -> tuple[ModelVerdict | ImageError, ModelVerdict | ImageError]:
        before, after = (self._verdict(*each, file) for each in self._models)
        return before, after

    def _verdict(self, inspector: Inspector, distance: float | None, file: ImageFile) -> ModelVerdict | ImageError:
        try:
            named = file.named(inspector.limits)
            found, _ = inspector.inspect(named.image, named.name, named.page)
        except ImageError as error:
            return error
        relative = None if distance is None else found.score / distance
        return ModelVerdict(found.score, found.p_value, found.is_anomaly, relative)


def _distance(inspector: Inspector) -> float | None:
    """From the median of the calibration scores, each group with the same weight, to the threshold; None below it."""
    known = inspector.calibration_scores
    if known is None:
        return None
    share = np.cumsum(known.weights) / known.weights.sum()
    median = float(known.scores[int(np.searchsorted(share, 0.5 - 1e-9))])
    return known.threshold - median if known.threshold > median else None


def _name_of(model: ModelSource, otherwise: str) -> str:
    return os.fspath(model) if isinstance(model, str | os.PathLike) else otherwise


def _one_path(images: GivenPaths) -> str | os.PathLike[str]:
    if isinstance(images, str | os.PathLike):
        return images
    if len(images) == 1:
        return images[0]
    raise SettingError(
        f"labelled images must be one folder or CSV file, got {len(images)} paths: give the folder that holds good and "
        "a folder for each type of defect"
    )


def _check_pair(old: Inspector, new: Inspector, old_name: str, new_name: str) -> None:
    """Refuse two models that need no diff, or that no image goes with."""
    if old.metadata.content_sha256 == new.metadata.content_sha256:
        raise SettingError(
            f"diff needs two models, got {old_name} and {new_name}, which are the same (digest "
            f"{old.metadata.content_sha256[:12]}): give the model that is to take its place"
        )
    depths = old.metadata.input.dtype, new.metadata.input.dtype
    if depths[0] != depths[1]:
        raise SettingError(
            f"diff needs two models that take the same images, got {old_name} for {depths[0]} and {new_name} for "
            f"{depths[1]}: fit both on images of the same depth"
        )


def _notes_on_pair(old: Inspector, new: Inspector) -> list[str]:
    notes = []
    channels = old.metadata.input.channels, new.metadata.input.channels
    if channels[0] != channels[1]:
        grey, colour = ("old", "new") if channels[0] == 1 else ("new", "old")
        notes.append(f"The {grey} model takes grey images alone, and the {colour} one colour, too.")
    without = [which for which, each in (("old", old), ("new", new)) if _distance(each) is None]
    if without:
        models = f"{without[0]} model has" if len(without) == 1 else "old and the new model have"
        notes.append(
            f"The {models} no threshold above the median of calibration scores, so that there are no relative scores "
            "to compare: compare p-values."
        )
    return notes
