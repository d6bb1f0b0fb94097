"""The review list: false alarms that a person called good, and the update that learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from onlygood.station.schemas import Label
from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station


def add_review_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the review list and its actions."""

    @router.get("/review")
    @needs("inspect")
    def review(request: Request) -> Response:
        """What waits to be learned from, by model."""
        lists = []
        for name in station.store.models.names():
            waiting = station.store.feedback.review(name)
            jobs = [job for job in station.store.jobs.list(model=name, limit=5) if job.kind == "update"]
            job = jobs[0] if jobs and not jobs[0].state.is_over else None
            if waiting or job:
                lists.append({"model": name, "waiting": waiting, "job": job})
        return renderer.page(
            request, "review", person=identity_of(request), section="review", lists=lists, source="", guarantee=""
        )

    @router.post("/review/{id}/defect")
    @needs("correct")
    def is_defect(request: Request, id: int, note: Annotated[str, Form(max_length=1000)] = "") -> Response:
        """Take an image out of the list: it shows a defect after all."""
        station.give_feedback(id, Label.DEFECT, by=identity_of(request).name, note=note)
        return Response("", media_type="text/html")

    @router.post("/review/{model}/update")
    @needs("manage")
    def update(request: Request, model: str) -> Response:
        """Learn from all images of the list that belong to a model, as a new version."""
        job = station.update(model)
        return renderer.part("job", person=identity_of(request), job=job, source="", guarantee="")
