"""Which inspections an output is told of."""

from __future__ import annotations

from onlygood.station.schemas import Verdict
from onlygood.station.station_settings import OutputSettings


def is_told(settings: OutputSettings, *, model: str, verdict: Verdict) -> bool:
    """Whether an output is told of an inspection, as the output's settings say.

    Args:
        settings: of the output.
        model: the name of the model that inspected.
        verdict: of the inspection.
    """
    if settings.only == "anomalous" and verdict is not Verdict.ANOMALOUS:
        return False
    return not settings.models or model in settings.models
