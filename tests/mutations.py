"""Seeded changes to a model file, as damage or an enemy would make them; the digest is made to fit again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onlygood.graph.bodies import tiles_of
from onlygood.graph.model_file import METADATA_KEY, content_digest

Random: TypeAlias = np.random.Generator
Change: TypeAlias = Callable[[onnx.ModelProto, Random], None]

WHOLE_NUMBERS = (-(2**63), -(2**31), -65_537, -2, -1, 0, 1, 2, 3, 7, 64, 65_537, 2**31 - 1, 2**31, 2**40, 2**63 - 1)
NUMBERS = (float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e-45, 3.4e38, -3.4e38)
TEXTS = (
    "",
    "a",
    "image",
    "score",
    "SAME_UPPER",
    "tf_crop_and_resize",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "x" * 5000,
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**400,
    2**63,
    1e308,
    float("nan"),
    float("inf"),
    -0.0,
    "",
    "nan",
    "\x1b]0;owned\x07\x1b[2J",
    "\ud800",
    "a\nb\rc",
    "x" * 200_000,
    [],
    [[]],
    {},
    {"a": {"b": [1]}},
    [0, 0],
    [-5, 5],
    [1e308, -1e308],
    ["\x9b31m"],
)
OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})
KINDS = sorted(TensorProto.DataType.values())


def mutated(content: bytes, random: Random) -> tuple[bytes, str]:
    """A changed model file, and in words what was changed."""
    if random.random() < 0.1:
        return _with_bytes_changed(content, random)
    model = onnx.load_model_from_string(content)
    names = []
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        change = CHANGES[int(random.integers(len(CHANGES)))]
        names.append(change.__name__)
        inside = tiles_of(model.graph)
        try:
            if inside and random.random() < 0.5:
                names[-1] += " in a tile"
                _change_inside(inside[0], change, random)
            else:
                change(model, random)
        except Exception:  # an earlier one took away what this one needs
            names[-1] += " (not done)"
    return sealed(model), ", ".join(names)


def _change_inside(tile: onnx.GraphProto, change: Change, random: Random) -> None:
    """Change the graph that is run for each tile, as if it were a model of its own."""
    model = onnx.ModelProto(graph=tile)
    change(model, random)
    tile.CopyFrom(model.graph)


def sealed(model: onnx.ModelProto) -> bytes:
    """The file with the digest that fits it, where its description can be read."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            try:
                described = json.loads(entry.value)
                described["content_sha256"] = content_digest(model, described)
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue
            entry.value = json.dumps(described)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _with_bytes_changed(content: bytes, random: Random) -> tuple[bytes, str]:
    changed = bytearray(content)
    kind = str(random.choice(["flip", "cut", "insert", "remove", "append", "repeat"]))
    place = int(random.integers(len(content)))
    if kind == "flip":
        for each in random.integers(0, len(content), int(random.integers(1, 5))):
            changed[each] ^= 1 << int(random.integers(8))
    elif kind == "cut":
        del changed[place:]
    elif kind == "insert":
        changed[place:place] = random.bytes(int(random.integers(1, 20)))
    elif kind == "remove":
        del changed[place : place + int(random.integers(1, 20))]
    elif kind == "append":
        changed += random.bytes(int(random.integers(1, 50)))
    else:
        changed += changed[place : place + 2000]
    try:
        return sealed(onnx.load_model_from_string(bytes(changed))), f"bytes: {kind}, sealed again"
    except Exception:  # no model any more
        return bytes(changed), f"bytes: {kind}"


def _pick(random: Random, things: Any) -> Any:
    return things[int(random.integers(len(things)))]


def _values(model: onnx.ModelProto) -> list[str]:
    made = [name for node in model.graph.node for name in node.output if name]
    return ["image", *(tensor.name for tensor in model.graph.initializer), *made]


def remove_node(model: onnx.ModelProto, random: Random) -> None:
    del model.graph.node[int(random.integers(len(model.graph.node)))]


def repeat_node(model: onnx.ModelProto, random: Random) -> None:
    model.graph.node.insert(int(random.integers(len(model.graph.node))), _pick(random, model.graph.node))


def add_useless_node(model: onnx.ModelProto, random: Random) -> None:
    node = onnx.NodeProto()
    node.CopyFrom(_pick(random, model.graph.node))
    node.output[:] = [f"{name}_again" for name in node.output]
    model.graph.node.append(node)


