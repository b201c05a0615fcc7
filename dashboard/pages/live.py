"""Page Live: what the stream feels now, and the newest posts whose words and picture disagree."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from dashboard import charts, data
from mmsent.errors import MmsentError
from mmsent.settings import Settings
from mmsent.store.reads import ALL_TOPICS, FlaggedPost

REFRESH_S = 5.0
MAX_TEXT = 200
MAX_LANGUAGES = 5
PERIOD_NAMES = {
    "15m": "the last 15 minutes",
    "1h": "the last hour",
    "6h": "the last 6 hours",
    "24h": "the last 24 hours",
    data.ALL_TIME: "all time",
}


def page() -> None:
    try:
        database_url = Settings.load().resolved_database_url
    except MmsentError as error:
        show_problem(data.as_problem(error))
        return
    topic, period, refreshes = filters(database_url)
    st.fragment(panels, run_every=REFRESH_S if refreshes else None)(database_url, topic, period)


def filters(database_url: str) -> tuple[str, str, bool]:
    """(topic, period, whether the page refreshes itself), all three in the address of the page."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("Live", anchor=False, width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            topic = st.selectbox(
                "Topic",
                known_topics(database_url),
                format_func=lambda name: "All posts" if name == ALL_TOPICS else name,
                key="topic",
                bind="query-params",
                label_visibility="collapsed",
                width=190,
            )
            period = st.segmented_control(
                "Created in the last",
                list(data.PERIODS),
                default="1h",
                required=True,
                key="range",
                bind="query-params",
                label_visibility="collapsed",
            )
            refreshes = st.toggle("Refresh", value=True, key="refresh", bind="query-params")
    return topic, period or "1h", refreshes


def known_topics(database_url: str) -> list[str]:
    """The topics; while they cannot be read, those that the page's address asks for."""
    try:
        return data.topics(database_url)
    except MmsentError:  # the panels say what is wrong
        return list(dict.fromkeys([ALL_TOPICS, st.query_params.get("topic", ALL_TOPICS)]))


def panels(database_url: str, topic: str, period: str) -> None:
    """All that is read from the database. Reads again at each refresh, so that it recovers by itself."""
    try:
        view = data.live_view(database_url, topic, period)
    except MmsentError as error:
        show_problem(data.as_problem(error))
        return
    if view is None:
        show_problem(data.NO_POSTS)
        return
    show_freshness(view)
    if not view.totals.posts:
        show_nothing_in_period(view, period)
        return
    show_totals(view, period)
    show_charts(view)
    show_flagged(view, period)


def show_problem(problem: data.Problem) -> None:
    with st.container(border=True, width=640):
        st.subheader(problem.title, anchor=False)
        st.text(problem.detail)
        if problem.command:
            st.caption("What to run in a terminal:")
            st.code(problem.command, language=None)


def show_nothing_in_period(view: data.LiveView, period: str) -> None:
    newest = view.freshness.newest_post_at
    with st.container(border=True, width=640):
        st.subheader(f"No posts in {PERIOD_NAMES[period]}", anchor=False)
        if newest is not None:
            st.text(f"The newest post of all topics was created {ago(view.read_at - newest)}.")
        st.button("Show all time", on_click=show_all_time)


def show_all_time() -> None:
    st.session_state["range"] = data.ALL_TIME


def show_freshness(view: data.LiveView) -> None:
    freshness = view.freshness
    parts = []
    if freshness.newest_post_at is not None:
        parts.append(f"newest post {ago(view.read_at - freshness.newest_post_at)}")
    if freshness.written_at is not None:
        parts.append(f"last written {ago(view.read_at - freshness.written_at)}")
    if freshness.watermark is not None:
        parts.append(f"complete to {local(freshness.watermark):%H:%M:%S}, shaded after")
    st.caption(" · ".join(parts))


