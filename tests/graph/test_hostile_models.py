"""Model files that would hang, fill memory or lie, each with a digest that fits, and the sentence that refuses each."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onlygood
from flat import fit
from mutations import add_bomb, sealed
from onlygood.errors import ImageError, ModelFileError, ModelFormatError, SettingError
from onlygood.graph.content import MAX_PACKED_BYTES, MAX_PARTS, parse, read_content
from onlygood.graph.costs import CostBound
from onlygood.graph.model_file import METADATA_KEY, pack, read_model_file, unpack
from textures import textures

BOMBS = {
    0: "ConstantOfShape",
    1: "Expand",
    2: "Tile",
    3: "Range",
    4: "Concat",
    5: "MatMul",
    6: "ConstantOfShape",
    7: "ConstantOfShape",
    8: "Pad",
    9: "Resize",
    10: "Loop",
    11: "NonZero",
}
# Without O_NONBLOCK, pipes and sockets.
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture(scope="module")
def content() -> bytes:
    return fit(textures(4), taps=("stage0",), input_size=16, bank_size=8).file.content


def edited(content: bytes, edit: Callable[[onnx.ModelProto], Any]) -> bytes:
    model = onnx.load_model_from_string(content)
    edit(model)
    return sealed(model)


def described(content: bytes, edit: Callable[[dict[str, Any]], Any]) -> bytes:
    def change(model: onnx.ModelProto) -> None:
        values = json.loads(model.metadata_props[0].value)
        edit(values)
        model.metadata_props[0].value = json.dumps(values)

    return edited(content, change)


def refused(content: bytes) -> str:
    with pytest.raises(ModelFormatError) as caught:
        unpack(content, "x.onnx")
    message = str(caught.value)
    assert message.startswith("the model x.onnx must ")
    assert len(message.splitlines()) == 1
    return message


def inspector(content: bytes) -> onlygood.Inspector:
    return onlygood.Inspector(SimpleNamespace(file=unpack(content, "x.onnx")))


def add_to_score(model: onnx.ModelProto, nodes: list[onnx.NodeProto], value: str, **constants: Any) -> None:
    """Nodes whose last value, of any shape, is added to the score, so that no runtime leaves them out."""
    last = next(node for node in model.graph.node if "score" in node.output)
    last.output[0] = "score_before"
    nodes = [
        *nodes,
        helper.make_node("Cast", [value], ["added_float"], to=1),
        helper.make_node("ReduceMin", ["added_float"], ["added_least"], keepdims=0),
        helper.make_node("Add", ["score_before", "added_least"], ["score"]),
    ]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(np.array(array), name) for name, array in constants.items())


# What runs


class Chosen:
    """In place of a random generator, for `add_bomb`: one kind, of 3.3 GB."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def uniform(self, low: float, high: float) -> float:
        return float(np.log10(825_000_000))

    def integers(self, *bounds: int) -> int:
        return self.kind


@pytest.mark.parametrize("kind", BOMBS, ids=lambda kind: f"{kind}-{BOMBS[kind]}")
def test_what_takes_memory_or_time_without_end_is_refused_before_it_runs(content: bytes, kind: int) -> None:
    bomb = edited(content, lambda model: add_bomb(model, Chosen(kind)))  # type: ignore[arg-type]
    started = time.perf_counter()
    assert BOMBS[kind] in refused(bomb)
    assert time.perf_counter() - started < 5


def test_the_sentences_say_how_much_and_where(content: bytes) -> None:
    constant, loop, pixels, bright = (
        refused(edited(content, lambda model, kind=kind: add_bomb(model, Chosen(kind)))) for kind in (0, 10, 5, 6)
    )
    assert "must be one that memory and time are enough for, got 3.3 GB of values (at most 2.0) for images of 1 x" in (
        constant
    )
    assert "at 'bomb' of ConstantOfShape" in constant
    assert "must use standard ONNX operators only, those of feed-forward networks, got Loop" in loop
    assert "GB of values (at most 2.0) for images of 1 x 480 x 640 x 1 levels at 'bomb' of MatMul" in pixels
    assert (
        "must have values of numbers whose sizes follow from the image's size, got 'bomb' of ConstantOfShape" in bright
    )


