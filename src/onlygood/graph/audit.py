"""What a model file may consist of, looked at before ONNX or a runtime sees it.

Someone who means harm writes the right digest, so nothing here trusts it. What a graph that passes can still cost is
bounded in `onlygood.graph.costs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper

from onlygood._printable import printable
from onlygood.errors import ModelFormatError
from onlygood.graph.bodies import tiles_of
from onlygood.graph.costs import bytes_each
from onlygood.graph.operators import NUMBERS, OPERATORS, attribute_problem, size_of

INPUT = "image"
# Outputs that a model file has, and their types.
OUTPUTS = {
    "score": TensorProto.FLOAT,
    "p_value": TensorProto.FLOAT,
    "is_anomaly": TensorProto.BOOL,
    "anomaly_map": TensorProto.FLOAT,
    "patch_scores": TensorProto.FLOAT,
}
# ONNX Runtime opens a chain of so many nodes in a quarter of a minute, and one of four times as many in some minutes.
MAX_NODES = 5000
MAX_TENSORS = 10_000
MAX_OUTPUTS = 64
MAX_INPUTS = 1024
LONGEST_NAME = 1000
# The one operator with a graph of its own: it runs that for each tile of an image.
SCAN = "Scan"
_FIELDS_OF_BODY = ("name", "node", "initializer", "input", "output")
MOST_AXES = 8

# Where each type's elements are if they are not in `raw_data`.
_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
# Fields of an ONNX file that no file of ours has.
_ABSENT_IN_GRAPH = ("sparse_initializer", "quantization_annotation", "value_info")
# Where the value of an attribute of each type is that a node may have.
_FIELD_OF_ATTRIBUTE: Mapping[int, str] = {
    onnx.AttributeProto.INT: "i",
    onnx.AttributeProto.INTS: "ints",
    onnx.AttributeProto.FLOAT: "f",
    onnx.AttributeProto.FLOATS: "floats",
    onnx.AttributeProto.STRING: "s",
    onnx.AttributeProto.TENSOR: "t",
}


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """The operators of a graph that a model file may not hold, by their names, with the domain where it is another's.

    Args:
        model: a graph; operators of inner graphs count.
    """
    nodes = [part for part in _messages(model) if isinstance(part, onnx.NodeProto)]
    return sorted({_operator(node) for node in nodes if not _is_allowed(node)})


def _messages(message: Message) -> Iterator[Message]:
    """A protobuf message and all inside it: nodes of inner graphs, too."""
    yield message
    for described, value in message.ListFields():
        if described.message_type is not None:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _messages(inner)


def audit(model: onnx.ModelProto, name: str) -> None:
    """Refuse what no file of ours holds.

    Args:
        model: a whole model.
        name: what messages call it.

    Raises:
        ModelFormatError: with the first thing that it may not hold.
    """
    require_operators(_without_tiles(model, name), name)
    _audit_signature(model, name)
    if len(model.opset_import) != 1 or model.opset_import[0].domain not in ("", "ai.onnx"):
        raise ModelFormatError(
            f"the model {name} must use one version of the standard operators, got "
            f"{', '.join(repr(str(entry.domain)[:60]) for entry in model.opset_import) or 'none'}: fit it again"
        )
    graphs = [model.graph, *tiles_of(model.graph)]
    for count, most, what in (
        (sum(len(graph.node) for graph in graphs), MAX_NODES, "nodes"),
        (sum(len(graph.initializer) for graph in graphs), MAX_TENSORS, "tensors"),
    ):
        if count > most:
            raise ModelFormatError(f"the model {name} must have at most {most} {what}, got {count}: do not run it")
    absent = [field for field in _ABSENT_IN_GRAPH for graph in graphs if len(getattr(graph, field))]
    if absent or len(model.training_info):
        raise ModelFormatError(
            f"the model {name} must have no {' '.join(absent) or 'training_info'}, as `onlygood fit` writes none, got "
            "some: do not run it, and fit it again"
        )
    for graph in graphs:
        for node in graph.node:
            if node.op_type != SCAN:
                _audit_node(node, name)
        for tensor in graph.initializer:
            _audit_tensor(tensor, name)
    _audit_names(graphs, name)


def _without_tiles(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The nodes of a model with those of a tile's graph in the place of the one Scan node that it may have.

    Raises:
        ModelFormatError: a Scan node of another form than `onlygood.graph.tiles` writes.
    """
    scans = [node for node in model.graph.node if node.op_type == SCAN and node.domain in ("", "ai.onnx")]
    if not scans:
        return model
    bodies = tiles_of(model.graph)
    if len(scans) == len(bodies) == 1:
        (scan,), (body,) = scans, bodies
        attributes = {attribute.name: attribute for attribute in scan.attribute}
        inputs = [value.name for value in body.input]
        is_ours = (
            set(attributes) == {"body", "num_scan_inputs"}
            and len(scan.attribute) == 2
            and _odd_attribute(attributes["num_scan_inputs"]) is None
            and attributes["num_scan_inputs"].i == len(scan.input) == len(inputs) == len(set(inputs)) > 0
            and {field.name for field, _ in attributes["body"].ListFields()} == {"name", "type", "g"}
            and attributes["body"].type == onnx.AttributeProto.GRAPH
            and len(scan.output) == len(body.output) > 0
            and all(scan.input)
            and all(scan.output)
            and not any(field.name not in _FIELDS_OF_BODY for field, _ in body.ListFields())
            and all(value.type.HasField("tensor_type") for value in (*body.input, *body.output))
        )
        if is_ours:
            flat = onnx.ModelProto(functions=model.functions)
            flat.graph.node.extend(node for node in model.graph.node if node.op_type != SCAN)
            flat.graph.node.extend(body.node)
            return flat
    raise ModelFormatError(
        f"the model {name} must run one graph for all tiles, as `onlygood fit` writes it, got {len(scans)} Scan nodes "
        "of another form: do not run it, and fit it again"
    )


