"""What is sent, and what must come of it. Pure: the same seed says the same."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Label = Literal["positive", "neutral", "negative"]

SOURCE = "chaos"
TOPIC = "rain"  # the one that is tracked; a word of its posts
WORDS: dict[Label, str] = {"positive": "good", "neutral": "plain", "negative": "bad"}
LABELS: tuple[Label, ...] = tuple(WORDS)
SPREAD = 300  # messages between which those of one post are strewn


@dataclass(frozen=True)
class Upsert:
    """`label`: what the stub says of the text (None: it knows no such language); `picture`: of that."""

    post_id: str
    version: int
    author: str
    label: Label | None
    picture: Label | None
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Delete:
    post_id: str
    version: int


@dataclass(frozen=True)
class Forget:
    author: str


@dataclass(frozen=True)
class Bad:
    """It must be found on `posts.dead`, buried in this stage."""

    stage: str


Fact = Upsert | Delete | Forget | Bad


@dataclass(frozen=True)
class Sent:
    """A message as it goes to Kafka, and what it means."""

    key: bytes
    value: bytes
    fact: Fact


@dataclass(frozen=True)
class Expected:
    """The row that a post must end in; `post` is its newest upsert unless that is deleted."""

    version: int
    deleted: bool
    post: Upsert | None


def expected_rows(facts: Iterable[Fact]) -> dict[str, Expected]:
    """The greatest (version, deleted) of each post; what a forgotten author wrote counts as deleted."""
    facts = list(facts)
    forgotten = {fact.author for fact in facts if isinstance(fact, Forget)}
    rows: dict[str, Expected] = {}
    for fact in facts:
        if not isinstance(fact, Upsert | Delete):
            continue
        post = fact if isinstance(fact, Upsert) and fact.author not in forgotten else None
        before = rows.get(fact.post_id)
        if before is None or (before.version, before.deleted) < (fact.version, post is None):
            rows[fact.post_id] = Expected(fact.version, post is None, post)
    return rows


class Generator:
    """Posts with edits and deletes in any order, repeats, forgotten authors, and records that are no posts.

    A tenth of the posts has a picture, at `pictures[label]`. Every `created_at` lies within three minutes
    from `start` on. `stub`: some posts are such that the stub engine fails on them.
    """

    def __init__(
        self, seed: int, start: datetime, pictures: Mapping[Label, str], *, stub: bool = True
    ) -> None:
        self._random = random.Random(seed)
        self._start = start
        self._pictures = pictures
        self._stub = stub
        self._posts = 0
        self._strange = 0
        self._waiting: list[Sent] = []

    def take(self, count: int) -> list[Sent]:
        """The next `count` messages."""
        while len(self._waiting) < count + SPREAD:
            for each in self._story():
                start = max(0, len(self._waiting) - SPREAD)
                self._waiting.insert(self._random.randint(start, len(self._waiting)), each)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def shuffled(self, posts: int) -> list[Sent]:
        """Many versions of `posts` posts and deletes among them, in no order at all."""
        told = [self._versions(self._new_id(), 6, deleted=self._random.random() < 0.5) for _ in range(posts)]
        messages = [message for versions in told for message in versions]
        self._random.shuffle(messages)
        return messages

    def poison(self, count: int) -> list[Sent]:
        """Nothing but records that must die."""
        return [self._bad() for _ in range(count)]

    def _story(self) -> list[Sent]:
        """What happens to one post, or something else."""
        draw = self._random.random()
        if draw < 0.02:
            return [self._bad()]
        if draw < 0.04 and self._waiting:
            return [self._random.choice(self._waiting)]  # the same again
        if draw < 0.045:
            return self._forgotten_author()
        if draw < 0.15:
            return self._versions(self._new_id(), self._random.randint(2, 4), deleted=False)
        if draw < 0.25:
            return self._versions(self._new_id(), self._random.randint(1, 2), deleted=True)
        return [self._upsert(self._new_id(), 0, f"author-{self._random.randrange(500)}")]

    def _versions(self, post_id: str, count: int, *, deleted: bool) -> list[Sent]:
        """Some of the time a delete ties with the newest version, some of the time an edit beats it."""
        author = f"author-{self._random.randrange(500)}"
        versions = [self._upsert(post_id, version, author) for version in range(count)]
        if deleted:
            version = max(0, count - self._random.randint(0, 2))
            message = {"op": "delete", "post_id": post_id, "version": version, "source": SOURCE}
            versions.append(Sent(post_id.encode(), _json(message), Delete(post_id, version)))
        self._random.shuffle(versions)
        return versions

    def _forgotten_author(self) -> list[Sent]:
        author = f"gone-{self._posts}"
        until = (self._start + timedelta(hours=1)).isoformat()
        message = {"op": "forget_author", "author": author, "source": SOURCE, "created_at": until}
        told = [self._upsert(self._new_id(), version, author) for version in range(4)]
        told.append(Sent(author.encode(), _json(message), Forget(author)))
        self._random.shuffle(told)
        return told

    def _new_id(self) -> str:
        self._posts += 1
        return f"{SOURCE}/{self._posts}"

    def _upsert(self, post_id: str, version: int, author: str) -> Sent:
        draw = self._random
        label = draw.choice(LABELS)
        judged = draw.random() < 0.97
        picture = draw.choice(LABELS) if judged and draw.random() < 0.1 else None
        rain = draw.random() < 0.2
        message = {
            "op": "upsert",
            "post_id": post_id,
            "version": version,
            "source": SOURCE,
            "author": author,
            "created_at": (self._start + timedelta(seconds=int(post_id.split("/")[1]) % 180)).isoformat(),
            "lang": "en" if judged else "fi",
            "text": f"{WORDS[label]} {TOPIC if rain else 'sun'} {post_id} {version}",
            "images": [{"url": self._pictures[picture]}] if picture else [],
        }
        fact = Upsert(post_id, version, author, label if judged else None, picture, (TOPIC,) * rain)
        # Now and then another key, so that versions of a post meet from different partitions.
        key = post_id if draw.random() < 0.9 else f"{post_id} {version}"
        return Sent(key.encode(), _json(message), fact)

    def _bad(self) -> Sent:
        self._strange += 1
        name = f"strange/{self._strange}"
        post = {"op": "upsert", "post_id": name, "source": SOURCE, "created_at": self._start.isoformat()}
        kinds = [
            ("decode", f"\xff{name}".encode("latin-1")),
            ("decode", f'{{"op": "upsert", "post_id": "{name}'.encode()),
            ("decode", b"[" * 5000 + name.encode()),
            ("decode", f'{{"op": NaN, "name": "{name}"}}'.encode()),
            ("validate", _json({"op": "upsert", "post_id": name})),
            ("validate", _json([name])),
            ("validate", _json(post | {"text": "a\0b"})),
            ("validate", _json(post | {"version": 2**63})),
        ]
        if self._stub:
            kinds += [
                ("score", _json(post | {"text": f"stub-poison {name}"})),
                ("score", _json(post | {"text": f"stub-nan {name}"})),
            ]
        stage, value = self._random.choice(kinds)
        return Sent(name.encode(), value, Bad(stage))


def _json(message: object) -> bytes:
    return json.dumps(message).encode()
