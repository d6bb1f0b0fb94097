from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood._progress import Progress
from onlygood.errors import OnlygoodError
from onlygood.station.jobs.process import JobProcess, Outcome
from onlygood.station.jobs.request import MODEL_FILE, Failed, FitWork, Made, Step, UpdateWork, WorkImage
from onlygood.station.jobs.work import do, refuse_settings, region_mask
from textures import FAST, numbered, save, texture, textures, with_defect

LIMITS: dict[str, int] = {"max_pixels": 1_000_000, "max_bytes": 10_000_000}
SETTINGS = {name: value for name, value in FAST.items() if name != "false_alarm_rate"}
# Longer than anything here takes.
DEADLINE_S = 60.0


def fit_work(folder: Path, count: int = 10, **changes: Any) -> FitWork:
    save(folder, numbered(textures(count)))
    images = tuple(WorkImage(name=f"shot {number}", file=f"{number:02}.png") for number in range(count))
    asked: dict[str, Any] = {"false_alarm_rate": 0.1, "method": "patch", "settings": SETTINGS, **LIMITS, **changes}
    return FitWork(images=images, **asked)


def run(work: FitWork | UpdateWork, folder: Path) -> tuple[Outcome, list[Step]]:
    told: list[Step] = []
    return JobProcess(work, folder, told.append).run(), told


def do_here(
    work: FitWork | UpdateWork, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Made | Failed, list[Progress]]:
    """As the process does it, without the process."""
    told: list[Progress] = []
    monkeypatch.chdir(folder)
    return do(work, told.append), told


def test_a_fit_makes_the_model_that_fit_makes_here_and_says_where_it_is(tmp_path: Path) -> None:
    outcome, told = run(fit_work(tmp_path), tmp_path)
    assert outcome.problem is None and not outcome.is_cancelled
    named = [onlygood.NamedImage(f"shot {number}", tmp_path / f"{number:02}.png") for number in range(10)]
    method = onlygood.Patch(input_size=64, bank_size=300)
    ours = onlygood.fit(named, method=method, false_alarm_rate=0.1, threshold_rule="conformal", **LIMITS)
    made = onlygood.Inspector(tmp_path / MODEL_FILE)
    assert made.metadata.content_sha256 == ours.metadata.content_sha256
    assert outcome.notes == (*ours.guarantee.sentences, *ours.notes)
    assert Step(step="embedding", done=0, total=10) in told
    assert Step(step="embedding", done=10, total=10) in told
    assert told[-1].step == "writing the model"


def test_a_region_of_interest_is_what_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, _ = do_here(fit_work(tmp_path, region=(0.25, 0.0, 1.0, 0.5)), tmp_path, monkeypatch)
    assert isinstance(answer, Made)
    region = onlygood.Inspector(tmp_path / MODEL_FILE).metadata.input.region
    assert region is not None
    assert region.box == (0.25, 0.0, 1.0, 0.5)


def test_an_update_makes_a_model_that_knows_the_further_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(do_here(fit_work(tmp_path), tmp_path, monkeypatch)[0], Made)
    (tmp_path / MODEL_FILE).rename(tmp_path / "part")
    before = onlygood.Inspector(tmp_path / "part")
    # Far from all that was learned, as what a person calls good although the model does not.
    further = with_defect(texture(100))
    assert before(further).is_anomaly
    save(tmp_path, {"further.png": further})
    images = (WorkImage(name="inspection 7", file="further.png"),)
    work = UpdateWork(images=images, model="part", name="job 3", max_model_bytes=10**9, **LIMITS)
    assert isinstance(do_here(work, tmp_path, monkeypatch)[0], Made)
    after = onlygood.Inspector(tmp_path / MODEL_FILE)
    assert after.metadata.good_images.count == 11
    assert after.metadata.updates[-1].name == "job 3"
    assert after(further).score < before(further).score
    again, _ = do_here(work.model_copy(update={"model": MODEL_FILE, "name": "job 4"}), tmp_path, monkeypatch)
    assert isinstance(again, Failed) and "nothing is to be done" in again.problem


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "pach"}, "method must be one of"),
        ({"settings": {"bank_sise": 3}}, "did you mean 'bank_size'"),
        ({"settings": {"backbone": "/etc/passwd"}}, "backbone must be one of"),
        ({"settings": {"bank_size": -1}}, "bank_size"),
        ({"false_alarm_rate": 1.5}, "false_alarm_rate"),
        ({"region": (0.5, 0.0, 0.5, 1.0)}, "region of interest"),
        ({"max_pixels": 100}, "shot 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    changes: dict[str, Any], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, _ = do_here(fit_work(tmp_path, **changes), tmp_path, monkeypatch)
    assert isinstance(answer, Failed)
    assert expected in answer.problem
    assert str(tmp_path) not in answer.problem
    assert not (tmp_path / MODEL_FILE).exists()


def test_an_image_that_is_damaged_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = fit_work(tmp_path)
    (tmp_path / "04.png").write_bytes(b"no image")
    answer, _ = do_here(work, tmp_path, monkeypatch)
    assert isinstance(answer, Failed)
    assert "shot 4" in answer.problem and "04.png" not in answer.problem


def test_a_model_that_cannot_be_updated_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, numbered(textures(1)))
    (tmp_path / "part").write_bytes(b"no model")
    work = UpdateWork(
        images=(WorkImage(name="7", file="00.png"),), model="part", name="job 3", **LIMITS, max_model_bytes=10**6
    )
    answer, _ = do_here(work, tmp_path, monkeypatch)
    assert isinstance(answer, Failed)
    assert answer.problem.startswith("the model part ")


