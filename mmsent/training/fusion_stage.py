"""Stage 2: text and fusion learn their labels of MVSA-Single over the pictures' fixed maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmsent.model.fusion import FusionModel
from mmsent.model.inputs import TextTokenizer, conflict, softmax
from mmsent.training.data import IGNORED, LabelledPost, LabelledText, length_buckets
from mmsent.training.metrics import accuracy, conflict_auroc, log_loss
from mmsent.training.text_stage import token_tensors

LABEL_SMOOTHING = 0.1  # annotators of MVSA-Single often disagree
_JUDGED_AT_ONCE = 64


class FusionTask:
    """Trains the text encoder, its head and the fusion; the pictures' maps are fixed.

    Every batch carries `texts_per_batch` SemEval texts beside the posts, so that the text head keeps what
    it learned there. Indices below the number of posts are posts, the others SemEval texts.
    """

    name = "fusion"

    def __init__(
        self,
        model: FusionModel,
        tokenizer: TextTokenizer,
        posts: Sequence[LabelledPost],
        views: Sequence[NDArray[np.float16]],
        texts: Sequence[LabelledText],
        *,
        judge: "FusionJudge",
        batch_size: int = 32,
        texts_per_batch: int = 16,
        rate: float = 5e-5,
        head_rate: float = 5e-4,
        seed: int = 0,
    ) -> None:
        self.model, self.posts, self.views, self.figures = model, posts, views, judge.figures
        self.token_ids = tokenizer.encode([post.text for post in posts] + [item.text for item in texts])
        self.labels = torch.tensor([post.label for post in posts])
        self.text_labels = torch.tensor([post.text_label for post in posts] + [text.label for text in texts])
        self.batch_size, self.texts_per_batch = batch_size, texts_per_batch
        self.rate, self.head_rate, self.seed = rate, head_rate, seed

    def parameter_groups(self) -> list[dict[str, Any]]:
        model = self.model
        model.text_encoder.embeddings.word_embeddings.requires_grad_(requires_grad=False)
        encoder = [item for item in model.text_encoder.parameters() if item.requires_grad]
        modules = [model.text_head, model.text_projection, model.image_projection, model.fusion_layers]
        fusion = [item for module in [*modules, model.fused_head] for item in module.parameters()]
        return [
            {"params": encoder, "lr": self.rate},
            {"params": [*fusion, model.type_embedding, model.fusion_token], "lr": self.head_rate},
        ]

    def batches(self, epoch: int) -> list[list[int]]:
        seed = 1_000 * self.seed + epoch
        lengths = [len(ids) for ids in self.token_ids[: len(self.posts)]]
        batches = length_buckets(lengths, self.batch_size, seed)
        texts = len(self.token_ids) - len(self.posts)
        order = torch.randperm(texts, generator=torch.Generator().manual_seed(seed)) + len(self.posts)
        return [
            batch + order[number * self.texts_per_batch :][: self.texts_per_batch].tolist()
            for number, batch in enumerate(batches)
        ]

    def loss(self, batch: list[int]) -> Tensor:
        model, posts = self.model, [index for index in batch if index < len(self.posts)]
        input_ids, attention_mask = token_tensors([self.token_ids[index] for index in batch])
        text_hidden, text_logits = model.encode_text(input_ids, attention_mask)
        image_hidden, _ = model.read_picture(random_views(self.views, posts))
        count = len(posts)
        fused_logits, _ = model.fuse(
            text_hidden[:count], attention_mask[:count], image_hidden, present_mask(image_hidden)
        )
        return _smoothed(text_logits, self.text_labels[batch]) + _smoothed(fused_logits, self.labels[posts])

    def judge(self) -> dict[str, float]:
        return self.figures(self.model)


class FusionJudge:
    """Figures of all heads on `dev`, and how conflict posts stand out from it (reported, never chosen by)."""

    def __init__(
        self,
        tokenizer: TextTokenizer,
        dev: Sequence[LabelledPost],
        dev_maps: NDArray[np.float16],
        conflicts: Sequence[LabelledPost],
        conflict_maps: NDArray[np.float16],
    ) -> None:
        self.dev, self.count = dev, len(dev)
        self.token_ids = tokenizer.encode([post.text for post in [*dev, *conflicts]])
        self.maps = np.concatenate([dev_maps, conflict_maps])

    def figures(self, model: FusionModel) -> dict[str, float]:
        logits = all_logits(model, self.token_ids, self.maps)
        dev = {name: values[: self.count] for name, values in logits.items()}
        labels = {
            "text": np.array([post.text_label for post in self.dev]),
            "image": np.array([post.image_label for post in self.dev]),
            "fused": np.array([post.label for post in self.dev]),
        }
        losses = {name: log_loss(labels[name], softmax(dev[name])) for name in labels}
        score = conflict(softmax(logits["text"]), softmax(logits["image"]))
        return {
            "selection": -losses["fused"] - losses["text"],
            **{f"{name}_log_loss": value for name, value in losses.items()},
            **{f"{name}_accuracy": accuracy(labels[name], dev[name]) for name in labels},
            "conflict_auroc": conflict_auroc(score[: self.count], score[self.count :]),
        }


def random_views(views: Sequence[NDArray[np.float16]], rows: Sequence[int]) -> Tensor:
    """Each row from a view chosen by torch's generator, as float32."""
    chosen = torch.randint(len(views), (len(rows),)).tolist()
    return torch.from_numpy(
        np.stack([views[view][row] for view, row in zip(chosen, rows, strict=True)])
    ).float()


def present_mask(image_hidden: Tensor) -> Tensor:
    """A mask (B, R) that says every region is there."""
    return torch.ones(image_hidden.shape[:2], dtype=torch.long)


def all_logits(
    model: FusionModel, token_ids: Sequence[Sequence[int]], maps: NDArray[np.float16]
) -> dict[str, NDArray[np.float32]]:
    """Logits (N, 3) of the three heads for posts that have both."""
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    logits = {name: np.zeros((len(order), 3), np.float32) for name in ("text", "image", "fused")}
    for start in range(0, len(order), _JUDGED_AT_ONCE):
        rows = order[start : start + _JUDGED_AT_ONCE]
        input_ids, attention_mask = token_tensors([token_ids[row] for row in rows])
        feature_map = torch.from_numpy(maps[rows]).float()
        mask = torch.ones(len(rows), feature_map.shape[2] * feature_map.shape[3], dtype=torch.long)
        with torch.inference_mode():
            for name, values in model(input_ids, attention_mask, feature_map, mask).items():
                logits[name][rows] = values.numpy()
    return logits


def _smoothed(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, ignore_index=IGNORED, label_smoothing=LABEL_SMOOTHING)
