"""A network's weights out of a file that torch wrote, without torch and without running what is in the file.

`torch.save` before version 1.6 wrote a sequence of pickles (a magic number, a version, facts about the machine, the
state dict, the keys of the storages) and behind them each storage: its length, then its values. The pickle of a state
dict names one function and a few classes; nothing else can be reached through it here, and nothing of torch is.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import BackboneError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
# What the storages that are read hold, by their names in torch.
STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_state_dict(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict by their names, in the order of the file: float32 or int64, C-contiguous.

    Args:
        content: of a file that `torch.save` wrote in the form before 1.6.
        name: of the file, for messages.

    Raises:
        BackboneError: it is no such file, is cut short, or names anything beyond what a state dict is made of.
    """
    file = io.BytesIO(content)
    try:
        for expected in (MAGIC, VERSION):
            if (found := _Unpickler(file).load()) != expected:
                raise _UnusableError(f"it begins with {found!r}")
        if not _Unpickler(file).load()["little_endian"]:
            raise _UnusableError("it was written on a big-endian machine")
        reader = _Unpickler(file)
        state, keys = reader.load(), _Unpickler(file).load()
        for key in keys:
            reader.storages[key].values = _values(file, reader.storages[key])
        if not (isinstance(state, dict) and all(isinstance(tensor, _Tensor) for tensor in state.values())):
            raise _UnusableError("it holds something else than tensors by name")
        return {str(key): tensor.array() for key, tensor in state.items()}
    except _UnusableError as error:
        raise BackboneError(f"the weights {name} must be a state dict as torch wrote it before 1.6: {error}") from error
    except Exception as error:  # unpickling raises anything on a damaged file
        raise BackboneError(
            f"the weights {name} must be a state dict as torch wrote it before 1.6, got a file that cannot be read: "
            f"{error}"
        ) from error


class _UnusableError(Exception):
    """Why a file is refused."""


@dataclass
class _Storage:
    """Values that tensors are views of; they come behind the pickle that names them."""

    dtype: np.dtype[Any]
    count: int
    values: NDArray[Any] | None = None


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage: where it begins, its shape, and how many values each step along an axis is."""

    storage: _Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """The values, in a C-contiguous array of their own."""
        values = self.storage.values
        if values is None:
            raise _UnusableError("a storage is missing")
        last = self.start + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if min((self.start, *self.shape, *self.strides)) < 0 or (0 not in self.shape and last >= len(values)):
            raise _UnusableError("a tensor reaches beyond its storage")
        steps = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.start :], self.shape, steps).copy(order="C")


class _Unpickler(pickle.Unpickler):
    """Builds state dicts and refuses every other name."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in STORAGES:
            return name
        raise _UnusableError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, view = pid
        if kind != "storage" or view is not None or storage not in STORAGES:
            raise _UnusableError(f"it refers to a {kind} of {storage}")
        return self.storages.setdefault(key, _Storage(STORAGES[storage], count))


def _rebuilt(storage: _Storage, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, start, shape, strides)


def _values(file: io.BytesIO, storage: _Storage) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.count:
        raise _UnusableError(f"a storage holds {count} values, not the {storage.count} that its tensors say")
    wanted = count * storage.dtype.itemsize
    content = file.read(wanted)
    if len(content) != wanted:
        raise _UnusableError("it is cut short")
    return np.frombuffer(content, dtype=storage.dtype)
