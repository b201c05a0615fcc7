"""An engine without a model, for tests and chaos: right answers are known, and it fails on command."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmsent.batching import RequestSize
from mmsent.engine.base import Engine, Outputs, Prepared, ScoringRequest
from mmsent.errors import EngineError
from mmsent.model.inputs import LABELS, NEGATIVE, NEUTRAL, POSITIVE

POISON = "stub-poison"  # a text with this word fails every batch it is in
NOT_A_NUMBER = "stub-nan"  # and with this one, comes out as NaN

POSITIVE_WORDS = frozenset({"good", "great", "happy", "love", "lovely", "wonderful"})
NEGATIVE_WORDS = frozenset({"angry", "awful", "bad", "hate", "sad", "terrible"})

_CONFIDENCE = 0.9
_MAX_TOKENS = 64


class StubEngine(Engine):
    """Words of two short lists decide for the text, brightness for the picture; fused is the mean of both.

    Text: more words of `POSITIVE_WORDS` than of `NEGATIVE_WORDS` is positive, fewer negative, else neutral.
    Picture: mean above 170 of 255 is positive, below 85 negative, else neutral. The label has probability
    0.9, the others 0.05 each, so that opposite opinions conflict by 0.8125. `delay_s` is slept per batch.
    """

    def __init__(self, *, delay_s: float = 0.0, image_size: int = 192) -> None:
        self.model_id = "stub@1"
        self.image_size = image_size
        self.conflict_threshold = 0.5
        self.temperatures = {"text": 1.0, "image": 1.0, "fused": 1.0}
        self._delay_s = delay_s

    def judges(self, lang: str | None) -> bool:
        return lang is None or lang.lower().split("-")[0] in {"en", "und"}

    def size(self, request: ScoringRequest) -> RequestSize:
        tokens = 0 if request.text is None else min(len(request.text.split()) + 2, _MAX_TOKENS)
        return RequestSize(tokens=tokens, images=int(request.pixels is not None))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Word ids: 1 positive, 2 negative, 3 not a number, 0 all others."""
        words = [text.lower().split() for text in texts]
        if any(POISON in text for text in words):
            raise EngineError("the stub was told to fail")
        return [[_word_id(word) for word in text] for text in words]

    def forward(self, prepared: Prepared) -> Outputs:
        time.sleep(self._delay_s)
        both = prepared.both_rows
        text = _text_logits(prepared.input_ids)
        image = _image_logits(prepared.pixels)
        shares = np.exp(text[np.searchsorted(prepared.text_rows, both)])
        shares = (shares + np.exp(image[np.searchsorted(prepared.image_rows, both)])) / 2
        return Outputs(
            posts=prepared.posts,
            rows={"text": prepared.text_rows, "image": prepared.image_rows, "fused": both},
            logits={"text": text, "image": image, "fused": np.log(shares)},
            weights=np.full((len(both), 2), 0.5),
        )


def _word_id(word: str) -> int:
    if word == NOT_A_NUMBER:
        return 3
    return 1 if word in POSITIVE_WORDS else 2 if word in NEGATIVE_WORDS else 0


def _text_logits(input_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    logits = _logits((input_ids == 1).sum(axis=1) - (input_ids == 2).sum(axis=1))
    logits[(input_ids == 3).any(axis=1)] = np.nan
    return logits


def _image_logits(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    brightness = pixels.mean(axis=(1, 2, 3))
    return _logits((brightness > 170).astype(np.int64) - (brightness < 85))


def _logits(polarity: NDArray[np.int64]) -> NDArray[np.float64]:
    label = np.choose(np.sign(polarity) + 1, [NEGATIVE, NEUTRAL, POSITIVE])
    return np.log(np.where(np.arange(len(LABELS)) == label[:, None], _CONFIDENCE, (1 - _CONFIDENCE) / 2))
