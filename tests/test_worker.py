"""The real worker with the stub engine, end to end: on the embedded stack, and on real servers."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from sqlalchemy import text

from mmsent.broker import Message, OffsetReader, Publisher, Record, TopicReader, create_topics
from mmsent.embedded.servers import local_kafka, local_redis
from mmsent.settings import Settings
from mmsent.store.schema import open_engine, upgrade
from worker.__main__ import Serving, serve

PATIENCE_S = 120.0
MINUTE = "2026-11-21T10:00:00Z"


NewSettings = Callable[[], Settings]


@pytest.fixture(params=["embedded", "real"])
def new_settings(request: pytest.FixtureRequest, tmp_path: Path) -> NewSettings:
    """Makes settings with a Kafka that holds nothing yet, another one each time, and always one database."""
    made: NewSettings = request.getfixturevalue(f"{request.param}_stack")
    return made


@pytest.fixture
def embedded_stack(tmp_path: Path) -> Iterator[NewSettings]:
    """What the demo uses: librdkafka's mock cluster, a Redis-protocol server, SQLite."""
    with ExitStack() as servers:
        redis_url = servers.enter_context(local_redis())
        yield lambda: settings_for(
            tmp_path,
            kafka_bootstrap_servers=servers.enter_context(local_kafka()),
            redis_url=redis_url,
        )


@pytest.fixture
def real_stack(tmp_path: Path, kafka_url: str, redis_url: str, postgres_schema_url: str) -> NewSettings:
    """Kafka, Redis and PostgreSQL; for a new Kafka stand topics and a group of another name."""

    def new() -> Settings:
        name = f"test-{secrets.token_hex(4)}"
        settings = settings_for(
            tmp_path,
            kafka_bootstrap_servers=kafka_url,
            redis_url=redis_url,
            database_url=postgres_schema_url,
            topic_prefix=f"{name}.",
            kafka_group_id=name,
        )
        asyncio.run(create_topics(settings))
        return settings

    return new


def settings_for(data_dir: Path, **addresses: Any) -> Settings:
    settings = Settings(
        data_dir=data_dir,
        engine="stub",
        health_port=0,
        decode_processes=1,
        lateness_s=0.1,
        live_timeout_s=5,
        fetch_deadline_s=2,
        **addresses,
    )
    upgrade(settings.resolved_database_url)
    return settings


def post(post_id: str, text: str = "a good day", **others: Any) -> bytes:
    body = {
        "op": "upsert",
        "post_id": post_id,
        "source": "test",
        "created_at": MINUTE,
        "text": text,
        "author": "ann",
    }
    return json.dumps(body | others).encode()


def delete(post_id: str, version: int) -> bytes:
    return json.dumps({"op": "delete", "post_id": post_id, "version": version, "source": "test"}).encode()


def forget(author: str) -> bytes:
    body = {"op": "forget_author", "author": author, "source": "test", "created_at": "2026-11-21T11:00:00Z"}
    return json.dumps(body).encode()


async def publish(settings: Settings, values: Sequence[bytes | None]) -> None:
    async with Publisher(settings) as publisher:
        await publisher.send_all(
            settings.topic("posts"), [Message(f"key {n}".encode(), value) for n, value in enumerate(values)]
        )


