"""Page Live: what the stream feels now, what needs a person, and where words and picture disagree."""

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from dashboard import charts, data, freshness, markup, words
from dashboard.figures import figures
from mmsent.errors import MmsentError
from mmsent.live import Heartbeat
from mmsent.posts import Alert
from mmsent.settings import Settings
from mmsent.store.reads import ALL_TOPICS, FlaggedPost

REFRESHES_S = {"pause": None, "5s": 5, "15s": 15, "60s": 60}
PERIOD_NAMES = {
    "15m": "the last 15 minutes",
    "1h": "the last hour",
    "6h": "the last 6 hours",
    "24h": "the last 24 hours",
    data.ALL_TIME: "all time",
}
MAX_LISTED_ALERTS = 4


def page() -> None:
    try:
        settings = Settings.load()
        topics = known_topics(settings.resolved_database_url)
    except MmsentError as error:
        show_problem(data.as_problem(error))
        return
    topic, period, refresh = filters(topics)
    st.fragment(panels, run_every=REFRESHES_S[refresh])(settings, topics, topic, period)


def known_topics(database_url: str) -> list[str]:
    """The topics; while they cannot be read, those that the page's address asks for."""
    try:
        return data.topics(database_url)
    except MmsentError:  # the panels say what is wrong
        return list(dict.fromkeys([ALL_TOPICS, st.query_params.get("topic", ALL_TOPICS)]))


