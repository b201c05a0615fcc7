"""How new the page is, and whether a person has to do something about it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.words import length, number
from mmsent.live import Heartbeat
from mmsent.store.reads import Freshness

STILL_S = 60  # nothing written for so long is worth a word


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the stream, and what to run."""

    text: str
    command: str


def lag(workers: Sequence[Heartbeat] | None) -> int | None:
    """Records that wait; None where no worker says."""
    said = [worker.lag for worker in workers or () if worker.lag is not None]
    return sum(said) if said else None


def workers_in_words(workers: Sequence[Heartbeat] | None) -> str:
    if workers is None:
        return "workers unknown"
    return number(len(workers), "worker") if workers else "no worker"


def lag_in_words(workers: Sequence[Heartbeat] | None) -> str | None:
    waiting = lag(workers)
    if waiting is None:
        return None
    return f"{number(waiting, 'post')} waiting" if waiting else "nothing waiting"


def trouble(freshness: Freshness, workers: Sequence[Heartbeat] | None, now: datetime) -> Trouble | None:
    """None while all is well; `workers` None = Redis does not say."""
    written = freshness.written_at
    still = now - written if written is not None and now - written > timedelta(seconds=STILL_S) else None
    if workers is not None and not workers:
        return Trouble("No worker is running: nothing new comes in.", "mmsent worker")
    if still is None:
        return None
    if workers is None:
        return Trouble(
            f"Nothing was written for {length(still)}, and Redis does not say whether a worker runs.",
            "mmsent doctor",
        )
    if waiting := lag(workers):
        return Trouble(
            f"{number(waiting, 'post')} waiting, but nothing was written for {length(still)}.",
            "mmsent doctor",
        )
    return None
