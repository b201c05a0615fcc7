"""What must hold of any model, tried on a tiny random one: alone, in company, saved, exported, trained."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("nncf", reason="needs the extra `train`")

import onnxruntime  # noqa: E402  after the skip

from mmsent.engine.base import Prediction, ScoringRequest  # noqa: E402  after the skip
from mmsent.engine.openvino import OpenVinoEngine  # noqa: E402  after the skip
from mmsent.errors import CheckpointError, InputError  # noqa: E402  after the skip
from mmsent.model.checkpoint import PART_FILES, load_checkpoint  # noqa: E402  after the skip
from mmsent.model.fusion import FusionConfig, FusionModel  # noqa: E402  imports torch
from mmsent.model.inputs import TextTokenizer, pad_tokens, pixel_values, softmax  # noqa: E402  after the skip
from mmsent.training.curves import write_curves  # noqa: E402  after the skip
from mmsent.training.data import LabelledText  # noqa: E402  after the skip
from mmsent.training.export import export_parts, write_config  # noqa: E402  after the skip
from mmsent.training.fit import Schedule, fit  # noqa: E402  after the skip
from mmsent.training.recipe import TextRecipe  # noqa: E402  after the skip
from mmsent.training.text_stage import TextTask, tokenizer_file  # noqa: E402  after the skip

CONFIG = FusionConfig.preset("tiny")
REGIONS = (CONFIG.image_size // 32) ** 2
TOLERANCE = 1e-5  # of logits, whatever stands beside a post
ENGINES_TOLERANCE = 1e-4  # of probabilities, between torch, ONNX Runtime and OpenVINO in float32
LOVELY, AWFUL = "what a lovely morning", "an awful and broken train"


@dataclass(frozen=True)
class Post:
    """Token ids, and the number of a picture or None."""

    token_ids: tuple[int, ...]
    picture: int | None


posts_of_a_batch = st.lists(
    st.builds(
        Post,
        token_ids=st.lists(st.integers(1, 30_000), max_size=CONFIG.max_length).map(tuple),
        picture=st.none() | st.integers(0, 3),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def model() -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(CONFIG).eval()


def picture(number: int) -> NDArray[np.uint8]:
    shape = (CONFIG.image_size, CONFIG.image_size, 3)
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


@torch.inference_mode()
def judge(model: FusionModel, posts: Sequence[Post], padding: int = 0) -> dict[str, torch.Tensor]:
    """Logits of every head, and the shares of attention; a missing picture is a masked black one."""
    input_ids, attention_mask = map(torch.from_numpy, pad_tokens([post.token_ids for post in posts]))
    padding = padding or int(input_ids.shape[1] == 0)
    input_ids, attention_mask = (
        torch.nn.functional.pad(each, (0, padding)) for each in (input_ids, attention_mask)
    )
    black = np.zeros_like(picture(0))
    pictures = [black if post.picture is None else picture(post.picture) for post in posts]
    present = torch.tensor([[int(post.picture is not None)] * REGIONS for post in posts])
    return read(model, input_ids, attention_mask, torch.from_numpy(pixel_values(pictures)), present)


def read(
    model: FusionModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    pixels: torch.Tensor,
    image_mask: torch.Tensor,
) -> dict[str, torch.Tensor]:
    text_hidden, text_logits = model.encode_text(input_ids, attention_mask)
    image_hidden, image_logits = model.encode_image(pixels)
    fused, weights = model.fuse(text_hidden, attention_mask, image_hidden, image_mask)
    return {"text": text_logits, "image": image_logits, "fused": fused, "weights": weights}


@settings(deadline=None, max_examples=25)
@given(posts=posts_of_a_batch, padding=st.integers(0, 8))
def test_alone_is_the_same_as_in_any_padded_batch(
    model: FusionModel, posts: list[Post], padding: int
) -> None:
    """Whatever the neighbours are, how long their texts, and which of their pictures are missing."""
    batch = judge(model, posts, padding)
    for row, post in enumerate(posts):
        for name, values in judge(model, [post]).items():
            torch.testing.assert_close(values[0], batch[name][row], rtol=0, atol=TOLERANCE)


@settings(deadline=None, max_examples=15)
@given(posts=posts_of_a_batch, data=st.data())
def test_order_is_irrelevant(model: FusionModel, posts: list[Post], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(posts))))
    straight, shuffled = judge(model, posts), judge(model, [posts[row] for row in order])
    for name, values in straight.items():
        torch.testing.assert_close(values[order], shuffled[name], rtol=0, atol=TOLERANCE)


def test_each_opinion_stands_on_its_own_modality(model: FusionModel) -> None:
    """What the text says is the same bit for bit with any picture, and the other way round."""
    first, other_picture, no_picture, other_text = (
        judge(model, [post])
        for post in (Post((1, 2, 3), 0), Post((1, 2, 3), 1), Post((1, 2, 3), None), Post((9, 8, 7), 0))
    )
    assert torch.equal(first["text"], other_picture["text"])
    assert torch.equal(first["text"], no_picture["text"])
    assert torch.equal(first["image"], other_text["image"])
    for other in (other_picture, no_picture, other_text):
        assert not torch.allclose(first["fused"], other["fused"])


@settings(deadline=None, max_examples=15)
@given(posts=posts_of_a_batch)
def test_attention_is_shared_by_what_is_there(model: FusionModel, posts: list[Post]) -> None:
    for post, (text, image) in zip(posts, judge(model, posts)["weights"].tolist(), strict=True):
        assert (text > 0) is bool(post.token_ids)
        assert (image > 0) is (post.picture is not None)
        assert text + image == pytest.approx(1 if post.token_ids or post.picture is not None else 0)


def test_what_is_masked_leaves_no_trace(model: FusionModel) -> None:
    """Bit for bit, whatever stands behind the mask."""
    text, regions = torch.randn(1, 7, CONFIG.width), torch.randn(1, REGIONS, CONFIG.width)
    words, seen = torch.ones(1, 7, dtype=torch.long), torch.ones(1, REGIONS, dtype=torch.long)
    for masks in ((words * 0, seen), (words, seen * 0), (words * 0, seen * 0)):
        first, _ = model.fuse(text, masks[0], regions, masks[1])
        hidden_text = torch.where(masks[0][..., None].bool(), text, text * 100 + 3)
        hidden_regions = torch.where(masks[1][..., None].bool(), regions, regions * 100 + 3)
        second, _ = model.fuse(hidden_text, masks[0], hidden_regions, masks[1])
        assert torch.equal(first, second)
        assert first.isfinite().all()


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e30])
def test_a_neighbours_broken_picture_changes_nothing(model: FusionModel, broken: float) -> None:
    input_ids, pixels = torch.randint(1, 30_000, (2, 6)), torch.randn(2, 3, 64, 64)
    mask, seen = torch.ones_like(input_ids), torch.ones(2, REGIONS, dtype=torch.long)
    whole = read(model, input_ids, mask, pixels, seen)
    pixels[1] = broken
    for name, values in read(model, input_ids, mask, pixels, seen).items():
        torch.testing.assert_close(values[0], whole[name][0], rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module")
def saved(model: FusionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for torch and for OpenVINO, in float32."""
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder)
    export_parts(model, folder)
    write_config(model, folder, "tiny", 1, conflict_threshold=0.5)
    return folder


