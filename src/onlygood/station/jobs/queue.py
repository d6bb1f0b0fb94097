"""Jobs one after another, each in a process of its own, and what is known of them meanwhile and after a restart."""

from __future__ import annotations

import logging
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any, Literal, Protocol

from onlygood._files import make_folder
from onlygood.errors import BusyError, OnlygoodError
from onlygood.station.jobs.process import JobProcess, Outcome
from onlygood.station.jobs.request import MODEL_FILE, Step, Work
from onlygood.station.schemas import Job, JobState, ModelVersion
from onlygood.station.store.job_book import JobBook

_log = logging.getLogger("onlygood.station")

FOLDER_NAME = "jobs"
# That wait for the one that runs.
MOST_QUEUED = 16
# Between two tries to write down what became of a job, where the database is away.
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Task(Protocol):
    """What a job does, but for its process: what it begins with, and what becomes of its model."""

    @property
    def kind(self) -> Literal["fit", "update"]:
        """Of the job."""

    @property
    def model(self) -> str:
        """The name of the model."""

    @property
    def notes(self) -> Sequence[str]:
        """On what is learned from, once it has begun."""

    def request(self) -> dict[str, Any]:
        """What is remembered of it."""

    def prepare(self, job: int, folder: Path) -> Work:
        """The work, whose images lie in the folder when it returns.

        Raises:
            OnlygoodError: it cannot be done.
        """

    def finish(self, job: int, content: bytes) -> ModelVersion:
        """Keep the model that was made, and return its version.

        Raises:
            OnlygoodError: it cannot be used or kept.
        """


@dataclass
class _Waiting:
    id: int
    task: Task
    is_cancelled: bool = False


