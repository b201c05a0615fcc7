"""Knows what was acknowledged, reads what came out, and judges it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar

from sqlalchemy import Column, func, select

from mmsent.broker import OffsetReader, Record, TopicReader
from mmsent.dead_letters import DeadLetter
from mmsent.errors import BrokerUnavailableError
from mmsent.settings import Settings
from mmsent.store.schema import open_engine
from mmsent.store.tables import outbox, posts, progress, rollups
from tests.chaos.answers import judge_answers
from tests.chaos.judgement import (
    Findings,
    Place,
    Row,
    judge_dead,
    judge_offsets,
    judge_rollups,
    judge_rows,
    judge_scores,
)
from tests.chaos.truth import Fact, Sent, expected_rows

T = TypeVar("T")

WATCH_S = 1.0
BROKER_WITHIN_S = 90.0
RANK = (posts.c.post_id, posts.c.version, posts.c.deleted)
ALL = [column for column in posts.c if not column.name.startswith("previous_")]


class Checker:
    """Reads past the proxy, from Kafka and PostgreSQL themselves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._facts: dict[bytes, Fact] = {}
        self._acknowledged: set[bytes] = set()
        self._standing: dict[Place, bytes] = {}  # what is on `posts`
        self._announced: set[tuple[str, int, bool]] = set()
        self._dead: dict[Place, str] = {}
        self._committed: dict[int, int] = {}
        self._rewinds = 0
        self._engine = open_engine(settings.database_url)
        self.dead_letters = 0  # records on `posts.dead`, repeats included
        self.findings = Findings()  # of the watch over offsets

    async def __aenter__(self) -> Self:
        self._offsets = await OffsetReader(self._settings).__aenter__()
        self._topics: list[tuple[TopicReader, Callable[[Record], None]]] = []
        topic = self._settings.topic
        for name, note in (
            (topic("posts"), self._note_post),
            (topic("scores"), self._note_score),
            (topic("posts.dead"), self._note_dead),
        ):
            reader = TopicReader(self._settings, name, from_beginning=True)
            self._topics.append((await reader.__aenter__(), note))
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        for reader, _note in self._topics:
            await reader.__aexit__()
        await self._offsets.__aexit__()
        self._engine.dispose()

    def know(self, messages: Sequence[Sent]) -> None:
        """These are about to be sent."""
        self._facts |= {message.value: message.fact for message in messages}

    def acknowledge(self, messages: Sequence[Sent]) -> None:
        """Kafka has said that it has them."""
        self._acknowledged |= {message.value for message in messages}

    @property
    def acknowledged(self) -> int:
        return len(self._acknowledged)

    @property
    def records(self) -> int:
        """On `posts` when it was last read, repeats included."""
        return len(self._standing)

    @property
    def committed_records(self) -> int:
        """When that was last seen."""
        return sum(self._committed.values())

    async def ends(self) -> dict[int, int]:
        return await self._patiently(lambda: self._offsets.end_offsets(self._settings.topic("posts")))

    async def committed(self) -> dict[int, int]:
        return await self._patiently(lambda: self._offsets.committed_offsets(self._settings.topic("posts")))

    async def until_committed(self, ends: dict[int, int], within_s: float) -> float:
        """Until everything below `ends` is committed; when that was seen. I6.

        Raises:
            AssertionError: it takes longer.
        """
        deadline = time.monotonic() + within_s
        while True:
            committed = await self.committed()
            if all(committed[number] >= end for number, end in ends.items()):
                return time.monotonic()
            behind = {number: end - committed[number] for number, end in ends.items()}
            assert time.monotonic() < deadline, f"not committed after {within_s:g} s, still to come: {behind}"
            await asyncio.sleep(0.1)

    async def until_quiet(self, within_s: float) -> None:
        """Nothing is sent any more: until the workers, and the outbox behind them, have nothing to do."""
        ends = await self.ends()
        await self.until_committed(ends, within_s)
        deadline = time.monotonic() + within_s
        while await asyncio.to_thread(self._unsettled, ends):
            assert time.monotonic() < deadline, f"outbox or progress not settled after {within_s:g} s"
            await asyncio.sleep(0.2)

    def _unsettled(self, ends: dict[int, int]) -> bool:
        with self._engine.connect() as connection:
            waiting = connection.scalar(select(func.count()).select_from(outbox))
            reached = {
                row.partition: row.next_offset
                for row in connection.execute(select(progress.c.partition, progress.c.next_offset))
            }
        return bool(waiting) or any(reached.get(number) != end for number, end in ends.items())

    async def check_committed(self) -> Findings:
        """I5: whatever stands below a committed offset has reached its end, at this very moment."""
        committed = await self.committed()
        await self._read_topics()
        rows, _ = await asyncio.to_thread(self._rows, RANK)
        return await asyncio.to_thread(self._judge_committed, committed, rows)  # the picture host goes on

    def _judge_committed(self, committed: dict[int, int], rows: Sequence[Row]) -> Findings:
        facts = {
            place: self._facts[value]
            for place, value in self._standing.items()
            if place[1] < committed[place[0]]
        }
        found = judge_rows(expected_rows(facts.values()), rows, exact=False)
        found += judge_dead(facts, self._dead, exact=False)
        return found

    async def check_all(self) -> Findings:
        """I1–I5, I8 and I9, and the dead letters, once `until_quiet`."""
        stub = self._settings.engine == "stub"
        await self._read_topics()
        rows, kept = await asyncio.to_thread(self._rows, ALL)
        facts = {place: self._facts[value] for place, value in self._standing.items()}
        missing = self._acknowledged - set(self._standing.values())
        found = Findings(lost=[f"acknowledged, but not on Kafka: {value[:80]!r}" for value in missing])
        expected = expected_rows(self._facts[value] for value in self._acknowledged)
        found += judge_rows(expected, rows, exact=True, stub=stub)
        if not stub:
            found += await judge_answers(rows, self._settings)
        found += judge_rollups(rows, kept)
        found += judge_dead(facts, self._dead, exact=True)
        found += judge_scores(rows, self._announced)
        found += self.findings
        return found

    def expect_rewind(self) -> None:
        """Offsets may be lower when they are seen next; what is being asked for now says nothing."""
        self._committed = {}
        self._rewinds += 1

    def note_committed(self, offsets: dict[int, int]) -> None:
        self.findings += judge_offsets(self._committed, offsets)
        self._committed = offsets

    async def _watch(self) -> None:
        while True:
            with suppress(BrokerUnavailableError):
                rewinds = self._rewinds
                offsets = await self._offsets.committed_offsets(self._settings.topic("posts"))
                if rewinds == self._rewinds:
                    self.note_committed(offsets)
            await asyncio.sleep(WATCH_S)

    def _rows(self, columns: Sequence[Column[Any]]) -> tuple[list[Row], list[Row]]:
        """Posts and rollups as of one moment."""
        with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            return (
                [dict(row) for row in connection.execute(select(*columns)).mappings()],
                [dict(row) for row in connection.execute(select(rollups)).mappings()],
            )

    async def _read_topics(self) -> None:
        for reader, note in self._topics:
            await self._patiently(partial(_read, reader, note))

    def _note_post(self, record: Record) -> None:
        self._standing[record.partition, record.offset] = record.value or b""

    def _note_score(self, record: Record) -> None:
        said = json.loads(record.value or b"")
        self._announced.add((said["post_id"], said["version"], said["op"] == "delete"))

    def _note_dead(self, record: Record) -> None:
        letter = DeadLetter.of(record)
        assert letter is not None, f"{record} is no dead letter"
        place = letter.partition, letter.offset
        self._dead[place] = letter.stage
        self.dead_letters += 1
        if record.value != self._standing.get(place, record.value):
            self.findings.wrong.append(f"the dead letter of {place} is not what stood there")

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The broker may still be on its way up."""
        deadline = time.monotonic() + BROKER_WITHIN_S
        while True:
            try:
                return await ask()
            except BrokerUnavailableError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)


async def _read(reader: TopicReader, note: Callable[[Record], None]) -> None:
    async for record in reader.until_now():
        note(record)