def swap_nodes(model: onnx.ModelProto, random: Random) -> None:
    nodes = list(model.graph.node)
    one, other = random.integers(0, len(nodes), 2)
    nodes[one], nodes[other] = nodes[other], nodes[one]
    _replace_nodes(model, nodes)


def shuffle_nodes(model: onnx.ModelProto, random: Random) -> None:
    nodes = list(model.graph.node)
    _replace_nodes(model, [nodes[at] for at in random.permutation(len(nodes))])


def _replace_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [node.SerializeToString() for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(onnx.NodeProto.FromString(copy) for copy in copies)


def rewire(model: onnx.ModelProto, random: Random) -> None:
    node = _pick(random, model.graph.node)
    node.input[int(random.integers(len(node.input)))] = _pick(random, [*_values(model), "", "nowhere"])


def give_more_or_fewer_inputs(model: onnx.ModelProto, random: Random) -> None:
    node = _pick(random, model.graph.node)
    if random.random() < 0.5:
        del node.input[-1]
    else:
        node.input.extend([_pick(random, _values(model))] * int(random.choice([1, 2, 2000])))


def change_outputs(model: onnx.ModelProto, random: Random) -> None:
    node = _pick(random, model.graph.node)
    node.output[0] = _pick(random, [*_values(model), *TEXTS, "a\0b"])


def change_operator(model: onnx.ModelProto, random: Random) -> None:
    _pick(random, model.graph.node).op_type = _pick(random, [*OPERATORS, "", "Nonsense"])


def change_domain(model: onnx.ModelProto, random: Random) -> None:
    _pick(random, model.graph.node).domain = _pick(random, ["ai.onnx", "com.microsoft", "ai.onnx.ml", "\x1b"])


def change_attribute(model: onnx.ModelProto, random: Random) -> None:
    node = _pick(random, [node for node in model.graph.node if len(node.attribute)])
    attribute = _pick(random, node.attribute)
    kind = int(random.integers(6))
    name = attribute.name
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = int(random.integers(0, 15))
    elif kind == 2:
        attribute.CopyFrom(helper.make_attribute(name, int(_pick(random, WHOLE_NUMBERS))))
    elif kind == 3:
        count = int(random.choice([0, 1, 2, 4, 9, 3000]))
        attribute.CopyFrom(
            helper.make_attribute(name, [int(_pick(random, WHOLE_NUMBERS)) for _ in range(count)], attr_type=7)
        )
    elif kind == 4:
        attribute.CopyFrom(helper.make_attribute(name, float(_pick(random, NUMBERS))))
    else:
        attribute.CopyFrom(helper.make_attribute(name, _pick(random, TEXTS)))


def change_one_number_of_an_attribute(model: onnx.ModelProto, random: Random) -> None:
    attribute = _pick(random, [each for node in model.graph.node for each in node.attribute])
    if len(attribute.ints):
        attribute.ints[int(random.integers(len(attribute.ints)))] = int(_pick(random, WHOLE_NUMBERS))
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = int(_pick(random, WHOLE_NUMBERS))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = float(_pick(random, NUMBERS))
    else:
        attribute.s = _pick(random, TEXTS).encode()


def add_attribute(model: onnx.ModelProto, random: Random) -> None:
    node = _pick(random, model.graph.node)
    schema = onnx.defs.get_schema(node.op_type, 18)
    name = _pick(random, [*schema.attributes, "unknown"])
    value = _pick(random, [*WHOLE_NUMBERS, *NUMBERS, *TEXTS, [1, 2], [0.5]])
    node.attribute.append(helper.make_attribute(name, value))


def change_tensor_shape(model: onnx.ModelProto, random: Random) -> None:
    tensor = _pick(random, model.graph.initializer)
    kind = int(random.integers(4))
    if kind == 0:
        tensor.dims[:] = [1, *tensor.dims]
    elif kind == 1:
        tensor.dims[:] = [int(np.prod(tensor.dims))]
    elif kind == 2:
        tensor.dims[:] = [int(_pick(random, WHOLE_NUMBERS)) for _ in range(int(random.choice([0, 1, 2, 4, 20])))]
    else:
        tensor.dims[int(random.integers(len(tensor.dims)))] = int(_pick(random, WHOLE_NUMBERS))


def change_tensor_type(model: onnx.ModelProto, random: Random) -> None:
    tensor = _pick(random, model.graph.initializer)
    if random.random() < 0.5:
        tensor.data_type = int(_pick(random, [*KINDS, 99, -1]))
        return
    kind = _pick(random, [np.float32, np.float64, np.float16, np.int32, np.int64, np.uint8, np.bool_])
    with np.errstate(all="ignore"):
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), tensor.name))


