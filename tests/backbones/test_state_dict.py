"""Weights are read out of torch's file without torch, and nothing else in a file is run."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onlygood.backbones.state_dict import MAGIC, VERSION, read_state_dict
from onlygood.errors import BackboneError


def saved(state: Any) -> bytes:
    """As torch writes it in the form before 1.6."""
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def pickled(*values: Any) -> bytes:
    return b"".join(pickle.dumps(value, protocol=2) for value in values)


FACTS = {"protocol_version": VERSION, "little_endian": True}


def test_every_tensor_is_what_torch_saved_whatever_its_shape_and_strides() -> None:
    torch = pytest.importorskip("torch")
    whole = torch.arange(120, dtype=torch.float32).reshape(2, 3, 4, 5)
    state = OrderedDict(
        conv=whole.permute(3, 1, 0, 2),
        part=whole[1, 1:, ::2],  # of the same storage
        none=torch.empty((0, 3)),
        alone=torch.tensor(2.5),
        batches=torch.tensor(7),
    )
    found = read_state_dict(saved(state), "net.pth")
    assert list(found) == list(state)
    for name, tensor in state.items():
        expected = tensor.numpy()
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape), name
        assert found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", range(5))
def test_a_file_that_would_run_something_is_refused_before_it_does(tmp_path: Path, place: int) -> None:
    target = tmp_path / "made"
    values: list[Any] = [MAGIC, VERSION, FACTS, OrderedDict(), []]
    values[place] = {"little_endian": Harmful(target)} if place == 2 else Harmful(target)
    content = pickled(*values)
    with pytest.raises(BackboneError, match=r"the weights net\.pth must be a state dict .*: it names \w+"):
        read_state_dict(content, "net.pth")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 a zip file", "cannot be read"),
        (pickled(3), "it begins with 3"),
        (pickled(MAGIC, 9), "it begins with 9"),
        (pickled(MAGIC, VERSION, {"little_endian": False}), "big-endian"),
        (pickled(MAGIC, VERSION, FACTS, [1, 2], []), "something else than tensors by name"),
        (pickled(MAGIC, VERSION, FACTS, OrderedDict(a=1), []), "something else than tensors by name"),
        (pickled(MAGIC, VERSION, FACTS, OrderedDict(a=np.zeros(3)), []), r"it names numpy\.\S*_reconstruct"),
        (pickled(MAGIC, VERSION, FACTS, OrderedDict(), ["0"]), "cannot be read"),
    ],
)
def test_what_is_no_state_dict_is_refused_with_a_reason(content: bytes, message: str) -> None:
    with pytest.raises(BackboneError, match=message):
        read_state_dict(content, "net.pth")


def test_a_damaged_file_is_refused() -> None:
    torch = pytest.importorskip("torch")
    content = saved(OrderedDict(a=torch.arange(6, dtype=torch.float32).reshape(2, 3)))
    with pytest.raises(BackboneError, match="it is cut short"):
        read_state_dict(content[:-3], "net.pth")
    with pytest.raises(BackboneError, match="a storage holds 7 values, not the 6"):
        read_state_dict(content[:-32] + (7).to_bytes(8, "little") + content[-24:], "net.pth")
    # The shape (2, 3) becomes (2, 9).
    shape, wrong = b"K\x02K\x03\x86", b"K\x02K\x09\x86"
    assert content.count(shape) == 1
    with pytest.raises(BackboneError, match="a tensor reaches beyond its storage"):
        read_state_dict(content.replace(shape, wrong), "net.pth")


def test_other_types_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(BackboneError, match=r"it names torch\.HalfStorage"):
        read_state_dict(saved(OrderedDict(a=torch.zeros(2, dtype=torch.float16))), "net.pth")
