from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from flat import METHODS, kind_of
from onlygood.backbones.backbone import (
    Backbone,
    Card,
    Level,
    Tap,
    available_backbones,
    load_backbone,
    parse_card,
)
from onlygood.errors import BackboneError, SettingError
from onlygood.graph.patches import patch_embedding
from onlygood.graph.preprocess import preprocess
from onlygood.graph.subgraph import in_trunk, join
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.images.window import FULL_8_BIT
from reference import evaluate
from tiny_backbone import pixels, tiny_card, tiny_model, write_backbone

FIELDS = (
    "name",
    "description",
    "input",
    "input_size",
    "multiple",
    "mean",
    "std",
    "taps",
    "patch_taps",
    "licence",
    "source",
    "sha256",
)


OPTIONAL = ("levels", "patch_input_sizes")
LOOKS: dict[str, Any] = {
    "levels": [{"taps": ["shallow"], "reduction": 4}, {"taps": ["deep", "shallow"], "reduction": 8}],
    "patch_input_sizes": [64, 96],
}


def whole_card(**changes: Any) -> dict[str, Any]:
    return {**tiny_card(), "sha256": "0" * 64, **changes}


def parsed(**changes: Any) -> Card:
    return parse_card(whole_card(**changes), "tiny.json")


def cut(path: Path) -> onnx.ModelProto:
    backbone = load_backbone(path)
    return cut_trunk(backbone, backbone.card.taps)


def test_a_card_says_all_that_is_needed() -> None:
    card = parsed(mean=[1, 2, 3.5])
    assert (card.input_size, card.multiple, card.mean) == (64, 8, (1.0, 2.0, 3.5))
    assert card.taps == (Tap(name="shallow", channels=4, reduction=4), Tap(name="deep", channels=6, reduction=8))
    assert set(FIELDS) | set(OPTIONAL) | {"card"} == set(card.to_dict())


@pytest.mark.parametrize("changes", [{}, LOOKS, {"levels": LOOKS["levels"]}, {"patch_input_sizes": [64, 64]}])
def test_a_card_survives_json(changes: dict[str, Any]) -> None:
    card = parsed(**changes)
    assert parse_card(json.loads(json.dumps(card.to_dict())), "again") == card


def test_a_card_may_say_what_the_patch_detector_looks_at_side_by_side_and_at_which_sizes() -> None:
    card = parsed(**LOOKS)
    assert card.levels == (
        Level(taps=("shallow",), reduction=4),
        Level(taps=("deep", "shallow"), reduction=8),
    )
    assert card.patch_input_sizes == (64, 96)
    shallow, deep = card.taps
    assert card.choose_levels(None) == (((shallow,), 4), ((deep, shallow), 8))
    assert json.loads(json.dumps(card.to_dict()))["levels"] == LOOKS["levels"]
    assert json.loads(json.dumps(card.to_dict()))["patch_input_sizes"] == LOOKS["patch_input_sizes"]


@pytest.mark.parametrize("changes", [{}, {"levels": None, "patch_input_sizes": None}, {"levels": []}])
def test_a_card_without_levels_has_one_of_its_patch_taps(changes: dict[str, Any]) -> None:
    card = parsed(patch_taps=["deep", "shallow"], **changes)
    assert (card.levels, card.patch_input_sizes) == ((), None)
    shallow, deep = card.taps
    assert card.choose_levels(None) == (((deep, shallow), 8),)


def test_taps_that_are_asked_for_are_one_level_on_the_coarsest_of_their_grids() -> None:
    card = parsed(**LOOKS)
    shallow, deep = card.taps
    assert card.choose_levels(["shallow"]) == (((shallow,), 4),)
    assert card.choose_levels(["shallow", "deep"]) == (((shallow, deep), 8),)
    for names in (["other"], ["deep", "deep"], []):
        with pytest.raises(SettingError, match="different names out of shallow, deep for backbone tiny"):
            card.choose_levels(names)


