"""Messages as rows, without a database: what a post, a delete and a forget mean for `posts` and `rollups`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mmsent.posts import DeletePost, ForgetAuthor, Opinion, Post, ScoredDelete, ScoredPost
from mmsent.store.tables import posts, rollups

ROLLUP_KEY = tuple(column.name for column in rollups.primary_key)
MEASURES = ("posts", "positive", "neutral", "negative", "unscored", "flagged", "with_image")
CONTENT = tuple(column.name for column in posts.c if not column.name.startswith("previous_"))

Author = tuple[str, str]  # source, author
Row = Mapping[str, Any]


@dataclass(frozen=True)
class ScoredRow:
    """A post with its scores; `shard` is its Kafka partition, `thumbnail` a JPEG (kept only if flagged)."""

    scored: ScoredPost
    post: Post
    shard: int
    flagged: bool
    thumbnail: bytes | None

    @property
    def author(self) -> Author | None:
        return None if self.post.author is None else (self.scored.source, self.post.author)


@dataclass(frozen=True)
class Deletion:
    message: DeletePost


@dataclass(frozen=True)
class Forget:
    message: ForgetAuthor

    @property
    def author(self) -> Author:
        return self.message.source, self.message.author


Item = ScoredRow | Deletion | Forget


@dataclass(frozen=True)
class Outcome:
    """What became of one item. `announce` is what its row holds now; None if the item is older than that.

    A forget announces nothing itself: the deletes that it brings about go through `outbox`.
    """

    kind: Literal["written", "repeat", "stale"]
    announce: ScoredPost | ScoredDelete | None


@dataclass(frozen=True)
class Candidate:
    """A row that wants into `posts`, and how it is announced once it is there."""

    values: dict[str, Any]
    announce: ScoredPost | ScoredDelete

    @property
    def post_id(self) -> str:
        return self.announce.post_id

    @property
    def rank(self) -> tuple[int, bool]:
        return self.values["version"], self.values["deleted"]


def candidate(item: ScoredRow | Deletion, forgotten: Mapping[Author, datetime]) -> Candidate:
    """The row of one message; a tombstone if it deletes, or if its author was forgotten since."""
    if isinstance(item, Deletion):
        return tombstone(item.message.post_id, item.message.version, item.message.source)
    until = forgotten.get(item.author) if item.author else None
    if until is not None and item.scored.created_at <= until:
        return tombstone(item.scored.post_id, item.scored.version, item.scored.source)
    return Candidate(_contents(item), item.scored)


def tombstone(post_id: str, version: int, source: str) -> Candidate:
    """All that stays of a post that is gone, whichever way it went."""
    kept = {"post_id": post_id, "version": version, "source": source, "deleted": True}
    return Candidate(
        dict.fromkeys(CONTENT) | kept, ScoredDelete(post_id=post_id, version=version, source=source)
    )


def _contents(row: ScoredRow) -> dict[str, Any]:
    scored, post = row.scored, row.post
    return {
        "post_id": scored.post_id,
        "version": scored.version,
        "deleted": False,
        "source": scored.source,
        "author": post.author,
        "lang": post.lang or "und",
        "created_at": scored.created_at,
        "minute": scored.created_at.astimezone(UTC).replace(second=0, microsecond=0),
        "scored_at": scored.scored_at,
        "shard": row.shard,
        "text": post.text,
        "link": post.link,
        "tags": list(post.tags),
        "images": [image.model_dump() for image in post.images],
        "sensitive": post.sensitive,
        "topics": list(scored.topics),
        "model": scored.model,
        "label": scored.fused.label if scored.fused else None,
        "fused": _json(scored.fused),
        "text_opinion": _json(scored.text),
        "image_opinion": _json(scored.image),
        "conflict": scored.conflict,
        "weights": scored.weights.model_dump() if scored.weights else None,
        "flagged": row.flagged,
        "has_image": scored.image is not None,
        "image_errors": list(scored.image_errors),
        "unscored_reason": scored.unscored_reason,
        "thumbnail": row.thumbnail if row.flagged else None,
    }


def _json(opinion: Opinion | None) -> dict[str, Any] | None:
    return opinion.model_dump() if opinion else None


def announcement(row: Row) -> ScoredPost | ScoredDelete:
    """What `scores` says of a row of `posts`."""
    shared = {name: row[name] for name in ("post_id", "version", "source")}
    if row["deleted"]:
        return ScoredDelete(**shared)
    same = ("created_at", "scored_at", "model", "fused", "unscored_reason", "conflict", "weights")
    return ScoredPost(
        **shared,
        **{name: row[name] for name in same},
        text=row["text_opinion"],
        image=row["image_opinion"],
        image_errors=row["image_errors"],
        topics=row["topics"],
    )


def newest(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """The greatest (version, deleted) of each post, the first of equals, in order of post_id."""
    winners: dict[str, Candidate] = {}
    for each in candidates:
        if each.post_id not in winners or winners[each.post_id].rank < each.rank:
            winners[each.post_id] = each
    return dict(sorted(winners.items()))


def differences(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """What `rows` of `posts`, just written, change in `rollups`: new − previous, in order of the key."""
    changes: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        for prefix, sign in (("previous_", -1), ("", 1)):
            for key, measures in _counts(row, prefix):
                before = changes.get(key, [0] * len(MEASURES))
                changes[key] = [old + sign * measure for old, measure in zip(before, measures, strict=True)]
    return [
        dict(zip(ROLLUP_KEY + MEASURES, [*key, *changes[key]], strict=True))
        for key in sorted(changes)
        if any(changes[key])
    ]


def _counts(row: Row, prefix: str) -> Iterator[tuple[tuple[Any, ...], Sequence[int]]]:
    """(rollup key, measures) for each topic that the row counts under; nothing for a tombstone."""
    minute, label = row[f"{prefix}minute"], row[f"{prefix}label"]
    if minute is None:
        return
    labels = [label == "positive", label == "neutral", label == "negative", label is None]
    measures = [1, *map(int, labels), int(row[f"{prefix}flagged"]), int(row[f"{prefix}has_image"])]
    place = (row[f"{prefix}source"], row[f"{prefix}lang"], row[f"{prefix}shard"])
    for topic in {"all", *row[f"{prefix}topics"]}:
        yield (minute, topic, *place), measures


def outcome(own: Candidate, current: Candidate, *, written: bool) -> Outcome:
    """Where `own` stands beside what its row holds at the end of the transaction."""
    if written:
        return Outcome("written", current.announce)
    if own.values["version"] == current.values["version"]:
        return Outcome("repeat", current.announce)
    return Outcome("stale", None)
