"""What the charts draw, down to the numbers in their data."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import charts
from mmsent.posts import Opinion
from mmsent.store.reads import Bucket, Counts

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def bucket(minute: int, positive: int = 0, neutral: int = 0, negative: int = 0, unscored: int = 0) -> Bucket:
    posts = positive + neutral + negative + unscored
    counts = Counts(posts, positive, neutral, negative, unscored, flagged=0, with_image=0)
    return Bucket(NOON + timedelta(minutes=minute), counts)


def test_stack_holds_each_sentiment_once() -> None:
    frame = charts.volume_frame(charts.bucket_frame([bucket(0, 3, 2, 1, unscored=9)], 60))
    stack = [(row.sentiment, row.below, row.above) for row in frame.itertuples()]
    assert stack == [("positive", 0, 3), ("neutral", 3, 5), ("negative", 5, 6)]


def test_no_line_crosses_a_gap() -> None:
    buckets = [bucket(0, positive=1), bucket(1, negative=1), bucket(5, neutral=1), bucket(6, unscored=1)]
    rows = charts.net_frame(charts.bucket_frame(buckets, 60), 60)
    minutes = [(time - NOON).total_seconds() / 60 - 0.5 for time in rows["middle"]]
    assert minutes == [0, 1, 2, 5]
    assert rows["net"].tolist() == pytest.approx([1.0, -1.0, float("nan"), 0.0], nan_ok=True)


@pytest.mark.parametrize(
    "buckets", [[bucket(0, unscored=1)], [bucket(0, 1)], [bucket(i, i) for i in range(60)]]
)
def test_charts_are_valid(buckets: list[Bucket]) -> None:
    end = NOON + timedelta(hours=1)
    frame = charts.bucket_frame(buckets, 60)
    volume = charts.volume_chart(frame, NOON, end, end).to_dict()
    net = charts.net_chart(frame, NOON, end, 60, end).to_dict()
    assert net["layer"][0]["encoding"]["y"]["scale"]["domain"] == [-1, 1]
    domain = [NOON.timestamp() * 1000, end.timestamp() * 1000]
    assert volume["layer"][0]["encoding"]["x"]["scale"]["domain"] == domain


def test_incomplete_minutes_lie_under_a_veil() -> None:
    end = NOON + timedelta(hours=1)
    frame = charts.bucket_frame([bucket(0, 1)], 60)
    complete = charts.volume_chart(frame, NOON, end, end).to_dict()
    growing = charts.volume_chart(frame, NOON, end, end - timedelta(minutes=2)).to_dict()
    assert len(growing["layer"]) == len(complete["layer"]) + 1


def test_time_formats() -> None:
    spans = [timedelta(hours=1), timedelta(days=3), timedelta(days=30), timedelta(days=900)]
    assert [charts.time_format(span) for span in spans] == ["%H:%M", "%d %b %H:%M", "%d %b", "%b %Y"]


def test_opinions_oppose_each_other() -> None:
    words = Opinion(label="positive", positive=0.9, neutral=0.05, negative=0.05)
    image = Opinion(label="negative", positive=0.1, neutral=0.2, negative=0.7)
    html = charts.opinion_bars(words, image)
    assert "positive 90%" in html
    assert "negative 70%" in html
    assert html.index("Words") < html.index("width:90.0%") < html.index("Picture") < html.index("width:70.0%")


def test_a_missing_picture_says_why() -> None:
    assert "a &lt;b&gt;" in charts.picture(None, "a <b>")
    assert 'src="data:image/jpeg;base64,/9g="' in charts.picture(b"\xff\xd8", "")
