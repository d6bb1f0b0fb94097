"""A webcam on Linux, simulated below OpenCV's own driver for Video4Linux, in a program that has it preloaded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker import missing

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a program saw of the camera."""
    if sys.platform != "linux":
        pytest.skip("Video4Linux is Linux's")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing("no compiler of C was found", "apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("webcam")
    library, fault, result = folder / "fake_v4l2.so", folder / "fault", folder / "result.json"
    subprocess.run(
        [str(compiler), "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "fake_v4l2.c"), "-ldl"], check=True
    )
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "LD_PRELOAD": str(library),
        "FAKE_CAMERA": "/dev/video7",
        "FAKE_CAMERA_FAULT": str(fault),
        "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1",
    }
    command = [sys.executable, str(HERE / "use_fake_camera.py"), str(fault), str(result)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and not ran.stdout, ran.stderr
    # the loss of a camera is logged, and Python prints warnings where nobody listens to a log
    assert all(line.startswith("source bench: ") for line in ran.stderr.splitlines()), ran.stderr
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def test_it_gives_the_size_asked_for_or_the_nearest(seen: dict[str, Any]) -> None:
    assert seen["sizes"] == [[480, 640, 3], [240, 320, 3], [720, 1280, 3], [480, 640, 3]]


def test_frames_come_in_their_order_and_colours(seen: dict[str, Any]) -> None:
    frames = seen["frames"]
    assert [frame["number"] for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame["shown"] for frame in frames] == [frames[0]["shown"] + step for step in range(5)]
    for frame in frames:
        assert max(abs(got - drawn) for got, drawn in zip(frame["corner"], (200, 90, 30), strict=True)) <= 8


@pytest.mark.parametrize("fault", ["silent", "unplugged"])
def test_what_is_lost_is_said_and_can_be_opened_again(seen: dict[str, Any], fault: str) -> None:
    what = "the camera /dev/video7 of the source bench was lost, or gives no more images"
    assert seen[fault] == f"{what}: it is opened again until it is back"
    assert seen[f"after {fault}"] == 1


def test_why_it_cannot_be_opened(seen: dict[str, Any]) -> None:
    what = "the camera /dev/video7 of the source bench cannot be opened"
    assert seen["opened while unplugged"] == f"{what}: there is none: plug it in, or choose another number"
    reason = "another program uses it, or it is no camera that gives images"
    assert seen["opened while busy"] == f"{what}: {reason}"


def test_it_is_listed(seen: dict[str, Any]) -> None:
    assert seen["cameras"] == [["/dev/video7", "A camera of the tests"]]


def test_a_capture_opens_it_again(seen: dict[str, Any]) -> None:
    assert seen["captured again"] is True and seen["reconnects"] >= 1
