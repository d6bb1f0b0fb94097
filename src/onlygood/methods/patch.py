"""Patch memory as a method of `fit`: from embeddings to memories, scores by leave-one-out, and a head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbone import Tap
from onlygood.detectors.patch import balance, fit_patch_memory, memories_without, patches_per_picture
from onlygood.errors import SettingError
from onlygood.graph.fragments import join
from onlygood.graph.patch_head import PatchMemory, combine, patch_embedding, patch_head
from onlygood.graph.runtime import open_session, run
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.methods.method import GoodScores, Method
from onlygood.methods.on_backbone import sized_backbone
from onlygood.parallel import map_in_order
from onlygood.progress import track
from onlygood.settings import FitSettings
from onlygood.survey import Embedder, InputKind, Survey


class PatchMethod(Method):
    """`--method patch`. What it computes is in `onlygood.graph.patch_head`."""

    def __init__(self, settings: FitSettings, pictures: int, *, show_progress: bool) -> None:
        self.settings = settings
        self.show_progress = show_progress
        self.sized = sized_backbone(settings)
        self.backbone, self.input_size = self.sized.backbone, self.sized.input_size
        card = self.backbone.card
        self.taps: tuple[Tap, ...] = card.choose_taps(settings.taps)
        # The grid is that of the coarsest tap: finer ones are pooled to it.
        self.grid = math.ceil(self.input_size / max(tap.reduction for tap in self.taps))
        self.trunk = cut_trunk(self.backbone, self.taps)
        self.opset = opset_of(self.trunk)
        self.top_patches = max(1, round(settings.top_fraction * self.grid**2))
        self.rows_each = patches_per_picture(pictures, self.grid**2)

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.trunk,
            patch_embedding(self.taps, input_size=self.input_size, grid=self.grid, opset=self.opset),
        ]

    def learn(self, seen: Survey, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        owners, fitted = np.array(groups), ~held_out[seen.sample_pictures]
        self.seen, self.groups, self.held_out = seen, groups, held_out
        # Patches and whole pictures that are not held out, each with the groups that they belong to.
        self.rows = (
            seen.sample[fitted],
            owners[seen.sample_pictures[fitted]],
            seen.wholes[~held_out],
            owners[~held_out],
        )
        assert self.settings.bank_size is not None  # settings fill it in
        memory = fit_patch_memory(
            *self.rows, bank_size=self.settings.bank_size, top_patches=self.top_patches, seed=self.settings.seed
        )
        self.scorer = _Scorer(memory, seen.embedder, opset=self.opset)

    def good_scores(self) -> GoodScores:  # noqa: D102
        score = self._unseeing()
        found = map_in_order(
            lambda position: replace(score(position), patch_scores=None),
            range(self.seen.given),
            threads=self.settings.threads,
        )
        parts = list(
            track(found, total=self.seen.given, description="calibrating", show=self.show_progress),
        )
        # How local and overall scores are added: by pictures that were fitted, so that those held out stay unseen.
        fitted = [part for part, held in zip(parts, self.held_out[: len(parts)], strict=True) if not held]
        self.combined = combine(
            balance(
                np.array([part.local for part in fitted]),
                np.array([part.overall for part in fitted]),
                self.settings.overall_weight,
            ),
            opset=self.opset,
        )
        return GoodScores(
            raw=self._combine(parts),
            typical=np.array([part.typical for part in parts], dtype=np.float64),
            highest=np.array([part.highest for part in parts], dtype=np.float32),
            patch_scores=lambda position: _whole(score(position)),
        )

    def finished_score(self, position: int) -> float:  # noqa: D102
        return float(self._combine([self.scorer(self.seen, position, without=None)])[0])

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [patch_head(self.scorer.memory, opset=self.opset), self.combined]

    def describe(self) -> dict[str, Any]:  # noqa: D102
        memory = self.scorer.memory
        return {
            "backbone": self.backbone.card.to_json(),
            "patch": {
                "taps": [tap.name for tap in self.taps],
                "grid": self.grid,
                "top_patches": self.top_patches,
                "memory_bank": list(memory.local.memory_bank.shape),
                "overall_memory_bank": list(memory.overall.memory_bank.shape),
            },
        }

    def _unseeing(self) -> Callable[[int], _Parts]:
        """What scores the good picture of a position: one held out as it is, another by a memory without its group.

        Leave-one-out takes the rows of the picture's own group out of the finished memory, and whitens by the others.
        A memory made without that group might have kept a row or two more nearby, and its whitening would have seen
        more pictures, so the scores are, if anything, a little too high.
        """
        scorers: dict[int, _Scorer] = {}
        for part, memory in memories_without(self.scorer.memory, *self.rows, seed=self.settings.seed):
            unseeing = _Scorer(memory, self.scorer.embedder, opset=self.opset)
            scorers.update(dict.fromkeys(part, unseeing))

        def score(position: int) -> _Parts:
            if self.held_out[position]:
                return self.scorer(self.seen, position, without=None)
            return scorers[self.groups[position]](self.seen, position, without=self.groups[position])

        return score

    def _combine(self, parts: Sequence[_Parts]) -> NDArray[np.float32]:
        """Raw scores, float32 [n], by the piece of graph that goes into the file."""
        session = open_session(join(self.combined, outputs=["raw_score"]).SerializeToString(), threads=1)
        feeds = {
            "local_score": np.array([part.local for part in parts], dtype=np.float32),
            "overall_score": np.array([part.overall for part in parts], dtype=np.float32),
        }
        raw: NDArray[np.float32] = run(session, ["raw_score"], feeds)[0]
        return raw


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
        local_norms = self.memory.local.row_norms(without=without)
        overall_norms = self.memory.overall.row_norms(without=without)
        if np.isinf(local_norms).all() or np.isinf(overall_norms).all():
            raise SettingError(
                f"leave-one-out needs a memory with rows of at least 2 groups of pictures, got {len(local_norms)} "
                f"rows, all from the group of {seen.sources[position].name}: raise bank_size or add other pictures"
            )
        feeds = {
            "embedding": seen.embedding(position)[None],
            "local_norms": local_norms,
            "overall_norms": overall_norms,
        }
        local, overall, patches = run(self.session, self.OUTPUTS, feeds)
        return _Parts(float(local[0]), float(overall[0]), float(np.median(patches)), float(patches.max()), patches[0])


def _whole(parts: _Parts) -> NDArray[np.float32]:
    assert parts.patch_scores is not None  # a scorer gives them
    return parts.patch_scores
