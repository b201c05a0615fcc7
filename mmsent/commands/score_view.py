"""What a post's scores look like: a row that follows the terminal's width, or a block that explains them."""

import numpy as np
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mmsent.commands.console import CONTROL, SENTIMENTS, opinion_text, printable
from mmsent.explain import Explanation
from mmsent.posts import Opinion, Post, ScoredPost

WIDE = 90  # columns from which opinions are spelled out
FLAG = "≠"
SPELLED, MARKED = len("▲ positive 0.93"), len("picture")
CONFLICT = len("conflict")
SUPPORTS, AGAINST = "bold #a07800", "bold #8a4fd0"  # as on heat maps, dark enough for light terminals
LEAST = 0.01  # influence worth a number: a point, and
LEAST_OF_STRONGEST = 0.25
UNREAD = 40  # characters shown of what the model does not read
ROWS, COLUMNS = ("top ", "", "bottom "), ("left", "centre", "right")


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


def legend() -> Text:
    """What the numbers in a block mean."""
    return Text.assemble(
        ("+8", SUPPORTS),
        " supports the opinion: hidden, its probability falls by 8 points · ",
        ("−8", AGAINST),
        " speaks against it",
    )


def explained_block(
    scored: ScoredPost, post: Post, explanation: Explanation | None, *, threshold: float, width: int
) -> Group:
    """One post: its opinions, each beside what it rests on."""
    title = _title(scored, threshold)
    if explanation is None:
        return Group(Text(), title, Padding(Text(printable(post.text, UNREAD), style="dim"), (0, 0, 0, 2)))
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("words", _opinion(scored.text, width), _words(explanation))
    table.add_row("picture", _opinion(scored.image, width), _picture(explanation))
    table.add_row("fused", _opinion(scored.fused, width), _shares(explanation))
    return Group(Text(), title, Padding(table, (0, 0, 0, 2)))


def _title(scored: ScoredPost, threshold: float) -> Text:
    notes = ", ".join(filter(None, (scored.unscored_reason, *scored.image_errors)))
    title = Text.assemble((printable(scored.post_id), "bold"), (f" ({notes})" if notes else "", "italic"))
    if scored.conflict is not None:
        flag = f"{FLAG} " if scored.conflict >= threshold else ""
        title.append(f"  conflict {flag}{scored.conflict:.2f}", style="bold" if flag else "")
    return title


def _words(explanation: Explanation) -> Text:
    """The text as it was written, the words that matter with their points."""
    text, line, end = explanation.request.text or "", Text(), 0
    least = max([LEAST, *(LEAST_OF_STRONGEST * abs(word.text) for word in explanation.words)])
    for word in explanation.words:
        line.append(" " if word.start > end > 0 else "")
        matters = abs(word.text) >= least
        style = _style(word.text) if matters else ""
        line.append(CONTROL.sub(" ", word.word), style=style)
        line.append(f"({_points(word.text)})" if matters else "", style=style)
        end = word.end
    if unread := printable(text[end:], UNREAD):
        line.append(f" not read: {unread}", style="dim")
    return line


def _picture(explanation: Explanation) -> Text:
    """Where in the picture most of its opinion comes from."""
    regions = explanation.image_regions
    if regions is None:
        return Text()
    place = np.unravel_index(np.abs(regions).argmax(), regions.shape)
    row, column = (3 * int(at) // side for at, side in zip(place, regions.shape, strict=True))
    most = float(regions[place])
    return Text.assemble(f"most at the {ROWS[row]}{COLUMNS[column]} ", (_points(most), _style(most)))


def _shares(explanation: Explanation) -> Text:
    """What the fused opinion owes to words and picture, and how its attention is shared."""
    weights, words, picture = explanation.weights, explanation.fused_text, explanation.fused_image
    if weights is None or words is None or picture is None:
        return Text()
    return Text.assemble(
        "words ",
        (_points(words), _style(words)),
        " picture ",
        (_points(picture), _style(picture)),
        f" · attention words {weights.text:.0%}, picture {weights.image:.0%}",
    )


def _points(influence: float) -> str:
    return f"{round(100 * influence):+d}".replace("-", "−")


def _style(influence: float) -> str:
    return SUPPORTS if influence >= 0 else AGAINST


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
