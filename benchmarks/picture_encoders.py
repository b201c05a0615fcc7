"""What picture encoders are worth: a picture head on each, trained alike, and the time a picture takes.

    python benchmarks/picture_encoders.py DATA NAME:SIZE[:FILE]... [--views N] [--record FILE]

`resnet18-distilled:192:image.safetensors` is a torchvision ResNet in safetensors at 192 px; a name without
a file is one of the teachers, `efficientnet-lite0:224`. The encoder stays as it is. A logistic regression
over what the product's picture head reads, mean and maximum of the regions, learns the pictures' own labels
of MVSA-Single: in five folds of `train` that keep repeated posts together (the weight decay of least
log-loss there is taken), then on all of `train` for `dev`. Both accuracies have bootstrap 95 % intervals over
groups of repeated posts.

Times are OpenVINO's, in float32 and in NNCF's int8, batches of 16, the encoders by turns, so that a busy
machine slows all of them: read the ratios to the first encoder. Needs the extras `train` and, for teachers,
`teacher`.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from engine import processor  # beside this file

from mmsent.model.fusion import PictureEncoder, load_weights
from mmsent.model.inputs import LABELS, softmax
from mmsent.training.bootstrap import estimate, resample
from mmsent.training.data import IGNORED, LabelledPost, read_posts
from mmsent.training.features import VIEWS, picture
from mmsent.training.metrics import confusions, log_loss, rates
from mmsent.training.out_of_fold import group_folds
from mmsent.training.photos import standardised
from mmsent.training.picture_head import logistic_regression, pooled
from mmsent.training.repeats import post_groups
from mmsent.training.teacher import Teacher

BATCH = 16
DECAYS = (0.03, 0.1, 0.3, 1.0, 3.0)
ROUNDS = 10


class Maps(nn.Module):
    """An encoder that takes pixels (B, 3, S, S), 0 to 255, and gives its last map."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        if isinstance(self.encoder, Teacher):
            return self.encoder(pixels)[0]
        return self.encoder(standardised(pixels))


@dataclass(frozen=True)
class Candidate:
    """An encoder at one size; `weights` begins the SHA-256 of its file, "" for a teacher's."""

    name: str
    size: int
    weights: str
    maps: Maps

    @classmethod
    def parse(cls, argument: str) -> "Candidate":
        name, size, *file = argument.split(":", 2)
        if not file:
            return cls(name, int(size), "", Maps(Teacher(name)))
        encoder = PictureEncoder(name.split("-")[0])
        load_weights(encoder, Path(file[0]), remedy="begin the name with that of its ResNet")
        digest = hashlib.sha256(Path(file[0]).read_bytes()).hexdigest()[:12]
        return cls(name, int(size), digest, Maps(encoder))


def pixels_of(posts: Sequence[LabelledPost], size: int, view: int) -> NDArray[np.float32]:
    """(N, 3, S, S), 0 to 255, as serving decodes them."""
    pictures = np.stack([picture(post, size, view) for post in posts])
    return pictures.transpose(0, 3, 1, 2).astype(np.float32)


def compile_for_cpu(model: ov.Model) -> ov.CompiledModel:
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(model, "CPU", hints)


def converted(candidate: Candidate, posts: Sequence[LabelledPost]) -> dict[str, ov.CompiledModel]:
    """The encoder in OpenVINO, in float32 and int8."""
    shape = (BATCH, 3, candidate.size, candidate.size)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # torch.jit's, about its own future
        model = ov.convert_model(candidate.maps, example_input=torch.zeros(shape), input=[shape])
    lesson = nncf.Dataset([pixels_of(posts[:BATCH], candidate.size, 0)])
    advanced = nncf.AdvancedQuantizationParameters(disable_bias_correction=True)
    with contextlib.redirect_stdout(sys.stderr):  # it is timed only: its ranges need not be good
        small = nncf.quantize(
            model,
            lesson,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=1,
            advanced_parameters=advanced,
        )
    return {"f32": compile_for_cpu(model), "int8": compile_for_cpu(small)}


def features(
    network: ov.CompiledModel, posts: Sequence[LabelledPost], size: int, view: int, name: str
) -> Tensor:
    """What the picture head reads of the posts' pictures: (N, 2·C)."""
    parts = []
    for start in track(range(0, len(posts), BATCH), name, console=Console(stderr=True)):
        pixels = pixels_of(posts[start : start + BATCH], size, view)
        missing = BATCH - len(pixels)  # the network takes full batches
        maps = network(np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0))))[0]
        parts.append(pooled(maps[: len(pixels)].astype(np.float16)))
    return torch.cat(parts)


def out_of_fold(
    views: Sequence[Tensor], labels: NDArray[np.int64], folds: NDArray[np.int64], decay: float
) -> NDArray[np.float32]:
    """Logits (N, 3) for view 0 of each post by a head that learned all views of the other folds."""
    logits = np.zeros((len(labels), len(LABELS)), np.float32)
    for fold in np.unique(folds):
        weight, bias = fitted(views, labels, folds != fold, decay)
        logits[folds == fold] = (views[0][folds == fold] @ weight.T + bias).numpy()
    return logits


