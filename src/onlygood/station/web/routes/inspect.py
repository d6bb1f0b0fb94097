"""Inspecting: images in, verdicts out."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from onlygood.errors import BusyError, ImageError, OnlygoodError, SettingError
from onlygood.heatmap import overlay, to_screen
from onlygood.results import Inspection
from onlygood.station.inspecting import Keep, ToInspect
from onlygood.station.schemas import InspectionResult, InspectionResults
from onlygood.station.web.futures import result_of
from onlygood.station.web.parameters import BUSY, NO_ROOM, NOT_FOUND, TOO_LARGE, ModelName, limits_of, station_of
from onlygood.station.web.rights import GuardedRoute, needs
from onlygood.station.web.uploads import IMAGES_BODY, Upload, read_images

router = APIRouter(route_class=GuardedRoute, tags=["inspect"])

# Images of one request that are worked on or wait at once: the others of it come after them.
MOST_AT_ONCE = 4
# Maps that are drawn at once; a PNG is compressed quickly rather than much.
_drawing = anyio.CapacityLimiter(os.cpu_count() or 1)
_COMPRESSION = 1


@router.post(
    "/v1/models/{name}/inspect",
    operation_id="inspect",
    response_model=InspectionResults,
    summary="Inspect one image or several",
    responses={**NOT_FOUND, **TOO_LARGE, **BUSY, **NO_ROOM},
    openapi_extra=IMAGES_BODY,
)
@needs("inspect")
async def inspect(
    request: Request,
    name: ModelName,
    map: Annotated[Literal["png", "none"], Query(description="whether to draw the anomaly map")] = "none",
    keep: Annotated[Keep, Query(description="which inspections are remembered, with their images")] = "all",
    source: Annotated[Literal["http", "page"], Query(description="who asks")] = "http",
) -> Response:
    """The verdicts on the images of the request, in their order.

    One image that cannot be inspected is refused with the reason. Of several, each that cannot be says so in its own
    result, and the others are inspected.

    A raw body takes the image's name from the query (`name=`); a form, from its files.
    """
    station = station_of(request)
    images = await read_images(request, limits_of(request))
    if station.models.ready(name) is None:  # loading it takes a while
        await anyio.to_thread.run_sync(station.models.get, name)
    work = _Work(request, name, with_map=map == "png", keep=keep, source=source)
    if len(images) == 1:
        results = [await work.one(images[0])]
    else:
        results = await work.several(images)
    body = InspectionResults.model_construct(results=tuple(results))
    return Response(body.model_dump_json(), media_type="application/json")


class _Work:
    """What is done with the images of one request."""

    def __init__(self, request: Request, model: str, *, with_map: bool, keep: Keep, source: str) -> None:
        self._station = station_of(request)
        self._queue_timeout_s = limits_of(request).queue_timeout_s
        self._model, self._with_map, self._keep, self._source = model, with_map, keep, source

    async def one(self, image: Upload) -> InspectionResult:
        """The result of an image.

        Raises:
            OnlygoodError: it has none.
        """
        asked = ToInspect(
            model=self._model,
            content=image.content,
            source=self._source,
            name=image.name,
            with_map=self._with_map,
            keep=self._keep,
        )
        inspected = await result_of(self._station.submit(asked))
        png = None
        if self._with_map:
            png = await anyio.to_thread.run_sync(draw_map, inspected.inspection, limiter=_drawing)
        return InspectionResult.model_construct(name=image.name, inspection=inspected.record, map_png=png)

    async def several(self, images: list[Upload]) -> list[InspectionResult]:
        """The results of several images; where there is no room for the first of them, the request is refused.

        Raises:
            BusyError: there is no room.
            OnlygoodError: there is no such model, or another reason that holds for all of them.
        """
        first = await self._or_problem(images[0], waits=False)
        room = asyncio.Semaphore(min(MOST_AT_ONCE, self._station.pool.queue_size))

        async def following(image: Upload) -> InspectionResult:
            async with room:
                return await self._or_problem(image, waits=True)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(following(image)) for image in images[1:]]
        return [first, *(task.result() for task in tasks)]

    async def _or_problem(self, image: Upload, *, waits: bool) -> InspectionResult:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._queue_timeout_s
        while True:
            try:
                return await self.one(image)
            except (ImageError, SettingError) as error:
                return InspectionResult(name=image.name, problem=str(error))
            except BusyError as error:
                if not waits:
                    raise
                if loop.time() + error.retry_after_s > ends_at:
                    return InspectionResult(name=image.name, problem=str(error))
                await asyncio.sleep(error.retry_after_s)
            except OnlygoodError as error:
                if not waits:
                    raise
                return InspectionResult(name=image.name, problem=str(error))


def draw_map(inspection: Inspection) -> str:
    """An inspection's image with its map over it, a PNG in base64."""
    seen, anomaly_map = inspection.pixels, inspection.anomaly_map
    assert seen is not None and anomaly_map is not None  # it was inspected with a map
    drawn = overlay(to_screen(seen.image, seen.window), anomaly_map, levels=seen.levels)
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG", compress_level=_COMPRESSION)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
