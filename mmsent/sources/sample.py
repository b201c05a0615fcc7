"""An endless stream of made-up posts with drawn pictures, to see things move without any file.

First some minutes of past, then what happens now: a day's rhythm in minutes, and a story (`story`). Brands,
people, towns and pictures are all invented here.
"""

import heapq
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from mmsent.posts import DeletePost, ImageRef, Label, Post
from mmsent.sources import story
from mmsent.sources.drawings import draw, jpeg, motifs
from mmsent.sources.sample_texts import FOREIGN_TEMPLATES, TEMPLATES, Template, render

AddressOf = Callable[[str, Callable[[], bytes]], str]

RATE = 2.0  # posts a second, on average over a day without a storm
PAST_S = 16 * 60.0  # fills the dashboard's shortest range
PICTURE_SHARE = 0.52  # of the posts in English; the others have none
CONTRADICTION_SHARE = 0.25  # of the posts with a picture: it shows the opposite of what the words say
STORY_PICTURE_SHARE = 0.6
STORY_CONTRADICTION_SHARE = 0.5  # a wave of sarcasm
FOREIGN_SHARE = 0.04
ALT_SHARE = 0.2
SENSITIVE_SHARE = 0.01
EDIT_SHARE = 0.02
DELETE_SHARE = 0.02
PICTURES_OF_A_MOOD = 12  # different ones of each subject and mood in one stream: 288 in all
MOODS: dict[Label, float] = {"positive": 0.4, "neutral": 0.25, "negative": 0.35}
MOODS_OF_A_DARLING: dict[Label, float] = {"positive": 0.8, "neutral": 0.12, "negative": 0.08}
OPPOSITE: dict[Label, Label] = {"positive": "negative", "negative": "positive"}
KINDS: dict[Label, tuple[str, ...]] = {  # of words that are meant as they say
    "positive": ("praise", "happy_meme"),
    "neutral": ("news", "question"),
    "negative": ("complaint", "sad_meme"),
}
CONTRADICTING = ("sarcasm", "mock")  # kinds of words that stand only beside a picture of the opposite
SECOND_THOUGHTS = ("edit: typo", "EDIT: thanks for all the replies", "edit: forgot the hashtag", "(edited)")
AUTHORS = tuple(
    f"{first}{second}"
    for first in ("quiet", "tiny", "rusty", "lemon", "paper", "moss", "night", "copper", "velvet", "salty")
    for second in ("otter", "kettle", "comet", "fern", "badger", "pixel", "teapot", "gull", "walnut", "drum")
)


@dataclass(frozen=True)
class SamplePost:
    """A message and the truth about it.

    It is due `due_s` seconds after the stream's start; less than 0 is past. `text_label` is what the words
    say literally, `picture_label` what the picture shows; None without a picture. Both are None of a delete.
    `story` tells whether the post belongs to a storm.
    """

    due_s: float
    post: Post | DeletePost
    text_label: Label | None = None
    picture_label: Label | None = None
    story: bool = False


