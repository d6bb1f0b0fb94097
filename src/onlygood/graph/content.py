"""The bytes of a model file: of a regular file, no more of them than a limit, and few enough parts to be parsed.

Parsing gives each part of a protobuf message an object of its own, some eighty bytes for two in the file, so a file
within the limit could take all memory. Hence parts are counted in the bytes before they are parsed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from onlygood.errors import ModelFileError, ModelFormatError, SettingError

# Bytes of a model file unless another limit is given. The largest of ours have 25 MB; a network of 250 million
# weights fits. Protocol buffers themselves end at 2 GiB.
MAX_MODEL_BYTES = 1_000_000_000
HIGHEST_LIMIT = 2**31 - 1
# Protobuf parts (nodes, names, attributes, tensors, ...) of a file: a network of a thousand layers has 20,000.
MAX_PARTS = 300_000
# Bytes of numbers that are written with as many digits as they need: each takes eight bytes in memory.
MAX_PACKED_BYTES = 4_000_000
# A file below this is parsed without counting: its parts take a hundred megabytes at most.
COUNTED_FROM_BYTES = 1_000_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_content(path: str | os.PathLike[str], *, max_bytes: int = MAX_MODEL_BYTES) -> bytes:
    """The bytes of a model file.

    Args:
        path: of a regular file; a device, pipe or folder is refused before it is opened.
        max_bytes: the most that are read.

    Raises:
        ModelFileError: it cannot be read, or is not a regular file, or has more bytes.
        SettingError: a limit that cannot be used.
    """
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or not 1 <= max_bytes <= HIGHEST_LIMIT:
        raise SettingError(f"max_model_bytes must be a whole number from 1 to {HIGHEST_LIMIT}, got {max_bytes!r}")
    try:
        _require_regular(Path(path).stat(), path, max_bytes)
        # Without O_NONBLOCK a pipe that took the file's place since would be waited for.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            _require_regular(found, path, max_bytes)
            # Some files of /proc have a size of 0 and content without end.
            content = file.read(max(found.st_size, 65_536) + 1)
            if len(content) > found.st_size:
                raise ModelFileError(
                    f"the model {path} must be a whole file, got one that grows: wait until it is written"
                )
    except FileNotFoundError as error:
        raise ModelFileError(f"the model {path} does not exist: fit one with `onlygood fit`") from error
    except OSError as error:
        raise ModelFileError(f"the model {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a path with a null character
        raise ModelFileError(f"the model {str(path)!r} cannot be read: {error}") from error
    return content


def _require_regular(found: os.stat_result, path: str | os.PathLike[str], max_bytes: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise ModelFileError(f"a model must be a file, got the folder {path}: give the .onnx file in it")
    if not stat.S_ISREG(found.st_mode):
        raise ModelFileError(f"a model must be a file, got {_kind(found.st_mode)} {path}: give the .onnx file")
    if found.st_size > max_bytes:
        raise ModelFileError(
            f"the model {path} must have at most {max_bytes} bytes, got {found.st_size}: if it is one that you trust, "
            "raise max_model_bytes (--max-model-bytes)"
        )


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "the pipe", stat.S_IFSOCK: "the socket"}
    return kinds.get(stat.S_IFMT(mode), "the device")


def parse(content: bytes, name: str) -> onnx.ModelProto:
    """The parsed model, if it has few enough parts.

    Args:
        content: a file's bytes.
        name: what messages call it.

    Raises:
        ModelFormatError: bytes that are no protobuf message, or one with too many parts.
    """
    try:
        if len(content) >= COUNTED_FROM_BYTES:
            _require_few_parts(content, name)
        model: onnx.ModelProto = onnx.load_model_from_string(content)
    except (DecodeError, IndexError) as error:
        raise ModelFormatError(
            f"the model {name} must be an ONNX file, got {len(content)} bytes that are not one or are cut short: "
            f"copy it again or fit it again"
        ) from error
    return model


def _require_few_parts(content: bytes, name: str) -> None:
    """Refuse a message whose parts would take much memory.

    Raises:
        ModelFormatError: it has more parts than MAX_PARTS, or more numbers than MAX_PACKED_BYTES.
        IndexError: it is cut short.
    """
    parts = packed = 0
    waiting: list[tuple[int, int, Any]] = [(0, len(content), _inner(onnx.ModelProto.DESCRIPTOR.full_name))]
    while waiting:
        place, end, fields = waiting.pop()
        while place < end:
            key, place = _varint(content, place)
            number, wire = key >> 3, key & 7
            parts += 1
            if parts > MAX_PARTS or packed > MAX_PACKED_BYTES:
                raise ModelFormatError(
                    f"the model {name} must have at most {MAX_PARTS} parts and {MAX_PACKED_BYTES} bytes of whole "
                    "numbers outside raw data, got more: do not run it, and fit it again"
                )
            if wire == _BYTES:
                length, place = _varint(content, place)
                if place + length > end:
                    raise IndexError("a part that is longer than what holds it")
                inner = fields.get(number)
                if isinstance(inner, str):
                    waiting.append((place, place + length, _inner(inner)))
                elif inner is not None:
                    packed += length
                place += length
            elif wire == _VARINT:
                _, place = _varint(content, place)
            elif wire in (_FIXED32, _FIXED64):
                place += 4 if wire == _FIXED32 else 8
            else:  # groups, which ONNX does not have
                raise IndexError("a part of a kind that ONNX does not have")


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and the place behind it."""
    value = content[place]
    place += 1
    if value < 0x80:
        return value, place
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise IndexError("a number of more than ten bytes")


@cache
def _inner(message: str) -> Mapping[int, str | bool]:
    """Of one kind of ONNX's messages, the fields that are messages (by what kind) or packed whole numbers (True)."""
    descriptor = onnx.ModelProto.DESCRIPTOR.file.pool.FindMessageTypeByName(message)
    found: dict[int, str | bool] = {}
    for field in descriptor.fields:
        if field.message_type is not None:
            found[field.number] = field.message_type.full_name
        elif field.cpp_type in (
            FieldDescriptor.CPPTYPE_INT32,
            FieldDescriptor.CPPTYPE_INT64,
            FieldDescriptor.CPPTYPE_UINT32,
            FieldDescriptor.CPPTYPE_UINT64,
        ):
            found[field.number] = True
    return found
