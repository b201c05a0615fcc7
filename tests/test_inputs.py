"""Text and pictures to arrays: what the model sees, alone and in a batch."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from mmsent.model.inputs import (
    LABELS,
    TextTokenizer,
    clean_text,
    conflict,
    has_text,
    pad_tokens,
    pixel_values,
    softmax,
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> TextTokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "@", "user", "http", "red", "heart", "lovely", "day"]
    plain = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[1])
    )
    plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    plain.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    plain.enable_padding(length=99)  # what the file says of padding must not matter
    plain.save(str(tmp_path / "tokenizer.json"))
    return TextTokenizer(tmp_path / "tokenizer.json", max_length=6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Look https://t.co/Ab?x=1 now", "Look http now"),
        ("WWW.example.org/a b", "http b"),
        ("RT @bob.smith: hi", "RT @user: hi"),
        ("@ann@social.example yes", "@user yes"),
        ("write to bob@example.org", "write to bob@example.org"),
        ("so good 😂❤️", "so good face with tears of joy red heart"),
        ("👍🏽", "thumbs up medium skin tone"),
        ("love &lt;3 &amp; peace", "love <3 & peace"),
        ("  two\n\twords ", "two words"),
        ("", ""),
    ],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@given(st.text())
def test_cleaning_never_fails_and_leaves_no_wide_space(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned == " ".join(cleaned.split())


def test_a_huge_text_is_read_from_its_start_only() -> None:
    assert len(clean_text("a" * 1_000_000)) == 4_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", True),
        ("😂", True),
        ("❤️", True),
        ("?!", True),
        ("http://a.b @bob hi", True),
        ("", False),
        (" \n\u200b\ufe0f", False),
        ("https://t.co/x @bob @ann@c.d www.e.f", False),
    ],
)
def test_has_text(text: str, expected: bool) -> None:
    assert has_text(text) is expected


def test_tokenizer_cleans_truncates_and_does_not_pad(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode(["lovely ❤️", "", "day " * 50]) == [
        [2, 9, 7, 8, 3],
        [2, 3],
        [2, 10, 10, 10, 10, 3],
    ]


def test_padding_is_masked() -> None:
    input_ids, attention_mask = pad_tokens([[2, 9, 3], [2, 3]])
    assert input_ids.tolist() == [[2, 9, 3], [2, 3, 0]]
    assert attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert input_ids.dtype == attention_mask.dtype == np.int64


def test_pixels_are_standardised_channel_by_channel() -> None:
    images = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    images[1, 1, 2] = (255, 128, 0)
    values = pixel_values(list(images))
    assert values.shape == (2, 3, 4, 4)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    np.testing.assert_allclose(
        values[1, :, 1, 2], [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225], rtol=1e-5
    )


def test_softmax_survives_large_logits_and_heeds_temperature() -> None:
    assert softmax(np.array([[1e4, 0.0, -1e4]])).tolist() == [[1.0, 0.0, 0.0]]
    logits = np.array([[2.0, 1.0, -1.0]])
    np.testing.assert_allclose(softmax(logits, 2.0), softmax(logits / 2))
    assert softmax(logits, 2.0).max() < softmax(logits).max()


def test_conflict_is_the_chance_of_opposite_polarity() -> None:
    assert LABELS == ("positive", "neutral", "negative")
    positive, neutral, negative = np.eye(3)
    opinions = np.array([positive, negative, positive, neutral, [0.5, 0.3, 0.2]])
    others = np.array([negative, positive, positive, negative, [0.1, 0.2, 0.7]])
    np.testing.assert_allclose(conflict(opinions, others), [1, 1, 0, 0, 0.5 * 0.7 + 0.2 * 0.1])
    np.testing.assert_allclose(conflict(opinions, others), conflict(others, opinions))
