"""Methods on one vector an image, the backbone's pooled output: neighbours, outlier factor, Mahalanobis distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.datasets.splits import folds_of_groups
from onlygood.detectors.base import GoodScores, Method
from onlygood.detectors.on_backbone import sized_backbone
from onlygood.detectors.pooled_heads import PooledHead, PooledHeads, neighbours_of
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.graph.pooled import to_nchw, to_nhwc
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import in_trunk, join
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.settings import FitSettings

# Good images whose maps are looked at to learn which levels are ordinary; their feature maps are large.
MAPPED = 200
# What the backbone's last maps are called where they come from `embedding` again.
MAPS = "last_maps"


class PooledMethod(Method):
    """`--method knn`, `lof` and `mahalanobis`. What they learn is in
    `onlygood.detectors.pooled_heads`, what they compute in `onlygood.graph.pooled` and
    `onlygood.graph.neighbours`.
    """

    def __init__(self, settings: FitSettings, *, show_progress: bool) -> None:
        self.settings = settings
        self.show_progress = show_progress
        self.sized = sized_backbone(settings)
        self.backbone, self.input_size = self.sized.backbone, self.sized.input_shape[0]
        self.tap = self.backbone.card.last_tap(settings.taps)
        self.trunk = cut_trunk(self.backbone, [self.tap])
        self.opset = opset_of(self.trunk)

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.trunk,
            to_nhwc(in_trunk(self.tap.name), opset=self.opset),
        ]

    def learn(self, seen: Features, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        self.seen, self.held_out = seen, held_out
        labels, learned = np.array(groups), ~held_out
        # Images that are scored by a head that was learned without their groups.
        self.folds = [
            np.flatnonzero(np.isin(labels, part) & learned)
            for part in folds_of_groups(labels[learned], seed=self.settings.seed)
        ]
        self.heads = PooledHeads(self.settings.method, self.settings, seen.image_vectors, maps=MAPS, opset=self.opset)
        fewest = min(self.heads.templates(self._learned_without(fold)) for fold in self.folds)
        self.neighbours = neighbours_of(self.settings.method, self.settings, fewest, when=" left while calibrating")
        self.detector = self._without(np.empty(0, dtype=np.int64))
        # Distances of unit vectors may all be far below 1.
        self.least_scale = float(np.median(self.detector.scores(seen.image_vectors[learned][:MAPPED]))) or 1.0

    def good_scores(self) -> GoodScores:  # noqa: D102
        seen, count = self.seen, self.seen.given
        raw = np.empty(count, dtype=np.float32)
        typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
        calibrating = np.flatnonzero(self.held_out) if self.held_out.any() else np.arange(count)
        mapped = set(calibrating[evenly_spaced(len(calibrating), MAPPED)].tolist())
        self.scored_by: dict[int, _Mapper] = {}
        total = len(self.folds) + int(self.held_out.any())
        folds = track(self._unseeing(), total=total, description="calibrating", show=self.show_progress)
        for fold, head in folds:
            members = fold[fold < count]
            raw[members] = head.scores(seen.scored.image_vectors[members])
            mapper = _Mapper(seen.scored, head, opset=self.opset)
            self.scored_by.update(dict.fromkeys(members.tolist(), mapper))
            shown = [position for position in members.tolist() if position in mapped]
            maps = map_in_order(mapper, shown, threads=self.settings.threads)
            for position, patches in zip(shown, maps, strict=True):
                typical[position], highest[position] = np.median(patches), patches.max()
        return GoodScores(
            raw=raw,
            typical=typical,
            highest=highest,
            patch_scores=lambda position: self.scored_by[position](position),
        )

    def finished_score(self, position: int) -> float:  # noqa: D102
        return float(self.detector.scores(self.seen.image_vectors[[position]])[0])

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [to_nchw(MAPS, opset=self.opset), *self.detector.pieces]

    def describe(self) -> dict[str, Any]:  # noqa: D102
        described: dict[str, Any] = {"tap": self.tap.name, "metric": self.settings.metric}
        if self.settings.method != "mahalanobis":
            described |= {"templates": self.detector.templates, "num_neighbors": self.neighbours}
        return {"backbone": self.backbone.card.to_dict(), "pooled": described}

    def _unseeing(self) -> Iterator[tuple[NDArray[np.int64], PooledHead]]:
        """Every image once, with a head that has not seen its group."""
        if self.held_out.any():
            yield np.flatnonzero(self.held_out), self.detector
        for members in self.folds:
            yield members, self._without(members)

    def _without(self, members: NDArray[np.int64]) -> PooledHead:
        """The head learned from all images but these, and those held out."""
        return self.heads.make(self._learned_without(members), self.neighbours)

    def _learned_without(self, members: NDArray[np.int64]) -> NDArray[np.bool_]:
        learned = ~self.held_out
        learned[members] = False
        return learned


class _Mapper:
    """Patch scores of good images by a head. Thread-safe."""

    def __init__(self, seen: Features, head: PooledHead, *, opset: int) -> None:
        self.seen = seen
        pieces = join(to_nchw(MAPS, opset=opset), *head.pieces, outputs=["patch_scores"])
        self.session = open_session(pieces.SerializeToString(), threads=1)

    def __call__(self, position: int) -> NDArray[np.float32]:
        """Patch scores, float32 [h, w], of the image at a position."""
        (patches,) = run(self.session, ["patch_scores"], {"embedding": self.seen.embedding(position)[None]})
        return np.asarray(patches[0])
