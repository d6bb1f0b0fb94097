"""Modbus TCP against a controller, and a controller against the station's registers."""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from controller import Controller
from pydantic import ValidationError
from pymodbus.client import ModbusTcpClient
from waiting_records import DEADLINE_S, MemoryOutbox, quick_pauses, record, records, wait_until
from weak_line import WeakLine

from broker import free_port
from onlygood.errors import OutputError
from onlygood.station.outputs import registers
from onlygood.station.outputs.delivery import Delivery
from onlygood.station.outputs.modbus import ModbusWriter
from onlygood.station.outputs.modbus_server import ModbusRegisters
from onlygood.station.outputs.output import Output
from onlygood.station.outputs.recipes import Recipes
from onlygood.station.station_settings import ModbusOutput

BEAT_S = 0.02


@pytest.fixture
def controller() -> Iterator[Controller]:
    running = Controller(first=200).start()
    yield running
    running.close()


def settings(port: int, **changes: Any) -> ModbusOutput:
    return ModbusOutput(**{"name": "plc", "port": port, "first_register": 200, "timeout_s": DEADLINE_S} | changes)


@contextmanager
def writing(port: int, on_recipe: Any = None, **changes: Any) -> Iterator[ModbusWriter]:
    writer = ModbusWriter(settings(port, **changes), on_recipe, heartbeat_s=BEAT_S)
    with closing(writer):
        yield writer


@contextmanager
def serving(on_recipe: Any = None, **changes: Any) -> Iterator[tuple[ModbusRegisters, ModbusTcpClient]]:
    port = free_port()
    server = ModbusRegisters(settings(port, role="server", **changes), on_recipe, heartbeat_s=BEAT_S)
    with closing(server):
        server.open()
        with ModbusTcpClient("127.0.0.1", port=port) as client:
            yield server, client


def acknowledge(values: list[int]) -> None:
    """What a controller does: it copies the id when it has taken an inspection."""
    values[14:16] = values[2:4]


def test_the_registers_are_those_of_the_table():
    shown = record(70000, score=0.3, p_value=0.02)
    packed = registers.inspection_registers(shown, shown.at + timedelta(seconds=100), "high first")
    assert packed[0] == 2
    assert packed[1:3] == [1, 4464]  # 70000 = 65536 + 4464
    assert struct.pack(">HH", *packed[3:5]) == struct.pack(">f", 0.3)
    assert struct.pack(">HH", *packed[5:7]) == struct.pack(">f", 0.02)
    assert packed[7:9] == [1, 34464]  # 100,000 ms
    swapped = registers.inspection_registers(shown, shown.at + timedelta(seconds=100), "low first")
    assert swapped == [2, 4464, 1, packed[4], packed[3], packed[6], packed[5], 34464, 1]
    assert registers.uint32([1, 4464], "high first") == registers.uint32([4464, 1], "low first") == 70000


def test_values_at_the_ends_of_their_types():
    late = record(2**32 + 5, score=1e300)
    packed = registers.inspection_registers(late, late.at + timedelta(days=365), "high first")
    assert packed[1:3] == [0, 5]
    assert packed[3:5] == [0x7F7F, 0xFFFF]
    assert packed[7:9] == [0xFFFF, 0xFFFF]
    early = record(1, score=-1e300)
    packed = registers.inspection_registers(early, early.at - timedelta(seconds=1), "high first")
    assert packed[3:5] == [0xFF7F, 0xFFFF]
    assert packed[7:9] == [0, 0]


def test_each_inspection_is_written_in_order(controller):
    with writing(controller.port) as writer:
        writer.open()
        writer.deliver(records(1, 20))
        assert controller.inspections() == [(number, 2 if number % 2 == 0 else 1) for number in range(1, 21)]
        assert controller.float_at(4) == 5.0
        assert controller.float_at(6) == pytest.approx(1 / 21, rel=1e-7)
        assert registers.uint32(controller.at(8, 2), "high first") > 0


