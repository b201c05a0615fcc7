"""The sample: what it says, when, and what its pictures show beside that."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from math import sqrt
from pathlib import Path
from random import Random

import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsent.broker import TopicReader
from mmsent.embedded.servers import local_kafka, local_redis
from mmsent.posts import DeletePost, Post
from mmsent.settings import Settings
from mmsent.sources import story
from mmsent.sources.drawings import SUBJECTS
from mmsent.sources.sample import (
    CONTRADICTING,
    PAST_S,
    PICTURES_OF_A_MOOD,
    AddressOf,
    SamplePost,
    sample_messages,
    sample_posts,
)
from mmsent.sources.sample_texts import FOREIGN_TEMPLATES, SLOTS, TEMPLATES, TOPICS, Template, render
from mmsent.store.edits import add_topic, list_topics
from mmsent.store.schema import upgrade
from mmsent.topics import TopicMatcher, TrackedTopic

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOPIC_OF = dict(
    zip(
        ("picnic", "coffee", "phone", "weather", "trains", "football", "garden", "films"),
        (topic.name for topic in TOPICS),
        strict=True,
    )
)
ALL_TEMPLATES = [template for templates in TEMPLATES.values() for template in templates]


def stream(until_s: float, *, seed: int = 0, address_of: AddressOf | None = None) -> list[SamplePost]:
    posts = sample_posts(address_of or (lambda name, _draw: f"http://x/{name}"), seed=seed, now=lambda: NOON)
    return list(takewhile(lambda sample: sample.due_s < until_s, posts))


@pytest.fixture(scope="module")
def two_days() -> list[SamplePost]:
    """The past, and two days after the start: one storm."""
    return stream(2 * story.DAY_S)


@pytest.fixture(scope="module")
def first_versions(two_days: list[SamplePost]) -> list[SamplePost]:
    return [sample for sample in two_days if isinstance(sample.post, Post) and not sample.post.version]


def about(share: float, count: int) -> tuple[float, float]:
    """Where a binomial's share lies but in one of 15,000 cases: within 4 standard deviations."""
    deviation = 4 * sqrt(share * (1 - share) / count)
    return share - deviation, share + deviation


def contradicts(sample: SamplePost) -> bool:
    return {sample.text_label, sample.picture_label} == {"positive", "negative"}


# Words


def test_there_is_enough_to_say() -> None:
    assert len({template.text for template in ALL_TEMPLATES}) == len(ALL_TEMPLATES) >= 200
    for subject in SUBJECTS:
        of_subject = Counter(template.label for template in ALL_TEMPLATES if template.subject == subject)
        assert min(of_subject.values()) >= 6
        assert len(of_subject) == 3


@pytest.mark.parametrize("template", [*ALL_TEMPLATES, *FOREIGN_TEMPLATES], ids=lambda one: one.text[:30])
def test_each_template_can_be_read_and_belongs_to_its_topic(template: Template) -> None:
    for seed in range(5):
        text = render(template, Random(seed))
        assert not set("{}") & set(text)
        assert TOPIC_OF[template.subject] in TopicMatcher(TOPICS).match(text.split(" #")[0], ())


def test_slots_are_filled_differently_and_begin_sentences() -> None:
    template = Template("weather", "news", "neutral", "{who} and {who}. {who}? no, {place}")
    for seed in range(20):
        text = render(template, Random(seed))
        first, second, third = text.replace("?", " and ").replace(". ", " and ").split(" and ")[:3]
        assert len({first.lower(), second, third.lower()}) == 3
        assert first[0].isupper()
        assert third[0].isupper()
        assert second in SLOTS["who"]


# The stream


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_stream_under_other_ids(seed: int) -> None:
    def take(seed: int, start: datetime) -> list[SamplePost]:
        return list(
            islice(sample_posts(lambda name, _: f"http://x/{name}", seed=seed, now=lambda: start), 30)
        )

    first, again = take(seed, NOON), take(seed, NOON)
    assert first == again
    later = take(seed, NOON + timedelta(hours=1))
    assert [one.due_s for one in later] == [one.due_s for one in first]
    assert not {one.post.post_id for one in later} & {one.post.post_id for one in first}
    assert [one.due_s for one in take(seed + 1, NOON)] != [one.due_s for one in first]


