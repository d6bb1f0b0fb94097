"""Verdicts to an MQTT broker, and a retained topic that says whether the station is there.

One message at a time, with quality of service 1: the next one is sent when the broker has acknowledged the last one,
so that they arrive in order and it is known of each whether it was taken. MQTT 5 is the default because its
acknowledgements say when a broker drops a message that a user may not publish; those of 3.1.1 do not.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from onlygood.errors import OutputError
from onlygood.station.outputs.output import deliver_in_turn
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import MqttOutput

ONLINE, OFFLINE = "online", "offline"
# The broker tells others that the station is gone when it has not heard of it for one and a half times as long.
KEEP_ALIVE_S = 15
# For what is said when the station ends, which nothing waits for longer.
_FAREWELL_S = 2.0


class MqttPublisher:
    """Publishes each inspection's JSON to a topic, and has it acknowledged before the next one."""

    kind = "mqtt"

    def __init__(self, settings: MqttOutput) -> None:
        """Nothing is connected before `open`."""
        self.name = settings.name
        self._settings = settings
        self._broker = f"the broker {settings.host}:{settings.port} of output {settings.name!r}"
        self._session: _Session | None = None

    def open(self) -> None:
        """Connect, and say that the station is there.

        Raises:
            OutputError: the broker is not there, refuses, or does not answer in time.
        """
        if self._session is not None and self._session.is_lost:
            self._drop()
        if self._session is not None:
            return
        self._session = self._connected()
        topic = self._settings.availability_topic
        if topic:
            self._publish(self._session, topic, ONLINE, retain=True, what="that the station is online")

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Publish one after another.

        Raises:
            OutputError: the broker is not there or did not acknowledge a message.
        """

        def hand_over(record: InspectionRecord) -> None:
            self.open()
            assert self._session is not None, "open connects"
            topic = topic_of(self._settings.topic, record)
            self._publish(self._session, topic, record.model_dump_json(), retain=False, what=f"inspection {record.id}")

        deliver_in_turn(records, hand_over)

    def check(self) -> None:
        """Connect again where the connection was lost.

        Raises:
            OutputError: it was lost, and there is no other one.
        """
        self.open()

    def close(self) -> None:
        """Say that the station goes, and disconnect."""
        session = self._session
        if session is None:
            return
        if not session.is_lost:
            if self._settings.availability_topic:
                with suppress(OutputError):
                    session.publish(self._settings.availability_topic, OFFLINE, retain=True, timeout_s=_FAREWELL_S)
            session.client.disconnect()
            session.wait_until_lost(_FAREWELL_S)
        self._drop()

    def _connected(self) -> _Session:
        settings = self._settings
        session = _Session(settings, self._authorities())
        try:
            session.client.connect(settings.host, settings.port, keepalive=KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            session.end()
            reason = str(error) or type(error).__name__
            raise OutputError(f"{self._broker} was not reached ({reason}): check the network and the broker") from error
        session.client.loop_start()
        answer = session.wait_for_answer(settings.timeout_s)
        if answer is None:
            was_closed = session.is_lost
            session.end()
            if was_closed:
                other = "3.1.1" if settings.version == "5" else "5"
                raise OutputError(
                    f"{self._broker} closed the connection without an answer: check port and is_tls, and whether it "
                    f"speaks MQTT {settings.version}, else set version to {other}"
                )
            raise OutputError(f"{self._broker} did not answer within {settings.timeout_s:g} s: look after the broker")
        if answer.is_failure:
            session.end()
            remedy = "check version" if "protocol" in str(answer).lower() else "check username, password and its users"
            raise OutputError(f"{self._broker} refuses the connection ({str(answer).lower()}): {remedy}")
        return session

    def _publish(self, session: _Session, topic: str, payload: str, *, retain: bool, what: str) -> None:
        try:
            answer = session.publish(topic, payload, retain=retain, timeout_s=self._settings.timeout_s)
        except OutputError as error:
            self._drop()
            raise OutputError(f"{self._broker} {error} of {what}: look after the broker") from error.__cause__
        if answer.is_failure:
            is_right = str(answer) == "Not authorized"
            remedy = f"let the user {self._settings.username!r} publish there" if is_right else "look into its log"
            raise OutputError(f"{self._broker} refuses {what} at the topic {topic} ({str(answer).lower()}): {remedy}")

    def _drop(self) -> None:
        if self._session is not None:
            self._session.end()
            self._session = None

    def _authorities(self) -> ssl.SSLContext | None:
        if not self._settings.is_tls:
            return None
        path = self._settings.ca_file
        try:
            return ssl.create_default_context(cafile=path or None)
        except OSError as error:
            raise OutputError(
                f"output {self.name!r} needs a PEM file of certificate authorities, got {path} "
                f"({(error.strerror or str(error)).lower()}): mend ca_file"
            ) from error


class _Session:
    """One connection, which is never made a second time; the library's callbacks come on a thread of its own."""

    def __init__(self, settings: MqttOutput, authorities: ssl.SSLContext | None) -> None:
        self._is_5 = settings.version == "5"
        self._changed = Condition()
        self._answer: ReasonCode | None = None
        self._acknowledged: dict[int, ReasonCode] = {}
        self._is_lost = False
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"onlygood-{secrets.token_hex(8)}",  # a broker ends the older of two connections with one name
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self.client.connect_timeout = settings.timeout_s
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_publish = self._on_publish
        if settings.username:
            self.client.username_pw_set(settings.username, settings.password.get_secret_value())
        if authorities is not None:
            self.client.tls_set_context(authorities)
        if settings.availability_topic:
            self.client.will_set(settings.availability_topic, OFFLINE, qos=1, retain=True)

    @property
    def is_lost(self) -> bool:
        with self._changed:
            return self._is_lost

    def wait_for_answer(self, timeout_s: float) -> ReasonCode | None:
        """What the broker answered to the connection; None where it did not."""
        with self._changed:
            self._changed.wait_for(lambda: self._answer is not None or self._is_lost, timeout_s)
            return self._answer

    def wait_until_lost(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_lost, timeout_s)

    def publish(self, topic: str, payload: str, *, retain: bool, timeout_s: float) -> ReasonCode:
        """What the broker answered to a message.

        Raises:
            OutputError: it did not; the sentence's beginning and end are the caller's.
        """
        sent = self.client.publish(topic, payload.encode(), qos=1, retain=retain, properties=self._properties())
        if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise OutputError("lost the connection before the acknowledgement")
        with self._changed:
            # The answer may have come before `publish` returned.
            self._changed.wait_for(lambda: sent.mid in self._acknowledged or self._is_lost, timeout_s)
            answer = self._acknowledged.pop(sent.mid, None)
            if answer is not None:
                return answer
            if self._is_lost:
                raise OutputError("lost the connection before the acknowledgement")
        raise OutputError(f"gave no acknowledgement within {timeout_s:g} s")

    def end(self) -> None:
        """End the connection as it is, and the library's thread."""
        connection: socket.socket | None = self.client.socket()  # type: ignore[assignment]
        if connection is not None:
            # Its thread would wait for what is not acknowledged for as long as the connection is there.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def _properties(self) -> Properties | None:
        if not self._is_5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.PayloadFormatIndicator = 1  # UTF-8 text
        return properties

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self._answer = reason
            self._changed.notify_all()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, _reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self._is_lost = True
            self._changed.notify_all()

    def _on_publish(self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self._acknowledged[mid] = reason
            self._changed.notify_all()


def topic_of(template: str, record: InspectionRecord) -> str:
    """The topic of an inspection: {model} and {source} in the template stand for its names."""
    # Names of models and sources hold nothing that has a meaning in topics; whoever records could still bring others.
    model, source = (
        "".join("_" if each in "/+#\0" else each for each in name) for name in (record.model, record.source)
    )
    return template.replace("{model}", model).replace("{source}", source)