@pytest.mark.parametrize("field", ["taps", "reduction"])
def test_a_level_without_a_field_is_refused_with_its_name(field: str) -> None:
    level = {"taps": ["deep"], "reduction": 8}
    del level[field]
    with pytest.raises(BackboneError, match=f"^the card tiny.json needs the field '{field}', got none$"):
        parsed(levels=[{"taps": ["shallow"], "reduction": 4}, level])


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        *(("reduction", value, "a whole number of at least 1") for value in (0, -8, 1.5, "8", None, True)),
        *(("taps", value, "a list of texts") for value in ("deep", None, [1], [""], {"deep": 1})),
    ],
)
def test_a_level_with_a_field_of_no_use_is_refused_with_its_name_and_value(field: str, value: Any, said: str) -> None:
    level = {"taps": ["deep"], "reduction": 8, field: value}
    with pytest.raises(BackboneError, match=f"^the card tiny.json must have {said} as its field '{field}', got "):
        parsed(levels=[level])


@pytest.mark.parametrize("field", FIELDS)
def test_a_card_without_a_field_is_refused_with_its_name(field: str) -> None:
    card = whole_card()
    del card[field]
    with pytest.raises(BackboneError, match=f"the card tiny.json needs the field '{field}'"):
        parse_card(card, "tiny.json")


@pytest.mark.parametrize("field", ["name", "channels", "reduction"])
def test_a_tap_without_a_field_is_refused_with_its_name(field: str) -> None:
    card = whole_card()
    del card["taps"][1][field]
    with pytest.raises(BackboneError, match=f"the card tiny.json needs the field '{field}'"):
        parse_card(card, "tiny.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, value) for field in ("name", "input", "licence", "sha256") for value in ("", None, 3, ["a"])],
        *[(field, value) for field in ("input_size", "multiple") for value in (0, -8, 8.5, "64", None, True, [64])],
        *[
            (field, value)
            for field in ("mean", "std")
            for value in (127, None, "abc", [1, 2], [1, 2, 3, 4], [1, 2, None], [1, 2, math.nan], [1, 2, math.inf])
        ],
        ("std", [1, 0, 1]),
        ("std", [1, -1, 1]),
        *[("taps", value) for value in (None, "deep", {"name": "deep"}, ["deep"], [["deep", 4, 4]])],
        *[("patch_taps", value) for value in (None, "deep", [1], [None])],
        *[("levels", value) for value in ("deep", {"taps": ["deep"]}, ["deep"], [["deep", 8]], 3, False)],
        *[
            ("patch_input_sizes", value)
            for value in (64, "64", [64], [64, 96, 128], [96, 64], [0, 64], [64, 96.0], [64, None], True, {"64": 96})
        ],
    ],
)
def test_a_card_with_a_field_of_no_use_is_refused_with_its_name_and_value(field: str, value: Any) -> None:
    with pytest.raises(BackboneError, match=f"the card tiny.json must have .* as its field '{field}', got ") as caught:
        parsed(**{field: value})
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("field", ["channels", "reduction"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "4", None])
def test_a_tap_with_a_field_of_no_use_is_refused_with_its_name(field: str, value: Any) -> None:
    taps = tiny_card()["taps"]
    taps[0][field] = value
    with pytest.raises(BackboneError, match=f"whole number of at least 1 as its field '{field}'"):
        parsed(taps=taps)


@pytest.mark.parametrize("number", [2, 0, "1", None])
def test_a_card_of_another_format_is_refused(number: Any) -> None:
    with pytest.raises(BackboneError, match=f'must have "card": 1, got {number!r}'):
        parsed(card=number)


@pytest.mark.parametrize("described", [[], "card", 1, None])
def test_a_card_that_is_no_object_is_refused(described: Any) -> None:
    with pytest.raises(BackboneError, match=f"must be a JSON object, got {type(described).__name__}"):
        parse_card(described, "tiny.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch_taps": ["shallow", "missing"]}, "taps must be different names out of shallow, deep .* got shallow, m"),
        ({"patch_taps": ["deep", "deep"]}, "taps must be different names"),
        ({"patch_taps": []}, "got none"),
        ({"taps": []}, "taps must be different names"),
        ({"levels": [{"taps": ["missing"], "reduction": 8}]}, "taps must be different names out of .* got missing"),
        ({"levels": [{"taps": ["deep", "deep"], "reduction": 8}]}, "taps must be different names .* got deep, deep"),
        ({"levels": [{"taps": [], "reduction": 8}]}, "taps must be different names .* got none"),
        ({"input_size": 60}, "input size must be a positive multiple of 8 .* got 60"),
        ({"multiple": 128}, "input size must be a positive multiple of 128 .* got 64"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BackboneError, match=f"the card tiny.json contradicts itself: .*{said}"):
        parsed(**changes)


