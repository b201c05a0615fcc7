"""The picture head learns from photos and drawings what the frozen picture encoder's maps feel like.

Its hidden layer keeps the two apart: what a linear head learns of drawings costs it a point of accuracy on
photos. It is small and learns against strong dropout and weight decay, for there are a few thousand photos.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmsent.model.fusion import pool_regions
from mmsent.model.inputs import softmax
from mmsent.training.data import IGNORED
from mmsent.training.metrics import accuracy, log_loss

EPOCHS = 6
BATCH_SIZE = 256
RATE = 2e-3  # greatest learning rate of AdamW's one cycle
WEIGHT_DECAY = 3.0
DROPOUT = 0.6  # of what the head reads, and of its hidden layer
LABEL_SMOOTHING = 0.05
DRAWING_WEIGHT = 0.5  # of a drawing in the loss, beside a photo's 1
_ROWS = 256


@dataclass(frozen=True)
class PictureLesson:
    """What the head reads of pictures (N, 2·C), their labels (N,), and what each weighs in the loss."""

    features: Tensor
    labels: NDArray[np.int64]
    weight: float = 1.0

    def part(self, rows: NDArray[np.int64]) -> "PictureLesson":
        return PictureLesson(self.features[rows], self.labels[rows], self.weight)


def pooled(maps: NDArray[np.float16]) -> Tensor:
    """What the picture head reads of maps (N, C, h, w): (N, 2·C) float32."""
    parts = []
    for start in range(0, len(maps), _ROWS):
        regions = torch.from_numpy(np.array(maps[start : start + _ROWS])).float().flatten(2).transpose(1, 2)
        parts.append(pool_regions(regions))
    return torch.cat(parts)


def teach(head: nn.Sequential, lessons: Sequence[PictureLesson], seed: int = 0) -> None:
    """Train the model's picture head anew; pictures without a label teach nothing."""
    kept = [lesson.part(np.flatnonzero(lesson.labels != IGNORED)) for lesson in lessons]
    features = torch.cat([lesson.features for lesson in kept])
    labels = torch.from_numpy(np.concatenate([lesson.labels for lesson in kept]))
    weights = torch.cat([torch.full((len(lesson.labels),), lesson.weight) for lesson in kept])
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-6
    standard = (features - mean) / deviation
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        learned = copy.deepcopy(head)
        for layer in learned:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
        hidden, last = learned[:-1], learned[-1]
        _fit(nn.Sequential(nn.Dropout(DROPOUT), hidden, nn.Dropout(DROPOUT), last), standard, labels, weights)
    state = learned.state_dict()
    state["0.weight"] /= deviation
    state["0.bias"] -= state["0.weight"] @ mean
    head.load_state_dict(state)


def _fit(learner: nn.Sequential, features: Tensor, labels: Tensor, weights: Tensor) -> None:
    optimizer = torch.optim.AdamW(learner.parameters(), weight_decay=WEIGHT_DECAY)
    batches = -(-len(features) // BATCH_SIZE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=RATE, total_steps=EPOCHS * batches, pct_start=0.1
    )
    for _ in range(EPOCHS):
        order = torch.randperm(len(features))
        for rows in (order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)):
            losses = functional.cross_entropy(
                learner(features[rows]), labels[rows], reduction="none", label_smoothing=LABEL_SMOOTHING
            )
            loss = (losses * weights[rows]).sum() / weights[rows].sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            scheduler.step()


def judge(head: nn.Sequential, lesson: PictureLesson) -> dict[str, float]:
    """Accuracy, and log-loss in nats."""
    with torch.inference_mode():
        logits = head(lesson.features).numpy()
    return {
        "accuracy": accuracy(lesson.labels, logits),
        "log_loss": log_loss(lesson.labels, softmax(logits)),
    }
