"""From conflict scores to probabilities, and to streams with another share of opposite posts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsent.model.conflict import ConflictCalibration, logit

CALIBRATION = ConflictCalibration(slope=1.6, intercept=-0.4, prior=0.28)
priors = st.floats(0.001, 0.999)


def test_the_formula() -> None:
    """Platt: P = 1 / (1 + exp(−(slope · logit(score) + intercept)))."""
    score = 0.4
    expected = 1 / (1 + np.exp(-(1.6 * np.log(0.4 / 0.6) - 0.4)))
    assert CALIBRATION.probability(score) == pytest.approx(expected)
    assert CALIBRATION.probability(np.array([score, score])) == pytest.approx([expected] * 2)


def test_another_share_of_opposite_posts_changes_the_odds() -> None:
    """Bayes by counting: of 280 opposite posts 140 score so, of 720 others 72; then 70 and 930 of them."""
    sure = ConflictCalibration(slope=1.0, intercept=0.0, prior=0.28)
    assert sure.at(0.07).probability(140 / 212) == pytest.approx(35 / (35 + 93))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), priors, priors)
def test_a_prior_neither_reorders_posts_nor_gets_lost(scores: list[float], one: float, other: float) -> None:
    shown = CALIBRATION.at(one).probability(np.sort(scores))
    assert (np.diff(shown) >= 0).all()
    assert ((shown >= 0) & (shown <= 1)).all()
    back = CALIBRATION.at(one).at(other).at(CALIBRATION.prior)
    assert back.intercept == pytest.approx(CALIBRATION.intercept, abs=1e-9)
    assert (
        CALIBRATION.at(max(one, other)).probability(scores) >= CALIBRATION.at(one).probability(scores)
    ).all()


def test_scores_of_0_and_1_have_finite_odds() -> None:
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    steep = ConflictCalibration(slope=1e3, intercept=0.0, prior=0.5)
    assert steep.probability(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("changes", [{"prior": 1.0}, {"slope": float("nan")}, {"intercept": float("inf")}])
def test_what_is_no_calibration_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ConflictCalibration(**CALIBRATION.model_dump() | changes)
