"""The patch-memory head: from taps to an embedding, from an embedding to patch scores and a raw score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbone import Tap
from onlygood.graph.fragments import OPSET, fragment, in_trunk

# Shorter vectors than this are not stretched to unit length: they are the silence of a network, not a direction.
SHORTEST = 1e-6


@dataclass(frozen=True)
class Memory:
    """Rows to be near to, and the whitening that says what near is.

    Attributes:
        mean: float32 [d], of what is remembered.
        whitening: float32 [d, q]: (x - mean) @ whitening has uncorrelated coordinates of about unit variance.
        memory_bank: float32 [m, q], whitened.
        owners: int64 [m]: which group of pictures each row comes from.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    memory_bank: NDArray[np.float32]
    owners: NDArray[np.int64]

    def row_norms(self, *, without: int | None = None) -> NDArray[np.float32]:
        """Squared lengths of the bank's rows, float32 [m]; infinite, which is never nearest, for one owner's rows."""
        norms: NDArray[np.float32] = np.einsum("mq,mq->m", self.memory_bank, self.memory_bank)
        if without is not None:
            norms[self.owners == without] = np.inf
        return norms


@dataclass(frozen=True)
class PatchMemory:
    """What a patch-memory detector has learned.

    Attributes:
        local: memory of single patches.
        overall: memory of whole pictures, each the mean of its patches.
        top_patches: how many of a picture's highest patch scores are averaged into its local score.
    """

    local: Memory
    overall: Memory
    top_patches: int


@dataclass(frozen=True)
class Balance:
    """What a picture's local and overall scores are multiplied by before they are added."""

    local: float
    overall: float


