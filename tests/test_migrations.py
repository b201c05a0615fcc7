"""The schema: made, upgraded, checked, on SQLite and, where there is one, on PostgreSQL."""

import re
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, table, text

from mmsent.errors import InputError, SettingsError, SetupError, StoreUnavailableError
from mmsent.store import edits, schema, tables
from mmsent.store.tables import metadata, progress, topics
from mmsent.store.writes import Store
from mmsent.topics import TrackedTopic
from tests import test_writes
from tests.services import servers

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a file that is not there yet, or a new PostgreSQL schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/folder 50%/mmsent.db"
        return
    with servers.postgres_schema(request.getfixturevalue("postgres_url")) as in_schema:
        yield in_schema


def set_revision(url: str, revision: str) -> None:
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()


def test_migrations_make_the_tables_of_the_code(url: str) -> None:
    assert schema.schema_revision(url) is None
    schema.upgrade(url)
    assert schema.schema_revision(url) == schema.head_revision()
    engine = schema.open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.sorted_tables:  # what the comparison leaves out
            keys = inspector.get_pk_constraint(table.name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key], table.name
    engine.dispose()


@pytest.mark.parametrize("revision", [script.revision for script in schema._scripts().walk_revisions()][1:])
async def test_an_older_schema_with_rows_in_it_is_upgraded(url: str, revision: str) -> None:
    """Everything stays, and both sides of the program work on it."""
    upgrade_to(url, revision)
    add_rows(url)
    before = rows_by_table(url)
    with pytest.raises(SetupError, match=f"older schema {revision}; run: mmsent db upgrade"):
        edits.list_topics(url)
    schema.upgrade(url)
    assert {name: rows for name, rows in rows_by_table(url).items() if name in before} == before | {
        "alembic_version": [(schema.head_revision(),)]
    }
    store = Store(url)
    await store.open()
    scored = test_writes.row("p1", version=8)
    assert [each.kind for each in (await store.write([scored], {0: 6}, NOW)).outcomes] == ["written"]
    await store.close()
    assert edits.list_topics(url) == [TrackedTopic("weather", any_of=("rain",))]


def upgrade_to(url: str, revision: str) -> None:
    file = schema.sqlite_file(url)
    if file is not None:
        file.parent.mkdir()
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(schema._config(connection), revision)
    engine.dispose()


def add_rows(url: str) -> None:
    """What the first version may have left, said in SQL: the tables of the code may have moved on."""
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO posts (post_id, version, deleted, source, text, created_at, minute, lang, shard,"
            " topics, flagged, has_image) VALUES ('p1', 7, false, 's', 'rain ☔', '2026-11-20 10:00:30',"
            " '2026-11-20 10:00:00', 'en', 0, '[]', false, false)",
            "INSERT INTO posts (post_id, version, deleted, source) VALUES ('p2', 7, true, 's')",
            "INSERT INTO rollups VALUES ('2026-11-20 10:00:00', 'all', 's', 'en', 0, 1, 0, 0, 0, 1, 0, 0)",
            "INSERT INTO progress VALUES (0, 5, '2026-11-20 10:00:00')",
            "INSERT INTO topics VALUES ('weather', '[\"rain\"]', '[]', '[]', '2026-11-20 10:00:00')",
            "INSERT INTO forgotten_authors VALUES ('s', 'bob', '2026-11-20 10:00:00')",
            "INSERT INTO detector VALUES (1, '2026-11-20 10:00:00', '2026-11-20 10:00:00')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


def rows_by_table(url: str) -> dict[str, list[tuple[Any, ...]]]:
    engine = schema.open_engine(url)
    with engine.connect() as connection:
        found = {
            name: sorted(
                (tuple(row) for row in connection.execute(select("*").select_from(table(name)))), key=str
            )
            for name in inspect(connection).get_table_names()
        }
    engine.dispose()
    return found


def test_upgrading_again_keeps_what_is_there(url: str) -> None:
    schema.upgrade(url)
    edits.add_topic(url, TrackedTopic("weather", any_of=("rain",)), NOW)
    schema.upgrade(url)
    assert [topic.name for topic in edits.list_topics(url)] == ["weather"]


def test_several_upgrades_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(schema.upgrade, [url] * 4))
    assert schema.schema_revision(url) == schema.head_revision()


def test_an_upgrade_that_fails_leaves_nothing(url: str) -> None:
    """Tables that were made before the failure are gone again."""
    file = schema.sqlite_file(url)
    if file is not None:
        file.parent.mkdir()
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE topics (x integer)"))  # the last one that the migration makes
    with pytest.raises((StoreUnavailableError, SetupError)):
        schema.upgrade(url)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["topics"]
    engine.dispose()


