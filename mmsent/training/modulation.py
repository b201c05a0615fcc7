"""OGM-GE: on-the-fly gradient modulation with generalisation enhancement (Peng et al., CVPR 2022).

The modality by which the fused head succeeds better learns slower, so that the other one is not left behind.
The paper modulates the gradients of each encoder's parameters. Here those that fusion sends back into a
modality's words or regions are modulated, so that the heads which read one modality alone learn undisturbed.
"""

from functools import partial

import torch
from torch import Tensor

from mmsent.training.data import IGNORED


def shares_of_success(text_alone: Tensor, image_alone: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Summed P(label) of logits (B, 3) that saw one modality alone: of the text, of the picture."""
    kept = labels != IGNORED
    rows = labels[kept][:, None]
    text, image = (
        logits[kept].float().softmax(dim=1).gather(1, rows).sum() for logits in (text_alone, image_alone)
    )
    return text, image


def coefficients(success: tuple[Tensor, Tensor], alpha: float) -> tuple[float, float]:
    """What gradients of text and picture are multiplied by: the better's by 1 − tanh(alpha·ratio).

    `ratio` > 1 is that of their successes. The other's stay as they are.
    """
    text, image = success
    ratio = float(text / image.clamp(min=1e-9))
    slowed = 1 - float(torch.tanh(torch.tensor(alpha * max(ratio, 1 / max(ratio, 1e-9)))))
    return (slowed, 1.0) if ratio > 1 else (1.0, slowed)


def modulated(
    text_hidden: Tensor, image_hidden: Tensor, success: tuple[Tensor, Tensor], alpha: float
) -> tuple[Tensor, Tensor]:
    """The same words (B, T, D) and regions (B, R, D); gradients on their way back are modulated."""
    hidden = tuple(each.clone() for each in (text_hidden, image_hidden))
    for each, coefficient in zip(hidden, coefficients(success, alpha), strict=True):
        each.register_hook(partial(_modulate, coefficient))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return hidden[0], hidden[1]


def _modulate(coefficient: float, gradient: Tensor) -> Tensor:
    """Scaled, plus Gaussian noise of its own deviation; masked places stay without."""
    noise = torch.randn_like(gradient) * gradient.std()
    return gradient * coefficient + noise * (gradient != 0)
