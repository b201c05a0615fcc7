"""Intervals by resampling groups of posts (Efron and Tibshirani 1993), for measures that take weights.

A measure is computed for many resamples at once: `weights` (R, N) says how often each of N posts counts in
each of R rows. Row 0 is the sample itself. Two measures over the same weights are paired: their difference
row by row has an interval of its own. A weight of 0 leaves a post out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
SEED = 0
LEVEL = 0.95
LEAST_DEFINED = 0.5  # share of resamples in which a measure must exist to get an interval

Weights = NDArray[np.float32]
Values = NDArray[np.float64]


def resample(groups: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = SEED) -> Weights:
    """Weights (1 + resamples, N): each post once, then draws of as many groups (N,) as there are.

    Groups are drawn whole and with replacement, so that posts that repeat each other come and go together.
    """
    names, member = np.unique(groups, return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return np.concatenate([np.ones((1, len(member))), drawn[:, member]]).astype(np.float32)


def estimate(values: Values) -> dict[str, float | None]:
    """Value and percentile interval of a measure (R,); None where it does not exist (0/0).

    No interval either where fewer than half of the resamples define the measure.
    """
    value, others = values[0], values[1:]
    defined = others[np.isfinite(others)]
    low, high = None, None
    if np.isfinite(value) and len(defined) >= LEAST_DEFINED * len(others):
        low, high = (float(bound) for bound in np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return {"value": float(value) if np.isfinite(value) else None, "low": low, "high": high}


def at_prior(weights: Weights, opposite: NDArray[np.bool_], prior: float) -> NDArray[np.float64]:
    """The weights scaled so that in every row the share of opposite posts is `prior`."""
    inside = ratio(weights * opposite, (weights * opposite).sum(axis=1, keepdims=True))
    outside = ratio(weights * ~opposite, (weights * ~opposite).sum(axis=1, keepdims=True))
    return prior * inside + (1 - prior) * outside


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> Values:
    """part / whole; NaN where the whole is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Values = np.true_divide(part, whole, dtype=np.float64)
    return np.where(np.asarray(whole) == 0, np.nan, quotient)