def test_the_heartbeat_goes_on_while_nothing_is_inspected_and_stands_still_without_the_station(controller):
    with writing(controller.port) as writer:
        writer.open()
        wait_until(lambda: controller.at(0)[0] >= 5, "five heartbeats")
    beats = [values for address, values in controller.writes if address == 200]
    assert beats == [[number] for number in range(1, len(beats) + 1)]
    controller.stop()
    assert controller.at(0) == beats[-1]


def test_the_heartbeat_begins_again_after_its_last_number(controller):
    with writing(controller.port) as writer:
        writer._heartbeat = 65533
        writer.open()
        wait_until(
            lambda: [0] in [values for address, values in controller.writes if address == 200], "the last number"
        )
    beats = [values[0] for address, values in controller.writes if address == 200]
    assert beats[:4] == [65534, 65535, 0, 1][: len(beats)]


def test_the_heartbeat_goes_on_while_an_acknowledgement_is_waited_for(controller):
    may_acknowledge = Event()

    def late(values: list[int]) -> None:
        if may_acknowledge.is_set():
            acknowledge(values)

    controller.program = late
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 3))
    with writing(controller.port, is_acknowledged=True) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: controller.inspections() == [(1, 1)], "the first one")
        beat = controller.at(0)[0]
        wait_until(lambda: controller.at(0)[0] > beat + 3, "heartbeats")
        assert controller.inspections() == [(1, 1)]
        may_acknowledge.set()
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert controller.inspections() == [(1, 1), (2, 2), (3, 1)]
        assert delivery.stop()


def test_no_acknowledgement(controller):
    with writing(controller.port, is_acknowledged=True, timeout_s=0.2) as writer:
        writer.open()
        with pytest.raises(OutputError) as refused:
            writer.deliver(records(1, 2))
        assert str(refused.value) == (
            f"the controller 127.0.0.1:{controller.port} of output 'plc' did not acknowledge inspection 1 within 0.2 s"
            f": let it copy the id into registers 214 and the next one"
        )
        assert refused.value.taken == 0
        controller.program = acknowledge
        writer.open()
        writer.deliver(records(1, 2))
    assert controller.inspections() == [(1, 1), (1, 1), (2, 2)]


def test_a_recipe_number_is_passed_on_once_and_the_controller_told(controller):
    asked: list[int] = []

    def on_recipe(number: int) -> bool:
        asked.append(number)
        return number in (3, 5)

    with writing(controller.port, on_recipe) as writer:
        writer.open()
        controller.registers[12] = 3
        wait_until(lambda: controller.at(10) == [3], "the recipe")
        beat = controller.at(0)[0]
        wait_until(lambda: controller.at(0)[0] > beat + 3, "heartbeats")
        assert asked == [3]
        controller.registers[12] = 4
        wait_until(lambda: asked == [3, 4], "the next recipe")
        controller.registers[12] = 0
        beat = controller.at(0)[0]
        wait_until(lambda: controller.at(0)[0] > beat + 3, "heartbeats")
        assert controller.at(10) == [3], "what cannot be followed leaves what is followed"
        controller.registers[12] = 5
        wait_until(lambda: controller.at(10) == [5], "the recipe")
        assert asked == [3, 4, 5]


def test_a_slow_change_of_recipe_delays_no_heartbeat(controller):
    released = Event()
    with writing(controller.port, lambda _: released.wait(60)) as writer:
        controller.registers[12] = 3
        writer.open()
        beat = controller.at(0)[0]
        wait_until(lambda: controller.at(0)[0] > beat + 3, "heartbeats")
        assert controller.at(10) == [0]
        released.set()
        wait_until(lambda: controller.at(10) == [3], "the recipe")


