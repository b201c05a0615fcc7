"""What is fitted on out-of-fold logits for a checkpoint's `config.json`, and how that does on other posts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsent.engine.base import HEADS, Head
from mmsent.errors import InputError
from mmsent.model.checkpoint import Temperatures
from mmsent.model.conflict import ConflictCalibration
from mmsent.model.inputs import has_text, softmax
from mmsent.training.bootstrap import resample
from mmsent.training.calibration import fit_conflict_of, fit_temperatures, joint_shares, reliability
from mmsent.training.conflict_figures import (
    LEAST_PRECISION,
    NATURAL_PREVALENCE,
    flag_figures,
    ranking_figures,
)
from mmsent.training.data import IGNORED, LabelledPost
from mmsent.training.figures import Judged
from mmsent.training.metrics import Flags, Floats, choose_threshold, log_loss
from mmsent.training.out_of_fold import OutOfFoldLogits, load_out_of_fold
from mmsent.training.repeats import post_groups

CONFLICT = "conflict"  # the split of the posts that annotators felt opposite


@dataclass(frozen=True)
class Fitted:
    """`conflict` is for the natural share of opposite posts, and `threshold` one of its probabilities."""

    temperatures: Temperatures
    conflict: ConflictCalibration
    threshold: float

    def opinions(self, found: OutOfFoldLogits) -> dict[Head, Floats]:
        """Calibrated probabilities (N, 3) of each head."""
        return {head: softmax(found.logits[head], getattr(self.temperatures, head)) for head in HEADS}

    def probability(self, found: OutOfFoldLogits) -> Floats:
        """P(opposite) (N,)."""
        opinions = self.opinions(found)
        return self.conflict.of(opinions["text"], opinions["image"])


def read_fittable(path: Path, posts: Sequence[LabelledPost]) -> tuple[OutOfFoldLogits, NDArray[np.int64]]:
    """The logits of the folds stage on posts that have words, as the engine is asked only about such.

    Returns them (N rows) and the group of repeated posts that each is of (N,).

    Raises:
        InputError: there are no logits, they cannot be read, or they are of other posts.
    """
    if not path.is_file():
        raise InputError(f"no out-of-fold logits at {path}: run `mmsent train --stage folds` first")
    found = load_out_of_fold(path)
    by_id = {post.post_id: post for post in posts}
    if strangers := [name for name in found.post_id.tolist() if name not in by_id]:
        raise InputError(f"{path} has post {strangers[0]}, which is not in the data: train on the same data")
    found = kept_rows(found, np.array([has_text(by_id[name].text) for name in found.post_id.tolist()]))
    return found, post_groups([by_id[name] for name in found.post_id.tolist()])


def fit_all(found: OutOfFoldLogits) -> Fitted:
    """A temperature for each head, the conflict calibration over those opinions, and its threshold.

    The threshold has the greatest recall of those whose precision is LEAST_PRECISION or more where
    NATURAL_PREVALENCE of posts are opposite.

    Raises:
        InputError: there is nothing to fit on, or the logits say nothing about labels or conflict.
    """
    temperatures = fit_temperatures(found.logits, found.labels)
    text, image = (softmax(found.logits[head], getattr(temperatures, head)) for head in ("text", "image"))
    opposite = _opposite(found)
    joint = joint_shares(found.labels["text"], found.labels["image"], opposite, NATURAL_PREVALENCE)
    calibration = fit_conflict_of(text, image, opposite, joint).at(NATURAL_PREVALENCE)
    if calibration.slope <= 0:
        raise InputError(
            "opposite posts have no higher conflict score than others in the out-of-fold logits: train longer"
        )
    probability = calibration.of(text, image)
    threshold = choose_threshold(probability, opposite, NATURAL_PREVALENCE, LEAST_PRECISION)
    return Fitted(temperatures, calibration, threshold)


def fitted_figures(found: OutOfFoldLogits, groups: NDArray[np.int64]) -> dict[str, Any]:
    """How each fold's posts come out by what is fitted on the other folds; `groups` (N,) of repeated posts.

    No post is judged by a model, temperature, calibration or threshold that was fitted on it. Each head is
    judged by its own label.

    Raises:
        InputError: one fold alone, or one of the others without posts of both kinds.
    """
    opinions: dict[Head, Floats] = {head: np.zeros(logits.shape) for head, logits in found.logits.items()}
    probability, flagged = np.zeros(len(found.fold)), np.zeros(len(found.fold), np.bool_)
    for fold in np.unique(found.fold):
        out = found.fold == fold
        fitted, judged = fit_all(kept_rows(found, ~out)), kept_rows(found, out)
        for head, shares in fitted.opinions(judged).items():
            opinions[head][out] = shares
        probability[out] = fitted.probability(judged)
        flagged[out] = probability[out] >= fitted.threshold
    labels, opposite = dict(found.labels), _opposite(found)
    whole = dict.fromkeys(HEADS, labels["fused"])
    everything = Judged(labels, whole, opinions, probability, opposite, groups, resample(groups))
    return {
        "prior": NATURAL_PREVALENCE,
        "folds": len(np.unique(found.fold)),
        "heads": {head: _head(labels[head], opinions[head]) for head in HEADS},
        "conflict": ranking_figures(everything)
        | flag_figures(flagged, everything, NATURAL_PREVALENCE)
        | {"calibration": reliability(probability, opposite, prior=NATURAL_PREVALENCE)},
    }


def _head(labels: NDArray[np.int64], opinions: Floats) -> dict[str, Any]:
    kept = labels != IGNORED
    right = opinions[kept].argmax(axis=1) == labels[kept]
    return {
        "posts": int(kept.sum()),
        "accuracy": float(right.mean()),
        "log_loss": log_loss(labels, opinions),
        "calibration": reliability(opinions[kept].max(axis=1), right),
    }


def _opposite(found: OutOfFoldLogits) -> Flags:
    opposite: Flags = found.split == CONFLICT
    return opposite


def kept_rows(found: OutOfFoldLogits, kept: Flags) -> OutOfFoldLogits:
    """The rows that are kept (N,)."""
    return replace(
        found,
        post_id=found.post_id[kept],
        split=found.split[kept],
        fold=found.fold[kept],
        logits={head: logits[kept] for head, logits in found.logits.items()},
        labels={head: labels[kept] for head, labels in found.labels.items()},
    )
