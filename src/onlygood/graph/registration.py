"""From a small image to where the part lies in it, compared with the golden sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.graph.subgraph import OPSET, subgraph
from onlygood.graph.template import (
    ANGLES,
    CANDIDATES,
    GOLDEN,
    LIGHT,
    MOST_DEGREES,
    MOST_SHIFT,
    REDUCED,
    SMOOTHED,
    Template,
    motion_columns,
    places,
    reduced,
    search_arrays,
    smoothing,
    window,
)

# Its bands, float32 [N, h, w], roughly and finely.
BANDS = ("align_band_0", "align_band_1")
# What is compared: float32 [N, 1, h, w], grey.
SMALL = "align_small"
# Clockwise angle in radians, shift to the right and down in half sides, float32 [N, 1]; correlation, float32 [N, 1].
ANGLE, RIGHT, DOWN, CORRELATION = "align_angle", "align_right", "align_down", "align_correlation"
# How often the place is corrected by each band.
STEPS = (4, 4)
# Solving for the weights that are there, in so many steps of Newton's.
_INVERTING = 3
# A step corrects by no more: radians, half sides.
_MOST_TURN, _MOST_STEP = 0.06, 0.05


def bilinear(opset: int) -> str:
    """The attributes of GridSample for bilinear sampling, whose name of a mode changed."""
    return f'mode = "{"linear" if opset >= 20 else "bilinear"}", align_corners = 0'


def registration(template: Template, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from SMALL to ANGLE, RIGHT, DOWN and CORRELATION.

    The image is compared with the golden sample at every angle and shift of a lattice, by the product of their
    spectra. From the best few angles the place is then corrected step by step, as the golden sample's changes under
    small motions explain the difference: by least squares, in which what lies out of view has no weight and what
    differs much, as a defect does, little. The light may differ by a gain and an offset. Of the candidates, the one
    that correlates best with the golden sample is kept and corrected finely.

    Args:
        template: the golden sample.
        opset: of the standard operators.
    """
    (height, width), turns = template.grid, template.motion == "rigid"
    count = CANDIDATES if turns else 1
    at = _Place("align_angle_0", "align_right_0", "align_down_0")
    lines = ["align_plain = Squeeze (align_small, align_one)", *_bands()]
    lines += [*_search(), *_candidates(count), *_repeated(count)]
    at, more = _registered(0, at, template, opset)
    lines += more
    if count > 1:
        at, more = _best(at, opset)
        lines += more
    at, more = _registered(1, at, template, opset)
    lines += [*more, *_correlated("align_end", at, "align_fine", opset)]
    lines += [
        f"{ANGLE} = Identity ({at.angle})",
        f"{RIGHT} = Identity ({at.right})",
        f"{DOWN} = Identity ({at.down})",
        f"{CORRELATION} = Identity (align_end_correlation)",
    ]
    newline = "\n        "
    text = f"""
    registration (float[N, 1, {height}, {width}] align_small)
        => (float[N, 1] align_angle, float[N, 1] align_right, float[N, 1] align_down, float[N, 1] align_correlation) {{
        {newline.join(lines)}
    }}
    """
    return subgraph(text, {**_arrays(template), **_search_arrays(template, count)}, opset=opset)


