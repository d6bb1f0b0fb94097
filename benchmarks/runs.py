"""A benchmark run: what is to be run, whether its result is there, and the child process that runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.fitting import check_settings, split_method
from benchmarks.machine import child_environment, machine_facts, module_command
from benchmarks.records import append_line, read_lines
from onlygood import SettingError

Result: TypeAlias = dict[str, Any]

FORMAT = 1
# How much of what a failed run said is kept: its end says what went wrong.
ERROR_CHARACTERS = 2000
# What is run in a process of its own; the paths of its order and of its answer follow.
CHILD = tuple(module_command("benchmarks.one_run"))
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


def is_done(run: Run, results: Sequence[Result]) -> bool:
    """Whether a run's result is among these. One that failed is not done: it is tried again.

    Raises:
        SettingError: the result there is of a run with other settings.
    """
    result = next((each for each in results if key_of(each["run"]) == key_of(run.identity())), None)
    if result is None:
        return False
    found = {name: result["run"].get(name) for name in run.identity()}
    if found != run.identity():
        different = ", ".join(
            f"{name} {found[name]!r} instead of {value!r}"
            for name, value in run.identity().items()
            if found[name] != value
        )
        raise SettingError(
            f"the result of {run.title} must be of the same run, got one with {different}: name another file for "
            "results"
        )
    return bool(result["status"] == "ok")


def key_of(run: Mapping[str, Any]) -> tuple[str, str, str, int]:
    """What a run is known by: data set, class, method and seed."""
    return title_of_data(run["data"], run.get("reference")), run["class_name"], run["method"], run["seed"]


def read_results(path: Path) -> list[Result]:
    """The results in a file, in the order in which the runs first ended; of a run that was tried again, the last.

    Raises:
        SettingError: a line that is no result of this harness.
    """
    results: dict[tuple[str, str, str, int], Result] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if line.get("format") != FORMAT or not isinstance(line.get("run"), dict):
            raise SettingError(
                f"line {number} of {path} must be a result of `benchmarks run` in format {FORMAT}, got another: "
                "remove the line"
            )
        results[key_of(line["run"])] = line
    return list(results.values())


def execute(run: Run, path: Path, *, peer: PeerEnvironment, timeout_s: float | None) -> Result:
    """Run in a child process and add what comes out to a file; what goes wrong there is kept as a failure.

    A process of its own makes peak memory the run's own, and nothing that a method does reaches the next.

    Raises:
        WriteError: the result cannot be written.
    """
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
            env=child_environment(),
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
        result: Result = {"format": FORMAT, "run": run.identity(), "machine": machine_facts()}
        if error is None:
            result |= {"status": "ok", **json.loads(answer.read_text())}
        else:
            result |= {"status": "failed", "error": error}
        result["wall_s"] = round(time.perf_counter() - started, 3)
    append_line(path, result)
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


def check_method(method: str) -> None:
    """Refuse a method of ours that does not exist, or settings that it cannot use.

    Raises:
        SettingError: as said.
    """
    name, settings = split_method(method)
    for taken in ("method", "seed", "false_alarm_rate", "threads"):
        if taken in settings:
            raise SettingError(
                f"{taken} is an option of `benchmarks run` for all methods, got it in {method!r}: leave it out"
            )
    check_settings(name, settings)


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
