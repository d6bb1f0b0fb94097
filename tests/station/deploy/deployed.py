"""The files of deploy/, read as those read them that run a station by them."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "onlygood-station.service"


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile: its keyword, and what stands behind it."""

    keyword: str
    value: str

    @property
    def words(self) -> list[str]:
        """Of the exec form, or of a line."""
        return json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)


def dockerfile() -> list[list[Instruction]]:
    """The instructions of each stage; those before the first FROM are not among them."""
    lines: list[str] = []
    is_continued = False
    for line in (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if is_continued:
            lines[-1] += " " + line.strip().removesuffix("\\").strip()
        else:
            lines.append(line.strip().removesuffix("\\").strip())
        is_continued = line.rstrip().endswith("\\")
    stages: list[list[Instruction]] = []
    for line in lines:
        keyword, _, value = line.partition(" ")
        if keyword == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(Instruction(keyword, value.strip()))
    return stages


def last_of(keyword: str) -> Instruction:
    """The instruction of the image that is run."""
    return next(each for each in reversed(dockerfile()[-1]) if each.keyword == keyword)


def compose() -> dict[str, Any]:
    """The compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def unit() -> dict[str, list[str]]:
    """All settings of the unit; a name that stands there several times has several values."""
    settings: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


def commands() -> dict[str, list[str]]:
    """How the station is started by each of the files: the program and its arguments."""
    entrypoint, default = last_of("ENTRYPOINT").words, last_of("CMD").words
    return {
        "unit": shlex.split(unit()["ExecStart"][0]),
        "image": [*entrypoint, *default],
        "image, to make a token": [*entrypoint, "--make-token", "admin", "manage"],
    }


def option(command: list[str], name: str) -> str:
    """The value of an option."""
    return command[command.index(name) + 1]
