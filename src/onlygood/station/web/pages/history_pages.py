"""What was inspected: the history, one inspection of it, and what people say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response, StreamingResponse

from onlygood.errors import SettingError
from onlygood.station.schemas import Label, Verdict
from onlygood.station.store.filters import Filters
from onlygood.station.web.live_messages import MEDIA_TYPES
from onlygood.station.web.pages.image_sizes import SIDES, map_message
from onlygood.station.web.pages.rendering import Renderer, query
from onlygood.station.web.pages.teach_pages import KEPT_BY_BROWSERS, side_of
from onlygood.station.web.rights import identity_of, needs
from onlygood.station.web.routes.inspections import begun, in_blocks

if TYPE_CHECKING:
    from onlygood.station.station import Station

PAGE_LENGTH = 48


@dataclass(frozen=True)
class Asked:
    """What the history is narrowed down by, as it stands in the address of the page.

    Attributes:
        model: its name.
        verdict: that was told.
        label: that a person gave; "any" or "none" for those with or without one.
        source: where images came from.
        name: a part of it.
        since: the first day, by the station's clock: YYYY-MM-DD.
        until: the last day.
    """

    model: str
    verdict: str
    label: str
    source: str
    name: str
    since: str
    until: str

    @property
    def values(self) -> dict[str, str]:
        """All of them, for a query string."""
        return dict(self.__dict__)

    @property
    def is_narrowed(self) -> bool:
        """Whether there is any."""
        return any(self.__dict__.values())

    def filters(self) -> Filters:
        """The same as the store takes it.

        Raises:
            SettingError: a value that cannot be used.
        """
        label: Label | Literal["any", "none"] | None = None
        if self.label in ("any", "none"):
            label = "any" if self.label == "any" else "none"
        elif self.label:
            label = _one_of(Label, self.label, "a label")
        return Filters(
            model=self.model or None,
            verdict=_one_of(Verdict, self.verdict, "a verdict") if self.verdict else None,
            label=label,
            source=self.source or None,
            name=self.name or None,
            since=_day(self.since),
            until=_day(self.until, after=1),
        )


def asked(
    model: str = "",
    verdict: str = "",
    label: str = "",
    source: str = "",
    name: str = "",
    since: str = "",
    until: str = "",
) -> Asked:
    """What a query string narrows the history down by."""
    return Asked(model, verdict, label, source, name, since, until)


Narrowed = Annotated[Asked, Depends(asked)]
Before = Annotated[int | None, Query(ge=1)]


def add_history_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the history, the page of one inspection, its image and map, and feedback."""

    def some(narrowed: Asked, before: int | None) -> Any:
        filters = narrowed.filters()
        return station.store.inspections.page(before=before, limit=PAGE_LENGTH, **filters.__dict__)

    @router.get("/history")
    @needs("inspect")
    def history(request: Request, narrowed: Narrowed, before: Before = None) -> Response:
        """What was inspected, the newest first."""
        return renderer.page(
            request,
            "history",
            person=identity_of(request),
            section="history",
            asked=narrowed,
            page=some(narrowed, before),
            before=before,
            models=station.store.models.names(),
            sources=sorted({"http", "page", *station.lines}),
        )

    @router.get("/history/part")
    @needs("inspect")
    def part(request: Request, narrowed: Narrowed, before: Before = None) -> Response:
        """The images of the history alone."""
        page = some(narrowed, before)
        headers = {} if before else {"HX-Replace-Url": f"/history{_query(narrowed)}"}
        name = "cards" if before else "found"
        return renderer.part(
            name, person=identity_of(request), headers=headers, asked=narrowed, page=page, before=before
        )

    @router.get("/history/export.csv")
    @needs("inspect")
    def table(narrowed: Narrowed) -> Response:
        """The same inspections as a table, the oldest first."""
        lines = station.store.inspections.export_csv(**narrowed.filters().__dict__)
        return _download(in_blocks(lines), "inspections.csv", "text/csv; charset=utf-8")

    @router.get("/history/export.zip")
    @needs("inspect")
    def images(narrowed: Narrowed) -> Response:
        """The images of those that people marked, and those that were taught, as a ZIP file in MVTec's layout."""
        parts = station.store.inspections.mvtec_zip(**narrowed.filters().__dict__)
        return _download(parts, "images.zip", "application/zip")

    @router.get("/history/{id}")
    @needs("inspect")
    def inspection(request: Request, id: int, narrowed: Narrowed) -> Response:
        """One inspection."""
        record = station.inspection(id)
        versions = station.store.models.versions(record.model)
        version = next((each for each in versions if each.sha256 == record.model_sha256), None)
        older = some_ids(narrowed, before=id)
        return renderer.page(
            request,
            "inspection",
            person=identity_of(request),
            section="history",
            record=record,
            version=version,
            asked=narrowed,
            older=older,
        )

    @router.post("/history/{id}/feedback")
    @needs("correct")
    def feedback(
        request: Request, id: int, label: Annotated[Label, Form()], note: Annotated[str, Form(max_length=1000)] = ""
    ) -> Response:
        """Say that an image is good, or shows a defect."""
        person = identity_of(request)
        record = station.give_feedback(id, label, by=person.name, note=note)
        return renderer.part("said", person=person, record=record)

    @router.get("/history/{id}/picture")
    @needs("inspect")
    def picture(id: int, side: int = SIDES[0]) -> Response:
        """The image, in a format that browsers know."""
        jpeg = station.shown.small(id, side_of(side))
        return Response(jpeg, media_type="image/jpeg", headers=KEPT_BY_BROWSERS)

    @router.get("/history/{id}/map")
    @needs("inspect")
    def anomaly_map(id: int) -> Response:
        """The anomaly map, as a live message."""
        return Response(map_message(station.shown, id), media_type="application/octet-stream", headers=KEPT_BY_BROWSERS)

    @router.get("/history/{id}/file")
    @needs("inspect")
    def file(id: int) -> Response:
        """The image file as it was inspected, to be saved."""
        content, suffix = station.shown.file(id)
        name = f"{id}{suffix}"
        return Response(
            content,
            media_type=MEDIA_TYPES.get(suffix.lower(), "application/octet-stream"),
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"} | KEPT_BY_BROWSERS,
        )

    def some_ids(narrowed: Asked, *, before: int) -> int | None:
        page = station.store.inspections.page(before=before, limit=1, **narrowed.filters().__dict__)
        return page.inspections[0].id if page.inspections else None


def _download(parts: Iterator[Any], name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(begun(parts), media_type=media_type, headers=headers)


def _query(narrowed: Asked) -> str:
    return query(narrowed.values)


def _one_of(kind: Any, value: str, subject: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise SettingError(f"{subject} must be one of {', '.join(kind)}, got {value!r}: choose one of them") from None


def _day(text: str, *, after: int = 0) -> datetime | None:
    """The beginning of a day by this computer's clock, or of one so many days later; None where none is given."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date() + timedelta(days=after)
        return datetime.combine(day, time()).astimezone()
    except (ValueError, OverflowError):
        raise SettingError(f"a day must be given as YYYY-MM-DD, got {text!r}: choose it again") from None
