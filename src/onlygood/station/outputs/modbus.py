"""Verdicts into a controller's registers over Modbus TCP; `registers` says which holds what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from onlygood.errors import OutputError
from onlygood.station.outputs.controller_writer import HEARTBEAT_S, ControllerWriter
from onlygood.station.outputs.library_logs import silence
from onlygood.station.outputs.recipes import Recipes
from onlygood.station.outputs.registers import (
    ACKNOWLEDGED,
    HEARTBEAT,
    INSPECTION,
    NUM_ASKED,
    RECIPE_ASKED,
    RECIPE_FOLLOWED,
    inspection_registers,
    uint32,
    wire_id,
)
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import ModbusOutput

# How often a register that the controller is to write is looked at.
POLL_S = 0.02
# For what needs several requests: each of them ends in its own time.
_MARGIN_S = 5.0
silence("pymodbus")


class ModbusWriter(ControllerWriter["_Connection"]):
    """Writes each inspection into a controller's registers, and a heartbeat beside them every second."""

    kind = "modbus"

    def __init__(
        self,
        settings: ModbusOutput,
        on_recipe: Callable[[int], bool] | None = None,
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Nothing is connected before `open`.

        Args:
            settings: where the controller is, and its first register.
            on_recipe: see `make_output`.
            heartbeat_s: between two heartbeats.
        """
        super().__init__(settings.name, heartbeat_s=heartbeat_s, patience_s=2 * settings.timeout_s + _MARGIN_S)
        self._settings = settings
        self._recipes = Recipes(settings.name, on_recipe)
        self._heartbeat = 0

    async def _connected(self) -> _Connection:
        connection = _Connection(self._settings)
        await connection.connect()
        try:
            await self._beat_once(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _beat_once(self, connection: _Connection) -> None:
        self._heartbeat = (self._heartbeat + 1) & 0xFFFF
        await connection.write(HEARTBEAT, [self._heartbeat])
        asked = await connection.read(RECIPE_ASKED, NUM_ASKED)
        self._recipes.ask(asked[0])
        await connection.write(RECIPE_FOLLOWED, [self._recipes.followed, 0])

    async def _disconnect(self, connection: _Connection) -> None:
        await connection.close()

    async def _hand_over(self, connection: _Connection, record: InspectionRecord) -> None:
        """Write it; where it is acknowledged, until the controller has taken it."""
        order = self._settings.word_order
        try:
            await connection.write(INSPECTION, inspection_registers(record, datetime.now(UTC), order))
            if self._settings.is_acknowledged:
                await asyncio.wait_for(self._acknowledged(connection, record), self._settings.timeout_s)
        except TimeoutError:
            raise OutputError(
                f"{connection.shown} did not acknowledge inspection {record.id} within {self._settings.timeout_s:g} s: "
                f"let it copy the id into registers {self._settings.first_register + ACKNOWLEDGED} and the next one"
            ) from None
        except OutputError as error:
            connection.problem = str(error)
            raise

    async def _acknowledged(self, connection: _Connection, record: InspectionRecord) -> None:
        while True:
            registers = await connection.read(ACKNOWLEDGED, 2)
            if uint32(registers, self._settings.word_order) == wire_id(record.id):
                return
            await asyncio.sleep(POLL_S)


class _Connection:
    """One connection, which is never made a second time.

    Attributes:
        shown: the controller, as the subject of a sentence.
        problem: why it cannot be used any more; None while it can.
    """

    def __init__(self, settings: ModbusOutput) -> None:
        self.problem: str | None = None
        self.shown = f"the controller {settings.host}:{settings.port} of output {settings.name!r}"
        self._settings = settings
        self._lost = asyncio.Event()
        # The library's client for programs without asyncio waits by the clock of the day, which can be set back, and
        # with a call that fails where a program has more than a thousand files open.
        self._client = AsyncModbusTcpClient(
            settings.host,
            port=settings.port,
            timeout=settings.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_change,
        )

    async def connect(self) -> None:
        if not await self._client.connect():
            raise OutputError(f"{self.shown} was not reached: check the network, host and port")

    async def write(self, offset: int, registers: list[int]) -> None:
        address = self._settings.first_register + offset
        await self._answered(
            lambda: self._client.write_registers(address, registers, device_id=self._settings.device_id),
            f"the registers {address} to {address + len(registers) - 1}",
        )

    async def read(self, offset: int, num_registers: int) -> list[int]:
        address = self._settings.first_register + offset
        shown = f"the registers {address} to {address + num_registers - 1}"
        answer = await self._answered(
            lambda: self._client.read_holding_registers(
                address, count=num_registers, device_id=self._settings.device_id
            ),
            shown,
        )
        if len(answer.registers) != num_registers:
            raise OutputError(
                f"{self.shown} answers with {len(answer.registers)} registers to {shown}: check its program"
            )
        return list(answer.registers)

    async def close(self) -> None:
        self.problem = self.problem or f"{self.shown} was disconnected"
        self._client.close()

    async def _answered(self, request: Callable[[], Awaitable[ModbusPDU]], shown: str) -> ModbusPDU:
        """What the controller answers to a request about some registers.

        Raises:
            OutputError: nothing, or that it refuses.
        """
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            asked = asyncio.ensure_future(request())
            await asyncio.wait({asked, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                asked.cancel()
                raise OutputError(f"{self.shown} closed the connection: look after it")
            answer = asked.result()
        except ModbusException as error:
            if self._lost.is_set():
                raise OutputError(f"{self.shown} closed the connection: look after it") from error
            raise OutputError(
                f"{self.shown} did not answer within {self._settings.timeout_s:g} s: check that it is running, "
                f"and device_id"
            ) from error
        finally:
            lost.cancel()
        if answer.isError():
            code = getattr(answer, "exception_code", 0)
            raise OutputError(
                f"{self.shown} refuses {shown} with Modbus exception {code}: {_REMEDIES.get(code, 'look after it')}"
            )
        return answer

    def _on_change(self, is_connected: bool) -> None:
        if not is_connected:
            self._lost.set()


_REMEDIES = {
    1: "let it take the functions 3 (read) and 16 (write) for holding registers",
    2: "check first_register, and that it has 16 holding registers from there on",
    3: "check first_register, and that it has 16 holding registers from there on",
    10: "check device_id",
    11: "check device_id",
}
