"""What a run without faults says of the same posts: I8, whatever the engine."""

from collections.abc import Iterable, Mapping
from typing import Any

from mmsent.posts import Opinion, Post, ScoredPost
from mmsent.scoring import score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost
from tests.chaos.judgement import Findings, Row

TOLERANCE = 1e-3  # of a probability: what neighbours in a batch may change, see mmsent.engine.base.Engine


async def judge_answers(rows: Iterable[Row], settings: Settings) -> Findings:
    """Score every post that stands in `rows` again, by `mmsent score`'s own code; they must agree."""
    alive = [row for row in rows if not row["deleted"]]
    found = Findings()
    again = score_posts((FilePost(_post(row)) for row in alive), settings)
    for row in alive:
        answer = await anext(again)
        assert answer.post_id == row["post_id"]
        found.wrong += _differences(row, answer)
    await again.aclose()
    return found


def _post(row: Row) -> Post:
    names = ("post_id", "version", "source", "created_at", "lang", "text", "images")
    return Post.model_validate({name: row[name] for name in names})


def _differences(row: Row, answer: ScoredPost) -> list[str]:
    """Without its picture, whose host may have been slow, only the words can be compared."""
    pairs = [("text_opinion", _values(row["text_opinion"]), _values(answer.text))]
    if not row["image_errors"]:
        pairs += [
            ("image_opinion", _values(row["image_opinion"]), _values(answer.image)),
            ("fused", _values(row["fused"]), _values(answer.fused)),
            ("conflict", _values({"conflict": row["conflict"]}), _values({"conflict": answer.conflict})),
        ]
    return [
        f"{row['post_id']}: {name} is {stored}, a run without faults says {right}"
        for name, stored, right in pairs
        if stored.keys() != right.keys() or any(abs(stored[key] - right[key]) > TOLERANCE for key in stored)
    ]


def _values(opinion: Opinion | Mapping[str, Any] | None) -> dict[str, float]:
    given = opinion.model_dump() if isinstance(opinion, Opinion) else opinion or {}
    return {name: value for name, value in given.items() if isinstance(value, float)}
