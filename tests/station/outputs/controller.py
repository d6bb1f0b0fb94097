"""A controller with Modbus registers, which a test stops, starts again and programs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from threading import Lock

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from broker import free_port
from onlygood.station.outputs.loop_thread import LoopThread


class Controller:
    """Holding registers from `first` on, for one device id.

    Attributes:
        writes: every request to write, as address and registers, in order.
        program: is run on the registers after each request to write, as a controller's cycle is.
    """

    def __init__(self, first: int = 0, num_registers: int = 16, device_id: int = 1) -> None:
        self.port = free_port()
        self.first = first
        self.registers = [0] * num_registers
        self.writes: list[tuple[int, list[int]]] = []
        self.program: Callable[[list[int]], None] = lambda _: None
        self._device_id = device_id
        self._guard = Lock()
        self._loop = LoopThread("controller")
        self._server: ModbusTcpServer | None = None

    def start(self) -> Controller:
        self._loop.run(self._start(), 30)
        return self

    def stop(self) -> None:
        """End it, with all connections; its registers keep their values."""
        self._loop.run(self._stop(), 30)

    def close(self) -> None:
        self.stop()
        self._loop.close()

    def at(self, offset: int, num_registers: int = 1) -> list[int]:
        return list(self.registers[offset : offset + num_registers])

    def float_at(self, offset: int) -> float:
        """As IEC 61131's REAL, high word first."""
        value: float = struct.unpack(">f", struct.pack(">HH", *self.at(offset, 2)))[0]
        return value

    def inspections(self) -> list[tuple[int, int]]:
        """Id and verdict of each inspection that was written, in order."""
        with self._guard:
            written = [registers for address, registers in self.writes if address == self.first + 1]
        return [(registers[1] << 16 | registers[2], registers[0]) for registers in written]

    async def _start(self) -> None:
        self._server = ModbusTcpServer(
            SimDevice(
                id=self._device_id,
                simdata=[SimData(self.first, values=list(self.registers), datatype=DataType.REGISTERS)],
                action=self._on_request,
            ),
            address=("127.0.0.1", self.port),
        )
        await self._server.serve_forever(background=True)

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None

    async def _on_request(
        self,
        _function_code: int,
        _start: int,
        address: int,
        _count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        if values is not None:
            offset = address - self.first
            with self._guard:
                self.registers[offset : offset + len(values)] = [int(value) for value in values]
                self.writes.append((address, [int(value) for value in values]))
            self.program(self.registers)
        registers[: len(self.registers)] = self.registers
        return None
