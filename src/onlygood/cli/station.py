"""`onlygood station`: what stands beside the line, with its page, its HTTP interface and its memory."""

from __future__ import annotations

import argparse
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, get_args

from onlygood._extras import need_extra
from onlygood._plurals import pluralize
from onlygood.cli.console import EXIT_GOOD, say, show
from onlygood.errors import SettingError, StationError

if TYPE_CHECKING:
    from onlygood.station.station import Station
    from onlygood.station.store.archive import Manifest
    from onlygood.station.web.certificate import Certificate
    from onlygood.station.web.server import WebServer

# As `onlygood.station.web.server` and `.certificate` have them, which are not imported for a help text alone.
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
PASSPHRASE_VARIABLE = "ONLYGOOD_KEY_PASSPHRASE"
DEFAULT_DATA = "station"
DATABASE_VARIABLE = "ONLYGOOD_DATABASE"
# Between two looks at whether the server still serves.
_LOOK_S = 1.0
# What a station needs, by the module that is looked for.
_LIBRARIES = {
    "fastapi": "FastAPI",
    "uvicorn": "uvicorn",
    "sqlalchemy": "SQLAlchemy",
    "alembic": "Alembic",
    "jinja2": "Jinja2",
    "prometheus_client": "prometheus-client",
}


def add_options(station: argparse.ArgumentParser) -> None:
    """The options of `onlygood station`."""
    station.description = (
        "Run an inspection station: a page in the browser on which a camera or a folder is watched, models are taught, "
        "served and corrected, an HTTP interface that does the same, and a memory of every inspection. It runs until "
        "Ctrl-C or SIGTERM. Exit code: 0 when it was stopped, 2 on an error."
    )
    station.add_argument(
        "--data",
        default=DEFAULT_DATA,
        metavar="FOLDER",
        help="the folder that holds all that the station remembers, and its settings (station.json); made where it is "
        "not there (default: %(default)s)",
    )
    station.add_argument(
        "--models", metavar="FOLDER", help="serve the model files of this folder as well, and what takes their place"
    )
    station.add_argument(
        "--host",
        default=DEFAULT_HOST,
        metavar="ADDRESS",
        help="the address to listen on; 0.0.0.0 for all of this computer's (default: %(default)s, this computer alone)",
    )
    station.add_argument(
        "--port", type=int, default=DEFAULT_PORT, metavar="N", help="0 for any that is free (default: %(default)s)"
    )
    station.add_argument(
        "--database",
        metavar="URL",
        help="of a PostgreSQL database, such as postgresql://user:password@host/name; the environment variable "
        f"{DATABASE_VARIABLE} says the same and shows no password in the list of processes (default: a SQLite "
        "database in the data folder)",
    )
    station.add_argument(
        "--without-tokens",
        action="store_true",
        help="let everyone in the network do everything, where it listens beyond this computer and has no tokens",
    )
    secure = station.add_argument_group("HTTPS, and proxies")
    secure.add_argument(
        "--certificate",
        metavar="FILE",
        help="speak HTTPS with the certificate in this PEM file; a new one in its place holds without a restart",
    )
    secure.add_argument(
        "--key",
        metavar="FILE",
        help="the PEM file of the certificate's private key, where that is not in the file of the certificate; the "
        f"environment variable {PASSPHRASE_VARIABLE} has the passphrase of one that is encrypted",
    )
    secure.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="believe a proxy at this address, or in a network such as 10.0.0.0/8, for whom it asks and whether that "
        "came by HTTPS (X-Forwarded-For, X-Forwarded-Proto); may be given several times",
    )
    actions = station.add_argument_group("instead of running").add_mutually_exclusive_group()
    actions.add_argument(
        "--make-token",
        nargs=2,
        metavar=("NAME", "RIGHT"),
        help="make a token, print it this once, and exit; its right is inspect, correct or manage",
    )
    actions.add_argument("--backup", metavar="FILE", help="write all that the station remembers into a file, and exit")
    actions.add_argument(
        "--restore", metavar="FILE", help="make the data folder, which must be empty, from a backup, and exit"
    )
    station.set_defaults(command=run_station)


def run_station(options: argparse.Namespace) -> int:
    """`onlygood station`."""
    for module, library in _LIBRARIES.items():
        need_extra(library, module=module, extra="station", purpose="onlygood station")
    data = Path(options.data)
    url = options.database or os.environ.get(DATABASE_VARIABLE) or None
    if options.make_token:
        return _make_token(data, *options.make_token)
    if options.backup:
        return _back_up(data, url, Path(options.backup))
    if options.restore:
        return _restore(data, url, Path(options.restore))
    if not 0 <= options.port <= 65535:
        raise SettingError(f"--port must be from 0 to 65535, got {options.port}: choose another one")
    from onlygood.cli.station_log import station_log

    with station_log(logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO):
        return _serve(options, data, url)


