"""From conflict scores to probabilities, and to streams with another share of opposite posts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmsent.model.conflict import ConflictCalibration, logit, score_given
from mmsent.model.inputs import conflict

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


def test_pairs_that_are_met_together_are_believed_together() -> None:
    """Bayes by hand: words and pixels are drawn by their own label alone, each of four kinds."""
    generator = np.random.default_rng(0)
    joint = generator.dirichlet(np.ones(9)).reshape(3, 3)
    words, pixels = (generator.dirichlet(np.ones(4), size=3) for _ in range(2))
    together = np.einsum("tp,tw,px->wxtp", joint, words, pixels)
    opposite = (together[..., 0, 2] + together[..., 2, 0]) / together.sum(axis=(2, 3))
    text = words.T * joint.sum(axis=1)
    image = pixels.T * joint.sum(axis=0)
    text, image = (each / each.sum(axis=1, keepdims=True) for each in (text, image))
    found = score_given(joint, text[:, None, :], image[None, :, :])
    np.testing.assert_allclose(found, opposite)
    np.testing.assert_allclose(score_given(7 * joint, text[:, None, :], image[None, :, :]), opposite)


def test_of_independent_labels_the_score_is_the_plain_one() -> None:
    generator = np.random.default_rng(1)
    text, image = (generator.dirichlet(np.ones(3), size=20) for _ in range(2))
    independent = np.outer([0.5, 0.3, 0.2], [0.2, 0.2, 0.6])
    np.testing.assert_allclose(score_given(independent, text, image), conflict(text, image))
    told = ConflictCalibration(**CALIBRATION.model_dump() | {"joint": independent.tolist()})
    np.testing.assert_allclose(told.of(text, image), CALIBRATION.of(text, image))


def test_a_power_sharpens_the_pictures_opinion() -> None:
    text, image = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.2, 0.6])
    sharp = CALIBRATION.model_copy(update={"image_power": 2.0})
    assert sharp.score(text, image) == pytest.approx(0.7 * 0.36 / 0.44 + 0.1 * 0.04 / 0.44)


@pytest.mark.parametrize(
    "changes",
    [
        {"prior": 1.0},
        {"slope": float("nan")},
        {"intercept": float("inf")},
        {"joint": [[1.0] * 3] * 2},
        {"joint": [[0.0] * 3] * 3},
    ],
)
def test_what_is_no_calibration_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConflictCalibration(**CALIBRATION.model_dump() | changes)