@pytest.fixture(scope="module")
def engine(saved: Path) -> Iterator[OpenVinoEngine]:
    with OpenVinoEngine(load_checkpoint(saved), threads=1) as opened:
        yield opened


def shares(prediction: Prediction) -> NDArray[np.float64]:
    """The opinions that are there (N, 3)."""
    opinions = [each for each in (prediction.text, prediction.image, prediction.fused) if each is not None]
    return np.array([(each.positive, each.neutral, each.negative) for each in opinions])


def test_empty_text_has_an_opinion_like_any_other(engine: OpenVinoEngine) -> None:
    """`has_text` keeps them from the model; should one come through, it is judged alone and harms nobody."""
    alone = engine.score([ScoringRequest(LOVELY, picture(0))])[0]
    together = engine.score([ScoringRequest("", picture(1)), ScoringRequest(LOVELY, picture(0))])
    assert np.isfinite(shares(together[0])).all()
    assert shares(together[1]) == pytest.approx(shares(alone), abs=TOLERANCE)


def test_a_text_of_10_000_characters_is_read_as_far_as_the_model_reads(engine: OpenVinoEngine) -> None:
    beginning = (LOVELY + " ") * 40
    long = beginning + "x" * (10_000 - len(beginning))
    assert len(long) == 10_000
    whole, part, neighbour = engine.score(
        [ScoringRequest(long, None), ScoringRequest(beginning, None), ScoringRequest(AWFUL, None)]
    )
    assert shares(whole) == pytest.approx(shares(part), abs=TOLERANCE)
    assert shares(neighbour) == pytest.approx(
        shares(engine.score([ScoringRequest(AWFUL, None)])[0]), abs=TOLERANCE
    )


