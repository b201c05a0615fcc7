"""Posts of a file scored one after another, each with what its opinions rest on: `mmsent score --explain`."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mmsent.batching import EngineThread, RequestSize
from mmsent.engine.base import Engine, Prediction, ScoringRequest
from mmsent.errors import EngineError
from mmsent.explain import Explanation, explain
from mmsent.images.decode import ImageDecoder
from mmsent.images.fetch import ImageFetcher
from mmsent.pipeline import ImageLoader, Scorer
from mmsent.posts import Post, ScoredPost
from mmsent.scoring import local_loader
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost

Explained = tuple[ScoredPost, Explanation | None]


async def explain_posts(
    posts: Iterable[FilePost],
    settings: Settings,
    *,
    engine: Engine,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Callable[[int], None] = lambda _messages: None,
    failed: Callable[[Post, EngineError], None],
) -> AsyncGenerator[Explained, None]:
    """Scores of `posts` as `mmsent.scoring.score_posts` gives them, and what each rests on.

    A post that is not scored has no explanation. `failed` takes a post that the engine cannot score.

    Raises:
        InputError: a picture beside the file cannot be read.
    """
    decoder = ImageDecoder(settings, engine.image_size)
    thread = EngineThread[ScoringRequest, Explanation](_Explainer(engine))
    desk = _Desk(thread)
    try:
        async with ImageFetcher(settings) as fetcher:
            scorer = Scorer(
                load_image=fetcher.fetch,
                decoder=decoder,
                batcher=desk,
                model=engine,
                conflict_threshold=settings.conflict_threshold or engine.conflict_threshold,
                now=now,
            )
            for post in posts:
                if isinstance(post.message, Post):
                    load_image = local_loader(post.message, post.local_images, settings.image_max_bytes)
                    if explained := await _explain_one(scorer, desk, post.message, load_image, failed):
                        yield explained
                    progress(1)
    finally:
        decoder.close()
        await thread.close()


async def _explain_one(
    scorer: Scorer,
    desk: "_Desk",
    post: Post,
    load_image: ImageLoader | None,
    failed: Callable[[Post, EngineError], None],
) -> Explained | None:
    desk.explanation = None
    try:
        result = await scorer.score(post, load_image=load_image)
    except EngineError as error:
        failed(post, error)
        return None
    return result.scored, desk.explanation


class _Desk:
    """Stands in for the batcher: one post at a time, whose explanation it keeps."""

    def __init__(self, thread: EngineThread[ScoringRequest, Explanation]) -> None:
        self.explanation: Explanation | None = None
        self._thread = thread

    async def score(self, request: ScoringRequest) -> Prediction:
        [outcome] = await self._thread.run([request])
        if isinstance(outcome, EngineError):
            raise outcome
        self.explanation = outcome
        return outcome.prediction


@dataclass(frozen=True)
class _Explainer:
    """An engine that explains what it scores."""

    engine: Engine

    def size(self, request: ScoringRequest) -> RequestSize:
        return self.engine.size(request)

    def score(self, requests: Sequence[ScoringRequest]) -> list[Explanation]:
        return [explain(self.engine, request) for request in requests]