def change_tensor_data(model: onnx.ModelProto, random: Random) -> None:
    tensor = _pick(random, model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    is_float = np.issubdtype(array.dtype, np.floating)
    value = _pick(random, NUMBERS if is_float else WHOLE_NUMBERS[2:-4])
    if random.random() < 0.5 and array.size:
        array.reshape(-1)[int(random.integers(array.size))] = value
    else:
        array[...] = value
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_a_size(model: onnx.ModelProto, random: Random) -> None:
    """Of the whole numbers that shapes, axes and counts are taken from."""
    tensor = _pick(random, [each for each in model.graph.initializer if each.data_type == TensorProto.INT64])
    array = numpy_helper.to_array(tensor).copy()
    array[...] = [int(_pick(random, WHOLE_NUMBERS)) for _ in range(array.size)]
    if random.random() < 0.3:
        array = np.concatenate([array.reshape(-1)] * 2)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_tensor_storage(model: onnx.ModelProto, random: Random) -> None:
    tensor = _pick(random, model.graph.initializer)
    kind = int(random.integers(5))
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: int(random.integers(len(tensor.raw_data)))]
    elif kind == 1:
        tensor.raw_data = tensor.raw_data * 2
    elif kind == 2:
        tensor.float_data.extend([1.0] * 7)
    elif kind == 3:
        tensor.ClearField("raw_data")
    else:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")


def grow_a_tensor(model: onnx.ModelProto, random: Random) -> None:
    tensor = _pick(random, [each for each in model.graph.initializer if len(each.dims)])
    array = numpy_helper.to_array(tensor)
    changed = np.concatenate([array, array]) if random.random() < 0.5 else array[:-1]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), tensor.name))


def rename_or_remove_a_tensor(model: onnx.ModelProto, random: Random) -> None:
    tensor = _pick(random, model.graph.initializer)
    kind = int(random.integers(3))
    if kind == 0:
        tensor.name = _pick(random, [*_values(model), *TEXTS])
    elif kind == 1:
        model.graph.initializer.remove(tensor)
    else:
        model.graph.initializer.append(tensor)


def change_input(model: onnx.ModelProto, random: Random) -> None:
    image = model.graph.input[0]
    kind = int(random.integers(6))
    if kind == 0:
        image.type.tensor_type.elem_type = int(_pick(random, KINDS))
    elif kind == 1:
        image.type.tensor_type.shape.dim[int(random.integers(4))].dim_value = int(_pick(random, WHOLE_NUMBERS))
    elif kind == 2:
        image.type.tensor_type.shape.dim.add()
    elif kind == 3:
        image.type.Clear()
    elif kind == 4:
        model.graph.input.append(helper.make_tensor_value_info(_pick(random, _values(model)), 1, [1]))
    else:
        image.type.sequence_type.elem_type.tensor_type.elem_type = 1


def change_output(model: onnx.ModelProto, random: Random) -> None:
    output = _pick(random, model.graph.output)
    kind = int(random.integers(6))
    if kind == 0:
        output.name = _pick(random, _values(model))
    elif kind == 1:
        output.type.tensor_type.elem_type = int(_pick(random, KINDS))
    elif kind == 2:
        output.type.tensor_type.shape.dim.add().dim_value = int(_pick(random, WHOLE_NUMBERS))
    elif kind == 3:
        output.type.Clear()
    elif kind == 4:
        model.graph.output.append(helper.make_tensor_value_info(_pick(random, _values(model)), 1, None))
    else:
        output.type.optional_type.elem_type.tensor_type.elem_type = 1


def swap_outputs(model: onnx.ModelProto, random: Random) -> None:
    """What other outputs give, under the names that outputs have."""
    one, other = (_pick(random, [value.name for value in model.graph.output]) for _ in range(2))
    names = {one: other, other: one}
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]