def test_taps_are_chosen_by_name_in_the_order_asked_for() -> None:
    card = parsed(patch_taps=["deep"])
    assert [tap.name for tap in card.choose_taps(None)] == ["deep"]
    assert [tap.name for tap in card.choose_taps(["deep", "shallow"])] == ["deep", "shallow"]
    for names in (["other"], ["deep", "deep"], []):
        with pytest.raises(SettingError, match="different names out of shallow, deep for backbone tiny"):
            card.choose_taps(names)


def test_an_input_size_must_be_a_multiple_and_a_near_one_is_offered() -> None:
    card = parsed()
    card.check_input_size(8)
    card.check_input_size(96)
    for size, near in ((0, 8), (-8, 8), (3, 8), (99, 96), (101, 104)):
        with pytest.raises(SettingError, match=f"multiple of 8 for backbone tiny, got {size}: try {near}$"):
            card.check_input_size(size)


def test_a_backbone_is_a_file_with_its_card_beside_it(tmp_path: Path) -> None:
    model = tiny_model()
    path = write_backbone(tmp_path, model, tiny_card())
    for given in (path, str(path)):
        backbone = load_backbone(given)
        assert backbone.model == model
        assert backbone.card.to_dict() == {
            **parse_card({**tiny_card(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}, "").to_dict()
        }


def test_a_sha256_may_be_written_in_capitals(tmp_path: Path) -> None:
    digest = hashlib.sha256(tiny_model().SerializeToString()).hexdigest()
    assert load_backbone(write_backbone(tmp_path, tiny_model(), {**tiny_card(), "sha256": digest.upper()}))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write_backbone(tmp_path, tiny_model(), tiny_card())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError, match=r"must have the sha256 that its card gives, .* got [0-9a-f]{64}"):
        load_backbone(path)


def test_a_missing_file_or_card_is_named(tmp_path: Path) -> None:
    path = write_backbone(tmp_path, tiny_model(), tiny_card())
    path.with_suffix(".json").unlink()
    with pytest.raises(BackboneError, match=r"got no tiny\.json$"):
        load_backbone(path)
    with pytest.raises(BackboneError, match=r"got no other\.onnx$"):
        load_backbone(tmp_path / "other.onnx")


@pytest.mark.parametrize("name", ["lite9", "", "weights.pt", "lite0.tflite"])
def test_a_backbone_that_is_none_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(BackboneError, match=rf"one of .*lite0.* or the path of an .onnx file, got '{name}'"):
        load_backbone(name)


def test_a_folder_is_no_backbone(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(BackboneError, match="cannot be read"):
        load_backbone(tmp_path / "folder.onnx")


@pytest.mark.parametrize("card", [b"", b"{", b"\xff\xfe\x00", b'{"card": 1,}'])
def test_a_card_that_is_no_json_is_refused(tmp_path: Path, card: bytes) -> None:
    path = write_backbone(tmp_path, tiny_model(), tiny_card())
    path.with_suffix(".json").write_bytes(card)
    with pytest.raises(BackboneError, match=r"the card .*tiny\.json must be JSON, got"):
        load_backbone(path)


@pytest.mark.parametrize("content", [b"", b"not ONNX at all", tiny_model().SerializeToString()[:-100]])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BackboneError, match=r"tiny\.onnx"):
        load_backbone(write_backbone(tmp_path, content, tiny_card()))