def test_a_recipe_that_fails_unexpectedly_is_tried_again_and_logged_once(caplog):
    attempts: list[int] = []

    def on_recipe(number: int) -> bool:
        attempts.append(number)
        if len(attempts) < 4:
            raise OSError("the disk is away")
        return True

    recipes = Recipes("plc", on_recipe)

    def followed() -> bool:
        recipes.ask(7)
        return recipes.followed == 7

    wait_until(followed, "the recipe")
    assert attempts == [7, 7, 7, 7]
    assert [each.getMessage() for each in caplog.records] == [
        "recipe 7 of output 'plc' failed with OSError: the disk is away; it is tried again"
    ]


def test_no_controller():
    port = free_port()
    with writing(port) as writer, pytest.raises(OutputError) as refused:
        writer.open()
    assert str(refused.value) == (
        f"the controller 127.0.0.1:{port} of output 'plc' was not reached: check the network, host and port"
    )


def test_registers_that_the_controller_does_not_have(controller):
    with writing(controller.port, first_register=300) as writer, pytest.raises(OutputError) as refused:
        writer.open()
    assert str(refused.value) == (
        f"the controller 127.0.0.1:{controller.port} of output 'plc' refuses the registers 300 to 300 with Modbus "
        f"exception 2: check first_register, and that it has 16 holding registers from there on"
    )


def test_a_controller_that_falls_silent(controller):
    line = WeakLine(controller.port)
    with writing(line.port, timeout_s=0.3) as writer:
        writer.open()
        line.is_mute = True
        with pytest.raises(
            OutputError, match=re.escape("did not answer within 0.3 s: check that it is running, and device_id")
        ):
            writer.deliver(records(1, 2))
        line.is_mute = False
        writer.open()
        writer.deliver(records(1, 2))
    line.close()


def test_a_lost_connection_is_known_while_nothing_is_inspected(controller):
    outbox = MemoryOutbox()
    with writing(controller.port) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses, idle_s=0.02)
        delivery.start()
        wait_until(lambda: controller.at(0)[0] > 2, "heartbeats")
        controller.stop()
        wait_until(lambda: delivery.statuses()[0].problem, "a problem")
        controller.start()
        beat = controller.at(0)[0]
        wait_until(lambda: controller.at(0)[0] > beat + 2, "heartbeats")
        wait_until(lambda: delivery.statuses()[0].problem is None, "the end of the problem")
        assert delivery.stop()


def test_the_controller_is_down_and_comes_back(controller):
    controller.stop()
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 20))
    with writing(controller.port) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: len(outbox.problems) > 2, "some attempts")
        controller.start()
        wait_until(lambda: controller.inspections(), "the first one")
        outbox.put("plc", records(21, 40))
        delivery.wake()
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert delivery.stop()
    assert [number for number, _ in controller.inspections()] == list(range(1, 41))


def test_what_is_written_twice_is_only_what_may_not_have_been_taken(controller):
    """The connection breaks while the answer to one inspection is on its way: this one alone comes again."""
    line = WeakLine(controller.port)
    cut: list[bool] = []

    def answers_the_seventh(answer: bytes) -> bool:
        # A Modbus TCP answer: seven bytes of header, the function, the address.
        is_seventh = answer[7:10] == b"\x10\x00\xc9" and len(controller.inspections()) == 7 and not cut
        cut.extend([True] * is_seventh)
        return is_seventh

    line.cuts_when = answers_the_seventh
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 20))
    with writing(line.port) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert delivery.stop()
    line.close()
    assert [number for number, _ in controller.inspections()] == [*range(1, 8), *range(7, 21)]
    assert outbox.problems == [
        f"the controller 127.0.0.1:{line.port} of output 'plc' closed the connection: look after it"
    ]


def test_a_controller_reads_the_station_s_registers():
    with serving() as (server, client):
        server.deliver([record(70000, score=-0.5)])
        read = client.read_holding_registers(200, count=16, device_id=9).registers
        assert read[1:4] == [2, 1, 4464]
        assert client.convert_from_registers(read[4:6], client.DATATYPE.FLOAT32) == -0.5
        assert read[11:] == [0, 0, 0, 0, 0]
        assert client.read_input_registers(201, count=9).registers == read[1:10]
        first = read[0]
        wait_until(lambda: client.read_holding_registers(200, count=1).registers[0] > first + 3, "heartbeats")


