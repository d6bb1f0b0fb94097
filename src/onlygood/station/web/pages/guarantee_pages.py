"""How the guarantee is doing: the false alarms and misses that people marked, against the rate that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from onlygood.station.schemas import Label, Verdict, VersionRates
from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station

# Images shown of each kind, and versions of a model.
SHOWN = 10
MOST_VERSIONS = 3
# Of the drawing of shares, in its own units.
WIDTH = 600


@dataclass(frozen=True)
class Gauge:
    """Where the share of good parts that are called anomalous lies, against the rate that was asked for.

    Attributes:
        low: the left end of what is possible, from 0 to WIDTH.
        high: its right end.
        least: the share if no alarm that nobody marked was false.
        most: the share if each of those was false.
        asked_for: the rate.
        end: the share at the right end of the scale.
    """

    low: float
    high: float
    least: float
    most: float
    asked_for: float
    end: float


def gauge_of(rates: VersionRates) -> Gauge | None:
    """The gauge for the rates of a version; None where nothing is known."""
    least, most = rates.false_alarms_at_least, rates.false_alarms_at_most
    if least is None or most is None:
        return None
    end = min(1.0, 1.15 * max(most.high, 1.5 * rates.false_alarm_rate))

    def at(share: float) -> float:
        return round(WIDTH * min(1.0, share / end), 1)

    return Gauge(
        low=at(least.low),
        high=at(most.high),
        least=at(least.value),
        most=at(most.value),
        asked_for=at(rates.false_alarm_rate),
        end=end,
    )


def add_guarantee_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the page."""

    @router.get("/guarantee")
    @needs("inspect")
    def guarantee(request: Request) -> Response:
        """What people marked, by model."""
        page = station.store.inspections.page
        drift = {each.model: each for each in station.drift_statuses()}
        models = []
        for served in station.models.all():
            false_alarms = page(model=served.name, label=Label.GOOD, verdict=Verdict.ANOMALOUS, limit=SHOWN)
            misses = page(model=served.name, label=Label.DEFECT, verdict=Verdict.GOOD, limit=SHOWN)
            rates = station.store.feedback.rates(served.name)[:MOST_VERSIONS]
            models.append(
                {
                    "name": served.name,
                    "versions": [(each, gauge_of(each)) for each in rates],
                    "false_alarms": false_alarms.inspections,
                    "misses": misses.inspections,
                    "drift": drift.get(served.name),
                }
            )
        return renderer.page(
            request, "guarantee", person=identity_of(request), section="guarantee", models=models, width=WIDTH
        )
