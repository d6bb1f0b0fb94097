"""What running a graph on images of a size will take, in memory and in work, known before it is run.

ONNX's own shape inference is asked node by node, with the constants that shapes are put together from (see
`onlygood.graph.folding`). A value whose size does not follow from the image's is refused: its cost could be any. The
bound is that of the very size of the images that are about to be run: a graph that is cheap at one size and ruinous at
another is found out when that other comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from onlygood._printable import printable
from onlygood.errors import ModelFormatError
from onlygood.graph.bodies import tiles_of
from onlygood.graph.folding import MOST_ELEMENTS, Array, fold
from onlygood.graph.operators import NUMBERS, OPERATORS, Shape, size_of, workspace

# Of one image: bytes of all values that are there at a time, and so many more for each of its pixels (raw levels,
# levels in floating point, the map); multiply-adds, of which a core does some ten thousand million a second.
MAX_VALUE_BYTES = 2_000_000_000
BYTES_PER_PIXEL = 64
MAX_WORK = 2_000_000_000_000
# So much more for each pixel of the image, which is work in tiles.
WORK_PER_PIXEL = 50_000
# A graph is run for so many tiles of an image at most.
MOST_TILES = 100_000
# A runtime may run nodes in another order than that of the file, and hold more values at a time: so many times as many.
ALL_VALUES = 8
# No value has more elements, however large the image.
_MOST_ELEMENTS = 2**40
_MOST_AXES = 8
# The size of image with which a file is looked at when it is read: height, width.
NOMINAL_SIZE = (480, 640)
# Sizes of images that are remembered as allowed.
_REMEMBERED = 1000


@dataclass(frozen=True)
class _Value:
    """What is known of one value of a graph."""

    kind: int
    shape: Shape
    constant: Array | None = None

    @cached_property
    def bytes(self) -> int:
        return size_of(self.shape) * bytes_each(self.kind)

    @cached_property
    def type(self) -> onnx.TypeProto:
        return _type(self.kind, self.shape)

    @cached_property
    def tensor(self) -> TensorProto | None:
        return None if self.constant is None else numpy_helper.from_array(self.constant)

    def is_like(self, other: _Value) -> bool:
        if (self.kind, self.shape) != (other.kind, other.shape):
            return False
        if self.constant is None or other.constant is None:
            return self.constant is other.constant
        return np.array_equal(self.constant, other.constant)


@dataclass(frozen=True)
class _Step:
    """A node, or the beginning or the end of the graph that a Scan node runs once for each tile.

    Attributes:
        kind: "node", "begin" or "end".
        node: of a begin and an end, the Scan node.
        taken: names of what it takes; those that are left out are empty.
        made: names of what it makes.
        within: name of the value whose first axis says how many times it is run; None for once.
        schema: of a node.
    """

    kind: str
    node: onnx.NodeProto
    taken: tuple[str, ...]
    made: tuple[str, ...]
    within: str | None = None
    schema: Any = None


def _steps(graph: onnx.GraphProto, version: int, within: str | None = None) -> list[_Step]:
    """The nodes of a graph in order, those of a tile's graph in the place of its Scan node."""
    steps = []
    for node in graph.node:
        if node.op_type != "Scan":
            schema = _schema(node.op_type, version)
            steps.append(_Step("node", node, tuple(node.input), tuple(node.output), within, schema))
            continue
        (body,) = tiles_of(onnx.GraphProto(node=[node]))
        inner = _steps(body, version, node.input[0])
        made = {name for step in inner for name in step.made} | {value.name for value in body.input}
        # They are there until the last tile is done.
        captured = {name for step in inner for name in step.taken if name} - made
        results = tuple(value.name for value in body.output)
        steps += [
            _Step("begin", node, tuple(node.input), tuple(value.name for value in body.input)),
            *inner,
            _Step("end", node, (*results, *node.input, *sorted(captured)), tuple(node.output)),
        ]
    return steps


