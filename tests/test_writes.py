"""The write without races, on SQLite and, where there is one, on PostgreSQL."""

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from mmsent.errors import SetupError, StoreDataError, StoreUnavailableError
from mmsent.posts import (
    DeletePost,
    ForgetAuthor,
    ImageRef,
    Label,
    Opinion,
    Post,
    ScoredDelete,
    ScoredPost,
    Weights,
)
from mmsent.store import rows, writes
from mmsent.store.tables import (
    COUNTED,
    forgotten_authors,
    metadata,
    outbox,
    pending_conflicts,
    posts,
    progress,
    rollups,
)
from mmsent.store.writes import Deletion, Forget, Item, Outcome, ScoredRow, Store

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MOST_BATCHES = 6
Delivered = tuple[list[Item], list[list[Item]]]  # the messages, and the batches that they come in
T = TypeVar("T")


@dataclass
class Database:
    """A database with our schema, and a loop to run coroutines in; each store has a connection of its own."""

    url: str
    store: Store
    runner: asyncio.Runner
    others: Sequence[Store] = ()

    @property
    def stores(self) -> list[Store]:
        return [self.store, *self.others]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def write(self, *batch: Item) -> list[Outcome]:
        return self.run(self.store.write(batch, {}, NOW)).outcomes

    def rows(self, table: Any) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with self.store.transaction() as connection:
                return [dict(row) for row in (await connection.execute(table.select())).mappings()]

        return sorted(self.run(read()), key=str)

    def empty(self) -> None:
        async def delete() -> None:
            async with self.store.transaction() as connection:
                for table in metadata.sorted_tables:
                    await connection.execute(table.delete())

        self.run(delete())


@pytest.fixture(scope="module")
def opened(migrated_url: str) -> Iterator[Database]:
    workers = 2 if migrated_url.startswith("sqlite") else 4  # SQLite lets one write, the others sleep
    yield from database_at(migrated_url, workers)


def database_at(url: str, stores: int = 1) -> Iterator[Database]:
    """The database of a migrated `url`, open in so many stores until the caller is done."""
    with asyncio.Runner() as runner:
        opened = [Store(url) for _ in range(stores)]
        for store in opened:
            runner.run(store.open())
        yield Database(url, opened[0], runner, opened[1:])
        for store in opened:
            runner.run(store.close())


@pytest.fixture
def database(opened: Database) -> Database:
    opened.empty()
    return opened


def opinion(label: Label) -> Opinion:
    return Opinion(label=label, **{name: 0.6 if name == label else 0.2 for name in Label.__args__})


def row(
    post_id: str = "p1",
    version: int = 0,
    *,
    source: str = "s",
    author: str | None = "ann",
    seconds: int = 0,
    lang: str | None = "en",
    topics: tuple[str, ...] = (),
    label: Label | None = "negative",
    image: Label | None = None,
    flagged: bool = False,
    shard: int = 0,
) -> ScoredRow:
    post = Post(
        post_id=post_id,
        version=version,
        source=source,
        created_at=START + timedelta(seconds=seconds),
        author=author,
        lang=lang,
        text=f"text of {post_id} {version}",
        images=(ImageRef(url="https://example.org/a.jpg", alt="rain"),),
        link="https://example.org/p",
        tags=("picnic",),
    )
    scored = ScoredPost(
        post_id=post_id,
        version=version,
        source=source,
        created_at=post.created_at,
        scored_at=NOW,
        model="default@1",
        fused=opinion(label) if label else None,
        unscored_reason=None if label else "no_content",
        text=opinion(label) if label else None,
        image=opinion(image) if image else None,
        conflict=0.8 if flagged else None,
        weights=Weights(text=0.4, image=0.6) if flagged else None,
        image_errors=() if image else ("timeout",),
        topics=topics,
    )
    return ScoredRow(scored, post, shard, flagged, b"jpeg")


def deletion(post_id: str = "p1", version: int = 0, source: str = "s") -> Deletion:
    return Deletion(DeletePost(post_id=post_id, version=version, source=source))


def forget(author: str = "ann", seconds: int = 3600, source: str = "s") -> Forget:
    until = START + timedelta(seconds=seconds)
    return Forget(ForgetAuthor(author=author, source=source, created_at=until))


# What the rows must be, said a second time and without order: the greatest (version, gone) of each post.