def test_torch_onnx_runtime_and_openvino_agree(
    model: FusionModel, saved: Path, engine: OpenVinoEngine
) -> None:
    texts, pixels = [LOVELY, AWFUL, "no"], [picture(number) for number in range(3)]
    token_ids = TextTokenizer(saved / "tokenizer.json", CONFIG.max_length).encode(texts)
    torch_logits = judge(model, [Post(tuple(ids), row) for row, ids in enumerate(token_ids)])
    onnx_logits = onnx_runtime(saved, token_ids, pixels)
    predictions = engine.score([ScoringRequest(*each) for each in zip(texts, pixels, strict=True)])
    for place, head in enumerate(("text", "image", "fused")):
        expected = softmax(torch_logits[head].numpy())
        assert np.ptp(expected, axis=0).max() > 10 * ENGINES_TOLERANCE  # or all would agree on anything
        assert softmax(onnx_logits[head]) == pytest.approx(expected, abs=ENGINES_TOLERANCE)
        found = np.array([shares(prediction)[place] for prediction in predictions])
        assert found == pytest.approx(expected, abs=ENGINES_TOLERANCE)
    attention = np.array([(each.weights.text, each.weights.image) for each in predictions if each.weights])
    assert attention == pytest.approx(torch_logits["weights"].numpy(), abs=ENGINES_TOLERANCE)


def onnx_runtime(
    folder: Path, token_ids: list[list[int]], pixels: list[NDArray[np.uint8]]
) -> dict[str, NDArray[np.float32]]:
    """The second opinion on the exported parts."""
    text, image, fusion = (
        onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
        for file in PART_FILES.values()
    )
    input_ids, attention_mask = pad_tokens(token_ids)
    words, text_logits = text.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})
    regions, image_logits = image.run(None, {"pixel_values": pixel_values(pixels)})
    inputs = {"text_hidden": words, "attention_mask": attention_mask, "image_hidden": regions}
    fused, _ = fusion.run(None, inputs | {"image_mask": np.ones(regions.shape[:2], np.int64)})
    return {"text": text_logits, "image": image_logits, "fused": fused}


def test_saved_and_loaded_is_the_same(model: FusionModel, saved: Path, tmp_path: Path) -> None:
    """From the folder that also holds the ONNX parts, bit for bit, and file for file when saved again."""
    loaded = FusionModel.from_pretrained(saved)
    assert loaded.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    loaded.save_pretrained(tmp_path)
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


def test_half_precision_is_half_the_size_and_nearly_the_same(model: FusionModel, tmp_path: Path) -> None:
    half = FusionModel(CONFIG)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(tmp_path)
    loaded = FusionModel.from_pretrained(tmp_path)
    weights = sum(tensor.numel() for tensor in model.state_dict().values())
    assert (tmp_path / "model.safetensors").stat().st_size < 2.05 * weights
    assert loaded.text_head.weight.dtype == torch.float32
    post = Post((101, 2_000, 3_000, 102), 0)
    for name, values in judge(model, [post]).items():
        torch.testing.assert_close(judge(loaded, [post])[name], values, rtol=0, atol=5e-3)


def test_parts_that_do_not_fit_the_config_are_refused_at_once(
    model: FusionModel, saved: Path, tmp_path: Path
) -> None:
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = FusionModel(FusionConfig.preset("tiny", image_size=96))
    write_config(other, tmp_path, "tiny", 1, conflict_threshold=0.5)
    with pytest.raises(CheckpointError, match=r"its pictures .*export it again"):
        OpenVinoEngine(load_checkpoint(tmp_path), threads=1)
    (tmp_path / "text.onnx").write_bytes((saved / "image.onnx").read_bytes())
    write_config(model, tmp_path, "tiny", 1, conflict_threshold=0.5)
    with pytest.raises(CheckpointError, match=r"text\.onnx is another part"):
        OpenVinoEngine(load_checkpoint(tmp_path), threads=1)


