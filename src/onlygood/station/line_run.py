"""One source that is watched, from its start to its stop: its frames are inspected, recorded and shown.

Of a live source at most one frame is inspected while the newest one waits; those that triggers took wait for room in
the queue. Of a folder or a video file none is left out: what cannot be inspected or recorded now is tried again until
it can.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread
from typing import Protocol

from onlygood.errors import BusyError, ImageError, ModelFileError, NotFoundError, OnlygoodError, StoreError
from onlygood.images.reading import ReadingLimits
from onlygood.station.alarm import AlarmReading, AlarmWindow
from onlygood.station.encoding import EncodedFrame, encode_frame
from onlygood.station.frames.capture import Capture
from onlygood.station.frames.frame import Frame
from onlygood.station.inspecting import NOT_RECORDED, Inspected, ToInspect
from onlygood.station.live_feed import LiveFeed, LiveFrame
from onlygood.station.said_lately import SaidLately
from onlygood.station.schemas import Event, SourceStatus
from onlygood.station.station_settings import SourceSettings
from onlygood.station.store.seen import Seen
from onlygood.station.store.transaction import AlreadySeen

_log = logging.getLogger("onlygood.station")

# Of a source of which no frame is left out, those that are inspected at once: two cores, two images.
DEPTH = 2
_POLL_S = 0.25
_SOON_S = 0.02
# Before what cannot be done now is tried again.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
# An image on which the station fails in a way that it does not foresee is given up after so many times.
_MOST_TRIES = 3


class LineListener(Protocol):
    """Who is told of the images of sources, on the threads of these: the next image waits until it returns."""

    def inspected(self, found: Inspected) -> None:
        """An image was inspected, and recorded where it is to be."""

    def refused(self, source: str, name: str, problem: str) -> None:
        """An image of a source cannot be inspected: why, in a sentence."""


@dataclass
class _InWork:
    frame: Frame
    encoded: EncodedFrame
    image: ToInspect
    future: Future[Inspected]


class LineRun:
    """Watches one source, once, on a thread of its own. What goes wrong is said in its status, and never ends it.

    Args:
        settings: of the source.
        capture: makes what reads the source, which tells its states to whoever it is given.
        is_live: whether only the newest frame counts.
        inspect: hands an image to the station and waits as many seconds for room; BusyError where there is none.
        unreadable: where images are marked that cannot be inspected.
        feed: who looks at the source is shown its frames there.
        publish: called with events of the source.
        limits: bounds on images.
        listener: told of each image.
    """

    def __init__(
        self,
        settings: SourceSettings,
        capture: Callable[[Callable[[SourceStatus], None]], Capture],
        *,
        is_live: bool,
        inspect: Callable[[ToInspect, float], Future[Inspected]],
        unreadable: Seen,
        feed: LiveFeed,
        publish: Callable[[Event], None],
        limits: ReadingLimits,
        listener: LineListener | None = None,
    ) -> None:
        self.settings, self.feed = settings, feed
        self._model = settings.model
        self._inspect, self._unreadable, self._publish, self._limits = inspect, unreadable, publish, limits
        self._listener = listener
        self._depth = 1 if is_live else DEPTH
        self._is_live = is_live
        # A frame that a trigger took is that of one part, and no newer one is of the same.
        self._may_pass_over = is_live and settings.trigger == "free"
        self._capture = capture(self._tell)
        self._alarm = AlarmWindow(settings.alarm)
        self._lock = Lock()
        self._problem: str | None = None
        self._inspected = self._passed_over = self._sequence = 0
        self._sha256 = ""
        self._logged, self._failures = SaidLately(), SaidLately()
        self._stopping = Flag()
        self._thread = Thread(target=self._run, name=f"line {settings.name}", daemon=True)

    # For the station

    def start(self) -> None:
        """Watch the source from now on; returns at once. A line is started once."""
        self._capture.start()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Take no more frames; returns at once."""
        self._stopping.set()
        self._capture.stop(0.0)

    def stop(self, timeout_s: float = 20.0) -> bool:
        """Take no more frames, finish what is in work, and return whether everything ended within the time."""
        self._stopping.set()
        is_stopped = self._capture.stop(timeout_s)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return is_stopped and not self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    @property
    def is_over(self) -> bool:
        """Whether it was started and has ended."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the source has ended and all its frames are inspected; whether it has within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def trigger(self) -> None:
        """Have the next frame inspected.

        Raises:
            SettingError: the source runs free.
            SourceError: it is not there at the moment.
            BusyError: too many triggers wait.
        """
        self._capture.trigger()

    def use(self, model: str) -> None:
        """Have another model inspect from the next frame on.

        Args:
            model: its name.
        """
        self._model = model

    @property
    def status(self) -> SourceStatus:
        """How the source is doing."""
        return self._with_ours(self._capture.status)

    def _with_ours(self, status: SourceStatus) -> SourceStatus:
        with self._lock:
            return status.model_copy(
                update={
                    "model": self._model,
                    "frames": self._inspected,
                    "skipped": status.skipped + self._passed_over,
                    "problem": status.problem or self._problem,
                    "is_alarmed": self._alarm.is_alarmed,
                }
            )

    def _tell(self, status: SourceStatus) -> None:
        self._publish(Event(kind="source", source=self._with_ours(status)))

    # On the thread

    def _run(self) -> None:
        in_work: deque[_InWork] = deque()
        while True:
            try:
                if not self._go_on(in_work):
                    break
            except Exception as error:  # whatever it is, the next frame is looked at
                if self._failures.is_news(f"the line: {type(error).__name__}"):
                    _log.exception("the line %s failed in a way that is not foreseen", self.settings.name)
                self._say(_unforeseen(self.settings.name, error))
                self._stopping.wait(_FIRST_PAUSE_S)
        with self._lock:
            was_alarmed = self._alarm.reset()
        if was_alarmed:
            self._publish_alarm()

    def _go_on(self, in_work: deque[_InWork]) -> bool:
        """Finish what is ready, and begin with the next frame; False when there will be none."""
        while in_work and (len(in_work) >= self._depth or in_work[0].future.done()):
            self._finish(in_work.popleft())
        patience_s = _SOON_S if in_work else _POLL_S
        frame = None if self._stopping.is_set() else self._capture.next(patience_s)
        if frame is not None:
            begun = self._begin(frame)
            if begun is not None:
                in_work.append(begun)
            return True
        if in_work:
            self._finish(in_work.popleft())
            return True
        return not (self._stopping.is_set() or self._capture.is_over)

    def _begin(self, frame: Frame) -> _InWork | None:
        """Hand a frame to the station; None where it is not inspected."""
        self._sequence += 1
        try:
            if frame.problem is not None:
                raise ImageError(frame.problem)
            encoded = encode_frame(frame, self._limits)
        except ImageError as error:
            self._give_up(frame, str(error), EncodedFrame(frame.content or b"", ""))
            return None
        model = self._model
        if model is None:
            self._say(None)
            self._show(frame, encoded)
            return None
        image = self._to_inspect(frame, encoded, model)
        future = self._submitted(image)
        return None if future is None else _InWork(frame, encoded, image, future)

    def _to_inspect(self, frame: Frame, encoded: EncodedFrame, model: str) -> ToInspect:
        settings = self.settings
        is_single = settings.kind == "folder" or settings.trigger != "free"
        return ToInspect(
            model=model,
            content=encoded.content,
            source=settings.name,
            name=frame.name,
            at=frame.at,
            keep=settings.record,
            with_map=self.feed.is_watched,
            seen_key=frame.key,
            watches_drift=is_single if settings.watches_drift is None else settings.watches_drift,
        )

    def _submitted(self, image: ToInspect) -> Future[Inspected] | None:
        """What will be said of a frame; None where it is passed over, or the line stops."""
        while not self._stopping.is_set():
            try:
                return self._inspect(image, 0.0 if self._may_pass_over else _POLL_S)
            except BusyError:
                if self._may_pass_over:
                    self._pass_over()
                    return None
            except OnlygoodError as error:
                failed: Future[Inspected] = Future()
                failed.set_exception(error)
                return failed
        return None

    def _finish(self, work: _InWork) -> None:
        """Wait for what is said of a frame, and make it known; again and again where that must not be lost."""
        pause_s, tries = _FIRST_PAUSE_S, 0
        while True:
            try:
                self._known(work, work.future.result())
                return
            except AlreadySeen:  # it was recorded before a restart, or by a try whose answer was lost
                self._say(None)
                return
            except BusyError:
                if self._may_pass_over:
                    self._pass_over()
                    return
            except (NotFoundError, ModelFileError, StoreError) as error:
                self._say(str(error))
                if self._is_live:
                    self._show(work.frame, work.encoded, problem=str(error))
                    return
            except ImageError as error:
                self._give_up(work.frame, str(error), work.encoded)
                return
            except Exception as error:
                tries += 1
                if self._failures.is_news(f"an image: {type(error).__name__}"):
                    _log.exception("the image %s of %s cannot be inspected", work.frame.name, self.settings.name)
                if self._is_live or tries >= _MOST_TRIES:
                    self._give_up(work.frame, _unforeseen(work.frame.name, error), work.encoded)
                    return
            if self._stopping.wait(pause_s):
                return  # it has no record, so the next start finds it again
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            future = self._submitted(work.image)
            if future is None:
                return
            work.future = future

    def _known(self, work: _InWork, found: Inspected) -> None:
        """An image was inspected, and recorded where it is to be."""
        inspection = found.inspection
        with self._lock:
            self._inspected += 1
            was_alarmed = self._alarm.is_alarmed
            if found.record.model_sha256 != self._sha256:  # scores of another version are in another unit
                self._alarm.reset()
                self._sha256 = found.record.model_sha256
            reading = self._alarm.add(inspection.score, is_anomaly=inspection.is_anomaly)
        self._say(None)
        if reading.is_alarmed is not was_alarmed:
            self._publish_alarm(reading)
        self._show(work.frame, work.encoded, found=found, reading=reading)
        if self._listener is not None:
            self._listener.inspected(found)

    def _give_up(self, frame: Frame, problem: str, encoded: EncodedFrame) -> None:
        """An image cannot be inspected: one of a folder is not tried again, and the reason is kept."""
        if frame.key is None:  # the next one may well have the same
            problem = problem.replace(frame.name, f"the image of {self.settings.name}")
        while frame.key is not None:
            try:
                self._unreadable.mark_unreadable(self.settings.name, frame.key, problem)
                break
            except OnlygoodError as error:
                self._say(str(error))
                if self._stopping.wait(_FIRST_PAUSE_S):
                    return
        self._say(problem)
        self._show(frame, encoded, problem=problem)
        if self._listener is not None:
            self._listener.refused(self.settings.name, frame.name, problem)

    def _pass_over(self) -> None:
        with self._lock:
            self._passed_over += 1

    def _say(self, problem: str | None) -> None:
        """Have the status say what is wrong, or nothing where it works, and the log once."""
        with self._lock:
            before, self._problem = self._problem, problem
        if problem == before:
            return
        if problem is not None and self._logged.is_news(problem):
            _log.warning("source %s: %s", self.settings.name, problem)
        self._publish(Event(kind="source", source=self.status))

    def _publish_alarm(self, reading: AlarmReading | None = None) -> None:
        name, status = self.settings.name, self.status
        sentence = None
        if status.is_alarmed and reading is not None:
            sentence = f"{reading.anomalous} of the last {reading.images} images of {name} are anomalous"
            _log.warning("alarm: %s", sentence)
        else:
            _log.info("the alarm of %s is over", name)
        self._publish(Event(kind="alarm", source=status, problem=sentence))

    def _show(
        self,
        frame: Frame,
        encoded: EncodedFrame,
        *,
        found: Inspected | None = None,
        reading: AlarmReading | None = None,
        problem: str | None = None,
    ) -> None:
        width, height = (encoded.width, encoded.height) if found is None else (found.record.width, found.record.height)
        is_recorded = found is not None and found.record.id != NOT_RECORDED
        self.feed.publish(
            LiveFrame(
                sequence=self._sequence,
                at=frame.at,
                name=frame.name,
                content=encoded.content,
                suffix=encoded.suffix,
                width=width,
                height=height,
                model=self._model,
                version=None if found is None else found.served.version,
                inspection=None if found is None else found.inspection,
                record=found.record if found is not None and is_recorded else None,
                average=None if reading is None else reading.mean_score,
                anomalous=0 if reading is None else reading.anomalous,
                of=0 if reading is None else reading.images,
                is_alarmed=self._alarm.is_alarmed,
                problem=problem,
            )
        )


def _unforeseen(name: str, error: Exception) -> str:
    return f"{name} cannot be inspected, by an error that is not foreseen ({type(error).__name__}): report it"
