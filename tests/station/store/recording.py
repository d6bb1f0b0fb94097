"""A process that records from several threads and says of each inspection that it is acknowledged; it is killed."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from inspected import inspected

from onlygood.station.store.store import Store

THREADS = 6


def content_of(name: str) -> bytes:
    """An image of some kilobytes that is told by its name."""
    return hashlib.sha256(name.encode()).digest() * 200


def record_on(data: Path, url: str | None, start: int, said: Path) -> None:
    """Record until killed.

    Args:
        data: the data folder.
        url: of the database.
        start: goes into the names of images.
        said: a pipe, into which a line goes for each inspection that is acknowledged.
    """
    pipe = os.open(said, os.O_WRONLY)
    store = Store(data, url=url, housekeeping_s=0.01)

    def work(worker: int) -> None:
        number = 0
        while True:
            name = f"{start}-{worker}-{number}"
            new = inspected(name=name, content=content_of(name), source="in", seen_key=name)
            record = store.recorder.record(new, outputs=["plc"])
            os.write(pipe, f"{record.id} {name}\n".encode())  # a line is whole in a pipe, or not there
            number += 1

    for worker in range(THREADS):
        threading.Thread(target=work, args=(worker,)).start()
    threading.Event().wait()
