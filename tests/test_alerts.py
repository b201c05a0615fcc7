from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsent.alerts import (
    Conflict,
    ConflictEvidence,
    ConflictWindow,
    conflict_alert,
    conflict_alert_id,
    conflict_title,
    conflict_windows,
    group_conflicts,
    severity,
)
from mmsent.posts import Alert

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = 3600
counts = st.integers(1, 5000)
means = st.floats(0, 1)


def conflict(post_id: str, *topics: str, after_s: float = 0, strength: float = 0.8) -> Conflict:
    return Conflict(post_id, topics, NOON + timedelta(seconds=after_s), strength)


def topics_of(*conflicts: Conflict) -> set[str]:
    return {window.topic for each in conflicts for window in conflict_windows(each, HOUR)}


def test_an_alert_id_is_made_of_kind_topic_and_window() -> None:
    index = int(NOON.timestamp()) // HOUR
    expected = sha256(f"conflict\0weather\0{index}".encode()).hexdigest()[:32]
    assert conflict_alert_id("weather", NOON, HOUR) == expected
    assert conflict_alert_id("weather", NOON + timedelta(seconds=3599.999), HOUR) == expected
    assert conflict_alert_id("weather", NOON + timedelta(seconds=3600), HOUR) != expected
    assert conflict_alert_id("weather", NOON - timedelta(microseconds=1), HOUR) != expected
    assert conflict_alert_id("sports", NOON, HOUR) != expected


def test_a_post_counts_in_each_of_its_topics_and_in_all_only_without_one() -> None:
    assert topics_of(conflict("a", "weather", "sports")) == {"weather", "sports"}
    assert topics_of(conflict("a")) == {"all"}


def test_a_window_is_the_cooldown_around_the_posts_own_time() -> None:
    (window,) = conflict_windows(conflict("a", after_s=1234), HOUR)
    assert (window.start, window.end) == (NOON, NOON + timedelta(hours=1))


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_no_year_is_too_far(year: int) -> None:
    created_at = datetime(year, 1, 1, tzinfo=UTC) if year < 9999 else datetime.max.replace(tzinfo=UTC)
    (window,) = conflict_windows(Conflict("a", (), created_at, 0.9), 7000)
    assert window.start <= created_at <= window.end


def test_versions_of_a_post_count_once_with_the_highest_conflict() -> None:
    versions = [conflict("a", strength=strength) for strength in (0.6, 0.9, 0.7)]
    (posts,) = group_conflicts([*versions, conflict("b")], HOUR).values()
    assert posts == {"a": 0.9, "b": 0.8}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]), st.integers(0, 7200))))
def test_grouping_knows_no_order_and_no_repetition(seen: list[tuple[str, str, int]]) -> None:
    conflicts = [conflict(post, *filter(None, [topic]), after_s=after) for post, topic, after in seen]
    once = group_conflicts(conflicts, HOUR)
    assert group_conflicts([*reversed(conflicts), *conflicts], HOUR) == once


@given(counts, counts, means, means)
def test_severity_is_between_1_and_10_and_never_falls(a: int, b: int, c: float, d: float) -> None:
    low, high = severity(min(a, b), min(c, d)), severity(max(a, b), max(c, d))
    assert 1 <= low <= high <= 10


def test_severity_spans_its_scale() -> None:
    assert [severity(1, 0.9), severity(1023, 1.0), severity(10**9, 1.0)] == [1, 10, 10]


def test_severity_is_that_of_the_posts_expected_to_disagree() -> None:
    """Sixty posts at 0.3 weigh as much as twenty at 0.9; a low threshold makes no storm of doubtful posts."""
    assert severity(60, 0.3) == severity(20, 0.9) == 4
    assert severity(60, 0.9) > severity(60, 0.3)


@pytest.mark.parametrize(
    ("topic", "count", "title"),
    [
        ("weather", 1, "Words and picture disagree in 1 post about weather"),
        ("all", 1200, "Words and picture disagree in 1,200 posts outside the tracked topics"),
    ],
)
def test_titles(topic: str, count: int, title: str) -> None:
    assert conflict_title(topic, count) == title


def alert(evidence: ConflictEvidence, threshold: float | None = 0.5) -> Alert:
    window = ConflictWindow("id", "weather", NOON, NOON + timedelta(hours=1))
    return conflict_alert(window, evidence, revision=3, created_at=NOON, threshold=threshold)


def test_an_alert_says_why() -> None:
    posts = tuple(f"post/{number}" for number in range(12))
    made = alert(ConflictEvidence(12, 0.71234567, 0.9, posts, topic_posts=48, topic_flagged=12))
    assert made.why == {
        "mean_conflict": 0.7123,
        "highest_conflict": 0.9,
        "topic_posts": 48,
        "topic_flagged": 12,
        "flagged_share": 0.25,
        "threshold": 0.5,
    }
    assert (made.kind, made.revision, made.count, made.state) == ("conflict", 3, 12, "open")
    assert made.posts == posts[:10]
    assert Alert.model_validate_json(made.to_json()) == made


def test_what_is_not_known_is_not_said() -> None:
    made = alert(ConflictEvidence(1, 0.6, 0.6, ("a",), topic_posts=0, topic_flagged=0), threshold=None)
    assert not {"flagged_share", "threshold"} & set(made.why)
