"""A ResNet learns to see from the 200 classes of Tiny ImageNet (Le and Yang 2015), with no hub."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmsent.errors import InputError
from mmsent.model.fusion import ImageEncoderName, PictureEncoder
from mmsent.training.device import autocast, best_device
from mmsent.training.photos import Crops, centre_square, photo_files, standardised

LABEL_SMOOTHING = 0.1
_ANNOTATIONS = Path("val", "val_annotations.txt")
_JUDGED_AT_ONCE = 128

LabelledPhotos = tuple[list[Path], list[int]]


class LearningEncoder(PictureEncoder):
    """The picture encoder while its batch statistics may still move."""

    def train(self, mode: bool = True) -> "LearningEncoder":  # torch's own signature
        """What `PictureEncoder` refuses: batch statistics of each batch, and their running mean."""
        nn.Module.train(self, mode)
        return self


def weight_groups(module: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Groups for AdamW: no decay for norms and biases (He et al. 2019, "Bag of tricks")."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [item for item in learning if item.ndim > 1], "lr": rate},
        {"params": [item for item in learning if item.ndim <= 1], "lr": rate, "weight_decay": 0.0},
    ]


def full_batches(items: list[int], batch_size: int) -> list[list[int]]:
    """Batches of equal size, without the rest: batch statistics of a few pictures would mislead."""
    size = min(batch_size, len(items))
    return [items[start : start + size] for start in range(0, len(items) - size + 1, size)]


def read_tiny_imagenet(folder: Path) -> tuple[LabelledPhotos, LabelledPhotos]:
    """Files and class numbers of train and val, in the data set's own layout.

    That is `train/<class>/images/*.JPEG`, `val/images/*.JPEG` and `val/val_annotations.txt`, whose lines
    begin with a file's name and its class. Raises InputError where it is not that.
    """
    names = sorted(path.name for path in folder.glob("train/*") if path.is_dir())
    if not names or not (folder / _ANNOTATIONS).is_file():
        raise InputError(
            f"{folder} is no Tiny ImageNet: give the folder that holds train/ and {_ANNOTATIONS.as_posix()}"
        )
    train: LabelledPhotos = ([], [])
    for number, name in enumerate(names):
        files = photo_files(folder / "train" / name)
        train[0].extend(files)
        train[1].extend([number] * len(files))
    return train, _read_val(folder, {name: number for number, name in enumerate(names)})


def _read_val(folder: Path, numbers: dict[str, int]) -> LabelledPhotos:
    rows = [line.split("\t")[:2] for line in (folder / _ANNOTATIONS).read_text().splitlines()]
    try:
        labels = [numbers[name] for _, name in rows]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{folder / _ANNOTATIONS} names a class that train/ has not ({error}): unpack the data set again"
        ) from error
    return [folder / "val" / "images" / file for file, _ in rows], labels


class PretrainingTask:
    """Cross-entropy over the classes; chosen by accuracy (top-1) on val."""

    name = "pretraining"

    def __init__(
        self,
        encoder: ImageEncoderName,
        folder: Path,
        *,
        size: int = 112,
        batch_size: int = 128,
        rate: float = 2e-3,
        seed: int = 0,
    ) -> None:
        (self.files, self.labels), (self.val_files, self.val_labels) = read_tiny_imagenet(folder)
        self.device = best_device()
        self.encoder = LearningEncoder(encoder)
        self.model = (
            nn.Sequential(
                self.encoder,
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(self.encoder.width, max(self.labels) + 1),
            )
            .to(self.device)
            .to(memory_format=torch.channels_last)
        )
        self.size, self.batch_size, self.rate, self.seed = size, batch_size, rate, seed
        self.crops = Crops(self.files, size, seed)

    @property
    def learned_from(self) -> object:
        return [file.name for file in self.files], self.labels

    def parameter_groups(self) -> list[dict[str, Any]]:
        return weight_groups(self.model, self.rate)

    def batches(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(1_000 * self.seed + epoch)
        order = torch.randperm(len(self.files), generator=generator) + epoch * len(self.files)
        batches = full_batches(order.tolist(), self.batch_size)
        self.crops.plan(batches)
        return batches

    def loss(self, batch: list[int]) -> Tensor:
        pixels = self.crops.batch(batch).to(self.device)
        labels = torch.tensor([self.labels[item % len(self.files)] for item in batch], device=self.device)
        with autocast(self.device):
            logits = self.model(standardised(pixels))
        return functional.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)

    def judge(self) -> dict[str, float]:
        right = 0
        for start in range(0, len(self.val_files), _JUDGED_AT_ONCE):
            files = self.val_files[start : start + _JUDGED_AT_ONCE]
            pixels = torch.stack([centre_square(file, self.size) for file in files]).to(self.device)
            with autocast(self.device):
                found = self.model(standardised(pixels)).argmax(dim=1).cpu()
            right += int((found == torch.tensor(self.val_labels[start : start + len(files)])).sum())
        accuracy = right / len(self.val_files)
        return {"selection": accuracy, "accuracy": accuracy}
