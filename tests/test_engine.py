"""Engines: what comes out is a valid opinion, the same alone and in company."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmsent.engine.base import Outputs, Prediction, ScoringRequest, create_engine
from mmsent.engine.stub import NOT_A_NUMBER, POISON, StubEngine
from mmsent.errors import EngineError, SettingsError
from mmsent.posts import Opinion
from mmsent.settings import Settings

BRIGHT = np.full((8, 8, 3), 250, dtype=np.uint8)
DARK = np.full((8, 8, 3), 5, dtype=np.uint8)
GREY = np.full((8, 8, 3), 128, dtype=np.uint8)


def label(opinion: Opinion | None) -> str | None:
    return None if opinion is None else opinion.label


@pytest.mark.parametrize(
    ("text", "pixels", "expected"),
    [
        ("a good day", None, ("positive", None)),
        ("a BAD day", None, ("negative", None)),
        ("a day", None, ("neutral", None)),
        ("", None, ("neutral", None)),
        (None, BRIGHT, (None, "positive")),
        (None, DARK, (None, "negative")),
        ("bad sad good", GREY, ("negative", "neutral")),
        (None, None, (None, None)),
    ],
)
def test_stub_has_known_answers(
    text: str | None, pixels: NDArray[np.uint8] | None, expected: tuple[str | None, str | None]
) -> None:
    [prediction] = StubEngine(image_size=8).score([ScoringRequest(text, pixels)])
    assert (label(prediction.text), label(prediction.image)) == expected
    both = None not in expected
    assert (
        prediction.fused is not None,
        prediction.conflict is not None,
        prediction.weights is not None,
    ) == (
        both,
        both,
        both,
    )


def test_stub_conflict_is_that_of_opposite_opinions() -> None:
    requests = [ScoringRequest("good", DARK), ScoringRequest("good", BRIGHT), ScoringRequest("sad", BRIGHT)]
    conflicts = [prediction.conflict for prediction in StubEngine(image_size=8).score(requests)]
    assert conflicts == pytest.approx([0.8125, 0.09, 0.8125])


def test_stub_batches_give_each_post_its_own_answer() -> None:
    requests = [
        ScoringRequest(text, pixels)
        for text in ("good", None, "bad and some more words", "plain")
        for pixels in (None, BRIGHT, DARK)
    ]
    engine = StubEngine(image_size=8)
    alone = [engine.score([request])[0] for request in requests]
    assert engine.score(requests) == alone
    assert engine.score([]) == []


@pytest.mark.parametrize("word", [POISON, NOT_A_NUMBER])
def test_stub_fails_on_command(word: str) -> None:
    with pytest.raises(EngineError):
        StubEngine(image_size=8).score([ScoringRequest("good", None), ScoringRequest(f"a {word} b", None)])


@pytest.mark.parametrize(
    ("lang", "judged"), [(None, True), ("und", True), ("en", True), ("en-GB", True), ("de", False)]
)
def test_stub_judges_english(lang: str | None, judged: bool) -> None:
    assert StubEngine(image_size=8).judges(lang) is judged


class _FixedEngine(StubEngine):
    def __init__(self, logits: list[float], weights: list[float]) -> None:
        super().__init__(image_size=8)
        self.temperatures = {"text": 2.0, "image": 1.0, "fused": 0.5}
        self._fixed = np.array([logits], dtype=np.float32)
        self._weights = np.array([weights], dtype=np.float32)

    def fixed(self) -> Prediction:
        rows = np.array([0])
        outputs = Outputs(
            posts=1,
            rows={"text": rows, "image": rows, "fused": rows},
            logits={"text": self._fixed, "image": self._fixed, "fused": self._fixed},
            weights=self._weights,
        )
        return self.decode(outputs)[0]


def test_decode_applies_each_heads_temperature() -> None:
    prediction = _FixedEngine([2.0, 0.0, 0.0], [0.25, 0.75]).fixed()
    for opinion, temperature in [(prediction.text, 2.0), (prediction.image, 1.0), (prediction.fused, 0.5)]:
        assert opinion is not None
        odds = np.exp(2.0 / temperature)
        assert opinion.positive == pytest.approx(odds / (odds + 2))
        assert opinion.positive + opinion.neutral + opinion.negative == pytest.approx(1, abs=1e-12)
    assert prediction.weights is not None
    assert (prediction.weights.text, prediction.weights.image) == (0.25, 0.75)


@pytest.mark.parametrize(
    ("logits", "weights"),
    [
        ([np.nan, 0, 0], [0.5, 0.5]),
        ([np.inf, 0, 0], [0.5, 0.5]),
        ([0, 0, 0], [np.nan, 0.5]),
        ([0, 0, 0], [0.2, 0.2]),
        ([0, 0, 0], [1.5, -0.5]),
    ],
)
def test_numbers_that_are_no_probabilities_are_an_error(logits: list[float], weights: list[float]) -> None:
    with pytest.raises(EngineError):
        _FixedEngine(logits, weights).fixed()


def test_extreme_logits_stay_within_bounds() -> None:
    opinion = _FixedEngine([1e30, -1e30, 0], [1, 0]).fixed().text
    assert opinion == Opinion(label="positive", positive=1, neutral=0, negative=0)


def test_settings_choose_the_engine() -> None:
    with create_engine(Settings(engine="stub")) as engine:
        assert isinstance(engine, StubEngine)
    with pytest.raises(SettingsError, match="use auto or openvino"):
        create_engine(Settings(engine="torch"))
