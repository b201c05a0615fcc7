"""`mmsent evaluate`: how good a checkpoint is on MVSA-Single and the sample, run as serving runs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from mmsent.engine.base import Engine, Head, Prediction, ScoringRequest
from mmsent.engine.openvino import OpenVinoEngine
from mmsent.model.checkpoint import load_checkpoint
from mmsent.model.inputs import NEGATIVE, has_text
from mmsent.posts import Opinion
from mmsent.training.data import IGNORED, LabelledPost, read_posts
from mmsent.training.features import picture
from mmsent.training.metrics import (
    choose_threshold,
    conflict_auroc,
    conflict_average_precision,
    flag_figures,
    head_figures,
    out_of_fold_flags,
)
from mmsent.training.sample_judge import judge_sample

NATURAL_PREVALENCE = 358 / 4_869  # opposite pairs among all annotated posts of MVSA-Single (Niu et al. 2016)
LEAST_PRECISION = 0.36  # where the threshold is chosen; on other posts about 0.3 is left of it
HEADS: tuple[Head, ...] = ("text", "image", "fused")
_BATCH = 32


def evaluate(checkpoint: Path | None, data: Path, *, split: str = "dev") -> dict[str, Any]:
    """Figures of a checkpoint (None: the shipped one) on `split`, its conflict score against `conflict`.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        InputError: the data set cannot be read.
    """
    with OpenVinoEngine(load_checkpoint(checkpoint)) as engine:
        return judge(engine, read_posts(data, split), read_posts(data, "conflict"))


def judge(engine: Engine, posts: Sequence[LabelledPost], opposite: Sequence[LabelledPost]) -> dict[str, Any]:
    """All figures: each head against its own and the post's label, the conflict score, and the sample."""
    agreeing_predictions, opposite_predictions = predict(engine, posts), predict(engine, opposite)
    opinions = {head: _opinions(agreeing_predictions, head) for head in HEADS}
    own = {
        "text": _labels(posts, "text_label"),
        "image": _labels(posts, "image_label"),
        "fused": _labels(posts, "label"),
    }
    return {
        "model": engine.model_id,
        "posts": len(posts),
        "conflict_posts": len(opposite),
        "heads": {
            head: {
                "own": head_figures(own[head], opinions[head]),
                "post": head_figures(own["fused"], opinions[head]),
            }
            for head in HEADS
        },
        "conflict": _conflict_figures(agreeing_predictions, opposite_predictions, engine.conflict_threshold),
        "sample": judge_sample(engine),
    }


def predict(engine: Engine, posts: Sequence[LabelledPost]) -> list[Prediction]:
    """The engine's predictions, in order, from the files as serving would read them."""
    predictions: list[Prediction] = []
    starts = range(0, len(posts), _BATCH)
    for start in track(starts, "judging", console=Console(stderr=True), transient=True):
        predictions += engine.score([request(post, engine.image_size) for post in posts[start:][:_BATCH]])
    return predictions


def request(post: LabelledPost, size: int) -> ScoringRequest:
    """What is judged of a labelled post."""
    return ScoringRequest(post.text if has_text(post.text) else None, picture(post, size, view=0))


def conflict_scores(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    """Conflict scores (N,); 0 for a post that lacks text or picture."""
    return np.array([prediction.conflict or 0.0 for prediction in predictions])


def _conflict_figures(
    posts: Sequence[Prediction], opposite: Sequence[Prediction], threshold: float
) -> dict[str, Any]:
    scores, positives = conflict_scores(posts), conflict_scores(opposite)
    negativity, negativity_positives = (_opinions(each, "text")[:, NEGATIVE] for each in (posts, opposite))
    share = len(opposite) / (len(opposite) + len(posts))
    return {
        "auroc": conflict_auroc(scores, positives),
        "average_precision": conflict_average_precision(scores, positives),
        "text_negativity_auroc": conflict_auroc(negativity, negativity_positives),
        "text_negativity_average_precision": conflict_average_precision(negativity, negativity_positives),
        "threshold": threshold,
        "at_sample": flag_figures(scores, positives, threshold, share),
        "at_natural": flag_figures(scores, positives, threshold, NATURAL_PREVALENCE),
        "out_of_fold": out_of_fold_flags(scores, positives, NATURAL_PREVALENCE, LEAST_PRECISION),
    }


def first_threshold(posts: Sequence[Prediction], opposite: Sequence[Prediction]) -> float:
    """The threshold of greatest recall that keeps LEAST_PRECISION at the natural prevalence."""
    scores, positives = conflict_scores(posts), conflict_scores(opposite)
    return choose_threshold(scores, positives, NATURAL_PREVALENCE, LEAST_PRECISION)


def _opinions(predictions: Sequence[Prediction], head: Head) -> NDArray[np.float64]:
    """Probabilities (N, 3); where a head has no opinion the other one's stands in."""
    return np.array([_shares(prediction, head) for prediction in predictions])


def _shares(prediction: Prediction, head: Head) -> tuple[float, float, float]:
    opinion: Opinion | None = getattr(prediction, head) or prediction.text or prediction.image
    return (opinion.positive, opinion.neutral, opinion.negative) if opinion else (0.0, 1.0, 0.0)


def _labels(posts: Sequence[LabelledPost], name: str) -> NDArray[np.int64]:
    labels = np.array([getattr(post, name) for post in posts])
    if name == "text_label":
        labels[[not has_text(post.text) for post in posts]] = IGNORED
    return labels


def render(figures: dict[str, Any]) -> str:
    """The figures for people, as plain text."""
    names = ("accuracy", "macro_f1", "weighted_f1", "macro_recall", "log_loss")
    lines = [f"{figures['model']} on {figures['posts']} posts", "", f"{'head':6} {'label':6}"]
    lines[-1] += "".join(f"{name:>14}" for name in names)
    for head, by_label in figures["heads"].items():
        for label, row in by_label.items():
            if (head, label) != ("fused", "own"):
                lines.append(f"{head:6} {label:6}" + "".join(f"{row[name]:14.3f}" for name in names))
    return "\n".join([*lines, "", *_conflict_lines(figures), "", *_sample_lines(figures["sample"])]) + "\n"


def _conflict_lines(figures: dict[str, Any]) -> list[str]:
    row = figures["conflict"]
    lines = [
        f"conflict against {figures['conflict_posts']} posts whose text and picture feel opposite",
        f"  AUROC {row['auroc']:.3f}   average precision {row['average_precision']:.3f}",
        f"  the text's negativity alone: AUROC {row['text_negativity_auroc']:.3f}   "
        f"average precision {row['text_negativity_average_precision']:.3f}",
        f"  threshold {row['threshold']:.3f}",
    ]
    for name, title in (
        ("at_sample", "as sampled"),
        ("at_natural", "at the natural prevalence"),
        ("out_of_fold", "threshold chosen on other posts (5 folds)"),
    ):
        flags = row[name]
        lines.append(
            f"    {title}, {flags['prevalence']:.1%} opposite: flags {flags['flag_rate']:.1%}, "
            f"precision {flags['precision']:.3f}, recall {flags['recall']:.3f}"
        )
    return lines


def _sample_lines(row: dict[str, Any]) -> list[str]:
    return [
        f"the sample stream: {row['posts']} posts, {row['opposite']} of them with a picture of the opposite",
        f"  text accuracy {row['text_accuracy']:.3f}   picture accuracy {row['image_accuracy']:.3f}",
        f"  flags {row['flagged']}: precision {row['precision']:.3f}, recall {row['recall']:.3f}",
    ]
