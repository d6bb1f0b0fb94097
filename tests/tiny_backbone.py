"""A backbone of a few hundred weights, made on the spot, and its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Operators whose form changed between opsets 13 and 18 are in it: ReduceMean took its axes as an attribute.
REDUCE_BY_ATTRIBUTE = 18


def tiny_model(*, opset: int = 18, input_name: str = "pixels", taps: tuple[str, str] = ("shallow", "deep")) -> Any:
    """A network with taps of 4 channels at 1/4 and 6 channels at 1/8 of the size, and a classifier behind them."""
    random = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32) / 3, name)

    shallow, deep = taps
    stride = {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}
    initializers = [
        weight("stem.weight", 4, 3, 3, 3),
        weight("stem.bias", 4),
        weight("block.weight", 6, 4, 3, 3),
        weight("classifier.weight", 6, 10),
    ]
    nodes = [
        helper.make_node("Conv", [input_name, "stem.weight", "stem.bias"], ["stem"], strides=[4, 4], **stride),
        helper.make_node("Relu", ["stem"], [shallow]),
        helper.make_node("Conv", [shallow, "block.weight"], ["block"], strides=[2, 2], **stride),
    ]
    if opset < REDUCE_BY_ATTRIBUTE:
        nodes.append(helper.make_node("ReduceMean", ["block"], ["mean"], axes=[2, 3], keepdims=1))
    else:
        initializers.append(numpy_helper.from_array(np.array([2, 3]), "mean.axes"))
        nodes.append(helper.make_node("ReduceMean", ["block", "mean.axes"], ["mean"], keepdims=1))
    nodes += [
        helper.make_node("Sigmoid", ["mean"], ["gate"]),
        helper.make_node("Mul", ["block", "gate"], [deep]),
        helper.make_node("GlobalAveragePool", [deep], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "classifier.weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [
            helper.make_tensor_value_info(shallow, TensorProto.FLOAT, ["N", 4, "h4", "w4"]),
            helper.make_tensor_value_info(deep, TensorProto.FLOAT, ["N", 6, "h8", "w8"]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def tiny_card(*, input_name: str = "pixels", taps: tuple[str, str] = ("shallow", "deep")) -> dict[str, Any]:
    """The card of `tiny_model`, but for the sha256."""
    shallow, deep = taps
    return {
        "card": 1,
        "name": "tiny",
        "description": "A network for tests",
        "input": input_name,
        "input_size": 64,
        "multiple": 8,
        "mean": [120.0, 115.0, 100.0],
        "std": [60.0, 58.0, 57.0],
        "taps": [
            {"name": shallow, "channels": 4, "reduction": 4},
            {"name": deep, "channels": 6, "reduction": 8},
        ],
        "patch_taps": [shallow, deep],
        "licence": "Apache-2.0",
        "source": "made on the spot",
    }


# Pixels a side of the one input that `token_model` takes, and of its patches.
TOKEN_INPUT, TOKEN_PATCH = 70, 14


def token_model() -> Any:
    """A network like a vision transformer: patches of 14 pixels that attend to one another, for 70 x 70 pixels only."""
    random = np.random.default_rng(0)
    places, width = TOKEN_INPUT // TOKEN_PATCH, 8

    def weight(name: str, *shape: int, fan_in: int) -> onnx.TensorProto:
        values = random.normal(size=shape) / np.sqrt(fan_in)
        return numpy_helper.from_array(values.astype(np.float32), name)

    initializers = [
        weight("patches.weight", width, 3, TOKEN_PATCH, TOKEN_PATCH, fan_in=3 * TOKEN_PATCH**2),
        weight("positions", 1, places**2, width, fan_in=4),
        weight("query.weight", width, width, fan_in=width),
        weight("value.weight", width, width, fan_in=width),
        numpy_helper.from_array(np.array([0, width, places**2]), "flat"),
        numpy_helper.from_array(np.array([0, width, places, places]), "square"),
    ]
    stride = {"kernel_shape": [TOKEN_PATCH] * 2, "strides": [TOKEN_PATCH] * 2}
    nodes = [
        helper.make_node("Conv", ["pixels", "patches.weight"], ["patches"], **stride),
        helper.make_node("Reshape", ["patches", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Add", ["rows", "positions"], ["tokens"]),
        helper.make_node("MatMul", ["tokens", "query.weight"], ["queries"]),
        helper.make_node("Transpose", ["tokens"], ["keys"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["queries", "keys"], ["affinities"]),
        helper.make_node("Softmax", ["affinities"], ["attention"], axis=-1),
        helper.make_node("MatMul", ["tokens", "value.weight"], ["values"]),
        helper.make_node("MatMul", ["attention", "values"], ["attended"]),
        helper.make_node("Add", ["tokens", "attended"], ["blocks"]),
        helper.make_node("Transpose", ["blocks"], ["blocks_first"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["blocks_first", "square"], ["last"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, TOKEN_INPUT, TOKEN_INPUT])],
        [helper.make_tensor_value_info("last", TensorProto.FLOAT, ["N", width, places, places])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def token_card() -> dict[str, Any]:
    """The card of `token_model`, but for the sha256: one tap, no levels."""
    return {
        **tiny_card(),
        "input_size": TOKEN_INPUT,
        "multiple": TOKEN_PATCH,
        "taps": [{"name": "last", "channels": 8, "reduction": TOKEN_PATCH}],
        "patch_taps": ["last"],
    }


def write_backbone(folder: Path, model: Any, card: dict[str, Any]) -> Path:
    """tiny.onnx and tiny.json; the card's sha256 is the file's unless it has one."""
    path = folder / "tiny.onnx"
    content = model if isinstance(model, bytes) else model.SerializeToString()
    path.write_bytes(content)
    described = {"sha256": hashlib.sha256(content).hexdigest(), **card}
    path.with_suffix(".json").write_text(json.dumps(described), encoding="utf-8")
    return path


def pixels(n: int = 2, size: int = 64) -> NDArray[np.float32]:
    """What a trunk takes."""
    return np.random.default_rng(1).normal(size=(n, 3, size, size)).astype(np.float32)
