from __future__ import annotations

import numpy as np
import onnx
import pytest

from onlygood.errors import SettingError
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import IR_VERSION, OPSET, join, subgraph
from reference import evaluate

DOUBLE = "double (float[N, 3] x) => (float[N, 3] y) { y = Add (x, x) }"
SHIFT = "shift (float[N, 3] y) => (float[N, 3] z) { z = Add (y, offset) }"
OFFSET = {"offset": np.array([1, 2, 3], dtype=np.float32)}


def test_a_piece_has_the_versions_of_old_runtimes_unless_another_opset_is_asked_for() -> None:
    piece = subgraph(DOUBLE, {})
    assert (piece.ir_version, [(entry.domain, entry.version) for entry in piece.opset_import]) == (8, [("", 18)])
    assert (IR_VERSION, OPSET) == (8, 18)
    assert subgraph(DOUBLE, {}, opset=20).opset_import[0].version == 20


def test_arrays_come_back_as_they_were_whatever_their_memory_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    for given in (array, np.asfortranarray(array), array.T, array[:, ::2], np.float32(3)):
        piece = subgraph("give () => (float[a, b] y) { y = Identity (k) }", {"k": np.asarray(given)})
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(piece.graph.initializer[0]), given)


def test_names_that_the_syntax_cannot_write_are_given_afterwards() -> None:
    names = {"x": "/layer1/Relu_output_0", "z": "12"}
    first = subgraph("a (float[N] x) => (float[N] y) { y = Neg (x) }", {}, names=names)
    second = subgraph("b (float[N] y) => (float[N] z) { z = Mul (y, y) }", {}, names=names)
    whole = join(first, second, outputs=["12"])
    assert [value.name for value in whole.graph.input] == ["/layer1/Relu_output_0"]
    assert evaluate(whole, {"/layer1/Relu_output_0": np.float32([2, 3])})["12"].tolist() == [4, 9]


def test_pieces_are_joined_by_the_names_of_their_values() -> None:
    whole = join(subgraph(DOUBLE, {}), subgraph(SHIFT, OFFSET), outputs=["z"])
    assert [value.name for value in whole.graph.input] == ["x"]
    assert [value.name for value in whole.graph.output] == ["z"]
    assert (whole.ir_version, whole.opset_import[0].version) == (IR_VERSION, OPSET)
    np.testing.assert_array_equal(evaluate(whole, {"x": np.float32([[1, 10, 100]])})["z"], [[3, 22, 203]])


def test_outputs_come_in_the_order_asked_for_those_between_pieces_too() -> None:
    whole = join(subgraph(DOUBLE, {}), subgraph(SHIFT, OFFSET), outputs=["z", "y"])
    assert [value.name for value in whole.graph.output] == ["z", "y"]
    np.testing.assert_array_equal(evaluate(whole, {"x": np.float32([[1, 1, 1]])})["y"], [[2, 2, 2]])


def test_an_input_that_two_pieces_share_is_one_input() -> None:
    other = subgraph("other (float[N, 3] x, float[N, 3] y) => (float[N, 3] w) { w = Mul (x, y) }", {})
    whole = join(subgraph(DOUBLE, {}), other, outputs=["w"])
    assert [value.name for value in whole.graph.input] == ["x"]
    np.testing.assert_array_equal(evaluate(whole, {"x": np.float32([[1, 2, 3]])})["w"], [[2, 8, 18]])


@pytest.mark.parametrize(
    "misfit",
    [
        "type (float[N, 3] x) => (int64[N, 3] y) { y = Cast <to = 7> (x) }",
        "shape (float[N, 3] x) => (float[N, 4] y) { y = Pad (x, pads) }",
    ],
)
def test_pieces_of_other_types_or_shapes_are_refused(misfit: str) -> None:
    arrays = {"pads": np.array([0, 0, 0, 1])} if "pads" in misfit else {}
    first = subgraph(misfit, arrays)
    onnx.checker.check_model(first, full_check=True)
    with pytest.raises((onnx.checker.ValidationError, onnx.shape_inference.InferenceError)):
        join(first, subgraph(SHIFT, OFFSET), outputs=["z"])


def test_pieces_in_the_wrong_order_or_twice_are_refused() -> None:
    double, shift = subgraph(DOUBLE, {}), subgraph(SHIFT, OFFSET)
    for pieces, output in (((shift, double), "z"), ((double, double), "y"), ((double, shift, shift), "z")):
        with pytest.raises(onnx.checker.ValidationError):
            join(*pieces, outputs=[output])


def test_constants_of_one_name_are_refused() -> None:
    clash = subgraph("clash (float[N, 3] z) => (float[N, 3] w) { w = Mul (z, offset) }", OFFSET)
    with pytest.raises(onnx.checker.ValidationError, match="offset"):
        join(subgraph(DOUBLE, {}), subgraph(SHIFT, OFFSET), clash, outputs=["w"])


def test_pieces_of_different_opsets_are_refused() -> None:
    with pytest.raises(ValueError, match="one opset, got 18, 20"):
        join(subgraph(DOUBLE, {}, opset=20), subgraph(SHIFT, OFFSET), outputs=["z"])


def test_an_output_that_no_piece_gives_is_refused() -> None:
    with pytest.raises(ValueError, match="made in it, got score"):
        join(subgraph(DOUBLE, {}), outputs=["y", "score"])


def test_a_run_gives_the_outputs_asked_for_in_their_order() -> None:
    session = open_session(join(subgraph(DOUBLE, {}), subgraph(SHIFT, OFFSET), outputs=["y", "z"]).SerializeToString())
    feeds = {"x": np.zeros((1, 3), dtype=np.float32)}
    assert [value.tolist() for value in run(session, ["z", "y"], feeds)] == [[[1, 2, 3]], [[0, 0, 0]]]
    assert [value.tolist() for value in run(session, ["y"], feeds)] == [[[0, 0, 0]]]


def test_a_provider_or_a_number_of_threads_that_is_none_is_refused() -> None:
    content = join(subgraph(DOUBLE, {}), outputs=["y"]).SerializeToString()
    with pytest.raises(SettingError, match=r"must be one that this installation .* has \(.*cpu.*\), got 'abacus'"):
        open_session(content, provider="abacus")
    with pytest.raises(SettingError, match=r"threads must be 0 .* or more, got -1"):
        open_session(content, threads=-1)