def add_products(model: onnx.ModelProto, times: int) -> None:
    """Of matrices of 256 MB, half a million million multiplications each."""
    nodes = [helper.make_node("ConstantOfShape", ["sides"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{n}", "m0"], [f"m{n + 1}"]) for n in range(times)]
    add_to_score(model, nodes, f"m{times}", sides=[8000, 8000])


def test_work_without_much_memory_is_refused_too(content: bytes) -> None:
    assert unpack(edited(content, lambda model: add_products(model, 3)), "x")
    message = refused(edited(content, lambda model: add_products(model, 4)))
    assert "multiplications (at most 2.0e+12) for images of 1 x 480 x 640 x 1 levels at 'm4' of MatMul" in message


def test_what_is_cheap_at_one_size_and_ruinous_at_another_is_refused_at_that_one(content: bytes) -> None:
    """An image of 77 rows, and no other, makes 825 million values."""

    def trap(model: onnx.ModelProto) -> None:
        nodes = [
            helper.make_node("Shape", ["image"], ["rows"], start=1, end=2),
            helper.make_node("Equal", ["rows", "trigger"], ["is_it"]),
            helper.make_node("Where", ["is_it", "many", "few"], ["count"]),
            helper.make_node("ConstantOfShape", ["count"], ["trapped"]),
        ]
        add_to_score(model, nodes, "trapped", trigger=[77], many=[825_000_000], few=[1])

    inspect = inspector(edited(content, trap))
    assert inspect(np.zeros((76, 64), np.uint8)).anomaly_map is not None
    with pytest.raises(ModelFormatError, match=r"got 3\.3 GB of values \(at most 2\.0\) for images of 1 x 77 x 64 x 1"):
        inspect(np.zeros((77, 64), np.uint8))
    with pytest.raises(ModelFormatError, match=r"3\.3 GB"):
        list(inspect.map([np.zeros((77, 64), np.uint8)] * 2))


def resize(model: onnx.ModelProto) -> None:
    """Small at both ends, and 100,000 x 100,000 when one axis is done."""
    nodes = [
        helper.make_node("ConstantOfShape", ["tall"], ["tall_one"]),
        helper.make_node("Resize", ["tall_one", "", "", "wide"], ["wide_one"], mode="linear", antialias=1),
    ]
    add_to_score(model, nodes, "wide_one", tall=[1, 1, 100_000, 1], wide=[1, 1, 1, 100_000])


def convolve(model: onnx.ModelProto) -> None:
    """Over four axes, which writes each patch of the image."""
    nodes = [
        helper.make_node("ConstantOfShape", ["large"], ["image4"]),
        helper.make_node("ConstantOfShape", ["kernel"], ["kernel4"]),
        helper.make_node("Conv", ["image4", "kernel4"], ["convolved"], pads=[15] * 8),
    ]
    add_to_score(model, nodes, "convolved", large=[1, 1, 30, 30, 30, 30], kernel=[1, 1, 30, 30, 30, 30])


def write_texts(model: onnx.ModelProto) -> None:
    add_to_score(model, [helper.make_node("Cast", ["image"], ["texts"], to=TensorProto.STRING)], "texts")


def hold_much_in_another_order(model: onnx.ModelProto) -> None:
    nodes = []
    for number in range(30):
        nodes.append(helper.make_node("ConstantOfShape", ["many"], [f"large{number}"]))
        nodes.append(helper.make_node("ReduceMin", [f"large{number}"], [f"least{number}"], keepdims=0))
    nodes.append(helper.make_node("Sum", [f"least{number}" for number in range(30)], ["total"]))
    add_to_score(model, nodes, "total", many=[150_000_000])


def go_on_for_long(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Relu", [f"link{n}" if n else "score_before"], [f"link{n + 1}"]) for n in range(5000)]
    add_to_score(model, nodes, "link5000")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (resize, "got 40.0 GB of values (at most 2.0) for images of 1 x 480 x 640 x 1 levels at 'wide_one' of Resize"),
        (convolve, "at 'convolved' of Conv"),
        (write_texts, "must have values of numbers whose sizes follow from the image's size, got 'texts' of Cast"),
        (hold_much_in_another_order, "GB of values (at most 2.0) for images of 1 x 480 x 640 x 1 levels at 'large"),
        (go_on_for_long, "must have at most 5000 nodes, got 50"),
    ],
)
def test_what_an_operator_needs_while_it_runs_counts(
    content: bytes, edit: Callable[[onnx.ModelProto], None], message: str
) -> None:
    assert message in refused(edited(content, edit))


def test_a_large_image_is_within_the_bound(content: bytes) -> None:
    unpack(content, "x").costs.check((1, 10_000, 10_000, 1))
    unpack(content, "x").costs.check((32, 1000, 1000, 1))


def test_shapes_that_exporters_put_together_are_followed(content: bytes) -> None:
    """A class token for each image, as exporters of vision transformers write it."""

    def tokens(model: onnx.ModelProto) -> None:
        nodes = [
            helper.make_node("Shape", ["image"], ["sizes"]),
            helper.make_node("Gather", ["sizes", "zero"], ["n"], axis=0),
            helper.make_node("Unsqueeze", ["n", "first"], ["ns"]),
            helper.make_node("Concat", ["ns", "minus", "three"], ["wanted"], axis=0),
            helper.make_node("ConstantOfShape", ["rank"], ["ones"], value=numpy_helper.from_array(np.array([1]))),
            helper.make_node("Mul", ["ones", "minus"], ["minus_ones"]),
            helper.make_node("Equal", ["wanted", "minus_ones"], ["is_kept"]),
            helper.make_node("Where", ["is_kept", "ones", "wanted"], ["shape"]),
            helper.make_node("Expand", ["token", "shape"], ["expanded"]),
            helper.make_node("Mul", ["expanded", "no"], ["nothing"]),
        ]
        constants = {"zero": 0, "first": [0], "minus": [-1], "three": [3], "rank": [3]}
        token = np.zeros((1, 1, 3), np.float32)
        add_to_score(model, nodes, "nothing", **constants, token=token, no=np.float32(0))

    image = np.zeros((64, 64), np.uint8)
    assert inspector(edited(content, tokens))(image).score == inspector(content)(image).score


def test_what_onnx_runtime_refuses_while_it_runs_is_our_error(
    content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    def overreach(model: onnx.ModelProto) -> None:
        nodes = [
            helper.make_node("Cast", ["score_before"], ["number"], to=7),
            helper.make_node("Mul", ["number", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "seven"], ["index"]),
            helper.make_node("Gather", ["pair", "index"], ["beyond\x1b[31m"]),
        ]
        add_to_score(model, nodes, "beyond\x1b[31m", zero=0, seven=7, pair=[0.5, 1.5])

    inspect = inspector(edited(content, overreach))
    with pytest.raises(
        ModelFileError, match=r"must be one that ONNX Runtime .* can run on images of .*out of"
    ) as caught:
        inspect(np.zeros((64, 64), np.uint8))
    assert "\x1b" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_answer_that_is_none_is_an_error(content: bytes) -> None:
    def of(output: str) -> Callable[[onnx.ModelProto], None]:
        def edit(model: onnx.ModelProto) -> None:
            last = next(node for node in model.graph.node if output in node.output)
            last.output[0] = "before"
            model.graph.node.append(helper.make_node("Div", ["before", "nought"], [output]))
            model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "nought"))

        return edit

    for output, what in (("score", "a score"), ("p_value", "a p-value"), ("anomaly_map", "an anomaly map")):
        with pytest.raises(ImageError, match=f"has {what} that is not"):
            inspector(edited(content, of(output)))(np.zeros((64, 64), np.uint8))


def set_strides(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    next(each for each in node.attribute if each.name == "strides").ints[:] = [0, 0]


def set_a_huge_kernel(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "AveragePool")
    next(each for each in node.attribute if each.name == "kernel_shape").ints[:] = [2**40, 1]


def set_a_region(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Resize")
    next(each for each in node.attribute if each.name == "coordinate_transformation_mode").s = b"tf_crop_and_resize"


def set_a_negative_size(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims.append(-1)


def tear_a_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data += b"\0"


def name_one_value_twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["image"], ["raw_score"]))


def go_round_in_a_circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "raw_score"


def take_from_nowhere(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nowhere"


def add_a_sequence(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("SequenceConstruct", ["image"], ["s"]))


def add_a_sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add(dims=[2**40]).values.name = "sparse"


def take_floats(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


BROKEN: dict[Callable[[onnx.ModelProto], None], str] = {
    set_strides: "must have a value of 'strides' that `onlygood fit` could have written at Conv that gives",
    set_a_huge_kernel: "must have a value of 'kernel_shape'",
    set_a_region: "got the text b'tf_crop_and_resize': do not run it",
    set_a_negative_size: "must have tensors of numbers with the data of their shape, got the shape",
    tear_a_tensor: "must have tensors of numbers with the data of their shape, got",
    name_one_value_twice: "must give each value in its graph a name of its own, got 'raw_score' twice",
    go_round_in_a_circle: "whose parts fit together, got: Nodes in a graph must be topologically sorted",
    take_from_nowhere: "whose parts fit together, got: Nodes in a graph must be topologically sorted",
    add_a_sequence: "got SequenceConstruct: do not run it",
    add_a_sparse_tensor: "must have no sparse_initializer, as `onlygood fit` writes none, got some: do not run it",
    take_floats: "must take images of type uint8 or uint16 and shape [N, H, W, C], got type 1",
}


@pytest.mark.parametrize("edit", BROKEN, ids=lambda edit: edit.__name__)
def test_a_graph_that_no_fit_writes_is_refused(content: bytes, edit: Callable[[onnx.ModelProto], None]) -> None:
    assert BROKEN[edit] in refused(edited(content, edit))


def test_what_cannot_be_read_cannot_be_written(content: bytes) -> None:
    model = onnx.load_model_from_string(content)
    add_bomb(model, Chosen(10))  # type: ignore[arg-type]
    with pytest.raises(ModelFormatError) as caught:
        pack(model, unpack(content, "x").metadata)
    assert str(caught.value) == (
        "the model that was made must use standard ONNX operators only, those of feed-forward networks, got Loop: "
        "nothing is written that would be refused when it is read; fit with another method, backbone or settings"
    )


# What is read


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def wrapped(field: int, inner: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(inner)) + inner


def test_a_file_of_millions_of_parts_is_refused_before_it_is_parsed() -> None:
    parts = wrapped(7, b"\x0a\x00" * (MAX_PARTS + 1_000_000))  # empty nodes, 80 bytes in memory each
    with pytest.raises(ModelFormatError, match=f"must have at most {MAX_PARTS} parts"):
        parse(parts, "x")
    numbers = wrapped(7, wrapped(5, wrapped(7, b"\1" * (MAX_PACKED_BYTES + 1)) + b"\x12\1a"))
    with pytest.raises(ModelFormatError, match=f"{MAX_PACKED_BYTES} bytes of whole numbers"):
        parse(numbers, "x")


def test_a_large_file_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="must be an ONNX file, got 2000004 bytes that are not one"):
        parse(wrapped(7, bytes(3_000_000))[:2_000_004], "x")


def test_a_file_with_too_many_bytes_is_refused_without_reading_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "part.onnx"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # without taking room on the disk
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert str(caught.value) == (
        f"the model {path} must have at most 1000000000 bytes, got 3000000000: if it is one that you trust, raise "
        "max_model_bytes (--max-model-bytes)"
    )
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="must have at most 1000 bytes"):
        onlygood.Inspector(path, max_model_bytes=1000)
    assert onlygood.Inspector(path, max_model_bytes=len(content))


@pytest.mark.parametrize("limit", [0, -1, 2**31, 1.5, True, "9"])
def test_a_limit_that_cannot_be_used_is_refused(tmp_path: Path, limit: Any) -> None:
    with pytest.raises(SettingError, match="max_model_bytes must be a whole number from 1 to 2147483647, got"):
        read_model_file(tmp_path / "part.onnx", max_bytes=limit)


@POSIX
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path / "pipe", "the pipe"),
            (tmp_path / "socket", "the socket"),
            (Path("/dev/zero"), "the device"),
        ):
            with pytest.raises(ModelFileError) as caught:
                read_model_file(path)
            assert str(caught.value) == f"a model must be a file, got {kind} {path}: give the .onnx file"


