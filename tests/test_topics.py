"""Tracked topics: what matches, what does not, and what cannot be tracked."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsent.errors import InputError
from mmsent.topics import ALL_TOPICS, TopicMatcher, TrackedTopic


def matches(term: str, text: str, tags: tuple[str, ...] = ()) -> bool:
    return TopicMatcher([TrackedTopic("topic", any_of=(term,))]).match(text, tags) == ("topic",)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("rain", "Rain!"),
        ("RAIN", "it may (rain)"),
        ("rain", "so much #rain"),
        ("straße", "STRASSE"),
        ("\uff52\uff41\uff49\uff4e", "rain"),
        ("café", unicodedata.normalize("NFD", "Café")),
        ("don't", "I DON'T know"),
        ('"new york"', "in New-York, again"),
        ("new york", "new\n  york"),
        ("#picnic", "a #Picnic!"),
        ("#picnic", "\uff03picnic"),
        ("天气", "今天天气好"),
        ("ฝน", "วันนี้ฝนตก"),
        ("😀", "so 😀😀"),
        ("2026", "in 2026."),
    ],
)
def test_what_matches(term: str, text: str) -> None:
    assert matches(term, text)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("rain", "brain"),
        ("rain", "rainbow"),
        ("rain", ""),
        ('"new york"', "york new"),
        ('"new york"', "new in york"),
        ('"new york"', "anew york"),
        ("#picnic", "a picnic"),
        ("#picnic", "#picnics"),
        ("#39", "it&#39;s"),
        ("#b", "a#b"),
        ("天气", "天 气"),
        ("😀", "😁"),
    ],
)
def test_what_does_not_match(term: str, text: str) -> None:
    assert not matches(term, text)


def test_tags_count_as_hashtags_and_as_words() -> None:
    assert matches("#picnic", "", ("Picnic",))
    assert matches("#picnic", "", ("#picnic",))
    assert matches("picnic", "", ("picnic",))
    assert matches("new york", "", ("New York",))
    assert matches("#newyork", "", ("New York",))
    assert not matches("new york", "new", ("york",))
    assert not matches("new york", "", ("new", "york"))


def test_any_all_and_none() -> None:
    matcher = TopicMatcher(
        [
            TrackedTopic("weather", any_of=("rain", "sun"), none_of=("#ad", "oxford street")),
            TrackedTopic("football", all_of=("match", "goal")),
            TrackedTopic("both", any_of=("sun",), all_of=("goal",)),
        ]
    )
    assert matcher.match("Sun and rain") == ("weather",)
    assert matcher.match("goal in the MATCH, sun out") == ("both", "football", "weather")
    assert matcher.match("a goal") == ()
    assert matcher.match("sun #ad") == ()
    assert matcher.match("sun", ["AD"]) == ()
    assert matcher.match("sun in Oxford Street") == ()
    assert TopicMatcher([]).match("sun") == ()


@pytest.mark.parametrize(
    "name", ["", " ", "all", "ALL", "a/b", "a\nb", " weather", "weather ", "x" * 65, "a\0b"]
)
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(InputError):
        TrackedTopic(name, any_of=("rain",))


@pytest.mark.parametrize("name", ["a", "Neue Züge", "covid-19", "天气", "v1.2_x", "x" * 64])
def test_names_that_can_be_used(name: str) -> None:
    assert TopicMatcher([TrackedTopic(name, any_of=("rain",))]).match("rain") == (name,)


@pytest.mark.parametrize("term", ["", "  ", '""', "#", "#two words", "# rain", "x" * 201])
def test_terms_that_cannot_be_used(term: str) -> None:
    with pytest.raises(InputError, match=re.escape(repr(term))):
        TrackedTopic("topic", any_of=("rain",), none_of=(term,))


def test_a_topic_looks_for_something() -> None:
    with pytest.raises(InputError, match="--any"):
        TrackedTopic("topic", none_of=("rain",))
    with pytest.raises(InputError, match="100"):
        TrackedTopic("topic", any_of=("rain",) * 101)
    assert ALL_TOPICS == "all"


words = st.text(st.sampled_from("abAB12éß"), min_size=1, max_size=4)


@given(term=st.lists(words, min_size=1, max_size=3), text=st.lists(words, max_size=8))
def test_words_in_a_row(term: list[str], text: list[str]) -> None:
    """A phrase matches exactly where its words stand beside each other."""
    wanted, said = [[word.casefold() for word in words] for words in (term, text)]
    expected = any(said[start : start + len(wanted)] == wanted for start in range(len(said)))
    assert matches(" ".join(term), ", ".join(text)) == expected


@given(st.lists(words, max_size=8), st.lists(words, min_size=1, max_size=5, unique=True))
def test_together_as_alone(text: list[str], terms: list[str]) -> None:
    """Many topics at once give what each gives by itself."""
    topics = [TrackedTopic(f"t{place}", any_of=(term,)) for place, term in enumerate(terms)]
    said = " ".join(text)
    alone = [name for topic in topics for name in TopicMatcher([topic]).match(said)]
    assert TopicMatcher(topics).match(said) == tuple(sorted(alone))


@given(st.text())
def test_any_text_can_be_matched(text: str) -> None:
    assert TopicMatcher([TrackedTopic("topic", any_of=("a b", "#c", "😀"))]).match(text, [text]) in {
        (),
        ("topic",),
    }
