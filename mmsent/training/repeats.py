"""Posts that repeat each other: the same words (a retweet, another link) or the same picture file."""

import hashlib
import re
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mmsent.model.inputs import clean_text
from mmsent.training.data import LabelledPost

_RETWEET = re.compile(r"^rt @user:? ?")
_NO_WORD = re.compile(r"(?:@user|\bhttp\b|\W|_)+")


def post_groups(posts: Sequence[LabelledPost]) -> NDArray[np.int64]:
    """A group number (N,) for each post; equal for posts joined by chains of equal words or pictures."""
    return joined([tuple(_marks(post)) for post in posts])


def text_groups(texts: Sequence[str]) -> NDArray[np.int64]:
    """The same for texts without a picture."""
    return joined([tuple(filter(None, [words(text)])) for text in texts])


def first_of_each(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True (N,) for the first post of each group."""
    first = np.zeros(len(groups), np.bool_)
    first[np.unique(groups, return_index=True)[1]] = True
    return first


def words(text: str) -> str:
    """What is said: lower case without `RT @name:`, links, mentions and punctuation; may be empty."""
    return _NO_WORD.sub(" ", _RETWEET.sub("", clean_text(text).lower())).strip()


def joined(marks: Sequence[Sequence[Hashable]]) -> NDArray[np.int64]:
    """Group numbers (N,) of items that share a mark, directly or over others; no mark, no company."""
    parent = list(range(len(marks)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first_with: dict[Hashable, int] = {}
    for item, own in enumerate(marks):
        for mark in own:
            one, other = root(item), root(first_with.setdefault(mark, item))
            parent[max(one, other)] = min(one, other)
    return np.array([root(item) for item in range(len(marks))], dtype=np.int64)


def _marks(post: LabelledPost) -> Iterator[Hashable]:
    if said := words(post.text):
        yield "text", said
    if post.has_picture:
        with post.image.open("rb") as file:
            yield "picture", hashlib.file_digest(file, "sha256").digest()
