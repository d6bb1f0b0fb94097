"""Which inspections an output is told of."""

from __future__ import annotations

from onlygood.station.schemas import InspectionRecord, Verdict
from onlygood.station.station_settings import OutputSettings


def is_told(settings: OutputSettings, record: InspectionRecord) -> bool:
    """Whether an output is told of an inspection: by its verdict and its model, as the output's settings say."""
    if settings.only == "anomalous" and record.verdict is not Verdict.ANOMALOUS:
        return False
    return not settings.models or record.model in settings.models
