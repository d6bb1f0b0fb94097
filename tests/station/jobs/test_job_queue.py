from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition

import pytest
from PIL import Image

import onlygood
from onlygood.errors import BusyError, NotFoundError, OnlygoodError, SettingError, StoreError
from onlygood.station.jobs.queue import MOST_QUEUED, JobQueue
from onlygood.station.jobs.tasks import FitTask, UpdateTask, settle_interrupted
from onlygood.station.schemas import FitRequest, Job, JobState, Label, Verdict
from onlygood.station.serving.models import ServedModels
from onlygood.station.station_settings import Limits
from onlygood.station.store.records import NewInspection
from onlygood.station.store.store import Store
from textures import FAST, Array, texture, textures, with_defect

DEADLINE_S = 60.0
SETTINGS = {name: value for name, value in FAST.items() if name != "false_alarm_rate"}
OVER = {JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED}


def png(image: Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


class Bench:
    """A station's memory, its models and its jobs, and what was told of these."""

    def __init__(self, data: Path) -> None:
        self.store = Store(data)
        self.models = ServedModels(self.store.models, Limits(), changed=lambda _: None)
        self.told: list[Job] = []
        self._changed = Condition()
        self.jobs = JobQueue(self.store.jobs, data / "jobs", publish=self._tell)

    def _tell(self, job: Job) -> None:
        with self._changed:
            self.told.append(job)
            self._changed.notify_all()

    def wait(self, until: Callable[[Job], bool], id: int) -> Job:
        """The first state that was told of a job that is like that."""

        def found() -> Job | None:
            return next((job for job in self.told if job.id == id and until(job)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, DEADLINE_S), self.told
        job = found()
        assert job is not None
        return job

    def end_of(self, job: Job) -> Job:
        return self.wait(lambda each: each.state in OVER, job.id)

    def teach(self, images: list[Array], model: str = "part") -> None:
        for number, image in enumerate(images):
            height, width = image.shape[:2]
            self.store.taught.add(model, f"../{number}.png", png(image), suffix=".png", width=width, height=height)

    def fit_task(self, model: str = "part", **asked: object) -> FitTask:
        request = FitRequest(
            **{"model": model, "false_alarm_rate": 0.1, "settings": SETTINGS, **asked}  # type: ignore[arg-type]
        )
        return FitTask(request, self.store, self.models, Limits)

    def update_task(self, model: str = "part") -> UpdateTask:
        ids = tuple(each.id for each in self.store.feedback.review(model))
        return UpdateTask(model, ids, self.store, self.models, Limits)

    def inspect(self, image: Array, model: str = "part") -> tuple[int, float]:
        """Inspect and record an image; its number and score."""
        served = self.models.get(model)
        found = served.inspector(image)
        new = NewInspection(
            model=model,
            model_sha256=served.version.sha256,
            source="http",
            name="new.png",
            verdict=Verdict.ANOMALOUS if found.is_anomaly else Verdict.GOOD,
            score=found.score,
            p_value=found.p_value,
            latency_ms=1.0,
            width=96,
            height=96,
            content=png(image),
            suffix=".png",
        )
        return self.store.recorder.record(new).id, found.score

    def close(self) -> None:
        self.jobs.stop()
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "data")
    bench.jobs.start()
    yield bench
    bench.close()


def test_from_taught_images_to_a_model_and_from_a_false_alarm_to_its_update(bench: Bench, tmp_path: Path) -> None:
    bench.teach(textures(11))
    bench.store.taught.leave_out(bench.store.taught.list("part")[10].id, True)
    queued = bench.jobs.submit(bench.fit_task())
    assert (queued.kind, queued.model, queued.state) == ("fit", "part", JobState.QUEUED)
    done = bench.end_of(queued)
    assert (done.state, done.problem, done.version) == (JobState.DONE, None, 1)
    assert "by leave-one-out over 10 good images" in done.notes[0]
    assert bench.jobs.get(done.id) == bench.jobs.list()[0] == done
    running = [each for each in bench.told if each.state is JobState.RUNNING]
    assert any((each.step, each.done, each.total) == ("embedding", 10, 10) for each in running)
    version = bench.models.get("part").version
    assert (version.origin, version.note, version.good_images) == ("fit", f"job {done.id}", 10)
    assert not list((tmp_path / "data" / "jobs").iterdir())

    odd, defect = with_defect(texture(100)), with_defect(texture(101), 255)
    (first, before), (second, _) = bench.inspect(odd), bench.inspect(defect)
    assert before > 0
    for id in (first, second):
        bench.store.feedback.add(id, Label.GOOD)
    task = bench.update_task()
    assert task.ids == (first, second)
    # It is asked for, and then somebody sees that one of the two has a defect.
    bench.store.feedback.add(second, Label.DEFECT)
    done = bench.end_of(bench.jobs.submit(task))
    assert (done.state, done.problem, done.version) == (JobState.DONE, None, 2)
    served = bench.models.get("part")
    assert served.inspector.metadata.good_images.count == 11
    assert served.inspector.metadata.updates[-1].name == f"job {done.id}"
    assert bench.inspect(odd)[1] < before
    assert bench.store.feedback.review("part") == []
    assert sorted(each.number for each in bench.store.models.versions("part")) == [1, 2]
    # The second is not learned from, also where it is called good after all.
    bench.store.feedback.add(second, Label.GOOD)
    assert [each.id for each in bench.store.feedback.review("part")] == [second]


def test_what_was_called_a_defect_is_learned_from_nowhere(bench: Bench, model: onlygood.Model) -> None:
    bench.models.add("part", model.file.content, origin="upload")
    defect = with_defect(texture(100))
    first, second = bench.inspect(defect)[0], bench.inspect(defect)[0]
    bench.store.feedback.add(first, Label.DEFECT)
    bench.store.feedback.add(second, Label.GOOD)  # by mistake
    failed = bench.end_of(bench.jobs.submit(bench.update_task()))
    assert failed.problem is not None and "needs false alarms that are marked good" in failed.problem
    bench.teach([*textures(10), defect])
    done = bench.end_of(bench.jobs.submit(bench.fit_task()))
    assert done.notes[0] == "1 image left out, as a person has called the same image a defect: ../10.png."
    assert bench.models.get("part").inspector.metadata.good_images.count == 10


def test_one_job_runs_at_a_time_and_those_that_wait_can_be_cancelled(bench: Bench) -> None:
    bench.teach(textures(1))  # too few: each job ends soon
    jobs = [bench.jobs.submit(bench.fit_task()) for _ in range(3)]
    assert bench.jobs.cancel(jobs[1].id).state is JobState.CANCELLED
    ends = [bench.end_of(job).state for job in jobs]
    assert ends == [JobState.FAILED, JobState.CANCELLED, JobState.FAILED]
    order = [(each.id, each.state) for each in bench.told if each.state in (JobState.RUNNING, *OVER)]
    assert order.index((jobs[0].id, JobState.FAILED)) < order.index((jobs[2].id, JobState.RUNNING))
    # One that is over stays as it is.
    assert bench.jobs.cancel(jobs[0].id).state is JobState.FAILED


def test_a_job_that_runs_can_be_cancelled(bench: Bench) -> None:
    bench.teach(textures(10))
    job = bench.jobs.submit(bench.fit_task())
    bench.wait(lambda each: each.step == "embedding", job.id)
    bench.jobs.cancel(job.id)
    assert bench.end_of(job).state is JobState.CANCELLED
    assert bench.store.models.names() == []


def test_what_cannot_be_done_fails_with_its_sentence(bench: Bench) -> None:
    with pytest.raises(SettingError, match="needs good images that it is taught with, got none"):
        bench.fit_task()
    bench.teach(textures(1))
    with pytest.raises(SettingError, match="did you mean 'bank_size'"):
        bench.fit_task(settings={"bank_sise": 1})
    with pytest.raises(SettingError, match="method must be one of"):
        bench.fit_task(method="patches")
    failed = bench.end_of(bench.jobs.submit(bench.fit_task()))
    assert failed.state is JobState.FAILED and failed.problem is not None
    assert failed.problem.startswith("fit needs at least 3 good images")
    with pytest.raises(NotFoundError, match="got 17"):
        bench.jobs.get(17)


def test_an_update_of_nothing_says_so(bench: Bench, model: onlygood.Model) -> None:
    bench.models.add("part", model.file.content, origin="upload")
    failed = bench.end_of(bench.jobs.submit(bench.update_task()))
    assert failed.problem is not None and "needs false alarms that are marked good" in failed.problem


def test_too_many_jobs_are_refused(bench: Bench) -> None:
    bench.teach(textures(10))
    first = bench.jobs.submit(bench.fit_task())
    bench.wait(lambda each: each.state is JobState.RUNNING, first.id)
    for _ in range(MOST_QUEUED):
        bench.jobs.submit(bench.fit_task())
    with pytest.raises(BusyError, match=f"at most {MOST_QUEUED} jobs may wait"):
        bench.jobs.submit(bench.fit_task())


def test_jobs_that_ran_when_the_station_stopped_are_interrupted(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data")
    bench.jobs.start()
    bench.teach(textures(10))
    running, waiting = bench.jobs.submit(bench.fit_task()), bench.jobs.submit(bench.fit_task())
    bench.wait(lambda each: each.step == "embedding", running.id)
    bench.jobs.stop()
    with pytest.raises(BusyError, match="is stopping"):
        bench.jobs.submit(bench.fit_task())
    assert [bench.end_of(each).state for each in (running, waiting)] == [JobState.INTERRUPTED] * 2
    bench.close()


def test_jobs_that_ran_when_the_station_died_are_interrupted_at_the_next_start(tmp_path: Path) -> None:
    before = Bench(tmp_path / "data")
    before.teach(textures(3))
    job = before.store.jobs.add("fit", "part", before.fit_task().request())
    before.store.jobs.update(job.id, JobState.RUNNING)
    before.store.close()
    left = tmp_path / "data" / "jobs" / "7"
    left.mkdir(parents=True)
    (left / "_new.onnx").write_bytes(b"half")
    after = Bench(tmp_path / "data")
    after.jobs.start()
    found = after.jobs.get(job.id)
    assert found.state is JobState.INTERRUPTED and found.problem is not None
    assert not left.exists()
    after.close()


def test_what_an_update_learned_before_a_power_loss_leaves_the_review_list(
    tmp_path: Path, model: onlygood.Model
) -> None:
    bench = Bench(tmp_path / "data")
    bench.models.add("part", model.file.content, origin="upload")
    ids = [bench.inspect(with_defect(texture(100 + number)))[0] for number in range(2)]
    for id in ids:
        bench.store.feedback.add(id, Label.GOOD)
    job = bench.store.jobs.add("update", "part", bench.update_task().request())
    updated = onlygood.update(model, [onlygood.NamedImage("further", with_defect(texture(100)))], accept_anomalous=True)
    # The version is kept, and then the power fails.
    bench.models.add("part", updated.file.content, origin="update", note=f"job {job.id}")
    bench.store.feedback.add(ids[1], Label.DEFECT)
    settle_interrupted(bench.store)
    bench.store.feedback.add(ids[1], Label.GOOD)
    assert [each.id for each in bench.store.feedback.review("part")] == [ids[1]]
    bench.close()


def test_a_model_that_cannot_be_kept_fails_the_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.teach(textures(10))

    def full(*_: object, **__: object) -> None:
        raise OnlygoodError("the disk is full")

    monkeypatch.setattr(bench.models, "add", full)
    failed = bench.end_of(bench.jobs.submit(bench.fit_task()))
    assert (failed.state, failed.problem) == (JobState.FAILED, "the disk is full")


def test_a_job_that_waits_and_whose_end_cannot_be_written_down_goes_on_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.jobs.stop()
    jobs = JobQueue(bench.store.jobs, bench.store.data / "jobs", publish=lambda _: None)  # none is run
    bench.teach(textures(1))
    job = jobs.submit(bench.fit_task())

    def update(*arguments: object, **others: object) -> Job:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store.jobs, "update", update)
        with pytest.raises(StoreError, match="the disk is full"):
            jobs.cancel(job.id)
    assert jobs.cancel(job.id).state is JobState.CANCELLED
