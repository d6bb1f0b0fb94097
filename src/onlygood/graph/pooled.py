"""Heads on a backbone's pooled output: its direction, how unusual that is, and where that comes from.

An image's last feature maps are averaged over their places, and as a rule the average is scaled to unit length: its
length says how much there is to see, not what, and would drown the rest. Every score here is a function of that vector
alone. So its gradient with respect to the last maps is the same at all places, Grad-CAM's weights are that gradient,
and the map needs no backward pass: what scores a `point` gives `point_gradient`, too; `gradient_map` does the rest.

Source: Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.patches import LEAST_COVERAGE, looked_at_cells
from onlygood.graph.preprocess import LOOK
from onlygood.graph.subgraph import LEAST_NORM, OPSET, subgraph


def looked_at_embedding(value: str, grid: tuple[int, int], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from a value of the backbone, float32 [N, c, h, w], to `embedding`, [N, h, w, c]. It is zero where
    nothing is looked at (see LOOK of `onlygood.graph.preprocess`), and its mean is that of the other places.

    Args:
        value: of the backbone.
        grid: h and w.
        opset: of the standard operators.
    """
    text = f"""
    looked_at_embedding (float[N, c, h, w] value, float[N, 1, H, W] {LOOK}) => (float[N, h, w, c] embedding) {{
        {looked_at_cells("cells", "cells_grid")}
        cells_share = ReduceMean <keepdims = 1> (cells, cells_axes)
        cells_some_share = Max (cells_share, cells_least_share)
        cell_weights = Div (cells, cells_some_share)
        looked_at_value = Mul (value, cell_weights)
        embedding = Transpose <perm = [0, 2, 3, 1]> (looked_at_value)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "cells_grid": np.array(grid, dtype=np.int64),
        "cells_least": np.array(LEAST_COVERAGE, dtype=np.float32),
        "cells_axes": np.array([2, 3], dtype=np.int64),
        "cells_least_share": np.array(0.5 / (grid[0] * grid[1]), dtype=np.float32),
    }
    return subgraph(text, arrays, names={"value": value}, opset=opset)


def to_nhwc(value: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from a value of the backbone, float32 [N, c, h, w], to `embedding`, [N, h, w, c]."""
    text = """
    to_nhwc (float[N, c, h, w] value) => (float[N, h, w, c] embedding) {
        embedding = Transpose <perm = [0, 2, 3, 1]> (value)
    }
    """
    return subgraph(text, {}, names={"value": value}, opset=opset)