def change_versions(model: onnx.ModelProto, random: Random) -> None:
    kind = int(random.integers(4))
    if kind == 0:
        model.opset_import[0].version = int(_pick(random, [*WHOLE_NUMBERS, 13, 17, 19, 21, 22, 23, 24, 25, 26, 9999]))
    elif kind == 1:
        model.ir_version = int(_pick(random, [*WHOLE_NUMBERS, 4, 9, 10, 11, 12, 13, 14]))
    elif kind == 2:
        model.opset_import.append(helper.make_opsetid(_pick(random, ["", "ai.onnx.ml", "x"]), 1))
    else:
        del model.opset_import[:]


def add_other_parts(model: onnx.ModelProto, random: Random) -> None:
    kind = int(random.integers(6))
    if kind == 0:
        model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [], [helper.make_opsetid("", 18)]))
    elif kind == 1:
        sparse = model.graph.sparse_initializer.add(dims=[2**40])
        sparse.values.name = "sparse"
    elif kind == 2:
        model.training_info.add().algorithm.node.add(op_type="Relu")
    elif kind == 3:
        model.graph.value_info.append(helper.make_tensor_value_info(_pick(random, _values(model)), 1, [7]))
    elif kind == 4:
        model.graph.quantization_annotation.add(tensor_name="image")
    else:
        model.graph.doc_string = model.doc_string = model.producer_name = _pick(random, TEXTS)


def add_bomb(model: onnx.ModelProto, random: Random) -> None:
    """A node or a few that take memory or time without end, added to the score in a way that cannot be left out."""
    size = int(10 ** random.uniform(5, 18))
    constants = {"bomb_shape": np.array([size]), "bomb_axis": np.array([0]), "bomb_two": np.array([2])}
    kind = int(random.integers(12))
    nodes: list[onnx.NodeProto]
    if kind == 0:
        nodes = [helper.make_node("ConstantOfShape", ["bomb_shape"], ["bomb"])]
    elif kind == 1:
        nodes = [helper.make_node("Expand", ["threshold", "bomb_shape"], ["bomb"])]
    elif kind == 2:
        constants["bomb_row"] = np.array([-1])
        nodes = [
            helper.make_node("Reshape", ["threshold", "bomb_row"], ["bomb_one"]),
            helper.make_node("Tile", ["bomb_one", "bomb_shape"], ["bomb"]),
        ]
    elif kind == 3:
        constants |= {"bomb_zero": np.array(0), "bomb_end": np.array(size), "bomb_step": np.array(1)}
        nodes = [helper.make_node("Range", ["bomb_zero", "bomb_end", "bomb_step"], ["bomb"])]
    elif kind == 4:  # doubled again and again
        nodes = [helper.make_node("Unsqueeze", ["threshold", "bomb_axis"], ["bomb0"])]
        nodes += [helper.make_node("Concat", [f"bomb{n}"] * 2, [f"bomb{n + 1}"], axis=0) for n in range(45)]
        nodes[-1].output[0] = "bomb"
    elif kind == 5:  # every pixel with every other one
        constants |= {"bomb_column": np.array([-1, 1]), "bomb_row": np.array([1, -1])}
        nodes = [
            helper.make_node("Cast", ["image"], ["bomb_levels"], to=1),
            helper.make_node("Reshape", ["bomb_levels", "bomb_column"], ["bomb_left"]),
            helper.make_node("Reshape", ["bomb_levels", "bomb_row"], ["bomb_right"]),
            helper.make_node("MatMul", ["bomb_left", "bomb_right"], ["bomb"]),
        ]
    elif kind == 6:  # as large as the image is bright
        nodes = [
            helper.make_node("Cast", ["image"], ["bomb_levels"], to=7),
            helper.make_node("ReduceProd", ["bomb_levels"], ["bomb_size"], keepdims=0),
            helper.make_node("Unsqueeze", ["bomb_size", "bomb_axis"], ["bomb_sizes"]),
            helper.make_node("ConstantOfShape", ["bomb_sizes"], ["bomb"]),
        ]
    elif kind == 7:  # as large as the image's size to the fourth power
        nodes = [
            helper.make_node("Shape", ["image"], ["bomb_sizes"]),
            helper.make_node("Concat", ["bomb_sizes"] * 3, ["bomb_shape_of_image"], axis=0),
            helper.make_node("ConstantOfShape", ["bomb_shape_of_image"], ["bomb"]),
        ]
    elif kind == 8:
        constants |= {"bomb_pads": np.array([size, 0]), "bomb_row": np.array([-1])}
        nodes = [
            helper.make_node("Reshape", ["threshold", "bomb_row"], ["bomb_one"]),
            helper.make_node("Pad", ["bomb_one", "bomb_pads"], ["bomb"]),
        ]
    elif kind == 9:
        constants |= {"bomb_sides": np.array([1, 1, size]), "bomb_row": np.array([1, 1, -1])}
        nodes = [
            helper.make_node("Reshape", ["threshold", "bomb_row"], ["bomb_one"]),
            helper.make_node("Resize", ["bomb_one", "", "", "bomb_sides"], ["bomb"], mode="nearest"),
        ]
    elif kind == 10:
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["go_on"]),
                helper.make_node("Add", ["state", "state"], ["next"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("turn", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("state", TensorProto.FLOAT, []),
            ],
            [
                helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
            ],
        )
        constants["bomb_go"] = np.array(True)
        nodes = [helper.make_node("Loop", ["", "bomb_go", "threshold"], ["bomb"], body=body)]
    else:
        constants |= {"bomb_starts": np.array([0]), "bomb_ends": np.array([size])}
        nodes = [
            helper.make_node("Slice", ["calibration_scores", "bomb_starts", "bomb_ends"], ["bomb_part"]),
            helper.make_node("NonZero", ["bomb_part"], ["bomb"]),
        ]
    last = next(node for node in model.graph.node if "score" in node.output)
    last.output[0] = "score_before"
    nodes += [
        helper.make_node("Cast", ["bomb"], ["bomb_float"], to=1),
        helper.make_node("ReduceMin", ["bomb_float"], ["bomb_least"], keepdims=0),
        helper.make_node("Add", ["score_before", "bomb_least"], ["score"]),
    ]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in constants.items() if name in used
    )


