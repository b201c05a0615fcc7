"""What an opinion rests on: the word that carries it, the planted square, and exact places in the text."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmsent.engine.base import Engine, Prediction, ScoringRequest, create_engine
from mmsent.engine.stub import POISON, StubEngine
from mmsent.errors import EngineError
from mmsent.explain import BATCH_POSTS, GRID, MAX_WORDS, explain
from mmsent.images.decode import decode_image
from mmsent.images.heat_map import heat_map_png
from mmsent.model.inputs import word_spans
from mmsent.posts import PostExplanation, Weights
from mmsent.settings import Settings
from mmsent.sources.drawings import draw, jpeg, motifs

SIZE = 48


class RecordingEngine(StubEngine):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(image_size=SIZE)
        self.batches: list[list[ScoringRequest]] = []

    def score(self, requests: Sequence[ScoringRequest]) -> list[Prediction]:
        self.batches.append(list(requests))
        return super().score(requests)


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture(scope="module")
def shipped() -> Engine:
    return create_engine(Settings(engine="openvino", engine_threads=1))


def lit_picture() -> NDArray[np.uint8]:
    """Bright by one square alone, at regions 2–3 from the top and 4–5 from the left."""
    pixels = np.full((SIZE, SIZE, 3), 165, np.uint8)
    pixels[16:32, 32:48] = 255
    return pixels


# Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t", []),
        ("Isn't it lovely?!", ["Isn't", "it", "lovely", "?!"]),
        ("good😀bad 👩‍👩‍👧❤️", ["good", "😀", "bad", "👩‍👩‍👧", "❤️"]),
        (
            "@joe.b@x.org saw https://a.b/c😀?d=@e&amp;f, #rain",
            ["@joe.b@x.org", "saw", "https://a.b/c😀?d=@e&amp;f,", "#rain"],
        ),
        ("A &amp; B & C", ["A", "&amp;", "B", "&", "C"]),
        ("天気がいい today", ["天", "気", "がいい", "today"]),
        ("a" * 5000 + " b", ["a" * 4000]),
    ],
)
def test_words_are_those_that_people_read_at_their_places(text: str, words: list[str]) -> None:
    spans = word_spans(text)
    assert [text[start:end] for start, end in spans] == words
    assert spans == sorted(spans)


@pytest.mark.parametrize("pixels", [None, lit_picture()])
def test_the_word_that_carries_the_opinion(engine: RecordingEngine, pixels: NDArray[np.uint8] | None) -> None:
    text = "What a 😀 great day @joe"
    found = explain(engine, ScoringRequest(text, pixels))
    assert [text[word.start : word.end] for word in found.words] == [word.word for word in found.words]
    influence = {word.word: word.text for word in found.words}
    assert influence.pop("great") == pytest.approx(0.85)
    assert set(influence) == {"What", "a", "😀", "day", "@joe"}
    assert set(influence.values()) == {0.0}
    fused = {word.word: word.fused for word in found.words}
    assert fused["great"] == (None if pixels is None else pytest.approx(0.425))


def test_a_word_that_speaks_against_the_opinion(engine: RecordingEngine) -> None:
    found = explain(engine, ScoringRequest("bad but good", lit_picture()))
    assert found.prediction.fused is not None
    assert found.prediction.fused.label == "positive"
    assert [word.fused for word in found.words] == pytest.approx([-0.425, 0, 0])
    assert [word.text for word in found.words] == pytest.approx([0.85, 0, 0.85])  # of neutral


def test_the_engine_is_asked_in_bounded_batches(engine: RecordingEngine) -> None:
    found = explain(engine, ScoringRequest("so " * 1000, lit_picture()))
    assert len(found.words) == MAX_WORDS
    assert max(map(len, engine.batches)) == BATCH_POSTS
    assert sum(map(len, engine.batches)) == 1 + MAX_WORDS + (GRID - 1) ** 2 + 2
    assert engine.batches[0][0].text == "so " * 1000


def test_an_engine_that_fails_says_so(engine: RecordingEngine) -> None:
    with pytest.raises(EngineError, match="told to fail"):
        explain(engine, ScoringRequest(POISON, None))


# Pictures


def test_a_planted_square_lights_up(engine: RecordingEngine) -> None:
    pixels = lit_picture()
    before = pixels.copy()
    found = explain(engine, ScoringRequest(None, pixels))
    assert found.image_regions is not None
    assert found.image_regions.shape == (GRID, GRID)
    assert (found.image_regions[2:4, 4:6] > 0.2).all()
    assert (found.image_regions[:, :3] == 0).all()
    assert (found.image_regions[5] == 0).all()
    assert np.array_equal(pixels, before)
    assert (found.words, found.fused_regions, found.fused_text, found.fused_image) == ((), None, None, None)
    assert found.weights is None


def test_both_together(engine: RecordingEngine) -> None:
    found = explain(engine, ScoringRequest("so good", lit_picture()))
    assert found.image_regions is not None
    assert found.fused_regions == pytest.approx(found.image_regions / 2)
    assert found.fused_text == pytest.approx(0.425)
    assert found.fused_image == pytest.approx(0)  # its mean colour is as bright
    assert found.weights == Weights(text=0.5, image=0.5)
    contract = found.contract("a.png")
    assert PostExplanation.model_validate_json(contract.to_json()) == contract
    assert contract.regions is not None
    assert contract.regions.image[2][4] == found.image_regions[2, 4]


@pytest.mark.parametrize("request_", [ScoringRequest(None, None), ScoringRequest("", None)])
def test_nothing_to_hide(engine: RecordingEngine, request_: ScoringRequest) -> None:
    found = explain(engine, request_)
    assert (found.words, found.image_regions) == ((), None)
    assert found.contract() == PostExplanation()


# The shipped checkpoint


def test_the_shipped_model_rests_on_the_telling_word(shipped: Engine) -> None:
    text = "I am so 😀 happy with this phone https://x.org/happy"
    found = explain(shipped, ScoringRequest(text, None))
    assert max(found.words, key=lambda word: word.text).word in {"happy", "😀"}
    assert [found.prediction] == shipped.score([ScoringRequest(text, None)])


def test_words_that_the_shipped_model_does_not_read_are_left_out(shipped: Engine) -> None:
    request = ScoringRequest("awful " + "the " * 300 + "wonderful", None)
    found = explain(shipped, request)
    assert 50 < len(found.words) < 64
    assert {word.word for word in found.words} == {"awful", "the"}
    assert [found.prediction] == shipped.score([request])


def test_the_shipped_model_looks_at_the_face_that_cries(shipped: Engine) -> None:
    picture = decode_image(jpeg(draw(motifs("stream", "picnic", "negative")[0], 1)), shipped.image_size)
    found = explain(shipped, ScoringRequest("Lovely weather", picture.pixels))
    assert found.prediction.image is not None
    assert found.prediction.image.label == "negative"
    assert found.image_regions is not None
    row, column = np.unravel_index(found.image_regions.argmax(), (GRID, GRID))
    assert (row, column) in {(2, 1), (2, 2), (3, 1), (3, 2)}


# Heat maps


def test_a_heat_map_is_a_picture_of_the_stated_size() -> None:
    influence = np.zeros((GRID, GRID))
    influence[1, 1], influence[4, 4] = 0.5, -0.5
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    with Image.open(BytesIO(heat_map_png(grey, influence, 240))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (240, 240))
        drawn = np.asarray(image).astype(int)
    yellow, violet = drawn[50, 50], drawn[170, 170]  # beside the signs
    assert yellow[:2].min() > yellow[2] + 60
    assert violet[2] > violet[0] > violet[1] + 30
    assert np.ptp(drawn[220, 20]) == 0  # where nothing matters the photo is grey
    assert (drawn[60, 60] == 255).all()
    signs = (drawn == 255).all(axis=2)
    assert signs[:120].sum() > 1.5 * signs[120:].sum() > 0  # + and −


def test_a_weak_influence_stays_pale() -> None:
    influence = np.full((GRID, GRID), 0.005)
    with Image.open(BytesIO(heat_map_png(np.full((SIZE, SIZE, 3), 128, np.uint8), influence))) as image:
        assert np.ptp(np.asarray(image).astype(int), axis=2).max() < 20
