"""Scores by neighbours among templates: mean distance, and local outlier factor, each with its gradient.

Subgraphs from `point`, float32 [N, q], to `raw_score` [N] and `point_gradient` [N, q]. Templates near to a point
are found by |b|^2 - 2 x.b, one matrix product, a few more of them than are needed. Distances are then taken from
differences, since in the product rounding drowns the small distances of near-copies, and the nearest chosen by those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.subgraph import OPSET, subgraph

# Candidates beyond the neighbours wanted, for those whose order the matrix product cannot tell.
SPARE_CANDIDATES = 16
# A distance below this has no direction, and a neighbour there pulls nowhere.
LEAST_DISTANCE = 1e-12


@dataclass(frozen=True)
class OutlierFactors:
    """What the local outlier factor knows of its templates.

    Attributes:
        k_distances: float32 [m], of each template to its k-th nearest other one.
        densities: float32 [m], the local reachability density of each.
    """

    k_distances: NDArray[np.float32]
    densities: NDArray[np.float32]


def nearest_neighbours(templates: NDArray[np.float32], neighbours: int, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph that scores by the mean distance to the nearest templates.

    Args:
        templates: float32 [m, q].
        neighbours: how many, at most m.
        opset: of the standard operators.
    """
    text = f"""
    nearest_neighbours (float[N, {templates.shape[1]}] point)
        => (float[N] raw_score, float[N, {templates.shape[1]}] point_gradient) {{
        {_NEAREST}
        raw_score = ReduceMean <keepdims = 0> (distances, neighbour_axis)
        point_gradient = ReduceMean <keepdims = 0> (directions, neighbour_axis)
    }}
    """
    return subgraph(text, _arrays(templates, neighbours), opset=opset)


def local_outlier_factor(
    templates: NDArray[np.float32], factors: OutlierFactors, neighbours: int, *, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph that scores by the local outlier factor of a new point among the templates.

    Args:
        templates: float32 [m, q].
        factors: of the templates.
        neighbours: k, below m.
        opset: of the standard operators.

    Source: Breunig et al., "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000, definitions 5 to 7; as
    scikit-learn's `LocalOutlierFactor(novelty=True)`, which adds 1e-10 to the mean reachability distance. The gradient
    is that of the neighbours' mean density times the mean reachability distance, with the neighbours held.
    """
    width = templates.shape[1]
    text = f"""
    local_outlier_factor (float[N, {width}] point) => (float[N] raw_score, float[N, {width}] point_gradient) {{
        {_NEAREST}
        k_distances = Gather (template_k_distances, neighbours)
        reaches = Max (distances, k_distances)
        mean_reach = ReduceMean <keepdims = 0> (reaches, neighbour_axis)
        some_reach = Add (mean_reach, least_reach)
        densities = Gather (template_densities, neighbours)
        mean_density = ReduceMean <keepdims = 0> (densities, neighbour_axis)
        raw_score = Mul (mean_density, some_reach)
        is_beyond = GreaterOrEqual (distances, k_distances)
        beyond = Cast <to = {onnx.TensorProto.FLOAT}> (is_beyond)
        beyond_columns = Unsqueeze (beyond, last_axis)
        pulls = Mul (directions, beyond_columns)
        pull = ReduceMean <keepdims = 0> (pulls, neighbour_axis)
        density_column = Unsqueeze (mean_density, neighbour_axis)
        point_gradient = Mul (pull, density_column)
    }}
    """
    arrays = {
        **_arrays(templates, neighbours),
        "template_k_distances": factors.k_distances,
        "template_densities": factors.densities,
        "least_reach": np.array(1e-10, dtype=np.float32),
    }
    return subgraph(text, arrays, opset=opset)


# To `neighbours` [N, k], `distances` [N, k] and `directions` [N, k, q], away from each neighbour at unit length.
_NEAREST = """
        relative = Gemm <alpha = -2.0, transB = 1> (point, templates, template_norms)
        _, candidates = TopK <axis = 1, largest = 0> (relative, candidate_count)
        candidate_templates = Gather (templates, candidates)
        point_row = Unsqueeze (point, neighbour_axis)
        candidate_differences = Sub (point_row, candidate_templates)
        candidate_distances = ReduceL2 <keepdims = 0> (candidate_differences, last_axis)
        distances, ranks = TopK <axis = 1, largest = 0> (candidate_distances, neighbour_count)
        neighbours = GatherElements <axis = 1> (candidates, ranks)
        neighbour_templates = Gather (templates, neighbours)
        differences = Sub (point_row, neighbour_templates)
        some_distances = Max (distances, least_distance)
        distance_columns = Unsqueeze (some_distances, last_axis)
        directions = Div (differences, distance_columns)
"""


def _arrays(templates: NDArray[np.float32], neighbours: int) -> dict[str, NDArray[np.generic]]:
    return {
        "templates": templates,
        "template_norms": np.einsum("mq,mq->m", templates, templates),
        "candidate_count": np.array([min(len(templates), neighbours + SPARE_CANDIDATES)], dtype=np.int64),
        "neighbour_count": np.array([neighbours], dtype=np.int64),
        "neighbour_axis": np.array([1], dtype=np.int64),
        "last_axis": np.array([-1], dtype=np.int64),
        "least_distance": np.array(LEAST_DISTANCE, dtype=np.float32),
    }
