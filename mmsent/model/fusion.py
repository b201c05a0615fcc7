"""The network: a text encoder and a picture encoder, fused by attention over one masked sequence.

    words   (B, T, H)    ─ project ─► text_hidden  (B, T, D) ┐
                                                             ├─ [token | words | regions] ─► fused_logits
    regions (B, C, h, w) ─ project ─► image_hidden (B, R, D) ┘

The text head reads only the text encoder and the picture head only the picture encoder, both before fusion:
what one modality says can never be moved by the other. Parameter names are a file format.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import BertConfig, BertModel

from mmsent.errors import InputError
from mmsent.model.inputs import LABELS

_MASKED = -1e4  # exp() of it is exactly 0 in float32, and unlike -inf it survives 8-bit quantisation


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of the network. Defaults: MiniLM-L6 (6 × 384) and ResNet-18 over 192 px pictures."""

    vocab_size: int = 30_522
    text_width: int = 384
    text_layers: int = 6
    text_heads: int = 12
    text_intermediate: int = 1_536
    text_positions: int = 512
    image_blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    image_size: int = 192
    max_length: int = 64
    width: int = 256
    fusion_layers: int = 1
    fusion_heads: int = 8
    dropout: float = 0.1

    @property
    def image_width(self) -> int:
        return 512  # torchvision's ResNet with BasicBlock, whatever its depth

    @classmethod
    def tiny(cls) -> "FusionConfig":
        """A random one for tests: builds and runs in milliseconds."""
        return cls(
            vocab_size=30_522,
            text_width=16,
            text_layers=1,
            text_heads=2,
            text_intermediate=32,
            text_positions=64,
            image_blocks=(1, 1, 1, 1),
            image_size=64,
            max_length=32,
            width=16,
            fusion_heads=2,
        )

    @classmethod
    def load(cls, path: Path) -> "FusionConfig":
        """Read a config saved by `save`; raises InputError when it is missing or of another shape."""
        try:
            fields = json.loads(path.read_text())
            return cls(**{**fields, "image_blocks": tuple(fields["image_blocks"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path} is no model configuration ({error}): run `mmsent train` again"
            ) from error

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


class PictureEncoder(ResNet):  # type: ignore[misc]  # torchvision is untyped
    """torchvision's ResNet up to its last feature map: (B, 3, S, S) → (B, C, S/32, S/32)."""

    def __init__(self, blocks: tuple[int, int, int, int]) -> None:
        super().__init__(BasicBlock, list(blocks))
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


class FusionModel(nn.Module):
    """Three opinions on a post: of its text alone, of its picture alone, of both together."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = BertModel(_bert_config(config), add_pooling_layer=False)
        self.image_encoder = PictureEncoder(config.image_blocks)
        self.text_head = nn.Linear(config.text_width, len(LABELS))
        self.image_head = nn.Linear(2 * config.image_width, len(LABELS))
        self.text_projection = _projection(config.text_width, config.width)
        self.image_projection = _projection(config.image_width, config.width)
        self.type_embedding = nn.Parameter(torch.randn(2, config.width) * 0.02)
        self.fusion_token = nn.Parameter(torch.randn(config.width) * 0.02)
        self.fusion_layers = nn.ModuleList(
            FusionLayer(config.width, config.fusion_heads, config.dropout)
            for _ in range(config.fusion_layers)
        )
        self.fused_head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, len(LABELS)))
        self.dropout = nn.Dropout(config.dropout)

    def text_states(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) ids and mask → the encoder's words (B, T, H) and the text head's logits (B, 3)."""
        words = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(words.dtype)
        pooled = (words * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return words, self.text_head(self.dropout(pooled))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) ids and mask → text_hidden (B, T, D), text_logits (B, 3)."""
        words, text_logits = self.text_states(input_ids, attention_mask)
        return self.text_projection(words), text_logits

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


def pool_regions(regions: Tensor) -> Tensor:
    """Regions (B, R, C) → their mean and their maximum (B, 2·C): what fills the picture, what stands out."""
    return torch.cat([regions.mean(dim=1), regions.amax(dim=1)], dim=1)


def _projection(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width), nn.LayerNorm(width))


def _bert_config(config: FusionConfig) -> Any:
    return BertConfig(  # type: ignore[call-arg]  # `attn_implementation` is an attribute of its base class
        attn_implementation="eager",
        vocab_size=config.vocab_size,
        hidden_size=config.text_width,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.text_heads,
        intermediate_size=config.text_intermediate,
        max_position_embeddings=config.text_positions,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
    )
