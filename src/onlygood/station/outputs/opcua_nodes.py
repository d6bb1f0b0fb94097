"""Which OPC UA variable holds what, and its value in whichever type a controller has for it.

| variable | type | what |
|---|---|---|
| `Heartbeat` | UInt32 | one more every second |
| `InspectionId` | Int64 | id of the inspection; written last |
| `IsAnomalous` | Boolean | the verdict |
| `Verdict` | String | the same: `good` or `anomalous`; empty before the first one |
| `Score` | Double | above 0 anomalous |
| `PValue` | Double | small is anomalous |
| `Model` | String | name of the model |
| `ModelSha256` | String | of the model's file |
| `Source` | String | of the image |
| `Name` | String | of the image |
| `At` | DateTime | of the inspection, UTC |
| `AgeMs` | UInt32 | milliseconds from the inspection until it was written here |
| `Json` | String | all of the inspection in one value |
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asyncua.ua import VariantType

from onlygood.station.schemas import InspectionRecord, Verdict

HEARTBEAT = "Heartbeat"
# A controller has these; of the others those that it wants.
NEEDED = ("Heartbeat", "InspectionId", "IsAnomalous")

# The largest value of each type that an integer can be written to.
_MOST = {
    VariantType.SByte: 2**7 - 1,
    VariantType.Byte: 2**8 - 1,
    VariantType.Int16: 2**15 - 1,
    VariantType.UInt16: 2**16 - 1,
    VariantType.Int32: 2**31 - 1,
    VariantType.UInt32: 2**32 - 1,
    VariantType.Int64: 2**63 - 1,
    VariantType.UInt64: 2**64 - 1,
}
_MOST_FLOAT = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


@dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes:
        name: after the prefix and a dot.
        type: that the station's own server gives it.
        value: of an inspection, which was so long ago; None for what is not of an inspection.
        before: its value before the first inspection.
        is_count: whether it begins again at 0 in a type that is too small for it, instead of staying at the largest.
    """

    name: str
    type: VariantType
    before: Any
    value: Callable[[InspectionRecord, timedelta], Any] | None = None
    is_count: bool = False


# In the order in which they are written.
VARIABLES = (
    Variable(HEARTBEAT, VariantType.UInt32, 0, is_count=True),
    Variable("IsAnomalous", VariantType.Boolean, False, lambda record, _: record.verdict is Verdict.ANOMALOUS),
    Variable("Verdict", VariantType.String, "", lambda record, _: record.verdict.value),
    Variable("Score", VariantType.Double, 0.0, lambda record, _: record.score),
    Variable("PValue", VariantType.Double, 0.0, lambda record, _: record.p_value),
    Variable("Model", VariantType.String, "", lambda record, _: record.model),
    Variable("ModelSha256", VariantType.String, "", lambda record, _: record.model_sha256),
    Variable("Source", VariantType.String, "", lambda record, _: record.source),
    Variable("Name", VariantType.String, "", lambda record, _: record.name),
    Variable("At", VariantType.DateTime, datetime(1601, 1, 1), lambda record, _: record.at),
    Variable("AgeMs", VariantType.UInt32, 0, lambda _, age: max(0, int(age / timedelta(milliseconds=1)))),
    Variable("Json", VariantType.String, "", lambda record, _: record.model_dump_json()),
    Variable("InspectionId", VariantType.Int64, 0, lambda record, _: record.id, is_count=True),
)


def fits(variable: Variable, kind: VariantType) -> bool:
    """Whether a controller's variable of a type can hold what is written to it."""
    if variable.type is VariantType.Boolean:
        return kind is VariantType.Boolean or kind in _MOST
    if variable.type in _MOST:
        return kind in _MOST
    if variable.type is VariantType.Double:
        return kind in (VariantType.Float, VariantType.Double)
    return kind is variable.type


def converted(variable: Variable, value: Any, kind: VariantType) -> Any:
    """A value as a type that `fits` holds it."""
    if kind in _MOST:
        number, most = int(value), _MOST[kind]
        return number & most if variable.is_count else min(number, most)
    if kind is VariantType.Float:
        return max(-_MOST_FLOAT, min(_MOST_FLOAT, value))
    return value


def suitable(variable: Variable) -> str:
    """The types that can hold a variable, in words."""
    if variable.type is VariantType.Boolean:
        return "Boolean or an integer"
    if variable.type in _MOST:
        return "an integer"
    return "Float or Double" if variable.type is VariantType.Double else variable.type.name
