"""A program that watches a folder and records what it got, until it is killed: FOLDER DATABASE."""

import sqlite3
import sys
from collections.abc import Sequence

from onlygood.station.frames import make_source
from onlygood.station.station_settings import FolderSource


class Record:
    """Keys in a database that would take one twice, so that a repetition is found."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path)
        self.database.execute("PRAGMA journal_mode=WAL")

    def is_seen(self, key: str) -> bool:
        return self.database.execute("SELECT 1 FROM inspections WHERE key = ?", (key,)).fetchone() is not None

    def still_there(self, keys: Sequence[str]) -> None:
        pass

    def add(self, key: str, name: str) -> None:
        with self.database:
            self.database.execute("INSERT INTO inspections VALUES (?, ?)", (key, name))


if __name__ == "__main__":
    record = Record(sys.argv[2])
    source = make_source(FolderSource(name="belt", path=sys.argv[1], settle_s=0.02), seen=record)
    source.open()
    while True:
        frame = source.read(0.1)
        if frame is not None:
            assert frame.key is not None and frame.problem is None, frame.problem
            record.add(frame.key, frame.name)
