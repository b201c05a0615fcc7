"""The picture stage: a ResNet for the picture encoder, pre-trained and distilled without any model hub."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torchvision.models import get_model_weights

from mmsent.errors import InputError
from mmsent.model.fusion import FusionConfig, FusionModel, load_weights
from mmsent.training.curves import write_curves
from mmsent.training.data import has_posts, make_folder, post_splits, read_posts
from mmsent.training.device import best_device
from mmsent.training.distillation import DistillationTask
from mmsent.training.fit import Schedule, fit
from mmsent.training.photos import check_photos, photo_files
from mmsent.training.pretraining import LearningEncoder, PretrainingTask
from mmsent.training.run import IMAGE_FILE, Run
from mmsent.training.teacher import Teacher

PRETRAINED_FILE = "pretrained.safetensors"
RECORD_FILE = "picture.json"
SNAPSHOT_STEPS = 50
_LEAST_PHOTOS = 8


def train_pictures(run: Run) -> dict[str, Any]:
    """Train the picture encoder; leaves `image.safetensors` in the output: fp16, torchvision's keys, no `fc`.

    It starts from the run's image weights, else from pre-training on its Tiny ImageNet, else from
    torchvision's own weights, and is then distilled from the recipe's teacher, over the pictures of the posts
    in the data, without labels and whatever their split, every photo under `photos`, and a share of Tiny
    ImageNet. Returns what also goes to `picture.json`: each epoch's figures, where it started from, which
    photos it saw and how many. A run that was stopped goes on where it was.

    Raises:
        InputError: photos or weights are missing or damaged.
        SetupError: the teacher's packages are not installed, or torchvision's weights cannot be downloaded.
    """
    make_folder(run.output)
    torch.manual_seed(run.recipe.seed)
    name = run.recipe.picture.teacher
    teacher = None if name == "none" else Teacher(name)
    photos = distillation_photos(run) if teacher else []
    figures: dict[str, Any] = {
        "stage": "picture",
        "seed": run.recipe.seed,
        "encoder": run.config.image_encoder,
        "start": "torchvision",
        "device": str(best_device()),
    }
    if run.image_weights:
        figures["start"] = run.image_weights.name
    elif run.tiny_imagenet:
        figures |= {"start": "pretraining", "pretraining": _pretrain(run, run.tiny_imagenet)}
    weights = start_weights(run)
    if teacher:
        figures |= {"teacher": name, "photos": len(photos), "sources": _sources(run)}
        figures["distillation"], weights = _distil(run, teacher, photos, weights)
    _save(weights, run.output / IMAGE_FILE)
    (run.output / RECORD_FILE).write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _sources(run: Run) -> list[str]:
    posts = ["pictures of MVSA-Single (research use)"] if has_posts(run.data) else []
    folders = [f"`{folder.resolve().name}`" for folder in run.photos]
    return [*posts, *folders, *(["Tiny ImageNet (research use)"] if run.tiny_imagenet else [])]


def distillation_photos(run: Run) -> list[Path]:
    """The photos in full size: of the posts, and of every folder named; each file was found readable."""
    if not run.data.is_dir():
        raise InputError(f"no folder {run.data}: give the folder that holds the data sets")
    files: list[Path] = []
    for split in sorted(post_splits(run.data)) if has_posts(run.data) else ():
        files += [post.image for post in read_posts(run.data, split)]
    for folder in run.photos:
        files += photo_files(folder)
    if len(files) < _LEAST_PHOTOS:
        raise InputError(
            f"distillation needs photos, and {len(files)} were found: name a folder of them, "
            "or one that holds mvsa-single"
        )
    check_photos(files)
    return files


def start_weights(run: Run) -> dict[str, Tensor]:
    """The ResNet that distillation starts from, on the CPU; raises as `train_pictures`."""
    name = run.config.image_encoder
    file = run.image_weights or (run.tiny_imagenet and run.output / PRETRAINED_FILE)
    if file is None:
        weights = run.config.image_weights or _newest_weights(name)
        model = FusionModel(FusionConfig.preset("tiny", image_encoder=name, image_weights=weights))
        model.load_image_encoder()
        return dict(model.image_encoder.state_dict())
    encoder = LearningEncoder(name)
    load_weights(encoder, file, remedy=f"give a {name} of torchvision's")
    return dict(encoder.state_dict())


def _newest_weights(name: str) -> str:
    try:
        newest: str = get_model_weights(name).DEFAULT.name
    except ValueError as error:
        raise InputError(f"torchvision has no weights of {name}: start from a file or pre-train") from error
    return newest


def _pretrain(run: Run, tiny_imagenet: Path) -> list[dict[str, Any]]:
    recipe = run.recipe.picture
    task = PretrainingTask(
        run.config.image_encoder,
        tiny_imagenet,
        batch_size=2 * recipe.batch_size,
        seed=run.recipe.seed,
    )
    with task.crops:
        check_photos([*task.files, *task.val_files])
        seen = f"{len(task.files)} photos of {len(set(task.labels))} classes"
        schedule = _schedule(run, recipe.pretraining_epochs, 0.05, seen)
        history = fit(task, schedule, run.output, resume=run.resume)
    _save(task.encoder.state_dict(), run.output / PRETRAINED_FILE)
    write_curves(task.name, run.output)
    return history


def _distil(
    run: Run, teacher: Teacher, photos: Sequence[Path], weights: dict[str, Tensor]
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    recipe = run.recipe.picture
    torch.manual_seed(run.recipe.seed)  # whether pre-training went before or not
    small = [] if run.tiny_imagenet is None else photo_files(run.tiny_imagenet / "train")
    task = DistillationTask(
        run.config.image_encoder,
        teacher,
        photos,
        small,
        size=run.config.image_size,
        batch_size=recipe.batch_size,
        seed=run.recipe.seed,
    )
    task.model.encoder.load_state_dict(weights)
    seen = f"{task.size} px, {recipe.teacher}, {len(photos)} + {len(small)} photos"
    schedule = _schedule(run, recipe.distillation_epochs, 0.02, seen)
    with task.crops:
        if run.image_weights:  # pre-training has looked already
            check_photos(small)
        history = fit(task, schedule, run.output, resume=run.resume)
    write_curves(task.name, run.output)
    return history, dict(task.model.encoder.state_dict())


def _schedule(run: Run, epochs: int, weight_decay: float, seen: str) -> Schedule:
    made_of = f"{run.config.image_encoder}, batches of {run.recipe.picture.batch_size}, {seen}"
    return Schedule(epochs, weight_decay, seed=run.recipe.seed, snapshot_steps=SNAPSHOT_STEPS, recipe=made_of)


def _save(weights: dict[str, Tensor], file: Path) -> None:
    """fp16, and whole or not at all."""
    partial = file.with_suffix(".partial")
    halves = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in weights.items()
    }
    partial.write_bytes(save(halves))  # save_file would let nobody but the owner read it
    partial.replace(file)
