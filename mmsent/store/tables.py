"""The tables, the same on SQLite and PostgreSQL. Migrations make them; nothing else does."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
    make_url,
)
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeDecorator, TypeEngine

from mmsent.errors import SettingsError


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times on both databases; SQLite itself keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

JsonOrNull = JSON(none_as_null=True)

# What a post counts under and as in `rollups`. The write keeps each one's value before the write in a
# `previous_` twin, so that rollups change by new − previous inside the same statement.
COUNTED: dict[str, TypeEngine[Any] | type[TypeEngine[Any]]] = {
    "minute": UtcDateTime,  # created_at, floored
    "topics": JsonOrNull,  # tracked topics that match, sorted; `all` is implied
    "source": String,
    "lang": String,  # "und" when the post names none
    "shard": Integer,  # Kafka partition
    "label": String,  # the fused opinion's, or null
    "flagged": Boolean,
    "has_image": Boolean,  # a picture opinion exists
}

posts = Table(
    "posts",
    metadata,
    Column("post_id", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),  # a tombstone: only id, version and source remain
    Column("source", String, nullable=False),
    Column("author", String),
    Column("lang", String),
    Column("created_at", UtcDateTime),
    Column("minute", UtcDateTime),
    Column("scored_at", UtcDateTime),
    Column("shard", Integer),
    Column("text", Text),
    Column("link", Text),
    Column("tags", JsonOrNull),
    Column("images", JsonOrNull),  # [{"url", "alt"}]
    Column("sensitive", Boolean),
    Column("topics", JsonOrNull),
    Column("model", String),
    Column("label", String),
    Column("fused", JsonOrNull),  # posts.Opinion or null
    Column("text_opinion", JsonOrNull),
    Column("image_opinion", JsonOrNull),
    Column("conflict", Float),
    Column("weights", JsonOrNull),
    Column("flagged", Boolean),
    Column("has_image", Boolean),
    Column("image_errors", JsonOrNull),
    Column("unscored_reason", String),
    Column("thumbnail", LargeBinary),  # JPEG, of flagged posts only
    *(Column(f"previous_{name}", kind) for name, kind in COUNTED.items()),
    Index(None, "flagged", "created_at"),
    Index(None, "created_at"),
    Index(None, "source", "author"),
)

rollups = Table(
    "rollups",
    metadata,
    Column("minute", UtcDateTime, primary_key=True),
    Column("topic", String, primary_key=True),
    Column("source", String, primary_key=True),
    Column("lang", String, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("posts", Integer, nullable=False),
    Column("positive", Integer, nullable=False),
    Column("neutral", Integer, nullable=False),
    Column("negative", Integer, nullable=False),
    Column("unscored", Integer, nullable=False),
    Column("flagged", Integer, nullable=False),
    Column("with_image", Integer, nullable=False),
    Index(None, "topic", "minute"),
)

progress = Table(  # offsets below next_offset are in the database, or on posts.dead
    "progress",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

forgotten_authors = Table(
    "forgotten_authors",
    metadata,
    Column("source", String, primary_key=True),
    Column("author", String, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

topics = Table(  # tracked queries; `all` is implied
    "topics",
    metadata,
    Column("name", String, primary_key=True),
    Column("any_of", JsonOrNull, nullable=False),
    Column("all_of", JsonOrNull, nullable=False),
    Column("none_of", JsonOrNull, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

pending_conflicts = Table(  # posts that have just become flagged; the detector takes them
    "pending_conflicts",
    metadata,
    Column("post_id", String, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("topics", JsonOrNull, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("conflict", Float, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", String, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("why", JsonOrNull, nullable=False),
    Column("changed", Boolean, nullable=False),  # since the last revision
    Column("revised_at", UtcDateTime),  # of the last revision
    Index(None, "created_at"),
)

alert_posts = Table(  # each post counts once in an alert, however often it was delivered
    "alert_posts",
    metadata,
    Column("alert_id", String, primary_key=True),
    Column("post_id", String, primary_key=True),
    Column("conflict", Float, nullable=False),
)

outbox = Table(  # what the detector still has to publish: alerts, and deletes on `scores`
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("topic", String, nullable=False),  # "alerts" or "scores", without prefix
    Column("key", String, nullable=False),
    Column("value", Text, nullable=False),  # JSON
)

detector = Table(  # one row
    "detector",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("watermark", UtcDateTime, nullable=False),  # minutes that end by then are complete
    Column("updated_at", UtcDateTime, nullable=False),
)

pruning = Table(  # one row
    "pruning",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("posts_before", UtcDateTime, nullable=False),  # posts created before it are gone for good
)

MIGRATIONS = Path(__file__).parent / "migrations"


def driver_url(database_url: str, *, asynchronous: bool) -> URL:
    """`database_url` with our driver for its kind: psycopg for PostgreSQL, aiosqlite or sqlite3 for SQLite.

    Raises:
        SettingsError: not a URL, or neither PostgreSQL nor SQLite.
    """
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):  # its words may quote a password
        raise SettingsError(
            "MMSENT_DATABASE_URL is not a database URL, e.g. postgresql://user@host/mmsent"
        ) from None
    backend = url.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        if database_url.count("@") > 1:  # the rest of the password would be taken for the host, and shown
            raise SettingsError(
                "MMSENT_DATABASE_URL has more than one @; in the password, write %40 for each"
            )
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url.set(drivername="sqlite+aiosqlite" if asynchronous else "sqlite")
    raise SettingsError(f"MMSENT_DATABASE_URL names {backend}; mmsent knows postgresql:// and sqlite:///")


def prepare_sqlite(engine: Engine | AsyncEngine) -> None:
    """WAL, a busy time-out and explicit BEGIN on each SQLite connection; nothing elsewhere."""
    target = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if target.dialect.name != "sqlite":
        return

    @event.listens_for(target, "connect")
    def _on_connect(connection, _record) -> None:  # type: ignore[no-untyped-def]  # a DB-API object, untyped
        connection.isolation_level = None  # transactions begin when we say, with the lock we name
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if isinstance(engine, AsyncEngine):

        @event.listens_for(target, "invalidate")
        def _on_invalidate(connection, _record, exception) -> None:  # type: ignore[no-untyped-def]  # likewise
            if isinstance(exception, asyncio.CancelledError):
                # The statement stays open, and closing the connection would leave its lock behind.
                connection.rollback()
