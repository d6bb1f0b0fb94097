"""The backbone's part of the graph: cut at the taps that are used, and in two where its last layers are trained."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper, utils, version_converter

from onlygood.backbones.backbone import Backbone, Card, Tap
from onlygood.errors import BackboneError
from onlygood.graph.audit import foreign_operators, messages
from onlygood.graph.subgraph import IR_VERSION, OPSET, in_trunk

# Operators that have weights to train.
_LAYERS = ("Conv", "Gemm")
# What the second part of a trunk that was cut in two takes.
TAIL_INPUT = "tail_input"
# What the names of its initializers begin with.
IN_TAIL = "tail/"


@dataclass(frozen=True)
class TrunkParts:
    """A trunk in two parts.

    Attributes:
        front: from the backbone's input to `start`.
        start: name of the value between the two, float32 [N, c, h, w].
        tail: from TAIL_INPUT, which is `start` by another name, to `end`.
        end: name of what the tail gives, float32 [N, C, h', w'].
        trained: names of the initializers of the tail's last layers.
    """

    front: onnx.ModelProto
    start: str
    tail: onnx.ModelProto
    end: str
    trained: tuple[str, ...]


def cut_trunk(backbone: Backbone, taps: Sequence[Tap]) -> onnx.ModelProto:
    """The backbone up to these taps, and no further.

    All its names get a prefix (see `in_trunk`), so that they cannot meet ours. Its opset is raised to ours where it is
    older, and kept where it is newer.

    Raises:
        BackboneError: the file uses operators other than ONNX's own, cannot be brought to our opset, is broken, or
            gives taps of other shapes than its card says.
    """
    foreign = sorted({node.domain for node in backbone.model.graph.node} - {"", "ai.onnx"})
    if foreign or len(backbone.model.functions):
        raise BackboneError(
            f"backbone {backbone.card.name} must use standard ONNX operators only, got some of "
            f"{', '.join(foreign) or 'its own functions'}: export it without custom operators"
        )
    try:
        model = utils.Extractor(backbone.model).extract_model([backbone.card.input], [tap.name for tap in taps])
        if opset_of(model) < OPSET:
            model = version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(model)
    except Exception as error:
        raise BackboneError(f"backbone {backbone.card.name} cannot be cut at its taps: {error}") from error
    # What it has behind its taps does not come into a model file.
    refused = foreign_operators(messages(model))
    if refused:
        raise BackboneError(
            f"backbone {backbone.card.name} must be a feed-forward network of operators that a model file may hold, "
            f"got {', '.join(refused)}: export it without control flow and without operators whose output's size "
            "depends on the image, or use another backbone"
        )
    _check_shapes(model, backbone.card, taps)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", max(OPSET, opset_of(backbone.model))))
    model.ir_version = max(IR_VERSION, model.ir_version)
    del model.graph.value_info[:]
    return compose.add_prefix(model, in_trunk(""))


def split_trunk(trunk: onnx.ModelProto, layers: int) -> TrunkParts:
    """A trunk in two, at the latest place from which its last layers can be computed.

    Args:
        trunk: of one tap, as `cut_trunk` gives it.
        layers: how many layers with weights, counted from the end, are to be trained: all of them are in the tail.

    Raises:
        BackboneError: the trunk has fewer layers.
    """
    nodes, end = list(trunk.graph.node), trunk.graph.output[0].name
    constants = {tensor.name for tensor in trunk.graph.initializer}
    weighted = [number for number, node in enumerate(nodes) if node.op_type in _LAYERS]
    if not 1 <= layers <= len(weighted):
        raise BackboneError(
            f"trained_layers must be from 1 to {len(weighted)}, as many as the backbone has, got {layers}"
        )
    first = weighted[-layers]
    # The input of the first node is such a place.
    place, start = next(
        (place, found) for place in range(first, -1, -1) if (found := _crossing(nodes, place, constants)) is not None
    )
    trained = tuple(
        _in_tail(name)
        for node in nodes[first:]
        if node.op_type in _LAYERS
        for name in node.input[1:]
        if name in constants
    )
    tail = _part(trunk, nodes[place:], start, end)
    # Constants that both parts use, such as an activation's bounds, are in both, so the tail's need other names.
    new_names = {start: TAIL_INPUT} | {tensor.name: _in_tail(tensor.name) for tensor in tail.graph.initializer}
    for node in tail.graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
    for named in (*tail.graph.initializer, *tail.graph.input):
        named.name = new_names[named.name]
    front = _part(trunk, nodes[:place], trunk.graph.input[0].name, start)
    return TrunkParts(front=front, start=start, tail=tail, end=end, trained=trained)


def with_weights(model: onnx.ModelProto, learned: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The same graph with other values in some initializers.

    Args:
        model: a graph.
        learned: values, by the initializers' names.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name in learned:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(learned[tensor.name]), tensor.name))
    return changed


def _crossing(nodes: Sequence[onnx.NodeProto], place: int, constants: Container[str]) -> str | None:
    """The one value that the nodes from a place on take from before it; None if they take several."""
    made = {name for node in nodes[place:] for name in node.output}
    taken = {
        name for node in nodes[place:] for name in node.input if name and name not in constants and name not in made
    }
    return taken.pop() if len(taken) == 1 else None


def _in_tail(name: str) -> str:
    return f"{IN_TAIL}{name}"


def _part(trunk: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], source: str, end: str) -> onnx.ModelProto:
    """Some of a trunk's nodes as a model of its own; its input and output are images or maps, float32, rank 4."""
    used = {name for node in nodes for name in node.input}
    declared = {value.name: value for value in (*trunk.graph.input, *trunk.graph.output)}

    def declare(name: str) -> onnx.ValueInfoProto:
        axes = ["N", *(f"{name}_{axis}" for axis in "chw")]
        return declared.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)

    part = onnx.ModelProto(ir_version=trunk.ir_version)
    part.opset_import.extend(trunk.opset_import)
    part.graph.name = "part"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(tensor for tensor in trunk.graph.initializer if tensor.name in used)
    part.graph.input.append(declare(source))
    part.graph.output.append(declare(end))
    return part


def _check_shapes(model: onnx.ModelProto, card: Card, taps: Sequence[Tap]) -> None:
    """Refuse taps whose shapes, as far as they can be told without running the file, are not those of the card."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    lengths = (1, 3, card.input_size, card.input_size)
    for dimension, length in zip(sized.graph.input[0].type.tensor_type.shape.dim, lengths, strict=False):
        dimension.dim_value = length
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    outputs = {value.name: value for value in onnx.shape_inference.infer_shapes(sized).graph.output}
    for tap in taps:
        kind = outputs[tap.name].type.tensor_type
        side = -(-card.input_size // tap.reduction)
        found = [dimension.dim_value for dimension in kind.shape.dim]
        wrong = any(known not in (0, told) for known, told in zip(found[1:], (tap.channels, side, side), strict=False))
        if kind.HasField("shape") and (len(found) != 4 or wrong):
            shown = " x ".join(str(length or "?") for length in found)
            raise BackboneError(
                f"backbone {card.name} must give {tap.name} the shape 1 x {tap.channels} x {side} x {side} for an "
                f"image of {card.input_size} x {card.input_size} pixels, as its card says, got {shown}: correct the "
                f"card"
            )


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
