"""The tables of a station's database, for SQLite and PostgreSQL.

They are made and changed by the migrations in `migrations/` alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite counts up whole numbers of its own type alone.
BigId = BigInteger().with_variant(Integer, "sqlite")


def in_utc(at: datetime) -> datetime:
    """The moment in UTC; one without a time zone is in UTC already, as everything here is."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


class Utc(TypeDecorator[datetime]):
    """A moment, in UTC on both sides: SQLite keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the database is given."""
        return None if value is None else in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the database gave."""
        return value if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """The root of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def within_64_bits(id: int) -> int:
    """A number that can be looked for: one that no row can have becomes 0, which none has."""
    return id if 0 < id < 1 << 63 else 0


def table_of(row: type[Table]) -> sqlalchemy.Table:
    """The table whose rows are of that class, for statements on many rows at once."""
    return cast(sqlalchemy.Table, row.__table__)


class StationRow(Table):
    """The one row that says which station this is, and what has to outlive its process.

    `last_batch` names the newest transaction of the recorder: after a connection that broke during COMMIT it tells
    whether the transaction came through. `clock_at` is the latest time at which the clock was believed.
    """

    __tablename__ = "station"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(Utc)
    last_batch: Mapped[str] = mapped_column(String(32), default="")
    clock_at: Mapped[datetime | None] = mapped_column(Utc)


class InspectionRow(Table):
    """One inspection. `details` holds regions and notes; `label` is that of the latest feedback."""

    __tablename__ = "inspections"
    __table_args__ = (
        Index("ix_inspections_model_id", "model", "id"),
        Index("ix_inspections_verdict_id", "verdict", "id"),
        Index("ix_inspections_label_id", "label", "id"),
        # Which files are still needed, and which images go first: both look at kept images alone.
        Index(
            "ix_inspections_kept_image",
            "image_sha256",
            "image_bytes",
            sqlite_where=text("has_image = 1"),
            postgresql_where=text("has_image"),
        ),
        Index(
            "ix_inspections_kept_order",
            "label",
            "id",
            sqlite_where=text("has_image = 1"),
            postgresql_where=text("has_image"),
        ),
        Index("ix_inspections_kept_at", "at", sqlite_where=text("has_image = 1"), postgresql_where=text("has_image")),
        # Numbers of inspections that were let go are never given a second time.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(Utc, index=True)
    model: Mapped[str] = mapped_column(String(64))
    model_sha256: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(String(16))
    score: Mapped[float] = mapped_column(Double)
    p_value: Mapped[float] = mapped_column(Double)
    latency_ms: Mapped[float] = mapped_column(Double)
    width: Mapped[int]
    height: Mapped[int]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    has_notes: Mapped[bool]
    image_sha256: Mapped[str | None] = mapped_column(String(64))
    image_suffix: Mapped[str] = mapped_column(String(16))
    image_bytes: Mapped[int] = mapped_column(BigInteger)
    has_image: Mapped[bool]
    label: Mapped[str | None] = mapped_column(String(16))
    learned_in: Mapped[int | None] = mapped_column(Integer)  # the version whose update took this image in


class FeedbackRow(Table):
    """What a person said of an inspection; the latest one holds."""

    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    inspection_id: Mapped[int] = mapped_column(ForeignKey("inspections.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(Utc)
    by: Mapped[str] = mapped_column(String(64), default="")
    note: Mapped[str] = mapped_column(Text, default="")


class SeenRow(Table):
    """An image of a folder that was inspected, or that could not be: it is not taken a second time.

    `at` is when that was, or when the image was last found in its folder.
    """

    __tablename__ = "seen"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(Utc, index=True)
    inspection_id: Mapped[int | None] = mapped_column(BigId)
    problem: Mapped[str | None] = mapped_column(Text)


class WatchedFolderRow(Table):
    """A source that is a folder, of which images that were seen or found since `looked_at` are not forgotten."""

    __tablename__ = "watched_folders"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    looked_at: Mapped[datetime] = mapped_column(Utc)


class OutboxRow(Table):
    """An inspection that an output was not told of yet."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("output", "inspection_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    output: Mapped[str] = mapped_column(String(64))
    inspection_id: Mapped[int] = mapped_column(ForeignKey("inspections.id", ondelete="CASCADE"), index=True)


class ModelVersionRow(Table):
    """A model file that is or was served under a name; the file lies in the data folder, named by its digest."""

    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("model", "number"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    model: Mapped[str] = mapped_column(String(64))
    number: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Utc)
    method: Mapped[str] = mapped_column(String(64))
    origin: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(Text, default="")
    false_alarm_rate: Mapped[float] = mapped_column(Double)
    guarantee: Mapped[str] = mapped_column(Text)
    good_images: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)


class ActiveModelRow(Table):
    """Which version of a model is served."""

    __tablename__ = "active_models"

    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int]


class JobRow(Table):
    """A fit or an update."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(Utc)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    problem: Mapped[str | None] = mapped_column(Text)
    notes: Mapped[list[str]] = mapped_column(JSON, default=list)
    version: Mapped[int | None]


class TaughtImageRow(Table):
    """A good image that a model is to learn from; its file is kept as those of inspections are."""

    __tablename__ = "taught_images"
    __table_args__ = (UniqueConstraint("model", "image_sha256"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    model: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(Utc)
    name: Mapped[str] = mapped_column(Text)
    image_sha256: Mapped[str] = mapped_column(String(64), index=True)
    image_suffix: Mapped[str] = mapped_column(String(16))
    image_bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]
    is_left_out: Mapped[bool] = mapped_column(default=False)


class DriftRow(Table):
    """The state of the drift test of one version of a model."""

    __tablename__ = "drift"

    model_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(Text)
