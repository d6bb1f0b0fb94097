"""From `image` to `view`: the part of an image that a detector is shown, and what of that part it looks at.

Where parts lie differently, the image is aligned to a golden sample first (`onlygood.graph.alignment`).

A view is an image of the same type, cut to the box of the region of interest. Where the region is no box, the view has
one channel more, the last: 0 where nothing is looked at. Whatever lies outside is left out here, before any filter
could carry it further.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onlygood.graph.alignment import ALIGNED, ALIGNED_MAP, ALIGNMENT, alignment, map_of_image
from onlygood.graph.alpha import MASKED, alpha_mask
from onlygood.graph.subgraph import OPSET, join, subgraph
from onlygood.graph.template import Template

VIEW = "view"
# Where the view begins and ends in the image: int64 [2], rows and columns.
BEGIN, END = "view_begin", "view_end"
# The initializers with the level of the map where nothing is looked at.
MAP_OUTSIDE, ALIGN_OUTSIDE = "map_outside", "align_outside"


@dataclass(frozen=True)
class Region:
    """A region of interest: which pixels of an image are looked at, at whatever size the image has.

    Attributes:
        mask: bool [h, w], True where it is looked at; a pixel of an image is what the mask has at its place (nearest,
            as Pillow's NEAREST), and not looked at where one of two that are equally near is not.
    """

    mask: NDArray[np.bool_] = field(repr=False)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of what is looked at, in pixels of the mask."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def is_box(self) -> bool:
        """Whether everything in its box is looked at."""
        top, left, bottom, right = self.box
        return bool(self.mask[top:bottom, left:right].all())

    @property
    def looked_at(self) -> float:
        """Which share of its box is looked at."""
        top, left, bottom, right = self.box
        return float(self.mask[top:bottom, left:right].mean())

    def view_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the view of an image of this height and width, in pixels."""
        top, left, bottom, right = self.box
        height, width = (
            max(1, end * side // length - -(-begin * side // length))
            for begin, end, side, length in zip((top, left), (bottom, right), size, self.mask.shape, strict=True)
        )

        return height, width


def region_view(
    region: Region, *, dtype: np.dtype[np.generic], source: str = "image", has_mask: bool = False, opset: int = OPSET
) -> onnx.ModelProto:
    """The subgraph from an image, [N, H, W, C], to `view`, of the same type, and to BEGIN and END.

    Args:
        region: what is looked at.
        dtype: uint8 or uint16, of the image.
        source: name of the image in the whole graph.
        has_mask: whether the image has a mask already, its last channel; what is not looked at in either is not.
        opset: of the standard operators.
    """
    top, left, bottom, right = region.box
    kind = np.dtype(dtype).name
    cut, masking = VIEW, ""
    if not region.is_box:
        cut = "cut"
        colours, theirs = "cut", "region_mask"
        both = ""
        if has_mask:
            colours, theirs = "cut_colours", "mask_of_both"
            both = f"""
        mask_before = Slice (cut, view_last, view_behind_last, view_channel_axis)
        cut_colours = Slice (cut, view_first, view_last, view_channel_axis)
        mask_before_levels = Cast <to = {onnx.TensorProto.FLOAT}> (mask_before)
        region_mask_levels = Cast <to = {onnx.TensorProto.FLOAT}> (region_mask)
        mask_levels_of_both = Mul (mask_before_levels, region_mask_levels)
        mask_of_both = Cast <to = {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}> (mask_levels_of_both)"""
        # By positions, since ONNX Runtime's optimiser (seen up to 1.31) moves a later transposition through Resize, and
        # loses the sizes there.
        positions = "".join(
            f"""
        {at}_from = Squeeze ({at}_begin)
        {at}_to = Squeeze ({at}_end)
        {at}_step = Squeeze (view_one)
        {at}_pixels = Range ({at}_from, {at}_to, {at}_step)
        {at}_twice = Mul ({at}_pixels, region_two)
        {at}_middle = Add ({at}_twice, view_one)
        {at}_in_mask = Mul ({at}_middle, {at}_region_size)
        {at}_twice_side = Mul ({at}_side, region_two)
        {at}_nearest = Div ({at}_in_mask, {at}_twice_side)
        {at}_before = Sub ({at}_in_mask, view_one)
        {at}_lower = Div ({at}_before, {at}_twice_side)
        {at}s_nearest = Gather <axis = {axis}> ({mask}, {at}_nearest)
        {at}s_lower = Gather <axis = {axis}> ({mask}, {at}_lower)
        mask_{at}s = And ({at}s_nearest, {at}s_lower)"""
            for at, axis, mask in (("row", 1, "is_in_region"), ("column", 2, "mask_rows"))
        )
        masking = f"""
        is_in_region = Cast <to = {onnx.TensorProto.BOOL}> (region){positions}
        typed_mask = Cast <to = {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}> (mask_columns)
        cut_sides = Shape <end = 3> (cut)
        mask_shape = Concat <axis = 0> (cut_sides, view_one)
        region_mask = Expand (typed_mask, mask_shape){both}
        {VIEW} = Concat <axis = 3> ({colours}, {theirs})"""
    text = f"""
    region_view ({kind}[N, H, W, C] image)
        => ({kind}[N, view_H, view_W, view_C] {VIEW}, int64[2] {BEGIN}, int64[2] {END}) {{
        {"".join(_edges(at, axis) for at, axis in (("row", 1), ("column", 2)))}
        {BEGIN} = Concat <axis = 0> (row_begin, column_begin)
        {END} = Concat <axis = 0> (row_end, column_end)
        {cut} = Slice (image, {BEGIN}, {END}, view_axes){masking}
    }}
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "view_one": np.array([1], dtype=np.int64),
        "view_axes": np.array([1, 2], dtype=np.int64),
    }
    for at, begin, end, size in zip(("row", "column"), (top, left), (bottom, right), region.mask.shape, strict=True):
        arrays |= {
            f"{at}_region_begin": np.array([begin], dtype=np.int64),
            f"{at}_region_end": np.array([end], dtype=np.int64),
            f"{at}_region_size": np.array([size], dtype=np.int64),
            f"{at}_region_less_one": np.array([size - 1], dtype=np.int64),
        }
    if not region.is_box:
        arrays |= {
            "region": region.mask[None, :, :, None].astype(np.uint8),
            "region_two": np.array([2], dtype=np.int64),
        }
        if has_mask:
            arrays |= {
                "view_first": np.array([0], dtype=np.int64),
                "view_last": np.array([-1], dtype=np.int64),
                "view_behind_last": np.array([2**31 - 1], dtype=np.int64),
                "view_channel_axis": np.array([3], dtype=np.int64),
            }
    return subgraph(text, arrays, names={"image": source}, opset=opset)


def _edges(at: str, axis: int) -> str:
    """Nodes for where the view begins and ends along one axis of the image.

    Each axis is looked at by itself: optimisers up to ONNX Runtime 1.20 give one name to two nodes where several take a
    vector apart.
    """
    return f"""
        {at}_side = Shape <start = {axis}, end = {axis + 1}> (image)
        {at}_begin_scaled = Mul ({at}_side, {at}_region_begin)
        {at}_begin_to_round = Add ({at}_begin_scaled, {at}_region_less_one)
        {at}_begin_divided = Div ({at}_begin_to_round, {at}_region_size)
        {at}_last_pixel = Sub ({at}_side, view_one)
        {at}_begin = Min ({at}_begin_divided, {at}_last_pixel)
        {at}_end_scaled = Mul ({at}_side, {at}_region_end)
        {at}_end_divided = Div ({at}_end_scaled, {at}_region_size)
        {at}_least_end = Add ({at}_begin, view_one)
        {at}_end = Max ({at}_end_divided, {at}_least_end)"""


def full_size_map(
    dtype: np.dtype[np.generic],
    *,
    source: str = "image",
    has_mask: bool = False,
    is_cut: bool = False,
    outside: float = 0.0,
    image: str = "image",
    name: str = "anomaly_map",
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The subgraph from `patch_scores` [N, h, w] and `image` [N, H, W, C] to `anomaly_map`, float32 [N, H, W].

    Args:
        dtype: uint8 or uint16, of `image`.
        source: what a detector is shown: `image` itself, or a view.
        has_mask: whether the last channel of that is a mask.
        is_cut: whether it is a part of the image, from BEGIN to END.
        outside: the level of the map where nothing is looked at.
        image: the name of the image; the map has its size.
        name: of the map.
        opset: of the standard operators.
    """
    kind = np.dtype(dtype).name
    inputs, sides = f"float[N, h, w] patch_scores, {kind}[N, H, W, C] image", "H, W"
    lines = [
        "map_size = Shape <start = 1, end = 3> (shown)",
        "as_plane = Unsqueeze (patch_scores, plane_axis)",
        'full_plane = Resize <axes = [2, 3], mode = "linear", coordinate_transformation_mode = "half_pixel"> '
        "(as_plane, , , map_size)",
    ]
    plane = "full_plane"
    arrays: dict[str, NDArray[np.generic]] = {"plane_axis": np.array([1], dtype=np.int64)}
    if source != image:
        inputs += f", {kind}[N, shown_H, shown_W, shown_C] shown"
    if has_mask:
        lines += [
            "shown_mask = Slice (shown, map_last, map_behind_last, map_channel_axis)",
            "shown_mask_places = Squeeze (shown_mask, map_channel_axis)",
            "shown_mask_plane = Unsqueeze (shown_mask_places, plane_axis)",
            f"is_in_mask = Cast <to = {onnx.TensorProto.BOOL}> (shown_mask_plane)",
            f"masked_plane = Where (is_in_mask, {plane}, {MAP_OUTSIDE})",
        ]
        plane = "masked_plane"
        arrays |= {
            "map_last": np.array([-1], dtype=np.int64),
            "map_behind_last": np.array([2**31 - 1], dtype=np.int64),
            "map_channel_axis": np.array([3], dtype=np.int64),
        }
    if is_cut:
        inputs += f", int64[2] {BEGIN}, int64[2] {END}"
        lines += [
            "sides_of_image = Shape <start = 1, end = 3> (image)",
            f"behind = Sub (sides_of_image, {END})",
            f"borders = Concat <axis = 0> (map_no_border, {BEGIN}, map_no_border, behind)",
            f"whole_plane = Pad ({plane}, borders, {MAP_OUTSIDE})",
        ]
        plane, sides = "whole_plane", "map_H, map_W"
        arrays["map_no_border"] = np.array([0, 0], dtype=np.int64)
    if has_mask or is_cut:
        arrays[MAP_OUTSIDE] = np.array(outside, dtype=np.float32)
    newline = "\n        "
    text = f"""
    full_size_map ({inputs}) => (float[N, {sides}] anomaly_map) {{
        {newline.join(lines)}
        anomaly_map = Squeeze ({plane}, plane_axis)
    }}
    """
    names = {"image": image, "shown": source, "anomaly_map": name}
    return subgraph(text, arrays, names=names, opset=opset)


def set_outside(mapping: onnx.ModelProto, outside: float) -> None:
    """Put another level of the map, where nothing is looked at, into the end of a graph, in place."""
    for tensor in mapping.graph.initializer:
        if tensor.name in (MAP_OUTSIDE, ALIGN_OUTSIDE):
            shape = tuple(tensor.dims)
            tensor.CopyFrom(numpy_helper.from_array(np.full(shape, outside, dtype=np.float32), tensor.name))


@dataclass(frozen=True)
class View:
    """What a detector is shown of images of a kind, as a graph.

    Attributes:
        dtype: uint8 or uint16, of the images.
        region: of interest; None for everything.
        has_alpha: whether the last channel of the images is transparency, which is not looked at.
        template: the golden sample that images are aligned to; None where they stay as
            they are. Images with transparency cannot be aligned.
    """

    dtype: np.dtype[Any]
    region: Region | None = None
    has_alpha: bool = False
    template: Template | None = None

    @property
    def source(self) -> str:
        """Name of the value that a detector is shown."""
        return VIEW if self.region is not None else self._whole

    @property
    def _whole(self) -> str:
        """Name of the value that shows all of the image."""
        if self.template is not None:
            return ALIGNED
        return MASKED if self.has_alpha else "image"

    @property
    def has_mask(self) -> bool:
        """Whether the last channel of the value that a detector is shown says what is looked at."""
        return self.has_alpha or (self.region is not None and not self.region.is_box)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the graph gives beside the outputs of every model file."""
        return () if self.template is None else (ALIGNMENT,)

    def subgraphs(self, *, opset: int = OPSET) -> list[onnx.ModelProto]:
        """From `image` to that value; none where it is the image itself."""
        found = [alpha_mask(self.dtype, opset=opset)] if self.has_alpha else []
        if self.template is not None:
            found.append(alignment(self.template, dtype=self.dtype, opset=opset))
        if self.region is not None:
            found.append(
                region_view(self.region, dtype=self.dtype, source=self._whole, has_mask=self.has_alpha, opset=opset)
            )
        return found

    def map(self, *, outside: float, opset: int = OPSET) -> onnx.ModelProto:
        """The subgraph from patch scores to a map of the whole image.

        Args:
            outside: its level where nothing is looked at.
            opset: of the standard operators.
        """
        shown = full_size_map(
            self.dtype,
            source=self.source,
            has_mask=self.has_mask,
            is_cut=self.region is not None,
            outside=outside,
            image="image" if self.template is None else ALIGNED,
            name="anomaly_map" if self.template is None else ALIGNED_MAP,
            opset=opset,
        )
        if self.template is None:
            return shown
        return join(shown, map_of_image(dtype=self.dtype, outside=outside, opset=opset), outputs=["anomaly_map"])
