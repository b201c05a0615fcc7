"""Engines: what comes out is a valid opinion, the same alone and in company."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from mmsent.engine.base import Outputs, Prediction, ScoringRequest, create_engine
from mmsent.engine.openvino import CHUNK_POSTS, OpenVinoEngine, cpu_properties
from mmsent.engine.stub import NOT_A_NUMBER, POISON, StubEngine
from mmsent.errors import CheckpointError, EngineError, SettingsError
from mmsent.model.checkpoint import Checkpoint, file_hash, load_checkpoint
from mmsent.model.conflict import ConflictCalibration
from mmsent.model.inputs import LABELS, pixel_values, softmax
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


SIZE = 32
WIDTH = 4
TEMPERATURES = {"text": 1.5, "image": 0.8, "fused": 1.2}
WORDS = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *"abcdefghij"])}

onnx = pytest.importorskip("onnx", reason="builds its parts with onnx (extra dev)")


class TinyParts:
    """Three small ONNX parts with the real ones' inputs and outputs, and the same sums in numpy."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.embedding = rng.standard_normal((len(WORDS), WIDTH)).astype(np.float32)
        self.text_head = rng.standard_normal((WIDTH, 3)).astype(np.float32) * 2
        self.image_head = rng.standard_normal((3, 3)).astype(np.float32)
        self.image_projection = rng.standard_normal((3, WIDTH)).astype(np.float32)
        self.fused_head = rng.standard_normal((2 * WIDTH, 3)).astype(np.float32)

    def text(self, words: Sequence[str]) -> NDArray[np.float32]:
        ids = [WORDS.get(word, 1) for word in words]
        return self.embedding[ids].mean(axis=0) @ self.text_head

    def image(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return pixel_values([pixels])[0].mean(axis=(1, 2)) @ self.image_head

    def fused(self, words: Sequence[str], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        ids = [WORDS.get(word, 1) for word in words]
        regions = pixel_values([pixels])[0].mean(axis=(1, 2)) @ self.image_projection
        return np.concatenate([self.embedding[ids].mean(axis=0), regions]) @ self.fused_head

    def save(self, folder: Path) -> None:
        helper, kind = onnx.helper, onnx.TensorProto
        node = helper.make_node
        self._save_part(
            folder / "text.onnx",
            [("input_ids", kind.INT64, ["B", "T"]), ("attention_mask", kind.INT64, ["B", "T"])],
            [("text_hidden", ["B", "T", WIDTH]), ("text_logits", ["B", 3])],
            [
                node("Gather", ["embedding", "input_ids"], ["text_hidden"]),
                *self._masked_mean("text_hidden", "attention_mask", "pooled"),
                node("MatMul", ["pooled", "text_head"], ["text_logits"]),
            ],
            {"embedding": self.embedding, "text_head": self.text_head},
        )
        self._save_part(
            folder / "image.onnx",
            [("pixel_values", kind.FLOAT, ["B", 3, SIZE, SIZE])],
            [("image_hidden", ["B", 4, WIDTH]), ("image_logits", ["B", 3])],
            [
                node("AveragePool", ["pixel_values"], ["map"], kernel_shape=[16, 16], strides=[16, 16]),
                node("Reshape", ["map", "flat"], ["columns"]),
                node("Transpose", ["columns"], ["regions"], perm=[0, 2, 1]),
                node("MatMul", ["regions", "projection"], ["image_hidden"]),
                node("ReduceMean", ["pixel_values", "spatial"], ["mean"], keepdims=0),
                node("MatMul", ["mean", "image_head"], ["image_logits"]),
            ],
            {
                "flat": np.array([0, 3, 4]),
                "spatial": np.array([2, 3]),
                "projection": self.image_projection,
                "image_head": self.image_head,
            },
        )
        self._save_part(
            folder / "fusion.onnx",
            [
                ("text_hidden", kind.FLOAT, ["B", "T", WIDTH]),
                ("attention_mask", kind.INT64, ["B", "T"]),
                ("image_hidden", kind.FLOAT, ["B", "R", WIDTH]),
                ("image_mask", kind.INT64, ["B", "R"]),
            ],
            [("fused_logits", ["B", 3]), ("weights", ["B", 2])],
            [
                *self._masked_mean("text_hidden", "attention_mask", "words"),
                *self._masked_mean("image_hidden", "image_mask", "regions"),
                node("Concat", ["words", "regions"], ["both"], axis=1),
                node("MatMul", ["both", "fused_head"], ["fused_logits"]),
                node("MatMul", ["both", "shares"], ["attention"]),
                node("Softmax", ["attention"], ["weights"], axis=1),
            ],
            {"fused_head": self.fused_head, "shares": self.fused_head[:, :2].copy()},
        )

    @staticmethod
    def _masked_mean(hidden: str, mask: str, out: str) -> list[object]:
        node = onnx.helper.make_node
        return [
            node("Cast", [mask], [f"{out}_mask"], to=onnx.TensorProto.FLOAT),
            node("Unsqueeze", [f"{out}_mask", "last"], [f"{out}_column"]),
            node("Mul", [hidden, f"{out}_column"], [f"{out}_kept"]),
            node("ReduceSum", [f"{out}_kept", "first"], [f"{out}_sum"], keepdims=0),
            node("ReduceSum", [f"{out}_column", "first"], [f"{out}_count"], keepdims=0),
            node("Div", [f"{out}_sum", f"{out}_count"], [out]),
        ]

    @staticmethod
    def _save_part(
        path: Path,
        inputs: list[tuple[str, int, list[str | int]]],
        outputs: list[tuple[str, list[str | int]]],
        nodes: list[object],
        constants: dict[str, NDArray[np.generic]],
    ) -> None:
        helper = onnx.helper
        graph = helper.make_graph(
            nodes,
            path.stem,
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs],
            [
                onnx.numpy_helper.from_array(array, name)
                for name, array in {"last": np.array([2]), "first": np.array([1]), **constants}.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def save_checkpoint(folder: Path, parts: TinyParts, **changes: Any) -> Checkpoint:
    parts.save(folder)
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))  # noqa: S106  a word, no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    files = ["text.onnx", "image.onnx", "fusion.onnx", "tokenizer.json"]
    config = {
        "format_version": 1,
        "name": "tiny",
        "version": 3,
        "image_size": SIZE,
        "max_length": 30,
        "temperatures": TEMPERATURES,
        "conflict_threshold": 0.4,
        "languages": ["en"],
        "files": {name: file_hash(folder / name) for name in files},
    }
    (folder / "config.json").write_text(json.dumps(config | changes))
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def parts() -> TinyParts:
    return TinyParts()


@pytest.fixture(scope="module")
def checkpoint(parts: TinyParts, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return save_checkpoint(tmp_path_factory.mktemp("tiny"), parts)


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> OpenVinoEngine:
    return OpenVinoEngine(checkpoint, threads=1)


def picture(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 200, 3)
    return (base + rng.integers(0, 55, (SIZE, SIZE, 3))).astype(np.uint8)


def shares(opinion: Opinion | None) -> list[float]:
    assert opinion is not None
    values = [opinion.positive, opinion.neutral, opinion.negative]
    assert opinion.label == LABELS[int(np.argmax(values))]
    assert abs(sum(values) - 1) < 1e-6
    return values


requests_strategy = st.lists(
    st.builds(
        ScoringRequest,
        text=st.none()
        | st.lists(st.sampled_from([*"abcdefghij", "?"]), min_size=1, max_size=40).map(" ".join),
        pixels=st.none() | st.integers(0, 5).map(picture),
    ),
    max_size=3 * CHUNK_POSTS,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(requests=requests_strategy)
def test_openvino_gives_every_post_its_own_opinions_in_any_batch(
    engine: OpenVinoEngine, parts: TinyParts, requests: list[ScoringRequest]
) -> None:
    predictions = engine.score(requests)
    assert len(predictions) == len(requests)
    for request, prediction in zip(requests, predictions, strict=True):
        words = None if request.text is None else request.text.split()[:30]
        expected = {
            "text": None if words is None else parts.text(words),
            "image": None if request.pixels is None else parts.image(request.pixels),
            "fused": None if words is None or request.pixels is None else parts.fused(words, request.pixels),
        }
        for head, logits in expected.items():
            opinion = getattr(prediction, head)
            assert (opinion is None) == (logits is None)
            if logits is not None:
                assert shares(opinion) == pytest.approx(
                    softmax(logits, TEMPERATURES[head]).tolist(), abs=1e-4
                )


def test_openvino_conflict_and_weights_need_text_and_picture(engine: OpenVinoEngine) -> None:
    both, text_only, image_only, neither = engine.score(
        [
            ScoringRequest("a b", picture(1)),
            ScoringRequest("a b", None),
            ScoringRequest(None, picture(1)),
            ScoringRequest(None, None),
        ]
    )
    text, image = shares(both.text), shares(both.image)
    assert both.conflict == pytest.approx(text[0] * image[2] + text[2] * image[0])
    assert both.weights is not None
    assert both.weights.text + both.weights.image == pytest.approx(1)
    assert shares(text_only.text) == pytest.approx(text, abs=1e-3)
    assert shares(image_only.image) == pytest.approx(image, abs=1e-3)
    for prediction in (text_only, image_only, neither):
        assert (prediction.fused, prediction.conflict, prediction.weights) == (None, None, None)
    assert neither == Prediction()


CALIBRATION = ConflictCalibration(slope=2.0, intercept=-1.0, prior=0.1)


@pytest.mark.parametrize("prior", [None, 0.1, 0.01])
def test_conflict_is_the_calibrated_probability_at_the_streams_prior(
    engine: OpenVinoEngine, parts: TinyParts, tmp_path: Path, prior: float | None
) -> None:
    """The share that is set changes conflict alone, and no threshold: a flag means the same everywhere."""
    saved = save_checkpoint(tmp_path, parts, conflict_calibration=CALIBRATION.model_dump())
    settings = Settings(engine="openvino", checkpoint=saved.folder, engine_threads=1, conflict_prior=prior)
    requests = [ScoringRequest("a b", picture(1)), ScoringRequest("c", picture(2))]
    scores = [found.conflict for found in engine.score(requests)]
    with create_engine(settings) as calibrated:
        predictions = calibrated.score(requests)
        assert calibrated.conflict_threshold == engine.conflict_threshold
    expected = CALIBRATION.at(prior or 0.1).probability(scores)
    assert [found.conflict for found in predictions] == pytest.approx(expected.tolist(), abs=1e-3)
    assert len({round(value, 3) for value in [*scores, *expected]}) == 4
    assert predictions[0].text == engine.score(requests)[0].text


@pytest.mark.parametrize("name", ["stub", "openvino"])
def test_a_prior_for_a_conflict_that_is_no_probability_is_refused(checkpoint: Checkpoint, name: Any) -> None:
    settings = Settings(engine=name, checkpoint=checkpoint.folder, engine_threads=1, conflict_prior=0.05)
    with pytest.raises(SettingsError, match=r"MMSENT_CONFLICT_PRIOR=0.05.*unset it"):
        create_engine(settings)


def test_openvino_runs_each_part_only_for_the_posts_that_need_it(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: dict[str, list[int]] = {"_text": [], "_image": [], "_fusion": []}
    lengths: set[int] = set()
    for name, counts in rows.items():
        part = getattr(engine, name)

        def counted(part=part, counts=counts, **inputs):
            counts.append(len(next(iter(inputs.values()))))
            lengths.update(array.shape[1] for key, array in inputs.items() if key == "input_ids")
            return part(**inputs)

        monkeypatch.setattr(engine, name, counted)
    engine.score([ScoringRequest("a", None)] * 11 + [ScoringRequest("b " * 20, None)])
    assert {name: sorted(counts) for name, counts in rows.items()} == {
        "_text": [1, 1, 2, 8],
        "_image": [],
        "_fusion": [],
    }
    assert lengths == {8, 24}
    for counts in rows.values():
        counts.clear()
    engine.score(
        [ScoringRequest(None, picture(1)), ScoringRequest("a", picture(2)), ScoringRequest("a", None)]
    )
    assert {name: sum(counts) for name, counts in rows.items()} == {"_text": 2, "_image": 2, "_fusion": 1}


def test_openvino_reads_a_picture_that_posts_share_once(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [ScoringRequest("a", picture(seed)) for seed in (1, 2, 1, 3, 2)]
    alone = [engine.score([request])[0].image for request in requests]
    read: list[int] = []
    part = engine._image

    def counted(**inputs: NDArray[np.uint8]):
        read.append(len(inputs["pixel_values"]))
        return part(**inputs)

    monkeypatch.setattr(engine, "_image", counted)
    for prediction, opinion in zip(engine.score(requests), alone, strict=True):
        assert prediction.image is not None
        assert opinion is not None
        assert shares(prediction.image) == pytest.approx(shares(opinion), abs=1e-3)
    assert sum(read) == 3


def test_openvino_estimates_sizes_for_the_batcher(engine: OpenVinoEngine) -> None:
    assert engine.size(ScoringRequest(None, picture(1))).tokens == 0
    assert engine.size(ScoringRequest(None, picture(1))).images == 1
    assert engine.size(ScoringRequest("a" * 40, None)).tokens == 12
    assert engine.size(ScoringRequest("a" * 40_000, None)).tokens == 30
    assert engine.size(ScoringRequest("", None)).tokens > 0


def test_openvino_takes_what_the_checkpoint_says(engine: OpenVinoEngine) -> None:
    assert (engine.model_id, engine.image_size, engine.conflict_threshold) == ("tiny@3", SIZE, 0.4)
    assert engine.judges("en-GB")
    assert not engine.judges("de")


def test_openvino_precision_does_not_depend_on_the_processor() -> None:
    properties = cpu_properties(threads=3)
    assert properties["INFERENCE_PRECISION_HINT"] == "f32"
    assert properties["INFERENCE_NUM_THREADS"] == 3
    assert "INFERENCE_NUM_THREADS" not in cpu_properties(threads=0)


def test_not_a_number_from_a_part_is_an_error(parts: TinyParts, tmp_path: Path) -> None:
    broken = TinyParts()
    broken.embedding[WORDS["c"]] = np.nan
    engine = OpenVinoEngine(save_checkpoint(tmp_path, broken), threads=1)
    with pytest.raises(EngineError, match="not a finite number"):
        engine.score([ScoringRequest("a", None), ScoringRequest("c", None)])
    assert engine.score([ScoringRequest("a", None)])[0].text is not None


def test_a_part_that_is_no_model_is_a_clear_error(parts: TinyParts, tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, parts)
    (tmp_path / "fusion.onnx").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match=r"fusion\.onnx .* export it again"):
        OpenVinoEngine(checkpoint)


def test_a_picture_of_another_size_is_an_engine_error(engine: OpenVinoEngine) -> None:
    with pytest.raises(EngineError, match="32"):
        engine.score([ScoringRequest(None, np.zeros((40, 40, 3), np.uint8))])


def test_settings_choose_openvino_and_its_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    chosen = create_engine(Settings(engine="auto", checkpoint=checkpoint.folder, engine_threads=1))
    assert isinstance(chosen, OpenVinoEngine)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        create_engine(Settings(engine="openvino", checkpoint=tmp_path))
