"""What the guide says of outputs is what they do."""

from __future__ import annotations

import json
import re
from pathlib import Path

from onlygood.station.outputs import opcua_nodes, registers
from onlygood.station.outputs.opcua_identity import CERTIFICATE, PRIVATE_KEY
from onlygood.station.outputs.opcua_nodes import VARIABLES
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import PKI_OWN, PKI_REJECTED, PKI_TRUSTED, StationSettings

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "outputs.md").read_text(encoding="utf-8")
_REGISTERS = re.compile(r"^\| (\d+) \| (\d+) \| (\w+) \| (station|controller) \|", re.MULTILINE)
_VARIABLE = re.compile(r"^\| `(\w+)` \| (\w+) \|", re.MULTILINE)


def json_blocks() -> list[str]:
    return re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)


def test_the_settings_of_the_guide_can_be_used():
    outputs = StationSettings.model_validate_json(json_blocks()[0]).outputs
    assert [each.kind for each in outputs] == ["jsonl", "webhook", "mqtt", "modbus", "opcua"]


def test_the_secured_outputs_of_the_guide_can_be_used():
    client, server = StationSettings.model_validate_json(json_blocks()[2]).outputs
    assert (client.role, server.role) == ("client", "server")
    assert {client.security_policy, server.security_policy} == {"Basic256Sha256"}
    for path in (f"{PKI_OWN}/{CERTIFICATE}", f"{PKI_OWN}/{PRIVATE_KEY}", PKI_TRUSTED, PKI_REJECTED):
        assert f"| `{path}` |" in GUIDE


def test_the_inspection_of_the_guide_has_all_that_one_has():
    assert list(json.loads(json_blocks()[1])) == list(InspectionRecord.model_fields)


def test_the_registers_of_the_guide_are_those_of_the_code():
    rows = _REGISTERS.findall(GUIDE)
    assert rows == _REGISTERS.findall(registers.__doc__ or "")
    ends = [int(offset) + int(length) for offset, length, _, _ in rows]
    assert [int(offset) for offset, *_ in rows] == [0, *ends[:-1]]
    assert ends[-1] == registers.NUM_REGISTERS
    first_of_controller = next(int(offset) for offset, *_, by in rows if by == "controller")
    assert first_of_controller == registers.RECIPE_ASKED


def test_the_variables_of_the_guide_are_those_of_the_code():
    found = sorted(_VARIABLE.findall(GUIDE))
    assert found == sorted((variable.name, variable.type.name) for variable in VARIABLES)
    assert found == sorted(_VARIABLE.findall(opcua_nodes.__doc__ or ""))
