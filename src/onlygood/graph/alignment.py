"""From `image` to `aligned`: the image as if the part lay where it lies in the golden sample, and the way back of maps.

The aligned image has the size and the type of the image. Where what it should show lies outside the image, it shows
the image mirrored at its border: more of the background, where parts lie on one. It is looked at like all else, as a
part that is not in view cannot be called good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.registration import ANGLE, CORRELATION, DOWN, RIGHT, SMALL, bilinear, registration
from onlygood.graph.subgraph import OPSET, join, subgraph
from onlygood.graph.template import Template

ALIGNED = "aligned"
# Where the part lies in the image, float32 [N, 4]: degrees clockwise, pixels to the right and down, and the correlation
# with the golden sample.
ALIGNMENT = "alignment"
ALIGNED_MAP = "aligned_map"
# Turns and shifts are multiples of one part of so many of a degree and a pixel.
STEPS_A_DEGREE, STEPS_A_PIXEL = 256.0, 64.0
# The motion from places in the aligned image to places in the image, and the one back, float32 [N, 1, 1] each: the
# cosine, what y has of x, what x has of y, and the shift.
_PARTS = ("cos", "y_right", "x_down", "to_right", "to_down")
_FORTH = tuple(f"align_{part}" for part in _PARTS)
_BACK = tuple(f"align_back_{part}" for part in _PARTS)


def small_image(grid: tuple[int, int], *, dtype: np.dtype[Any], opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `image` to SMALL: the mean of its channels on a small grid.

    Args:
        grid: its height and width.
        dtype: uint8 or uint16, of the image.
        opset: of the standard operators.
    """
    text = f"""
    small_image ({np.dtype(dtype).name}[N, H, W, C] image) => (float[N, 1, {grid[0]}, {grid[1]}] {SMALL}) {{
        align_levels = Cast <to = {onnx.TensorProto.FLOAT}> (image)
        align_grey = ReduceMean <keepdims = 0> (align_levels, align_channel_axis)
        align_grey_plane = Unsqueeze (align_grey, align_plane_axis)
        {SMALL} = Resize <antialias = 1, exclude_outside = 1, axes = [2, 3], mode = "linear",
            coordinate_transformation_mode = "half_pixel"> (align_grey_plane, , , align_small_size)
    }}
    """
    arrays: dict[str, NDArray[Any]] = {
        "align_channel_axis": np.array([3], dtype=np.int64),
        "align_plane_axis": np.array([1], dtype=np.int64),
        "align_small_size": np.array(grid, dtype=np.int64),
    }
    return subgraph(text, arrays, opset=opset)


