"""One run of `mmsent train`: its arguments, what several stages read, and the fusion stage's fit."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmsent.model.fusion import FusionConfig, FusionModel, load_weights
from mmsent.model.inputs import TextTokenizer
from mmsent.training.data import LabelledPost, LabelledText, head_labels, read_posts
from mmsent.training.device import best_device
from mmsent.training.drawn import drawn_posts
from mmsent.training.features import VIEWS, picture_maps
from mmsent.training.fit import Schedule, Task, fit, weights_hash
from mmsent.training.fusion_stage import FusionJudge, FusionTask, TextReader
from mmsent.training.kept_back import learned_texts
from mmsent.training.out_of_fold import FITTED_SPLITS
from mmsent.training.picture_head import DRAWING_WEIGHT, PictureLesson, judge, pooled, teach
from mmsent.training.recipe import FusionRecipe, Recipe, TextRecipe
from mmsent.training.text_stage import tokenizer_file

IMAGE_FILE = "image.safetensors"
TEXT_FILE = "text.safetensors"
TEXT_PARTS = ("text_encoder.", "text_head.")


@dataclass(frozen=True)
class Run:
    """A run's arguments, and what several stages read.

    `image_weights`, `photos` and `tiny_imagenet` are what the picture encoder is made from.
    """

    recipe: Recipe
    config: FusionConfig
    data: Path
    output: Path
    image_weights: Path | None = None
    photos: Sequence[Path] = ()
    tiny_imagenet: Path | None = None
    resume: bool = True

    def fit(
        self, task: Task, recipe: TextRecipe | FusionRecipe, output: Path, *, seed: int
    ) -> list[dict[str, Any]]:
        schedule = Schedule(
            recipe.epochs,
            seed=seed,
            patience=recipe.patience,
            recipe=recipe.model_dump_json(exclude={"runs"}),
        )
        return fit(task, schedule, output, resume=self.resume)

    @property
    def image_start(self) -> Path | None:
        """The picture encoder's weights: those given, the picture stage's, or None for torchvision's own."""
        own = self.output / IMAGE_FILE
        return self.image_weights or (own if own.exists() else None)

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        return TextTokenizer(tokenizer_file(self.config), self.config.max_length)

    @cached_property
    def texts(self) -> list[LabelledText]:
        return learned_texts(self.data)

    @cached_property
    def posts(self) -> dict[str, list[LabelledPost]]:
        return {split: read_posts(self.data, split) for split in ("train", "dev", "conflict")}

    @property
    def fitted(self) -> list[LabelledPost]:
        """The posts of FITTED_SPLITS."""
        return [post for split in FITTED_SPLITS for post in self.posts[split]]

    @property
    def posts_hash(self) -> str:
        """Another one for other words or labels of any split."""
        posts = [
            replace(post, image=Path(post.image.name)) for split in self.posts.values() for post in split
        ]
        return hashlib.sha256(repr(posts).encode()).hexdigest()[:8]

    def ids(self, posts: Sequence[LabelledPost | LabelledText]) -> list[list[int]]:
        return self.tokenizer.encode([each.text for each in posts])

    def new_model(self) -> FusionModel:
        """The text stage's encoder and head, the picture encoder to start from, and the seed's fusion."""
        torch.manual_seed(self.recipe.seed)
        model = FusionModel(self.config)
        remedy = "train the text stage first, by the same recipe"
        load_weights(model, self.output / TEXT_FILE, remedy=remedy, parts=TEXT_PARTS)
        model.load_image_encoder(self.image_start)
        return model.to(best_device())


