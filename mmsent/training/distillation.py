"""A ResNet learns to see what a better picture network sees in photos that nobody labelled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmsent.model.fusion import ImageEncoderName
from mmsent.training.device import autocast, best_device
from mmsent.training.photos import Crops, centre_square, standardised
from mmsent.training.pretraining import LearningEncoder, full_batches, weight_groups
from mmsent.training.teacher import Teacher

CLASSES_WEIGHT = 0.25  # of the classes' divergence beside maps and pooled maps
SMALL_SHARE = 3 / 8  # of an epoch's photos that come from the small ones
HELD_OUT = 50  # every so many photos one is kept to judge by
_JUDGED_AT_ONCE = 32


class Distiller(nn.Module):
    """The student, and what translates its maps into the teacher's; only the student is kept."""

    def __init__(self, encoder: ImageEncoderName, teacher_width: int, classes: int) -> None:
        super().__init__()
        self.encoder = LearningEncoder(encoder)
        self.projection = nn.Conv2d(self.encoder.width, teacher_width, kernel_size=1)
        self.classifier = nn.Linear(self.encoder.width, classes)
        self.standardise = nn.BatchNorm2d(teacher_width, affine=False)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) → guesses at the teacher's standardised maps (B, C, S/32, S/32) and its logits."""
        maps = self.encoder(pixel_values)
        return self.projection(maps), self.classifier(maps.mean(dim=(2, 3)))


def distillation_losses(
    maps: Tensor, logits: Tensor, teacher_maps: Tensor, teacher_logits: Tensor
) -> dict[str, Tensor]:
    """How far student and teacher are apart: maps (B, C, h, w) of one size, logits (B, K).

    `maps` is the smooth L1 distance of standardised maps (after Wei et al. 2022, "Contrastive learning rivals
    masked image modeling in fine-tuning via feature distillation"), `pooled` 1 − the cosine of their means,
    `classes` the divergence KL(teacher ‖ student) in nats (Hinton et al. 2015).
    """
    cosine = functional.cosine_similarity(maps.mean(dim=(2, 3)), teacher_maps.mean(dim=(2, 3)))
    divergence = functional.kl_div(
        logits.log_softmax(dim=1), teacher_logits.log_softmax(dim=1), log_target=True, reduction="batchmean"
    )
    return {
        "maps": functional.smooth_l1_loss(maps, teacher_maps),
        "pooled": 1 - cosine.mean(),
        "classes": divergence,
    }


class DistillationTask:
    """Teacher and student see the same crop, each at its own size; chosen by the loss on held-out photos.

    An epoch sees every photo of `photos` once, and of `small` (thumbnails such as Tiny ImageNet's, of which
    there may be many more) as many others as make SMALL_SHARE of it.
    """

    name = "distillation"

    def __init__(
        self,
        encoder: ImageEncoderName,
        teacher: Teacher,
        photos: Sequence[Path],
        small: Sequence[Path] = (),
        *,
        size: int,
        batch_size: int = 64,
        rate: float = 1.5e-3,
        seed: int = 0,
    ) -> None:
        self.device = best_device()
        self.held_out, kept = photos[::HELD_OUT], [file for n, file in enumerate(photos) if n % HELD_OUT]
        self.kept, self.small = len(kept), len(small)
        self.teacher = teacher.to(self.device).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            classes = self.teacher(torch.zeros(1, 3, size, size, device=self.device))[1].shape[1]
        self.model = (
            Distiller(encoder, teacher.width, classes).to(self.device).to(memory_format=torch.channels_last)
        )
        self.size, self.batch_size, self.rate, self.seed = size, batch_size, rate, seed
        self.crops = Crops([*kept, *small], max(size, teacher.size), seed)

    @property
    def learned_from(self) -> object:
        return [file.name for file in self.crops.files]

    def parameter_groups(self) -> list[dict[str, Any]]:
        return weight_groups(self.model, self.rate)

    def batches(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(1_000 * self.seed + epoch)
        wanted = round(self.kept * SMALL_SHARE / (1 - SMALL_SHARE))
        small = self.kept + torch.randperm(self.small, generator=generator)[:wanted]
        numbers = torch.cat([torch.arange(self.kept), small])
        order = numbers[torch.randperm(len(numbers), generator=generator)] + epoch * len(self.crops.files)
        batches = full_batches(order.tolist(), self.batch_size)
        self.crops.plan(batches)
        return batches

    def loss(self, batch: list[int]) -> Tensor:
        losses = self._losses(self.crops.batch(batch))
        return losses["maps"] + losses["pooled"] + CLASSES_WEIGHT * losses["classes"]

    def judge(self) -> dict[str, float]:
        sums: dict[str, float] = {}
        for start in range(0, len(self.held_out), _JUDGED_AT_ONCE):
            files = self.held_out[start : start + _JUDGED_AT_ONCE]
            pixels = torch.stack([centre_square(file, self.crops.side) for file in files])
            for name, value in self._losses(pixels).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(files)
        means = {name: value / len(self.held_out) for name, value in sums.items()}
        return {"selection": -means["maps"] - means["pooled"] - CLASSES_WEIGHT * means["classes"], **means}

    def _losses(self, pixels: Tensor) -> dict[str, Tensor]:
        pixels = pixels.to(self.device)
        with autocast(self.device):
            with torch.no_grad():
                teacher_maps, teacher_logits = self.teacher(_resized(pixels, self.teacher.size))
            maps, logits = self.model(standardised(_resized(pixels, self.size)))
        teacher_maps = functional.adaptive_avg_pool2d(teacher_maps.float(), maps.shape[-2:])
        teacher_maps = self.model.standardise(teacher_maps)
        return distillation_losses(maps.float(), logits.float(), teacher_maps, teacher_logits.float())


def _resized(pixels: Tensor, size: int) -> Tensor:
    """Pixels (B, 3, S, S), 0 to 255, at another size."""
    if pixels.shape[-1] == size:
        return pixels
    return functional.interpolate(pixels.float(), size, mode="bilinear", antialias=True)