@asynccontextmanager
async def working(settings: Settings, *, let_go: bool = True) -> AsyncIterator[Serving]:
    """A worker that is let go in good order, or cut off where what it would need is gone."""
    serving = Serving()
    task = asyncio.create_task(serve(settings, serving))
    try:
        yield serving
        if not let_go:
            assert not task.done()
            return
        serving.stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    engine = open_engine(settings.resolved_database_url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


async def until_all_is_done(settings: Settings) -> dict[int, int]:
    """Committed offsets and progress both stand at the ends; a partition without records has none."""
    topic = settings.topic("posts")
    async with OffsetReader(settings) as offsets, asyncio.timeout(PATIENCE_S):
        while True:
            ends = await offsets.end_offsets(topic)
            progress = dict(rows(settings, "SELECT partition, next_offset FROM progress"))
            if await offsets.committed_offsets(topic) == ends == progress:
                return ends
            await asyncio.sleep(0.1)


async def everything_on(settings: Settings, topic: str) -> list[Record]:
    records: list[Record] = []
    async with TopicReader(settings, topic, from_beginning=True) as reader, asyncio.timeout(PATIENCE_S):
        while not await reader.at_end():
            records += await reader.poll(0.2)
    return records


def headers(record: Record) -> Mapping[str, str]:
    return {name: value.decode() for name, value in record.headers}


BAD = {
    "decode": [b"\xff\xfe", b"{", b"", b"[" * 100_000, b'{"op": NaN}', b"null garbage"],
    "validate": [
        b"{}",
        b"[]",
        b'"text"',
        post("bad/nul", "a\x00b"),
        post("bad/version", version=2**63),
        post("bad/time", created_at="yesterday"),
        post(""),
    ],
    "score": [post("bad/poison", "stub-poison"), post("bad/nan", "stub-nan")],
}


async def test_every_kind_of_record_finds_its_end(new_settings: NewSettings) -> None:
    settings = await asyncio.to_thread(new_settings)
    good = [post(f"test/{n}", "a good day" if n % 2 else "a bad day") for n in range(40)]
    special = [
        post("test/0", "a bad day"),  # the same again
        post("test/1", "awful now", version=3),
        post("test/1", "great once", version=2),
        post("test/finnish", "hyvää päivää", lang="fi"),
        post("test/empty", "  "),
        post("test/future", created_at="2099-01-01T00:00:00Z"),
        post("test/picture", images=[{"url": "http://127.0.0.1:1/a.jpg"}]),
        post("bob/1", author="bob"),
        delete("test/2", 5),
        delete("never/seen", 1),
        forget("bob"),
        None,
    ]
    bad = [value for values in BAD.values() for value in values]
    await publish(settings, [*good, *special, *bad])
    async with working(settings) as serving:
        ends = await until_all_is_done(settings)
        assert sum(ends.values()) == len(good) + len(special) + len(bad)
        async with ClientSession() as session:
            address = f"http://127.0.0.1:{serving.port}"
            async with session.get(f"{address}/readyz") as answer:
                assert (answer.status, (await answer.json())["missing"]) == (200, [])
            async with session.get(f"{address}/metrics") as answer:
                metrics = await answer.text()
    dead = await everything_on(settings, settings.topic("posts.dead"))
    scores = [
        json.loads(record.value or b"") for record in await everything_on(settings, settings.topic("scores"))
    ]

    stages = Counter(headers(record)["mmsent.error.stage"] for record in dead)
    assert stages == {"decode": len(BAD["decode"]) + 1, "validate": len(BAD["validate"]), "score": 2}
    assert {record.value for record in dead} == {*bad, None}
    assert f'mmsent_dead_letters_total{{stage="decode"}} {len(BAD["decode"]) + 1}.0' in metrics
    assert 'mmsent_image_errors_total{reason="forbidden_address"} 1.0' in metrics

    found = {row[0]: row[1:] for row in rows(settings, "SELECT post_id, version, deleted, label FROM posts")}
    assert found["test/0"] == (0, 0, "negative")
    assert found["test/1"] == (3, 0, "negative")
    assert found["test/2"] == (5, 1, None)
    assert found["never/seen"] == (1, 1, None)
    assert found["bob/1"][1] == 1
    assert found["test/finnish"][2] is None
    assert found["test/empty"][2] is None
    assert not any(post_id.startswith("bad/") for post_id in found)
    assert len(found) == 40 + 6
    ((future,),) = rows(settings, "SELECT created_at FROM posts WHERE post_id = 'test/future'")
    assert str(future) < "2099"
    announced = {(each["op"], each["post_id"]) for each in scores}
    assert {("upsert", "test/0"), ("delete", "test/2"), ("delete", "never/seen")} <= announced
    assert {post_id for _, post_id in announced} == set(found)
    picture = next(each for each in scores if each["post_id"] == "test/picture")
    assert picture["image_errors"] == ["forbidden_address"]


async def test_the_same_database_goes_on_with_a_new_cluster(new_settings: NewSettings) -> None:
    first = await asyncio.to_thread(new_settings)
    await publish(first, [post(f"first/{n}") for n in range(60)])
    async with working(first):
        await until_all_is_done(first)
    second = await asyncio.to_thread(new_settings)
    await publish(second, [post(f"second/{n}") for n in range(20)])
    async with working(second):
        ends = await until_all_is_done(second)
    assert sum(ends.values()) == 20
    assert rows(second, "SELECT count(*) FROM posts") == [(80,)]
    assert rows(second, "SELECT sum(posts) FROM rollups WHERE topic = 'all'") == [(80,)]


def environment(settings: Settings) -> dict[str, str]:
    given = settings.model_dump(mode="json", exclude_unset=True)
    return {**os.environ, **{f"MMSENT_{name.upper()}": str(value) for name, value in given.items()}}


async def test_sigterm_finishes_commits_and_exits_zero(tmp_path: Path, new_settings: NewSettings) -> None:
    settings = await asyncio.to_thread(new_settings)
    topic = settings.topic("posts")
    await publish(settings, [post(f"test/{n}") for n in range(3000)])
    command = [sys.executable, "-P", "-m", "worker"]
    log = tmp_path / "worker.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
            command, env=environment(settings), stdout=lines, stderr=lines
        )
        try:
            async with OffsetReader(settings) as offsets, asyncio.timeout(PATIENCE_S):
                while not sum((await offsets.committed_offsets(topic)).values()):
                    assert process.poll() is None, log.read_text()
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(process.wait, 60)
                committed = await offsets.committed_offsets(topic)
        finally:
            process.kill()
            process.wait()
    assert code == 0, log.read_text()
    stored = dict(rows(settings, "SELECT partition, next_offset FROM progress"))
    assert committed == stored
    assert rows(settings, "SELECT count(*) FROM posts") == [(sum(committed.values()),)]
    assert "Traceback" not in log.read_text()


def run_worker(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "worker"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    nowhere = Settings(data_dir=tmp_path, engine="stub", health_port=0)
    done = run_worker(environment(nowhere))
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].endswith("run: mmsent db upgrade")
    assert "Traceback" not in done.stderr

    wrong = run_worker({**os.environ, "MMSENT_MAX_IN_FLIGHT": "many"})
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("MMSENT_MAX_IN_FLIGHT='many'")
    assert len(wrong.stderr.splitlines()) == 1