def require_operators(model: onnx.ModelProto, name: str) -> None:
    """Refuse operators that a model file may not hold.

    Args:
        model: a graph, whole or in part.
        name: what messages call the model.

    Raises:
        ModelFormatError: with what it holds.
    """
    if len(model.functions):
        foreign = ["functions of its own"]
    elif all(_is_allowed(node) for node in model.graph.node):
        return
    else:
        foreign = foreign_operators(model)
    raise ModelFormatError(
        f"the model {name} must use standard ONNX operators only, those of feed-forward networks, got "
        f"{', '.join(foreign[:9])}: do not run it, and fit it again"
    )


def _is_allowed(node: onnx.NodeProto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in OPERATORS


def _operator(node: onnx.NodeProto) -> str:
    named = printable(str(node.op_type)[:60]) or "one without a name"
    return named if node.domain in ("", "ai.onnx") else f"{named} of {printable(str(node.domain)[:60])}"


def _audit_signature(model: onnx.ModelProto, name: str) -> None:
    # Names of a damaged file may be bytes where text is due, hence str.
    inputs = [str(value.name) for value in model.graph.input]
    outputs = [str(value.name) for value in model.graph.output]
    if inputs != [INPUT] or not set(OUTPUTS) <= set(outputs):
        raise ModelFormatError(
            f"the model {name} must have the input {INPUT} and the outputs {', '.join(OUTPUTS)}, got "
            f"{_listed(inputs)} and {_listed(outputs)}: fit it again"
        )
    image = model.graph.input[0].type.tensor_type
    if image.elem_type not in (TensorProto.UINT8, TensorProto.UINT16) or len(image.shape.dim) != 4:
        raise ModelFormatError(
            f"the model {name} must take images of type uint8 or uint16 and shape [N, H, W, C], got type "
            f"{image.elem_type} and {len(image.shape.dim)} axes: fit it again"
        )
    if len(outputs) > MAX_OUTPUTS or len(set(outputs)) < len(outputs):
        raise ModelFormatError(
            f"the model {name} must have at most {MAX_OUTPUTS} outputs, each once, got {len(outputs)}: fit it again"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name[:60]) for name in names[:9]) or "none"


