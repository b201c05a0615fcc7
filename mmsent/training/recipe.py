"""What a training run is made of: the model and each stage's settings, as they stand here or in a file."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmsent.errors import InputError
from mmsent.model.fusion import FusionConfig
from mmsent.training.drawn import DRAWINGS
from mmsent.training.teacher import TeacherName

_EPOCHS = (
    ("picture", "pretraining_epochs"),
    ("picture", "distillation_epochs"),
    ("text", "epochs"),
    ("fusion", "epochs"),
)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PictureRecipe(_Settings):
    """The picture stage: pre-training where it is asked for, then distillation from `teacher`."""

    teacher: TeacherName | Literal["none"] = "efficientnet-lite0"
    pretraining_epochs: int = Field(default=6, ge=1)
    distillation_epochs: int = Field(default=24, ge=1)
    batch_size: int = Field(default=64, ge=1)


class TextRecipe(_Settings):
    """The text stage: AdamW on SemEval-2017 4A, irony beside where the data has it.

    It is done `runs` times with other seeds, and their weights are averaged (Wortsman et al. 2022).
    `class_balance` is the power of (mean number of texts with a label / number with its own) that
    weighs the label in the loss: few of these texts are negative, and SemEval-2017 4A is judged by macro
    recall. Training stops after `patience` epochs without a better one.
    """

    runs: int = Field(default=2, ge=1)
    epochs: int = Field(default=1, ge=1)
    patience: int = Field(default=2, ge=0)
    batch_size: int = Field(default=64, ge=1)
    rate: float = Field(default=2e-4, gt=0)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    class_balance: float = Field(default=0.5, ge=0, le=1)
    irony_weight: float = Field(default=0.5, ge=0)


class FusionRecipe(_Settings):
    """The fusion stage, and how it keeps the modalities in balance.

    `class_balance` is that of the posts, `texts_balance` that of the SemEval texts beside them.
    `frozen_layers` of the text encoder, from below, learn nothing. `pictures` False withholds all pictures
    from fusion: a model of the text alone, to compare with. `modality_dropout` is the chance that a post's
    words or its picture, one of them, are withheld from fusion. `unimodal_weight` weighs the loss of fusion
    with one withheld, against the other's own label. `modulation` is alpha of OGM-GE (Peng et al., CVPR
    2022), see `modulation.py`.
    """

    epochs: int = Field(default=2, ge=1)
    patience: int = Field(default=2, ge=0)
    batch_size: int = Field(default=32, ge=1)
    texts_per_batch: int = Field(default=32, ge=0)
    rate: float = Field(default=5e-5, gt=0)
    head_rate: float = Field(default=5e-4, gt=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    class_balance: float = Field(default=0.0, ge=0, le=1)
    texts_balance: float = Field(default=0.5, ge=0, le=1)
    frozen_layers: int = Field(default=0, ge=0)
    pictures: bool = True
    modality_dropout: float = Field(default=0.0, ge=0, le=1)
    unimodal_weight: float = Field(default=0.0, ge=0)
    modulation: float = Field(default=0.0, ge=0)


class Recipe(_Settings):
    """A whole run. `model` names a preset and what differs from it, as `FusionConfig` calls it."""

    seed: int = Field(default=0, ge=0)
    drawings: int = Field(default=DRAWINGS, ge=0)
    model: dict[str, Any] = Field(default_factory=dict)
    picture: PictureRecipe = PictureRecipe()
    text: TextRecipe = TextRecipe()
    fusion: FusionRecipe = FusionRecipe()

    def config(self) -> FusionConfig:
        """Raises InputError for a preset or a value that cannot be, SetupError where a hub is out of reach.

        With `text_encoder` or `image_encoder` the encoders are those named, else the preset's.
        """
        preset = self.model.get("preset", "default")
        changes = {name: value for name, value in self.model.items() if name != "preset"}
        if unknown := sorted(changes.keys() - FusionConfig.model_fields.keys()):
            raise InputError(f"a model has no {unknown[0]!r}: use {', '.join(FusionConfig.model_fields)}")
        base = FusionConfig.preset(preset)
        if not {"text_encoder", "image_encoder"} & changes.keys():
            return FusionConfig.preset(preset, **changes)
        text, image = (changes.get(name, getattr(base, name)) for name in ("text_encoder", "image_encoder"))
        if text is None:
            raise InputError(f"preset {preset!r} has a random text encoder: name a text_encoder too")
        kept = base.model_dump(exclude={"text_encoder", "text_config", "image_encoder", "image_weights"})
        others = {name: changes[name] for name in changes.keys() - {"text_encoder", "image_encoder"}}
        return FusionConfig.of_encoders(text, image, **{**kept, **others})


def load_recipe(path: Path | None, *, epochs: int | None = None, **overrides: int) -> Recipe:
    """A recipe's TOML file, or the default one; `epochs` are those of each stage, `overrides` other fields.

    Raises:
        InputError: the file cannot be read; a bad field is named.
    """
    try:
        fields = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
        for stage, name in _EPOCHS if epochs else ():
            if isinstance(given := fields.setdefault(stage, {}), dict):
                given[name] = epochs
        return Recipe.model_validate(fields | overrides)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path} ({error}): give a TOML file") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {field}: {first['msg']}: see `mmsent train --help`") from error
