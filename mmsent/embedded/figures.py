"""What a demo counts: its own posts, whatever earlier runs left in the data folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from mmsent.store.reads import Counts, Reader
from mmsent.store.schema import database_errors, open_engine
from mmsent.store.tables import alerts, outbox, pending_conflicts, posts


@dataclass(frozen=True)
class Figures:
    """Of this run so far: `posts` were published, `lag` of them wait to be committed."""

    posts: int
    scored: int
    flagged: int
    dead: int
    lag: int
    posts_per_s: float

    def line(self) -> str:
        """For the terminal."""
        dead = f"{self.dead:,} dead · " if self.dead else ""
        return (
            f"{self.posts:,} in · {self.scored:,} scored · {self.flagged:,} flagged · "
            f"{dead}lag {self.lag:,} · {self.posts_per_s:,.0f} posts/s"
        )


@dataclass(frozen=True)
class Summary:
    """What a run came to. `unchanged` messages changed no row: repeats, old versions, deletes."""

    posts: int
    scored: int
    unscored: int
    flagged: int
    dead: int
    unchanged: int
    lag: int
    seconds: float
    posts_per_s: float
    start_up_s: float
    peak_memory_mib: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def lines(self) -> list[str]:
        """For people."""
        notes = {
            "unscored": "no content, or a language the model does not know",
            "unchanged": "repeats, older versions and deletes",
            "lag": "published, but not committed when the run ended",
            "peak_memory_mib": "of the worker",
        }
        shown = {name: value for name, value in self.as_json().items() if value or name not in notes}
        return [
            f"{name.replace('_', ' '):<16} {value:>10,.10g}" + (f"   {notes[name]}" if name in notes else "")
            for name, value in shown.items()
        ]


class Counter:
    """Counts one run in a database that may hold others; `started` is when the run began."""

    def __init__(self, database_url: str, started: datetime) -> None:
        self._started = started
        self._reader = Reader(database_url)
        self._engine = open_engine(database_url)
        self._before = self._reader.totals()

    def close(self) -> None:
        self._reader.close()
        self._engine.dispose()

    def gained(self) -> Counts:
        """By how much the counts of all posts have grown; quick."""
        after = self._reader.totals()
        names = Counts.__dataclass_fields__
        return Counts(**{name: getattr(after, name) - getattr(self._before, name) for name in names})

    def written(self) -> tuple[int, int, int]:
        """Rows written by this run: scored, unscored, flagged. Reads the whole table."""
        query = select(
            _count(posts.c.fused.is_not(None)), _count(posts.c.fused.is_(None)), _count(posts.c.flagged)
        ).where(posts.c.scored_at >= self._started, ~posts.c.deleted)
        with database_errors(), self._engine.connect() as connection:
            scored, unscored, flagged = connection.execute(query).one()
        return int(scored), int(unscored), int(flagged)

    def alerts_are_out(self) -> bool:
        """Whether the detector has nothing left to find or publish."""
        waiting = (
            select(func.count()).select_from(pending_conflicts),
            select(func.count()).select_from(outbox),
            select(func.count()).select_from(alerts).where(alerts.c.changed),
        )
        with database_errors(), self._engine.connect() as connection:
            return not any(connection.execute(query).scalar_one() for query in waiting)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def lag(ends: Mapping[int, int], committed: Mapping[int, int]) -> int:
    """Records on a topic that are not committed."""
    return sum(end - committed.get(partition, 0) for partition, end in ends.items())