class JobQueue:
    """Runs one job at a time, beside the inspections. Any thread may use it.

    Args:
        rows: where jobs are kept.
        folder: for the files of the job that runs; nothing else may lie there.
        publish: called with each new state of a job, a few times a second while it runs.
    """

    def __init__(self, rows: JobBook, folder: Path, *, publish: Callable[[Job], None]) -> None:
        self._rows, self._folder, self._publish = rows, folder, publish
        self._queue: deque[_Waiting] = deque()
        self._running: _Waiting | None = None
        self._process: JobProcess | None = None
        self._step: Step | None = None
        self._changed = Condition()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Say of the jobs before that they were interrupted, remove what they left, and run those that come.

        Raises:
            StoreError: the database cannot be written.
            WriteError: the folder cannot be made.
        """
        interrupted = self._rows.interrupt_unfinished()
        if interrupted:
            _log.warning("the station ended before %d of its jobs did: start them again", interrupted)
        shutil.rmtree(self._folder, ignore_errors=True)
        make_folder(self._folder)
        self._thread.start()

    def stop(self) -> None:
        """Interrupt the job that runs and those that wait, and end."""
        self._stopping.set()
        with self._changed:
            process = self._process
            self._changed.notify_all()
        if process is not None:
            process.cancel()
        if self._thread.is_alive():
            self._thread.join()
        while self._queue:
            waiting = self._queue.popleft()
            with suppress(OnlygoodError):  # else the next start says the same
                self._tell(self._rows.update(waiting.id, JobState.INTERRUPTED, problem=_INTERRUPTED))

    def submit(self, task: Task) -> Job:
        """Have a task done after those that wait.

        Raises:
            BusyError: too many wait, or the station is stopping.
            StoreError: it cannot be written down.
        """
        with self._changed:
            if self._stopping.is_set():
                raise BusyError("the station is stopping and begins no job: ask again later", retry_after_s=5.0)
            if len(self._queue) >= MOST_QUEUED:
                raise BusyError(
                    f"at most {MOST_QUEUED} jobs may wait, and as many do: wait for one to end, or cancel one",
                    retry_after_s=30.0,
                )
            job = self._rows.add(task.kind, task.model, task.request())
            self._queue.append(_Waiting(job.id, task))
            self._changed.notify_all()
        self._tell(job)
        return job

    def cancel(self, id: int) -> Job:
        """End a job, and return how it is then; one that is over stays as it is.

        The job that runs says that it is cancelled when its process has ended, a moment later.

        Raises:
            NotFoundError: there is none of this number.
            StoreError: it cannot be written down.
        """
        job = self.get(id)
        with self._changed:
            waiting = next((each for each in self._queue if each.id == id), None)
            if waiting is not None:
                # Before it leaves the queue: where this cannot be written down, it goes on waiting.
                job = self._rows.update(id, JobState.CANCELLED)
                self._queue.remove(waiting)
            elif self._running is not None and self._running.id == id:
                self._running.is_cancelled = True
                if self._process is not None:
                    self._process.cancel()
        if waiting is not None:
            self._tell(job)
        return job

    def get(self, id: int) -> Job:
        """A job as it is now.

        Raises:
            NotFoundError: there is none of this number.
            StoreError: the database cannot be read.
        """
        return self._with_step(self._rows.get(id))

    def list(self, *, model: str | None = None, limit: int = 50) -> list[Job]:
        """Jobs as they are now, the newest first.

        Args:
            model: whose; None for all.
            limit: at most so many.

        Raises:
            StoreError: the database cannot be read.
        """
        return [self._with_step(job) for job in self._rows.list(model=model, limit=limit)]

    def _with_step(self, job: Job) -> Job:
        running, step = self._running, self._step
        if job.state is not JobState.RUNNING or step is None or running is None or running.id != job.id:
            return job
        return job.model_copy(update={"step": step.step, "done": step.done, "total": step.total})

    # On the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping.is_set())
                if self._stopping.is_set():
                    return
                self._running = waiting = self._queue.popleft()
            try:
                self._do(waiting)
            except Exception:
                _log.exception("job %d failed in a way that is not foreseen", waiting.id)
                self._end(waiting, JobState.FAILED, problem="the job failed in a way that is not foreseen: see the log")
            finally:
                with self._changed:
                    self._running = self._process = self._step = None

    def _do(self, waiting: _Waiting) -> None:
        folder = self._folder / str(waiting.id)
        version: ModelVersion | None = None
        try:
            running = self._rows.update(waiting.id, JobState.RUNNING)
            self._tell(running)
            make_folder(folder)
            self._step = Step(step="collecting images", done=0, total=None)
            outcome = self._process_of(waiting, folder, running)
            if outcome.notes is not None:
                version = waiting.task.finish(waiting.id, (folder / MODEL_FILE).read_bytes())
        except OnlygoodError as error:
            outcome = Outcome(problem=str(error))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            outcome = Outcome(problem=f"the job's files cannot be written or read ({reason}): make room on the disk")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if version is not None:
            notes = (*waiting.task.notes, *(outcome.notes or ()))
            self._end(waiting, JobState.DONE, notes=notes, version=version.number)
        elif waiting.is_cancelled:
            self._end(waiting, JobState.CANCELLED)
        elif outcome.is_cancelled:
            self._end(waiting, JobState.INTERRUPTED, problem=_INTERRUPTED)
        else:
            self._end(waiting, JobState.FAILED, problem=outcome.problem)

    def _process_of(self, waiting: _Waiting, folder: Path, running: Job) -> Outcome:
        work = waiting.task.prepare(waiting.id, folder)
        process = JobProcess(work, folder, lambda step: self._told(running, step))
        with self._changed:
            if waiting.is_cancelled or self._stopping.is_set():
                return Outcome(is_cancelled=True)
            self._process = process
        return process.run()

    def _told(self, running: Job, step: Step) -> None:
        self._step = step
        self._tell(self._with_step(running))

    def _end(
        self,
        waiting: _Waiting,
        state: JobState,
        *,
        problem: str | None = None,
        notes: Sequence[str] = (),
        version: int | None = None,
    ) -> None:
        """Write down what became of a job, as long as it takes."""
        if problem is not None:
            _log.warning("job %d (%s of %s): %s", waiting.id, waiting.task.kind, waiting.task.model, problem)
        pauses = iter(_PAUSES_S)
        while True:
            try:
                job = self._rows.update(waiting.id, state, problem=problem, notes=notes, version=version)
            except OnlygoodError as error:
                _log.warning("what became of job %d cannot be written down yet: %s", waiting.id, error)
                if self._stopping.wait(next(pauses, _PAUSES_S[-1])):
                    return  # the next start says that it was interrupted
            else:
                self._tell(job)
                return

    def _tell(self, job: Job) -> None:
        try:
            self._publish(job)
        except Exception:
            _log.exception("who is told of jobs failed")


_INTERRUPTED = "the station was stopped before the job ended: start it again"
