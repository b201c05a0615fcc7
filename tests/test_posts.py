"""The JSON contracts: what is taken, what is refused and at which stage, what comes out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsent.errors import InvalidMessageError
from mmsent.posts import (
    SCHEMAS,
    DeletePost,
    ForgetAuthor,
    Opinion,
    Post,
    ScoredPost,
    clamp_created_at,
    json_schema,
    parse_message,
)

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
EXAMPLE = {
    "op": "upsert",
    "post_id": "at://did:plc:x/app.bsky.feed.post/3k",
    "version": 7,
    "source": "bluesky",
    "created_at": "2026-11-20T10:00:00Z",
    "author": "h:9f2c",
    "lang": "en",
    "text": "Lovely weather for a picnic",
    "images": [{"url": "https://example.org/a.jpg", "alt": "rain"}],
    "link": "https://example.org/p",
    "tags": ["picnic"],
    "sensitive": False,
}


def message(**changes: Any) -> bytes:
    return json.dumps({**EXAMPLE, **changes}).encode()


def test_the_three_messages() -> None:
    post = parse_message(message())
    assert isinstance(post, Post)
    assert post.created_at == NOW
    assert post.images[0].alt == "rain"
    delete = parse_message(b'{"op":"delete","post_id":"a","version":8,"source":"bluesky"}')
    assert delete == DeletePost(post_id="a", version=8, source="bluesky")
    forget = parse_message(
        b'{"op":"forget_author","author":"h:1","source":"x","created_at":"2026-11-20T11:00:00+01:00"}'
    )
    assert forget == ForgetAuthor(author="h:1", source="x", created_at=NOW)


def test_unknown_fields_are_ignored_and_json_round_trips() -> None:
    post = parse_message(message(reach=10_000))
    assert parse_message(post.to_json()) == post
    assert b"reach" not in post.to_json()


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"{",
        b"not json",
        b"[" * 100_000,
        b'{"version": NaN}',
        b'{"text": "\\ud800"}',
        message()[:-5],
    ],
)
def test_what_is_not_json_fails_at_decode(value: bytes | None) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        parse_message(value)
    assert caught.value.stage == "decode"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"op": "insert"}, "op"),
        ({"post_id": ""}, "post_id"),
        ({"post_id": "a\x00b"}, "post_id"),
        ({"post_id": "x" * 513}, "post_id"),
        ({"version": -1}, "version"),
        ({"version": 2**63}, "version"),
        ({"version": 1.5}, "version"),
        ({"version": "7"}, "version"),
        ({"source": "a b"}, "source"),
        ({"created_at": "2026-11-20T10:00:00"}, "created_at"),
        ({"created_at": "9999-12-31T23:59:59-05:00"}, "created_at"),
        ({"text": "a\x00"}, "text"),
        ({"images": [{"url": "u"}] * 5}, "images"),
        ({"images": [{"alt": "no url"}]}, "images"),
    ],
)
def test_what_breaks_the_contract_fails_at_validate(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidMessageError, match=field) as caught:
        parse_message(message(**changes))
    assert caught.value.stage == "validate"


@given(st.binary(max_size=200))
def test_no_bytes_escape_the_closed_error(value: bytes) -> None:
    with pytest.raises(InvalidMessageError):  # random bytes are never a whole message
        parse_message(value)


@pytest.mark.parametrize(
    ("ahead", "kept"), [(timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)]
)
def test_the_future_is_clamped(ahead: timedelta, kept: bool) -> None:
    post = Post(post_id="a", source="x", created_at=NOW + ahead)
    clamped = clamp_created_at(post, NOW)
    assert clamped.created_at == (post.created_at if kept else NOW + timedelta(minutes=5))


def test_a_score_has_an_opinion_or_a_reason() -> None:
    opinion = Opinion(label="positive", positive=0.7, neutral=0.2, negative=0.1)
    fields: dict[str, Any] = {
        "post_id": "a",
        "version": 0,
        "source": "x",
        "created_at": NOW,
        "scored_at": NOW,
        "model": "default@1",
    }
    assert ScoredPost(**fields, fused=opinion).unscored_reason is None
    assert ScoredPost(**fields, fused=None, unscored_reason="language").fused is None
    for wrong in ({"fused": None}, {"fused": opinion, "unscored_reason": "language"}):
        with pytest.raises(ValidationError):
            ScoredPost(**fields, **wrong)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_name_every_field(name: Any) -> None:
    schema = json_schema(name)
    text = json.dumps(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    expected = {
        "post": ("forget_author", "delete", "images"),
        "scored": ("conflict", "unscored_reason"),
        "explained": ("explanation", "fused_image", "unscored_reason"),
        "alert": ("revision",),
    }
    assert all(field in text for field in expected[name])
