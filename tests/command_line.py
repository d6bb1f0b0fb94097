"""The command line as tests run it, and what they look at afterwards."""

from pathlib import Path
from typing import NamedTuple

from textures import FAST as FAST_SETTINGS

# `textures.FAST` as options: both ways must write the same file.
FAST = tuple(text for name, value in FAST_SETTINGS.items() for text in (f"--{name.replace('_', '-')}", str(value)))


class Ran(NamedTuple):
    """What a command left: its exit code, and what it printed on stdout and on stderr."""

    code: int
    out: str
    err: str


def one_sentence(ran: Ran) -> str:
    """The error's one line on stderr, with nothing on stdout."""
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("onlygood: ")
    assert "should not happen" not in ran.err
    return ran.err.removeprefix("onlygood: ").rstrip()


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
