"""How long to wait before a source is opened again."""

from __future__ import annotations

import random


class Backoff:
    """Pauses that double from a first one to a longest one, each shortened by up to a quarter at random.

    So that a station whose cameras all went off with a switch does not ask all of them in the same moment.
    """

    def __init__(self, first_s: float = 0.5, most_s: float = 30.0, *, seed: int | None = None) -> None:
        """The first pause comes next.

        Args:
            first_s: pause.
            most_s: that no pause exceeds.
            seed: of the random shortening; None for another one in every run.
        """
        self._first_s, self._most_s = first_s, most_s
        self._next_s = first_s
        self._random = random.Random(seed)

    def next_s(self) -> float:
        """The next pause, in seconds."""
        pause_s = min(self._next_s, self._most_s)
        self._next_s = min(2 * pause_s, self._most_s)
        return pause_s * (1 - 0.25 * self._random.random())

    def reset(self) -> None:
        """Begin with the first pause again: the source works."""
        self._next_s = self._first_s
