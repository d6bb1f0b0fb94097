"""Verdicts in the station's own Modbus registers, which controllers read; `registers` says which holds what.

Modbus has no passwords: whoever reaches the port can read the verdicts and ask for a recipe.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from onlygood.errors import OutputError
from onlygood.station.outputs.controller_writer import HEARTBEAT_S
from onlygood.station.outputs.library_logs import silence
from onlygood.station.outputs.listening import check_free, not_listening
from onlygood.station.outputs.loop_thread import LoopThread
from onlygood.station.outputs.output import deliver_in_turn
from onlygood.station.outputs.recipes import Recipes
from onlygood.station.outputs.registers import (
    ACKNOWLEDGED,
    HEARTBEAT,
    INSPECTION,
    NUM_REGISTERS,
    RECIPE_ASKED,
    RECIPE_FOLLOWED,
    inspection_registers,
    uint32,
    wire_id,
)
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import ModbusOutput

# Of functions: to read and write registers. Those of single bits have no meaning here.
_FUNCTIONS = frozenset({3, 4, 6, 16, 23})
_MARGIN_S = 5.0
silence("pymodbus")


class ModbusRegisters:
    """A Modbus TCP server with 16 registers, the same as holding and as input registers, for any device id.

    Each inspection replaces the one before; where they are acknowledged, when a controller has taken that.
    """

    kind = "modbus"

    def __init__(
        self,
        settings: ModbusOutput,
        on_recipe: Callable[[int], bool] | None = None,
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Nothing listens before `open`.

        Args:
            settings: where to listen, and the first register.
            on_recipe: see `make_output`.
            heartbeat_s: between two heartbeats.
        """
        self.name = settings.name
        self._settings = settings
        self._heartbeat_s = heartbeat_s
        self._recipes = Recipes(settings.name, on_recipe)
        # All of it on the loop's thread alone, from here.
        self._registers = [0] * NUM_REGISTERS
        self._written = asyncio.Event()
        self._server: ModbusTcpServer | None = None
        # To here.
        self._loop: LoopThread | None = None

    def open(self) -> None:
        """Listen, and begin with the heartbeat.

        Raises:
            OutputError: the port is taken, or may not be used.
        """
        if self._loop is not None:
            return
        self._loop = LoopThread(f"modbus {self.name}")
        try:
            self._loop.run(self._listen(), self._settings.timeout_s + _MARGIN_S)
        except BaseException:
            self.close()
            raise
        self._loop.begin(self._beat())

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Show one after another; where they are acknowledged, the next one when a controller has taken the last.

        Raises:
            OutputError: no controller acknowledged one in time.
        """

        def hand_over(record: InspectionRecord) -> None:
            self.open()
            assert self._loop is not None, "open listens"
            self._loop.run(self._show(record), self._settings.timeout_s + _MARGIN_S)

        deliver_in_turn(records, hand_over)

    def check(self) -> None:
        """Nothing to do: who listens loses nothing."""

    def close(self) -> None:
        """End all connections, and listen no more."""
        if self._loop is not None:
            self._loop.run(self._end(), _MARGIN_S)
            self._loop.close()
            self._loop = None

    async def _listen(self) -> None:
        host, port = self._settings.host, self._settings.port
        check_free(host, port, output=self.name, setting="host or port")
        first = self._settings.first_register
        self._server = ModbusTcpServer(
            SimDevice(
                id=0,  # any
                simdata=[
                    SimData(first, values=self._registers[:RECIPE_ASKED], datatype=DataType.REGISTERS, readonly=True),
                    SimData(first + RECIPE_ASKED, values=self._registers[RECIPE_ASKED:], datatype=DataType.REGISTERS),
                ],
                action=self._on_request,
            ),
            address=(host, port),
        )
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as error:  # the library logs the reason and keeps it to itself
            taken = OSError(errno.EADDRINUSE, "")
            raise not_listening(host, port, taken, output=self.name, setting="host or port") from error

    async def _end(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def _beat(self) -> None:
        while True:
            self._registers[HEARTBEAT] = (self._registers[HEARTBEAT] + 1) & 0xFFFF
            self._registers[RECIPE_FOLLOWED] = self._recipes.followed
            await asyncio.sleep(self._heartbeat_s)

    async def _show(self, record: InspectionRecord) -> None:
        order = self._settings.word_order
        shown = inspection_registers(record, datetime.now(UTC), order)
        self._registers[INSPECTION : INSPECTION + len(shown)] = shown
        if not self._settings.is_acknowledged:
            return
        try:
            await asyncio.wait_for(self._acknowledged(record), self._settings.timeout_s)
        except TimeoutError:
            raise OutputError(
                f"no controller acknowledged inspection {record.id} of output {self.name!r} within "
                f"{self._settings.timeout_s:g} s: let one copy the id into registers "
                f"{self._settings.first_register + ACKNOWLEDGED} and the next one"
            ) from None

    async def _acknowledged(self, record: InspectionRecord) -> None:
        while uint32(self._registers[ACKNOWLEDGED:], self._settings.word_order) != wire_id(record.id):
            self._written.clear()
            await self._written.wait()

    async def _on_request(
        self,
        function_code: int,
        _start: int,
        address: int,
        _count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Called for each request whose registers exist and may be written: with what is there, and what is to be."""
        if function_code not in _FUNCTIONS:
            return ExcCodes.ILLEGAL_FUNCTION
        if values is not None:
            offset = address - self._settings.first_register
            self._registers[offset : offset + len(values)] = [int(value) for value in values]
            self._written.set()
            self._recipes.ask(self._registers[RECIPE_ASKED])
        self._registers[RECIPE_FOLLOWED] = self._recipes.followed
        registers[:NUM_REGISTERS] = self._registers
        return None