def alignment(template: Template, *, dtype: np.dtype[Any], opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `image` to `aligned`, ALIGNMENT and what `map_of_image` needs.

    Args:
        template: the golden sample.
        dtype: uint8 or uint16, of the image.
        opset: of the standard operators.
    """
    return join(
        small_image(template.grid, dtype=dtype, opset=opset),
        registration(template, opset=opset),
        _motion(template, dtype=dtype, opset=opset),
        _aligned(dtype=dtype, opset=opset),
        outputs=[ALIGNED, ALIGNMENT, *_BACK],
    )


def _motion(template: Template, *, dtype: np.dtype[Any], opset: int) -> onnx.ModelProto:
    """From what `registration` gives to the motion, both ways, and ALIGNMENT.

    A part that is only shifted is shifted by whole pixels, so that levels stay as they are. Other motions are on a
    lattice much finer than they are known: sums in another order give the same motion, and the very same levels.
    """
    text = f"""
    motion ({np.dtype(dtype).name}[N, H, W, C] image,
        float[N, 1] {ANGLE}, float[N, 1] {RIGHT}, float[N, 1] {DOWN}, float[N, 1] {CORRELATION})
        => (float[N, 4] {ALIGNMENT}, {_declared(_FORTH)}, {_declared(_BACK)}) {{
        align_turns = Mul ({ANGLE}, align_turns_each)
        align_whole_turns = Round (align_turns)
        align_turn = Sub (align_turns, align_whole_turns)
        align_degree_steps = Mul (align_turn, align_degree_steps_each)
        align_degree_steps_whole = Round (align_degree_steps)
        align_degrees = Div (align_degree_steps_whole, align_steps_a_degree)
        align_angle_found = Mul (align_degrees, align_radians_each)
        align_cos_flat = Cos (align_angle_found)
        align_sin_flat = Sin (align_angle_found)
        align_cos = Unsqueeze (align_cos_flat, align_last_axis)
        align_sin = Unsqueeze (align_sin_flat, align_last_axis)
        align_sides = Shape <start = 1, end = 3> (image)
        align_sides_levels = Cast <to = {onnx.TensorProto.FLOAT}> (align_sides)
        align_half_sides = Mul (align_sides_levels, align_half)
        align_half_high, align_half_wide = Split <axis = 0, num_outputs = 2> (align_half_sides)
        align_right_found = Mul ({RIGHT}, align_half_wide)
        align_down_found = Mul ({DOWN}, align_half_high)
        align_right_steps = Mul (align_right_found, align_steps_a_pixel)
        align_down_steps = Mul (align_down_found, align_steps_a_pixel)
        align_right_steps_whole = Round (align_right_steps)
        align_down_steps_whole = Round (align_down_steps)
        align_right_pixels = Div (align_right_steps_whole, align_steps_a_pixel)
        align_down_pixels = Div (align_down_steps_whole, align_steps_a_pixel)
        align_right_share = Div (align_right_pixels, align_half_wide)
        align_down_share = Div (align_down_pixels, align_half_high)
        align_to_right = Unsqueeze (align_right_share, align_last_axis)
        align_to_down = Unsqueeze (align_down_share, align_last_axis)
        align_x_down = Mul (align_sin, align_minus_aspect)
        align_y_right = Div (align_sin, align_aspect)
        align_back_cos = Identity (align_cos)
        align_back_x_down = Neg (align_x_down)
        align_back_y_right = Neg (align_y_right)
        align_cos_right = Mul (align_cos, align_to_right)
        align_sin_right = Mul (align_y_right, align_to_right)
        align_cos_down = Mul (align_cos, align_to_down)
        align_sin_down = Mul (align_x_down, align_to_down)
        align_back_to_right = Sub (align_sin_down, align_cos_right)
        align_back_to_down = Sub (align_sin_right, align_cos_down)
        {ALIGNMENT} = Concat <axis = 1> (align_degrees, align_right_pixels, align_down_pixels, {CORRELATION})
    }}
    """
    floats = {
        "align_half": 0.5,
        "align_aspect": template.aspect,
        "align_minus_aspect": -template.aspect,
        "align_turns_each": 1 / (2 * np.pi),
        "align_degree_steps_each": 360.0 * STEPS_A_DEGREE,
        "align_steps_a_degree": STEPS_A_DEGREE,
        "align_radians_each": np.pi / 180,
        "align_steps_a_pixel": 1.0 if template.motion == "translation" else STEPS_A_PIXEL,
    }
    arrays: dict[str, NDArray[Any]] = {name: np.array([value], dtype=np.float32) for name, value in floats.items()}
    arrays["align_last_axis"] = np.array([2], dtype=np.int64)
    return subgraph(text, arrays, opset=opset)


def _declared(motion: Sequence[str]) -> str:
    return ", ".join(f"float[N, 1, 1] {name}" for name in motion)


def _places(name: str, motion: Sequence[str]) -> str:
    """Nodes for where each pixel of an image comes from by a motion.

    `<name>_places`, float32 [N, H, W, 2], is x and y, from -1 to 1 inside.

    Args:
        name: what values begin with.
        motion: names of the values of the motion.
    """
    cos, y_right, x_down, to_right, to_down = motion
    newline = "\n        "
    lines = [f"{name}_first = Squeeze ({name}_no_pixel)", f"{name}_step = Squeeze ({name}_one_pixel)"]
    # Not two parts of one shape: optimisers up to ONNX Runtime 1.20 make two nodes of one name of such pairs.
    for at, axis in (("x", 2), ("y", 1)):
        lines += [
            f"{name}_{at}_side = Shape <start = {axis}, end = {axis + 1}> (image)",
            f"{name}_{at}_count = Squeeze ({name}_{at}_side)",
            f"{name}_{at}_pixels = Range ({name}_first, {name}_{at}_count, {name}_step)",
            f"{name}_{at}_twice = Mul ({name}_{at}_pixels, {name}_two_pixels)",
            f"{name}_{at}_middle = Add ({name}_{at}_twice, {name}_one_pixel)",
            f"{name}_{at}_levels = Cast <to = {onnx.TensorProto.FLOAT}> ({name}_{at}_middle)",
            f"{name}_{at}_size = Cast <to = {onnx.TensorProto.FLOAT}> ({name}_{at}_count)",
            f"{name}_{at}_share = Div ({name}_{at}_levels, {name}_{at}_size)",
            f"{name}_{at} = Sub ({name}_{at}_share, {name}_edge)",
        ]
    lines += [
        f"{name}_y_column = Unsqueeze ({name}_y, {name}_plane_axis)",
        f"{name}_x_of_x = Mul ({cos}, {name}_x)",
        f"{name}_x_shifted = Add ({name}_x_of_x, {to_right})",
        f"{name}_x_of_y = Mul ({x_down}, {name}_y_column)",
        f"{name}_x_found = Add ({name}_x_shifted, {name}_x_of_y)",
        f"{name}_y_of_y = Mul ({cos}, {name}_y_column)",
        f"{name}_y_shifted = Add ({name}_y_of_y, {to_down})",
        f"{name}_y_of_x = Mul ({y_right}, {name}_x)",
        f"{name}_y_found = Add ({name}_y_shifted, {name}_y_of_x)",
        f"{name}_x_last = Unsqueeze ({name}_x_found, {name}_channel_axis)",
        f"{name}_y_last = Unsqueeze ({name}_y_found, {name}_channel_axis)",
        f"{name}_places = Concat <axis = 3> ({name}_x_last, {name}_y_last)",
    ]
    return newline.join(lines)


def _place_arrays(name: str) -> dict[str, NDArray[Any]]:
    """The initializers of `_places` with this name."""
    integers: dict[str, Any] = {
        "no_pixel": [0],
        "one_pixel": [1],
        "two_pixels": [2],
        "plane_axis": [1],
        "channel_axis": [3],
    }
    return {
        **{f"{name}_{each}": np.array(value, dtype=np.int64) for each, value in integers.items()},
        f"{name}_edge": np.array([1.0], dtype=np.float32),
    }


def _aligned(*, dtype: np.dtype[Any], opset: int) -> onnx.ModelProto:
    """From `image` and the motion to ALIGNED, bilinearly.

    The last Reshape changes nothing: ONNX Runtime's optimiser (seen up to 1.31) would move the Transpose before it on
    through what follows, and lose sizes there.
    """
    kind, number = np.dtype(dtype).name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    text = f"""
    aligned ({kind}[N, H, W, C] image, {_declared(_FORTH)})
        => ({kind}[N, H, W, C] {ALIGNED}) {{
        {_places("align_forth", _FORTH)}
        align_planes_of_image = Transpose <perm = [0, 3, 1, 2]> (image)
        align_planes_levels = Cast <to = {onnx.TensorProto.FLOAT}> (align_planes_of_image)
        align_sampled = GridSample <{bilinear(opset)}, padding_mode = "reflection">
            (align_planes_levels, align_forth_places)
        align_rounded = Round (align_sampled)
        align_moved = Cast <to = {number}> (align_rounded)
        align_colours = Transpose <perm = [0, 2, 3, 1]> (align_moved)
        align_image_shape = Shape (image)
        {ALIGNED} = Reshape (align_colours, align_image_shape)
    }}
    """
    return subgraph(text, _place_arrays("align_forth"), opset=opset)


def map_of_image(*, dtype: np.dtype[Any], outside: float, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from `aligned_map`, float32 [N, H, W], and `image` to `anomaly_map`, as the part lies in the image.

    Args:
        dtype: uint8 or uint16, of the image.
        outside: the level of the map for what the aligned image does not show.
        opset: of the standard operators.
    """
    text = f"""
    map_of_image (float[N, H, W] {ALIGNED_MAP}, {np.dtype(dtype).name}[N, H, W, C] image,
        {_declared(_BACK)}) => (float[N, H, W] anomaly_map) {{
        {_places("align_back", _BACK)}
        align_back_x_far = Abs (align_back_x_found)
        align_back_y_far = Abs (align_back_y_found)
        align_back_far = Max (align_back_x_far, align_back_y_far)
        align_back_is_inside = LessOrEqual (align_back_far, align_back_edge)
        align_map_plane = Unsqueeze ({ALIGNED_MAP}, align_back_plane_axis)
        align_map_moved = GridSample <{bilinear(opset)}, padding_mode = "border"> (align_map_plane, align_back_places)
        align_map_flat = Squeeze (align_map_moved, align_back_plane_axis)
        anomaly_map = Where (align_back_is_inside, align_map_flat, align_outside)
    }}
    """
    arrays = {**_place_arrays("align_back"), "align_outside": np.array([outside], dtype=np.float32)}
    return subgraph(text, arrays, opset=opset)
