"""Following the recipe number that a controller asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock, Thread

_log = logging.getLogger("onlygood.station")


class Recipes:
    """Passes each new number on, on a thread of its own: to load a model must not delay a heartbeat.

    Attributes:
        followed: the last number that could be followed; 0 before.
    """

    def __init__(self, output: str, on_recipe: Callable[[int], bool] | None) -> None:
        """No number was asked for yet.

        Args:
            output: the name of the output that the controller belongs to.
            on_recipe: is called with a number; returns whether it is followed. Without it none is.
        """
        self.followed = 0
        self._output, self._on_recipe = output, on_recipe
        self._asked = 0
        self._said = ""
        self._guard = Lock()
        self._is_busy = False

    def ask(self, number: int) -> None:
        """Say which number stands in the register now; returns at once.

        A number is passed on when it changes, and again after an unexpected error. 0 asks for nothing.
        """
        if self._on_recipe is None or number == 0:
            return
        with self._guard:
            if self._is_busy or number == self._asked:
                return
            self._is_busy, self._asked = True, number
        Thread(target=self._follow, args=(number,), name=f"recipe of {self._output}", daemon=True).start()

    def _follow(self, number: int) -> None:
        assert self._on_recipe is not None
        followed, asked = self.followed, number
        try:
            if self._on_recipe(number):
                followed = number
            self._said = ""
        except Exception as error:
            asked = 0  # so that it is asked for again
            said = f"recipe {number} of output {self._output!r} failed with {type(error).__name__}: {error}"
            if said != self._said:
                _log.exception("%s; it is tried again", said)
            self._said = said
        with self._guard:
            self.followed, self._asked, self._is_busy = followed, asked, False
