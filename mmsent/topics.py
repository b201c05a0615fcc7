"""Tracked topics: named queries over words, phrases and hashtags, matched in one pass over a post's text."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mmsent.errors import InputError

ALL_TOPICS = "all"  # what every post belongs to; never tracked
MAX_TERMS = 100  # in each of any, all and none
MAX_TERM_LENGTH = 200

_NAME = re.compile(r"\w(?:[\w .-]{0,62}\w)?")
_WORD = re.compile(r"\w+")
_HASHTAG = re.compile(r"(?<![\w&])[#\uff03](\w+)")
# Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han (Unicode blocks)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_BREAK = "\n"  # stands between text and tags, so that no phrase runs across


@dataclass(frozen=True)
class TrackedTopic:
    """Posts that have one of `any_of` (if there are any), each of `all_of` and none of `none_of`.

    A term is a word, a phrase (its words in a row) or a #hashtag. Case, punctuation and Unicode's
    compatibility forms make no difference. A word is also found in a hashtag that is that word; a hashtag
    only in hashtags. Terms in scripts without spaces, and emoji, are found anywhere in the text.

    Raises:
        InputError: a name or term that cannot be used, or nothing to look for.
    """

    name: str
    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"topic name {self.name!r} cannot be used: 1 to 64 letters, digits, spaces or any of _ . -"
            )
        if self.name.casefold() == ALL_TOPICS:
            raise InputError(f"every post belongs to topic {ALL_TOPICS!r}; choose another name")
        if not self.any_of and not self.all_of:
            raise InputError(f"topic {self.name!r} needs a term to look for, e.g. --any rain")
        for terms in (self.any_of, self.all_of, self.none_of):
            if len(terms) > MAX_TERMS:
                raise InputError(f"topic {self.name!r} has more than {MAX_TERMS} terms of one kind")
            for term in terms:
                _parse(term)


@dataclass(frozen=True)
class _Term:
    """`needle` is sought as a hashtag, as words in a row, or (without word borders) anywhere."""

    needle: str
    hashtag: bool = False
    anywhere: bool = False


def _parse(term: str) -> _Term:
    folded = _fold(term).strip().strip('"').strip()
    if not folded or len(term) > MAX_TERM_LENGTH:
        raise InputError(
            f"search term {term!r} cannot be used: it is empty, or over {MAX_TERM_LENGTH} characters"
        )
    if folded.startswith("#"):
        if not _WORD.fullmatch(folded[1:]):
            raise InputError(f"hashtag {term!r} cannot be used: # and letters or digits, without spaces")
        return _Term(folded[1:], hashtag=True)
    words = _WORD.findall(folded)
    if not words or _UNSPACED.search(folded):
        return _Term(folded, anywhere=True)
    return _Term(" ".join(words))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class _Haystack:
    """A post, ready to be searched."""

    def __init__(self, text: str, tags: Iterable[str]) -> None:
        parts = [_fold(text), *(_fold(tag).lstrip("#") for tag in tags)]
        words = [_WORD.findall(part) for part in parts]
        self.text = _BREAK.join(parts)
        self.words = {word for some in words for word in some}
        self.hashtags = {*_HASHTAG.findall(parts[0]), *("".join(part.split()) for part in parts[1:])}
        self.row = f" {_BREAK} ".join(" ".join(some) for some in words).join("  ")

    def has(self, term: _Term) -> bool:
        if term.hashtag:
            return term.needle in self.hashtags
        if term.anywhere:
            return term.needle in self.text
        if " " not in term.needle:
            return term.needle in self.words
        return f" {term.needle} " in self.row


@dataclass(frozen=True)
class _Query:
    name: str
    any_of: frozenset[_Term]
    all_of: frozenset[_Term]
    none_of: frozenset[_Term]

    @property
    def terms(self) -> frozenset[_Term]:
        return self.any_of | self.all_of | self.none_of

    def accepts(self, found: set[_Term]) -> bool:
        return (
            self.all_of <= found
            and self.none_of.isdisjoint(found)
            and (not self.any_of or not self.any_of.isdisjoint(found))
        )


def _compile(topic: TrackedTopic) -> _Query:
    kinds = (frozenset(map(_parse, terms)) for terms in (topic.any_of, topic.all_of, topic.none_of))
    return _Query(topic.name, *kinds)


class TopicMatcher:
    """All tracked topics at once. Each distinct term is sought once, words only where they may begin."""

    def __init__(self, topics: Iterable[TrackedTopic]) -> None:
        self._queries = sorted(map(_compile, topics), key=lambda query: query.name)
        self._by_first_word: dict[str, list[_Term]] = {}
        self._others: list[_Term] = []
        for term in frozenset[_Term]().union(*(query.terms for query in self._queries)):
            if term.hashtag or term.anywhere:
                self._others.append(term)
            else:
                self._by_first_word.setdefault(term.needle.partition(" ")[0], []).append(term)

    def match(self, text: str, tags: Iterable[str] = ()) -> tuple[str, ...]:
        """Names of the topics that a post with this text and these tags belongs to, sorted; not `all`."""
        if not self._queries:
            return ()
        found = set(self._found(_Haystack(text, tags)))
        return tuple(query.name for query in self._queries if query.accepts(found))

    def _found(self, post: _Haystack) -> Iterator[_Term]:
        for word in post.words & self._by_first_word.keys():
            yield from filter(post.has, self._by_first_word[word])
        yield from filter(post.has, self._others)
