"""The discriminator's head: from an embedding to patch scores and a raw score."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.subgraph import OPSET, subgraph

# Of the hidden layer's leaky ReLU, as in SimpleNet.
SLOPE = 0.2
# Of patches that are not looked at: as good as training wants good ones to be, which are below half of it.
UNSEEN_SCORE = -1.0


@dataclass(frozen=True, kw_only=True)
class Discriminator:
    """The arrays of a discriminator with one hidden layer: a patch x scores LeakyReLU((x - mean) @ weight + bias) @
    output + offset.

    Attributes:
        mean: float32 [d], of good patches.
        weight: float32 [d, q], whitening and first layer in one.
        bias: float32 [q].
        output: float32 [q].
        offset: of the output.
    """

    mean: NDArray[np.float32] = field(repr=False)
    weight: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    output: NDArray[np.float32] = field(repr=False)
    offset: float


def discriminator_head(
    discriminator: Discriminator, *, top_patches: int, has_mask: bool = False, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from `embedding`, float32 [N, h, w, d], to `patch_scores`, float32 [N, h, w], and `raw_score`,
    float32 [N]; higher is more anomalous.

    A patch's score is the discriminator's output; the image's score is the mean of the `top_patches` highest.

    Args:
        discriminator: the arrays.
        top_patches: how many of an image's highest patch scores are averaged into its score.
        has_mask: whether vectors may be zero where nothing is looked at; then their scores are UNSEEN_SCORE.
        opset: of the standard operators.

    Source: Liu et al., "SimpleNet: A Simple Network for Image Anomaly Detection and Localization", CVPR 2023; there
    a high output means good. We depart from it in the image's score: the mean of a few highest patch scores instead of
    the highest, as for `patch`.
    """
    width = len(discriminator.mean)
    scores, masking = "outputs", ""
    if has_mask:
        scores = "seen_outputs"
        masking = """
        sizes = Abs (patches)
        largest = ReduceMax <keepdims = 1> (sizes, last_axis)
        are_seen = Greater (largest, nothing)
        seen_outputs = Where (are_seen, outputs, unseen_score)"""
    text = f"""
    discriminator_head (float[N, h, w, {width}] embedding) => (float[N, h, w] patch_scores, float[N] raw_score) {{
        patches = Reshape (embedding, one_row_a_patch)
        centred = Sub (patches, good_mean)
        hidden = Gemm (centred, hidden_weight, hidden_bias)
        activated = LeakyRelu <alpha = {SLOPE}> (hidden)
        outputs = Gemm (activated, output_weight, output_bias){masking}
        places = Shape <end = 3> (embedding)
        patch_scores = Reshape ({scores}, places)
        flat = Reshape (patch_scores, one_row_an_image)
        highest, where = TopK (flat, top_patches)
        raw_score = ReduceMean <keepdims = 0> (highest, last_axis)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "one_row_a_patch": np.array([-1, width], dtype=np.int64),
        "one_row_an_image": np.array([0, -1], dtype=np.int64),
        "last_axis": np.array([-1], dtype=np.int64),
        "top_patches": np.array([top_patches], dtype=np.int64),
        "good_mean": discriminator.mean,
        "hidden_weight": discriminator.weight,
        "hidden_bias": discriminator.bias,
        "output_weight": discriminator.output[:, None],
        "output_bias": np.array([discriminator.offset], dtype=np.float32),
    }
    if has_mask:
        arrays["nothing"] = np.array(0.0, dtype=np.float32)
        arrays["unseen_score"] = np.array(UNSEEN_SCORE, dtype=np.float32)
    return subgraph(text, arrays, opset=opset)
