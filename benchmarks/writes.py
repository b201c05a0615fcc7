"""Rows per second of the product's write into PostgreSQL, and of plainer writes of the same rows, in one run.

    python -m benchmarks.writes [--rounds N] [--batches 1,16,64,256] [--connections 1,2,4]

The server is a private one with PostgreSQL's own settings, fsync on, or the one that MMSENT_TEST_POSTGRES_URL
names. JSON goes to stdout, a table and the progress to stderr. Each contender has the same tables and indexes
in a schema of its own. Only ours changes rollups, progress and what else belongs to a batch, and says what
became of each row; the peers get their rows ready-made. All connections are one process's, as a worker is
one. Rounds alternate between the contenders, so that a busy machine slows all of them: read the ratios.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from benchmarks.engine import WORDS, processor
from mmsent.model.inputs import LABELS
from mmsent.posts import Opinion, Post, ScoredPost, Weights
from mmsent.store.rows import CONTENT, ScoredRow, candidate
from mmsent.store.schema import upgrade
from mmsent.store.tables import metadata, posts
from mmsent.store.writes import Store
from tests.services.servers import Postgres, postgres_schema

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTES = 10  # that the posts are spread over
SHARDS = 3  # partitions per connection
TOPICS = ("coffee", "trains", "weather")
THUMBNAIL_BYTES = 5000
LEAST_TRANSACTIONS, LEAST_ROWS = 8, 160  # of a round and connection
PEERS = ("insert", "do nothing", "copy", "overwrite")
KINDS = {"new": PEERS, "repeat": ("do nothing",), "edit": ("overwrite",)}

Rows = Sequence[ScoredRow]
Write = Callable[[Store, Rows, list[dict[str, Any]], int], Awaitable[None]]


class DurablePostgres(Postgres):
    """With PostgreSQL's own settings."""

    OPTIONS = ("listen_addresses=127.0.0.1",)


def make_row(post_id: str, version: int, shard: int, rng: random.Random) -> ScoredRow:
    """Some 140 characters; one post in three has a topic, one in four a picture, one in twenty a flag."""
    flagged = rng.random() < 0.05
    label = rng.choice(LABELS)
    opinion = Opinion(label=label, **{name: 0.6 if name == label else 0.2 for name in LABELS})
    shared = {
        "post_id": post_id,
        "version": version,
        "source": "benchmark",
        "created_at": NOW - timedelta(seconds=rng.randrange(60 * MINUTES)),
    }
    words = " ".join(rng.choices(WORDS, k=28))
    post = Post(**shared, author=f"author {rng.randrange(1000)}", lang="en", text=words, tags=("picnic",))
    scored = ScoredPost(
        **shared,
        scored_at=NOW,
        model="benchmark@1",
        fused=opinion,
        unscored_reason=None,
        text=opinion,
        image=opinion if flagged or rng.random() < 0.25 else None,
        conflict=0.8 if flagged else 0.1,
        weights=Weights(text=0.5, image=0.5),
        topics=tuple(topic for topic in TOPICS if rng.random() < 0.12),
    )
    return ScoredRow(scored, post, shard, flagged, rng.randbytes(THUMBNAIL_BYTES) if flagged else None)


async def write_ours(store: Store, rows: Rows, _values: list[dict[str, Any]], offset: int) -> None:
    await store.write(rows, {rows[0].shard: offset}, NOW)


def executing(statement: Any) -> Write:
    """One statement with many rows, as SQLAlchemy makes it of a list; our write's is made in the same way."""

    async def write(store: Store, _rows: Rows, values: list[dict[str, Any]], _offset: int) -> None:
        async with store.transaction() as connection:
            await connection.execute(statement.returning(posts.c.post_id), values)

    return write


async def copy(store: Store, _rows: Rows, values: list[dict[str, Any]], _offset: int) -> None:
    """COPY, by psycopg itself."""
    async with store.transaction() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        into = f"COPY posts ({', '.join(values[0])}) FROM STDIN"
        async with driver.cursor() as cursor, cursor.copy(into) as stream:
            for row in values:
                cells = (json.dumps(each) if isinstance(each, list | dict) else each for each in row.values())
                await stream.write_row(list(cells))


def contenders() -> dict[str, Write]:
    plain = insert(posts)
    content = {name: plain.excluded[name] for name in CONTENT}
    return {
        "mmsent": write_ours,
        "insert": executing(plain),
        "do nothing": executing(plain.on_conflict_do_nothing()),
        "copy": copy,
        "overwrite": executing(plain.on_conflict_do_update(index_elements=["post_id"], set_=content)),
    }


class Bench:
    """A schema for each contender on one server."""

    def __init__(self, urls: Mapping[str, str], connections: int) -> None:
        self._stores = {name: [Store(url) for _ in range(connections)] for name, url in urls.items()}
        self._writes = contenders()

    async def empty(self) -> None:
        """Nothing in it, and every connection open."""
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        for stores in self._stores.values():
            async with stores[0].transaction() as connection:
                await connection.execute(text(f"TRUNCATE {tables}"))
            for store in stores:
                await store.open()

    async def rate(self, name: str, shares: Sequence[Rows], batch: int) -> float:
        """Rows per second, each connection writing its share in batches."""
        ready = [[candidate(row, {}).values for row in share] for share in shares]
        started = time.perf_counter()
        await asyncio.gather(
            *(
                self._write(name, store, share, values, batch)
                for store, share, values in zip(self._stores[name], shares, ready, strict=True)
            )
        )
        return sum(map(len, shares)) / (time.perf_counter() - started)

    async def _write(
        self, name: str, store: Store, share: Rows, values: list[dict[str, Any]], batch: int
    ) -> None:
        for start in range(0, len(share), batch):
            end = start + batch
            await self._writes[name](store, share[start:end], values[start:end], end)

    async def close(self) -> None:
        for store in itertools.chain(*self._stores.values()):
            await store.close()


async def measure(urls: Mapping[str, str], batch: int, connections: int, rounds: int) -> list[dict[str, Any]]:
    """Median rows per second of each kind of row and each contender; the first round only warms up."""
    bench = Bench(urls, connections)
    names = {kind: ("mmsent", *peers) for kind, peers in KINDS.items()}
    rates: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind in names for name in names[kind]}
    rng = random.Random(f"{batch} {connections}")
    count = batch * max(LEAST_TRANSACTIONS, LEAST_ROWS // batch)
    await bench.empty()
    for turn in range(rounds + 1):
        first, second = (
            [
                [make_row(f"{k}/{turn}/{n}", version, SHARDS * k + n % SHARDS, rng) for n in range(count)]
                for k in range(connections)
            ]
            for version in (0, 1)
        )
        for kind, shares in (("new", first), ("repeat", first), ("edit", second)):
            for name in names[kind]:
                rates[kind, name].append(await bench.rate(name, shares, batch))
    await bench.close()
    return [
        {
            "kind": kind,
            "batch": batch,
            "connections": connections,
            "rows_per_s": {name: round(statistics.median(rates[kind, name][1:])) for name in names[kind]},
        }
        for kind in names
    ]


@contextmanager
def opened_server() -> Iterator[str]:
    """URL of the server to measure on."""
    given = os.environ.get("MMSENT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with (
        tempfile.TemporaryDirectory(prefix="mmsent-writes-") as folder,
        DurablePostgres(Path(folder)) as server,
    ):
        yield server.url()


async def describe(url: str) -> dict[str, str]:
    store = Store(url)
    async with store.reading() as connection:
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        found = {name: str(await connection.scalar(text(f"SHOW {name}"))) for name in names}
    await store.close()
    return found


def numbers(listed: str) -> list[int]:
    return [int(each) for each in listed.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=numbers, default=[1, 16, 64, 256])
    parser.add_argument("--connections", type=numbers, default=[1, 2, 4])
    options = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(opened_server())
        urls = {name: stack.enter_context(postgres_schema(server)) for name in ("mmsent", *PEERS)}
        for url in urls.values():
            upgrade(url)
        report: dict[str, Any] = {
            "processor": processor(),
            "server": asyncio.run(describe(server)),
            "rows": [],
        }
        print(f"{report['processor']} · PostgreSQL {report['server']}\n{heading()}", file=sys.stderr)
        for batch, connections in itertools.product(options.batches, options.connections):
            rows = asyncio.run(measure(urls, batch, connections, options.rounds))
            print("\n".join(map(line, rows)), file=sys.stderr, flush=True)
            report["rows"] += rows
    print(json.dumps(report))


def heading() -> str:
    names = "".join(f"{name:>20}" for name in PEERS)
    return f"{'rows':<7}{'batch':>6}{'connections':>12}{'mmsent':>14}{names}"


def line(row: dict[str, Any]) -> str:
    """Rows per second, and each peer's as a multiple of ours."""
    rates = row["rows_per_s"]
    ours = rates["mmsent"]
    cells = (f"{rates[name]:>11,}/s ({rates[name] / ours:4.1f}×)" if name in rates else "" for name in PEERS)
    place = f"{row['kind']:<7}{row['batch']:>6}{row['connections']:>12}"
    return f"{place}{ours:>12,}/s" + "".join(f"{cell:>20}" for cell in cells)


if __name__ == "__main__":
    main()
