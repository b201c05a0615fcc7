"""Numbers → charts. Times on them are the viewer's, as the browser knows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import altair as alt
import pandas as pd

from dashboard.palette import ALERT, COLORS, RULE
from mmsent.posts import Alert
from mmsent.store.reads import Bucket, Counts

VOLUME_HEIGHT = 200
NET_HEIGHT = 140
NET_BOUNDS = (0.25, 0.5, 1.0)
PADDING = {"left": 0, "top": 4, "right": 4, "bottom": 0}
BAR_WIDTH = 0.88  # of a bucket's width; the rest keeps neighbours apart
NO_COUNTS = Counts(*[0] * len(fields(Counts)))
SIGNED = "datum.value == 0 ? '0' : format(datum.value, '+')"

LayeredChart: TypeAlias = alt.LayerChart | alt.FacetChart  # altair cannot tell before it looks inside


@dataclass(frozen=True)
class Timeline:
    """The time that charts show, in buckets of `step_s`; what is later than `complete_to` may still grow."""

    start: datetime
    end: datetime
    step_s: int
    complete_to: datetime

    def axis(self, field: str) -> alt.X:
        scale = alt.Scale(domain=[int(time.timestamp() * 1000) for time in (self.start, self.end)])
        axis = _axis(grid=False, tickCount=6, format=time_format(self.end - self.start))
        return alt.X(f"{field}:T", title=None, scale=scale, axis=axis)


def bucket_frame(buckets: Sequence[Bucket], step_s: int) -> pd.DataFrame:
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
    """Net sentiment by time; zero where it changes sign, a missing value after each gap.

    So no line crosses a gap, and the areas above and below zero meet on it.
    """
    scored = frame.dropna(subset=["net"])[["middle", "net"]].reset_index(drop=True)
    later = scored.shift(-1)
    step = timedelta(seconds=step_s)
    gap = later["middle"] - scored["middle"] > step
    turn = ~gap & (scored["net"] * later["net"] < 0)
    before, after = scored[turn], later[turn]
    share = before["net"] / (before["net"] - after["net"])
    breaks = (scored.loc[gap, ["middle"]] + step).assign(net=float("nan"))
    turns = pd.DataFrame({"middle": before["middle"] + share * step, "net": 0.0})
    parts = [part for part in (scored, breaks, turns) if len(part)]
    return pd.concat(parts).sort_values("middle", ignore_index=True) if parts else scored


def sparkline(
    buckets: Sequence[Bucket], step_s: int, until: datetime, value: Callable[[Counts], float | None]
) -> list[float]:
    """`value` of each bucket that has ended by then, a bucket without posts counting as one of zeros.

    The running bucket is left out: it would always look like a fall.
    """
    found = {bucket.start: bucket.counts for bucket in buckets}
    step, time, series = timedelta(seconds=step_s), min(found), []
    while time + step <= until:
        number = value(found.get(time, NO_COUNTS))
        series += [] if number is None else [number]
        time += step
    return series


def net_bound(frame: pd.DataFrame) -> float:
    """How far the axis of net sentiment goes to both sides: in few steps, so that it seldom moves."""
    largest = frame["net"].abs().max()
    return next((bound for bound in NET_BOUNDS if largest <= bound), NET_BOUNDS[-1])


def alert_frame(alerts: Sequence[Alert], timeline: Timeline) -> pd.DataFrame:
    """A row per alert that was first raised in the time shown."""
    shown = [alert for alert in alerts if timeline.start <= alert.created_at < timeline.end]
    rows = [(alert.created_at, alert.title, alert.count) for alert in shown]
    return pd.DataFrame(rows, columns=["time", "alert", "posts"])


def volume_chart(frame: pd.DataFrame, timeline: Timeline, alerts: Sequence[Alert]) -> LayeredChart:
    """Posts by sentiment over time, stacked; the time that may still grow lies under a veil."""
    color = alt.Color(
        "sentiment:N",
        scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
        legend=alt.Legend(orient="top", title=None, offset=4, symbolType="square"),
    )
    bars = alt.Chart(volume_frame(frame)).mark_bar()
    stacked = bars.encode(
        x=timeline.axis("start"),
        x2="edge:T",
        y=alt.Y("below:Q", title=None, axis=_axis(format="~s", tickMinStep=1, tickCount=4)),
        y2="above:Q",
        color=color,
    )
    marks = alert_frame(alerts, timeline)
    layers = [stacked, *_veil(timeline), *_alert_rules(marks, timeline), _hover(frame, timeline)]
    return alt.layer(*layers).properties(height=VOLUME_HEIGHT, padding=PADDING)


def net_chart(frame: pd.DataFrame, timeline: Timeline, alerts: Sequence[Alert]) -> LayeredChart:
    """Net sentiment over time, above and below a rule at zero; alerts stand on top."""
    rows = net_frame(frame, timeline.step_s)
    x = timeline.axis("middle")
    bound = net_bound(frame)
    axis = _axis(values=[-bound, 0, bound], labelExpr=SIGNED)
    y = alt.Y("net:Q", title=None, scale=alt.Scale(domain=[-bound, bound]), axis=axis)
    positive, negative = alt.value(COLORS["positive"]), alt.value(COLORS["negative"])
    above = alt.Chart(rows.assign(net=rows["net"].clip(lower=0))).mark_area(opacity=0.25)
    below = alt.Chart(rows.assign(net=rows["net"].clip(upper=0))).mark_area(opacity=0.25)
    zero = alt.Chart(pd.DataFrame({"net": [0.0]})).mark_rule(color=RULE)
    line = alt.Chart(rows).mark_line(color=RULE, strokeWidth=1.5)
    dots = alt.Chart(frame.dropna(subset=["net"])).mark_point(filled=True, size=22, opacity=1)
    sign = alt.when("datum.net < 0").then(negative).when("datum.net > 0").then(positive)
    marks = alert_frame(alerts, timeline)
    layers = [
        above.encode(x=x, y=y, color=positive),
        below.encode(x=x, y=y, color=negative),
        zero.encode(y=y),
        line.encode(x=x, y=y),
        dots.encode(x=x, y=y, color=sign.otherwise(alt.value(RULE))),
        *_veil(timeline),
        *_alert_rules(marks, timeline),
        _hover(frame, timeline),
        *_alert_marks(marks, timeline),
    ]
    return alt.layer(*layers).properties(height=NET_HEIGHT, padding=PADDING)


def time_format(length: timedelta) -> str:
    """How times on an axis of this length are written (d3-time-format)."""
    if length <= timedelta(hours=36):
        return "%H:%M"
    if length <= timedelta(days=5):
        return "%d %b %H:%M"
    return "%d %b" if length <= timedelta(days=300) else "%b %Y"


def _axis(**options: Any) -> alt.Axis:
    return alt.Axis(labelOverlap="greedy", ticks=False, domain=False, labelPadding=6, minExtent=34, **options)


def _veil(timeline: Timeline) -> list[alt.Chart]:
    if timeline.complete_to >= timeline.end:
        return []
    rows = pd.DataFrame({"start": [max(timeline.complete_to, timeline.start)], "end": [timeline.end]})
    veil = alt.Chart(rows).mark_rect(color=RULE, opacity=0.1)
    return [veil.encode(x=timeline.axis("start"), x2="end:T")]


def _alert_rules(marks: pd.DataFrame, timeline: Timeline) -> list[alt.Chart]:
    if marks.empty:
        return []
    rules = alt.Chart(marks).mark_rule(color=ALERT, strokeDash=[3, 3])
    return [rules.encode(x=timeline.axis("time"))]


def _alert_marks(marks: pd.DataFrame, timeline: Timeline) -> list[alt.Chart]:
    if marks.empty:
        return []
    tooltip = [
        alt.Tooltip("alert:N"),
        alt.Tooltip("posts:Q", format=","),
        alt.Tooltip("time:T", title="since", format="%d %b %H:%M"),
    ]
    diamonds = alt.Chart(marks).mark_point(shape="diamond", filled=True, size=130, opacity=1, color=ALERT)
    return [diamonds.encode(x=timeline.axis("time"), y=alt.value(4), tooltip=tooltip)]


def _hover(frame: pd.DataFrame, timeline: Timeline) -> alt.Chart:
    """The whole column of a bucket answers to the pointer, however small its bar."""
    counts = [alt.Tooltip(f"{name}:Q", format=",") for name in (*COLORS, "unscored")]
    tooltip = [
        alt.Tooltip("start:T", title="from", format="%d %b %H:%M"),
        *counts,
        alt.Tooltip("net:Q", title="net sentiment", format="+.2f"),
    ]
    column: alt.Chart = alt.Chart(frame).mark_rect(opacity=0)
    return column.encode(x=timeline.axis("start"), x2="end:T", tooltip=tooltip)
