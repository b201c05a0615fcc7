"""The network on a tiny random configuration: what may influence what."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from mmsent.errors import InputError  # noqa: E402  after the skip
from mmsent.model.fusion import FusionConfig, FusionModel  # noqa: E402  imports torch

REGIONS = 4


@pytest.fixture(scope="module")
def model() -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(FusionConfig.tiny()).eval()


def texts(*lengths: int, width: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids of these lengths, padded with zeros to `width`."""
    generator = torch.Generator().manual_seed(sum(lengths))
    longest = width or max(lengths)
    mask = (torch.arange(longest)[None] < torch.tensor(lengths)[:, None]).long()
    return torch.randint(1, 30_000, (len(lengths), longest), generator=generator) * mask, mask


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def judge(
    model: FusionModel,
    text: tuple[torch.Tensor, torch.Tensor],
    picture: torch.Tensor,
    image_mask: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    text_hidden, text_logits = model.encode_text(*text)
    image_hidden, image_logits = model.encode_image(picture)
    mask = torch.ones(len(picture), REGIONS, dtype=torch.long) if image_mask is None else image_mask
    fused, weights = model.fuse(text_hidden, text[1], image_hidden, mask)
    return {"text": text_logits, "image": image_logits, "fused": fused, "weights": weights}


def test_shapes(model: FusionModel) -> None:
    input_ids, attention_mask = texts(5, 3)
    text_hidden, text_logits = model.encode_text(input_ids, attention_mask)
    image_hidden, image_logits = model.encode_image(pictures(2))
    assert text_hidden.shape == (2, 5, 16)
    assert image_hidden.shape == (2, REGIONS, 16)
    assert text_logits.shape == image_logits.shape == (2, 3)


def test_attention_shares_sum_to_one(model: FusionModel) -> None:
    weights = judge(model, texts(5, 3), pictures(2))["weights"]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert (weights > 0).all()


def test_each_opinion_stands_on_its_own_modality(model: FusionModel) -> None:
    """What the text says is the same bit for bit with any picture, and the other way round."""
    first = judge(model, texts(6, 4), pictures(2, seed=1))
    other_pictures = judge(model, texts(6, 4), pictures(2, seed=2))
    no_pictures = judge(model, texts(6, 4), pictures(2, seed=1), torch.zeros(2, REGIONS, dtype=torch.long))
    other_texts = judge(model, texts(9, 2), pictures(2, seed=1))
    assert torch.equal(first["text"], other_pictures["text"])
    assert torch.equal(first["text"], no_pictures["text"])
    assert torch.equal(first["image"], other_texts["image"])
    assert not torch.allclose(first["fused"], other_pictures["fused"])
    assert not torch.allclose(first["fused"], other_texts["fused"])


def test_alone_is_the_same_as_in_a_padded_batch(model: FusionModel) -> None:
    input_ids, attention_mask = texts(4, 11)
    batch = judge(model, (input_ids, attention_mask), pictures(2))
    alone = judge(model, (input_ids[:1, :4], attention_mask[:1, :4]), pictures(2)[:1])
    for name, values in alone.items():
        torch.testing.assert_close(values[0], batch[name][0], rtol=1e-4, atol=1e-5)


def test_a_masked_picture_leaves_no_trace(model: FusionModel) -> None:
    masked = torch.zeros(1, REGIONS, dtype=torch.long)
    first = judge(model, texts(5), pictures(1, seed=1), masked)
    second = judge(model, texts(5), pictures(1, seed=2) * 100, masked)
    assert torch.equal(first["fused"], second["fused"])
    assert first["weights"].tolist() == [[1.0, 0.0]]


def test_a_masked_text_leaves_no_trace(model: FusionModel) -> None:
    image_hidden, _ = model.encode_image(pictures(1))
    nothing, present = torch.zeros(1, 7, dtype=torch.long), torch.ones(1, REGIONS, dtype=torch.long)
    first, weights = model.fuse(torch.randn(1, 7, 16), nothing, image_hidden, present)
    second, _ = model.fuse(torch.randn(1, 7, 16) * 100, nothing, image_hidden, present)
    assert torch.equal(first, second)
    assert weights.tolist() == [[0.0, 1.0]]


def test_a_missing_picture_does_not_disturb_its_neighbours(model: FusionModel) -> None:
    everything = judge(model, texts(5, 5), pictures(2))
    mask = torch.tensor([[1] * REGIONS, [0] * REGIONS])
    second_missing = judge(model, texts(5, 5), pictures(2), mask)
    torch.testing.assert_close(everything["fused"][0], second_missing["fused"][0])
    assert not torch.allclose(everything["fused"][1], second_missing["fused"][1])


def test_a_post_with_neither_gives_numbers(model: FusionModel) -> None:
    absent = torch.zeros(1, REGIONS, dtype=torch.long)
    fused, weights = model.fuse(torch.randn(1, 3, 16), absent[:, :3], torch.randn(1, REGIONS, 16), absent)
    assert fused.isfinite().all()
    assert weights.tolist() == [[0.0, 0.0]]


def test_saved_weights_give_the_same_model(model: FusionModel, tmp_path: Path) -> None:
    from safetensors.torch import save_file  # noqa: PLC0415  after the skip

    from mmsent.training.train import load_trained  # noqa: PLC0415  after the skip

    save_file(model.state_dict(), tmp_path / "model.safetensors")
    model.config.save(tmp_path / "config.json")
    loaded = load_trained(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(
        judge(model, texts(5), pictures(1))["fused"], judge(loaded, texts(5), pictures(1))["fused"]
    )


def test_a_config_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"width": 16}')
    with pytest.raises(InputError, match="no model configuration"):
        FusionConfig.load(path)


def test_batch_statistics_stay_those_of_pre_training(model: FusionModel) -> None:
    model.train()
    before = model.image_encoder.bn1.running_mean.clone()
    model.encode_image(pictures(2))
    model.eval()
    assert torch.equal(model.image_encoder.bn1.running_mean, before)
