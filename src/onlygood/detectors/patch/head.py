"""The patch-memory head: from taps to the embeddings of several levels, from these to patch scores and a raw score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.subgraph import OPSET, subgraph

# How many of the banks' scores, the highest, are averaged into the image's score.
HIGHEST_BANKS = 2


@dataclass(frozen=True)
class Memory:
    """Rows to be near to, and the whitening that says what near is.

    Attributes:
        mean: float32 [d], of what is remembered.
        whitening: float32 [d, q]: (x - mean) @ whitening has uncorrelated coordinates of about unit variance.
        memory_bank: float32 [m, q], whitened.
    """

    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    memory_bank: NDArray[np.float32]


@dataclass(frozen=True)
class Bank:
    """One memory of a patch-memory detector, and what it is asked.

    Attributes:
        name: a prefix of its values in the graph, an identifier.
        embedding: name of the value, float32 [N, h, w, d], whose vectors are compared with the memory.
        memory: the arrays.
        top_patches: how many of an image's highest patch scores are averaged into its score.
        has_mask: whether vectors may be zero where nothing is looked at; then their scores are 0.
    """

    name: str
    embedding: str
    memory: Memory
    top_patches: int
    has_mask: bool = False

    @property
    def score(self) -> str:
        """Name of the image's score by this bank, float32 [N]."""
        return f"{self.name}_score"

    @property
    def patch_scores(self) -> str:
        """Name of the patch scores by this bank, float32 [N, h, w]."""
        return f"{self.name}_patch_scores"


