"""`mmsent score`: posts of a file to scores, without any server."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmsent.commands.console import give, printable, talk_console
from mmsent.posts import Opinion, ScoredPost
from mmsent.scoring import score_posts
from mmsent.settings import Settings
from mmsent.sources.replay import PostFile, open_posts

HEADER = f"{'post':<28} {'together':<14} {'text':<14} {'picture':<14} {'conflict':>8}  notes"


def run(settings: Settings, file: Path, source: str | None) -> None:
    """Score a file: JSON lines in input order, or a table if stdout is a terminal.

    Raises:
        InputError: the file or the checkpoint is not good.
        EngineError: the engine fails on a post.
    """
    posts = open_posts(file, source)
    if sys.stdout.isatty():
        give(HEADER)
        asyncio.run(_score(settings, posts, lambda scored: give(row_of(scored))))
    else:
        asyncio.run(_score(settings, posts, lambda scored: give(scored.to_json().decode())))


async def _score(settings: Settings, posts: PostFile, put: Callable[[ScoredPost], None]) -> None:
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk_console(), transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("scoring", total=len(posts))
        async for scored in score_posts(posts, settings):
            put(scored)
            progress.advance(bar)


def row_of(scored: ScoredPost) -> str:
    """One post's scores in one line."""
    conflict = "" if scored.conflict is None else f"{scored.conflict:.2f}"
    notes = ", ".join(filter(None, (scored.unscored_reason, *scored.image_errors)))
    opinions = " ".join(f"{_short(one):<14}" for one in (scored.fused, scored.text, scored.image))
    return f"{printable(scored.post_id, 28):<28} {opinions} {conflict:>8}  {notes}".rstrip()


def _short(opinion: Opinion | None) -> str:
    return "" if opinion is None else f"{opinion.label} {getattr(opinion, opinion.label):.2f}"
