"""Fit: from good images to a calibrated model."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from onlygood import settings as types
from onlygood._extras import need_extra
from onlygood._integers import is_integer
from onlygood._parallel import one_blas_thread
from onlygood._paths import given_path
from onlygood._verification import verify
from onlygood.augmentation.sizes import size_notes, sized_sources
from onlygood.augmentation.sources import check_target, golden_sources, turning_notes
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.calibration.threshold import Calibration, calibrate, resolve_rule, threshold_of
from onlygood.datasets.sources import (
    GoodImages,
    Source,
    exclude_named,
    exclusion_notes,
    list_sources,
    reading_limits,
)
from onlygood.detectors.base import FitTask, GoodScores, Split, TrainingFiles
from onlygood.detectors.registry import MethodName, make_method, method_names
from onlygood.errors import FolderError, SettingError
from onlygood.features.extraction import Features, extract_features
from onlygood.features.independence import LEAST_GROUPS, independent_groups
from onlygood.fit_keywords import unknown_keyword
from onlygood.fit_results import describe, good_images_of, guarantee_of, highest_scoring
from onlygood.graph.model_file import OUTPUTS, pack, require_writable
from onlygood.graph.runtime import open_session
from onlygood.graph.subgraph import join
from onlygood.graph.verdict import verdict
from onlygood.images.reading import ChannelOrder, ImageSource
from onlygood.images.roi import RoiSource
from onlygood.kept_images import kept_of_fit
from onlygood.kind_notes import good_sizes_notes
from onlygood.learning_images import hold_out_images
from onlygood.metadata import MapLevels
from onlygood.model import Model
from onlygood.rates import Rule, ThresholdRule
from onlygood.settings import FitSettings, MethodSettings
from onlygood.showing import Showing
from onlygood.threshold_notes import deciding_sentence, odd_note

# What trains, by the module that is looked for.
_TRAINING_LIBRARIES = {"torch": "torch", "lightning_fabric": "Lightning Fabric"}


def fit(
    images: GoodImages,
    *,
    method: MethodName | MethodSettings = "patch",
    false_alarm_rate: float = 0.05,
    threshold_rule: ThresholdRule = "auto",
    calibration: types.Calibration | None = None,
    calibration_fraction: float | None = None,
    group_by: str | None = None,
    groups: Sequence[str] | None = None,
    channel_order: ChannelOrder = "rgb",
    roi: RoiSource | None = None,
    exclude: Sequence[str] | None = None,
    near_duplicates: types.NearDuplicates = "group",
    window: tuple[float, float] | None = None,
    channels: int | None = None,
    alpha: types.Alpha = "black",
    golden: bool = False,
    augment: int | None = None,
    augmentation: AugmentationSettings | None = None,
    rotations: int = 1,
    sizes: Sequence[int] | None = None,
    align: types.Motion | None = None,
    align_to: ImageSource | None = None,
    align_degrees: float | None = None,
    tiles: str | int | tuple[int, int] | None = None,
    skip_unreadable: bool = False,
    max_pixels: int = 100_000_000,
    max_bytes: int = 500_000_000,
    threads: int = 0,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = False,
    **unknown: Never,
) -> Model:
    """A detector of everything that does not look like these images, calibrated and ready to save.

    Args:
        images: a path or a sequence of paths: folders of good images, ZIP archives, images, patterns such as
            `lot*/*.png`, or text files (.txt) with a path a line. Or a sequence of paths of images, bytes, PIL images
            or arrays uint8 or uint16 [H, W], [H, W, C]; three channels are red, green, blue, or as a `NamedImage`
            around the array says, and up to 16 are one image of so many. Below a folder, what looks like defects, masks
            or test images is refused.
        method: its name, for its defaults, or its settings: `onlygood.Knn(num_neighbors=3)`.
        false_alarm_rate: alpha, the share of good images that may be called anomalous, in (0, 1).
        threshold_rule: "conformal" guarantees the rate as far as there are enough good images, and lets the few most
            anomalous of them decide; "estimated" extrapolates the tail of all scores, without those that stand apart,
            and guarantees nothing; "auto" is conformal where many images lie above the threshold (or where images are
            held out and enough for the rate), else estimated.
        calibration: where calibration scores come from: each good image by a detector that has not seen it
            ("leave-one-out", or "cross-fit" in a few parts, for networks; all images are used, the guarantee is
            approximate), or images held out ("split"; the guarantee is exact). The method's first choice unless given.
        calibration_fraction: share of the images (or of their groups) held out by "split", in (0, 1); unless given, as
            many as are expected to have 5 above the threshold, and at most a third (half of a golden sample's
            augmentations).
        group_by: for paths, what keeps images of one session or part together: "folder" (the sub-folder) or a
            regular expression searched in each image's name, whose first group is the label.
        groups: for a sequence, one label an image instead: images with equal labels stay on one side of every split.
        channel_order: of arrays with colour among the images: "rgb", or "bgr" for blue, green, red, as OpenCV gives
            them.
        roi: the region of interest: the path of an image that is white where parts are looked at and black elsewhere,
            or of polygons and boxes (JSON), or an array bool [h, w]; at any size, scaled to the images. What is outside
            it touches neither what is learned nor scores or maps.
        exclude: names of good images to leave out; "@" and the path of a text file stand for its lines.
        near_duplicates: "group" keeps images of (nearly) the same thing on one side of every split, "ignore" does not
            look for them.
        window: the levels of black and white; for 16-bit images chosen from the good ones unless given, for 8-bit ones
            (0, 255).
        channels: how many each image has, where its file or array does not say: with 2 or 4, the last of so many is no
            transparency.
        alpha: "black" lays transparent images over black; "mask" looks at nothing where they are transparent.
        golden: the images (one is enough, also as a file) are golden samples: learn from augmentations of them, and
            guarantee something about these alone.
        augment: fill up to so many images, at least 3, with augmentations of those to learn from, which never
            calibrate; with golden they do, and there are 200 in all unless given.
        augmentation: the ranges of augmentations.
        rotations: for parts that lie at any angle: learn each good image at so many angles, 1 to 72; 2 or 4 for parts
            that lie in as many positions. Turned copies never calibrate.
        sizes: for a model that is used at other sizes than the good images have: long sides in pixels, smaller than
            theirs, at which each image is also learned and calibrates.
        align: for parts that do not lie at one place in the images: "translation" undoes their shifts, by whole pixels,
            and "rigid" turns and shifts, in the graph, before anything else looks at an image. The region of interest
            is then one of the golden sample.
        align_to: the golden sample that images are aligned to: a path, bytes, a PIL image or an array, of the shape of
            the good images; the good image that correlates best with the others unless given.
        align_degrees: with "rigid", the largest angle either way that is undone, up to 180 (unless given, any): less
            where a part that lies upside down is one to be found.
        tiles: for large images with small defects: cut each into tiles that are looked at one after another, within
            little memory: "auto" for tiles that the method looks at as they are, or their side in pixels, or side and
            overlap. The image is as anomalous as its most anomalous tile, and has one threshold and one map.
        skip_unreadable: leave out images that cannot be read instead of refusing to fit.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        threads: images worked on at once; 0 for one a core.
        seed: of everything random.
        checkpoint: where a method that trains keeps what it has reached; None for nowhere. It stays there, since the
            model is in memory alone: remove it when the model is saved.
        resume: go on from that checkpoint.
        progress: draw progress bars if stderr is a terminal.
        **unknown: none is taken; a name that does not exist is answered with the nearest one that does.

    Raises:
        SettingError: a setting that does not exist or cannot be used.
        FolderError: images that are missing, unreadable, too few or too alike; NotAllGoodError, defects below a folder.
        BackboneError: a backbone that cannot be used.
        TrainingError: a network cannot be trained, or a checkpoint not be resumed from.
        MissingExtraError: a method that trains, and no torch.
        VerificationError: the finished file gives other scores than those it was calibrated with.

    Example:
        >>> import onlygood
        >>> model = onlygood.fit("good", method=onlygood.Knn(num_neighbors=3), false_alarm_rate=0.1)
        >>> model.save("knn.onnx")
    """
    chosen = make_method(method) if isinstance(method, str) else method
    if not isinstance(chosen, MethodSettings):
        raise SettingError(
            f"method must be one of {', '.join(method_names())}, or settings such as onlygood.Knn(num_neighbors=3), "
            f"got {method!r}"
        )
    if unknown:
        raise SettingError(unknown_keyword(next(iter(unknown)), chosen))
    settings = FitSettings(
        false_alarm_rate=false_alarm_rate,
        threshold_rule=threshold_rule,
        calibration=calibration,
        calibration_fraction=calibration_fraction,
        group_by=group_by,
        exclude=exclude,  # type: ignore[arg-type]  # a sequence becomes a tuple
        near_duplicates=near_duplicates,
        window=window,
        channels=channels,
        alpha=alpha,
        golden=golden,
        augment=augment,
        augmentation=augmentation,
        rotations=rotations,
        sizes=sizes,  # type: ignore[arg-type]  # a sequence becomes a tuple
        align=align,
        align_degrees=align_degrees,
        tiles=_as_text(tiles),
        skip_unreadable=skip_unreadable,
        max_pixels=max_pixels,
        max_bytes=max_bytes,
        threads=threads,
        seed=seed,
    ).resolved(chosen)
    if resume and not chosen.trains:
        raise SettingError(f"resume goes with a method that trains, got it with {chosen.name}: leave resume out")
    if resume and checkpoint is None:
        raise SettingError("resume needs a checkpoint, got none: give one, or leave resume out")
    if chosen.extra == "train":
        for module, library in _TRAINING_LIBRARIES.items():
            need_extra(library, module=module, extra="train", purpose=f"--method {chosen.name}")
    files = None if checkpoint is None else TrainingFiles(given_path(checkpoint), resume)
    limits = reading_limits(settings)
    found = list_sources(
        images, group_by=group_by, groups=groups, limits=limits, allow_one=golden, channel_order=channel_order
    )
    sources = found.sources
    notes = found.notes
    if settings.exclude is not None:
        sources, excluded = exclude_named(sources, settings.exclude)
        notes += exclusion_notes(excluded)
    count = 0
    if golden:
        count, sources = len(sources), golden_sources(sources, settings)
    elif not skip_unreadable:
        check_target(len(sources), settings)
    if align_to is not None and align is None:
        raise SettingError(
            "align_to goes with align, got it without: add align='translation' or 'rigid', or leave align_to out"
        )
    if len(sources) < LEAST_GROUPS:
        raise FolderError(
            f"fit needs at least {LEAST_GROUPS} good images, so that what good images have in common can be told "
            f"without each of them, got {len(sources)}: add images, or add --golden to learn from augmentations of "
            f"{'this one' if len(sources) == 1 else 'these'}"
        )
    if settings.sizes:
        notes = [*notes, *size_notes(len(sources), settings.sizes)]
        sources = sized_sources(sources, settings.sizes)
    task = _Fit(
        sources,
        settings,
        chosen,
        files=files,
        golden=count,
        roi=roi,
        align_to=align_to,
        channel_order=channel_order,
        notes=notes,
        show_progress=progress,
    )
    with one_blas_thread():  # or its number would change last digits of the model
        return task.run()


def _as_text(tiles: Any) -> Any:
    """Tiles as a setting has them; what cannot be is left to be refused there."""
    if isinstance(tiles, tuple | list):
        return ",".join(map(str, tiles))
    return str(tiles) if is_integer(tiles, 0) else tiles


@dataclass(frozen=True)
class _Fit:
    """One fit: its inputs, and the steps in the order in which they are taken."""

    sources: Sequence[Source]
    settings: FitSettings
    method: MethodSettings
    files: TrainingFiles | None
    golden: int
    roi: RoiSource | None
    align_to: ImageSource | None
    channel_order: ChannelOrder
    notes: Sequence[str]
    show_progress: bool

    def run(self) -> Model:
        settings = self.settings
        showing = Showing.of(
            self.sources,
            settings,
            self.method,
            roi=self.roi,
            align_to=self.align_to,
            channel_order=self.channel_order,
            golden=self.golden,
            show_progress=self.show_progress,
        )
        kind = showing.kind
        task = FitTask(
            kind=showing.task_kind,
            images=max(len(self.sources) * showing.tiles_each * settings.rotations, settings.augment or 0),
            settings=settings,
            files=self.files,
            show_progress=self.show_progress,
        )
        detector = self.method.make_detector(task)
        embedding = detector.embedding
        showing.require_shown(embedding, self.method.name)
        whole_graph = showing.whole_graph(embedding)
        require_writable(whole_graph, kind.channels + showing.view.has_alpha)
        features = extract_features(
            self.sources,
            showing.embedder(whole_graph, embedding),
            kind,
            settings,
            rows_each=embedding.rows_each,
            show_progress=self.show_progress,
        )
        groups, duplicate_notes, noise_scale = independent_groups(
            features, kind, settings, golden=self.golden, show_progress=self.show_progress
        )
        given = Split(groups=groups, held_out=hold_out_images(groups, settings, self.method, golden=self.golden))
        found = showing.learn(detector, embedding, features, given, task, golden=self.golden)
        learned, scores = found.learned, found.scores
        calibration, map_levels = self.calibrate(scores, given)
        guarantee = guarantee_of(calibration, features, given, settings, golden=self.golden, folds=learned.folds)
        images = good_images_of(features, scores, given, calibration)
        odd = odd_note(calibration, images)
        deciding = deciding_sentence(calibration, images, rule=settings.threshold_rule, is_exact=guarantee.is_exact)
        notes = (
            *self.notes,
            *showing.notes,
            *features.notes,
            *self.size_notes(features.scored),
            *duplicate_notes,
            *turning_notes(guarantee.fitted_images, settings.rotations),
            *learned.notes,
            *((odd,) if odd else ()),
        )
        graph = join(
            *showing.subgraphs(embedding),
            *found.head,
            verdict(calibration, opset=embedding.opset),
            showing.view.map(outside=map_levels.typical, opset=embedding.opset),
            outputs=[*OUTPUTS, *showing.view.outputs],
        )
        metadata = describe(
            self.method,
            settings,
            kind,
            features,
            learned,
            region=showing.region,
            alignment=None if showing.aligned is None else showing.aligned.facts,
            tiling=showing.tiling,
            input_shape=embedding.input_shape,
            calibration=calibration,
            guarantee=guarantee,
            images=images,
            map_levels=map_levels,
            notes=notes,
            deciding=deciding,
        )
        kept = kept_of_fit(features, learned, given, settings, showing.shown, noise_scale)
        file = pack(graph, metadata, kept=kept)
        fitted = Model(
            file=file,
            guarantee=guarantee,
            calibration=calibration,
            notes=notes,
            good_images=images,
            highest_scoring=highest_scoring(features, images, scores),
            deciding=deciding,
        )
        verify(
            fitted,
            open_session(file.content),
            len(found.verified),
            image=lambda at: (found.verified[at].name, found.verified[at].read()),
            raw_score=found.finished_score,
            least_scale=learned.least_scale,
            remedy="if good images are all but equal, add some that differ, else try another version of onnxruntime "
            "and report this",
        )
        return fitted

    def size_notes(self, features: Features) -> list[str]:
        """What to say of images of several sizes, unless these were asked for."""
        if self.settings.sizes:
            return []
        return good_sizes_notes([source.name for source in features.sources[: features.given]], features.kinds)

    def calibrate(self, scores: GoodScores, split: Split) -> tuple[Calibration, MapLevels]:
        """The threshold, and the levels of the map, from the images held out or else from all."""
        groups = split.groups
        positions = split.calibrating(len(groups))
        labels: list[Hashable] = [groups[position] for position in positions.tolist()]
        rate = self.settings.false_alarm_rate
        is_exact = self.settings.calibration == "split"

        def rule(of: Sequence[Hashable]) -> Rule:
            return resolve_rule(self.settings.threshold_rule, len(set(of)), rate, is_exact=is_exact)

        calibration = calibrate(scores.raw[positions], labels, rate, rule=rule(labels))
        # Where a map is high: the level that the most anomalous patch of a good image exceeds at that rate.
        mapped: NDArray[np.int64] = positions[np.isfinite(scores.highest[positions])]
        theirs = [groups[position] for position in mapped.tolist()]
        high = threshold_of(scores.highest[mapped], theirs, rate, rule=rule(theirs))
        return calibration, MapLevels(typical=float(np.median(scores.typical[mapped])), high=high)
