"""How a checkpoint does on the sample stream: none of its words and drawings were learned from."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from mmsent.engine.base import Engine, ScoringRequest
from mmsent.images.decode import decode_image
from mmsent.posts import Label, Post
from mmsent.sources.sample import SamplePost, sample_posts

SEEDS = range(4)
POSTS_PER_SEED = 600  # with most of a storm
LANGUAGE = "en"  # the sample has others too
_BATCH = 32
_OPPOSITE = {("positive", "negative"), ("negative", "positive")}


def judge_sample(engine: Engine) -> dict[str, Any]:
    """Accuracy of the text and the picture opinion, and the conflict flag's precision and recall.

    A post is opposite if its words say the opposite of what its picture shows; flagged from the engine's own
    threshold on. Precision is 0 if nothing is flagged.
    """
    truth: list[SamplePost] = []
    predictions = []
    for seed in track(SEEDS, "sample", console=Console(stderr=True), transient=True):
        judged = list(_with_pixels(seed, engine))
        truth += [sample for sample, _ in judged]
        for start in range(0, len(judged), _BATCH):
            predictions += engine.score([request for _, request in judged[start : start + _BATCH]])
    scores = np.array([prediction.conflict or 0.0 for prediction in predictions])
    flagged = scores >= engine.conflict_threshold
    opposite = np.array([(sample.text_label, sample.picture_label) in _OPPOSITE for sample in truth])
    hits = int((flagged & opposite).sum())
    return {
        "posts": len(truth),
        "opposite": int(opposite.sum()),
        "flagged": int(flagged.sum()),
        "precision": hits / max(1, int(flagged.sum())),
        "recall": hits / int(opposite.sum()),
        "text_accuracy": _accuracy(
            [sample.text_label for sample in truth],
            [prediction.text.label if prediction.text else None for prediction in predictions],
        ),
        "image_accuracy": _accuracy(
            [sample.picture_label for sample in truth],
            [prediction.image.label if prediction.image else None for prediction in predictions],
        ),
    }


def _with_pixels(seed: int, engine: Engine) -> Iterator[tuple[SamplePost, ScoringRequest]]:
    """Posts of one stream as the engine is asked about them; deletes and other languages are left out."""
    drawings: dict[str, Callable[[], bytes]] = {}

    def address_of(name: str, drawing: Callable[[], bytes]) -> str:
        drawings[name] = drawing
        return name

    @cache
    def pixels(name: str) -> NDArray[np.uint8]:
        return decode_image(drawings[name](), engine.image_size).pixels

    for sample in islice(sample_posts(address_of, seed=seed, past_s=0), POSTS_PER_SEED):
        post = sample.post
        if isinstance(post, Post) and post.lang == LANGUAGE:
            image = pixels(post.images[0].url) if post.images else None
            yield sample, ScoringRequest(post.text, image)


def _accuracy(labels: list[Label | None], found: list[Label | None]) -> float:
    """Share of equal labels, where both there are."""
    pairs = [pair for pair in zip(labels, found, strict=True) if None not in pair]
    return sum(label == opinion for label, opinion in pairs) / len(pairs)
