"""Triggers by MQTT, from a real broker."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import pytest

from broker import Broker
from onlygood.errors import SettingError
from onlygood.station.frames import Capture
from onlygood.station.frames.backoff import Backoff
from onlygood.station.schemas import SourceState
from onlygood.station.station_settings import FolderSource, Mqtt
from scripted import DEADLINE_S, Scripted, wait_until
from tests.station.outputs.certificates import Authority

TOPIC = "line/1/trigger"
Start = Callable[..., Capture]


def publish(broker: Broker, topic: str = TOPIC, **more: Any) -> None:
    auth: Any = {"username": broker.username, "password": broker.password} if broker.username else None
    paho.mqtt.publish.single(topic, b"now", qos=1, hostname=broker.host, port=broker.port, auth=auth, **more)


@pytest.fixture
def start() -> Iterator[Start]:
    started = []

    def start_one(source: Scripted, topic: str = TOPIC, **broker: Any) -> Capture:
        settings = FolderSource(name="belt", path="unused", trigger="mqtt", trigger_topic=topic)
        capture = Capture(source, settings, broker=Mqtt(**broker), backoff=Backoff(0.001, 0.002))
        capture.start()
        started.append(capture)
        return capture

    yield start_one
    for capture in started:
        assert capture.stop(DEADLINE_S)


def subscribed(broker: Broker, times: int = 1) -> None:
    wait_until(lambda: broker.log.count("Sending SUBACK") >= times, "the broker has the subscription")


def waiting(capture: Capture) -> None:
    wait_until(lambda: capture.status.state is SourceState.WAITING, "it waits for a trigger")


def triggered(broker: Broker, times: int) -> None:
    # the client confirms a message of quality of service 2 or 1 once it has it
    answers = ("Received PUBACK from", "Received PUBREC from")
    wait_until(lambda: sum(broker.log.count(answer) for answer in answers) >= times, f"{times} triggers arrive")


def test_each_message_is_a_trigger(broker: Broker, start: Start) -> None:
    source = Scripted(1, 2)
    capture = start(source, host=broker.host, port=broker.port)
    source.wait_for(2)
    subscribed(broker)
    for number in (3, 4, 5):
        publish(broker)
        triggered(broker, number - 2)
        source.put(number)
        given = capture.next(DEADLINE_S)
        assert given is not None and given.number == number
    publish(broker, "another/topic")
    source.put(6)
    source.wait_for(6)
    assert capture.next(0.0) is None
    assert capture.status.skipped == 0 and capture.status.problem is None


def test_topics_with_wildcards(broker: Broker, start: Start) -> None:
    source = Scripted()
    capture = start(source, "line/+/trigger", host=broker.host, port=broker.port)
    waiting(capture)
    subscribed(broker)
    publish(broker)
    triggered(broker, 1)
    source.put(1)
    assert capture.next(DEADLINE_S) is not None


def test_a_retained_message_is_no_trigger(broker: Broker, start: Start) -> None:
    publish(broker, retain=True)
    source = Scripted()
    capture = start(source, host=broker.host, port=broker.port)
    waiting(capture)
    subscribed(broker)
    triggered(broker, 1)
    source.put(1)
    source.wait_for(1)
    assert capture.next(0.0) is None


def test_a_broker_that_goes_and_comes_back(broker: Broker, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "onlygood.station")
    source = Scripted()
    capture = start(source, host=broker.host, port=broker.port)
    waiting(capture)
    subscribed(broker)
    broker.stop()
    wait_until(lambda: capture.status.problem is not None, "it says that the broker is gone")
    where = f"the MQTT broker {broker.host}:{broker.port}"
    assert capture.status.problem is not None and capture.status.problem.startswith(where)
    assert capture.status.state is SourceState.WAITING
    broker.start()
    wait_until(lambda: capture.status.problem is None, "it is connected again")
    publish(broker)
    triggered(broker, 1)
    source.put(1)
    assert capture.next(DEADLINE_S) is not None
    assert f"source belt: no triggers come, as {where}" in caplog.text


def test_a_broker_that_is_not_there_at_the_start(broker: Broker, start: Start) -> None:
    broker.stop()
    source = Scripted()
    capture = start(source, host=broker.host, port=broker.port)
    wait_until(lambda: capture.status.problem is not None, "it says that there is no broker")
    remedy = "check that it runs, and that host, port and TLS are right"
    assert capture.status.problem == f"the MQTT broker {broker.host}:{broker.port} does not answer: {remedy}"
    broker.start()
    subscribed(broker)
    publish(broker)
    triggered(broker, 1)
    source.put(1)
    assert capture.next(DEADLINE_S) is not None


def test_a_broker_that_refuses_the_user(locked_broker: Broker, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    where = {"host": locked_broker.host, "port": locked_broker.port, "username": locked_broker.username}
    refused = start(Scripted(), **where, password="guess-4711")
    wait_until(lambda: refused.status.problem is not None, "it says that it is refused")
    assert refused.status.problem is not None
    assert refused.status.problem.endswith(
        "refuses the connection (Not authorized): check the user name and the password"
    )
    assert "guess-4711" not in caplog.text and "guess-4711" not in refused.status.problem
    source = Scripted()
    capture = start(source, **where, password=locked_broker.password)
    waiting(capture)
    subscribed(locked_broker)
    publish(locked_broker)
    triggered(locked_broker, 1)
    source.put(1)
    assert capture.next(DEADLINE_S) is not None


# The library leaves the socket of a refused certificate to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_tls_with_an_own_authority(tmp_path: Path, start: Start) -> None:
    authority = Authority(tmp_path)
    pair = authority.certificate("127.0.0.1")
    running = Broker(tmp_path / "tls", more_lines=(f"certfile {pair}", f"keyfile {pair}")).start()
    try:
        where = {"host": running.host, "port": running.port, "is_tls": True}
        source = Scripted()
        capture = start(source, **where, ca_file=str(authority.path))
        waiting(capture)
        subscribed(running)
        publish(running, tls={"ca_certs": str(authority.path)})
        triggered(running, 1)
        source.put(1)
        assert capture.next(DEADLINE_S) is not None
        stranger = start(Scripted(), **where)
        wait_until(lambda: stranger.status.problem is not None, "it does not trust the broker")
        assert (stranger.status.problem or "").endswith("and that host, port and TLS are right")
    finally:
        running.stop()


def test_a_trigger_that_comes_too_early_is_counted(
    broker: Broker, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    from onlygood.errors import SourceError

    source = Scripted()
    source.openings = [SourceError("no camera")] * 1_000_000
    capture = start(source, host=broker.host, port=broker.port)
    subscribed(broker)
    wait_until(lambda: capture.status.state is SourceState.LOST, "the source is lost")
    publish(broker)
    wait_until(lambda: capture.status.skipped == 1, "it adds to those that were skipped")
    assert "a trigger by MQTT was passed over: the source belt must be waiting for a trigger to take one" in caplog.text


@pytest.mark.parametrize(
    ("topic", "host", "expected"),
    [
        (
            "",
            "127.0.0.1",
            r"^the source belt needs a topic \(trigger_topic\) for triggers by MQTT, got none: name one$",
        ),
        (TOPIC, "", r"^the source belt needs a broker \(trigger_broker\) for triggers by MQTT, got none: name one$"),
        ("line/#/x", "127.0.0.1", "^the trigger_topic of the source belt must be an MQTT topic, got 'line/#/x'"),
    ],
)
def test_what_cannot_be_set(topic: str, host: str, expected: str) -> None:
    settings = FolderSource(name="belt", path="unused", trigger="mqtt", trigger_topic=topic)
    with pytest.raises(SettingError, match=expected):
        Capture(Scripted(), settings, broker=Mqtt(host=host))


def test_a_file_of_authorities_that_is_not_there(tmp_path: Path) -> None:
    settings = FolderSource(name="belt", path="unused", trigger="mqtt", trigger_topic=TOPIC)
    broker = Mqtt(host="127.0.0.1", is_tls=True, ca_file=str(tmp_path / "ca.pem"))
    expected = r"^triggers of the source belt need a PEM file of certificate authorities, got .*ca\.pem \(No such file"
    with pytest.raises(SettingError, match=expected):
        Capture(Scripted(), settings, broker=broker)
