"""`mmsent score`: posts of a file to scores, without any server."""

import asyncio
import os
import stat
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmsent.commands.console import data_console, give, printable, say, talk_console
from mmsent.commands.heat_maps import make_folder, write_heat_map
from mmsent.commands.score_view import explained_block, header, legend, row, summary
from mmsent.engine.base import Engine, create_engine
from mmsent.errors import EngineError
from mmsent.explain import Explanation
from mmsent.explaining import Explained, explain_posts
from mmsent.posts import ExplainedPost, Post, ScoredPost
from mmsent.scoring import score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import FilePost, PostFile, open_posts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def run(
    settings: Settings,
    file: Path,
    source: str | None,
    *,
    explained: bool = False,
    heat_maps: Path | None = None,
) -> None:
    """Score a file: JSON lines in input order, or a table if stdout is a terminal; a summary on stderr.

    `explained` tells of each post what its opinions rest on; the picture's is drawn into `heat_maps` too.

    Raises:
        InputError: the file or the checkpoint is not good; `heat_maps` cannot be written to.
        EngineError: the engine failed on some posts; they are named, the others are scored.
    """
    moment = _moment_of(file)
    posts = open_posts(file, source, now=lambda: moment)
    if heat_maps is not None:
        make_folder(heat_maps)
    console = data_console() if sys.stdout.isatty() else None
    out = _ExplainedOut(console, heat_maps) if explained else _Out(console)
    failures: list[str] = []

    def failed(post: Post, error: EngineError) -> None:
        failures.append(post.post_id)
        say(f"{printable(post.post_id)} is left out: {error}")

    with _bar(len(posts), console or talk_console()) as advance:
        report = asyncio.run(_score(settings, posts, out, failed, advance))
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
    out: "_Out",
    failed: Callable[[Post, EngineError], None],
    advance: Callable[[int], None],
) -> str:
    """Put scores out as they come; the summary."""
    engine = await asyncio.to_thread(create_engine, settings)
    threshold = settings.conflict_threshold or engine.conflict_threshold
    began = time.monotonic()
    try:
        out.begin(threshold)
        scores = out.scores(out.reading(posts), settings, engine=engine, progress=advance, failed=failed)
        async with aclosing(scores):
            async for scored, explanation in scores:
                out.put(scored, explanation)
    finally:
        engine.close()
    seconds = time.monotonic() - began
    return summary(
        posts=out.posts, flagged=out.flagged, unscored=out.unscored, seconds=seconds, threshold=threshold
    )


async def _plain_scores(
    posts: Iterable[FilePost],
    settings: Settings,
    *,
    engine: Engine,
    progress: Callable[[int], None],
    failed: Callable[[Post, EngineError], None],
) -> AsyncGenerator[Explained, None]:
    scores = score_posts(posts, settings, engine=engine, progress=progress, failed=failed)
    async with aclosing(scores):
        async for scored in scores:
            yield scored, None


class _Out:
    """Rows of a table on a terminal, JSON lines elsewhere; counts what it puts out."""

    scores = staticmethod(_plain_scores)

    def __init__(self, console: "Console | None") -> None:
        self.posts = self.flagged = self.unscored = 0
        self.threshold = 1.0
        self._console = console
        self._read: deque[Post] = deque()

    def begin(self, threshold: float) -> None:
        self.threshold = threshold
        if self._console is not None:
            self._console.print(self.heading(self._console.width), soft_wrap=True)

    def reading(self, posts: PostFile) -> Iterator[FilePost]:
        """`posts`, of which those that are not put out yet are remembered: scores carry no text."""
        for post in posts:
            if self._console is not None and isinstance(post.message, Post):
                self._read.append(post.message)
            yield post

    def put(self, scored: ScoredPost, explanation: Explanation | None) -> None:
        self.posts += 1
        self.flagged += scored.conflict is not None and scored.conflict >= self.threshold
        self.unscored += scored.fused is None
        if self._console is None:
            give(self.message(scored, explanation).to_json().decode())
            return
        while (post := self._read.popleft()).post_id != scored.post_id:
            pass  # left out
        self.show(self._console, scored, post, explanation)

    def heading(self, width: int) -> "Text":
        return header(width)

    def message(self, scored: ScoredPost, _explanation: Explanation | None) -> ScoredPost:
        return scored

    def show(
        self, console: "Console", scored: ScoredPost, post: Post, _explanation: Explanation | None
    ) -> None:
        console.print(row(scored, post, threshold=self.threshold, width=console.width), soft_wrap=True)


class _ExplainedOut(_Out):
    """Blocks on a terminal, JSON lines with an `explanation` elsewhere; heat maps in a folder."""

    scores = staticmethod(explain_posts)

    def __init__(self, console: "Console | None", heat_maps: Path | None) -> None:
        super().__init__(console)
        self._heat_maps = heat_maps

    def heading(self, _width: int) -> "Text":
        return legend()

    def message(self, scored: ScoredPost, explanation: Explanation | None) -> ScoredPost:
        name = self._draw(scored, explanation)
        contract = None if explanation is None else explanation.contract(name)
        return ExplainedPost(**dict(scored), explanation=contract)

    def show(
        self, console: "Console", scored: ScoredPost, post: Post, explanation: Explanation | None
    ) -> None:
        console.print(
            explained_block(scored, post, explanation, threshold=self.threshold, width=console.width)
        )
        if self._heat_maps is not None and (name := self._draw(scored, explanation)):
            console.print(f"  → {self._heat_maps / name}", soft_wrap=True, markup=False)

    def _draw(self, scored: ScoredPost, explanation: Explanation | None) -> str | None:
        if self._heat_maps is None or explanation is None:
            return None
        return write_heat_map(self._heat_maps, scored, explanation)


@contextmanager
def _bar(total: int, console: "Console") -> Iterator[Callable[[int], None]]:
    """How far it is, on a terminal; nothing elsewhere."""
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("scoring", total=total)
        yield lambda messages: progress.advance(bar, messages)
