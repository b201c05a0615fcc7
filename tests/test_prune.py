"""Pruning: old posts go, and whatever is delivered again afterwards, what was counted stays counted once."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from mmsent.commands.database import parse_age
from mmsent.errors import SettingsError, SetupError
from mmsent.store import prune as pruning
from mmsent.store.prune import count_prunable, prune
from mmsent.store.tables import detector, posts, rollups
from mmsent.store.writes import Item, Store
from tests.test_writes import (
    NOW,
    PATIENT,
    START,
    Database,
    database_at,
    deletion,
    expected_rows,
    forget,
    hold,
    recount,
    row,
)

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def opened(migrated_url: str) -> Iterator[Database]:
    yield from database_at(migrated_url)


@pytest.fixture
def database(opened: Database) -> Database:
    begin(opened)
    return opened


def begin(database: Database, watermark: datetime = NOW) -> None:
    """Empty, and complete up to `watermark`."""

    async def insert() -> None:
        async with database.store.transaction() as connection:
            await connection.execute(detector.insert().values(id=1, watermark=watermark, updated_at=NOW))

    database.empty()
    database.run(insert())


def prune_at(database: Database, before: datetime, **options: Any) -> pruning.Pruned:
    return prune(database.url, NOW - before, NOW, **options)


def live(rows: Rows) -> Rows:
    shown = [{name: value for name, value in row.items() if name[:9] != "previous_"} for row in rows]
    return [row for row in shown if not row["deleted"]]


def split(rows: Rows, before: datetime) -> tuple[Rows, Rows]:
    """Rows of minutes that begin before, and the others."""
    return [row for row in rows if row["minute"] < before], [row for row in rows if row["minute"] >= before]


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Versions of posts, deletes and forgets, as they are delivered; a post's time is the same in all."""
    sent: list[Item] = []
    for post_id in ("p1", "p2", "p3", "p4"):
        seconds = draw(st.sampled_from([0, 59, 60, 119, 120, 180]))
        for version in range(draw(st.integers(0, 3))):
            if draw(st.integers(0, 3)) == 0:
                sent.append(deletion(post_id, version))
                continue
            labels = st.sampled_from(["positive", "negative", None])
            values = {"label": draw(labels), "topics": draw(st.sampled_from([(), ("a",)]))}
            author = draw(st.sampled_from(["ann", "bob"]))
            sent.append(row(post_id, version, seconds=seconds, author=author, **values))
    if draw(st.booleans()):
        sent.append(forget("ann", draw(st.sampled_from([60, 150]))))
    return draw(st.permutations(sent))


