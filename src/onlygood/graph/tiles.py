"""Large images in tiles: cut, looked at one after another, and put together again, inside the graph.

ONNX's Scan runs a detector's whole graph on one tile after another, so that memory is bounded by one tile whatever the
image's size, in every runtime that knows Scan. The image's score is that of its most anomalous tile. Tiles overlap; in
the map, each tile's share falls linearly to nothing towards its border with the next, so there are no seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper

from onlygood.graph.bodies import PREFIX
from onlygood.graph.subgraph import OPSET, subgraph

TILE = "tile"
RAW_SCORE = "raw_score"
PATCH_SCORES = "patch_scores"
# What names of values begin with that cut a tile out.
CUT = f"{PREFIX}cut/"

# Of a tile beyond the middle of its last cell, where no other has a share.
LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis.

    Attributes:
        side: pixels of the image that the tiles were laid out for.
        tile: pixels of each tile of such an image.
        starts: where each begins in such an image.
    """

    side: int
    tile: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, side: int, tile: int, overlap: int) -> Axis:
        """Evenly spaced tiles that cover an axis and overlap by at least so many pixels; one where one is enough.

        Args:
            side: pixels of the axis.
            tile: of each, at most `side`.
            overlap: below `tile`.
        """
        count = 1 if tile >= side else -(-(side - overlap) // (tile - overlap))
        starts = tuple(round(number * (side - tile) / max(1, count - 1)) for number in range(count))
        return cls(side, tile, starts)

    def cuts(self, side: int) -> list[tuple[int, int]]:
        """Where each tile begins and ends in an image that has another length along this axis: as the graph has it."""
        length = -(-self.tile * side // self.side)
        begins = [min(start * side // self.side, side - length) for start in self.starts]
        return [(begin, begin + length) for begin in begins]

    def blending(self, cells: int) -> NDArray[np.float32]:
        """How cells of the tiles become cells of the whole image, float32 [whole, tiles * cells]; rows sum to 1.

        A cell of the whole image is between the two cells of each tile that are nearest to it, linearly; of tiles that
        overlap there, one counts the less the nearer its border is.

        Args:
            cells: of each tile.
        """
        size = self.tile / cells
        whole = max(cells, round(self.side / size))
        middles = (np.arange(whole) + 0.5) * self.side / whole
        weights = np.zeros((whole, len(self.starts), cells))
        for number, start in enumerate(self.starts):
            inside = middles - start
            # At the image's own border nothing else counts, so a tile there counts fully.
            left = np.inf if number == 0 else inside
            right = np.inf if number == len(self.starts) - 1 else self.tile - inside
            share = np.clip(np.minimum(left, right), 0.0, self.tile)
            # Beyond the middle of its last cell a tile knows nothing of its own.
            share = np.maximum(share - size / 2, LEAST_SHARE * share)
            at = np.clip(inside / size - 0.5, 0.0, cells - 1.0)
            lower = np.minimum(np.floor(at).astype(int), max(0, cells - 2))
            upper = np.minimum(lower + 1, cells - 1)
            every = np.arange(whole)
            weights[every, number, lower] += share * (1.0 - (at - lower))
            weights[every, number, upper] += share * (at - lower)
        flat = weights.reshape(whole, -1)
        blending: NDArray[np.float32] = (flat / flat.sum(axis=1, keepdims=True)).astype(np.float32)
        return blending


@dataclass(frozen=True)
class Tiling:
    """How images are cut into tiles: rows of them, from the top, each from the left.

    Attributes:
        rows: the tiles along the height.
        columns: the tiles along the width.
        places: which of them are looked at, by their places in that order.
    """

    rows: Axis
    columns: Axis
    places: tuple[int, ...]

    @classmethod
    def of(
        cls, size: tuple[int, int], tile: int, overlap: int, *, looked_at: NDArray[np.bool_] | None = None
    ) -> Tiling:
        """Square tiles, or as much of one as there is, for images of this height and width.

        Args:
            size: height and width of the images.
            tile: pixels of a side.
            overlap: of neighbouring tiles, in pixels, at least.
            looked_at: bool [h, w], at any scale: tiles where it is False everywhere are left out; none unless given.
        """
        rows, columns = (Axis.of(side, min(tile, side), min(overlap, side - 1)) for side in size)
        everything = cls(rows, columns, tuple(range(len(rows.starts) * len(columns.starts))))
        if looked_at is None:
            return everything
        shape = (looked_at.shape[0], looked_at.shape[1])
        boxes = everything.boxes(shape)
        kept = [
            place
            for place, (top, left, bottom, right) in enumerate(boxes)
            # A pixel more on each side, as sides are rounded at other scales.
            if looked_at[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1].any()
        ]
        return cls(rows, columns, tuple(kept))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a tile, in pixels of an image of the size that they were laid out for."""
        return self.rows.tile, self.columns.tile

    def boxes(self, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """Top, left, bottom and right of each tile in an image of this height and width."""
        down, across = self.rows.cuts(size[0]), self.columns.cuts(size[1])
        every = [(top, left, bottom, right) for top, bottom in down for left, right in across]
        return [every[place] for place in self.places]

    @property
    def starts(self) -> list[tuple[int, int]]:
        """Top and left of each tile in an image of the size that they were laid out for."""
        every = [(row, column) for row in self.rows.starts for column in self.columns.starts]
        return [every[place] for place in self.places]


def tiled(
    inner: onnx.ModelProto,
    tiling: Tiling,
    grid: tuple[int, int],
    *,
    source: str,
    dtype: np.dtype[np.generic],
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from an image to `raw_score` [N] and `patch_scores` [N, h, w], by way of its tiles.

    Args:
        inner: the graph from TILE, [N, H, W, C], to RAW_SCORE and PATCH_SCORES, both of one tile.
        tiling: how images are cut.
        grid: height and width of a tile's map, in cells.
        source: name of the image in the whole graph.
        dtype: uint8 or uint16, of the image.
        opset: of the standard operators.
    """
    inner = compose.add_prefix(inner, PREFIX)
    body = onnx.GraphProto(name="tile")
    body.input.extend(helper.make_tensor_value_info(f"{CUT}{at}", TensorProto.INT64, [1]) for at in ("top", "left"))
    body.node.extend(
        [
            helper.make_node("Add", [f"{CUT}top", "tile_height"], [f"{CUT}rows"]),
            helper.make_node("Add", [f"{CUT}left", "tile_width"], [f"{CUT}columns"]),
            helper.make_node("Gather", [source, f"{CUT}rows"], [f"{CUT}band"], axis=1),
            helper.make_node("Gather", [f"{CUT}band", f"{CUT}columns"], [f"{PREFIX}{TILE}"], axis=2),
        ]
    )
    body.node.extend(inner.graph.node)
    body.initializer.extend(inner.graph.initializer)
    outputs = {value.name: value for value in inner.graph.output}
    score, maps = (outputs[f"{PREFIX}{name}"] for name in (RAW_SCORE, PATCH_SCORES))
    body.output.extend([score, maps])
    cutting = _cutting(tiling, source=source, dtype=dtype, opset=opset)
    scan = helper.make_node(
        "Scan", ["tile_tops", "tile_lefts"], ["tile_scores", "tile_maps"], body=body, num_scan_inputs=2
    )
    cutting.graph.node.append(scan)
    count = len(tiling)
    cutting.graph.output.extend(
        [
            helper.make_tensor_value_info("tile_scores", TensorProto.FLOAT, [count, "N"]),
            helper.make_tensor_value_info("tile_maps", TensorProto.FLOAT, [count, "N", *grid]),
        ]
    )
    return cutting


def _cutting(tiling: Tiling, *, source: str, dtype: np.dtype[np.generic], opset: int) -> onnx.ModelProto:
    """The subgraph from an image to where its tiles are: their tops and lefts, int64 [n, 1], heights and widths."""
    text = f"""
    cutting ({np.dtype(dtype).name}[N, H, W, C] image)
        => (int64[n, 1] tile_tops, int64[n, 1] tile_lefts, int64[tile_H] tile_height, int64[tile_W] tile_width) {{
        {_along("height", "top", 1)}
        {_along("width", "left", 2)}
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "tile_zero": np.array([0], dtype=np.int64),
        "tile_one": np.array([1], dtype=np.int64),
    }
    for number, (length, begin, axis) in enumerate((("height", "top", tiling.rows), ("width", "left", tiling.columns))):
        arrays |= {
            f"{length}_of_tile": np.array([axis.tile], dtype=np.int64),
            f"{length}_of_image": np.array([axis.side], dtype=np.int64),
            f"{length}_less_one": np.array([axis.side - 1], dtype=np.int64),
            f"{begin}_starts": np.array([[start[number]] for start in tiling.starts], dtype=np.int64),
        }
    model = subgraph(text, arrays, names={"image": source}, opset=opset)
    del model.graph.output[:]
    return model


def _along(length: str, begin: str, axis: int) -> str:
    """Nodes for the pixels of a tile from its begin, and for the begins of all of them, along one axis of the image."""
    return f"""{length}_side = Shape <start = {axis}, end = {axis + 1}> (image)
        {length}_scaled = Mul ({length}_side, {length}_of_tile)
        {length}_to_round = Add ({length}_scaled, {length}_less_one)
        {length}_pixels = Div ({length}_to_round, {length}_of_image)
        {length}_from = Squeeze (tile_zero)
        {length}_to = Squeeze ({length}_pixels)
        {length}_step = Squeeze (tile_one)
        tile_{length} = Range ({length}_from, {length}_to, {length}_step)
        {begin}_scaled = Mul ({begin}_starts, {length}_side)
        {begin}_rounded = Div ({begin}_scaled, {length}_of_image)
        {begin}_last = Sub ({length}_side, {length}_pixels)
        tile_{begin}s = Min ({begin}_rounded, {begin}_last)"""


def assembled(tiling: Tiling, grid: tuple[int, int], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `tile_scores` [n, N] and `tile_maps` [n, N, h, w] to `raw_score` [N], the highest, and
    `patch_scores` [N, H, W] of the whole image, in cells.

    Args:
        tiling: how images are cut.
        grid: height and width of a tile's map, in cells.
        opset: of the standard operators.
    """
    rows, columns = tiling.rows.blending(grid[0]), tiling.columns.blending(grid[1])
    down, across, count = len(tiling.rows.starts), len(tiling.columns.starts), len(tiling)
    # Where a tile was left out, another stands, whose part of the map is not looked at.
    arrangement = np.zeros(down * across, dtype=np.int64)
    arrangement[list(tiling.places)] = np.arange(count)
    is_whole = count == down * across
    arranging = "" if is_whole else "tiles_in_place = Gather <axis = 0> (tile_maps, tile_arrangement)"
    text = f"""
    assembled (float[n, N] tile_scores, float[n, N, {grid[0]}, {grid[1]}] tile_maps)
        => (float[N] {RAW_SCORE}, float[N, {len(rows)}, {len(columns)}] {PATCH_SCORES}) {{
        {RAW_SCORE} = ReduceMax <keepdims = 0> (tile_scores, tile_axis)
        {arranging}
        maps_in_rows = Reshape ({"tile_maps" if is_whole else "tiles_in_place"}, tile_rows_and_columns)
        maps_side_by_side = Transpose <perm = [2, 0, 3, 1, 4]> (maps_in_rows)
        maps_as_one = Reshape (maps_side_by_side, tiles_as_one)
        blended_across = MatMul (maps_as_one, blend_columns)
        {PATCH_SCORES} = MatMul (blend_rows, blended_across)
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "tile_axis": np.array([0], dtype=np.int64),
        "tile_rows_and_columns": np.array([down, across, -1, *grid], dtype=np.int64),
        "tiles_as_one": np.array([-1, down * grid[0], across * grid[1]], dtype=np.int64),
        "blend_rows": rows,
        "blend_columns": np.ascontiguousarray(columns.T),
    }
    if not is_whole:
        arrays["tile_arrangement"] = arrangement
    return subgraph(text, arrays, opset=opset)