def filters(topics: list[str]) -> tuple[str, str, str]:
    """(topic, period, refresh), all three in the address of the page."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.html(markup.heading(), width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            topic = st.selectbox(
                "Topic",
                topics,
                format_func=lambda name: "All posts" if name == ALL_TOPICS else name,
                key="topic",
                bind="query-params",
                label_visibility="collapsed",
                width=190,
            )
            period = choice("Created in the last", list(data.PERIODS), "15m", "range")
            refresh = choice("Refresh every", list(REFRESHES_S), "5s", "refresh")
    return topic, period, refresh


def choice(label: str, options: list[str], default: str, key: str) -> str:
    chosen = st.segmented_control(
        label,
        options,
        default=default,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or default


def panels(settings: Settings, topics: list[str], topic: str, period: str) -> None:
    """All that is read from the database. Reads again at each refresh, so that it recovers by itself."""
    database_url = settings.resolved_database_url
    try:
        view = data.live_view(database_url, topic, period)
        workers = data.workers(settings.redis_url, settings.live_timeout_s)
        topics_now = data.topics(database_url)
    except MmsentError as error:
        show_problem(data.as_problem(error))
        return
    if topics_now != topics:
        st.rerun()  # the filters have to know
    if view is None:
        show_problem(data.NO_POSTS)
        return
    show_freshness(view, workers)
    if not view.totals.posts:
        show_nothing_in_period(view, workers, period)
        return
    show_totals(view, period)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        show_charts(view)
    with right:
        show_alerts(view, period)
    show_flagged(view, period)


def show_problem(problem: data.Problem) -> None:
    with st.container(border=True, width=640):
        st.subheader(problem.title, anchor=False)
        st.text(problem.detail)
        if problem.command:
            st.caption("What to run in a terminal:")
            st.code(problem.command, language=None)


def show_nothing_in_period(view: data.LiveView, workers: list[Heartbeat] | None, period: str) -> None:
    newest, waiting = view.freshness.newest_post_at, freshness.lag(workers)
    with st.container(border=True, width=640):
        st.subheader(f"No posts in {PERIOD_NAMES[period]}", anchor=False)
        if newest is not None:
            st.text(f"The newest post of all topics was created {words.ago(view.read_at - newest)}.")
        if waiting:
            st.text(f"{words.number(waiting, 'more post')} will show up as soon as they are scored.")
        st.button("Show all time", on_click=choose, args=("range", data.ALL_TIME))


def choose(key: str, value: str) -> None:
    """A filter, set from elsewhere on the page."""
    st.session_state[key] = value


def show_freshness(view: data.LiveView, workers: list[Heartbeat] | None) -> None:
    newest = view.freshness.newest_post_at
    parts = []
    if newest is not None:
        parts = [
            f"Data to {words.clock(newest, view.read_at, viewer_zone())}",
            words.ago(view.read_at - newest),
        ]
    waiting = freshness.lag_in_words(workers)
    parts += [waiting] if waiting else []
    if view.totals.posts:
        parts.append(f"{view.totals.with_image / view.totals.posts:.0%} with picture")
    parts.append(freshness.workers_in_words(workers))
    trouble = freshness.trouble(view.freshness, workers, view.read_at)
    st.html(markup.strip(parts, trouble))


def show_totals(view: data.LiveView, period: str) -> None:
    ended = min(view.read_at, view.end)
    with st.grid(4, min_column_width=150):
        for figure in figures(view.totals, view.comparison, PERIOD_NAMES[period]):
            st.metric(
                figure.label,
                figure.value,
                figure.change,
                delta_color="off",  # more is neither good nor bad
                delta_description="vs before" if figure.change else None,
                help=figure.explained,
                border=True,
                height="stretch",
                chart_data=charts.sparkline(view.buckets, view.step_s, ended, figure.series),
                chart_type="area",
            )


def show_charts(view: data.LiveView) -> None:
    frame = charts.bucket_frame(view.buckets, view.step_s)
    complete_to = view.freshness.watermark or view.end
    timeline = charts.Timeline(view.start, view.end, view.step_s, complete_to)
    step = words.step_name(view.step_s)
    st.subheader(f"Posts per {step}", anchor=False)
    st.altair_chart(
        charts.volume_chart(frame, timeline, view.alerts), alt=f"Posts per {step} by sentiment", key="volume"
    )
    st.subheader("Net sentiment", anchor=False)
    st.altair_chart(
        charts.net_chart(frame, timeline, view.alerts),
        alt=f"Net sentiment per {step}, from −1 to +1, and alerts",
        key="net",
    )
    notes = ["◆ alert", *(["shaded: may still grow"] if complete_to < view.end else [])]
    if view.totals.unscored:
        notes.append(words.unscored_sentence(view.totals.unscored, view.languages))
    st.html(markup.note(" · ".join(notes)))


def show_alerts(view: data.LiveView, period: str) -> None:
    st.subheader("Alerts", anchor=False)
    if not view.alerts:
        st.text(f"None in {PERIOD_NAMES[period]}.")
    for alert in view.alerts[:MAX_LISTED_ALERTS]:
        show_alert(alert, view.read_at)


def show_alert(alert: Alert, now: datetime) -> None:
    facts = markup.alert_facts(alert, words.ago(now - alert.created_at))
    with st.container(border=True, gap=None):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.html(markup.note(facts), width="content")
            if alert.topic != ALL_TOPICS and st.session_state["topic"] != alert.topic:
                chosen = st.button(
                    "Show →", alert.alert_id, type="tertiary", on_click=choose, args=("topic", alert.topic)
                )
                if chosen:
                    st.rerun()
        st.html(markup.alert_title(alert))


def show_flagged(view: data.LiveView, period: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Words and picture disagree", anchor=False, width="content")
        sensitive = any(post.sensitive for post in view.flagged)
        reveals = sensitive and st.toggle("Show sensitive posts", key="sensitive")
    if not view.flagged:
        st.text(f"No such post in {PERIOD_NAMES[period]}.")
        return
    with st.grid(3, min_column_width=320, border=True) as grid:
        for post in view.flagged:
            with grid.cell():
                show_post(post, view.read_at, hidden=post.sensitive and not reveals)


def show_post(post: FlaggedPost, now: datetime, *, hidden: bool) -> None:
    with st.container(horizontal=True, wrap=False):
        missing = "marked sensitive" if hidden else "no picture kept"
        st.html(markup.picture(None if hidden else post.thumbnail, missing), width=markup.PICTURE_PX)
        with st.container(gap="xsmall"):
            # As it is: a stranger's markup must not become a picture or a link.
            st.text("Hidden: marked sensitive" if hidden else words.shorten(post.text))
            st.html(markup.note(" · ".join([*post.topics, words.ago(now - post.created_at)])))
    st.html(markup.opinion_bars(post.text_opinion, post.image_opinion))


def viewer_zone() -> tzinfo:
    """Where the viewer is; UTC where the browser does not say."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