@PATIENT
@given(stream=streams(), first=st.integers(0, 12), minutes=st.integers(0, 4), data=st.data())
def test_what_comes_again_after_pruning_changes_nothing(
    opened: Database, stream: list[Item], first: int, minutes: int, data: st.DataObject
) -> None:
    """Minutes that were pruned stand still; the others end as if nothing had been pruned."""
    begin(opened)
    before = START + timedelta(minutes=minutes)
    opened.write(*stream[:first])
    counted, _ = split(opened.rows(rollups), before)
    prune_at(opened, before)
    again = data.draw(st.permutations(stream))
    for batch in (again[: len(again) // 2], again, again[::-2]):
        opened.write(*batch)
    stored = opened.rows(posts)
    pruned, kept = split(opened.rows(rollups), before)
    assert pruned == counted
    assert kept == recount(stored)
    expected = [row for row in expected_rows(stream) if not row["deleted"] and row["created_at"] >= before]
    assert live(stored) == expected


def test_pruning_takes_the_old_posts_in_steps_and_tells_how_far_it_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "ROWS_PER_TRANSACTION", 10)
    database.write(*(row(f"p{number:02}", seconds=number) for number in range(90)), deletion("gone"))
    database.write(forget("bob"))
    counted, before = database.rows(rollups), START + timedelta(minutes=1)
    expected = pruning.Pruned(before, 60, 1)
    assert count_prunable(database.url, NOW - before, NOW) == expected
    assert len(database.rows(posts)) == 91, "counting deletes nothing"

    told: list[tuple[int, datetime]] = []
    assert prune_at(database, before, report=lambda *each: told.append(each)).posts == 60
    assert told == [(n, START + timedelta(seconds=n - 1)) for n in range(10, 61, 10)]
    assert database.rows(rollups) == counted
    kept = [each["post_id"] for each in database.rows(posts)]
    assert sorted(kept) == ["gone", *(f"p{number}" for number in range(60, 90))]

    with_rollups = prune_at(database, before, with_rollups=True)
    assert (with_rollups.posts, with_rollups.rollups) == (0, 1)
    assert database.rows(rollups) == split(counted, before)[1]


def test_the_mark_never_moves_back(database: Database) -> None:
    prune_at(database, START + timedelta(minutes=2))
    prune_at(database, START)
    assert [each.kind for each in database.write(row(seconds=119), row("p2", seconds=120))] == [
        "stale",
        "written",
    ]
    assert database.write(deletion("p1", 3))[0].announce is not None, "a delete is still announced"
    assert [each["posts"] for each in database.rows(rollups)] == [1]


def test_what_may_be_incomplete_is_kept(database: Database) -> None:
    """A worker that is behind still has posts of that time to write."""
    begin(database, watermark=START + timedelta(seconds=90))
    database.write(row("p1"), row("p2", seconds=70))
    assert prune_at(database, NOW).before == START + timedelta(minutes=1)
    assert [each["post_id"] for each in database.rows(posts)] == ["p2"]
    database.empty()
    for call in (prune, count_prunable):
        with pytest.raises(SetupError, match="mmsent worker"):
            call(database.url, timedelta(days=1), NOW)


def test_a_write_that_is_under_way_is_waited_for(database: Database) -> None:
    """What it has not committed yet would otherwise stay, older than the mark."""

    async def race() -> None:
        begun, end = asyncio.Event(), asyncio.Event()
        holding = asyncio.create_task(hold(database.store, [row()], begun, end))
        await begun.wait()
        pruned = asyncio.create_task(asyncio.to_thread(prune_at, database, NOW))
        await asyncio.sleep(0.3)
        assert not pruned.done()
        end.set()
        await asyncio.gather(holding, pruned)

    database.run(race())
    assert database.rows(posts) == []
    assert [each["posts"] for each in database.rows(rollups)] == [1]


def test_a_row_that_is_held_goes_once_it_is_free(database: Database) -> None:
    database.write(row("p1"), row("p2"))

    async def race() -> None:
        async with database.store.transaction() as connection:
            await connection.execute(select(posts).where(posts.c.post_id == "p1").with_for_update())
            pruned = asyncio.create_task(asyncio.to_thread(prune_at, database, NOW))
            await asyncio.sleep(0.3)
            assert not pruned.done()
        assert (await pruned).posts == 2

    database.run(race())
    assert database.rows(posts) == []


def test_pruning_under_load(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers deliver everything again and again, and delete some: every other post counts once."""
    monkeypatch.setattr(pruning, "ROWS_PER_TRANSACTION", 20)
    batches = [
        [row(f"p{number}", seconds=number, author=None) for number in range(start, start + 30)]
        for start in range(0, 240, 30)
    ]
    for batch in batches:
        database.write(*batch)
    before, done = START + timedelta(minutes=2), threading.Event()

    async def work(order: int) -> None:
        store = Store(database.url)
        while not done.is_set():
            for batch in batches[::order]:
                await store.write(batch[::order], {}, NOW)
                await store.write([deletion("p200"), deletion("p239")], {}, NOW)
        await store.close()

    async def all_at_once() -> int:
        workers = [asyncio.create_task(work(order)) for order in (1, -1, 1, -1)]
        deleted = (await asyncio.to_thread(prune_at, database, before)).posts
        done.set()
        await asyncio.gather(*workers)
        return deleted

    assert database.run(all_at_once()) == 120
    assert {(each["minute"], each["posts"]) for each in database.rows(rollups)} == {
        (START, 60),
        (START + timedelta(minutes=1), 60),
        (START + timedelta(minutes=2), 60),
        (START + timedelta(minutes=3), 58),
    }
    assert len(live(database.rows(posts))) == 118


# The command


def test_ages() -> None:
    ages = [parse_age(text, NOW) for text in ("1h", "30d", "8w")]
    assert ages == [timedelta(hours=1), timedelta(days=30), timedelta(weeks=8)]


@pytest.mark.parametrize(
    "text", ["", "30", "0d", "59m", "-1d", "1.5h", "d", "³d", "99999999d", "9" * 5000 + "d"]
)
def test_ages_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="at least 1h"):
        parse_age(text, NOW)
