from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from threading import Thread

import pytest

from onlygood import _progress
from onlygood._progress import Progress, reported, status_line, track, waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("show", [True, False])
def test_nothing_is_drawn_where_nobody_watches(show: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO() if show else Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(track(range(5), total=5, description="embedding", show=show)) == [0, 1, 2, 3, 4]
    assert stderr.getvalue() == ""


def test_a_terminal_gets_a_bar_with_the_description(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(track(range(5), total=5, description="embedding", show=True)) == [0, 1, 2, 3, 4]
    assert "embedding" in stderr.getvalue()
    assert "0/5" in stderr.getvalue()


@pytest.mark.parametrize("show", [True, False])
def test_items_are_taken_only_as_they_are_asked_for(show: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    taken = []

    def items() -> Iterator[int]:
        for item in range(5):
            taken.append(item)
            yield item

    tracked = track(items(), total=5, description="embedding", show=show)
    assert taken == []
    next(tracked)
    assert taken == [0]
    tracked.close()  # type: ignore[attr-defined]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs something in front of a terminal of the system's of a given size, and gives what was drawn on it."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")

    def draw(work: Callable[[], object], *, rows: int, columns: int) -> str:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, columns))
        with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", terminal)
            work()
            terminal.write("end")
            terminal.flush()
            seen = b""
            while not seen.endswith(b"end"):
                seen += os.read(master, 65536)
        os.close(master)
        return seen.decode()

    return draw


@pytest.mark.parametrize(("rows", "columns", "most"), [(24, 60, 60), (0, 0, 80), (24, 0, 80)])
def test_a_bar_has_the_width_of_its_terminal_or_an_ordinary_one(
    drawn: Callable[..., str], rows: int, columns: int, most: int
) -> None:
    seen = drawn(lambda: list(track(range(3), total=3, description="embedding", show=True)), rows=rows, columns=columns)
    longest = max(len(part) for part in seen.split("\r"))
    assert "embedding:   0%" in seen
    assert most - 5 <= longest <= most


def test_a_wait_shows_the_time_that_passes_and_leaves_nothing(
    drawn: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_progress, "TICK_S", 0.01)

    def work() -> None:
        with waiting("laying out", show=True):
            time.sleep(0.2)

    seen = drawn(work, rows=24, columns=80)
    assert "laying out: 00:00" in seen
    assert seen.removesuffix("end").rsplit("\r", 2)[-2].strip() == ""


def test_a_short_wait_and_one_that_nobody_sees_draw_nothing(
    drawn: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        with waiting("laying out", show=True):
            pass

    assert drawn(work, rows=24, columns=80).strip("\r ") == "end"
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(_progress, "TICK_S", 0.01)
    with waiting("laying out", show=True):
        time.sleep(0.1)
    assert stderr.getvalue() == ""


def test_an_error_ends_a_wait(drawn: Callable[..., str]) -> None:
    def work() -> None:
        with pytest.raises(ZeroDivisionError), waiting("laying out", show=True):
            raise ZeroDivisionError

    assert drawn(work, rows=24, columns=80).strip("\r ") == "end"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_who_asks_is_told_of_each_item_after_it_was_used(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if is_terminal else io.StringIO())
    told: list[Progress | int] = []
    with reported(told.append):
        for item in track(range(2), total=2, description="embedding", show=is_terminal):
            told.append(item)
    assert told == [
        Progress("embedding", 0, 2),
        0,
        Progress("embedding", 1, 2),
        1,
        Progress("embedding", 2, 2),
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_who_asks_is_told_of_waits_and_of_lines(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    told: list[Progress] = []
    with reported(told.append):
        with waiting("loading torch", show=True):
            pass
        with status_line(show=True) as show:
            assert show is not None
            show("epoch 1 of 2")
    assert told == [Progress("loading torch"), Progress("epoch 1 of 2")]
    assert ("epoch 1 of 2" in stderr.getvalue()) is is_terminal


def test_only_the_innermost_who_asks_is_told_and_nobody_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    outer: list[Progress] = []
    inner: list[Progress] = []
    with reported(outer.append):
        with pytest.raises(ZeroDivisionError), reported(inner.append):
            list(track([1], total=None, description="inner", show=False))
            raise ZeroDivisionError
        list(track([1], total=1, description="outer", show=False))
    list(track([1], total=1, description="nobody", show=False))
    with status_line(show=True) as show:
        assert show is None
    assert inner == [Progress("inner", 0, None), Progress("inner", 1, None)]
    assert outer == [Progress("outer", 0, 1), Progress("outer", 1, 1)]


def test_one_thread_is_not_told_of_the_work_of_another() -> None:
    told: list[Progress] = []
    with reported(told.append):
        other = Thread(target=lambda: list(track([1], total=1, description="other", show=False)))
        other.start()
        other.join()
    assert told == []
