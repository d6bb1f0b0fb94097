"""From a raw score to score, p-value and verdict: the end of every graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onlygood.calibration.threshold import Calibration, calibrate_weighted, resolve_rule
from onlygood.graph.subgraph import OPSET, subgraph
from onlygood.rates import ThresholdRule, binomial_interval, check_false_alarm_rate

RAW_SCORE = "raw_score"
# A rate is below 1, also of a threshold below all scores.
LARGEST_RATE = 0.999999
# The initializers of `verdict` that a calibration decides.
CALIBRATION_INITIALIZERS = ("threshold", "calibration_scores", "calibration_weights", "own_weight")


def verdict(calibration: Calibration, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `raw_score` to `score`, `p_value` and `is_anomaly`, each [N].

    `score` is raw_score - threshold. `p_value` is the conformal p-value: the weight of the calibration scores that are
    at least as high, with the new image counted among them, so it is never 0. `is_anomaly` is score > 0, which is
    p_value <= guaranteed rate.
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
        **_initializers(calibration),
        "no_weight": np.array(0.0, dtype=np.float64),
        "column_axis": np.array([1], dtype=np.int64),
    }
    return subgraph(text, arrays, opset=opset)


@dataclass(frozen=True, kw_only=True)
class CalibrationScores:
    """The calibration scores that a model file holds, from which the threshold at any false-alarm rate follows.

    Attributes:
        scores: float32 [n], ascending.
        weights: float64 [n], of each score: 1 / ((groups + 1) * size of its group).
        groups: the number of independent groups.
        threshold: the one in the file.
    """

    scores: NDArray[np.float32] = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    groups: int
    threshold: float

    def at(self, false_alarm_rate: float, *, rule: ThresholdRule = "conformal", is_exact: bool = False) -> Calibration:
        """The calibration with these scores at a false-alarm rate, in (0, 1).

        Args:
            false_alarm_rate: alpha.
            rule: "conformal", "estimated", or "auto" for what `choose_rule` says.
            is_exact: whether the scores are of held-out images.

        Raises:
            SettingError: the rate is outside (0, 1).
        """
        false_alarm_rate = check_false_alarm_rate(false_alarm_rate)
        resolved = resolve_rule(rule, self.groups, false_alarm_rate, is_exact=is_exact)
        return calibrate_weighted(self.scores, self.weights, self.groups, false_alarm_rate, rule=resolved)

    def at_threshold(self, threshold: float) -> Calibration:
        """The calibration with these scores at a threshold that was given.

        What is stated is the p-value of an image right at the threshold: the share of groups above it, with the new
        image's own group counted among them.

        Args:
            threshold: of the raw score.
        """
        cut = np.float32(threshold)
        above = float(self.weights[self.scores > cut].sum())
        # Three digits are more than so many images say.
        stated = min(float(f"{above + 1.0 / (self.groups + 1):.3g}"), LARGEST_RATE)
        return Calibration(
            scores=self.scores,
            weights=self.weights,
            groups=self.groups,
            requested_rate=stated,
            stated_rate=stated,
            threshold=float(cut),
            rule="given",
            interval=binomial_interval(above * (self.groups + 1), self.groups),
        )


def find_calibration_scores(model: onnx.ModelProto) -> CalibrationScores | None:
    """The calibration scores in a whole graph, or None where its initializers, found by name, do not give them."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in CALIBRATION_INITIALIZERS}
    if len(tensors) < len(CALIBRATION_INITIALIZERS):
        return None
    try:
        arrays = {name: numpy_helper.to_array(tensor).reshape(-1) for name, tensor in tensors.items()}
    except (ValueError, TypeError, KeyError):  # a tensor whose content does not fit its type or shape
        return None
    scores, weights = arrays["calibration_scores"], arrays["calibration_weights"]
    threshold, own_weight = arrays["threshold"], arrays["own_weight"]
    are_floats = scores.dtype == threshold.dtype == np.float32 and weights.dtype == own_weight.dtype == np.float64
    if not (are_floats and len(threshold) == len(own_weight) == 1 and 1 <= len(scores) == len(weights)):
        return None
    finite = all(np.isfinite(array).all() for array in arrays.values())
    if not (finite and (np.diff(scores) >= 0).all() and (weights > 0).all() and 0.0 < own_weight[0] <= 0.5):
        return None
    return CalibrationScores(
        scores=scores, weights=weights, groups=round(1.0 / float(own_weight[0])) - 1, threshold=float(threshold[0])
    )


def replace_calibration(model: onnx.ModelProto, calibration: Calibration) -> None:
    """Put another calibration into a whole graph, in place; everything else stays as it is."""
    arrays = _initializers(calibration)
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(arrays[tensor.name]), tensor.name))


def _initializers(calibration: Calibration) -> dict[str, NDArray[np.generic]]:
    return {
        "threshold": np.array(calibration.threshold, dtype=np.float32),
        "calibration_scores": calibration.scores,
        "calibration_weights": calibration.weights,
        "own_weight": np.array(1.0 / (calibration.groups + 1), dtype=np.float64),
    }