def test_an_input_of_another_name_or_type_or_number_is_refused(tmp_path: Path) -> None:
    said = "must have one float32 input called pixels, as its card says, got "
    with pytest.raises(BackboneError, match=said + "data$"):
        load_backbone(write_backbone(tmp_path, tiny_model(input_name="data"), tiny_card()))
    two = tiny_model()
    two.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N"]))
    with pytest.raises(BackboneError, match=said + "pixels, mask$"):
        load_backbone(write_backbone(tmp_path, two, tiny_card()))
    half = tiny_model()
    half.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    with pytest.raises(BackboneError, match=said):
        load_backbone(write_backbone(tmp_path, half, tiny_card()))


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    model = tiny_model()
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    trunk = cut(write_backbone(tmp_path, model, tiny_card()))
    expected = evaluate(tiny_model(), {"pixels": pixels()})["deep"]
    np.testing.assert_allclose(
        evaluate(trunk, {in_trunk("pixels"): pixels()})[in_trunk("deep")], expected, rtol=1e-5, atol=1e-6
    )


def test_a_tap_that_the_file_does_not_give_is_refused(tmp_path: Path) -> None:
    card = tiny_card()
    card["taps"].append({"name": "stem", "channels": 4, "reduction": 4})
    with pytest.raises(BackboneError, match="must have the outputs that its card lists, got none called stem"):
        load_backbone(write_backbone(tmp_path, tiny_model(), card))


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_a_trunk_gives_the_taps_of_the_whole_network_at_our_opset_or_a_newer_one(tmp_path: Path, opset: int) -> None:
    model = tiny_model(opset=opset)
    trunk = cut(write_backbone(tmp_path, model, tiny_card()))
    assert [entry.version for entry in trunk.opset_import] == [max(18, opset)]
    assert opset_of(trunk) == max(18, opset)
    assert trunk.ir_version >= 8
    onnx.checker.check_model(trunk, full_check=True)
    found, expected = evaluate(trunk, {in_trunk("pixels"): pixels()}), evaluate(model, {"pixels": pixels()})
    assert list(found) == [in_trunk("shallow"), in_trunk("deep")]
    for tap in ("shallow", "deep"):
        np.testing.assert_allclose(found[in_trunk(tap)], expected[tap], rtol=1e-5, atol=1e-6)


def test_a_trunk_ends_at_the_taps_that_are_used(tmp_path: Path) -> None:
    backbone = load_backbone(write_backbone(tmp_path, tiny_model(), tiny_card()))
    trunk = cut_trunk(backbone, backbone.card.choose_taps(["shallow"]))
    assert [node.op_type for node in trunk.graph.node] == ["Conv", "Relu"]
    assert {tensor.name for tensor in trunk.graph.initializer} == {in_trunk("stem.weight"), in_trunk("stem.bias")}
    assert "MatMul" not in {node.op_type for node in cut_trunk(backbone, backbone.card.taps).graph.node}


