"""Heads on a backbone's pooled output: its direction, how unusual that is, and where that comes from.

A picture's last feature maps are averaged over their places, and the average is scaled to unit length: `unit_vector`.
Its length says how much there is to see, not what, and would drown the rest. Every head here is a function of that
vector alone. So the gradient of a score with respect to the last maps is the same at all places, Grad-CAM's weights are
that gradient, and the map needs no backward pass: the head gives `unit_gradient`, and `gradient_map` does the rest.

Source: Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.fragments import OPSET, fragment

# Shorter vectors than this are not stretched to unit length: they are the silence of a network, not a direction.
SHORTEST = 1e-6


def places_last(value: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from a value of the backbone, float32 [N, c, h, w], to `embedding`, [N, h, w, c]."""
    text = """
    places_last (float[N, c, h, w] value) => (float[N, h, w, c] embedding) {
        embedding = Transpose <perm = [0, 2, 3, 1]> (value)
    }
    """
    return fragment(text, {}, names={"value": value}, opset=opset)


def places_first(value: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `embedding`, float32 [N, h, w, c], back to a value of the backbone, [N, c, h, w]."""
    text = """
    places_first (float[N, h, w, c] embedding) => (float[N, c, h, w] value) {
        value = Transpose <perm = [0, 3, 1, 2]> (embedding)
    }
    """
    return fragment(text, {}, names={"value": value}, opset=opset)


def unit_vector(features: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from feature maps, float32 [N, c, h, w], to `unit_vector` [N, c] and `vector_length` [N, 1].

    Args:
        features: name of the feature maps.
        opset: of the standard operators.
    """
    text = """
    unit (float[N, c, h, w] features) => (float[N, c] unit_vector, float[N, 1] vector_length) {
        pooled = ReduceMean <keepdims = 0> (features, place_axes)
        length = ReduceL2 <keepdims = 1> (pooled, vector_axis)
        vector_length = Max (length, shortest)
        unit_vector = Div (pooled, vector_length)
    }
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "place_axes": np.array([2, 3], dtype=np.int64),
        "vector_axis": np.array([1], dtype=np.int64),
        "shortest": np.array(SHORTEST, dtype=np.float32),
    }
    return fragment(text, arrays, names={"features": features}, opset=opset)


def mahalanobis(mean: NDArray[np.float32], whitening: NDArray[np.float32], *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `unit_vector`, float32 [N, d], to `raw_score` [N] and `unit_gradient` [N, d].

    The score is the squared distance from the mean after whitening, the squared Mahalanobis distance; in whitened
    coordinates, the squared distance from a hypersphere's centre.

    Args:
        mean: float32 [d].
        whitening: float32 [d, q]: (x - mean) @ whitening has uncorrelated coordinates of about unit variance.
        opset: of the standard operators.
    """
    text = f"""
    mahalanobis (float[N, {len(mean)}] unit_vector) => (float[N] raw_score, float[N, {len(mean)}] unit_gradient) {{
        from_mean = Sub (unit_vector, vector_mean)
        whitened_vector = MatMul (from_mean, vector_whitening)
        raw_score = ReduceSumSquare <keepdims = 0> (whitened_vector, coordinates)
        unit_gradient = Gemm <alpha = 2.0, transB = 1> (whitened_vector, vector_whitening)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "vector_mean": mean,
        "vector_whitening": whitening,
        "coordinates": np.array([1], dtype=np.int64),
    }
    return fragment(text, arrays, opset=opset)


def gradient_map(features: str, *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph to `patch_scores`, float32 [N, h, w]: Grad-CAM of the score, in closed form.

    The score s depends on the maps F through u = f / |f|, with f their mean over the n places. So ds/dF is at every
    place (ds/du - (ds/du . u) u) / (n |f|), which is Grad-CAM's weight of each channel.

    Args:
        features: name of the feature maps, float32 [N, c, h, w].
        opset: of the standard operators.
    """
    text = """
    gradient_map (float[N, c, h, w] features, float[N, c] unit_vector, float[N, 1] vector_length,
        float[N, c] unit_gradient) => (float[N, h, w] patch_scores) {
        products = Mul (unit_gradient, unit_vector)
        along = ReduceSum <keepdims = 1> (products, channels)
        radial = Mul (along, unit_vector)
        tangential = Sub (unit_gradient, radial)
        of_mean = Div (tangential, vector_length)
        sides = Shape <start = 2> (features)
        count = ReduceProd <keepdims = 0> (sides)
        places = Cast <to = 1> (count)
        weights = Div (of_mean, places)
        weights_everywhere = Unsqueeze (weights, map_axes)
        weighted_maps = Mul (features, weights_everywhere)
        signed_map = ReduceSum <keepdims = 0> (weighted_maps, channels)
        patch_scores = Relu (signed_map)
    }
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "channels": np.array([1], dtype=np.int64),
        "map_axes": np.array([2, 3], dtype=np.int64),
    }
    return fragment(text, arrays, names={"features": features}, opset=opset)
