"""The fusion stage: text and fusion learn their labels of MVSA-Single over the pictures' fixed maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmsent.errors import InputError
from mmsent.model.fusion import FusionModel
from mmsent.model.inputs import conflict, softmax
from mmsent.training.data import (
    IGNORED,
    LabelledPost,
    LabelledText,
    head_labels,
    length_buckets,
    row_weights,
)
from mmsent.training.device import autocast, device_of
from mmsent.training.metrics import accuracy, conflict_auroc, log_loss
from mmsent.training.modulation import modulated, shares_of_success
from mmsent.training.recipe import FusionRecipe
from mmsent.training.text_stage import token_tensors

_JUDGED_AT_ONCE = 64


class TextReader:
    """What the text encoder makes of numbered texts; `kept`, once for all: for an encoder that is frozen."""

    def __init__(self, model: FusionModel, token_ids: Sequence[Sequence[int]], *, kept: bool = False) -> None:
        self.model, self.token_ids = model, token_ids
        self.kept: list[Tensor] | None = None
        if kept:
            self.kept = []
            for start in range(0, len(token_ids), _JUDGED_AT_ONCE):
                words, mask = self._read(range(start, min(start + _JUDGED_AT_ONCE, len(token_ids))))
                self.kept += [row[: int(count)].half() for row, count in zip(words, mask.sum(1), strict=True)]

    def part(self, rows: Sequence[int]) -> "TextReader":
        """The texts of these rows, numbered anew."""
        part = TextReader(self.model, [self.token_ids[row] for row in rows])
        part.kept = self.kept and [self.kept[row] for row in rows]
        return part

    def __call__(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Words (B, T, H) and mask (B, T) of these texts."""
        if self.kept is None:
            return self._read(rows)
        _, mask = token_tensors([self.token_ids[row] for row in rows], self.kept[0].device)
        words = nn.utils.rnn.pad_sequence([self.kept[row] for row in rows], batch_first=True)
        return words.float(), mask

    def _read(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        input_ids, mask = token_tensors([self.token_ids[row] for row in rows], device_of(self.model))
        if self.kept is None:
            return self.model.words(input_ids, mask), mask
        with torch.inference_mode():
            return self.model.eval().words(input_ids, mask), mask


class FusionTask:
    """Trains the text encoder, its head and the fusion; the pictures' maps are fixed.

    Every batch carries `texts_per_batch` SemEval texts beside the posts, so that the text head keeps what
    it learned there; their labels weigh by their rarity, as in the text stage. Indices below the number of
    posts are posts, the others SemEval texts: so `reader` numbers them.
    """

    name = "fusion"

    def __init__(
        self,
        model: FusionModel,
        reader: TextReader,
        posts: Sequence[LabelledPost],
        views: Sequence[NDArray[np.float16]],
        texts: Sequence[LabelledText],
        *,
        judge: "FusionJudge",
        recipe: FusionRecipe | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.reader, self.posts, self.views = model, reader, posts, views
        self.figures, self.recipe, self.seed = judge.figures, recipe or FusionRecipe(), seed
        device, balance = device_of(model), self.recipe.class_balance
        labels, text_labels, image_labels = (
            [getattr(post, name) for post in posts] for name in ("label", "text_label", "image_label")
        )
        others = [text.label for text in texts]
        self.labels = torch.tensor(labels, device=device)
        self.image_labels = torch.tensor(image_labels, device=device)
        self.text_labels = torch.tensor([*text_labels, *others], device=device)
        self.weights = row_weights(labels, balance).to(device)
        self.image_weights = row_weights(image_labels, balance).to(device)
        text_weights = torch.cat(
            [row_weights(text_labels, balance), row_weights(others, self.recipe.texts_balance)]
        )
        self.text_weights = text_weights.to(device)

    @property
    def learned_from(self) -> object:
        labels = (self.labels, self.text_labels, self.image_labels)
        return (
            [post.post_id for post in self.posts],
            self.reader.token_ids,
            [each.tolist() for each in labels],
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        model = self.model
        freeze(model.text_encoder, self.recipe.frozen_layers)
        encoder = [item for item in model.text_encoder.parameters() if item.requires_grad]
        modules = [model.text_head, model.text_projection, model.image_projection, model.fusion_layers]
        fusion = [item for module in [*modules, model.fused_head] for item in module.parameters()]
        groups = [
            {"params": encoder, "lr": self.recipe.rate},
            {"params": [*fusion, model.type_embedding, model.fusion_token], "lr": self.recipe.head_rate},
        ]
        return [group for group in groups if group["params"]]

    def batches(self, epoch: int) -> list[list[int]]:
        """Posts of like length together; SemEval texts of like length beside them, other ones each epoch."""
        seed, beside = 1_000 * self.seed + epoch, self.recipe.texts_per_batch
        lengths, count = [len(ids) for ids in self.reader.token_ids], len(self.posts)
        batches = length_buckets(lengths[:count], self.recipe.batch_size, seed)
        if not beside:
            return batches
        order = torch.randperm(len(lengths) - count, generator=torch.Generator().manual_seed(seed)) + count
        chosen = order[: beside * len(batches)].tolist()
        texts = length_buckets([lengths[index] for index in chosen], beside, seed)
        texts += [[]] * (len(batches) - len(texts))
        return [
            batch + [chosen[place] for place in group] for batch, group in zip(batches, texts, strict=True)
        ]

    def loss(self, batch: list[int]) -> Tensor:
        model, posts = self.model, [index for index in batch if index < len(self.posts)]
        texts = batch[len(posts) :]
        with autocast(device_of(model)):
            words, mask = self.reader(posts)
            text_hidden, text_logits = model.read_words(words, mask)
            if texts:
                text_logits = torch.cat([text_logits, model.read_words(*self.reader(texts))[1]])
            image_hidden, _ = model.read_picture(random_views(self.views, posts).to(mask.device))
            text_loss = self._loss(text_logits, self.text_labels[batch], self.text_weights[batch])
            return text_loss + self._fused_loss(posts, text_hidden, mask, image_hidden)

    def _fused_loss(
        self, posts: list[int], text_hidden: Tensor, mask: Tensor, image_hidden: Tensor
    ) -> Tensor:
        model, recipe = self.model, self.recipe
        there = present_mask(image_hidden)
        if recipe.modulation:
            with torch.no_grad(), torch.autocast(mask.device.type, enabled=False):
                alone = self._alone(text_hidden.float(), mask, image_hidden.float())
            success = shares_of_success(*alone, self.labels[posts])
            text_hidden, image_hidden = modulated(text_hidden, image_hidden, success, recipe.modulation)
        text_mask, image_mask = withheld(mask, there, recipe.modality_dropout)
        if not recipe.pictures:
            text_mask, image_mask = mask, torch.zeros_like(there)
        fused, _ = model.fuse(text_hidden, text_mask, image_hidden, image_mask)
        loss = self._loss(fused, self.labels[posts], self.weights[posts])
        if recipe.unimodal_weight:
            text_alone, image_alone = self._alone(text_hidden, mask, image_hidden)
            own = self._loss(text_alone, self.text_labels[posts], self.text_weights[posts])
            own = own + self._loss(image_alone, self.image_labels[posts], self.image_weights[posts])
            loss = loss + recipe.unimodal_weight * own
        return loss

    def _alone(self, text_hidden: Tensor, mask: Tensor, image_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The fused head's logits with the picture withheld, and with the text withheld."""
        there = present_mask(image_hidden)
        fuse = self.model.fuse
        return (
            fuse(text_hidden, mask, image_hidden, torch.zeros_like(there))[0],
            fuse(text_hidden, torch.zeros_like(mask), image_hidden, there)[0],
        )

    def _loss(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Mean over the rows by their weights, 0 where nothing has a label."""
        losses = functional.cross_entropy(
            logits.float(),
            labels,
            ignore_index=IGNORED,
            label_smoothing=self.recipe.label_smoothing,
            reduction="none",
        )
        return (losses * weights).sum() / weights.sum().clamp(min=1e-9)

    def judge(self) -> dict[str, float]:
        return self.figures(self.model)


class FusionJudge:
    """Figures of all heads on `dev`, and how conflict posts stand out from it (reported, never chosen by).

    `reader` and `maps` number the posts of `dev` first, then the conflict posts. Without `pictures` fusion
    is judged by the text alone.
    """

    def __init__(
        self,
        reader: TextReader,
        dev: Sequence[LabelledPost],
        maps: NDArray[np.float16],
        *,
        pictures: bool = True,
    ) -> None:
        self.reader, self.maps, self.count, self.pictures = reader, maps, len(dev), pictures
        self.labels = head_labels(dev)

    def figures(self, model: FusionModel) -> dict[str, float]:
        logits = all_logits(model, self.reader, self.maps, pictures=self.pictures)
        dev = {name: values[: self.count] for name, values in logits.items()}
        losses = {head: log_loss(labels, softmax(dev[head])) for head, labels in self.labels.items()}
        score = conflict(softmax(logits["text"]), softmax(logits["image"]))
        return {
            "selection": -losses["fused"] - losses["text"],
            **{f"{name}_log_loss": value for name, value in losses.items()},
            **{f"{name}_accuracy": accuracy(labels, dev[name]) for name, labels in self.labels.items()},
            "conflict_auroc": conflict_auroc(score[: self.count], score[self.count :]),
        }


def freeze(text_encoder: Any, layers: int) -> None:
    """Let this many layers, from below, and all embeddings learn nothing; of 0, those of words alone.

    Raises:
        InputError: the encoder has no stack of that many layers.
    """
    text_encoder.get_input_embeddings().requires_grad_(requires_grad=False)
    if not layers:
        return
    text_encoder.embeddings.requires_grad_(requires_grad=False)
    depth = text_encoder.config.num_hidden_layers
    stacks = [each for each in text_encoder.modules() if isinstance(each, nn.ModuleList)]
    stack = next((stack for stack in stacks if len(stack) == depth), None)
    if stack is None:
        raise InputError(f"{type(text_encoder).__name__} shares its layers: set frozen_layers = 0")
    for layer in stack[:layers]:
        layer.requires_grad_(requires_grad=False)


def random_views(views: Sequence[NDArray[np.float16]], rows: Sequence[int]) -> Tensor:
    """Each row from a view chosen by torch's generator, as float32."""
    chosen = torch.randint(len(views), (len(rows),)).tolist()
    return torch.from_numpy(
        np.stack([views[view][row] for view, row in zip(chosen, rows, strict=True)])
    ).float()


def withheld(text_mask: Tensor, image_mask: Tensor, chance: float) -> tuple[Tensor, Tensor]:
    """Masks (B, T) and (B, R) of which a share `chance` of the posts, by torch's generator, loses one."""
    drawn = torch.rand(len(text_mask), 1, device=text_mask.device)
    keeps_text = (drawn >= chance / 2).to(text_mask.dtype)
    keeps_picture = (drawn <= 1 - chance / 2).to(image_mask.dtype)
    return text_mask * keeps_text, image_mask * keeps_picture


def present_mask(image_hidden: Tensor) -> Tensor:
    """A mask (B, R) that says every region is there."""
    return torch.ones(image_hidden.shape[:2], dtype=torch.long, device=image_hidden.device)


def all_logits(
    model: FusionModel, reader: TextReader, maps: NDArray[np.float16], *, pictures: bool = True
) -> dict[str, NDArray[np.float32]]:
    """Logits (N, 3) of the three heads for posts that have both."""
    model.eval()
    token_ids = reader.token_ids
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    logits = {name: np.zeros((len(order), 3), np.float32) for name in ("text", "image", "fused")}
    for start in range(0, len(order), _JUDGED_AT_ONCE):
        rows = order[start : start + _JUDGED_AT_ONCE]
        with torch.inference_mode():
            words, mask = reader(rows)
            text_hidden, text = model.read_words(words, mask)
            image_hidden, image = model.read_picture(torch.from_numpy(maps[rows]).float().to(mask.device))
            there = present_mask(image_hidden) * int(pictures)
            fused, _ = model.fuse(text_hidden, mask, image_hidden, there)
        for name, values in {"text": text, "image": image, "fused": fused}.items():
            logits[name][rows] = values.float().cpu().numpy()
    return logits
