"""Peers that need a Python environment of their own: started there as a process, fed and read through files."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets.files import reason
from benchmarks.datasets.tasks import Task, TaskImage, check_count
from benchmarks.peers.embedding import read_at_depth, window_of
from benchmarks.peers.names import ANOMALIB, ANOMALIB_MODELS, check_peer_python
from benchmarks.peers.outcome import PeerError, PeerResult
from onlygood import SettingError

SCRIPT = Path(__file__).with_name("anomalib_peer.py")
# As our own methods see them: the same network (timm's name of it), two of its layers, the same size of image.
BACKBONE, LAYERS, INPUT_SIZE = "tf_efficientnet_lite0", "blocks.2,blocks.4", 224
# Of what a failed process said, the end is read, and its last lines are shown.
READ_BYTES, SHOWN_LINES, SHOWN_CHARACTERS = 16_384, 3, 600


def run_anomalib(
    task: Task,
    *,
    model: str,
    seed: int,
    python: Path | None,
    weights: Path | None = None,
    threads: int = 0,
    timeout_s: float | None = None,
) -> PeerResult:
    """A method of anomalib, learned and judged by `anomalib_peer.py` in another Python environment.

    It is given the images as PNG files in a temporary folder: the pixels that our methods see; those of 16 bits
    through the window that the good ones decide, in 8 bits, because that is what anomalib reads. It is not told which
    test images are anomalous.

    Args:
        task: what to learn from, what to judge.
        model: one of ANOMALIB_MODELS.
        seed: of everything random in it.
        python: the interpreter of an environment that has anomalib.
        weights: a torch state dict of the backbone; None lets timm fetch its own.
        threads: that torch uses; 0 for one a core.
        timeout_s: most seconds for all of it; None for no limit.

    Raises:
        SettingError: no such model, no interpreter or weights where they should be, or a value that cannot be used.
        PeerError: it fails, takes too long, or answers with what cannot be measured.
        ImageError, FolderError: an image that cannot be read or used.
    """
    name = f"{ANOMALIB}{model}"
    if model not in ANOMALIB_MODELS:
        raise SettingError(f"a method of anomalib must be one of {', '.join(ANOMALIB_MODELS)}, got {model!r}")
    python = check_peer_python(name, python)
    if weights is not None and not weights.is_file():
        raise SettingError(f"the weights for {name} must be a file with a torch state dict, got {weights}")
    check_count("seed", seed, 0)
    check_count("threads", threads, 0)
    folder = Path(tempfile.mkdtemp(prefix="onlygood-peer-"))
    try:
        depth, window = window_of(task.good)
        _write_images(task.good, folder / "images" / "train" / "good", depth, window)
        _write_images(task.test, folder / "images" / "test", depth, window)
        out = folder / "out"
        out.mkdir()
        options: dict[str, Any] = {
            "model": model,
            "images": folder / "images",
            "out": out,
            "seed": seed,
            "backbone": BACKBONE,
            "layers": LAYERS,
            "input-size": INPUT_SIZE,
            "threads": threads,
        }
        if weights is not None:
            options["weights"] = weights.resolve()
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        # Isolated: neither this process's PYTHONPATH nor the script's own folder is searched for modules.
        _run(name, [str(python.absolute()), "-I", str(SCRIPT), *arguments], folder, timeout_s)
        answer = _Answer.read(name, out, images=len(task.test))
        shutil.rmtree(folder / "images")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return PeerResult(
        scores=answer.scores,
        is_anomaly=None,
        maps=_Maps(out / "maps.npy", folder),
        fit_s=answer.fit_s,
        inspect_ms=answer.inspect_ms,
        model_bytes=answer.model_bytes,
        settings={**answer.settings, "window": list(window)},
        versions=answer.versions,
        peak_memory_mb=answer.peak_memory_mb,
    )


class _Maps:
    """Anomaly maps on disk, read one at a time; their folder goes when this does."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __call__(self, position: int) -> NDArray[np.float32]:
        """The map of a test image, float32 at the size that the network saw."""
        return np.array(np.load(self.path, mmap_mode="r")[position])


