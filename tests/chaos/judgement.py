"""What is wrong with what came out. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mmsent.store.rows import MEASURES, ROLLUP_KEY
from tests.chaos.truth import Bad, Expected, Fact, Upsert

Place = tuple[int, int]  # partition, offset
Row = Mapping[str, Any]
OPPOSITES = {("positive", "negative"), ("negative", "positive")}
ERASED = ("text", "author", "label", "text_opinion", "image_opinion", "thumbnail", "images", "minute")


@dataclass
class Findings:
    """One line for each thing that is not as it must be."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.wrong)

    def __iadd__(self, other: "Findings") -> Self:
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.wrong += other.wrong
        return self

    def __str__(self) -> str:
        kinds = (("lost", self.lost), ("duplicated", self.duplicated), ("wrong", self.wrong))
        return "; ".join(f"{len(lines)} {kind}, e.g. {lines[:3]}" for kind, lines in kinds if lines)


def judge_rows(
    expected: Mapping[str, Expected], rows: Iterable[Row], *, exact: bool, stub: bool = True
) -> Findings:
    """I1–I3, and I8 of the `stub` engine, whose answers we know.

    Unless `exact`, rows may be newer than expected, or of posts that are not expected.
    """
    found = Findings()
    stored: dict[str, Row] = {}
    for row in rows:
        if row["post_id"] in stored:
            found.duplicated.append(f"{row['post_id']} has two rows")
        stored[row["post_id"]] = row
    for post_id, wanted in expected.items():
        stored_row = stored.get(post_id)
        rank = (stored_row["version"], stored_row["deleted"]) if stored_row else (-1, False)
        if rank < (wanted.version, wanted.deleted):
            found.lost.append(f"{post_id} is at {rank}, not {wanted.version, wanted.deleted}")
        elif exact and rank > (wanted.version, wanted.deleted):
            found.wrong.append(f"{post_id} is at {rank}, but only {wanted.version, wanted.deleted} was sent")
        elif exact and stored_row:
            found.wrong += _wrong_contents(stored_row, wanted.post, stub=stub)
    if exact:
        found.wrong += [f"nobody sent {post_id}" for post_id in stored.keys() - expected.keys()]
    return found


def _wrong_contents(row: Row, post: Upsert | None, *, stub: bool) -> list[str]:
    if post is None:
        return [f"{row['post_id']} is deleted and keeps its {name}" for name in ERASED if row[name]]
    picture = _label(row["image_opinion"])
    excused = picture is None and row["image_errors"]  # the host was slow, and that is said
    wanted_picture = None if excused else post.picture
    wanted: dict[str, Any] = {"topics": list(post.topics), "author": post.author}
    if stub:
        wanted |= {
            "text_opinion": post.label,
            "image_opinion": wanted_picture,
            "flagged": (post.label, wanted_picture) in OPPOSITES,
        }
    is_so = {"text_opinion": _label(row["text_opinion"]), "image_opinion": picture}
    return [
        f"{row['post_id']}: {name} is {is_so.get(name, row[name])}, not {value}"
        for name, value in wanted.items()
        if is_so.get(name, row[name]) != value
    ]


def _label(opinion: Mapping[str, Any] | None) -> Any:
    return opinion["label"] if opinion else None


def judge_rollups(rows: Iterable[Row], rollups: Iterable[Row]) -> Findings:
    """I4: counted again, from what the minute, label and so on derive from."""
    counted: dict[tuple[Any, ...], Counter[str]] = {}
    for row in rows:
        if row["deleted"]:
            continue
        minute = row["created_at"].replace(second=0, microsecond=0)
        measures = ["posts", _label(row["fused"]) or "unscored"]
        measures += ["flagged"] * row["flagged"] + ["with_image"] * (row["image_opinion"] is not None)
        for topic in {"all", *row["topics"]}:
            key = (minute, topic, row["source"], row["lang"], row["shard"])
            counted.setdefault(key, Counter()).update(measures)
    kept = {tuple(row[name] for name in ROLLUP_KEY): row for row in rollups}
    found = Findings()
    for key in counted.keys() | kept.keys():
        for name in MEASURES:
            own, theirs = counted.get(key, Counter())[name], kept[key][name] if key in kept else 0
            if own != theirs:
                where = found.duplicated if own < theirs else found.lost
                where.append(f"rollup {key}: {name} is {theirs}, a recount says {own}")
    return found


def judge_dead(facts: Mapping[Place, Fact], dead: Mapping[Place, str], *, exact: bool) -> Findings:
    """Exactly the bad records are on `posts.dead`, in the right stage; `dead` knows each once."""
    bad = {place: fact.stage for place, fact in facts.items() if isinstance(fact, Bad)}
    found = Findings()
    found.lost += [f"no dead letter for {place}" for place in bad.keys() - dead.keys()]
    found.wrong += [
        f"{place} died in {dead[place]}, not {bad[place]}"
        for place in bad.keys() & dead.keys()
        if dead[place] != bad[place]
    ]
    if exact:
        found.wrong += [f"{place} is dead and was good" for place in dead.keys() - bad.keys()]
    return found


def judge_scores(rows: Iterable[Row], announced: Collection[tuple[str, int, bool]]) -> Findings:
    """I9: what each row holds was on `scores` at least once."""
    held = {(row["post_id"], row["version"], row["deleted"]) for row in rows}
    return Findings(lost=[f"{each} was never on scores" for each in held if each not in announced])


def judge_offsets(before: Mapping[int, int], after: Mapping[int, int]) -> Findings:
    """I5, the half of it: what is committed never goes back."""
    return Findings(
        wrong=[
            f"partition {number} was committed to {offset} and is at {after.get(number, 0)}"
            for number, offset in before.items()
            if after.get(number, 0) < offset
        ]
    )
