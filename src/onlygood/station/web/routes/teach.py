"""Good images that a model is to learn from: taken, seen, and thrown out again."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import StrictBool
from starlette.responses import Response

from onlygood.errors import NotFoundError
from onlygood.station.file_types import media_type_of
from onlygood.station.schemas import Schema, TaughtImage
from onlygood.station.web.images import IMAGE_TYPES, image_response, thumbnail_response
from onlygood.station.web.parameters import NO_ROOM, NOT_FOUND, TOO_LARGE, Id, ModelName, binary, limits_of, station_of
from onlygood.station.web.rights import GuardedRoute, needs
from onlygood.station.web.routes.models import NewName
from onlygood.station.web.uploads import IMAGES_BODY, Upload, read_images

router = APIRouter(route_class=GuardedRoute, tags=["teach"])


class LeftOut(Schema):
    """Whether an image is left out of fits."""

    is_left_out: StrictBool


class TaughtResult(Schema):
    """What became of one image of a request."""

    name: str
    image: TaughtImage | None = None
    problem: str | None = None


@router.get("/v1/teach", operation_id="list_taught_models", summary="The models that are taught")
@needs("inspect")
def list_taught_models(request: Request) -> list[str]:
    """Their names."""
    return list(station_of(request).store.taught.names())


@router.get("/v1/teach/{name}", operation_id="list_taught", summary="The images that a model is to learn from")
@needs("inspect")
def list_taught(request: Request, name: ModelName) -> list[TaughtImage]:
    """In the order in which they came; none for a name that is not taught."""
    return list(station_of(request).store.taught.list(name))


@router.post(
    "/v1/teach/{name}",
    operation_id="teach",
    summary="Teach one good image or several",
    response_model=list[TaughtResult],
    responses={**TOO_LARGE, **NO_ROOM},
    openapi_extra=IMAGES_BODY,
)
@needs("manage")
async def teach(request: Request, name: NewName) -> list[TaughtResult]:
    """What became of each image; one alone that cannot be used is refused."""
    station = station_of(request)
    images = await read_images(request, limits_of(request))

    def kept(image: Upload) -> TaughtResult:
        taught = station.teach(name, image.content, name=image.name)
        return TaughtResult(name=image.name, image=taught)

    def kept_or_problem(image: Upload) -> TaughtResult:
        from onlygood.errors import ImageError

        try:
            return kept(image)
        except ImageError as error:
            return TaughtResult(name=image.name, problem=str(error))

    if len(images) == 1:
        return [await anyio.to_thread.run_sync(kept, images[0])]
    return [await anyio.to_thread.run_sync(kept_or_problem, each) for each in images]


@router.put(
    "/v1/teach/images/{id}/left-out", operation_id="leave_out", summary="Leave an image out", responses=NOT_FOUND
)
@needs("manage")
def leave_out(request: Request, id: Id, asked: LeftOut) -> TaughtImage:
    """The image, which fits leave out or take in again."""
    _taught(request, id)
    return station_of(request).store.taught.leave_out(id, asked.is_left_out)


@router.delete("/v1/teach/images/{id}", operation_id="remove_taught", summary="Throw an image out", responses=NOT_FOUND)
@needs("manage")
def remove_taught(request: Request, id: Id) -> TaughtImage:
    """What it was."""
    _taught(request, id)
    return station_of(request).store.taught.remove(id)


@router.get(
    "/v1/teach/images/{id}/image",
    operation_id="get_taught_image",
    summary="The image",
    response_class=Response,
    responses={**NOT_FOUND, **binary("the image's file as it was sent", *IMAGE_TYPES)},
)
@needs("inspect")
def get_taught_image(request: Request, id: Id) -> Response:
    """The very bytes that are learned from."""
    content, suffix = _content(request, id)
    return image_response(content, media_type_of(suffix), id)


@router.get(
    "/v1/teach/images/{id}/thumbnail",
    operation_id="get_taught_thumbnail",
    summary="The image, small",
    response_class=Response,
    responses={**NOT_FOUND, **binary("a small JPEG", "image/jpeg")},
)
@needs("inspect")
def get_taught_thumbnail(request: Request, id: Id) -> Response:
    """A JPEG for lists."""
    _taught(request, id)
    return thumbnail_response(station_of(request).shown.taught_small(id))


def _taught(request: Request, id: int) -> TaughtImage:
    found = station_of(request).store.taught.get(id)
    if found is None:
        raise _missing(id)
    return found


def _content(request: Request, id: int) -> tuple[bytes, str]:
    found = station_of(request).store.taught.content(id)
    if found is None:
        raise _missing(id)
    return found


def _missing(id: int) -> NotFoundError:
    return NotFoundError(f"a taught image must be one that is kept, got {id}: ask for the list of images of its model")
