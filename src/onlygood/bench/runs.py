"""A benchmark run: what is to be run, in which file its result is, and the child process that runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from onlygood._files import make_folder, write_atomically
from onlygood._machine import machine_facts
from onlygood.errors import SettingError, WriteError
from onlygood.settings import make_settings, setting_fields

FORMAT = 1
# How much of what a failed run said is kept: its end says what went wrong.
ERROR_CHARACTERS = 2000
# What is run in a process of its own; the paths of its order and of its answer follow.
CHILD = (sys.executable, "-m", "onlygood.bench.one_run")
# How long a run that is stopped may take to tidy up, in seconds.
STOP_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One thing to run: a method on one class of a data set, with one seed.

    Attributes:
        data: name of the data set.
        path: where it lies; None where its adapter knows.
        class_name: which of its classes is the good one.
        method: of ours with its settings (`patch`, `patch@bank_size=500`), or a peer (`lof`, `pyod:ECOD`,
            `anomalib:padim`).
        seed: of everything random.
        max_train: most images to learn from; None for all.
        max_test: most images to test on; None for all.
        false_alarm_rate: that our methods are asked for.
        threads: images worked on at once while fitting; 0 for one a core.
        reference: which reference images there are, as for `task_with_reference`; None for none.
        reference_path: where their data set lies, if it is another.
        max_reference: most of them; None for all.
    """

    data: str
    path: str | None
    class_name: str
    method: str
    seed: int
    max_train: int | None = None
    max_test: int | None = None
    false_alarm_rate: float = 0.05
    threads: int = 0
    reference: str | None = None
    reference_path: str | None = None
    max_reference: int | None = None

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{title_of_data(self.data, self.reference)} / {self.class_name} / {self.method} / seed {self.seed}"

    def result_path(self, folder: Path) -> Path:
        """Where the result of this run lies: one file for each data set, class, method and seed."""
        return (
            folder
            / _plain(title_of_data(self.data, self.reference))
            / _plain(self.class_name)
            / f"{_plain(self.method)}-seed{self.seed}.json"
        )

    def identity(self) -> dict[str, Any]:
        """What decides the result: all but where the images lie and how many threads work."""
        others = ("path", "reference_path", "threads")
        return {name: value for name, value in asdict(self).items() if name not in others}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def title_of_data(data: str, reference: str | None) -> str:
    """A data set, and its reference images if there are any: figures with and without compare nothing."""
    return data if reference is None else f"{data} beside {reference}"


def run_from_json(values: dict[str, Any]) -> Run:
    """The inverse of `Run.to_dict`."""
    return Run(**{entry.name: values[entry.name] for entry in fields(Run)})


@dataclass(frozen=True, kw_only=True)
class PeerEnvironment:
    """Where a peer that needs an environment of its own finds it.

    Attributes:
        python: its interpreter; None if there is none.
        weights: a torch state dict of the backbone; None to let the peer fetch its own.
    """

    python: Path | None = None
    weights: Path | None = None


def is_done(run: Run, folder: Path) -> bool:
    """Whether the folder has this run's result. One that failed is not done: it is tried again.

    Raises:
        SettingError: the file there is of a run with other settings, or no result at all.
    """
    path = run.result_path(folder)
    if not path.exists():
        return False
    result = read_result(path)
    found = {name: result["run"].get(name) for name in run.identity()}
    if found != run.identity():
        different = ", ".join(
            f"{name} {found[name]!r} instead of {value!r}"
            for name, value in run.identity().items()
            if found[name] != value
        )
        raise SettingError(
            f"{path} must be a result of the same run, got one with {different}: name another folder for results"
        )
    return bool(result["status"] == "ok")


def read_result(path: Path) -> dict[str, Any]:
    """What a result file holds.

    Raises:
        SettingError: it is not a result of this harness.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} must be a result of `onlygood bench run`, got {error}: remove it") from error
    if not (isinstance(result, dict) and result.get("format") == FORMAT and isinstance(result.get("run"), dict)):
        raise SettingError(
            f"{path} must be a result of `onlygood bench run` in format {FORMAT}, got another file: remove it"
        )
    return result


def results_in(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All results below a folder, in the order of their paths.

    Raises:
        SettingError: no folder, no results, or a file that is none.
    """
    paths = sorted(folder.rglob("*-seed*.json"))
    if not paths:
        raise SettingError(f"{folder} must hold results of `onlygood bench run`, got none: run it first")
    for path in paths:
        yield path, read_result(path)


