"""The network: which encoders it takes, how it is saved and found again, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from huggingface_hub import ModelCard  # noqa: E402  after the skip
from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: E402  after the skip
from safetensors.torch import save_file  # noqa: E402  after the skip
from torchvision.models import get_model  # noqa: E402  after the skip
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer  # noqa: E402  after the skip

from mmsent.errors import CheckpointError, InputError, SetupError  # noqa: E402  after the skip
from mmsent.model.fusion import PRESETS, FusionConfig, FusionModel, PictureEncoder  # noqa: E402  imports torch
from mmsent.model.inputs import TextTokenizer  # noqa: E402  after the skip

CONFIG = FusionConfig.preset("tiny")
REGIONS = 4
SMALL = {"vocab_size": 100, "max_position_embeddings": 40}
ENCODERS = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "roberta": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "mpnet": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
}


@pytest.fixture(scope="module")
def model() -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(CONFIG).eval()


@pytest.fixture(scope="module")
def saved(model: FusionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_args: Any, **_options: Any) -> None:
        raise LocalEntryNotFoundError("Cannot find an appropriate cached snapshot folder")

    monkeypatch.setattr("mmsent.model.fusion.snapshot_download", unreachable)
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing downloaded before


def test_a_folder_of_parts_alone_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "text.onnx")
    with pytest.raises(CheckpointError, match=r"holds no model\*\.safetensors: .*mmsent export"):
        FusionModel.from_pretrained(folder)


def test_shapes(model: FusionModel) -> None:
    input_ids = torch.randint(1, 30_000, (2, 5))
    text_hidden, text_logits = model.encode_text(input_ids, torch.ones_like(input_ids))
    image_hidden, image_logits = model.encode_image(torch.randn(2, 3, 64, 64))
    assert text_hidden.shape == (2, 5, 16)
    assert image_hidden.shape == (2, REGIONS, 16)
    assert text_logits.shape == image_logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("preset", "text_width", "image_width", "width"),
    [("default", 384, 512, 256), ("bert-resnet50", 768, 2048, 512), ("tiny", 16, 512, 16)],
)
def test_presets(preset: str, text_width: int, image_width: int, width: int) -> None:
    with torch.device("meta"):  # shapes without memory
        model = FusionModel(FusionConfig.preset(preset))
    assert model.text_projection[0].weight.shape == (width, text_width)
    assert model.image_projection[0].weight.shape == (width, image_width)
    assert model.config.width % model.config.fusion_heads == 0


def test_one_dropout_for_every_layer() -> None:
    model = FusionModel(FusionConfig.preset("tiny", dropout=0.3))
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}


def test_the_original_pair_is_pinned() -> None:
    config = FusionConfig.preset("bert-resnet50")
    assert config.text_encoder == "google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594"
    assert (config.image_encoder, config.image_weights) == ("resnet50", "IMAGENET1K_V2")
    assert (config.width, config.fusion_heads) == (512, 8)
    with torch.device("meta"):
        ours = FusionModel(config).text_encoder.state_dict()
        theirs = AutoModel.from_config(
            AutoConfig.for_model("bert")
        ).state_dict()  # its defaults are BERT-base
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items() if not name.startswith("pooler.")
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_every_resnet_of_torchvision_fits(name: Any) -> None:
    with torch.device("meta"):
        ours, theirs = PictureEncoder(name), get_model(name)
    expected = {key: tensor.shape for key, tensor in theirs.state_dict().items() if not key.startswith("fc.")}
    assert {key: tensor.shape for key, tensor in ours.state_dict().items()} == expected
    assert ours.width == theirs.fc.in_features


@pytest.mark.parametrize("kind", ENCODERS)
def test_any_encoder_of_berts_kind_starts_from_a_folder(kind: str, saved: Path, tmp_path: Path) -> None:
    theirs = AutoModelForMaskedLM.from_config(AutoConfig.for_model(kind, **SMALL, **ENCODERS[kind]))
    theirs.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((saved / "tokenizer.json").read_bytes())
    config = FusionConfig.of_encoders(str(tmp_path), "resnet18", max_length=32, width=16, image_size=64)
    model = FusionModel(config).eval()
    model.load_text_encoder()
    input_ids = torch.randint(5, 90, (2, 9))
    mask = torch.ones_like(input_ids)
    mask[1, 4:] = 0
    words = model.words(input_ids, mask)
    _, logits = model.read_words(words, mask)
    expected = theirs.eval().base_model(input_ids=input_ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(words[0], expected[0])
    torch.testing.assert_close(words[1, :4], expected[1, :4])
    alone = model.words(input_ids[1:, :4], mask[1:, :4])
    torch.testing.assert_close(words[1, :4], alone[0], rtol=0, atol=1e-5)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_config": {"model_type": "gpt2"}}, "'gpt2' is not of BERT's kind"),
        ({"text_config": {"model_type": "bart"}}, "plain encoder"),
        ({"max_length": 65}, "64 tokens, not 65"),
        ({"image_encoder": "vgg16"}, "image_encoder"),
        ({"width": 15}, "multiple of 2 fusion_heads"),
        ({"labels": ["good", "fair", "bad"]}, "labels"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FusionModel(FusionConfig.preset("tiny", **changes))


def test_an_unknown_preset_names_the_others() -> None:
    with pytest.raises(InputError, match=", ".join(PRESETS)):
        FusionConfig.preset("huge")


def test_saved_files_follow_the_hub(model: FusionModel, saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md")
    }
    card = ModelCard.load(saved / "README.md").data
    assert (card.license, card.language, card.pipeline_tag) == ("apache-2.0", "en", "text-classification")
    assert {"multimodal", "sentiment-analysis"} <= set(card.tags)
    assert card.datasets
    tokenizer = AutoTokenizer.from_pretrained(saved)
    assert tokenizer.model_max_length == model.config.max_length
    text = "such a lovely and quiet morning"
    assert TextTokenizer(saved / "tokenizer.json", 32).encode([text]) == [tokenizer(text)["input_ids"]]


def test_whoever_may_read_one_file_may_read_all(saved: Path) -> None:
    assert len({file.stat().st_mode for file in saved.iterdir()}) == 1


def test_a_large_model_is_saved_in_parts(
    model: FusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsent.model.fusion._LARGEST_FILE", "9MB")
    model.save_pretrained(tmp_path)
    parts = list(tmp_path.glob("model-*.safetensors"))
    assert len(parts) > 1
    assert max(path.stat().st_size for path in parts) < 11e6
    loaded = FusionModel.from_pretrained(tmp_path)
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(loaded.parameters(), model.parameters(), strict=True)
    )


def test_what_is_pushed_is_what_is_saved(
    model: FusionModel, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: dict[str, Any] = {}

    class FakeHub:
        def __init__(self, token: str | None) -> None:
            assert token is None

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> str:
            pushed[repo_id] = {path.name: path.read_bytes() for path in folder_path.iterdir()}
            return "a commit"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", FakeHub)
    assert model.push_to_hub("me/mmsent") == "a commit"
    assert pushed == {"me/mmsent": {path.name: path.read_bytes() for path in saved.iterdir()}}


def test_a_revision_of_the_hub_is_asked_for(
    model: FusionModel, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(saved)

    monkeypatch.setattr("mmsent.model.fusion.snapshot_download", download)
    loaded = FusionModel.from_pretrained("me/mmsent", revision="c0ffee", local_files_only=True)
    assert (asked["name"], asked["revision"], asked["local_files_only"]) == ("me/mmsent", "c0ffee", True)
    assert not any("bin" in pattern or pattern == "*" for pattern in asked["allow_patterns"])
    assert loaded.config == model.config


@pytest.mark.usefixtures("offline")
def test_where_no_hub_is_reachable_the_error_says_what_to_do() -> None:
    with pytest.raises(SetupError, match="hf download me/mmsent --revision c0ffee --local-dir FOLDER"):
        FusionModel.from_pretrained("me/mmsent", revision="c0ffee")
    with torch.device("meta"):
        model = FusionModel(FusionConfig.preset("bert-resnet50"))
    with pytest.raises(SetupError, match="hf download google-bert/bert-base-uncased --revision 86b5e09"):
        model.load_text_encoder()
    with pytest.raises(SetupError, match=r"resnet50-.*safetensors.*--image-weights"):
        model.load_image_encoder()
    with pytest.raises(SetupError, match="hf download nobody/bert"):
        FusionConfig.of_encoders("nobody/bert", "resnet18")


@pytest.mark.usefixtures("offline")
def test_the_default_text_encoder_needs_no_hub() -> None:
    model = FusionModel(FusionConfig.preset())
    before = model.text_encoder.embeddings.LayerNorm.weight.clone()
    model.load_text_encoder()
    assert not torch.equal(model.text_encoder.embeddings.LayerNorm.weight, before)
    assert "tokenizer.json" in model.tokenizer_files


def test_a_picture_encoder_starts_from_a_file_with_or_without_its_classifier(tmp_path: Path) -> None:
    theirs = get_model("resnet18")
    save_file(theirs.state_dict(), tmp_path / "resnet18.safetensors")
    model = FusionModel(FusionConfig.preset("tiny", image_encoder="resnet18"))
    model.load_image_encoder(tmp_path / "resnet18.safetensors")
    assert torch.equal(model.image_encoder.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    with pytest.raises(InputError, match=r"another model .*resnet10"):
        FusionModel(FusionConfig.preset("tiny")).load_image_encoder(tmp_path / "resnet18.safetensors")


def test_pickles_are_never_read(folder: Path, tmp_path: Path) -> None:
    model = FusionModel.from_pretrained(folder)
    pickled = tmp_path / "resnet.pth"
    torch.save(model.image_encoder.state_dict(), pickled)
    with pytest.raises(InputError, match=r"resnet\.pth is no \.safetensors file: pickles can run code"):
        model.load_image_encoder(pickled)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickles can run code"):
        FusionModel.from_pretrained(folder)
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    AutoConfig.for_model("bert", **SMALL, **ENCODERS["bert"]).save_pretrained(encoder)
    (encoder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    torch.save({}, encoder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"cannot start the text encoder .* model\.safetensors"):
        model.load_text_encoder(encoder)


def test_a_text_encoder_of_another_model_is_refused(model: FusionModel, folder: Path, tmp_path: Path) -> None:
    """A folder of other sizes, one whose weights are of something else, one without a tokenizer."""
    encoder = tmp_path / "encoder"
    AutoModel.from_config(AutoConfig.for_model("bert", **SMALL, **ENCODERS["bert"])).save_pretrained(encoder)
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        model.load_text_encoder(encoder)
    (encoder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    with pytest.raises(InputError, match="size mismatch"):
        model.load_text_encoder(encoder)
    AutoConfig.for_model(**CONFIG.text_config).save_pretrained(encoder)
    save_file({"something.else": torch.zeros(1)}, encoder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="lacks the text encoder's"):
        model.load_text_encoder(encoder)


def test_damaged_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:5], b""):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot read the weights .*model\.safetensors"):
            FusionModel.from_pretrained(folder)


def test_weights_that_config_does_not_name_are_refused(folder: Path) -> None:
    """A file whose hash stands in config.json must be that file; another width does not fit at all."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"files": {"model.safetensors": "0" * 64}}))
    with pytest.raises(CheckpointError, match="is not the file"):
        FusionModel.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config | {"width": 32}))
    with pytest.raises(InputError, match="weights of another model"):
        FusionModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no model configuration"),
        ("[]", "no JSON object"),
        ('{"width": 16}', "text_config: Field required"),
        ('{"model_type": "bert", "text_config": {}}', "model_type"),
        ('{"format_version": 3, "text_config": {}}', "is of format 3, this mmsent reads formats 1 to 2"),
    ],
)
def test_another_configuration_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        FusionModel.from_pretrained(folder)


def test_a_configuration_from_before_encoders_had_names_is_read(folder: Path) -> None:
    sizes = {"text_width": 16, "text_layers": 1, "text_heads": 2, "text_intermediate": 64}
    others = {"vocab_size": 30_522, "text_positions": 64, "image_blocks": [1, 1, 1, 1], "image_size": 64}
    fusion = {"max_length": 32, "width": 16, "fusion_layers": 1, "fusion_heads": 2, "dropout": 0.1}
    (folder / "config.json").write_text(json.dumps(sizes | others | fusion))
    assert FusionModel.from_pretrained(folder).config.image_encoder == "resnet10"


def test_batch_statistics_stay_those_of_pre_training(model: FusionModel) -> None:
    model.train()
    before = model.image_encoder.bn1.running_mean.clone()
    model.encode_image(torch.randn(2, 3, 64, 64))
    model.eval()
    assert torch.equal(model.image_encoder.bn1.running_mean, before)