def _serve(options: argparse.Namespace, data: Path, url: str | None) -> int:
    from onlygood.cli.service_manager import tell_service_manager
    from onlygood.cli.stopping import until_stopped
    from onlygood.station.station import Station
    from onlygood.station.web.app import make_app
    from onlygood.station.web.server import WebServer

    certificate = _certificate(options)
    with until_stopped() as stopped, ExitStack() as running:
        station = Station(data, models=None if options.models is None else Path(options.models), url=url)
        running.callback(station.stop)
        app = make_app(station, host=options.host, without_tokens=options.without_tokens, proxies=tuple(options.proxy))
        # The port may be taken: before anything begins.
        server = WebServer(app, host=options.host, port=options.port, certificate=certificate)
        if certificate is not None:
            station.other_problems = certificate.problems
        station.start()
        running.callback(server.stop)
        server.start()
        _say_where(station, server.url, options)
        tell_service_manager("READY=1")
        _wait(server, stopped)
        tell_service_manager("STOPPING=1")
    return EXIT_GOOD


def _certificate(options: argparse.Namespace) -> Certificate | None:
    """The certificate of the station; None for one that speaks HTTP.

    Raises:
        SettingError: it cannot be used.
    """
    from onlygood.station.web.certificate import Certificate

    if options.certificate is None:
        if options.key is not None:
            raise SettingError(
                f"--key needs --certificate, the file of the certificate that it belongs to, got {options.key} alone: "
                "give both"
            )
        return None
    key = None if options.key is None else Path(options.key)
    return Certificate(Path(options.certificate), key, passphrase=os.environ.get(PASSPHRASE_VARIABLE, ""))


def _wait(server: WebServer, stopped: Event) -> None:
    """Wait until the station is stopped, and tell the service manager meanwhile that it still answers.

    Raises:
        StationError: its server has ended by itself.
    """
    from onlygood.cli.service_manager import answers, tell_service_manager, watchdog_pause_s

    pause_s = watchdog_pause_s()
    told_at = time.monotonic()
    while not stopped.wait(_LOOK_S if pause_s is None else min(_LOOK_S, pause_s)):
        if not server.is_running:
            raise StationError("the station's HTTP server has ended by itself: the log says why; start it again")
        if pause_s is not None and time.monotonic() - told_at >= pause_s:
            # A station that does not answer says nothing, and is started again when the service manager's time is up.
            if answers(server.host, server.port, timeout_s=pause_s, is_https=server.certificate is not None):
                tell_service_manager("WATCHDOG=1")
            told_at = time.monotonic()


def _say_where(station: Station, url: str, options: argparse.Namespace) -> None:
    show(f"The station is at {url} (Ctrl-C stops it; everything is kept in {options.data}).", flush=True)
    if options.without_tokens and not station.settings.tokens:
        say("note: everyone who reaches this address can do everything, as asked with --without-tokens.")


def _make_token(data: Path, name: str, right: str) -> int:
    from onlygood._files import make_folder
    from onlygood.station.serving.models import check_name
    from onlygood.station.settings_file import FILE_NAME, SettingsFile
    from onlygood.station.station_settings import Right, StationSettings, Token
    from onlygood.station.store.folder_lock import FolderLock
    from onlygood.station.web.tokens import new_token
    from onlygood.validation import nearest

    rights: tuple[Right, ...] = get_args(Right)
    chosen = next((each for each in rights if each == right), None)
    if chosen is None:
        raise SettingError(
            f"the right of a token must be one of {', '.join(rights)}, got {right!r}{nearest(right, rights)}"
        )
    check_name(name)
    make_folder(data)
    lock = FolderLock(data)  # a station that runs has its own copy of the settings, and makes tokens on its page
    try:
        token, sha256 = new_token()

        def add(now: StationSettings) -> StationSettings:
            return now.model_copy(update={"tokens": (*now.tokens, Token(name=name, sha256=sha256, right=chosen))})

        SettingsFile(data / FILE_NAME).change(add)
    finally:
        lock.close()
    show(token)
    say(f"note: this is the token {name} with the right to {chosen}; it is kept nowhere and cannot be shown again.")
    return EXIT_GOOD


def _back_up(data: Path, url: str | None, path: Path) -> int:
    from onlygood.station.store.backup import backup

    made = backup(path, data, url)
    show(f"{path}: {_contents(made)}")
    return EXIT_GOOD


def _restore(data: Path, url: str | None, path: Path) -> int:
    from onlygood.station.store.restore import restore

    made = restore(path, data, url)
    show(f"{data}: {_contents(made)}, as of {made.made_at:%Y-%m-%d %H:%M} UTC")
    return EXIT_GOOD


def _contents(made: Manifest) -> str:
    """What is in a backup, in words."""
    models, images = pluralize(made.models, "model file"), pluralize(made.images, "image")
    return f"the memory of a station with {models} and {images}"
