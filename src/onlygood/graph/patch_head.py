"""The patch-memory head: from taps to an embedding, from an embedding to patch scores and a raw score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbone import Tap
from onlygood.graph.fragments import OPSET, fragment


@dataclass(frozen=True)
class PatchMemory:
    """What a patch-memory detector has learned.

    Attributes:
        mean: float32 [d], of the embedding over good patches.
        whitening: float32 [d, q]: (embedding - mean) @ whitening has uncorrelated coordinates of about unit variance.
        memory_bank: float32 [m, q], whitened embeddings of the good patches that were kept.
        owners: int64 [m]: which group of pictures each row comes from.
        top_patches: how many of a picture's highest patch scores are averaged into its score.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    memory_bank: NDArray[np.float32]
    owners: NDArray[np.int64]
    top_patches: int

    @property
    def row_norms(self) -> NDArray[np.float32]:
        """Squared lengths of the bank's rows, float32 [m]: the head's input `row_norms`."""
        norms: NDArray[np.float32] = np.einsum("mq,mq->m", self.memory_bank, self.memory_bank)
        return norms


def patch_embedding(taps: Sequence[Tap], *, input_size: int, grid: int, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from taps to `embedding`, float32 [N, grid, grid, d], d = sum of the taps' channels.

    A tap finer than the grid is pooled to it with a triangle filter twice as wide as a cell, so that a patch knows its
    surroundings; a coarser one is interpolated. PatchCore does the reverse (local 3x3 means, then everything at the
    finest tap's resolution), at four times the patches and, on our development pictures, no better a ranking.
    """
    lines, joined = [], []
    for tap in taps:
        if input_size // tap.reduction == grid:
            joined.append(tap.name)
            continue
        lines.append(
            f'{tap.name}_on_grid = Resize <antialias = 1, axes = [2, 3], mode = "linear", '
            f'coordinate_transformation_mode = "half_pixel"> ({tap.name}, , , grid)'
        )
        joined.append(f"{tap.name}_on_grid")
    inputs = ", ".join(f"float[N, {tap.channels}, {tap.name}_h, {tap.name}_w] {tap.name}" for tap in taps)
    width = sum(tap.channels for tap in taps)
    newline = "\n        "
    text = f"""
    patch_embedding ({inputs}) => (float[N, {grid}, {grid}, {width}] embedding) {{
        {newline.join(lines)}
        joined = Concat <axis = 1> ({", ".join(joined)})
        embedding = Transpose <perm = [0, 2, 3, 1]> (joined)
    }}
    """
    return fragment(text, {"grid": np.array([grid, grid], dtype=np.int64)} if lines else {}, opset=opset)


def patch_head(memory: PatchMemory, *, excludable: bool = False, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `embedding` to `raw_score`, float32 [N], and `patch_scores`, float32 [N, h, w].

    A patch's score is its distance to the nearest row of the bank, after whitening: a Mahalanobis distance. A picture's
    raw score is the mean of its `top_patches` highest.

    Args:
        memory: the arrays.
        excludable: take `row_norms`, float32 [m], as an input instead of a constant. Infinity in it takes a row out of
            the bank: leave-one-out calibration is this graph with other norms.
        opset: of the standard operators.

    Source: Roth et al., PatchCore, CVPR 2022, equations 5 and 6 (distance to the nearest row); whitening as in Defard
    et al., PaDiM, 2021, with one covariance for all positions. We depart from PatchCore in the score: the mean of the
    highest patch scores instead of the re-weighted maximum.
    """
    rows, width = len(memory.memory_bank), len(memory.mean)
    norms = f", float[{rows}] row_norms" if excludable else ""
    text = f"""
    patch_head (float[N, h, w, {width}] embedding{norms}) => (float[N] raw_score, float[N, h, w] patch_scores) {{
        centred = Sub (embedding, embedding_mean)
        whitened = MatMul (centred, whitening)
        minus_two_products = MatMul (whitened, minus_two_bank)
        relative_distances = Add (minus_two_products, row_norms)
        nearest = ReduceMin <keepdims = 0> (relative_distances, last_axis)
        squares = Mul (whitened, whitened)
        patch_norms = ReduceSum <keepdims = 0> (squares, last_axis)
        squared_distances = Add (nearest, patch_norms)
        rounded_up = Max (squared_distances, zero)
        patch_scores = Sqrt (rounded_up)
        flat_scores = Reshape (patch_scores, one_row_each)
        highest, _ = TopK (flat_scores, top_patches)
        raw_score = ReduceMean <keepdims = 0> (highest, last_axis)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "embedding_mean": memory.mean,
        "whitening": memory.whitening,
        "minus_two_bank": -2.0 * memory.memory_bank.T,
        "last_axis": np.array([-1], dtype=np.int64),
        "zero": np.array(0.0, dtype=np.float32),
        "one_row_each": np.array([0, -1], dtype=np.int64),
        "top_patches": np.array([memory.top_patches], dtype=np.int64),
    }
    if not excludable:
        arrays["row_norms"] = memory.row_norms
    return fragment(text, arrays, opset=opset)
