"""Scoring a file: order, sameness, bounded memory, and what goes wrong with one post stays with it."""

import asyncio
import gc
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from mmsent import scoring
from mmsent.engine.base import Prediction, ScoringRequest
from mmsent.engine.stub import POISON, StubEngine
from mmsent.errors import EngineError, InputError
from mmsent.posts import DeletePost, ForgetAuthor, ImageRef, Post, ScoredPost
from mmsent.scoring import CHUNK_POSTS, CHUNKS_IN_HAND, score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost

WHEN = datetime(2026, 5, 1, 12, tzinfo=UTC)
SETTINGS = Settings(  # a busy machine takes no picture from a post here
    decode_processes=1, decode_timeout_s=60, batch_max_tokens=64, batch_max_images=4
)


def post(number: int, text: str, images: Sequence[str] = ()) -> Post:
    return Post(
        post_id=f"test/{number}",
        source="test",
        created_at=WHEN,
        text=text,
        images=tuple(ImageRef(url=url) for url in images),
    )


def in_file(number: int, text: str, *paths: Path) -> FilePost:
    return FilePost(post(number, text, [path.name for path in paths]), paths)


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    return save_picture(tmp_path / "dark.png", 5)


def save_picture(path: Path, brightness: int) -> Path:
    Image.new("RGB", (40, 30), (brightness,) * 3).save(path)
    return path


async def scores(posts: Sequence[FilePost], **options: object) -> list[ScoredPost]:
    options = {"engine": StubEngine(image_size=32), "now": lambda: WHEN, **options}
    return [scored async for scored in score_posts(posts, SETTINGS, **options)]


async def test_posts_come_out_in_their_order_with_their_own_scores() -> None:
    words = ["good", "bad", "plain"]
    posts = [
        in_file(number, f"{words[number % 3]} " * (1 + number % 7)) for number in range(3 * CHUNK_POSTS + 5)
    ]
    done: list[int] = []
    result = await scores(posts, progress=done.append)
    assert [scored.post_id for scored in result] == [f"test/{number}" for number in range(len(posts))]
    labels = {"good": "positive", "bad": "negative", "plain": "neutral"}
    for number, scored in enumerate(result):
        assert scored.fused is not None
        assert scored.fused.label == labels[words[number % 3]]
    assert sum(done) == len(posts)
    assert {scored.scored_at for scored in result} == {WHEN}


async def test_pictures_beside_the_file_are_read_and_judged(dark: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    both, second, only, none = await scores(
        [
            in_file(0, "good", dark),
            in_file(1, "good", broken, dark),
            in_file(2, "", dark),
            in_file(3, "https://example.org/only-a-link"),
        ]
    )
    assert both.conflict == pytest.approx(0.8125)
    assert second.conflict == pytest.approx(0.8125)
    assert second.image_errors == ("corrupt",)
    assert (only.text, only.conflict, only.fused) == (None, None, only.image)
    assert (none.fused, none.unscored_reason) == (None, "no_content")


async def test_an_address_is_fetched_under_guard() -> None:
    remote = FilePost(post(0, "good", ["http://127.0.0.1:6379/"]))
    [scored] = await scores([remote])
    assert scored.image_errors == ("forbidden_address",)
    assert scored.fused == scored.text


async def test_a_picture_over_the_byte_cap_is_not_read_whole(dark: Path) -> None:
    settings = Settings(decode_processes=1, image_max_bytes=80)
    engine = StubEngine(image_size=32)
    [scored] = [one async for one in score_posts([in_file(0, "good", dark)], settings, engine=engine)]
    assert scored.image_errors == ("too_many_bytes",)


async def test_a_picture_that_vanished_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read \(No such file"):
        await scores([in_file(0, "good", tmp_path / "gone.png")])


async def test_deletes_and_forgets_have_no_scores() -> None:
    messages: list[FilePost] = [
        FilePost(DeletePost(post_id="test/1", version=1, source="test")),
        in_file(2, "good"),
        FilePost(ForgetAuthor(author="a", source="test", created_at=WHEN)),
    ]
    assert [scored.post_id for scored in await scores(messages)] == ["test/2"]
    assert await scores([]) == []


async def test_a_post_the_engine_cannot_score_ends_the_run_or_is_left_out() -> None:
    posts = [in_file(0, "good"), in_file(1, f"{POISON} good"), in_file(2, "bad")]
    with pytest.raises(EngineError, match="test/1"):
        await scores(posts)
    failures: list[str] = []
    result = await scores(posts, failed=lambda failed, error: failures.append(f"{failed.post_id} {error}"))
    assert [scored.post_id for scored in result] == ["test/0", "test/2"]
    assert failures == ["test/1 the stub was told to fail"]


class RecordingEngine(StubEngine):
    """Remembers its batches."""

    def __init__(self) -> None:
        super().__init__(image_size=32)
        self.batches: list[list[str | None]] = []

    def score(self, requests: Sequence[ScoringRequest]) -> list[Prediction]:
        self.batches.append([request.text for request in requests])
        return super().score(requests)


class UnevenDisk:
    """Lets each picture take another time to read, so that posts are ready in another order each run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.read = scoring._read_picture

    async def to_thread(self, function, *args):
        await asyncio.sleep(self.random.random() / 100)
        return function(*args)


async def test_batches_are_the_same_on_every_run(dark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [in_file(number, "word " * (number * 7 % 13 + 1), dark) for number in range(CHUNK_POSTS + 20)]
    runs = []
    for seed in range(3):
        monkeypatch.setattr(scoring.asyncio, "to_thread", UnevenDisk(seed).to_thread)
        engine = RecordingEngine()
        result = await scores(posts, engine=engine)
        monkeypatch.undo()
        runs.append((sorted(engine.batches), result))
    assert runs[0] == runs[1] == runs[2]
    assert max(map(len, runs[0][0])) == SETTINGS.batch_max_images


async def test_only_a_few_chunks_are_in_memory() -> None:
    taken = 0

    def endless() -> Iterator[FilePost]:
        nonlocal taken
        while True:
            taken += 1
            yield in_file(taken, "good")

    stream = score_posts(endless(), SETTINGS, engine=StubEngine(image_size=32))
    for number in range(1, 3 * CHUNK_POSTS):
        await anext(stream)
        assert taken <= number + CHUNKS_IN_HAND * CHUNK_POSTS
    await stream.aclose()


async def test_leaving_early_leaves_nothing_behind(dark: Path) -> None:
    before = asyncio.all_tasks()
    posts = [in_file(number, "good", dark) for number in range(4 * CHUNK_POSTS)]
    stream = score_posts(posts, SETTINGS, engine=StubEngine(image_size=32, delay_s=0.01))
    await anext(stream)
    await stream.aclose()
    gc.collect()
    assert asyncio.all_tasks() == before


async def test_a_file_that_turns_bad_midway_ends_the_run_with_its_own_error() -> None:
    def turning() -> Iterator[FilePost]:
        for number in range(CHUNK_POSTS + 3):
            yield in_file(number, "good")
        raise InputError("posts.jsonl:68: not JSON")

    before = asyncio.all_tasks()
    with pytest.raises(InputError, match=r"posts\.jsonl:68"):
        await scores(turning())
    assert asyncio.all_tasks() == before


async def test_the_settings_engine_is_made_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(StubEngine, "close", lambda engine: closed.append(engine.model_id))
    settings = Settings(engine="stub", decode_processes=1)
    result = [scored async for scored in score_posts([in_file(0, "good")], settings)]
    assert [scored.model for scored in result] == ["stub@1"]
    assert closed == ["stub@1"]
