"""The models that are served: upload, versions, what each says of itself, comparison, swap and rolling back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from onlygood.errors import NotFoundError
from onlygood.graph.model_file import unpack
from onlygood.report.facts import model_facts
from onlygood.report.formatting import percent_notation
from onlygood.station.schemas import ModelVersion
from onlygood.station.web.pages.comparing import Comparing
from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.pages.score_histogram import HEIGHT, WIDTH, histogram
from onlygood.station.web.rights import identity_of, needs

if TYPE_CHECKING:
    from onlygood.station.station import Station


def add_models_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the list of models, the page of one, and that of a version."""
    comparing = Comparing(station)

    @router.get("/models")
    @needs("inspect")
    def models(request: Request) -> Response:
        """All models."""
        return renderer.page(
            request,
            "models",
            person=identity_of(request),
            section="models",
            models=station.models.all(),
        )

    @router.get("/models/{name}")
    @needs("inspect")
    def model(request: Request, name: str) -> Response:
        """One model and its versions."""
        served = station.models.one(name)
        return renderer.page(
            request,
            "model",
            person=identity_of(request),
            section="models",
            model=served,
            versions=station.store.models.versions(name),
        )

    @router.post("/models/{name}/activate")
    @needs("manage")
    def activate(request: Request, name: str, number: Annotated[int, Form()]) -> Response:
        """Serve another version from now on."""
        station.models.activate(name, number)
        return to_page(request, f"/models/{name}")

    @router.get("/models/{name}/compare")
    @needs("inspect")
    def compare(request: Request, name: str, old: int, new: int) -> Response:
        """Two versions on the newest images that are kept."""
        comparison = comparing.compare(name, old, new)
        return renderer.part("comparison", person=identity_of(request), model=name, comparison=comparison)

    @router.get("/models/{name}/{number}")
    @needs("inspect")
    def version(request: Request, name: str, number: int) -> Response:
        """What one version says of itself."""
        found = version_of(name, number)
        file = unpack(station.store.models.content(found.sha256), f"of {name}")
        requested = file.metadata.guarantee.requested_rate
        notation = percent_notation([requested])
        scores = file.calibration_scores
        return renderer.page(
            request,
            "version",
            person=identity_of(request),
            section="models",
            model=name,
            version=found,
            facts=model_facts(file.metadata, f"{name}.onnx", notation),
            notes=file.metadata.guarantee.sentences_in(notation),
            histogram=None if scores is None else histogram(scores),
            size=(WIDTH, HEIGHT),
        )

    @router.get("/models/{name}/{number}/file")
    @needs("inspect")
    def file(name: str, number: int) -> Response:
        """The model file."""
        found = version_of(name, number)
        return Response(
            station.store.models.content(found.sha256),
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{name}-{number}.onnx"'},
        )

    def version_of(name: str, number: int) -> ModelVersion:
        station.models.one(name)
        versions: list[ModelVersion] = station.store.models.versions(name)
        found = next((each for each in versions if each.number == number), None)
        if found is None:
            raise NotFoundError(f"model {name} has no version {number}: choose one of its list")
        return found


def to_page(request: Request, path: str) -> Response:
    """Where the browser goes after a change."""
    if request.headers.get("hx-request") is not None:
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)
