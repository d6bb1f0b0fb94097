"""`onlygood watch`: inspect what a source gives, as it comes, without a page."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from onlygood._extras import need_extra
from onlygood._plurals import pluralize
from onlygood.cli.console import EXIT_ANOMALY, EXIT_ERROR, EXIT_GOOD
from onlygood.cli.inspection_output import JsonLines, Output, Table
from onlygood.cli.options import add_false_alarm_rate, add_settings, add_threshold, rate_sentences
from onlygood.cli.trust import add_model_options
from onlygood.cli.watch_settings import watch_settings
from onlygood.errors import ImageError, SettingError
from onlygood.settings import FitSettings

if TYPE_CHECKING:
    from onlygood.inspector import Inspector
    from onlygood.station.inspecting import Inspected
    from onlygood.station.station import Station
    from onlygood.station.station_settings import StationSettings

_LIBRARIES = {"sqlalchemy": "SQLAlchemy", "alembic": "Alembic"}
# Wide enough for the names of most images, which are not known beforehand.
_NAME_WIDTH = "camera 1000000"
_RECORDS = ("all", "anomalous", "none")
_WAIT_S = 0.5


def add_options(watch: argparse.ArgumentParser) -> None:
    """The options of `onlygood watch`."""
    watch.description = (
        "Inspect what a camera, a stream, a video or a folder gives, as it comes, and print a line for each image. It "
        "runs until the source ends, as a video does, or until Ctrl-C or SIGTERM, and then says how many images there "
        "were. Exit code: 0 if all were good, 1 if any was anomalous, 2 on an error or if any could not be inspected."
    )
    watch.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    which = watch.add_argument_group("what is watched").add_mutually_exclusive_group()
    which.add_argument("--camera", metavar="N", help="a camera at this computer, by its number or its device's path")
    which.add_argument("--rtsp", metavar="URL", help="a camera in the network")
    which.add_argument("--video", metavar="FILE", help="a video file, each frame")
    which.add_argument(
        "--folder",
        metavar="FOLDER",
        help="a folder into which other programs write images, and those below it; what is there is inspected first",
    )
    how = watch.add_argument_group("how it is watched")
    how.add_argument("--width", type=int, metavar="PIXELS", help="of a camera's images (default: 640)")
    how.add_argument("--height", type=int, metavar="PIXELS", help="of a camera's images (default: 480)")
    how.add_argument(
        "--realtime", action="store_true", help="play a video at its own speed, and leave out frames as a camera would"
    )
    how.add_argument(
        "--max-frames-per-s", type=float, metavar="N", help="inspect at most so many images a second (default: all)"
    )
    how.add_argument(
        "--alarm",
        metavar="M/N",
        help="raise an alarm when M of the last N images are anomalous: a line on stderr (default: 3/5)",
    )
    memory = watch.add_argument_group("what becomes of it")
    memory.add_argument(
        "--data",
        metavar="FOLDER",
        help="remember inspections here, as a station does, whose page shows them later; and inspect no image of a "
        "folder twice, also across runs (default: nothing is kept)",
    )
    memory.add_argument(
        "--record", choices=_RECORDS, help="with --data: which inspections are remembered (default: all)"
    )
    memory.add_argument(
        "--output",
        action="append",
        metavar="WHERE",
        help="with --data: tell of each inspection that is remembered, again and again until it is taken: a file of "
        "JSON lines, https://..., mqtt://host/topic, modbus://host:port or opc.tcp://...; may be given several times",
    )
    watch.add_argument("--json", action="store_true", help="one JSON object a line on stdout, nothing else there")
    watch.add_argument("--threads", type=int, default=0, help="images worked on at once; 0 for one a core")
    add_settings(watch, FitSettings, "max_pixels", "max_bytes", with_defaults=True)
    add_false_alarm_rate(watch)
    add_threshold(watch)
    add_model_options(watch)
    watch.set_defaults(command=run_watch)


def run_watch(options: argparse.Namespace) -> int:
    """`onlygood watch`."""
    for module, library in _LIBRARIES.items():
        need_extra(library, module=module, extra="station", purpose="onlygood watch")
    from onlygood.cli.station_log import station_log
    from onlygood.cli.stopping import until_stopped

    if options.data is None:
        for given, name in ((options.output, "--output"), (options.record, "--record")):
            if given:
                raise SettingError(
                    f"{name} goes with --data, where inspections are remembered, got it without: add --data"
                )
    settings = watch_settings(options)
    inspector = _inspector(options)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # who reads them gets lines as images come
    output: Output = JsonLines() if options.json else Table([_NAME_WIDTH])
    output.begin(rate_sentences(inspector) if inspector.is_recalibrated else [])
    lines = _Lines(output)
    with (
        station_log(logging.DEBUG if options.verbose else logging.WARNING, with_times=False),
        until_stopped() as stopped,
        _folder(options.data) as data,
        _station(data, settings, lines) as station,
    ):
        _watch(station, settings, inspector, stopped)
        skipped = station.line(settings.sources[0].name).status().skipped
    beside = f", {lines.refusals} not inspected" if lines.refusals else ""
    beside += f", {skipped} skipped" if skipped else ""
    output.end(
        f"{pluralize(lines.count, 'image')}: {lines.anomalous} anomalous, {lines.count - lines.anomalous} good{beside}"
    )
    if lines.refusals:
        return EXIT_ERROR
    return EXIT_ANOMALY if lines.anomalous else EXIT_GOOD


class _Lines:
    """Prints a line for each image, on the thread of the source: one that nobody reads makes it wait."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.count = self.anomalous = self.refusals = 0
        self.error: OSError | None = None

    def inspected(self, found: Inspected) -> None:
        self.count += 1
        self.anomalous += found.inspection.is_anomaly
        self._print(lambda: self._output.add(found.inspection))

    def refused(self, source: str, name: str, problem: str) -> None:
        del source
        self.refusals += 1
        self._print(lambda: self._output.add_error(name, ImageError(problem)))

    def _print(self, line: Any) -> None:
        if self.error is None:
            try:
                line()
            except OSError as error:  # the reader has gone: the main thread ends the command
                self.error = error


def _watch(station: Station, settings: StationSettings, inspector: Inspector, stopped: Event) -> None:
    (source,) = settings.sources
    assert source.model is not None
    station.models.add(source.model, inspector.file.content, origin="folder")
    station.start()
    line = station.line(source.name)
    problem = line.status().problem
    if problem is not None:
        raise SettingError(problem)
    lines = station.listener
    while not (line.wait(_WAIT_S) or stopped.is_set()):
        if isinstance(lines, _Lines) and lines.error is not None:
            raise lines.error
    line.stop()
    if isinstance(lines, _Lines) and lines.error is not None:
        raise lines.error


@contextmanager
def _folder(data: str | None) -> Iterator[Path]:
    """Where things are remembered, for as long as the command runs or for good."""
    if data is not None:
        yield Path(data)
        return
    with tempfile.TemporaryDirectory(prefix="onlygood-watch-") as folder:
        yield Path(folder)


@contextmanager
def _station(data: Path, settings: StationSettings, lines: _Lines) -> Iterator[Station]:
    from onlygood.station.station import Station

    station = Station(data, settings=settings, listener=lines)
    try:
        yield station
    finally:
        station.stop()


def _inspector(options: argparse.Namespace) -> Inspector:
    """The model, at the threshold that is asked for."""
    from onlygood.inspector import Inspector

    return Inspector(
        options.model,
        false_alarm_rate=options.false_alarm_rate,
        threshold=options.threshold,
        threads=1,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
    )
