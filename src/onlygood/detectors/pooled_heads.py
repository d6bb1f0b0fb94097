"""Heads on pooled vectors, learned from those of good images: which are remembered, and how others are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.detectors.coreset import cluster_means, k_means
from onlygood.detectors.neighbours import outlier_factors
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening, precision_of
from onlygood.errors import SettingError
from onlygood.graph.neighbours import local_outlier_factor, nearest_neighbours
from onlygood.graph.pooled import affine, gradient_map, pooled_vector, squared_mahalanobis, unit_vector
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import LEAST_NORM, join
from onlygood.settings import FitSettings

# How many templates are looked at unless a number is given; fewer where there are no more.
NEIGHBOURS = {"knn": 1, "lof": 5}
# Vectors that are scored in one run.
_AT_ONCE = 64


@dataclass
class PooledHead:
    """A head, from feature maps on.

    Attributes:
        pooling: the piece of graph from feature maps to `pooled_vector`.
        scoring: the pieces from there to `raw_score` and `point_gradient`.
        mapping: the piece from there to `patch_scores`.
        templates: how many templates it remembers.
    """

    pooling: onnx.ModelProto
    scoring: Sequence[onnx.ModelProto]
    mapping: onnx.ModelProto
    templates: int

    @property
    def pieces(self) -> list[onnx.ModelProto]:
        """All pieces, in order."""
        return [self.pooling, *self.scoring, self.mapping]

    def scores(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw scores, float32 [n], of pooled vectors [n, c]."""
        parts = (pooled[begin : begin + _AT_ONCE] for begin in range(0, len(pooled), _AT_ONCE))
        return np.concatenate([run(self._scorer, ["raw_score"], {"pooled_vector": part})[0] for part in parts])

    @cached_property
    def _scorer(self) -> Any:
        return open_session(join(*self.scoring, outputs=["raw_score"]).SerializeToString(), threads=1)


def neighbours_of(kind: str, settings: FitSettings, fewest: int, *, when: str = "") -> int:
    """How many templates are looked at, where a head may have as few as these; 0 where there are none.

    Args:
        kind: "knn", "lof" or "mahalanobis".
        settings: of the fit; `num_neighbors` matters here.
        fewest: templates.
        when: there are so few, for the message.

    Raises:
        SettingError: more are asked for than there are.
    """
    if kind == "mahalanobis":
        return 0
    wanted = settings.num_neighbors
    most = most_neighbours(kind, fewest)
    if wanted is None and most >= 1:
        return min(NEIGHBOURS[kind], most)
    if wanted is None or wanted > most:
        raise SettingError(
            f"num_neighbors must be at most {max(most, 0)} for {kind} with {fewest} templates{when}, got "
            f"{wanted or 'none'}: add good images, raise bank_size, or lower num_neighbors"
        )
    return wanted


def most_neighbours(kind: str, templates: int) -> int:
    """How many of so many templates can be looked at: one of the outlier factor is no neighbour of itself."""
    return templates - (kind == "lof")


class PooledHeads:
    """Heads of one kind, each learned from some of the same good images.

    Args:
        kind: "knn", "lof" or "mahalanobis".
        settings: of the fit; `metric`, `bank_size`, `num_neighbors` and `seed` matter here.
        pooled: float32 [n, c], the pooled vectors of the good images.
        maps: name of the feature maps in the graph.
        opset: of the standard operators.
    """

    def __init__(self, kind: str, settings: FitSettings, pooled: NDArray[np.float32], *, maps: str, opset: int) -> None:
        self.kind = kind
        self.settings = settings
        self.maps = maps
        self.opset = opset
        self.is_unit = settings.metric != "euclidean"
        self.is_whitened = settings.metric == "whitened" or kind == "mahalanobis"
        self.vectors = pooled
        if self.is_unit:
            self.vectors = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), LEAST_NORM)

    @cached_property
    def distinct(self) -> NDArray[np.int64]:
        """A number for each image, int64 [n], equal for copies."""
        return np.unique(self.vectors, axis=0, return_inverse=True)[1].reshape(-1)

    def templates(self, learned: NDArray[np.bool_]) -> int:
        """How many templates there can be of the images to learn from, bool [n]; a Mahalanobis distance has none."""
        if self.kind == "mahalanobis":
            return 0
        assert self.settings.bank_size is not None  # settings fill it in
        return min(len(np.unique(self.distinct[learned])), self.settings.bank_size)

    def make(self, learned: NDArray[np.bool_], neighbours: int) -> PooledHead:
        """The head that is learned from some images, and has seen nothing of the others.

        Args:
            learned: bool [n], from which images.
            neighbours: how many templates are looked at, at most `templates(learned)`.
        """
        opset = self.opset
        mean, basis = self._coordinates(learned)
        source = "unit_vector" if self.is_unit else "pooled_vector"
        templates = np.empty((0, len(mean)), dtype=np.float32)
        if self.kind == "mahalanobis":
            assert basis is not None  # this kind is whitened
            scoring = [squared_mahalanobis(source, mean, precision_of(basis), opset=opset)]
        else:
            templates = self._templates(learned, mean, basis)
            # Clusters may run empty, and then there are fewer.
            neighbours = min(neighbours, most_neighbours(self.kind, len(templates)))
            if neighbours < 1:
                raise SettingError(
                    f"{self.kind} needs at least 2 good images that differ, got copies of one: add other images"
                )
            if self.kind == "knn":
                scorer = nearest_neighbours(templates, neighbours, opset=opset)
            else:
                factors = outlier_factors(templates, neighbours)
                scorer = local_outlier_factor(templates, factors, neighbours, opset=opset)
            scoring = [affine(source, mean, basis, opset=opset), scorer]
        has_basis = self.is_whitened and self.kind != "mahalanobis"
        return PooledHead(
            pooling=pooled_vector(self.maps, opset=opset),
            scoring=[unit_vector(opset=opset), *scoring] if self.is_unit else scoring,
            mapping=gradient_map(self.maps, has_basis=has_basis, of_unit_vector=self.is_unit, opset=opset),
            templates=len(templates),
        )

    def _templates(
        self, learned: NDArray[np.bool_], mean: NDArray[np.float32], basis: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """The templates, float32 [m, q]: means of images to learn from that are close to one another."""
        assert self.settings.bank_size is not None  # settings fill it in
        centred = self.vectors[learned] - mean
        points = np.asarray(centred if basis is None else centred @ basis, dtype=np.float32)
        membership = k_means(points, self.settings.bank_size, seed=self.settings.seed)
        return cluster_means(points, membership, int(membership.max()) + 1)

    def _coordinates(self, learned: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Mean [c] and whitening [c, c], or None, of the images to learn from."""
        vectors = self.vectors[learned]
        if self.is_whitened:
            return learn_whitening(vectors, shrinkage=WHOLE_SHRINKAGE)
        return vectors.mean(axis=0), None
