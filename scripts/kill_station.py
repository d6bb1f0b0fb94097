"""Kill a station under load, again and again, and see whether it lost anything that it acknowledged.

`python scripts/kill_station.py --times 10 --output kill.json`: clients send images over HTTP and note what was
acknowledged, a program writes images into a folder that the station watches, and SIGKILL ends the station at moments
drawn at random. At the end each acknowledged inspection must be remembered with its score and its image, and each image
of the folder must be inspected exactly once. `--database URL` does the same on PostgreSQL.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageFilter

import onlygood
from onlygood.station.store.store import Store

CLIENTS = 8
FOLDER_EVERY_S = 0.05
STARTS_WITHIN_S = 60.0
# Each run lasts so long under load before it is killed.
SHORTEST_S, LONGEST_S = 1.0, 4.0
SIDE = 160


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), times=options.times, seed=options.seed, url=options.database)
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    return 0 if result["is_all_well"] else 1


def image_file(seed: int) -> bytes:
    """A JPEG of blurred noise, another one for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1.2)).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


class Client(threading.Thread):
    """Sends one image after another, and notes what was acknowledged."""

    def __init__(self, url: str, number: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.number, self.stopping = url, number, stopping
        self.acknowledged: dict[int, tuple[str, float]] = {}
        self.unanswered = 0

    def run(self) -> None:
        """Until it is told to stop."""
        seed = 1_000_000 * (self.number + 1)
        with httpx.Client(timeout=60.0) as http:
            while not self.stopping.is_set():
                seed += 1
                content = image_file(seed)
                try:
                    answer = http.post(
                        f"{self.url}/v1/models/part/inspect?map=none",
                        content=content,
                        headers={"Content-Type": "image/jpeg"},
                    )
                    answer.raise_for_status()
                    inspection = answer.json()["results"][0]["inspection"]
                    self.acknowledged[inspection["id"]] = (hashlib.sha256(content).hexdigest(), inspection["score"])
                except (httpx.HTTPError, json.JSONDecodeError):
                    self.unanswered += 1
                    time.sleep(0.05)


class Feeder(threading.Thread):
    """Writes images into the folder that is watched, each under a new name, with a rename at the end.

    Args:
        folder: that is watched.
        stopping: ends it.
        most: of files in the folder, the oldest are removed; None to leave all of them there.
    """

    def __init__(self, folder: Path, stopping: threading.Event, *, most: int | None = None) -> None:
        super().__init__(daemon=True)
        self.folder, self.stopping, self.most = folder, stopping, most
        self.names: list[str] = []

    def run(self) -> None:
        """Until it is told to stop."""
        while not self.stopping.wait(FOLDER_EVERY_S):
            number = len(self.names)
            name = f"{number:06d}.jpg"
            temporary = self.folder / f".{name}.part"
            temporary.write_bytes(image_file(50_000_000 + number))
            temporary.rename(self.folder / name)
            self.names.append(name)
            if self.most is not None and number >= self.most:
                (self.folder / self.names[number - self.most]).unlink()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(data: Path, models: Path, port: int, url: str | None, log: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "onlygood", "station", "--data", str(data), "--models", str(models)]
    command += ["--port", str(port)] + (["--database", url] if url else [])
    process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the station ended with {process.returncode} instead of starting: see {log.name}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1.0).status_code == 200:
                return process
        except httpx.HTTPError:
            time.sleep(0.05)
    raise SystemExit("the station did not start in time")


def run(folder: Path, *, times: int, seed: int, url: str | None) -> dict[str, Any]:
    data, models, incoming = folder / "data", folder / "models", folder / "incoming"
    for each in (data, models, incoming, folder / "good"):
        each.mkdir()
    for number in range(12):
        (folder / "good" / f"{number}.jpg").write_bytes(image_file(number))
    onlygood.fit(folder / "good", method=onlygood.Patch(input_size=64, bank_size=300)).save(models / "part.onnx")
    settings = {
        "sources": [{"kind": "folder", "name": "incoming", "path": str(incoming), "model": "part", "settle_s": 0.1}]
    }
    (data / "station.json").write_text(json.dumps(settings))
    (data / "station.json").chmod(0o600)
    draw, port = random.Random(seed), free_port()
    stopping = threading.Event()
    clients = [Client(f"http://127.0.0.1:{port}", number, stopping) for number in range(CLIENTS)]
    feeder = Feeder(incoming, stopping)
    with (folder / "station.log").open("ab") as log:
        process = start(data, models, port, url, log)
        for thread in (*clients, feeder):
            thread.start()
        for _ in range(times):
            time.sleep(draw.uniform(SHORTEST_S, LONGEST_S))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process = start(data, models, port, url, log)
        time.sleep(SHORTEST_S)
        stopping.set()
        for thread in (*clients, feeder):
            thread.join()
        wait_for_folder(port, len(feeder.names))
        process.terminate()
        code = process.wait(60)
    return checked(data, url, clients, feeder.names) | {"times": times, "exit_code_of_a_stop": code}


def wait_for_folder(port: int, wanted: int) -> None:
    """Until the images of the folder are worked off, or nothing has moved for half a minute."""
    seen, moved_at = -1, time.monotonic()
    while seen < wanted and time.monotonic() - moved_at < 30.0:
        time.sleep(0.5)
        sources = httpx.get(f"http://127.0.0.1:{port}/v1/sources", timeout=30.0).json()
        now = sum(each["frames"] for each in (sources if isinstance(sources, list) else sources["sources"]))
        if now != seen:
            seen, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > 5.0:
            return


def checked(data: Path, url: str | None, clients: list[Client], names: list[str]) -> dict[str, Any]:
    acknowledged = {id: value for client in clients for id, value in client.acknowledged.items()}
    store = Store(data, url=url)
    lost, other, without_image = [], [], []
    for id, (sha256, score) in acknowledged.items():
        record = store.inspections.get(id)
        if record is None:
            lost.append(id)
            continue
        if (record.image_sha256, record.score) != (sha256, score):
            other.append(id)
        kept = store.inspections.image(id)
        if kept is None or hashlib.sha256(kept[0]).hexdigest() != sha256:
            without_image.append(id)
    of_folder = collections.Counter(record.name for record in store.inspections.each() if record.source == "incoming")
    store.close()
    missed = [name for name in names if of_folder[name] == 0]
    repeated = [name for name, times in of_folder.items() if times > 1]
    return {
        "acknowledged": len(acknowledged),
        "unanswered": sum(client.unanswered for client in clients),
        "lost": len(lost),
        "with_another_score_or_image": len(other),
        "without_their_image": len(without_image),
        "folder_images": len(names),
        "folder_missed": len(missed),
        "folder_repeated": len(repeated),
        "is_all_well": not (lost or other or without_image or missed or repeated) and len(acknowledged) > 0,
    }


if __name__ == "__main__":
    raise SystemExit(main())
