"""What a post's scores look like in a table that follows the terminal's width."""

from rich.text import Text

from mmsent.commands.console import SENTIMENTS, opinion_text, printable
from mmsent.posts import Opinion, Post, ScoredPost

WIDE = 90  # columns from which opinions are spelled out
FLAG = "≠"
SPELLED, MARKED = len("▲ positive 0.93"), len("picture")
CONFLICT = len("conflict")


def header(width: int) -> Text:
    """Names of the columns."""
    opinion = SPELLED if width >= WIDE else MARKED
    names = ("fused", "words", "picture")
    return Text("  ".join([*(f"{name:<{opinion}}" for name in names), "conflict", "post"]), style="bold")


def row(scored: ScoredPost, post: Post, *, threshold: float, width: int) -> Text:
    """One post in one line of at most `width` cells."""
    opinions = [_opinion(opinion, width) for opinion in (scored.fused, scored.text, scored.image)]
    cells = [*opinions, _conflict(scored.conflict, threshold), _post(scored, post)]
    line = Text("  ").join(cells)
    line.truncate(width, overflow="ellipsis")
    return line


def summary(*, posts: int, flagged: int, unscored: int, seconds: float, threshold: float) -> str:
    """What all of it came to, in one line."""
    parts = [
        f"{posts:,} {'post' if posts == 1 else 'posts'} in {seconds:.1f} s",
        f"{posts / seconds if seconds > 0 else 0.0:,.0f} posts/s",
        f"{flagged:,} flagged (conflict ≥ {threshold:.2f})",
        *([f"{unscored:,} without a score"] if unscored else []),
    ]
    return " · ".join(parts)


def _opinion(opinion: Opinion | None, width: int) -> Text:
    if width >= WIDE or opinion is None:
        text = opinion_text(opinion)
    else:
        mark, color = SENTIMENTS[opinion.label]
        text = Text(f"{mark} {getattr(opinion, opinion.label):.2f}", style=color)
    text.pad_right((SPELLED if width >= WIDE else MARKED) - text.cell_len)
    return text


def _conflict(conflict: float | None, threshold: float) -> Text:
    if conflict is None:
        return Text("–".rjust(CONFLICT), style="dim")
    flagged = conflict >= threshold
    shown = f"{FLAG if flagged else ' '} {conflict:.2f}"
    return Text(shown.rjust(CONFLICT), style="bold" if flagged else "")


def _post(scored: ScoredPost, post: Post) -> Text:
    notes = ", ".join(filter(None, (scored.unscored_reason, *scored.image_errors)))
    return Text.assemble(
        (f"{printable(scored.post_id)} ", "dim"),
        (f"({notes}) " if notes else "", "italic"),
        printable(post.text),
    )
