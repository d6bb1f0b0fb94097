"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "station",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("last_batch", sa.String(32), nullable=False),
        sa.Column("clock_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_station"),
    )
    op.create_table(
        "inspections",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("has_notes", sa.Boolean(), nullable=False),
        sa.Column("image_sha256", sa.String(64)),
        sa.Column("image_suffix", sa.String(16), nullable=False),
        sa.Column("image_bytes", sa.BigInteger(), nullable=False),
        sa.Column("has_image", sa.Boolean(), nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("learned_in", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_inspections"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inspections_at", "inspections", ["at"])
    op.create_index("ix_inspections_model_id", "inspections", ["model", "id"])
    op.create_index("ix_inspections_verdict_id", "inspections", ["verdict", "id"])
    op.create_index("ix_inspections_label_id", "inspections", ["label", "id"])
    for name, columns in (
        ("ix_inspections_kept_image", ["image_sha256", "image_bytes"]),
        ("ix_inspections_kept_order", ["label", "id"]),
        ("ix_inspections_kept_at", ["at"]),
    ):
        # As the queries say it, which SQLite compares word by word.
        op.create_index(
            name,
            "inspections",
            columns,
            sqlite_where=sa.text("has_image = 1"),
            postgresql_where=sa.text("has_image"),
        )
    op.create_table(
        "feedback",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("inspection_id", BIG_ID, nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["inspection_id"], ["inspections.id"], name="fk_feedback_inspection_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_inspection_id", "feedback", ["inspection_id"])
    op.create_table(
        "seen",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("inspection_id", BIG_ID),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("source", "key", name="pk_seen"),
    )
    op.create_index("ix_seen_at", "seen", ["at"])
    op.create_table(
        "outbox",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("output", sa.String(64), nullable=False),
        sa.Column("inspection_id", BIG_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["inspection_id"], ["inspections.id"], name="fk_outbox_inspection_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("output", "inspection_id", name="uq_outbox_output_inspection_id"),
    )
    op.create_index("ix_outbox_inspection_id", "outbox", ["inspection_id"])
    op.create_table(
        "model_versions",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("false_alarm_rate", sa.Double(), nullable=False),
        sa.Column("guarantee", sa.Text(), nullable=False),
        sa.Column("good_images", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_versions"),
        sa.UniqueConstraint("model", "number", name="uq_model_versions_model_number"),
    )
    op.create_table(
        "active_models",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_active_models"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_table(
        "taught_images",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("image_suffix", sa.String(16), nullable=False),
        sa.Column("image_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("is_left_out", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_taught_images"),
        sa.UniqueConstraint("model", "image_sha256", name="uq_taught_images_model_image_sha256"),
    )
    op.create_index("ix_taught_images_image_sha256", "taught_images", ["image_sha256"])
    op.create_table(
        "drift",
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model_sha256", name="pk_drift"),
    )


def downgrade() -> None:
    """There is nothing before them."""
    raise NotImplementedError("the first tables come from nothing")
