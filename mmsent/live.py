"""What is happening now, for people who watch: newest posts, their thumbnails, the workers' heartbeats.

Redis is a cache: everything in it expires, nothing depends on it, and it may hold up the stream by
`live_timeout_s` at most. After a failure it is left alone for `live_pause_s`.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import redis.retry
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from mmsent.errors import LiveUnavailableError, SettingsError
from mmsent.posts import ScoredDelete, ScoredPost
from mmsent.settings import Settings

FEED = "mmsent:feed"  # a stream; field `post` holds what is on `scores`
THUMBNAIL = "mmsent:thumbnail:"  # + post_id: a JPEG
WORKER = "mmsent:worker:"  # + id of the worker: JSON
WORKERS = "mmsent:workers"  # a sorted set: ids of workers by the time of their last heartbeat
HEARTBEAT_TTL_S = 30
NO_URL = (
    "MMSENT_REDIS_URL is not a Redis URL, e.g. redis://:password@host:6379/0; "
    "in the password, write %2F for /, %3F for ?, %23 for #, %5B for [ and %5D for ]"
)

Client = TypeVar("Client", redis.Redis, Redis)

log = structlog.get_logger(__name__)


class LiveFeed:
    """Writes to Redis. Its methods never raise, except `ping`; `skipped` counts what was not shown."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._closed_until = 0.0
        self._failing = False
        self.skipped = 0
        self._redis = _client(Redis, settings.redis_url, settings.live_timeout_s, retry=Retry(NoBackoff(), 0))

    @property
    def address(self) -> str:
        """Where Redis is, for people: `host:port/database`, or a socket's path."""
        given = self._redis.connection_pool.connection_kwargs
        place = f"{given.get('host', 'localhost')}:{given.get('port', 6379)}/{given.get('db', 0)}"
        return str(given.get("path", place))

    async def publish(
        self, posts: Sequence[ScoredPost | ScoredDelete], thumbnails: Mapping[str, bytes]
    ) -> None:
        """Put posts on the feed and their thumbnails (by post_id) beside it; a delete takes its one away."""
        newest = posts[-self._settings.live_feed_max :]
        if newest and not await self._attempt(lambda: self._show(newest, thumbnails)):
            self.skipped += len(posts)

    async def heartbeat(self, worker: str, state: Mapping[str, Any]) -> None:
        """Say that `worker` lives, and how it is doing; without another one it is forgotten soon."""
        value = json.dumps(dict(state), default=str)
        await self._attempt(lambda: self._beat(worker, value))

    async def farewell(self, worker: str) -> None:
        """The worker leaves."""
        await self._attempt(lambda: self._redis.delete(WORKER + worker))  # its name is forgotten by itself

    async def ping(self) -> None:
        """Ask Redis whether it is there, whatever happened before.

        Raises:
            LiveUnavailableError: it is not.
        """
        try:
            async with asyncio.timeout(self._settings.live_timeout_s):
                await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error, self._redis) from None

    async def aclose(self) -> None:
        try:
            async with asyncio.timeout(self._settings.live_timeout_s):
                await self._redis.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("redis_not_closed_cleanly", error=_said(error, self._redis))

    async def _show(
        self, posts: Sequence[ScoredPost | ScoredDelete], thumbnails: Mapping[str, bytes]
    ) -> None:
        settings = self._settings
        pipeline: Pipeline = self._redis.pipeline(transaction=False)
        for post in posts:
            pipeline.xadd(FEED, {"post": post.to_json()}, maxlen=settings.live_feed_max, approximate=True)
            if isinstance(post, ScoredDelete):
                pipeline.delete(THUMBNAIL + post.post_id)
            elif thumbnail := thumbnails.get(post.post_id):
                pipeline.set(THUMBNAIL + post.post_id, thumbnail, ex=settings.live_ttl_s)
        # The stream as a whole expires only when nothing comes any more; its old entries must go before.
        oldest_ms = int((time.time() - settings.live_ttl_s) * 1000)
        pipeline.xtrim(FEED, minid=oldest_ms, approximate=False)
        pipeline.expire(FEED, settings.live_ttl_s)
        await pipeline.execute()

    async def _beat(self, worker: str, value: str) -> None:
        ttl_s = min(HEARTBEAT_TTL_S, self._settings.live_ttl_s)
        pipeline: Pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(WORKER + worker, value, ex=ttl_s)
        pipeline.zadd(WORKERS, {worker: time.time()})
        pipeline.zremrangebyscore(WORKERS, "-inf", time.time() - self._settings.live_ttl_s)
        pipeline.expire(WORKERS, self._settings.live_ttl_s)
        await pipeline.execute()

    async def _attempt(self, action: Callable[[], Awaitable[Any]]) -> bool:
        """Whether `action` succeeded; not tried at all while the circuit is open."""
        if self._clock() < self._closed_until:
            return False
        try:
            async with asyncio.timeout(self._settings.live_timeout_s):
                await action()
        except (RedisError, OSError, TimeoutError) as error:
            self._closed_until = self._clock() + self._settings.live_pause_s
            if not self._failing:
                log.warning("live_feed_unavailable", error=_said(error, self._redis))
            self._failing = True
            return False
        if self._failing:
            log.info("live_feed_back")
        self._failing = False
        return True


@dataclass(frozen=True)
class Heartbeat:
    """A worker that lives. `lag` = records of its partitions not finished yet; None if it does not say."""

    worker: str
    lag: int | None


class LiveReader:
    """Reads what workers say of themselves, waiting `timeout_s` for each answer; threads may share it."""

    def __init__(self, redis_url: str, timeout_s: float) -> None:
        retry = redis.retry.Retry(NoBackoff(), 0)
        self._redis = _client(redis.Redis, redis_url, timeout_s, retry=retry, decode_responses=True)

    def workers(self) -> list[Heartbeat]:
        """Those whose heartbeat has not expired, by name.

        Raises:
            LiveUnavailableError: Redis does not answer, so nobody knows.
        """
        try:
            names = sorted(str(name) for name in self._redis.zrange(WORKERS, 0, -1))
            said = self._redis.mget([WORKER + name for name in names]) if names else []
        except (RedisError, OSError) as error:
            raise _unavailable(error, self._redis) from None
        return [_heartbeat(name, value) for name, value in zip(names, said, strict=True) if value]

    def close(self) -> None:
        self._redis.close()


def _client(kind: type[Client], url: str, timeout_s: float, **options: Any) -> Client:
    """A client of the Redis at `url`, which connects at the first use.

    Raises:
        SettingsError: not a Redis URL, or one whose password would be taken for something else, and shown.
    """
    login = url.partition("://")[2].rpartition("@")[0]
    if not set(login).isdisjoint("/?#[]"):
        raise SettingsError(NO_URL)
    try:
        client: Client = kind.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, **options
        )
    except ValueError:  # its words may quote a password
        raise SettingsError(NO_URL) from None
    return client


def _unavailable(error: Exception, client: redis.Redis | Redis) -> LiveUnavailableError:
    return LiveUnavailableError(f"Redis does not answer (MMSENT_REDIS_URL): {_said(error, client)}")


def _said(error: Exception, client: redis.Redis | Redis) -> str:
    """The words of an error. A server quotes a command that it does not know, be it the one to log in."""
    said = (str(error) or type(error).__name__).partition(", with args beginning")[0]
    password = client.connection_pool.connection_kwargs.get("password")
    return said.replace(password, "…") if password else said


def _heartbeat(worker: str, value: str | bytes) -> Heartbeat:
    lag = json.loads(value).get("lag")
    return Heartbeat(worker, lag if isinstance(lag, int) else None)