class CostBound:
    """The cost of a graph for images of any size.

    Args:
        model: the whole graph, whose structure was audited; it is kept without its weights.
        channels: of the images.
        name: what messages call the model.

    Raises:
        ModelFormatError: the graph is broken, a value's size does not follow from the image's size, or an image of
            NOMINAL_SIZE takes more than the limits.
    """

    def __init__(self, model: onnx.ModelProto, *, channels: int, name: str) -> None:
        self._name = name
        self._skeleton = without_weights(model)
        try:
            onnx.checker.check_model(self._skeleton)
        except Exception as error:  # of several kinds, without a root of their own
            raise self._broken(error) from error
        (image,) = model.graph.input
        self._input, self._kind = image.name, image.type.tensor_type.elem_type
        self._outputs = [value.name for value in model.graph.output]
        opsets = list(model.opset_import)
        version = max(entry.version for entry in opsets)
        self._opsets, self._ir_version = opsets, model.ir_version
        try:
            self._steps = _steps(self._skeleton.graph, version)
        except onnx.defs.SchemaError as error:
            raise self._broken(error) from error
        graphs = [model.graph, *tiles_of(model.graph)]
        self._fixed = {tensor.name: _of_tensor(tensor) for graph in graphs for tensor in graph.initializer}
        self._values: dict[str, _Value] = dict(self._fixed)
        self._allowed: set[Shape] = set()
        self._last_use = self._last_uses()
        nominal = (1, *NOMINAL_SIZE, channels)
        self._values.update(self._found(nominal))
        self._check(nominal, self._values)
        self._allowed.add(nominal)

    @property
    def outputs(self) -> dict[str, tuple[int, Shape]]:
        """The element type and the shape of each output, for one image of NOMINAL_SIZE."""
        return {name: (self._values[name].kind, self._values[name].shape) for name in self._outputs}

    def check(self, shape: Shape) -> None:
        """Refuse images that would take more than the limits.

        Args:
            shape: [N, H, W, C] of the images.

        Raises:
            ModelFormatError: with what they would take.
        """
        if shape in self._allowed:
            return
        self._check(shape, {**self._values, **self._found(shape)})
        if len(self._allowed) >= _REMEMBERED:
            self._allowed.clear()
        self._allowed.add(shape)

    def _found(self, shape: Shape) -> dict[str, _Value]:
        """The values that another size of image changes; all of them where none is known yet."""
        changed = {self._input: _Value(self._kind, shape)}
        known = self._values
        for step in self._steps:
            if step.made[0] in known and changed.keys().isdisjoint(step.taken):
                continue
            inputs = [(changed.get(name) or known[name]) if name else None for name in step.taken]
            for name, value in zip(step.made, self._infer(step, inputs), strict=True):
                if value is not None and not (name in known and value.is_like(known[name])):
                    changed[name] = value
        return changed

    def _infer(self, step: _Step, inputs: Sequence[_Value | None]) -> list[_Value | None]:
        """What a step gives, from what is known of its inputs."""
        if step.kind == "begin":
            return [self._one_of(step.node, value) for value in inputs]
        if step.kind == "end":
            first = inputs[len(step.made)]
            assert first is not None  # or the begin would have been refused
            count = first.shape[:1]
            results = inputs[: len(step.made)]
            return [None if each is None else _Value(each.kind, count + each.shape) for each in results]
        node, taken, made = step.node, step.taken, step.made
        types, data = {}, {}
        for name, value in zip(taken, inputs, strict=True):
            if value is not None:
                types[name] = value.type
                if value.tensor is not None:
                    data[name] = value.tensor
        try:
            found = shape_inference.infer_node_outputs(
                step.schema, node, types, data, opset_imports=self._opsets, ir_version=self._ir_version
            )
        except Exception as error:  # of several kinds, without a root of their own
            raise self._broken(error) from error
        values = [self._value(node, name, found) if name else None for name in made]
        (value, *others) = values
        if others or value is None or size_of(value.shape) > MOST_ELEMENTS:
            return values
        computed = None
        if node.op_type in ("Shape", "Size") and inputs[0] is not None:
            computed = _size(node, inputs[0].shape)
        elif len(data) == len(types):
            computed = fold(node, [each.constant if each is not None else None for each in inputs])
        if computed is None or computed.shape != value.shape:
            return values
        return [_Value(value.kind, value.shape, computed.astype(helper.tensor_dtype_to_np_dtype(value.kind)))]

    def _one_of(self, node: onnx.NodeProto, value: _Value | None) -> _Value:
        """What one run of a Scan node's graph takes of a value."""
        if value is None or not value.shape or not 1 <= value.shape[0] <= MOST_TILES:
            raise self._too_much(f"{node.op_type} over {'nothing' if value is None else value.shape}")
        return _Value(value.kind, value.shape[1:])

    def _value(self, node: onnx.NodeProto, name: str, found: Mapping[str, onnx.TypeProto]) -> _Value:
        tensor = found[name].tensor_type if name in found else None
        dims = None if tensor is None or not tensor.HasField("shape") else tensor.shape.dim
        if (
            tensor is None
            or tensor.elem_type not in NUMBERS
            or dims is None
            or not all(d.HasField("dim_value") for d in dims)
        ):
            raise ModelFormatError(
                f"the model {self._name} must have values of numbers whose sizes follow from the image's size, got "
                f"{name!r} of {node.op_type} whose size or type is not known before it runs: do not run it, and fit it "
                "again"
            )
        shape = tuple([dim.dim_value for dim in dims])
        if len(shape) > _MOST_AXES or min(shape, default=0) < 0 or size_of(shape) > _MOST_ELEMENTS:
            raise self._too_much(f"the value {name!r} of {node.op_type} with the shape {' x '.join(map(str, shape))}")
        return _Value(tensor.elem_type, shape)

    def _check(self, shape: Shape, values: Mapping[str, _Value]) -> None:
        images, pixels = max(1, shape[0]), shape[1] * shape[2]
        most = images * (MAX_VALUE_BYTES + BYTES_PER_PIXEL * pixels)
        held = {self._input: values[self._input].bytes}
        there = all_of_them = held[self._input]
        work = 0
        most_work = images * (MAX_WORK + WORK_PER_PIXEL * pixels)
        for position, step in enumerate(self._steps):
            node = step.node
            inputs = [values[name].shape if name else None for name in step.taken]
            outputs = [values[name].shape for name in step.made if name]
            needed_by_node = 0
            if step.kind == "node":
                times = 1 if step.within is None else values[step.within].shape[0]
                work += times * OPERATORS[node.op_type](inputs, outputs, node)
                needed_by_node = workspace(inputs, outputs, node)
            for name in filter(None, step.made):
                held[name] = values[name].bytes
                there += held[name]
                all_of_them += held[name]
            needed = max(there + needed_by_node, all_of_them // ALL_VALUES)
            if needed > most or work > most_work:
                where = f"{' x '.join(map(str, shape))} levels at {step.made[0]!r} of {node.op_type}"
                what = (
                    f"{needed / 1e9:.1f} GB of values (at most {most / 1e9:.1f})"
                    if needed > most
                    else f"{work:.1e} multiplications (at most {most_work:.1e})"
                )
                raise self._too_much(f"{what} for images of {where}")
            for name in self._last_use.get(position, ()):
                there -= held.pop(name, 0)

    def _last_uses(self) -> dict[int, list[str]]:
        """Which values nobody needs any more after the node at a position."""
        last: dict[str, int] = {}
        for position, step in enumerate(self._steps):
            last.update(dict.fromkeys((*step.taken, *step.made), position))
        found: dict[int, list[str]] = {}
        for name, position in last.items():
            if name and name not in self._outputs:
                found.setdefault(position, []).append(name)
        return found

    def _broken(self, error: Exception) -> ModelFormatError:
        return ModelFormatError(
            f"the model {self._name} must have a graph whose parts fit together, got: {one_line(error)}: copy it again "
            "or fit it again"
        )

    def _too_much(self, what: str) -> ModelFormatError:
        return ModelFormatError(
            f"the model {self._name} must be one that memory and time are enough for, got {what}: do not run it, or "
            "fit it with a smaller memory bank, input or backbone"
        )


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its initializers as inputs: small enough to be checked again and again."""
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.graph.name = "audited"
    graphs = [model.graph, *tiles_of(model.graph)]
    for node in model.graph.node:
        bare.graph.node.append(node if node.op_type != "Scan" else _without_weights(node))
    bare.graph.input.extend(model.graph.input)
    bare.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for graph in graphs
        for tensor in graph.initializer
    )
    bare.graph.output.extend(model.graph.output)
    return bare


def _without_weights(node: onnx.NodeProto) -> onnx.NodeProto:
    """A Scan node whose graph takes its initializers from outside."""
    (body,) = tiles_of(onnx.GraphProto(node=[node]))
    graph = onnx.GraphProto(name=body.name, node=body.node, input=body.input, output=body.output)
    count = len(body.input)
    return helper.make_node("Scan", node.input, node.output, name=node.name, body=graph, num_scan_inputs=count)


@lru_cache(maxsize=1024)
def _schema(operator: str, version: int) -> Any:
    return onnx.defs.get_schema(operator, version, "")


@lru_cache(maxsize=4096)
def _type(kind: int, shape: Shape) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(kind, shape)


@cache
def bytes_each(kind: int) -> int:
    """The bytes of one element of a type of ONNX."""
    return max(1, helper.tensor_dtype_to_np_dtype(kind).itemsize)


def one_line(error: Exception) -> str:
    """What an error of another library says, on one line and not at length."""
    text = printable(" ".join(str(error).split()))
    return text if len(text) <= 300 else f"{text[:300]}..."


def _of_tensor(tensor: TensorProto) -> _Value:
    shape = tuple(tensor.dims)
    constant = numpy_helper.to_array(tensor) if size_of(shape) <= MOST_ELEMENTS else None
    return _Value(tensor.data_type, shape, constant)


def _size(node: onnx.NodeProto, shape: Shape) -> Array:
    if node.op_type == "Size":
        return np.array(size_of(shape), dtype=np.int64)
    ends = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(shape[slice(ends.get("start", 0), ends.get("end", len(shape)))], dtype=np.int64)
