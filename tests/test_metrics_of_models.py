"""Measures, their intervals, calibration and the groups of posts that repeat each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("sklearn", reason="needs the extra `train`")

from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

from mmsent.engine.base import HEADS
from mmsent.errors import InputError
from mmsent.model.inputs import softmax
from mmsent.training.bootstrap import at_prior, estimate, resample
from mmsent.training.calibration import (
    fit_conflict,
    fit_temperatures,
    reliability,
    shift_prior,
)
from mmsent.training.data import IGNORED, LabelledPost
from mmsent.training.metrics import (
    auroc,
    average_precision,
    choose_threshold,
    confusions,
    flag_rates,
    rates,
)
from mmsent.training.out_of_fold import (
    OutOfFoldLogits,
    group_folds,
    load_out_of_fold,
)
from mmsent.training.repeats import first_of_each, post_groups, text_groups
from mmsent.training.summary import percent


def test_weighted_measures_are_those_of_repeated_rows() -> None:
    """A weight of 3 is the same as three equal posts; ties and unlabelled rows included."""
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 3, (2, 80))
    labels[:5] = IGNORED
    scores, opposite = generator.integers(0, 20, 80) / 20, generator.random(80) < 0.3
    weights = generator.integers(0, 4, (3, 80)).astype(np.float32)
    measured = rates(confusions(labels, predicted, weights))
    for row, times in enumerate(weights.astype(int)):
        kept = np.repeat(np.arange(80), times)
        flags, values = opposite[kept], scores[kept]
        assert auroc(scores, opposite, weights)[row] == pytest.approx(roc_auc_score(flags, values))
        precision = average_precision(scores, opposite, weights)[row]
        assert precision == pytest.approx(average_precision_score(flags, values))
        kept = kept[labels[kept] != IGNORED]
        truth, found = labels[kept], predicted[kept]
        assert measured["accuracy"][row] == pytest.approx((truth == found).mean())
        assert measured["macro_recall"][row] == pytest.approx(recall_score(truth, found, average="macro"))
        for average in ("macro", "weighted"):
            expected = f1_score(truth, found, average=average)
            assert measured[f"{average}_f1"][row] == pytest.approx(expected)
        matrix = confusions(labels, predicted, weights)[row]
        assert matrix.tolist() == confusion_matrix(truth, found).tolist()


def test_flags_at_another_prevalence_follow_bayes() -> None:
    flagged = np.array([False, False, False, True, False, True])
    opposite = np.array([False] * 4 + [True] * 2)
    figures = flag_rates(flagged, opposite, np.ones((1, 6)), prior=0.1)
    assert figures["recall"] == pytest.approx([0.5])
    assert figures["flag_rate"] == pytest.approx([0.1 * 0.5 + 0.9 * 0.25])
    assert figures["precision"] == pytest.approx([0.05 / 0.275])
    assert at_prior(np.ones((1, 6)), opposite, 0.1)[0, opposite].sum() == pytest.approx(0.1)


def test_the_threshold_reaches_the_precision_with_the_greatest_recall() -> None:
    generator = np.random.default_rng(0)
    scores = np.concatenate([generator.beta(2, 6, 400), generator.beta(4, 4, 200)])
    opposite = np.arange(600) >= 400
    threshold = choose_threshold(scores, opposite, prior=0.07, least_precision=0.3)

    def at(value: float) -> tuple[float, float]:
        row = flag_rates(scores >= value, opposite, np.ones((1, 600)), 0.07)
        return float(row["precision"][0]), float(row["recall"][0])

    precision, recall = at(threshold)
    assert precision >= 0.3
    assert all(at(value)[0] < 0.3 or at(value)[1] <= recall for value in np.linspace(0, 0.95, 101))


def test_an_interval_knows_that_repeats_say_nothing_new() -> None:
    """Every post four times over: as uncertain as once, though there are four times as many."""
    right = np.random.default_rng(0).random(100) < 0.7
    widths = []
    for times in (1, 4):
        weights = resample(np.repeat(np.arange(100), times))
        shares = weights @ np.repeat(right, times) / weights.sum(axis=1)
        interval = estimate(shares)
        assert interval["value"] == pytest.approx(right.mean())
        assert interval["low"] is not None
        assert interval["high"] is not None
        widths.append(interval["high"] - interval["low"])
    assert widths[0] == pytest.approx(widths[1], rel=0.01)
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 100), rel=0.15)
    assert np.array_equal(resample(np.arange(100)), resample(np.arange(100)))


def test_what_does_not_exist_is_none() -> None:
    assert estimate(np.full(10, np.nan)) == {"value": None, "low": None, "high": None}
    assert estimate(np.array([0.5, np.nan, np.nan, 0.5]))["low"] is None


@pytest.mark.parametrize(("power", "inside"), [(1.0, True), (3.0, False), (0.3, False)])
def test_only_a_calibrated_model_is_inside_the_band(power: float, inside: bool) -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(0.34, 0.99, 2_000)
    happened = generator.random(2_000) < probabilities
    said = probabilities**power / (probabilities**power + (1 - probabilities) ** power)
    row = reliability(said, happened)
    assert (row["ece"] <= row["band"][1]) is inside
    assert sum(each["posts"] for each in row["bins"]) == 2_000
    assert all(each["low"] <= each["probability"] <= each["high"] for each in row["bins"])


def test_the_calibration_error_is_that_of_the_paper() -> None:
    """Two bins: 3 of 4 right where 0.7 was said, 0 of 1 where 0.5 was."""
    row = reliability(np.array([0.7, 0.7, 0.7, 0.7, 0.5]), np.array([True, True, True, False, False]))
    assert row["ece"] == pytest.approx(4 / 5 * 0.05 + 1 / 5 * 0.5, abs=1e-6)


def test_a_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (4_000, 3))
    labels = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    labels[:100] = IGNORED
    found = fit_temperatures({"text": 2.5 * logits, "image": 0.5 * logits}, {"text": labels, "image": labels})
    assert found.text == pytest.approx(2.5, rel=0.06)
    assert found.image == pytest.approx(0.5, rel=0.06)
    assert found.fused == 1.0


def test_no_temperature_fits_logits_that_know_the_labels() -> None:
    labels = np.arange(30) % 3
    with pytest.raises(InputError, match=r"image head.*out-of-fold"):
        fit_temperatures({"image": 9.0 * np.eye(3)[labels]}, {"image": labels})
    with pytest.raises(InputError, match="no post has a label"):
        fit_temperatures({"image": np.eye(3)}, {"image": np.full(3, IGNORED)})


def test_a_conflict_probability_holds_at_another_prior() -> None:
    """Fitted where 30 % are opposite, right where 7 % are, and wrong there without the shift."""
    generator = np.random.default_rng(0)

    def posts(count: int, share: float) -> tuple[Any, Any]:
        opposite = generator.random(count) < share
        return 1 / (1 + np.exp(-generator.normal(np.where(opposite, 0.5, -1.0), 1))), opposite

    fitted = fit_conflict(*posts(6_000, 0.3))
    scores, opposite = posts(6_000, 0.07)
    shifted = reliability(fitted.at(0.07).probability(scores), opposite)
    assert shifted["ece"] <= 1.2 * shifted["band"][1]
    assert reliability(fitted.at(0.3).probability(scores), opposite)["ece"] > 0.1
    sampled, truth = posts(6_000, 0.3)
    weighted = reliability(fitted.at(0.07).probability(sampled), truth, prior=0.07)
    assert weighted["ece"] <= 1.2 * weighted["band"][1]
    assert weighted["calibrated_mean"] < 0.02


def test_conflict_is_not_calibrated_on_posts_of_one_kind() -> None:
    with pytest.raises(InputError, match="some of both"):
        fit_conflict(np.array([0.1, 0.2]), np.array([False, False]))


def test_a_shifted_prior_can_be_shifted_back() -> None:
    shares = np.array([0.05, 0.3, 0.9])
    assert shift_prior(np.array([0.28]), 0.28, 0.07) == pytest.approx([0.07])
    assert shift_prior(shift_prior(shares, 0.28, 0.07), 0.07, 0.28) == pytest.approx(shares)


def test_repeats_are_found(tmp_path: Path) -> None:
    """One chain: a retweet with another link, then another text with the same picture."""
    texts = ["So sad! http://a.b/1", "RT @you: so SAD http://c.d/2 @me", "Look", "http://a.b", "http://a.b"]
    pictures = [b"one", b"two", b"two", b"four", b"five"]
    posts = []
    for number, (text, content) in enumerate(zip(texts, pictures, strict=True)):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(content)
        posts.append(LabelledPost(str(number), "dev", text, path, 0, 0, 0))
    groups = post_groups(posts)
    assert groups.tolist() == [0, 0, 0, 3, 4]  # links alone are no text to repeat
    assert first_of_each(groups).tolist() == [True, False, False, True, True]
    assert text_groups(texts).tolist() == [0, 0, 2, 3, 4]


def test_folds_keep_groups_whole() -> None:
    groups = np.arange(60) // 2
    kinds = groups % 3 == 0
    folds = group_folds(groups, kinds)
    assert set(folds.tolist()) == set(range(5))
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in range(30))
    assert all(kinds[folds == fold].any() for fold in range(5))
    with pytest.raises(InputError, match="two posts of each kind"):
        group_folds(np.zeros(4, np.int64), np.array([True, True, False, False]))


def out_of_fold(**changes: Any) -> OutOfFoldLogits:
    generator = np.random.default_rng(0)
    fields: dict[str, Any] = {
        "post_id": np.array(["1", "2", "3"]),
        "split": np.array(["train", "train", "conflict"]),
        "fold": np.array([0, 1, 0]),
        "logits": {head: generator.normal(size=(3, 3)).astype(np.float32) for head in HEADS},
        "labels": {head: np.array([0, 2, IGNORED]) for head in HEADS},
    }
    return OutOfFoldLogits(**fields | changes)


def test_out_of_fold_logits_come_back(tmp_path: Path) -> None:
    written = out_of_fold()
    written.save(tmp_path / "logits.npz")
    read = load_out_of_fold(tmp_path / "logits.npz")
    assert read.post_id.tolist() == ["1", "2", "3"]
    assert read.split.tolist() == ["train", "train", "conflict"]
    assert all(np.array_equal(read.logits[head], written.logits[head]) for head in HEADS)
    assert all(np.array_equal(read.labels[head], written.labels[head]) for head in HEADS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": np.array(["train", "dev", "conflict"])}, "split 'dev'"),
        ({"post_id": np.array(["1", "2", "1"])}, "twice"),
        ({"fold": np.array([0, 1])}, "different lengths"),
        ({"logits": {head: np.full((3, 3), np.nan, np.float32) for head in HEADS}}, "no finite"),
        ({"labels": {head: np.array([0, 3, 1]) for head in HEADS}}, "out of the set"),
    ],
)
def test_wrong_out_of_fold_logits_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        out_of_fold(**changes).save(tmp_path / "logits.npz")
    assert not (tmp_path / "logits.npz").exists()


def test_damaged_out_of_fold_logits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "logits.npz"
    out_of_fold().save(path)
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot read"):
            load_out_of_fold(path)
    np.savez(path, format_version=np.int64(2))
    with pytest.raises(InputError, match="format 2"):
        load_out_of_fold(path)


def test_shares_are_written_with_a_minus_and_never_as_minus_nothing() -> None:
    assert percent({"value": -0.0042, "low": -0.0082, "high": -0.0004}) == "−0.4 (−0.8 to 0.0)"
    assert percent({"value": None, "low": None, "high": None}) == "–"
