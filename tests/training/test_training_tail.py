"""The end of a backbone run by torch gives what ONNX Runtime gives, and learns only what it is to learn."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from onlygood.backbones.backbone import load_backbone  # noqa: E402
from onlygood.errors import BackboneError  # noqa: E402
from onlygood.graph.subgraph import subgraph  # noqa: E402
from onlygood.graph.trunk import TAIL_INPUT, cut_trunk, split_trunk, with_weights  # noqa: E402
from onlygood.training.tail import Tail  # noqa: E402

RNG = np.random.default_rng(5)
LITE0 = load_backbone("lite0")
TRUNK = cut_trunk(LITE0, [LITE0.card.taps[-1]])


def run(model: onnx.ModelProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: values})[0]
    return found


def by_torch(model: onnx.ModelProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        found: NDArray[np.float32] = Tail(model.graph, ())(torch.from_numpy(values)).numpy()
    return found


@pytest.mark.parametrize(("layers", "start"), [(1, "stage6"), (4, "stage5"), (16, "stage4"), (49, "pixels")])
def test_front_and_tail_are_the_trunk(layers: int, start: str) -> None:
    parts = split_trunk(TRUNK, layers)
    assert parts.start == f"backbone/{start}"
    assert len(parts.trained) == 2 * layers, "a weight and a bias of each layer"
    images = RNG.standard_normal((2, 3, 64, 64)).astype(np.float32)
    whole = run(TRUNK, images)
    between = images if start == "pixels" else run(parts.front, images)
    np.testing.assert_allclose(run(parts.tail, between), whole, atol=1e-4)
    np.testing.assert_allclose(by_torch(parts.tail, between), whole, atol=1e-3)


def test_only_the_last_layers_learn_and_their_weights_go_back() -> None:
    parts = split_trunk(TRUNK, 2)
    tail = Tail(parts.tail.graph, parts.trained)
    assert sum(1 for _ in tail.parameters()) == 4
    given = torch.from_numpy(RNG.standard_normal((2, 192, 2, 2)).astype(np.float32))
    given = given if parts.start == "backbone/stage5" else given.repeat(1, 6, 1, 1)
    before = tail(given)
    before.square().sum().backward()
    assert all(parameter.grad is not None for parameter in tail.parameters())
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter += 0.05
    after = tail(given).detach().numpy()
    assert np.abs(after - before.detach().numpy()).max() > 0.1
    np.testing.assert_allclose(run(with_weights(parts.tail, tail.learned()), given.numpy()), after, atol=1e-3)
    np.testing.assert_allclose(run(parts.tail, given.numpy()), before.detach().numpy(), atol=1e-3)


GRAPHS = {
    "convolution, stride 2, same upper": 'Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (tail_input, weight, bias)',
    "convolution, same lower": 'Conv <auto_pad = "SAME_LOWER", strides = [2, 2]> (tail_input, weight, bias)',
    "convolution, valid": 'Conv <auto_pad = "VALID"> (tail_input, weight)',
    "convolution, uneven pads": "Conv <pads = [0, 1, 2, 1]> (tail_input, weight, bias)",
    "convolution, dilated": "Conv <pads = [2, 2, 2, 2], dilations = [2, 2]> (tail_input, weight, bias)",
    "convolution, grouped": "Conv <group = 2, pads = [1, 1, 1, 1]> (tail_input, grouped, bias)",
    "max pooling": "MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (tail_input)",
    "clip": "Clip (tail_input, low, high)",
    "clip below": "Clip (tail_input, low)",
    "relu": "Relu (tail_input)",
    "leaky relu": "LeakyRelu <alpha = 0.2> (tail_input)",
    "sigmoid": "Sigmoid (tail_input)",
    "hard sigmoid": "HardSigmoid (tail_input)",
    "hard swish": "HardSwish (tail_input)",
    "sum": "Add (tail_input, low)",
    "product": "Mul (tail_input, high)",
    "identity": "Identity (tail_input)",
    "mean over places": "GlobalAveragePool (tail_input)",
    "batch normalisation": "BatchNormalization <epsilon = 0.01> (tail_input, bias, bias, bias, high4)",
}


@pytest.mark.parametrize("name", GRAPHS)
def test_each_operator_is_onnx_runtimes(name: str) -> None:
    arrays = {
        "weight": RNG.standard_normal((4, 4, 3, 3)).astype(np.float32),
        "grouped": RNG.standard_normal((4, 2, 3, 3)).astype(np.float32),
        "bias": RNG.standard_normal(4).astype(np.float32),
        "low": np.array(-0.4, np.float32),
        "high": np.array(0.7, np.float32),
        "high4": np.array([0.5, 1, 2, 3], np.float32),
    }
    call = GRAPHS[name]
    used = {
        key: value
        for key, value in arrays.items()
        if key in call.replace("(", " ").replace(")", " ").replace(",", " ").split()
    }
    model = subgraph(f"part (float[N, c, h, w] {TAIL_INPUT}) => (float[N, c2, h2, w2] end) {{ end = {call} }}", used)
    values = RNG.standard_normal((2, 4, 9, 8)).astype(np.float32)
    np.testing.assert_allclose(by_torch(model, values), run(model, values), atol=1e-4)


def test_a_linear_end() -> None:
    arrays = {"weight": RNG.standard_normal((5, 48)).astype(np.float32), "bias": np.ones(5, np.float32)}
    text = f"""part (float[N, c, h, w] {TAIL_INPUT}) => (float[N, d] end) {{
        flat = Flatten ({TAIL_INPUT})
        end = Gemm <transB = 1> (flat, weight, bias)
    }}"""
    model = subgraph(text, arrays)
    values = RNG.standard_normal((2, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(by_torch(model, values), run(model, values), atol=1e-4)


def test_an_operator_that_torch_is_not_told_of_is_refused_by_name() -> None:
    model = subgraph(
        f"part (float[N, c, h, w] {TAIL_INPUT}) => (float[N, c, h, w] end) {{ end = Erf ({TAIL_INPUT}) }}", {}
    )
    with pytest.raises(BackboneError, match=r"must use operators among Add, .*, got Erf: lower trained_layers, or"):
        Tail(model.graph, ())


@pytest.mark.parametrize("layers", [0, 50])
def test_more_layers_than_there_are_cannot_be_trained(layers: int) -> None:
    with pytest.raises(
        BackboneError, match=f"trained_layers must be from 1 to 49, as many as the backbone has, got {layers}"
    ):
        split_trunk(TRUNK, layers)
