"""Dead letters as they are read: what stands on `posts.dead`, and how a record is put back on `posts`.

A letter is the raw record, its own headers, and behind them the reason. It is known by where the record
stood: topic, partition, offset. A record that was put back and died again takes its first letter's place.
"""

import hashlib
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from mmsent.broker import Headers, Message, Publisher, Record, TopicReader
from mmsent.settings import Settings

ERROR = "mmsent.error."  # what our headers begin with
FIRST = f"{ERROR}stage"  # of them
DIGEST = f"{ERROR}value_sha256"  # only of a value that was too large to keep
REPLAY_OF = "mmsent.replay.of"
START_BYTES = 400
REPLAYED_AT_ONCE = 200


@dataclass(frozen=True)
class DeadLetter:
    """What is known of a letter without its value."""

    place: tuple[int, int]  # partition and offset on `posts.dead`
    died_at: datetime
    topic: str
    partition: int
    offset: int
    stage: str
    kind: str  # class of the error
    message: str
    size: int  # bytes of the record's value
    start: bytes  # the value's first bytes
    digest: str | None  # SHA-256 of the value, if that was not kept
    fingerprint: bytes  # of key and value
    replay_of: str | None

    @property
    def name(self) -> str:
        """Where the record stood, as people name it."""
        return f"{self.partition}:{self.offset}"

    @property
    def identity(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """`record` of `posts.dead`; None if it is no dead letter of ours."""
        own, reason = _parted(record.headers)
        said = {name.removeprefix(ERROR): value.decode(errors="replace") for name, value in reason}
        value = record.value or b""
        before = dict(own).get(REPLAY_OF)
        try:
            return cls(
                place=(record.partition, record.offset),
                died_at=datetime.fromtimestamp(max(record.timestamp_ms, 0) / 1000, UTC),
                topic=said["topic"],
                partition=int(said["partition"]),
                offset=int(said["offset"]),
                stage=said["stage"],
                kind=said["class"],
                message=said["message"],
                size=int(said.get("value_bytes", len(value))),
                start=value[:START_BYTES],
                digest=said.get("value_sha256"),
                fingerprint=_fingerprint(record),
                replay_of=before.decode(errors="replace") if before is not None else None,
            )
        except (KeyError, ValueError):
            return None


def _fingerprint(record: Record) -> bytes:
    key, value = record.key or b"", record.value or b""
    return hashlib.sha256(len(key).to_bytes(8) + key + value).digest()


def _parted(headers: Headers) -> tuple[Headers, Headers]:
    """The record's own headers, and those that say why it is dead; a stranger may have used our names."""
    first = max((place for place, (name, _) in enumerate(headers) if name == FIRST), default=len(headers))
    return headers[:first], headers[first:]


def replay(letter: Record) -> Message:
    """The record that `letter` is about, as it was, with a header that says where it stood."""
    own, reason = _parted(letter.headers)
    said = {name: value.decode(errors="replace") for name, value in reason}
    stood = "/".join(said[f"{ERROR}{part}"] for part in ("topic", "partition", "offset"))
    kept = tuple(header for header in own if header[0] != REPLAY_OF)
    return Message(letter.key, letter.value, (*kept, (REPLAY_OF, stood.encode())))


@dataclass(frozen=True)
class Letters:
    """Each dead letter once, the newest first."""

    letters: Sequence[DeadLetter]
    strangers: int  # records on `posts.dead` that are no letters of ours


async def read_letters(settings: Settings) -> Letters:
    """What is on `posts.dead` now.

    Raises:
        BrokerUnavailableError: no broker answers, or the topic is missing.
    """
    found: dict[str, DeadLetter] = {}
    strangers = 0
    async with aclosing(_records(settings)) as records:
        async for record in records:
            letter = DeadLetter.of(record)
            if letter is None:
                strangers += 1
            else:
                found[letter.identity] = letter
    for letter in list(found.values()):
        before = found.get(letter.replay_of or "")
        if before is not None and before.fingerprint == letter.fingerprint:
            del found[before.identity]
    return Letters(
        sorted(found.values(), key=lambda each: (each.died_at, each.place), reverse=True), strangers
    )


async def read_records(settings: Settings, chosen: Collection[DeadLetter]) -> AsyncGenerator[Record, None]:
    """The letters as they stand on `posts.dead`, in order of arrival; raises as `read_letters` does."""
    places = {letter.place for letter in chosen}
    async with aclosing(_records(settings)) as records:
        async for record in records:
            if (record.partition, record.offset) in places:
                yield record


async def _records(settings: Settings) -> AsyncGenerator[Record, None]:
    async with TopicReader(settings, settings.topic("posts.dead"), from_beginning=True) as topic:
        async for record in topic.until_now():
            yield record


async def replay_letters(settings: Settings, chosen: Collection[DeadLetter]) -> AsyncGenerator[int, None]:
    """Put records back on `posts`; yields how many more are there, once Kafka has acknowledged them.

    Raises:
        BrokerUnavailableError: not all were acknowledged; putting one back twice does no harm.
        InvalidMessageError: `posts` takes no record as large as one of them; stage `publish`.
    """
    waiting: list[Message] = []
    async with Publisher(settings) as publisher, aclosing(read_records(settings, chosen)) as records:
        async for record in records:
            waiting.append(replay(record))
            if len(waiting) == REPLAYED_AT_ONCE:
                await publisher.send_all(settings.topic("posts"), waiting)
                yield len(waiting)
                waiting = []
        await publisher.send_all(settings.topic("posts"), waiting)
        yield len(waiting)