def test_posts_come_in_order_and_at_their_time(two_days: list[SamplePost]) -> None:
    due = [sample.due_s for sample in two_days]
    assert due == sorted(due)
    assert -PAST_S < due[0] < -PAST_S + 30
    seen: dict[str, tuple[int, datetime | None]] = {}
    for sample in two_days:
        post = sample.post
        version, created_at = seen.get(post.post_id, (-1, None))
        assert post.version == version + 1
        if isinstance(post, Post):
            at = NOON + timedelta(seconds=sample.due_s)
            assert abs((created_at or at) - post.created_at) < timedelta(milliseconds=1)
        seen[post.post_id] = (post.version, getattr(post, "created_at", None))


def test_shares(two_days: list[SamplePost], first_versions: list[SamplePost]) -> None:
    everyday = [sample for sample in first_versions if not sample.story]
    pictured = [sample for sample in everyday if sample.picture_label]
    low, high = about(0.5, len(everyday))
    assert low < len(pictured) / len(everyday) < high
    low, high = about(0.25, len(pictured))
    assert low < sum(map(contradicts, pictured)) / len(pictured) < high
    assert all(sample.text_label == sample.picture_label for sample in pictured if not contradicts(sample))
    languages = Counter(sample.post.lang for sample in first_versions if isinstance(sample.post, Post))
    assert set(languages) == {"en", "de", "es", "fr"}
    assert 0.92 < languages["en"] / len(first_versions) < 0.98
    deleted = sum(isinstance(sample.post, DeletePost) for sample in two_days)
    edited = len(two_days) - len(first_versions) - deleted
    assert 0.01 < edited / len(first_versions) < 0.03
    assert 0.01 < deleted / len(first_versions) < 0.03
    assert len({sample.post.text for sample in everyday if isinstance(sample.post, Post)}) > 0.85 * len(
        everyday
    )


def test_words_of_contradiction_stand_only_beside_the_opposite() -> None:
    kinds = {template.text.partition("{")[0]: template.kind for template in ALL_TEMPLATES}
    beginnings = tuple(text for text, kind in kinds.items() if kind in CONTRADICTING and len(text) > 12)
    posts = [sample for sample in stream(0, seed=3) if isinstance(sample.post, Post)]
    found = [sample for sample in posts if sample.post.text.startswith(beginnings)]
    assert len(found) > 100
    assert all(map(contradicts, found))


def test_pictures_are_few_and_drawn_only_when_asked_for(two_days: list[SamplePost]) -> None:
    drawings = {}
    samples = stream(
        120, address_of=lambda name, draw: drawings.setdefault(name, draw) and f"http://x/{name}"
    )
    assert 100 < len(drawings) <= 3 * len(SUBJECTS) * PICTURES_OF_A_MOOD < 400
    for sample in samples:
        if isinstance(sample.post, Post) and sample.picture_label:
            assert f"-{sample.picture_label}-" in sample.post.images[0].url
    first, *_, last = (draw() for draw in islice(drawings.values(), 3))
    assert first[:2] == last[:2] == b"\xff\xd8"
    assert first != last


def test_as_fast_as_it_goes_nothing_is_created_in_the_future() -> None:
    messages = sample_messages(lambda name, _: f"http://x/{name}", rate=0, past_s=60, now=lambda: NOON)
    taken = list(islice(messages, 400))
    assert {due_s for due_s, _ in taken} == {0.0}
    created = [post.created_at for _, post in taken if isinstance(post, Post)]
    assert created[0] < NOON
    assert max(created) == NOON


# Its days and its story


def test_the_rhythm_of_a_day() -> None:
    hours = [story.rhythm((hour - story.HOUR_AT_START) * story.DAY_S / 24) for hour in range(24)]
    assert sum(hours) == pytest.approx(24)
    assert hours[3] < 0.3
    assert min(hours[8], hours[20]) > 1.5
    assert sum(story.SHARES.values()) == pytest.approx(1)
    moments = [at_s / 2 for at_s in range(-3600, 12 * 1440)]
    assert max(sum(story.volumes(at_s).values()) for at_s in moments) <= story.highest_volume()