def change_description(model: onnx.ModelProto, random: Random) -> None:
    """A field, however deep: removed, or with another value."""
    described = json.loads(model.metadata_props[0].value)
    holder: Any = described
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = _pick(random, keys)
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.4:
            break
        holder = inner
    if random.random() < 0.25:
        del holder[key]
    else:
        holder[key] = _pick(random, ODD_VALUES)
    if random.random() < 0.1:
        described[_pick(random, ["lamp", "\x1b[2J", "guarantee"])] = _pick(random, ODD_VALUES)
    model.metadata_props[0].value = json.dumps(described)


def change_description_as_text(model: onnx.ModelProto, random: Random) -> None:
    text = model.metadata_props[0].value
    place = int(random.integers(len(text)))
    options = [text[:place], text[:place] + '"' + text[place:], "[" * 100_000, "null", text + "{}", text * 2]
    model.metadata_props[0].value = _pick(random, options)


def change_metadata_entries(model: onnx.ModelProto, random: Random) -> None:
    kind = int(random.integers(3))
    if kind == 0:
        model.metadata_props.append(model.metadata_props[0])
    elif kind == 1:
        del model.metadata_props[:]
    else:
        model.metadata_props.add(key="\x1b[31m", value="\x1b[2J")


CHANGES: tuple[Change, ...] = (
    remove_node,
    repeat_node,
    add_useless_node,
    swap_nodes,
    shuffle_nodes,
    rewire,
    rewire,
    give_more_or_fewer_inputs,
    change_outputs,
    change_operator,
    change_operator,
    change_domain,
    change_attribute,
    change_attribute,
    change_one_number_of_an_attribute,
    change_one_number_of_an_attribute,
    add_attribute,
    add_attribute,
    change_tensor_shape,
    change_tensor_type,
    change_tensor_data,
    change_tensor_data,
    change_a_size,
    change_a_size,
    change_tensor_storage,
    grow_a_tensor,
    rename_or_remove_a_tensor,
    change_input,
    change_output,
    swap_outputs,
    change_versions,
    add_other_parts,
    add_bomb,
    add_bomb,
    change_description,
    change_description,
    change_description,
    change_description_as_text,
    change_metadata_entries,
)
