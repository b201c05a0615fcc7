"""What the charts draw, down to the numbers in their data."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pytest

from dashboard import charts, markup, palette
from dashboard.launch import APP
from mmsent.posts import Alert, Opinion, Window
from mmsent.store.reads import Bucket, Counts

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = charts.Timeline(NOON, NOON + timedelta(hours=1), 60, complete_to=NOON + timedelta(hours=1))
ALERT = Alert(
    alert_id="a",
    revision=0,
    kind="conflict",
    severity=3,
    created_at=NOON + timedelta(minutes=7),
    topic="picnic",
    title="Much ado",
    count=3,
    window=Window(start=NOON, end=NOON + timedelta(hours=1)),
)
NORMAL = np.eye(3)
# What is left of linear RGB without one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def bucket(minute: int, positive: int = 0, neutral: int = 0, negative: int = 0, unscored: int = 0) -> Bucket:
    posts = positive + neutral + negative + unscored
    counts = Counts(posts, positive, neutral, negative, unscored, flagged=0, with_image=0)
    return Bucket(NOON + timedelta(minutes=minute), counts)


def test_stack_holds_each_sentiment_once() -> None:
    frame = charts.volume_frame(charts.bucket_frame([bucket(0, 3, 2, 1, unscored=9)], 60))
    stack = [(row.sentiment, row.below, row.above) for row in frame.itertuples()]
    assert stack == [("negative", 0, 1), ("neutral", 1, 3), ("positive", 3, 6)]


def test_the_line_crosses_zero_on_the_rule_and_no_gap() -> None:
    buckets = [bucket(0, positive=1), bucket(1, 1, 3, 4), bucket(5, neutral=1), bucket(6, unscored=1)]
    rows = charts.net_frame(charts.bucket_frame(buckets, 60), 60)
    minutes = [(time - NOON).total_seconds() / 60 - 0.5 for time in rows["middle"]]
    assert minutes == pytest.approx([0, 8 / 11, 1, 2, 5])
    assert rows["net"].tolist() == pytest.approx([1.0, 0.0, -3 / 8, float("nan"), 0.0], nan_ok=True)


@pytest.mark.parametrize(
    "buckets", [[bucket(0, unscored=1)], [bucket(0, 1)], [bucket(i, i, 1, 60 - i) for i in range(60)]]
)
def test_charts_are_valid(buckets: list[Bucket]) -> None:
    frame = charts.bucket_frame(buckets, 60)
    volume = charts.volume_chart(frame, HOUR, [ALERT]).to_dict()
    net = charts.net_chart(frame, HOUR, [ALERT]).to_dict()
    low, high = net["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low == -high
    domain = [HOUR.start.timestamp() * 1000, HOUR.end.timestamp() * 1000]
    assert volume["layer"][0]["encoding"]["x"]["scale"]["domain"] == domain


def test_the_axis_of_net_sentiment_moves_in_few_steps() -> None:
    def bound(*buckets: Bucket) -> float:
        return charts.net_bound(charts.bucket_frame(list(buckets), 60))

    assert bound(bucket(0, 1, 8, 0), bucket(1, 0, 6, 2)) == 0.25
    assert bound(bucket(0, 1, 8, 0), bucket(1, 0, 2, 1)) == 0.5
    assert bound(bucket(0, positive=1)) == 1
    assert bound(bucket(0, unscored=1)) == 1


def test_incomplete_minutes_lie_under_a_veil() -> None:
    frame = charts.bucket_frame([bucket(0, 1)], 60)
    growing = replace(HOUR, complete_to=HOUR.end - timedelta(minutes=2))
    layers = [charts.volume_chart(frame, timeline, []).to_dict()["layer"] for timeline in (HOUR, growing)]
    assert len(layers[1]) == len(layers[0]) + 1


def test_alerts_of_the_time_shown_are_marked() -> None:
    alerts = [ALERT, ALERT.model_copy(update={"created_at": HOUR.end})]
    marks = charts.alert_frame(alerts, HOUR)
    assert marks.to_dict("records") == [{"time": ALERT.created_at, "alert": "Much ado", "posts": 3}]
    frame = charts.bucket_frame([bucket(0, 1)], 60)
    for chart in (charts.volume_chart, charts.net_chart):
        assert "Much ado" in chart(frame, HOUR, alerts).to_json()
        assert "Much ado" not in chart(frame, HOUR, []).to_json()


def test_a_sparkline_has_zeros_for_silence_and_leaves_out_what_still_runs() -> None:
    buckets = [bucket(0, positive=2), bucket(2, negative=1), bucket(3, positive=9)]
    now = NOON + timedelta(minutes=3, seconds=30)
    assert charts.sparkline(buckets, 60, now, lambda counts: counts.posts) == [2, 0, 1]
    assert charts.sparkline(buckets, 60, now, lambda counts: counts.net_sentiment) == [1, -1]


def test_time_formats() -> None:
    spans = [timedelta(hours=1), timedelta(days=3), timedelta(days=30), timedelta(days=900)]
    assert [charts.time_format(span) for span in spans] == ["%H:%M", "%d %b %H:%M", "%d %b", "%b %Y"]


def test_opinions_oppose_each_other() -> None:
    words = Opinion(label="positive", positive=0.9, neutral=0.05, negative=0.05)
    image = Opinion(label="negative", positive=0.1, neutral=0.2, negative=0.7)
    html = markup.opinion_bars(words, image)
    assert "positive 90%" in html
    assert "negative 70%" in html
    assert html.index("Words") < html.index("width:90.0%") < html.index("Picture") < html.index("width:70.0%")


def test_a_missing_picture_says_why() -> None:
    assert "a &lt;b&gt;" in markup.picture(None, "a <b>")
    assert 'src="data:image/jpeg;base64,/9g="' in markup.picture(b"\xff\xd8", "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_on_the_page(theme: str) -> None:
    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    page = config["theme"][theme]["backgroundColor"]
    for color in (*palette.COLORS.values(), palette.ALERT, palette.RULE):
        lights = sorted((luminance(color), luminance(page)))
        assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 3, f"{color} on {page}"


@pytest.mark.parametrize("vision", [NORMAL, PROTANOPIA, DEUTERANOPIA])
def test_sentiments_keep_apart_for_all_eyes(vision: np.ndarray) -> None:
    seen = [vision @ linear(color) for color in palette.COLORS.values()]
    hues = [light / light.sum() for light in seen]  # brightness left out, so that hue alone must do
    apart = [np.abs(one - other).max() for one, other in combinations(hues, 2)]
    assert min(apart) > 0.1


def linear(color: str) -> np.ndarray:
    """#rrggbb → linear RGB (IEC 61966-2-1)."""
    values = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(color))
