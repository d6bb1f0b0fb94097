"""Arrays that a model file keeps: written, read again, and refused where they are none."""

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest

from onlygood.errors import ModelFormatError
from onlygood.graph import kept_arrays
from onlygood.graph.kept_arrays import pack_arrays, unpack_arrays

ARRAYS: dict[str, Any] = {
    "a": np.arange(12, dtype=np.int8).reshape(3, 4),
    "empty": np.empty((0, 5), dtype=np.float32),
    "b": np.linspace(0, 1, 7),
    "half": np.array([1.5, -2.0], dtype=np.float16),
    "number": np.array(3, dtype=np.int64),
}
FACTS = {"names": ["é", "b"], "none": None, "size": [1, 2]}


def test_what_is_written_is_read_again() -> None:
    text = pack_arrays(ARRAYS, FACTS)
    assert text.isascii()
    arrays, facts = unpack_arrays(text, "x.onnx")
    assert facts == FACTS and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert pack_arrays(ARRAYS, FACTS) == text


def refused(text: str) -> str:
    with pytest.raises(ModelFormatError) as caught:
        unpack_arrays(text, "x.onnx")
    message = str(caught.value)
    assert message.startswith("the model x.onnx must keep what an update needs as `onlygood fit` writes it, got ")
    assert len(message.splitlines()) == 1
    return message


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def headed(head: Any, rest: bytes = b"") -> str:
    text = json.dumps(head).encode()
    return packed(len(text).to_bytes(4, "little") + text + rest)


def listed(*arrays: Any, rest: bytes = b"", facts: Any = None) -> str:
    return headed({"version": 1, "facts": {} if facts is None else facts, "arrays": list(arrays)}, rest)


BAD = {
    "no base64": "!!!",
    "no zlib": base64.b64encode(b"abcdefgh").decode(),
    "nothing": packed(b""),
    "a length that is none": packed(b"\xff\xff\xff\xff{}"),
    "no JSON": packed(b"\x02\x00\x00\x00{,"),
    "deep brackets": packed((100_000).to_bytes(4, "little") + b"[" * 100_000),
    "another version": headed({"version": 2, "facts": {}, "arrays": []}),
    "no facts": headed({"version": 1, "arrays": []}),
    "facts without names": listed(facts=[1]),
    "facts that are no numbers": listed(facts={"a": float("nan")}),
    "arrays that are no list": headed({"version": 1, "facts": {}, "arrays": {}}),
    "an array of objects": listed(["a", "object", [1]], rest=b"12345678"),
    "an array of text": listed(["a", "U4", [1]], rest=b"12345678" * 2),
    "a negative side": listed(["a", "int8", [-1]], rest=b"1"),
    "a side that is no number": listed(["a", "int8", [True]], rest=b"1"),
    "many axes": listed(["a", "int8", [1] * 9], rest=b"1"),
    "a huge array": listed(["a", "float64", [2**20, 2**20]], rest=b"1" * 64),
    "huge sides of an empty one": listed(["a", "float64", [2**62, 0]], rest=b""),
    "too few bytes": listed(["a", "int16", [3]], rest=b"12345"),
    "too many bytes": listed(["a", "int16", [1]], rest=b"12345"),
    "one name twice": listed(["a", "int8", [1]], ["a", "int8", [1]], rest=b"12"),
    "not finite": listed(["a", "float32", [1]], rest=np.float32(np.inf).tobytes()),
    "many arrays": listed(*([f"a{number}", "int8", [0]] for number in range(1001))),
}


@pytest.mark.parametrize("case", BAD)
def test_what_was_not_written_by_fit_is_refused(case: str) -> None:
    refused(BAD[case])


def test_a_bomb_is_refused_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_arrays, "MOST_BYTES", 10_000)
    assert "more than 10000 bytes" in refused(packed(b"\0" * 100_000))


def test_what_is_cut_short_or_has_more_behind_it_is_refused() -> None:
    content = base64.b64decode(pack_arrays(ARRAYS, FACTS))
    for changed in (content[: len(content) // 2], content[:-1], content + b"more"):
        refused(base64.b64encode(changed).decode())


def test_seeded_damage_is_refused_or_gives_arrays() -> None:
    random = np.random.default_rng(0)
    content = bytearray(base64.b64decode(pack_arrays(ARRAYS, FACTS)))
    for _ in range(300):
        changed = bytearray(content)
        for place in random.integers(0, len(changed), 3):
            changed[place] ^= 1 << int(random.integers(8))
        try:
            arrays, _ = unpack_arrays(base64.b64encode(bytes(changed)).decode(), "x.onnx")
        except ModelFormatError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert all(np.isfinite(array).all() for array in arrays.values())
