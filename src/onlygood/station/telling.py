"""The outputs of a station: which of them is told of an inspection, and the threads that deliver to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from onlygood.errors import OnlygoodError
from onlygood.station.outputs.delivery import Delivery, Outbox
from onlygood.station.outputs.output import Output
from onlygood.station.outputs.registry import make_output
from onlygood.station.outputs.selection import is_told
from onlygood.station.schemas import OutputStatus, Verdict
from onlygood.station.station_settings import ModbusOutput, OutputSettings

_log = logging.getLogger("onlygood.station")

STOP_TIMEOUT_S = 15.0


class Telling:
    """Delivers verdicts to the outputs that are set. Any thread may call it.

    Args:
        outbox: where inspections wait.
        data: the station's data folder, in which certificates are.
        use_recipe: has a controller's recipe followed: called with the name of the model, it returns whether it is.
    """

    def __init__(self, outbox: Outbox, data: Path, *, use_recipe: Callable[[str], bool]) -> None:
        self._outbox, self._data, self._use_recipe = outbox, data, use_recipe
        self._lock = Lock()
        self._settings: tuple[OutputSettings, ...] = ()
        self._delivery: Delivery | None = None
        self._refused: dict[str, str] = {}

    def apply(self, settings: Sequence[OutputSettings]) -> None:
        """Deliver to these outputs from now on. One that cannot be used says so in its status; what it is to be told of
        waits for it.
        """
        with self._lock:
            if tuple(settings) == self._settings:
                return
            self._stop()
            made: list[Output] = []
            refused: dict[str, str] = {}
            for each in settings:
                try:
                    made.append(make_output(each, self._data, on_recipe=self._follower_of(each)))
                except OnlygoodError as error:
                    refused[each.name] = str(error)
                    _log.warning("output %s: %s", each.name, error)
            self._settings, self._refused = tuple(settings), refused
            self._delivery = Delivery(self._outbox, made)
            self._delivery.start()

    def names_for(self, model: str, verdict: Verdict) -> list[str]:
        """The names of the outputs that are told of an inspection of a model with this verdict."""
        return [each.name for each in self._settings if is_told(each, model=model, verdict=verdict)]

    def wake(self) -> None:
        """Say that an inspection was recorded; returns at once."""
        delivery = self._delivery
        if delivery is not None:
            delivery.wake()

    def statuses(self) -> tuple[OutputStatus, ...]:
        """How each output is doing, in the order of the settings."""
        delivery = self._delivery
        working = {} if delivery is None else {each.name: each for each in delivery.statuses()}
        return tuple(working.get(each.name) or self._without_delivery(each) for each in self._settings)

    def stop(self) -> None:
        """End deliveries; what was not delivered waits for the next start."""
        with self._lock:
            self._stop()
            self._settings = ()

    def _stop(self) -> None:
        if self._delivery is not None:
            self._delivery.stop(STOP_TIMEOUT_S)
            self._delivery = None

    def _without_delivery(self, settings: OutputSettings) -> OutputStatus:
        problem = self._refused.get(settings.name)
        try:
            waiting = self._outbox.count(settings.name)
        except OnlygoodError as error:
            waiting, problem = 0, problem or str(error)
        return OutputStatus(name=settings.name, kind=settings.kind, delivered=0, waiting=waiting, problem=problem)

    def _follower_of(self, settings: OutputSettings) -> Callable[[int], bool] | None:
        """What follows the recipe numbers of a controller."""
        if not isinstance(settings, ModbusOutput) or not settings.recipes:
            return None

        def follow(number: int) -> bool:
            model = settings.recipes.get(number)
            if model is None:
                known = ", ".join(map(str, sorted(settings.recipes)))
                _log.warning(
                    "output %s asks for recipe %d, and there are %s: no model is changed", settings.name, number, known
                )
                return False
            return self._use_recipe(model)

        return follow
