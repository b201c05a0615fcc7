"""What people see at a terminal: alerts worth a look, in any width, whatever strangers wrote."""

import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from mmsent.commands import demo
from mmsent.commands.alert_view import block
from mmsent.commands.alerts import DOUBLED_AFTER_S, GROWN_AFTER_S, Pace, Shown
from mmsent.commands.score_view import explained_block, header, legend, row, summary
from mmsent.embedded.browser import has_display, open_page
from mmsent.engine.base import ScoringRequest
from mmsent.engine.stub import StubEngine
from mmsent.explain import explain
from mmsent.posts import Alert, Opinion, Post, ScoredPost, Window
from mmsent.store.reads import Quote

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
GLAD = Opinion(label="positive", positive=0.9, neutral=0.06, negative=0.04)
SAD = Opinion(label="negative", positive=0.1, neutral=0.17, negative=0.73)


def alert(**changes: object) -> Alert:
    values = {
        "alert_id": "a1",
        "revision": 0,
        "kind": "conflict",
        "severity": 6,
        "created_at": NOON,
        "topic": "meadowbox",
        "title": "Words and picture disagree in 12 posts about meadowbox",
        "count": 12,
        "window": Window(start=NOON, end=NOON),
        "why": {"flagged_share": 0.25},
    }
    return Alert.model_validate(values | changes)


def quote(text: str) -> Quote:
    return Quote("test/1", text, GLAD, SAD, 0.66)


# Alerts: which are shown


def shown_by(pace: Pace, now: float, *, last: bool = False) -> list[int]:
    due = pace.take(now, last=last)
    for one in due:
        pace.shown[one.alert_id] = Shown(one, now)
    return [one.count for one in due]


def test_an_alert_that_grows_does_not_flood() -> None:
    pace = Pace()
    seen = []
    for second in range(300):  # one more post each second, for five minutes
        pace.add(alert(revision=second, count=second + 1))
        seen += shown_by(pace, float(second))
    assert seen[:2] == [1, 1 + DOUBLED_AFTER_S]
    assert all(later >= 2 * earlier or later >= earlier + GROWN_AFTER_S for earlier, later in pairwise(seen))
    assert len(seen) <= 10
    assert seen[-1] > 200
    assert shown_by(pace, 300.0, last=True) == [300]
    assert shown_by(pace, 900.0, last=True) == []


def test_what_stood_on_the_topic_is_shown_once_at_its_last_revision_in_order_of_time() -> None:
    pace = Pace()
    for revision in (0, 2, 1):
        pace.add(alert(revision=revision, count=10 * revision + 1, created_at=NOON + timedelta(minutes=1)))
    pace.add(alert(alert_id="a0", count=7))
    assert shown_by(pace, 0.0) == [7, 21]


def test_an_alert_that_is_over_is_shown_at_once() -> None:
    pace = Pace()
    pace.add(alert())
    assert shown_by(pace, 0.0) == [12]
    pace.add(alert(revision=1, state="recovered"))
    assert shown_by(pace, 0.1) == [12]


# Alerts: how they look


def test_a_block_says_what_happened_and_what_to_do() -> None:
    lines = block(
        alert(),
        [quote("Lovely basket")],
        width=100,
        dashboard="http://127.0.0.1:8501",
        shown=alert(count=3),
        now=NOON,
    )
    assert [line.plain for line in lines] == [
        f"███░░ 6/10  {NOON.astimezone():%H:%M:%S}  conflict · meadowbox  12 posts (was 3)",
        "  Words and picture disagree in 12 posts about meadowbox  25% of its posts",
        "  “Lovely basket”",
        "    words ▲ positive 0.90  ≠  picture ▼ negative 0.73  conflict 0.66",
        "  → http://127.0.0.1:8501/?topic=meadowbox",
    ]


@pytest.mark.parametrize("width", [40, 60, 100])
@pytest.mark.parametrize(
    "text", ["", "x" * 500, "宅配" * 200, "a\x1b[2J\r\nb\u202ec\u2028d\u061ce", "[red]not markup[/red]"]
)
def test_a_strangers_text_stays_in_its_line(width: int, text: str) -> None:
    lines = block(alert(), [quote(text)], width=width, dashboard=None, now=NOON + timedelta(days=2))
    assert all(cell_len(line.plain) <= width for line in lines)
    screen = StringIO()
    Console(file=screen, width=width, color_system=None).print(*lines, sep="\n", soft_wrap=True)
    said = screen.getvalue()
    assert said.count("\n") == len(lines)
    assert not set(said) & set("\x1b\r\u202e\u2028\u061c")
    assert ("[red]" in said) == text.startswith("[red]")
    assert "words ▲ posit" in said
    assert said.startswith(f"███░░ 6/10  {NOON.astimezone():%d %b}")


def test_a_topic_in_an_address_is_quoted() -> None:
    lines = block(alert(topic="tea & #1"), [], width=80, dashboard="http://h:1", now=NOON)
    assert lines[-1].plain.endswith("http://h:1/?topic=tea+%26+%231")
    lines = block(alert(topic="all"), [], width=80, dashboard="http://h:1", now=NOON)
    assert lines[-1].plain.endswith("→ http://h:1/")


# Scores


def scored(**changes: object) -> ScoredPost:
    values = {
        "post_id": "test/\x1b[2J1",
        "version": 0,
        "source": "test",
        "created_at": NOON,
        "scored_at": NOON,
        "model": "default@1",
        "fused": SAD,
        "text": GLAD,
        "image": SAD,
        "conflict": 0.66,
    }
    return ScoredPost.model_validate(values | changes)


