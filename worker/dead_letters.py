"""Records that cannot be processed, as they stand on `posts.dead`: raw, with the reason in headers."""

import hashlib
from dataclasses import dataclass
from typing import Self

from mmsent.broker import MAX_MESSAGE_BYTES, Headers, Message, Record
from mmsent.dead_letters import DIGEST, ERROR, FIRST

MAX_REASON = 500  # characters of an error's text
ROOM_FOR_HEADERS = 16 * 1024
EXECUTING = {  # what was at work in each stage
    "decode": "mmsent.posts",
    "validate": "mmsent.posts",
    "score": "mmsent.pipeline",
    "store": "mmsent.store.writes",
}


@dataclass(frozen=True)
class Failure:
    """Why a record is dead. Stages: decode, validate, score, store; `bug` is ours to mend."""

    stage: str
    kind: str
    message: str

    @classmethod
    def of(cls, stage: str, error: BaseException) -> Self:
        text = " ".join(str(error).split())
        return cls(stage, type(error).__name__, text[:MAX_REASON])


def dead_letter(record: Record, failure: Failure) -> Message:
    """`record` as it came, its own headers first. One that leaves no room for the reason loses its value."""
    headers = (*record.headers, *_reason(record, failure))
    whole = Message(record.key, record.value, headers)
    return whole if whole.size <= MAX_MESSAGE_BYTES - ROOM_FOR_HEADERS else without_value(record, failure)


def without_value(record: Record, failure: Failure) -> Message:
    """What is left of a record too large for `posts.dead`: where it stands, and its value's digest."""
    value = record.value or b""
    digest = (
        (f"{ERROR}value_bytes", str(len(value)).encode()),
        (DIGEST, hashlib.sha256(value).hexdigest().encode()),
    )
    return Message((record.key or b"")[:MAX_REASON], b"", (*_reason(record, failure), *digest))


def _reason(record: Record, failure: Failure) -> Headers:
    """Ours, and the names that Kafka Connect's reporter writes (KIP-298), which tools know.

    Of Connect's, the task and the stack trace are left out: no worker has a number, and traces are logged.
    """
    named = {
        FIRST: failure.stage,
        f"{ERROR}class": failure.kind,
        f"{ERROR}message": failure.message,
        f"{ERROR}topic": record.topic,
        f"{ERROR}partition": record.partition,
        f"{ERROR}offset": record.offset,
        f"{ERROR}timestamp_ms": record.timestamp_ms,
        "__connect.errors.topic": record.topic,
        "__connect.errors.partition": record.partition,
        "__connect.errors.offset": record.offset,
        "__connect.errors.connector.name": "mmsent",
        "__connect.errors.stage": failure.stage,
        "__connect.errors.class.name": EXECUTING.get(failure.stage, "worker"),
        "__connect.errors.exception.class.name": failure.kind,
        "__connect.errors.exception.message": failure.message,
    }
    return tuple((name, str(value).encode()) for name, value in named.items())
