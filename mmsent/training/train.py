"""`mmsent train`: the two stages, each seeded and resumable."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from mmsent.errors import InputError
from mmsent.model.checkpoint import CONFIG_FILE
from mmsent.model.fusion import FusionConfig, FusionModel, load_weights
from mmsent.model.inputs import TextTokenizer
from mmsent.training.data import LabelledPost, make_folder, read_posts, read_texts
from mmsent.training.drawn import DRAWINGS, drawn_posts
from mmsent.training.features import VIEWS, picture_maps
from mmsent.training.fit import Schedule, Task, fit
from mmsent.training.fusion_stage import FusionJudge, FusionTask
from mmsent.training.picture_head import LabelledMaps, fit_picture_head
from mmsent.training.text_stage import TextTask, tokenizer_file

Stage = Literal["text", "fusion"]

TEXT_EPOCHS = 1
FUSION_EPOCHS = 4


def train(
    stage: Stage,
    data: Path,
    output: Path,
    *,
    image_weights: Path | None = None,
    drawings: int = DRAWINGS,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = True,
    config: FusionConfig | None = None,
) -> dict[str, Any]:
    """Train one stage on the data sets under `data`; weights and figures go to the folder `output`.

    `text` starts from the text encoder that the configuration names and writes `text.safetensors`. `fusion`
    starts from that file and from `image_weights`, a ResNet of torchvision's in safetensors (its own weights
    without), teaches the picture head with `drawings` drawings beside the photos, and writes the model as
    `FusionModel.save_pretrained` does, and `training.json`.
    With `resume` a stage that was killed goes on where it stopped. Returns the figures of each epoch on the
    development sets.

    Raises:
        InputError: data, weights or an earlier stage are missing or damaged.
        SetupError: weights to start from cannot be downloaded.
    """
    plan = _Plan(config or FusionConfig.preset(), data, output, drawings, epochs, seed, resume)
    torch.manual_seed(seed)
    make_folder(output)
    return _train_text(plan) if stage == "text" else _train_fusion(plan, image_weights)


def load_trained(folder: Path) -> FusionModel:
    """The model that the fusion stage left in `folder`, ready to judge; raises InputError without one."""
    if not (folder / CONFIG_FILE).exists():
        raise InputError(f"no trained model in {folder}: run `mmsent train --stage fusion` first")
    return FusionModel.from_pretrained(folder)


@dataclass(frozen=True)
class _Plan:
    config: FusionConfig
    data: Path
    output: Path
    drawings: int
    epochs: int | None
    seed: int
    resume: bool

    def fit(self, task: Task, default_epochs: int) -> list[dict[str, Any]]:
        schedule = Schedule(epochs=self.epochs or default_epochs, seed=self.seed)
        return fit(task, schedule, self.output, resume=self.resume)


def _train_text(plan: _Plan) -> dict[str, Any]:
    tokenizer = TextTokenizer(tokenizer_file(plan.config), plan.config.max_length)
    train_texts, dev_texts = read_texts(plan.data, "train"), read_texts(plan.data, "dev")
    model = FusionModel(plan.config.model_copy(update={"dropout": 0.0}))
    model.load_text_encoder()
    history = plan.fit(TextTask(model, tokenizer, train_texts, dev_texts, seed=plan.seed), TEXT_EPOCHS)
    kept = ("text_encoder.", "text_head.")
    weights = {name: each.contiguous() for name, each in model.state_dict().items() if name.startswith(kept)}
    save_file(weights, plan.output / "text.safetensors")
    return _record(plan.output / "text.json", {"stage": "text", "seed": plan.seed, "text": history})


def _train_fusion(plan: _Plan, image_weights: Path | None) -> dict[str, Any]:
    posts = {split: read_posts(plan.data, split) for split in ("train", "dev", "conflict")}
    texts = read_texts(plan.data, "train")
    tokenizer = TextTokenizer(tokenizer_file(plan.config), plan.config.max_length)
    model = FusionModel(plan.config)
    text_weights = plan.output / "text.safetensors"
    load_weights(model, text_weights, remedy="train the text stage first", strict=False)
    model.load_image_encoder(image_weights)
    views = [_maps(plan, model, posts["train"], "train", view) for view in range(VIEWS)]
    dev, opposite = (_maps(plan, model, posts[split], split, 0) for split in ("dev", "conflict"))
    pictures = _teach_pictures(plan, model, posts, views, dev)
    judge = FusionJudge(tokenizer, posts["dev"], dev, posts["conflict"], opposite)
    task = FusionTask(model, tokenizer, posts["train"], views, texts, judge=judge, seed=plan.seed)
    history = plan.fit(task, FUSION_EPOCHS)
    model.save_pretrained(plan.output)
    figures = {"stage": "fusion", "seed": plan.seed, "picture": pictures, "fusion": history}
    return _record(plan.output / "training.json", figures)


def _teach_pictures(
    plan: _Plan,
    model: FusionModel,
    posts: dict[str, list[LabelledPost]],
    views: list[NDArray[np.float16]],
    dev: NDArray[np.float16],
) -> list[dict[str, Any]]:
    """Fit the picture head to photos and drawings, every view of them."""
    drawn = drawn_posts(plan.output / "drawn", count=plan.drawings, seed=plan.seed)
    drawn_views = [_maps(plan, model, drawn, "drawn", view) for view in range(VIEWS)] if drawn else []
    taught, judged = (
        [row for row, post in enumerate(drawn) if post.split == split] for split in ("train", "dev")
    )
    labels = [post.image_label for post in posts["train"]]
    drawn_labels = [post.image_label for post in drawn]
    lessons = [LabelledMaps(view, labels) for view in views]
    lessons += [LabelledMaps(view[taught], [drawn_labels[row] for row in taught]) for view in drawn_views]
    judges = {"photos": LabelledMaps(dev, [post.image_label for post in posts["dev"]])}
    if judged:
        judges["drawings"] = LabelledMaps(drawn_views[0][judged], [drawn_labels[row] for row in judged])
    return fit_picture_head(model, lessons, judges)


def _maps(
    plan: _Plan, model: FusionModel, posts: list[LabelledPost], split: str, view: int
) -> NDArray[np.float16]:
    path = plan.output / "features" / f"{split}-{view}.npy"
    return picture_maps(model.image_encoder, posts, plan.config.image_size, view, path)


def _record(path: Path, figures: dict[str, Any]) -> dict[str, Any]:
    path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures
