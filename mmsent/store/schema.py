"""The database as a whole: opening it, its errors as ours, its schema's revision and upgrade."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, ExceptionContext, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mmsent.errors import MmsentError, SetupError, StoreDataError, StoreUnavailableError
from mmsent.store.tables import MIGRATIONS, driver_url, prepare_sqlite

UPGRADE_LOCK = 0x6D6D_7365_6E74  # key of PostgreSQL's advisory lock: "mmsent"
# SQLSTATE classes (PostgreSQL, appendix A) that the values themselves bring about:
# 22 data exception, 23 integrity violation, 54 program limit exceeded
DATA_CLASSES = {"22", "23", "54"}
READ_ONLY = "25006"  # SQLSTATE of a write on a server that only reads
# A silent server ends a statement or a connection attempt within these.
POSTGRESQL_OPTIONS = "-c timezone=UTC -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
POSTGRESQL_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 30_000}


def open_engine(database_url: str) -> Engine:
    """Synchronous engine. It connects at the first use.

    Raises:
        SettingsError: not a database that we know.
    """
    url = driver_url(database_url, asynchronous=False)
    engine = create_engine(url, **_options(url))
    prepare_sqlite(engine)
    _leave_read_only_servers(engine)
    return engine


def open_async_engine(database_url: str) -> AsyncEngine:
    """The same for asyncio."""
    url = driver_url(database_url, asynchronous=True)
    engine = create_async_engine(url, **_options(url))
    prepare_sqlite(engine)
    _leave_read_only_servers(engine.sync_engine)
    return engine


def _leave_read_only_servers(engine: Engine) -> None:
    """Connect anew after a refused write: since a failover, the address may lead to another server."""

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"hide_parameters": True}
    own = f"{url.query.get('options', '')} {POSTGRESQL_OPTIONS}".strip()
    return {
        "hide_parameters": True,  # they hold what people wrote
        "pool_pre_ping": True,
        # The write reads after it has waited for a lock; a snapshot from before the wait would miss rows.
        "isolation_level": "READ COMMITTED",
        "connect_args": {**POSTGRESQL_PATIENCE, "options": own},
    }


def insert_into(connection: Connection | AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, in the connection's dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise the database's errors as ours.

    Raises:
        StoreDataError: these values can never be stored.
        StoreUnavailableError: down, slow, locked or full; the same call may succeed later.
        SetupError: the file is no SQLite database, or a damaged one.
    """
    try:
        yield
    except StatementError as error:
        raise _translated(error) from error
    except (UnicodeError, OverflowError) as error:  # drivers raise them bare when they encode a value
        raise StoreDataError(f"the database cannot hold this value: {error}") from error
    except (PoolTimeoutError, TimeoutError, OSError) as error:
        raise StoreUnavailableError(f"the database does not answer: {_first_line(error)}") from error


def _translated(error: StatementError) -> MmsentError:
    said = _first_line(error.orig or error)
    if not isinstance(error, DBAPIError):  # raised while a value was bound
        return StoreDataError(f"the database cannot hold this value: {said}")
    if error.connection_invalidated:
        return StoreUnavailableError(f"the connection to the database is lost: {said}")
    if isinstance(error.orig, sqlite3.DatabaseError) and type(error) is DatabaseError:
        return SetupError(f"the database file cannot be used: {said}; restore it or choose another")
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    if isinstance(error, DataError | IntegrityError) or sqlstate[:2] in DATA_CLASSES:
        return StoreDataError(f"the database cannot hold this value: {said}")
    return StoreUnavailableError(f"the database does not answer: {said}")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def schema_revision(database_url: str) -> str | None:
    """Revision that the database is at; None without a schema (nothing is created then).

    Raises:
        StoreUnavailableError: the database does not answer.
    """
    file = sqlite_file(database_url)
    if file is not None and not file.exists():
        return None
    engine = open_engine(database_url)
    try:
        with database_errors(), engine.connect() as connection:
            return current_revision(connection)
    finally:
        engine.dispose()


def current_revision(connection: Connection) -> str | None:
    """Revision that the connected database is at; None without a schema."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def head_revision() -> str:
    """Revision that this version of mmsent works with."""
    return str(_scripts().get_current_head())


def require_head(revision: str | None) -> None:
    """Refuse any revision but ours.

    Raises:
        SetupError: says what to do.
    """
    if revision == head_revision():
        return
    if revision is None:
        raise SetupError("the database has no schema yet; run: mmsent db upgrade")
    if revision in {script.revision for script in _scripts().walk_revisions()}:
        raise SetupError(f"the database is at the older schema {revision}; run: mmsent db upgrade")
    raise SetupError(f"the database has schema {revision}, of a newer mmsent; install that version")


def upgrade(database_url: str) -> None:
    """Bring the database, empty or old, to `head_revision()`, in one transaction; nothing if it is there.

    A SQLite file and its folder are created. Several programs may call it at once.

    Raises:
        SetupError: the file or folder cannot be written, or a newer mmsent wrote the database.
        StoreUnavailableError: the database does not answer.
    """
    file = sqlite_file(database_url)
    if file is not None:
        _make_folder(file.parent)
    engine = open_engine(database_url)
    try:
        with database_errors(), engine.begin() as connection:
            _lock(connection)
            revision = current_revision(connection)
            if revision is not None and revision not in {s.revision for s in _scripts().walk_revisions()}:
                require_head(revision)
            command.upgrade(_config(connection), "head")
    except StoreUnavailableError as error:
        if file is None or "locked" in str(error):
            raise
        raise SetupError(f"{file} cannot be written ({error}); set MMSENT_DATA_DIR or --data-dir") from error
    finally:
        engine.dispose()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"folder {folder} cannot be created ({error.strerror}); set MMSENT_DATA_DIR or --data-dir"
        ) from error


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})


def sqlite_file(database_url: str) -> Path | None:
    """File of a SQLite database; None for PostgreSQL and for SQLite in memory."""
    url = driver_url(database_url, asynchronous=False)
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
