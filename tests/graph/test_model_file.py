"""Model files that are damaged, foreign or hostile, and the one sentence that each gives."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onlygood
from flat import fit
from onlygood.errors import ModelFileError, ModelFormatError, ModelVersionError
from onlygood.graph.model_file import FORMAT, METADATA_KEY, content_digest, pack, read_model_file, unpack
from textures import save, texture, textures


@pytest.fixture(scope="module")
def content() -> bytes:
    """A model file of a few kilobytes."""
    return fit(textures(4), taps=("stage0",), input_size=16, bank_size=8).file.content


def refused(content: bytes, error: type[ModelFileError] = ModelFormatError) -> str:
    """The message with which this content is refused, which is one sentence with the file's name."""
    with pytest.raises(error) as caught:
        unpack(content, "lot7/part.onnx")
    assert type(caught.value) is error
    message = str(caught.value)
    assert "the model lot7/part.onnx " in message
    assert "\n" not in message
    return message


def edited(content: bytes, edit: Callable[[onnx.ModelProto], Any], *, sealed: bool = True) -> bytes:
    """The file after an edit of its graph, with the digest that fits it, as someone who means harm would write it."""
    model = onnx.load_model_from_string(content)
    edit(model)
    if sealed:
        for entry in model.metadata_props:
            if entry.key == METADATA_KEY:
                described = json.loads(entry.value)
                entry.value = json.dumps({**described, "content_sha256": content_digest(model, described)})
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def described_as(content: bytes, text: str) -> bytes:
    def describe(model: onnx.ModelProto) -> None:
        model.metadata_props[0].value = text

    return edited(content, describe, sealed=False)


def test_what_was_packed_is_unpacked(content: bytes) -> None:
    assert unpack(content, "x").content == content
    # The seal is the file's own: an edit that changes nothing gives the same bytes.
    assert unpack(edited(content, lambda model: None), "x").metadata == unpack(content, "x").metadata


def test_a_file_is_refused_wherever_it_is_cut_short(content: bytes) -> None:
    places = {*range(64), *range(len(content) - 3000, len(content)), *range(64, len(content), 97)}
    for length in sorted(places):
        refused(content[:length])


def test_a_file_is_refused_whichever_of_its_bits_is_flipped(content: bytes) -> None:
    random = np.random.default_rng(0)
    places = {
        *range(64),
        *random.integers(0, len(content), 600),
        *random.integers(len(content) - 3000, len(content), 600),
    }
    for place in sorted(places):
        changed = bytearray(content)
        changed[place] ^= 1 << int(random.integers(8))
        with pytest.raises(ModelFileError):
            unpack(bytes(changed), "part.onnx")


def test_a_changed_weight_is_damage(content: bytes) -> None:
    def change(model: onnx.ModelProto) -> None:
        bank = next(tensor for tensor in model.graph.initializer if tensor.name == "embedding_bank_memory_bank")
        values = numpy_helper.to_array(bank).copy()
        values[0, 0] = np.nextafter(values[0, 0], np.inf)
        bank.CopyFrom(numpy_helper.from_array(values, bank.name))

    message = refused(edited(content, change, sealed=False))
    assert "is damaged or was edited: its content is not what `onlygood fit` wrote" in message


@pytest.mark.parametrize("key", ["guarantee", "input", "map_levels", "settings"])
def test_a_changed_description_is_damage(content: bytes, key: str) -> None:
    described = unpack(content, "x").metadata.to_dict()
    assert "is damaged or was edited" in refused(described_as(content, json.dumps({**described, key: {}})))


def test_other_programs_may_leave_notes_of_their_own(content: bytes) -> None:
    def note(model: onnx.ModelProto) -> None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "line", "4"

    unpack(edited(content, note, sealed=False), "x")


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_no_model(seed: int) -> None:
    random = np.random.default_rng(seed)
    refused(random.integers(0, 256, int(random.integers(1, 5000)), dtype=np.uint8).tobytes())


FOREIGN: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "got no ONNX graph at all"),
    "a text": (b"part number 7", "must be an ONNX file, got 13 bytes that are not one or are cut short"),
    "an archive": (b"PK\x03\x04" + bytes(60), "must be an ONNX file, got 64 bytes"),
    "zeros": (bytes(1000), "must be an ONNX file, got 1000 bytes"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_no_model(kind: str) -> None:
    content, message = FOREIGN[kind]
    assert message in refused(content)


def test_an_image_is_no_model(tmp_path: Path) -> None:
    save(tmp_path, {"a.png": texture(0), "a.jpg": texture(0), "a.bmp": texture(0), "a.tif": texture(0)})
    for path in tmp_path.iterdir():
        with pytest.raises(ModelFormatError, match=rf"the model .*{path.name} must be"):
            read_model_file(path)


def test_another_onnx_model_is_none_of_ours() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", tensors[:1], tensors[1:]))
    message = refused(model.SerializeToString())
    assert "must be one that `onlygood fit` wrote, got an ONNX file of another kind" in message


def test_a_file_without_description_or_with_two_is_none_of_ours(content: bytes) -> None:
    def strip(model: onnx.ModelProto) -> None:
        del model.metadata_props[:]

    def double(model: onnx.ModelProto) -> None:
        model.metadata_props.append(model.metadata_props[0])

    for edit in (strip, double):
        assert "must be one that `onlygood fit` wrote" in refused(edited(content, edit, sealed=False))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "7", "{}", '{"form', "[" * 100_000])