@POSIX
def test_a_pipe_that_takes_a_files_place_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(b"7")
    found = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda self: found)
    with pytest.raises(ModelFileError, match="got the pipe"):
        read_content(path)


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(ModelFileError, match="cannot be read: embedded null"):
        read_model_file("a\0b.onnx")


# What it says of itself


def values(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def edit(described: dict[str, Any]) -> None:
        holder: Any = described
        for name in path[:-1]:
            holder = holder[name]
        holder[path[-1]] = to

    return edit


def nested(described: dict[str, Any]) -> None:
    inner: Any = 1
    for _ in range(70):
        inner = [inner]
    described["lamp"] = inner


SAID: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (
        values("calibration", "threshold", to=float("nan")),
        "must have a description of plain values, got nan at 'thresh",
    ),
    (values("lamp", to=[1, {"watts": float("inf")}]), "got inf at 'watts'"),
    (values("settings", "seed", to=2**64), "got a whole number of more than 64 bits at 'seed'"),
    (values("description", to="x" * 100_001), "got a text of more than 100000 letters at 'description'"),
    (nested, "got more than 200000 values, or values more than 64 deep"),
    (values("notes", to=[1] * 200_001), "got more than 200000 values"),
    (
        values("guarantee", "groups", to=-1),
        "must have guarantee.groups in its description, got -1 (input should be gre",
    ),
    (values("guarantee", "requested_rate", to=0), "must have guarantee.requested_rate in its description, got 0"),
    (values("guarantee", "stated_rate", to=2.0), "must have guarantee.stated_rate in its description, got 2.0"),
    (values("good_images", "count", to=-3), "must have good_images.count in its description, got -3"),
    (values("good_images", "heights", to=[9, 4]), "must have good_images.heights in its description, got [9, 4]"),
    (values("input", "window", to=[255, 0]), "must have input.window in its description, got [255, 0]"),
    (values("input", "input_shape", to=[0, 16]), "must have input.input_shape.0 in its description, got 0"),
    (values("format", to=True), "must have a format number of at least 1, got True"),
    # What it says is not what the graph does.
    (values("input", "dtype", to="uint16"), "must have the type of pixels that its description says, uint16, got ano"),
    (values("calibration", "threshold", to=0.5), "must have the threshold that its description says, 0.5, got "),
    (values("guarantee", "groups", to=3), "must have the number of independent calibration images that its descripti"),
    (values("input", "input_shape", to=[32, 16]), "must resize images to what its description says, (32, 16), got (16"),
    (values("input", "window", to=[0, 200]), "must have the window that its description says, (0.0, 200.0), got anoth"),
]