def _audit_node(node: onnx.NodeProto, name: str) -> None:
    where = f"{node.op_type} that gives {str(node.output[0])[:60] if len(node.output) else 'nothing'!r}"
    if not any(node.output) or len(node.input) > MAX_INPUTS or len(node.output) > MAX_INPUTS:
        raise ModelFormatError(
            f"the model {name} must have nodes of 1 to {MAX_INPUTS} outputs and at most {MAX_INPUTS} inputs, got "
            f"{len(node.input)} inputs and {len(node.output)} outputs at {where}: do not run it, and fit it again"
        )
    for attribute in node.attribute:
        problem = _odd_attribute(attribute) or attribute_problem(attribute)
        if problem is not None:
            raise ModelFormatError(
                f"the model {name} must have a value of {str(attribute.name)[:60]!r} that `onlygood fit` could have "
                f"written at {where}, got {problem}: do not run it, and fit it again"
            )
        if attribute.HasField("t"):
            _audit_tensor(attribute.t, name)
    if node.op_type == "Dropout" and len(node.input) > 2:
        raise ModelFormatError(
            f"the model {name} must not train when it is run, got {where} with a training mode: do not run it"
        )


def _odd_attribute(attribute: onnx.AttributeProto) -> str | None:
    """What an attribute has beside the one value of its type."""
    if attribute.ref_attr_name:
        return "one by another's name"
    filled = [described.name for described, _ in attribute.ListFields()]
    field = _FIELD_OF_ATTRIBUTE.get(attribute.type)
    odd = set(filled) - {"name", "type", "doc_string", field}
    return None if field is not None and not odd else f"values in {', '.join(sorted(odd)) or 'no field of its type'}"


def _is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data) > 0


def _audit_tensor(tensor: TensorProto, name: str) -> None:
    """Refuse a tensor whose data are elsewhere, or not those of its type and shape."""
    if _is_external(tensor):
        raise ModelFormatError(
            f"the model {name} must hold all of its data, got {str(tensor.name)[:60]!r} in another file: do not run "
            "it, and fit it again"
        )
    problem = _tensor_problem(tensor)
    if problem is not None:
        raise ModelFormatError(
            f"the model {name} must have tensors of numbers with the data of their shape, got {problem} as "
            f"{tensor.name!r}: copy it again or fit it again"
        )


def _tensor_problem(tensor: TensorProto) -> str | None:
    if tensor.data_type not in NUMBERS or tensor.HasField("segment"):
        return f"type {tensor.data_type}"
    shape = tuple(tensor.dims)
    if len(shape) > MOST_AXES or min(shape, default=0) < 0:
        return f"the shape {' x '.join(map(str, shape[:MOST_AXES]))}"
    elements = size_of(shape)
    given = [field for field in _FIELDS if len(getattr(tensor, field))]
    if tensor.HasField("raw_data"):
        found, wanted = len(tensor.raw_data), elements * bytes_each(tensor.data_type)
        return None if not given and found == wanted else f"{found} bytes for {wanted}"
    field = helper.tensor_dtype_to_field(tensor.data_type)
    found = len(getattr(tensor, field))
    return None if set(given) <= {field} and found == elements else f"{found} numbers for {elements}"


def _audit_names(graphs: Sequence[onnx.GraphProto], name: str) -> None:
    """Refuse names that are no text, or very long, or of two values."""
    made = [
        each
        for graph in graphs
        for each in (
            *(tensor.name for tensor in graph.initializer),
            *(each for node in graph.node for each in node.output),
        )
    ]
    inner = [value.name for graph in graphs[1:] for value in graph.input]
    nodes = [node for graph in graphs for node in graph.node]
    others = [each for node in nodes for each in (node.name, node.domain, node.doc_string, *node.input)]
    others += [attribute.name for node in nodes for attribute in node.attribute]
    others += [each for graph in graphs for each in (graph.name, graph.doc_string)]
    others += [value.name for graph in graphs for value in graph.output]
    for each in (*made, *inner, *others):
        if not isinstance(each, str) or len(each) > LONGEST_NAME or "\0" in each:
            raise ModelFormatError(
                f"the model {name} must have names of at most {LONGEST_NAME} letters in its graph, got {each[:40]!r}: "
                "copy it again or fit it again"
            )
    seen = {INPUT}
    for each in filter(None, (*inner, *made)):
        if each in seen:
            raise ModelFormatError(
                f"the model {name} must give each value in its graph a name of its own, got {each!r} twice: do not run "
                "it, and fit it again"
            )
        seen.add(each)
