"""Fit: from good pictures to a calibrated model."""

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

from onlygood._version import __version__
from onlygood.augmentation.sources import EXACT_ROTATIONS, check_target, fill_up, golden_sources, turned_sources
from onlygood.calibration.near_duplicates import FEW, near_duplicate_groups
from onlygood.calibration.threshold import Calibration, calibrate, resolve_rule, threshold_of
from onlygood.calibration.two_kinds import two_kinds_note
from onlygood.datasets.sources import (
    GoodPictures,
    ReferencePictures,
    Source,
    exclude_named,
    file_ranks,
    list_references,
    list_sources,
)
from onlygood.datasets.splits import hold_out, merge_groups, share_held_out
from onlygood.detectors.registry import GoodScores, Method, TrainingFiles, make_method
from onlygood.errors import FolderError, SettingError, VerificationError
from onlygood.features.noise_scale import noise_scale
from onlygood.features.survey import (
    Embedder,
    InputKind,
    Survey,
    input_kind,
    set_digest,
    survey,
    survey_augmentations,
    survey_turned,
)
from onlygood.graph.model_file import OUTPUTS, ModelFile, pack
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.verdict import full_size_map, verdict
from onlygood.images.reading import ReadingLimits
from onlygood.model import GoodPicture, Model, StrangePicture
from onlygood.results import Promise, counted
from onlygood.settings import CROSS_FITTED_METHODS, HELD_OUT_ABOVE, TRAINED_METHODS, FitSettings, make_settings
from onlygood.threshold_notes import deciding_sentence, odd_note

# Scores of the file and of the calibration may differ by this share of the raw score or the threshold: both are the
# same arithmetic in float32, but one session and several threads may add in another order than another session.
VERIFICATION_TOLERANCE = 1e-4
VERIFIED_PICTURES = 3
# Leave-one-out learns without each group in turn, and from a single thing no variation can be learned.
LEAST_GROUPS = 3
# How many of the strangest good pictures are kept to be looked at.
STRANGEST_KEPT = 24
# The largest share of the pictures that is held out unless one is given, and of a golden sample's augmentations.
MOST_HELD_OUT = 1 / 3
MOST_GOLDEN_HELD_OUT = 0.5
# How many names of pictures that were left out a note gives.
SHOWN_NAMES = 3


