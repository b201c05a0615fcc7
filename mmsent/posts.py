"""The JSON contracts: what arrives on `posts`, what leaves on `scores` and `alerts`.

Unknown fields are ignored, so that producers may add their own. Times are UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from mmsent.errors import InvalidMessageError

MAX_IMAGES = 4
MAX_VERSION = 2**63 - 1
FUTURE_TOLERANCE = timedelta(minutes=5)

Label = Literal["positive", "neutral", "negative"]
UnscoredReason = Literal["language", "no_content"]
ImageErrorReason = Literal[
    # fetch
    "invalid_url",
    "forbidden_address",
    "dns",
    "connect",
    "tls",
    "timeout",
    "http_status",
    "redirects",
    "encoding",
    "too_many_bytes",
    # decode
    "format",
    "corrupt",
    "too_small",
    "too_many_pixels",
    "too_many_scans",
    "decode_timeout",
    "decode_crash",
]


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("time outside years 1 to 9999 in UTC") from error


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("text must not contain NUL characters")
    return value


UtcDatetime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
Text = Annotated[str, AfterValidator(_without_nul)]
PostId = Annotated[Text, Field(min_length=1, max_length=512)]
Version = Annotated[int, Field(ge=0, le=MAX_VERSION, strict=True)]
Source = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Author = Annotated[Text, Field(min_length=1, max_length=256)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Influence = Annotated[float, Field(ge=-1.0, le=1.0)]


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> bytes:
        """UTF-8 JSON as it stands on Kafka."""
        return self.model_dump_json().encode()


class ImageRef(_Contract):
    """A picture of a post, by address; `alt` is what its author says it shows."""

    url: Annotated[Text, Field(min_length=1, max_length=4096)]
    alt: Annotated[Text, Field(max_length=10_000)] | None = None


class Post(_Contract):
    """A post, or a new version of it. The greatest `version` of a `post_id` wins, whatever the order."""

    op: Literal["upsert"] = "upsert"
    post_id: PostId
    version: Version = 0
    source: Source
    created_at: UtcDatetime
    claimed_at: UtcDatetime | None = None
    author: Author | None = None
    lang: Annotated[Text, Field(max_length=35)] | None = None
    text: Annotated[Text, Field(max_length=50_000)] = ""
    images: Annotated[tuple[ImageRef, ...], Field(max_length=MAX_IMAGES)] = ()
    link: Annotated[Text, Field(max_length=4096)] | None = None
    tags: Annotated[tuple[Annotated[Text, Field(max_length=256)], ...], Field(max_length=100)] = ()
    sensitive: bool = False


class DeletePost(_Contract):
    """The post is gone, even if it was never seen; at an equal version a delete wins."""

    op: Literal["delete"] = "delete"
    post_id: PostId
    version: Version
    source: Source


class ForgetAuthor(_Contract):
    """Everything this author wrote up to `created_at` becomes tombstones, whatever the order of arrival."""

    op: Literal["forget_author"] = "forget_author"
    author: Author
    source: Source
    created_at: UtcDatetime


Message = Annotated[Post | DeletePost | ForgetAuthor, Field(discriminator="op")]
_message = TypeAdapter[Post | DeletePost | ForgetAuthor](Message)


def parse_message(value: bytes | str | None) -> Post | DeletePost | ForgetAuthor:
    """One of the three messages from its JSON.

    Raises:
        InvalidMessageError: stage `decode` (empty, not UTF-8, not JSON) or `validate` (not a message).
    """
    if not value:
        raise InvalidMessageError("the record has no value", stage="decode")
    try:
        decoded = from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidMessageError(f"not JSON: {error}", stage="decode") from error
    try:
        return _message.validate_python(decoded)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidMessageError(
            f"{place}: {first['msg']}" if place else first["msg"], stage="validate"
        ) from error


def clamp_created_at(post: Post, received_at: datetime) -> Post:
    """`post` with `created_at` at most five minutes after `received_at`."""
    latest = received_at + FUTURE_TOLERANCE
    return post if post.created_at <= latest else post.model_copy(update={"created_at": latest})


class Opinion(_Contract):
    """What one part of the model feels: three probabilities that sum to 1, and the greatest one's name."""

    label: Label
    positive: Unit
    neutral: Unit
    negative: Unit


