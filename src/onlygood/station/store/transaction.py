"""The one transaction in which inspections are recorded, with everything that belongs to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from onlygood.station.schemas import InspectionRecord
from onlygood.station.store.database import Database
from onlygood.station.store.records import NewInspection, inspection_rows, records_of, values_of
from onlygood.station.store.tables import (
    DriftRow,
    InspectionRow,
    OutboxRow,
    SeenRow,
    StationRow,
    table_of,
)

_MOST_KEY = 200

# Made once: making a statement takes longer than running it.
_INSERT = insert(table_of(InspectionRow)).returning(InspectionRow.id, sort_by_parameter_order=True)
_NAME_BATCH = update(StationRow).values(last_batch=bindparam("batch"))


class AlreadySeen(Exception):  # noqa: N818 - it is no error: the image is inspected once, as it should be
    """An image of the same source and key was recorded before, or is marked as one that cannot be read.

    Attributes:
        record: of the first time; None where it could not be read, or was let go since.
    """

    def __init__(self, source: str, key: str, record: InspectionRecord | None) -> None:
        super().__init__(f"the image {key} of {source} was inspected before")
        self.record = record


@dataclass(eq=False)
class Entry:
    """One inspection on its way into the database.

    Attributes:
        draft: its record, with 0 for its number.
        new: what was handed in.
        outputs: that are to be told.
        drift: digest of a model's version, and the state of its drift test.
        held: the digest of its image, while its file must not be removed.
        image_bytes: of its image's file; 0 where none was kept.
        is_recorded: whether a row names its image.
    """

    draft: InspectionRecord
    new: NewInspection
    outputs: tuple[str, ...]
    drift: tuple[str, str] | None
    held: str | None = None
    image_bytes: int = 0
    is_recorded: bool = False

    def keep_image(self, digest: str, size: int) -> None:
        """Its image's file is there.

        Args:
            digest: of the content.
            size: in bytes.
        """
        self.draft = self.draft.model_copy(update={"image_sha256": digest, "has_image": True})
        self.image_bytes = size

    @property
    def key(self) -> tuple[str, str] | None:
        """Source and key as they are in the table."""
        return None if self.new.seen_key is None else (self.draft.source, stored_key(self.new.seen_key))


Outcome = list["InspectionRecord | AlreadySeen"]


def stored_key(key: str) -> str:
    """A key as the table holds it: a long one, or one with characters that are none, as its digest."""
    if len(key) <= _MOST_KEY and key.isprintable():
        return key
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def record_entries(
    database: Database, entries: Sequence[Entry], *, batch: str, at: datetime, outcomes: list[Outcome]
) -> None:
    """Write some inspections in one transaction.

    Args:
        database: to write to.
        entries: in the order of their future numbers.
        batch: names this transaction.
        at: the time.
        outcomes: gets what came of each entry, just before the transaction is committed.

    Raises:
        StoreError: nothing was written; or, where `outcomes` is filled, it is not known whether it was.
    """
    with database.writing() as connection:
        outcome: list[InspectionRecord | AlreadySeen | None] = [None] * len(entries)
        first = _seen_before(connection, entries)
        fresh: list[int] = []
        repeated: dict[int, int] = {}
        places: dict[tuple[str, str], int] = {}
        for place, entry in enumerate(entries):
            key = entry.key
            if key is not None and key in first:
                outcome[place] = AlreadySeen(*key, first[key])
            elif key is not None and key in places:
                repeated[place] = places[key]
            else:
                fresh.append(place)
                if key is not None:
                    places[key] = place
        ids = _insert(connection, [entries[place] for place in fresh])
        for place, number in zip(fresh, ids, strict=True):
            outcome[place] = entries[place].draft.model_copy(update={"id": number})
        for place, of in repeated.items():
            record = outcome[of]
            key = entries[place].key
            assert isinstance(record, InspectionRecord) and key is not None
            outcome[place] = AlreadySeen(*key, record)
        numbered = [(entries[place], number) for place, number in zip(fresh, ids, strict=True)]
        _insert_rest(database, connection, numbered, at)
        connection.execute(_NAME_BATCH, {"batch": batch})
        outcomes.append([result for result in outcome if result is not None])


def probe(database: Database) -> None:
    """Whether inspections could be recorded: no error where they could.

    Args:
        database: to write to.

    Raises:
        StoreError: they could not.
    """
    with database.writing() as connection:
        connection.execute(update(StationRow).values(last_batch=StationRow.last_batch))


def was_committed(database: Database, batch: str) -> bool:
    """Whether a transaction of that name is in the database; asked of the newest one alone.

    Args:
        database: to look into.
        batch: the name.

    Raises:
        StoreError: it cannot be read.
    """
    with database.reading() as connection:
        return connection.scalar(select(StationRow.last_batch)) == batch


def _insert(connection: Connection, entries: Sequence[Entry]) -> Sequence[int]:
    if not entries:
        return []
    values = [
        values_of(entry.draft, suffix=entry.new.suffix if entry.draft.has_image else "", image_bytes=entry.image_bytes)
        for entry in entries
    ]
    return connection.scalars(_INSERT, values).all()


def _insert_rest(
    database: Database, connection: Connection, numbered: Sequence[tuple[Entry, int]], at: datetime
) -> None:
    outbox = [
        {"output": output, "inspection_id": number}
        for entry, number in numbered
        for output in dict.fromkeys(entry.outputs)
    ]
    if outbox:
        connection.execute(insert(table_of(OutboxRow)), outbox)
    seen = [
        {"source": key[0], "key": key[1], "at": at, "inspection_id": number, "problem": None}
        for entry, number in numbered
        if (key := entry.key) is not None
    ]
    if seen:
        connection.execute(insert(table_of(SeenRow)), seen)
    drift = dict(entry.drift for entry, _ in numbered if entry.drift is not None)
    for digest, state in drift.items():
        statement = database.insert(DriftRow).values(model_sha256=digest, state=state)
        connection.execute(statement.on_conflict_do_update(index_elements=["model_sha256"], set_={"state": state}))


def _seen_before(connection: Connection, entries: Sequence[Entry]) -> dict[tuple[str, str], InspectionRecord | None]:
    keys = list(dict.fromkeys(entry.key for entry in entries if entry.key is not None))
    if not keys:
        return {}
    rows = connection.execute(
        select(SeenRow.source, SeenRow.key, SeenRow.inspection_id).where(tuple_(SeenRow.source, SeenRow.key).in_(keys))
    ).all()
    numbers = [row.inspection_id for row in rows if row.inspection_id is not None]
    found = {}
    if numbers:
        known = connection.execute(inspection_rows().where(InspectionRow.id.in_(numbers))).all()
        found = {record.id: record for record in records_of(connection, known)}
    return {(row.source, row.key): found.get(row.inspection_id) for row in rows}
