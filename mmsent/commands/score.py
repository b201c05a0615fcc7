"""`mmsent score`: posts of a file to scores, without any server."""

import asyncio
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmsent.commands.console import data_console, give, printable, say, talk_console
from mmsent.commands.score_view import header, row, summary
from mmsent.engine.base import create_engine
from mmsent.errors import EngineError
from mmsent.posts import Post, ScoredPost
from mmsent.scoring import score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost, PostFile, open_posts

if TYPE_CHECKING:
    from rich.console import Console


def run(settings: Settings, file: Path, source: str | None) -> None:
    """Score a file: JSON lines in input order, or a table if stdout is a terminal; a summary on stderr.

    Raises:
        InputError: the file or the checkpoint is not good.
        EngineError: the engine failed on some posts; they are named, the others are scored.
    """
    moment = _moment_of(file)
    posts = open_posts(file, source, now=lambda: moment)
    console = data_console() if sys.stdout.isatty() else None
    failures: list[str] = []

    def failed(post: Post, error: EngineError) -> None:
        failures.append(post.post_id)
        say(f"{printable(post.post_id)} is left out: {error}")

    with _bar(len(posts), console or talk_console()) as advance:
        report = asyncio.run(_score(settings, posts, console, failed, advance))
    say(report)
    if failures:
        raise EngineError(f"{len(failures)} of {len(posts)} posts could not be scored")


def _moment_of(file: Path) -> datetime:
    """When the file was last changed; 1970 for what comes through a pipe: the same posts, the same scores."""
    with suppress(OSError):
        status = os.fstat(sys.stdin.fileno()) if str(file) == "-" else file.stat()
        if stat.S_ISREG(status.st_mode):
            return datetime.fromtimestamp(status.st_mtime, UTC)
    return datetime.fromtimestamp(0, UTC)


async def _score(
    settings: Settings,
    posts: PostFile,
    console: "Console | None",
    failed: Callable[[Post, EngineError], None],
    advance: Callable[[int], None],
) -> str:
    """Put scores out as they come; the summary."""
    engine = await asyncio.to_thread(create_engine, settings)
    threshold = settings.conflict_threshold or engine.conflict_threshold
    out = _Out(console, threshold)
    began = time.monotonic()
    try:
        scores = score_posts(out.reading(posts), settings, engine=engine, progress=advance, failed=failed)
        async with aclosing(scores):
            async for scored in scores:
                out.put(scored)
    finally:
        engine.close()
    seconds = time.monotonic() - began
    return summary(
        posts=out.posts, flagged=out.flagged, unscored=out.unscored, seconds=seconds, threshold=threshold
    )


class _Out:
    """Rows of a table on a terminal, JSON lines elsewhere; counts what it puts out."""

    def __init__(self, console: "Console | None", threshold: float) -> None:
        self.posts = self.flagged = self.unscored = 0
        self._console = console
        self._threshold = threshold
        self._read: deque[Post] = deque()
        if console is not None:
            console.print(header(console.width), soft_wrap=True)

    def reading(self, posts: PostFile) -> Iterator[FilePost]:
        """`posts`, of which those that are not put out yet are remembered: scores carry no text."""
        for post in posts:
            if self._console is not None and isinstance(post.message, Post):
                self._read.append(post.message)
            yield post

    def put(self, scored: ScoredPost) -> None:
        self.posts += 1
        self.flagged += scored.conflict is not None and scored.conflict >= self._threshold
        self.unscored += scored.fused is None
        if self._console is None:
            give(scored.to_json().decode())
            return
        while (post := self._read.popleft()).post_id != scored.post_id:
            pass  # left out
        line = row(scored, post, threshold=self._threshold, width=self._console.width)
        self._console.print(line, soft_wrap=True)


@contextmanager
def _bar(total: int, console: "Console") -> Iterator[Callable[[int], None]]:
    """How far it is, on a terminal; nothing elsewhere."""
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("scoring", total=total)
        yield lambda messages: progress.advance(bar, messages)
