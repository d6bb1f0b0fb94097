"""From the options of `onlygood watch` to the settings of a station that watches one source."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood.errors import SettingError

if TYPE_CHECKING:
    from onlygood.station.station_settings import OutputSettings, SourceSettings, StationSettings

_KINDS = ("camera", "rtsp", "video", "folder")


def watch_settings(options: argparse.Namespace) -> StationSettings:
    """What a station is to do that watches this one source; for how long things are kept is said in its data folder.

    Raises:
        SettingError: options that cannot be used, or that do not go together.
    """
    from onlygood.station.settings_file import FILE_NAME, SettingsFile
    from onlygood.station.station_settings import Limits, StationSettings

    kept = StationSettings()
    if options.data is not None and (Path(options.data) / FILE_NAME).exists():
        kept = SettingsFile(Path(options.data) / FILE_NAME).get()
    limits = {
        "max_pixels": options.max_pixels,
        "max_image_bytes": options.max_bytes,
        "max_model_bytes": options.max_model_bytes,
        "workers": options.threads,
    }
    return StationSettings(
        limits=Limits(**limits),
        retention=kept.retention,
        sources=(_source(options),),
        outputs=tuple(_output(where, number) for number, where in enumerate(options.output or [], 1)),
        false_drift_rate=kept.false_drift_rate,
    )


def _source(options: argparse.Namespace) -> SourceSettings:
    from pydantic import TypeAdapter, ValidationError

    from onlygood.station.settings_file import problem_of
    from onlygood.station.station_settings import SourceSettings as Kinds

    kind = next((each for each in _KINDS if getattr(options, each) is not None), None)
    if kind is None:
        raise SettingError("watch needs something to watch, got nothing: add --camera, --rtsp, --video or --folder")
    if kind != "camera" and (options.width is not None or options.height is not None):
        raise SettingError(f"--width and --height go with --camera, got them with --{kind}: leave them out")
    if kind != "video" and options.realtime:
        raise SettingError(f"--realtime goes with --video, got it with --{kind}: leave it out")
    values: dict[str, Any] = {
        "kind": kind,
        "name": kind,
        "model": _name_of(options.model),
        "record": options.record or ("all" if options.data is not None else "none"),
        "alarm": _alarm(options.alarm),
        "max_frames_per_s": options.max_frames_per_s or 0.0,
    }
    given = getattr(options, kind)
    if kind == "camera":
        values["device"] = int(given) if given.isdecimal() else given
        values |= {each: getattr(options, each) for each in ("width", "height") if getattr(options, each) is not None}
    elif kind == "rtsp":
        values["url"] = given
    else:
        values["path"] = given
        if not Path(given).exists():
            raise SettingError(f"there is no {kind} {given}: check the path")
    if kind == "video":
        values["is_realtime"] = options.realtime
    try:
        checked: SourceSettings = TypeAdapter(Kinds).validate_python(values)
    except ValidationError as error:
        raise SettingError(problem_of(error, "")) from error
    return checked


def _name_of(path: str) -> str:
    """The name under which a model is remembered: its file's, with letters that a name can have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).stem).lstrip("._-")[:64]
    return name or "model"


def _alarm(text: str | None) -> dict[str, int]:
    if text is None:
        return {}
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    if found is None:
        raise SettingError(f"--alarm must be two numbers such as 3/5, got {text!r}")
    if not 0 < int(found[1]) <= int(found[2]):
        raise SettingError(
            f"--alarm must be at least 1 of as many images or more, got {text}: no images could raise it"
        )
    return {"m": int(found[1]), "n": int(found[2])}


def _output(where: str, number: int) -> OutputSettings:
    """The output that a place on the command line stands for."""
    from urllib.parse import urlsplit

    from pydantic import TypeAdapter, ValidationError

    from onlygood.station.settings_file import problem_of
    from onlygood.station.station_settings import OutputSettings as Kinds

    values: dict[str, Any] = {"name": f"output-{number}"}
    scheme = where.partition("://")[0].lower() if "://" in where else ""
    if scheme in ("http", "https"):
        values |= {"kind": "webhook", "url": where}
    elif scheme == "opc.tcp":
        values |= {"kind": "opcua", "role": "client", "url": where}
    elif scheme in ("mqtt", "mqtts", "modbus"):
        try:
            parts = urlsplit(where)
            port = parts.port
        except ValueError as error:
            raise SettingError(f"--output must be an address such as {scheme}://host:port, got {where}") from error
        values |= {"kind": "modbus" if scheme == "modbus" else "mqtt", "host": parts.hostname or ""}
        values |= {} if port is None else {"port": port}
        if scheme != "modbus":
            topic = parts.path.lstrip("/")
            values |= {"is_tls": scheme == "mqtts", "username": parts.username or "", "password": parts.password or ""}
            values |= {"topic": topic} if topic else {}
    elif scheme:
        raise SettingError(
            f"--output must be a file, or begin with https://, mqtt://, modbus:// or opc.tcp://, got {where}: choose "
            "one of these"
        )
    else:
        values |= {"kind": "jsonl", "path": where}
    try:
        checked: OutputSettings = TypeAdapter(Kinds).validate_python(values)
    except ValidationError as error:
        raise SettingError(f"--output cannot be used: {problem_of(error, '')}") from error
    return checked