@pytest.mark.parametrize(("edit", "message"), SAID)
def test_a_description_that_cannot_be_true_is_refused(
    content: bytes, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    assert message in refused(described(content, edit))


def test_a_missing_field_of_format_1_is_our_error() -> None:
    old = (Path(__file__).parents[1] / "models" / "format-1.onnx").read_bytes()
    for name in json.loads(onnx.load_model_from_string(old).metadata_props[0].value):
        if name in ("format", "content_sha256"):
            continue
        try:
            unpack(described(old, lambda values, name=name: values.pop(name)), "x")
        except ModelFileError as error:
            assert len(str(error).splitlines()) == 1


def test_info_prints_nothing_that_moves_a_terminal(run: Any, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    text = "\x1b[31mred\x1b]0;title\x07 \u202egnp \x9b2J \u2028 a\nline"
    path.write_bytes(described(content, lambda values: values.update(description=text, notes=[text])))
    out = run("info", path).out
    assert r"\x1b[31mred\x1b]0;title\x07 \u202egnp \x9b2J \u2028 a\nline" in out
    assert not set(out) & {"\x1b", "\x07", "\u202e", "\x9b", "\u2028"}


def test_two_descriptions_and_notes_of_others_are_told_apart(content: bytes) -> None:
    def note(model: onnx.ModelProto) -> None:
        model.metadata_props.add(key="line", value="4")

    assert unpack(edited(content, note), "x")
    assert onnx.load_model_from_string(content).metadata_props[0].key == METADATA_KEY


def test_a_cost_that_was_found_once_is_not_found_again(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = unpack(content, "x").costs
    costs.check((1, 100, 200, 1))
    monkeypatch.setattr(CostBound, "_found", lambda *_: pytest.fail("found again"))
    costs.check((1, 100, 200, 1))
