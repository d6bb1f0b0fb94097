"""Calibrate: another threshold for a fitted model, from the scores in its file or from new good images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._plurals import pluralize
from onlygood._progress import track
from onlygood._verification import verify
from onlygood.another_threshold import at_rate, at_threshold, calibrated, guarantee_at, require_calibration_scores
from onlygood.calibration.threshold import calibrate as conformal_threshold
from onlygood.calibration.threshold import resolve_rule, threshold_of
from onlygood.datasets.sources import FoundSources, GoodImages, Source, list_sources
from onlygood.datasets.splits import merge_groups
from onlygood.errors import (
    FolderError,
    ImageError,
    SettingError,
)
from onlygood.features.extraction import pixel_digest, set_digest
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.graph.model_file import ModelFile, with_raw_score
from onlygood.graph.runtime import open_model, run
from onlygood.graph.verdict import RAW_SCORE
from onlygood.images.kinds import kind_of
from onlygood.images.reading import ChannelOrder, ReadingLimits
from onlygood.inspection import as_input, limits_for
from onlygood.kind_notes import Difference, difference_notes, differences
from onlygood.metadata import MapLevels
from onlygood.model import CalibratedModel, ModelSource, file_and_name
from onlygood.rates import check_false_alarm_rate, format_rate


def calibrate(
    model: ModelSource,
    images: GoodImages | None = None,
    *,
    false_alarm_rate: float | None = None,
    threshold: float | None = None,
    group_by: str | None = None,
    groups: Sequence[str] | None = None,
    channel_order: ChannelOrder = "rgb",
    provider: str = "cpu",
    threads: int = 0,
    max_pixels: int = ReadingLimits.max_pixels,
    max_bytes: int = ReadingLimits.max_bytes,
    require_signature: str | os.PathLike[str] | None = None,
    max_model_bytes: int = MAX_MODEL_BYTES,
    progress: bool = False,
) -> CalibratedModel:
    """The same detector with another threshold; the model that is given stays as it is.

    Without images, the threshold comes from the calibration scores in the model's file, and is guaranteed in the same
    way as the one before. With images, it comes from their scores alone (split conformal calibration): the guarantee
    is exact if the detector has not seen them, which nobody but the caller knows, and if they are like the images that
    will be inspected.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or an Inspector of either.
        images: new good images: a folder, an image, or a sequence of folders and images (paths, bytes, PIL images or
            arrays as `onlygood.fit` takes them); None to use the scores in the file.
        false_alarm_rate: alpha, in (0, 1); the one that the model was asked for before unless given, if there are
            images.
        threshold: a score of this model, such as evaluate's advice on costs names, to be the threshold instead; goes
            without images and rate.
        group_by: what says which images are of one session or part, as in `FitSettings`.
        groups: for a sequence of images, one label an image instead.
        channel_order: of arrays with colour among the images, as for `onlygood.fit`.
        provider: the hardware that ONNX Runtime uses.
        threads: images worked on at once; 0 for one a core.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        require_signature: path of a public key: the model must be signed by its holder. The new one is not signed.
        max_model_bytes: most bytes that the model file may have.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError: a rate outside (0, 1), no rate, threshold or images, or groups or a key that cannot be used.
        FolderError: images that are missing or cannot be read, or that are those that the model learned from.
        ModelFileError: the model cannot be used, or has no calibration scores.
        VerificationError: the new file gives other scores than those it was calibrated with.

    Example:
        >>> import onlygood
        >>> model = onlygood.calibrate("part.onnx", false_alarm_rate=0.2)
        >>> model.guarantee.requested_rate
        0.2
        >>> model.save("part-0.2.onnx")
    """
    if false_alarm_rate is not None:
        false_alarm_rate = check_false_alarm_rate(false_alarm_rate)
    file, name = file_and_name(model, max_model_bytes=max_model_bytes, require_signature=require_signature)
    if threshold is not None:
        if images is not None or false_alarm_rate is not None:
            raise SettingError("a threshold goes without images and without a rate, got both: leave one out")
        return at_threshold(file, threshold, name=name)
    if images is None:
        if group_by is not None or groups is not None:
            raise SettingError("group_by and groups go with images, got none: give images, or leave them out")
        if false_alarm_rate is None:
            raise SettingError(
                "calibrate needs a false-alarm rate, a threshold or new good images, got none: give one of them"
            )
        return at_rate(file, false_alarm_rate, name=name)
    rate = file.metadata.guarantee.requested_rate if false_alarm_rate is None else false_alarm_rate
    limits = limits_for(file.metadata, ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes))
    found = list_sources(
        images,
        group_by=group_by,
        groups=groups,
        limits=limits,
        allow_one=True,
        command="calibrate",
        channel_order=channel_order,
    )
    by_images = _ByImages(file, name, found, provider=provider, threads=threads, show_progress=progress)
    return by_images.at(rate)


@dataclass(frozen=True)
class _Scored:
    """What the model says of one image: raw score, median and highest patch score; and what is found of its pixels."""

    raw: NDArray[np.float32]
    typical: float
    highest: NDArray[np.float32]
    digest: str
    differences: tuple[Difference, ...]


class _ByImages:
    """A calibration with new good images, in the order of its steps."""

    def __init__(
        self,
        file: ModelFile,
        name: str,
        found: FoundSources,
        *,
        provider: str,
        threads: int,
        show_progress: bool,
    ) -> None:
        require_calibration_scores(file, name)  # they will be replaced
        self.file = file
        self.name = name
        self.sources = found.sources
        self.found_notes = found.notes
        self.provider = provider
        self.threads = threads
        self.show_progress = show_progress

    def at(self, false_alarm_rate: float) -> CalibratedModel:
        scored = self.score()
        digests = [each.digest for each in scored]
        images_sha256 = set_digest(digests)
        if images_sha256 == self.file.metadata.good_images.sha256:
            raise FolderError(
                f"calibration needs good images that the model has not seen, got the {len(digests)} that it was fitted "
                "with: give others, or leave the images out to use the scores in the file"
            )
        groups = merge_groups([source.label for source in self.sources], digests)
        raw = np.array([each.raw for each in scored], dtype=np.float32)
        highest = np.array([each.highest for each in scored], dtype=np.float32)
        rule = resolve_rule(self.file.metadata.threshold_rule, len(set(groups)), false_alarm_rate, is_exact=True)
        calibration = conformal_threshold(raw, groups, false_alarm_rate, rule=rule)
        guarantee = guarantee_at(
            self.file.metadata.guarantee,
            calibration,
            is_exact=True,
            calibration_images=len(raw),
            groups=calibration.groups,
            folds=0,
            is_split=False,
            rescored=0,
            golden_images=0,  # the images are of parts, whatever the detector learned from
        )
        described = self.file.metadata.replaced(
            guarantee=guarantee,
            calibration=self.file.metadata.calibration.replaced(
                method="split",
                threshold=calibration.threshold,
                rule=calibration.rule,
                odd=tuple(
                    source.name
                    for source, score in zip(self.sources, raw, strict=True)
                    if calibration.odd and score >= calibration.scores[-calibration.odd]
                ),
                decided_by=None,
            ),
            map_levels=MapLevels(
                typical=float(np.median([each.typical for each in scored])),
                high=threshold_of(highest, groups, false_alarm_rate, rule=rule),
            ),
        )
        model = calibrated(
            self.file,
            calibration,
            described,
            notes=(*self.found_notes, *self.notes(raw, digests), *self.notes_on_kinds(scored)),
            source="new good images",
            images_sha256=images_sha256,
        )
        self.verify(model, raw)
        return model

    def score(self) -> list[_Scored]:
        """What the model says of each image.

        Raises:
            FolderError: images that cannot be read, or are not of the kind that this model takes.
        """
        session = open_model(
            with_raw_score(self.file.content, self.name),
            self.name,
            self.file.costs,
            provider=self.provider,
            threads=1,
        )

        def score(source: Source) -> _Scored | ImageError:
            try:
                pixels = source.read()
                image = as_input(self.file.metadata, pixels, source.name)
            except ImageError as error:
                return error
            raw, patches = run(session, [RAW_SCORE, "patch_scores"], {"image": image[None]})
            if not (np.isfinite(raw[0]) and np.isfinite(patches).all()):
                return ImageError(f"{source.name} has a score that is not finite: report this with the image")
            differing = differences(
                kind_of(pixels, source.file_format(), has_mask=self.file.metadata.input.alpha is not None),
                self.file.metadata.good_images,
            )
            return _Scored(raw[0], float(np.median(patches)), patches.max(), pixel_digest(pixels), differing)

        results = map_in_order(score, self.sources, threads=self.threads)
        bar = track(results, total=len(self.sources), description="calibrating", show=self.show_progress)
        scored: list[_Scored] = []
        unreadable: list[ImageError] = []
        for result in bar:
            if isinstance(result, ImageError):
                unreadable.append(result)
            else:
                scored.append(result)
        if unreadable:
            raise FolderError(
                f"calibration needs good images that this model can inspect, got {len(unreadable)} of "
                f"{len(self.sources)} that it cannot (remove or repair them), the first: {unreadable[0]}"
            )
        return scored

    def notes_on_kinds(self, scored: Sequence[_Scored]) -> list[str]:
        names = (source.name for source in self.sources)
        differing = [(name, each.differences) for name, each in zip(names, scored, strict=True)]
        return difference_notes(differing, len(scored))

    def notes(self, raw: NDArray[np.float32], digests: Sequence[str]) -> tuple[str, ...]:
        notes = []
        sets = [count for count in Counter(digests).values() if count > 1]
        if sets:
            notes.append(
                f"{sum(sets)} of {len(digests)} calibration images have the pixels of another one, in "
                f"{pluralize(len(sets), 'set')}: each set counts as one."
            )
        before = self.file.metadata.guarantee
        rate = format_rate(before.stated_rate)
        said = (
            f"at most {rate} of good images guaranteed"
            if before.is_guaranteed
            else f"about {rate} of good images expected"
        )
        above = int((raw > np.float32(self.file.metadata.calibration.threshold)).sum())
        notes.append(
            f"The threshold that the model had before, with {said} to be called anomalous, calls {above} of these "
            f"{len(raw)} anomalous."
        )
        return tuple(notes)

    def verify(self, model: CalibratedModel, raw: NDArray[np.float32]) -> None:
        """Run the new file on a few of the images, and compare with the scores that it was calibrated with.

        Raises:
            VerificationError: they differ.
        """
        verify(
            model,
            # Several images at once, each on one thread, are faster than one image on all threads.
            open_model(model.file.content, self.name, model.file.costs, provider=self.provider, threads=1),
            len(raw),
            image=lambda at: (
                self.sources[at].name,
                as_input(self.file.metadata, self.sources[at].read(), self.sources[at].name),
            ),
            raw_score=lambda at: float(raw[at]),
            remedy="try another version of onnxruntime and report this",
        )
