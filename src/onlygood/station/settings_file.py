"""The file of a station's settings: made with defaults, checked when it is read, and written whole when they change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import SecretStr, ValidationError

from onlygood._files import write_atomically
from onlygood._printable import printable
from onlygood.errors import SettingError
from onlygood.station.schemas import NAME_PATTERN
from onlygood.station.station_settings import StationSettings
from onlygood.validation import nearest

FILE_NAME = "station.json"
# Of the file, in bytes.
MOST_BYTES = 4 << 20
_LONGEST_VALUE = 60


class GivenSettings:
    """Settings that are given, and in no file: they stay as they are.

    Args:
        settings: that are given.
    """

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings

    def get(self) -> StationSettings:
        """The settings."""
        return self._settings

    def change(self, change: Callable[[StationSettings], StationSettings]) -> StationSettings:
        """Refused.

        Raises:
            SettingError: always.
        """
        raise SettingError("these settings are given on the command line, got a change of them: start it with others")


class SettingsFile:
    """A station's settings, and the file that they are in. Any thread may use it.

    Args:
        path: of the file; one that is not there is made, with the defaults.

    Raises:
        SettingError: it cannot be read, or holds what cannot be used.
        WriteError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        content = _read(path)
        if content is None:
            self._settings = StationSettings()
            self._content = self._write(self._settings)
        else:
            self._settings, self._content = parse_settings(content, printable(str(path))), content

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._path

    def get(self) -> StationSettings:
        """The settings as they are now."""
        return self._settings

    def replace(self, settings: StationSettings) -> None:
        """Use other settings from now on, and write them.

        Raises:
            SettingError: somebody else has written the file since it was read.
            WriteError: it cannot be written; the settings stay as they were.
        """
        self.change(lambda _: settings)

    def change(self, change: Callable[[StationSettings], StationSettings]) -> StationSettings:
        """Use from now on what `change` makes of the settings, write it, and return it.

        Args:
            change: called with the settings as they are; whatever it raises changes nothing. No other thread changes
                them meanwhile.

        Raises:
            SettingError: what it made cannot be used, or somebody else has written the file since it was read.
            WriteError: it cannot be written; the settings stay as they were.
        """
        with self._lock:
            # As it will be read: a copy with other values is not checked when it is made.
            changed = parse_settings(to_json(change(self._settings)), "")
            if _read(self._path) not in (None, self._content):
                raise SettingError(
                    f"{printable(str(self._path))} was changed by hand since the station read it, and is left as it "
                    "is: start the station again, and make this change then"
                )
            self._content = self._write(changed)
            self._settings = changed
            return changed

    def _write(self, settings: StationSettings) -> bytes:
        content = to_json(settings)
        # Its owner alone may read it: it has passwords.
        write_atomically(self._path, content, is_private=True)
        return content


def to_json(settings: StationSettings) -> bytes:
    """The settings as the file has them, secrets included."""
    return (json.dumps(settings.model_dump(), default=_revealed, indent=2, ensure_ascii=False) + "\n").encode()


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(type(value).__name__)


def parse_settings(content: bytes, shown: str) -> StationSettings:
    """The settings in a file.

    Args:
        content: of it.
        shown: what messages call it.

    Raises:
        SettingError: it holds what cannot be used.
    """
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SettingError(f"{shown} must be UTF-8 text, got other bytes: save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise SettingError(
            f"{shown} must be JSON, and is not at line {error.lineno}, column {error.colno} ({error.msg.lower()}): "
            "correct it, or move it away to begin with the defaults"
        ) from error
    except RecursionError as error:
        raise SettingError(f"{shown} must be JSON as the station writes it, got deeper levels: correct it") from error
    try:
        return StationSettings.model_validate(values)
    except ValidationError as error:
        raise SettingError(problem_of(error, shown)) from error


def problem_of(error: ValidationError, shown: str) -> str:
    """What is wrong with settings: the first field that cannot be used, why, and how many more there are.

    Args:
        error: that says it.
        shown: what the settings are called, such as the path of their file; empty for what a person is setting.
    """
    errors = error.errors(include_url=False)
    first = errors[0]
    where = _place(first["loc"])
    inside = f" in {shown}" if shown else ""
    shown = shown or "what is to be set"
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _siblings(first["loc"])
        said = f"has no setting {where}{nearest(str(first['loc'][-1]), known) if known else ''}"
        return f"{shown} {said}{more}"
    if not where and first["type"] == "model_type":
        return f"{shown} must be a JSON object with settings by their names, got something else"
    given = first["input"]
    # What a whole part holds, secrets included, is not said.
    got = "" if isinstance(given, Mapping | list | tuple) or _is_secret(first["loc"]) else f", got {_short(given)}"
    why = first["msg"].removeprefix("Value error, ")
    _, is_required, what = why.partition(" should ")
    context = first.get("ctx", {})
    if first["type"] == "union_tag_invalid":
        kinds = str(context["expected_tags"]).replace("'", "")
        return f"{where}.kind{inside} must be one of {kinds}, got {_short(context['tag'])}{more}"
    if first["type"] == "union_tag_not_found":
        return f"{where}.kind{inside} must be given, got nothing{more}"
    if context.get("pattern") == NAME_PATTERN:
        what = "be 1 to 64 letters, digits, dots, hyphens and underscores that begin with a letter or digit"
    if is_required:
        return f"{where}{inside} must {what}{got}{more}"
    if first["type"] == "missing":
        return f"{where}{inside} must be given, got nothing{more}"
    subject = f"{where}{inside}" if where else inside.removeprefix(" in ")
    return f"{subject} cannot be used: {why}{got}{more}" if subject else f"{why}{got}{more}"


def _place(location: tuple[int | str, ...]) -> str:
    """Such as `sources[0].width`; the kind of a source or output, which pydantic adds, is not part of it."""
    text = ""
    for at, each in enumerate(location):
        if at == 2 and location[0] in ("sources", "outputs"):
            continue
        text += f"[{each}]" if isinstance(each, int) else f".{each}" if text else str(each)
    return printable(text[:200])


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The names of the settings beside one, as far as its place says which they are; empty for those of a list."""
    part: Any = StationSettings
    for name in location[:-1]:
        field = getattr(part, "model_fields", {}).get(name)
        part = None if field is None else field.annotation
    return list(getattr(part, "model_fields", {}))


def _is_secret(location: tuple[int | str, ...]) -> bool:
    return bool(location) and location[-1] in ("key", "password", "url", "sha256")


def _short(value: Any) -> str:
    text = repr(value)
    return printable(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}...")


def _read(path: Path) -> bytes | None:
    """The content; None where there is no file.

    Raises:
        SettingError: it cannot be read.
    """
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise SettingError(f"{shown} must have at most {MOST_BYTES:,} bytes, got more: check what it is")
            return file.read(MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingError(
            f"the settings {shown} cannot be read ({(error.strerror or str(error)).lower()}): check its permissions"
        ) from error
