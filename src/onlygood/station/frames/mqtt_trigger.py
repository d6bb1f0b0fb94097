"""Triggers by MQTT: each message to a topic is one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onlygood._extras import need_extra
from onlygood.errors import SettingError
from onlygood.station.station_settings import Mqtt

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

# Exactly once: a trigger that comes twice would inspect a part twice.
_QOS = 2
_LONGEST_PAUSE_S = 30


class MqttTrigger:
    """Listens to one topic, and connects again with growing pauses as often as it must.

    A retained message is no trigger: the broker gives it to whoever connects, at any time.
    """

    def __init__(
        self, broker: Mqtt, topic: str, source: str, on_trigger: Callable[[], None], on_problem: Callable[[str], None]
    ) -> None:
        """Nothing is connected before `start`.

        Args:
            broker: that the messages come from.
            topic: of the messages; + and # stand for one level and for all further ones, as MQTT has it.
            source: its name, for messages.
            on_trigger: is called for each message.
            on_problem: is called with a sentence on why no message can come, and with an empty text once they can.

        Raises:
            SettingError: there is no broker or no topic, the topic is none that MQTT has, or the file of authorities
                cannot be read.
            MissingExtraError: the library is not installed.
        """
        if not broker.host or not topic:
            what = "a topic (trigger_topic)" if broker.host else "a broker (trigger_broker)"
            raise SettingError(f"the source {source} needs {what} for triggers by MQTT, got none: name one")
        need_extra("paho-mqtt", module="paho.mqtt", extra="station", purpose="a trigger by MQTT")
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        if not _is_topic(topic):
            remedy = "+ stands for one level, and # at the end for all further ones"
            raise SettingError(
                f"the trigger_topic of the source {source} must be an MQTT topic, got {topic!r}: {remedy}"
            )
        self._broker, self._topic = broker, topic
        self._on_trigger, self._on_problem = on_trigger, on_problem
        self._is_listening = False
        self._where = f"the MQTT broker {broker.host}:{broker.port}"
        self._client: Client = Client(CallbackAPIVersion.VERSION2)
        if broker.username:
            self._client.username_pw_set(broker.username, broker.password.get_secret_value())
        if broker.is_tls:
            self._client.tls_set_context(_authorities(broker.ca_file, source))
        self._client.reconnect_delay_set(1, _LONGEST_PAUSE_S)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._not_connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message

    def start(self) -> None:
        """Connect, on a thread of its own; returns at once."""
        self._client.connect_async(self._broker.host, self._broker.port)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self, client: Client, data: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._on_problem(f"{self._where} refuses the connection ({reason}): check the user name and the password")
            return
        client.subscribe(self._topic, qos=_QOS)

    def _subscribed(
        self, client: Client, data: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            sentence = f"{self._where} refuses the topic {self._topic} ({refused[0]}): allow this user to read it"
            self._on_problem(sentence)
        else:
            self._is_listening = True
            self._on_problem("")

    def _not_connected(self, client: Client, data: Any) -> None:
        self._on_problem(f"{self._where} does not answer: check that it runs, and that host, port and TLS are right")

    def _disconnected(
        self, client: Client, data: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        # after a refusal it disconnects as well, and the refusal says more
        if reason.is_failure and self._is_listening:
            self._on_problem(f"{self._where} was lost: triggers come again once it is back")
        self._is_listening = False

    def _message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        if not message.retain:
            self._on_trigger()


def _authorities(path: str, source: str) -> ssl.SSLContext:
    """Those that may have signed the broker's certificate.

    Raises:
        SettingError: their file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=path or None)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingError(
            f"triggers of the source {source} need a PEM file of certificate authorities, got {path} ({reason}): mend "
            "the ca_file of the trigger_broker"
        ) from error


def _is_topic(topic: str) -> bool:
    """Whether MQTT has such topics to subscribe to (section 4.7 of its standard)."""
    levels = topic.split("/")
    wildcards_stand_alone = all(level in ("+", "#") or not set("+#") & set(level) for level in levels)
    return wildcards_stand_alone and "#" not in levels[:-1] and "\0" not in topic and len(topic.encode()) <= 65535
