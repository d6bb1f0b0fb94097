"""From settings to outputs, and which of them are told of an inspection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from onlygood.errors import MissingExtraError
from onlygood.station.outputs.registry import make_output
from onlygood.station.outputs.selection import is_told
from onlygood.station.schemas import Verdict
from onlygood.station.station_settings import OutputSettings

SETTINGS = {
    "JsonLines": {"kind": "jsonl", "path": "log.jsonl"},
    "Webhook": {"kind": "webhook", "url": "http://localhost"},
    "MqttPublisher": {"kind": "mqtt", "host": "localhost"},
    "ModbusWriter": {"kind": "modbus"},
    "ModbusRegisters": {"kind": "modbus", "role": "server"},
    "OpcUaVariables": {"kind": "opcua"},
    "OpcUaWriter": {"kind": "opcua", "role": "client"},
}


def parsed(**values: object) -> OutputSettings:
    settings: OutputSettings = TypeAdapter(OutputSettings).validate_python({"name": "out"} | values)
    return settings


@pytest.mark.parametrize(("name", "values"), SETTINGS.items())
def test_each_kind_of_settings_makes_its_output(name, values):
    output = make_output(parsed(**values), Path())
    assert type(output).__name__ == name
    assert (output.name, output.kind) == ("out", values["kind"])
    output.close()


@pytest.mark.parametrize(
    ("kind", "module", "library", "extra"),
    [
        ("webhook", "httpx", "httpx", "station"),
        ("mqtt", "paho", "paho-mqtt", "station"),
        ("modbus", "pymodbus", "pymodbus", "station"),
        ("opcua", "asyncua", "asyncua", "opcua"),
    ],
)
def test_a_library_that_is_not_installed(kind, module, library, extra, monkeypatch):
    (values,) = [each for each in SETTINGS.values() if each["kind"] == kind and "role" not in each]
    monkeypatch.setattr("onlygood._extras.find_spec", lambda name: None if name == module else object())
    with pytest.raises(MissingExtraError) as refused:
        make_output(parsed(**values), Path())
    assert str(refused.value) == (
        f"output 'out' needs {library}, which is not installed: run pip install 'onlygood[{extra}]'"
    )


def test_no_library_is_imported_before_it_is_needed():
    """A station without OPC UA must not load it: it takes 80 MB."""
    code = (
        "import sys, onlygood.station.outputs.registry, onlygood.station.outputs.delivery\n"
        "libraries = {'httpx', 'paho', 'pymodbus', 'asyncua', 'cryptography', 'torch'}\n"
        "print(*(libraries & {each.split('.')[0] for each in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_output_is_told_of_what_its_settings_say():
    good, bad = {"model": "part", "verdict": Verdict.GOOD}, {"model": "part", "verdict": Verdict.ANOMALOUS}
    assert is_told(parsed(kind="modbus"), **good)
    assert not is_told(parsed(kind="modbus", only="anomalous"), **good)
    assert is_told(parsed(kind="modbus", only="anomalous"), **bad)
    assert not is_told(parsed(kind="modbus", models=["cap"]), **bad)
    assert is_told(parsed(kind="modbus", models=["cap", "part"], only="anomalous"), **bad)
