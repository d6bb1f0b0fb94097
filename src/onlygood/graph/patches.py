"""Embeddings of an image's patches: values of the trunk side by side on one grid, each of unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Tap
from onlygood.graph.subgraph import LEAST_NORM, OPSET, in_trunk, subgraph


def patch_embedding(
    taps: Sequence[Tap],
    *,
    input_shape: tuple[int, int],
    grid: tuple[int, int],
    name: str = "embedding",
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from taps to an embedding, float32 [N, h, w, d], d = sum of the taps' channels.

    Each tap is pooled locally (mean of 3 x 3), brought to the grid (by means where the grid divides the tap's size,
    else linearly, with a filter as wide as the reduction) and scaled to unit length at each place; then the taps are
    put side by side.

    Args:
        taps: of the trunk.
        input_shape: height and width of the trunk's input, in pixels.
        grid: h and w.
        name: of the value, an identifier.
        opset: of the standard operators.

    Source: Roth et al., PatchCore, CVPR 2022, section 3.1 (local means, levels side by side). Two departures: the
    grid need not be the finest tap's; and the unit length, which takes out contrast and lets no tap drown the others.
    """
    lines = []
    names = {name: name}
    (height, width), (rows, columns) = input_shape, grid
    for number, tap in enumerate(taps):
        at = f"{name}_tap{number}"
        names[at] = in_trunk(tap.name)
        lines.append(f"{at}_pooled = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> ({at})")
        pooled = f"{at}_pooled"
        size = -(-height // tap.reduction), -(-width // tap.reduction)
        (times, left), (times_across, left_across) = divmod(size[0], rows), divmod(size[1], columns)
        if (left, left_across) == (0, 0) and (times, times_across) != (1, 1):
            lines.append(
                f"{at}_on_grid = AveragePool <kernel_shape = [{times}, {times_across}], "
                f"strides = [{times}, {times_across}]> ({pooled})"
            )
            pooled = f"{at}_on_grid"
        elif size != grid:
            lines.append(
                f'{at}_on_grid = Resize <antialias = 1, axes = [2, 3], mode = "linear", '
                f'coordinate_transformation_mode = "half_pixel"> ({pooled}, , , {name}_grid)'
            )
            pooled = f"{at}_on_grid"
        lines.append(f"{at}_length = ReduceL2 ({pooled}, {name}_channel_axis)")
        lines.append(f"{at}_divisor = Max ({at}_length, {name}_shortest)")
        lines.append(f"{at}_unit = Div ({pooled}, {at}_divisor)")
    inputs = ", ".join(
        f"float[N, {tap.channels}, {name}_h{number}, {name}_w{number}] {name}_tap{number}"
        for number, tap in enumerate(taps)
    )
    channels = sum(tap.channels for tap in taps)
    newline = "\n        "
    text = f"""
    patch_embedding ({inputs}) => (float[N, {rows}, {columns}, {channels}] {name}) {{
        {newline.join(lines)}
        {name}_joined = Concat <axis = 1> ({", ".join(f"{name}_tap{number}_unit" for number in range(len(taps)))})
        {name} = Transpose <perm = [0, 2, 3, 1]> ({name}_joined)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        f"{name}_channel_axis": np.array([1], dtype=np.int64),
        f"{name}_shortest": np.array(LEAST_NORM, dtype=np.float32),
    }
    if f"{name}_grid)" in text:
        arrays[f"{name}_grid"] = np.array(grid, dtype=np.int64)
    return subgraph(text, arrays, names=names, opset=opset)
