"""How the guarantee is doing: the false alarms and misses that people marked, against what was promised."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs

# Images shown of each kind.
SHOWN = 12


def add_guarantee_pages(router: APIRouter, station: Any, renderer: Renderer) -> None:
    """Add the page."""

    @router.get("/guarantee")
    @needs("inspect")
    def guarantee(request: Request) -> Response:
        """What people marked, by model."""
        page = station.store.inspections.page
        models = []
        drift = {each.model: each for each in station.health().drift}
        for served in station.models.all():
            found = {
                "false_alarms": page(model=served.name, label="good", verdict="anomalous", limit=SHOWN).inspections,
                "misses": page(model=served.name, label="defect", verdict="good", limit=SHOWN).inspections,
            }
            rates = station.store.feedback.rates(served.name)
            models.append({"served": served, "rates": rates, "drift": drift.get(served.name)} | found)
        return renderer.page(request, "guarantee", person=identity_of(request), section="guarantee", models=models)
