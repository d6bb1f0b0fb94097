"""Methods on one vector a picture, the backbone's pooled output: neighbours, outlier factor, Mahalanobis distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.coreset import greedy_k_center
from onlygood.detectors.neighbours import outlier_factors
from onlygood.detectors.patch import FOLDS, OVERALL_SHRINKAGE, learn_whitening
from onlygood.errors import SettingError
from onlygood.graph.fragments import in_trunk, join
from onlygood.graph.neighbours_head import local_outlier_factor, nearest_neighbours
from onlygood.graph.patch_head import SHORTEST
from onlygood.graph.pooled_head import (
    affine,
    gradient_map,
    places_first,
    places_last,
    pooled_vector,
    squared_length,
    unit_vector,
)
from onlygood.graph.runtime import open_session, run
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.methods.method import GoodScores, Method
from onlygood.methods.on_backbone import sized_backbone
from onlygood.progress import track
from onlygood.settings import FitSettings
from onlygood.survey import InputKind, Survey

# Good pictures whose maps are looked at to learn which levels are ordinary; their feature maps are large.
MAPPED = 200
# How many templates are looked at unless a number is given; fewer where there are no more.
NEIGHBOURS = {"knn": 1, "lof": 5}
# What the backbone's last maps are called where they come from `embedding` again.
MAPS = "last_maps"


class PooledMethod(Method):
    """`--method knn`, `lof` and `mahalanobis`. What they compute is in `onlygood.graph.pooled_head` and
    `onlygood.graph.neighbours_head`.
    """

    rows_each = 1

    def __init__(self, settings: FitSettings, *, show_progress: bool) -> None:
        self.settings = settings
        self.show_progress = show_progress
        self.sized = sized_backbone(settings)
        self.backbone, self.input_size = self.sized.backbone, self.sized.input_size
        self.tap = self.backbone.card.last_tap(settings.taps)
        self.trunk = cut_trunk(self.backbone, [self.tap])
        self.opset = opset_of(self.trunk)

    def embedding_pieces(self, kind: InputKind) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return [
            self.sized.preprocess(kind, opset=self.opset),
            self.trunk,
            places_last(in_trunk(self.tap.name), opset=self.opset),
        ]

    def learn(self, seen: Survey, groups: Sequence[int], held_out: NDArray[np.bool_]) -> None:  # noqa: D102
        self.seen, self.groups, self.held_out = seen, np.array(groups), held_out
        self.is_unit, self.vectors = self.settings.metric != "euclidean", seen.wholes
        if self.is_unit:
            self.vectors = seen.wholes / np.maximum(np.linalg.norm(seen.wholes, axis=1, keepdims=True), SHORTEST)
        fitted = np.unique(self.groups[~held_out])
        shuffled = np.random.default_rng(self.settings.seed).permutation(fitted)
        parts = np.array_split(shuffled, min(FOLDS, len(fitted)))
        # Pictures that are scored by a detector that was learned without their groups.
        self.folds = [np.flatnonzero(np.isin(self.groups, part) & ~held_out) for part in parts]
        # Chosen once: without some of the pictures, others would have been chosen in their places, so scores of those
        # left out are, if anything, a little too high.
        self.kept: NDArray[np.bool_] | None = None
        self.detector = self._fit(~held_out)
        # Distances of unit vectors may all be far below 1.
        self.least_scale = float(np.median(self.detector.scores(seen.wholes[~held_out][:MAPPED]))) or 1.0

    def good_scores(self) -> GoodScores:  # noqa: D102
        seen, count = self.seen, self.seen.given
        raw = np.empty(count, dtype=np.float32)
        typical, highest = np.full(count, np.nan), np.full(count, np.nan, dtype=np.float32)
        mapped = np.zeros(count, dtype=bool)
        calibrating = np.flatnonzero(self.held_out) if self.held_out.any() else np.arange(count)
        mapped[calibrating[np.unique(np.linspace(0, len(calibrating) - 1, MAPPED).astype(int))]] = True
        self.scored_by: dict[int, _Detector] = {}
        total = len(self.folds) + int(self.held_out.any())
        folds = track(self._unseeing(), total=total, description="calibrating", show=self.show_progress)
        for fold, detector in folds:
            members = fold[fold < count]
            raw[members] = detector.scores(seen.wholes[members])
            for position in members.tolist():
                self.scored_by[position] = detector
                if mapped[position]:
                    patches = detector.patch_scores(seen.embedding(position))
                    typical[position], highest[position] = np.median(patches), patches.max()
        return GoodScores(
            raw=raw,
            typical=typical,
            highest=highest,
            patch_scores=lambda position: self.scored_by[position].patch_scores(seen.embedding(position)),
        )

    def finished_score(self, position: int) -> float:  # noqa: D102
        return float(self.detector.scores(self.seen.wholes[[position]])[0])

    def head(self) -> Sequence[onnx.ModelProto]:  # noqa: D102
        return self.detector.pieces

    def describe(self) -> dict[str, Any]:  # noqa: D102
        described: dict[str, Any] = {"tap": self.tap.name, "metric": self.settings.metric}
        if self.settings.method != "mahalanobis":
            described |= {"templates": self.detector.templates, "num_neighbors": self.neighbours}
        return {"backbone": self.backbone.card.to_json(), "pooled": described}

    def _unseeing(self) -> Iterator[tuple[NDArray[np.int64], _Detector]]:
        """Every picture once, with a detector that has not seen its group."""
        if self.held_out.any():
            yield np.flatnonzero(self.held_out), self.detector
        for members in self.folds:
            chosen = ~self.held_out
            chosen[members] = False
            yield members, self._fit(chosen)

    def _neighbours(self, fewest: int) -> int:
        """How many templates are looked at, where a detector may have as few as these."""
        settings = self.settings
        # A template of the outlier factor is no neighbour of itself.
        most = fewest - (settings.method == "lof")
        if settings.num_neighbors is None and most >= 1:
            return min(NEIGHBOURS[settings.method], most)
        if settings.num_neighbors is None or settings.num_neighbors > most:
            got = settings.num_neighbors or "none"
            raise SettingError(
                f"num_neighbors must be at most {max(most, 0)} for method {settings.method} with {fewest} templates "
                f"left while calibrating, got {got}: add good pictures, raise bank_size, or lower num_neighbors"
            )
        return settings.num_neighbors

    def _fit(self, chosen: NDArray[np.bool_]) -> _Detector:
        """A detector from the pictures chosen, bool [n]. The first, from all there are to learn, chooses templates."""
        settings, opset = self.settings, self.opset
        is_unit, vectors = self.is_unit, self.vectors
        is_whitened = settings.metric == "whitened" or settings.method == "mahalanobis"
        mean, basis = vectors[chosen].mean(axis=0), None
        if is_whitened:
            mean, basis = learn_whitening(vectors[chosen], shrinkage=OVERALL_SHRINKAGE)
        points = np.asarray(vectors - mean if basis is None else (vectors - mean) @ basis, dtype=np.float32)
        templates = np.empty((0, points.shape[1]), dtype=np.float32)
        if settings.method == "mahalanobis":
            scorer = squared_length(points.shape[1], opset=opset)
        else:
            if self.kept is None:
                self.kept = self._choose(points, np.flatnonzero(chosen))
                self.neighbours = self._neighbours(
                    min(int(self.kept.sum() - self.kept[fold].sum()) for fold in self.folds)
                )
            templates = points[self.kept & chosen]
            if settings.method == "knn":
                scorer = nearest_neighbours(templates, self.neighbours, opset=opset)
            else:
                factors = outlier_factors(templates, self.neighbours)
                scorer = local_outlier_factor(templates, factors, self.neighbours, opset=opset)
        pieces = [
            places_first(MAPS, opset=opset),
            pooled_vector(MAPS, opset=opset),
            *([unit_vector(opset=opset)] if is_unit else []),
            affine("unit_vector" if is_unit else "pooled_vector", mean, basis, opset=opset),
            scorer,
            gradient_map(MAPS, has_basis=is_whitened, of_unit_vector=is_unit, opset=opset),
        ]
        return _Detector(pieces, len(templates))

    def _choose(self, points: NDArray[np.float32], positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pictures are remembered, bool [n], of those at these positions."""
        settings = self.settings
        assert settings.bank_size is not None  # settings fill it in
        if settings.method == "knn":
            found = greedy_k_center(points[positions], settings.bank_size, seed=settings.seed)
        else:
            # The rows that cover all others best are spread evenly, and say nothing about density.
            found = np.random.default_rng(settings.seed).permutation(len(positions))[: settings.bank_size]
        kept = np.zeros(len(points), dtype=bool)
        kept[positions[found]] = True
        return kept


@dataclass
class _Detector:
    """A head, from `embedding` on.

    Attributes:
        pieces: of graph.
        templates: how many pictures it remembers.
    """

    pieces: list[onnx.ModelProto]
    templates: int

    def scores(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw scores, float32 [n], of pooled vectors [n, c]."""
        # From behind the pooling on, and without the map.
        session = self._scorer
        parts = [run(session, ["raw_score"], {"pooled_vector": rows})[0] for rows in _batches(pooled)]
        return np.concatenate(parts)

    def patch_scores(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Patch scores, float32 [h, w], of an embedding [h, w, c]."""
        (patches,) = run(self._mapper, ["patch_scores"], {"embedding": embedding[None]})
        return np.asarray(patches[0])

    @cached_property
    def _scorer(self) -> Any:
        return open_session(join(*self.pieces[2:-1], outputs=["raw_score"]).SerializeToString(), threads=1)

    @cached_property
    def _mapper(self) -> Any:
        return open_session(join(*self.pieces, outputs=["patch_scores"]).SerializeToString(), threads=1)


def _batches(rows: NDArray[np.float32], *, at_once: int = 64) -> Iterator[NDArray[np.float32]]:
    for begin in range(0, len(rows), at_once):
        yield rows[begin : begin + at_once]
