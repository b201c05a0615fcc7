"""A record becomes what is to be written: parsed, its time checked, its topics found, scored."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from structlog.contextvars import bind_contextvars

from mmsent.broker import Record
from mmsent.errors import MmsentError
from mmsent.pipeline import Scorer
from mmsent.posts import DeletePost, ForgetAuthor, Post, clamp_created_at, parse_message
from mmsent.store.edits import list_topics
from mmsent.store.writes import Deletion, Forget, Item, ScoredRow
from mmsent.topics import TopicMatcher

log = structlog.get_logger(__name__)


class TrackedTopics:
    """The tracked topics, read again every `refresh_s`; if that fails, the last ones stay in use."""

    def __init__(self, database_url: str, refresh_s: float) -> None:
        self._database_url = database_url
        self._refresh_s = refresh_s
        self._matcher = TopicMatcher(())

    def match(self, post: Post) -> tuple[str, ...]:
        return self._matcher.match(post.text, post.tags)

    async def load(self) -> None:
        """Read them once.

        Raises:
            SetupError, StoreUnavailableError
        """
        self._matcher = TopicMatcher(await asyncio.to_thread(list_topics, self._database_url))

    async def follow(self) -> None:
        """Read them for ever."""
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await self.load()
            except MmsentError as error:
                log.warning("topics_not_refreshed", error=str(error))


class Intake:
    """Steps 1–4 for a record."""

    def __init__(self, scorer: Scorer, topics: TrackedTopics, now: Callable[[], datetime]) -> None:
        self._scorer = scorer
        self._topics = topics
        self._now = now

    async def item(self, record: Record) -> Item:
        """What `record` asks to be written.

        Raises:
            InvalidMessageError: it is not a message.
            EngineError: the post cannot be scored.
        """
        bind_contextvars(partition=record.partition, offset=record.offset)  # a record has a task of its own
        match parse_message(record.value):
            case DeletePost() as message:
                return Deletion(message)
            case ForgetAuthor() as message:
                return Forget(message)
            case Post() as post:
                bind_contextvars(post_id=post.post_id)
                return await self._score(clamp_created_at(post, self._received_at(record)), record.partition)

    async def _score(self, post: Post, partition: int) -> ScoredRow:
        result = await self._scorer.score(post, topics=self._topics.match(post))
        return ScoredRow(
            scored=result.scored,
            post=post,
            shard=partition,
            flagged=result.flagged,
            thumbnail=result.thumbnail,
        )

    def _received_at(self, record: Record) -> datetime:
        """When Kafka got it, so that a redelivery judges alike; but a producer's clock may be ahead of us."""
        now = self._now()
        if not 0 < record.timestamp_ms < now.timestamp() * 1000:
            return now
        return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
