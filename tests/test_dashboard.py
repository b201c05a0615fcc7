"""Page Live as its viewers meet it: empty, some data, database down, hostile posts; and how it is started."""

import io
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakeredis import TcpFakeServer
from PIL import Image
from sqlalchemy import Insert, insert
from streamlit.testing.v1 import AppTest

from dashboard import data, freshness, markup, words
from dashboard.launch import APP, choose_port, launch_arguments
from mmsent.errors import SetupError
from mmsent.live import Heartbeat
from mmsent.settings import Settings
from mmsent.store import schema, tables
from mmsent.store.reads import Freshness

POSITIVE = {"label": "positive", "positive": 0.9, "neutral": 0.08, "negative": 0.02}
NEGATIVE = {"label": "negative", "positive": 0.05, "neutral": 0.15, "negative": 0.8}
HOSTILE = "**bold** ![x](http://evil.example/pixel.png) <img src=x onerror=alert(1)> :smile: $x^2$"


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves the page in `__main__`'s place; processes that start later would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'mmsent.db'}"
    monkeypatch.setenv("MMSENT_DATABASE_URL", url)
    monkeypatch.setenv("MMSENT_REDIS_URL", "redis://127.0.0.1:1/0")  # nobody answers
    data.live_view.clear()
    data.reader.clear()
    data.workers.clear()
    return url


def run_app(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def fill(url: str, rows: list[dict[str, object]], topic: str = "all", **counts: int) -> None:
    """`counts` of one minute of `topic`, two minutes old, and `rows` of posts."""
    minute = (datetime.now(UTC) - timedelta(minutes=2)).replace(second=0, microsecond=0)
    names = ("positive", "neutral", "negative", "unscored", "flagged", "with_image")
    measures = {name: counts.get(name, 0) for name in names}
    row = {"minute": minute, "topic": topic, "source": "test", "lang": "ja", "shard": 0, **measures}
    row["posts"] = sum(measures[name] for name in names[:4])
    schema.upgrade(url)
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(tables.rollups), [row])
        connection.execute(insert(tables.posts), [post("plain", minute), *rows])
    engine.dispose()


def post(post_id: str, created_at: datetime | None = None, **values: object) -> dict[str, object]:
    at = created_at or datetime.now(UTC) - timedelta(seconds=50)
    columns: dict[str, object] = {
        "post_id": post_id, "version": 0, "deleted": False, "source": "test", "created_at": at, "minute": at,
        "text": "", "sensitive": False, "topics": [], "flagged": False, "thumbnail": None, "conflict": None,
        "text_opinion": None, "image_opinion": None,
    }  # fmt: skip
    return columns | values


def disagreeing(post_id: str, text: str, **values: object) -> dict[str, object]:
    opinions = {"text_opinion": POSITIVE, "image_opinion": NEGATIVE, "conflict": 0.72}
    return post(post_id, text=text, flagged=True, thumbnail=jpeg(), **opinions) | values


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (160, 100), "orange").save(buffer, "JPEG")
    return buffer.getvalue()


def shown(app: AppTest) -> str:
    """All words on the page outside of charts."""
    elements = [*app.subheader, *app.text, *app.caption, *app.code]
    return "\n".join([*(str(element.value) for element in elements), *html(app)])


def html(app: AppTest) -> list[str]:
    return [element.proto.body for element in app.get("html")]


def pictures(app: AppTest) -> list[str]:
    return [body for body in html(app) if f"width:{markup.PICTURE_PX}px" in body]


def test_without_a_database_it_says_what_to_run(database: str, tmp_path: Path) -> None:
    app = run_app()
    assert not app.exception
    assert "mmsent db upgrade" in shown(app)
    assert not list(tmp_path.iterdir()), "reading made a database"


def test_without_posts_it_says_what_to_run(database: str) -> None:
    schema.upgrade(database)
    app = run_app()
    assert not app.exception
    assert "No posts yet" in shown(app)
    assert "mmsent demo" in shown(app)
    assert not app.metric


