"""The thread that reads a source: it keeps the newest frame at hand, and opens the source again when it was lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from onlygood.errors import BusyError, OnlygoodError, SettingError, SourceError
from onlygood.station.frames.backoff import Backoff
from onlygood.station.frames.frame import EndOfSource, Frame, FrameSource
from onlygood.station.frames.hand_over import MOST_TRIGGERED, HandOver
from onlygood.station.frames.mqtt_trigger import MqttTrigger
from onlygood.station.said_lately import SaidLately
from onlygood.station.schemas import SourceState, SourceStatus
from onlygood.station.station_settings import Mqtt, SourceSettings

log = logging.getLogger("onlygood.station")

_POLL_S = 0.25


class Capture:
    """One source that is read on a thread of its own, until it is stopped or ends.

    Errors of the source never end the thread: it says `SourceState.LOST` and why, waits with growing pauses, and opens
    the source again. A trigger takes the first frame that arrives after it; triggers that come before that frame does
    take it together, and all but one of them add to `skipped`. With triggers, frames wait in their order until they are
    taken.

    Example:
        >>> from onlygood.station.frames import Capture, make_source
        >>> from onlygood.station.station_settings import FolderSource
        >>> settings = FolderSource(name="belt", path="new", settle_s=0)
        >>> with Capture(make_source(settings), settings) as capture:
        ...     frame = capture.next(timeout_s=30)
        >>> frame.name, len(frame.key)
        ('0.png', 64)
    """

    def __init__(
        self,
        source: FrameSource,
        settings: SourceSettings,
        *,
        broker: Mqtt | None = None,
        on_status: Callable[[SourceStatus], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Nothing is opened before `start`.

        Args:
            source: that is read; nobody else may use it.
            settings: of the source: its name, trigger and rate.
            broker: that triggers come from, where the source has them by MQTT.
            on_status: is called with each new state, on the threads of the source and of its triggers; it may call
                `status`, and must not wait.
            backoff: pauses before the source is opened again.

        Raises:
            SettingError: triggers come by MQTT, and no broker or no topic is set.
        """
        self._source, self._settings = source, settings
        self._on_status = on_status
        self._backoff = backoff or Backoff()
        self._frames = HandOver(settings.max_frames_per_s)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._triggered = threading.Event()
        self._state, self._problem, self._trigger_problem = SourceState.STOPPED, "", ""
        self._reconnects = self._pending = 0
        # A source that opens and gives no image is lost again and again, and triggers come many times a second.
        self._said, self._said_of_triggers = SaidLately(), SaidLately()
        self._thread: threading.Thread | None = None
        self._trigger: MqttTrigger | None = None
        if settings.trigger == "mqtt":
            self._trigger = MqttTrigger(
                broker or Mqtt(),
                settings.trigger_topic,
                settings.name,
                self._triggered_by_mqtt,
                self._set_trigger_problem,
            )

    # For who inspects

    def start(self) -> None:
        """Open the source and read it from now on; returns at once.

        Raises:
            RuntimeError: it was started before. A capture that was stopped is not started again: make another.
        """
        if self._thread is not None:
            raise RuntimeError("a capture is started once")
        self._thread = threading.Thread(target=self._run, name=f"source {self._settings.name}", daemon=True)
        self._thread.start()
        if self._trigger is not None:
            self._trigger.start()

    def stop(self, timeout_s: float = 20.0) -> bool:
        """Stop reading; whether the thread ended within the time. Frames that wait can still be taken.

        Args:
            timeout_s: to wait. A stream that is silent in this moment ends at its own limit.
        """
        self._stopping.set()
        self._triggered.set()
        self._frames.close()
        if self._trigger is not None:
            self._trigger.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def next(self, timeout_s: float) -> Frame | None:
        """The newest frame, or the oldest that waits where none may be passed over; None where none came in time.

        Args:
            timeout_s: to wait for one. None comes at once where the source has ended or was stopped: see `is_over`.
        """
        return self._frames.take(timeout_s)

    def trigger(self) -> None:
        """Have the next frame that arrives inspected.

        Raises:
            SettingError: the source runs free.
            SourceError: it is not there at the moment.
            BusyError: too many triggers wait for the inspection.
        """
        name = self._settings.name
        if self._settings.trigger == "free":
            raise SettingError(f"the source {name} runs free, so that it takes no triggers: set its trigger to 'http'")
        with self._lock:
            if self._state is not SourceState.WAITING:
                because = f" ({self._problem})" if self._problem else ""
                raise SourceError(
                    f"the source {name} must be waiting for a trigger to take one, and is {self._state.value}"
                    f"{because}: trigger again when it is back"
                )
            if self._pending + self._frames.waiting >= MOST_TRIGGERED:
                raise BusyError(
                    f"the source {name} lets up to {MOST_TRIGGERED} triggers wait for an inspection, and so many do: "
                    "trigger more slowly, or inspect faster",
                    retry_after_s=1.0,
                )
            self._pending += 1
        self._triggered.set()

    @property
    def is_over(self) -> bool:
        """Whether no frame waits and none will come."""
        return self._frames.is_over

    @property
    def status(self) -> SourceStatus:
        """How the source is doing; `frames` are those that were taken by `next`."""
        frames = self._frames
        with self._lock:
            return SourceStatus(
                name=self._settings.name,
                kind=self._settings.kind,
                state=self._state,
                model=self._settings.model,
                problem=self._problem or self._trigger_problem or None,
                frames=frames.taken,
                skipped=frames.skipped,
                reconnects=self._reconnects,
                frames_per_s=frames.frames_per_s(),
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # On the thread

    def _run(self) -> None:
        state, problem = SourceState.STOPPED, ""
        lost_at: float | None = None
        try:
            while not self._stopping.is_set():
                try:
                    self._set(SourceState.STARTING if lost_at is None else SourceState.LOST, self._problem)
                    self._source.open()
                    if lost_at is not None:
                        self._say_it_is_back(time.monotonic() - lost_at)
                        lost_at = None
                    self._set(SourceState.RUNNING if self._settings.trigger == "free" else SourceState.WAITING, "")
                    self._read()
                except EndOfSource as end:
                    state, problem = SourceState.ENDED, end.problem
                    if problem:
                        log.warning("source %s: %s", self._settings.name, problem)
                    return
                except OnlygoodError as error:
                    lost_at = lost_at or time.monotonic()
                    self._lose(str(error))
                except Exception as error:  # whatever it is, the line goes on when the source does
                    if self._said.is_news(type(error).__name__):
                        log.exception("the source %s failed in a way that it does not foresee", self._settings.name)
                    lost_at = lost_at or time.monotonic()
                    self._lose(f"the source {self._settings.name} failed ({type(error).__name__}): the log says where")
                finally:
                    self._close()
        finally:
            self._frames.close()
            self._set(state, problem)

    def _read(self) -> None:
        """Hand frames over until the capture is stopped.

        Raises:
            SourceError: the source was lost.
            EndOfSource: it has no more frames.
        """
        number = 0
        is_live, is_free = self._source.is_live, self._settings.trigger == "free"
        while not self._stopping.is_set():
            if not is_live and not self._may_read(is_free):
                continue
            frame = self._source.read(_POLL_S)
            self._backoff.reset()
            if frame is None:
                continue
            self._said.forget()
            passed_over, number = frame.number - number - 1, frame.number
            if is_free:
                self._frames.skip(max(0, passed_over))
                if is_live:
                    self._frames.put_newest(frame)
                else:
                    self._frames.put_behind(frame)
            elif triggers := self._take_triggers(1 if not is_live else None):
                self._frames.skip(triggers - 1)
                self._frames.put_behind(frame)

    def _may_read(self, is_free: bool) -> bool:
        """Whether a frame is asked for, of a source of which none may be passed over; waits a little."""
        if is_free:
            return self._frames.wait_for_room(_POLL_S)
        self._triggered.wait(_POLL_S)
        with self._lock:
            if self._pending == 0 and not self._stopping.is_set():
                self._triggered.clear()
            return self._pending > 0

    def _take_triggers(self, most: int | None) -> int:
        """How many triggers wait, which from now on do not."""
        with self._lock:
            taken = self._pending if most is None else min(most, self._pending)
            self._pending -= taken
            return taken

    def _lose(self, problem: str) -> None:
        with self._lock:
            dropped, self._pending = self._pending, 0
            is_news = problem != self._problem
        self._frames.skip(dropped)
        if is_news and self._said.is_news(problem):
            log.warning("source %s: %s", self._settings.name, problem)
        self._set(SourceState.LOST, problem)
        self._close()
        self._stopping.wait(self._backoff.next_s())

    def _say_it_is_back(self, after_s: float) -> None:
        with self._lock:
            self._reconnects += 1
        if self._said.is_news("it is back"):
            log.info("the source %s is back after %.1f s", self._settings.name, after_s)

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception:
            log.exception("the source %s could not be closed", self._settings.name)

    def _set(self, state: SourceState, problem: str) -> None:
        with self._lock:
            is_news = (state, problem) != (self._state, self._problem)
            self._state, self._problem = state, problem
        if is_news:
            self._tell()

    # On the thread of the triggers

    def _triggered_by_mqtt(self) -> None:
        try:
            self.trigger()
        except OnlygoodError as error:
            if self._said_of_triggers.is_news(str(error)):
                log.warning("a trigger by MQTT was passed over: %s", error)
            self._frames.skip(1)

    def _set_trigger_problem(self, problem: str) -> None:
        """Say why triggers cannot come; an empty text where they can."""
        with self._lock:
            is_news = problem != self._trigger_problem
            self._trigger_problem = problem
        if is_news and problem:
            log.warning("source %s: no triggers come, as %s", self._settings.name, problem)
        if is_news:
            self._tell()

    def _tell(self) -> None:
        if self._on_status is None:
            return
        try:
            self._on_status(self.status)
        except Exception:
            log.exception("who is told of the source %s failed", self._settings.name)