@pytest.mark.parametrize("opset", [13, 18, 20])
@pytest.mark.parametrize(
    ("input_name", "taps"),
    [
        ("pixels", ("shallow", "deep")),
        ("input.1", ("/layer1/Relu_output_0", "12")),
        ("image", ("score", "embedding")),  # names of our own
        ("levels", ("joined", "input_size")),
    ],
)
def test_any_names_and_opsets_fit_between_our_own_pieces(
    tmp_path: Path, opset: int, input_name: str, taps: tuple[str, str]
) -> None:
    model = tiny_model(opset=opset, input_name=input_name, taps=taps)
    backbone = load_backbone(write_backbone(tmp_path, model, tiny_card(input_name=input_name, taps=taps)))
    card, trunk = backbone.card, cut_trunk(backbone, backbone.card.taps)
    whole = join(
        preprocess(card, input_shape=(64, 64), dtype=np.dtype(np.uint8), window=FULL_8_BIT, opset=opset_of(trunk)),
        trunk,
        patch_embedding(card.taps, input_shape=(64, 64), grid=(8, 8), opset=opset_of(trunk)),
        outputs=["embedding"],
    )
    assert [value.name for value in whole.graph.input] == ["image"]
    images = np.random.default_rng(2).integers(0, 256, size=(2, 64, 64, 3), dtype=np.uint8)
    found = evaluate(whole, {"image": images})["embedding"]
    normalised = ((images - np.float64(card.mean)) / card.std).astype(np.float32).transpose(0, 3, 1, 2)
    by_hand = evaluate(model, {input_name: normalised})
    expected = evaluate(
        join(patch_embedding(card.taps, input_shape=(64, 64), grid=(8, 8)), outputs=["embedding"]),
        {in_trunk(tap): by_hand[tap] for tap in taps},
    )["embedding"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_weights_beside_the_file_are_brought_in(tmp_path: Path) -> None:
    model = tiny_model()
    expected = evaluate(model, {"pixels": pixels()})["deep"]
    path = tmp_path / "tiny.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="tiny.data", size_threshold=0)
    assert (tmp_path / "tiny.data").stat().st_size > 0
    write_backbone(tmp_path, path.read_bytes(), tiny_card())
    backbone = load_backbone(path)
    (tmp_path / "tiny.data").unlink()
    assert not any(tensor.data_location == TensorProto.EXTERNAL for tensor in backbone.model.graph.initializer)
    trunk = cut_trunk(backbone, backbone.card.taps)
    found = evaluate(trunk, {in_trunk("pixels"): pixels()})[in_trunk("deep")]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(BackboneError, match=r"tiny\.data"):
        load_backbone(path)


@pytest.mark.parametrize("location", ["../secret.data", "/etc/hostname"])
def test_weights_are_not_read_from_elsewhere(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.data").write_bytes(bytes(1000))
    (tmp_path / "folder").mkdir()
    model = tiny_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(BackboneError, match="cannot be read as ONNX"):
        load_backbone(write_backbone(tmp_path / "folder", model, tiny_card()))


def test_custom_operators_are_refused_with_their_domain(tmp_path: Path) -> None:
    model = tiny_model()
    model.graph.node[1].domain = "com.acme"
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    with pytest.raises(BackboneError, match=r"standard ONNX operators only, got some of com\.acme"):
        cut(write_backbone(tmp_path, model, tiny_card()))


def test_functions_of_its_own_are_refused(tmp_path: Path) -> None:
    model = tiny_model()
    model.functions.append(
        helper.make_function(
            "com.acme", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], model.opset_import
        )
    )
    with pytest.raises(BackboneError, match="standard ONNX operators only, got some of its own functions"):
        cut(write_backbone(tmp_path, model, tiny_card()))


def test_control_flow_and_sizes_that_depend_on_the_image_are_refused_before_the_fit(tmp_path: Path) -> None:
    def with_node(*nodes: onnx.NodeProto) -> Path:
        model = tiny_model()
        model.graph.node[1].output[0] = "before"
        model.graph.node.insert(2, helper.make_node("Identity", [nodes[-1].output[0]], ["shallow"]))
        for node in reversed(nodes):
            model.graph.node.insert(2, node)
        return write_backbone(tmp_path, model, tiny_card())

    value = helper.make_tensor_value_info("same", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["before"], ["same"])], "branch", [], [value])
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    path = with_node(yes, helper.make_node("If", ["yes"], ["x"], then_branch=branch, else_branch=branch))
    with pytest.raises(BackboneError) as caught:
        cut(path)
    assert str(caught.value) == (
        "backbone tiny must be a feed-forward network of operators that a model file may hold, got If: export it "
        "without control flow and without operators whose output's size depends on the image, or use another backbone"
    )
    path = with_node(helper.make_node("RandomUniformLike", ["before"], ["x"]))
    with pytest.raises(BackboneError, match="got RandomUniformLike: export it"):
        cut(path)


def test_what_is_behind_the_taps_does_not_matter(tmp_path: Path) -> None:
    model = tiny_model()
    model.graph.node.append(helper.make_node("NonZero", ["logits"], ["found"]))
    model.graph.output.append(helper.make_tensor_value_info("found", TensorProto.INT64, None))
    assert cut(write_backbone(tmp_path, model, tiny_card()))


@pytest.mark.parametrize(
    ("tap", "field", "value", "got"),
    [
        (0, "channels", 5, "1 x 4 x 16 x 16"),
        (1, "channels", 4, "1 x 6 x 8 x 8"),
        (0, "reduction", 8, "1 x 4 x 16 x 16"),
        (1, "reduction", 4, "1 x 6 x 8 x 8"),
    ],
)
def test_taps_of_other_shapes_than_the_card_says_are_refused(
    tmp_path: Path, tap: int, field: str, value: int, got: str
) -> None:
    card = tiny_card()
    card["taps"][tap][field] = value
    name = card["taps"][tap]["name"]
    with pytest.raises(BackboneError, match=f"must give {name} the shape 1 x .* as its card says, got {got}"):
        cut(write_backbone(tmp_path, tiny_model(), card))


