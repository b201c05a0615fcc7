"""Text and pictures to the arrays the model reads, and logits to opinions.

Training and serving share this module, so that both see the same numbers.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import emoji
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

LABELS = ("positive", "neutral", "negative")
POSITIVE, NEUTRAL, NEGATIVE = range(3)

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

_MAX_CHARACTERS = 4_000
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?<!\w)@\w+(?:[.-]\w+)*(?:@\w+(?:[.-]\w+)*)?")
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(
    rf"&(?:#\w+|\w+);|[{_IDEOGRAPH}]|#?[^\W{_IDEOGRAPH}]+(?:['’-][^\W{_IDEOGRAPH}]+)*|[^\w\s&#]+|&|#+"
)


def clean_text(text: str) -> str:
    """Links become `http`, mentions `@user`, emoji English words, `&amp;` an `&`, white space one space.

    Only the first 4,000 characters are read: a post's opinion stands in far fewer, and the model reads
    `max_length` tokens.
    """
    text = _MENTION.sub("@user", _LINK.sub("http", html.unescape(text[:_MAX_CHARACTERS])))
    return " ".join(emoji.replace_emoji(text, _emoji_words).split())


def has_text(text: str) -> bool:
    """Whether there is anything to judge: a text of only links, mentions and white space counts as none."""
    rest = _MENTION.sub(" ", _LINK.sub(" ", text[:_MAX_CHARACTERS]))
    return any(unicodedata.category(character)[0] in "LNPS" for character in rest)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text as its author wrote it begin and end, in order, without overlap.

    Links, mentions, hashtags, emoji, HTML entities and runs of signs are one word each. Of a script without
    spaces each ideograph is one, as BERT's tokenizer takes it. White space belongs to no word.
    """
    text = text[:_MAX_CHARACTERS]
    rewritten = [match.span() for pattern in (_LINK, _MENTION) for match in pattern.finditer(text)]
    rewritten += [(found["match_start"], found["match_end"]) for found in emoji.emoji_list(text)]
    spans: list[tuple[int, int]] = []
    end = 0
    for start, stop in sorted(rewritten, key=lambda span: (span[0], -span[1])):
        if start >= end:
            spans += [match.span() for match in _WORD.finditer(text, end, start)]
            spans.append((start, stop))
            end = stop
    return spans + [match.span() for match in _WORD.finditer(text, end)]


def _emoji_words(_characters: str, names: dict[str, str]) -> str:
    return " " + names["en"].strip(":").replace("_", " ") + " "


class TextTokenizer:
    """The checkpoint's word-piece tokenizer over cleaned text."""

    def __init__(self, path: Path, max_length: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cleaned here, [CLS] and [SEP] included, at most `max_length` long."""
        return [item.ids for item in self._tokenizer.encode_batch([clean_text(text) for text in texts])]


def pad_tokens(token_ids: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`input_ids` and `attention_mask`, both (B, T) int64, T the longest of the batch; padding is id 0."""
    length = max(map(len, token_ids))
    input_ids = np.zeros((len(token_ids), length), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(token_ids):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask


def pixel_values(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """RGB pictures (S, S, 3) uint8 to (B, 3, S, S) float32, by ImageNet's mean and standard deviation."""
    scaled = np.stack(images).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((scaled - IMAGENET_MEAN) / IMAGENET_STD).transpose(0, 3, 1, 2))


def softmax(logits: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of logits (B, 3) divided by the head's temperature (Guo et al. 2017)."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return result


def conflict(text: NDArray[np.float64], image: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(text +)·P(picture −) + P(text −)·P(picture +) of opinions (B, 3): how likely they are opposite."""
    score: NDArray[np.float64] = (
        text[..., POSITIVE] * image[..., NEGATIVE] + text[..., NEGATIVE] * image[..., POSITIVE]
    )
    return score
