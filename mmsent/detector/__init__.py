"""The one place where alerts are found, whatever the number of workers.

Each worker runs a `Detector`. A round is: look, cheaply, whether there is anything to do; take new conflicts,
revise alerts and move the watermark, in short transactions that only one detector at a time is in; then
publish the outbox, which also holds the deletes that `scores` is to announce.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

import structlog
from sqlalchemy import Row, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mmsent.alerts import ConflictEvidence, ConflictWindow, conflict_alert, group_conflicts
from mmsent.detector.publishing import Outbox, Publish
from mmsent.detector.rows import (
    DETECT_LOCK,
    changed_alerts,
    count_posts,
    due,
    evidence,
    keep_revisions,
    keep_watermark,
    mark_changed,
    take_conflicts,
    try_lock,
)
from mmsent.errors import UnavailableError
from mmsent.posts import Alert
from mmsent.settings import Settings
from mmsent.store.tables import alerts, detector, outbox, pending_conflicts, progress
from mmsent.store.writes import Store
from mmsent.trends import Watermark

MAX_CONFLICTS = 1000  # taken in one transaction
MAX_REVISIONS = 250  # made in one transaction
MAX_TRANSACTIONS = 20  # before the outbox has its turn
FLUSH_ATTEMPTS = 10
FLUSH_PAUSE_S = 0.1

EndOffsets = Callable[[], Awaitable[Mapping[int, int]]]

_log = structlog.get_logger(__name__)


@dataclass
class DetectorCounters:
    """Since the start of this process."""

    conflicts: int = 0  # taken
    revisions: int = 0  # made, of alerts
    failures: int = 0  # rounds cut short by a system that was down


@dataclass(frozen=True)
class _Glance:
    """What there is to do."""

    conflicts: bool
    revisions: bool
    records: bool
    watermark: datetime | None
    progress: dict[int, int]
    shared: bool  # several transactions may write at once: PostgreSQL


class Detector:
    """Finds alerts, moves the watermark and empties the outbox.

    Args:
        publish: sends one record to a Kafka topic, which is named with its prefix.
        end_offsets: the broker's end offsets of `posts` by partition; raises `BrokerUnavailableError`.
        now: wall clock, UTC.
        threshold: conflict from which posts are flagged, told in `why`; by default the setting.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        publish: Publish,
        end_offsets: EndOffsets,
        now: Callable[[], datetime],
        *,
        threshold: float | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._end_offsets = end_offsets
        self._now = now
        self._threshold = settings.conflict_threshold if threshold is None else threshold
        self._watermark = Watermark(timedelta(seconds=settings.lateness_s))
        self._outbox = Outbox(store, publish, settings.topic_prefix)
        self.counters = DetectorCounters()

    @property
    def watermark(self) -> datetime | None:
        """Minutes that end by then are complete; None as long as none is known to be."""
        return self._watermark.value

    @property
    def published(self) -> int:
        """Records of the outbox that Kafka has taken from this process."""
        return self._outbox.published

    async def run(self) -> NoReturn:
        """Rounds for ever, `detector_interval_s` apart; a system that is down ends a round, not the loop."""
        down = False
        while True:
            try:
                await self.tick()
            except UnavailableError as error:
                self.counters.failures += 1
                if not down:
                    _log.warning("detector_waits", error=str(error))
                down = True
            else:
                if down:
                    _log.info("detector_goes_on")
                down = False
            await asyncio.sleep(self._settings.detector_interval_s)

    async def flush(self) -> None:
        """The last round, once nothing more will be written: every change becomes a revision now.

        Raises:
            UnavailableError: database or broker is down; what is left stays in the database.
        """
        for _ in range(FLUSH_ATTEMPTS):
            if await self.tick(final=True):
                return
            await asyncio.sleep(FLUSH_PAUSE_S)

    async def tick(self, *, final: bool = False) -> bool:
        """One round; `final` revises changed alerts however short ago they were revised.

        Returns:
            Whether all was done; False where another detector is at it.

        Raises:
            UnavailableError: database or broker is down; without a broker, alerts still reach the outbox.
        """
        glance = await self._glance(final=final)
        self._watermark.adopt(glance.watermark)
        self._watermark.advance(glance.progress)
        found = glance.conflicts or glance.revisions or self._watermark.value != glance.watermark
        done = await self._detect(final=final) if found else True
        if found or glance.records:
            done = await self._outbox.empty(shared=glance.shared) and done
        await self._observe(glance.progress)
        return done

    async def _glance(self, *, final: bool) -> _Glance:
        condition = due(self._now(), self._settings.alert_revision_interval_s, final=final)
        questions = select(
            exists(select(pending_conflicts.c.post_id)),
            exists(select(alerts.c.alert_id).where(condition)),
            exists(select(outbox.c.id)),
            select(detector.c.watermark).where(detector.c.id == 1).scalar_subquery(),
        )
        async with self._store.reading() as connection:
            conflicts, revisions, records, watermark = (await connection.execute(questions)).one()
            rows = await connection.execute(select(progress.c.partition, progress.c.next_offset))
            progressed = {row.partition: row.next_offset for row in rows}
            shared = connection.dialect.name != "sqlite"
        return _Glance(conflicts, revisions, records, watermark, progressed, shared)

    async def _observe(self, progressed: Mapping[int, int]) -> None:
        taken_at = self._now()
        if self._watermark.wants_snapshot(taken_at):
            self._watermark.observe(taken_at, await self._end_offsets(), progressed)

    async def _detect(self, *, final: bool) -> bool:
        """Turn what is new into revisions; False where another detector is at it."""
        for _ in range(MAX_TRANSACTIONS):
            async with self._store.transaction() as connection:
                if not await try_lock(connection, DETECT_LOCK):
                    return False
                now = self._now()
                taken = await self._count_conflicts(connection, now)
                revised = await self._revise(connection, now, final=final)
                await keep_watermark(connection, self._watermark.value, now)
            self.counters.conflicts += taken
            self.counters.revisions += revised
            if taken < MAX_CONFLICTS and revised < MAX_REVISIONS:
                break
        return True

    async def _count_conflicts(self, connection: AsyncConnection, now: datetime) -> int:
        conflicts = await take_conflicts(connection, MAX_CONFLICTS)
        grouped = group_conflicts(conflicts, self._settings.conflict_cooldown_s)
        changed = await count_posts(connection, grouped)
        await mark_changed(connection, (window for window in grouped if window.alert_id in changed), now)
        return len(conflicts)

    async def _revise(self, connection: AsyncConnection, now: datetime, *, final: bool) -> int:
        condition = due(now, self._settings.alert_revision_interval_s, final=final)
        rows = await changed_alerts(connection, condition, MAX_REVISIONS)
        known = await evidence(connection, [row.alert_id for row in rows])
        await keep_revisions(connection, [self._alert(row, known[row.alert_id]) for row in rows], now)
        return len(rows)

    def _alert(self, row: Row[Any], known: ConflictEvidence) -> Alert:
        return conflict_alert(
            ConflictWindow(row.alert_id, row.topic, row.window_start, row.window_end),
            known,
            revision=row.revision + 1,
            created_at=row.created_at,
            threshold=self._threshold,
        )
