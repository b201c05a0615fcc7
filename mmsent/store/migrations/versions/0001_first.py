"""The first schema.

Revision ID: 0001
Revises: none
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alert_posts",
        sa.Column("alert_id", sa.String(), nullable=False),
        sa.Column("post_id", sa.String(), nullable=False),
        sa.Column("conflict", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "post_id", name="pk_alert_posts"),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("window_start", TIME, nullable=False),
        sa.Column("window_end", TIME, nullable=False),
        sa.Column("why", sa.JSON(), nullable=False),
        sa.Column("changed", sa.Boolean(), nullable=False),
        sa.Column("revised_at", TIME),
        sa.PrimaryKeyConstraint("alert_id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_created_at", "alerts", ["created_at"])
    op.create_table(
        "detector",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("watermark", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_detector"),
    )
    op.create_table(
        "forgotten_authors",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("source", "author", name="pk_forgotten_authors"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_table(
        "pending_conflicts",
        sa.Column("post_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("conflict", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("post_id", "version", name="pk_pending_conflicts"),
    )
    op.create_table(
        "posts",
        sa.Column("post_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("author", sa.String()),
        sa.Column("lang", sa.String()),
        sa.Column("created_at", TIME),
        sa.Column("minute", TIME),
        sa.Column("scored_at", TIME),
        sa.Column("shard", sa.Integer()),
        sa.Column("text", sa.Text()),
        sa.Column("link", sa.Text()),
        sa.Column("tags", sa.JSON()),
        sa.Column("images", sa.JSON()),
        sa.Column("sensitive", sa.Boolean()),
        sa.Column("topics", sa.JSON()),
        sa.Column("model", sa.String()),
        sa.Column("label", sa.String()),
        sa.Column("fused", sa.JSON()),
        sa.Column("text_opinion", sa.JSON()),
        sa.Column("image_opinion", sa.JSON()),
        sa.Column("conflict", sa.Float()),
        sa.Column("weights", sa.JSON()),
        sa.Column("flagged", sa.Boolean()),
        sa.Column("has_image", sa.Boolean()),
        sa.Column("image_errors", sa.JSON()),
        sa.Column("unscored_reason", sa.String()),
        sa.Column("thumbnail", sa.LargeBinary()),
        sa.Column("previous_minute", TIME),
        sa.Column("previous_topics", sa.JSON()),
        sa.Column("previous_source", sa.String()),
        sa.Column("previous_lang", sa.String()),
        sa.Column("previous_shard", sa.Integer()),
        sa.Column("previous_label", sa.String()),
        sa.Column("previous_flagged", sa.Boolean()),
        sa.Column("previous_has_image", sa.Boolean()),
        sa.PrimaryKeyConstraint("post_id", name="pk_posts"),
    )
    op.create_index("ix_posts_created_at", "posts", ["created_at"])
    op.create_index("ix_posts_flagged_created_at", "posts", ["flagged", "created_at"])
    op.create_index("ix_posts_source_author", "posts", ["source", "author"])
    op.create_table(
        "progress",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("partition", name="pk_progress"),
    )
    op.create_table(
        "rollups",
        sa.Column("minute", TIME, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("lang", sa.String(), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("posts", sa.Integer(), nullable=False),
        sa.Column("positive", sa.Integer(), nullable=False),
        sa.Column("neutral", sa.Integer(), nullable=False),
        sa.Column("negative", sa.Integer(), nullable=False),
        sa.Column("unscored", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("with_image", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "topic", "source", "lang", "shard", name="pk_rollups"),
    )
    op.create_index("ix_rollups_topic_minute", "rollups", ["topic", "minute"])
    op.create_table(
        "topics",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("any_of", sa.JSON(), nullable=False),
        sa.Column("all_of", sa.JSON(), nullable=False),
        sa.Column("none_of", sa.JSON(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_topics"),
    )


def downgrade() -> None:
    for table in (
        "alert_posts",
        "alerts",
        "detector",
        "forgotten_authors",
        "outbox",
        "pending_conflicts",
        "posts",
        "progress",
        "rollups",
        "topics",
    ):
        op.drop_table(table)