@dataclass(frozen=True)
class Windows:
    """Evenly spaced windows along one axis of a patch grid, which together cover it.

    Attributes:
        count: how many.
        size: patches of each.
        stride: patches from the begin of one to the begin of the next.
    """

    count: int
    size: int
    stride: int

    @classmethod
    def along(cls, patches: int, size: float) -> Windows:
        """Windows of about this size along so many patches, each overlapping the next by a third or more.

        They begin and end at whole patches, which may make the overlap smaller than that, by less than two patches.
        """
        size = max(1.0, size)
        if size >= patches:
            return cls(count=1, size=patches, stride=1)
        count = 1 + int(np.ceil(1.5 * (patches - size) / size - 1e-9))
        count = min(count, patches)
        # No stride longer than a window: no patch is left out between two.
        stride = min(max(1, (patches - int(size)) // (count - 1)), int(size))
        return cls(count=count, size=patches - (count - 1) * stride, stride=stride)


def region_embedding(
    source: str,
    rows: Windows,
    columns: Windows,
    *,
    name: str = "regions",
    has_mask: bool = False,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from an embedding [N, h, w, d] to its means over windows, float32 [N, r, s, d].

    What changes a whole region of an image a little is lost among the variation of single patches; the mean over a
    window varies less, so it shows.

    Args:
        source: name of the embedding.
        rows: the windows along h.
        columns: the windows along w.
        name: of the value, an identifier.
        has_mask: whether there is `<source>_cells`: then means are of what is looked at, and zero where nothing is.
        opset: of the standard operators.
    """
    pool = f"AveragePool <kernel_shape = [{rows.size}, {columns.size}], strides = [{rows.stride}, {columns.stride}]>"
    cells, means, dividing = "", f"{name}_means", ""
    arrays: dict[str, NDArray[np.generic]] = {}
    if has_mask:
        cells, means = f", float[N, 1, {name}_h, {name}_w] cells", f"{name}_of_cells"
        # Where nothing is looked at, 0 is divided by less than one cell's share.
        arrays[f"{name}_least_share"] = np.array(0.5 / (rows.size * columns.size), dtype=np.float32)
        dividing = f"""
        {name}_shares = {pool} (cells)
        {name}_divisors = Max ({name}_shares, {name}_least_share)
        {means} = Div ({name}_means, {name}_divisors)"""
    text = f"""
    region_embedding (float[N, {name}_h, {name}_w, d] source{cells})
        => (float[N, {rows.count}, {columns.count}, d] {name}) {{
        {name}_planes = Transpose <perm = [0, 3, 1, 2]> (source)
        {name}_means = {pool} ({name}_planes){dividing}
        {name} = Transpose <perm = [0, 2, 3, 1]> ({means})
    }}
    """
    return subgraph(text, arrays, names={"source": source, "cells": f"{source}_cells"}, opset=opset)


def patch_head(bank: Bank, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from a bank's embedding to its patch scores [N, h, w] and its score [N].

    A patch's score is its distance to the nearest row of the memory after whitening, a Mahalanobis distance; the
    image's score is the mean of the `top_patches` highest.

    Args:
        bank: the arrays.
        opset: of the standard operators.

    Source: Roth et al., PatchCore, CVPR 2022, equations 5 and 6 (distance to the nearest row); whitening as in Defard
    et al., PaDiM, 2021, with one covariance for all places. We depart from PatchCore in the image's score: the mean of
    a few highest patch scores instead of one, re-weighted.
    """
    name = bank.name
    width = len(bank.memory.mean)
    scores, masking = f"{name}_distances", ""
    if bank.has_mask:
        scores = f"{name}_seen_distances"
        masking = f"""
        {name}_sizes = Abs ({name}_patches)
        {name}_largest = ReduceMax <keepdims = 0> ({name}_sizes, {name}_last_axis)
        {name}_are_seen = Greater ({name}_largest, {name}_nothing)
        {scores} = Where ({name}_are_seen, {name}_distances, {name}_nothing)"""
    text = f"""
    patch_head (float[N, {name}_h, {name}_w, {width}] source)
        => (float[N, {name}_h, {name}_w] {bank.patch_scores}, float[N] {bank.score}) {{
        {name}_patches = Reshape (source, {name}_one_row_a_patch)
        {_nearest_distance(name, f"{name}_patches", f"{name}_distances")}{masking}
        {name}_places = Shape <end = 3> (source)
        {bank.patch_scores} = Reshape ({scores}, {name}_places)
        {name}_flat = Reshape ({bank.patch_scores}, {name}_one_row_an_image)
        {name}_highest, {name}_where = TopK ({name}_flat, {name}_top_patches)
        {bank.score} = ReduceMean <keepdims = 0> ({name}_highest, {name}_last_axis)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        f"{name}_last_axis": np.array([-1], dtype=np.int64),
        f"{name}_one_row_a_patch": np.array([-1, width], dtype=np.int64),
        f"{name}_one_row_an_image": np.array([0, -1], dtype=np.int64),
        f"{name}_top_patches": np.array([bank.top_patches], dtype=np.int64),
        **memory_arrays(bank),
    }
    if bank.has_mask:
        arrays[f"{name}_nothing"] = np.array(0.0, dtype=np.float32)
    return subgraph(text, arrays, names={"source": bank.embedding}, opset=opset)


def memory_arrays(bank: Bank) -> dict[str, NDArray[np.float32]]:
    """The initializers of `patch_head` that are a bank's memory, by their names in the graph."""
    name, memory = bank.name, bank.memory
    return {
        f"{name}_mean": memory.mean,
        f"{name}_whitening": memory.whitening,
        f"{name}_memory_bank": memory.memory_bank,
        f"{name}_norms": np.einsum("mq,mq->m", memory.memory_bank, memory.memory_bank),
    }


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
        {result} = ReduceL2 <keepdims = 0> ({prefix}_difference, {prefix}_last_axis)
    """


@dataclass(frozen=True)
class Unit:
    """In which a bank's scores are compared with those of other banks: (score - center) / scale."""

    center: float
    scale: float


def combine_scores(banks: Sequence[Bank], units: Sequence[Unit], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from the banks' scores to `raw_score`, float32 [N]: the mean of the highest, each in its unit.

    HIGHEST_BANKS of them are averaged: a defect is far from good images at its own level and at one beside it, where
    what is odd at a single level is often harmless.

    Args:
        banks: at least one.
        units: of each.
        opset: of the standard operators.
    """
    inputs = ", ".join(f"float[N] {bank.score}" for bank in banks)
    lines = [
        line
        for bank in banks
        for line in (
            f"{bank.name}_excess = Sub ({bank.score}, {bank.name}_center)",
            f"{bank.name}_in_units = Div ({bank.name}_excess, {bank.name}_scale)",
            f"{bank.name}_column = Unsqueeze ({bank.name}_in_units, bank_axis)",
        )
    ]
    newline = "\n        "
    text = f"""
    combine_scores ({inputs}) => (float[N] raw_score) {{
        {newline.join(lines)}
        columns = Concat <axis = 1> ({", ".join(f"{bank.name}_column" for bank in banks)})
        highest, which = TopK (columns, highest_banks)
        raw_score = ReduceMean <keepdims = 0> (highest, bank_axis)
    }}
    """
    arrays = _unit_arrays(banks, units, "")
    arrays["bank_axis"] = np.array([1], dtype=np.int64)
    arrays["highest_banks"] = np.array([min(HIGHEST_BANKS, len(banks))], dtype=np.int64)
    return subgraph(text, arrays, opset=opset)


def combine_maps(
    banks: Sequence[Bank], units: Sequence[Unit], grid: tuple[int, int], *, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from the banks' patch scores to `patch_scores`, float32 [N, h, w]: the mean over the banks at
    each place, each in its unit.

    The mean, unlike the highest, is high only where several levels agree, so it marks defects more sharply. A region's
    score lies at the middle of its window.

    Args:
        banks: at least one.
        units: of each.
        grid: h and w; maps of other sizes are resized linearly.
        opset: of the standard operators.
    """
    inputs = ", ".join(f"float[N, {bank.name}_h, {bank.name}_w] {bank.patch_scores}" for bank in banks)
    lines = []
    for bank in banks:
        at = bank.name
        known = bank.patch_scores
        if bank.has_mask:
            # Where nothing is looked at the map is what is typical of good images.
            known = f"{at}_map_known"
            lines += [
                f"{at}_map_is_seen = Greater ({bank.patch_scores}, {at}_map_nothing)",
                f"{known} = Where ({at}_map_is_seen, {bank.patch_scores}, {at}_map_center)",
            ]
        lines += [
            f"{at}_plane = Unsqueeze ({known}, map_axis)",
            f'{at}_on_map = Resize <axes = [2, 3], mode = "linear", coordinate_transformation_mode = "half_pixel"> '
            f"({at}_plane, , , map_grid)",
            f"{at}_map_excess = Sub ({at}_on_map, {at}_map_center)",
            f"{at}_map_in_units = Div ({at}_map_excess, {at}_map_scale)",
        ]
    newline = "\n        "
    text = f"""
    combine_maps ({inputs}) => (float[N, {grid[0]}, {grid[1]}] patch_scores) {{
        {newline.join(lines)}
        mean_map = Mean ({", ".join(f"{bank.name}_map_in_units" for bank in banks)})
        patch_scores = Squeeze (mean_map, map_axis)
    }}
    """
    arrays = _unit_arrays(banks, units, "map_")
    arrays |= {f"{bank.name}_map_nothing": np.array(0.0, dtype=np.float32) for bank in banks if bank.has_mask}
    arrays["map_axis"] = np.array([1], dtype=np.int64)
    arrays["map_grid"] = np.array(grid, dtype=np.int64)
    return subgraph(text, arrays, opset=opset)


def _unit_arrays(banks: Sequence[Bank], units: Sequence[Unit], prefix: str) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {}
    for bank, unit in zip(banks, units, strict=True):
        arrays[f"{bank.name}_{prefix}center"] = np.array(unit.center, dtype=np.float32)
        arrays[f"{bank.name}_{prefix}scale"] = np.array(unit.scale, dtype=np.float32)
    return arrays
