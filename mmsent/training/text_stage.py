"""The text stage: the text encoder learns what texts feel, from SemEval-2017 Task 4A."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score, recall_score
from torch import Tensor, nn
from torch.nn import functional

from mmsent.model.checkpoint import TOKENIZER_FILE
from mmsent.model.fusion import MINILM, FusionConfig, FusionModel, encoder_folder
from mmsent.model.inputs import TextTokenizer, pad_tokens
from mmsent.training.data import LabelledText, class_weights, length_buckets
from mmsent.training.device import autocast, device_of
from mmsent.training.recipe import TextRecipe


def tokenizer_file(config: FusionConfig) -> Path:
    """The tokenizer of the text encoder that the configuration names, MiniLM-L6's for a random one."""
    return encoder_folder(config.text_encoder or MINILM) / TOKENIZER_FILE


class TextTask:
    """Cross-entropy of the text head; chosen by macro recall, the measure of SemEval-2017 Task 4A.

    A second head, for training only, tells irony of a few texts beside each batch: what is meant is often
    not what the words say (multi-task learning, Caruana 1997). Indices from the number of `train` on are
    irony's.
    """

    name = "text"

    def __init__(
        self,
        model: FusionModel,
        tokenizer: TextTokenizer,
        train: Sequence[LabelledText],
        dev: Sequence[LabelledText],
        *,
        irony: Sequence[LabelledText] = (),
        irony_dev: Sequence[LabelledText] = (),
        recipe: TextRecipe | None = None,
        seed: int = 0,
    ) -> None:
        self.fusion, self.recipe, self.seed = model, recipe or TextRecipe(), seed
        irony_head = nn.Linear(model.text_head.in_features, 2).to(device_of(model))
        self.model = nn.ModuleDict({"model": model, "irony_head": irony_head})
        self.texts = len(train)
        self.token_ids = tokenizer.encode([item.text for item in [*train, *irony]])
        self.labels = torch.tensor([item.label for item in [*train, *irony]], device=device_of(model))
        classes = class_weights([item.label for item in train], self.recipe.class_balance)
        self.weights = classes.to(device_of(model))
        self.dev_ids = tokenizer.encode([item.text for item in [*dev, *irony_dev]])
        self.dev_labels = np.array([item.label for item in dev])
        self.irony_dev_labels = np.array([item.label for item in irony_dev])

    @property
    def learned_from(self) -> object:
        return self.token_ids, self.labels.tolist()

    def parameter_groups(self) -> list[dict[str, Any]]:
        modules = [self.fusion.text_encoder, self.fusion.text_head, self.model["irony_head"]]
        parameters = [item for module in modules for item in module.parameters()]
        return [{"params": parameters, "lr": self.recipe.rate}]

    def batches(self, epoch: int) -> list[list[int]]:
        seed = 1_000 * self.seed + epoch
        lengths = [len(ids) for ids in self.token_ids]
        batches = length_buckets(lengths[: self.texts], self.recipe.batch_size, seed)
        order = torch.randperm(len(lengths) - self.texts, generator=torch.Generator().manual_seed(seed))
        beside = (order + self.texts).tensor_split(len(batches))
        return [batch + irony.tolist() for batch, irony in zip(batches, beside, strict=True)]

    def loss(self, batch: list[int]) -> Tensor:
        texts = [index for index in batch if index < self.texts]
        loss = self._loss(texts, self.fusion.text_head, self.weights)
        if irony := batch[len(texts) :]:
            loss = loss + self.recipe.irony_weight * self._loss(irony, self.model["irony_head"])
        return loss

    def _loss(self, rows: list[int], head: nn.Module, weights: Tensor | None = None) -> Tensor:
        input_ids, mask = token_tensors([self.token_ids[row] for row in rows], device_of(self.fusion))
        with autocast(input_ids.device):
            logits = head(self.fusion.pool_words(self.fusion.words(input_ids, mask), mask))
        return functional.cross_entropy(
            logits.float(), self.labels[rows], weight=weights, label_smoothing=self.recipe.label_smoothing
        )

    def judge(self) -> dict[str, float]:
        pooled = pooled_words(self.fusion, self.dev_ids)
        count = len(self.dev_labels)
        predicted = self.fusion.text_head(pooled[:count]).argmax(dim=1).cpu().numpy()
        recall = float(recall_score(self.dev_labels, predicted, average="macro"))
        figures = {"selection": recall, "macro_recall": recall}
        figures["accuracy"] = float(accuracy_score(self.dev_labels, predicted))
        if len(self.irony_dev_labels):
            told = self.model["irony_head"](pooled[count:]).argmax(dim=1).cpu().numpy()
            figures["irony_f1"] = float(f1_score(self.irony_dev_labels, told))
        return figures


def mean_weights(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One model of several that started from the same weights (Wortsman et al. 2022, "Model soups")."""
    return {
        name: torch.stack([state[name].float() for state in states]).mean(dim=0).to(each.dtype)
        for name, each in states[0].items()
    }


def token_tensors(
    token_ids: Sequence[Sequence[int]], device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """`pad_tokens` as torch tensors."""
    input_ids, attention_mask = pad_tokens(token_ids)
    return torch.from_numpy(input_ids).to(device), torch.from_numpy(attention_mask).to(device)


def pooled_words(model: FusionModel, token_ids: Sequence[Sequence[int]], batch_size: int = 64) -> Tensor:
    """What the text head reads (N, H), in the order given."""
    order = sorted(range(len(token_ids)), key=lambda index: len(token_ids[index]))
    pooled = torch.zeros(len(token_ids), model.text_head.in_features, device=device_of(model))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        input_ids, mask = token_tensors([token_ids[row] for row in rows], device_of(model))
        pooled[rows] = model.pool_words(model.words(input_ids, mask), mask)
    return pooled
