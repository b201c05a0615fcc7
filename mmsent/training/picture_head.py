"""The picture head: a logistic regression over what the picture encoder sees in photos and drawings."""

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

DECAY = 0.1
DRAWING_WEIGHT = 0.5  # of a drawing in the loss, beside a photo's 1: drawings cost photos a little
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


def teach(head: nn.Linear, lessons: Sequence[PictureLesson]) -> None:
    """Set the model's picture head; pictures without a label teach nothing.

    The problem is convex: nothing is random, and what the head was before does not matter.
    """
    kept = [lesson.part(np.flatnonzero(lesson.labels != IGNORED)) for lesson in lessons]
    weight, bias = logistic_regression(
        torch.cat([lesson.features for lesson in kept]),
        torch.from_numpy(np.concatenate([lesson.labels for lesson in kept])),
        DECAY,
        torch.cat([torch.full((len(lesson.labels),), lesson.weight) for lesson in kept]),
    )
    head.load_state_dict({"weight": weight, "bias": bias})


def judge(head: nn.Linear, lesson: PictureLesson) -> dict[str, float]:
    """Accuracy, and log-loss in nats."""
    with torch.inference_mode():
        logits = functional.linear(lesson.features, head.weight.cpu(), head.bias.cpu()).numpy()
    return {
        "accuracy": accuracy(lesson.labels, logits),
        "log_loss": log_loss(lesson.labels, softmax(logits)),
    }


def logistic_regression(
    features: Tensor, labels: Tensor, decay: float, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weight (3, F) and bias (3,) that minimise log-loss + decay · ‖weight of standardised features‖².

    The log-loss is the mean of the rows' (N,), by their `weights` where there are any.
    """
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-6
    standard = (features - mean) / deviation
    shares = torch.ones(len(labels)) if weights is None else weights
    shares = shares / shares.sum()
    weight = torch.zeros(3, features.shape[1], requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = functional.cross_entropy(standard @ weight.T + bias, labels, reduction="none")
        loss = losses @ shares + decay * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    with torch.no_grad():
        plain = weight / deviation
        return plain, bias - plain @ mean