def _write_images(images: Sequence[TaskImage], folder: Path, depth: int, window: tuple[int, int]) -> None:
    """The images as PNG files of 8 bits whose names sort as they come."""
    folder.mkdir(parents=True)
    black, white = window
    for position, image in enumerate(images):
        levels = (read_at_depth(image, depth).astype(np.float32) - black) * (255.0 / (white - black))
        pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(
            folder / f"{position:08}.png", compress_level=1
        )


# The process


def _run(name: str, command: Sequence[str], folder: Path, timeout_s: float | None) -> None:
    """Run to the end in the folder, or stop the process and all that it started.

    Raises:
        PeerError: it cannot be started, fails or takes too long.
    """
    with (folder / "stderr").open("w+b") as said:
        try:
            # Its standard input is a pipe from here: if this process is killed, the pipe closes and the script ends.
            child = subprocess.Popen(
                [*command, "--exit-with-stdin"],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise PeerError(f"the peer {name} cannot be started with {command[0]} ({reason(error)})") from error
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"the peer {name} took longer than the limit of {timeout_s:g} s and was stopped") from error
        finally:
            _stop(child)
        if code != 0:
            raise PeerError(f"the peer {name} failed ({_shown_code(code)}): {_last_lines(said)}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the process, if it has not ended, with all of its group."""
    if child.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
    if child.stdin is not None:
        child.stdin.close()


def _shown_code(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _last_lines(said: IO[bytes]) -> str:
    """The end of what a process said on stderr: where a Python error is, its type and text."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - READ_BYTES))
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines()]
    return " | ".join([line for line in lines if line][-SHOWN_LINES:])[-SHOWN_CHARACTERS:] or "it said nothing"


# Its answer


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the script wrote, each value of its kind."""

    scores: NDArray[np.float64]
    fit_s: float
    inspect_ms: list[float]
    model_bytes: int
    peak_memory_mb: float | None
    settings: dict[str, Any]
    versions: dict[str, str]

    @classmethod
    def read(cls, name: str, out: Path, *, images: int) -> _Answer:
        """What is in a folder.

        Raises:
            PeerError: something is missing, of another kind or number, or not finite.
        """
        try:
            described = json.loads((out / "result.json").read_text(encoding="utf-8"))
            scores = np.load(out / "scores.npy", allow_pickle=False)
            maps = np.load(out / "maps.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise PeerError(
                f"the peer {name} must write result.json, scores.npy and maps.npy, each whole, and did not "
                f"({reason(error)})"
            ) from error
        if scores.dtype != np.float64 or scores.shape != (images,) or not np.isfinite(scores).all():
            raise PeerError(
                f"the peer {name} must give each of {images} test images one finite score, got {_shown(scores)}"
            )
        is_maps = maps.dtype == np.float32 and maps.ndim == 3 and len(maps) == images and maps.size > 0
        if not is_maps or not all(np.isfinite(one).all() for one in maps):
            raise PeerError(
                f"the peer {name} must give each of {images} test images one finite map, got {_shown(maps)}"
            )
        try:
            return cls(scores=scores, **_checked(described, images=images))
        except (KeyError, TypeError, ValueError) as error:
            raise PeerError(
                f"the peer {name} must say how long it took and with which settings, and did not "
                f"({type(error).__name__}: {error})"
            ) from error


def _checked(described: Mapping[str, Any], *, images: int) -> dict[str, Any]:
    """The fields of an answer beside its arrays.

    Raises:
        KeyError, TypeError, ValueError: one is missing or cannot be used.
    """
    peak, times = described["peak_memory_mb"], [_amount(value) for value in described["inspect_ms"]]
    if len(times) != images:
        raise ValueError(f"{len(times)} times for {images} images")
    return {
        "fit_s": _amount(described["fit_s"]),
        "inspect_ms": times,
        "model_bytes": int(_amount(described["model_bytes"])),
        "peak_memory_mb": None if peak is None else _amount(peak),
        "settings": dict(described["settings"]),
        "versions": {str(package): str(version) for package, version in dict(described["versions"]).items()},
    }


def _amount(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{value!r} is no amount")
    return number


def _shown(array: NDArray[Any]) -> str:
    bad = "" if array.dtype.kind != "f" else f", {int((~np.isfinite(array)).sum())} of its values not finite"
    return f"{array.dtype} {list(array.shape)}{bad}"
