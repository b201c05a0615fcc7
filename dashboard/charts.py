"""Numbers → pictures. Blue and orange keep apart for every kind of colour vision and on both themes."""

from base64 import b64encode
from datetime import datetime, timedelta
from html import escape
from typing import Any, TypeAlias

import altair as alt
import pandas as pd

from mmsent.posts import Opinion
from mmsent.store.reads import Bucket

COLORS = {"positive": "#3d85c6", "neutral": "#98a1ab", "negative": "#d9731a"}
RULE = "#8a939e"
TRACK = "rgba(138,147,158,.18)"
VOLUME_HEIGHT = 220
NET_HEIGHT = 160
PICTURE_PX = 96
PADDING = {"left": 0, "top": 0, "right": 4, "bottom": 0}
BAR_WIDTH = 0.88  # of a bucket's width; the rest keeps neighbours apart
SIGNED = "datum.value == 0 ? '0' : format(datum.value, '+d')"

LayeredChart: TypeAlias = alt.LayerChart | alt.FacetChart  # altair cannot tell before it looks inside


def bucket_frame(buckets: list[Bucket], step_s: int) -> pd.DataFrame:
    """A row per bucket: its times, the three counts, unscored, net (missing where nothing is scored)."""
    step = timedelta(seconds=step_s)
    rows = [
        {
            "start": bucket.start,
            "middle": bucket.start + step / 2,
            "edge": bucket.start + step * BAR_WIDTH,
            "end": bucket.start + step,
            "positive": bucket.counts.positive,
            "neutral": bucket.counts.neutral,
            "negative": bucket.counts.negative,
            "unscored": bucket.counts.unscored,
            "net": bucket.counts.net_sentiment,
        }
        for bucket in buckets
    ]
    return pd.DataFrame(rows).astype({"net": float})


