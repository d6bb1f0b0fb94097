"""Benchmark runs: which file a result is in, when a run is done, and what becomes of one that fails."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import runs
from benchmarks.fitting import split_method
from benchmarks.records import append_line
from benchmarks.runs import (
    PeerEnvironment,
    Run,
    check_method,
    execute,
    grid,
    is_done,
    key_of,
    read_results,
    run_from_json,
)
from onlygood import SettingError

RUN = Run(data="tiles", path="/data/tiles", class_name="all", method="patch", seed=0)
NO_PEER = PeerEnvironment()
OUT = "runs.jsonl"


def result_of(run: Run, **changes: Any) -> dict[str, Any]:
    return {"format": 1, "run": run.identity(), "status": "ok", **changes}


def child(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have the child process run this program instead; its arguments are the order and the answer."""
    monkeypatch.setattr(runs, "CHILD", (sys.executable, "-c", program))


def test_each_run_has_a_key_of_its_own() -> None:
    made = grid([("tiles", None, ["a", "b"]), ("mnist", None, ["3"])], ["patch", "sklearn:lof"], 2)
    assert len(made) == len({key_of(run.identity()) for run in made}) == 12
    assert [run.seed for run in made] == [0] * 6 + [1] * 6


def test_a_run_survives_json() -> None:
    run = Run(data="tiles", path=None, class_name="all", method="patch@bank_size=5", seed=2, max_train=9, threads=1)
    assert run_from_json(json.loads(json.dumps(run.to_dict()))) == run


def test_a_run_with_a_result_is_done_wherever_its_images_lie() -> None:
    assert not is_done(RUN, [])
    elsewhere = Run(data="tiles", path="/other", class_name="all", method="patch", seed=0, threads=2)
    assert is_done(RUN, [result_of(RUN)]) and is_done(elsewhere, [result_of(RUN)])


def test_a_run_that_failed_is_tried_again_and_its_last_result_counts(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    other = Run(data="tiles", path=None, class_name="all", method="patch", seed=1)
    for result in (result_of(RUN, status="failed", error="no memory"), result_of(other)):
        append_line(path, result)
    assert not is_done(RUN, read_results(path))
    append_line(path, result_of(RUN))
    assert [result["run"]["seed"] for result in read_results(path)] == [0, 1]
    assert is_done(RUN, read_results(path))


def test_a_result_with_other_settings_is_refused() -> None:
    fewer = Run(data="tiles", path=None, class_name="all", method="patch", seed=0, max_train=10)
    with pytest.raises(SettingError, match=r"must be of the same run, got one with max_train None instead of 10"):
        is_done(fewer, [result_of(RUN)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n", "must be JSON, got "),
        ("[]\n", "must be a JSON object, got "),
        (
            '{"format": 2, "run": {}}\n',
            "must be a result of `benchmarks run` in format 1, got another: remove",
        ),
        ('{"format": 1}\n', "must be a result of `benchmarks run` in format 1, got another: remove"),
        ("\n", "must be JSON, got "),
    ],
)
def test_a_line_that_is_no_result_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "runs.jsonl"
    append_line(path, result_of(RUN))
    with path.open("a") as file:
        file.write(content)
    with pytest.raises(SettingError, match=f"^line 2 of {path} {message}"):
        read_results(path)


def test_what_a_child_answers_is_kept_with_run_and_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(
        monkeypatch,
        "import json, sys; order = json.load(open(sys.argv[1]));"
        "json.dump({'metrics': {'seed': order['run']['seed']}}, open(sys.argv[2], 'w'))",
    )
    result = execute(RUN, tmp_path / OUT, peer=NO_PEER, timeout_s=60)
    assert result["status"] == "ok" and result["metrics"] == {"seed": 0}
    assert result["machine"]["cores"] >= 1
    assert read_results(tmp_path / OUT) == [result]
    assert is_done(RUN, [result])


def test_a_child_that_fails_is_kept_as_a_failure_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child(monkeypatch, "import sys; sys.stderr.write('x' * 9000 + ' out of memory'); sys.exit(3)")
    result = execute(RUN, tmp_path / OUT, peer=NO_PEER, timeout_s=60)
    assert result["status"] == "failed"
    assert result["error"].endswith("x out of memory") and len(result["error"]) == 2000
    assert "metrics" not in read_results(tmp_path / OUT)[0]


def test_a_child_that_is_killed_without_a_word_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert execute(RUN, tmp_path / OUT, peer=NO_PEER, timeout_s=60)["error"] == "exit -9"


def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, "import time; time.sleep(600)")
    result = execute(RUN, tmp_path / OUT, peer=NO_PEER, timeout_s=0.5)
    assert result["status"] == "failed"
    assert result["error"] == "it took longer than the limit of 0.5 s"
    assert result["wall_s"] < 60


def test_a_child_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runs, "STOP_S", 0.5)
    child(monkeypatch, "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)")
    assert execute(RUN, tmp_path / OUT, peer=NO_PEER, timeout_s=2)["status"] == "failed"


def test_a_method_has_settings_after_an_at() -> None:
    assert split_method("patch") == ("patch", {})
    assert split_method("patch@bank_size=500+calibration=split+top_fraction=0.1") == (
        "patch",
        {"bank_size": 500, "calibration": "split", "top_fraction": 0.1},
    )
    assert split_method("patch@taps=stage2/stage4+window=0/255") == (
        "patch",
        {"taps": ("stage2", "stage4"), "window": (0, 255)},
    )
    assert split_method("doc@head=LOF+nu=1e-3+golden=true+skip_unreadable=False+augment=none") == (
        "doc",
        {"head": "LOF", "nu": 0.001, "golden": True, "skip_unreadable": False, "augment": None},
    )
    assert split_method("knn@backbone=nets/mine.onnx") == ("knn", {"backbone": "nets/mine.onnx"})
    check_method("patch@taps=stage4")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("patch@bank_size", "give each a value"),
        ("patch@=5", "give each a value"),
        ("patch@bank_size=0", "bank_size must be a whole number of at least 1, got 0"),
        ("patch@size=3", "setting.* must be .*bank_size.*, got size"),
        ("magic", "method must be one of .*, got 'magic'"),
        ("patch@seed=3", "seed is an option of `benchmarks run` for all methods"),
    ],
)
def test_a_method_that_cannot_be_is_refused_before_anything_runs(method: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_method(method)
