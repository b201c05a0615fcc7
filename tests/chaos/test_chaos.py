"""The short form: eight faults under load; and that the checker can find what is wrong."""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from mmsent.posts import Post
from mmsent.scoring import score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost
from tests.chaos.answers import judge_answers
from tests.chaos.campaign import plan, run
from tests.chaos.checker import Checker
from tests.chaos.faults import FAULTS
from tests.chaos.judgement import Findings, judge_dead, judge_offsets, judge_rollups, judge_rows, judge_scores
from tests.chaos.report import markdown
from tests.chaos.stack import running
from tests.chaos.truth import LABELS, Bad, Delete, Expected, Forget, Generator, Upsert, expected_rows
from tests.services.servers import MissingServerError

SHORT = (
    "worker killed: before_commit",
    "worker killed: after_scores",
    "commit replies lost",
    "poison burst",
    "worker terminated",
    "PostgreSQL refusing",
    "Redis frozen",
    "Kafka killed",
)
START = datetime(2026, 11, 21, 10, tzinfo=UTC)
PICTURES = {label: f"http://127.0.0.1:9/{label}.jpg" for label in LABELS}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: PostgreSQL's socket lies in it."""
    with tempfile.TemporaryDirectory(prefix="mmsent-chaos-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.mark.timeout(900)  # two minutes on a quiet machine
async def test_nothing_is_lost_and_nothing_counts_twice(folder: Path) -> None:
    try:
        async with running(folder, seed=5, workers=2, rate=80, session_timeout_s=6) as stack:
            outcome = await run(stack, SHORT, seed=5, long=False)
            assert [event for event in outcome.events if not event.survived] == []
            assert not outcome.findings, outcome.findings
            assert outcome.figures["acknowledged"] > 1000
            assert outcome.figures["taken_again"] > 0  # else the faults did nothing
            assert "## What went wrong" not in markdown(outcome, command="", machine="", day="")
            await _the_checker_sees_what_is_doctored(stack.checker, stack.settings.database_url)
    except MissingServerError as error:
        if os.environ.get("MMSENT_TEST_SERVICES"):
            pytest.fail(f"MMSENT_TEST_SERVICES is set, but it {error}")
        pytest.skip(str(error))


async def _the_checker_sees_what_is_doctored(checker: Checker, database_url: str) -> None:
    """The real database, spoilt step by step."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))

    async def after(statement: str) -> Findings:
        with engine.begin() as connection:
            assert connection.execute(text(statement)).rowcount == 1
        return await checker.check_all()

    stale = await after(
        "UPDATE posts SET version = version - 1"
        " WHERE post_id = (SELECT min(post_id) FROM posts WHERE NOT deleted)"
    )
    assert len([line for line in stale.lost if "is at" in line]) == 1
    twice = await after("UPDATE rollups SET posts = posts + 1 WHERE ctid = (SELECT min(ctid) FROM rollups)")
    assert len(twice.duplicated) == 1
    gone = await after("DELETE FROM posts WHERE post_id = (SELECT min(post_id) FROM posts WHERE NOT deleted)")
    assert [line for line in gone.lost if "is at (-1" in line]
    engine.dispose()


def test_every_kind_comes_once_before_any_comes_again() -> None:
    names = plan(len(FAULTS) + 3, seed=1)
    assert set(names[: len(FAULTS)]) == set(FAULTS)
    assert names != plan(len(FAULTS) + 3, seed=2)
    assert set(SHORT) <= set(FAULTS)


def test_the_same_seed_tells_the_same() -> None:
    told = Generator(7, START, PICTURES).take(3000)
    assert told == Generator(7, START, PICTURES).take(3000)
    assert told != Generator(8, START, PICTURES).take(3000)
    assert {type(each.fact) for each in told} == {Upsert, Delete, Forget, Bad}
    assert len({each.value for each in told}) < len(told)  # repeats
    facts: dict[bytes, object] = {}
    assert all(facts.setdefault(each.value, each.fact) == each.fact for each in told)


def upsert(version: int = 0, author: str = "ann") -> Upsert:
    return Upsert("p", version, author, "positive", None, ("rain",))


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        ([upsert(1), upsert(0)], Expected(1, deleted=False, post=upsert(1))),
        ([upsert(1), Delete("p", 1)], Expected(1, deleted=True, post=None)),
        ([Delete("p", 1), upsert(1)], Expected(1, deleted=True, post=None)),
        ([Delete("p", 0), upsert(1)], Expected(1, deleted=False, post=upsert(1))),
        ([upsert(1), Forget("ann"), upsert(2)], Expected(2, deleted=True, post=None)),
        ([upsert(1), Forget("bob")], Expected(1, deleted=False, post=upsert(1))),
    ],
)
def test_what_is_expected_of_a_post(facts: list[Upsert | Delete | Forget], row: Expected) -> None:
    assert expected_rows(facts) == {"p": row}
    assert expected_rows(facts[::-1]) == {"p": row}


GOOD = {
    "post_id": "p",
    "version": 1,
    "deleted": False,
    "created_at": START,
    "source": "chaos",
    "lang": "en",
    "shard": 3,
    "author": "ann",
    "topics": ["rain"],
    "flagged": False,
    "fused": {"label": "positive"},
    "text_opinion": {"label": "positive"},
    "image_opinion": None,
    "image_errors": [],
}
COUNTS = {
    "posts": 1,
    "positive": 1,
    "neutral": 0,
    "negative": 0,
    "unscored": 0,
    "flagged": 0,
    "with_image": 0,
}
ROLLUPS = [
    {"minute": START, "topic": topic, "source": "chaos", "lang": "en", "shard": 3, **COUNTS}
    for topic in ("all", "rain")
]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, None),
        ({"version": 0}, "lost"),
        ({"version": 2}, "wrong"),
        ({"text_opinion": {"label": "negative"}}, "wrong"),
        ({"topics": []}, "wrong"),
        ({"image_opinion": {"label": "neutral"}}, "wrong"),
        ({"flagged": True}, "wrong"),
    ],
)
def test_a_wrong_row_is_seen(change: dict[str, object], kind: str | None) -> None:
    found = judge_rows({"p": Expected(1, deleted=False, post=upsert(1))}, [GOOD | change], exact=True)
    assert [name for name in ("lost", "duplicated", "wrong") if getattr(found, name)] == (
        [kind] if kind else []
    )


async def test_an_answer_unlike_that_of_a_run_without_faults_is_seen() -> None:
    settings = Settings(engine="stub")
    post = Post(post_id="p", source="chaos", created_at=START, lang="en", text="good sun")
    (answer,) = [scored async for scored in score_posts([FilePost(post)], settings)]
    assert answer.text is not None
    opinion = answer.text.model_dump()
    row = post.model_dump() | {
        "deleted": False,
        "text_opinion": opinion,
        "image_opinion": None,
        "fused": opinion,
        "conflict": None,
        "image_errors": [],
    }
    assert not await judge_answers([row], settings)
    other = opinion | {"positive": opinion["positive"] - 0.01, "negative": opinion["negative"] + 0.01}
    assert len((await judge_answers([row, row | {"text_opinion": other}], settings)).wrong) == 1
    assert (await judge_answers([row | {"fused": None}], settings)).wrong
    assert (await judge_answers([row | {"conflict": 0.5}], settings)).wrong
    assert not await judge_answers([row | {"conflict": 0.5, "image_errors": ["timeout"]}], settings)


def test_what_else_is_seen() -> None:
    expected = {"p": Expected(1, deleted=False, post=upsert(1))}
    assert judge_rows(expected, [], exact=False).lost
    assert judge_rows(expected, [GOOD, GOOD], exact=True).duplicated
    assert judge_rows({}, [GOOD], exact=True).wrong
    assert not judge_rows({}, [GOOD], exact=False)
    erased = {"p": Expected(1, deleted=True, post=None)}
    assert judge_rows(
        erased,
        [
            GOOD
            | {"deleted": True, "text": "still here"}
            | dict.fromkeys(("label", "thumbnail", "images", "minute"))
        ],
        exact=True,
    ).wrong
    assert not judge_rollups([GOOD], ROLLUPS)
    assert judge_rollups([GOOD], [ROLLUPS[0]]).lost
    assert judge_rollups([GOOD], [ROLLUPS[0], ROLLUPS[1] | {"posts": 2}]).duplicated
    assert judge_rollups([], ROLLUPS).duplicated
    assert not judge_scores([GOOD], {("p", 1, False)})
    assert judge_scores([GOOD], {("p", 0, False), ("p", 1, True)}).lost
    bad = {(0, 5): Bad("decode")}
    assert not judge_dead(bad, {(0, 5): "decode"}, exact=True)
    assert judge_dead(bad, {}, exact=False).lost
    assert judge_dead(bad, {(0, 5): "score"}, exact=True).wrong
    assert judge_dead({}, {(0, 5): "decode"}, exact=True).wrong
    assert not judge_offsets({0: 5}, {0: 5, 1: 2})
    assert judge_offsets({0: 5, 1: 2}, {0: 4, 1: 2}).wrong
