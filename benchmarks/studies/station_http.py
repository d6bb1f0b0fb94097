"""The HTTP interface of a station: throughput against the library in one process, and a long run with hostile requests.

    python -m benchmarks.studies.station_http throughput --output benchmarks/results/station_http.json
    python -m benchmarks.studies.station_http hostile --output benchmarks/results/station_hostile.json

`throughput`: a model of the default method is fitted to made-up images of 640 x 480, and others are saved as JPEG. In
turns, `Inspector.map` inspects the files in a process of its own, on all cores, and 16 clients send them to `onlygood
station` over loopback, each on one connection, one request after another: JPEG in, JSON out, every inspection and image
remembered. The clients are threads of one process beside the station, on the same cores: what they cost is part of what
is measured. Processor times are those of each process with all its threads.

`hostile`: so many requests, one in twenty of them hostile (cut short, bombs, wrong types, too large, too many parts,
slow senders, no HTTP), by as many clients. Every answer must be the right one: the verdict of the library, or the
status of the refusal. At the end the station must remember each image that it answered, once. Its resident memory is
read along the way.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import onlygood
from benchmarks.fitting import fit_method
from benchmarks.machine import machine_facts, versions_of
from benchmarks.records import write_result

WIDTH, HEIGHT = 640, 480
GOOD, TESTED = 20, 64
CLIENTS = 16
MODEL = "part"
PATH = f"/v1/models/{MODEL}/inspect"
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 60.0, 60.0
# A slow sender sends a byte now and then for longer than the station waits.
BODY_TIMEOUT_S = 2.0
HOSTILE_SHARE = 0.05

Pixels = NDArray[np.uint8]


# What is inspected


def image(seed: int) -> Pixels:
    """A made-up surface, one in eight with a dark spot."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 2, WIDTH // 2, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).resize((WIDTH, HEIGHT))
    pixels = np.asarray(smooth).copy()
    if seed % 8 == 7:
        pixels[200:260, 300:380] = 20
    return pixels


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image(seed)).save(buffer, format="JPEG", quality=92)
    return buffer.getvalue()


def prepare(folder: Path) -> None:
    """A model file in `models/`, and images in `images/`."""
    (folder / "models").mkdir()
    (folder / "images").mkdir()
    fit_method([image(seed) for seed in range(1000, 1000 + GOOD)]).save(folder / "models" / f"{MODEL}.onnx")
    for seed in range(TESTED):
        (folder / "images" / f"{seed:03}.jpg").write_bytes(jpeg(seed))


# The station


@contextmanager
def station(folder: Path, *, settings: dict[str, Any] | None = None) -> Iterator[tuple[int, int]]:
    """A station in a process of its own: its port and the number of its process."""
    data = folder / f"station-{time.monotonic_ns()}"
    data.mkdir()
    if settings is not None:
        (data / "station.json").write_text(json.dumps(settings))
    port = _free_port()
    command = [sys.executable, "-m", "onlygood", "station", "--data", str(data), "--port", str(port)]
    command += ["--models", str(folder / "models")]
    with (folder / "station.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_until_ready(port, process)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            if _ask(port, "GET", f"/v1/models/{MODEL}")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the station did not start: see station.log")


