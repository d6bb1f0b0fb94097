"""Signals that end a process, at any moment of its life."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import onlygood
from command_line import FAST
from textures import numbered, save, texture, textures, with_defect

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

SAID = {
    signal.SIGINT: "onlygood: interrupted; nothing half-written was left\n",
    signal.SIGTERM: "onlygood: terminated; nothing half-written was left\n",
    signal.SIGHUP: "onlygood: hung up; nothing half-written was left\n",
}
# Shells start background jobs without SIGINT, and the tests may run as one.
WITH_SIGNALS = """
import os, signal, sys, threading, time
for each in (signal.SIGINT, signal.SIGHUP):
    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
"""
MAIN = """
from onlygood.__main__ import main
raise SystemExit(main())
"""


def run_to_its_end(script: str, *arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-c", WITH_SIGNALS + script + MAIN, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


def left(folder: Path) -> list[str]:
    """All files below, hidden ones included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Sends itself a signal when a module is about to be imported.
WHILE_IMPORTING = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize("module", ["onlygood.cli", "pydantic", "numpy", "onnxruntime", "onnx", "PIL.Image"])
def test_a_signal_during_an_import(module: str, number: signal.Signals, tmp_path: Path) -> None:
    good = save(tmp_path / "good", numbered(textures(3)))
    out = tmp_path / "out"
    out.mkdir()
    script = WHILE_IMPORTING.format(module=module, number=int(number))
    assert run_to_its_end(script, "fit", good, "-o", out / "part.onnx", *FAST) == (128 + number, "", SAID[number])
    assert left(out) == []