def patch_embedding(taps: Sequence[Tap], *, input_size: int, grid: int, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from taps to `embedding`, float32 [N, grid, grid, d], d = sum of the taps' channels.

    Each tap is pooled locally (mean of 3 x 3), brought to the grid (a triangle filter as wide as the reduction) and
    scaled to unit length at each place; then the taps are put side by side.

    Source: Roth et al., PatchCore, CVPR 2022, section 3.1 (local means, levels side by side). Two departures: the
    grid is the coarsest tap's instead of the finest's, a quarter of the patches at no worse a ranking on our
    development pictures; and the unit length, which takes out contrast and lets no level drown the others.
    """
    lines = []
    names = {}
    for number, tap in enumerate(taps):
        at = f"tap{number}"
        names[at] = in_trunk(tap.name)
        lines.append(f"{at}_pooled = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> ({at})")
        pooled = f"{at}_pooled"
        if -(-input_size // tap.reduction) != grid:
            lines.append(
                f'{at}_on_grid = Resize <antialias = 1, axes = [2, 3], mode = "linear", '
                f'coordinate_transformation_mode = "half_pixel"> ({pooled}, , , grid)'
            )
            pooled = f"{at}_on_grid"
        lines.append(f"{at}_length = ReduceL2 ({pooled}, channel_axis)")
        lines.append(f"{at}_divisor = Max ({at}_length, shortest)")
        lines.append(f"{at}_unit = Div ({pooled}, {at}_divisor)")
    inputs = ", ".join(
        f"float[N, {tap.channels}, tap{number}_h, tap{number}_w] tap{number}" for number, tap in enumerate(taps)
    )
    width = sum(tap.channels for tap in taps)
    newline = "\n        "
    text = f"""
    patch_embedding ({inputs}) => (float[N, {grid}, {grid}, {width}] embedding) {{
        {newline.join(lines)}
        joined = Concat <axis = 1> ({", ".join(f"{at}_unit" for at in names)})
        embedding = Transpose <perm = [0, 2, 3, 1]> (joined)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "channel_axis": np.array([1], dtype=np.int64),
        "shortest": np.array(SHORTEST, dtype=np.float32),
    }
    if "on_grid" in text:
        arrays["grid"] = np.array([grid, grid], dtype=np.int64)
    return fragment(text, arrays, names=names, opset=opset)


def patch_head(memory: PatchMemory, *, excludable: bool = False, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `embedding` to `patch_scores` [N, h, w], `local_score` [N] and `overall_score` [N].

    A patch's score is its distance to the nearest row of the local memory; the local score is the mean of the
    `top_patches` highest. The overall score is the distance of the mean embedding to the nearest row of the overall
    memory. Both after whitening, so they are Mahalanobis distances.

    Args:
        memory: the arrays.
        excludable: take `local_norms`, float32 [m], and `overall_norms`, float32 [n], as inputs instead of constants.
            Infinity in them takes rows out of the memory: leave-one-out is this graph with other norms.
        opset: of the standard operators.

    Source: Roth et al., PatchCore, CVPR 2022, equations 5 and 6 (distance to the nearest row); whitening as in Defard
    et al., PaDiM, 2021, with one covariance for all places. We depart from PatchCore in the score: the mean of a few
    highest patch scores instead of one, re-weighted, and the overall score beside it, which sees what changes a
    picture everywhere a little.
    """
    width = len(memory.local.mean)
    rows, wholes = len(memory.local.memory_bank), len(memory.overall.memory_bank)
    norms = f", float[{rows}] local_norms, float[{wholes}] overall_norms" if excludable else ""
    text = f"""
    patch_head (float[N, h, w, {width}] embedding{norms})
        => (float[N, h, w] patch_scores, float[N] local_score, float[N] overall_score) {{
        patches = Reshape (embedding, one_row_a_patch)
        {_nearest_distance("local", "patches", "distances")}
        places = Shape <end = 3> (embedding)
        patch_scores = Reshape (distances, places)
        flat_scores = Reshape (patch_scores, one_row_a_picture)
        highest, _ = TopK (flat_scores, top_patches)
        local_score = ReduceMean <keepdims = 0> (highest, last_axis)
        mean_embedding = ReduceMean <keepdims = 0> (embedding, place_axes)
        {_nearest_distance("overall", "mean_embedding", "overall_score")}
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "last_axis": np.array([-1], dtype=np.int64),
        "place_axes": np.array([1, 2], dtype=np.int64),
        "one_row_a_patch": np.array([-1, width], dtype=np.int64),
        "one_row_a_picture": np.array([0, -1], dtype=np.int64),
        "top_patches": np.array([memory.top_patches], dtype=np.int64),
    }
    for prefix, part in (("local", memory.local), ("overall", memory.overall)):
        arrays[f"{prefix}_mean"] = part.mean
        arrays[f"{prefix}_whitening"] = part.whitening
        arrays[f"{prefix}_memory_bank"] = part.memory_bank
        if not excludable:
            arrays[f"{prefix}_norms"] = part.row_norms()
    return fragment(text, arrays, opset=opset)


def _nearest_distance(prefix: str, source: str, result: str) -> str:
    """Nodes for the distance of each vector of `source`, [n, d], to the row of the memory nearest to it, [n].

    The nearest row is found by |b|^2 - 2 x.b, one matrix product; the distance to it is then computed from the
    difference itself, since in |x|^2 - 2 x.b + |b|^2 rounding would drown the small distances of near-copies.
    """
    return f"""
        {prefix}_centred = Sub ({source}, {prefix}_mean)
        {prefix}_whitened = MatMul ({prefix}_centred, {prefix}_whitening)
        {prefix}_relative = Gemm <alpha = -2.0, transB = 1> ({prefix}_whitened, {prefix}_memory_bank, {prefix}_norms)
        {prefix}_nearest = ArgMin <axis = 1, keepdims = 0> ({prefix}_relative)
        {prefix}_row = Gather ({prefix}_memory_bank, {prefix}_nearest)
        {prefix}_difference = Sub ({prefix}_whitened, {prefix}_row)
        {result} = ReduceL2 <keepdims = 0> ({prefix}_difference, last_axis)
    """


def combine(balance: Balance, *, opset: int = OPSET) -> onnx.ModelProto:
    """The piece of graph from `local_score` and `overall_score` to `raw_score`, each float32 [N]: a weighted sum."""
    text = """
    combine (float[N] local_score, float[N] overall_score) => (float[N] raw_score) {
        local_part = Mul (local_score, local_weight)
        overall_part = Mul (overall_score, overall_weight)
        raw_score = Add (local_part, overall_part)
    }
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "local_weight": np.array(balance.local, dtype=np.float32),
        "overall_weight": np.array(balance.overall, dtype=np.float32),
    }
    return fragment(text, arrays, opset=opset)