def fitted(
    views: Sequence[Tensor], labels: NDArray[np.int64], kept: NDArray[np.bool_], decay: float
) -> tuple[Tensor, Tensor]:
    kept = kept & (labels != IGNORED)
    truth = torch.from_numpy(labels[kept])
    return logistic_regression(torch.cat([view[kept] for view in views]), truth.repeat(len(views)), decay)


def accuracy(
    labels: NDArray[np.int64], logits: NDArray[np.float32], groups: NDArray[np.int64]
) -> dict[str, float | None]:
    matrices = confusions(labels, logits.argmax(axis=1), resample(groups))
    return {
        name: None if value is None else round(value, 4)
        for name, value in estimate(rates(matrices)["accuracy"]).items()
    }


@dataclass(frozen=True)
class Posts:
    """Posts, the labels of their pictures, and which of them repeat each other."""

    posts: list[LabelledPost]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @classmethod
    def read(cls, data: Path, split: str) -> "Posts":
        posts = read_posts(data, split)
        return cls(posts, np.array([post.image_label for post in posts]), post_groups(posts))


def judge(
    candidate: Candidate, network: ov.CompiledModel, train: Posts, dev: Posts, views: int
) -> dict[str, Any]:
    """Accuracy in folds and on dev."""
    name = f"{candidate.name} {candidate.size} px"
    seen = [
        features(network, train.posts, candidate.size, view, f"{name} view {view + 1}")
        for view in range(views)
    ]
    folds = group_folds(train.groups, train.labels)
    tried = {decay: out_of_fold(seen, train.labels, folds, decay) for decay in DECAYS}
    decay = min(tried, key=lambda each: log_loss(train.labels, softmax(tried[each])))
    weight, bias = fitted(seen, train.labels, np.ones(len(train.labels), np.bool_), decay)
    dev_logits = (features(network, dev.posts, candidate.size, 0, f"{name} dev") @ weight.T + bias).numpy()
    return {
        "views": views,
        "decay": decay,
        "folds": accuracy(train.labels, tried[decay], train.groups),
        "dev": accuracy(dev.labels, dev_logits, dev.groups),
    }


def milliseconds(networks: dict[tuple[int, str], ov.CompiledModel]) -> dict[tuple[int, str], float]:
    """Median per picture of each network, by turns."""
    spent: dict[tuple[int, str], list[float]] = {key: [] for key in networks}
    generator = np.random.default_rng(0)
    for number in range(ROUNDS + 2):
        for key, network in networks.items():
            pixels = generator.uniform(0, 255, tuple(network.input(0).shape)).astype(np.float32)
            started = time.perf_counter()
            network(pixels)
            if number >= 2:
                spent[key].append(time.perf_counter() - started)
    return {key: statistics.median(times) / BATCH * 1e3 for key, times in spent.items()}


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table; times as multiples of the first encoder's."""
    lines = [
        "| picture encoder | px | accuracy, 5 folds of train | accuracy, dev | time f32 | time int8 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = " | ".join(
            f"{row[name]['value']:.1%} ({row[name]['low']:.1%}–{row[name]['high']:.1%})"
            for name in ("folds", "dev")
        )
        times = " | ".join(f"{row[f'ms_{kind}'] / rows[0]['ms_f32']:.2f} ×" for kind in ("f32", "int8"))
        lines.append(f"| {row['encoder']} | {row['size']} | {shares} | {times} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder that holds mvsa-single")
    parser.add_argument("encoders", nargs="+", type=Candidate.parse, metavar="NAME:SIZE[:FILE]")
    parser.add_argument("--views", type=int, default=VIEWS, help="of each picture that the head learns from")
    parser.add_argument("--record", type=Path, help="append a JSON row per encoder to this file")
    options = parser.parse_args()
    nncf.set_log_level(logging.ERROR)
    train, dev = Posts.read(options.data, "train"), Posts.read(options.data, "dev")
    networks = {
        (number, kind): network
        for number, candidate in enumerate(options.encoders)
        for kind, network in converted(candidate, train.posts).items()
    }
    spent = milliseconds(networks)
    rows = []
    for number, candidate in enumerate(options.encoders):
        row = {
            "day": datetime.now(UTC).date().isoformat(),
            "processor": processor(),
            "load": round(os.getloadavg()[0], 1),
            "encoder": candidate.name,
            "weights": candidate.weights,
            "size": candidate.size,
            **judge(candidate, networks[number, "f32"], train, dev, options.views),
            **{f"ms_{kind}": round(spent[number, kind], 2) for kind in ("f32", "int8")},
        }
        rows.append(row)
        if options.record:
            with options.record.open("a") as record:
                record.write(json.dumps(row) + "\n")
    print(as_table(rows))


if __name__ == "__main__":
    main()