def volume_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per bucket and sentiment, `below` … `above` being its place in the stack."""
    parts = []
    below = pd.Series(0, index=frame.index)
    for sentiment in COLORS:
        above = below + frame[sentiment]
        parts.append(frame[["start", "edge"]].assign(sentiment=sentiment, below=below, above=above))
        below = above
    return pd.concat(parts, ignore_index=True)


def net_frame(frame: pd.DataFrame, step_s: int) -> pd.DataFrame:
    """Net sentiment by time, a missing value after each gap so that no line crosses it."""
    scored = frame.dropna(subset=["net"]).reset_index(drop=True)
    step = timedelta(seconds=step_s)
    breaks = scored.loc[scored["start"].diff().shift(-1) > step, ["middle"]] + step
    joined = pd.concat([scored[["middle", "net"]], breaks.assign(net=float("nan"))])
    return joined.sort_values("middle", ignore_index=True)


def volume_chart(frame: pd.DataFrame, start: datetime, end: datetime, complete_to: datetime) -> LayeredChart:
    """Posts by sentiment over time, stacked; the time that may still grow lies under a veil."""
    color = alt.Color(
        "sentiment:N",
        scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
        legend=alt.Legend(orient="top", title=None, offset=4),
    )
    bars = alt.Chart(volume_frame(frame)).mark_bar()
    stacked = bars.encode(
        x=_time("start", start, end),
        x2="edge:T",
        y=alt.Y("below:Q", title=None, axis=_axis(format="~s", tickMinStep=1)),
        y2="above:Q",
        color=color,
    )
    layers = [stacked, *_veil(complete_to, start, end), _hover(frame, start, end)]
    return alt.layer(*layers).properties(height=VOLUME_HEIGHT, padding=PADDING)


def net_chart(
    frame: pd.DataFrame, start: datetime, end: datetime, step_s: int, complete_to: datetime
) -> LayeredChart:
    """Net sentiment over time on −1 … 1, above and below a rule at zero."""
    rows = net_frame(frame, step_s)
    x = _time("middle", start, end)
    y = alt.Y(
        "net:Q", title=None, scale=alt.Scale(domain=[-1, 1]), axis=_axis(values=[-1, 0, 1], labelExpr=SIGNED)
    )
    positive, negative = alt.value(COLORS["positive"]), alt.value(COLORS["negative"])
    above = alt.Chart(rows.assign(net=rows["net"].clip(lower=0))).mark_area(opacity=0.3)
    below = alt.Chart(rows.assign(net=rows["net"].clip(upper=0))).mark_area(opacity=0.3)
    zero = alt.Chart(pd.DataFrame({"net": [0.0]})).mark_rule(color=RULE)
    line = alt.Chart(rows).mark_line(color=RULE, strokeWidth=1.5)
    dots = alt.Chart(rows.dropna(subset=["net"])).mark_point(filled=True, size=22, opacity=1)
    sign = alt.when("datum.net < 0").then(negative).when("datum.net > 0").then(positive)
    layers = [
        above.encode(x=x, y=y, color=positive),
        below.encode(x=x, y=y, color=negative),
        zero.encode(y=y),
        line.encode(x=x, y=y),
        dots.encode(x=x, y=y, color=sign.otherwise(alt.value(RULE))),
        *_veil(complete_to, start, end),
        _hover(frame, start, end),
    ]
    return alt.layer(*layers).properties(height=NET_HEIGHT, padding=PADDING)


def time_format(length: timedelta) -> str:
    """How times on an axis of this length are written (d3-time-format)."""
    if length <= timedelta(hours=36):
        return "%H:%M"
    if length <= timedelta(days=5):
        return "%d %b %H:%M"
    return "%d %b" if length <= timedelta(days=300) else "%b %Y"


def _time(field: str, start: datetime, end: datetime) -> alt.X:
    scale = alt.Scale(domain=[int(time.timestamp() * 1000) for time in (start, end)])
    axis = _axis(grid=False, tickCount=8, format=time_format(end - start))
    return alt.X(f"{field}:T", title=None, scale=scale, axis=axis)


def _axis(**options: Any) -> alt.Axis:
    return alt.Axis(labelOverlap="greedy", ticks=False, domain=False, labelPadding=6, minExtent=28, **options)


def _veil(complete_to: datetime, start: datetime, end: datetime) -> list[alt.Chart]:
    if complete_to >= end:
        return []
    rows = pd.DataFrame({"start": [max(complete_to, start)], "end": [end]})
    veil = alt.Chart(rows).mark_rect(color=RULE, opacity=0.14)
    return [veil.encode(x=_time("start", start, end), x2="end:T")]


def _hover(frame: pd.DataFrame, start: datetime, end: datetime) -> alt.Chart:
    """The whole column of a bucket answers to the pointer, however small its bar."""
    counts = [alt.Tooltip(f"{name}:Q", format=",") for name in (*COLORS, "unscored")]
    tooltip = [
        alt.Tooltip("start:T", title="from", format="%d %b %H:%M"),
        *counts,
        alt.Tooltip("net:Q", title="net sentiment", format="+.2f"),
    ]
    column: alt.Chart = alt.Chart(frame).mark_rect(opacity=0)
    return column.encode(x=_time("start", start, end), x2="end:T", tooltip=tooltip)


def picture(thumbnail: bytes | None, missing: str) -> str:
    """HTML of our own JPEG, cropped to a square, or of a box that says why there is none."""
    shape = f"width:{PICTURE_PX}px;height:{PICTURE_PX}px;border-radius:8px"
    if thumbnail is None:
        return (
            f'<div style="{shape};display:grid;place-items:center;text-align:center;padding:8px;'
            f'font-size:.75rem;line-height:1.3;background:{TRACK}">{escape(missing)}</div>'
        )
    data = b64encode(thumbnail).decode()
    style = f"{shape};object-fit:cover;display:block"
    return f'<img alt="Picture of the post" style="{style}" src="data:image/jpeg;base64,{data}">'


def opinion_bars(text: Opinion, image: Opinion) -> str:
    """HTML of two bars that grow from one middle: negative to the left, positive to the right.

    Only numbers and names of our own go into it, nothing that a stranger wrote.
    """
    rows = "".join(_opinion_row(name, opinion) for name, opinion in (("Words", text), ("Picture", image)))
    return f'<div style="display:grid;gap:6px;font-size:.8rem;line-height:1.2">{rows}</div>'


def _opinion_row(name: str, opinion: Opinion) -> str:
    columns = "grid-template-columns:3.2rem minmax(0,1fr) 6.2rem"
    shares = ", ".join(f"{label} {getattr(opinion, label):.0%}" for label in COLORS)
    track = f"display:flex;height:10px;border-radius:5px;overflow:hidden;background:{TRACK}"
    return (
        f'<div style="display:grid;{columns};gap:8px;align-items:center">'
        f'<span style="opacity:.7">{name}</span>'
        f'<span role="img" aria-label="{name}: {shares}" style="{track}">'
        f"{_half(opinion.negative, COLORS['negative'], 'flex-end')}"
        f'<span style="width:2px;background:{RULE}"></span>'
        f"{_half(opinion.positive, COLORS['positive'], 'flex-start')}</span>"
        f'<span style="white-space:nowrap">{opinion.label} {getattr(opinion, opinion.label):.0%}</span></div>'
    )


def _half(share: float, color: str, side: str) -> str:
    bar = f'<span style="width:{share:.1%};background:{color}"></span>'
    return f'<span style="display:flex;flex:1;justify-content:{side}">{bar}</span>'