def to_nchw(value: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `embedding`, float32 [N, h, w, c], back to a value of the backbone, [N, c, h, w]."""
    text = """
    to_nchw (float[N, h, w, c] embedding) => (float[N, c, h, w] value) {
        value = Transpose <perm = [0, 3, 1, 2]> (embedding)
    }
    """
    return subgraph(text, {}, names={"value": value}, opset=opset)


def pooled_vector(features: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from feature maps, float32 [N, c, h, w], to their mean over places, `pooled_vector` [N, c].

    Args:
        features: name of the feature maps.
        opset: of the standard operators.
    """
    text = """
    pooled (float[N, c, h, w] features) => (float[N, c] pooled_vector) {
        pooled_vector = ReduceMean <keepdims = 0> (features, place_axes)
    }
    """
    return subgraph(text, {"place_axes": np.array([2, 3], dtype=np.int64)}, names={"features": features}, opset=opset)


def unit_vector(*, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `pooled_vector` [N, c] to `unit_vector` [N, c] and `vector_length`, float32 [N, 1]."""
    text = """
    unit (float[N, c] pooled_vector) => (float[N, c] unit_vector, float[N, 1] vector_length) {
        length = ReduceL2 <keepdims = 1> (pooled_vector, vector_axis)
        vector_length = Max (length, shortest)
        unit_vector = Div (pooled_vector, vector_length)
    }
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "vector_axis": np.array([1], dtype=np.int64),
        "shortest": np.array(LEAST_NORM, dtype=np.float32),
    }
    return subgraph(text, arrays, opset=opset)


def affine(
    source: str, mean: NDArray[np.float32], basis: NDArray[np.float32] | None, *, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from a vector, float32 [N, d], to `point` [N, q], in which distances are taken, and, with a
    basis, to that basis as `point_basis`.

    Args:
        source: name of the vector.
        mean: float32 [d], subtracted first.
        basis: float32 [d, q], multiplied by then, such as a whitening; None for the identity.
        opset: of the standard operators.
    """
    arrays: dict[str, NDArray[np.generic]] = {"vector_mean": mean}
    if basis is None:
        text = f"""
        affine (float[N, {len(mean)}] vector) => (float[N, {len(mean)}] point) {{
            point = Sub (vector, vector_mean)
        }}
        """
    else:
        arrays["vector_basis"] = basis
        d, q = basis.shape
        text = f"""
        affine (float[N, {d}] vector) => (float[N, {q}] point, float[{d}, {q}] point_basis) {{
            from_mean = Sub (vector, vector_mean)
            point_basis = Identity (vector_basis)
            point = MatMul (from_mean, point_basis)
        }}
        """
    return subgraph(text, arrays, names={"vector": source}, opset=opset)


def squared_mahalanobis(
    source: str, mean: NDArray[np.float32], precision: NDArray[np.float32], *, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from a vector, float32 [N, d], to `raw_score` [N] and `point_gradient` [N, d].

    The score is the squared Mahalanobis distance from the mean, or in other words the squared distance from a
    hypersphere's centre in whitened coordinates; the gradient is with respect to the vector.

    Args:
        source: name of the vector.
        mean: float32 [d].
        precision: float32 [d, d], the inverse of the covariance. One product with it gives both, where a whitening
            would take two.
        opset: of the standard operators.
    """
    d = len(mean)
    text = f"""
    squared_mahalanobis (float[N, {d}] vector) => (float[N] raw_score, float[N, {d}] point_gradient) {{
        from_mean = Sub (vector, vector_mean)
        half_gradient = MatMul (from_mean, precision)
        terms = Mul (from_mean, half_gradient)
        raw_score = ReduceSum <keepdims = 0> (terms, coordinates)
        point_gradient = Add (half_gradient, half_gradient)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "vector_mean": mean,
        "precision": precision,
        "coordinates": np.array([1], dtype=np.int64),
    }
    return subgraph(text, arrays, names={"vector": source}, opset=opset)


def gradient_map(features: str, *, has_basis: bool, of_unit_vector: bool, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from a score's `point_gradient`, float32 [N, q], to `patch_scores` [N, h, w]: Grad-CAM.

    In closed form: a score depends on the maps F through f, their mean over the n places. So ds/dF is (ds/df) / n at
    every place, which is Grad-CAM's weight of each channel. Where the vector is u = f / |f|, ds/df is
    (ds/du - (ds/du . u) u) / |f|.

    Args:
        features: name of the feature maps, float32 [N, c, h, w].
        has_basis: whether the gradient is of a point that `affine` made with a basis, not of the vector itself.
        of_unit_vector: whether the vector has unit length.
        opset: of the standard operators.
    """
    to_vector = (
        "vector_gradient = Identity (point_gradient)"
        if not has_basis
        else "vector_gradient = Gemm <transB = 1> (point_gradient, point_basis)"
    )
    to_pooled = (
        """products = Mul (vector_gradient, unit_vector)
        along = ReduceSum <keepdims = 1> (products, channels)
        radial = Mul (along, unit_vector)
        tangential = Sub (vector_gradient, radial)
        pooled_gradient = Div (tangential, vector_length)"""
        if of_unit_vector
        else "pooled_gradient = Identity (vector_gradient)"
    )
    vectors = ", float[N, c] unit_vector, float[N, 1] vector_length" if of_unit_vector else ""
    shared = ", float[d, q] point_basis" if has_basis else ""
    text = f"""
    gradient_map (float[N, c, h, w] features, float[N, q] point_gradient{vectors}{shared})
        => (float[N, h, w] patch_scores) {{
        {to_vector}
        {to_pooled}
        sides = Shape <start = 2> (features)
        count = ReduceProd <keepdims = 0> (sides)
        places = Cast <to = {onnx.TensorProto.FLOAT}> (count)
        weights = Div (pooled_gradient, places)
        weights_everywhere = Unsqueeze (weights, map_axes)
        weighted_maps = Mul (features, weights_everywhere)
        signed_map = ReduceSum <keepdims = 0> (weighted_maps, channels)
        patch_scores = Relu (signed_map)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "channels": np.array([1], dtype=np.int64),
        "map_axes": np.array([2, 3], dtype=np.int64),
    }
    return subgraph(text, arrays, names={"features": features}, opset=opset)
