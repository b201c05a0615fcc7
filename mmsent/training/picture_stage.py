"""The picture stage: a ResNet for the picture encoder, pre-trained and distilled without any model hub."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import get_model_weights

from mmsent.errors import InputError
from mmsent.model.fusion import FusionConfig, FusionModel, load_weights
from mmsent.training.curves import write_curves
from mmsent.training.data import make_folder, post_splits, read_posts
from mmsent.training.device import best_device
from mmsent.training.distillation import DistillationTask
from mmsent.training.fit import Schedule, fit
from mmsent.training.photos import check_photos, photo_files
from mmsent.training.pretraining import LearningEncoder, PretrainingTask
from mmsent.training.teacher import Teacher, TeacherName

PRETRAINED_FILE = "pretrained.safetensors"
IMAGE_FILE = "image.safetensors"
PRETRAINING_EPOCHS = 6
DISTILLATION_EPOCHS = 24
SNAPSHOT_STEPS = 50
_LEAST_PHOTOS = 8

Start = Path | Literal["pretraining", "torchvision"]


@dataclass(frozen=True)
class PicturePlan:
    """What the picture stage is made of; `config` names the ResNet and the size it will be served at.

    `start` is where distillation starts from: a ResNet in safetensors, torchvision's own weights from their
    hub, or pre-training on `tiny_imagenet`. Distillation sees the pictures of the posts under `data`, without
    labels and whatever their split, every photo under `photos`, and a share of `tiny_imagenet`. `teacher`
    None leaves distillation out.
    """

    config: FusionConfig
    output: Path
    start: Start = "pretraining"
    teacher: TeacherName | None = "efficientnet-lite0"
    data: Path | None = None
    photos: Sequence[Path] = ()
    tiny_imagenet: Path | None = None
    pretraining_epochs: int = PRETRAINING_EPOCHS
    distillation_epochs: int = DISTILLATION_EPOCHS
    batch_size: int = 64
    seed: int = 0
    resume: bool = True


def train_pictures(plan: PicturePlan) -> dict[str, Any]:
    """Train the picture encoder; leaves `image.safetensors` in the output: fp16, torchvision's keys, no `fc`.

    Returns what also goes to `picture.json`: each epoch's figures, where it started from and how many photos
    it saw. A run that was stopped goes on where it was.

    Raises:
        InputError: photos or weights are missing or damaged.
        SetupError: the teacher's packages are not installed, or torchvision's weights cannot be downloaded.
    """
    make_folder(plan.output)
    torch.manual_seed(plan.seed)
    teacher = Teacher(plan.teacher) if plan.teacher else None
    photos = distillation_photos(plan) if teacher else []
    figures: dict[str, Any] = {
        "stage": "picture",
        "seed": plan.seed,
        "encoder": plan.config.image_encoder,
        "start": plan.start.name if isinstance(plan.start, Path) else plan.start,
        "device": str(best_device()),
    }
    if plan.start == "pretraining":
        figures["pretraining"] = _pretrain(plan)
    weights = start_weights(plan)
    if teacher:
        figures |= {"teacher": plan.teacher, "photos": len(photos)}
        figures["distillation"], weights = _distil(plan, teacher, photos, weights)
    _save(weights, plan.output / IMAGE_FILE)
    (plan.output / "picture.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def distillation_photos(plan: PicturePlan) -> list[Path]:
    """The photos in full size: of the posts, and of every folder named; each file was found readable."""
    files: list[Path] = []
    if plan.data is not None:
        for split in sorted(post_splits(plan.data)):
            files += [post.image for post in read_posts(plan.data, split)]
    for folder in plan.photos:
        files += photo_files(folder)
    if len(files) < _LEAST_PHOTOS:
        raise InputError(
            f"distillation needs photos, and {len(files)} were found: name a folder of them, "
            "or one that holds mvsa-single"
        )
    check_photos(files)
    return files


def start_weights(plan: PicturePlan) -> dict[str, Tensor]:
    """The ResNet that distillation starts from, on the CPU; raises as `train_pictures`."""
    name = plan.config.image_encoder
    if plan.start == "torchvision":
        weights = plan.config.image_weights or _newest_weights(name)
        model = FusionModel(FusionConfig.preset("tiny", image_encoder=name, image_weights=weights))
        model.load_image_encoder()
        return dict(model.image_encoder.state_dict())
    encoder = LearningEncoder(name)
    file = plan.start if isinstance(plan.start, Path) else plan.output / PRETRAINED_FILE
    load_weights(encoder, file, remedy=f"give a {name} of torchvision's")
    return dict(encoder.state_dict())


def _newest_weights(name: str) -> str:
    try:
        newest: str = get_model_weights(name).DEFAULT.name
    except ValueError as error:
        raise InputError(f"torchvision has no weights of {name}: start from a file or pre-train") from error
    return newest


def _pretrain(plan: PicturePlan) -> list[dict[str, Any]]:
    if plan.tiny_imagenet is None:
        raise InputError(
            "pre-training needs Tiny ImageNet's folder: name it, or start from a ResNet in safetensors"
        )
    task = PretrainingTask(
        plan.config.image_encoder,
        plan.tiny_imagenet,
        batch_size=2 * plan.batch_size,
        seed=plan.seed,
    )
    with task.crops:
        check_photos([*task.files, *task.val_files])
        run = f"{len(task.files)} photos of {len(set(task.labels))} classes"
        schedule = _schedule(plan, plan.pretraining_epochs, 0.05, run)
        history = fit(task, schedule, plan.output, resume=plan.resume)
    _save(task.encoder.state_dict(), plan.output / PRETRAINED_FILE)
    write_curves(task.name, plan.output)
    return history


def _distil(
    plan: PicturePlan, teacher: Teacher, photos: Sequence[Path], weights: dict[str, Tensor]
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    torch.manual_seed(plan.seed)  # whether pre-training went before or not
    small = [] if plan.tiny_imagenet is None else photo_files(plan.tiny_imagenet / "train")
    task = DistillationTask(
        plan.config.image_encoder,
        teacher,
        photos,
        small,
        size=plan.config.image_size,
        batch_size=plan.batch_size,
        seed=plan.seed,
    )
    task.model.encoder.load_state_dict(weights)
    run = f"{task.size} px, {plan.teacher}, {len(photos)} + {len(small)} photos"
    schedule = _schedule(plan, plan.distillation_epochs, 0.02, run)
    with task.crops:
        if plan.start != "pretraining":
            check_photos(small)
        history = fit(task, schedule, plan.output, resume=plan.resume)
    write_curves(task.name, plan.output)
    return history, dict(task.model.encoder.state_dict())


def _schedule(plan: PicturePlan, epochs: int, weight_decay: float, run: str) -> Schedule:
    run = f"{plan.config.image_encoder}, batches of {plan.batch_size}, {run}"
    return Schedule(epochs, weight_decay, seed=plan.seed, snapshot_steps=SNAPSHOT_STEPS, recipe=run)


def _save(weights: dict[str, Tensor], file: Path) -> None:
    """fp16, and whole or not at all."""
    partial = file.with_suffix(".partial")
    halves = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in weights.items()
    }
    save_file(halves, partial)
    partial.replace(file)
