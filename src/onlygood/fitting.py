"""Fit: from good pictures to a calibrated model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

import onlygood
from onlygood.backbone import Backbone, Tap, load_backbone
from onlygood.conformal import Calibration, calibrate
from onlygood.detectors.patch import fit_patch_memory, patches_per_picture
from onlygood.errors import FolderError, SettingError, VerificationError
from onlygood.graph.fragments import join
from onlygood.graph.model_file import OUTPUTS, ModelFile, pack
from onlygood.graph.patch_head import PatchMemory, patch_embedding, patch_head
from onlygood.graph.preprocess import preprocess
from onlygood.graph.runtime import open_session, run
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.graph.verdict import full_size_map, verdict
from onlygood.model import Model
from onlygood.near_duplicates import near_duplicate_groups
from onlygood.parallel import map_in_order
from onlygood.progress import track
from onlygood.reading import ReadingLimits
from onlygood.results import Promise
from onlygood.settings import FitSettings, make_settings
from onlygood.sources import GoodPictures, Source, list_sources
from onlygood.splits import hold_out, merge_groups
from onlygood.survey import Embedder, InputKind, Survey, input_kind, survey

# Scores of the file and of the calibration may differ by this share of the raw score: both are the same arithmetic in
# float32, but one session and several threads may add in another order than another session.
VERIFICATION_TOLERANCE = 1e-4
VERIFIED_PICTURES = 3


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
    if len(sources) < 2:
        raise FolderError(
            f"fit needs at least 2 good pictures, one to learn from and one to calibrate, got {len(sources)}"
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
        card.check_input_size(self.input_size)
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
        calibration, map_levels = self.calibrate(seen, embedder, memory, groups, held_out)
        promise = self.promise(calibration, held_out)
        notes = (*seen.notes, *duplicate_notes)
        model = join(
            *embed,
            patch_head(memory, opset=self.opset),
            verdict(calibration, opset=self.opset),
            full_size_map(kind.dtype, opset=self.opset),
            outputs=list(OUTPUTS),
        )
        metadata = self.describe(kind, seen, memory, calibration, promise, map_levels, notes)
        file = pack(model, metadata)
        self.verify(file, seen, embedder, memory, calibration)
        return Model(file=file, promise=promise, calibration=calibration, notes=notes)

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
        if count < 2:
            raise FolderError(
                f"calibration needs good pictures of at least 2 independent things, got {len(groups)} pictures that "
                f"are all of one group or (nearly) the same: add pictures of other parts"
            )
        notes = []
        doubled = len(alike) - len(set(alike))
        if doubled:
            sizes = np.bincount(alike)
            sets = int((sizes > 1).sum())
            notes.append(
                f"{int(sizes[sizes > 1].sum())} of {len(alike)} good pictures are near-duplicates of one another, in "
                f"{sets} sets: each set is kept on one side of every split and counts as one."
            )
        return groups, notes

    def held_out(self, groups: list[int]) -> NDArray[np.bool_]:
        """True for pictures that only calibrate: none with leave-one-out."""
        if self.settings.calibration == "split":
            return hold_out(groups, self.settings.calibration_fraction, seed=self.settings.seed)
        return np.zeros(len(groups), dtype=bool)

    def fit_memory(self, seen: Survey, groups: list[int], held_out: NDArray[np.bool_]) -> PatchMemory:
        """The memory of the patches of all pictures that are not held out."""
        fitted = ~held_out[seen.sample_pictures]
        return fit_patch_memory(
            seen.sample[fitted],
            np.array(groups)[seen.sample_pictures[fitted]],
            bank_size=self.settings.bank_size,
            top_patches=self.top_patches,
            seed=self.settings.seed,
        )

    def calibrate(
        self,
        seen: Survey,
        embedder: Embedder,
        memory: PatchMemory,
        groups: list[int],
        held_out: NDArray[np.bool_],
    ) -> tuple[Calibration, dict[str, float]]:
        """The threshold, from pictures held out or from each picture against the bank without its group.

        Leave-one-out leaves the rows of the picture's own group out of the finished bank. A bank made without that
        group might have kept a row or two more nearby, so the scores are, if anything, a little too high.
        """
        positions = np.flatnonzero(held_out) if held_out.any() else np.arange(len(groups))
        scorer = _Scorer(memory, embedder, opset=self.opset)

        def score(position: int) -> tuple[float, NDArray[np.float32]]:
            excluded = None if held_out.any() else groups[position]
            return scorer(seen, position, excluded)

        scores, highest, typical = [], [], []
        results = map_in_order(score, [int(position) for position in positions], threads=self.settings.threads)
        for raw, patches in track(results, total=len(positions), description="calibrating", show=self.show_progress):
            scores.append(raw)
            highest.append(float(patches.max()))
            typical.append(float(np.median(patches)))
        labels: list[Hashable] = [groups[position] for position in positions]
        rate = self.settings.false_alarm_rate
        calibration = calibrate(np.array(scores, dtype=np.float32), labels, rate)
        # Where a map becomes remarkable: the level that the strangest patch of a good picture exceeds at that rate.
        remarkable = calibrate(np.array(highest, dtype=np.float32), labels, rate).threshold
        return calibration, {"typical": float(np.median(typical)), "remarkable": remarkable}

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
                "memory_bank": list(memory.memory_bank.shape),
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
                "onlygood": onlygood.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "numpy": np.__version__,
            },
        }

    def verify(
        self, file: ModelFile, seen: Survey, embedder: Embedder, memory: PatchMemory, calibration: Calibration
    ) -> None:
        """Run the file as it will be written on a few pictures, and compare with the calibration's own arithmetic.

        Raises:
            VerificationError: they differ.
        """
        session = open_session(file.content)
        scorer = _Scorer(memory, embedder, opset=self.opset)
        for position in np.unique(np.linspace(0, len(seen.sources) - 1, VERIFIED_PICTURES).astype(int)):
            source = seen.sources[position]
            (score,) = run(session, ["score"], {"image": source.read()[None]})
            expected, _ = scorer(seen, int(position), None)
            found = float(score[0]) + calibration.threshold
            if not abs(found - expected) <= VERIFICATION_TOLERANCE * max(1.0, abs(expected)):
                raise VerificationError(
                    f"the finished model must give {source.name} the raw score {expected:.6g} that it was calibrated "
                    f"with, got {found:.6g}: nothing was written; try another version of onnxruntime and report this"
                )


class _Scorer:
    """Raw and patch scores of good pictures by the head that goes into the file, with rows left out. Thread-safe."""

    def __init__(self, memory: PatchMemory, embedder: Embedder, *, opset: int) -> None:
        self.memory = memory
        self.embedder = embedder
        head = join(patch_head(memory, excludable=True, opset=opset), outputs=["raw_score", "patch_scores"])
        self.session = open_session(head.SerializeToString(), threads=1)
        self.row_norms = memory.row_norms

    def __call__(self, seen: Survey, position: int, excluded: int | None) -> tuple[float, NDArray[np.float32]]:
        embedding = seen.embeddings[position]
        if embedding is None:
            embedding = self.embedder(seen.sources[position].read())
        norms = self.row_norms
        if excluded is not None:
            norms = np.where(self.memory.owners == excluded, np.float32(np.inf), norms)
            if np.isinf(norms).all():
                raise SettingError(
                    f"leave-one-out needs a memory bank with rows of at least 2 groups of pictures, got "
                    f"{len(norms)} rows, all from the group of {seen.sources[position].name}: raise bank_size or add "
                    f"pictures of other parts"
                )
        raw, patches = run(
            self.session, ["raw_score", "patch_scores"], {"embedding": embedding[None], "row_norms": norms}
        )
        return float(raw[0]), patches[0]
