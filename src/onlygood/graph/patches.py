"""Embeddings of an image's patches: values of the trunk side by side on one grid, each of unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.backbones.backbone import Tap
from onlygood.graph.preprocess import LOOK
from onlygood.graph.subgraph import LEAST_NORM, OPSET, in_trunk, subgraph

# A cell of whose pixels a smaller share is looked at is not: more than the rounding of the filters.
LEAST_COVERAGE = 1e-3


def patch_embedding(
    taps: Sequence[Tap],
    *,
    input_shape: tuple[int, int],
    grid: tuple[int, int],
    name: str = "embedding",
    has_mask: bool = False,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from taps to an embedding, float32 [N, h, w, d], d = sum of the taps' channels.

    Each tap is pooled locally (mean of 3 x 3), brought to the grid (by means where the grid divides the tap's size,
    else linearly, with a filter as wide as the reduction) and scaled to unit length at each place; then the taps are
    put side by side.

    With a mask, patches of which nothing is looked at are zero vectors, which no others are, and `<name>_cells`,
    float32 [N, 1, h, w], is 0 there and else 1.

    Args:
        taps: of the trunk.
        input_shape: height and width of the trunk's input, in pixels.
        grid: h and w.
        name: of the value, an identifier.
        has_mask: whether there is a mask, as LOOK of `onlygood.graph.preprocess`.
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
    joined, cells = f"{name}_joined", ""
    lines.append(
        f"{joined} = Concat <axis = 1> ({', '.join(f'{name}_tap{number}_unit' for number in range(len(taps)))})"
    )
    if has_mask:
        inputs += f", float[N, 1, {name}_H, {name}_W] {LOOK}"
        cells = f", float[N, 1, {rows}, {columns}] {name}_cells"
        lines.append(looked_at_cells(f"{name}_cells", f"{name}_grid"))
        lines.append(f"{name}_looked_at = Mul ({joined}, {name}_cells)")
        joined = f"{name}_looked_at"
    text = f"""
    patch_embedding ({inputs}) => (float[N, {rows}, {columns}, {channels}] {name}{cells}) {{
        {newline.join(lines)}
        {name} = Transpose <perm = [0, 2, 3, 1]> ({joined})
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        f"{name}_channel_axis": np.array([1], dtype=np.int64),
        f"{name}_shortest": np.array(LEAST_NORM, dtype=np.float32),
    }
    if has_mask:
        arrays[f"{name}_cells_least"] = np.array(LEAST_COVERAGE, dtype=np.float32)
    if f"{name}_grid)" in text:
        arrays[f"{name}_grid"] = np.array(grid, dtype=np.int64)
    return subgraph(text, arrays, names=names, opset=opset)


def looked_at_cells(cells: str, grid: str) -> str:
    """Nodes for 1 at each cell of which something is looked at, else 0: float32 [N, 1, h, w], from LOOK.

    Args:
        cells: name of the value; `<cells>_least`, an initializer, is LEAST_COVERAGE.
        grid: name of the initializer with h and w.
    """
    return f"""{cells}_coverage = Resize <antialias = 1, exclude_outside = 1, axes = [2, 3], mode = "linear",
            coordinate_transformation_mode = "half_pixel"> ({LOOK}, , , {grid})
        {cells}_are_covered = Greater ({cells}_coverage, {cells}_least)
        {cells} = Cast <to = {onnx.TensorProto.FLOAT}> ({cells}_are_covered)"""
