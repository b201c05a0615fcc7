"""The pipeline's steps 1–4 over a file, without any server: what `mmsent score` prints.

The output is the same on every run but for `scored_at` (and for pictures that a remote host gives today and
not tomorrow): batches are formed from whole chunks of the file, never from what happens to be ready first.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from mmsent.batching import BatchWindow, EngineThread
from mmsent.engine.base import Engine, Prediction, ScoringRequest, create_engine
from mmsent.errors import EngineError, ImageError, InputError
from mmsent.images.decode import ImageDecoder
from mmsent.images.fetch import ImageFetcher
from mmsent.pipeline import Decoder, ImageLoader, Scorer
from mmsent.posts import Post, ScoredPost
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost

CHUNK_POSTS = 64
CHUNKS_IN_HAND = 2  # the engine works on one while the pictures of the next are fetched and decoded

Outcome = tuple[Post, ScoredPost | EngineError]
Seat = tuple[ScoringRequest, "asyncio.Future[Prediction]"]


async def score_posts(
    posts: Iterable[FilePost],
    settings: Settings,
    *,
    engine: Engine | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Callable[[int], None] = lambda _messages: None,
    failed: Callable[[Post, EngineError], None] | None = None,
) -> AsyncGenerator[ScoredPost, None]:
    """Scores of `posts`, in their order; deletes and forgets have none and are passed over.

    At most `CHUNKS_IN_HAND` × `CHUNK_POSTS` posts are in memory. `engine` is the caller's to close; without
    one, the settings' engine is made for this call. `progress` hears how many more posts are done.

    Raises:
        EngineError: the engine cannot score a post, unless `failed` takes it: then that post is left out.
        InputError: a picture beside the file cannot be read; the checkpoint cannot be used.
    """
    model = await asyncio.to_thread(create_engine, settings) if engine is None else engine
    decoder = ImageDecoder(settings, model.image_size)
    thread = EngineThread[ScoringRequest, Prediction](model)
    try:
        async with ImageFetcher(settings) as fetcher:
            scoring = OfflineScoring(model, thread, fetcher.fetch, decoder, settings, now)
            async with aclosing(scoring.run(posts)) as outcomes:
                async for post, outcome in outcomes:
                    progress(1)
                    if isinstance(outcome, ScoredPost):
                        yield outcome
                    elif failed is None:
                        raise EngineError(f"{post.post_id}: {outcome}") from outcome
                    else:
                        failed(post, outcome)
    finally:
        decoder.close()
        await thread.close()
        if engine is None:
            model.close()


@dataclass(frozen=True)
class OfflineScoring:
    """Scores posts chunk by chunk with what it is given; opens and closes nothing itself."""

    engine: Engine
    thread: EngineThread[ScoringRequest, Prediction]
    load_image: ImageLoader
    decoder: Decoder
    settings: Settings
    now: Callable[[], datetime]

    async def run(self, posts: Iterable[FilePost]) -> AsyncGenerator[Outcome, None]:
        """Each post's outcome, in order."""
        upserts = ((post.message, post.local_images) for post in posts if isinstance(post.message, Post))
        in_hand: deque[asyncio.Task[list[Outcome]]] = deque()
        try:
            while chunk := list(islice(upserts, CHUNK_POSTS)):
                in_hand.append(asyncio.create_task(self._score_chunk(chunk)))
                if len(in_hand) == CHUNKS_IN_HAND:
                    for outcome in await in_hand.popleft():
                        yield outcome
            while in_hand:
                for outcome in await in_hand.popleft():
                    yield outcome
        finally:
            await _cancel(in_hand)

    async def _score_chunk(self, chunk: Sequence[tuple[Post, tuple[Path, ...]]]) -> list[Outcome]:
        gathering = Gathering(len(chunk), self.engine, self.thread, self.settings)
        scorer = Scorer(
            load_image=self.load_image,
            decoder=self.decoder,
            batcher=gathering,
            model=self.engine,
            conflict_threshold=self.settings.conflict_threshold or self.engine.conflict_threshold,
            now=self.now,
        )
        tasks = [
            asyncio.create_task(self._score_one(scorer, post, local, gathering)) for post, local in chunk
        ]
        batches = asyncio.create_task(gathering.run())
        try:
            _, outcomes = await asyncio.gather(batches, asyncio.gather(*tasks))
        finally:
            await _cancel([batches, *tasks])
        return outcomes

    async def _score_one(
        self, scorer: Scorer, post: Post, local_images: tuple[Path, ...], gathering: "Gathering"
    ) -> Outcome:
        try:
            load_image = local_loader(post, local_images, self.settings.image_max_bytes)
            result = await scorer.score(post, load_image=load_image)
        except EngineError as error:
            return post, error
        finally:
            gathering.leave()
        return post, result.scored


class Gathering:
    """Holds the requests of a chunk until each of its posts has asked or ended, then forms the batches.

    It stands in for the batcher that serves a stream, whose batches depend on who is ready when. Here they
    depend on the requests alone, which are put in an order of their own first.
    """

    def __init__(
        self,
        posts: int,
        engine: Engine,
        thread: EngineThread[ScoringRequest, Prediction],
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._thread = thread
        self._expected = posts
        self._seats: list[Seat] = []
        self._complete = asyncio.Event()
        self._max_tokens = settings.batch_max_tokens
        self._max_images = settings.batch_max_images

    async def score(self, request: ScoringRequest) -> Prediction:
        """Once for a post; raises EngineError."""
        future: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._seats.append((request, future))
        self._check()
        return await future

    def leave(self) -> None:
        """A post has ended; it will not ask (any more)."""
        self._expected -= 1
        self._check()

    def _check(self) -> None:
        if len(self._seats) >= self._expected:
            self._complete.set()

    async def run(self) -> None:
        """Answer everyone."""
        await self._complete.wait()
        window = BatchWindow[int](max_tokens=self._max_tokens, max_images=self._max_images)
        seats = sorted(self._seats, key=_content)
        for number, (request, _) in enumerate(seats):
            window.add(number, self._engine.size(request))
        while batch := window.take():
            outcomes = await self._thread.run([seats[number][0] for number in batch])
            for number, outcome in zip(batch, outcomes, strict=True):
                _resolve(seats[number][1], outcome)


def _content(seat: Seat) -> tuple[str, bytes]:
    request, _ = seat
    return request.text or "", b"" if request.pixels is None else request.pixels.tobytes()


def _resolve(future: "asyncio.Future[Prediction]", outcome: Prediction | EngineError) -> None:
    if isinstance(outcome, EngineError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def _cancel(tasks: Iterable["asyncio.Task[object]"]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def local_loader(post: Post, local_images: Sequence[Path], max_bytes: int) -> ImageLoader | None:
    """What reads the post's pictures, if they lie beside the file; InputError if one cannot be read."""
    if not local_images:
        return None
    paths = {image.url: path for image, path in zip(post.images, local_images, strict=True)}

    async def load(url: str) -> bytes:
        return await asyncio.to_thread(_read_picture, paths[url], max_bytes)

    return load


def _read_picture(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"the picture {path} cannot be read ({error.strerror})") from error
    if len(data) > max_bytes:
        raise ImageError("too_many_bytes", f"more than {max_bytes}")
    return data