def test_a_tap_that_is_no_map_is_refused(tmp_path: Path) -> None:
    card = tiny_card()
    card["taps"].append({"name": "logits", "channels": 10, "reduction": 64})
    with pytest.raises(BackboneError, match=r"must give logits the shape 1 x 10 x 1 x 1 .* got 1 x 10: correct"):
        cut(write_backbone(tmp_path, tiny_model(), card))


def test_a_file_that_cannot_be_cut_is_refused() -> None:
    # Nothing makes what the tap is made of.
    model = tiny_model()
    del model.graph.node[0]
    with pytest.raises(BackboneError, match=r"backbone tiny cannot be cut at its taps: .*stem"):
        cut_trunk(Backbone(model, parsed()), parsed().taps)


def test_the_default_backbone_is_shipped() -> None:
    kinds = [kind for kind in map(kind_of, METHODS) if "backbone" in kind.model_fields]
    assert {kind.name for kind in kinds} == set(METHODS)
    assert {kind.model_fields["backbone"].default for kind in kinds} <= set(available_backbones())


@pytest.mark.parametrize("name", ["lite0"])
def test_a_shipped_card_is_that_of_its_file(name: str) -> None:
    folder = resources.files("onlygood") / "backbones"
    content = (folder / f"{name}.onnx").read_bytes()
    described = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    backbone = load_backbone(name)
    assert backbone.card.sha256 == hashlib.sha256(content).hexdigest() == described["sha256"]
    assert backbone.card.to_dict() == parse_card(described, name).to_dict()
    assert {tap.name for tap in backbone.card.taps} == {value.name for value in backbone.model.graph.output}
    assert (backbone.model.ir_version, opset_of(backbone.model)) == (8, 18)
    onnx.checker.check_model(backbone.model, full_check=True)
    assert {node.domain for node in backbone.model.graph.node} == {""}


@pytest.mark.parametrize(("height", "width"), [(224, 224), (32, 96), (256, 64), (225, 33)])
def test_lite0s_taps_have_the_channels_and_reductions_of_its_card(height: int, width: int) -> None:
    backbone = load_backbone("lite0")
    feeds = {backbone.card.input: np.zeros((1, 3, height, width), dtype=np.float32)}
    found = evaluate(backbone.model, feeds)
    for tap in backbone.card.taps:
        expected = (1, tap.channels, math.ceil(height / tap.reduction), math.ceil(width / tap.reduction))
        assert found[tap.name].shape == expected, tap.name


@pytest.mark.parametrize("names", [None, ("stage0",), ("head", "stage1"), tuple(f"stage{n}" for n in range(7))])
def test_lite0s_cut_trunk_gives_what_the_whole_file_gives(names: tuple[str, ...] | None) -> None:
    backbone = load_backbone("lite0")
    taps = backbone.card.choose_taps(names)
    values = pixels(1, 96)
    found = evaluate(cut_trunk(backbone, taps), {in_trunk("pixels"): values})
    expected = evaluate(backbone.model, {"pixels": values})
    for tap in taps:
        np.testing.assert_allclose(found[in_trunk(tap.name)], expected[tap.name], rtol=1e-4, atol=1e-5)


def test_cutting_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    backbone = load_backbone(write_backbone(tmp_path, tiny_model(opset=13), tiny_card()))
    before = backbone.model.SerializeToString(deterministic=True)
    first = cut_trunk(backbone, backbone.card.taps)
    assert backbone.model.SerializeToString(deterministic=True) == before
    assert cut_trunk(replace(backbone), backbone.card.taps) == first


def test_a_network_that_was_exported_for_one_size_takes_no_other(tmp_path: Path) -> None:
    model = tiny_model()
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = 64
    backbone = load_backbone(write_backbone(tmp_path, model, tiny_card()))
    backbone.check_input_size(64)
    with pytest.raises(SettingError, match=r"must be 64 for backbone tiny, which was exported for it, got 128"):
        backbone.check_input_size(128)
