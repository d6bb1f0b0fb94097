"""What a model file keeps for its updates: named arrays and facts as one text, written compactly and read warily.

It is an entry of the file's metadata of its own, since runtimes leave those alone, where they warn of initializers that
no node uses, or drop them. The description has its digest, so that `content_sha256` covers it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ModelFormatError
from onlygood.metadata import description_problem

KEPT_KEY = "onlygood-kept"
# Bytes of the text in the file, and of what it is when it is unpacked; of the facts among them.
MOST_TEXT = 350_000_000
MOST_BYTES = 256_000_000
MOST_FACTS = 32_000_000
MOST_ARRAYS = 1000
MOST_AXES = 4
_VERSION = 1
_KINDS = ("int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64")
# Bytes before the facts: their number.
_LENGTH = 4

Arrays = Mapping[str, NDArray[Any]]


def kept_digest(text: str) -> str:
    """The sha256 of what is kept, as the description has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def pack_arrays(arrays: Arrays, facts: Mapping[str, Any]) -> str:
    """Arrays and facts as ASCII text.

    Args:
        arrays: by name, of the kinds in `_KINDS`.
        facts: plain JSON values.
    """
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    head = json.dumps({"version": _VERSION, "facts": facts, "arrays": listed}, sort_keys=True).encode()
    # Codes of vectors have no repetitions, so looking for any would cost time for nothing.
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    parts = [packer.compress(len(head).to_bytes(_LENGTH, "little") + head)]
    for array in arrays.values():
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        # Each array with a code of its own: theirs have little in common.
        parts += [packer.compress(plain.tobytes()), packer.flush(zlib.Z_FULL_FLUSH)]
    return base64.b64encode(b"".join([*parts, packer.flush()])).decode()


def unpack_arrays(text: str, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `pack_arrays` was given.

    Args:
        text: as it is in the file.
        name: what messages call the model.

    Raises:
        ModelFormatError: it is no such text, or has more than the limits.
    """
    try:
        content = _inflated(base64.b64decode(text, validate=True), name)
        length = int.from_bytes(content[:_LENGTH], "little")
        if not 0 < length <= min(MOST_FACTS, len(content) - _LENGTH):
            raise _no_good(name, f"facts of {length} bytes")
        head = json.loads(bytes(content[_LENGTH : _LENGTH + length]))
        if not isinstance(head, dict) or head.get("version") != _VERSION:
            raise _no_good(name, f"what another onlygood wrote (version {str(head)[:40]!r})")
        facts, listed = head["facts"], head["arrays"]
        problem = description_problem(facts) if isinstance(facts, dict) else "facts without names"
        if problem is not None:
            raise _no_good(name, problem)
        arrays = _arrays(content, _LENGTH + length, listed, name)
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_good(name, f"what cannot be read ({type(error).__name__}: {str(error)[:100]})") from error
    return arrays, facts


def _inflated(packed: bytes, name: str) -> memoryview:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, MOST_BYTES)
    if unpacker.unconsumed_tail or not unpacker.eof or unpacker.unused_data:
        raise _no_good(name, f"what has more than {MOST_BYTES} bytes, or does not end")
    return memoryview(content)


def _arrays(content: memoryview, place: int, listed: Any, name: str) -> dict[str, NDArray[Any]]:
    if not isinstance(listed, list) or len(listed) > MOST_ARRAYS:
        raise _no_good(name, f"more than {MOST_ARRAYS} arrays, or none")
    arrays: dict[str, NDArray[Any]] = {}
    for called, kind, shape in listed:
        are_sides = isinstance(shape, list) and all(type(side) is int and 0 <= side <= MOST_BYTES for side in shape)
        if not isinstance(called, str) or called in arrays or kind not in _KINDS or not are_sides:
            raise _no_good(name, f"the array {str(called)[:40]!r} of kind {str(kind)[:20]!r}")
        dtype = np.dtype(kind).newbyteorder("<")
        count = int(np.prod([1, *shape], dtype=object))
        if len(shape) > MOST_AXES or count * dtype.itemsize > len(content) - place:
            raise _no_good(name, f"the array {called[:40]!r} with more numbers than there are")
        array = (
            np.frombuffer(content, dtype=dtype, count=count, offset=place)
            .reshape(shape)
            .astype(dtype.newbyteorder("="))
        )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _no_good(name, f"the array {called[:40]!r} with numbers that are not finite")
        arrays[called] = array
        place += count * dtype.itemsize
    if place != len(content):
        raise _no_good(name, "more bytes than its arrays have")
    return arrays


def _no_good(name: str, got: str) -> ModelFormatError:
    return ModelFormatError(
        f"the model {name} must keep what an update needs as `onlygood fit` writes it, got {got}: copy it again, or "
        "fit it again"
    )