def test_a_controller_asks_the_station_for_a_recipe():
    asked: list[int] = []

    def on_recipe(number: int) -> bool:
        asked.append(number)
        return number == 3

    with serving(on_recipe) as (_, client):
        client.write_register(212, 3)
        wait_until(lambda: client.read_holding_registers(210, count=1).registers == [3], "the recipe")
        client.write_registers(212, [4, 0])
        wait_until(lambda: asked == [3, 4], "the next one")
        assert client.read_holding_registers(210, count=3).registers == [3, 0, 4]


def test_a_controller_acknowledges_what_it_reads():
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 10))
    with serving(is_acknowledged=True) as (server, client):
        delivery = Delivery(outbox, [server], pauses=quick_pauses)
        delivery.start()
        seen: list[tuple[int, int]] = []
        while len(seen) < 10:
            verdict, high, low = client.read_holding_registers(201, count=3).registers
            identifier = high << 16 | low
            if identifier and (not seen or seen[-1][0] != identifier):
                seen.append((identifier, verdict))
                client.write_registers(214, [high, low])
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert delivery.stop()
    assert seen == [(number, 2 if number % 2 == 0 else 1) for number in range(1, 11)]
    assert outbox.problems == []


def test_nobody_acknowledges():
    with serving(is_acknowledged=True, timeout_s=0.1) as (server, client):
        with pytest.raises(OutputError) as refused:
            server.deliver([record(1)])
        assert str(refused.value) == (
            "no controller acknowledged inspection 1 of output 'plc' within 0.1 s: let one copy the id into registers "
            "214 and the next one"
        )
        assert client.read_holding_registers(202, count=2).registers == [0, 1], "the connection is still there"


def test_the_library_says_nothing_beside_what_the_output_says(caplog):
    caplog.set_level(logging.DEBUG)
    outbox = MemoryOutbox()
    with writing(free_port()) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: len(outbox.problems) > 3, "some attempts")
        assert delivery.stop()
    assert {each.name for each in caplog.records if each.levelno > logging.DEBUG} == {"onlygood.station"}


def test_a_recipe_is_a_number_that_fits_into_a_register():
    assert settings(1, recipes={"1": "part", 65535: "cap"}).recipes == {1: "part", 65535: "cap"}
    for number in (0, 65536, -1):
        with pytest.raises(ValidationError):
            settings(1, recipes={number: "part"})


def test_what_a_controller_may_not_do():
    with serving() as (server, client):
        server.deliver([record(2)])
        before = client.read_holding_registers(201, count=9).registers
        for refused in (
            client.write_register(201, 1),
            client.write_registers(210, [1, 2, 3]),
            client.write_register(199, 1),
            client.write_register(216, 1),
            client.read_holding_registers(200, count=17),
            client.readwrite_registers(read_address=200, read_count=2, write_address=201, values=[1]),
        ):
            assert refused.exception_code == 2
        for refused in (client.read_coils(200), client.write_coil(212, True), client.read_discrete_inputs(200)):
            assert refused.exception_code == 1
        assert client.read_holding_registers(201, count=9).registers == before


@pytest.mark.skipif(os.name != "posix", reason="Windows says it in other words")
def test_a_port_that_is_taken():
    with serving() as (server, _):
        port = server._settings.port
        second = ModbusRegisters(settings(port, role="server"))
        with pytest.raises(OutputError) as refused:
            second.open()
        second.close()
    assert str(refused.value) == (
        f"output 'plc' cannot listen on 127.0.0.1:{port} (address already in use): end what has the port, or choose "
        f"another host or port"
    )
    second.open()
    second.close()


@pytest.mark.parametrize("make", [ModbusWriter, ModbusRegisters])
def test_close_is_possible_at_any_time(make):
    output: Output = make(settings(free_port()))
    output.close()
    output.close()
    output.check()
