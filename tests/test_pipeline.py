"""A post's journey with collaborators that behave in known ways."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from mmsent.batching import MicroBatcher
from mmsent.engine.base import Prediction, ScoringRequest
from mmsent.engine.stub import POISON, StubEngine
from mmsent.errors import BrokerUnavailableError, EngineError, ImageError
from mmsent.images.decode import DecodedImage
from mmsent.pipeline import Announcement, Delivery, Scorer, build_scored_post, is_flagged
from mmsent.posts import ImageRef, Opinion, Post, ScoredDelete, ScoredPost
from mmsent.store.writes import Item, Outcome, ScoredRow, WriteResult

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
BRIGHT, DARK = b"bright", b"dark"


def post(text: str = "", *urls: str, lang: str | None = None) -> Post:
    images = tuple(ImageRef(url=url) for url in urls)
    return Post(post_id="test/1", source="test", created_at=NOW, text=text, images=images, lang=lang)


class ImageHost:
    """Serves bytes by URL; everything else times out."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = files or {}
        self.asked: list[str] = []

    async def load(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.files:
            raise ImageError("timeout")
        return self.files[url]


class BrightnessDecoder:
    """Knows two pictures; everything else is corrupt."""

    async def decode(self, data: bytes) -> DecodedImage:
        if data not in {BRIGHT, DARK}:
            raise ImageError("corrupt")
        value = 255 if data == BRIGHT else 0
        return DecodedImage(np.full((4, 4, 3), value, dtype=np.uint8), b"thumbnail of " + data)


class EngineAtOnce:
    """Scores without batching."""

    def __init__(self) -> None:
        self.requests: list[ScoringRequest] = []

    async def score(self, request: ScoringRequest) -> Prediction:
        self.requests.append(request)
        return StubEngine(image_size=4).score([request])[0]


class Journey:
    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.host = ImageHost(files)
        self.engine = EngineAtOnce()
        self.stages: list[str] = []
        self.reasons: list[str] = []
        self.scorer = Scorer(
            load_image=self.host.load,
            decoder=BrightnessDecoder(),
            batcher=self.engine,
            model=StubEngine(image_size=4),
            conflict_threshold=0.5,
            now=lambda: NOW,
            observe=lambda stage, _seconds: self.stages.append(stage),
            image_failed=self.reasons.append,
        )


async def test_text_alone() -> None:
    journey = Journey()
    result = await journey.scorer.score(post("lovely day"), topics=("weather",))
    scored = result.scored
    assert scored.fused == scored.text
    assert scored.fused is not None
    assert scored.fused.label == "positive"
    assert (scored.image, scored.conflict, scored.weights, scored.image_errors) == (None, None, None, ())
    assert (scored.topics, scored.scored_at, scored.model) == (("weather",), NOW, "stub@1")
    assert (result.thumbnail, result.flagged, journey.stages) == (None, False, ["score"])


async def test_text_and_picture_that_disagree() -> None:
    journey = Journey({"https://a/1.jpg": DARK})
    result = await journey.scorer.score(post("lovely day", "https://a/1.jpg"))
    assert result.flagged
    assert result.scored.conflict == pytest.approx(0.8125)
    assert result.scored.weights is not None
    assert result.thumbnail == b"thumbnail of dark"
    assert journey.stages == ["fetch", "decode", "score"]


async def test_picture_alone() -> None:
    journey = Journey({"https://a/1.jpg": BRIGHT})
    result = await journey.scorer.score(post("https://a/1.jpg @someone", "https://a/1.jpg"))
    assert result.scored.text is None
    assert result.scored.fused == result.scored.image
    assert result.scored.fused is not None
    assert result.scored.fused.label == "positive"
    assert journey.engine.requests[0].text is None


async def test_the_first_picture_that_decodes_is_scored_and_the_others_say_why_not() -> None:
    journey = Journey({"https://a/2": b"junk", "https://a/3": BRIGHT, "https://a/4": DARK})
    urls = [f"https://a/{number}" for number in (1, 2, 3, 4)]
    result = await journey.scorer.score(post("sad", *urls))
    assert result.scored.image_errors == ("timeout", "corrupt")
    assert result.scored.image is not None
    assert result.thumbnail == b"thumbnail of bright"
    assert journey.host.asked == urls[:3]
    assert journey.reasons == ["timeout", "corrupt"]


async def test_no_picture_to_be_had_leaves_the_text() -> None:
    result = await Journey().scorer.score(post("sad", "https://a/1"))
    assert result.scored.image_errors == ("timeout",)
    assert result.scored.fused == result.scored.text is not None


async def test_nothing_to_judge() -> None:
    journey = Journey()
    result = await journey.scorer.score(post("  @someone https://a/1 ", "https://a/1"))
    assert (result.scored.fused, result.scored.unscored_reason) == (None, "no_content")
    assert result.scored.image_errors == ("timeout",)
    assert journey.engine.requests == []


async def test_a_language_that_the_model_does_not_know_is_stored_unscored_and_unfetched() -> None:
    journey = Journey({"https://a/1": DARK})
    result = await journey.scorer.score(post("hyvää päivää", "https://a/1", lang="fi"))
    assert (result.scored.fused, result.scored.unscored_reason) == (None, "language")
    assert journey.host.asked == []
    assert not result.flagged


async def test_local_pictures_take_the_fetchers_place() -> None:
    journey, local = Journey(), ImageHost({"https://a/1": DARK})
    result = await journey.scorer.score(post("lovely", "https://a/1"), load_image=local.load)
    assert result.flagged
    assert (journey.host.asked, local.asked) == ([], ["https://a/1"])


async def test_a_post_that_the_engine_cannot_score_fails_alone() -> None:
    batcher = MicroBatcher(StubEngine(image_size=4), max_tokens=100, max_images=4, max_waiting=8)
    batcher.start()
    scorer = Scorer(
        load_image=ImageHost().load,
        decoder=BrightnessDecoder(),
        batcher=batcher,
        model=StubEngine(image_size=4),
        conflict_threshold=0.5,
        now=lambda: NOW,
    )
    with pytest.raises(EngineError):
        await scorer.score(post(POISON))
    assert (await scorer.score(post("good"))).scored.fused is not None
    await batcher.close()


def test_flagged_from_the_threshold_on() -> None:
    opinion = Opinion(label="neutral", positive=0.2, neutral=0.6, negative=0.2)
    prediction = Prediction(text=opinion, image=opinion, fused=opinion, conflict=0.4)
    scored = build_scored_post(
        post(),
        prediction,
        model_id="m@1",
        image_errors=(),
        topics=(),
        scored_at=NOW,
        unscored_reason=None,
    )
    assert is_flagged(scored, 0.4)
    assert not is_flagged(scored, 0.41)


class Recorder:
    """Store, live feed and publisher that write down what they are asked, in order."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.calls: list[tuple[str, object]] = []
        self.outcomes = outcomes
        self.broker_is_down = False

    async def write(self, batch: Sequence[Item], progress: Mapping[int, int], now: datetime) -> WriteResult:
        self.calls.append(("write", dict(progress)))
        return WriteResult(self.outcomes)

    async def publish_live(self, posts: Sequence[Announcement], thumbnails: Mapping[str, bytes]) -> None:
        self.calls.append(("live", ([each.op for each in posts], dict(thumbnails))))

    async def publish(self, posts: Sequence[Announcement]) -> None:
        if self.broker_is_down:
            raise BrokerUnavailableError("down")
        self.calls.append(("publish", [each.op for each in posts]))


class RecorderAsLive:
    def __init__(self, recorder: Recorder) -> None:
        self.publish = recorder.publish_live


def scored(post_id: str) -> ScoredPost:
    return ScoredPost(
        post_id=post_id,
        version=0,
        source="test",
        created_at=NOW,
        scored_at=NOW,
        model="stub@1",
        fused=None,
        unscored_reason="no_content",
    )


def row(post_id: str) -> ScoredRow:
    return ScoredRow(scored(post_id), post(), shard=0, flagged=False, thumbnail=post_id.encode())


async def test_new_posts_are_shown_and_published_repeats_only_published_stale_ones_neither() -> None:
    batch = [row("new"), row("repeat"), row("stale"), row("gone")]
    recorder = Recorder(
        [
            Outcome("written", scored("new")),
            Outcome("repeat", scored("repeat")),
            Outcome("stale", None),
            Outcome("written", ScoredDelete(post_id="gone", version=1, source="test")),
        ]
    )
    delivery = Delivery(
        store=recorder, live=RecorderAsLive(recorder), publish=recorder.publish, now=lambda: NOW
    )
    result = await delivery.write(batch, {3: 17})
    await delivery.show(batch, result)
    await delivery.announce(result)
    assert recorder.calls == [
        ("write", {3: 17}),
        ("live", (["upsert", "delete"], {"new": b"new"})),
        ("publish", ["upsert", "upsert", "delete"]),
    ]
