"""Which Modbus register holds what: 16 in a row, from `first_register` on.

| offset | registers | type | written by | what |
|---|---|---|---|---|
| 0 | 1 | uint16 | station | heartbeat: one more every second; after 65535 comes 0 |
| 1 | 1 | uint16 | station | verdict: 0 none yet, 1 good, 2 anomalous |
| 2 | 2 | uint32 | station | id of the inspection, modulo 2 to the 32nd |
| 4 | 2 | float32 | station | score: above 0 anomalous |
| 6 | 2 | float32 | station | p-value: small is anomalous |
| 8 | 2 | uint32 | station | milliseconds from the inspection until these registers were written |
| 10 | 1 | uint16 | station | recipe that is followed: what was asked for last and could be followed |
| 11 | 1 | uint16 | station | 0 |
| 12 | 1 | uint16 | controller | recipe that is asked for; 0 for none |
| 13 | 1 | uint16 | controller | not used |
| 14 | 2 | uint32 | controller | id of the inspection that was taken, where inspections are acknowledged |

Registers 1 to 9 are written in one request, so that a controller never sees the id of one inspection with the verdict
of another one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from onlygood.station.schemas import InspectionRecord, Verdict

NUM_REGISTERS = 16
HEARTBEAT = 0
INSPECTION = 1  # the first of those that are written together
RECIPE_FOLLOWED = 10
RECIPE_ASKED = 12  # the first of those that the controller writes
NUM_ASKED = 4
ACKNOWLEDGED = 14

WordOrder = Literal["high first", "low first"]
_VERDICTS = {Verdict.GOOD: 1, Verdict.ANOMALOUS: 2}
_MOST_FLOAT32 = struct.unpack(">f", b"\x7f\x7f\xff\xff")[0]


def inspection_registers(record: InspectionRecord, now: datetime, order: WordOrder) -> list[int]:
    """Registers 1 to 9: verdict, id, score, p-value and age.

    Args:
        record: of the inspection.
        now: UTC; an age is 0 where the clock was set back in between.
        order: of the two registers of a 32-bit value.
    """
    age_ms = max(0.0, (now - record.at).total_seconds() * 1000)
    return [
        _VERDICTS[record.verdict],
        *_words(struct.pack(">I", wire_id(record.id)), order),
        *_words(_float32(record.score), order),
        *_words(_float32(record.p_value), order),
        *_words(struct.pack(">I", int(min(age_ms, 0xFFFFFFFF))), order),
    ]


def wire_id(identifier: int) -> int:
    """The id of an inspection as far as 32 bits hold it."""
    return identifier & 0xFFFFFFFF


def uint32(registers: Sequence[int], order: WordOrder) -> int:
    """The number in two registers."""
    first, second = registers
    return first << 16 | second if order == "high first" else second << 16 | first


def _words(packed: bytes, order: WordOrder) -> tuple[int, int]:
    high, low = struct.unpack(">HH", packed)
    return (high, low) if order == "high first" else (low, high)


def _float32(value: float) -> bytes:
    """In 32 bits; what is too large for them is the largest number that is not."""
    return struct.pack(">f", max(-_MOST_FLOAT32, min(_MOST_FLOAT32, value)))
