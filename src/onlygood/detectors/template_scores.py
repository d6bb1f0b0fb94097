"""How a vector is compared with templates: by its nearest neighbours, or by the local outlier factor among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.detectors.neighbours import outlier_factors
from onlygood.graph.neighbours import local_outlier_factor, nearest_neighbours


@dataclass(frozen=True)
class TemplateScore:
    """One way to compare.

    Attributes:
        name: for messages.
        num_neighbors: how many templates are looked at unless a number is given; fewer where there are no more.
        not_neighbors: how many of the templates cannot be looked at: of the outlier factor a template is no neighbour
            of itself.
        subgraph: makes the subgraph from `point`, float32 [N, q], to `raw_score` and `point_gradient`, from templates
            float32 [m, q], a number of neighbours and an opset.
    """

    name: str
    num_neighbors: int
    not_neighbors: int
    subgraph: Callable[[NDArray[np.float32], int, int], onnx.ModelProto]

    def most_neighbors(self, templates: int) -> int:
        """How many of so many templates can be looked at."""
        return templates - self.not_neighbors


def _nearest(templates: NDArray[np.float32], neighbours: int, opset: int) -> onnx.ModelProto:
    return nearest_neighbours(templates, neighbours, opset=opset)


def _outlier_factor(templates: NDArray[np.float32], neighbours: int, opset: int) -> onnx.ModelProto:
    return local_outlier_factor(templates, outlier_factors(templates, neighbours), neighbours, opset=opset)


NEAREST_NEIGHBORS = TemplateScore("knn", 1, 0, _nearest)
OUTLIER_FACTOR = TemplateScore("lof", 5, 1, _outlier_factor)
