"""A station that is killed has everything that it acknowledged."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from pathlib import Path

import pytest
from recording import content_of, record_on

from onlygood.station.store.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")


def test_everything_acknowledged_survives_being_killed(tmp_path: Path, url: str | None) -> None:
    chance = random.Random(7)
    acknowledged: dict[int, str] = {}
    for number in range(10 if url is None else 5):
        acknowledged |= _until_killed(tmp_path, url, number, chance.randint(1, 120))
    store = Store(tmp_path / "data", url=url, housekeeping_s=0)
    store.retention.run()  # files of inspections that did not come to their commit go, and no others
    there = {record.id: record for record in store.inspections.each()}
    for id, name in acknowledged.items():
        assert there[id].name == name
        assert store.inspections.image(id) == (content_of(name), ".jpg")
        assert store.seen.is_seen("in", name)
    # What was not acknowledged is whole or not there at all.
    for id, record in there.items():
        assert store.inspections.image(id) == (content_of(record.name), ".jpg")
    assert len({record.name for record in there.values()}) == len(there) == store.outbox.count("plc")
    assert sum(path.is_file() for path in (store.data / "images").rglob("*")) == len(there)
    store.close()


def _until_killed(folder: Path, url: str | None, number: int, lines: int) -> dict[int, str]:
    """What a process acknowledged that was killed after so many lines, wherever it was at that moment."""
    # Each process is made from one that has imported everything.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["recording"])
    pipe = folder / f"said-{number}"
    os.mkfifo(pipe)
    process = processes.Process(target=record_on, args=(folder / "data", url, number, pipe))
    process.start()
    try:
        with pipe.open() as said:
            found = [said.readline() for _ in range(lines)]
            process.kill()
            assert all(found), "the process ended by itself"
            found += said.readlines()  # what it said before it was killed
    finally:
        process.kill()
        process.join()
    return {int(id): name for id, name in map(str.split, found)}
