"""What export fits on out-of-fold logits, here made-up ones whose true probabilities are known."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("sklearn", reason="needs the extra `train`")

from mmsent.engine.base import HEADS
from mmsent.errors import InputError
from mmsent.model.conflict import ConflictCalibration, score_given
from mmsent.model.inputs import NEGATIVE, NEUTRAL, POSITIVE, conflict, softmax
from mmsent.training.calibration import fit_conflict_of, joint_shares
from mmsent.training.conflict_figures import LEAST_PRECISION, NATURAL_PREVALENCE
from mmsent.training.data import IGNORED
from mmsent.training.fitted import Fitted, fit_all, fitted_figures, kept_rows
from mmsent.training.metrics import flag_rates
from mmsent.training.out_of_fold import OutOfFoldLogits

POSTS = 6_000
TEMPERATURES = {"text": 2.0, "image": 0.5, "fused": 1.5}


@pytest.fixture(scope="module", autouse=True)
def short_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmsent.training.calibration.SIMULATIONS", 200)
        yield


@pytest.fixture(scope="module")
def found() -> OutOfFoldLogits:
    """Labels are drawn from each head's true probabilities, so that the score is the true P(opposite)."""
    generator = np.random.default_rng(0)
    true = {head: generator.normal(0, 1.5, (POSTS, 3)) for head in HEADS}
    labels = {
        head: np.array([generator.choice(3, p=row) for row in softmax(logits)])
        for head, logits in true.items()
    }
    opposite = abs(labels["text"] - labels["image"]) == abs(POSITIVE - NEGATIVE)
    labels["fused"][opposite] = IGNORED
    return OutOfFoldLogits(
        post_id=np.arange(POSTS).astype(str),
        split=np.where(opposite, "conflict", "train"),
        fold=np.arange(POSTS) % 5,
        logits={head: (TEMPERATURES[head] * logits).astype(np.float32) for head, logits in true.items()},
        labels=labels,
    )


@pytest.fixture(scope="module")
def fitted(found: OutOfFoldLogits) -> Fitted:
    return fit_all(found)


def test_the_truth_is_found(found: OutOfFoldLogits, fitted: Fitted) -> None:
    for head, temperature in TEMPERATURES.items():
        assert getattr(fitted.temperatures, head) == pytest.approx(temperature, rel=0.06)
    assert fitted.conflict.prior == NATURAL_PREVALENCE
    as_drawn = fitted.conflict.at((found.split == "conflict").mean())
    text, image = (softmax(found.logits[head], TEMPERATURES[head]) for head in ("text", "image"))
    np.testing.assert_allclose(as_drawn.of(text, image), conflict(text, image), atol=0.08)
    assert np.abs(as_drawn.of(text, image) - conflict(text, image)).mean() < 0.02


def test_flags_are_right_often_enough_at_the_natural_share(found: OutOfFoldLogits, fitted: Fitted) -> None:
    flagged = fitted.probability(found) >= fitted.threshold
    rates = flag_rates(flagged, found.split == "conflict", np.ones((1, POSTS)), NATURAL_PREVALENCE)
    assert rates["precision"][0] >= LEAST_PRECISION
    assert rates["recall"][0] > 0.1
    below = fitted.probability(found) >= fitted.threshold - 0.02
    lower = flag_rates(below, found.split == "conflict", np.ones((1, POSTS)), NATURAL_PREVALENCE)
    assert lower["precision"][0] < LEAST_PRECISION


def test_what_is_fitted_holds_on_other_folds(found: OutOfFoldLogits) -> None:
    figures = fitted_figures(found, np.arange(POSTS))
    assert figures["folds"] == 5
    for head, row in figures["heads"].items():
        assert row["calibration"]["ece"] <= 1.2 * row["calibration"]["band"][1], head
    assert figures["heads"]["fused"]["posts"] == (found.split == "train").sum()
    ranked = figures["conflict"]
    assert ranked["calibration"]["ece"] <= 1.2 * ranked["calibration"]["band"][1]
    assert ranked["auroc"]["value"] > 0.7
    assert 0.25 < ranked["precision"]["value"] < 0.45


