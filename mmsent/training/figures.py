"""The figures of `mmsent evaluate`, from what a model said of posts; pure. Every share has its interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsent.engine.base import HEADS, Head, Prediction
from mmsent.model.inputs import NEGATIVE, NEUTRAL, POSITIVE, has_text
from mmsent.posts import Opinion
from mmsent.training.bootstrap import RESAMPLES, Values, Weights, estimate, ratio, resample
from mmsent.training.calibration import reliability
from mmsent.training.data import IGNORED, LabelledPost, head_labels
from mmsent.training.metrics import Flags, Floats, confusions, log_loss, rates
from mmsent.training.repeats import first_of_each, post_groups, text_groups

INTENSITIES = ("weak", "medium", "strong")
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """N posts, the model's opinions (N, 3) and conflict scores (N,) on them, and the bootstrap's weights.

    `labels` (N,) are each head's own, `post_labels` those of the posts as a whole; either is IGNORED where
    the post lacks what the head reads. `opposite` (N,) are those whose annotators felt text and picture
    opposite.
    """

    labels: dict[Head, Labels]
    post_labels: dict[Head, Labels]
    opinions: dict[Head, Floats]
    conflict: Floats
    opposite: Flags
    groups: Labels
    weights: Weights

    def only(self, kept: Flags) -> "Judged":
        """The same with weight 0 for all other posts."""
        return replace(self, weights=self.weights * kept)

    @property
    def complete(self) -> bool:
        """Whether there is an opposite post, and for each head a labelled one that is not."""
        kept, own = self.weights[0] > 0, ~self.opposite
        labelled = [(kept & own & (labels != IGNORED)).any() for labels in self.labels.values()]
        return bool((kept & self.opposite).any() and all(labelled))


def judged(
    posts: Sequence[LabelledPost],
    predictions: Sequence[Prediction],
    opposite: Flags,
    groups: Labels,
) -> Judged:
    """Gather what the figures are made of; a head counts where the post has what it reads."""
    own, whole = head_labels(posts), [post.label for post in posts]
    has_words = np.array([has_text(post.text) for post in posts])
    has_picture = np.array([post.has_picture for post in posts])
    reads: dict[Head, Flags] = {"text": has_words, "image": has_picture, "fused": has_words & has_picture}
    return Judged(
        labels={head: np.where(reads[head], own[head], IGNORED) for head in HEADS},
        post_labels={head: np.where(reads[head], whole, IGNORED) for head in HEADS},
        opinions={head: opinions_of(predictions, head) for head in HEADS},
        conflict=np.array([prediction.conflict or 0.0 for prediction in predictions]),
        opposite=opposite,
        groups=groups,
        weights=resample(groups),
    )


def opinions_of(predictions: Sequence[Prediction], head: Head) -> Floats:
    """A head's probabilities (N, 3), neutral where it has no opinion."""
    return np.array([_shares(getattr(prediction, head)) for prediction in predictions])


def answers(predictions: Sequence[Prediction]) -> Floats:
    """What the product answers (N, 3): fused, or the only opinion there is."""
    found = [prediction.fused or prediction.text or prediction.image for prediction in predictions]
    return np.array([_shares(opinion) for opinion in found])


def _shares(opinion: Opinion | None) -> tuple[float, float, float]:
    return (opinion.positive, opinion.neutral, opinion.negative) if opinion else (0.0, 1.0, 0.0)


def unrepeated(posts: Sequence[LabelledPost], learned: Sequence[LabelledPost]) -> tuple[Labels, Flags]:
    """Group of each post (N,), and whether it is the first of its group and repeats none of `learned`."""
    groups = post_groups([*learned, *posts])
    return groups[len(learned) :], first_of_each(groups)[len(learned) :]


def head_figures(found: Judged) -> dict[str, Any]:
    """Each head against its own label and the post's."""
    agreeing = found.only(~found.opposite).weights
    return {
        head: {
            "own": opinion_figures(found.labels[head], found.opinions[head], agreeing),
            "post": opinion_figures(found.post_labels[head], found.opinions[head], agreeing),
        }
        for head in HEADS
    }


