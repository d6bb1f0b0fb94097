"""Peers in a Python environment of their own: what they are given, what is taken of their answers, how they fail."""

import ast
import gc
import io
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets.tasks import Task, TaskImage
from benchmarks.peers import anomalib as peer_process
from benchmarks.peers.anomalib import run_anomalib
from benchmarks.peers.anomalib_peer import in_order, parse
from benchmarks.peers.names import ANOMALIB_MODELS
from benchmarks.peers.outcome import PeerError, PeerResult
from onlygood import ImageError, ImageFormatError, SettingError
from textures import texture, textures, twelve_bit, with_defect

TEST = 3
PEER_PYTHON = os.environ.get("ONLYGOOD_PEER_PYTHON")

# Stands for an interpreter with anomalib: reads the command line of the script that it is given, and answers as that
# would, with an image's mean level as its score and that level everywhere in its map.
ANSWER = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image

options = dict(zip(sys.argv[3:-1:2], sys.argv[4:-1:2]))
images, out = Path(options["--images"]), Path(options["--out"])
paths = sorted((images / "test").iterdir())
modes = sorted({Image.open(path).mode for path in paths})
scores = np.array([np.asarray(Image.open(path)).mean() for path in paths])
maps = np.repeat(scores.astype(np.float32), 6).reshape(-1, 2, 3)
result = {
    "fit_s": 1.5,
    "inspect_ms": [2.0] * len(paths),
    "model_bytes": 1000,
    "peak_memory_mb": 12.5,
    "settings": {
        "arguments": sys.argv[1:],
        "files": sorted(str(path.relative_to(images)) for path in images.rglob("*") if path.is_file()),
        "modes": modes,
        "beside": sorted(path.name for path in out.iterdir()),
        "cwd": str(Path.cwd()),
    },
    "versions": {"anomalib": "0.0"},
}
"""
WRITE = """
np.save(out / "scores.npy", scores)
np.save(out / "maps.npy", maps)
(out / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for temporary folders, so that what is left behind shows."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def interpreter(folder: Path, *lines: str) -> Path:
    """An executable that runs these lines whatever it is asked to run."""
    path = folder / "python"
    path.write_text("\n".join([f"#!{sys.executable}", *lines]))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def make_task(good: list[Any], test: list[Any]) -> Task:
    return Task(
        data="textures",
        class_name="all",
        good=tuple(TaskImage(name=f"good/{number}", source=one) for number, one in enumerate(good)),
        test=tuple(
            TaskImage(name=f"{'bent' if number % 2 else 'good'}/{number}", source=one, is_anomalous=bool(number % 2))
            for number, one in enumerate(test)
        ),
        notes=(),
    )


@pytest.fixture
def task() -> Task:
    return make_task(textures(4), [with_defect(texture(number), level=100 * number) for number in range(TEST)])


def run(task: Task, python: Path | None, **options: Any) -> PeerResult:
    return run_anomalib(task, **{"model": "padim", "seed": 5, "python": python, **options})


def files_below(folder: Path) -> list[Path]:
    gc.collect()
    return list(folder.iterdir())


# What it is given


def test_scores_and_maps_come_back_in_the_order_of_the_images(tmp_path: Path, task: Task) -> None:
    found = run(task, interpreter(tmp_path, ANSWER, WRITE))
    means = [np.asarray(image.source).mean() for image in task.test]
    np.testing.assert_array_equal(found.scores, means)
    assert found.maps is not None
    for position, mean in enumerate(means):
        np.testing.assert_array_equal(found.maps(position), np.full((2, 3), mean, dtype=np.float32))
    assert found.is_anomaly is None, "its thresholds come from labelled images"
    assert (found.fit_s, found.inspect_ms, found.model_bytes, found.peak_memory_mb) == (1.5, [2.0] * TEST, 1000, 12.5)
    assert found.versions == {"anomalib": "0.0"}
    assert found.settings["window"] == [0.0, 255.0]


def test_nothing_that_it_is_given_says_which_images_are_anomalous(tmp_path: Path, task: Task) -> None:
    settings = run(task, interpreter(tmp_path, ANSWER, WRITE)).settings
    assert settings["files"] == [f"test/{number:08}.png" for number in range(TEST)] + [
        f"train/good/{number:08}.png" for number in range(4)
    ]
    assert not any("bent" in argument for argument in settings["arguments"])


def test_its_command_line_is_one_that_the_script_takes(tmp_path: Path, task: Task, temporary: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"")
    python = interpreter(tmp_path, ANSWER, WRITE)
    settings = run(task, python, model="patchcore", seed=9, threads=2, weights=weights).settings
    isolated, script, *arguments = settings["arguments"]
    assert (isolated, Path(script)) == ("-I", peer_process.SCRIPT)
    options = parse(arguments)
    assert (options.model, options.seed, options.threads, options.weights) == ("patchcore", 9, 2, weights)
    assert (options.backbone, options.layers, options.input_size) == (
        "tf_efficientnet_lite0",
        "blocks.2,blocks.4",
        224,
    )
    assert options.exit_with_stdin
    assert settings["beside"] == []
    assert Path(settings["cwd"]).parent == temporary, "what it leaves in its folder goes with that"
    assert parse([text for text in arguments if text not in ("--weights", str(weights))]).weights is None


def test_it_sees_the_pixels_that_our_methods_see(tmp_path: Path) -> None:
    """A file that says that it is to be turned, grey as colour, and an array: read as `read_image` does."""
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(texture(0)[:40]).save(turned, format="PNG", exif=exif)
    colour = np.stack([texture(number) for number in range(3)], axis=-1)
    maps = "maps = np.zeros((3, 200, 300), np.float32)\nfor one, path in zip(maps, paths):\n"
    maps += "    pixels = np.asarray(Image.open(path))\n    one[: pixels.shape[0], : pixels[0].size] = "
    maps += "pixels.reshape(len(pixels), -1)\n"
    found = run(
        make_task(textures(3), [turned.getvalue(), colour, texture(9)]), interpreter(tmp_path, ANSWER, maps, WRITE)
    )
    assert found.maps is not None
    np.testing.assert_array_equal(found.maps(0)[:96, :40], np.rot90(texture(0)[:40], k=-1))
    np.testing.assert_array_equal(found.maps(1)[:96, : 3 * 96], colour.reshape(96, -1))
    np.testing.assert_array_equal(found.maps(2)[:96, :96], texture(9))
    assert found.settings["modes"] == ["L", "RGB"]


def test_sixteen_bit_images_become_eight_bit_ones_through_the_window_of_the_good_ones(tmp_path: Path) -> None:
    levels = np.array([[0, 500, 1500, 65_535]], dtype=np.uint16)
    maps = "maps = np.stack([np.asarray(Image.open(path)) for path in paths]).astype(np.float32)"
    found = run(
        make_task([twelve_bit(seed) for seed in range(4)], [levels, levels]), interpreter(tmp_path, ANSWER, maps, WRITE)
    )
    black, white = found.settings["window"]
    assert found.maps is not None
    expected = np.clip(np.rint((levels.astype(float) - black) * 255 / (white - black)), 0, 255)
    np.testing.assert_array_equal(found.maps(0), expected)
    assert 0 < expected[0, 2] < 255
    assert found.settings["modes"] == ["L"]


# What is left behind


def test_temporary_folders_go_with_the_result(tmp_path: Path, task: Task, temporary: Path) -> None:
    found = run(task, interpreter(tmp_path, ANSWER, WRITE))
    (folder,) = files_below(temporary)
    assert not (folder / "images").exists(), "only the maps stay, for as long as they can be asked for"
    del found
    assert files_below(temporary) == []


def test_temporary_folders_go_when_it_fails(tmp_path: Path, task: Task, temporary: Path) -> None:
    with pytest.raises(PeerError):
        run(task, interpreter(tmp_path, "raise SystemExit(1)"))
    assert files_below(temporary) == []


def test_images_that_cannot_be_used_are_refused_before_it_is_started(
    tmp_path: Path, task: Task, temporary: Path
) -> None:
    python = interpreter(tmp_path, f"open({str(tmp_path / 'started')!r}, 'w')")
    with pytest.raises(ImageFormatError, match=r"^bent/1 has 16 bits a channel, the good images have 8: "):
        run(make_task(textures(3), [texture(0), twelve_bit(0)]), python)
    with pytest.raises(ImageError, match=r"^bent/1 does not exist: "):
        run(make_task(textures(3), [texture(0), tmp_path / "none.png"]), python)
    assert not (tmp_path / "started").exists()
    assert files_below(temporary) == []


# How it may fail

WHOLE = r"must write result\.json, scores\.npy and maps\.npy, each whole, and did not \("
SCORES = r"must give each of 3 test images one finite score, got "
MAPS = r"must give each of 3 test images one finite map, got "
SAID = r"must say how long it took and with which settings, and did not "


def test_the_end_of_what_it_said_becomes_the_error(tmp_path: Path, task: Task) -> None:
    noise = "import sys\nsys.stderr.write('x' * 100_000 + '\\n')\nprint('this goes nowhere')"
    with pytest.raises(PeerError) as failed:
        run(task, interpreter(tmp_path, noise, "import no_such_module"))
    assert str(failed.value).startswith("the peer anomalib:padim failed (exit code 1): ")
    assert str(failed.value).endswith("| ModuleNotFoundError: No module named 'no_such_module'")
    assert len(str(failed.value)) < 700


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("raise SystemExit(3)", r"failed \(exit code 3\): it said nothing$"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", r"failed \(signal 9\): it said nothing$"),
        ("", WHOLE + r"No such file or directory\)$"),
    ],
)
def test_a_process_that_ends_without_an_answer_is_an_error(
    tmp_path: Path, task: Task, lines: str, message: str
) -> None:
    with pytest.raises(PeerError, match=f"^the peer anomalib:padim {message}"):
        run(task, interpreter(tmp_path, lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("scores = scores[1:]", SCORES + r"float64 \[2\], 0 of its values not finite$"),
        ("scores[1] = np.nan", SCORES + r"float64 \[3\], 1 of its values not finite$"),
        ("scores[:2] = np.inf", SCORES + r"float64 \[3\], 2 of its values not finite$"),
        ("scores = scores[:, None]", SCORES + r"float64 \[3, 1\], 0 "),
        ("scores = scores.astype(str)", SCORES + r"<U32 \[3\]$"),
        ("scores = scores.astype(object)", WHOLE + r".*[Oo]bject array"),
        ("maps = maps[1:]", MAPS + r"float32 \[2, 2, 3\], 0 "),
        ("maps[1, 0, 0] = np.nan", MAPS + r"float32 \[3, 2, 3\], 1 of its values not finite$"),
        ("maps = maps[:, 0]", MAPS + r"float32 \[3, 3\], 0 "),
        ("maps = maps[:, :0]", MAPS + r"float32 \[3, 0, 3\], 0 "),
        ("maps = maps.astype(np.float64)", MAPS + r"float64 \[3, 2, 3\], 0 "),
        ("result['inspect_ms'].pop()", SAID + r"\(ValueError: 2 times for 3 images\)$"),
        ("result['inspect_ms'][0] = -1", SAID + r"\(ValueError: -1 is no amount\)$"),
        ("result['fit_s'] = float('nan')", SAID + r"\(ValueError: nan is no amount\)$"),
        ("result['fit_s'] = None", SAID + r"\(TypeError: "),
        ("del result['model_bytes']", SAID + r"\(KeyError: 'model_bytes'\)$"),
        ("del result['settings']", SAID + r"\(KeyError: 'settings'\)$"),
        ("result['versions'] = 3", SAID + r"\(TypeError: "),
        ("result = []", SAID + r"\(TypeError: "),
    ],
)
def test_an_answer_that_cannot_be_measured_is_an_error(
    tmp_path: Path, task: Task, temporary: Path, change: str, message: str
) -> None:
    with pytest.raises(PeerError, match=f"^the peer anomalib:padim {message}"):
        run(task, interpreter(tmp_path, ANSWER, change, WRITE))
    assert files_below(temporary) == []


