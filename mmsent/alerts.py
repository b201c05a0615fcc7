"""The rules that raise alerts: what was seen → the alert to publish. Pure.

**Conflict.** Posts of one topic whose words and picture disagree, created in the same cool-down window, are
one alert. Its id depends on kind, topic and window alone and each post counts once, so that order, repetition
and the number of workers change neither ids nor counts. A topic's first conflict is revision 0; later ones
raise `count` in later revisions. An alert tells what was seen and never shrinks: a post that is deleted,
or whose new version no longer disagrees, stays counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import log2

from mmsent.posts import Alert, Window
from mmsent.trends import window_bounds, window_index

ALL_TOPICS = "all"
MAX_ALERT_POSTS = 10
_FULL_COUNT = 1023  # expected posts from which more of them make an alert no more severe


@dataclass(frozen=True)
class Conflict:
    """A post that has just become flagged; `topics` are the tracked ones that match it."""

    post_id: str
    topics: tuple[str, ...]
    created_at: datetime
    conflict: float


@dataclass(frozen=True)
class ConflictWindow:
    """What one alert speaks of: a topic (`all` = no tracked topic) and a window, end excluded."""

    alert_id: str
    topic: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class ConflictEvidence:
    """What is known of a conflict window.

    `count`, `mean` and `highest` are of the posts counted once each, `posts` the ids of those that disagree
    most. `topic_posts` and `topic_flagged` are what the minute counts say now of the topic in the window; for
    `all` that is every post, tracked or not.
    """

    count: int
    mean: float
    highest: float
    posts: tuple[str, ...]
    topic_posts: int
    topic_flagged: int


def alert_id(kind: str, topic: str, time: datetime, cooldown: timedelta) -> str:
    """32 hexadecimal digits of SHA-256 over kind, topic and floor(time / cool-down)."""
    parts = (kind, topic, str(window_index(time, cooldown)))
    return sha256("\x00".join(parts).encode()).hexdigest()[:32]


def conflict_alert_id(topic: str, created_at: datetime, cooldown_s: int) -> str:
    """The id of the alert that a conflict of `topic` belongs to; `created_at` is the post's."""
    return alert_id("conflict", topic, created_at, timedelta(seconds=cooldown_s))


def conflict_windows(conflict: Conflict, cooldown_s: int) -> tuple[ConflictWindow, ...]:
    """The alerts that a post counts in: one for each tracked topic, or the one of `all`."""
    length = timedelta(seconds=cooldown_s)
    start, end = window_bounds(window_index(conflict.created_at, length), length)
    topics = sorted(set(conflict.topics)) or [ALL_TOPICS]
    return tuple(
        ConflictWindow(conflict_alert_id(topic, conflict.created_at, cooldown_s), topic, start, end)
        for topic in topics
    )


def group_conflicts(conflicts: Iterable[Conflict], cooldown_s: int) -> dict[ConflictWindow, dict[str, float]]:
    """Post ids and their conflict by alert. Of several versions of one post the highest conflict counts."""
    grouped: dict[ConflictWindow, dict[str, float]] = {}
    for conflict in conflicts:
        for window in conflict_windows(conflict, cooldown_s):
            posts = grouped.setdefault(window, {})
            posts[conflict.post_id] = max(conflict.conflict, posts.get(conflict.post_id, 0.0))
    return grouped


def severity(count: int, mean_conflict: float) -> int:
    """1 … 10 from how many posts truly disagree, as far as one can tell; more of either never lowers it.

    Conflict is the probability of it, so count · mean posts are expected to. 1 + ⌊9 · log₂(1 + expected) /
    10⌋: each doubling weighs the same, 1,023 are a 10, one is a 1.
    """
    expected = max(count, 0) * min(max(mean_conflict, 0.0), 1.0)
    return 1 + int(9 * log2(1 + min(expected, _FULL_COUNT)) / log2(1 + _FULL_COUNT))


def conflict_title(topic: str, count: int) -> str:
    """One sentence for people, without any post's text."""
    posts = "1 post" if count == 1 else f"{count:,} posts"
    where = "outside the tracked topics" if topic == ALL_TOPICS else f"about {topic}"
    return f"Words and picture disagree in {posts} {where}"


def conflict_alert(
    window: ConflictWindow,
    evidence: ConflictEvidence,
    *,
    revision: int,
    created_at: datetime,
    threshold: float | None = None,
) -> Alert:
    """The alert as it is published; `created_at` is when it was first raised, the same in each revision."""
    why: dict[str, float | int] = {
        "mean_conflict": round(evidence.mean, 4),
        "highest_conflict": round(evidence.highest, 4),
        "topic_posts": evidence.topic_posts,
        "topic_flagged": evidence.topic_flagged,
    }
    if evidence.topic_posts > 0:
        why["flagged_share"] = round(evidence.topic_flagged / evidence.topic_posts, 4)
    if threshold is not None:
        why["threshold"] = threshold
    return Alert(
        alert_id=window.alert_id,
        revision=revision,
        kind="conflict",
        severity=severity(evidence.count, evidence.mean),
        created_at=created_at,
        topic=window.topic,
        title=conflict_title(window.topic, evidence.count),
        count=evidence.count,
        window=Window(start=window.start, end=window.end),
        why=why,
        posts=evidence.posts[:MAX_ALERT_POSTS],
    )