class PictureMaps:
    """What the picture encoder sees of all posts and drawings; computed once, kept under `features`."""

    def __init__(self, run: Run, model: FusionModel) -> None:
        self._run, self._encoder, posts = run, model.image_encoder, run.posts
        self.encoder_hash = weights_hash(model.image_encoder)
        self.views = [self._maps(posts["train"], "train", view) for view in range(VIEWS)]
        opposite = self._maps(posts["conflict"], "conflict", 0)
        self.judged = np.concatenate([self._maps(posts["dev"], "dev", 0), opposite])
        self._opposite = opposite

    @property
    def fitted(self) -> NDArray[np.float16]:
        """View 0 of FITTED_SPLITS."""
        return np.concatenate([self.views[0], self._opposite])

    def teach_head(self, model: FusionModel, rows: NDArray[np.int64]) -> dict[str, dict[str, float]]:
        """Teach the picture head these rows of `train`, and drawings, in every view.

        Returns how it does with the photos of `dev` and with drawings that it did not learn from.
        """
        drawn = np.array([post.split == "train" for post in self.drawn], np.bool_)
        lessons = [lesson.part(rows) for lesson in self._photos]
        lessons += [lesson.part(np.flatnonzero(drawn)) for lesson in self._drawings]
        teach(model.image_head, lessons)
        judged = {"photos": self._dev}
        if len(others := np.flatnonzero(~drawn)):
            judged["drawings"] = self._drawings[0].part(others)
        return {name: judge(model.image_head, lesson) for name, lesson in judged.items()}

    @cached_property
    def drawn(self) -> list[LabelledPost]:
        recipe = self._run.recipe
        return drawn_posts(self._run.output / "drawn", count=recipe.drawings, seed=recipe.seed)

    @cached_property
    def _photos(self) -> list[PictureLesson]:
        labels = head_labels(self._run.posts["train"])["image"]
        return [PictureLesson(pooled(view), labels) for view in self.views]

    @cached_property
    def _drawings(self) -> list[PictureLesson]:
        views = [self._maps(self.drawn, "drawn", view) for view in range(VIEWS)] if self.drawn else []
        labels = head_labels(self.drawn)["image"]
        return [PictureLesson(pooled(view), labels, DRAWING_WEIGHT) for view in views]

    @cached_property
    def _dev(self) -> PictureLesson:
        dev = self._run.posts["dev"]
        return PictureLesson(pooled(self.judged[: len(dev)]), head_labels(dev)["image"])

    def _maps(self, posts: Sequence[LabelledPost], split: str, view: int) -> NDArray[np.float16]:
        size = self._run.config.image_size
        seen = "".join(f"{post.post_id} {post.image.stat().st_size} " for post in posts)
        key = hashlib.sha256(f"{self.encoder_hash} {size} {seen}".encode()).hexdigest()[:8]
        path = self._run.output / "features" / f"{split}-{view}-{key}.npy"
        return picture_maps(self._encoder, posts, size, view, path)


def fit_fusion(
    run: Run,
    model: FusionModel,
    maps: PictureMaps,
    rows: NDArray[np.int64],
    output: Path,
    *,
    kept: TextReader | None = None,
) -> list[dict[str, Any]]:
    """Text and fusion learn from these rows of `train`.

    `kept` is `keep_words`, for a text encoder that is frozen whole.
    """
    recipe, posts, dev = run.recipe.fusion, run.posts["train"], run.posts["dev"]
    if kept is None:
        texts = run.texts if recipe.texts_per_batch else []
        reader = TextReader(model, run.ids([*(posts[row] for row in rows), *texts]))
        judged = TextReader(model, run.ids([*dev, *run.posts["conflict"]]))
    else:
        texts, reader = [], kept.part(rows.tolist())
        judged = kept.part(range(len(posts), len(kept.token_ids)))
    task = FusionTask(
        model,
        reader,
        [posts[row] for row in rows],
        [view[rows] for view in maps.views],
        texts,
        judge=FusionJudge(judged, dev, maps.judged, pictures=recipe.pictures),
        recipe=recipe,
        seed=run.recipe.seed,
    )
    return run.fit(task, recipe, output, seed=run.recipe.seed)


def keep_words(run: Run, model: FusionModel) -> TextReader:
    """What a frozen text encoder makes of all posts: of `train`, `dev` and `conflict`, in this order."""
    posts = [post for split in ("train", "dev", "conflict") for post in run.posts[split]]
    return TextReader(model, run.ids(posts), kept=True)
