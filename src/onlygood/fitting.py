"""Fit: from good images to a calibrated model."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from onlygood._verification import verify
from onlygood._version import __version__
from onlygood.augmentation.sources import check_target, fill_up, golden_sources, turned_sources, turning_notes
from onlygood.calibration.threshold import Calibration, calibrate, resolve_rule, threshold_of
from onlygood.datasets.sources import (
    GoodImages,
    ReferenceImages,
    Source,
    exclude_named,
    exclusion_notes,
    list_references,
    list_sources,
)
from onlygood.datasets.splits import hold_out, share_held_out
from onlygood.detectors.registry import GoodScores, Method, TrainingFiles, make_method
from onlygood.errors import FolderError, SettingError
from onlygood.features.extraction import (
    Embedder,
    Features,
    extract_augmentations,
    extract_features,
    extract_turned,
    set_digest,
)
from onlygood.features.independence import LEAST_GROUPS, independent_groups
from onlygood.features.input_kind import InputKind, input_kind
from onlygood.graph.model_file import OUTPUTS, pack
from onlygood.graph.runtime import open_session
from onlygood.graph.subgraph import join
from onlygood.graph.verdict import full_size_map, verdict
from onlygood.guarantee import Guarantee
from onlygood.images.reading import ReadingLimits
from onlygood.model import GoodImage, Model, ScoredImage
from onlygood.settings import CROSS_FITTED_METHODS, HELD_OUT_ABOVE, TRAINED_METHODS, FitSettings, make_settings
from onlygood.threshold_notes import deciding_sentence, odd_note

# How many of the most anomalous good images are kept to be looked at.
HIGHEST_KEPT = 24
# The largest share of the images that is held out unless one is given, and of a golden sample's augmentations.
MOST_HELD_OUT = 1 / 3
MOST_GOLDEN_HELD_OUT = 0.5


def fit(
    images: GoodImages,
    *,
    groups: Sequence[str] | None = None,
    reference: ReferenceImages | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    **settings: Any,
) -> Model:
    """A detector of everything that does not look like these images, calibrated and ready to save.

    Args:
        images: a folder of good images, or a sequence of paths, bytes, PIL images or arrays uint8 or uint16
            [H, W], [H, W, C].
        groups: for a sequence, one label an image: images with equal labels stay on one side of every split. For a
            folder, use the setting `group_by`.
        reference: for method doc, images of other things: a folder with one sub-folder a class, or sequences of
            images by class.
        progress: draw progress bars if stderr is a terminal.
        checkpoint: where a method that trains keeps what it has reached; None for nowhere. It stays there, since the
            model is in memory alone: take it away when the model is saved.
        resume: go on from that checkpoint.
        **settings: fields of `onlygood.FitSettings`, the same as the options of `onlygood fit`.

    Raises:
        SettingError: a setting that does not exist or cannot be used.
        FolderError: images that are missing, unreadable, too few or too alike.
        BackboneError: a backbone that cannot be used.
        TrainingError: a network cannot be trained, or a checkpoint not be resumed from.
        MissingExtraError: a method that trains, and no torch.
        VerificationError: the finished file gives other scores than those it was calibrated with.
    """
    chosen = make_settings(**settings).filled_in()
    if resume and chosen.method not in TRAINED_METHODS:
        raise SettingError(
            f"resume goes with a method that trains ({', '.join(TRAINED_METHODS)}), got it with {chosen.method}: leave "
            "resume out"
        )
    if resume and checkpoint is None:
        raise SettingError("resume needs a checkpoint, got none: give one, or leave resume out")
    files = None if checkpoint is None else TrainingFiles(Path(checkpoint), resume)
    limits = ReadingLimits(max_pixels=chosen.max_pixels, max_bytes=chosen.max_bytes)
    sources = list_sources(images, group_by=chosen.group_by, groups=groups, limits=limits, allow_one=chosen.golden)
    excluded: list[str] = []
    if chosen.exclude is not None:
        sources, excluded = exclude_named(sources, chosen.exclude)
    golden = 0
    if chosen.golden:
        golden, sources = len(sources), golden_sources(sources, chosen)
    elif not chosen.skip_unreadable:
        check_target(len(sources), chosen)
    if reference is not None and chosen.method != "doc":
        raise SettingError(f"reference goes with method doc, got it with {chosen.method}: leave one of them out")
    references = [] if reference is None else list_references(reference, limits=limits)
    if len(sources) < LEAST_GROUPS:
        raise FolderError(
            f"fit needs at least {LEAST_GROUPS} good images, so that what good images have in common can be told "
            f"without each of them, got {len(sources)}: add images, or add --golden to learn from augmentations of "
            f"{'this one' if len(sources) == 1 else 'these'}"
        )
    method = make_method(chosen, sources, references=references, files=files, show_progress=progress)
    return _Fit(sources, chosen, method, golden=golden, excluded=excluded, show_progress=progress).run()


class _Fit:
    """One fit: its inputs, and the steps in the order in which they are taken."""

    def __init__(
        self,
        sources: Sequence[Source],
        settings: FitSettings,
        method: Method,
        *,
        golden: int,
        excluded: Sequence[str],
        show_progress: bool,
    ) -> None:
        self.excluded = excluded
        self.sources = sources
        self.settings = settings
        self.golden = golden
        self.show_progress = show_progress
        self.method = method

    def run(self) -> Model:
        kind = input_kind(self.sources, self.settings, show_progress=self.show_progress)
        embed = self.method.embedding_pieces(kind)
        seen = extract_features(
            self.sources,
            Embedder(join(*embed, outputs=list(self.method.embeddings)), self.method.embeddings),
            kind,
            self.settings,
            rows_each=self.method.rows_each,
            show_progress=self.show_progress,
        )
        groups, duplicate_notes = independent_groups(seen, kind, self.settings, golden=self.golden)
        held_out = self.held_out(groups)
        learned, labels, calibrating = self.learned(seen, kind, groups, held_out)
        self.method.learn(learned, labels, calibrating)
        scores = self.method.good_scores()
        calibration, map_levels = self.calibrate(scores, groups, held_out)
        guarantee = self.guarantee(seen, calibration, held_out)
        images = self.good_images(seen, scores, groups, held_out, calibration)
        odd = odd_note(calibration, images)
        deciding = deciding_sentence(
            calibration, images, rule=self.settings.threshold_rule, is_exact=guarantee.is_exact
        )
        notes = (
            *exclusion_notes(self.excluded),
            *seen.notes,
            *duplicate_notes,
            *turning_notes(guarantee.fitted_images, self.settings.rotations),
            *self.method.notes,
        )
        notes += (odd,) if odd else ()
        model = join(
            *embed,
            *self.method.head(),
            verdict(calibration, opset=self.method.opset),
            full_size_map(kind.dtype, opset=self.method.opset),
            outputs=list(OUTPUTS),
        )
        file = pack(model, self.describe(kind, seen, calibration, guarantee, images, map_levels, notes, deciding))
        fitted = Model(
            file=file,
            guarantee=guarantee,
            calibration=calibration,
            notes=notes,
            good_images=images,
            highest_scoring=self.highest_scoring(seen, images, scores),
            deciding=deciding,
        )
        verify(
            fitted,
            open_session(file.content),
            len(learned.sources),
            image=lambda at: (learned.sources[at].name, learned.sources[at].read()),
            raw_score=self.method.finished_score,
            least_scale=self.method.least_scale,
            remedy="if good images are all but equal, add some that differ, else try another version of onnxruntime "
            "and report this",
        )
        return fitted

    def held_out(self, groups: list[int]) -> NDArray[np.bool_]:
        """True for images that only calibrate: none with leave-one-out and cross-fitting."""
        held_out = np.zeros(len(groups), dtype=bool)
        if self.settings.calibration == "split":
            share = self.settings.calibration_fraction or share_held_out(
                len(set(groups)),
                self.settings.false_alarm_rate,
                above=HELD_OUT_ABOVE,
                most=MOST_GOLDEN_HELD_OUT if self.golden else MOST_HELD_OUT,
            )
            held_out = hold_out(groups, share, seed=self.settings.seed)
        left = len(set(np.array(groups)[~held_out]))
        if left < LEAST_GROUPS:
            advice = ["raise augment" if self.golden else "add images of other parts"]
            if len(set(groups)) > LEAST_GROUPS:
                advice.append("lower calibration_fraction")
            if not self.golden and self.settings.method not in TRAINED_METHODS:
                advice.append("calibrate with leave-one-out")
            if not self.golden and self.settings.method in CROSS_FITTED_METHODS:
                advice.append("calibrate with cross-fit")
            raise FolderError(
                f"fit needs good images of at least {LEAST_GROUPS} independent things beside those held out, got "
                f"{left} of {len(set(groups))}: {', or '.join(advice)}"
            )
        return held_out

    def learned(
        self, seen: Features, kind: InputKind, groups: list[int], held_out: NDArray[np.bool_]
    ) -> tuple[Features, list[int], NDArray[np.bool_]]:
        """What is learned from: the images, with augmentations of them behind them, or turned copies in their place.

        Each is in the group of its image, so that whoever is scored without that image is scored without them too.

        Returns:
            What was found of them all, and `groups` and `held_out` of each.
        """
        fitted = np.flatnonzero(~held_out).tolist()
        settings = self.settings
        if settings.rotations > 1:
            copies = turned_sources(seen.sources, settings.rotations, fitted, seed=settings.seed)
            originals = fitted * (settings.rotations - 1)
            learned = extract_turned(
                seen, copies, settings, rows_each=self.method.rows_each, show_progress=self.show_progress
            )
        elif settings.augment is not None and not self.golden:
            check_target(seen.given, settings)
            images = [seen.sources[position] for position in fitted]
            made = fill_up(images, settings.augment - seen.given, settings, kind.window)
            originals, learned = [fitted[original] for original, _ in made], seen
            extract_augmentations(
                seen,
                [source for _, source in made],
                settings,
                rows_each=self.method.rows_each,
                show_progress=self.show_progress,
            )
        else:
            return seen, groups, held_out
        theirs = [groups[original] for original in originals]
        return learned, [*groups, *theirs], np.append(held_out, np.zeros(len(theirs), dtype=bool))

    def calibrate(
        self, scores: GoodScores, groups: list[int], held_out: NDArray[np.bool_]
    ) -> tuple[Calibration, dict[str, float]]:
        """The threshold, and the levels of the map, from the images held out or else from all."""
        positions = np.flatnonzero(held_out) if held_out.any() else np.arange(len(groups))
        labels: list[Hashable] = [groups[position] for position in positions]
        rate = self.settings.false_alarm_rate
        is_exact = self.settings.calibration == "split"

        def rule(of: Sequence[Hashable]) -> str:
            return resolve_rule(self.settings.threshold_rule, len(set(of)), rate, is_exact=is_exact)

        calibration = calibrate(scores.raw[positions], labels, rate, rule=rule(labels))
        # Where a map is high: the level that the most anomalous patch of a good image exceeds at that rate.
        mapped = positions[np.isfinite(scores.highest[positions])]
        theirs = [groups[position] for position in mapped]
        high = threshold_of(scores.highest[mapped], theirs, rate, rule=rule(theirs))
        return calibration, {"typical": float(np.median(scores.typical[mapped])), "high": high}

    def guarantee(self, seen: Features, calibration: Calibration, held_out: NDArray[np.bool_]) -> Guarantee:
        """What can be said of the threshold."""
        return Guarantee(
            requested_rate=calibration.requested_rate,
            stated_rate=calibration.stated_rate,
            is_exact=self.settings.calibration == "split",
            calibration_images=len(calibration.scores),
            groups=calibration.groups,
            fitted_images=int((~held_out).sum()),
            golden_images=self.golden,
            augmentations=len(seen.sources) - seen.given,
            rotations=self.settings.rotations,
            rule=calibration.rule,
            interval=calibration.interval,
            odd=0 if calibration.is_guaranteed else calibration.odd,
            folds=self.method.cross_fit_folds,
        )

    def good_images(
        self,
        seen: Features,
        scores: GoodScores,
        groups: list[int],
        held_out: NDArray[np.bool_],
        calibration: Calibration,
    ) -> tuple[GoodImage, ...]:
        """What was found of each."""
        calibrates = held_out if held_out.any() else ~held_out
        # Scores are stored as float32, so the lowest of those that stand apart is found exactly.
        least_odd = calibration.scores[-calibration.odd] if calibration.odd else np.float32(np.inf)
        return tuple(
            GoodImage(
                name=source.name,
                score=float(scores.raw[position]) - calibration.threshold,
                group=groups[position],
                calibrates=bool(calibrates[position]),
                is_odd=bool(calibrates[position] and scores.raw[position] >= least_odd),
            )
            for position, source in enumerate(seen.sources[: seen.given])
        )

    def highest_scoring(
        self, seen: Features, images: Sequence[GoodImage], scores: GoodScores
    ) -> tuple[ScoredImage, ...]:
        """A few images, the most anomalous first, with where they are anomalous."""
        order = sorted(range(len(images)), key=lambda position: -images[position].score)
        return tuple(
            ScoredImage(
                image=images[position],
                source=seen.sources[position],
                patch_scores=scores.patch_scores(position),
            )
            for position in order[:HIGHEST_KEPT]
        )

    def describe(
        self,
        kind: InputKind,
        seen: Features,
        calibration: Calibration,
        guarantee: Guarantee,
        images: Sequence[GoodImage],
        map_levels: dict[str, float],
        notes: Sequence[str],
        deciding: str,
    ) -> dict[str, Any]:
        """The metadata: what a person must know of the file. No times or paths, so that equal fits are equal files."""
        heights, widths = zip(*seen.sizes, strict=True)
        settings = self.settings
        if settings.backbone.endswith(".onnx"):
            settings = replace(settings, backbone=Path(settings.backbone).name)
        return {
            "method": settings.method,
            "settings": settings.to_dict(),
            "input": {
                "dtype": kind.dtype.name,
                "channels": seen.channels,
                "window": [kind.window.black, kind.window.white],
                "input_shape": list(self.method.input_shape),
            },
            **self.method.describe(),
            "good_images": {
                "count": seen.given,
                "unreadable": len(seen.unreadable),
                "heights": [min(heights), max(heights)],
                "widths": [min(widths), max(widths)],
                "sha256": set_digest(seen.digests[: seen.given]),
            },
            "calibration": {
                "method": settings.calibration,
                "threshold": calibration.threshold,
                "rule": calibration.rule,
                "odd": [each.name for each in images if each.is_odd],
                "decided_by": deciding,
            },
            "guarantee": guarantee.to_dict(),
            "map_levels": map_levels,
            "notes": list(notes),
            "made_with": {
                "onlygood": __version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
        }
