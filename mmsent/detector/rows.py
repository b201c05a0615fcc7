"""What the detector's transactions say to the database, about alerts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from mmsent.alerts import MAX_ALERT_POSTS, Conflict, ConflictEvidence, ConflictWindow
from mmsent.posts import Alert
from mmsent.store.schema import insert_into
from mmsent.store.tables import alert_posts, alerts, detector, outbox, pending_conflicts, rollups

_LOCKS = 0x6D6D_7365  # class of PostgreSQL's two-number advisory locks
DETECT_LOCK, PUBLISH_LOCK = 1, 2

_NEVER_PUBLISHED = -1


async def try_lock(connection: AsyncConnection, lock: int) -> bool:
    """Whether this transaction holds `lock` until it ends; on SQLite it holds the whole database."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(await connection.scalar(select(func.pg_try_advisory_xact_lock(_LOCKS, lock))))


def due(now: datetime, interval_s: float, *, final: bool) -> ColumnElement[bool]:
    """Alerts to revise: changed, and not revised within the interval, by a clock that may have been set."""
    if final:
        return alerts.c.changed
    interval = timedelta(seconds=interval_s)
    earlier, later = alerts.c.revised_at <= now - interval, alerts.c.revised_at >= now + interval
    return and_(alerts.c.changed, or_(alerts.c.revised_at.is_(None), earlier, later))


async def changed_alerts(
    connection: AsyncConnection, condition: ColumnElement[bool], limit: int
) -> Sequence[Row[Any]]:
    chosen = select(alerts).where(condition).order_by(alerts.c.created_at, alerts.c.alert_id)
    return (await connection.execute(chosen.limit(limit))).all()


async def take_conflicts(connection: AsyncConnection, limit: int) -> list[Conflict]:
    """Remove up to `limit` new conflicts, of whatever order."""
    key = tuple_(pending_conflicts.c.post_id, pending_conflicts.c.version)
    chosen = select(*pending_conflicts.primary_key).limit(limit).with_for_update(skip_locked=True)
    taken = delete(pending_conflicts).where(key.in_(chosen)).returning(pending_conflicts)
    return [
        Conflict(row.post_id, tuple(row.topics), row.created_at, row.conflict)
        for row in await connection.execute(taken)
    ]


async def count_posts(
    connection: AsyncConnection, grouped: Mapping[ConflictWindow, Mapping[str, float]]
) -> set[str]:
    """Ids of the alerts that gained a post, or a higher conflict of one."""
    rows = [
        {"alert_id": window.alert_id, "post_id": post_id, "conflict": conflict}
        for window, posts in grouped.items()
        for post_id, conflict in posts.items()
    ]
    if not rows:
        return set()
    statement = insert_into(connection, alert_posts)
    highest = statement.on_conflict_do_update(
        index_elements=list(alert_posts.primary_key),
        set_={"conflict": statement.excluded.conflict},
        where=alert_posts.c.conflict < statement.excluded.conflict,
    )
    return set(await connection.scalars(highest.returning(alert_posts.c.alert_id), rows))


async def mark_changed(connection: AsyncConnection, windows: Iterable[ConflictWindow], now: datetime) -> None:
    """Note that these alerts await a revision; new ones await their first."""
    rows = [_unpublished(window, now) for window in windows]
    if rows:
        statement = insert_into(connection, alerts)
        marked = statement.on_conflict_do_update(
            index_elements=[alerts.c.alert_id], set_={"changed": statement.excluded.changed}
        )
        await connection.execute(marked, rows)


def _unpublished(window: ConflictWindow, now: datetime) -> dict[str, Any]:
    return {
        "alert_id": window.alert_id,
        "revision": _NEVER_PUBLISHED,
        "kind": "conflict",
        "topic": window.topic,
        "severity": 1,
        "state": "open",
        "title": "",
        "count": 0,
        "created_at": now,
        "window_start": window.start,
        "window_end": window.end,
        "why": {},
        "changed": True,
    }


async def evidence(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, ConflictEvidence]:
    """What is known of each of these alerts."""
    if not ids:
        return {}
    counted = {row.alert_id: row for row in await connection.execute(_counted(ids))}
    of_topic = {row.alert_id: row for row in await connection.execute(_of_topic(ids))}
    strongest = {each: tuple(await connection.scalars(_strongest(each))) for each in ids}
    return {
        each: ConflictEvidence(
            count=counted[each].posts,
            mean=counted[each].mean,
            highest=counted[each].highest,
            posts=strongest[each],
            topic_posts=of_topic[each].posts,
            topic_flagged=of_topic[each].flagged,
        )
        for each in ids
    }


def _counted(ids: Sequence[str]) -> Select[Any]:
    conflict = alert_posts.c.conflict
    return (
        select(
            alert_posts.c.alert_id,
            func.count().label("posts"),
            func.avg(conflict).label("mean"),
            func.max(conflict).label("highest"),
        )
        .where(alert_posts.c.alert_id.in_(ids))
        .group_by(alert_posts.c.alert_id)
    )


def _strongest(alert_id: str) -> Select[Any]:
    """The posts that disagree most, ties in order of id."""
    order = (alert_posts.c.conflict.desc(), alert_posts.c.post_id)
    return (
        select(alert_posts.c.post_id)
        .where(alert_posts.c.alert_id == alert_id)
        .order_by(*order)
        .limit(MAX_ALERT_POSTS)
    )


def _of_topic(ids: Sequence[str]) -> Select[Any]:
    """The minute counts of each alert's topic in its window."""
    within = and_(
        rollups.c.topic == alerts.c.topic,
        rollups.c.minute >= alerts.c.window_start,
        rollups.c.minute < alerts.c.window_end,
    )
    return (
        select(
            alerts.c.alert_id,
            func.coalesce(func.sum(rollups.c.posts), 0).label("posts"),
            func.coalesce(func.sum(rollups.c.flagged), 0).label("flagged"),
        )
        .select_from(alerts.outerjoin(rollups, within))
        .where(alerts.c.alert_id.in_(ids))
        .group_by(alerts.c.alert_id)
    )


async def keep_revisions(connection: AsyncConnection, revised: Sequence[Alert], now: datetime) -> None:
    """Each alert's row holds its last revision, and the outbox the one to publish."""
    if not revised:
        return
    names = ("revision", "severity", "title", "count", "why", "state")
    rows = [
        {"key": alert.alert_id} | {f"new_{name}": getattr(alert, name) for name in names} for alert in revised
    ]
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    revision = update(alerts).where(alerts.c.alert_id == bindparam("key"))
    await connection.execute(revision.values(**values, changed=False, revised_at=now), rows)
    records = [
        {"topic": "alerts", "key": alert.alert_id, "value": alert.model_dump_json()} for alert in revised
    ]
    await connection.execute(insert(outbox), records)


async def keep_watermark(connection: AsyncConnection, value: datetime | None, now: datetime) -> None:
    """Move the stored watermark forward, never back."""
    if value is None:
        return
    statement = insert_into(connection, detector).values(id=1, watermark=value, updated_at=now)
    new = statement.excluded
    forward = statement.on_conflict_do_update(
        index_elements=[detector.c.id],
        set_={"watermark": new.watermark, "updated_at": new.updated_at},
        where=detector.c.watermark < new.watermark,
    )
    await connection.execute(forward)
