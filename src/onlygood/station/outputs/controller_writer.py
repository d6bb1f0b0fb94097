"""What outputs share that connect to a controller and write each inspection there, with a heartbeat beside them."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar

from onlygood.errors import OutputError
from onlygood.station.outputs.loop_thread import LoopThread
from onlygood.station.outputs.output import deliver_in_turn
from onlygood.station.schemas import InspectionRecord

HEARTBEAT_S = 1.0
_log = logging.getLogger("onlygood.station")


class Connection(Protocol):
    """One connection, which is never made a second time.

    Attributes:
        problem: why it cannot be used any more; None while it can.
    """

    problem: str | None


Connected = TypeVar("Connected", bound=Connection)
_Result = TypeVar("_Result")


class ControllerWriter(ABC, Generic[Connected]):
    """Connects, writes one inspection after another, and has a heartbeat that goes on whatever else does.

    What is particular to a protocol are four coroutines: they run on the thread of a loop that is the output's own.
    """

    kind: str

    def __init__(self, name: str, *, heartbeat_s: float, patience_s: float) -> None:
        """Nothing is connected before `open`.

        Args:
            name: of the output.
            heartbeat_s: between two heartbeats.
            patience_s: in which each of the coroutines ends.
        """
        self.name = name
        self._heartbeat_s, self._patience_s = heartbeat_s, patience_s
        self._loop: LoopThread | None = None
        self._connection: Connected | None = None

    @abstractmethod
    async def _connected(self) -> Connected:
        """A new connection, on which one heartbeat was written.

        Raises:
            OutputError: the controller is not there or refuses, or lacks what is written.
        """

    @abstractmethod
    async def _beat_once(self, connection: Connected) -> None:
        """Write the next heartbeat.

        Raises:
            OutputError: the controller did not take it.
        """

    @abstractmethod
    async def _hand_over(self, connection: Connected, record: InspectionRecord) -> None:
        """Write one inspection; `problem` of the connection is set where it cannot be used after an error.

        Raises:
            OutputError: the controller did not take it.
        """

    @abstractmethod
    async def _disconnect(self, connection: Connected) -> None:
        """Set `problem` of the connection where it has none, and end it."""

    def open(self) -> None:
        """Connect, and begin with the heartbeat.

        Raises:
            OutputError: the controller is not there or refuses, or lacks what is written.
        """
        if self._connection is not None:
            if self._connection.problem is None:
                return
            self._drop()
        if self._loop is None:
            self._loop = LoopThread(f"{self.kind} {self.name}")
        self._connection = self._run(self._connected())
        self._loop.begin(self._beat(self._connection))

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Write one after another.

        Raises:
            OutputError: the controller did not take one.
        """

        def hand_over(record: InspectionRecord) -> None:
            self.open()
            assert self._connection is not None, "open connects"
            self._run(self._hand_over(self._connection, record))

        deliver_in_turn(records, hand_over)

    def check(self) -> None:
        """Say what the heartbeat has met.

        Raises:
            OutputError: the connection was lost.
        """
        if self._connection is not None and self._connection.problem is not None:
            problem = self._connection.problem
            self._drop()
            raise OutputError(problem)

    def close(self) -> None:
        """Disconnect; the heartbeat stands still from now on."""
        self._drop()
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        assert self._loop is not None, "open was called"
        return self._loop.run(work, self._patience_s)

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._run(self._disconnect(connection))

    async def _beat(self, connection: Connected) -> None:
        """The heartbeat, for as long as the connection lasts: whatever else goes on, it goes on."""
        while connection.problem is None:
            await asyncio.sleep(self._heartbeat_s)
            try:
                await self._beat_once(connection)
            except OutputError as error:
                connection.problem = connection.problem or str(error)
            except Exception as error:
                _log.exception("the heartbeat of output %r failed unexpectedly", self.name)
                connection.problem = f"output {self.name!r} failed unexpectedly with {type(error).__name__}: {error}"
