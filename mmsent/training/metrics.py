"""How good opinions and the conflict score are; rows whose label is IGNORED are left out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score, roc_auc_score

from mmsent.training.data import IGNORED


def accuracy(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Share of rows whose greatest score (N, 3) is the label's."""
    kept = labels != IGNORED
    return float(accuracy_score(labels[kept], scores[kept].argmax(axis=1)))


def log_loss(labels: NDArray[Any], opinions: NDArray[np.float64]) -> float:
    """Mean −log P(label), in nats."""
    kept = labels != IGNORED
    return float(-np.log(opinions[kept, labels[kept]].clip(1e-12)).mean())


def head_figures(labels: NDArray[Any], opinions: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy, macro and weighted F1, macro recall and log-loss of opinions (N, 3)."""
    kept = labels != IGNORED
    truth, predicted = labels[kept], opinions[kept].argmax(axis=1)
    return {
        "posts": int(kept.sum()),
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, average="macro")),
        "weighted_f1": float(f1_score(truth, predicted, average="weighted")),
        "macro_recall": float(recall_score(truth, predicted, average="macro")),
        "log_loss": log_loss(labels, opinions),
    }


def conflict_auroc(agreeing: NDArray[Any], opposite: NDArray[Any]) -> float:
    """Chance that an opposite post scores higher than an agreeing one."""
    return float(roc_auc_score(*_pairs(agreeing, opposite)))


def conflict_average_precision(agreeing: NDArray[Any], opposite: NDArray[Any]) -> float:
    """Area under precision over recall, at the sample's own share of opposite posts."""
    return float(average_precision_score(*_pairs(agreeing, opposite)))


def flag_figures(
    agreeing: NDArray[Any], opposite: NDArray[Any], threshold: float, prevalence: float
) -> dict[str, float]:
    """Recall, flag rate and precision of `score >= threshold` where `prevalence` of posts is opposite."""
    recall = float((opposite >= threshold).mean())
    false_alarms = float((agreeing >= threshold).mean())
    flagged = prevalence * recall + (1 - prevalence) * false_alarms
    precision = prevalence * recall / flagged if flagged else 0.0
    return {"prevalence": prevalence, "flag_rate": flagged, "precision": precision, "recall": recall}


def choose_threshold(
    agreeing: NDArray[Any], opposite: NDArray[Any], prevalence: float, least_precision: float
) -> float:
    """The threshold of greatest recall whose precision at `prevalence` is at least `least_precision`.

    Rounded up to a thousandth. Where none reaches it, the one of greatest precision among those that flag
    a twentieth of the opposite posts or more.
    """
    candidates = np.unique(np.ceil(np.concatenate([agreeing, opposite]) * 1_000) / 1_000)
    rows = [
        (float(value), flag_figures(agreeing, opposite, float(value), prevalence)) for value in candidates
    ]
    good = [row for row in rows if row[1]["precision"] >= least_precision and row[1]["recall"] > 0]
    if good:
        return max(good, key=lambda row: (row[1]["recall"], row[1]["precision"]))[0]
    return max((row for row in rows if row[1]["recall"] >= 0.05), key=lambda row: row[1]["precision"])[0]


def out_of_fold_flags(
    agreeing: NDArray[Any], opposite: NDArray[Any], prevalence: float, least_precision: float, folds: int = 5
) -> dict[str, float]:
    """`flag_figures` of thresholds that were chosen without the posts they are applied to."""
    generator = np.random.default_rng(0)
    parts = [generator.permutation(np.arange(len(scores)) % folds) for scores in (agreeing, opposite)]
    over = [np.zeros(len(scores)) for scores in (agreeing, opposite)]
    for fold in range(folds):
        kept = [scores[part != fold] for scores, part in zip((agreeing, opposite), parts, strict=True)]
        threshold = choose_threshold(kept[0], kept[1], prevalence, least_precision)
        for scores, part, flags in zip((agreeing, opposite), parts, over, strict=True):
            flags[part == fold] = scores[part == fold] >= threshold
    return flag_figures(over[0], over[1], 0.5, prevalence)


def _pairs(agreeing: NDArray[Any], opposite: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    truth = np.concatenate([np.zeros(len(agreeing), dtype=int), np.ones(len(opposite), dtype=int)])
    return truth, np.concatenate([agreeing, opposite])
