"""OPC UA against a controller's server, and a client against the station's."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_to_binary
from plc import PASSWORD, OneUser, Plc
from waiting_records import DEADLINE_S, MemoryOutbox, quick_pauses, record, records, wait_until
from weak_line import WeakLine

from broker import free_port
from onlygood.errors import OutputError, SettingError
from onlygood.station.outputs.delivery import Delivery
from onlygood.station.outputs.opcua import OpcUaWriter, bare, node_id
from onlygood.station.outputs.opcua_nodes import VARIABLES, converted, fits
from onlygood.station.outputs.opcua_server import OpcUaVariables
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import OpcUaOutput

BEAT_S = 0.02
# Of a station that has no certificate: nothing is secured here.
DATA = Path("no/such/folder")


@pytest.fixture(scope="module")
def made_plc() -> Iterator[Plc]:
    """To make one takes more than a second."""
    with closing(Plc().make()) as made:
        yield made


@pytest.fixture
def plc(made_plc: Plc) -> Plc:
    made_plc.forget()
    return made_plc


def settings(url: str, **changes: Any) -> OpcUaOutput:
    values = {"name": "plc", "url": url, "role": "client", "node_prefix": "ns=2;s=Line1", "timeout_s": DEADLINE_S}
    return OpcUaOutput(**values | changes)


@contextmanager
def writing(url: str, **changes: Any) -> Iterator[OpcUaWriter]:
    with closing(OpcUaWriter(settings(url, **changes), DATA, heartbeat_s=BEAT_S)) as writer:
        yield writer


@pytest.fixture(scope="module")
def station() -> Iterator[tuple[OpcUaVariables, str]]:
    url = f"opc.tcp://127.0.0.1:{free_port()}/onlygood"
    with closing(OpcUaVariables(OpcUaOutput(name="ua", url=url), DATA, heartbeat_s=BEAT_S)) as variables:
        variables.open()
        yield variables, url


def test_each_inspection_is_written_with_the_controller_s_types(plc):
    before = datetime.now(UTC)
    given = record(2**31 + 6, score=0.1, at=before - timedelta(seconds=10))
    with writing(plc.url) as writer:
        writer.open()
        writer.deliver([record(3), given])
        values = plc.values()
    assert plc.written_ids() == [3, 6], "an id that is too large for the type begins again"
    assert values["IsAnomalous"] is True
    assert values["Score"] == struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert values["PValue"] == given.p_value
    assert values["Model"] == "part"
    assert values["At"].replace(tzinfo=UTC) == given.at
    assert 10_000 <= values["AgeMs"] <= 10_000 + 1000 * DEADLINE_S


def test_an_inspection_is_one_request_of_bare_values(plc):
    with writing(plc.url) as writer:
        writer.deliver([record(3)])
    (inspection,) = [each for each in plc.writes if "InspectionId" in each]
    assert list(inspection) == ["IsAnomalous", "Score", "PValue", "Model", "At", "AgeMs", "InspectionId"]
    # The first byte says what follows: 1 is a value, the other bits are times and a status.
    assert struct_to_binary(bare(True, ua.VariantType.Boolean)) == b"\x01\x01\x01"
    assert {value.SourceTimestamp for value in inspection.values()} == {None}


def test_the_heartbeat_goes_on_and_begins_again_at_the_end_of_its_type(plc):
    with writing(plc.url) as writer:
        writer._heartbeat = 65533
        writer.open()
        wait_until(lambda: len(plc.writes) >= 5, "five heartbeats")
    beats = [each["Heartbeat"].Value.Value for each in plc.writes]
    assert beats[:5] == [65534, 65535, 0, 1, 2]


def test_a_controller_says_which_variables_it_has_not(plc, caplog):
    caplog.set_level(logging.INFO, logger="onlygood.station")
    with writing(plc.url) as writer:
        writer.open()
    assert [each.getMessage() for each in caplog.records if each.name == "onlygood.station"] == [
        f"the controller 127.0.0.1:{plc.port} of output 'plc' has no Verdict, ModelSha256, Source, Name, Json, "
        f"which are not written"
    ]
    with writing(plc.url, node_prefix="ns=2;s=Line2") as writer, pytest.raises(OutputError) as refused:
        writer.open()
    assert str(refused.value) == (
        f"the controller 127.0.0.1:{plc.port} of output 'plc' has no variable ns=2;s=Line2.Heartbeat: "
        f"add Heartbeat, IsAnomalous, InspectionId, or give another node_prefix"
    )


def test_the_controller_is_down_and_comes_back(plc):
    outbox = MemoryOutbox()
    with writing(plc.url) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses, idle_s=0.02)
        delivery.start()
        outbox.put("plc", records(1, 10))
        delivery.wake()
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        plc.stop()
        wait_until(lambda: delivery.statuses()[0].problem, "a problem, though nothing waits")
        outbox.put("plc", records(11, 30))
        delivery.wake()
        plc.start()
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        wait_until(lambda: delivery.statuses()[0].problem is None, "the end of the problem")
        assert delivery.stop()
        assert plc.written_ids() == list(range(1, 31))


def test_what_is_written_twice_is_only_what_may_not_have_been_taken(plc):
    """The connection breaks while the answer to one inspection is on its way: this one alone comes again."""
    line = WeakLine(plc.port)
    cut: list[bool] = []

    def answers_the_seventh(_: bytes) -> bool:
        is_seventh = len(plc.written_ids()) == 7 and not cut
        cut.extend([True] * is_seventh)
        return is_seventh

    line.cuts_when = answers_the_seventh
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 20))
    # The heartbeat stands still: its answer could be the one that is lost.
    with closing(OpcUaWriter(settings(f"opc.tcp://127.0.0.1:{line.port}"), DATA, heartbeat_s=3600)) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert delivery.stop()
    line.close()
    assert plc.written_ids() == [*range(1, 8), *range(7, 21)]
    assert len(outbox.problems) == 1
    assert outbox.problems[0].startswith(
        f"the controller 127.0.0.1:{line.port} of output 'plc' closed the connection ("
    )


def test_a_controller_that_never_answers_keeps_no_connection():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        with writing(f"opc.tcp://127.0.0.1:{port}", timeout_s=0.2) as writer:
            with pytest.raises(OutputError, match=r"did not answer within 0\.2 s: check the network and the url"):
                writer.open()
            connection, _ = listener.accept()
            with closing(connection):
                connection.settimeout(DEADLINE_S)
                while connection.recv(4096):  # the greeting, and then the end of the connection
                    pass


def test_a_controller_that_falls_silent(plc):
    line = WeakLine(plc.port)
    with writing(f"opc.tcp://127.0.0.1:{line.port}", timeout_s=0.5) as writer:
        writer.open()
        line.is_mute = True
        with pytest.raises(OutputError) as refused:
            writer.deliver([record(1)])
    line.close()
    assert str(refused.value) == (
        f"the controller 127.0.0.1:{line.port} of output 'plc' did not answer within 0.5 s: look after it"
    )


def test_no_controller():
    port = free_port()
    with writing(f"opc.tcp://127.0.0.1:{port}") as writer, pytest.raises(OutputError) as refused:
        writer.open()
    assert str(refused.value).startswith(f"the controller 127.0.0.1:{port} of output 'plc' was not reached (")
    assert str(refused.value).endswith("): check the network and the url")


def test_a_controller_with_users(plc):
    with plc.letting_in(OneUser()):
        for credentials in ({}, {"username": "station", "password": "wrong", "sends_plain_password": True}):
            with writing(plc.url, **credentials) as writer, pytest.raises(OutputError) as refused:
                writer.open()
            assert str(refused.value) == (
                f"the controller 127.0.0.1:{plc.port} of output 'plc' refuses the connection (BadUserAccessDenied): "
                f"check url, username and password"
            )
        credentials = {"username": "station", "password": PASSWORD, "sends_plain_password": True}
        with writing(plc.url, **credentials) as writer:
            writer.deliver([record(1)])
    assert plc.written_ids() == [1]


def test_names_in_the_middle_of_a_node_id(plc):
    with writing(plc.url, node_prefix="ns=2;s=Line1.{name}") as writer:
        writer.deliver([record(7)])
    assert plc.written_ids() == [7]
    assert node_id('ns=3;s="onlygood"."{name}"', "Score") == 'ns=3;s="onlygood"."Score"'


def test_a_variable_that_does_not_fit(plc):
    with writing(plc.url, node_prefix="ns=2;s=Wrong") as writer, pytest.raises(OutputError) as refused:
        writer.open()
    assert str(refused.value) == (
        f"the controller 127.0.0.1:{plc.port} of output 'plc' has another type for the variable "
        f"ns=2;s=Wrong.Score (Int16): make it Float or Double"
    )


def test_a_variable_that_cannot_be_written(plc):
    with writing(plc.url, node_prefix="ns=2;s=Locked") as writer, pytest.raises(OutputError) as refused:
        writer.deliver([record(1)])
    assert str(refused.value) == (
        f"the controller 127.0.0.1:{plc.port} of output 'plc' refuses the variable ns=2;s=Locked.Model "
        f"(BadUserAccessDenied): let the user write it"
    )


def test_a_client_reads_the_station_s_variables(station):
    variables, url = station
    given = record(2, name="größe.png")
    variables.deliver([record(1), given])

    async def read() -> dict[str, ua.DataValue]:
        async with Client(url, timeout=DEADLINE_S) as client:
            index = await client.get_namespace_index("urn:onlygood:station")
            names = [variable.name for variable in VARIABLES]
            nodes = [client.get_node(f"ns={index};s=onlygood.{name}") for name in names]
            return {name: await node.read_data_value() for name, node in zip(names, nodes, strict=True)}

    found = asyncio.run(read())
    values = {name: value.Value.Value for name, value in found.items()}
    assert values.pop("Heartbeat") > 0
    assert values.pop("AgeMs") >= 0
    assert InspectionRecord.model_validate_json(values.pop("Json")) == given
    assert values == {
        "InspectionId": 2,
        "IsAnomalous": True,
        "Verdict": "anomalous",
        "Score": 0.5,
        "PValue": 1 / 3,
        "Model": "part",
        "ModelSha256": "ab" * 32,
        "Source": "camera",
        "Name": "größe.png",
        "At": values["At"],
    }
    assert values["At"].replace(tzinfo=UTC) == given.at
    assert {name: value.Value.VariantType for name, value in found.items()} == {
        variable.name: variable.type for variable in VARIABLES
    }
    assert found["Score"].SourceTimestamp.replace(tzinfo=UTC) == given.at


def test_a_subscriber_hears_of_every_inspection_and_of_the_heartbeat(station):
    variables, url = station
    heard: list[int] = []
    beats: list[int] = []

    class Handler:
        def datachange_notification(self, node: Any, value: Any, _: Any) -> None:
            if "Json" in str(node):
                heard.extend([json.loads(value)["id"]] if value else [])
            else:
                beats.append(value)

    async def subscribe() -> None:
        async with Client(url, timeout=DEADLINE_S) as client:
            subscription = await client.create_subscription(10, Handler())
            nodes = [client.get_node(f"ns=2;s=onlygood.{name}") for name in ("Json", "Heartbeat")]
            await subscription.subscribe_data_change(nodes, queuesize=100)
            await asyncio.to_thread(variables.deliver, records(101, 120))
            await asyncio.to_thread(wait_until, lambda: heard[-1:] == [120] and len(beats) > 3, "the notifications")

    asyncio.run(subscribe())
    assert [number for number in heard if number > 100] == list(range(101, 121))
    assert beats == list(range(beats[0], beats[0] + len(beats)))


@pytest.mark.parametrize("username", ["", "admin", "Admin"])
def test_nobody_can_write_to_the_station(station, username):
    _, url = station

    async def attempt() -> None:
        client = Client(url, timeout=DEADLINE_S)
        if username:
            client.set_user(username)
            client.set_password("")
        async with client:
            node = client.get_node("ns=2;s=onlygood.IsAnomalous")
            with pytest.raises(ua.UaStatusCodeError):
                await node.write_value(True)
            with pytest.raises(ua.UaError):
                await client.delete_nodes([node])
            await node.read_value()

    if username:
        with pytest.raises(ua.UaError):
            asyncio.run(attempt())
    else:
        asyncio.run(attempt())


@pytest.mark.skipif(os.name != "posix", reason="Windows says it in other words")
def test_a_port_that_is_taken(station):
    _, url = station
    second = OpcUaVariables(OpcUaOutput(name="second", url=url), DATA)
    with pytest.raises(OutputError) as refused:
        second.open()
    second.close()
    assert str(refused.value) == (
        f"output 'second' cannot listen on {url.removeprefix('opc.tcp://').split('/')[0]} (address already in use): "
        f"end what has the port, or choose another url"
    )


@pytest.mark.parametrize("url", ["http://localhost", "opc.tcp://", "opc.tcp://[::1/", "opc.tcp://host:99999999/", ""])
@pytest.mark.parametrize("make", [OpcUaWriter, OpcUaVariables])
def test_addresses_that_cannot_be_used(make, url):
    with pytest.raises(SettingError) as refused:
        make(settings(url), DATA)
    assert str(refused.value) == (
        "the url of output 'plc' must be like opc.tcp://host:4840/path, got another one: mend it"
    )


@pytest.mark.parametrize("prefix", ["", "onlygood", "ns=x;s=a", "s"])
def test_prefixes_that_cannot_be_used(prefix):
    with pytest.raises(SettingError) as refused:
        OpcUaWriter(settings("opc.tcp://localhost", node_prefix=prefix), DATA)
    assert str(refused.value) == (
        f"the node_prefix of output 'plc' must be like ns=2;s=onlygood, got {prefix!r}: "
        f"give the namespace and the beginning of the variables' names"
    )


def test_values_at_the_ends_of_a_controller_s_types():
    by_name = {variable.name: variable for variable in VARIABLES}
    assert converted(by_name["AgeMs"], 70_000, ua.VariantType.UInt16) == 65_535
    assert converted(by_name["InspectionId"], 70_000, ua.VariantType.UInt16) == 70_000 - 65_536
    assert converted(by_name["Score"], -1e300, ua.VariantType.Float) == -(2 - 2**-23) * 2.0**127
    assert converted(by_name["IsAnomalous"], True, ua.VariantType.Byte) == 1
    assert not fits(by_name["IsAnomalous"], ua.VariantType.String)
    assert not fits(by_name["Verdict"], ua.VariantType.Int16)
    early = by_name["AgeMs"].value
    assert early is not None
    assert early(record(1), timedelta(seconds=-5)) == 0, "the clock was set back"