def fit(
    pictures: GoodPictures,
    *,
    groups: Sequence[str] | None = None,
    reference: ReferencePictures | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    **settings: Any,
) -> Model:
    """A detector of everything that does not look like these pictures, calibrated and ready to save.

    Args:
        pictures: a folder of good pictures, or a sequence of paths, bytes, PIL images or arrays uint8 or uint16
            [H, W], [H, W, C].
        groups: for a sequence, one label a picture: pictures with equal labels stay on one side of every split. For a
            folder, use the setting `group_by`.
        reference: for method doc, pictures of other things: a folder with one sub-folder a class, or sequences of
            pictures by class.
        progress: draw progress bars if stderr is a terminal.
        checkpoint: where a method that trains keeps what it has reached; None for nowhere. It stays there, since the
            model is in memory alone: take it away when the model is saved.
        resume: go on from that checkpoint.
        **settings: fields of `onlygood.FitSettings`, the same as the options of `onlygood fit`.

    Raises:
        SettingError: a setting that does not exist or cannot be used.
        FolderError: pictures that are missing, unreadable, too few or too alike.
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
    sources = list_sources(pictures, group_by=chosen.group_by, groups=groups, limits=limits, allow_one=chosen.golden)
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
            f"fit needs at least {LEAST_GROUPS} good pictures, so that what good pictures have in common can be told "
            f"without each of them, got {len(sources)}: add pictures, or add --golden to learn from augmentations of "
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
        seen = survey(
            self.sources,
            Embedder(join(*embed, outputs=list(self.method.embeddings)), self.method.embeddings),
            kind,
            self.settings,
            rows_each=self.method.rows_each,
            show_progress=self.show_progress,
        )
        groups, duplicate_notes = self.independent_groups(seen, kind)
        held_out = self.held_out(groups)
        learned, labels, calibrating = self.learned(seen, kind, groups, held_out)
        self.method.learn(learned, labels, calibrating)
        scores = self.method.good_scores()
        calibration, map_levels = self.calibrate(scores, groups, held_out)
        promise = self.promise(seen, calibration, held_out)
        pictures = self.good_pictures(seen, scores, groups, held_out, calibration)
        odd = odd_note(calibration, pictures)
        deciding = deciding_sentence(
            calibration, pictures, rule=self.settings.threshold_rule, is_exact=promise.is_exact
        )
        notes = (
            *self.exclusion_notes(),
            *seen.notes,
            *duplicate_notes,
            *self.turning_notes(promise),
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
        file = pack(model, self.describe(kind, seen, calibration, promise, pictures, map_levels, notes, deciding))
        self.verify(file, learned, calibration)
        return Model(
            file=file,
            promise=promise,
            calibration=calibration,
            notes=notes,
            good_pictures=pictures,
            strangest=self.strangest(seen, pictures, scores),
            deciding=deciding,
        )

    def exclusion_notes(self) -> list[str]:
        """Which pictures were left out since they were named."""
        if not self.excluded:
            return []
        shown = ", ".join(self.excluded[:SHOWN_NAMES])
        more = f" and {len(self.excluded) - SHOWN_NAMES} more" if len(self.excluded) > SHOWN_NAMES else ""
        return [f"{counted(len(self.excluded), 'picture')} left out, as asked with exclude: {shown}{more}."]

    def turning_notes(self, promise: Promise) -> list[str]:
        """At which angles each picture was learned, where that is at several."""
        rotations = self.settings.rotations
        if rotations == 1:
            return []
        begin = "the first its own" if rotations in EXACT_ROTATIONS else "the first drawn for each picture"
        return [
            f"Learned each of {counted(promise.fitted_pictures, 'good picture')} at {rotations} angles, "
            f"{360 / rotations:.3g} degrees apart, {begin}; the threshold comes from the pictures as they were taken."
        ]

    def independent_groups(self, seen: Survey, kind: InputKind) -> tuple[list[int], list[str]]:
        """A label a picture; pictures with different labels may be treated as independent. And notes about it."""
        if self.golden:
            different = len(set(seen.digests))
            if 2 * different < seen.given:
                has_copies = len(set(seen.digests[: self.golden])) < self.golden
                raise SettingError(
                    f"most augmentations of a golden sample must differ from one another, got {different} different "
                    f"pictures among {seen.given}: "
                    + ("leave out copies" if has_copies else "widen a range, such as augment_brightness")
                )
            # Augmentations of one picture are near-duplicates by design, and independent given the picture.
            return list(range(seen.given)), []
        if self.settings.near_duplicates == "group":
            alike, unclear = near_duplicate_groups(
                seen.descriptors,
                seen.digests,
                noise_scale=noise_scale(seen.sources, seen.describe, kind.window, seed=self.settings.seed),
                file_order=file_ranks(seen.sources),
            )
        else:
            alike, unclear = near_duplicate_groups(None, seen.digests)
        different = len(set(seen.digests))
        labels = [source.label for source in seen.sources]
        groups = merge_groups(labels, alike)
        count = len(set(groups))
        doubled = len(alike) - len(set(alike))
        if count < LEAST_GROUPS:
            raise FolderError(
                f"calibration needs good pictures of at least {LEAST_GROUPS} independent things, got {len(groups)} "
                f"pictures in {counted(count, 'group')} of one session or (nearly) the same: add other parts"
                + (", or if these differ, add --near-duplicates ignore" if len(set(alike)) < different else "")
            )
        notes = []
        if unclear is not None and len(set(labels)) == len(labels):
            notes.append(unclear)
        else:
            # Of many images of one thing, one: they are alike, and that is no kind.
            firsts = np.unique(groups, return_index=True)[1]
            kinds = two_kinds_note(seen.descriptors[firsts], [seen.sources[first].name for first in firsts])
            notes += [] if kinds is None else [kinds]
        if doubled:
            sizes = np.bincount(alike)
            sets = int((sizes > 1).sum())
            notes.append(
                f"{int(sizes[sizes > 1].sum())} of {len(alike)} good pictures are near-duplicates of one another, in "
                f"{counted(sets, 'set')}: each set is kept on one side of every split and counts as one"
                + (", or if a set holds different parts, add --near-duplicates ignore." if sizes.max() > FEW else ".")
            )
        return groups, notes

    def held_out(self, groups: list[int]) -> NDArray[np.bool_]:
        """True for pictures that only calibrate: none with leave-one-out and cross-fitting."""
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
            advice = ["raise augment" if self.golden else "add pictures of other parts"]
            if len(set(groups)) > LEAST_GROUPS:
                advice.append("lower calibration_fraction")
            if not self.golden and self.settings.method not in TRAINED_METHODS:
                advice.append("calibrate with leave-one-out")
            if not self.golden and self.settings.method in CROSS_FITTED_METHODS:
                advice.append("calibrate with cross-fit")
            raise FolderError(
                f"fit needs good pictures of at least {LEAST_GROUPS} independent things beside those held out, got "
                f"{left} of {len(set(groups))}: {', or '.join(advice)}"
            )
        return held_out

    def learned(
        self, seen: Survey, kind: InputKind, groups: list[int], held_out: NDArray[np.bool_]
    ) -> tuple[Survey, list[int], NDArray[np.bool_]]:
        """What is learned from: the pictures, with augmentations of them behind them, or turned copies in their place.

        Each is in the group of its picture, so that whoever is scored without that picture is scored without them too.

        Returns:
            What was found of them all, and `groups` and `held_out` of each.
        """
        fitted = np.flatnonzero(~held_out).tolist()
        settings = self.settings
        if settings.rotations > 1:
            copies = turned_sources(seen.sources, settings.rotations, fitted, seed=settings.seed)
            originals = fitted * (settings.rotations - 1)
            learned = survey_turned(
                seen, copies, settings, rows_each=self.method.rows_each, show_progress=self.show_progress
            )
        elif settings.augment is not None and not self.golden:
            check_target(seen.given, settings)
            pictures = [seen.sources[position] for position in fitted]
            made = fill_up(pictures, settings.augment - seen.given, settings, kind.window)
            originals, learned = [fitted[original] for original, _ in made], seen
            survey_augmentations(
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
        """The threshold, and the levels of the map, from the pictures held out or else from all."""
        positions = np.flatnonzero(held_out) if held_out.any() else np.arange(len(groups))
        labels: list[Hashable] = [groups[position] for position in positions]
        rate = self.settings.false_alarm_rate
        is_exact = self.settings.calibration == "split"

        def rule(of: Sequence[Hashable]) -> str:
            return resolve_rule(self.settings.threshold_rule, len(set(of)), rate, is_exact=is_exact)

        calibration = calibrate(scores.raw[positions], labels, rate, rule=rule(labels))
        # Where a map becomes remarkable: the level that the strangest patch of a good picture exceeds at that rate.
        mapped = positions[np.isfinite(scores.highest[positions])]
        theirs = [groups[position] for position in mapped]
        remarkable = threshold_of(scores.highest[mapped], theirs, rate, rule=rule(theirs))
        return calibration, {"typical": float(np.median(scores.typical[mapped])), "remarkable": remarkable}

    def promise(self, seen: Survey, calibration: Calibration, held_out: NDArray[np.bool_]) -> Promise:
        """What can be said of the threshold."""
        return Promise(
            asked_rate=calibration.asked_rate,
            promised_rate=calibration.promised_rate,
            is_exact=self.settings.calibration == "split",
            calibration_pictures=len(calibration.scores),
            groups=calibration.groups,
            fitted_pictures=int((~held_out).sum()),
            golden_pictures=self.golden,
            augmentations=len(seen.sources) - seen.given,
            rotations=self.settings.rotations,
            rule=calibration.rule,
            interval=calibration.interval,
            odd=0 if calibration.is_guaranteed else calibration.odd,
            folds=self.method.cross_fit_folds,
        )

    def good_pictures(
        self,
        seen: Survey,
        scores: GoodScores,
        groups: list[int],
        held_out: NDArray[np.bool_],
        calibration: Calibration,
    ) -> tuple[GoodPicture, ...]:
        """What was found of each."""
        calibrates = held_out if held_out.any() else ~held_out
        # Scores are stored as float32, so the lowest of those that stand apart is found exactly.
        least_odd = calibration.scores[-calibration.odd] if calibration.odd else np.float32(np.inf)
        return tuple(
            GoodPicture(
                name=source.name,
                score=float(scores.raw[position]) - calibration.threshold,
                group=groups[position],
                calibrates=bool(calibrates[position]),
                is_odd=bool(calibrates[position] and scores.raw[position] >= least_odd),
            )
            for position, source in enumerate(seen.sources[: seen.given])
        )

    def strangest(
        self, seen: Survey, pictures: Sequence[GoodPicture], scores: GoodScores
    ) -> tuple[StrangePicture, ...]:
        """A few pictures, the strangest first, with where they are strange."""
        order = sorted(range(len(pictures)), key=lambda position: -pictures[position].score)
        return tuple(
            StrangePicture(
                picture=pictures[position],
                source=seen.sources[position],
                patch_scores=scores.patch_scores(position),
            )
            for position in order[:STRANGEST_KEPT]
        )

    def describe(
        self,
        kind: InputKind,
        seen: Survey,
        calibration: Calibration,
        promise: Promise,
        pictures: Sequence[GoodPicture],
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
            "settings": settings.to_json(),
            "input": {
                "dtype": kind.dtype.name,
                "channels": seen.channels,
                "window": [kind.window.black, kind.window.white],
                "input_shape": list(self.method.input_shape),
            },
            **self.method.describe(),
            "good_pictures": {
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
                "odd": [each.name for each in pictures if each.is_odd],
                "decided_by": deciding,
            },
            "promise": promise.to_json(),
            "map_levels": map_levels,
            "notes": list(notes),
            "made_with": {
                "onlygood": __version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
        }

    def verify(
        self,
        file: ModelFile,
        learned: Survey,
        calibration: Calibration,
    ) -> None:
        """Run the file as it will be written on a few pictures, and compare with the calibration's own arithmetic.

        Raises:
            VerificationError: they differ.
        """
        session = open_session(file.content)
        for position in np.unique(np.linspace(0, len(learned.sources) - 1, VERIFIED_PICTURES).astype(int)):
            source = learned.sources[position]
            (score,) = run(session, ["score"], {"image": source.read()[None]})
            expected = self.method.finished_score(int(position))
            found = float(score[0]) + calibration.threshold
            # The file gives raw score - threshold in float32, so the larger of the two sets the rounding.
            scale = max(self.method.least_scale, abs(expected), abs(calibration.threshold))
            if not abs(found - expected) <= VERIFICATION_TOLERANCE * scale:
                raise VerificationError(
                    f"the finished model must give {source.name} the raw score {expected:.6g} that it was calibrated "
                    f"with, got {found:.6g}: nothing was written; if good pictures are all but equal, add some that "
                    "differ, else try another version of onnxruntime and report this"
                )
