"""Do probabilities mean what they say, and what makes them do so.

Calibration error and temperatures: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from mmsent.engine.base import Head
from mmsent.errors import InputError
from mmsent.model.checkpoint import Temperatures
from mmsent.model.conflict import ConflictCalibration, logit
from mmsent.model.inputs import LABELS, softmax
from mmsent.training.bootstrap import ratio
from mmsent.training.data import IGNORED

BINS = 15  # of equal width, as Guo et al.; the thin ones weigh little, and the band has the same
SIMULATIONS = 1_000
IMAGE_POWERS = (1.0, 1.5, 2.0, 3.0)
TEMPERATURE_RANGE = (0.05, 20.0)
_BISECTIONS = 60  # more than float64 can tell apart
_LEAST_SLOPE = 1e-9

Floats = NDArray[np.float64]


def reliability(
    probabilities: Floats, came_true: NDArray[np.bool_], *, prior: float | None = None, seed: int = 0
) -> dict[str, Any]:
    """Expected calibration error of probabilities (N,) for events (N,), and what a calibrated model shows.

    That model's errors are simulated: each event happens with the probability given to it. `band` holds 95 %
    of them, `calibrated_mean` is their mean, well above 0 in small samples. `low` and `high` of a bin are the
    same for its frequency. For a head of three classes the probability is the greatest one and the event that
    its class is the label's, which is the same as drawing labels from the head's own probabilities.

    With `prior` the probabilities are meant for a population where that share of events comes true, whatever
    their share in the sample: events are weighted, and simulated with the chances at the sample's share.
    """
    sampled = float(came_true.mean())
    chance = probabilities if prior is None else shift_prior(probabilities, prior, sampled)
    generator = np.random.default_rng(seed)
    draws = generator.random((SIMULATIONS, len(probabilities)), dtype=np.float32) < chance
    events = np.concatenate([came_true[None], draws])
    weights = np.ones(events.shape, np.float32)
    if prior is not None:
        weights[events] = prior / sampled
        weights[~events] = (1 - prior) / (1 - sampled)
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    member = np.eye(BINS, dtype=np.float32)[bins]
    mass, expected, found = (each @ member for each in (weights, weights * probabilities, weights * events))
    errors = np.abs(found - expected).sum(axis=1) / mass.sum(axis=1)
    frequency = ratio(found, mass)
    filled = np.unique(bins)
    low, high = np.nanquantile(frequency[1:, filled], [0.025, 0.975], axis=0)
    return {
        "ece": float(errors[0]),
        "band": [float(bound) for bound in np.quantile(errors[1:], [0.025, 0.975])],
        "calibrated_mean": float(errors[1:].mean()),
        "bins": [
            {
                "posts": int((bins == each).sum()),
                "probability": float(expected[0, each] / mass[0, each]),
                "frequency": float(frequency[0, each]),
                "low": float(low[place]),
                "high": float(high[place]),
            }
            for place, each in enumerate(filled)
        ],
    }


def shift_prior(probabilities: Floats, prior: float, other: float) -> Floats:
    """Probabilities (N,) for a population of share `prior`, turned into those for one of share `other`."""
    return ConflictCalibration(slope=1.0, intercept=0.0, prior=prior).at(other).probability(probabilities)


def fit_temperatures(
    logits: Mapping[Head, NDArray[Any]], labels: Mapping[Head, NDArray[np.int64]]
) -> Temperatures:
    """The temperature of each head that minimises the log-loss of its logits (N, 3) on its own labels (N,).

    Give logits of posts that the model did not learn from. Rows whose label is IGNORED are left out.

    Raises:
        InputError: a head has no labelled row, or its logits say nothing about the labels or all of them.
    """
    return Temperatures(**{head: _temperature(head, logits[head], labels[head]) for head in logits})


def _temperature(head: Head, logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """The log-loss is convex in 1/T, so the root of its slope E_p[z] − z_label is found by halving."""
    kept = labels != IGNORED
    if not kept.any():
        raise InputError(f"no post has a label for the {head} head: give logits of labelled posts")
    rows, truth = logits[kept].astype(np.float64), labels[kept]
    target = rows[np.arange(len(rows)), truth].mean()

    def slope(temperature: float) -> float:
        return float((softmax(rows, temperature) * rows).sum(axis=1).mean() - target)

    low, high = TEMPERATURE_RANGE
    if slope(low) < _LEAST_SLOPE or slope(high) > -_LEAST_SLOPE:
        raise InputError(
            f"no temperature from {low} to {high} fits the {head} head: its logits have "
            "nothing to do with the labels, or were learned from them; give out-of-fold ones"
        )
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return high


def joint_shares(
    text: NDArray[np.int64], image: NDArray[np.int64], opposite: NDArray[np.bool_], prior: float
) -> tuple[tuple[float, ...], ...]:
    """The share of posts with each pair of labels (3, 3), where a share `prior` of posts is opposite.

    `text` and `image` are labels (N,). A post of every pair is added, so that none is impossible (Laplace).
    Both directions of a pair get their mean: that text and picture agree more often than by chance holds
    wherever people post both, but which of the two is the happier one is the data set's own.

    Raises:
        InputError: all posts are of one kind.
    """
    _check_kinds(opposite)
    kept = (text != IGNORED) & (image != IGNORED)
    among = opposite.mean()
    weights = np.where(opposite, prior / among, (1 - prior) / (1 - among))
    counts = np.ones((len(LABELS), len(LABELS)))
    np.add.at(counts, (text[kept], image[kept]), weights[kept])
    counts += counts.T
    return tuple(tuple(round(share, 6) for share in row) for row in (counts / counts.sum()).tolist())


def fit_conflict(scores: Floats, opposite: NDArray[np.bool_]) -> ConflictCalibration:
    """Calibrate scores (N,) of posts that the model did not learn from, at their own share of opposite ones.

    Raises:
        InputError: all posts are of one kind.
    """
    _check_kinds(opposite)
    fitted = LogisticRegression(C=np.inf).fit(logit(scores)[:, None], opposite)
    return ConflictCalibration(
        slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]), prior=float(opposite.mean())
    )


def fit_conflict_of(
    text: Floats, image: Floats, opposite: NDArray[np.bool_], joint: tuple[tuple[float, ...], ...]
) -> ConflictCalibration:
    """The calibration of calibrated opinions (N, 3) whose probabilities have the least log-loss.

    It tries each of IMAGE_POWERS; raises as `fit_conflict`.
    """
    tried = []
    for power in IMAGE_POWERS:
        form = {"joint": joint, "image_power": power}
        scores = ConflictCalibration.model_validate({"slope": 1, "intercept": 0, "prior": 0.5, **form}).score(
            text, image
        )
        fitted = fit_conflict(scores, opposite).model_copy(update=form)
        tried.append((log_loss(opposite, fitted.probability(scores)), power, fitted))
    return min(tried)[2]


def _check_kinds(opposite: NDArray[np.bool_]) -> None:
    if opposite.all() or not opposite.any():
        raise InputError("conflict is calibrated on opposite posts and on others: give some of both")