def opinion_figures(labels: Labels, opinions: Floats, weights: Weights) -> dict[str, Any]:
    """Accuracy, F1, recall, log-loss, confusion and calibration of opinions (N, 3)."""
    kept = (labels != IGNORED) & (weights[0] > 0)
    chosen = opinions[kept].argmax(axis=1)
    return {
        **rate_figures(labels, opinions, weights),
        "log_loss": log_loss(labels[kept], opinions[kept]),
        "confusion": confusions(labels, opinions.argmax(axis=1), weights[:1])[0].astype(int).tolist(),
        "calibration": reliability(opinions[kept].max(axis=1), chosen == labels[kept]),
    }


def rate_figures(labels: Labels, opinions: Floats, weights: Weights) -> dict[str, Any]:
    """Number of labelled posts, accuracy, F1 and recall with intervals."""
    measures = rates(confusions(labels, opinions.argmax(axis=1), weights))
    posts = int(((labels != IGNORED) & (weights[0] > 0)).sum())
    return {"posts": posts} | {name: estimate(values) for name, values in measures.items()}


def combination_figures(
    labels: Labels, predictions: dict[str, list[Prediction]], weights: Weights
) -> dict[str, Any]:
    """What the product would answer with this or that withheld, against the post's label (N,)."""
    rows = {}
    for name, found in predictions.items():
        silent = [
            prediction.fused is None
            if name == "both"
            else prediction.text is None and prediction.image is None
            for prediction in found
        ]
        rows[name] = rate_figures(np.where(silent, IGNORED, labels), answers(found), weights)
    return rows


def agreement_figures(found: Judged) -> dict[str, Any]:
    """By how the labels of text and picture agree: each head against its own; whose side fused takes."""
    text, image = found.labels["text"], found.labels["image"]
    known = (text != IGNORED) & (image != IGNORED)
    strata = {
        "same": known & (text == image),
        "one_neutral": known & (text != image) & ((text == NEUTRAL) | (image == NEUTRAL)),
        "opposite": known & found.opposite,
    }
    figures: dict[str, Any] = {
        name: {
            head: rate_figures(found.labels[head], found.opinions[head], found.only(stratum).weights)
            for head in HEADS
            if (head, name) != ("fused", "opposite")  # such a post has no label as a whole
        }
        for name, stratum in strata.items()
    }
    figures["opposite"]["fused_sides_with"] = _sides(found.only(strata["opposite"]))
    return figures


def _sides(found: Judged) -> dict[str, Any]:
    chosen, weights = found.opinions["fused"].argmax(axis=1), found.weights
    sides = {
        "text": chosen == found.labels["text"],
        "image": chosen == found.labels["image"],
        "neither": chosen == NEUTRAL,
    }
    return {name: estimate(share(side, weights)) for name, side in sides.items()}


def intensity_figures(found: Judged) -> dict[str, Any]:
    """Each head against its own label, in terciles of its own intensity |P(+) − P(−)|."""
    figures: dict[str, Any] = {}
    for head in HEADS:
        opinions, labels = found.opinions[head], found.labels[head]
        intensity = np.abs(opinions[:, POSITIVE] - opinions[:, NEGATIVE])
        kept = (labels != IGNORED) & ~found.opposite & (found.weights[0] > 0)
        bounds = np.quantile(intensity[kept], [1 / 3, 2 / 3])
        tercile = np.searchsorted(bounds, intensity)
        edges = [0.0, *bounds.tolist(), 1.0]
        figures[head] = {
            name: {"from": edges[place], "to": edges[place + 1]}
            | rate_figures(labels, opinions, found.only(kept & (tercile == place)).weights)
            for place, name in enumerate(INTENSITIES)
        }
    return figures


def text_figures(texts: Sequence[str], labels: Labels, predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The text head on texts that have no picture."""
    groups, opinions = text_groups(texts), opinions_of(predictions, "text")
    weights = resample(groups)
    unique = opinion_figures(labels, opinions, weights * first_of_each(groups))
    return {**opinion_figures(labels, opinions, weights), "resamples": RESAMPLES, "without_repeats": unique}


def share(flags: Flags, weights: Weights) -> Values:
    """Share (R,) of the weight that lies on flagged posts."""
    return ratio(weights @ flags, weights.sum(axis=1))
