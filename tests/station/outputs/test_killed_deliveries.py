"""A station that is killed in the middle of deliveries tells everyone everything, in order, and repeats little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from http_receiver import Receiver

from onlygood.station.outputs.delivery import BATCH

PROGRAM = Path(__file__).with_name("killed_station.py")
KILLS_AFTER = (1, 60, 200, 15)


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_everything_acknowledged_is_delivered_though_the_station_is_killed(tmp_path):
    receiver = Receiver().start()
    lines = tmp_path / "verdicts.jsonl"
    acknowledged: set[int] = set()
    for kill_after in KILLS_AFTER:
        with start(tmp_path / "data", receiver.url, lines, "on") as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(kill_after)]
            process.kill()
            assert all(said), "the process ended by itself"
            said += process.stdout.readlines()
            acknowledged |= {int(line) for line in said if line.endswith("\n")}
    with start(tmp_path / "data", receiver.url, lines, "last") as process:
        assert process.wait(60) == 0
    receiver.stop()
    written = [json.loads(line)["id"] for line in lines.read_text(encoding="utf-8").splitlines()]
    for told in (receiver.accepted, written):
        first_times = list(dict.fromkeys(told))
        assert acknowledged <= set(first_times)
        assert first_times == sorted(first_times)
        assert len(told) - len(first_times) <= BATCH * len(KILLS_AFTER)
    assert set(receiver.accepted) == set(written)
