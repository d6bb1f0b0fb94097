"""How many inspections a station's memory takes in a second, and what each costs.

`python scripts/measure_recording.py --output recording.json`: threads record inspections with an image of 100 kB each
and wait for each to be acknowledged, as those who ask over HTTP do. `--database URL` does the same on PostgreSQL, and
`--folder` says on which disk. Every image is another one.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from onlygood.station.schemas import ImageRegion, Verdict
from onlygood.station.store.records import NewInspection
from onlygood.station.store.store import Store

REGION = ImageRegion(top=10, left=20, bottom=30, right=40, peak=1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--image-bytes", type=int, default=100_000)
    parser.add_argument("--database")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = run(Path(folder), options.threads, options.seconds, options.image_bytes, options.database)
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def run(folder: Path, threads: int, seconds: float, image_bytes: int, url: str | None) -> dict[str, Any]:
    store = Store(folder / "data", url=url)
    waits: list[list[float]] = [[] for _ in range(threads)]
    stopping = threading.Event()

    def work(thread: int) -> None:
        image = bytearray(os.urandom(image_bytes))
        number = 0
        while not stopping.is_set():
            number += 1
            image[:8] = (thread << 32 | number).to_bytes(8, "big")
            begun = time.perf_counter()
            store.recorder.record(
                NewInspection(
                    model="part",
                    model_sha256="a" * 64,
                    source="http",
                    name=f"{thread}-{number}.jpg",
                    verdict=Verdict.GOOD,
                    score=-0.5,
                    p_value=0.5,
                    latency_ms=10.0,
                    width=640,
                    height=480,
                    regions=(REGION,),
                    content=bytes(image),
                )
            )
            waits[thread].append(time.perf_counter() - begun)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    begun, before = time.perf_counter(), os.times()
    for worker in workers:
        worker.start()
    time.sleep(seconds)
    stopping.set()
    for worker in workers:
        worker.join()
    took, after = time.perf_counter() - begun, os.times()
    each = np.concatenate([np.asarray(found) for found in waits])
    count = store.inspections.count()
    assert count == len(each)
    store.close()
    return {
        "database": "PostgreSQL" if url else "SQLite",
        "threads": threads,
        "image_bytes": image_bytes,
        "inspections": count,
        "per_second": round(count / took, 1),
        "user_ms_each": round(1000 * (after.user - before.user) / count, 3),
        "system_ms_each": round(1000 * (after.system - before.system) / count, 3),
        "wait_ms_median": round(1000 * float(np.median(each)), 2),
        "wait_ms_p99": round(1000 * float(np.quantile(each, 0.99)), 2),
    }


if __name__ == "__main__":
    main()
