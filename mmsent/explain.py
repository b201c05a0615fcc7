"""What an opinion rests on: hide a word or a square of the picture, and see how the opinion moves.

Occlusion needs nothing but the engine, so it explains what really runs, 8-bit rounding included: Zeiler and
Fergus, "Visualizing and Understanding Convolutional Networks" (2014), for pictures; Li, Monroe and Jurafsky,
"Understanding Neural Networks through Representation Erasure" (2016), for words. What is said twice, in two
words or two places, is underrated: hiding one leaves the other.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, product, repeat

import numpy as np
from numpy.typing import NDArray

from mmsent.engine.base import Engine, Head, Prediction, ScoringRequest
from mmsent.model.inputs import word_spans
from mmsent.posts import Opinion, PostExplanation, RegionInfluence, Weights, WordInfluence

GRID = 6  # regions a side
SQUARE = 2  # a hidden square's side, in regions: smaller ones hide too little of a thing to matter
MAX_WORDS = 128  # more than a text of 64 tokens has; a bound for engines that read more
BATCH_POSTS = 64  # variants of the post that the engine is given at once

Span = tuple[int, int]
Square = tuple[slice, slice]  # rows and columns of the grid
Influences = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """A post's prediction and what it rests on.

    An influence is by how much the calibrated probability of the opinion's own label falls when the thing is
    hidden, -1 to 1: above 0 it supports the opinion, below 0 it speaks against it. Influences do not add up.

    `words`: those the model read, in order, at their places in the request's text. `image_regions` (GRID,
    GRID), rows from the top: influence on the picture's opinion, None without a picture; `fused_regions`: on
    the fused one. `fused_text` and `fused_image`: of all words and of the whole picture on the fused opinion.
    What concerns the fused opinion is None unless the post has both.
    """

    request: ScoringRequest
    prediction: Prediction
    words: tuple[WordInfluence, ...]
    image_regions: Influences | None
    fused_regions: Influences | None
    fused_text: float | None
    fused_image: float | None

    @property
    def weights(self) -> Weights | None:
        """How the fused opinion's attention was shared between words and picture."""
        return self.prediction.weights

    def contract(self, heat_map: str | None = None) -> PostExplanation:
        """As it stands in JSON; `heat_map` names the picture's file."""
        regions = None
        if self.image_regions is not None:
            fused = None if self.fused_regions is None else _rows(self.fused_regions)
            regions = RegionInfluence(image=_rows(self.image_regions), fused=fused)
        return PostExplanation(
            words=self.words,
            regions=regions,
            fused_text=self.fused_text,
            fused_image=self.fused_image,
            heat_map=heat_map,
        )


def explain(engine: Engine, request: ScoringRequest) -> Explanation:
    """Score a post, and again with each word and each square of its picture hidden.

    A word is taken out of the text as its author wrote it, before links, mentions and emoji are rewritten; a
    square is filled with the picture's mean colour. A region's influence is the mean over the squares that
    cover it. The engine scores 3 + words + (GRID - SQUARE + 1)² variants, `BATCH_POSTS` at a time.

    Raises:
        EngineError: the engine cannot score the post.
    """
    post, spans = _as_read(engine, request)
    squares = [] if post.pixels is None else _squares()
    hidden = [replace(post, text=""), _without_square(post, np.s_[:, :])]
    whole, words, covered, wholes = _score_groups(
        engine,
        [post],
        [_without_word(post, span) for span in spans],
        [_without_square(post, square) for square in squares],
        hidden if post.text is not None and squares else [],
    )
    fused_text, fused_image = _falls("fused", whole[0], wholes) or (None, None)
    return Explanation(
        request=request,
        prediction=whole[0],
        words=_words(post, spans, _falls("text", whole[0], words), _falls("fused", whole[0], words)),
        image_regions=_regions(squares, _falls("image", whole[0], covered)),
        fused_regions=_regions(squares, _falls("fused", whole[0], covered)),
        fused_text=fused_text,
        fused_image=fused_image,
    )


def _as_read(engine: Engine, request: ScoringRequest) -> tuple[ScoringRequest, list[Span]]:
    """The post with its text up to where the model stops reading, and the words up to there.

    What is cut off changes no token: else, without one word, another would come into the model's sight.
    """
    if request.text is None:
        return request, []
    text, spans = request.text, word_spans(request.text)[:MAX_WORDS]
    [everything] = engine.encode([text])

    def all_read(word: int) -> int:
        return int(engine.encode([text[: spans[word][1]]])[0] == everything)

    last = bisect_left(range(len(spans)), 1, key=all_read)
    if last == len(spans):
        return request, spans
    return replace(request, text=text[: spans[last][1]]), spans[: last + 1]


def _squares() -> list[Square]:
    """Squares of SQUARE regions a side, one region apart: they overlap."""
    sides = [slice(first, first + SQUARE) for first in range(GRID - SQUARE + 1)]
    return list(product(sides, sides))


def _without_word(post: ScoringRequest, span: Span) -> ScoringRequest:
    text = post.text or ""
    return replace(post, text=f"{text[: span[0]]} {text[span[1] :]}")


def _without_square(post: ScoringRequest, square: Square) -> ScoringRequest:
    if post.pixels is None:
        return post
    pixels = post.pixels.copy()
    rows, columns = (
        slice(*np.linspace(0, side, GRID + 1).round().astype(int)[[*part.indices(GRID)[:2]]])
        for side, part in zip(pixels.shape, square, strict=False)
    )
    pixels[rows, columns] = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    return replace(post, pixels=pixels)


def _score_groups(engine: Engine, *groups: Sequence[ScoringRequest]) -> list[list[Prediction]]:
    """Predictions in the groups of their requests."""
    requests = list(chain.from_iterable(groups))
    batches = (requests[start : start + BATCH_POSTS] for start in range(0, len(requests), BATCH_POSTS))
    predictions = chain.from_iterable(map(engine.score, batches))
    return [list(islice(predictions, len(group))) for group in groups]


def _falls(head: Head, whole: Prediction, hidden: Sequence[Prediction]) -> list[float] | None:
    """By how much the opinion's probability of its label falls in each prediction; None without opinions."""
    opinion: Opinion | None = getattr(whole, head)
    if opinion is None or not hidden:
        return None
    label = opinion.label
    return [getattr(opinion, label) - getattr(getattr(changed, head), label) for changed in hidden]


def _words(
    post: ScoringRequest, spans: Sequence[Span], text: Sequence[float] | None, fused: Sequence[float] | None
) -> tuple[WordInfluence, ...]:
    return tuple(
        WordInfluence(start=start, end=end, word=(post.text or "")[start:end], text=own, fused=both)
        for (start, end), own, both in zip(spans, text or (), fused or repeat(None, len(spans)), strict=True)
    )


def _regions(squares: Sequence[Square], falls: Sequence[float] | None) -> Influences | None:
    """The mean fall of each region's squares, (GRID, GRID)."""
    if falls is None:
        return None
    total, covered = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for square, fall in zip(squares, falls, strict=True):
        total[square] += fall
        covered[square] += 1
    regions: Influences = total / covered
    return regions


def _rows(influences: Influences) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in influences.tolist())
