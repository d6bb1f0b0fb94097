"""Small constants of a graph, such as sizes that a shape is put together from, computed without a runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array: TypeAlias = NDArray[Any]
# More elements are not a size of anything, and are not computed.
MOST_ELEMENTS = 1024


def fold(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> Array | None:
    """The output of a node whose inputs are known constants of few elements; None where it is not of a kind that
    makes sizes, or cannot be computed.

    Args:
        node: with one output.
        inputs: constants; None for an input that is left out.
    """
    compute = _FOLDED.get(node.op_type)
    if compute is None:
        return None
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(compute(list(inputs), attributes))
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError):
        return None
    return found if found.size <= MOST_ELEMENTS else None


def _constant(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    ((name, value),) = attributes.items()
    if name == "value":
        return numpy_helper.to_array(value)
    return np.array(value, dtype=np.int64 if name in ("value_int", "value_ints") else np.float32)


def _constant_of_shape(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    value = numpy_helper.to_array(attributes["value"]).reshape(()) if "value" in attributes else np.float32(0)
    return np.full(_few(inputs[0]), value)


def _few(shape: Any) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    count = 1
    for size in sizes:
        count *= size
    if not 0 <= count <= MOST_ELEMENTS:
        raise ValueError
    return sizes


def _cast(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    return inputs[0].astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _slice(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    data, starts, ends = inputs[:3]
    axes = inputs[3] if len(inputs) > 3 and inputs[3] is not None else range(len(starts))
    steps = inputs[4] if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    cut = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # An end before the first element, going backwards, is written as a very low number.
        stop = None if step < 0 and end < -data.shape[axis] else int(end)
        cut[int(axis)] = slice(int(start), stop, int(step))
    return data[tuple(cut)]


def _squeeze(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    axes = inputs[1] if len(inputs) > 1 else None
    return np.squeeze(inputs[0], axis=None if axes is None else tuple(int(axis) for axis in axes))


def _unsqueeze(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    return np.expand_dims(inputs[0], tuple(int(axis) for axis in inputs[1].reshape(-1)))


def _reshape(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    data, shape = inputs
    sizes = [data.shape[at] if size == 0 and not attributes.get("allowzero") else size for at, size in enumerate(shape)]
    return data.reshape([int(size) for size in sizes])


def _divide(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    left, right = inputs
    if not np.issubdtype(left.dtype, np.integer):
        return left / right
    # Towards zero, unlike Python.
    return (np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right))).astype(left.dtype)


def _modulo(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    return np.fmod(*inputs) if attributes.get("fmod") else np.mod(*inputs)


def _range(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    start, limit, step = (value.reshape(()) for value in inputs)
    if not (limit - start) / step <= MOST_ELEMENTS:
        raise ValueError
    return np.arange(start, limit, step, dtype=start.dtype)


def _expand(inputs: list[Any], attributes: dict[str, Any]) -> Any:
    data, shape = inputs
    return np.broadcast_to(data, np.broadcast_shapes(data.shape, _few(shape)))


def _reduction(function: Callable[..., Any]) -> Callable[[list[Any], dict[str, Any]], Any]:
    def reduce(inputs: list[Any], attributes: dict[str, Any]) -> Any:
        data, axes = inputs[0], inputs[1] if len(inputs) > 1 else None
        if axes is None or not len(axes):
            if attributes.get("noop_with_empty_axes"):
                return data
            axes = range(data.ndim)
        keep = bool(attributes.get("keepdims", 1))
        return function(data, axis=tuple(int(axis) for axis in axes), keepdims=keep).astype(data.dtype)

    return reduce


def _applied(function: Callable[..., Any]) -> Callable[[list[Any], dict[str, Any]], Any]:
    """Of operators that are a function of NumPy."""

    def apply(inputs: list[Any], attributes: dict[str, Any]) -> Any:
        return function(*inputs)

    return apply


def _of_several(function: Callable[[Any, Any], Any]) -> Callable[[list[Any], dict[str, Any]], Any]:
    def apply(inputs: list[Any], attributes: dict[str, Any]) -> Any:
        found = inputs[0]
        for each in inputs[1:]:
            found = function(found, each)
        return found

    return apply


_FOLDED: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda inputs, _: inputs[0],
    "Cast": _cast,
    "Gather": lambda inputs, attributes: np.take(inputs[0], inputs[1], axis=attributes.get("axis", 0)),
    "Concat": lambda inputs, attributes: np.concatenate(inputs, axis=attributes["axis"]),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Div": _divide,
    "Mod": _modulo,
    "Range": _range,
    "Expand": _expand,
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
    "Add": _applied(np.add),
    "Sub": _applied(np.subtract),
    "Mul": _applied(np.multiply),
    "Neg": _applied(np.negative),
    "Abs": _applied(np.abs),
    "Floor": _applied(np.floor),
    "Ceil": _applied(np.ceil),
    "Sqrt": _applied(np.sqrt),
    "Equal": _applied(np.equal),
    "Greater": _applied(np.greater),
    "GreaterOrEqual": _applied(np.greater_equal),
    "Less": _applied(np.less),
    "LessOrEqual": _applied(np.less_equal),
    "Not": _applied(np.logical_not),
    "And": _applied(np.logical_and),
    "Or": _applied(np.logical_or),
    "Where": _applied(np.where),
    "Max": _of_several(np.maximum),
    "Min": _of_several(np.minimum),
}
