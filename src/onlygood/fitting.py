"""Fit: from good pictures to a calibrated model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from onlygood.backbone import Backbone, Tap, load_backbone
from onlygood.conformal import Calibration, calibrate
from onlygood.detectors.patch import balance, fit_patch_memory, memories_without, patches_per_picture
from onlygood.errors import FolderError, SettingError, VerificationError
from onlygood.graph.fragments import join
from onlygood.graph.model_file import OUTPUTS, ModelFile, pack
from onlygood.graph.patch_head import Balance, PatchMemory, combine, patch_embedding, patch_head
from onlygood.graph.preprocess import preprocess
from onlygood.graph.runtime import open_session, run
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.graph.verdict import full_size_map, verdict
from onlygood.model import GoodPicture, Model, StrangePicture
from onlygood.near_duplicates import near_duplicate_groups
from onlygood.parallel import map_in_order
from onlygood.progress import track
from onlygood.reading import ReadingLimits
from onlygood.results import Promise
from onlygood.settings import FitSettings, make_settings
from onlygood.sources import GoodPictures, Source, list_sources
from onlygood.splits import hold_out, merge_groups
from onlygood.survey import Embedder, InputKind, Survey, input_kind, survey
from onlygood.version import __version__

# Scores of the file and of the calibration may differ by this share of the raw score or the threshold: both are the
# same arithmetic in float32, but one session and several threads may add in another order than another session.
VERIFICATION_TOLERANCE = 1e-4
VERIFIED_PICTURES = 3
# Leave-one-out learns without each group in turn, and from a single thing no variation can be learned.
LEAST_GROUPS = 3
# How many of the strangest good pictures are kept to be looked at.
STRANGEST_KEPT = 24


def fit(
    pictures: GoodPictures, *, groups: Sequence[str] | None = None, progress: bool = False, **settings: Any
) -> Model:
    """A detector of everything that does not look like these pictures, calibrated and ready to save.

    Args:
        pictures: a folder of good pictures, or a sequence of paths, bytes, PIL images or arrays uint8 or uint16
            [H, W], [H, W, C].
        groups: for a sequence, one label a picture: pictures with equal labels stay on one side of every split. For a
            folder, use the setting `group_by`.
        progress: draw progress bars if stderr is a terminal.
        **settings: fields of `onlygood.FitSettings`, the same as the options of `onlygood fit`.

    Raises:
        SettingError: a setting that does not exist or cannot be used.
        FolderError: pictures that are missing, unreadable, too few or too alike.
        BackboneError: a backbone that cannot be used.
        VerificationError: the finished file gives other scores than those it was calibrated with.
    """
    chosen = make_settings(**settings)
    limits = ReadingLimits(max_pixels=chosen.max_pixels, max_bytes=chosen.max_bytes)
    sources = list_sources(pictures, group_by=chosen.group_by, groups=groups, limits=limits)
    if len(sources) < LEAST_GROUPS:
        raise FolderError(
            f"fit needs at least {LEAST_GROUPS} good pictures, so that what good pictures have in common can be told "
            f"without each of them, got {len(sources)}: add pictures"
        )
    backbone = load_backbone(chosen.backbone)
    return _Fit(sources, backbone, chosen, show_progress=progress).run()


class _Fit:
    """One fit: its inputs, and the steps in the order in which they are taken."""

    def __init__(
        self, sources: Sequence[Source], backbone: Backbone, settings: FitSettings, *, show_progress: bool
    ) -> None:
        self.sources = sources
        self.backbone = backbone
        self.settings = settings
        self.show_progress = show_progress
        card = backbone.card
        self.taps: tuple[Tap, ...] = card.choose_taps(settings.taps)
        self.input_size = settings.input_size or card.input_size
        backbone.check_input_size(self.input_size)
        # The grid is that of the coarsest tap: finer ones are pooled to it.
        self.grid = math.ceil(self.input_size / max(tap.reduction for tap in self.taps))
        self.trunk = cut_trunk(backbone, self.taps)
        self.opset = opset_of(self.trunk)
        self.top_patches = max(1, round(settings.top_fraction * self.grid**2))

    def run(self) -> Model:
        kind = input_kind(self.sources, self.settings, show_progress=self.show_progress)
        embed = self.embedding_pieces(kind)
        embedder = Embedder(join(*embed, outputs=["embedding"]))
        rows_each = patches_per_picture(len(self.sources), self.grid**2)
        seen = survey(
            self.sources, embedder, kind, self.settings, rows_each=rows_each, show_progress=self.show_progress
        )
        groups, duplicate_notes = self.independent_groups(seen)
        held_out = self.held_out(groups)
        memory = self.fit_memory(seen, groups, held_out)
        scorer = _Scorer(memory, embedder, opset=self.opset)
        unseeing = self.unseeing(seen, scorer, groups, held_out)
        parts = self.score_all(unseeing, len(groups))
        combined = combine(self.balance(parts, held_out), opset=self.opset)
        calibration, map_levels = self.calibrate(parts, combined, groups, held_out)
        promise = self.promise(calibration, held_out)
        notes = (*seen.notes, *duplicate_notes)
        model = join(
            *embed,
            patch_head(memory, opset=self.opset),
            combined,
            verdict(calibration, opset=self.opset),
            full_size_map(kind.dtype, opset=self.opset),
            outputs=list(OUTPUTS),
        )
        metadata = self.describe(kind, seen, memory, calibration, promise, map_levels, notes)
        file = pack(model, metadata)
        self.verify(file, seen, scorer, combined, calibration)
        pictures = self.good_pictures(seen, _combined_scores(combined, parts), groups, held_out, calibration)
        return Model(
            file=file,
            promise=promise,
            calibration=calibration,
            notes=notes,
            good_pictures=pictures,
            strangest=self.strangest(seen, pictures, unseeing),
        )

    def embedding_pieces(self, kind: InputKind) -> list[onnx.ModelProto]:
        """The pieces of graph from `image` to `embedding`."""
        return [
            preprocess(
                self.backbone.card,
                input_size=self.input_size,
                dtype=kind.dtype,
                window=kind.window,
                opset=self.opset,
            ),
            self.trunk,
            patch_embedding(self.taps, input_size=self.input_size, grid=self.grid, opset=self.opset),
        ]

    def independent_groups(self, seen: Survey) -> tuple[list[int], list[str]]:
        """A label a picture; pictures with different labels may be treated as independent. And notes about it."""
        descriptors = seen.descriptors if self.settings.near_duplicates == "group" else None
        alike = near_duplicate_groups(descriptors, seen.digests)
        groups = merge_groups([source.label for source in seen.sources], alike)
        count = len(set(groups))
        if count < LEAST_GROUPS:
            raise FolderError(
                f"calibration needs good pictures of at least {LEAST_GROUPS} independent things, got {len(groups)} "
                f"pictures in {_number(count, 'group')} of one session or (nearly) the same: add other parts"
            )
        notes = []
        doubled = len(alike) - len(set(alike))
        if doubled:
            sizes = np.bincount(alike)
            sets = int((sizes > 1).sum())
            notes.append(
                f"{int(sizes[sizes > 1].sum())} of {len(alike)} good pictures are near-duplicates of one another, in "
                f"{_number(sets, 'set')}: each set is kept on one side of every split and counts as one."
            )
        return groups, notes

    def held_out(self, groups: list[int]) -> NDArray[np.bool_]:
        """True for pictures that only calibrate: none with leave-one-out."""
        if self.settings.calibration == "split":
            return hold_out(groups, self.settings.calibration_fraction, seed=self.settings.seed)
        return np.zeros(len(groups), dtype=bool)

    def fit_memory(self, seen: Survey, groups: list[int], held_out: NDArray[np.bool_]) -> PatchMemory:
        """The memory of all pictures that are not held out."""
        owners = np.array(groups)
        left = len(set(owners[~held_out]))
        if left < LEAST_GROUPS:
            raise FolderError(
                f"fit needs good pictures of at least {LEAST_GROUPS} independent things beside those held out, got "
                f"{left}: add pictures of other parts, hold out fewer, or calibrate with leave-one-out"
            )
        return fit_patch_memory(
            *_rows_to_learn_from(seen, owners, held_out),
            bank_size=self.settings.bank_size,
            top_patches=self.top_patches,
            seed=self.settings.seed,
        )

    def unseeing(
        self, seen: Survey, scorer: _Scorer, groups: list[int], held_out: NDArray[np.bool_]
    ) -> Callable[[int], _Parts]:
        """What scores the good picture of a position: one held out as it is, another by a memory without its group.

        Leave-one-out takes the rows of the picture's own group out of the finished memory, and whitens by the others.
        A memory made without that group might have kept a row or two more nearby, and its whitening would have seen
        more pictures, so the scores are, if anything, a little too high.
        """
        rows = _rows_to_learn_from(seen, np.array(groups), held_out)
        scorers: dict[int, _Scorer] = {}
        for part, memory in memories_without(scorer.memory, *rows, seed=self.settings.seed):
            unseeing = _Scorer(memory, scorer.embedder, opset=self.opset)
            scorers.update(dict.fromkeys(part, unseeing))

        def score(position: int) -> _Parts:
            if held_out[position]:
                return scorer(seen, position, without=None)
            return scorers[groups[position]](seen, position, without=groups[position])

        return score

    def score_all(self, score: Callable[[int], _Parts], count: int) -> list[_Parts]:
        """The parts of every good picture's score, without the patches: they would add up."""
        results = map_in_order(
            lambda position: replace(score(position), patch_scores=None), range(count), threads=self.settings.threads
        )
        return list(track(results, total=count, description="calibrating", show=self.show_progress))

    def balance(self, parts: list[_Parts], held_out: NDArray[np.bool_]) -> Balance:
        """How local and overall scores are added: by pictures that were fitted, so that those held out stay unseen."""
        fitted = [part for part, held in zip(parts, held_out, strict=True) if not held]
        return balance(
            np.array([part.local for part in fitted]),
            np.array([part.overall for part in fitted]),
            self.settings.overall_weight,
        )

    def calibrate(
        self, parts: list[_Parts], combined: onnx.ModelProto, groups: list[int], held_out: NDArray[np.bool_]
    ) -> tuple[Calibration, dict[str, float]]:
        """The threshold, and the levels of the map, from the pictures held out or else from all."""
        positions = np.flatnonzero(held_out) if held_out.any() else np.arange(len(groups))
        chosen = [parts[position] for position in positions]
        labels: list[Hashable] = [groups[position] for position in positions]
        rate = self.settings.false_alarm_rate
        calibration = calibrate(_combined_scores(combined, chosen), labels, rate)
        # Where a map becomes remarkable: the level that the strangest patch of a good picture exceeds at that rate.
        highest = np.array([part.highest for part in chosen], dtype=np.float32)
        remarkable = calibrate(highest, labels, rate).threshold
        typical = float(np.median([part.typical for part in chosen]))
        return calibration, {"typical": typical, "remarkable": remarkable}

    def promise(self, calibration: Calibration, held_out: NDArray[np.bool_]) -> Promise:
        """What can be said of the threshold."""
        return Promise(
            asked_rate=calibration.asked_rate,
            promised_rate=calibration.promised_rate,
            is_exact=self.settings.calibration == "split",
            calibration_pictures=len(calibration.scores),
            groups=calibration.groups,
            fitted_pictures=int((~held_out).sum()),
        )

    def good_pictures(
        self,
        seen: Survey,
        raw_scores: NDArray[np.float32],
        groups: list[int],
        held_out: NDArray[np.bool_],
        calibration: Calibration,
    ) -> tuple[GoodPicture, ...]:
        """What was found of each."""
        calibrates = held_out if held_out.any() else ~held_out
        return tuple(
            GoodPicture(
                name=source.name,
                score=float(raw_scores[position]) - calibration.threshold,
                group=groups[position],
                calibrates=bool(calibrates[position]),
            )
            for position, source in enumerate(seen.sources)
        )

    def strangest(
        self, seen: Survey, pictures: Sequence[GoodPicture], unseeing: Callable[[int], _Parts]
    ) -> tuple[StrangePicture, ...]:
        """A few pictures, the strangest first, with where they are strange."""
        order = sorted(range(len(pictures)), key=lambda position: -pictures[position].score)
        found = []
        for position in order[:STRANGEST_KEPT]:
            patch_scores = unseeing(position).patch_scores
            assert patch_scores is not None  # a scorer gives them
            found.append(
                StrangePicture(picture=pictures[position], source=seen.sources[position], patch_scores=patch_scores)
            )
        return tuple(found)

    def describe(
        self,
        kind: InputKind,
        seen: Survey,
        memory: PatchMemory,
        calibration: Calibration,
        promise: Promise,
        map_levels: dict[str, float],
        notes: Sequence[str],
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
                "input_size": self.input_size,
            },
            "backbone": self.backbone.card.to_json(),
            "patch": {
                "taps": [tap.name for tap in self.taps],
                "grid": self.grid,
                "top_patches": self.top_patches,
                "memory_bank": list(memory.local.memory_bank.shape),
                "overall_memory_bank": list(memory.overall.memory_bank.shape),
            },
            "good_pictures": {
                "count": len(seen.sources),
                "unreadable": len(seen.unreadable),
                "heights": [min(heights), max(heights)],
                "widths": [min(widths), max(widths)],
                "sha256": hashlib.sha256("\n".join(sorted(seen.digests)).encode()).hexdigest(),
            },
            "calibration": {"method": settings.calibration, "threshold": calibration.threshold},
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
        seen: Survey,
        scorer: _Scorer,
        combined: onnx.ModelProto,
        calibration: Calibration,
    ) -> None:
        """Run the file as it will be written on a few pictures, and compare with the calibration's own arithmetic.

        Raises:
            VerificationError: they differ.
        """
        session = open_session(file.content)
        for position in np.unique(np.linspace(0, len(seen.sources) - 1, VERIFIED_PICTURES).astype(int)):
            source = seen.sources[position]
            (score,) = run(session, ["score"], {"image": source.read()[None]})
            (expected,) = _combined_scores(combined, [scorer(seen, int(position), without=None)])
            found = float(score[0]) + calibration.threshold
            # The file gives raw score - threshold in float32, so the larger of the two sets the rounding.
            scale = max(1.0, abs(expected), abs(calibration.threshold))
            if not abs(found - expected) <= VERIFICATION_TOLERANCE * scale:
                raise VerificationError(
                    f"the finished model must give {source.name} the raw score {expected:.6g} that it was calibrated "
                    f"with, got {found:.6g}: nothing was written; try another version of onnxruntime and report this"
                )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _rows_to_learn_from(
    seen: Survey, owners: NDArray[np.int64], held_out: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Patches and whole pictures that are not held out, each with the groups that they belong to."""
    fitted = ~held_out[seen.sample_pictures]
    return seen.sample[fitted], owners[seen.sample_pictures[fitted]], seen.wholes[~held_out], owners[~held_out]


@dataclass(frozen=True)
class _Parts:
    """What a picture's score is made of, the median and the highest of its patch scores, and these themselves.

    Attributes:
        patch_scores: float32 [h, w]; None where they were let go.
    """

    local: float
    overall: float
    typical: float
    highest: float
    patch_scores: NDArray[np.float32] | None = field(repr=False)


class _Scorer:
    """Scores of good pictures by the head that goes into the file, with rows left out. Thread-safe."""

    OUTPUTS = ("local_score", "overall_score", "patch_scores")

    def __init__(self, memory: PatchMemory, embedder: Embedder, *, opset: int) -> None:
        self.memory = memory
        self.embedder = embedder
        head = join(patch_head(memory, excludable=True, opset=opset), outputs=list(self.OUTPUTS))
        self.session = open_session(head.SerializeToString(), threads=1)

    def __call__(self, seen: Survey, position: int, *, without: int | None) -> _Parts:
        embedding = seen.embeddings[position]
        if embedding is None:
            embedding = self.embedder(seen.sources[position].read())
        local_norms = self.memory.local.row_norms(without=without)
        overall_norms = self.memory.overall.row_norms(without=without)
        if np.isinf(local_norms).all() or np.isinf(overall_norms).all():
            raise SettingError(
                f"leave-one-out needs a memory with rows of at least 2 groups of pictures, got {len(local_norms)} "
                f"rows, all from the group of {seen.sources[position].name}: raise bank_size or add other pictures"
            )
        feeds = {"embedding": embedding[None], "local_norms": local_norms, "overall_norms": overall_norms}
        local, overall, patches = run(self.session, self.OUTPUTS, feeds)
        return _Parts(float(local[0]), float(overall[0]), float(np.median(patches)), float(patches.max()), patches[0])


def _combined_scores(combined: onnx.ModelProto, parts: Sequence[_Parts]) -> NDArray[np.float32]:
    """Raw scores, float32 [n], by the piece of graph that goes into the file."""
    session = open_session(join(combined, outputs=["raw_score"]).SerializeToString(), threads=1)
    feeds = {
        "local_score": np.array([part.local for part in parts], dtype=np.float32),
        "overall_score": np.array([part.overall for part in parts], dtype=np.float32),
    }
    raw: NDArray[np.float32] = run(session, ["raw_score"], feeds)[0]
    return raw