@pytest.mark.parametrize("file", ["scores.npy", "maps.npy", "result.json"])
@pytest.mark.parametrize("damage", ["(out / {!r}).unlink()", "(out / {!r}).write_bytes(b'')"])
def test_an_answer_that_is_not_whole_is_an_error(tmp_path: Path, task: Task, file: str, damage: str) -> None:
    with pytest.raises(PeerError, match=f"^the peer anomalib:padim {WHOLE}"):
        run(task, interpreter(tmp_path, ANSWER, WRITE, damage.format(file)))


def test_a_peer_without_a_figure_for_memory_is_measured_all_the_same(tmp_path: Path, task: Task) -> None:
    found = run(task, interpreter(tmp_path, ANSWER, "result['peak_memory_mb'] = None", WRITE))
    assert found.peak_memory_mb is None


# How it is stopped

# A process that starts another; each writes on and on.
BUSY = """
import subprocess, sys, time
ticks = {ticks!r}
child = "import time\\nwhile True:\\n    open({ticks!r}, 'a').write('.')\\n    time.sleep(0.02)"
subprocess.Popen([sys.executable, "-c", child])
time.sleep(60)
"""


def assert_silent(ticks: Path) -> None:
    """Nothing is written any more, though something was."""
    time.sleep(0.1)  # what was on its way when the process ended
    size = ticks.stat().st_size
    time.sleep(0.3)
    assert ticks.stat().st_size == size > 0


