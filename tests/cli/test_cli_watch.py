"""`onlygood watch`, in this process where the source ends by itself, and as a process where a signal ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import Ran, one_sentence
from onlygood.cli.watch_settings import watch_settings
from onlygood.station.store.store import Store
from textures import Array, numbered, save, texture, textures, with_defect

cv2 = pytest.importorskip("cv2")

DEADLINE_S = 120.0
Run = Callable[..., Ran]


def write_video(path: Path, images: list[Array]) -> Path:
    """A video without loss."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, (width, height))
    for image in images:
        writer.write(np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image)
    writer.release()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames, the last two of which are anomalous."""
    images = [*textures(4, start=100), *(with_defect(each) for each in textures(2, start=104))]
    return write_video(tmp_path_factory.mktemp("video") / "clip.avi", images)


def test_each_frame_of_a_video_is_a_line_and_its_end_the_end(run: Run, model_path: Path, clip: Path) -> None:
    ran = run("watch", model_path, "--video", clip)
    head, *lines, summary = ran.out.splitlines()
    assert (ran.code, head.split()) == (1, ["image", "verdict", "score", "p-value"])
    assert [line.split()[-3] for line in lines] == ["good"] * 4 + ["ANOMALOUS"] * 2
    assert summary == "6 images: 2 anomalous, 4 good"
    assert ran.err == ""


def test_lines_of_json_are_those_of_inspect(run: Run, model_path: Path, clip: Path) -> None:
    watched = run("watch", model_path, "--video", clip, "--json", "--threshold", "1e6")
    lines = [json.loads(line) for line in watched.out.splitlines()]
    assert (watched.code, len(lines)) == (0, 6)
    assert "This run uses a threshold at score +1e+06" in watched.err
    folder = clip.parent / "frames"
    save(folder, numbered([*textures(4, start=100), *(with_defect(each) for each in textures(2, start=104))]))
    inspected = run("inspect", model_path, folder, "--json", "--threshold", "1e6")
    for line, other in zip(lines, map(json.loads, inspected.out.splitlines()), strict=True):
        assert line.keys() == other.keys()
        # What is inspected is a JPEG of the frame.
        assert line["score"] == pytest.approx(other["score"], abs=1.0)


def test_good_images_alone_are_exit_code_0(run: Run, model_path: Path, tmp_path: Path) -> None:
    ran = run("watch", model_path, "--video", write_video(tmp_path / "good.avi", textures(3, start=100)))
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "3 images: 0 anomalous, 3 good")


def test_an_alarm_is_a_line_on_stderr(run: Run, model_path: Path, clip: Path) -> None:
    ran = run("watch", model_path, "--video", clip, "--alarm", "2/2")
    assert "WARNING alarm: 2 of the last 2 images of video are anomalous\n" in ran.err


def test_images_that_the_model_does_not_take_are_said_and_exit_code_2(
    run: Run, model_path: Path, tmp_path: Path
) -> None:
    colours = [np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8) for seed in range(3)]
    video = write_video(tmp_path / "colour.avi", colours)
    ran = run("watch", model_path, "--video", video)
    assert (ran.code, ran.out.splitlines()[-1]) == (2, "0 images: 0 anomalous, 0 good, 3 not inspected")
    assert ran.err.count("the image of video is a colour image, but the model takes grey images") == 1
    lines = run("watch", model_path, "--video", video, "--json").out.splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"name", "error"}] * 3


def test_what_is_watched_with_data_is_remembered_and_told(
    run: Run, model_path: Path, clip: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told.jsonl"
    ran = run(
        "watch", model_path, "--video", clip, "--data", tmp_path / "data", "--output", told, "--record", "anomalous"
    )
    assert ran.code == 1
    store = Store(tmp_path / "data")
    records = store.inspections.page(limit=9).inspections
    assert [(each.model, each.source, each.verdict.value) for each in records] == [("part", "video", "anomalous")] * 2
    assert all(each.has_image for each in records)
    waiting = store.outbox.count("output-1")
    store.close()
    delivered = len(told.read_text(encoding="utf-8").splitlines()) if told.exists() else 0
    # What was not delivered when the video ended is delivered by the next run.
    assert waiting + delivered == 2
    assert not (tmp_path / "data" / "station.json").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "watch needs something to watch, got nothing: add --camera, --rtsp, --video or --folder"),
        (("--video", "none.avi"), "there is no video none.avi: check the path"),
        (("--folder", "none"), "there is no folder none: check the path"),
        (("--camera", "0", "--realtime"), "--realtime goes with --video, got it with --camera: leave it out"),
        (("--folder", ".", "--width", "9"), "--width and --height go with --camera, got them with --folder"),
        (("--camera", "0", "--width", "9"), "camera.width must be greater than or equal to 16, got 9"),
        (("--folder", ".", "--output", "a.jsonl"), "--output goes with --data, where inspections are remembered"),
        (("--folder", ".", "--record", "all"), "--record goes with --data"),
        (("--folder", ".", "--data", "d", "--output", "ftp://host/"), "--output must be a file, or begin with"),
        (("--folder", ".", "--data", "d", "--output", "mqtt://host:port/"), "--output must be an address such as mqtt"),
        (("--folder", ".", "--alarm", "3"), "--alarm must be two numbers such as 3/5, got '3'"),
        (("--folder", ".", "--alarm", "6/5"), "--alarm must be at least 1 of as many images or more, got 6/5"),
        (("--folder", ".", "--max-frames-per-s", "-1"), "max_frames_per_s must be greater than or equal to 0"),
        (("--rtsp", ""), "--rtsp must not be empty"),
    ],
)
def test_what_cannot_be_watched_is_one_sentence(
    arguments: tuple[str, ...], expected: str, run: Run, model_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("watch", model_path, *arguments)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith("onlygood: ") and expected in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_used_is_one_sentence(run: Run, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "part.onnx").write_bytes(b"no model")
    assert "must be an ONNX file" in one_sentence(run("watch", tmp_path / "part.onnx", "--video", clip))
    assert "does not exist" in one_sentence(run("watch", tmp_path / "none.onnx", "--video", clip))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("told.jsonl", {"kind": "jsonl", "path": "told.jsonl"}),
        ("https://host/hook", {"kind": "webhook", "url": "https://host/hook"}),
        ("mqtt://host", {"kind": "mqtt", "host": "host", "port": 1883, "topic": "onlygood/{model}"}),
        (
            "mqtts://me:secret@host:8883/line/{model}",
            {"kind": "mqtt", "port": 8883, "topic": "line/{model}", "is_tls": True, "username": "me"},
        ),
        ("modbus://10.0.0.3:5020", {"kind": "modbus", "role": "client", "host": "10.0.0.3", "port": 5020}),
        ("opc.tcp://10.0.0.3:4840/x", {"kind": "opcua", "role": "client", "url": "opc.tcp://10.0.0.3:4840/x"}),
    ],
)
def test_an_output_is_what_its_address_says(where: str, expected: dict[str, Any], model_path: Path) -> None:
    from onlygood.cli import make_parser

    line = ["watch", str(model_path), "--folder", ".", "--data", "d", "--output", where]
    (output,) = watch_settings(make_parser(line).parse_args(line)).outputs
    found = output.model_dump()
    assert {name: found[name] for name in expected} == expected
    assert output.name == "output-1"


def test_a_model_is_remembered_by_a_name_that_can_be_one(tmp_path: Path) -> None:
    from onlygood.cli import make_parser

    for path, name in (("a/part.onnx", "part"), ("_Teil groß 3.onnx", "Teil-gro-3"), ("§.onnx", "model")):
        line = ["watch", path, "--folder", str(tmp_path)]
        (source,) = watch_settings(make_parser(line).parse_args(line)).sources
        assert source.model == name


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_was_found_so_far(number: int, model_path: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "incoming", {"a.png": texture(100), "b.png": with_defect(texture(101))})
    # Shells start background jobs without SIGINT, and the tests may run as one.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from onlygood.__main__ import main\nraise SystemExit(main())"
    )
    command = [sys.executable, "-c", script, "watch", str(model_path), "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        rest, errors = process.stdout.read(), process.stderr.read()
        assert process.wait(DEADLINE_S) == 1
    assert sorted(line.split()[0] for line in lines) == ["a.png", "b.png", "image"]
    assert re.fullmatch(r"2 images: 1 anomalous, 1 good\n", rest)
    assert errors == ""


@pytest.mark.skipif(os.name != "posix", reason="exit codes are others there")
def test_it_ends_when_nobody_reads_its_lines(model_path: Path, clip: Path) -> None:
    command = [sys.executable, "-m", "onlygood", "watch", str(model_path), "--video", str(clip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE_S) == 141
