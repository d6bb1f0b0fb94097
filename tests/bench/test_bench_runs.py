"""Benchmark runs: which file a result is in, when a run is done, and what becomes of one that fails."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from onlygood.bench import runs
from onlygood.bench.runs import (
    PeerEnvironment,
    Run,
    check_method,
    check_results_folder,
    execute,
    grid,
    is_done,
    read_result,
    results_in,
    run_from_json,
    split_method,
)
from onlygood.errors import SettingError, WriteError

RUN = Run(data="tiles", path="/data/tiles", class_name="all", method="patch", seed=0)
NO_PEER = PeerEnvironment()


def put(folder: Path, run: Run, **changes: Any) -> Path:
    path = run.result_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": 1, "run": run.identity(), "status": "ok", **changes}))
    return path


def child(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have the child process run this program instead; its arguments are the order and the answer."""
    monkeypatch.setattr(runs, "CHILD", (sys.executable, "-c", program))


def test_each_run_has_a_file_of_its_own(tmp_path: Path) -> None:
    made = grid([("tiles", None, ["a", "b"]), ("mnist", None, ["3"])], ["patch", "sklearn:lof"], 2)
    assert len(made) == len({run.result_path(tmp_path) for run in made}) == 12
    assert [run.seed for run in made] == [0] * 6 + [1] * 6


def test_a_name_that_no_file_system_takes_is_made_plain(tmp_path: Path) -> None:
    run = Run(data="a/b", path=None, class_name="../c:d", method="pyod:ECOD", seed=3)
    path = run.result_path(tmp_path)
    assert path == tmp_path / "a-b" / "..-c-d" / "pyod-ECOD-seed3.json"
    assert tmp_path in path.resolve().parents


def test_a_run_survives_json() -> None:
    run = Run(data="tiles", path=None, class_name="all", method="patch@bank_size=5", seed=2, max_train=9, threads=1)
    assert run_from_json(json.loads(json.dumps(run.to_dict()))) == run


def test_a_run_with_a_result_is_done_wherever_its_images_lie(tmp_path: Path) -> None:
    assert not is_done(RUN, tmp_path)
    put(tmp_path, RUN)
    elsewhere = Run(data="tiles", path="/other", class_name="all", method="patch", seed=0, threads=2)
    assert is_done(RUN, tmp_path) and is_done(elsewhere, tmp_path)


def test_a_run_that_failed_is_tried_again(tmp_path: Path) -> None:
    put(tmp_path, RUN, status="failed", error="no memory")
    assert not is_done(RUN, tmp_path)


def test_a_result_with_other_settings_is_refused(tmp_path: Path) -> None:
    put(tmp_path, RUN)
    fewer = Run(data="tiles", path=None, class_name="all", method="patch", seed=0, max_train=10)
    with pytest.raises(SettingError, match=r"result of the same run, got one with max_train None instead of 10"):
        is_done(fewer, tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2, "run": {}}', '{"format": 1}', ""])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "patch-seed0.json"
    path.write_text(content)
    with pytest.raises(SettingError, match=r"patch-seed0.json must be a result of `onlygood bench run`"):
        read_result(path)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "magnetic_tile.json").write_text("{}")
    with pytest.raises(SettingError, match="must hold results of `onlygood bench run`, got none"):
        list(results_in(tmp_path))


def test_what_a_child_answers_is_kept_with_run_and_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(
        monkeypatch,
        "import json, sys; order = json.load(open(sys.argv[1]));"
        "json.dump({'metrics': {'seed': order['run']['seed']}}, open(sys.argv[2], 'w'))",
    )
    result = execute(RUN, tmp_path, peer=NO_PEER, timeout_s=60)
    assert result["status"] == "ok" and result["metrics"] == {"seed": 0}
    assert result["machine"]["cores"] >= 1
    assert read_result(RUN.result_path(tmp_path)) == result
    assert is_done(RUN, tmp_path)


def test_a_child_that_fails_is_kept_as_a_failure_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child(monkeypatch, "import sys; sys.stderr.write('x' * 9000 + ' out of memory'); sys.exit(3)")
    result = execute(RUN, tmp_path, peer=NO_PEER, timeout_s=60)
    assert result["status"] == "failed"
    assert result["error"].endswith("x out of memory") and len(result["error"]) == 2000
    assert "metrics" not in read_result(RUN.result_path(tmp_path))


def test_a_child_that_is_killed_without_a_word_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert execute(RUN, tmp_path, peer=NO_PEER, timeout_s=60)["error"] == "exit -9"


def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child(monkeypatch, "import time; time.sleep(600)")
    result = execute(RUN, tmp_path, peer=NO_PEER, timeout_s=0.5)
    assert result["status"] == "failed"
    assert result["error"] == "it took longer than the limit of 0.5 s"
    assert result["wall_s"] < 60


def test_a_child_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runs, "STOP_S", 0.5)
    child(monkeypatch, "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)")
    assert execute(RUN, tmp_path, peer=NO_PEER, timeout_s=2)["status"] == "failed"


def test_a_method_has_settings_after_an_at() -> None:
    assert split_method("patch") == ("patch", {})
    assert split_method("patch@bank_size=500+calibration=split+top_fraction=0.1") == (
        "patch",
        {"bank_size": 500, "calibration": "split", "top_fraction": 0.1},
    )
    assert split_method("patch@taps=stage2/stage4+window=0/255") == (
        "patch",
        {"taps": ["stage2", "stage4"], "window": [0, 255]},
    )
    check_method("patch@taps=stage4")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("patch@bank_size", "give each a value"),
        ("patch@=5", "give each a value"),
        ("patch@bank_size=0", "bank_size must be a whole number of at least 1, got 0"),
        ("patch@size=3", "a setting must be one of .* got size"),
        ("magic", "method must be one of .*, got 'magic'"),
        ("patch@seed=3", "seed is an option of `bench run` for all methods"),
    ],
)
def test_a_method_that_cannot_be_is_refused_before_anything_runs(method: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_method(method)


def test_a_results_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        check_results_folder(tmp_path / "file" / "results")
    check_results_folder(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