def test_some_posts(database: str) -> None:
    fill(
        database,
        [disagreeing("a", "Lovely weather")],
        positive=6,
        neutral=2,
        negative=2,
        unscored=1,
        flagged=1,
    )
    app = run_app()
    assert not app.exception
    values = {metric.label: metric.value for metric in app.metric}
    assert values == {"Posts": "11", "Net sentiment": "+0.40", "Negative": "20%", "Words ≠ picture": "1"}
    assert {metric.delta for metric in app.metric} == {""}, "a change against a time that nobody watched"
    assert len(app.get("vega_lite_chart")) == 2
    assert "Posts per minute" in shown(app)
    assert "Lovely weather" in shown(app)
    assert "0% with picture" in shown(app)
    assert "workers unknown" in shown(app)
    assert "1 post was not scored, by language: ja 1" in shown(app)
    (picture,) = pictures(app)
    assert 'src="data:image/jpeg;base64,' in picture
    assert "Words: negative 2%, neutral 8%, positive 90%" in shown(app)
    assert "Picture: negative 80%, neutral 15%, positive 5%" in shown(app)


def test_recovers_by_itself(database: str) -> None:
    app = run_app()
    assert "mmsent db upgrade" in shown(app)
    fill(database, [], positive=3)
    app.run()
    assert app.metric[0].value == "3"


def test_database_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("MMSENT_DATABASE_URL", f"postgresql://nobody:secret@127.0.0.1:{port}/none")
        app = run_app(topic="weather")
    assert not app.exception
    assert "The database does not answer" in shown(app)
    assert "mmsent doctor" in shown(app)
    assert "secret" not in shown(app)
    assert app.selectbox(key="topic").value == "weather", "the address of the page is forgotten"


def test_a_setting_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_DATABASE_URL", "mysql://host/name")
    app = run_app()
    assert not app.exception
    assert "MMSENT_DATABASE_URL names mysql" in shown(app)


def test_a_strangers_markup_stays_text(database: str) -> None:
    fill(database, [disagreeing("a", HOSTILE)], positive=1, flagged=1)
    app = run_app()
    assert HOSTILE in [element.value for element in app.text]
    assert not any("evil.example" in element.value for element in (*app.markdown, *app.caption))
    assert not any("evil.example" in body or "onerror" in body for body in html(app))


def test_a_sensitive_post_is_hidden_until_asked_for(database: str) -> None:
    fill(database, [disagreeing("a", "careful", sensitive=True)], positive=1, flagged=1)
    app = run_app()
    assert "data:" not in pictures(app)[0]
    assert "careful" not in shown(app)
    app.toggle(key="sensitive").set_value(True).run()
    assert "data:" in pictures(app)[0]
    assert "careful" in shown(app)


def test_deleted_posts_are_not_shown(database: str) -> None:
    gone = disagreeing("gone", "erased", deleted=True)
    fill(database, [gone, disagreeing("a", "kept")], positive=2, flagged=1)
    assert "kept" in shown(run_app())
    assert "erased" not in shown(run_app())


def test_at_most_a_page_of_flagged_posts(database: str) -> None:
    fill(database, [disagreeing(f"p{i}", f"text {i}") for i in range(60)], positive=60, flagged=60)
    app = run_app()
    assert not app.exception
    assert len(pictures(app)) == data.MAX_FLAGGED


def test_filters_from_the_address(database: str) -> None:
    fill(database, [], topic="weather", negative=4)
    track(database, "weather")
    app = run_app(topic="weather", range="6h", refresh="60s")
    assert app.selectbox(key="topic").value == "weather"
    assert app.segmented_control(key="range").value == "6h"
    assert app.segmented_control(key="refresh").value == "60s"
    assert app.metric[1].value == "−1.00"
    assert "Posts per 5 minutes" in shown(app)


