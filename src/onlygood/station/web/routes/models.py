"""The models that are served, and their versions."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from onlygood.errors import NotFoundError
from onlygood.station.schemas import (
    NAME_PATTERN,
    DriftStatus,
    InspectionRecord,
    ModelVersion,
    ServedModel,
    VersionRates,
)
from onlygood.station.web.parameters import (
    NO_ROOM,
    NOT_FOUND,
    TOO_LARGE,
    ModelName,
    VersionNumber,
    binary,
    limits_of,
    station_of,
)
from onlygood.station.web.rights import GuardedRoute, needs
from onlygood.station.web.uploads import read_body

router = APIRouter(route_class=GuardedRoute, tags=["models"])

MODEL_TYPE = "application/octet-stream"
NewName = Annotated[str, Path(description="under which it is served", pattern=NAME_PATTERN, examples=["part"])]
_MODEL_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a model file, as `onlygood fit` wrote it.",
        "content": {MODEL_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/v1/models", operation_id="list_models", summary="All models")
@needs("inspect")
def list_models(request: Request) -> list[ServedModel]:
    """By name."""
    return list(station_of(request).models.all())


@router.get("/v1/models/{name}", operation_id="get_model", summary="One model", responses=NOT_FOUND)
@needs("inspect")
def get_model(request: Request, name: ModelName) -> ServedModel:
    """What is served under this name."""
    return station_of(request).models.one(name)


@router.put(
    "/v1/models/{name}",
    operation_id="upload_model",
    summary="Serve a model file from now on",
    response_model=ModelVersion,
    status_code=201,
    responses={**TOO_LARGE, **NO_ROOM},
    openapi_extra=_MODEL_BODY,
)
@router.post(
    "/v1/models/{name}",
    operation_id="upload_model_by_post",
    summary="The same, for programs that cannot PUT",
    response_model=ModelVersion,
    status_code=201,
    responses={**TOO_LARGE, **NO_ROOM},
    openapi_extra=_MODEL_BODY,
)
@needs("manage")
async def upload_model(
    request: Request,
    name: NewName,
    note: Annotated[str, Query(max_length=1000, description="that a person reads in the list of versions")] = "",
) -> ModelVersion:
    """The new version, which is served between two requests; a file that cannot be used leaves the old one serving."""
    station = station_of(request)
    content = await read_body(
        request,
        limits_of(request).max_model_bytes,
        "a model file may have {:,} bytes (max_model_bytes)",
        kind="ModelFileError",
    )
    return await anyio.to_thread.run_sync(lambda: station.models.add(name, content, origin="upload", note=note))


@router.get("/v1/models/{name}/versions", operation_id="list_versions", summary="All versions", responses=NOT_FOUND)
@needs("inspect")
def list_versions(request: Request, name: ModelName) -> list[ModelVersion]:
    """The newest first."""
    return _versions(request, name)


@router.get(
    "/v1/models/{name}/versions/{number}", operation_id="get_version", summary="One version", responses=NOT_FOUND
)
@needs("inspect")
def get_version(request: Request, name: ModelName, number: VersionNumber) -> ModelVersion:
    """What it is."""
    return _version(request, name, number)


@router.post(
    "/v1/models/{name}/versions/{number}/activate",
    operation_id="activate_version",
    summary="Serve this version from now on",
    responses=NOT_FOUND,
)
@needs("manage")
def activate_version(request: Request, name: ModelName, number: VersionNumber) -> ServedModel:
    """What is served under this name now."""
    models = station_of(request).models
    models.activate(name, number)
    return models.one(name)


@router.post(
    "/v1/models/{name}/rollback",
    operation_id="roll_back",
    summary="Serve the version before the one that is served",
    responses=NOT_FOUND,
)
@needs("manage")
def roll_back(request: Request, name: ModelName) -> ServedModel:
    """What is served under this name now."""
    models = station_of(request).models
    active = models.one(name).active.number
    before = [each.number for each in _versions(request, name) if each.number < active]
    if not before:
        raise NotFoundError(f"model {name} must have a version before {active} to go back to, and has none")
    models.activate(name, max(before))
    return models.one(name)


@router.get(
    "/v1/models/{name}/versions/{number}/description",
    operation_id="describe_version",
    summary="What a model file says of itself",
    responses=NOT_FOUND,
)
@needs("inspect")
def describe_version(request: Request, name: ModelName, number: VersionNumber) -> dict[str, Any]:
    """All of it, as `onlygood info --json`."""
    from onlygood.graph.model_file import unpack

    content = _content(request, name, number)
    return unpack(content, f"of {name}").metadata.to_dict()


@router.get(
    "/v1/models/{name}/versions/{number}/file",
    operation_id="download_version",
    summary="The model file",
    response_class=Response,
    responses={**NOT_FOUND, **binary("the model file", MODEL_TYPE)},
)
@needs("inspect")
def download_version(request: Request, name: ModelName, number: VersionNumber) -> Response:
    """The bytes that were served, under the name of the model."""
    content = _content(request, name, number)
    return Response(
        content,
        media_type=MODEL_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}-{number}.onnx"'},
    )


@router.get(
    "/v1/models/{name}/review",
    operation_id="list_review",
    summary="False alarms that wait to be learned from",
    responses=NOT_FOUND,
)
@needs("inspect")
def list_review(request: Request, name: ModelName) -> list[InspectionRecord]:
    """Those that a person called good and no version has learned from, the oldest first."""
    station = station_of(request)
    station.models.one(name)
    return station.store.feedback.review(name)


@router.get(
    "/v1/models/{name}/rates",
    operation_id="list_rates",
    summary="How the guarantee of each version is doing",
    responses=NOT_FOUND,
)
@needs("inspect")
def list_rates(request: Request, name: ModelName) -> list[VersionRates]:
    """By what was inspected, and what people marked."""
    station = station_of(request)
    station.models.one(name)
    return station.store.feedback.rates(name)


@router.post(
    "/v1/models/{name}/drift/settled",
    operation_id="settle_drift",
    summary="Begin the drift test of the active version again",
    responses=NOT_FOUND,
)
@needs("manage")
def settle_drift(
    request: Request,
    name: ModelName,
    baseline: Annotated[
        int | None,
        Query(ge=20, le=100_000, description="compare with so many next images instead of the calibration scores"),
    ] = None,
) -> DriftStatus:
    """Its state, after a person has settled the cause."""
    return station_of(request).settle_drift(name, baseline=baseline)


def _versions(request: Request, name: str) -> list[ModelVersion]:
    """All versions of a model, the newest first.

    Raises:
        NotFoundError: there is no model of this name.
    """
    station = station_of(request)
    station.models.one(name)
    return list(station.store.models.versions(name))


def _version(request: Request, name: str, number: int) -> ModelVersion:
    found = next((each for each in _versions(request, name) if each.number == number), None)
    if found is None:
        raise NotFoundError(f"model {name} has no version {number}: ask for its list of versions")
    return found


def _content(request: Request, name: str, number: int) -> bytes:
    version = _version(request, name, number)
    return station_of(request).store.models.content(version.sha256)