def execute(run: Run, folder: Path, *, peer: PeerEnvironment, timeout_s: float | None) -> dict[str, Any]:
    """Run in a child process and keep what comes out; what goes wrong there is kept as a failure.

    A process of its own makes peak memory the run's own, and nothing that a method does reaches the next.

    Raises:
        WriteError: the result cannot be written.
    """
    path = run.result_path(folder)
    make_folder(path.parent)
    with tempfile.TemporaryDirectory(prefix="onlygood-bench-") as name:
        order, answer = Path(name) / "run.json", Path(name) / "result.json"
        order.write_text(
            json.dumps(
                {
                    "run": run.to_dict(),
                    "peer_python": None if peer.python is None else str(peer.python),
                    "peer_weights": None if peer.weights is None else str(peer.weights),
                }
            )
        )
        started = time.perf_counter()
        child = subprocess.Popen(
            [*CHILD, str(order), str(answer)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            _, said = child.communicate(timeout=timeout_s)
            error = None if child.returncode == 0 else said[-ERROR_CHARACTERS:].strip() or f"exit {child.returncode}"
        except subprocess.TimeoutExpired:
            error = f"it took longer than the limit of {timeout_s:g} s"
        finally:
            _stop(child)
        result: dict[str, Any] = {"format": FORMAT, "run": run.identity(), "machine": machine_facts()}
        if error is None:
            result |= {"status": "ok", **json.loads(answer.read_text())}
        else:
            result |= {"status": "failed", "error": error}
        result["wall_s"] = round(time.perf_counter() - started, 3)
    write_atomically(path, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
    return result


def _stop(child: subprocess.Popen[str]) -> None:
    """End a child that may still be running, and let it end its own children first."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


def check_results_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written, before the first run.

    Raises:
        WriteError: it cannot.
    """
    make_folder(folder)
    probe = folder / ".probe"
    write_atomically(probe, b"")
    try:
        probe.unlink()
    except OSError as error:
        raise WriteError(f"{folder} cannot be written: {error}: choose another place") from error


def split_method(method: str) -> tuple[str, dict[str, Any]]:
    """A method's name and its settings: `patch@bank_size=500+taps=stage2/stage4`.

    Raises:
        SettingError: a setting without a value.
    """
    name, _, rest = method.partition("@")
    settings: dict[str, Any] = {}
    known = setting_fields()
    for part in rest.split("+") if rest else ():
        key, equals, text = part.partition("=")
        if not (equals and key and text):
            raise SettingError(
                f"a method's settings must be like patch@bank_size=500+input_size=96, got {method!r}: give each a value"
            )
        # Commas already separate methods.
        has_several = key in known and str(known[key].type).startswith("tuple")
        settings[key] = [_value(piece) for piece in text.split("/")] if has_several else _value(text)
    return name, settings


def _value(text: str) -> Any:
    """The value that a text stands for: a number, a truth value, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_method(method: str) -> None:
    """Refuse a method of ours that does not exist, or settings that it cannot use.

    Raises:
        SettingError: as said.
    """
    name, settings = split_method(method)
    for taken in ("method", "seed", "false_alarm_rate", "threads"):
        if taken in settings:
            raise SettingError(
                f"{taken} is an option of `bench run` for all methods, got it in {method!r}: leave it out"
            )
    make_settings(method=name, **settings)


def _plain(text: str) -> str:
    """The text as a file name on every system."""
    return re.sub(r"[^A-Za-z0-9._=+@-]", "-", text)


def grid(
    tasks: Sequence[tuple[str, str | None, Sequence[str]]],
    methods: Sequence[str],
    seeds: int,
    **common: Any,
) -> list[Run]:
    """Every run: seeds outermost, so that a first figure for everything comes before a second for anything.

    Args:
        tasks: of each data set its name, path and classes.
        methods: ours and peers.
        seeds: how many, from 0.
        **common: fields of `Run` that all share.
    """
    return [
        Run(data=data, path=path, class_name=class_name, method=method, seed=seed, **common)
        for seed in range(seeds)
        for data, path, classes in tasks
        for class_name in classes
        for method in methods
    ]