class KilledError(Exception):
    """Stands for a kill between two steps."""


LESSON = TextRecipe(batch_size=4, rate=5e-3)


class LessonTask(TextTask):
    """Eight batches of praise and blame, with dropout; killed before the given step, if any."""

    def __init__(self, killed_at: int | None = None) -> None:
        torch.manual_seed(5)
        texts = [LabelledText(f"{(LOVELY, AWFUL)[n % 2]} {n}", 2 * (n % 2)) for n in range(32)]
        tokenizer = TextTokenizer(tokenizer_file(CONFIG), CONFIG.max_length)
        super().__init__(FusionModel(CONFIG), tokenizer, texts, texts[:4], recipe=LESSON)
        self.left = killed_at

    def loss(self, batch: list[int]) -> Any:
        if self.left is not None:
            if self.left == 0:
                raise KilledError
            self.left -= 1
        return super().loss(batch)


@pytest.mark.parametrize("killed_at", [1, 11])
def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path, killed_at: int) -> None:
    schedule = Schedule(epochs=2, snapshot_steps=3)
    whole = LessonTask()
    history = fit(whole, schedule, tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(LessonTask(killed_at), schedule, tmp_path / "killed")
    resumed = LessonTask()
    assert fit(resumed, schedule, tmp_path / "killed") == history
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor)


def test_the_curve_counts_steps_from_the_start_of_the_run(tmp_path: Path) -> None:
    fit(LessonTask(), Schedule(epochs=6, patience=6), tmp_path)
    write_curves("text", tmp_path)
    steps = json.loads((tmp_path / "text.curves.json").read_text())["steps"]
    assert [(epoch, step) for epoch, step, _ in steps] == [(2, 20), (4, 40)]


def test_a_run_of_other_arguments_is_not_resumed(tmp_path: Path) -> None:
    fit(LessonTask(), Schedule(epochs=1), tmp_path)
    with pytest.raises(InputError, match="other arguments"):
        fit(LessonTask(), Schedule(epochs=2), tmp_path)
    assert len(fit(LessonTask(), Schedule(epochs=2), tmp_path, resume=False)) == 2


def test_a_run_of_other_labels_is_not_resumed(tmp_path: Path) -> None:
    fit(LessonTask(), Schedule(epochs=1), tmp_path)
    corrected = LessonTask()
    corrected.labels[0] = 1
    with pytest.raises(InputError, match="or data"):
        fit(corrected, Schedule(epochs=1), tmp_path)


def test_a_damaged_snapshot_says_how_to_begin_anew(tmp_path: Path) -> None:
    fit(LessonTask(), Schedule(epochs=1), tmp_path)
    snapshot = tmp_path / "text.state.pt"
    whole = snapshot.read_bytes()
    for damaged in (whole[:1000], b"", b"no snapshot"):
        snapshot.write_bytes(damaged)
        with pytest.raises(InputError, match=r"text\.state\.pt is damaged: .*--no-resume"):
            fit(LessonTask(), Schedule(epochs=1), tmp_path)


def test_a_warm_up_of_one_step_is_no_division_by_zero(tmp_path: Path) -> None:
    assert len(fit(LessonTask(), Schedule(epochs=1, warm_up=1 / 8), tmp_path)) == 1


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    class WildTask(LessonTask):
        def loss(self, batch: list[int]) -> Any:
            return super().loss(batch) * float("nan")

    with pytest.raises(InputError, match="lower the rate"):
        fit(WildTask(), Schedule(epochs=1), tmp_path)


def test_training_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    class WorseTask(LessonTask):
        judged = 0

        def judge(self) -> dict[str, float]:
            self.judged += 1
            return {"selection": -float(self.judged)}

    assert len(fit(WorseTask(), Schedule(epochs=9, patience=2), tmp_path)) == 3


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    task = LessonTask()
    before = mean_loss(task)
    fit(task, Schedule(epochs=4), tmp_path)
    assert mean_loss(task) < 0.7 * before


@torch.inference_mode()
def mean_loss(task: TextTask) -> float:
    task.model.eval()
    return float(np.mean([float(task.loss(batch)) for batch in task.batches(0)]))
