"""A synthetic line for an hour, with everything that goes wrong in a year, and what the station lost or leaked.

`python scripts/soak_station.py --minutes 60 --output soak.json` (as root: the data folder is a small tmpfs that is
filled on purpose). A client sends an image every 100 ms, a program writes images into a folder that is watched, a
camera in the network is watched, a webhook is told of every verdict, PostgreSQL remembers, and a browser shows the live
page. Meanwhile, in turn: the camera is lost and found again, the database is restarted, the disk is filled and freed,
and the webhook's receiver goes and returns. At the end everything that was acknowledged must be remembered, each image
of the folder must be inspected exactly once, the webhook must have heard of everything, the page must show images again
after each trouble, and memory must not have grown.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import onlygood
from onlygood.station.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/station"), str(ROOT / "tests/station/frames"), str(ROOT)]

from kill_station import Feeder, free_port, image_file, start, wait_for_folder  # noqa: E402
from postgres import running_server  # noqa: E402
from rtsp_server import RtspServer, jpeg_clip  # noqa: E402

IMAGE_EVERY_S = 0.1
SAMPLE_EVERY_S = 10.0
# In the folder that is watched: as on a line, what is old is cleared away. The station knows each file that is there.
FOLDER_FILES = 6000
TMPFS = "size=200m"
TROUBLE_LASTS_S = 20.0
# After each trouble, how soon the page must show images again.
RECOVERS_WITHIN_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=60.0, help="seconds without trouble between two troubles")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        line = Line(Path(folder), opened, options.output)
        try:
            line.run(minutes=options.minutes, pause_s=options.pause)
        finally:
            line.end()
        result = line.checked()
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key not in ("memory_mb", "troubles")}, indent=2))
    return 0 if result["is_all_well"] else 1


class Sender(threading.Thread):
    """An image over HTTP every IMAGE_EVERY_S; what was acknowledged is noted."""

    def __init__(self, url: str, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.stopping = url, stopping
        self.acknowledged: dict[int, tuple[str, float, bool]] = {}
        self.refused: collections.Counter[str] = collections.Counter()
        self.sent = 0

    def run(self) -> None:
        """Until it is told to stop."""
        due = time.monotonic()
        with httpx.Client(timeout=90.0) as http:
            while not self.stopping.is_set():
                self.sent += 1
                content = image_file(10_000_000 + self.sent)
                try:
                    answer = http.post(
                        f"{self.url}/v1/models/part/inspect?map=none",
                        content=content,
                        headers={"Content-Type": "image/jpeg"},
                    )
                    if answer.status_code == 200:
                        found = answer.json()["results"][0]["inspection"]
                        digest = hashlib.sha256(content).hexdigest()
                        self.acknowledged[found["id"]] = (digest, found["score"], found["has_image"])
                    else:
                        self.refused[f"{answer.status_code} {answer.json().get('detail', '')[:100]}"] += 1
                except (httpx.HTTPError, json.JSONDecodeError) as error:
                    self.refused[type(error).__name__] += 1
                due = max(due + IMAGE_EVERY_S, time.monotonic() - 1.0)
                self.stopping.wait(max(0.0, due - time.monotonic()))


class Receiver:
    """A web server that notes the ids of the inspections it is told of; it can go and return."""

    def __init__(self) -> None:
        self.port = free_port()
        self.ids: collections.Counter[int] = collections.Counter()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen."""
        ids = self.ids

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for each in _inspections_in(told):
                    ids[each["id"]] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _inspections_in(told: Any) -> list[dict[str, Any]]:
    """The inspections in the body of a webhook: one, a list, or what holds them."""
    if isinstance(told, list):
        return [each for item in told for each in _inspections_in(item)]
    if "score" in told:
        return [told]
    return [each for value in told.values() if isinstance(value, dict | list) for each in _inspections_in(value)]