class Weights(_Contract):
    """How the fused opinion's attention was shared between words and picture; sums to 1."""

    text: Unit
    image: Unit


class ScoredPost(_Contract):
    """A post's scores.

    `text` is null without text, `image` without a usable picture; `conflict` and `weights` need both.
    """

    op: Literal["upsert"] = "upsert"
    post_id: PostId
    version: Version
    source: Source
    created_at: UtcDatetime
    scored_at: UtcDatetime
    model: str
    fused: Opinion | None
    unscored_reason: UnscoredReason | None = None
    text: Opinion | None = None
    image: Opinion | None = None
    conflict: Unit | None = None
    weights: Weights | None = None
    image_errors: tuple[ImageErrorReason, ...] = ()
    topics: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _reason_without_opinion(self) -> "ScoredPost":
        if (self.fused is None) != (self.unscored_reason is not None):
            raise ValueError("unscored_reason is given exactly when fused is null")
        return self


class WordInfluence(_Contract):
    """What `word`, characters (code points) `start` to `end` of the post's text, does to two opinions.

    An influence is by how much the probability of the opinion's label falls when the thing is hidden:
    above 0 it supports the opinion, below 0 it speaks against it.
    """

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=1)]
    word: str
    text: Influence
    fused: Influence | None


class RegionInfluence(_Contract):
    """What each region of the picture's centre square does to two opinions: rows from the top."""

    image: tuple[tuple[Influence, ...], ...]
    fused: tuple[tuple[Influence, ...], ...] | None


class PostExplanation(_Contract):
    """What a post's opinions rest on.

    `words` are those the model read. `regions` is null without a picture; `fused_text` and `fused_image`,
    the influence of all words and of the whole picture on the fused opinion, need both. `heat_map` names
    the PNG file that was written.
    """

    words: tuple[WordInfluence, ...] = ()
    regions: RegionInfluence | None = None
    fused_text: Influence | None = None
    fused_image: Influence | None = None
    heat_map: str | None = None


class ExplainedPost(ScoredPost):
    """A post's scores and what they rest on; `explanation` is null exactly when `fused` is."""

    explanation: PostExplanation | None = None


class ScoredDelete(_Contract):
    """Announces on `scores` that a post is gone."""

    op: Literal["delete"] = "delete"
    post_id: PostId
    version: Version
    source: Source


class Window(_Contract):
    """Event time that an alert speaks of, end excluded."""

    start: UtcDatetime
    end: UtcDatetime


class Alert(_Contract):
    """One revision of an alert. Subscribers keep the greatest `revision` of each `alert_id`."""

    alert_id: str
    revision: Annotated[int, Field(ge=0)]
    kind: Literal["conflict", "spike", "shift", "silence"]
    severity: Annotated[int, Field(ge=1, le=10)]
    created_at: UtcDatetime
    topic: str
    title: str
    count: Annotated[int, Field(ge=0)]
    window: Window
    why: dict[str, Any] = {}
    posts: tuple[PostId, ...] = ()
    state: Literal["open", "recovered"] = "open"


SCHEMAS: dict[str, TypeAdapter[Any]] = {
    "post": TypeAdapter(Message),
    "scored": TypeAdapter(Annotated[ScoredPost | ScoredDelete, Field(discriminator="op")]),
    "explained": TypeAdapter(ExplainedPost),
    "alert": TypeAdapter(Alert),
}


def json_schema(name: Literal["post", "scored", "explained", "alert"]) -> dict[str, Any]:
    """JSON Schema (2020-12) of what stands on Kafka, and of what `mmsent score --explain` gives."""
    schema = SCHEMAS[name].json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