def row_of(found: ScoredPost, text: str, width: int = 120) -> str:
    post = Post(post_id=found.post_id, source="test", created_at=NOON, text=text)
    return row(found, post, threshold=0.6, width=width).plain


def test_a_row_says_what_each_part_feels_and_whether_they_disagree() -> None:
    said = row_of(scored(), "Lovely\nbasket")
    assert said == "▼ negative 0.73  ▲ positive 0.90  ▼ negative 0.73    ≠ 0.66  test/ [2J1 Lovely basket"
    without = scored(fused=None, text=None, image=None, conflict=None, unscored_reason="language")
    assert row_of(without, "Witaj").split() == ["–", "–", "–", "–", "test/", "[2J1", "(language)", "Witaj"]
    assert "≠" not in row_of(scored(conflict=0.59), "")


@pytest.mark.parametrize("width", [60, 100])
def test_columns_stand_below_their_names(width: int) -> None:
    names = header(width).plain
    said = row_of(scored(image=None, conflict=0.6), "宅配" * 100, width)
    assert cell_len(said) <= width
    for name, cell in (("fused", "▼"), ("words", "▲"), ("picture", "–"), ("post", "test/")):
        assert said.index(cell) == names.index(name)
    assert said.index("0.60") + 4 == names.index("conflict") + len("conflict")


def test_a_summary_of_scores() -> None:
    said = summary(posts=1200, flagged=30, unscored=2, seconds=10.0, threshold=0.583)
    assert said == "1,200 posts in 10.0 s · 120 posts/s · 30 flagged (conflict ≥ 0.58) · 2 without a score"
    assert summary(posts=0, flagged=0, unscored=0, seconds=0.0, threshold=0.5).startswith("0 posts in 0.0 s")


def shown(text: str, width: int) -> str:
    """The block of a post whose picture is bright at the right."""
    pixels = np.full((48, 48, 3), 165, np.uint8)
    pixels[16:32, 32:] = 255
    explanation = explain(StubEngine(image_size=48), ScoringRequest(text, pixels))
    post = Post(post_id="test/1", source="test", created_at=NOON, text=text)
    screen = StringIO()
    console = Console(file=screen, width=width, color_system=None)
    console.print(explained_block(scored(), post, explanation, threshold=0.6, width=width))
    return screen.getvalue()


def test_a_block_says_what_each_opinion_rests_on() -> None:
    assert [line.rstrip() for line in shown("A lovely\n😀 basket, sadly", 100).splitlines()] == [
        "",
        "test/ [2J1  conflict ≠ 0.66",
        "  words    ▲ positive 0.90  A lovely(+85) 😀 basket, sadly",
        "  picture  ▼ negative 0.73  most at the right +42",
        "  fused    ▼ negative 0.73  words +42 picture +0 · attention words 50%, picture 50%",
    ]
    assert legend().plain.startswith("+8 supports the opinion")


@pytest.mark.parametrize("width", [40, 60, 100])
@pytest.mark.parametrize(
    "text", ["", "x" * 500, "宅配 " * 200, "a\x1b[2J\r\nb\u202ec\u2028d\u061ce", "[red]not markup[/red]"]
)
def test_a_strangers_text_stays_in_its_block(width: int, text: str) -> None:
    said = shown(text, width)
    assert all(cell_len(line) <= width for line in said.splitlines())
    assert not set(said) & set("\x1b\r\u202e\u2028\u061c")
    assert ("[red]" in said) == text.startswith("[red]")


def test_a_post_without_a_score_has_no_reasons() -> None:
    post = Post(post_id="test/1", source="test", created_at=NOON, text="Witaj")
    without = scored(fused=None, text=None, image=None, conflict=None, unscored_reason="language")
    screen = StringIO()
    Console(file=screen).print(explained_block(without, post, None, threshold=0.6, width=80))
    assert screen.getvalue().split() == ["test/", "[2J1", "(language)", "Witaj"]


# The demo


@pytest.mark.parametrize(
    ("environment", "system", "there"),
    [
        ({}, "Linux", False),
        ({"DISPLAY": ":0"}, "Linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "Linux", True),
        ({"DISPLAY": "", "SSH_CONNECTION": "x"}, "Linux", False),
        ({}, "Darwin", True),
        ({"SSH_CONNECTION": "x"}, "Darwin", False),
    ],
)
def test_a_browser_needs_a_display(environment: dict[str, str], system: str, there: bool) -> None:
    assert has_display(environment, system) == there


def test_a_browser_gets_the_address_and_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho loud; echo loud >&2; test -t 0 || echo "$1" > {tmp_path}/seen\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{script} %s")
    open_page("http://127.0.0.1:1/?range=15m").join(20)
    assert (tmp_path / "seen").read_text() == "http://127.0.0.1:1/?range=15m\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("terminal", "wanted", "opened"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_a_browser_is_opened_for_who_sits_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    wanted: bool,
    opened: int,
) -> None:
    pages: list[str] = []
    monkeypatch.setattr(demo, "has_display", lambda: True)
    monkeypatch.setattr(demo, "open_page", pages.append)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with demo._Terminal(browser=wanted) as talk:
        talk.done("database")
        talk.open("http://127.0.0.1:1/")
    assert len(pages) == opened
    said = capsys.readouterr().err
    assert "http://127.0.0.1:1/" in said
    assert ("\x1b" in said) == terminal
