"""The command line as other programs meet it: as a process, with signals and pipes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import onlygood
from command_line import FAST
from textures import numbered, save, texture, textures

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes are POSIX's")


def onlygood_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onlygood", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


def left(folder: Path) -> list[str]:
    """All files, hidden ones included."""
    return sorted(path.name for path in folder.iterdir())


def test_fit_inspect_and_info_from_a_shell(good_folder: Path, new_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "part.onnx"
    fitted = onlygood_process("fit", good_folder, "-o", model, *FAST)
    assert (fitted.returncode, fitted.stderr) == (0, ""), "quiet where stderr is no terminal"
    assert fitted.stdout.startswith(f"{model}: learned from 16 good images")

    inspected = onlygood_process("inspect", model, new_folder, "--json", "--heatmaps", tmp_path / "maps")
    assert (inspected.returncode, inspected.stderr) == (1, "")
    found = [json.loads(line) for line in inspected.stdout.splitlines()]
    assert [entry["is_anomaly"] for entry in found] == [False, True, False]
    assert left(tmp_path / "maps") == ["a_heatmap.png", "b_heatmap.png", "lot"]

    assert onlygood_process("inspect", model, new_folder / "a.png").returncode == 0
    info = onlygood_process("info", model, "--json")
    assert (info.returncode, info.stderr) == (0, "")
    assert json.loads(info.stdout) == onlygood.Inspector(model).metadata.to_dict()


def test_two_processes_fit_the_same_file(good_folder: Path, model: onlygood.Model, tmp_path: Path) -> None:
    onlygood_process("fit", good_folder, "-o", tmp_path / "part.onnx", *FAST)
    assert (tmp_path / "part.onnx").read_bytes() == model.file.content


# With fewer images than these, BLAS does not share out the work on the covariance, and its threads would show nowhere.
@pytest.mark.parametrize(("method", "images"), [("patch", 40), ("knn", 40), ("lof", 40), ("mahalanobis", 300)])
def test_threads_of_ours_and_of_the_linear_algebra_change_no_file(method: str, images: int, tmp_path: Path) -> None:
    good = save(tmp_path / "good", numbered([texture(seed, (64, 64)) for seed in range(images)]))
    written = []
    for threads, blas_threads in (("1", "1"), ("3", "2")):
        environment = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), blas_threads)
        out = tmp_path / f"{threads}.onnx"
        line = ("fit", good, "-o", out, "--method", method, "--input-size", "64", "--threads", threads)
        assert onlygood_process(*line, **environment).returncode == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_an_error_is_one_line_and_with_v_a_traceback(tmp_path: Path) -> None:
    quiet = onlygood_process("inspect", tmp_path / "none.onnx", tmp_path)
    assert (quiet.returncode, quiet.stdout) == (2, "")
    assert quiet.stderr == f"onlygood: {tmp_path} is empty: put images into it\n"
    loud = onlygood_process("inspect", tmp_path / "none.onnx", tmp_path, "-v")
    assert loud.returncode == 2
    assert loud.stderr.startswith("Traceback (most recent call last):")
    assert loud.stderr.endswith(quiet.stderr)


# Runs the command line, says when it has come to a certain point, and waits there.
STOPPING_AT = r"""
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs without it
import {module}
def wait(*arguments, **keywords):
    os.write(1, b"here\n")  # in one piece, from whichever thread
    for _ in range(600):
        time.sleep(0.05)
    return keep(*arguments, **keywords)
keep = {module}.{name}
{module}.{name} = wait
from onlygood.cli import main
raise SystemExit(main(sys.argv[1:]))
"""
POINTS = {
    "embedding": ("onlygood.features.extraction", "run"),
    "fitting": ("onlygood.detectors.patch.detector", "fit_memory"),
    "calibrating": ("onlygood.fitting", "calibrate"),
    "verifying": ("onlygood.fitting", "verify"),
    "writing": ("os", "fsync"),
}


@posix
@pytest.mark.parametrize("point", POINTS)
def test_ctrl_c_during_a_fit_leaves_the_old_model_and_no_traceback(point: str, tmp_path: Path) -> None:
    module, name = POINTS[point]
    good = save(tmp_path / "good", numbered(textures(3)))
    out = tmp_path / "out"
    out.mkdir()
    (out / "part.onnx").write_bytes(b"old")
    script = STOPPING_AT.format(module=module, name=name)
    if point == "embedding":
        # Ctrl-C reaches the main thread, which then waits for the images in work: they must not take half a minute.
        script = script.replace("range(600)", "range(10)")
    command = [sys.executable, "-c", script, "fit", str(good), "-o", str(out / "part.onnx"), *FAST]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "onlygood: interrupted; nothing half-written was left\n"
    assert (out / "part.onnx").read_bytes() == b"old"
    assert left(out) == ["part.onnx"]


@posix
def test_a_reader_that_goes_away_ends_the_output_quietly(model_path: Path, tmp_path: Path) -> None:
    folder = save(tmp_path, {f"{number:03}.png": texture(0, (16, 16)) for number in range(300)})
    command = [sys.executable, "-m", "onlygood", "inspect", str(model_path), str(folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["name"] == "000.png"
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert err == ""
    assert process.returncode == 141


# Inspects, with half a minute for each image from the sixth on.
SLOW_FROM_THE_SIXTH = """
import sys, time
from onlygood import cli
from onlygood.inspector import Inspector
def inspect(inspector, image, name, page, order=None):
    if name >= "5":
        time.sleep(30)
    return keep(inspector, image, name, page, order)
keep = Inspector.inspect
Inspector.inspect = inspect
raise SystemExit(cli.main(sys.argv[1:]))
"""


def test_lines_of_json_come_as_images_do(model_path: Path, tmp_path: Path) -> None:
    """Whoever reads them need not wait for the last."""
    folder = save(tmp_path, {f"{number}.png": texture(number) for number in range(8)})
    command = [sys.executable, "-c", SLOW_FROM_THE_SIXTH, "inspect", str(model_path), str(folder), "--json"]
    # As it is for most people: Python holds back what goes into a pipe, unless it is told not to.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen([*command, "--threads", "1"], stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        started = time.monotonic()
        names = [json.loads(process.stdout.readline())["name"] for _ in range(5)]
        waited = time.monotonic() - started
        process.kill()
    assert names == [f"{number}.png" for number in range(5)]
    assert waited < 25