def expected_rows(messages: Iterable[Item]) -> list[dict[str, Any]]:
    messages = list(messages)
    last: dict[str, tuple[tuple[int, bool], dict[str, Any]]] = {}
    for message in messages:
        if isinstance(message, Forget):
            continue
        gone = isinstance(message, Deletion) or is_forgotten(message, messages)
        about = message.message if isinstance(message, Deletion) else message.scored
        rank = (about.version, gone)
        if about.post_id not in last or rank > last[about.post_id][0]:
            row = dict.fromkeys(column.name for column in posts.c if column.name.split("_")[0] != "previous")
            row |= {
                "post_id": about.post_id,
                "version": about.version,
                "source": about.source,
                "deleted": gone,
            }
            last[about.post_id] = (rank, row if gone else row | expected_contents(message))
    return sorted((row for _, row in last.values()), key=str)


def is_forgotten(message: ScoredRow, messages: Iterable[Item]) -> bool:
    return any(
        other.message.author == message.post.author
        and other.message.source == message.post.source
        and other.message.created_at >= message.post.created_at
        for other in messages
        if isinstance(other, Forget)
    )


def expected_contents(message: Item) -> dict[str, Any]:
    assert isinstance(message, ScoredRow)
    post, scored = message.post, message.scored
    return {
        "author": post.author,
        "lang": post.lang or "und",
        "created_at": post.created_at,
        "minute": post.created_at - timedelta(seconds=post.created_at.second),
        "scored_at": NOW,
        "shard": message.shard,
        "text": f"text of {post.post_id} {post.version}",
        "link": "https://example.org/p",
        "tags": ["picnic"],
        "images": [{"url": "https://example.org/a.jpg", "alt": "rain"}],
        "sensitive": False,
        "topics": list(scored.topics),
        "model": "default@1",
        "label": scored.fused and scored.fused.label,
        "fused": scored.fused and dict(scored.fused),
        "text_opinion": scored.text and dict(scored.text),
        "image_opinion": scored.image and dict(scored.image),
        "conflict": scored.conflict,
        "weights": scored.weights and dict(scored.weights),
        "flagged": message.flagged,
        "has_image": scored.image is not None,
        "image_errors": list(scored.image_errors),
        "unscored_reason": scored.unscored_reason,
        "thumbnail": b"jpeg" if message.flagged else None,
    }


