"""Results on disk: JSON lines, one a run, to which runs are added as they end; and one JSON file a study."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onlygood import SettingError, WriteError


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, in its order; none where there is no file.

    A last line that was cut short, because its process was killed while it wrote, is passed over.

    Raises:
        SettingError: another line that is no JSON object, or a file that cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingError(f"{path} must be a file of JSON lines, got one that cannot be read ({error})") from error
    found = []
    for number, line in enumerate(content[: _whole(content)].splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise SettingError(f"line {number} of {path} must be JSON, got {error}: remove the line") from error
        if not isinstance(value, dict):
            raise SettingError(f"line {number} of {path} must be a JSON object, got {line[:60]!r}: remove the line")
        found.append(value)
    return found


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Add an object as one line, whole or not at all; it is on the disk when this returns.

    A line that was cut short before is taken away first.

    Raises:
        WriteError: it cannot be written.
    """
    line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    try:
        with path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # lines of two processes do not mix; closing the file unlocks it
            content = path.read_bytes()
            if _whole(content) < len(content):
                file.truncate(_whole(content))
            if file.write(line) != len(line):
                raise WriteError(f"{path} cannot be written: the disk took only a part of a line: make room")
            os.fsync(file.fileno())
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error}): choose another place or make room") from error


def check_appendable(path: Path) -> None:
    """Refuse a file that cannot be written, before the first run; its folder is made.

    Raises:
        WriteError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error}): choose another place") from error


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write what a study found as one JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _whole(content: bytes) -> int:
    """How many bytes there are up to the end of the last whole line."""
    return content.rfind(b"\n") + 1
