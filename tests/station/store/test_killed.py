"""A station that is killed has everything that it acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from onlygood.station.store.store import Store
from tests.station.store.recording import content_of

ROUNDS = 10


def test_everything_acknowledged_survives_being_killed(tmp_path: Path, url: str | None) -> None:
    chance = random.Random(7)
    acknowledged: dict[int, str] = {}
    for number in range(ROUNDS):
        acknowledged |= _until_killed(tmp_path / "data", url, number, chance.randint(1, 120))

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


def _until_killed(data: Path, url: str | None, number: int, lines: int) -> dict[int, str]:
    """What the program acknowledged; it is killed after so many lines, wherever it is at that moment."""
    command = [sys.executable, "-m", "tests.station.store.recording", data, url or "", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            said = [program.stdout.readline() for _ in range(lines)]
        finally:
            program.send_signal(signal.SIGKILL)
        assert all(said), "the program ended by itself"
        # What it said and was not yet read; the last line may be cut off.
        said += [line for line in program.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return {int(id): name for id, name in map(str.split, said)}