class Page(threading.Thread):
    """The live page in a browser, opened once and never touched again; notes when frames came."""

    def __init__(self, url: str, pictures: Path, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.pictures, self.stopping = url, pictures, stopping
        self.last_frame_at = 0.0
        self.frames = 0
        self.problems: list[str] = []
        self.wanted_picture: str | None = None

    def run(self) -> None:
        """Until it is told to stop."""
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.on("websocket", lambda socket: socket.on("framereceived", lambda _: self._came()))
            page.on("pageerror", lambda error: self.problems.append(str(error)))
            page.goto(f"{self.url}/live?source=camera")
            while not self.stopping.is_set():
                page.wait_for_timeout(500)
                if self.wanted_picture:
                    page.screenshot(path=str(self.pictures / f"{self.wanted_picture}.png"))
                    self.wanted_picture = None
            browser.close()

    def _came(self) -> None:
        self.frames += 1
        self.last_frame_at = time.monotonic()


class Line:
    """The whole line, its troubles, and what is found at the end."""

    def __init__(self, folder: Path, opened: ExitStack, output: Path) -> None:
        self.folder, self.output = folder, output
        self.data, models, incoming = folder / "data", folder / "models", folder / "incoming"
        for each in (self.data, models, incoming, folder / "good"):
            each.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", TMPFS, "tmpfs", str(self.data)], check=True)
        opened.callback(subprocess.run, ["umount", "-l", str(self.data)])
        self.database = opened.enter_context(running_server())
        self.url_of_database = self.database.new_database()
        images = [image_file(number) for number in range(12)]
        for number, content in enumerate(images):
            (folder / "good" / f"{number}.jpg").write_bytes(content)
        onlygood.fit(folder / "good", method=onlygood.Patch(input_size=64, bank_size=300)).save(models / "part.onnx")
        frames = [onlygood.read_image(image_file(200 + number)) for number in range(50)]
        self.camera = RtspServer(jpeg_clip([np.repeat(each, 3, axis=2) for each in frames]), frames_per_s=10.0).start()
        self.receiver = Receiver()
        self.receiver.start()
        source = {"model": "part"}
        settings = {
            "sources": [
                source | {"kind": "folder", "name": "incoming", "path": str(incoming), "settle_s": 0.1},
                source | {"kind": "rtsp", "name": "camera", "url": self.camera.url(), "max_frames_per_s": 4.0},
            ],
            "outputs": [{"kind": "webhook", "name": "hook", "url": f"http://127.0.0.1:{self.receiver.port}/"}],
            "retention": {"min_free_bytes": 20 << 20, "max_image_bytes": 100 << 20},
        }
        (self.data / "station.json").write_text(json.dumps(settings))
        (self.data / "station.json").chmod(0o600)
        self.port, self.stopping = free_port(), threading.Event()
        self.log = opened.enter_context((output.with_suffix(".log")).open("ab"))
        self.process = start(self.data, models, self.port, self.url_of_database, self.log)
        opened.callback(self.process.kill)
        url = f"http://127.0.0.1:{self.port}"
        self.sender, self.feeder = Sender(url, self.stopping), Feeder(incoming, self.stopping, most=FOLDER_FILES)
        self.page = Page(url, output.parent, self.stopping)
        self.memory: list[tuple[float, float, int, int]] = []
        self.troubles: list[dict[str, Any]] = []
        self.exit_code: int | None = None
        self.began = time.monotonic()

    def run(self, *, minutes: float, pause_s: float) -> None:
        """The line runs, and one trouble comes after another."""
        for thread in (self.sender, self.feeder, self.page, threading.Thread(target=self._sample, daemon=True)):
            thread.start()
        ends_at = self.began + 60.0 * minutes
        troubles = [self._lose_camera, self._restart_database, self._fill_disk, self._lose_receiver]
        number = 0
        while time.monotonic() + pause_s + 2 * TROUBLE_LASTS_S < ends_at:
            time.sleep(pause_s)
            trouble = troubles[number % len(troubles)]
            began = time.monotonic()
            trouble()
            recovered_s = self._page_recovers()
            name = trouble.__name__.strip("_")
            self.troubles.append(
                {"trouble": name, "at_s": round(began - self.began, 1), "page_recovered_s": recovered_s}
            )
            self.page.wanted_picture = f"{self.output.stem}-{name}"
            number += 1
        time.sleep(max(0.0, ends_at - time.monotonic()))

    def end(self) -> None:
        """Stop what sends, let the station work off what waits, and stop it."""
        self.stopping.set()
        for thread in (self.sender, self.feeder, self.page):
            if thread.is_alive():
                thread.join(60.0)
        wait_for_folder(self.port, len(self.feeder.names))
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            outputs = httpx.get(f"http://127.0.0.1:{self.port}/v1/outputs", timeout=30.0).json()
            if all(each["waiting"] == 0 for each in (outputs if isinstance(outputs, list) else outputs["outputs"])):
                break
            time.sleep(0.5)
        self.process.terminate()
        self.exit_code = self.process.wait(60)

    def checked(self) -> dict[str, Any]:
        """What was lost, repeated or grown."""
        store = Store(self.data, url=self.url_of_database)
        lost, other = 0, 0
        for id, (digest, score, _) in self.sender.acknowledged.items():
            record = store.inspections.get(id)
            if record is None:
                lost += 1
            elif record.score != score or record.image_sha256 not in (digest, None):
                other += 1
        of_folder = collections.Counter(each.name for each in store.inspections.each() if each.source == "incoming")
        untold = [each.id for each in store.inspections.each() if self.receiver.ids[each.id] == 0]
        remembered = store.inspections.count()
        store.close()
        missed = [name for name in self.feeder.names if of_folder[name] == 0]
        repeated = [name for name, times in of_folder.items() if times > 1]
        warm = [each[1] for each in self.memory[len(self.memory) // 6 :]]
        half = len(warm) // 2
        grown = statistics.median(warm[half:]) / statistics.median(warm[:half]) - 1.0 if half else None
        recovered = all(each["page_recovered_s"] is not None for each in self.troubles)
        return {
            "minutes": round((time.monotonic() - self.began) / 60.0, 1),
            "sent": self.sender.sent,
            "acknowledged": len(self.sender.acknowledged),
            "refused": dict(self.sender.refused),
            "remembered": remembered,
            "lost": lost,
            "with_another_score_or_image": other,
            "folder_images": len(self.feeder.names),
            "folder_missed": len(missed),
            "folder_repeated": len(repeated),
            "webhook_untold": len(untold),
            "webhook_repetitions": sum(times - 1 for times in self.receiver.ids.values()),
            "page_frames": self.page.frames,
            "page_errors": self.page.problems[:10],
            "page_recovered_each_time": recovered,
            "memory_growth_second_half": None if grown is None else round(grown, 4),
            "memory_mb": [[round(at), round(rss, 1), threads, files] for at, rss, threads, files in self.memory],
            "troubles": self.troubles,
            "exit_code": self.exit_code,
            "is_all_well": not (lost or other or missed or repeated or untold) and recovered and self.exit_code == 0,
        }

    def _sample(self) -> None:
        status, files = Path(f"/proc/{self.process.pid}/status"), Path(f"/proc/{self.process.pid}/fd")
        while not self.stopping.wait(SAMPLE_EVERY_S):
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                opened = len(list(files.iterdir()))
            except OSError:
                return
            self.memory.append(
                (time.monotonic() - self.began, int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"]), opened)
            )

    def _page_recovers(self) -> float | None:
        began = time.monotonic()
        while time.monotonic() - began < RECOVERS_WITHIN_S:
            if self.page.last_frame_at > began:
                return round(time.monotonic() - began, 1)
            time.sleep(0.1)
        return None

    def _lose_camera(self) -> None:
        self.camera.stop()
        time.sleep(TROUBLE_LASTS_S)
        self.camera.start()

    def _restart_database(self) -> None:
        self.database.stop("immediate")
        time.sleep(TROUBLE_LASTS_S / 4)
        self.database.start()

    def _fill_disk(self) -> None:
        filler = self.data / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(os.urandom(1 << 20))
            except OSError:
                pass
        time.sleep(TROUBLE_LASTS_S)
        filler.unlink()

    def _lose_receiver(self) -> None:
        self.receiver.stop()
        time.sleep(TROUBLE_LASTS_S)
        self.receiver.start()


if __name__ == "__main__":
    raise SystemExit(main())
