"""`mmsent train`: the stages, each seeded and resumable."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from mmsent.engine.base import HEADS, Head
from mmsent.errors import InputError
from mmsent.model.checkpoint import CONFIG_FILE
from mmsent.model.fusion import FusionModel
from mmsent.training import Stage
from mmsent.training.curves import write_curves
from mmsent.training.data import head_labels, make_folder, read_irony, read_record, read_texts, require_labels
from mmsent.training.device import best_device
from mmsent.training.fit import weights_hash
from mmsent.training.fusion_stage import TextReader, all_logits, freeze
from mmsent.training.out_of_fold import OutOfFoldLogits, group_folds
from mmsent.training.photos import check_photos
from mmsent.training.picture_stage import RECORD_FILE, train_pictures
from mmsent.training.recipe import Recipe
from mmsent.training.repeats import post_groups
from mmsent.training.run import IMAGE_FILE, TEXT_FILE, TEXT_PARTS, PictureMaps, Run, fit_fusion
from mmsent.training.text_stage import TextTask, mean_weights

OUT_OF_FOLD_FILE = "out_of_fold.npz"
_SHARED = ("model", "fusion", "drawings", "seed")  # of a recipe, that folds have from the fusion stage


def train(stage: Stage, run: Run) -> dict[str, Any]:
    """Train one stage; weights and figures go to the run's output folder.

    `picture` makes the picture encoder, `image.safetensors`: see `train_pictures`. `text` starts from the
    text encoder that the recipe names and writes `text.safetensors`. `fusion` starts from that file and from
    `Run.image_start`, and writes the model as `FusionModel.save_pretrained` does, and `training.json`.
    `folds` does the same once more for each fold of the posts and writes what those models say of the posts
    they did not learn from: `out_of_fold.npz`, which calibration is fitted on. With `Run.resume` a stage that
    was killed goes on where it stopped. Returns each epoch's figures on the development sets.

    Raises:
        InputError: data, weights or an earlier stage are missing or damaged.
        SetupError: weights to start from cannot be downloaded.
    """
    torch.manual_seed(run.recipe.seed)
    make_folder(run.output)
    stages: dict[Stage, Callable[[Run], dict[str, Any]]] = {
        "picture": train_pictures,
        "text": _train_text,
        "fusion": _train_fusion,
        "folds": _train_folds,
    }
    return stages[stage](run)


def check(stages: Sequence[Stage], run: Run) -> None:
    """Raise what `train` would raise of data and weights, before hours are spent."""
    if stages == ["picture"]:
        return
    _ = run.texts, run.tokenizer
    if "text" in stages:
        read_texts(run.data, "dev")
    if {"fusion", "folds"} & set(stages):
        check_photos([post.image for posts in run.posts.values() for post in posts])
        model = FusionModel(run.config)
        freeze(model.text_encoder, run.recipe.fusion.frozen_layers)
        model.load_image_encoder(run.image_start)
        _picture_record(run)
        require_labels(run.posts["train"])
        require_labels(run.posts["dev"])
    if "folds" in stages:
        _folds(run)


def load_trained(folder: Path) -> FusionModel:
    """The model that the fusion stage left in `folder`, ready to judge; raises InputError without one."""
    if not (folder / CONFIG_FILE).exists():
        raise InputError(f"no trained model in {folder}: run `mmsent train --stage fusion` first")
    return FusionModel.from_pretrained(folder)


def _train_text(run: Run) -> dict[str, Any]:
    """Fine-tunings from the same start that see the data in other orders, and the mean of their weights."""
    recipe = run.recipe.text
    dev = read_texts(run.data, "dev")
    irony, irony_dev = (
        read_irony(run.data, split) if recipe.irony_weight else [] for split in ("train", "dev")
    )
    histories, weights = [], []
    for number in range(recipe.runs):
        seed = recipe.runs * run.recipe.seed + number
        torch.manual_seed(run.recipe.seed)
        model = FusionModel(run.config.model_copy(update={"dropout": 0.0}))
        model.load_text_encoder()
        task = TextTask(
            model.to(best_device()),
            run.tokenizer,
            run.texts,
            dev,
            irony=irony,
            irony_dev=irony_dev,
            recipe=recipe,
            seed=seed,
        )
        folder = run.output / f"text-{number}"
        histories.append(run.fit(task, recipe, folder, seed=seed))
        write_curves(task.name, folder)
        weights.append(task.model.state_dict())
    task.model.load_state_dict(mean_weights(weights))
    with torch.inference_mode():
        figures = {name: round(value, 4) for name, value in task.judge().items()}
    state = {name: each for name, each in task.fusion.state_dict().items() if name.startswith(TEXT_PARTS)}
    content = save({name: each.contiguous() for name, each in state.items()})
    (run.output / TEXT_FILE).write_bytes(content)  # save_file would let nobody but the owner read it
    record = {"stage": "text", "texts": len(run.texts), "irony_texts": len(irony)}
    return _record(run, "text.json", {**record, "runs": histories, "mean": figures})


def _train_fusion(run: Run) -> dict[str, Any]:
    (run.output / OUT_OF_FOLD_FILE).unlink(missing_ok=True)  # of another model from now on
    record = _picture_record(run)
    model = run.new_model()
    began = weights_hash(model)
    maps = PictureMaps(run, model)
    everything = np.arange(len(run.posts["train"]))
    pictures = maps.teach_head(model, everything)
    history = fit_fusion(run, model, maps, everything, run.output)
    model.to("cpu").save_pretrained(run.output)
    write_curves("fusion", run.output)
    picture_start = run.image_start
    figures = {
        "stage": "fusion",
        "start": began,
        "data": run.posts_hash,
        "picture_start": picture_start.name if picture_start else run.config.image_weights,
        "picture_record": record,
        "posts": len(everything),
        "drawings": sum(post.split == "train" for post in maps.drawn),
    }
    return _record(run, "training.json", {**figures, "picture": pictures, "fusion": history})


def _picture_record(run: Run) -> dict[str, Any] | None:
    """What the picture stage noted beside the weights it left; None of weights from elsewhere."""
    start = run.image_start
    if start is None or start.name != IMAGE_FILE:
        return None
    return read_record(
        start.with_name(RECORD_FILE), "give its folder whole or run `mmsent train --stage picture`"
    )


def _train_folds(run: Run) -> dict[str, Any]:
    """The fusion stage on all folds but one, in turn."""
    fitted, (split, fold) = run.fitted, _folds(run)
    model = run.new_model()
    _check_same(run, model)
    maps = PictureMaps(run, model)
    fitted_maps = maps.fitted
    logits: dict[Head, NDArray[np.float32]] = {head: np.zeros((len(fitted), 3), np.float32) for head in HEADS}
    histories = []
    for number in np.unique(fold):
        out, taught = np.flatnonzero(fold == number), np.flatnonzero((fold != number) & (split == "train"))
        model = run.new_model()
        maps.teach_head(model, taught)
        folder = run.output / f"fold-{number}"
        histories.append(fit_fusion(run, model, maps, taught, folder))
        write_curves("fusion", folder)
        reader = TextReader(model, run.ids([fitted[row] for row in out]))
        found = all_logits(model, reader, fitted_maps[out], pictures=run.recipe.fusion.pictures)
        for head in HEADS:
            logits[head][out] = found[head]
    OutOfFoldLogits(
        post_id=np.array([post.post_id for post in fitted]),
        split=split,
        fold=fold,
        logits=logits,
        labels=head_labels(fitted),
    ).save(run.output / OUT_OF_FOLD_FILE)
    return _record(run, "folds.json", {"stage": "folds", "folds": histories})


def _folds(run: Run) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Split and fold of each of `Run.fitted` (N,)."""
    split = np.array([post.split for post in run.fitted])
    return split, group_folds(post_groups(run.fitted), split, run.recipe.seed)


def _check_same(run: Run, start: FusionModel) -> None:
    """Folds stand for the fusion stage's model; raises InputError without one that learned the same way."""
    path = run.output / "training.json"
    try:
        figures = json.loads(path.read_bytes())
        then, began, data = Recipe.model_validate(figures["recipe"]), figures["start"], figures["data"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read {path}: run `mmsent train --stage fusion` first") from error
    same = all(getattr(then, name) == getattr(run.recipe, name) for name in _SHARED)
    if not same or began != weights_hash(start) or data != run.posts_hash:
        raise InputError(
            f"the fusion stage in {run.output} was run with another recipe, seed, text stage, picture "
            "encoder or data: give folds the same, or run it again"
        )


def _record(run: Run, name: str, figures: dict[str, Any]) -> dict[str, Any]:
    figures = {**figures, "recipe": run.recipe.model_dump(mode="json"), "device": str(best_device())}
    (run.output / name).write_text(json.dumps(figures, indent=2) + "\n")
    return figures
