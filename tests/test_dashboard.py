"""Page Live as its viewers meet it: empty, some data, database down, hostile posts; and how it is started."""

import io
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import insert
from streamlit.testing.v1 import AppTest

from dashboard import data
from dashboard.launch import APP, choose_port, launch_arguments
from dashboard.pages import live
from mmsent.errors import SetupError
from mmsent.settings import Settings
from mmsent.store import schema, tables

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
    data.live_view.clear()
    data.reader.clear()
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
    return "\n".join(
        str(element.value)
        for kind in (app.title, app.subheader, app.text, app.caption, app.code)
        for element in kind
    )


def html(app: AppTest) -> list[str]:
    return [element.proto.body for element in app.get("html")]


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
    assert values == {"Posts": "11", "Net sentiment": "+0.40", "Words ≠ picture": "1", "With picture": "0%"}
    assert len(app.get("vega_lite_chart")) == 2
    assert "Posts per minute" in shown(app)
    assert "Lovely weather" in shown(app)
    assert "conflict 0.72" in shown(app)
    assert "1 post was not scored, by language: ja 1" in shown(app)
    picture, bars = html(app)
    assert 'src="data:image/jpeg;base64,' in picture
    assert "Words: positive 90%, neutral 8%, negative 2%" in bars
    assert "Picture: positive 5%, neutral 15%, negative 80%" in bars


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


def test_a_sensitive_picture_is_hidden(database: str) -> None:
    fill(database, [disagreeing("a", "careful", sensitive=True)], positive=1, flagged=1)
    picture, _ = html(run_app())
    assert "hidden: marked sensitive" in picture
    assert "data:" not in picture


def test_deleted_posts_are_not_shown(database: str) -> None:
    gone = disagreeing("gone", "erased", deleted=True)
    fill(database, [gone, disagreeing("a", "kept")], positive=2, flagged=1)
    assert "kept" in shown(run_app())
    assert "erased" not in shown(run_app())


def test_at_most_a_page_of_flagged_posts(database: str) -> None:
    fill(database, [disagreeing(f"p{i}", f"text {i}") for i in range(60)], positive=60, flagged=60)
    app = run_app()
    assert not app.exception
    assert len(html(app)) == 2 * data.MAX_FLAGGED


def test_a_topic_and_a_range_from_the_address(database: str) -> None:
    fill(database, [], topic="weather", negative=4)
    engine = schema.open_engine(database)
    with engine.begin() as connection:
        query = {
            "name": "weather",
            "any_of": ["rain"],
            "all_of": [],
            "none_of": [],
            "updated_at": datetime.now(UTC),
        }
        connection.execute(insert(tables.topics), [query])
    engine.dispose()
    app = run_app(topic="weather", range="6h")
    assert app.selectbox(key="topic").value == "weather"
    assert app.segmented_control(key="range").value == "6h"
    assert app.metric[1].value == "−1.00"
    assert "Posts per 5 minutes" in shown(app)


def test_nothing_in_the_range_offers_all_time(database: str) -> None:
    fill(database, [], positive=1)
    engine = schema.open_engine(database)
    with engine.begin() as connection:
        long_ago = datetime(2020, 2, 29, 12, tzinfo=UTC)
        connection.execute(tables.rollups.update().values(minute=long_ago))
        connection.execute(tables.posts.update().values(created_at=long_ago, minute=long_ago))
    engine.dispose()
    app = run_app()
    assert "No posts in the last hour" in shown(app)
    app.button[0].click().run()
    assert app.segmented_control(key="range").value == "all"
    assert app.metric[0].value == "1"


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
    spoken = [live.ago(timedelta(seconds=s)) for s in (-3, 0, 59, 60, 3599, 3600, 90_000, 200_000)]
    assert spoken == [
        "just now", "0 s ago", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "25 h ago", "2 days ago"
    ]  # fmt: skip
    assert [live.step_name(s) for s in (60, 300, 3600, 172_800)] == ["minute", "5 minutes", "hour", "2 days"]


def test_long_texts_are_cut() -> None:
    assert live.shorten("a\n\n b") == "a b"
    assert len(live.shorten("x" * 50_000)) == live.MAX_TEXT


def test_command_line_keeps_the_page_on_this_machine() -> None:
    arguments = launch_arguments(Settings(dashboard_port=8600))
    assert arguments[:5] == [sys.executable, "-m", "streamlit", "run", str(APP)]
    assert APP.is_file()
    options = list(zip(arguments[5::2], arguments[6::2], strict=True))
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
