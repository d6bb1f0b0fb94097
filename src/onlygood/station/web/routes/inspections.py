"""The history: every inspection, its image, and what people say of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from onlygood.station.file_types import media_type_of
from onlygood.station.schemas import FeedbackRequest, InspectionPage, InspectionRecord
from onlygood.station.web.images import CACHED, IMAGE_TYPES, image_response, thumbnail_response
from onlygood.station.web.parameters import BUSY, MOST_ID, NOT_FOUND, Id, binary, filters, station_of
from onlygood.station.web.rights import GuardedRoute, identity_of, needs

router = APIRouter(route_class=GuardedRoute, tags=["inspections"])

Filters = Annotated[dict[str, Any], Depends(filters)]
_drawing = anyio.CapacityLimiter(max(1, (os.cpu_count() or 1) // 2))
Block = TypeVar("Block", str, bytes)
_CSV_CHARACTERS = 64 * 1024


@router.get("/v1/inspections", operation_id="list_inspections", summary="What was inspected")
@needs("inspect")
def list_inspections(
    request: Request,
    wanted: Filters,
    before: Annotated[
        int | None, Query(ge=1, le=MOST_ID, description="`next_before` of the page before this one")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> InspectionPage:
    """The newest first."""
    return station_of(request).store.inspections.page(before=before, limit=limit, **wanted)


@router.get(
    "/v1/inspections.csv",
    operation_id="export_csv",
    summary="What was inspected, as a table",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "one inspection a line"}},
)
@needs("inspect")
def export_csv(request: Request, wanted: Filters) -> Response:
    """The oldest first, a line each."""
    lines = station_of(request).store.inspections.export_csv(**wanted)
    return StreamingResponse(
        begun(in_blocks(lines)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="inspections.csv"'},
    )


@router.get(
    "/v1/inspections.zip",
    operation_id="export_images",
    summary="Images that people marked or taught, as a labelled set",
    response_class=Response,
    responses=binary("a folder for each model, in MVTec's layout", "application/zip"),
)
@needs("inspect")
def export_images(request: Request, wanted: Filters) -> Response:
    """Good ones that were learned from in `train/good`, the others that a person marked in `test/`."""
    return StreamingResponse(
        begun(station_of(request).store.inspections.mvtec_zip(**wanted)),
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="images.zip"'},
    )


@router.get("/v1/inspections/{id}", operation_id="get_inspection", summary="One inspection", responses=NOT_FOUND)
@needs("inspect")
def get_inspection(request: Request, id: Id) -> InspectionRecord:
    """As it was recorded, with what a person said of it."""
    return station_of(request).inspection(id)


@router.post(
    "/v1/inspections/{id}/feedback",
    operation_id="give_feedback",
    summary="Say what the part was",
    responses=NOT_FOUND,
)
@needs("correct")
def give_feedback(request: Request, id: Id, said: FeedbackRequest) -> InspectionRecord:
    """The inspection with what was said of it: the latest holds, all are kept."""
    by = identity_of(request).name
    station_of(request).inspection(id)
    return station_of(request).give_feedback(id, said.label, by=by, note=said.note)


@router.get(
    "/v1/inspections/{id}/image",
    operation_id="get_image",
    summary="The image that was inspected",
    response_class=Response,
    responses={**NOT_FOUND, **binary("the image's file as it was sent", *IMAGE_TYPES)},
)
@needs("inspect")
def get_image(request: Request, id: Id) -> Response:
    """The very bytes that were inspected."""
    content, suffix = station_of(request).shown.file(id)
    return image_response(content, media_type_of(suffix), id)


@router.get(
    "/v1/inspections/{id}/thumbnail",
    operation_id="get_thumbnail",
    summary="The image, small",
    response_class=Response,
    responses={**NOT_FOUND, **binary("a small JPEG", "image/jpeg")},
)
@needs("inspect")
async def get_thumbnail(request: Request, id: Id) -> Response:
    """A JPEG for lists."""
    return thumbnail_response(await _drawn(id, station_of(request).shown.small))


@router.get(
    "/v1/inspections/{id}/map",
    operation_id="get_map",
    summary="The image with its anomaly map",
    response_class=Response,
    responses={**NOT_FOUND, **BUSY, **binary("the image with its map over it", "image/png")},
)
@needs("inspect")
async def get_map(request: Request, id: Id) -> Response:
    """Computed again from the image and the version of the model that were used."""
    drawn = await _drawn(id, station_of(request).shown.map_png)
    return Response(drawn, media_type="image/png", headers={"Cache-Control": CACHED})


async def _drawn(id: int, draw: Callable[[int], bytes]) -> bytes:
    """What is drawn of an inspection, few at once: a page of history asks for many, and inspections go on meanwhile."""
    return await anyio.to_thread.run_sync(draw, id, limiter=_drawing)


def begun(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same, of which the first is there already: what goes wrong at the beginning is a refusal, no broken file."""
    return chain(list(islice(blocks, 1)), blocks)


def in_blocks(lines: Iterable[str]) -> Iterator[str]:
    """The same text in fewer, larger pieces."""
    waiting, size = [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _CSV_CHARACTERS:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)
