"""JSON lines: on the disk, whole lines alone, files that change places."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from waiting_records import record, records

from onlygood.errors import OutputError, SettingError
from onlygood.station.outputs.jsonl import JsonLines
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import MIB, JsonLinesOutput


def output(path: Path | str, **settings) -> JsonLines:
    return JsonLines(JsonLinesOutput(name="log", path=str(path), **settings))


def ids(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_line_is_an_inspection(tmp_path):
    given = [record(1), record(2, name="teil 7 größe.png", notes=("darker than every good image",))]
    lines = output(tmp_path / "log.jsonl")
    lines.open()
    lines.deliver(given)
    lines.close()
    read = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [InspectionRecord.model_validate_json(line) for line in read] == given


def test_appends_after_a_restart(tmp_path):
    for first in (1, 4):
        lines = output(tmp_path / "log.jsonl")
        lines.open()
        lines.deliver(records(first, first + 2))
        lines.close()
    assert ids(tmp_path / "log.jsonl") == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("num_bytes", [1, 5, 6, 100, 200_000])
def test_a_line_that_a_kill_left_unfinished_is_removed(tmp_path, num_bytes):
    path = tmp_path / "log.jsonl"
    long = record(3, notes=("x" * 300_000,)).model_dump_json().encode()
    path.write_bytes(b"".join(each.model_dump_json().encode() + b"\n" for each in records(1, 2)) + long[:num_bytes])
    lines = output(path)
    lines.open()
    lines.deliver([record(3)])
    lines.close()
    assert ids(path) == [1, 2, 3]


@pytest.mark.parametrize("content", [b"name,size\npart,3", b"{}\nno end", b"\xff\xfe"])
def test_a_file_of_someone_else_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(OutputError) as refused:
        output(path).open()
    assert str(refused.value) == (
        f"output 'log' appends to files that it wrote, got {path}, whose last line is no inspection: name another file"
    )
    assert path.read_bytes() == content


def test_files_change_places(tmp_path):
    path = tmp_path / "log.jsonl"
    size = len(record(1, notes=("x" * 400_000,)).model_dump_json()) + 1
    assert 2 * size < MIB < 3 * size
    lines = output(path, max_bytes=MIB, max_files=2)
    lines.open()
    for number in range(1, 10):
        lines.deliver([record(number, notes=("x" * 400_000,))])
    lines.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]
    assert [ids(tmp_path / name) for name in ("log.jsonl.2", "log.jsonl.1", "log.jsonl")] == [[5, 6], [7, 8], [9]]


def test_a_batch_larger_than_a_file_is_written_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = output(path, max_bytes=MIB)
    lines.open()
    lines.deliver([record(number, notes=("x" * 400_000,)) for number in range(1, 6)])
    lines.deliver([record(6)])
    lines.close()
    assert [ids(tmp_path / "log.jsonl.1"), ids(path)] == [[1, 2, 3, 4, 5], [6]]


def test_a_file_that_others_moved_or_deleted_is_begun_again(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = output(path)
    lines.open()
    lines.deliver(records(1, 2))
    path.replace(tmp_path / "moved.jsonl")
    lines.deliver(records(3, 4))
    path.unlink()
    lines.check()
    assert path.exists()
    lines.deliver(records(5, 6))
    lines.close()
    assert [ids(tmp_path / "moved.jsonl"), ids(path)] == [[1, 2], [5, 6]]


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX's")
def test_a_disk_that_becomes_full_in_the_middle_of_a_line(tmp_path):
    import resource
    import signal

    path = tmp_path / "log.jsonl"
    lines = output(path)
    lines.open()
    lines.deliver(records(1, 3))
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 150, hard))
        with pytest.raises(OutputError) as refused:
            lines.deliver(records(4, 6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert str(refused.value) == (f"output 'log' cannot write {path}: file too large: make room, or lower max_bytes")
    assert refused.value.taken == 0
    assert path.stat().st_size == size, "half a line is left"
    lines.open()
    lines.deliver(records(4, 6))
    lines.close()
    assert ids(path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_device_is_no_file(tmp_path):
    with pytest.raises(
        OutputError, match=re.escape("output 'log' needs a file, got /dev/full: name a file or a new name")
    ):
        output("/dev/full").open()


@pytest.mark.skipif(os.name != "posix", reason="Windows says it in other words")
def test_paths_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path, reason in (
        (tmp_path / "nowhere" / "log.jsonl", "no such file or directory: make the folder"),
        (tmp_path, "is a directory: name another file"),
        (tmp_path / "file" / "log.jsonl", "not a directory: name another file"),
    ):
        with pytest.raises(OutputError) as refused:
            output(path).open()
        assert str(refused.value) == f"output 'log' cannot write {path}: {reason}"


def test_an_empty_path():
    with pytest.raises(SettingError, match="a path must not be empty"):
        output("")


def test_close_twice(tmp_path):
    lines = output(tmp_path / "log.jsonl")
    lines.close()
    lines.open()
    lines.close()
    lines.close()
