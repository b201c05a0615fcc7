"""The figures of conflict: does it tell opposite posts from others, and what do its flags and values mean."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from mmsent.model.conflict import ConflictCalibration
from mmsent.model.inputs import LABELS, NEGATIVE, POSITIVE
from mmsent.training.bootstrap import Weights, estimate
from mmsent.training.calibration import fit_conflict, reliability
from mmsent.training.figures import Judged
from mmsent.training.metrics import (
    Flags,
    Floats,
    auroc,
    average_precision,
    choose_threshold,
    flag_rates,
)
from mmsent.training.out_of_fold import group_folds

NATURAL_PREVALENCE = 358 / 4_869  # opposite pairs among all annotated posts of MVSA-Single (Niu et al. 2016)
LEAST_PRECISION = 0.33  # where the threshold is chosen; on other posts 0.3 or more is left of it, mostly
REPETITIONS = 10  # one division into folds alone moves precision by several points


@dataclass(frozen=True)
class OutOfFold:
    """By thresholds and calibrations of posts in other folds: how often each post is flagged (N,), and its
    probability (N,) where a share `prior` is opposite; means over REPETITIONS of dividing the posts anew.

    `calibration` is the one of all posts together, at `prior`: what stands for the folds' in the report. Of
    conflicts that are probabilities already it has the slope 1 and the intercept 0 if they are right.
    """

    prior: float
    flagged: Floats
    probability: Floats
    calibration: ConflictCalibration


def leave_folds_out(found: Judged, prior: float) -> OutOfFold:
    """Raises InputError where there are too few posts to leave any out."""
    divided = [group_folds(found.groups, found.opposite, seed) for seed in range(REPETITIONS)]
    rounds = [_leave_out(found, folds, prior) for folds in divided]
    flagged, probability = (np.mean(values, axis=0) for values in zip(*rounds, strict=True))
    return OutOfFold(prior, flagged, probability, fit_conflict(found.conflict, found.opposite).at(prior))


def _leave_out(found: Judged, folds: NDArray[np.int64], prior: float) -> tuple[Flags, Floats]:
    scores, opposite = found.conflict, found.opposite
    flagged, probability = np.zeros(len(folds), np.bool_), np.zeros(len(folds))
    for fold in np.unique(folds):
        out = folds == fold
        threshold = choose_threshold(scores[~out], opposite[~out], prior, LEAST_PRECISION)
        flagged[out] = scores[out] >= threshold
        probability[out] = fit_conflict(scores[~out], opposite[~out]).at(prior).probability(scores[out])
    return flagged, probability


def conflict_figures(
    found: Judged, left_out: OutOfFold, threshold: float, shipped: ConflictCalibration | None
) -> dict[str, Any]:
    """How conflict ranks posts, what `threshold` flags, and how far values are probabilities.

    `shipped` is the calibration that `found.conflict` comes from; None: it is a score.
    """
    scores, opposite, weights = found.conflict, found.opposite, found.weights
    kept = weights[0] > 0
    negativity = found.opinions["text"][:, NEGATIVE]
    return {
        **ranking_figures(found),
        "roc": roc(scores, opposite, kept),
        "text_negativity_roc": roc(negativity, opposite, kept),
        "threshold": threshold,
        "at_sample": flag_figures(scores >= threshold, found, float(opposite[kept].mean())),
        "at_prior": flag_figures(scores >= threshold, found, left_out.prior),
        "out_of_fold": flag_figures(left_out.flagged, found, left_out.prior),
        "calibration": _calibration_figures(found, left_out, threshold, shipped),
    }


def ranking_figures(found: Judged) -> dict[str, Any]:
    """AUROC and average precision, beside the text's negativity alone, and AUROC within equal text labels."""
    scores, opposite, weights = found.conflict, found.opposite, found.weights
    negativity = found.opinions["text"][:, NEGATIVE]
    kept = weights[0] > 0
    area, text_area = auroc(scores, opposite, weights), auroc(negativity, opposite, weights)
    precision = average_precision(scores, opposite, weights)
    text_precision = average_precision(negativity, opposite, weights)
    return {
        "posts": int((kept & opposite).sum()),
        "others": int((kept & ~opposite).sum()),
        "auroc": estimate(area),
        "average_precision": estimate(precision),
        "text_negativity_auroc": estimate(text_area),
        "text_negativity_average_precision": estimate(text_precision),
        "auroc_gain": estimate(area - text_area),
        "average_precision_gain": estimate(precision - text_precision),
        "within": {LABELS[label]: _within(found, label) for label in (NEGATIVE, POSITIVE)},
    }


def _within(found: Judged, label: int) -> dict[str, Any]:
    """AUROC among posts whose text's label is `label`: against all others, and against agreeing ones alone.

    A score that knows the text only would stay near 0.5. `text_alone` is the AUROC of P(text = label).
    """
    same = found.labels["text"] == label
    agreeing = same & (found.opposite | (found.labels["image"] == label))
    return {
        name: _ranking(found, found.only(kept).weights, found.opinions["text"][:, label])
        for name, kept in (("others", same), ("agreeing", agreeing))
    }


def _ranking(found: Judged, weights: Weights, text_alone: Floats) -> dict[str, Any]:
    kept = weights[0] > 0
    return {
        "posts": int((kept & found.opposite).sum()),
        "against": int((kept & ~found.opposite).sum()),
        "auroc": estimate(auroc(found.conflict, found.opposite, weights)),
        "text_alone_auroc": estimate(auroc(text_alone, found.opposite, weights)),
    }


def flag_figures(flagged: Flags | Floats, found: Judged, prior: float) -> dict[str, Any]:
    """Precision, recall and flag rate of flags (N,) where a share `prior` of posts is opposite."""
    rates = flag_rates(flagged, found.opposite, found.weights, prior)
    return {"prevalence": prior} | {name: estimate(values) for name, values in rates.items()}


def _calibration_figures(
    found: Judged, left_out: OutOfFold, threshold: float, shipped: ConflictCalibration | None
) -> dict[str, Any]:
    kept, fitted = found.weights[0] > 0, left_out.calibration
    shown, probable = (
        reliability(values[kept], found.opposite[kept], prior=left_out.prior)
        for values in (found.conflict, left_out.probability)
    )
    return {
        "prior": left_out.prior,
        "shipped": None if shipped is None else shipped.model_dump(),
        "shown": shown,
        "out_of_fold_probability": probable,
        "slope": fitted.slope,
        "intercept": fitted.intercept,
        "threshold_as_probability": float(fitted.probability(threshold)),
    }


def roc(scores: Floats, opposite: Flags, kept: Flags) -> list[list[float]]:
    """Corners (false alarms, recall) of the ROC curve."""
    if len(np.unique(opposite[kept])) < 2:
        return []
    alarms, recall, _ = roc_curve(opposite[kept], scores[kept])
    return [[float(x), float(y)] for x, y in zip(alarms, recall, strict=True)]