async def test_another_version_is_refused_with_what_to_do(url: str) -> None:
    schema.upgrade(url)
    store = Store(url)
    await store.open()
    set_revision(url, "9999")
    for refused in (schema.upgrade, edits.list_topics):
        with pytest.raises(SetupError, match="newer mmsent"):
            refused(url)
    with pytest.raises(SetupError, match="newer mmsent"):
        await store.open()
    await store.close()


def test_an_older_schema_says_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    old = schema.head_revision()
    monkeypatch.setattr(schema, "head_revision", lambda: "later")
    with pytest.raises(SetupError, match=r"older schema .*; run: mmsent db upgrade"):
        schema.require_head(old)


def test_downgrade_to_nothing_and_up_again(url: str) -> None:
    """A migration that cannot be taken back would show here."""
    schema.upgrade(url)
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        command.downgrade(schema._config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()
    schema.upgrade(url)
    assert schema.schema_revision(url) == schema.head_revision()


def test_looking_creates_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    assert schema.schema_revision(url) is None
    with pytest.raises(SetupError, match="mmsent db upgrade"):
        edits.list_topics(url)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="MMSENT_DATA_DIR"):
        schema.upgrade(f"sqlite:///{tmp_path}/file/mmsent.db")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SetupError, match="MMSENT_DATA_DIR"):
        schema.upgrade(f"sqlite:///{tmp_path}/folder")
    (tmp_path / "text.db").write_text("no database at all " * 100)
    with pytest.raises(SetupError, match="not a database"):
        schema.upgrade(f"sqlite:///{tmp_path}/text.db")


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "mmsent.db", "mysql://root:hunter2@localhost/mmsent"),
        *(
            "postgresql://me:hunter2",
            "postgresql://me:hun@ter2@host/mmsent",
            "postgresql://me:hun@ter:2@host",
        ),
        "postgresql://me:hun@ter?2@host/mmsent",
    ],
)
def test_a_url_that_is_none_of_ours(wrong: str) -> None:
    with pytest.raises(SettingsError, match="MMSENT_DATABASE_URL") as caught:
        schema.upgrade(wrong)
    assert not re.search("hun|ter", "".join(traceback.format_exception(caught.value)).replace(wrong, ""))


@pytest.mark.parametrize("password", ["hun/ter#2", "hun%40ter", "50%", "h:u?n", "p[1]"])
def test_passwords_may_hold_anything(password: str) -> None:
    url = tables.driver_url(f"postgresql://me:{password}@host:1/mmsent", asynchronous=True)
    assert (url.host, url.port, url.database) == ("host", 1, "mmsent")
    assert url.password == unquote(password)


def test_it_works_from_any_folder(tmp_path: Path) -> None:
    """The migrations are found beside the code: no alembic.ini, another folder, as a program would."""
    program = (
        "import sys; from mmsent.store.schema import upgrade, schema_revision\n"
        "upgrade(sys.argv[1]); print(schema_revision(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "sqlite:///mmsent.db"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.stdout.strip(), done.stderr) == (schema.head_revision(), "")
    assert {path.name for path in tmp_path.iterdir()} == {"mmsent.db"}


def test_sqlite_is_ready_for_several_programs(tmp_path: Path) -> None:
    schema.upgrade(f"sqlite:///{tmp_path}/mmsent.db")
    with sqlite3.connect(tmp_path / "mmsent.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_topics_are_kept(url: str) -> None:
    schema.upgrade(url)
    weather = TrackedTopic("weather", any_of=("rain", '"blue sky"'), none_of=("#ad",))
    edits.add_topic(url, TrackedTopic("weather", any_of=("sun",)), NOW)
    edits.add_topic(url, weather, NOW)
    edits.add_topic(url, TrackedTopic("football", all_of=("match", "goal")), NOW)
    assert edits.list_topics(url) == [TrackedTopic("football", all_of=("match", "goal")), weather]
    edits.remove_topic(url, "football")
    assert edits.list_topics(url) == [weather]
    with pytest.raises(InputError, match="mmsent topics list"):
        edits.remove_topic(url, "football")


def test_times_come_back_as_utc(url: str) -> None:
    schema.upgrade(url)
    engine = schema.open_engine(url)
    east = datetime.fromisoformat("2026-11-20T23:30:00.000001+11:00")
    with engine.begin() as connection:
        connection.execute(progress.insert().values(partition=0, next_offset=2**63 - 1, updated_at=east))
        connection.execute(
            topics.insert().values(name="t", any_of=[], all_of=[], none_of=[], updated_at=east)
        )
        stored = connection.execute(select(progress)).one()
    assert (stored.next_offset, stored.updated_at.isoformat()) == (
        2**63 - 1,
        "2026-11-20T12:30:00.000001+00:00",
    )
    engine.dispose()