# Sends itself a signal before or after a step of writing, when it is taken for the first or the second time: a file is
# made and removed to see whether that can be done, and again when the model is there.
WHILE_WRITING = """
from pathlib import Path
import onlygood._files as files
times, keep = [], {owner}.{name}
def step(*arguments, **keywords):
    if {name!r} != "fsync" and not any(".part" in str(each) for each in arguments):
        return keep(*arguments, **keywords)
    times.append(0)
    if {before} and len(times) == {at}:
        os.kill(os.getpid(), {number})
    result = keep(*arguments, **keywords)
    if not {before} and len(times) == {at}:
        os.kill(os.getpid(), {number})
    return result
{owner}.{name} = step
"""
STEPS = [
    ("Path", "with_name", 1),
    ("Path", "open", 1),
    ("Path", "unlink", 1),
    ("Path", "with_name", 2),
    ("Path", "open", 2),
    ("os", "fsync", 1),
    ("Path", "read_bytes", 1),
    ("Path", "replace", 1),
    ("Path", "unlink", 2),
]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name", "at"), STEPS)
def test_a_signal_at_each_step_of_writing_a_model(
    owner: str, name: str, at: int, before: bool, number: signal.Signals, model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "part.onnx"
    out.write_bytes(b"old")
    script = WHILE_WRITING.format(owner=owner, name=name, at=at, before=before, number=int(number))
    found = run_to_its_end(script, "calibrate", model_path, "-o", out, "--false-alarm-rate", "0.2")
    assert found == (128 + number, "", SAID[number])
    assert left(tmp_path) == ["part.onnx"]
    if (name == "replace" and not before) or (name == "unlink" and at == 2):
        onlygood.Inspector(out)  # the whole new model
    else:
        assert out.read_bytes() == b"old"


# Of the many heat maps that threads write, the third waits half-written, and the others go on.
THE_THIRD_WAITS = """
count, keep = [], os.fsync
def fsync(number):
    count.append(number)
    if len(count) == 3:
        os.kill(os.getpid(), {number})
        time.sleep(60)
    keep(number)
os.fsync = fsync
"""


@pytest.mark.parametrize("number", SAID)
def test_a_signal_while_a_thread_writes(number: signal.Signals, model_path: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "new", {f"{at:03}.png": texture(0, (16, 16)) for at in range(40)})
    script = THE_THIRD_WAITS.format(number=int(number))
    maps = tmp_path / "maps"
    code, _, err = run_to_its_end(script, "inspect", model_path, folder, "--heatmaps", maps, "--threads", "4")
    assert (code, err) == (128 + number, SAID[number])
    assert not [name for name in left(maps) if name.endswith(".part")]


# Takes long to end: the second signal does not wait for that.
KEEPS_WORK = """
from onlygood import _ending
def keep_work():
    print("keeping", flush=True)
    time.sleep(60)
_ending._keeping.append(keep_work)
keep = os.fsync
def fsync(number):
    os.kill(os.getpid(), signal.SIGINT)
os.fsync = fsync
"""


def test_a_second_signal_ends_at_once(model_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITH_SIGNALS + KEEPS_WORK + MAIN, "calibrate", str(model_path)]
    command += ["-o", str(tmp_path / "part.onnx"), "--false-alarm-rate", "0.2"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "keeping\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert (process.returncode, err) == (143, "")
    assert time.monotonic() - started < 55
    assert left(tmp_path) == []


def test_signals_that_are_ignored_stay_so(model_path: Path, tmp_path: Path) -> None:
    """As below nohup."""
    script = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + WHILE_WRITING.format(
        owner="os", name="fsync", at=1, before=True, number=int(signal.SIGHUP)
    )
    out = tmp_path / "part.onnx"
    code, _, err = run_to_its_end(script, "calibrate", model_path, "-o", out, "--false-alarm-rate", "0.2", "-q")
    assert (code, err) == (0, "")
    assert left(tmp_path) == ["part.onnx"]


# In the third epoch of a training, from the thread that trains.
WHILE_TRAINING = """
from onlygood.training import loop
count, keep = [], loop._epoch
def epoch(*arguments, **keywords):
    count.append(0)
    if len(count) == 3:
        os.kill(os.getpid(), {number})
    return keep(*arguments, **keywords)
loop._epoch = epoch
"""


@pytest.mark.parametrize("number", SAID)
def test_a_signal_during_a_training_keeps_what_was_trained(
    number: signal.Signals, good_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "part.onnx"
    line = ("fit", good_folder, "-o", out, "--method", "deep-svdd", "--pretrain-epochs", "4", "--epochs", "3")
    line += ("--batch-size", "8", "--false-alarm-rate", "0.2")
    code, printed, err = run_to_its_end(WHILE_TRAINING.format(number=int(number)), *line)
    kept = f"{out}.training holds what was trained so far: the same line with --resume goes on from it\n"
    assert (code, printed, err) == (128 + number, "", kept + SAID[number])
    assert left(tmp_path) == ["part.onnx.training"]
    code, _, err = run_to_its_end("", *line, "--resume", "-q")
    assert (code, err) == (0, "")
    assert left(tmp_path) == ["part.onnx"]


def ready(process: subprocess.Popen[str]) -> bool:
    """Whether the process catches SIGTERM: from then on everything is in our hands."""
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{process.pid}/status").read_text())
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="says of a process which signals it catches")
@pytest.mark.parametrize("command", ["fit", "inspect", "evaluate"])
def test_signals_at_random_moments(command: str, good_folder: Path, model_path: Path, tmp_path: Path) -> None:
    """Spread over the time that an undisturbed run takes."""
    images = {f"good/{at}.png": texture(100 + at) for at in range(4)}
    images |= {f"crack/{at}.png": with_defect(texture(200 + at)) for at in range(4)}
    test = save(tmp_path / "test", images)
    out = tmp_path / "out"
    out.mkdir()
    line = {
        "fit": ["fit", good_folder, "-o", out / "part.onnx", "--report", out / "fit.html", *FAST],
        "inspect": ["inspect", model_path, test, "--heatmaps", out / "maps", "--report", out / "new.html", "--json"],
        "evaluate": ["evaluate", model_path, test, "--report", out / "test.html"],
    }[command]
    script = [sys.executable, "-c", WITH_SIGNALS + MAIN, *map(str, line)]
    started = time.monotonic()
    undisturbed = subprocess.run(script, capture_output=True, text=True)
    whole = time.monotonic() - started
    assert undisturbed.stderr == ""
    random_moments = random.Random(command)
    ended = 0
    for number in (signal.SIGINT, signal.SIGTERM) * 6:
        with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None and not ready(process):
                time.sleep(0.001)
            time.sleep(random_moments.uniform(0, whole))
            process.send_signal(number)
            printed, err = process.communicate()
        if process.returncode == undisturbed.returncode:
            assert err == ""  # it had finished
        elif process.returncode == -number:
            assert err == ""  # all was done, and Python was taking itself down
        else:
            assert (process.returncode, err) == (128 + number, SAID[number])
            ended += 1
        if command == "inspect":
            for text in printed.splitlines()[:-1]:
                json.loads(text)
        assert not [name for name in left(out) if name.endswith(".part")]
    assert ended >= 3, "most moments were within the run"
