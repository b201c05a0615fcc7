"""From two opinions to a probability that text and picture of a post are opposite.

The score is `inputs.conflict` or, where it is known how often each pair of labels is met, `score_given`.
Platt, "Probabilistic Outputs for Support Vector Machines", 1999, makes it a probability; Saerens, Latinne and
Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori Probabilities", 2002, carry that to a
stream with another share of opposite posts.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from mmsent.model.inputs import NEGATIVE, POSITIVE, conflict

Opinions = NDArray[np.float64]

_LEAST_SCORE = 1e-6


_Row = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class ConflictCalibration(BaseModel):
    """logit P = slope · logit(score) + intercept, where a share `prior` of posts is opposite.

    `joint` is the share of posts with each pair of labels, rows the text's and columns the picture's, both in
    the order of LABELS; None: unknown, then the score is `inputs.conflict`. The picture's probabilities are
    raised to `image_power` first: where people felt the opposite, the picture is clearer than most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float
    intercept: float
    prior: float = Field(gt=0, lt=1)
    joint: tuple[_Row, _Row, _Row] | None = None
    image_power: PositiveFloat = 1.0

    def of(self, text: Opinions, image: Opinions) -> Opinions:
        """P(opposite) (...) of calibrated opinions (..., 3)."""
        return self.probability(self.score(text, image))

    def score(self, text: Opinions, image: Opinions) -> Opinions:
        sharp = image**self.image_power
        sharp /= sharp.sum(axis=-1, keepdims=True)
        return conflict(text, sharp) if self.joint is None else score_given(self.joint, text, sharp)

    def probability(self, scores: Any) -> Opinions:
        """P(opposite | score) of scores of any shape."""
        log_odds = self.slope * logit(scores) + self.intercept
        shares: Opinions = np.exp(-np.logaddexp(0, -log_odds))
        return shares

    def at(self, prior: float) -> Self:
        """The same where a share `prior` of posts is opposite, and posts of each kind score as they did.

        The odds change by the ratio of both priors' odds (Saerens et al. 2002, equation 2.4).
        """
        shift = float(logit(prior) - logit(self.prior))
        return self.model_copy(update={"intercept": self.intercept + shift, "prior": prior})


def score_given(joint: Any, text: Opinions, image: Opinions) -> Opinions:
    """P(opposite) (...) of opinions (..., 3), where pairs of labels have the shares `joint` (3, 3).

    By Bayes, if words and pixels each depend on their own label alone,

        P(t, p | post) ∝ P(t | text)·P(p | picture)·P(t, p) / (P(t)·P(p)):

    a happy text makes a happy picture likelier, so an unsure picture beside it speaks less for conflict than
    its own probabilities say.
    """
    pairs = text[..., :, None] * image[..., None, :] * lift(joint)
    found: Opinions = (pairs[..., POSITIVE, NEGATIVE] + pairs[..., NEGATIVE, POSITIVE]) / pairs.sum(
        axis=(-2, -1)
    )
    return found


def lift(joint: Any) -> Opinions:
    """How much oftener than by chance each pair of labels is met, P(t, p) / (P(t)·P(p)), of shares (3, 3)."""
    shares = np.asarray(joint, np.float64)
    chance = shares.sum(axis=1, keepdims=True) * shares.sum(axis=0) / shares.sum()
    oftener: Opinions = shares / chance
    return oftener


def logit(probability: Any) -> Opinions:
    """Log-odds; probabilities are kept a millionth away from 0 and 1."""
    kept = np.clip(np.asarray(probability, np.float64), _LEAST_SCORE, 1 - _LEAST_SCORE)
    odds: Opinions = np.log(kept / (1 - kept))
    return odds
