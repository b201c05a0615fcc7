"""The live feed against a Redis-protocol server, a silent one and none at all."""

import asyncio
import json
import re
import socket
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from fakeredis import TcpFakeServer
from redis import Redis
from structlog.testing import capture_logs

from mmsent.errors import LiveUnavailableError, SettingsError
from mmsent.live import FEED, THUMBNAIL, WORKER, WORKERS, Heartbeat, LiveFeed, LiveReader
from mmsent.posts import ScoredDelete, ScoredPost
from mmsent.settings import Settings

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def scored(number: int) -> ScoredPost:
    return ScoredPost(
        post_id=f"test/{number}",
        version=0,
        source="test",
        created_at=NOW,
        scored_at=NOW,
        model="stub@1",
        fused=None,
        unscored_reason="no_content",
    )


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with closing(Redis(port=server.server_address[1])) as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def live(redis_server: Redis) -> AsyncIterator[LiveFeed]:
    port = redis_server.connection_pool.connection_kwargs["port"]
    feed = LiveFeed(Settings(redis_url=f"redis://127.0.0.1:{port}/0", live_feed_max=5, live_timeout_s=2))
    yield feed
    await feed.aclose()


async def test_posts_and_thumbnails_are_shown_for_a_while(live: LiveFeed, redis_server: Redis) -> None:
    await live.publish([scored(1), scored(2)], {"test/2": b"jpeg"})
    entries = await asyncio.to_thread(redis_server.xrange, FEED)
    shown = [ScoredPost.model_validate_json(fields[b"post"]) for _, fields in entries]
    assert shown == [scored(1), scored(2)]
    assert await asyncio.to_thread(redis_server.get, THUMBNAIL + "test/2") == b"jpeg"
    assert await asyncio.to_thread(redis_server.get, THUMBNAIL + "test/1") is None
    for key in (FEED, THUMBNAIL + "test/2"):
        assert 0 < await asyncio.to_thread(redis_server.ttl, key) <= 3600


async def test_a_delete_takes_the_thumbnail_away(live: LiveFeed, redis_server: Redis) -> None:
    await live.publish([scored(1)], {"test/1": b"jpeg"})
    await live.publish([ScoredDelete(post_id="test/1", version=1, source="test")], {})
    assert await asyncio.to_thread(redis_server.get, THUMBNAIL + "test/1") is None
    entries = await asyncio.to_thread(redis_server.xrange, FEED)
    assert [json.loads(fields[b"post"])["op"] for _, fields in entries] == ["upsert", "delete"]


async def test_the_feed_forgets_what_is_old(live: LiveFeed, redis_server: Redis) -> None:
    long_ago = int((time.time() - 3700) * 1000)
    await asyncio.to_thread(redis_server.xadd, FEED, {"post": "old"}, id=f"{long_ago}-0")
    await live.publish([scored(number) for number in range(8)], {})
    entries = await asyncio.to_thread(redis_server.xrange, FEED)
    ids = [json.loads(fields[b"post"])["post_id"] for _, fields in entries]
    assert ids == [f"test/{number}" for number in range(3, 8)]


async def test_heartbeats_expire_and_say_farewell(live: LiveFeed, redis_server: Redis) -> None:
    await live.heartbeat("w1", {"lag": 3, "since": NOW})
    said = json.loads(await asyncio.to_thread(redis_server.get, WORKER + "w1"))
    assert said["lag"] == 3
    assert 0 < await asyncio.to_thread(redis_server.ttl, WORKER + "w1") <= 3600
    await live.farewell("w1")
    assert await asyncio.to_thread(redis_server.get, WORKER + "w1") is None


async def test_readers_count_the_workers_that_live(live: LiveFeed, redis_server: Redis) -> None:
    port = redis_server.connection_pool.connection_kwargs["port"]
    with closing(LiveReader(f"redis://127.0.0.1:{port}/0", timeout_s=2)) as reader:
        assert await asyncio.to_thread(reader.workers) == []
        for worker, state in (("w2", {"lag": 3}), ("w1", {}), ("dead", {"lag": 9}), ("left", {"lag": 9})):
            await live.heartbeat(worker, state)
        await live.farewell("left")
        await asyncio.to_thread(redis_server.delete, WORKER + "dead")  # as when its heartbeat expires
        assert await asyncio.to_thread(reader.workers) == [Heartbeat("w1", None), Heartbeat("w2", 3)]
        assert 0 < await asyncio.to_thread(redis_server.ttl, WORKERS) <= 3600