def test_a_process_that_takes_too_long_is_stopped_with_all_that_it_started(
    tmp_path: Path, task: Task, temporary: Path
) -> None:
    ticks = tmp_path / "ticks"
    started = time.monotonic()
    with pytest.raises(PeerError, match=r"^the peer anomalib:padim took longer than the limit of 2 s and was stopped$"):
        run(task, interpreter(tmp_path, BUSY.format(ticks=str(ticks))), timeout_s=2.0)
    assert time.monotonic() - started < 20
    assert_silent(ticks)
    assert files_below(temporary) == []


def test_an_interrupt_stops_it_and_tidies_up(
    tmp_path: Path, task: Task, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = tmp_path / "ticks"

    class Interrupted(subprocess.Popen[bytes]):
        def wait(self, timeout: float | None = None) -> int:
            if self.poll() is None and not ticks.exists():
                while not ticks.exists():
                    time.sleep(0.02)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(task, interpreter(tmp_path, BUSY.format(ticks=str(ticks))))
    assert_silent(ticks)
    assert files_below(temporary) == []


def test_the_script_ends_when_whoever_started_it_is_gone_or_when_it_is_done() -> None:
    waiting = "import threading, time\nfrom benchmarks.peers.anomalib_peer import _exit_with_stdin\n"
    waiting += "threading.Thread(target=_exit_with_stdin, daemon=True).start()\nprint(1, flush=True)\ntime.sleep({})"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", waiting.format(60)], **pipes) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"1\n"
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(30) == 1
    with subprocess.Popen([sys.executable, "-c", waiting.format(0.1)], **pipes) as child:
        assert child.wait(30) == 0, "while the pipe is open"


# What is refused


def test_models_interpreters_and_weights_that_are_none_are_refused(tmp_path: Path, task: Task) -> None:
    python = interpreter(tmp_path, ANSWER, WRITE)
    with pytest.raises(SettingError, match=r"^a method of anomalib must be one of patchcore, padim, got 'stfpm'$"):
        run(task, python, model="stfpm")
    with pytest.raises(SettingError, match=r"^the peer anomalib:padim runs in a Python environment .*--peer-python$"):
        run(task, None)
    with pytest.raises(SettingError, match=r"^--peer-python must be the interpreter of an environment .*/nowhere$"):
        run(task, tmp_path / "nowhere")
    with pytest.raises(SettingError, match=r"^the weights for anomalib:padim must be a file .*, got .*lite0\.pth$"):
        run(task, python, weights=tmp_path / "lite0.pth")
    with pytest.raises(SettingError, match=r"^seed must be a whole number of at least 0, got -1$"):
        run(task, python, seed=-1)


def test_a_file_that_cannot_be_executed_is_an_error(tmp_path: Path, task: Task, temporary: Path) -> None:
    python = tmp_path / "python"
    python.write_text("no program")
    with pytest.raises(PeerError, match=r"^the peer anomalib:padim cannot be started with .*python \(.*ermission"):
        run(task, python)
    python.chmod(0o700)
    with pytest.raises(PeerError, match=r"^the peer anomalib:padim cannot be started with .*python \(.*ormat"):
        run(task, python)
    assert files_below(temporary) == []


# The script


def test_the_script_needs_nothing_of_ours_and_torch_only_when_it_works() -> None:
    tree = ast.parse(peer_process.SCRIPT.read_bytes())

    def imported(nodes: Any) -> set[str]:
        plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        return {name.partition(".")[0] for name in plain} | {
            str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)
        }

    assert imported(tree.body) <= set(sys.stdlib_module_names) | {"numpy"}
    everywhere = imported(list(ast.walk(tree)))
    assert "onlygood" not in everywhere
    assert "anomalib" in everywhere, "the search finds what is there"


