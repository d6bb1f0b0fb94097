"""Turns: what several threads finish in any order is done in the order in which it was begun."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock, RLock


class Turn:
    """One place in a row. It is taken once: by `do` or, where there is nothing to do, by `skip`."""

    def __init__(self, row: _Row) -> None:
        self._row = row
        self.call: Callable[[], None] | None = None
        self.is_taken = False

    def do(self, call: Callable[[], None]) -> None:
        """Have something done after all that is before it in the row: now, or by the thread that ends the last of it.

        Args:
            call: what to do; it must not raise.
        """
        self._row.take(self, call)

    def skip(self) -> None:
        """Let those behind it go on; nothing where the turn is taken already."""
        self._row.take(self, None)


class _Row:
    """The turns of one row that are not over."""

    def __init__(self) -> None:
        self.waiting: deque[Turn] = deque()
        self.guard = Lock()  # of `waiting` and of turns
        self._doing = RLock()  # held while turns are worked off, so that two threads do not overtake one another

    def take(self, turn: Turn, call: Callable[[], None] | None) -> None:
        with self._doing:
            with self.guard:
                if turn.is_taken:
                    return
                turn.is_taken, turn.call = True, call
            while True:
                with self.guard:
                    if not self.waiting or not self.waiting[0].is_taken:
                        return
                    first = self.waiting.popleft()
                # The turn may be held for longer than what its call holds, such as an anomaly map.
                call, first.call = first.call, None
                if call is not None:
                    call()


class Turns:
    """Rows by their names. Safe to share between threads."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._lock = Lock()

    def next(self, name: str) -> Turn:
        """The turn behind all others of a row."""
        with self._lock:
            row = self._rows.setdefault(name, _Row())
            turn = Turn(row)
            with row.guard:
                row.waiting.append(turn)
        return turn
