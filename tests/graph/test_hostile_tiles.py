"""What a graph that runs for each tile may not be, each with a digest that fits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mutations import sealed
from onlygood.errors import ModelFormatError
from onlygood.graph.bodies import tiles_of
from onlygood.graph.costs import MOST_TILES
from onlygood.graph.model_file import unpack

MODEL = Path(__file__).parents[1] / "models" / "format-2-patch-in-tiles.onnx"


def scan_of(model: onnx.ModelProto) -> onnx.NodeProto:
    (scan,) = [node for node in model.graph.node if node.op_type == "Scan"]
    return scan


def body_of(model: onnx.ModelProto) -> onnx.GraphProto:
    (body,) = tiles_of(model.graph)
    return body


def refused(edit: Callable[[onnx.ModelProto], Any]) -> str:
    model = onnx.load_model_from_string(MODEL.read_bytes())
    edit(model)
    with pytest.raises(ModelFormatError) as caught:
        unpack(sealed(model), "x.onnx")
    message = str(caught.value)
    assert message.startswith("the model x.onnx must ")
    assert len(message.splitlines()) == 1
    return message


def second_scan(model: onnx.ModelProto) -> None:
    again = model.graph.node.add()
    again.CopyFrom(scan_of(model))
    again.output[:] = ["again_scores", "again_maps"]


def state(model: onnx.ModelProto) -> None:
    for attribute in scan_of(model).attribute:
        if attribute.name == "num_scan_inputs":
            attribute.i = 1


def directions(model: onnx.ModelProto) -> None:
    scan_of(model).attribute.append(helper.make_attribute("scan_input_directions", [1, 1]))


def no_body(model: onnx.ModelProto) -> None:
    kept = [attribute for attribute in scan_of(model).attribute if attribute.name != "body"]
    del scan_of(model).attribute[:]
    scan_of(model).attribute.extend(kept)


def more_fields(model: onnx.ModelProto) -> None:
    body_of(model).value_info.add().name = "odd"


@pytest.mark.parametrize("edit", [second_scan, state, directions, no_body, more_fields])
def test_a_scan_of_another_form_is_refused(edit: Callable[[onnx.ModelProto], Any]) -> None:
    assert "must run one graph for all tiles, as `onlygood fit` writes it, got" in refused(edit)


def loop(graph: onnx.GraphProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    graph.node.append(helper.make_node("Loop", ["", ""], ["looped"], body=inner))


def nested_scan(model: onnx.ModelProto) -> None:
    body_of(model).node.append(scan_of(model))


@pytest.mark.parametrize("edit", [lambda model: loop(body_of(model)), nested_scan])
def test_control_flow_inside_a_tile_is_refused(edit: Callable[[onnx.ModelProto], Any]) -> None:
    assert "must use standard ONNX operators only" in refused(edit)


def test_a_graph_of_an_operator_that_has_none_is_refused() -> None:
    def edit(model: onnx.ModelProto) -> None:
        body_of(model).node[0].attribute.append(helper.make_attribute("g", helper.make_graph([], "inner", [], [])))

    assert "must have a value of 'g' that `onlygood fit` could have written" in refused(edit)


def test_data_of_a_tile_that_are_elsewhere_are_refused() -> None:
    def edit(model: onnx.ModelProto) -> None:
        tensor = body_of(model).initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    assert "must hold all of its data" in refused(edit)


def test_one_name_for_two_values_is_refused_across_both_graphs() -> None:
    def edit(model: onnx.ModelProto) -> None:
        body_of(model).node[-1].output[0] = "p_value"

    assert "must give each value in its graph a name of its own" in refused(edit)


def test_too_many_tiles_are_refused() -> None:
    def edit(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name in ("top_starts", "left_starts"):
                starts = np.zeros((MOST_TILES + 1, 1), dtype=np.int64)
                tensor.CopyFrom(numpy_helper.from_array(starts, tensor.name))

    assert "must be one that memory and time are enough for" in refused(edit)


def test_work_for_each_tile_counts() -> None:
    def edit(model: onnx.ModelProto) -> None:
        body = body_of(model)
        side = numpy_helper.from_array(np.array([4000, 4000], dtype=np.int64), "tile/side")
        body.initializer.append(side)
        body.node.append(helper.make_node("ConstantOfShape", ["tile/side"], ["tile/heavy0"]))
        # Six products of 6.4e10 multiplications: less than the limit for one tile, more for nine.
        for number in range(6):
            taken = f"tile/heavy{number}"
            body.node.append(helper.make_node("MatMul", [taken, taken], [f"tile/heavy{number + 1}"]))

    assert "multiplications (at most 2.0e+12)" in refused(edit)


def test_a_bomb_inside_a_tile_is_refused() -> None:
    def edit(model: onnx.ModelProto) -> None:
        body = body_of(model)
        shape = numpy_helper.from_array(np.array([2**20, 2**10], dtype=np.int64), "tile/huge")
        body.initializer.append(shape)
        body.node.append(helper.make_node("ConstantOfShape", ["tile/huge"], ["tile/bomb"]))

    assert "must be one that memory and time are enough for, got" in refused(edit)


def test_the_size_of_tiles_is_that_of_the_description() -> None:
    def edit(model: onnx.ModelProto) -> None:
        entry = model.metadata_props[0]
        described = json.loads(entry.value)
        described["input"]["input_shape"] = [32, 32]
        entry.value = json.dumps(described)

    assert "must resize images to what its description says" in refused(edit)
