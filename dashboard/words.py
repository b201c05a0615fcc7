"""Numbers and times in words."""

from datetime import datetime, timedelta, tzinfo

MAX_TEXT = 160
MAX_LANGUAGES = 5


def ago(passed: timedelta) -> str:
    """4 s ago, 3 min ago, 2 h ago, 5 days ago."""
    seconds = int(passed.total_seconds())
    return "just now" if seconds < 0 else f"{length(timedelta(seconds=seconds))} ago"


def length(passed: timedelta) -> str:
    """4 s, 3 min, 2 h, 5 days."""
    seconds = int(passed.total_seconds())
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def clock(time: datetime, now: datetime, zone: tzinfo) -> str:
    """The time of day where the viewer is, and the date too unless it is today's."""
    there = time.astimezone(zone)
    return f"{there:%H:%M:%S}" if there.date() == now.astimezone(zone).date() else f"{there:%d %b %H:%M}"


def number(count: int, noun: str) -> str:
    """1 post, 1,200 posts."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def signed(value: float) -> str:
    """−0.40, 0.00, +0.40."""
    rounded = round(value, 2)
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"


def change(value: float, before: float) -> str | None:
    """+12 %; None where nothing was before."""
    return f"{value / before - 1:+.0%}" if before else None


def difference(value: float, before: float) -> str:
    """+0.20, with the plain minus that a metric takes for a fall."""
    return f"{value - before:+.2f}"


def points(share: float, before: float) -> str:
    """+12 pp: two shares, apart by so many percentage points."""
    return f"{100 * (share - before):+.0f} pp"


def step_name(step_s: int) -> str:
    """60 → minute, 300 → 5 minutes."""
    for seconds, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if step_s % seconds == 0:
            count = step_s // seconds
            return unit if count == 1 else f"{count} {unit}s"
    raise ValueError(f"step_s={step_s} is not a number of whole minutes")


def shorten(text: str) -> str:
    """One paragraph of at most `MAX_TEXT` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_TEXT else flat[: MAX_TEXT - 1].rstrip() + "…"


def unscored_sentence(unscored: int, languages: dict[str, int]) -> str:
    """How many posts were not scored, and in which languages."""
    named = [f"{lang} {count:,}" for lang, count in list(languages.items())[:MAX_LANGUAGES]]
    more = ["others"] if len(languages) > MAX_LANGUAGES else []
    posts = "1 post was" if unscored == 1 else f"{unscored:,} posts were"
    return f"{posts} not scored, by language: {', '.join(named + more)}"
