"""Files are written whole or not at all."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import onlygood
from onlygood._files import check_writable, make_folder, write_atomically
from onlygood.errors import WriteError

as_user = pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root and Windows may write anywhere")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_content_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.onnx", b"new")
    assert (tmp_path / "a.onnx").read_bytes() == b"new"
    assert left(tmp_path) == ["a.onnx"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such rights")
@pytest.mark.parametrize("is_private", [False, True])
def test_who_may_read_it_from_its_first_moment_on(
    is_private: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)
    fsync, seen = os.fsync, []

    def look(handle: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0o022)
    try:
        write_atomically(path, b"new", is_private=is_private)
    finally:
        os.umask(before)
    seen.append(stat.S_IMODE(path.stat().st_mode))
    assert seen == [0o600 if is_private else 0o644] * 2


def test_a_file_that_was_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"old and longer")
    write_atomically(tmp_path / "a.onnx", b"new")
    assert (tmp_path / "a.onnx").read_bytes() == b"new"


def failing(error: BaseException) -> Any:
    def fail(*arguments: Any, **keywords: Any) -> None:
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")
STEPS = ["opening", "writing", "synchronising", "reading back", "renaming"]


def break_step(step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one step of writing fail, as late as it can."""
    if step == "opening":
        monkeypatch.setattr(Path, "open", failing(error))
    if step == "synchronising":
        monkeypatch.setattr(os, "fsync", failing(error))
    if step == "reading back":
        monkeypatch.setattr(Path, "read_bytes", failing(error))
    if step == "renaming":
        monkeypatch.setattr(Path, "replace", failing(error))
    if step == "writing":
        keep = Path.open

        class Disk:
            """A file on a disk that is full after one byte."""

            def __init__(self, file: Any) -> None:
                self.file = file

            def __enter__(self) -> "Disk":
                return self

            def __exit__(self, *_: Any) -> None:
                self.file.close()

            def write(self, content: bytes) -> None:
                self.file.write(content[:1])
                self.file.flush()
                raise error

        monkeypatch.setattr(Path, "open", lambda path, *a, **k: Disk(keep(path, *a, **k)))


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.onnx"
    target.write_bytes(b"old")
    with monkeypatch.context() as broken:
        break_step(step, FULL, broken)
        with pytest.raises(WriteError) as caught:
            write_atomically(target, b"new")
    assert str(caught.value) == (
        f"{target} cannot be written: no space left on device: choose another place or make room"
    )
    assert target.read_bytes() == b"old"
    assert left(tmp_path) == ["a.onnx"]


@pytest.mark.parametrize("step", STEPS)
def test_ctrl_c_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.onnx"
    target.write_bytes(b"old")
    with monkeypatch.context() as broken:
        break_step(step, KeyboardInterrupt(), broken)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert left(tmp_path) == ["a.onnx"]


def test_a_disk_that_gives_back_other_bytes_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", lambda path: b"net")
        with pytest.raises(WriteError, match="the disk gave back other bytes than were written to it"):
            write_atomically(tmp_path / "a.onnx", b"new")
    assert left(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    target = tmp_path / "none" / "a.onnx"
    with pytest.raises(WriteError, match="no such file or directory"):
        write_atomically(target, b"new")
    with pytest.raises(WriteError, match=f"there is no folder {target.parent}: make it first"):
        check_writable(target)


def test_a_folder_in_the_way_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.onnx"
    target.mkdir()
    with pytest.raises(WriteError, match=r"a\.onnx"):
        write_atomically(target, b"new")
    with pytest.raises(WriteError, match="is a folder where a file is to be written: add a file name"):
        check_writable(target)
    assert left(tmp_path) == ["a.onnx"]


def test_a_file_where_a_folder_should_be_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(WriteError, match="cannot be written: not a directory"):
        write_atomically(tmp_path / "a" / "b.onnx", b"new")
    with pytest.raises(WriteError, match="there is no folder"):
        check_writable(tmp_path / "a" / "b.onnx")
    with pytest.raises(WriteError, match="cannot be written"):
        make_folder(tmp_path / "a")


def test_a_name_that_is_too_long_is_reported(tmp_path: Path) -> None:
    for write in (check_writable, lambda path: write_atomically(path, b"new")):
        with pytest.raises(WriteError, match="cannot be written: file name too long"):
            write(tmp_path / ("x" * 300))
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 250 + ".onnx", "ü" * 125 + ".onnx", "検" * 83 + ".onnx"])
def test_the_longest_name_that_a_folder_takes_is_written(name: str, tmp_path: Path) -> None:
    """Beside it, its temporary file has a name that is longer than it."""
    assert len(os.fsencode(name)) in (254, 255)
    check_writable(tmp_path / name)
    write_atomically(tmp_path / name, b"new")
    assert left(tmp_path) == [name]


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, young = ".a.onnx.0123abcd.part", ".a.onnx.0123abce.part"
    others = [".b.onnx.0123abcd.part", ".a.onnx.part", "a.onnx.0123abcd.part", ".a.onnx.0123abcd.partial"]
    for name in (old, young, *others):
        (tmp_path / name).write_bytes(b"half")
        if name != young:
            os.utime(tmp_path / name, (1_000_000_000, 1_000_000_000))
    check_writable(tmp_path / "a.onnx")
    assert left(tmp_path) == sorted([young, *others])


@as_user
def test_a_folder_without_permission_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for write in (check_writable, lambda path: write_atomically(path, b"new")):
            with pytest.raises(WriteError, match="cannot be written: permission denied"):
                write(tmp_path / "a.onnx")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_permission_denied_is_reported_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", failing(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(WriteError, match=r"a\.onnx cannot be written: permission denied: choose another place"):
        check_writable(tmp_path / "a.onnx")


def test_looking_whether_a_file_can_be_written_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "old.onnx").write_bytes(b"old")
    check_writable(tmp_path / "old.onnx")
    check_writable(tmp_path / "new.onnx")
    assert left(tmp_path) == ["old.onnx"]
    assert (tmp_path / "old.onnx").read_bytes() == b"old"


def test_a_folder_is_made_with_those_above_it_or_taken_as_it_is(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "b" / "c").write_bytes(b"x")
    make_folder(tmp_path / "a" / "b")
    assert left(tmp_path / "a" / "b") == ["c"]


def test_a_model_is_saved_whole_or_not_at_all(
    model: onlygood.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_step("writing", FULL, broken)
        with pytest.raises(WriteError, match=r"part\.onnx cannot be written: no space left on device"):
            model.save(tmp_path / "part.onnx")
    assert left(tmp_path) == []
    model.save(str(tmp_path / "part.onnx"))
    assert left(tmp_path) == ["part.onnx"]


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    target, link = tmp_path / "models" / "of-today.onnx", tmp_path / "current.onnx"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (check_writable, lambda path: write_atomically(path, b"new")):
        with pytest.raises(WriteError, match="must be a file or a new name, got a device or pipe"):
            write(pipe)
    assert pipe.is_fifo()