def test_logits_that_say_nothing_of_conflict_are_refused(found: OutOfFoldLogits) -> None:
    """Splits exchanged, so that what is opposite scores lowest; and one split alone."""
    turned = np.where(found.split == "conflict", "train", "conflict")
    with pytest.raises(InputError, match="no higher conflict score"):
        fit_all(replace(found, split=turned))
    with pytest.raises(InputError, match="some of both"):
        fit_all(kept_rows(found, found.split == "train"))


def test_labels_that_are_met_together_are_fitted() -> None:
    """Words and pixels go by their own label alone; happy pictures stand beside sad words, too."""
    generator = np.random.default_rng(1)
    joint = np.array([[0.30, 0.12, 0.04], [0.12, 0.09, 0.06], [0.04, 0.06, 0.17]])
    pairs = generator.choice(9, p=joint.ravel(), size=POSTS)
    labels = {"text": pairs // 3, "image": pairs % 3, "fused": pairs // 3}
    marginal = {"text": joint.sum(axis=1), "image": joint.sum(axis=0), "fused": joint.sum(axis=1)}
    logits = {
        head: 1.4 * (np.eye(3)[labels[head]] + generator.normal(size=(POSTS, 3))) + np.log(marginal[head])
        for head in HEADS
    }
    opposite = abs(labels["text"] - labels["image"]) == abs(POSITIVE - NEGATIVE)
    drawn = OutOfFoldLogits(
        post_id=np.arange(POSTS).astype(str),
        split=np.where(opposite, "conflict", "train"),
        fold=np.arange(POSTS) % 5,
        logits={head: values.astype(np.float32) for head, values in logits.items()},
        labels=labels,
    )
    fitted = fit_all(drawn)
    np.testing.assert_allclose(fitted.conflict.joint, joint, atol=0.02)
    assert fitted.conflict.image_power == 1  # as it was drawn
    opinions = fitted.opinions(drawn)
    text, image = (softmax(drawn.logits[head], 1.4) for head in ("text", "image"))
    as_drawn = fitted.conflict.at(opposite.mean()).of(opinions["text"], opinions["image"])
    assert np.abs(as_drawn - score_given(joint, text, image)).mean() < 0.01


def test_pairs_are_counted_at_the_natural_share_in_both_directions_alike() -> None:
    text = np.array([POSITIVE] * 60 + [NEGATIVE] * 30 + [NEUTRAL] * 2)
    image = np.array([POSITIVE] * 60 + [POSITIVE] * 30 + [IGNORED] * 2)
    shares = np.array(joint_shares(text, image, text == NEGATIVE, 0.1))
    posts = 92 * 0.9 * 60 / 62 + 92 * 0.1 + 9  # one of every pair; those without a label only weigh
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert shares[POSITIVE, POSITIVE] == pytest.approx((92 * 0.9 * 60 / 62 + 1) / posts, abs=1e-5)
    assert shares[NEGATIVE, POSITIVE] == shares[POSITIVE, NEGATIVE]
    assert shares[NEGATIVE, POSITIVE] == pytest.approx((92 * 0.1 / 2 + 1) / posts, abs=1e-5)


def test_the_power_of_the_pictures_opinion_is_found() -> None:
    generator = np.random.default_rng(2)
    text, image = (generator.dirichlet(np.ones(3), size=20_000) for _ in range(2))
    form = {"joint": ((1.0,) * 3,) * 3, "image_power": 2.0}
    truth = ConflictCalibration.model_validate({"slope": 1, "intercept": 0, "prior": 0.2, **form})
    opposite = generator.random(20_000) < truth.of(text, image)
    fitted = fit_conflict_of(text, image, opposite, truth.joint)
    assert fitted.image_power == 2
    assert fitted.prior == opposite.mean()
    np.testing.assert_allclose(fitted.of(text, image), truth.of(text, image), atol=0.05)
