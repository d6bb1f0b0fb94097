"""What a model file may consist of, looked at before ONNX or a runtime sees it.

Someone who means harm writes the right digest, so nothing here trusts it. What a graph that passes can still cost is
bounded in `onlygood.graph.costs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper

from onlygood._printable import printable
from onlygood.errors import ModelFormatError
from onlygood.graph.costs import bytes_each
from onlygood.graph.operators import OPERATORS, attribute_problem, size_of

INPUT = "image"
# Outputs that a model file has, and their types.
OUTPUTS = {
    "score": TensorProto.FLOAT,
    "p_value": TensorProto.FLOAT,
    "is_anomaly": TensorProto.BOOL,
    "anomaly_map": TensorProto.FLOAT,
    "patch_scores": TensorProto.FLOAT,
}
MAX_NODES = 20_000
MAX_TENSORS = 20_000
MAX_OUTPUTS = 64
MAX_INPUTS = 1024
LONGEST_NAME = 1000
MOST_AXES = 8

_NUMBERS = frozenset(
    (
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.DOUBLE,
        TensorProto.BOOL,
        TensorProto.UINT8,
        TensorProto.INT8,
        TensorProto.UINT16,
        TensorProto.INT16,
        TensorProto.UINT32,
        TensorProto.INT32,
        TensorProto.UINT64,
        TensorProto.INT64,
    )
)
# Where each type's elements are if they are not in `raw_data`.
_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
# Fields of an ONNX file that no file of ours has, by the message that has them, and whether each is one message.
_ABSENT: Mapping[type[Message], tuple[tuple[str, bool], ...]] = {
    onnx.ModelProto: (("functions", False), ("training_info", False)),
    onnx.GraphProto: (("sparse_initializer", False), ("quantization_annotation", False), ("value_info", False)),
    onnx.AttributeProto: tuple((name, True) for name in ("g", "sparse_tensor", "tp"))
    + tuple((name, False) for name in ("graphs", "sparse_tensors", "type_protos", "tensors", "strings")),
    TensorProto: (("segment", True),),
}


def foreign_operators(parts: Iterable[Message]) -> list[str]:
    """The operators that a model file may not hold, by their names, with the domain where it is another's.

    Args:
        parts: of a graph, inner graphs included, as `messages` gives them.
    """
    nodes = [part for part in parts if isinstance(part, onnx.NodeProto)]
    return sorted({_operator(node) for node in nodes if not _is_allowed(node)})


def audit(model: onnx.ModelProto, name: str) -> None:
    """Refuse what no file of ours holds.

    Args:
        model: a whole model.
        name: what messages call it.

    Raises:
        ModelFormatError: with the first thing that it may not hold.
    """
    parts = list(messages(model))
    external = [part.name for part in parts if isinstance(part, TensorProto) and _is_external(part)]
    if external:
        raise ModelFormatError(
            f"the model {name} must hold all of its data, got {external[0]!r} in another file: do not run it, and fit "
            "it again"
        )
    require_operators(model, name)
    _audit_signature(model, name)
    if len(model.opset_import) != 1 or model.opset_import[0].domain not in ("", "ai.onnx"):
        raise ModelFormatError(
            f"the model {name} must use one version of the standard operators, got "
            f"{', '.join(repr(str(entry.domain)[:60]) for entry in model.opset_import) or 'none'}: fit it again"
        )
    graph = model.graph
    for count, most, what in (
        (len(graph.node), MAX_NODES, "nodes"),
        (len(graph.initializer), MAX_TENSORS, "tensors"),
    ):
        if count > most:
            raise ModelFormatError(f"the model {name} must have at most {most} {what}, got {count}: do not run it")
    for part in parts:
        _refuse_what_we_never_write(part, name)
    for node in graph.node:
        _audit_node(node, name)
    for tensor in graph.initializer:
        _audit_tensor(tensor, name)
    _audit_names(graph, name)


def require_operators(model: onnx.ModelProto, name: str) -> None:
    """Refuse operators that a model file may not hold.

    Args:
        model: a graph, whole or in part.
        name: what messages call the model.

    Raises:
        ModelFormatError: with the first of them.
    """
    foreign = ["functions of its own"] if len(model.functions) else foreign_operators(messages(model))
    if foreign:
        raise ModelFormatError(
            f"the model {name} must use standard ONNX operators only, those of feed-forward networks, got "
            f"{', '.join(foreign[:9])}: do not run it, and fit it again"
        )


def messages(message: Message) -> Iterator[Message]:
    """A protobuf message and all inside it: nodes of inner graphs, tensors wherever they hang."""
    yield message
    for described, value in message.ListFields():
        if described.message_type is not None:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from messages(inner)


def _refuse_what_we_never_write(part: Message, name: str) -> None:
    for field, is_one in _ABSENT.get(type(part), ()):
        if part.HasField(field) if is_one else len(getattr(part, field)):
            kind = type(part).__name__.removesuffix("Proto").lower()
            raise ModelFormatError(
                f"the model {name} must have no {field} in its {kind}, as `onlygood fit` writes none, got some: do "
                "not run it, and fit it again"
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
        problem = "one by another's name" if attribute.ref_attr_name else attribute_problem(attribute)
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


def _is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data) > 0


def _audit_tensor(tensor: TensorProto, name: str) -> None:
    """Refuse a tensor whose data are not those of its type and shape."""
    problem = _tensor_problem(tensor)
    if problem is not None:
        raise ModelFormatError(
            f"the model {name} must have tensors of numbers with the data of their shape, got {problem} as "
            f"{tensor.name!r}: copy it again or fit it again"
        )


def _tensor_problem(tensor: TensorProto) -> str | None:
    if tensor.data_type not in _NUMBERS:
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


def _audit_names(graph: onnx.GraphProto, name: str) -> None:
    """Refuse names that are no text, or very long, or of two values."""
    made = [*(tensor.name for tensor in graph.initializer), *(each for node in graph.node for each in node.output)]
    others = [each for node in graph.node for each in (node.name, node.domain, node.doc_string, *node.input)]
    others += [attribute.name for node in graph.node for attribute in node.attribute]
    for each in (*made, *others, graph.name, graph.doc_string, *(value.name for value in graph.output)):
        if not isinstance(each, str) or len(each) > LONGEST_NAME or "\0" in each:
            raise ModelFormatError(
                f"the model {name} must have names of at most {LONGEST_NAME} letters in its graph, got {each[:40]!r}: "
                "copy it again or fit it again"
            )
    seen = {INPUT}
    for each in filter(None, made):
        if each in seen:
            raise ModelFormatError(
                f"the model {name} must give each value in its graph a name of its own, got {each!r} twice: do not run "
                "it, and fit it again"
            )
        seen.add(each)
