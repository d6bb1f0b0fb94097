"""Heads on pooled vectors, learned from those of good images: which are remembered, and how others are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.detectors.coreset import cluster_means, k_means
from onlygood.detectors.setting_groups import Metric, TemplateSettings
from onlygood.detectors.template_scores import TemplateScore
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening
from onlygood.errors import SettingError
from onlygood.graph.pooled import affine, gradient_map, pooled_vector, unit_vector
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import LEAST_NORM, join

# Vectors that are scored in one run.
_AT_ONCE = 64


@dataclass
class PooledHead:
    """A head, from feature maps on.

    Attributes:
        pooling: the subgraph from feature maps to `pooled_vector`.
        scoring: the subgraphs from there to `raw_score` and `point_gradient`.
        mapping: the subgraph from there to `patch_scores`.
        templates: how many templates it remembers.
    """

    pooling: onnx.ModelProto
    scoring: Sequence[onnx.ModelProto]
    mapping: onnx.ModelProto
    templates: int

    @property
    def subgraphs(self) -> list[onnx.ModelProto]:
        """All of them, in order."""
        return [self.pooling, *self.scoring, self.mapping]

    def scores(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw scores, float32 [n], of pooled vectors [n, c]."""
        parts = (pooled[begin : begin + _AT_ONCE] for begin in range(0, len(pooled), _AT_ONCE))
        return np.concatenate([run(self._scorer, ["raw_score"], {"pooled_vector": part})[0] for part in parts])

    @cached_property
    def _scorer(self) -> Any:
        return open_session(join(*self.scoring, outputs=["raw_score"]).SerializeToString(), threads=1)


class PooledHeads(ABC):
    """Heads of one kind, each learned from some of the same good images.

    Args:
        pooled: float32 [n, c], the pooled vectors of the good images.
        metric: how vectors are compared.
        maps: name of the feature maps in the graph.
        opset: of the standard operators.
    """

    def __init__(self, pooled: NDArray[np.float32], metric: Metric, *, maps: str, opset: int) -> None:
        self.maps = maps
        self.opset = opset
        self.is_unit = metric != "euclidean"
        self.vectors = pooled
        if self.is_unit:
            self.vectors = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), LEAST_NORM)

    @property
    def everything(self) -> NDArray[np.bool_]:
        """True for each image, bool [n]."""
        return np.ones(len(self.vectors), dtype=bool)

    @property
    def source(self) -> str:
        """Name of the value that is compared."""
        return "unit_vector" if self.is_unit else "pooled_vector"

    @abstractmethod
    def templates(self, learned: NDArray[np.bool_]) -> int:
        """How many templates there can be of the images to learn from, bool [n]; 0 where there are none."""

    @abstractmethod
    def neighbors(self, fewest: int, *, when: str = "") -> int:
        """How many templates are looked at, where a head may have as few as these; 0 where there are none.

        Args:
            fewest: templates.
            when: there are so few, for the message.

        Raises:
            SettingError: more are asked for than there are.
        """

    @abstractmethod
    def make(self, learned: NDArray[np.bool_], neighbors: int) -> PooledHead:
        """The head that is learned from some images, and has seen nothing of the others.

        Args:
            learned: bool [n], from which images.
            neighbors: how many templates are looked at, at most `templates(learned)`.

        Raises:
            SettingError: too few images that differ.
        """

    def assemble(self, scoring: Sequence[onnx.ModelProto], *, has_basis: bool, templates: int) -> PooledHead:
        """A head with these subgraphs from `source` to `raw_score` and `point_gradient`.

        Args:
            scoring: the subgraphs.
            has_basis: whether they change coordinates.
            templates: how many they remember.
        """
        opset = self.opset
        return PooledHead(
            pooling=pooled_vector(self.maps, opset=opset),
            scoring=[unit_vector(opset=opset), *scoring] if self.is_unit else scoring,
            mapping=gradient_map(self.maps, has_basis=has_basis, of_unit_vector=self.is_unit, opset=opset),
            templates=templates,
        )


