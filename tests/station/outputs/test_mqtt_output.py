"""MQTT against Mosquitto: acknowledged, in order, and others know whether the station is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from certificates import Authority
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pydantic import ValidationError
from waiting_records import DEADLINE_S, MemoryOutbox, quick_pauses, record, records, wait_until
from weak_line import WeakLine

from broker import Broker, free_port
from onlygood.errors import OutputError
from onlygood.station.outputs.delivery import Delivery
from onlygood.station.outputs.mqtt import MqttPublisher, topic_of
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import MqttOutput


class ConfiguredBroker(Broker):
    """With more lines in its configuration."""

    def __init__(self, folder: Path, *lines: str, **settings: Any) -> None:
        super().__init__(folder, **settings)
        with self._configuration.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))


class Subscriber:
    """Hears all messages of a broker: topic, payload and whether they were kept by it."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._guard = Lock()
        self._is_ready = False
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self.client.reconnect_delay_set(1, 1)
        if broker.username:
            self.client.username_pw_set(broker.username, broker.password)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        self.client.subscribe("#", qos=1)
        wait_until(lambda: self._is_ready, "subscription")

    def ids(self, topic: str) -> list[int]:
        with self._guard:
            return [json.loads(payload)["id"] for heard, payload, _ in self.heard if heard == topic]

    def payloads(self, topic: str) -> list[bytes]:
        with self._guard:
            return [payload for heard, payload, _ in self.heard if heard == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        with self._guard:
            self.heard.append((message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(self, *_: Any) -> None:
        self._is_ready = True


@contextmanager
def subscribed(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    try:
        yield subscriber
    finally:
        subscriber.close()


@contextmanager
def published(port: int, **settings: Any) -> Iterator[MqttPublisher]:
    values = {"timeout_s": DEADLINE_S} | settings
    publisher = MqttPublisher(MqttOutput(name="line", host="127.0.0.1", port=port, **values))
    try:
        yield publisher
    finally:
        publisher.close()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_each_inspection_is_a_message_with_its_json(broker, version):
    given = [record(1), record(2, model="cap", source="http", name="größe.png")]
    with subscribed(broker) as subscriber:
        with published(broker.port, version=version, topic="plant/{source}/{model}/verdict") as publisher:
            publisher.open()
            publisher.deliver(given)
        wait_until(lambda: len(subscriber.heard) == 4, "four messages")
    assert [topic for topic, _, _ in subscriber.heard] == [
        "onlygood/status",
        "plant/camera/part/verdict",
        "plant/http/cap/verdict",
        "onlygood/status",
    ]
    assert [InspectionRecord.model_validate_json(payload) for _, payload, _ in subscriber.heard[1:3]] == given
    assert not any(is_retained for _, _, is_retained in subscriber.heard[1:3])


def test_others_know_whether_the_station_is_there(broker):
    with published(broker.port) as publisher:
        publisher.open()
        with subscribed(broker) as late:  # comes after it was said
            wait_until(lambda: late.heard == [("onlygood/status", b"online", True)], "what was retained")
            publisher.close()
            wait_until(lambda: late.payloads("onlygood/status") == [b"online", b"offline"], "the farewell")
    with subscribed(broker) as later:
        wait_until(lambda: later.heard == [("onlygood/status", b"offline", True)], "what was retained")


def test_the_broker_says_that_a_station_is_gone_that_cannot_say_it(broker):
    line = WeakLine(broker.port)
    with subscribed(broker) as subscriber, published(line.port, availability_topic="hall/3") as publisher:
        publisher.open()
        line.cut()
        wait_until(lambda: subscriber.payloads("hall/3") == [b"online", b"offline"], "the last will")
        publisher.check()
        wait_until(lambda: subscriber.payloads("hall/3") == [b"online", b"offline", b"online"], "the return")
    line.close()


def test_no_availability_where_none_is_asked_for(broker):
    with subscribed(broker) as subscriber:
        with published(broker.port, availability_topic="") as publisher:
            publisher.open()
            publisher.deliver([record(1)])
        wait_until(lambda: subscriber.heard, "the message")
    assert [topic for topic, _, _ in subscriber.heard] == ["onlygood/part"]


def test_a_bad_password(locked_broker):
    with (
        published(locked_broker.port, username="line", password="wrong") as publisher,
        pytest.raises(OutputError) as refused,
    ):
        publisher.open()
    assert str(refused.value) == (
        f"the broker 127.0.0.1:{locked_broker.port} of output 'line' refuses the connection (not authorized): "
        f"check username, password and its users"
    )
    with (
        published(locked_broker.port, username="line", password="wrong", version="3.1.1") as publisher,
        pytest.raises(OutputError, match=re.escape("refuses the connection (")),
    ):
        publisher.open()


def test_a_good_password(locked_broker):
    with subscribed(locked_broker) as subscriber:
        with published(locked_broker.port, username="line", password="correct horse") as publisher:
            publisher.open()
            publisher.deliver(records(1, 3))
        wait_until(lambda: subscriber.ids("onlygood/part") == [1, 2, 3], "the messages")


def test_a_topic_that_the_user_may_not_publish_to_is_no_delivery(tmp_path):
    (tmp_path / "acl").write_text(
        "user line\ntopic write onlygood/part\ntopic write onlygood/status\n", encoding="utf-8"
    )
    running = ConfiguredBroker(
        tmp_path / "acl_broker", f"acl_file {tmp_path / 'acl'}", username="line", password="pass"
    ).start()
    try:
        with published(running.port, username="line", password="pass") as publisher:
            publisher.open()
            with pytest.raises(OutputError) as refused:
                publisher.deliver([record(1), record(2), record(3, model="cap"), record(4)])
    finally:
        running.stop()
    assert str(refused.value) == (
        f"the broker 127.0.0.1:{running.port} of output 'line' refuses inspection 3 at the topic onlygood/cap "
        f"(not authorized): let the user 'line' publish there"
    )
    assert refused.value.taken == 2


def test_no_broker():
    port = free_port()
    with published(port) as publisher, pytest.raises(OutputError) as refused:
        publisher.open()
    assert re.fullmatch(
        rf"the broker 127\.0\.0\.1:{port} of output 'line' was not reached \(.*refused.*\): "
        rf"check the network and the broker",
        str(refused.value),
    )


def test_what_answers_is_no_broker():
    """A server that hangs up, as one does that does not know the protocol's version."""
    line = WeakLine(free_port())
    with published(line.port) as publisher, pytest.raises(OutputError) as refused:
        publisher.open()
    line.close()
    assert str(refused.value) == (
        f"the broker 127.0.0.1:{line.port} of output 'line' closed the connection without an answer: check port and "
        f"is_tls, and whether it speaks MQTT 5, else set version to 3.1.1"
    )


def test_a_broker_that_says_nothing(broker):
    line = WeakLine(broker.port)
    line.is_mute = True
    with published(line.port, timeout_s=0.2) as publisher, pytest.raises(OutputError) as refused:
        publisher.open()
    line.close()
    assert str(refused.value) == (
        f"the broker 127.0.0.1:{line.port} of output 'line' did not answer within 0.2 s: look after the broker"
    )


def test_a_broker_that_falls_silent(broker):
    line = WeakLine(broker.port)
    with published(line.port, timeout_s=2.0) as publisher:
        publisher.open()
        publisher.deliver(records(1, 2))
        line.is_mute = True
        with pytest.raises(OutputError) as refused:
            publisher.deliver(records(3, 4))
        assert str(refused.value) == (
            f"the broker 127.0.0.1:{line.port} of output 'line' gave no acknowledgement within 2 s of inspection 3: "
            f"look after the broker"
        )
        assert refused.value.taken == 0
        line.is_mute = False
        publisher.open()
        publisher.deliver(records(3, 4))
    line.close()


def test_the_broker_is_down_and_comes_back(broker):
    """Everything arrives, in order, once."""
    broker.stop()
    outbox = MemoryOutbox()
    outbox.put("line", records(1, 50))
    publisher = MqttPublisher(MqttOutput(name="line", host=broker.host, port=broker.port, topic="t"))
    delivery = Delivery(outbox, [publisher], pauses=quick_pauses)
    delivery.start()
    wait_until(lambda: len(outbox.problems) > 2, "some attempts")
    # The broker keeps nothing, so the subscriber must be there before the station is.
    outbox.is_broken = True
    broker.start()
    with subscribed(broker) as subscriber:
        outbox.is_broken = False
        wait_until(lambda: outbox.count("line") == 0, "delivery")
        wait_until(lambda: subscriber.ids("t") == list(range(1, 51)), "the messages")
        assert delivery.statuses()[0].problem is None
        assert delivery.stop()
        wait_until(lambda: subscriber.payloads("onlygood/status")[-1] == b"offline", "the farewell")


def test_what_is_sent_twice_is_only_what_may_not_have_been_taken(broker):
    """The connection breaks while the acknowledgement of one message is on its way: this one alone comes again."""
    line = WeakLine(broker.port)
    cut = []

    def is_acknowledgement_of_the_tenth(data: bytes) -> bool:
        # The first is of "online"; PUBACK begins with 0x40.
        acknowledgements.extend(data[:1] == b"\x40" for _ in range(data[:1] == b"\x40"))
        if len(acknowledgements) == 11 and not cut:
            cut.append(True)
            return True
        return False

    acknowledgements: list[bool] = []
    line.cuts_when = is_acknowledgement_of_the_tenth
    outbox = MemoryOutbox()
    outbox.put("line", records(1, 30))
    publisher = MqttPublisher(MqttOutput(name="line", host="127.0.0.1", port=line.port, topic="t"))
    delivery = Delivery(outbox, [publisher], pauses=quick_pauses)
    with subscribed(broker) as subscriber:
        delivery.start()
        wait_until(lambda: outbox.count("line") == 0, "delivery")
        wait_until(lambda: len(subscriber.ids("t")) == 31, "the messages")
        assert delivery.stop()
        assert subscriber.ids("t") == [*range(1, 11), *range(10, 31)]
    line.close()
    assert outbox.problems == [
        f"the broker 127.0.0.1:{line.port} of output 'line' lost the connection before the acknowledgement of "
        f"inspection 10: look after the broker"
    ]


# The library leaves the socket of a refused certificate to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_tls_with_an_own_authority(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.certificate("127.0.0.1")
    lines = (f"certfile {pair}", f"keyfile {pair}")
    running = ConfiguredBroker(tmp_path / "tls", *lines).start()
    try:
        with published(running.port, is_tls=True, ca_file=str(authority.path)) as publisher:
            publisher.open()
            publisher.deliver([record(1)])
        with published(running.port, is_tls=True) as stranger, pytest.raises(OutputError, match="certificate"):
            stranger.open()
        with (
            published(running.port, timeout_s=DEADLINE_S) as plain,
            pytest.raises(OutputError, match="closed the connection without an answer: check port and is_tls"),
        ):
            plain.open()
    finally:
        running.stop()


def test_a_file_of_authorities_that_is_not_there(tmp_path):
    with (
        published(1, is_tls=True, ca_file=str(tmp_path / "ca.pem")) as publisher,
        pytest.raises(OutputError, match=r"needs a PEM file of certificate authorities, got .*ca\.pem \(no such file"),
    ):
        publisher.open()


def test_names_cannot_leave_their_level_of_a_topic():
    strange = record(1).model_copy(update={"source": "a/b+#\0", "model": "{source}"})
    assert topic_of("x/{model}/{source}", record(1)) == "x/part/camera"
    assert topic_of("{source}", strange) == "a_b___"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"topic": "a/{camera}"}, "must hold no braces but {model} and {source}, got {camera}: leave it out"),
        ({"topic": "a/{model"}, "must hold no braces but {model} and {source}, got {: leave it out"),
        ({"topic": "a/#"}, "must be at most 1000 bytes without '+', '#' and NUL, got 'a/#'"),
        ({"topic": "ü" * 501}, "must be at most 1000 bytes without '+', '#' and NUL"),
        ({"topic": ""}, "topic must not be empty: give one such as onlygood/{model}"),
        ({"availability_topic": "{model}"}, "availability_topic must be one topic without braces, got '{model}'"),
    ],
)
def test_topics_that_cannot_be_used(settings, sentence):
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        MqttOutput(name="line", host="localhost", **settings)


def test_the_password_is_shown_nowhere():
    settings = MqttOutput(name="line", host="localhost", username="line", password="correct horse")
    assert "correct" not in f"{settings} {settings!r} {settings.model_dump_json()} {MqttPublisher(settings)!r}"
