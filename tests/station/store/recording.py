"""A program that records from several threads and says of each inspection that it is acknowledged; it is killed."""

import hashlib
import sys
import threading
from pathlib import Path

from onlygood.station.store.store import Store
from tests.station.store.inspected import inspected

THREADS = 6


def content_of(name: str) -> bytes:
    """An image of some kilobytes that is told by its name."""
    return hashlib.sha256(name.encode()).digest() * 200


def main(data: str, url: str, start: str) -> None:
    store = Store(Path(data), url=url or None, housekeeping_s=0.01)
    said = threading.Lock()

    def work(worker: int) -> None:
        number = 0
        while True:
            name = f"{start}-{worker}-{number}"
            record = store.recorder.record(
                inspected(name=name, content=content_of(name), source="in", seen_key=name), outputs=["plc"]
            )
            with said:
                sys.stdout.write(f"{record.id} {name}\n")
                sys.stdout.flush()
            number += 1

    for worker in range(THREADS):
        threading.Thread(target=work, args=(worker,)).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
