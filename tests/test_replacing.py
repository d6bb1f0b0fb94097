"""A file that is replaced only if nobody else has written it since."""

import os
import time
from pathlib import Path

import pytest

from command_line import left
from onlygood._replacing import ABANDONED_S, Replacing
from onlygood.errors import WriteError


def test_what_nobody_else_has_written_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    Replacing(path).write(b"first")
    Replacing(path).write(b"second")
    assert path.read_bytes() == b"second"
    assert left(tmp_path) == ["part.onnx"]


@pytest.mark.parametrize("before", [None, b"old"])
def test_the_second_of_two_at_once_is_refused_and_leaves_what_the_first_wrote(
    tmp_path: Path, before: bytes | None
) -> None:
    path = tmp_path / "part.onnx"
    if before is not None:
        path.write_bytes(before)
    first, second = Replacing(path), Replacing(path)
    first.write(b"first")
    with pytest.raises(WriteError, match="must be as it was when the update began, got a file that was written since"):
        second.write(b"second")
    assert path.read_bytes() == b"first"
    assert left(tmp_path) == ["part.onnx"]


def test_while_another_writes_nobody_does(tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(b"old")
    replacing = Replacing(path)
    lock = tmp_path / ".part.onnx.lock"
    lock.touch()
    with pytest.raises(WriteError, match="is being written by another update"):
        replacing.write(b"new")
    assert path.read_bytes() == b"old"
    long_ago = time.time() - ABANDONED_S - 5
    os.utime(lock, (long_ago, long_ago))
    replacing.write(b"new")
    assert path.read_bytes() == b"new"
    assert left(tmp_path) == ["part.onnx"]


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="there is no folder"):
        Replacing(tmp_path / "nowhere" / "part.onnx")
    with pytest.raises(WriteError, match="is a folder"):
        Replacing(tmp_path)