def test_the_script_runs_isolated_and_shows_its_options() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", str(peer_process.SCRIPT), "--help"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0
    assert "PatchCore or PaDiM of anomalib" in ran.stdout


def test_weights_are_copied_in_order_and_the_classifiers_are_left_over() -> None:
    own = {"conv": np.zeros((2, 3)), "count": np.zeros(())}
    given = {"_conv": np.ones((2, 3)), "_count": np.ones(()), "_fc": np.ones(5)}
    found = in_order(own, given, "weights.pth")
    assert list(found) == ["conv", "count"]
    assert found["conv"] is given["_conv"]
    assert found["count"] is given["_count"]


def test_weights_of_another_network_are_refused() -> None:
    own = {"conv": np.zeros((2, 3)), "norm": np.zeros(3)}
    with pytest.raises(SystemExit, match=r"^w\.pth must have the weights of the whole network, got 1 of 2 entries: "):
        in_order(own, {"conv": np.ones((2, 3))}, "w.pth")
    with pytest.raises(SystemExit, match=r"^w\.pth must have the shapes .*, got _norm \[4\] for norm \[3\]: give the "):
        in_order(own, {"_conv": np.ones((2, 3)), "_norm": np.ones(4)}, "w.pth")


@pytest.mark.slow
@pytest.mark.skipif(PEER_PYTHON is None, reason="ONLYGOOD_PEER_PYTHON names no interpreter with anomalib")
@pytest.mark.parametrize("model", ANOMALIB_MODELS)
def test_anomalib_itself_tells_an_odd_image_apart_and_does_so_again(model: str, temporary: Path) -> None:
    """With ONLYGOOD_PEER_WEIGHTS the network's weights are that file's, or else what timm fetches."""
    named = os.environ.get("ONLYGOOD_PEER_WEIGHTS")
    stripes = np.tile(np.repeat(np.array([0, 255], dtype=np.uint8), 8), (96, 6))
    task = make_task(textures(12), [texture(50), stripes, texture(51)])
    first, second = (
        run(task, Path(str(PEER_PYTHON)), model=model, weights=None if named is None else Path(named)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.scores, second.scores)
    assert first.scores.argmax() == 1
    assert first.maps is not None
    maps = np.stack([first.maps(position) for position in range(3)])
    assert maps.shape == (3, 224, 224)
    assert maps.mean(axis=(1, 2)).argmax() == 1
    assert (first.peak_memory_mb or 0) > 100
    assert first.settings["mean"] == [0.5, 0.5, 0.5]