def recount(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rollups from the posts, counted key by key and from what the minute, label and so on derive from."""
    live = [row for row in rows if not row["deleted"]]
    keyed = [
        (
            (
                row["created_at"].replace(second=0, microsecond=0),
                topic,
                row["source"],
                row["lang"],
                row["shard"],
            ),
            row,
        )
        for row in live
        for topic in ["all", *row["topics"]]
    ]
    result = []
    for key in {key for key, _ in keyed}:
        same = [row for other, row in keyed if other == key]
        labels = [row["fused"]["label"] if row["fused"] else "unscored" for row in same]
        result.append(
            dict(zip(("minute", "topic", "source", "lang", "shard"), key, strict=True))
            | {name: labels.count(name) for name in ("positive", "neutral", "negative", "unscored")}
            | {"posts": len(same), "flagged": sum(row["thumbnail"] is not None for row in same)}
            | {"with_image": sum(row["image_opinion"] is not None for row in same)}
        )
    return sorted(({column.name: row[column.name] for column in rollups.c} for row in result), key=str)


def check_end(database: Database, messages: Sequence[Item]) -> None:
    """The database holds what `messages` mean, whatever way they came."""
    stored = database.rows(posts)
    now = [{name: value for name, value in row.items() if not name.startswith("previous_")} for row in stored]
    assert sorted(now, key=str) == expected_rows(messages)
    assert database.rows(rollups) == recount(stored)
    for each in stored:
        if each["deleted"]:
            assert not any(each[f"previous_{name}"] for name in COUNTED), "a tombstone remembers"
    flagged = {(row["post_id"], row["version"]) for row in stored if row["flagged"]}
    assert {(row["post_id"], row["version"]) for row in database.rows(pending_conflicts)} == flagged
    latest: dict[tuple[str, str], datetime] = {}
    for message in (item.message for item in messages if isinstance(item, Forget)):
        key = (message.source, message.author)
        latest[key] = max(message.created_at, latest.get(key, message.created_at))
    kept = {(row["source"], row["author"]): row["created_at"] for row in database.rows(forgotten_authors)}
    assert kept == latest


VARIED: dict[str, list[Any]] = {
    "author": ["ann", "bob", None],
    "seconds": [0, 59, 60, 150],
    "lang": ["en", "de", None],
    "topics": [(), ("a",), ("a", "b")],
    "label": ["positive", "neutral", "negative", None],
    "image": ["positive", None],
    "flagged": [False, True],
    "shard": [0, 1],
}


@st.composite
def messages(draw: st.DrawFn) -> list[Item]:
    """A few versions of a few posts, deletes of some of them, and authors who are forgotten.

    Often only some values differ, so that posts meet under one key of the rollups.
    """
    pools = {
        name: draw(st.lists(st.sampled_from(few), min_size=1, max_size=2)) for name, few in VARIED.items()
    }
    sources = draw(st.sampled_from([["s"], ["s", "t"]]))
    keys = st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.integers(0, 3))
    result: list[Item] = []
    for post_id, version in draw(st.lists(keys, min_size=1, max_size=7, unique=True)):
        source = draw(st.sampled_from(sources))
        kinds = draw(st.sampled_from(["post", "post", "post", "delete", "both"]))
        if kinds != "post":
            result.append(deletion(post_id, version, source))
        if kinds != "delete":
            values = {name: draw(st.sampled_from(pool)) for name, pool in pools.items()}
            result.append(row(post_id, version, source=source, **values))
    forgets = st.builds(
        forget,
        st.sampled_from(["ann", "bob"]),
        st.sampled_from([-1, 0, 60, 150]),
        st.sampled_from(["s", "t"]),
    )
    return result + draw(st.lists(forgets, max_size=3))


@st.composite
def deliveries(draw: st.DrawFn) -> Delivered:
    """Messages, and batches that hold each of them at least once, in any order."""
    sent = draw(messages())
    again = draw(st.lists(st.sampled_from(sent), max_size=6))
    order = draw(st.permutations(sent + again))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=MOST_BATCHES - 1)))
    return sent, [order[start:end] for start, end in itertools.pairwise([0, *cuts, len(order)])]


PATIENT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=int(os.environ.get("MMSENT_TEST_EXAMPLES", "60")),
)


@PATIENT
@given(delivery=deliveries())
def test_every_order_ends_the_same(opened: Database, delivery: Delivered) -> None:
    sent, batches = delivery
    opened.empty()
    for batch in batches:
        opened.write(*batch)
    check_end(opened, sent)


def write_at_once(database: Database, delivery: Delivered) -> None:
    """Workers, over a connection each, begin with another batch each; together they write all of them."""
    sent, batches = delivery
    share = MOST_BATCHES - len(database.stores) + 1
    database.empty()

    async def work(store: Store, first: int) -> None:
        for place in range(first, first + share):
            await store.write(batches[place % len(batches)], {}, NOW)

    async def all_of_them() -> None:
        await asyncio.gather(*(work(store, first) for first, store in enumerate(database.stores)))

    database.run(all_of_them())
    check_end(database, sent)


@PATIENT
@given(delivery=deliveries())
def test_workers_at_once_end_the_same(opened: Database, delivery: Delivered) -> None:
    write_at_once(opened, delivery)


# What the write cannot do without: each is taken away, and the property just tested must then break.


def without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes last wins."""
    monkeypatch.setattr(writes, "_is_newer", lambda _: true())


def without_previous_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version of a post counts as if it were the first."""
    monkeypatch.setattr(writes, "_values_before", dict)


def with_previous_values_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a statement of their own, as one would first write it: another worker can come in between."""
    upsert = writes._upsert_posts

    async def read_then_upsert(
        connection: AsyncConnection, candidates: Collection[rows.Candidate]
    ) -> dict[str, rows.Row]:
        ids = [each.post_id for each in candidates]
        found = await connection.execute(select(posts).where(posts.c.post_id.in_(ids)))
        before = {row["post_id"]: row for row in found.mappings()}
        changed = await upsert(connection, candidates)
        return {
            post_id: {**row, **{f"previous_{name}": before.get(post_id, {}).get(name) for name in COUNTED}}
            for post_id, row in changed.items()
        }

    monkeypatch.setattr(writes, "_upsert_posts", read_then_upsert)


@pytest.mark.parametrize(
    "take_away", [without_the_guard, without_previous_values, with_previous_values_read_before]
)
def test_the_property_breaks(
    opened: Database, monkeypatch: pytest.MonkeyPatch, take_away: Callable[[pytest.MonkeyPatch], None]
) -> None:
    if take_away is with_previous_values_read_before and opened.url.startswith("sqlite"):
        pytest.skip("on SQLite nobody can come in between")
    take_away(monkeypatch)
    broken = False

    @settings(PATIENT, phases=[Phase.generate], database=None, max_examples=500)
    @given(delivery=deliveries())
    def look_for_it(delivery: Delivered) -> None:
        write_at_once(opened, delivery)

    try:
        look_for_it()
    except* AssertionError:  # alone, or in the group of a race that another try did not lose
        broken = True
    assert broken


def test_the_recount_sees_a_wrong_rollup(database: Database) -> None:
    """The oracle itself can fail."""
    database.write(row(topics=("a",), flagged=True))
    stored = database.rows(posts)
    assert recount(stored) == database.rows(rollups)
    assert recount([stored[0] | {"shard": 1}]) != database.rows(rollups)
    assert recount([]) == []
    assert expected_rows([row(flagged=True)]) != expected_rows([row(flagged=True), deletion()])


@pytest.mark.parametrize("name", [*VARIED, "source"])
def test_one_value_changes(database: Database, name: str) -> None:
    """A neighbour under the same key keeps it from vanishing, and with it what was counted wrong."""
    neighbour = row("p2", topics=("a",))
    values = VARIED.get(name, ["s", "t"])
    changing = [
        row(version=version, **{"topics": ("a",), name: value}) for version, value in enumerate(values)
    ]
    for changed in [*changing, deletion(version=len(values))]:
        database.write(neighbour, changed)
        assert database.rows(rollups) == recount(database.rows(posts))


def test_outcomes_within_one_batch(database: Database) -> None:
    old, new = row(version=1), row(version=2)
    assert database.write(old, new, new) == [
        Outcome("stale", None),
        Outcome("written", new.scored),
        Outcome("repeat", new.scored),
    ]


def test_a_repeat_announces_what_the_row_holds(database: Database) -> None:
    first = row(version=2, flagged=True, image="positive", topics=("a", "b"))
    database.write(first)
    rescored = replace(
        first, scored=first.scored.model_copy(update={"scored_at": START, "fused": opinion("neutral")})
    )
    assert database.write(rescored, row(version=1)) == [
        Outcome("repeat", first.scored),
        Outcome("stale", None),
    ]
    unscored = row("p2", label=None)
    database.write(unscored)
    assert database.write(unscored) == [Outcome("repeat", unscored.scored)]


def test_a_delete_wins_a_tie_and_stays(database: Database) -> None:
    gone = ScoredDelete(post_id="p1", version=1, source="s")
    assert database.write(deletion(version=1)) == [Outcome("written", gone)]
    assert database.write(row(version=1), deletion(version=1)) == [Outcome("repeat", gone)] * 2
    assert [kind.kind for kind in database.write(row(version=2))] == ["written"]
    assert database.write(deletion(version=2))[0].kind == "written"
    assert database.rows(rollups) == []


def test_a_forgotten_author_is_gone_once_and_for_all(database: Database) -> None:
    database.write(row("p1", flagged=True), row("p2", seconds=60), row("p3", author="bob"))
    assert database.write(forget(seconds=0)) == [Outcome("written", None)]
    deletes = [ScoredDelete(post_id="p1", version=0, source="s").model_dump_json()]
    assert [(each["topic"], each["key"], each["value"]) for each in database.rows(outbox)] == [
        ("scores", "p1", deletes[0])
    ]
    assert database.rows(pending_conflicts) == []
    again = database.write(forget(seconds=0), forget(seconds=-5))
    assert again == [Outcome("repeat", None), Outcome("stale", None)]
    assert len(database.rows(outbox)) == 1, "a forget that is delivered again announces nothing again"
    late = database.write(row("p4", seconds=-60), row("p5", seconds=1))
    assert [each.announce and each.announce.op for each in late] == ["delete", "upsert"]
    assert database.write(forget(seconds=9), forget(seconds=9))[1] == Outcome("repeat", None)
    check_end(
        database,
        [
            row("p1"),
            row("p2", seconds=60),
            row("p3", author="bob"),
            row("p4", seconds=-60),
            row("p5", seconds=1),
            forget(seconds=9),
        ],
    )


def test_a_forget_reaches_posts_of_its_own_batch_unannounced_by_outbox(database: Database) -> None:
    written = database.write(row(), forget(), row("p2"))
    assert [each.announce and each.announce.op for each in written] == ["delete", None, "delete"]
    assert database.rows(outbox) == []


async def hold(store: Store, batch: list[Item], begun: asyncio.Event, end: asyncio.Event) -> None:
    """Write `batch`, and commit only when told."""
    async with store.transaction() as connection:
        await writes._write(connection, batch, {}, NOW)
        begun.set()
        await end.wait()


@pytest.mark.parametrize("first_is_forget", [True, False])
def test_a_forget_and_a_post_that_race(database: Database, *, first_is_forget: bool) -> None:
    """Whichever is in the middle of its transaction when the other comes: the post is gone at the end."""
    first, second = ([forget()], [row()]) if first_is_forget else ([row()], [forget()])

    async def race() -> None:
        other, begun, end = Store(database.url), asyncio.Event(), asyncio.Event()
        holding = asyncio.create_task(hold(database.store, first, begun, end))
        await begun.wait()
        waiting = asyncio.create_task(other.write(second, {}, NOW))
        await asyncio.sleep(0.2)
        assert not waiting.done(), "the second did not wait for the first"
        end.set()
        await asyncio.gather(holding, waiting)
        await other.close()

    database.run(race())
    check_end(database, [row(), forget()])


def test_rows_are_written_in_one_order() -> None:
    """Two workers with the same rows then wait for each other, and never in a circle."""
    mixed = [row(f"p{number}", seconds=60 * number, topics=("b", "a")) for number in (3, 1, 2)]
    winners = rows.newest(rows.candidate(each, {}) for each in mixed)
    assert list(winners) == ["p1", "p2", "p3"]
    before = {f"previous_{name}": None for name in COUNTED}
    changes = rows.differences(before | each.values for each in winners.values())
    keys = [tuple(change[name] for name in rows.ROLLUP_KEY) for change in changes]
    assert len(keys) == 9
    assert keys == sorted(keys)
    backwards = [before | each.values for each in reversed(winners.values())]
    assert rows.differences(backwards) == changes


def test_workers_with_the_same_posts_at_once(database: Database) -> None:
    first = [row(f"p{number}", author=f"author {number}", flagged=True) for number in range(80)]

    async def work(store: Store, seed: int) -> None:
        for version in range(12):
            batch: list[Item] = [
                row(each.post.post_id, version, author=each.post.author, flagged=bool((version + seed) % 2))
                for each in first
            ]
            random.Random(seed + version).shuffle(batch)
            if version % 5 == 0:  # an author's lock would keep the others' batches apart
                batch.append(forget(f"author {version + seed}", -1))
            await store.write(batch, {seed: version}, NOW)

    async def all_of_them() -> None:
        await asyncio.gather(*(work(store, seed) for seed, store in enumerate(database.stores)))

    database.run(all_of_them())
    assert database.rows(rollups) == recount(database.rows(posts))


def test_pending_conflicts_follow_what_is_flagged(database: Database) -> None:
    def pending() -> list[tuple[str, int]]:
        return [(each["post_id"], each["version"]) for each in database.rows(pending_conflicts)]

    async def take() -> None:
        async with database.store.transaction() as connection:
            await connection.execute(pending_conflicts.delete())

    database.write(row(version=1, flagged=True), row("p2"))
    assert pending() == [("p1", 1)]
    database.write(row(version=2, flagged=True))
    assert pending() == [("p1", 2)], "what waits follows the newest version"
    database.run(take())
    database.write(row(version=3, flagged=True), row(version=2, flagged=True))
    assert pending() == [], "a post that was flagged already is no new conflict"
    database.write(row(version=4))
    database.write(row(version=5, flagged=True))
    assert pending() == [("p1", 5)]
    database.write(deletion(version=5))
    assert pending() == []


def test_a_thumbnail_is_kept_only_of_flagged_posts(database: Database) -> None:
    database.write(row("p1", flagged=True), row("p2"))
    assert [each["thumbnail"] for each in database.rows(posts)] == [b"jpeg", None]
    database.write(deletion("p1"))
    assert [each["thumbnail"] for each in database.rows(posts)] == [None, None]


def test_progress_moves_forward_unless_it_is_reset(database: Database) -> None:
    def offsets() -> dict[int, int]:
        return {each["partition"]: each["next_offset"] for each in database.rows(progress)}

    def move(offsets: dict[int, int]) -> None:
        assert database.run(database.store.write([], offsets, NOW)).outcomes == []

    move({0: 5, 1: 7})
    move({1: 3, 0: 6})
    assert offsets() == {0: 6, 1: 7}
    database.run(database.store.reset_progress(1, 2, NOW))
    database.run(database.store.reset_progress(2, 9, NOW))
    assert offsets() == {0: 6, 1: 2, 2: 9}


def test_many_rows_at_once(database: Database) -> None:
    batch: list[Item] = [row(f"p{number:04}", seconds=number, topics=("a",)) for number in range(1300)]
    assert {each.kind for each in database.write(*batch)} == {"written"}
    assert {each.kind for each in database.write(*batch)} == {"repeat"}
    database.write(forget())
    assert database.rows(rollups) == []
    assert len(database.rows(outbox)) == 1300


def test_extreme_values_come_back(database: Database) -> None:
    extreme = row(version=2**63 - 1, lang=None, author="'; DROP TABLE posts; --")
    for created_at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        database.empty()
        scored = extreme.scored.model_copy(update={"created_at": created_at})
        database.write(replace(extreme, scored=scored))
        assert database.write(replace(extreme, scored=scored))[0].announce == scored


def poisoned(**values: Any) -> ScoredRow:
    """A post that the contract would have refused."""
    bad = row("p2")
    return replace(bad, post=bad.post.model_copy(update=values))


@pytest.mark.parametrize("bad", [{"text": "lone \ud800"}, {"author": "lone \udfff"}])
def test_values_that_no_database_holds(database: Database, bad: dict[str, Any]) -> None:
    with pytest.raises(StoreDataError, match="cannot hold") as caught:
        database.write(row("p1"), poisoned(**bad))
    assert not caught.value.retriable
    assert "text of" not in str(caught.value), "what people wrote does not belong into an error"
    assert database.rows(posts) == [], "nothing of the batch stays"
    assert database.write(row("p1"))[0].kind == "written"


def test_nul_characters(database: Database) -> None:
    if database.url.startswith("sqlite"):
        pytest.skip("SQLite holds NUL")
    with pytest.raises(StoreDataError, match="NUL"):
        database.write(poisoned(text="a\0b"))


def test_a_flagged_post_without_conflict_is_refused(database: Database) -> None:
    with pytest.raises(StoreDataError):
        database.write(replace(row(), flagged=True))


def test_a_cancelled_write_leaves_nothing_behind(database: Database) -> None:
    """Cut off at many moments, then done again: counted once, and no lock is left."""

    async def cut_off(after: float) -> None:
        task = asyncio.create_task(
            database.store.write([row(flagged=True), row("p2"), forget("bob")], {0: 1}, NOW)
        )
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for after in (0.0, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02):
        database.empty()
        database.run(cut_off(after))
        database.write(row(flagged=True), row("p2"), forget("bob"))
        check_end(database, [row(flagged=True), row("p2"), forget("bob")])


def test_a_locked_sqlite_file_is_retriable(database: Database) -> None:
    if not database.url.startswith("sqlite"):
        pytest.skip("PostgreSQL waits for rows, not for the database")

    async def blocked() -> None:
        impatient = Store(database.url)
        async with impatient._engine.connect() as connection:  # the pool gives this connection again
            await connection.exec_driver_sql("PRAGMA busy_timeout=20")
        async with database.store.transaction():
            with pytest.raises(StoreUnavailableError, match="locked") as caught:
                await impatient.write([row()], {}, NOW)
        assert caught.value.retriable
        assert [each.kind for each in (await impatient.write([row()], {}, NOW)).outcomes] == ["written"]
        await impatient.close()

    database.run(blocked())


async def test_opening_what_is_not_ready_says_what_to_run(tmp_path: Path) -> None:
    missing = Store(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(SetupError, match="mmsent db upgrade"):
        await missing.open()
    assert not os.listdir(tmp_path)  # noqa: PTH208  # a folder of ours, one look
    (tmp_path / "empty.db").touch()
    empty = Store(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(SetupError, match="mmsent db upgrade"):
        await empty.open()
    (tmp_path / "text.db").write_text("this is no database, but long enough to look like one" * 100)
    broken = Store(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(SetupError, match="not a database"):
        await broken.open()
    for store in (missing, empty, broken):
        await store.close()