def band_graph(grid: tuple[int, int], *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from SMALL to BANDS, float32 [N, h, w] each: smoothed and without light, as in a template."""
    height, width = grid
    newline = "\n        "
    lines = ["align_plain = Squeeze (align_small, align_one)", *_bands()]
    sizes = [tuple(reduced(side, times) for side in grid) for times in REDUCED]
    outputs = ", ".join(f"float[N, {high}, {wide}] {name}" for name, (high, wide) in zip(BANDS, sizes, strict=True))
    text = f"""
    bands (float[N, 1, {height}, {width}] align_small) => ({outputs}) {{
        {newline.join(lines)}
    }}
    """
    return subgraph(text, _band_arrays(grid), opset=opset)


def shown_graph(template: Template, *, opset: int = OPSET) -> onnx.ModelProto:
    """The subgraph from SMALL, ANGLE, RIGHT and DOWN to `align_shown` and `align_shown_weights`, float32 [N, 1, h * w].

    That is what an image shows as the golden sample lies, and the weights of its points.
    """
    height, width = template.grid
    newline = "\n        "
    lines = _warped("align_seen", _Place(ANGLE, RIGHT, DOWN), 1, "align_fine", opset)
    text = f"""
    shown (float[N, 1, {height}, {width}] align_small, float[N, 1] {ANGLE}, float[N, 1] {RIGHT}, float[N, 1] {DOWN})
        => (float[N, 1, {height * width}] align_shown, float[N, 1, {height * width}] align_shown_weights) {{
        align_plain = Squeeze (align_small, align_one)
        {newline.join([*_bands(), *_repeated(1), *lines])}
        align_shown = Identity (align_seen_levels)
        align_shown_weights = Identity (align_seen_weights)
    }}
    """
    return subgraph(text, _arrays(template), opset=opset)


class _Place:
    """Names of the values that say where the parts lie in the candidates."""

    def __init__(self, angle: str, right: str, down: str) -> None:
        self.angle, self.right, self.down = angle, right, down


def _bands() -> list[str]:
    lines = []
    for level in range(len(BANDS)):
        for name in ("smooth", "light"):
            lines += [
                f"align_{name}_y_{level} = MatMul (align_{name}_rows_{level}, align_plain)",
                f"align_{name}_{level} = MatMul (align_{name}_y_{level}, align_{name}_columns_{level})",
            ]
        lines.append(f"{BANDS[level]} = Sub (align_smooth_{level}, align_light_{level})")
    return lines


def _search() -> list[str]:
    """Correlations with the golden sample at all angles and shifts, [N, k, sy, sx]."""
    return [
        "align_windowed = Mul (align_band_1, align_window_plane)",
        "align_u = MatMul (align_windowed, align_x_cos)",
        "align_v = MatMul (align_windowed, align_x_sin)",
        "align_cu = MatMul (align_y_cos, align_u)",
        "align_sv = MatMul (align_y_sin, align_v)",
        "align_su = MatMul (align_y_sin, align_u)",
        "align_cv = MatMul (align_y_cos, align_v)",
        "align_re_one = Sub (align_cu, align_sv)",
        "align_im_one = Add (align_su, align_cv)",
        "align_re = Unsqueeze (align_re_one, align_one)",
        "align_im = Unsqueeze (align_im_one, align_one)",
        "align_rr = Mul (align_re, align_spectra_re)",
        "align_ii = Mul (align_im, align_spectra_im)",
        "align_ir = Mul (align_im, align_spectra_re)",
        "align_ri = Mul (align_re, align_spectra_im)",
        "align_product_re = Add (align_rr, align_ii)",
        "align_product_im = Sub (align_ir, align_ri)",
        "align_back_cr = MatMul (align_to_y_cos, align_product_re)",
        "align_back_si = MatMul (align_to_y_sin, align_product_im)",
        "align_back_sr = MatMul (align_to_y_sin, align_product_re)",
        "align_back_ci = MatMul (align_to_y_cos, align_product_im)",
        "align_back_re = Sub (align_back_cr, align_back_si)",
        "align_back_im = Add (align_back_sr, align_back_ci)",
        "align_real = MatMul (align_back_re, align_to_x_cos)",
        "align_imaginary = MatMul (align_back_im, align_to_x_sin)",
        "align_found = Sub (align_real, align_imaginary)",
        "align_by_angle = Reshape (align_found, align_by_angle_shape)",
        "align_best_0 = ReduceMax <keepdims = 0> (align_by_angle, align_two)",
        "align_best_at = ArgMax <axis = 2, keepdims = 0> (align_by_angle)",
    ]


def _candidates(count: int) -> list[str]:
    """The best angles, each away from those before, with the best shift of each: [N * count, 1]."""
    lines = []
    for number in range(count):
        lines.append(f"align_angle_at_{number} = ArgMax <axis = 1, keepdims = 1> (align_best_{number})")
        if number + 1 < count:
            lines += [
                f"align_near_{number} = Gather <axis = 0> (align_neighbours, align_angle_at_{number})",
                f"align_nearby_{number} = Squeeze (align_near_{number}, align_one)",
                f"align_best_{number + 1} = Add (align_best_{number}, align_nearby_{number})",
            ]
    every = ", ".join(f"align_angle_at_{number}" for number in range(count))
    return [
        *lines,
        f"align_angles_at = Concat <axis = 1> ({every})",
        "align_shifts_at = GatherElements <axis = 1> (align_best_at, align_angles_at)",
        "align_angles_column = Reshape (align_angles_at, align_column)",
        "align_shifts_column = Reshape (align_shifts_at, align_column)",
        "align_down_at = Div (align_shifts_column, align_shift_count)",
        "align_right_at = Mod (align_shifts_column, align_shift_count)",
        f"align_angle_0 = Gather <axis = 0> ({ANGLES}, align_angles_column)",
        "align_down_0 = Gather <axis = 0> (align_shifts, align_down_at)",
        "align_right_0 = Gather <axis = 0> (align_shifts, align_right_at)",
    ]


def _repeated(count: int) -> list[str]:
    """Both bands as often as there are candidates, [N * count, 1, h, w], and the fine one once."""
    lines = ["align_fine = Unsqueeze (align_band_1, align_one)"]
    for level in range(len(BANDS)):
        lines.append(f"align_plane_{level} = Unsqueeze (align_band_{level}, align_one)")
        several = f"align_plane_{level}"
        if count > 1:
            several = f"align_planes_{level}"
            lines.append(f"{several} = Expand (align_plane_{level}, align_several)")
        lines.append(f"align_image_{level} = Reshape ({several}, align_plane_shape_{level})")
    return lines


def _registered(level: int, at: _Place, template: Template, opset: int) -> tuple[_Place, list[str]]:
    """The place, corrected step by step by one band."""
    lines: list[str] = []
    image = "align_image_0" if level == 0 else "align_fine"
    robust = f"align_window_{level}"
    for step in range(STEPS[level]):
        name = f"align_{level}_{step}"
        lines += _warped(name, at, level, image, opset)
        at, robust, more = _corrected(name, at, robust, level, template)
        lines += more
    return at, lines


def _warped(name: str, at: _Place, level: int, image: str, opset: int) -> list[str]:
    """The image as it lies at a place: `<name>_levels` and `<name>_weights`, [N, 1, m], at a golden sample's points."""
    return [
        f"{name}_cos = Cos ({at.angle})",
        f"{name}_sin = Sin ({at.angle})",
        f"{name}_x_down = Mul ({name}_sin, align_minus_high)",
        f"{name}_y_right = Mul ({name}_sin, align_wide)",
        f"{name}_six = Concat <axis = 1> "
        f"({name}_cos, {name}_y_right, {name}_x_down, {name}_cos, {at.right}, {at.down})",
        f"{name}_matrix = Reshape ({name}_six, align_matrix_shape)",
        f"{name}_points = MatMul (align_points_{level}, {name}_matrix)",
        f"{name}_grid = Reshape ({name}_points, align_grid_shape_{level})",
        f'{name}_image = GridSample <{bilinear(opset)}, padding_mode = "border"> ({image}, {name}_grid)',
        f"{name}_levels = Reshape ({name}_image, align_row_shape_{level})",
        f"{name}_far = Abs ({name}_points)",
        f"{name}_farthest = ReduceMax <keepdims = 0> ({name}_far, align_two)",
        f"{name}_in_view = LessOrEqual ({name}_farthest, align_float_one)",
        f"{name}_in_view_number = Cast <to = {onnx.TensorProto.FLOAT}> ({name}_in_view)",
        f"{name}_view = Unsqueeze ({name}_in_view_number, align_one)",
        f"{name}_weights = Mul ({name}_view, align_window_{level})",
    ]


def _corrected(name: str, at: _Place, robust: str, level: int, template: Template) -> tuple[_Place, str, list[str]]:
    """A better place, and the weights of the points for the next: less where the difference is large."""
    turns, is_bounded = template.motion == "rigid", template.most_degrees < MOST_DEGREES
    warped = f"{name}_levels"
    columns = f"align_columns_{level}"
    weights = f"{name}_weighted"
    lines = [
        f"{weights} = Mul ({name}_view, {robust})",
        f"{name}_rows = Mul ({weights}, {columns}_rows)",
        f"{name}_products = MatMul ({name}_rows, {columns})",
        f"{name}_levels_column = Reshape ({warped}, align_column_shape_{level})",
        f"{name}_right_side = MatMul ({name}_rows, {name}_levels_column)",
        f"{name}_inverse_0 = Sub (align_twice_identity, {name}_products)",
    ]
    for step in range(_INVERTING):
        lines += [
            f"{name}_product_{step} = MatMul ({name}_products, {name}_inverse_{step})",
            f"{name}_rest_{step} = Sub (align_twice_identity, {name}_product_{step})",
            f"{name}_inverse_{step + 1} = MatMul ({name}_inverse_{step}, {name}_rest_{step})",
        ]
    parts = ["gain", "offset", *(["turn"] if turns else []), "right", "down"]
    lines += [
        f"{name}_whitened = MatMul ({name}_inverse_{_INVERTING}, {name}_right_side)",
        f"{name}_solution = MatMul (align_from_columns_{level}, {name}_whitened)",
        f"{name}_numbers = Squeeze ({name}_solution, align_two)",
        f"{', '.join(f'{name}_{part}' for part in parts)} = Split <axis = 1, num_outputs = {len(parts)}> "
        f"({name}_numbers)",
        # Never divided by a gain near nothing: the image is no image of the part there.
        f"{name}_squares = Mul ({warped}, {warped})",
        f"{name}_weighted_squares = Mul ({name}_squares, {weights})",
        f"{name}_energy = ReduceSum <keepdims = 0> ({name}_weighted_squares, align_two)",
        f"{name}_root = Sqrt ({name}_energy)",
        f"{name}_least = Mul ({name}_root, align_least_gain)",
        f"{name}_least_gain = Max ({name}_least, align_tiny)",
        f"{name}_divisor = Max ({name}_gain, {name}_least_gain)",
    ]
    for part in parts[2:]:
        bound = "turn" if part == "turn" else "step"
        lines += [
            f"{name}_{part}_ratio = Div ({name}_{part}, {name}_divisor)",
            *_clipped(f"{name}_{part}_by", f"{name}_{part}_ratio", bound),
        ]
    angle = at.angle
    if turns:
        angle = f"{name}_angle_next"
        free = f"{name}_angle_free" if is_bounded else angle
        lines.append(f"{free} = Sub ({at.angle}, {name}_turn_by)")
        if is_bounded:
            lines += _clipped(angle, free, "angle")
    # The part lies by so much further on, seen in the golden sample, which lies turned in the image.
    lines += [
        f"{name}_cos_next = Cos ({angle})",
        f"{name}_sin_next = Sin ({angle})",
        f"{name}_sin_high = Mul ({name}_sin_next, align_minus_high)",
        f"{name}_sin_wide = Mul ({name}_sin_next, align_wide)",
        f"{name}_rr = Mul ({name}_cos_next, {name}_right_by)",
        f"{name}_rd = Mul ({name}_sin_high, {name}_down_by)",
        f"{name}_dr = Mul ({name}_sin_wide, {name}_right_by)",
        f"{name}_dd = Mul ({name}_cos_next, {name}_down_by)",
        f"{name}_to_right = Add ({name}_rr, {name}_rd)",
        f"{name}_to_down = Add ({name}_dr, {name}_dd)",
        f"{name}_right_free = Sub ({at.right}, {name}_to_right)",
        f"{name}_down_free = Sub ({at.down}, {name}_to_down)",
        *_clipped(f"{name}_right_next", f"{name}_right_free", "shift"),
        *_clipped(f"{name}_down_next", f"{name}_down_free", "shift"),
        # Weights of Cauchy's distribution, around the mean absolute difference.
        f"{name}_explained = MatMul ({columns}, {name}_whitened)",
        f"{name}_explained_row = Reshape ({name}_explained, align_row_shape_{level})",
        f"{name}_difference = Sub ({warped}, {name}_explained_row)",
        f"{name}_absolute = Abs ({name}_difference)",
        f"{name}_weighted_absolute = Mul ({name}_absolute, {name}_weights)",
        f"{name}_total = ReduceSum ({name}_weighted_absolute, align_two)",
        f"{name}_weight = ReduceSum ({name}_weights, align_two)",
        f"{name}_some_weight = Max ({name}_weight, align_tiny)",
        f"{name}_mean = Div ({name}_total, {name}_some_weight)",
        f"{name}_wide_mean = Mul ({name}_mean, align_tolerance)",
        f"{name}_scale = Max ({name}_wide_mean, align_tiny)",
        f"{name}_in_scales = Div ({name}_difference, {name}_scale)",
        f"{name}_scales_squared = Mul ({name}_in_scales, {name}_in_scales)",
        f"{name}_one_more = Add ({name}_scales_squared, align_float_one)",
        f"{name}_robust = Div (align_window_{level}, {name}_one_more)",
    ]
    return _Place(angle, f"{name}_right_next", f"{name}_down_next"), f"{name}_robust", lines


def _clipped(name: str, value: str, bound: str) -> list[str]:
    return [f"{name}_low = Max ({value}, align_least_{bound})", f"{name} = Min ({name}_low, align_most_{bound})"]


def _correlated(name: str, at: _Place, image: str, opset: int) -> list[str]:
    """`<name>_correlation`, [N, 1], of the fine band as it lies at a place and the golden sample, under the window."""
    lines = [
        *_warped(name, at, 1, image, opset),
        f"{name}_all_weights = ReduceSum ({name}_weights, align_two)",
        f"{name}_some_weights = Max ({name}_all_weights, align_tiny)",
    ]
    for which, values in (("image", f"{name}_levels"), ("golden", GOLDEN)):
        lines += [
            f"{name}_{which}_weighted = Mul ({values}, {name}_weights)",
            f"{name}_{which}_sum = ReduceSum ({name}_{which}_weighted, align_two)",
            f"{name}_{which}_mean = Div ({name}_{which}_sum, {name}_some_weights)",
            f"{name}_{which}_centred = Sub ({values}, {name}_{which}_mean)",
            f"{name}_{which}_both = Mul ({name}_{which}_centred, {name}_weights)",
            f"{name}_{which}_squares = Mul ({name}_{which}_both, {name}_{which}_centred)",
            f"{name}_{which}_power = ReduceSum <keepdims = 0> ({name}_{which}_squares, align_two)",
        ]
    return [
        *lines,
        f"{name}_cross = Mul ({name}_image_both, {name}_golden_centred)",
        f"{name}_covariance = ReduceSum <keepdims = 0> ({name}_cross, align_two)",
        f"{name}_powers = Mul ({name}_image_power, {name}_golden_power)",
        f"{name}_root = Sqrt ({name}_powers)",
        f"{name}_divisor = Max ({name}_root, align_tiny)",
        f"{name}_correlation = Div ({name}_covariance, {name}_divisor)",
    ]


def _best(at: _Place, opset: int) -> tuple[_Place, list[str]]:
    """The place of the candidate that correlates best, [N, 1]."""
    lines = [
        *_correlated("align_candidate", at, "align_image_1", opset),
        "align_correlation_row = Reshape (align_candidate_correlation, align_candidates)",
        "align_best = ArgMax <axis = 1, keepdims = 1> (align_correlation_row)",
    ]
    for name, value in (("angle", at.angle), ("right", at.right), ("down", at.down)):
        lines += [
            f"align_{name}_row = Reshape ({value}, align_candidates)",
            f"align_{name}_best = GatherElements <axis = 1> (align_{name}_row, align_best)",
        ]
    return _Place("align_angle_best", "align_right_best", "align_down_best"), lines


def _band_arrays(grid: tuple[int, int]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"align_one": np.array([1], dtype=np.int64)}
    for level, (sigma, times) in enumerate(zip(SMOOTHED, REDUCED, strict=True)):
        for name, width in (("smooth", sigma), ("light", LIGHT)):
            rows, columns = (smoothing(side, width, times) for side in grid)
            arrays[f"align_{name}_rows_{level}"] = rows
            arrays[f"align_{name}_columns_{level}"] = np.ascontiguousarray(columns.T)
    return arrays


def _search_arrays(template: Template, count: int) -> dict[str, NDArray[Any]]:
    """The initializers of the search, by their names."""
    search = search_arrays(template)
    angles, steps = len(search[ANGLES]), len(search["align_shifts"])
    integers: dict[str, Any] = {
        "align_column": [-1, 1],
        "align_shift_count": [steps],
        "align_by_angle_shape": [0, angles, steps * steps],
    }
    if count > 1:
        integers |= {"align_several": [1, count, 1, 1], "align_candidates": [-1, count]}
    return {
        **search,
        "align_window_plane": window(template.grid),
        **{name: np.array(value, dtype=np.int64) for name, value in integers.items()},
    }


def _arrays(template: Template) -> dict[str, NDArray[Any]]:
    """The initializers of `registration` but for its search, by their names."""
    floats: dict[str, Any] = {
        GOLDEN: template.bands[-1].reshape(1, 1, -1),
        "align_minus_high": -template.aspect,
        "align_wide": 1 / template.aspect,
        "align_float_one": 1.0,
        "align_tiny": 1e-9,
        "align_least_gain": 0.2,
        "align_tolerance": 2.5,
        **_bounds("step", _MOST_STEP),
        **_bounds("shift", 2 * MOST_SHIFT),
    }
    if template.motion == "rigid":
        floats |= _bounds("turn", _MOST_TURN)
        if template.most_degrees < MOST_DEGREES:
            floats |= _bounds("angle", np.radians(template.most_degrees))
    integers: dict[str, Any] = {
        "align_two": [2],
        "align_matrix_shape": [-1, 3, 2],
    }
    for level, (band, (basis, from_basis)) in enumerate(zip(template.bands, motion_columns(template), strict=True)):
        height, width = band.shape
        rows, columns = places(band.shape)
        points = np.stack(np.broadcast_arrays(columns[None, :], rows[:, None], 1.0), axis=-1)
        floats |= {
            f"align_window_{level}": window(band.shape).reshape(1, 1, -1),
            f"align_points_{level}": points.reshape(-1, 3),
            f"align_columns_{level}": basis,
            f"align_columns_{level}_rows": np.ascontiguousarray(basis.T),
            f"align_from_columns_{level}": from_basis,
            "align_twice_identity": 2 * np.eye(basis.shape[1]),
        }
        integers |= {
            f"align_plane_shape_{level}": [-1, 1, height, width],
            f"align_grid_shape_{level}": [-1, height, width, 2],
            f"align_row_shape_{level}": [-1, 1, height * width],
            f"align_column_shape_{level}": [-1, height * width, 1],
        }
    return {
        **_band_arrays(template.grid),
        **{name: np.atleast_1d(np.asarray(value, dtype=np.float32)) for name, value in floats.items()},
        **{name: np.array(value, dtype=np.int64) for name, value in integers.items()},
    }


def _bounds(name: str, most: float) -> dict[str, float]:
    return {f"align_least_{name}": -most, f"align_most_{name}": most}
