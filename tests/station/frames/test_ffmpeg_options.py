"""Options of FFmpeg stand in a variable of the whole process: those who need different ones take turns."""

import os
import threading

import pytest

from onlygood.station.frames.ffmpeg_options import _waiting, ffmpeg_options
from scripted import DEADLINE_S, wait_until

VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


class Opening:
    """Opens something on a thread, which takes until `end`."""

    def __init__(self, options: str) -> None:
        self.found: list[str | None] = []
        self._options, self._over = options, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with ffmpeg_options(self._options):
            self.found.append(os.environ.get(VARIABLE))
            self._over.wait(DEADLINE_S)
            self.found.append(os.environ.get(VARIABLE))

    def begins(self) -> None:
        wait_until(lambda: len(self.found) > 0, "it is opened")

    def end(self) -> list[str | None]:
        self._over.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return self.found


@pytest.mark.parametrize("before", [None, "threads;1"])
def test_each_has_its_own_and_those_with_the_same_go_together(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)
    plain = [Opening(""), Opening("")]
    for each in plain:
        each.begins()
    other = Opening("a;b")
    wait_until(lambda: len(_waiting) == 1, "it waits")
    late = Opening("")
    assert plain[0].end() == [before, before]
    assert not other.found
    assert plain[1].end() == [before, before]
    # in the order in which they came: the one with other options does not wait for all who come later
    other.begins()
    assert not late.found
    same = Opening("a;b")
    assert other.end() == ["a;b", "a;b"]
    assert late.end() == [before, before]
    assert same.end() == ["a;b", "a;b"]
    assert os.environ.get(VARIABLE) == before


def test_what_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(OSError, match="not there"), ffmpeg_options("a;b"):
        raise OSError("not there")
    assert VARIABLE not in os.environ
    with ffmpeg_options("c;d"):
        assert os.environ[VARIABLE] == "c;d"
