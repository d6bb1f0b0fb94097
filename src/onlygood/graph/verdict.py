"""From a raw score to score, p-value and verdict, and from patch scores to a map: the end of every graph."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.conformal import Calibration
from onlygood.graph.fragments import OPSET, fragment


def verdict(calibration: Calibration, *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `raw_score` to `score`, `p_value` and `is_anomaly`, each [N].

    `score` is raw_score - threshold. `p_value` is the conformal p-value: the weight of the calibration scores that are
    at least as high, with the new picture counted among them, so it is never 0. `is_anomaly` is score > 0, which is
    p_value <= promised rate.
    """
    text = f"""
    verdict (float[N] raw_score) => (float[N] score, float[N] p_value, bool[N] is_anomaly) {{
        score = Sub (raw_score, threshold)
        is_anomaly = Greater (raw_score, threshold)
        column = Unsqueeze (raw_score, column_axis)
        as_strange = GreaterOrEqual (calibration_scores, column)
        strange_weights = Where (as_strange, calibration_weights, no_weight)
        strange_share = ReduceSum <keepdims = 0> (strange_weights, column_axis)
        share = Add (strange_share, own_weight)
        p_value = Cast <to = {onnx.TensorProto.FLOAT}> (share)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "threshold": np.array(calibration.threshold, dtype=np.float32),
        "calibration_scores": calibration.scores,
        "calibration_weights": calibration.weights,
        "own_weight": np.array(1.0 / (calibration.groups + 1), dtype=np.float64),
        "no_weight": np.array(0.0, dtype=np.float64),
        "column_axis": np.array([1], dtype=np.int64),
    }
    return fragment(text, arrays, opset=opset)


def full_size_map(dtype: np.dtype[np.generic], *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `patch_scores` [N, h, w] and `image` [N, H, W, C] to `anomaly_map`, float32 [N, H, W]."""
    text = f"""
    full_size_map (float[N, h, w] patch_scores, {np.dtype(dtype).name}[N, H, W, C] image)
        => (float[N, H, W] anomaly_map) {{
        map_size = Shape <start = 1, end = 3> (image)
        as_plane = Unsqueeze (patch_scores, plane_axis)
        full_plane = Resize <axes = [2, 3], mode = "linear", coordinate_transformation_mode = "half_pixel">
            (as_plane, , , map_size)
        anomaly_map = Squeeze (full_plane, plane_axis)
    }}
    """
    return fragment(text, {"plane_axis": np.array([1], dtype=np.int64)}, opset=opset)
