"""JSON lines on disk: added whole, read in order, and what becomes of a line that was cut short."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records import append_line, check_appendable, read_lines, write_result
from onlygood import SettingError, WriteError


def test_lines_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert read_lines(path) == []
    records: list[dict[str, Any]] = [{"seed": seed, "text": "ü\n" * seed} for seed in range(3)]
    for record in records:
        append_line(path, record)
    assert read_lines(path) == records
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("cut", ['{"seed": 1, "te', "{}"])
def test_a_last_line_that_was_cut_short_is_passed_over_and_taken_away(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"seed": 0}\n' + cut)
    assert read_lines(path) == [{"seed": 0}]
    append_line(path, {"seed": 2})
    assert path.read_text() == '{"seed": 0}\n{"seed":2}\n'


def test_a_line_is_on_the_disk_before_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    path = tmp_path / "runs.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.stat().st_size))
    append_line(path, {"seed": 0})
    assert synced == [len('{"seed":0}\n')]


def _append_many(path: Path, writer: int) -> None:
    for number in range(50):
        append_line(path, {"writer": writer, "number": number, "padding": "x" * 20_000})


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, number)) for number in range(2)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    found = read_lines(path)
    for writer in range(2):
        assert [line["number"] for line in found if line["writer"] == writer] == list(range(50))


def test_a_place_that_cannot_be_written_is_refused_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "runs.jsonl", tmp_path):
        with pytest.raises(WriteError, match="cannot be written"):
            check_appendable(path)
    check_appendable(tmp_path / "new" / "runs.jsonl")
    assert (tmp_path / "new" / "runs.jsonl").read_bytes() == b""
    with pytest.raises(WriteError, match="cannot be written"):
        append_line(tmp_path, {})
    with pytest.raises(SettingError, match="must be a file of JSON lines"):
        read_lines(tmp_path)


def test_what_a_study_found_is_one_json_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "study.json"
    write_result(path, {"ratio": 1.5})
    assert json.loads(path.read_text()) == {"ratio": 1.5}
