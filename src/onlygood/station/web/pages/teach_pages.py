"""The Teach page: images that a model is to learn from, and its fit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from onlygood.errors import NotFoundError, SettingError
from onlygood.station.schemas import FitRequest, Job
from onlygood.station.serving.models import check_name
from onlygood.station.web.pages.image_sizes import SIDES
from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs
from onlygood.station.web.uploads import read_images

if TYPE_CHECKING:
    from onlygood.station.station import Station

KEPT_BY_BROWSERS = {"Cache-Control": "private, max-age=86400, immutable"}


def add_teach_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the pages that teach, and those parts of them that show jobs."""

    @router.get("/teach")
    @needs("manage")
    def begin(request: Request) -> Response:
        """Which model to teach."""
        taught = []
        for name in station.store.taught.names():
            images = station.store.taught.list(name)
            taught.append({"name": name, "images": len(images), "left_out": sum(each.is_left_out for each in images)})
        return renderer.page(
            request,
            "teach_start",
            person=identity_of(request),
            section="teach",
            taught=taught,
            is_empty=not station.store.models.names(),
        )

    @router.post("/teach")
    @needs("manage")
    def choose(model: Annotated[str, Form()]) -> Response:
        """To the page of the model."""
        return RedirectResponse(f"/teach/{check_name(model.strip())}", 303)

    @router.get("/teach/{model}")
    @needs("manage")
    def teach(request: Request, model: str) -> Response:
        """Images of one model, and its fit."""
        images = station.store.taught.list(check_name(model))
        jobs = station.store.jobs.list(model=model, limit=1)
        shown = jobs[0] if jobs and not jobs[0].state.is_over else None
        return renderer.page(
            request,
            "teach",
            person=identity_of(request),
            section="teach",
            model=model,
            version=station.store.models.active(model),
            images=images[::-1],
            kept=sum(not each.is_left_out for each in images),
            sources=[line.settings for _, line in sorted(station.lines.items())],
            source="browser",
            job=shown,
            guarantee="",
        )

    @router.post("/teach/{model}/images")
    @needs("manage")
    async def add(request: Request, model: str) -> Response:
        """Take in the image file that is the body; its name is in the query."""
        image, *others = await read_images(request, station.settings.limits)
        if others:
            raise SettingError(
                f"a request of this page must hold one image, got {1 + len(others)}: send them one by one, or all at "
                f"once to /v1/teach/{check_name(model)}"
            )
        taught = await to_thread.run_sync(partial(station.teach, check_name(model), image.content, name=image.name))
        return renderer.part("taught", person=identity_of(request), image=taught, model=model)

    @router.post("/teach/{model}/take")
    @needs("manage")
    def take(request: Request, model: str, source: Annotated[str, Form()]) -> Response:
        """Take in what a source of the station sees now."""
        frame = station.line(source).feed.latest
        if frame is None:
            raise NotFoundError(f"the source {source} must have given an image to take one, and it gave none yet: wait")
        taught = station.teach(check_name(model), frame.content, name=frame.name)
        return renderer.part("taught", person=identity_of(request), image=taught, model=model)

    @router.post("/teach/{model}/images/{id}/leave-out")
    @needs("manage")
    def leave_out(request: Request, model: str, id: int) -> Response:
        """Do not learn from an image."""
        image = station.store.taught.leave_out(known(id), True)
        return renderer.part("taught", person=identity_of(request), image=image, model=model)

    @router.post("/teach/{model}/images/{id}/keep")
    @needs("manage")
    def keep(request: Request, model: str, id: int) -> Response:
        """Learn from an image after all."""
        image = station.store.taught.leave_out(known(id), False)
        return renderer.part("taught", person=identity_of(request), image=image, model=model)

    @router.delete("/teach/{model}/images/{id}")
    @needs("manage")
    def remove(model: str, id: int) -> Response:
        """Forget an image."""
        station.store.taught.remove(known(id))
        return Response("", media_type="text/html")

    @router.get("/teach/{model}/images/{id}/picture")
    @needs("manage")
    def picture(model: str, id: int, side: int = SIDES[0]) -> Response:
        """An image, small."""
        return Response(
            station.shown.taught_small(id, side_of(side)), media_type="image/jpeg", headers=KEPT_BY_BROWSERS
        )

    @router.post("/teach/{model}/fit")
    @needs("manage")
    def fit(
        request: Request,
        model: str,
        rate: Annotated[float, Form()],
        top: Annotated[float, Form()] = 0.0,
        left: Annotated[float, Form()] = 0.0,
        bottom: Annotated[float, Form()] = 100.0,
        right: Annotated[float, Form()] = 100.0,
        source: Annotated[str, Form()] = "browser",
    ) -> Response:
        """Learn from the images that are not left out."""
        if not (0 <= top < bottom <= 100 and 0 <= left < right <= 100):
            raise SettingError(
                "a region of interest needs a top above its bottom and a left before its right, from 0 to 100 percent, "
                f"got {top:g}, {left:g}, {bottom:g}, {right:g}: draw the box again"
            )
        region = (
            None
            if (top, left, bottom, right) == (0, 0, 100, 100)
            else (top / 100, left / 100, bottom / 100, right / 100)
        )
        if not 0 < rate < 1:
            raise SettingError(f"a false-alarm rate must be between 0 and 1, got {rate:g}: choose 0.05")
        job = station.fit(FitRequest(model=check_name(model), false_alarm_rate=rate, region=region))
        return job_part(request, job, source)

    @router.get("/jobs/{id}/part")
    @needs("inspect")
    def job(request: Request, id: int, source: Annotated[str, Query()] = "") -> Response:
        """How a job is doing."""
        return job_part(request, station.jobs.get(id), source)

    @router.post("/jobs/{id}/cancel")
    @needs("manage")
    def cancel(request: Request, id: int, source: Annotated[str, Query()] = "") -> Response:
        """End a job."""
        return job_part(request, station.jobs.cancel(id), source)

    def known(id: int) -> int:
        if station.store.taught.get(id) is None:
            raise NotFoundError(f"a taught image must be one that is kept, got {id}: open the page again")
        return id

    def job_part(request: Request, job: Job, source: str) -> Response:
        guarantee = ""
        if job.version is not None:
            versions = station.store.models.versions(job.model)
            guarantee = next((each.guarantee for each in versions if each.number == job.version), "")
        return renderer.part("job", person=identity_of(request), job=job, source=source, guarantee=guarantee)


def side_of(side: int) -> int:
    """The side of SIDES that is at least as long."""
    return next((each for each in SIDES if each >= side), SIDES[-1])