def test_filters_that_the_address_names_badly(database: str) -> None:
    fill(database, [], positive=4)
    app = run_app(topic="nonsense", range="7h", refresh="never")
    assert not app.exception
    assert app.selectbox(key="topic").value == "all"
    assert app.segmented_control(key="range").value == "15m"
    assert app.segmented_control(key="refresh").value == "5s"


def track(url: str, topic: str) -> None:
    query = {
        "name": topic, "any_of": ["rain"], "all_of": [], "none_of": [], "updated_at": datetime.now(UTC)
    }  # fmt: skip
    write(url, insert(tables.topics), query)


def write(url: str, statement: Insert, *rows: dict[str, object]) -> None:
    engine = schema.open_engine(url)
    with engine.begin() as connection:
        connection.execute(statement, list(rows))
    engine.dispose()


def alert(alert_id: str, topic: str) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "alert_id": alert_id, "revision": 2, "kind": "conflict", "topic": topic, "severity": 4,
        "state": "open", "title": f"9 posts about {topic} <b>", "count": 9,
        "created_at": now - timedelta(minutes=3), "window_start": now, "window_end": now, "why": {},
        "changed": False,
    }  # fmt: skip


def test_an_alert_leads_to_its_topic(database: str) -> None:
    fill(database, [], positive=1)
    track(database, "weather")
    write(database, insert(tables.alerts), alert("a1", "weather"), alert("a2", "all"))
    app = run_app()
    assert "9 posts about weather &lt;b&gt;" in shown(app)
    assert "conflict · severity 4 of 10 · 3 min ago" in shown(app)
    (button,) = app.button
    button.click().run()
    assert app.selectbox(key="topic").value == "weather"


def test_topics_that_are_tracked_later_are_offered(database: str) -> None:
    app = run_app()
    fill(database, [], positive=1)
    track(database, "weather")
    app.run()
    assert list(app.selectbox(key="topic").options) == ["All posts", "weather"]


def test_no_worker_is_said_with_what_to_run(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database, [], positive=1)
    with TcpFakeServer(("127.0.0.1", 0), server_type="redis") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("MMSENT_REDIS_URL", f"redis://127.0.0.1:{server.server_address[1]}/0")
        app = run_app()
        data.live_reader.clear()
        server.shutdown()
        thread.join()
    assert "No worker is running" in shown(app)
    assert "mmsent worker" in shown(app)


def minutes(url: str, count: int, per_minute: int) -> datetime:
    """So many minutes up to now with positive posts, all complete; returns the running minute."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    names = ("posts", "positive", "neutral", "negative", "unscored", "flagged", "with_image")
    rows = [
        dict.fromkeys(names, 0)
        | {"minute": now - timedelta(minutes=i), "topic": "all", "source": "t", "lang": "en", "shard": 0}
        | {"posts": per_minute * (1 + (i <= 15)), "positive": per_minute * (1 + (i <= 15))}
        for i in range(1, count + 1)
    ]
    schema.upgrade(url)
    write(url, insert(tables.rollups), *rows)
    write(url, insert(tables.posts), post("a"))
    write(url, insert(tables.detector), {"id": 1, "watermark": now, "updated_at": now})
    return now


@pytest.mark.parametrize(("watched", "change"), [(30, "+100%"), (29, "")])
def test_a_change_is_shown_once_both_periods_were_watched(database: str, watched: int, change: str) -> None:
    minutes(database, watched, per_minute=3)
    assert run_app().metric[0].delta == change


def test_no_change_is_shown_while_posts_wait(database: str) -> None:
    now = minutes(database, 90, per_minute=3)
    stuck = tables.detector.update().values(watermark=now - timedelta(minutes=16))
    engine = schema.open_engine(database)
    with engine.begin() as connection:
        connection.execute(stuck)
    engine.dispose()
    assert run_app().metric[0].delta == ""


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet_s", "workers", "said"),
    [
        (3600, [Heartbeat("w", 0)], None),
        (59, [Heartbeat("w", 31)], None),
        (90, [Heartbeat("w", 30), Heartbeat("v", 1)], "31 posts waiting, but nothing was written for 1 min."),
        (0, [], "No worker is running: nothing new comes in."),
        (59, None, None),
        (180, None, "Nothing was written for 3 min, and Redis does not say whether a worker runs."),
    ],
)
def test_trouble_is_said_only_where_there_is_some(
    quiet_s: int, workers: list[Heartbeat] | None, said: str | None
) -> None:
    seen = Freshness(NOON, NOON - timedelta(seconds=quiet_s), None, ())
    found = freshness.trouble(seen, workers, NOON)
    assert (found and found.text) == said


def test_nothing_in_the_range_offers_all_time(database: str) -> None:
    fill(database, [], positive=1)
    engine = schema.open_engine(database)
    with engine.begin() as connection:
        long_ago = datetime(2020, 2, 29, 12, tzinfo=UTC)
        connection.execute(tables.rollups.update().values(minute=long_ago))
        connection.execute(tables.posts.update().values(created_at=long_ago, minute=long_ago))
    engine.dispose()
    app = run_app()
    assert "No posts in the last 15 minutes" in shown(app)
    app.button[0].click().run()
    assert app.segmented_control(key="range").value == "all"
    assert app.metric[0].value == "1"
    assert list(app.metric[0].proto.chart_data) == [1], "silence since then is not part of it"


@pytest.mark.parametrize(
    ("length", "step_s"),
    [(timedelta(minutes=15), 60), (timedelta(hours=1), 60), (timedelta(hours=6), 300),
     (timedelta(hours=24), 900), (timedelta(days=90), 86_400), (timedelta(days=400), 4 * 86_400)],
)  # fmt: skip
def test_buckets_are_few(length: timedelta, step_s: int) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    assert data.step_seconds(start, start + length) == step_s
    assert length.total_seconds() / step_s <= data.MAX_BUCKETS


@pytest.mark.parametrize("period", data.PERIODS)
def test_a_period_holds_now_and_stands_on_bucket_edges(period: str) -> None:
    now = datetime(2026, 3, 1, 12, 7, 31, tzinfo=UTC)
    start, end, step_s = data.period_bounds(period, (now - timedelta(days=3), now), now)
    assert start < now < end
    assert start.timestamp() % step_s == 0
    assert end.timestamp() % step_s == 0


def test_words_for_times() -> None:
    spoken = [words.ago(timedelta(seconds=s)) for s in (-3, 0, 59, 60, 3599, 3600, 90_000, 200_000)]
    assert spoken == [
        "just now", "0 s ago", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "25 h ago", "2 days ago"
    ]  # fmt: skip
    assert [words.step_name(s) for s in (60, 300, 3600, 172_800)] == ["minute", "5 minutes", "hour", "2 days"]


def test_long_texts_are_cut() -> None:
    assert words.shorten("a\n\n b") == "a b"
    assert len(words.shorten("x" * 50_000)) == words.MAX_TEXT


def test_command_line_keeps_the_page_on_this_machine() -> None:
    arguments = launch_arguments(Settings(dashboard_port=8600))
    assert arguments[:6] == [sys.executable, "-P", "-m", "dashboard.serve", "run", str(APP)]
    assert APP.is_file()
    options = list(zip(arguments[6::2], arguments[7::2], strict=True))
    assert ("--server.address", "127.0.0.1") in options
    assert ("--server.port", "8600") in options
    assert ("--browser.gatherUsageStats", "false") in options
    assert ("--client.showErrorDetails", "none") in options
    hosts = [value for name, value in options if name == "--server.allowedHosts"]
    assert hosts == ["localhost", "127.0.0.1", "::1"]
    assert "--server.allowedHosts" not in launch_arguments(Settings(dashboard_host="0.0.0.0"))  # noqa: S104  # a string


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"127.0.0.1:{port}.*MMSENT_DASHBOARD_PORT"):
            choose_port("127.0.0.1", port)
    assert choose_port("127.0.0.1", 0) > 0