def _ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request(method, path, body or None, {name.replace("_", "-"): each for name, each in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# Throughput


def map_files(pipe: Any, folder: str) -> None:
    """The other process: the verdicts of `Inspector.map` on a folder, and images a second, each time it is asked."""
    inspector = onlygood.Inspector(Path(folder) / "models" / f"{MODEL}.onnx")
    files = sorted((Path(folder) / "images").iterdir())
    while (repeats := pipe.recv()) > 0:
        wanted = [str(file) for _ in range(repeats) for file in files]
        started = time.perf_counter()
        verdicts = [(each.is_anomaly, each.score) for each in inspector.map(wanted) if not isinstance(each, Exception)]
        taken_s = time.perf_counter() - started
        pipe.send((len(verdicts) / taken_s, verdicts[: len(files)]))


def send_files(pipe: Any, folder: str, clients: int) -> None:
    """The other process: as many clients as asked for, on a port, with so many requests: each with its time."""
    files = [file.read_bytes() for file in sorted((Path(folder) / "images").iterdir())]
    while (asked := pipe.recv()) is not None:
        port, requests = asked
        numbers = iter(range(requests))
        lock = threading.Lock()
        found: list[tuple[int, float, int, bool, float]] = []

        def work(
            port: int = port, numbers: Iterator[int] = numbers, found: list[Any] = found, lock: Any = lock
        ) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    break
                which = number % len(files)
                started = time.perf_counter()
                connection.request("POST", PATH, files[which], {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                body = answer.read()
                taken_s = time.perf_counter() - started
                [result] = json.loads(body)["results"] if answer.status == 200 else [None]
                record = result["inspection"] if result else {"verdict": "", "score": 0.0}
                found.append((which, taken_s, answer.status, record["verdict"] == "anomalous", record["score"]))
            connection.close()

        started = time.perf_counter()
        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pipe.send((requests / (time.perf_counter() - started), found))


def throughput(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    mapping, map_end = context.Pipe()
    sending, send_end = context.Pipe()
    processes = [
        context.Process(target=map_files, args=(map_end, str(folder)), daemon=True),
        context.Process(target=send_files, args=(send_end, str(folder), arguments.clients), daemon=True),
    ]
    for process in processes:
        process.start()
    map_pid, send_pid = (int(process.pid or 0) for process in processes)
    repeats = max(1, arguments.requests // TESTED)
    rounds = []
    with station(folder) as (port, pid):
        mapping.send(1)  # warm
        _, verdicts = mapping.recv()
        sending.send((port, arguments.clients))
        sending.recv()
        for _ in range(arguments.rounds):
            idle_s = _processor_s(map_pid)
            mapping.send(repeats)
            by_map, _ = mapping.recv()
            map_s = _processor_s(map_pid) - idle_s
            before_s, client_s = _processor_s(pid), _processor_s(send_pid)
            sending.send((port, repeats * TESTED))
            by_http, found = sending.recv()
            wrong = [each for each in found if each[2] != 200 or (each[3], each[4]) != verdicts[each[0]]]
            times_ms = sorted(1e3 * each[1] for each in found)
            rounds.append(
                {
                    "map_images_per_s": by_map,
                    "http_images_per_s": by_http,
                    "share": by_http / by_map,
                    "median_ms": statistics.median(times_ms),
                    "p99_ms": times_ms[int(0.99 * len(times_ms))],
                    "p99_over_median": times_ms[int(0.99 * len(times_ms))] / statistics.median(times_ms),
                    "map_processor_ms_per_image": 1e3 * map_s / (repeats * TESTED),
                    "clients_processor_ms_per_request": 1e3 * (_processor_s(send_pid) - client_s) / len(found),
                    "station_processor_ms_per_request": 1e3 * (_processor_s(pid) - before_s) / len(found),
                    "wrong": len(wrong),
                }
            )
            print(json.dumps(rounds[-1]), flush=True)
    mapping.send(0)
    sending.send(None)
    for process in processes:
        process.join()
    shares = [each["share"] for each in rounds]
    return {
        "images": f"{TESTED} JPEG files of {WIDTH} x {HEIGHT}",
        "clients": arguments.clients,
        "requests": repeats * TESTED,
        "rounds": rounds,
        "share_median": statistics.median(shares),
        "p99_over_median_most": max(each["p99_over_median"] for each in rounds),
        "wrong": sum(each["wrong"] for each in rounds),
    }


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Hostile


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 3.6 billion pixels."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")


def real_bomb() -> bytes:
    """A PNG of some kilobytes whose pixels are there, and are too many."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4000, 4000), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def form(*parts: tuple[bytes, bytes]) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="%s"\r\n\r\n%s\r\n'
    return b"".join(head % part for part in parts) + b"--x--\r\n"


def _raw(port: int, data: bytes, *, drips: bool = False) -> tuple[int, bytes]:
    """Status and body of the answer to bytes on a bare connection; with `drips`, a byte now and then follows."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S) as connection:
        connection.sendall(data)
        connection.settimeout(0.1 if drips else ANSWER_TIMEOUT_S)
        received, ends_at = b"", time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < ends_at:
            try:
                block = connection.recv(65536)
            except TimeoutError:
                try:
                    connection.sendall(b"x")
                except OSError:
                    connection.settimeout(1.0)
                continue
            if not block:
                break
            received += block
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(None, 2)[1]) if head else 0, body


def hostile_requests(good: bytes) -> dict[str, tuple[set[int], Callable[[int], tuple[int, bytes]]]]:
    """By their names: the statuses that are right, and what sends one."""
    multipart = {"Content_Type": "multipart/form-data; boundary=x"}
    jpeg_type = {"Content_Type": "image/jpeg"}
    large, too_large, bombed = bytes(2_000_000), bytes(5_000_000), real_bomb()
    slow = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    return {
        "cut short": ({422}, lambda port: _ask(port, "POST", PATH, good[: len(good) // 2], **jpeg_type)),
        "empty": ({422}, lambda port: _ask(port, "POST", PATH, b"", **jpeg_type)),
        "bomb of a header": ({413}, lambda port: _ask(port, "POST", PATH, bomb(), Content_Type="image/png")),
        "bomb of pixels": ({413}, lambda port: _ask(port, "POST", PATH, bombed, Content_Type="image/png")),
        "no image": ({422}, lambda port: _ask(port, "POST", PATH, b"MZ" + bytes(1000), **jpeg_type)),
        "a type that is none": ({415}, lambda port: _ask(port, "POST", PATH, good, Content_Type="text/html")),
        "too large an image": ({413}, lambda port: _ask(port, "POST", PATH, large, **jpeg_type)),
        "too large a body": ({413}, lambda port: _ask(port, "POST", PATH, too_large, **jpeg_type)),
        "too many parts": ({413}, lambda port: _ask(port, "POST", PATH, form(*[(b"a", b"x")] * 500), **multipart)),
        "a part without an end": ({422}, lambda port: _ask(port, "POST", PATH, form((b"a", good))[:-9], **multipart)),
        "a name with a path": (
            {200},
            lambda port: _ask(port, "POST", PATH, form((b"../../\x00etc/passwd", good)), **multipart),
        ),
        "an unknown model": ({404}, lambda port: _ask(port, "POST", "/v1/models/prat/inspect", good, **jpeg_type)),
        "no HTTP": ({400}, lambda port: _raw(port, b"\x16\x03\x01\x02\x00 garbage \r\n\r\n")),
        "two lengths": (
            {400},
            lambda port: _raw(port, b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0"),
        ),
        "a head without an end": ({431}, lambda port: _raw(port, b"GET / HTTP/1.1\r\nA: " + b"a" * 400_000)),
        "a slow sender": ({408}, lambda port: _raw(port, slow % PATH.encode(), drips=True)),
        "another site": ({403}, lambda port: _ask(port, "POST", PATH, good, Origin="http://evil", **jpeg_type)),
    }


def resident_bytes(pid: int) -> int:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def hostile(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    files = [file.read_bytes() for file in sorted((folder / "images").iterdir())]
    inspector = onlygood.Inspector(folder / "models" / f"{MODEL}.onnx", with_map=False)
    wanted = [inspector(file).score for file in files]
    attacks = hostile_requests(files[0])
    limits = {
        "max_image_bytes": 1_000_000,
        "max_body_bytes": 4_000_000,
        "max_pixels": 10_000_000,
        "body_timeout_s": BODY_TIMEOUT_S,
    }
    choose = random.Random(7)
    plan = [choose.choice(list(attacks)) if choose.random() < HOSTILE_SHARE else "" for _ in range(arguments.requests)]
    lock = threading.Lock()
    numbers, done = iter(range(arguments.requests)), 0
    wrong: list[str] = []
    ids: list[int] = []
    memory: list[tuple[int, int]] = []

    def noted(pid: int) -> None:
        nonlocal done
        with lock:
            done += 1
            if done % max(1, arguments.requests // 100) == 0:
                memory.append((done, resident_bytes(pid)))
            if done % max(1, arguments.requests // 10) == 0:
                print(f"{done} requests, {memory[-1][1] / 1e6:.0f} MB resident, {len(wrong)} wrong", flush=True)

    def work(port: int, pid: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            try:
                if plan[number]:
                    right, send = attacks[plan[number]]
                    status, body = send(port)
                    if status not in right:
                        wrong.append(f"{plan[number]}: {status} {body[:200]!r}")
                    elif status == 200:
                        ids.append(json.loads(body)["results"][0]["inspection"]["id"])
                    elif "detail" not in json.loads(body):
                        wrong.append(f"{plan[number]}: no sentence")
                else:
                    which = number % len(files)
                    connection.request("POST", PATH, files[which], {"Content-Type": "image/jpeg"})
                    answer = connection.getresponse()
                    body = answer.read()
                    record = json.loads(body)["results"][0]["inspection"]
                    ids.append(record["id"])
                    if record["score"] != wanted[which]:
                        wrong.append(f"image {which}: {record['score']} instead of {wanted[which]}")
            except Exception as error:
                wrong.append(f"{plan[number] or 'a good one'}: {error!r}")
                connection.close()
            noted(pid)
        connection.close()

    started = time.perf_counter()
    with station(folder, settings={"limits": limits}) as (port, pid):
        with ThreadPoolExecutor(arguments.clients) as pool:
            for each in [pool.submit(work, port, pid) for _ in range(arguments.clients)]:
                each.result()
        taken_s = time.perf_counter() - started
        remembered, before = [], ""
        while True:
            page = json.loads(_ask(port, "GET", f"/v1/inspections?limit=500{before}")[1])
            remembered += [each["id"] for each in page["inspections"]]
            if page["next_before"] is None:
                break
            before = f"&before={page['next_before']}"
    tenth = arguments.requests // 10
    at_first = next(size for number, size in memory if number >= tenth)
    return {
        "requests": arguments.requests,
        "hostile": sum(1 for each in plan if each),
        "kinds": len(attacks),
        "clients": arguments.clients,
        "wrong": len(wrong),
        "wrong_first": wrong[:10],
        "answered_with_a_verdict": len(ids),
        "lost": len(set(ids) - set(remembered)),
        "remembered_twice_or_unasked": len(remembered) - len(set(ids)),
        "resident_mb_at_a_tenth": at_first / 1e6,
        "resident_mb_at_the_end": memory[-1][1] / 1e6,
        "resident_mb_most": max(size for _, size in memory) / 1e6,
        "growth": memory[-1][1] / at_first - 1,
        "minutes": taken_s / 60,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("throughput", "hostile"))
    parser.add_argument("--output", type=Path, help="a JSON file for the result, beside what is printed")
    parser.add_argument("--requests", type=int, help="1,600 a round and 10,000 unless given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    arguments = parser.parse_args()
    arguments.requests = arguments.requests or (1600 if arguments.what == "throughput" else 10_000)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        found = (throughput if arguments.what == "throughput" else hostile)(arguments, Path(folder))
    print(json.dumps(found, indent=2))
    if arguments.output is not None:
        write_result(arguments.output, {**found, "machine": machine_facts(), "versions": versions_of("fastapi")})


if __name__ == "__main__":
    main()
