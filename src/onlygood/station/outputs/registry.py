"""From the settings of an output to the output; the library of each kind is imported when one is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from onlygood._extras import need_extra
from onlygood.station.outputs.output import Output
from onlygood.station.station_settings import (
    JsonLinesOutput,
    ModbusOutput,
    MqttOutput,
    OpcUaOutput,
    OutputSettings,
    WebhookOutput,
)


def make_output(settings: OutputSettings, data: Path, *, on_recipe: Callable[[int], bool] | None = None) -> Output:
    """The output that settings describe, not connected yet.

    Args:
        settings: of one output.
        data: the station's data folder, in which certificates are.
        on_recipe: is called with the recipe number that a controller asks for, on a thread of the output's, each time
            the number changes; returns whether it is followed, which the controller is told. Without it none is.

    Raises:
        MissingExtraError: the kind needs a library that is not installed.
        SettingError: the settings cannot be used together.
    """
    if isinstance(settings, JsonLinesOutput):
        from onlygood.station.outputs.jsonl import JsonLines

        return JsonLines(settings)
    if isinstance(settings, WebhookOutput):
        need_extra("httpx", module="httpx", extra="station", purpose=f"output {settings.name!r}")
        from onlygood.station.outputs.webhook import Webhook

        return Webhook(settings)
    if isinstance(settings, MqttOutput):
        need_extra("paho-mqtt", module="paho", extra="station", purpose=f"output {settings.name!r}")
        from onlygood.station.outputs.mqtt import MqttPublisher

        return MqttPublisher(settings)
    if isinstance(settings, ModbusOutput):
        need_extra("pymodbus", module="pymodbus", extra="station", purpose=f"output {settings.name!r}")
        if settings.role == "client":
            from onlygood.station.outputs.modbus import ModbusWriter

            return ModbusWriter(settings, on_recipe)
        from onlygood.station.outputs.modbus_server import ModbusRegisters

        return ModbusRegisters(settings, on_recipe)
    assert isinstance(settings, OpcUaOutput)
    need_extra("asyncua", module="asyncua", extra="opcua", purpose=f"output {settings.name!r}")
    if settings.role == "client":
        from onlygood.station.outputs.opcua import OpcUaWriter

        return OpcUaWriter(settings, data)
    from onlygood.station.outputs.opcua_server import OpcUaVariables

    return OpcUaVariables(settings, data)