@pytest.fixture(params=["asked", "ignored"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ctrl-C as a station has it in a terminal, and as one that a shell has started in the background."""
    before = signal.getsignal(signal.SIGINT)
    if request.param == "ignored":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_job_that_is_cancelled_ends_and_leaves_no_model(tmp_path: Path) -> None:
    process = None

    def cancel_at_once(step: Step) -> None:
        if step.step == "embedding":
            assert process is not None
            process.cancel()
            process.cancel()  # a second time is no error

    process = JobProcess(fit_work(tmp_path), tmp_path, cancel_at_once)
    assert process.run() == Outcome(is_cancelled=True)
    assert not list(tmp_path.glob("*.onnx*"))


def test_a_job_that_is_cancelled_before_it_starts_never_does(tmp_path: Path) -> None:
    process = JobProcess(fit_work(tmp_path), tmp_path, pytest.fail)
    process.cancel()
    assert process.run() == Outcome(is_cancelled=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there a process cannot be stopped")
def test_a_job_that_does_not_end_when_it_is_asked_to_is_killed(tmp_path: Path) -> None:
    process = None

    def stop_and_cancel(step: Step) -> None:
        if step.step == "embedding" and process is not None and process._kill is None:
            assert process._process is not None
            os.kill(process._process.pid, signal.SIGSTOP)
            process.cancel()

    process = JobProcess(fit_work(tmp_path), tmp_path, stop_and_cancel, grace_s=0.1)
    assert process.run() == Outcome(is_cancelled=True)


@pytest.mark.skipif(sys.platform == "win32", reason="exit codes are others there")
def test_a_job_whose_process_is_killed_says_why_that_may_be(tmp_path: Path) -> None:
    process = None

    def kill(step: Step) -> None:
        assert process is not None and process._process is not None
        os.kill(process._process.pid, signal.SIGKILL)

    process = JobProcess(fit_work(tmp_path), tmp_path, kill)
    problem = process.run().problem
    assert problem is not None and "memory" in problem


def test_a_job_ends_when_its_station_is_gone(tmp_path: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-P", "-m", "onlygood.station.jobs.work", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert started.stdin is not None and started.stdout is not None
    with started, started.stdout as stdout:
        started.stdin.write(fit_work(tmp_path).model_dump_json().encode() + b"\n")
        started.stdin.flush()
        assert b"step" in stdout.readline()
        started.stdin.close()
        assert started.wait(DEADLINE_S) != 0
    assert not (tmp_path / MODEL_FILE).exists()


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="the system has no priorities by number")
def test_a_job_has_a_lower_priority(tmp_path: Path) -> None:
    found: list[int] = []
    in_need: list[str] = []
    process = None

    def look(_: Step) -> None:
        assert process is not None and process._process is not None
        if found:
            return
        pid = process._process.pid
        found.append(os.getpriority(os.PRIO_PROCESS, pid))
        if sys.platform == "linux":
            in_need.append(Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii").strip())
        process.cancel()

    process = JobProcess(fit_work(tmp_path), tmp_path, look)
    process.run()
    assert set(found) == {min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)}
    # Where memory runs out, it is ended and not the station.
    assert set(in_need) <= {"800"}


def test_what_libraries_print_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chatty").mkdir()
    # Runs in every Python process that finds it, before anything else.
    (tmp_path / "chatty" / "sitecustomize.py").write_text(
        "import atexit, sys\nprint('hello')\natexit.register(print, 'bye')\n"
    )
    paths = os.pathsep.join([str(tmp_path / "chatty"), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", paths)
    folder = tmp_path / "job"
    folder.mkdir()
    outcome, _ = run(fit_work(folder, count=1), folder)
    assert outcome.problem is not None and outcome.problem.startswith("fit needs at least")


def test_what_a_process_said_before_it_failed_unforeseen_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    # A library that fails in the process of the job alone.
    (broken / "sitecustomize.py").write_text(
        "import onlygood.fitting as fitting\n"
        "def fit(*_, **__):\n    raise ZeroDivisionError('nobody foresaw it')\n"
        "fitting.fit = fit\n"
    )
    paths = os.pathsep.join([str(broken), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", paths)
    folder = tmp_path / "job"
    folder.mkdir()
    outcome, _ = run(fit_work(folder, count=3), folder)
    assert outcome.problem is not None and "ZeroDivisionError: nobody foresaw it" in outcome.problem
    assert any("Traceback" in record.message for record in caplog.records if record.levelname == "ERROR")


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [((0, 0, 1, 1), (0, 10), (0, 20)), ((0.5, 0.25, 1, 0.5), (5, 10), (5, 10)), ((0.1, 0.9, 0.2, 1), (1, 2), (18, 20))],
)
def test_a_rectangle_as_shares_is_these_pixels(
    region: tuple[float, float, float, float], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    expected = np.zeros((10, 20), dtype=bool)
    expected[slice(*rows), slice(*columns)] = True
    assert np.array_equal(region_mask(region, 10, 20), expected)


@pytest.mark.parametrize("region", [(0, 0, 1.1, 1), (-0.1, 0, 1, 1), (0.5, 0, 0.5, 1), (0.5, 0, 0.51, 1), (0, 1, 1, 0)])
def test_a_rectangle_that_holds_nothing_is_refused(region: tuple[float, float, float, float]) -> None:
    with pytest.raises(OnlygoodError, match="draw it larger"):
        region_mask(region, 10, 20)


def test_settings_of_the_method_and_of_every_fit_are_taken() -> None:
    refuse_settings("patch", {"bank_size": 3, "golden": True, "backbone": "lite0"})
    with pytest.raises(OnlygoodError, match="must be one of"):
        refuse_settings("doc", {"reference": "/etc"})