async def test_names_of_workers_long_gone_are_forgotten(live: LiveFeed, redis_server: Redis) -> None:
    await asyncio.to_thread(redis_server.zadd, WORKERS, {"old": time.time() - 3700})
    await live.heartbeat("w1", {})
    assert await asyncio.to_thread(redis_server.zrange, WORKERS, 0, -1) == [b"w1"]


def test_without_redis_nobody_knows_the_workers() -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: refuses connections
        reader = LiveReader(f"redis://127.0.0.1:{reserved.getsockname()[1]}/0", timeout_s=0.2)
        with pytest.raises(LiveUnavailableError, match="MMSENT_REDIS_URL"):
            reader.workers()
        reader.close()


async def test_ping(live: LiveFeed) -> None:
    await live.ping()


async def test_no_redis_costs_nothing_and_is_asked_again_after_a_pause() -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, not listening: refuses connections
        clock = Clock()
        feed = LiveFeed(
            Settings(redis_url=f"redis://127.0.0.1:{reserved.getsockname()[1]}/0", live_pause_s=5),
            clock=clock,
        )
        started = time.perf_counter()
        await feed.publish([scored(1), scored(2)], {})
        assert feed.skipped == 2
        with pytest.raises(LiveUnavailableError, match="MMSENT_REDIS_URL"):
            await feed.ping()
        assert time.perf_counter() - started < 1
        await feed.aclose()


async def test_a_silent_server_is_waited_for_once_then_left_alone() -> None:
    connections = 0

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    clock = Clock()
    port = server.sockets[0].getsockname()[1]
    feed = LiveFeed(Settings(redis_url=f"redis://127.0.0.1:{port}/0", live_timeout_s=0.1), clock=clock)
    started = time.perf_counter()
    for _ in range(50):
        await feed.publish([scored(1)], {})
    assert time.perf_counter() - started < 1
    assert (connections, feed.skipped) == (1, 50)
    clock.now += 5
    await feed.publish([scored(1)], {})
    assert connections == 2
    await feed.aclose()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "redis://:hunter2",
        "redis://:hunter/2@localhost",
        "redis://me:12/hunter2@localhost",  # 12 would be a port of the host `me`
        "redis://:hunter#2@localhost",
        "redis://:hunter?2@localhost",
        "redis://:hunter[2]@localhost",
        "redis://:hunter\u2100@localhost",  # unfolds to a/c
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    for connect in (lambda: LiveFeed(Settings(redis_url=url)), lambda: LiveReader(url, timeout_s=1)):
        with pytest.raises(SettingsError, match=r"MMSENT_REDIS_URL.*%2F for /") as caught:
            connect()
        assert "hunter" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
        assert not re.search("hunter|12", str(caught.value))


QUOTED = (
    "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' '{start}"  # cut at 128 characters
)


@pytest.mark.parametrize("password", ["hun@ter:2%", "%2Fhunter%402%23%3F"])
@pytest.mark.parametrize("answer", [QUOTED, "no, not {whole}!"])
async def test_no_error_shows_a_password(password: str, answer: str) -> None:
    """Not even of a server that quotes the login which it does not understand."""
    plain = unquote(password)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert plain.encode() in await reader.read(1000), "the password arrives as it is"
        writer.write(f"-ERR {answer.format(start=plain[:4], whole=plain)}\r\n".encode())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"redis://me:{password}@127.0.0.1:{server.sockets[0].getsockname()[1]}/3"
    feed, reader = LiveFeed(Settings(redis_url=url, live_timeout_s=2)), LiveReader(url, timeout_s=2)
    assert feed.address == url.rpartition("@")[2]
    with capture_logs() as shown:
        await feed.heartbeat("w1", {})
    for ask in (feed.ping(), asyncio.to_thread(reader.workers)):
        with pytest.raises(LiveUnavailableError, match="MMSENT_REDIS_URL") as caught:
            await ask
        shown.append({"error": "".join(traceback.format_exception(caught.value))})
    assert len(shown) == 3
    assert not any(plain[:4] in each["error"] for each in shown)
    reader.close()
    await feed.aclose()
    server.close()
    await server.wait_closed()
