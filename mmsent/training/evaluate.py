"""`mmsent evaluate`: how good a checkpoint is on MVSA-Single, SemEval-2017 4A and the sample, as served."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from mmsent.engine.base import Engine, Prediction, ScoringRequest
from mmsent.engine.openvino import OpenVinoEngine
from mmsent.errors import InputError
from mmsent.model.checkpoint import load_checkpoint
from mmsent.model.inputs import has_text
from mmsent.training.bootstrap import RESAMPLES
from mmsent.training.conflict_figures import (
    NATURAL_PREVALENCE,
    OutOfFold,
    conflict_figures,
    leave_folds_out,
)
from mmsent.training.data import (
    LabelledPost,
    LabelledText,
    has_texts,
    post_splits,
    read_posts,
    read_texts,
    require_labels,
)
from mmsent.training.features import picture
from mmsent.training.figures import (
    Judged,
    Labels,
    agreement_figures,
    combination_figures,
    head_figures,
    intensity_figures,
    judged,
    text_figures,
    unrepeated,
)
from mmsent.training.sample_judge import judge_sample

LEARNED = "train"  # the split that posts must not repeat to count as new
NOTHING_TO_READ = "@someone https://example.org"  # no word of anybody's own
COMBINATIONS: dict[str, dict[str, Any]] = {  # one half withheld, or one that serving finds nothing in
    "both": {},
    "text_only": {"has_picture": False},
    "picture_only": {"text": ""},
    "picture_missing": {"image": Path("nowhere"), "has_picture": False},
    "text_empty": {"text": NOTHING_TO_READ},
}
_BATCH = 32
Item = TypeVar("Item")


def evaluate(
    checkpoint: Path | None,
    data: Path,
    *,
    split: str = "dev",
    prior: float = NATURAL_PREVALENCE,
    text_only_for_missing: bool = False,
) -> dict[str, Any]:
    """Figures of a checkpoint (None: the shipped one) on `split`, its conflict against posts of `conflict`.

    SemEval-2017 4A of the same split is judged where the data has it. `prior` is the share of opposite posts
    that flags and conflict probabilities are for. All inputs are checked before anything is judged.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        InputError: the data set cannot be read, or pictures are missing and were not asked to be.
    """
    found = load_checkpoint(checkpoint)
    posts = read_posts(data, split, text_only_for_missing=text_only_for_missing)
    opposite = read_posts(data, "conflict", text_only_for_missing=text_only_for_missing)
    learned = [
        post
        for name in {LEARNED} & (post_splits(data) - {split})
        for post in read_posts(data, name, text_only_for_missing=True)
    ]
    texts = read_texts(data, split) if has_texts(data, split) else []
    with OpenVinoEngine(found, conflict_prior=prior) as engine:
        return judge(engine, posts, opposite, learned=learned, texts=texts, prior=prior)


def judge(
    engine: Engine,
    posts: Sequence[LabelledPost],
    opposite: Sequence[LabelledPost],
    *,
    learned: Sequence[LabelledPost] = (),
    texts: Sequence[LabelledText] = (),
    prior: float = NATURAL_PREVALENCE,
) -> dict[str, Any]:
    """All figures, of all posts and without those that repeat another one or one of `learned`.

    `prior` is the share of opposite posts that the engine's conflict is calibrated for, if it is.

    Raises:
        InputError: a head has no post to be judged by, or conflicts are too few to be judged out of fold.
    """
    whole = [post for post in posts if post.has_picture and has_text(post.text)]
    if not whole:
        raise InputError(
            f"no post of split {posts[0].split!r} has words and a picture that is there: "
            "give the folder that holds the pictures"
        )
    require_labels(whole)
    everything = [*posts, *opposite]
    groups, first = unrepeated(everything, learned)
    is_opposite = np.arange(len(everything)) >= len(posts)
    combined = {
        name: predict(engine, [replace(post, **change) for post in posts])
        for name, change in COMBINATIONS.items()
    }
    found = judged(everything, [*combined["both"], *predict(engine, opposite)], is_opposite, groups)
    left_out, labels = leave_folds_out(found, prior), np.array([post.label for post in posts])
    unique = found.only(first)
    return {
        "model": engine.model_id,
        "split": posts[0].split,
        "posts": len(posts),
        "conflict_posts": len(opposite),
        "missing_pictures": [post.image.name for post in everything if not post.has_picture],
        "resamples": RESAMPLES,
        "prior": prior,
        "temperatures": dict(engine.temperatures),
        **_sections(found, labels, combined, left_out, engine),
        "without_repeats": {"posts": int(first[: len(posts)].sum())}
        | _sections(unique, labels, combined, left_out, engine)
        if unique.complete
        else None,
        "semeval": judge_texts(engine, texts) if texts else None,
        "sample": judge_sample(engine),
    }


def _sections(
    found: Judged,
    labels: Labels,
    combined: dict[str, list[Prediction]],
    left_out: OutOfFold,
    engine: Engine,
) -> dict[str, Any]:
    weights = found.weights[:, : len(labels)]
    return {
        "heads": head_figures(found),
        "combinations": combination_figures(labels, combined, weights),
        "agreement": agreement_figures(found),
        "intensity": intensity_figures(found),
        "conflict": conflict_figures(found, left_out, engine.conflict_threshold, engine.conflict_calibration),
    }


def judge_texts(engine: Engine, texts: Sequence[LabelledText]) -> dict[str, Any]:
    """Figures of the text head on texts without a picture."""
    labels = np.array([item.label for item in texts])
    predictions = _scored(engine, texts, lambda item: ScoringRequest(item.text, None))
    return text_figures([item.text for item in texts], labels, predictions)


def predict(engine: Engine, posts: Sequence[LabelledPost]) -> list[Prediction]:
    """The engine's predictions, in order, from the files as serving would read them."""
    return _scored(engine, posts, lambda post: request(post, engine.image_size))


def _scored(engine: Engine, items: Sequence[Item], ask: Callable[[Item], ScoringRequest]) -> list[Prediction]:
    predictions: list[Prediction] = []
    starts = range(0, len(items), _BATCH)
    for start in track(starts, "judging", console=Console(stderr=True), transient=True):
        predictions += engine.score([ask(item) for item in items[start : start + _BATCH]])
    return predictions


def request(post: LabelledPost, size: int) -> ScoringRequest:
    """What is judged of a labelled post."""
    pixels = picture(post, size, view=0) if post.has_picture else None
    return ScoringRequest(post.text if has_text(post.text) else None, pixels)
