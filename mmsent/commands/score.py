"""`mmsent score`: posts of a file to scores, without any server."""

import asyncio
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmsent.commands.console import give, printable, say, talk_console
from mmsent.errors import EngineError
from mmsent.posts import Opinion, Post, ScoredPost
from mmsent.scoring import score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import PostFile, open_posts

HEADER = f"{'post':<28} {'together':<14} {'text':<14} {'picture':<14} {'conflict':>8}  notes"


def run(settings: Settings, file: Path, source: str | None) -> None:
    """Score a file: JSON lines in input order, or a table if stdout is a terminal.

    Raises:
        InputError: the file or the checkpoint is not good.
        EngineError: the engine failed on some posts; they are named, the others are scored.
    """
    moment = _moment_of(file)
    posts = open_posts(file, source, now=lambda: moment)
    failures: list[str] = []

    def failed(post: Post, error: EngineError) -> None:
        failures.append(post.post_id)
        say(f"{printable(post.post_id)} is left out: {error}")

    if sys.stdout.isatty():
        give(HEADER)
        asyncio.run(_score(settings, posts, lambda scored: give(row_of(scored)), failed))
    else:
        with _bar(len(posts)) as advance:
            asyncio.run(_score(settings, posts, _give_json, failed, advance))
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
    put: Callable[[ScoredPost], None],
    failed: Callable[[Post, EngineError], None],
    advance: Callable[[int], None] = lambda _messages: None,
) -> None:
    async with aclosing(score_posts(posts, settings, progress=advance, failed=failed)) as scores:
        async for scored in scores:
            put(scored)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk_console(), transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("scoring", total=total)
        yield lambda messages: progress.advance(bar, messages)


def _give_json(scored: ScoredPost) -> None:
    give(scored.to_json().decode())


def row_of(scored: ScoredPost) -> str:
    """One post's scores in one line."""
    conflict = "" if scored.conflict is None else f"{scored.conflict:.2f}"
    notes = ", ".join(filter(None, (scored.unscored_reason, *scored.image_errors)))
    opinions = " ".join(f"{_short(one):<14}" for one in (scored.fused, scored.text, scored.image))
    return f"{printable(scored.post_id, 28):<28} {opinions} {conflict:>8}  {notes}".rstrip()


def _short(opinion: Opinion | None) -> str:
    return "" if opinion is None else f"{opinion.label} {getattr(opinion, opinion.label):.2f}"
