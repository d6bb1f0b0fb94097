"""Inspections between what is handed in, the rows of the table, and what is told of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from onlygood.station.schemas import Feedback, ImageRegion, InspectionRecord, Label, Verdict
from onlygood.station.store.tables import FeedbackRow, InspectionRow

# What a database cannot hold: halves of characters (bytes of a file's name that are no text), and NUL.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_NAME = 1000


@dataclass(frozen=True, kw_only=True)
class NewInspection:
    """What was inspected, and what came out.

    Attributes:
        model: its name.
        model_sha256: of the version that was used.
        source: "http", "page" or the name of a source.
        name: of the image.
        verdict: what was told.
        score: above 0 anomalous.
        p_value: of the image.
        latency_ms: that the inspection took.
        width: of the image, in pixels.
        height: of the image, in pixels.
        regions: where the anomaly map is high.
        notes: in what the image is as no good image was.
        content: the bytes of the image's file; None where it is not to be kept.
        suffix: of the file, with its dot.
        seen_key: identifies an image of `source`, which is inspected once.
        at: when the image was taken; now, where it is None.
    """

    model: str
    model_sha256: str
    source: str
    name: str
    verdict: Verdict
    score: float
    p_value: float
    latency_ms: float
    width: int
    height: int
    regions: Sequence[ImageRegion] = ()
    notes: Sequence[str] = ()
    content: bytes | None = field(default=None, repr=False)
    suffix: str = ".jpg"
    seen_key: str | None = None
    at: datetime | None = None


def storable(text: str) -> str:
    r"""The text with what no database can hold written out: `\x00`, `\udcff`."""
    return _UNSTORABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def draft_of(new: NewInspection, at: datetime) -> InspectionRecord:
    """The record of a new inspection, with 0 for its number and without its image.

    Args:
        new: what was inspected.
        at: when.

    Raises:
        ValueError: a value is none that a record can have.
    """
    return InspectionRecord(
        id=0,
        at=at,
        model=new.model,
        model_sha256=new.model_sha256,
        source=storable(new.source)[:64],
        name=storable(new.name)[:_MOST_NAME],
        verdict=new.verdict,
        score=new.score,
        p_value=new.p_value,
        latency_ms=new.latency_ms,
        width=new.width,
        height=new.height,
        regions=tuple(new.regions),
        notes=tuple(storable(note) for note in new.notes),
        has_image=False,
    )


def values_of(record: InspectionRecord, *, suffix: str, image_bytes: int) -> dict[str, Any]:
    """The columns of a record that is new.

    Args:
        record: with its image's digest where that is kept.
        suffix: of the image's file.
        image_bytes: of the image's file; 0 without one.
    """
    return {
        "at": record.at,
        "model": record.model,
        "model_sha256": record.model_sha256,
        "source": record.source,
        "name": record.name,
        "verdict": record.verdict.value,
        "score": record.score,
        "p_value": record.p_value,
        "latency_ms": record.latency_ms,
        "width": record.width,
        "height": record.height,
        "details": {
            "regions": [[r.top, r.left, r.bottom, r.right, r.peak] for r in record.regions],
            "notes": list(record.notes),
        },
        "has_notes": bool(record.notes),
        "image_sha256": record.image_sha256,
        "image_suffix": suffix[:16],
        "image_bytes": image_bytes,
        "has_image": record.has_image,
        "label": None,
        "learned_in": None,
    }


def inspection_rows() -> Select[Any]:
    """A query for what `records_of` reads; the caller says which."""
    return select(InspectionRow.__table__)


def records_of(connection: Connection, rows: Iterable[Row[Any]]) -> list[InspectionRecord]:
    """Records with the latest feedback of each.

    Args:
        connection: on which the rows were read.
        rows: of `inspection_rows`.
    """
    rows = list(rows)
    said = latest_feedback(connection, [row.id for row in rows if row.label is not None])
    return [_record_of(row, said.get(row.id)) for row in rows]


def latest_feedback(connection: Connection, ids: Sequence[int]) -> dict[int, Feedback]:
    """What holds of what was said of some inspections, by their numbers.

    Args:
        connection: to the database.
        ids: of inspections, some hundreds at most.
    """
    if not ids:
        return {}
    rows = connection.execute(
        select(FeedbackRow.__table__).where(FeedbackRow.inspection_id.in_(ids)).order_by(FeedbackRow.id)
    )
    return {
        row.inspection_id: Feedback.model_construct(label=Label(row.label), at=row.at, by=row.by, note=row.note)
        for row in rows
    }


def _record_of(row: Row[Any], feedback: Feedback | None) -> InspectionRecord:
    details = row.details
    return InspectionRecord(
        id=row.id,
        at=row.at,
        model=row.model,
        model_sha256=row.model_sha256,
        source=row.source,
        name=row.name,
        verdict=Verdict(row.verdict),
        score=row.score,
        p_value=row.p_value,
        latency_ms=row.latency_ms,
        image_sha256=row.image_sha256,
        width=row.width,
        height=row.height,
        regions=tuple(
            ImageRegion(top=top, left=left, bottom=bottom, right=right, peak=peak)
            for top, left, bottom, right, peak in details["regions"]
        ),
        notes=tuple(details["notes"]),
        has_image=row.has_image,
        feedback=feedback,
        learned_in=row.learned_in,
    )
