"""The figures on top of the page: their names, how they are worked out and what they compare with."""

from collections.abc import Callable
from dataclasses import dataclass

from dashboard import words
from dashboard.data import Comparison
from mmsent.store.reads import Counts


@dataclass(frozen=True)
class Figure:
    """`change` is None where nothing can be compared; `series` gives its value in each bucket."""

    label: str
    value: str
    change: str | None
    series: Callable[[Counts], float | None]
    explained: str


def figures(totals: Counts, compared: Comparison | None, period: str) -> list[Figure]:
    """Those of `totals`; they change as `compared` did."""
    return [
        Figure(
            "Posts",
            f"{totals.posts:,}",
            _change(compared, words.change, lambda counts: counts.posts),
            lambda counts: counts.posts,
            f"created in {period}; compared are complete minutes with as many before",
        ),
        Figure(
            "Net sentiment",
            "–" if totals.net_sentiment is None else words.signed(totals.net_sentiment),
            _change(compared, words.difference, lambda counts: counts.net_sentiment),
            lambda counts: counts.net_sentiment,
            "(positive − negative) ÷ scored posts, from −1 to +1",
        ),
        Figure(
            "Negative",
            "–" if totals.negative_share is None else f"{totals.negative_share:.0%}",
            _change(compared, words.points, lambda counts: counts.negative_share),
            lambda counts: counts.negative_share,
            "share of the scored posts; pp = percentage points",
        ),
        Figure(
            "Words ≠ picture",
            f"{totals.flagged:,}",
            _change(compared, words.change, lambda counts: counts.flagged),
            lambda counts: counts.flagged,
            "posts whose words and picture disagree",
        ),
    ]


def _change(
    compared: Comparison | None,
    in_words: Callable[[float, float], str | None],
    value: Callable[[Counts], float | None],
) -> str | None:
    if compared is None:
        return None
    recent, before = value(compared.recent), value(compared.before)
    return None if recent is None or before is None else in_words(recent, before)
