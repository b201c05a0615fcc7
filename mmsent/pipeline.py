"""One post's journey, knowing no Kafka: fetch → decode → batch → score, then write → live → publish.

Steps 1–4 are `Scorer`'s, one post at a time and many at once; steps 5–7 `Delivery`'s, a batch at a time. The
offset, last of all, is the caller's.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from numpy import uint8
from numpy.typing import NDArray

from mmsent.engine.base import Prediction, ScoringRequest
from mmsent.errors import ImageError
from mmsent.images.decode import DecodedImage
from mmsent.model.inputs import has_text
from mmsent.posts import ImageErrorReason, Post, ScoredDelete, ScoredPost, UnscoredReason
from mmsent.store.writes import Item, ScoredRow, WriteResult

ImageLoader = Callable[[str], Awaitable[bytes]]  # URL → bytes of the file; raises ImageError
Observer = Callable[[str, float], None]  # name of a stage, seconds it took
Announcement = ScoredPost | ScoredDelete
Publish = Callable[[Sequence[Announcement]], Awaitable[None]]


class Decoder(Protocol):
    """Bytes of a picture → what the model and people see; raises ImageError."""

    async def decode(self, data: bytes, /) -> DecodedImage: ...


class Batcher(Protocol):
    """One post in, its prediction out, batched with others on the way; raises EngineError."""

    async def score(self, request: ScoringRequest, /) -> Prediction: ...


class Model(Protocol):
    """What of the engine decides about a post before and after it is scored."""

    @property
    def model_id(self) -> str: ...

    def judges(self, lang: str | None, /) -> bool: ...


class Store(Protocol):
    """Writes a batch and the progress of its partitions in one transaction."""

    async def write(
        self, batch: Sequence[Item], progress: Mapping[int, int], now: datetime, /
    ) -> WriteResult: ...


class Live(Protocol):
    """Shows posts to people who watch; never raises."""

    async def publish(self, posts: Sequence[Announcement], thumbnails: Mapping[str, bytes], /) -> None: ...


@dataclass(frozen=True)
class ScoredResult:
    """A scored post; `thumbnail` is a JPEG of the picture that was scored."""

    scored: ScoredPost
    thumbnail: bytes | None
    flagged: bool


@dataclass(frozen=True)
class _Picture:
    pixels: NDArray[uint8] | None
    thumbnail: bytes | None
    errors: tuple[ImageErrorReason, ...]


def build_scored_post(
    post: Post,
    prediction: Prediction | None,
    *,
    model_id: str,
    image_errors: Sequence[ImageErrorReason],
    topics: Sequence[str],
    scored_at: datetime,
    unscored_reason: UnscoredReason | None,
) -> ScoredPost:
    """What is announced of a post. With one opinion, `fused` is that one."""
    judged = prediction or Prediction()
    fused = judged.fused or judged.text or judged.image
    return ScoredPost(
        post_id=post.post_id,
        version=post.version,
        source=post.source,
        created_at=post.created_at,
        scored_at=scored_at,
        model=model_id,
        fused=fused,
        unscored_reason=None if fused else unscored_reason,
        text=judged.text,
        image=judged.image,
        conflict=judged.conflict,
        weights=judged.weights,
        image_errors=tuple(image_errors),
        topics=tuple(topics),
    )


def is_flagged(scored: ScoredPost, threshold: float) -> bool:
    """Whether words and picture disagree enough to be shown to people."""
    return scored.conflict is not None and scored.conflict >= threshold


class Scorer:
    """Steps 1–4: what the model says of one post."""

    def __init__(
        self,
        *,
        load_image: ImageLoader,
        decoder: Decoder,
        batcher: Batcher,
        model: Model,
        conflict_threshold: float,
        now: Callable[[], datetime],
        observe: Observer = lambda _stage, _seconds: None,
        image_failed: Callable[[ImageErrorReason], None] = lambda _reason: None,
    ) -> None:
        self._load_image = load_image
        self._decoder = decoder
        self._batcher = batcher
        self._model = model
        self._threshold = conflict_threshold
        self._now = now
        self._observe = observe
        self._image_failed = image_failed

    async def score(
        self, post: Post, *, topics: Sequence[str] = (), load_image: ImageLoader | None = None
    ) -> ScoredResult:
        """Judge `post`; `load_image` takes the fetcher's place for this one (local files).

        Raises:
            EngineError: the engine cannot score this post.
        """
        if not self._model.judges(post.lang):
            return self._result(post, None, _Picture(None, None, ()), topics, unscored_reason="language")
        picture = await self._first_picture(post, load_image or self._load_image)
        text = post.text if has_text(post.text) else None
        if text is None and picture.pixels is None:
            return self._result(post, None, picture, topics, unscored_reason="no_content")
        with self._timed("score"):  # 3 and 4, the wait for the engine included
            prediction = await self._batcher.score(ScoringRequest(text, picture.pixels))
        return self._result(post, prediction, picture, topics, unscored_reason=None)

    async def _first_picture(self, post: Post, load_image: ImageLoader) -> _Picture:
        """The first picture that can be had, and why those before it could not."""
        errors: list[ImageErrorReason] = []
        for image in post.images:
            try:
                with self._timed("fetch"):  # 1
                    data = await load_image(image.url)
                with self._timed("decode"):  # 2
                    decoded = await self._decoder.decode(data)
            except ImageError as error:
                reason = cast(ImageErrorReason, error.reason)
                errors.append(reason)
                self._image_failed(reason)
            else:
                return _Picture(decoded.pixels, decoded.thumbnail, tuple(errors))
        return _Picture(None, None, tuple(errors))

    def _result(
        self,
        post: Post,
        prediction: Prediction | None,
        picture: _Picture,
        topics: Sequence[str],
        *,
        unscored_reason: UnscoredReason | None,
    ) -> ScoredResult:
        scored = build_scored_post(
            post,
            prediction,
            model_id=self._model.model_id,
            image_errors=picture.errors,
            topics=topics,
            scored_at=self._now(),
            unscored_reason=unscored_reason,
        )
        return ScoredResult(scored, picture.thumbnail, is_flagged(scored, self._threshold))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._observe(stage, time.perf_counter() - started)


class Delivery:
    """Steps 5–7 for a batch. Each is safe to repeat, so a failure is answered by doing all of it again."""

    def __init__(
        self,
        *,
        store: Store,
        live: Live,
        publish: Publish,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._live = live
        self._publish = publish
        self._now = now

    async def write(self, batch: Sequence[Item], progress: Mapping[int, int]) -> WriteResult:
        """Step 5: the batch and its progress, in one transaction.

        Raises:
            StoreUnavailableError: nothing is known to be written; write it again.
            StoreDataError: the database refuses something in it; nothing is written.
        """
        return await self._store.write(batch, progress, self._now())

    async def show(self, batch: Sequence[Item], result: WriteResult) -> None:
        """Step 6: what is new in this batch, to those who watch. Never raises."""
        fresh = [
            (item, outcome.announce)
            for item, outcome in zip(batch, result.outcomes, strict=True)
            if outcome.kind == "written" and outcome.announce is not None
        ]
        thumbnails = {
            announce.post_id: item.thumbnail
            for item, announce in fresh
            if isinstance(item, ScoredRow) and isinstance(announce, ScoredPost) and item.thumbnail
        }
        await self._live.publish([announce for _, announce in fresh], thumbnails)

    async def announce(self, result: WriteResult) -> None:
        """Step 7: what the rows hold now, repeats included: the first time may have been cut short.

        Raises:
            BrokerUnavailableError: not all is known to be published; announce it again.
        """
        await self._publish([outcome.announce for outcome in result.outcomes if outcome.announce is not None])
