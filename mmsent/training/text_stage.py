"""Stage 1: the text encoder learns what texts feel, from SemEval-2017 Task 4A."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, recall_score
from torch import Tensor
from torch.nn import functional

from mmsent.model.checkpoint import TOKENIZER_FILE
from mmsent.model.fusion import MINILM, FusionConfig, FusionModel, encoder_folder
from mmsent.model.inputs import TextTokenizer, pad_tokens
from mmsent.training.data import LabelledText, length_buckets

LABEL_SMOOTHING = 0.05


def tokenizer_file(config: FusionConfig) -> Path:
    """The tokenizer of the text encoder that the configuration names, MiniLM-L6's for a random one."""
    return encoder_folder(config.text_encoder or MINILM) / TOKENIZER_FILE


class TextTask:
    """Cross-entropy of the text head; chosen by macro recall, the measure of SemEval-2017 Task 4A."""

    name = "text"

    def __init__(
        self,
        model: FusionModel,
        tokenizer: TextTokenizer,
        train: Sequence[LabelledText],
        dev: Sequence[LabelledText],
        *,
        batch_size: int = 64,
        rate: float = 2e-4,
        seed: int = 0,
    ) -> None:
        self.model, self.batch_size, self.rate, self.seed = model, batch_size, rate, seed
        self.token_ids = tokenizer.encode([item.text for item in train])
        self.labels = torch.tensor([item.label for item in train])
        self.dev_ids = tokenizer.encode([item.text for item in dev])
        self.dev_labels = [item.label for item in dev]

    def parameter_groups(self) -> list[dict[str, Any]]:
        self.model.text_encoder.get_input_embeddings().requires_grad_(requires_grad=False)
        parameters = [*self.model.text_encoder.parameters(), *self.model.text_head.parameters()]
        return [{"params": [item for item in parameters if item.requires_grad], "lr": self.rate}]

    def batches(self, epoch: int) -> list[list[int]]:
        return length_buckets(
            [len(ids) for ids in self.token_ids], self.batch_size, seed=1_000 * self.seed + epoch
        )

    def loss(self, batch: list[int]) -> Tensor:
        _, logits = self.model.text_states(*token_tensors([self.token_ids[index] for index in batch]))
        return functional.cross_entropy(logits, self.labels[batch], label_smoothing=LABEL_SMOOTHING)

    def judge(self) -> dict[str, float]:
        predicted = text_logits(self.model, self.dev_ids).argmax(axis=1)
        recall = float(recall_score(self.dev_labels, predicted, average="macro"))
        accuracy = float(accuracy_score(self.dev_labels, predicted))
        return {"selection": recall, "macro_recall": recall, "accuracy": accuracy}


def token_tensors(token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """`pad_tokens` as torch tensors."""
    input_ids, attention_mask = pad_tokens(token_ids)
    return torch.from_numpy(input_ids), torch.from_numpy(attention_mask)


def text_logits(model: FusionModel, token_ids: Sequence[Sequence[int]], batch_size: int = 64) -> Any:
    """The text head's logits (N, 3), in the order given."""
    order = sorted(range(len(token_ids)), key=lambda index: len(token_ids[index]))
    logits = np.zeros((len(token_ids), 3), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        logits[rows] = model.text_states(*token_tensors([token_ids[row] for row in rows]))[1].numpy()
    return logits