class TemplateHeads(PooledHeads):
    """Heads that compare with templates: means of good images that are close to one another.

    Args:
        score: how vectors are compared with them.
        settings: how many templates and neighbours, and in which coordinates.
        pooled: as for all.
        seed: of the clusters' first means.
        maps: as for all.
        opset: as for all.
    """

    def __init__(
        self,
        score: TemplateScore,
        settings: TemplateSettings,
        pooled: NDArray[np.float32],
        *,
        seed: int,
        maps: str,
        opset: int,
    ) -> None:
        super().__init__(pooled, settings.metric, maps=maps, opset=opset)
        self.score = score
        self.settings = settings
        self.seed = seed
        self.is_whitened = settings.metric == "whitened"

    @cached_property
    def distinct(self) -> NDArray[np.int64]:
        """A number for each image, int64 [n], equal for copies."""
        return np.unique(self.vectors, axis=0, return_inverse=True)[1].reshape(-1)

    def templates(self, learned: NDArray[np.bool_]) -> int:  # noqa: D102
        return min(len(np.unique(self.distinct[learned])), self.settings.bank_size)

    def neighbors(self, fewest: int, *, when: str = "") -> int:  # noqa: D102
        return choose_neighbors(self.score, self.settings, fewest, when=when)

    def make(self, learned: NDArray[np.bool_], neighbors: int) -> PooledHead:  # noqa: D102
        mean, basis = self._coordinates(learned)
        templates = self._templates(learned, mean, basis)
        # Clusters may run empty, and then there are fewer.
        neighbors = min(neighbors, self.score.most_neighbors(len(templates)))
        if neighbors < 1:
            raise SettingError(
                f"{self.score.name} needs at least 2 good images that differ, got copies of one: add other images"
            )
        scorer = self.score.subgraph(templates, neighbors, self.opset)
        return self.assemble(
            [affine(self.source, mean, basis, opset=self.opset), scorer],
            has_basis=self.is_whitened,
            templates=len(templates),
        )

    def _templates(
        self, learned: NDArray[np.bool_], mean: NDArray[np.float32], basis: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """The templates, float32 [m, q]."""
        centred = self.vectors[learned] - mean
        points = np.asarray(centred if basis is None else centred @ basis, dtype=np.float32)
        membership = k_means(points, self.settings.bank_size, seed=self.seed)
        return cluster_means(points, membership, int(membership.max()) + 1)

    def _coordinates(self, learned: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Mean [c] and whitening [c, c], or None, of the images to learn from."""
        vectors = self.vectors[learned]
        if self.is_whitened:
            return learn_whitening(vectors, shrinkage=WHOLE_SHRINKAGE)
        return vectors.mean(axis=0), None


def choose_neighbors(score: TemplateScore, settings: TemplateSettings, fewest: int, *, when: str = "") -> int:
    """As `PooledHeads.neighbors`, before there are vectors."""
    wanted = settings.num_neighbors
    most = score.most_neighbors(fewest)
    if wanted is None and most >= 1:
        return min(score.num_neighbors, most)
    if wanted is None or wanted > most:
        raise SettingError(
            f"num_neighbors must be at most {max(most, 0)} for {score.name} with {fewest} templates{when}, got "
            f"{wanted or 'none'}: add good images, raise bank_size, or lower num_neighbors"
        )
    return wanted


def pooled_description(tap: str, metric: Metric, *, neighbors: int, templates: int) -> str:
    """What a pooled detector is, in a line.

    Args:
        tap: of the backbone.
        metric: how vectors are compared.
        neighbors: how many templates are looked at; 0 where there are none.
        templates: how many there are.
    """
    compared = f"{metric} vectors, the mean of {tap} over all places"
    if not neighbors:
        return compared
    return f"{compared}, {neighbors} {'neighbour' if neighbors == 1 else 'neighbours'} among {templates:,} templates"
