"""From the conflict score to a probability that text and picture of a post are opposite.

The score is `inputs.conflict`. Platt, "Probabilistic Outputs for Support Vector Machines", 1999, makes it a
probability; Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
Probabilities", 2002, carry that to a stream with another share of opposite posts.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

_LEAST_SCORE = 1e-6


class ConflictCalibration(BaseModel):
    """logit P = slope · logit(score) + intercept, where a share `prior` of posts is opposite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float
    intercept: float
    prior: float = Field(gt=0, lt=1)

    def probability(self, scores: Any) -> NDArray[np.float64]:
        """P(opposite | score) of scores of any shape."""
        log_odds = self.slope * logit(scores) + self.intercept
        shares: NDArray[np.float64] = np.exp(-np.logaddexp(0, -log_odds))
        return shares

    def at(self, prior: float) -> Self:
        """The same where a share `prior` of posts is opposite, and posts of each kind score as they did.

        The odds change by the ratio of both priors' odds (Saerens et al. 2002, equation 2.4).
        """
        shift = float(logit(prior) - logit(self.prior))
        return self.model_copy(update={"intercept": self.intercept + shift, "prior": prior})


def logit(probability: Any) -> NDArray[np.float64]:
    """Log-odds; probabilities are kept a millionth away from 0 and 1."""
    kept = np.clip(np.asarray(probability, np.float64), _LEAST_SCORE, 1 - _LEAST_SCORE)
    odds: NDArray[np.float64] = np.log(kept / (1 - kept))
    return odds
