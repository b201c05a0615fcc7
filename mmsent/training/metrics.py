"""How good opinions and the conflict score are; rows whose label is IGNORED are left out.

Measures with `weights` (R, N) give one value per row, see `bootstrap`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, roc_auc_score

from mmsent.model.inputs import LABELS
from mmsent.training.bootstrap import Values, at_prior, ratio
from mmsent.training.data import IGNORED

MEASURES = ("accuracy", "weighted_f1", "macro_f1", "macro_recall")

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


def accuracy(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Share of rows whose greatest score (N, 3) is the label's."""
    kept = labels != IGNORED
    return float(accuracy_score(labels[kept], scores[kept].argmax(axis=1)))


def log_loss(labels: NDArray[Any], opinions: Floats) -> float:
    """Mean −log P(label), in nats."""
    kept = labels != IGNORED
    return float(-np.log(opinions[kept, labels[kept]].clip(1e-12)).mean())


def conflict_auroc(agreeing: NDArray[Any], opposite: NDArray[Any]) -> float:
    """Chance that an opposite post scores higher than an agreeing one."""
    truth = np.repeat([0, 1], [len(agreeing), len(opposite)])
    return float(roc_auc_score(truth, np.concatenate([agreeing, opposite])))


def confusions(labels: NDArray[Any], predicted: NDArray[Any], weights: NDArray[Any]) -> Values:
    """Confusion matrices (R, 3, 3): labels (N,) along the rows, predictions (N,) along the columns."""
    size = len(LABELS)
    kept = labels != IGNORED
    cells = np.eye(size * size)[np.where(kept, labels * size + predicted, 0)] * kept[:, None]
    counts: Values = (weights @ cells).reshape(-1, size, size)
    return counts


def rates(matrices: Values) -> dict[str, Values]:
    """MEASURES (R,) of confusion matrices (R, 3, 3); macro = mean over the classes that the labels hold.

    Macro recall is the measure of SemEval-2017 Task 4A (Rosenthal et al. 2017).
    """
    hits = matrices.diagonal(axis1=1, axis2=2)
    truth, found = matrices.sum(axis=2), matrices.sum(axis=1)
    held = truth > 0
    recall = np.where(held, ratio(hits, truth), 0)
    f1 = np.where(held, ratio(2 * hits, truth + found), 0)
    return {
        "accuracy": ratio(hits.sum(axis=1), truth.sum(axis=1)),
        "weighted_f1": ratio((f1 * truth).sum(axis=1), truth.sum(axis=1)),
        "macro_f1": ratio(f1.sum(axis=1), held.sum(axis=1)),
        "macro_recall": ratio(recall.sum(axis=1), held.sum(axis=1)),
    }


def auroc(scores: Floats, opposite: Flags, weights: NDArray[Any]) -> Values:
    """Chance (R,) that an opposite post scores higher than another one; ties count half (Hanley 1982)."""
    hits, alarms = _by_score(scores, opposite, weights)
    below = alarms.sum(axis=1, keepdims=True) - alarms.cumsum(axis=1)
    won = (hits * (below + alarms / 2)).sum(axis=1)
    return ratio(won, hits.sum(axis=1) * alarms.sum(axis=1))


def average_precision(scores: Floats, opposite: Flags, weights: NDArray[Any]) -> Values:
    """Mean precision (R,) over the opposite posts, at the share of them that the weights give."""
    hits, alarms = _by_score(scores, opposite, weights)
    found, flagged = hits.cumsum(axis=1), (hits + alarms).cumsum(axis=1)
    precision = np.where(hits > 0, ratio(found, flagged), 0)
    return ratio((hits * precision).sum(axis=1), hits.sum(axis=1))


def flag_rates(
    flagged: Flags | Floats, opposite: Flags, weights: NDArray[Any], prior: float
) -> dict[str, Values]:
    """Precision, recall and flag rate (R,) of flags (N,) where a share `prior` of posts is opposite.

    A flag may be a share of 1: how often the post is flagged. Precision does not exist (NaN) where nothing is
    flagged.
    """
    shares = at_prior(weights, opposite, prior)
    hits, rate = shares @ (flagged * opposite), shares @ flagged
    return {"precision": ratio(hits, rate), "recall": hits / prior, "flag_rate": rate}


def choose_threshold(scores: Floats, opposite: Flags, prior: float, least_precision: float) -> float:
    """The threshold of greatest recall whose precision at `prior` is at least `least_precision`.

    Rounded up to a thousandth. Where none reaches it, the one of greatest precision among those that flag
    a twentieth of the opposite posts or more.
    """
    candidates = np.unique(np.ceil(scores * 1_000) / 1_000)
    recall, alarms = (
        1 - np.searchsorted(np.sort(scores[side]), candidates) / max(1, side.sum())
        for side in (opposite, ~opposite)
    )
    precision = np.nan_to_num(ratio(prior * recall, prior * recall + (1 - prior) * alarms))
    good = (precision >= least_precision) & (recall > 0)
    if good.any():
        best = np.lexsort((precision, recall, good))[-1]
    else:
        best = np.argmax(np.where(recall >= 0.05, precision, -1))
    return float(candidates[best])


def _by_score(scores: Floats, opposite: Flags, weights: NDArray[Any]) -> tuple[Values, Values]:
    """Weights (R, U) of the opposite and of the other posts at each distinct score, the greatest first."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf))
    ranked = np.asarray(weights, dtype=np.float64)[:, order]
    hits, alarms = (np.add.reduceat(ranked * side[order], starts, axis=1) for side in (opposite, ~opposite))
    return hits, alarms