def show_totals(view: data.LiveView, period: str) -> None:
    totals, before = view.totals, view.previous
    net, net_before = totals.net_sentiment, before.net_sentiment if before else None
    with st.grid(4, min_column_width=150):
        show_metric(
            "Posts",
            f"{totals.posts:,}",
            change(totals.posts, before.posts if before else 0),
            f"created in {PERIOD_NAMES[period]}; compared with as long before",
        )
        show_metric(
            "Net sentiment",
            "–" if net is None else signed(net),
            None if net is None or net_before is None else f"{net - net_before:+.2f}",
            "(positive − negative) ÷ scored posts, from −1 to +1",
        )
        show_metric(
            "Words ≠ picture",
            f"{totals.flagged:,}",
            change(totals.flagged, before.flagged if before else 0),
            "posts whose words and picture disagree",
        )
        show_metric(
            "With picture",
            f"{totals.with_image / totals.posts:.0%}",
            None,
            "posts with a picture that was scored",
        )


def show_metric(label: str, value: str, delta: str | None, explained: str) -> None:
    st.metric(
        label,
        value,
        delta,
        delta_color="off",  # more is neither good nor bad
        delta_description=None if delta is None else "vs before",
        help=explained,
        border=True,
        height="stretch",
    )


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def change(value: int, before: int) -> str | None:
    return f"{value / before - 1:+.0%}" if before else None


def show_charts(view: data.LiveView) -> None:
    frame = charts.bucket_frame(view.buckets, view.step_s)
    complete_to = view.freshness.watermark or view.end
    step = step_name(view.step_s)
    st.subheader(f"Posts per {step}", anchor=False)
    st.altair_chart(
        charts.volume_chart(frame, view.start, view.end, complete_to),
        alt=f"Posts per {step} by sentiment",
    )
    st.subheader(f"Net sentiment per {step}", anchor=False)
    st.altair_chart(
        charts.net_chart(frame, view.start, view.end, view.step_s, complete_to),
        alt=f"Net sentiment per {step}, from −1 to +1",
    )
    if view.totals.unscored:
        st.text(unscored_sentence(view.totals.unscored, view.languages))


def unscored_sentence(unscored: int, languages: dict[str, int]) -> str:
    named = [f"{lang} {count:,}" for lang, count in list(languages.items())[:MAX_LANGUAGES]]
    more = ["others"] if len(languages) > MAX_LANGUAGES else []
    posts = "1 post was" if unscored == 1 else f"{unscored:,} posts were"
    return f"{posts} not scored, by language: {', '.join(named + more)}"


def show_flagged(view: data.LiveView, period: str) -> None:
    st.subheader("Words and picture disagree", anchor=False)
    if not view.flagged:
        st.text(f"No such post in {PERIOD_NAMES[period]}.")
        return
    with st.grid(2, min_column_width=400, border=True) as grid:
        for post in view.flagged:
            with grid.cell():
                show_post(post, view.read_at)


def show_post(post: FlaggedPost, now: datetime) -> None:
    hidden = "hidden: marked sensitive" if post.sensitive else "no picture kept"
    with st.container(horizontal=True, wrap=False):
        thumbnail = None if post.sensitive else post.thumbnail
        st.html(charts.picture(thumbnail, hidden), width=charts.PICTURE_PX)
        with st.container(gap="xsmall"):
            st.text(shorten(post.text))  # as it is: a stranger's markup must not become a picture or a link
            st.caption(f"{ago(now - post.created_at)} · conflict {post.conflict:.2f}")
    st.html(charts.opinion_bars(post.text_opinion, post.image_opinion))


def shorten(text: str) -> str:
    """One paragraph of at most `MAX_TEXT` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_TEXT else flat[: MAX_TEXT - 1].rstrip() + "…"


def step_name(step_s: int) -> str:
    """60 → minute, 300 → 5 minutes."""
    for seconds, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if step_s % seconds == 0:
            number = step_s // seconds
            return unit if number == 1 else f"{number} {unit}s"
    raise ValueError(f"step_s={step_s} is not a number of whole minutes")


def ago(passed: timedelta) -> str:
    """4 s ago, 3 min ago, 2 h ago, 5 days ago."""
    seconds = int(passed.total_seconds())
    if seconds < 0:
        return "just now"
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def local(time: datetime) -> datetime:
    """`time` where the viewer is; UTC where the browser does not say."""
    return time.astimezone(viewer_zone())


def viewer_zone() -> tzinfo:
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
