"""The sources of a station by their names: each can be started and stopped, and keeps those who look at it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import RLock

from onlygood.errors import NotFoundError, OnlygoodError, SourceError
from onlygood.station.line_run import LineRun
from onlygood.station.live_feed import LiveFeed
from onlygood.station.schemas import SourceState, SourceStatus
from onlygood.station.station_settings import SourceSettings
from onlygood.validation import nearest

_log = logging.getLogger("onlygood.station")

# A stream that is silent ends at its own limit.
STOP_TIMEOUT_S = 20.0


class Line:
    """One source. Any thread may call it.

    Args:
        settings: of the source.
        run: makes what watches it, not started yet.
    """

    def __init__(self, settings: SourceSettings, run: Callable[[SourceSettings, LiveFeed], LineRun]) -> None:
        self.settings = settings
        self.feed = LiveFeed()
        self._make = run
        self._run: LineRun | None = None
        self._model: str | None = None
        self._problem: str | None = None
        self._lock = RLock()

    def start(self) -> None:
        """Watch the source from now on; no error where it is watched already.

        Raises:
            SettingError: the settings cannot be right.
            MissingExtraError: the library that reads this kind is not installed.
            SourceError: it is still about to stop.
        """
        with self._lock:
            if self._run is not None and not self._run.is_over:
                if not self._run.is_stopping:
                    return
                raise SourceError(f"the source {self.settings.name} is about to stop: start it again in a moment")
            try:
                run = self._make(self.settings, self.feed)
            except OnlygoodError as error:
                self._problem = str(error)
                raise
            if self._model is not None:
                run.use(self._model)
            self._run, self._problem = run, None
            run.start()

    def ask_to_stop(self) -> None:
        """Take no more frames; returns at once."""
        run = self._run
        if run is not None:
            run.ask_to_stop()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Take no more frames, finish those that are in work, and return whether all that ended within the time."""
        run = self._run
        return run is None or run.stop(timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the source has ended and its frames are inspected, and return whether it has within the time."""
        run = self._run
        return run is None or run.wait(timeout_s)

    def use(self, model: str) -> None:
        """Have another model inspect its images, until the station ends or the settings of the source change.

        Args:
            model: its name.
        """
        with self._lock:
            self._model = model
            if self._run is not None:
                self._run.use(model)

    def trigger(self) -> None:
        """Have the next frame inspected.

        Raises:
            SettingError: the source runs free.
            SourceError: it is not there at the moment, or is stopped.
            BusyError: too many triggers wait.
        """
        run = self._run
        if run is None or run.is_stopping or run.is_over:
            raise SourceError(f"the source {self.settings.name} must run to take a trigger, and is stopped: start it")
        run.trigger()

    def status(self) -> SourceStatus:
        """How the source is doing."""
        run = self._run
        if run is not None and self._problem is None:
            return run.status
        settings = self.settings
        return SourceStatus(
            name=settings.name,
            kind=settings.kind,
            state=SourceState.STOPPED,
            model=self._model or settings.model,
            problem=self._problem,
        )


class Lines(Mapping[str, Line]):
    """The lines of a station, by the names of their sources.

    Args:
        run: makes what watches a source.
    """

    def __init__(self, run: Callable[[SourceSettings, LiveFeed], LineRun]) -> None:
        self._make = run
        self._lines: dict[str, Line] = {}
        self._lock = RLock()

    def __getitem__(self, name: str) -> Line:
        return self._lines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._lines))

    def __len__(self) -> int:
        return len(self._lines)

    def one(self, name: str) -> Line:
        """The line of a source.

        Raises:
            NotFoundError: there is none of this name.
        """
        found = self._lines.get(name)
        if found is None:
            known = tuple(self._lines)
            there = f"there are {', '.join(known)}" if known else "there is none yet"
            near = nearest(name, known)
            raise NotFoundError(f"a source must be one of the station's, got {name!r}, and {there}{near}")
        return found

    def apply(self, sources: Iterable[SourceSettings]) -> None:
        """Have these sources from now on: those that are new or were changed begin, if they start by themselves.

        Those that are as they were go on, or stay stopped. What keeps one from starting is said in its status.

        Args:
            sources: all of them.
        """
        with self._lock:
            wanted = {each.name: each for each in sources}
            gone = [line for name, line in self._lines.items() if wanted.get(name) != line.settings]
            _stop(gone)
            before = self._lines
            lines: dict[str, Line] = {}
            fresh: list[Line] = []
            for name, settings in wanted.items():
                known = before.get(name)
                if known is not None and known.settings == settings:
                    lines[name] = known
                    continue
                lines[name] = Line(settings, self._make)
                fresh.append(lines[name])
            self._lines = lines
            for line in fresh:
                if line.settings.starts:
                    _start(line)

    def statuses(self) -> tuple[SourceStatus, ...]:
        """How all are doing, in the order of the settings."""
        return tuple(line.status() for line in tuple(self._lines.values()))

    def stop(self) -> None:
        """Stop all of them at the same time."""
        with self._lock:
            _stop(tuple(self._lines.values()))


def _start(line: Line) -> None:
    try:
        line.start()
    except OnlygoodError as error:
        _log.warning("the source %s does not start: %s", line.settings.name, error)


def _stop(lines: Iterable[Line]) -> None:
    lines = tuple(lines)
    for line in lines:
        line.ask_to_stop()
    for line in lines:
        if not line.stop():
            _log.warning("the source %s did not end within %g s", line.settings.name, STOP_TIMEOUT_S)
