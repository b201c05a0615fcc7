"""How the fusion stage reads, withholds, freezes and modulates, on the tiny preset."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from torch import Tensor  # noqa: E402  after the skip

from mmsent.errors import InputError  # noqa: E402  after the skip
from mmsent.model.fusion import FusionConfig, FusionModel  # noqa: E402  after the skip
from mmsent.training.data import IGNORED, LabelledPost, LabelledText, class_weights  # noqa: E402  after the skip
from mmsent.training.device import autocast  # noqa: E402  after the skip
from mmsent.training.fusion_stage import (  # noqa: E402  after the skip
    FusionJudge,
    FusionTask,
    TextReader,
    freeze,
    withheld,
)
from mmsent.training.modulation import coefficients, modulated, shares_of_success  # noqa: E402
from mmsent.training.recipe import FusionRecipe, Recipe  # noqa: E402  after the skip

TINY = FusionConfig.preset("tiny")


def test_words_that_are_kept_are_those_that_are_read() -> None:
    model = FusionModel(TINY)
    token_ids = [[101, 7, 102], [101, 8, 9, 10, 102], [101, 102]]
    kept, fresh = TextReader(model, token_ids, kept=True), TextReader(model.eval(), token_ids)
    for reader, rows in ((kept, [1, 0]), (kept.part([2, 1, 0]), [1, 2])):
        (words, mask), (expected, expected_mask) = reader(rows), fresh([1, 0])
        assert torch.equal(mask, expected_mask)
        torch.testing.assert_close(words * mask[..., None], expected * mask[..., None], rtol=0, atol=2e-3)


def test_frozen_layers_learn_nothing() -> None:
    model = FusionModel(TINY.model_copy(update={"text_config": {**TINY.text_config, "num_hidden_layers": 2}}))
    freeze(model.text_encoder, 1)
    learning = {name for name, item in model.text_encoder.named_parameters() if item.requires_grad}
    assert learning
    assert all(name.startswith("encoder.layer.1.") for name in learning)


def test_an_encoder_that_shares_its_layers_cannot_be_frozen_in_part() -> None:
    sizes = {"model_type": "albert", "hidden_size": 16, "embedding_size": 8, "intermediate_size": 32}
    albert = {**sizes, "num_hidden_layers": 3, "num_attention_heads": 2, "max_position_embeddings": 64}
    model = FusionModel(TINY.model_copy(update={"text_config": albert}))
    freeze(model.text_encoder, 0)
    with pytest.raises(InputError, match="frozen_layers = 0"):
        freeze(model.text_encoder, 1)


class OneBatch:
    """A batch of four posts, one without labels, and three texts beside."""

    def __init__(self, recipe: FusionRecipe) -> None:
        torch.manual_seed(3)
        model = FusionModel(TINY.model_copy(update={"dropout": 0.0}))
        labels = ((0, 0, 0), (1, 2, 1), (2, 0, 2), (IGNORED, IGNORED, IGNORED))
        posts = [
            LabelledPost(str(number), "train", "", Path(), label=post, text_label=text, image_label=image)
            for number, (post, text, image) in enumerate(labels)
        ]
        token_ids = [[101, 5 + number, 102] for number in range(7)]
        self.maps = np.random.default_rng(0).normal(size=(4, model.image_encoder.width, 2, 2))
        judge = FusionJudge(TextReader(model, token_ids[:4]), posts, self.maps.astype(np.float16))
        self.task = FusionTask(
            model,
            TextReader(model, token_ids),
            posts,
            [self.maps.astype(np.float16)],
            [LabelledText("", label) for label in (0, 0, 2)],
            judge=judge,
            recipe=recipe,
        )

    def gradients(self, rows: list[int]) -> dict[str, Tensor]:
        torch.manual_seed(4)
        self.task.loss(rows).backward()
        named = self.task.model.named_parameters()
        return {name: item.grad for name, item in named if item.grad is not None}


EVERYTHING = [0, 1, 2, 3, 4, 5, 6]


def test_without_pictures_fusion_does_not_see_them() -> None:
    losses = set()
    for shift in (0, 1):
        batch = OneBatch(FusionRecipe(pictures=False))
        batch.task.views = [(batch.maps + shift).astype(np.float16)]
        losses.add(float(batch.task.loss(EVERYTHING).detach()))
    assert len(losses) == 1


def test_modulation_leaves_the_text_heads_gradient_as_it_was() -> None:
    plain, modulated_ = (
        OneBatch(FusionRecipe(modulation=alpha)).gradients(EVERYTHING) for alpha in (0.0, 0.5)
    )
    torch.testing.assert_close(plain["text_head.weight"], modulated_["text_head.weight"])
    torch.testing.assert_close(plain["fused_head.1.weight"], modulated_["fused_head.1.weight"])
    assert not torch.allclose(plain["text_projection.0.weight"], modulated_["text_projection.0.weight"])


def test_unimodal_losses_teach_fusion_what_each_half_feels() -> None:
    plain, weighed = (
        float(OneBatch(FusionRecipe(unimodal_weight=weight)).task.loss(EVERYTHING).detach())
        for weight in (0, 2)
    )
    assert weighed > plain


def test_posts_without_labels_teach_nothing() -> None:
    batch = OneBatch(FusionRecipe())
    assert float(batch.task.loss([3]).detach()) == 0
    assert all(not gradient.any() for gradient in batch.gradients([3]).values())


def test_rare_labels_weigh_more_when_they_are_to() -> None:
    labels = [0] * 6 + [1] * 3 + [2] * 3 + [IGNORED] * 5
    assert class_weights(labels, 0).tolist() == [1, 1, 1]
    weights = class_weights(labels, 1)
    assert (weights * torch.tensor([6, 3, 3])).tolist() == pytest.approx([4, 4, 4])


def test_texts_beside_the_posts_weigh_as_in_the_text_stage() -> None:
    batch = OneBatch(FusionRecipe(label_smoothing=0, texts_balance=1))
    model = batch.task.model
    with torch.inference_mode(), autocast(torch.device("cpu")):
        opinions = [
            model.read_words(*batch.task.reader([row]))[1].float().log_softmax(1)[0] for row in (4, 5, 6)
        ]
    weighed = -(opinions[0][0] / 2 + opinions[1][0] / 2 + opinions[2][2]) / 2
    assert float(batch.task.loss([3, 4, 5, 6]).detach()) == pytest.approx(float(weighed), rel=1e-4)


def test_one_modality_at_most_is_withheld_from_a_post() -> None:
    torch.manual_seed(0)
    text, picture = withheld(torch.ones(4_000, 3), torch.ones(4_000, 2), 0.3)
    without_text, without_picture = (mask.sum(dim=1) == 0 for mask in (text, picture))
    assert not (without_text & without_picture).any()
    assert without_text.float().mean() == pytest.approx(0.15, abs=0.02)
    assert without_picture.float().mean() == pytest.approx(0.15, abs=0.02)
    assert set(text.sum(dim=1).tolist()) == {0.0, 3.0}


def test_the_modality_that_succeeds_learns_slower() -> None:
    labels = torch.tensor([0, 2, IGNORED])
    sure, unsure = torch.tensor([[4.0, 0, 0], [0, 0, 4.0], [9.0, 0, 0]]), torch.zeros(3, 3)
    text, picture = shares_of_success(sure, unsure, labels)
    assert float(text) > 1.8
    assert float(picture) == pytest.approx(2 / 3)
    slowed, whole = coefficients((text, picture), 0.3)
    assert (slowed, whole) == (pytest.approx(1 - float(torch.tanh(0.3 * text / picture))), 1.0)
    assert coefficients((picture, text), 0.3) == (whole, slowed)


def test_gradients_are_modulated_and_masked_places_stay_without() -> None:
    torch.manual_seed(0)
    words, regions = torch.ones(2, 400, 8, requires_grad=True), torch.ones(2, 400, 8, requires_grad=True)
    there = torch.ones(2, 400, 1)
    there[:, 200:] = 0

    def gradients(text: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        return torch.autograd.grad(((text + picture) * there).sum(), (words, regions))

    plain, _ = gradients(words, regions)
    slowed, whole = gradients(*modulated(words, regions, (torch.tensor(2.0), torch.tensor(1.0)), 0.5))
    assert float(slowed[:, :200].mean()) == pytest.approx(1 - float(torch.tanh(torch.tensor(1.0))), abs=0.05)
    assert float(whole[:, :200].mean()) == pytest.approx(1, abs=0.05)
    assert float(slowed[:, :200].std()) == pytest.approx(float(plain.std()), abs=0.05)
    assert not slowed[:, 200:].any()


def test_the_recipe_in_the_documentation_is_the_default() -> None:
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
    (recipe,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert Recipe.model_validate(tomllib.loads(recipe)) == Recipe(model={"preset": "default"})
    names = {
        name
        for stage in ("picture", "text", "fusion")
        for name in type(getattr(Recipe(), stage)).model_fields
    }
    assert names <= set(re.findall(r"^(\w+) =", recipe, re.MULTILINE))