def test_a_description_that_is_no_json_object_with_a_format_is_refused(content: bytes, text: str) -> None:
    assert "has a description that cannot be read" in refused(described_as(content, text))


@pytest.mark.parametrize("number", ["0", "-1", '"1"', "null", "1.5"])
def test_a_format_that_is_no_positive_whole_number_is_refused(content: bytes, number: str) -> None:
    message = refused(described_as(content, f'{{"format": {number}}}'))
    assert "must have a format number of at least 1" in message


def test_a_newer_format_is_refused_with_what_to_do(content: bytes) -> None:
    newer = described_as(content, json.dumps({"format": FORMAT + 1, "anything": "else"}))
    message = refused(newer, ModelVersionError)
    assert f"has format {FORMAT + 1}, this onlygood reads up to {FORMAT}: install a newer onlygood" in message


def test_a_newer_format_is_reported_as_such_whatever_else_is_new_in_it(content: bytes) -> None:
    def modernise(model: onnx.ModelProto) -> None:
        model.graph.node[0].domain = "com.example"
        model.graph.output[0].name = "outcome"
        model.metadata_props[0].value = json.dumps({"format": FORMAT + 1})

    refused(edited(content, modernise, sealed=False), ModelVersionError)


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "com.example"


def custom_operator_in_a_branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Leak", [], ["z"], domain="com.example")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))


def local_function(model: onnx.ModelProto) -> None:
    opset = helper.make_opsetid("", 18)
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [], [opset]))


def external(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def external_weight(model: onnx.ModelProto) -> None:
    external(model.graph.initializer[0])


def external_constant(model: onnx.ModelProto) -> None:
    value = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    external(value)
    model.graph.node.append(helper.make_node("Constant", [], ["w"], value=value))


def external_weight_in_a_branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])])
    external(inner.initializer[0])
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))


def external_sparse_weight(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.name = "w"
    external(sparse.values)


def missing_output(model: onnx.ModelProto) -> None:
    del model.graph.output[0]


def renamed_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pixels"


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


HOSTILE: dict[Callable[[onnx.ModelProto], None], str] = {
    custom_operator: "must use standard ONNX operators only, those of feed-forward networks, got .* of com.example: do",
    custom_operator_in_a_branch: "got If, Leak of com.example: do not run it",
    local_function: "must use standard ONNX operators only, .*, got functions of its own: do not run it",
    external_weight: "in another file: do not run it",
    external_constant: "must hold all of its data, got 'w' in another file: do not run it",
    external_weight_in_a_branch: "must hold all of its data, got 'w' in another file: do not run it",
    external_sparse_weight: "must hold all of its data, got 'w' in another file: do not run it",
    missing_output: "must have the input image and the outputs score, p_value, .*, got image and p_value, is_anomaly",
    renamed_input: "must have the input image and the outputs .*, got pixels and score",
    second_input: "got image, more and score",
}


@pytest.mark.parametrize("edit", HOSTILE, ids=lambda edit: edit.__name__)
def test_what_no_file_of_ours_holds_is_refused_even_with_the_right_digest(
    content: bytes, edit: Callable[[onnx.ModelProto], None]
) -> None:
    message = refused(edited(content, edit))
    assert re.search(HOSTILE[edit], message), message


def test_a_file_that_this_onnx_runtime_cannot_run_is_refused_with_its_name(content: bytes, tmp_path: Path) -> None:
    def modernise(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = 9999

    path = tmp_path / "part.onnx"
    path.write_bytes(edited(content, modernise))
    with pytest.raises(
        ModelFileError, match=r"the model .*part\.onnx must be one that ONNX Runtime .* can run"
    ) as caught:
        onlygood.Inspector(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.onnx does not exist: fit one with `onlygood fit`"):
        read_model_file(tmp_path / "none.onnx")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="a model must be a file, got the folder"):
        read_model_file(tmp_path)


def test_a_file_that_may_not_be_read_gives_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(path: object, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "part.onnx").write_bytes(b"")
    monkeypatch.setattr(os, "open", forbid)
    with pytest.raises(ModelFileError, match="cannot be read: Permission denied"):
        read_model_file(tmp_path / "part.onnx")


def test_packing_replaces_a_description_that_was_there(content: bytes) -> None:
    model = onnx.load_model_from_string(content)
    packed = pack(model, unpack(content, "x").metadata.replaced(notes=("one", "two")))
    assert packed.metadata.notes == ("one", "two")
    assert packed.metadata == unpack(packed.content, "x").metadata


def test_a_runtime_needs_nothing_but_the_file(model_path: Path) -> None:
    """Standard operators, one input of any size and batch, five outputs."""
    model = onnx.load(model_path)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.domain for entry in model.opset_import] == [""]
    assert [value.name for value in model.graph.input] == ["image"]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_value for size in shape] == [0, 0, 0, 0], "none of them is fixed"
    outputs = [value.name for value in model.graph.output]
    assert outputs == ["score", "p_value", "is_anomaly", "anomaly_map", "patch_scores"]