def test_storms_come_one_after_another() -> None:
    assert story.storm_at(-1500) is story.storm_at(59) is None
    at_height = [story.storm_at(150 + number * story.STORM_EVERY_S) for number in range(4)]
    assert [(storm.subject, storm.strength) for storm in at_height if storm] == [
        *((brand, 1.0) for brand in story.BRANDS),
        (story.BRANDS[0], 1.0),
    ]
    assert story.storm_at(600) is None
    assert [story.darling(at_s) for at_s in (-1800, 0, 150, 600, 1490, 2040)] == [
        *("picnic", "picnic", None, "coffee", "coffee", "phone"),
    ]


def test_the_day_and_the_storm_show_in_the_counts(first_versions: list[SamplePost]) -> None:
    by_minute = Counter(int(sample.due_s // 60) for sample in first_versions)
    assert by_minute[-28] + by_minute[-16] < 0.4 * (by_minute[-20] + by_minute[-8])
    assert 1.7 < sum(sample.due_s < 0 for sample in first_versions) / PAST_S < 2.3
    picnic = [
        sample
        for sample in first_versions
        if isinstance(sample.post, Post) and "meadowbox" in sample.post.text.lower()
    ]
    past = [sample for sample in picnic if sample.due_s < 60]
    meant = [sample for sample in past if not contradicts(sample)]
    storm = [sample for sample in picnic if 80 <= sample.due_s < 300]
    assert sum(sample.text_label == "positive" for sample in meant) > 0.7 * len(meant)
    assert not any(sample.story for sample in past)
    usual = len(past) / (PAST_S + 60)
    assert 3.5 < len(storm) / 220 / usual / story.rhythm(190) < 6.5
    assert sum(sample.story for sample in storm) > 0.7 * len(storm)
    assert sum(sample.text_label == "negative" for sample in storm) > 0.45 * len(storm)
    assert sum(map(contradicts, storm)) > 0.2 * len(storm)


# mmsent ingest sample


def ingest_sample(folder: Path, kafka: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "MMSENT_DATA_DIR": str(folder),
        "MMSENT_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "MMSENT_TOPICS_REFRESH_S": "0.2",
    }
    command = [sys.executable, "-m", "mmsent", "ingest", "sample", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def first_picture(settings: Settings) -> str:
    async with TopicReader(settings, "posts", from_beginning=True) as reader, asyncio.timeout(60):
        async for record in reader:
            images = json.loads(record.value or b"").get("images")
            if images:
                return str(images[0]["url"])
    raise AssertionError("no post has a picture")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_sample_on_kafka_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    url = f"sqlite:///{tmp_path / 'mmsent.db'}"
    upgrade(url)
    mine = TrackedTopic("weather", ("hail",))
    add_topic(url, mine, NOON)
    with local_kafka() as kafka:
        process = ingest_sample(tmp_path, kafka, "--past", 2, "--pictures-port", 0)
        try:
            address = await first_picture(Settings.load(kafka_bootstrap_servers=kafka))
            async with ClientSession() as session, session.get(address) as picture:
                assert (picture.status, (await picture.read())[:2]) == (200, b"\xff\xd8")
            assert process.poll() is None
        finally:
            process.send_signal(number)
            out, err = await asyncio.to_thread(process.communicate, timeout=30)
    assert (process.returncode, out) == (0, ""), err
    endpoint = address.removeprefix("http://").partition("/")[0]
    advice, tracking, end = err.splitlines()
    assert advice.endswith(f"MMSENT_FETCH_ALLOW_PRIVATE={endpoint}")
    assert tracking.startswith("tracking meadowbox, fernhollow")
    assert "weather" not in tracking
    assert end.endswith("messages are on posts")
    assert sorted(topic.name for topic in list_topics(url)) == sorted(TOPIC_OF.values())
    assert mine in list_topics(url)


async def test_the_sample_for_a_while_without_a_database(tmp_path: Path) -> None:
    with local_kafka() as kafka:
        process = ingest_sample(tmp_path, kafka, "--past", 0, "--rate", 50, "--for", 2, "--pictures-port", 0)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert (process.returncode, out) == (0, ""), err
    _, untracked, end = err.splitlines()
    assert untracked.startswith("the sample's topics are not tracked from here")
    assert "mmsent db upgrade" in untracked
    assert 40 < int(end.split()[0]) < 400


def test_a_pictures_port_that_is_taken(tmp_path: Path) -> None:
    with local_redis() as redis:
        port = redis.split(":")[2].split("/")[0]
        process = ingest_sample(tmp_path, "127.0.0.1:1", "--pictures-port", port)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"port {port}" in err.splitlines()[-1]
