"""The picture head: a logistic regression over the pooled maps of the picture encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmsent.model.fusion import FusionModel, pool_regions
from mmsent.model.inputs import softmax
from mmsent.training.data import IGNORED
from mmsent.training.metrics import accuracy, log_loss

DECAYS = (0.01, 0.03, 0.1, 0.3)
_ROWS = 256


@dataclass(frozen=True)
class LabelledMaps:
    """The encoder's maps (N, C, h, w) of pictures, and their labels; IGNORED ones teach nothing."""

    maps: NDArray[np.float16]
    labels: Sequence[int]


class PictureLessons:
    """What a picture head learns from, and the sets it is chosen by, pooled once.

    Every view of a picture counts as a picture of its own, each set of `dev` as much as another.
    """

    def __init__(self, lessons: Sequence[LabelledMaps], dev: Mapping[str, LabelledMaps]) -> None:
        truth = torch.tensor([label for each in lessons for label in each.labels])
        self._features = torch.cat([pooled(each.maps) for each in lessons])[truth != IGNORED]
        self._truth = truth[truth != IGNORED]
        self._judged = {name: (pooled(each.maps), np.array(each.labels)) for name, each in dev.items()}

    def teach(self, model: FusionModel, decays: Sequence[float] = DECAYS) -> list[dict[str, Any]]:
        """Set `model.image_head`; of these strengths of weight decay that of least log-loss on `dev` stays.

        The problem is convex: nothing is random. Returns the figures of each decay.
        """
        history: list[dict[str, Any]] = []
        for decay in decays:
            weight, bias = logistic_regression(self._features, self._truth, decay)
            row = {"decay": decay, "selection": 0.0}
            for name, (maps, labels) in self._judged.items():
                logits = (maps @ weight.T + bias).numpy()
                row[f"{name}_accuracy"] = accuracy(labels, logits)
                row[f"{name}_log_loss"] = log_loss(labels, softmax(logits))
                row["selection"] -= row[f"{name}_log_loss"]
            if row["selection"] > max((each["selection"] for each in history), default=-np.inf):
                model.image_head.load_state_dict({"weight": weight, "bias": bias})
            history.append(row)
        return history


def pooled(maps: NDArray[np.float16]) -> Tensor:
    """What the picture head reads of maps (N, C, h, w): (N, 2·C) float32."""
    parts = []
    for start in range(0, len(maps), _ROWS):
        regions = torch.from_numpy(np.array(maps[start : start + _ROWS])).float().flatten(2).transpose(1, 2)
        parts.append(pool_regions(regions))
    return torch.cat(parts)


def logistic_regression(features: Tensor, labels: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Weight (3, F) and bias (3,) that minimise log-loss + decay · ‖weight of standardised features‖²."""
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-6
    standard = (features - mean) / deviation
    weight = torch.zeros(3, features.shape[1], requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(standard @ weight.T + bias, labels) + decay * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    with torch.no_grad():
        plain = weight / deviation
        return plain, bias - plain @ mean
