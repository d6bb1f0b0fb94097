"""Which inspections are meant: what the history can be narrowed down by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from sqlalchemy import Select

from onlygood.station.schemas import Label, Verdict
from onlygood.station.store.records import storable
from onlygood.station.store.tables import InspectionRow, in_utc


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Those inspections for which everything holds that is given.

    Attributes:
        model: was asked.
        verdict: was told.
        label: is what a person said of them; "any" for those that someone marked, "none" for those that nobody did.
        source: they came from.
        since: they were made then or later.
        until: they were made before that.
        name: is part of theirs, in capitals or not.
        has_notes: whether there is something in them as in no good image.
    """

    model: str | None = None
    verdict: Verdict | None = None
    label: Label | Literal["any", "none"] | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    name: str | None = None
    has_notes: bool | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            at: datetime | None = getattr(self, name)
            if at is not None:
                object.__setattr__(self, name, _within_the_calendar(at))


class Wanted(TypedDict, total=False):
    """The same as keywords; each may be left out."""

    model: str | None
    verdict: Verdict | None
    label: Label | Literal["any", "none"] | None
    source: str | None
    since: datetime | None
    until: datetime | None
    name: str | None
    has_notes: bool | None


def narrowed(query: Select[Any], filters: Filters) -> Select[Any]:
    """The query, for those that are meant.

    Args:
        query: of inspections.
        filters: which.
    """
    conditions = []
    if filters.model is not None:
        conditions.append(InspectionRow.model == storable(filters.model))
    if filters.verdict is not None:
        conditions.append(InspectionRow.verdict == filters.verdict.value)
    if filters.label == "any":
        conditions.append(InspectionRow.label.is_not(None))
    elif filters.label == "none":
        conditions.append(InspectionRow.label.is_(None))
    elif filters.label is not None:
        conditions.append(InspectionRow.label == Label(filters.label).value)
    if filters.source is not None:
        conditions.append(InspectionRow.source == storable(filters.source))
    if filters.since is not None:
        conditions.append(InspectionRow.at >= filters.since)
    if filters.until is not None:
        conditions.append(InspectionRow.at < filters.until)
    if filters.name:
        conditions.append(InspectionRow.name.icontains(storable(filters.name), autoescape=True))
    if filters.has_notes is not None:
        conditions.append(InspectionRow.has_notes.is_(filters.has_notes))
    return query.where(*conditions)


def _within_the_calendar(at: datetime) -> datetime:
    """The moment in UTC; a time zone can put the first and the last day of all outside of what can be written."""
    try:
        return in_utc(at)
    except OverflowError:
        return (datetime.min if at.year == 1 else datetime.max).replace(tzinfo=UTC)
