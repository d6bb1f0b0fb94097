"""`python -m benchmarks`: runs that go on where they ended, and the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import command_line as module
from benchmarks.records import append_line
from benchmarks.runs import Run, read_results
from command_line import Ran
from textures import save, texture


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    save(tmp_path / "parts" / "train" / "good", {f"{number}.png": texture(number) for number in range(4)})
    save(tmp_path / "parts" / "test", {"good/a.png": texture(10), "dent/b.png": texture(11)})
    return tmp_path / "parts"


ANSWER = {
    "metrics": {"image_auroc": {"value": 0.9, "low": 0.8, "high": 0.95}, "average_precision": 0.8, "pixel": None},
    "times": {"fit_s": 1.0, "inspect_ms": {"median": 5.0, "p95": 6.0}},
    "peak_memory_mb": 10.0,
    "model_bytes": 1,
    "counts": {"good": 4, "test_good": 1, "test_anomalous": 1},
    "settings": {},
    "versions": {"onlygood": "0"},
    "notes": [],
    "classes": ["all"],
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process."""

    def run_main(*arguments: object) -> Ran:
        capsys.readouterr()
        code = module.main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run_main


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Which runs were executed; all succeed but those of the method lof."""
    done: list[Run] = []

    def execute(run: Run, path: Path, **_: Any) -> dict[str, Any]:
        done.append(run)
        machine = {"processor": "p", "cores": 2, "system": "s", "python": "3"}
        result: dict[str, Any] = {"format": 1, "run": run.identity(), "machine": machine}
        result |= {"status": "failed", "error": "boom"} if run.method == "sklearn:lof" else {"status": "ok", **ANSWER}
        append_line(path, result)
        return result

    monkeypatch.setattr(module, "execute", execute)
    return done


def test_every_method_runs_with_every_seed_and_goes_on_where_it_ended(
    run: Any, executed: list[Run], parts: Path, tmp_path: Path
) -> None:
    line = ("run", "--data", f"parts={parts}", "--methods", "patch,patch@bank_size=9", "-o", tmp_path / "out.jsonl")
    ran = run(*line, "--seeds", 2)
    assert ran.code == 0
    assert [(each.method, each.seed) for each in executed] == [
        ("patch", 0),
        ("patch@bank_size=9", 0),
        ("patch", 1),
        ("patch@bank_size=9", 1),
    ]
    assert "parts: 4 training and 2 test images of 1 class" in ran.err
    assert "[1/4] parts / all / patch / seed 0: image AUROC 0.9000" in ran.out
    assert "parts / all / patch / seed 1" in ran.err, "a line on stderr while it runs"
    assert len(read_results(tmp_path / "out.jsonl")) == 4
    again = run(*line, "--seeds", 3)
    assert len(executed) == 6 and "4 of 6 runs have a result already" in again.err


def with_a_peer(parts: Path, out: Path) -> tuple[object, ...]:
    """A command line that runs a method of ours and a peer."""
    compared = ("--methods", "patch", "--peers", "sklearn:lof")
    return ("run", "--data", f"parts={parts}", *compared, "-o", out)


def test_a_failure_is_reported_and_tried_again_and_the_exit_code_is_2(
    run: Any, executed: list[Run], parts: Path, tmp_path: Path
) -> None:
    line = with_a_peer(parts, tmp_path / "out.jsonl")
    ran = run(*line)
    assert ran.code == 2
    assert "[2/2] parts / all / sklearn:lof / seed 0: FAILED, boom" in ran.out
    assert "2 runs, 1 failed" in ran.out
    run(*line)
    assert [each.method for each in executed] == ["patch", "sklearn:lof", "sklearn:lof"]


def test_the_table_is_printed_or_written(run: Any, executed: list[Run], parts: Path, tmp_path: Path) -> None:
    run(*with_a_peer(parts, tmp_path / "out.jsonl"))
    printed = run("table", tmp_path / "out.jsonl")
    assert printed.code == 0 and "| patch | 0.900 |" in printed.out and "FAILED: parts, all, sklearn:lof" in printed.out
    written = run("table", tmp_path / "out.jsonl", "-o", tmp_path / "RESULTS.md")
    assert written.out == "" and (tmp_path / "RESULTS.md").read_text() == printed.out
    assert run("table", tmp_path / "out.jsonl", "--format", "csv").out.startswith("data,class,method,seed,status,")


def test_classes_are_chosen_for_one_data_set_or_for_all(run: Any, executed: list[Run], parts: Path) -> None:
    second = parts.parent / "many"
    for name in ("left", "right"):
        save(second / name / "train" / "good", {"0.png": texture(0)})
        save(second / name / "test", {"good/a.png": texture(10), "dent/b.png": texture(11)})
    out = parts.parent / "out.jsonl"
    ran = run(
        *("run", "--data", f"parts={parts}", "--data", f"many={second}", "--classes", "many=right"),
        *("--methods", "patch", "-o", out),
    )
    assert ran.code == 0
    assert [(each.data, each.class_name) for each in executed] == [("parts", "all"), ("many", "right")]
    sentence = run("run", "--data", f"many={second}", "--classes", "up", "--methods", "patch", "-o", out).err
    assert "a class of many must be one of left, right, got 'up'" in sentence


def test_what_cannot_be_run_is_one_sentence(run: Any, executed: list[Run], parts: Path, tmp_path: Path) -> None:
    data = ("--data", f"parts={parts}", "-o", tmp_path / "out.jsonl")

    def refused(*arguments: object) -> str:
        return str(run("run", *arguments).err.splitlines()[-1])

    assert "needs --methods or --peers" in refused(*data)
    assert "method must be one of" in refused(*data, "--methods", "magic")
    assert "sklearn:lof" in refused(*data, "--peers", "magic")
    assert "give its interpreter with --peer-python" in refused(*data, "--peers", "anomalib:padim")
    assert "--seeds must be at least 1, got 0" in refused(*data, "--methods", "patch", "--seeds", 0)
    assert "got parts twice" in refused(*data, "--data", "parts=x", "--methods", "patch")
    assert "must name a data set that --data gives, got 'mnist'" in refused(
        *data, "--methods", "patch", "--classes", "mnist=3"
    )
    assert "does not exist" in refused("--data", f"x={tmp_path / 'none'}", "--methods", "patch")
    assert executed == []
    empty = run("table", tmp_path / "none")
    assert (empty.code, empty.out) == (2, "")
    assert empty.err.startswith("benchmarks: ") and empty.err.endswith("got none: run it first\n")
