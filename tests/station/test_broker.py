"""The broker that other tests rely on."""

from typing import Any

import paho.mqtt.publish
import paho.mqtt.subscribe
import pytest
from paho.mqtt import MQTTException

from broker import Broker


def where(broker: Broker) -> dict[str, Any]:
    return {"hostname": broker.host, "port": broker.port}


def test_messages_arrive_also_after_a_restart(broker: Broker) -> None:
    for text in (b"first", b"second"):
        paho.mqtt.publish.single("line/1", text, retain=True, **where(broker))
        got = paho.mqtt.subscribe.simple("line/1", **where(broker))
        assert got.payload == text
        broker.stop()
        with pytest.raises(OSError):
            paho.mqtt.publish.single("line/1", text, **where(broker))
        broker.start()


def test_a_locked_broker_takes_the_right_password_alone(locked_broker: Broker) -> None:
    user = {"username": locked_broker.username, "password": locked_broker.password}
    paho.mqtt.publish.single("line/1", b"in", auth=user, **where(locked_broker))
    with pytest.raises(MQTTException):
        paho.mqtt.publish.single("line/1", b"in", auth={**user, "password": "wrong"}, **where(locked_broker))
