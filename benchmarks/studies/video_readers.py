"""PyAV against OpenCV as the reader of a station's cameras: dropped frames, delay of the newest frame, processor time.

    python -m benchmarks.studies.video_readers --output benchmarks/results/video_readers.json

A camera in the network is a process of its own that sends H.264 (1280 x 720, 25 frames a second) by RTSP over TCP; each
frame says its number in black and white blocks. A reader is a process of its own too: one thread reads and keeps the
newest frame, and the consumer, who takes 60 ms over each, sees how old it is. The delay is from the moment at which the
camera had the frame to hand, by the one monotonic clock of the machine. Readers alternate, so that a busy neighbour
meets both. Processor time is the reader's whole process from its first frame on.

`plain` readers have the libraries' defaults and TCP; `tuned` ones what their documentation offers for low delay. OpenCV
takes options of FFmpeg from an environment variable alone, for the whole process. A stream that falls silent is noticed
after twice the time-out of 3 s by both: after the first, FFmpeg hands out the frame that its decoder kept back.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_facts, versions_of
from benchmarks.records import write_result
from tests.station.frames.rtsp_server import RtspServer, h264_clip, number_of, numbered_image

HEIGHT, WIDTH, FRAMES_PER_S, CLIP_FRAMES = 720, 1280, 25, 250
WORK_S, TIMEOUT_S = 0.06, 3.0

Pixels = NDArray[np.uint8]
Reader = Callable[[str], Iterator[Pixels]]


def images() -> Iterator[Pixels]:
    """A belt that moves under a camera, with the camera's noise: what an encoder has to work on."""
    rng = np.random.default_rng(0)
    belt = np.kron(rng.integers(60, 200, (HEIGHT // 8, WIDTH // 4, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    for number in range(CLIP_FRAMES):
        image = np.roll(belt, number * 4, axis=1)[:, :WIDTH].astype(np.int16)
        image += rng.integers(-6, 7, image.shape, dtype=np.int16)
        marked = np.clip(image, 0, 255).astype(np.uint8)
        marked[:16, :256] = numbered_image(number, 16, 256)
        yield marked


def camera(pipe: Connection, fault: str) -> None:
    """The other process: sends until it is told otherwise; `fault` happens when asked for."""
    user = {"username": "line", "password": "secret"} if fault == "wrong password" else {}
    server = RtspServer(h264_clip(list(images()), FRAMES_PER_S), frames_per_s=FRAMES_PER_S, **user)
    if fault != "nothing listens":
        server.start()
    else:
        server.start().stop()  # so that it has a port
    if fault == "no answer":
        server.stop_answering()
    pipe.send((server.url(path="/other" if fault == "wrong path" else "/live"), server.started_at))
    while pipe.recv() != "end":
        if fault == "cut":
            server.stop()
        if fault == "silence":
            server.fall_silent()


# Readers


def with_pyav(source: str, options: dict[str, str], thread_type: str, fmt: str) -> Iterator[Pixels]:
    import av

    with av.open(source, options=options, timeout=(TIMEOUT_S, TIMEOUT_S)) as container:
        container.streams.video[0].thread_type = thread_type
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format=fmt).astype(np.uint8, copy=False)


def with_opencv(source: str, options: str, parameters: list[int]) -> Iterator[Pixels]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = options
    import cv2

    timeout_ms = int(TIMEOUT_S * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits + parameters)
    if not capture.isOpened():
        raise OSError("isOpened() is False")
    while True:
        is_read, image = capture.read()
        if not is_read:
            raise EOFError("read() is False")
        yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


LOW_DELAY = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}
READERS: dict[str, Reader] = {
    "av plain": lambda source: with_pyav(source, {"rtsp_transport": "tcp"}, "AUTO", "rgb24"),
    "opencv plain": lambda source: with_opencv(source, "rtsp_transport;tcp", []),
    "av tuned": lambda source: with_pyav(source, LOW_DELAY, "SLICE", "rgb24"),
    # 70 is CAP_PROP_N_THREADS: frames on several threads wait for one another
    "opencv tuned": lambda source: with_opencv(source, "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay", [70, 1]),
}


def watch(pipe: Connection, reader: str, source: str, started_at: float, for_s: float) -> None:
    """One reader's process: sends what it measured."""
    opened_at = time.monotonic()
    newest: list[Any] = []
    numbers: list[int] = []
    has_new = threading.Event()
    until = [float("inf")]

    def read() -> None:
        for image in READERS[reader](source):
            newest[:] = [image]
            numbers.append(number_of(image))
            has_new.set()
            if time.monotonic() > until[0]:
                return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    has_new.wait(30)
    first_after_s = time.monotonic() - opened_at
    time.sleep(2)  # what was buffered while it opened is read
    kept_from, processor = len(numbers), time.process_time()
    begun = time.monotonic()
    until[0] = begun + for_s
    delays = []
    while time.monotonic() < until[0]:
        has_new.wait(1)
        has_new.clear()
        image = newest[0]
        now = time.monotonic() - started_at
        delays.append((now - number_of(image) / FRAMES_PER_S) % (CLIP_FRAMES / FRAMES_PER_S))
        time.sleep(WORK_S)
    processor = time.process_time() - processor
    seen = numbers[kept_from:]
    steps = np.diff(seen) % CLIP_FRAMES
    delays.sort()
    pipe.send(
        {
            "first_frame_after_s": round(first_after_s, 2),
            "frames_read": len(seen),
            "frames_due": round(for_s * FRAMES_PER_S),
            "frames_dropped": int((steps - 1).clip(0).sum()),
            "delay_ms_median": round(1000 * statistics.median(delays), 1),
            "delay_ms_p95": round(1000 * delays[int(0.95 * len(delays))], 1),
            "processor_share": round(processor / (time.monotonic() - begun), 3),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    )


def fail(pipe: Connection, reader: str, source: str) -> None:
    """One reader's process against a camera with a fault: after how long it says so, and what it says."""
    frames = READERS[reader](source)
    begun = time.monotonic()
    try:
        for number, _ in enumerate(frames):
            if number == 10:
                pipe.send("reads")
                begun = time.monotonic()
        pipe.send({"after_s": round(time.monotonic() - begun, 2), "says": "the end of the stream"})
    except Exception as error:
        pipe.send({"after_s": round(time.monotonic() - begun, 2), "says": f"{type(error).__name__}: {error}"})


def read_file(pipe: Connection, reader: str, source: str) -> None:
    """One reader's process on a file, as fast as it can."""
    for _ in zip(range(10), READERS[reader](source), strict=False):
        pass
    processor, begun = time.process_time(), time.monotonic()
    count = 0
    says = "the end"
    try:
        for _ in READERS[reader](source):
            count += 1
    except Exception as error:
        says = f"{type(error).__name__}: {error}"
    pipe.send(
        {
            "frames": count,
            "frames_per_s": round(count / (time.monotonic() - begun), 1),
            "processor_ms_per_frame": round(1000 * (time.process_time() - processor) / count, 2),
            "ends_with": says,
        }
    )


def imported(pipe: Connection, module: str) -> None:
    """One process that imports one library beside NumPy."""
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    __import__(module)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send({"import_s": round(time.process_time() - begun, 3), "import_mb": round((after - before) / 1024)})


# The study

spawning = multiprocessing.get_context("spawn")


def started(target: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
    mine, its = spawning.Pipe()
    process = spawning.Process(target=target, args=(its, *arguments), daemon=True)
    process.start()
    return process, mine


def asked(target: Callable[..., None], *arguments: Any) -> Any:
    process, pipe = started(target, *arguments)
    answer = pipe.recv()
    process.kill()
    return answer


def live(runs: int, for_s: float) -> dict[str, Any]:
    process, pipe = started(camera, "")
    url, started_at = pipe.recv()
    found: dict[str, Any] = {reader: [] for reader in READERS}
    for run in range(runs):
        for reader in READERS:
            found[reader].append(asked(watch, reader, url, started_at, for_s))
            print(run, reader, found[reader][-1], flush=True)
    process.kill()
    return found


def faults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for fault in ("nothing listens", "no answer", "wrong path", "wrong password", "cut", "silence"):
        for reader in ("av tuned", "opencv tuned"):
            process, pipe = started(camera, fault)
            url, _ = pipe.recv()
            if fault == "wrong password":
                url = url.replace("rtsp://", "rtsp://line:guess@")
            reading, answers = started(fail, reader, url)
            answer = answers.recv()
            if answer == "reads":
                pipe.send("now")
                answer = answers.recv()
            reading.kill()
            process.kill()
            found.setdefault(fault, {})[reader] = answer
            print(fault, reader, answer, flush=True)
    return found


def of_files(folder: Path) -> dict[str, Any]:
    import av

    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for image in images():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    moved = folder / "front.mp4"  # its index first, so that a part of it can be read
    with av.open(str(path)) as whole, av.open(str(moved), "w", options={"movflags": "faststart"}) as container:
        copied = container.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                container.mux(packet)
    cut = folder / "cut.mp4"
    cut.write_bytes(moved.read_bytes()[: moved.stat().st_size // 2])
    none = folder / "none.mp4"
    none.write_bytes(b"no video" * 1000)
    found: dict[str, Any] = {"frames written": CLIP_FRAMES}
    for reader in ("av plain", "opencv plain"):
        found[reader] = {"whole": asked(read_file, reader, str(path)), "cut": asked(read_file, reader, str(cut))}
        found[reader]["no video"] = asked(fail, reader, str(none))
        print(reader, found[reader], flush=True)
    return found


def installed_mb(*names: str) -> float:
    files = [file for name in names for file in importlib.metadata.files(name) or ()]
    return round(sum(file.size or 0 for file in files) / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "machine": machine_facts(),
            "versions": versions_of("av", "opencv-python-headless", "numpy"),
            "installed_mb": {name: installed_mb(name) for name in ("av", "opencv-python-headless")},
            "import": {module: asked(imported, module) for module in ("av", "cv2")},
            "live": live(options.runs, options.seconds),
            "faults": faults(),
            "files": of_files(Path(folder)),
        }
    write_result(options.output, result)
    print(json.dumps(result["import"]))


if __name__ == "__main__":
    main()
