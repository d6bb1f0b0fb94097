"""A station: everything that stands beside one line, put together. The pages, the HTTP interface and the command line
call its methods and nothing below them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from threading import Lock, Thread

from onlygood._files import make_folder
from onlygood.errors import OnlygoodError, SettingError, StoreError
from onlygood.images.reading import ReadingLimits, read_image
from onlygood.results import Inspection
from onlygood.station.drift_watch import DriftWatch
from onlygood.station.file_types import suffix_of
from onlygood.station.frames import Capture, make_source
from onlygood.station.hub import Hub
from onlygood.station.inspecting import Inspected, Inspecting, ToInspect
from onlygood.station.jobs.queue import FOLDER_NAME as JOBS_NAME
from onlygood.station.jobs.queue import JobQueue
from onlygood.station.jobs.tasks import FitTask, UpdateTask, settle_interrupted
from onlygood.station.line import Line, Lines
from onlygood.station.line_run import LineListener, LineRun
from onlygood.station.live_feed import LiveFeed
from onlygood.station.schemas import (
    DriftStatus,
    Event,
    FitRequest,
    Health,
    InspectionRecord,
    Job,
    Label,
    OutputStatus,
    ServedModel,
    SourceStatus,
    TaughtImage,
)
from onlygood.station.serving.folder import ModelFolder
from onlygood.station.serving.models import Served, ServedModels, check_name
from onlygood.station.serving.pool import Pool
from onlygood.station.settings_file import FILE_NAME as SETTINGS_NAME
from onlygood.station.settings_file import GivenSettings, SettingsFile
from onlygood.station.shown_images import ShownImages
from onlygood.station.station_settings import Limits, SourceSettings, StationSettings
from onlygood.station.store.seen import SeenIn
from onlygood.station.store.store import Store
from onlygood.station.telling import Telling
from onlygood.station.throughput import Throughput

_log = logging.getLogger("onlygood.station")


class Station:
    """A station with its memory, its models and whatever it watches. Safe to share between threads.

    Args:
        data: the folder that holds all that it remembers; made where it is not there. One station at a time uses it.
        models: a folder of model files that are served as well, and watched.
        url: of a PostgreSQL database; a SQLite database in the data folder unless given.
        settings: used instead of those in `station.json`, which is left alone.
        listener: told of the images of sources, on their threads, before the next one is taken.

    Raises:
        StoreError: the data folder or the database cannot be used, or another station uses them.
        SettingError: `station.json` in the data folder cannot be used, or there is no such folder of models.
    """

    def __init__(
        self,
        data: Path,
        *,
        models: Path | None = None,
        url: str | None = None,
        settings: StationSettings | None = None,
        listener: LineListener | None = None,
    ) -> None:
        self.data = data
        make_folder(data)
        self.settings_file: SettingsFile | GivenSettings = (
            SettingsFile(data / SETTINGS_NAME) if settings is None else GivenSettings(settings)
        )
        self.listener = listener
        # Of what serves the station, such as its certificate: a sentence each.
        self.other_problems: Callable[[], Iterable[str]] = tuple
        settings = self.settings_file.get()
        with ExitStack() as opened:
            self.store = Store(data, url=url, retention=settings.retention)
            opened.callback(self.store.close)
            self.hub = Hub()
            self.pool = Pool(
                workers=settings.limits.workers,
                queue_size=settings.limits.queue_size,
                queue_timeout_s=settings.limits.queue_timeout_s,
            )
            self.models = ServedModels(self.store.models, settings.limits, changed=self._model_changed)
            self.reading_limits = ReadingLimits(
                max_pixels=settings.limits.max_pixels, max_bytes=settings.limits.max_image_bytes
            )
            self.drift = DriftWatch(self.store.drift, false_drift_rate=settings.false_drift_rate)
            self.jobs = JobQueue(self.store.jobs, data / JOBS_NAME, publish=self._job_changed)
            self.telling = Telling(self.store.outbox, data, use_recipe=self._use_recipe)
            self.lines = Lines(self._run_of)
            opened.callback(self.pool.close)
            self._folder = None if models is None else ModelFolder(models, self.models)
            self._inspecting = Inspecting(
                self.models,
                self.pool,
                self.store.recorder,
                outputs=self.telling.names_for,
                drift=self._watch_drift,
                told=self._inspected,
            )
            opened.pop_all()
        self.shown = ShownImages(self.store, self.pool, self.reading_limits)
        self._throughput = Throughput()
        self._changing = Lock()

    # Life

    def start(self) -> None:
        """Load the models, and start what watches, delivers and cleans up.

        Raises:
            StoreError: the database cannot be written.
        """
        settle_interrupted(self.store)
        self.jobs.start()
        if self._folder is not None:
            self._folder.start()
        Thread(target=self.models.load_all, name="model-loading", daemon=True).start()
        settings = self.settings
        self.telling.apply(settings.outputs)
        self.lines.apply(settings.sources)

    def stop(self) -> None:
        """Finish what was taken, tell nothing new, and close the database."""
        with ExitStack() as closing:  # the last first, whatever one of them raises
            closing.callback(self.store.close)
            # What the recorder has still to write waits for the outputs at the next start.
            closing.callback(self.telling.stop)
            closing.callback(self._save_drift)
            closing.callback(self.pool.close)
            closing.callback(self.jobs.stop)
            closing.callback(self.lines.stop)
            if self._folder is not None:
                closing.callback(self._folder.stop)

    def _save_drift(self) -> None:
        try:
            self.drift.flush()
        except OnlygoodError as error:
            _log.warning("the newest scores of the drift tests are lost: %s", error)

    @property
    def settings(self) -> StationSettings:
        """What is set now."""
        return self.settings_file.get()

    def change_settings(self, change: Callable[[StationSettings], StationSettings]) -> StationSettings:
        """Set something else from now on, write it to `station.json`, and return all that is set.

        Sources and outputs that were changed begin again, and what waits for outputs that are no more is let go of. New
        limits and another broker of triggers hold from the next start on.

        Args:
            change: called with the settings as they are.

        Raises:
            SettingError: what `change` made cannot be used.
            WriteError: the file cannot be written; nothing is changed.
            StoreError: the database cannot be written, so that what waits for such outputs stays; the rest holds.
        """
        with self._changing:  # or an older change could be applied after a newer one
            settings = self.settings_file.change(change)
            self.store.retention.use(settings.retention)
            self.telling.apply(settings.outputs)
            self.lines.apply(settings.sources)
            # The last, as it needs the database: the rest holds all the same.
            self.store.outbox.keep_only([each.name for each in settings.outputs])
            return settings

    # Inspecting

    def submit(self, image: ToInspect, *, waits_s: float = 0.0) -> Future[Inspected]:
        """The future inspection of an image; it is remembered when the future has a result.

        Raises:
            NotFoundError: there is no such model.
            BusyError: the queue is full.
            ModelFileError: the model cannot be used.
        """
        return self._inspecting.submit(image, waits_s=waits_s)

    # What was inspected

    def inspection(self, id: int) -> InspectionRecord:
        """What is remembered of an inspection.

        Raises:
            NotFoundError: there is none of this id.
        """
        return self.store.inspections.get(id)

    def give_feedback(self, id: int, label: Label, *, by: str = "", note: str = "") -> InspectionRecord:
        """What a person says of an inspection; the latest one holds.

        Raises:
            NotFoundError: there is no such inspection.
        """
        record = self.store.feedback.add(id, label, by=by, note=note)
        self.hub.publish(Event(kind="feedback", inspection=record))
        return record

    # Teaching

    def teach(self, model: str, content: bytes, *, name: str) -> TaughtImage:
        """Add a good image to those that a model is to learn from; one that is there already is not added again.

        Raises:
            SettingError: a name that cannot be used.
            ImageError: the image cannot be read.
        """
        check_name(model)
        pixels = read_image(content, name=name, limits=self.reading_limits)
        height, width = pixels.shape[:2]
        return self.store.taught.add(
            model, name=name, content=content, suffix=suffix_of(content), width=width, height=height
        )

    def fit(self, asked: FitRequest) -> Job:
        """Fit a model to what it is taught with, in the background; it is served when the job is done.

        Raises:
            SettingError: a name, method or setting that cannot be used, or no images.
            BusyError: too many jobs wait.
        """
        return self.jobs.submit(FitTask(asked, self.store, self.models, self._limits))

    def update(self, model: str) -> Job:
        """Update a model with its false alarms that were marked good, in the background, as a new version.

        Raises:
            NotFoundError: there is no such model.
            SettingError: no false alarm is marked good and not yet learned from.
            BusyError: too many jobs wait.
        """
        self.models.get(model)
        ids = tuple(each.id for each in self.store.feedback.review(model))
        if not ids:
            raise SettingError(
                f"an update of {model} needs false alarms that are marked good and whose images are kept, got none: "
                "mark some"
            )
        return self.jobs.submit(UpdateTask(model, ids, self.store, self.models, self._limits))

    # Watching

    def line(self, name: str) -> Line:
        """The line of a source.

        Raises:
            NotFoundError: there is no source of this name.
        """
        return self.lines.one(name)

    # How it is doing

    @property
    def is_ready(self) -> bool:
        """Whether it can remember what it inspects."""
        return self.store.recorder.is_recording

    def health(self) -> Health:
        """How the station is doing now."""
        problems = [*self.models.problems, *self.store.problems(), *self.other_problems()]
        models: tuple[ServedModel, ...] = ()
        drift: tuple[DriftStatus, ...] = ()
        is_ready = self.is_ready
        try:
            models, drift = self.models.all(), self.drift_statuses()
        except StoreError as error:  # the database is away: what is known without it is said all the same
            problems += [] if str(error) in problems else [str(error)]
            is_ready = False
        return Health(
            is_ready=is_ready,
            problems=tuple(problems),
            doubts_clock=self.store.retention.doubts_clock,
            uptime_s=self._throughput.uptime_s,
            queued=self.pool.queued,
            queue_size=self.pool.queue_size,
            inspections_per_s=self._throughput.per_s,
            disk_free_bytes=self.store.free_bytes(),
            kept_bytes=self.store.kept_bytes(),
            sources=self.source_statuses(),
            outputs=self.output_statuses(),
            models=models,
            drift=drift,
        )

    def source_statuses(self) -> tuple[SourceStatus, ...]:
        """Of all sources."""
        return self.lines.statuses()

    def output_statuses(self) -> tuple[OutputStatus, ...]:
        """Of all outputs."""
        return self.telling.statuses()

    def drift_statuses(self) -> tuple[DriftStatus, ...]:
        """Of the active versions of all models that can be used."""
        served = (self.models.ready(name) for name in self.store.models.names())
        return tuple(self.drift.status(each) for each in served if each is not None)

    def trust_clock(self) -> None:
        """Believe the clock of this computer as it is now, since a person has looked at it.

        Raises:
            StoreError: the database cannot be written.
        """
        self.store.retention.trust_clock()
        _log.info("the clock of this computer is believed again: a person said that it is right")

    def settle_drift(self, model: str, *, baseline: int | None = None) -> DriftStatus:
        """Begin the drift test of a model's active version again, since a person has settled the cause.

        Args:
            model: its name.
            baseline: compare with so many next images, which are right as they are, instead of the calibration scores.

        Raises:
            NotFoundError: there is no such model.
            SettingError: a baseline that cannot be used, or a model that cannot be tested.
        """
        status = self.drift.settled(self.models.get(model), baseline=baseline)
        self.hub.publish(Event(kind="drift", drift=status))
        return status

    def _watch_drift(self, served: Served, inspection: Inspection, is_recorded: bool) -> tuple[str, str] | None:
        news = self.drift.add(served, inspection, is_recorded=is_recorded)
        if news.found is not None:
            self.hub.publish(Event(kind="drift", drift=news.found))
        return news.state

    def _inspected(self, record: InspectionRecord) -> None:
        self._throughput.note()
        self.hub.publish(Event(kind="inspection", inspection=record))
        self.telling.wake()

    def _run_of(self, settings: SourceSettings, feed: LiveFeed) -> LineRun:
        """What watches a source, not started yet."""
        source = make_source(settings, seen=SeenIn(self.store.seen, settings.name), limits=self.reading_limits)
        broker = self.settings.trigger_broker
        return LineRun(
            settings,
            lambda told: Capture(source, settings, broker=broker, on_status=told),
            is_live=source.is_live,
            inspect=lambda image, waits_s: self.submit(image, waits_s=waits_s),
            unreadable=self.store.seen,
            feed=feed,
            publish=self.hub.publish,
            limits=self.reading_limits,
            listener=self.listener,
        )

    def _use_recipe(self, model: str) -> bool:
        """Have a model inspect the images of all sources that are inspected, as a controller asks for."""
        if model not in self.store.models.names():
            _log.warning(
                "a controller asks for the model %s, and there is none of that name: no model is changed", model
            )
            return False
        for line in self.lines.values():
            if line.settings.model is not None:
                line.use(model)
        return True

    def _job_changed(self, job: Job) -> None:
        self.hub.publish(Event(kind="job", job=job))

    def _limits(self) -> Limits:
        return self.settings.limits

    def _model_changed(self, model: ServedModel) -> None:
        self.hub.publish(Event(kind="model", model=model))