def sample_messages(
    address_of: AddressOf,
    *,
    source: str = "sample",
    seed: int = 0,
    rate: float = RATE,
    past_s: float = PAST_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[tuple[float, Post | DeletePost]]:
    """When each message is due, in seconds after the stream's start, and the message; see `sample_posts`.

    With rate 0 all are due at once, and no post is created in the future.
    """
    for sample in sample_posts(
        address_of, source=source, seed=seed, rate=rate or RATE, past_s=past_s, now=now
    ):
        post = sample.post
        if rate == 0 and isinstance(post, Post):
            post = post.model_copy(update={"created_at": min(post.created_at, now())})
        yield sample.due_s if rate else 0.0, post


def sample_posts(
    address_of: AddressOf,
    *,
    source: str = "sample",
    seed: int = 0,
    rate: float = RATE,
    past_s: float = PAST_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[SamplePost]:
    """Posts without end in the order they are due; the same seed gives the same, under ids of this start.

    Args:
        address_of: makes a picture's name, and a function that draws its JPEG, into an address that workers
            can reach. There are at most 12 names for each subject and mood.
        rate: posts a second, on average over a day without a storm.
        past_s: how long before its start the stream begins.
        now: asked once, for the start.
    """
    choose = random.Random(seed)  # noqa: S311  # a stream that repeats, nothing secret
    start = now()
    writer = _Writer(choose, address_of, source, start, seed)
    later: list[tuple[float, int, SamplePost]] = []  # edits and deletes, soonest first
    for number, at_s in enumerate(_arrivals(choose, rate, -past_s), 1):
        while later and later[0][0] <= at_s:
            yield heapq.heappop(later)[2]
        sample = writer.write(number, at_s)
        yield sample
        change = _change(choose, sample)
        if change is not None:
            heapq.heappush(later, (change.due_s, number, change))


def _arrivals(choose: random.Random, rate: float, at_s: float) -> Iterator[float]:
    """Moments of posts: a Poisson process whose rate follows the day and the storms, by thinning.

    Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by thinning, 1979.
    """
    highest = story.highest_volume()
    while True:
        at_s += choose.expovariate(rate * highest)
        if choose.random() * highest < sum(story.volumes(at_s).values()):
            yield at_s


def _change(choose: random.Random, sample: SamplePost) -> SamplePost | None:
    """What becomes of a few posts after a while: another version, or the end."""
    post, fate = sample.post, choose.random()
    if not isinstance(post, Post) or fate >= EDIT_SHARE + DELETE_SHARE:
        return None
    due_s = sample.due_s + choose.uniform(5, 90)
    if fate < EDIT_SHARE:
        text = f"{post.text}\n{choose.choice(SECOND_THOUGHTS)}"
        edited = post.model_copy(update={"version": post.version + 1, "text": text})
        return replace(sample, due_s=due_s, post=edited)
    delete = DeletePost(post_id=post.post_id, version=post.version + 1, source=post.source)
    return SamplePost(due_s, delete, story=sample.story)


class _Writer:
    """Writes one post after another."""

    def __init__(
        self, choose: random.Random, address_of: AddressOf, source: str, start: datetime, seed: int
    ) -> None:
        self._choose = choose
        self._address_of = address_of
        self._source = source
        self._start = start
        self._seed = seed
        self._id = int(start.timestamp() * 1e6)

    def write(self, number: int, at_s: float) -> SamplePost:
        """The post of this moment."""
        choose = self._choose
        volumes, storm = story.volumes(at_s), story.storm_at(at_s)
        subject = choose.choices(tuple(volumes), tuple(volumes.values()))[0]
        of_storm = storm is not None and storm.subject == subject and choose.random() < storm.story_share
        if of_storm:
            template, picture = self._storm_post(subject)
        elif choose.random() < FOREIGN_SHARE:
            template, picture = choose.choice(FOREIGN_TEMPLATES), None
        else:
            template, picture = self._everyday_post(subject, at_s)
        text = render(template, choose)
        post = Post(
            post_id=f"{self._source}/{self._id}-{number}",
            source=self._source,
            created_at=self._start + timedelta(seconds=at_s),
            author=choose.choice(AUTHORS),
            lang=template.lang,
            text=text,
            tags=tuple(re.findall(r"#(\w+)", text)),
            images=self._images(template.subject, picture),
            sensitive=choose.random() < SENSITIVE_SHARE,
        )
        return SamplePost(at_s, post, template.label, picture, of_storm)

    def _storm_post(self, subject: str) -> tuple[Template, Label | None]:
        if self._choose.random() >= STORY_PICTURE_SHARE:
            return self._template(subject, "storm"), None
        sarcastic = self._choose.random() < STORY_CONTRADICTION_SHARE
        return self._template(subject, "sarcasm" if sarcastic else "storm"), "negative"

    def _everyday_post(self, subject: str, at_s: float) -> tuple[Template, Label | None]:
        """Words and, about as often as not, a picture."""
        choose = self._choose
        moods = MOODS_OF_A_DARLING if story.darling(at_s) == subject else MOODS
        label: Label = choose.choices(tuple(moods), tuple(moods.values()))[0]
        if choose.random() >= PICTURE_SHARE:
            return self._template(subject, *KINDS[label]), None
        if choose.random() < CONTRADICTION_SHARE:
            template = self._template(subject, *CONTRADICTING)
            return template, OPPOSITE[template.label]
        return self._template(subject, *KINDS[label]), label

    def _template(self, subject: str, *kinds: str) -> Template:
        return self._choose.choice([template for kind in kinds for template in TEMPLATES[subject, kind]])

    def _images(self, subject: str, label: Label | None) -> tuple[ImageRef, ...]:
        if label is None:
            return ()
        variant = self._choose.randrange(PICTURES_OF_A_MOOD)
        names = motifs("stream", subject, label)
        drawing = partial(_drawn, names[variant % len(names)], self._seed * PICTURES_OF_A_MOOD + variant)
        address = self._address_of(f"{subject}-{label}-{variant}", drawing)
        alt = f"Drawing: {subject}" if self._choose.random() < ALT_SHARE else None
        return (ImageRef(url=address, alt=alt),)


def _drawn(motif: str, seed: int) -> bytes:
    return jpeg(draw(motif, seed))
