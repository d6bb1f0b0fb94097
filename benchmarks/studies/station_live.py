"""The live view of a station: images a second with map, and how late they are, in a browser.

    python -m benchmarks.studies.station_live --output benchmarks/results/station_live.json

A video of 640 x 480 at 30 images a second is a source of `onlygood station`, inspected by a model of the default method
that was fitted to ten images of that size; every inspection is remembered. Chromium shows the live page with the map,
on the same cores. Each image that the page has drawn it acknowledges: those are what is measured, and the delay is the
time from the moment at which the source gave an image to the moment at which the page, by the same clock, says that it
is drawn; `arrived` is when its message came to the page. `browser` is the other way round: the camera of the browser
(Chromium's own test picture), sent up, inspected and drawn with its map.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fitting import fit_method
from benchmarks.machine import machine_facts, versions_of
from benchmarks.records import write_result
from benchmarks.studies.station_http import MODEL, image, jpeg, station

RATE = 30
SECONDS = 20.0
# Until the page is at work.
WARM_UP_S = 5.0


def write_video(path: Path) -> None:
    """Four seconds of made-up parts at RATE images a second, as motion JPEG."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (640, 480))
    for seed in range(4 * RATE):
        writer.write(image(1000 + seed)[:, :, ::-1])
    writer.release()


def header_of(message: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", message)
    found: dict[str, Any] = json.loads(message[4 : 4 + length])
    return found


# Has the page note when messages come and when it says that one is drawn: whoever looks on from outside hears it later.
NOTES = """
window.arrived = [];
window.drawn = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (typeof data === "string" && data.includes('"ack"')) window.drawn.push([Date.now(), JSON.parse(data).ack]);
  return send.call(this, data);
};
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", () => window.arrived.push(Date.now()));
  }
};
"""


class Seen:
    """What went over the page's WebSocket; times in seconds."""

    def __init__(self) -> None:
        self.taken_at: dict[int, float] = {}
        self.arrived_at: dict[int, float] = {}
        self.drawn: list[tuple[float, int]] = []
        self.answered: list[float] = []

    def watch(self, socket: Any) -> None:
        """Look at a WebSocket."""
        socket.on("framereceived", self.received)

    def add_notes(self, page: Any) -> None:
        """Take what the page has noted, in the order in which messages came."""
        arrived, drawn = page.evaluate("[window.arrived, window.drawn]")
        self.arrived_at = dict(zip(self.taken_at, (at / 1000 for at in arrived), strict=False))
        self.drawn = [(at / 1000, number) for at, number in drawn]

    def received(self, message: bytes | str) -> None:
        """A message of the station."""
        if isinstance(message, bytes):
            header = header_of(message)
            if header.get("verdict"):
                self.answered.append(time.time())
            if header.get("seq") is not None and header.get("at"):
                self.taken_at[header["seq"]] = datetime.fromisoformat(header["at"]).timestamp()


def watched(port: int, query: str) -> tuple[Seen, float, float]:
    """What a page that is open for a while sees, and when the time that counts began and ended."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        page = browser.new_page()
        seen = Seen()
        page.on("websocket", seen.watch)
        page.add_init_script(NOTES)
        page.goto(f"http://127.0.0.1:{port}/live?{query}")
        page.wait_for_timeout(500)
        if not seen.taken_at and page.locator("#stage").get_attribute("data-state") == "stopped":
            page.locator("#start").click()
        page.wait_for_timeout(1000 * WARM_UP_S)
        began = time.time()
        page.wait_for_timeout(1000 * SECONDS)
        ended = time.time()
        seen.add_notes(page)
        browser.close()
    return seen, began, ended


def measure(folder: Path) -> dict[str, Any]:
    good = folder / "good"
    good.mkdir()
    for seed in range(10):
        (good / f"{seed}.jpg").write_bytes(jpeg(seed))
    (folder / "models").mkdir()
    fit_method(good).save(folder / "models" / f"{MODEL}.onnx")
    write_video(folder / "line.avi")
    source = {
        "kind": "video",
        "name": "line",
        "path": str(folder / "line.avi"),
        "model": MODEL,
        "is_realtime": True,
        "repeats": True,
    }
    with station(folder, settings={"sources": [source]}) as (port, _):
        seen, began, ended = watched(port, "source=line")
        status = httpx.get(f"http://127.0.0.1:{port}/v1/sources", timeout=30).json()
    drawn = [(at, number) for at, number in seen.drawn if began <= at <= ended]
    delays = sorted(at - seen.taken_at[number] for at, number in drawn if number in seen.taken_at)
    arrivals = sorted(at - seen.taken_at[number] for number, at in seen.arrived_at.items() if began <= at <= ended)
    with station(folder, settings={}) as (port, _):
        seen, began, ended = watched(port, f"model={MODEL}")
    answered = [at for at in seen.answered if began <= at <= ended]
    return {
        "station_images_per_s": round(len(drawn) / (ended - began), 1),
        "station_delay_ms": {
            "median": round(1000 * delays[len(delays) // 2]),
            "p95": round(1000 * delays[int(0.95 * len(delays))]),
            "worst": round(1000 * delays[-1]),
            "arrived": round(1000 * arrivals[len(arrivals) // 2]),
        },
        "station_delay_frames_of_the_view": round(delays[len(delays) // 2] * len(drawn) / (ended - began), 2),
        "browser_images_per_s": round(len(answered) / (SECONDS), 1),
        "sources": status,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder))
    print(json.dumps(result, indent=2))
    write_result(output, result | {"machine": machine_facts(), "versions": versions_of()})


if __name__ == "__main__":
    main()
