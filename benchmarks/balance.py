"""What keeps text and picture in balance, and does fusion beat the text alone? Folds over fixed features.

    python -m benchmarks.balance --data DATA --trained RUN --image-weights FILE

`RUN` is a folder where `mmsent train --stage text` has been. The text encoder stays as that stage left it and
the picture encoder as it is, so that a model trains in seconds. Each way learns in five folds that keep
repeated texts and pictures together, with several seeds; a post's probabilities, from models that have not
seen it, are averaged over the seeds. Differences are paired: the same resampled groups of posts (bootstrap).
Each way appends one row to `balance.jsonl` beside this file; the table on stdout is of this run.
"""

import argparse
import json
import platform
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsent.model.inputs import softmax
from mmsent.training.bootstrap import estimate, resample
from mmsent.training.data import IGNORED
from mmsent.training.fusion_stage import TextReader, all_logits
from mmsent.training.metrics import confusions, log_loss, rates
from mmsent.training.out_of_fold import group_folds
from mmsent.training.recipe import FusionRecipe, Recipe
from mmsent.training.repeats import post_groups
from mmsent.training.run import PictureMaps, Run, fit_fusion, keep_words

CONTROL, PLAIN = "text alone", "fusion"
WAYS: dict[str, dict[str, Any]] = {
    CONTROL: {"pictures": False},
    PLAIN: {},
    "modality dropout 0.3": {"modality_dropout": 0.3},
    "unimodal losses 0.5": {"unimodal_weight": 0.5},
    "OGM-GE 0.3": {"modulation": 0.3},
    "all three": {"modality_dropout": 0.3, "unimodal_weight": 0.5, "modulation": 0.3},
}
FIXED = {"frozen_layers": 1_000, "texts_per_batch": 0}
ROWS = Path(__file__).with_suffix(".jsonl")


def main() -> None:
    given = _arguments()
    run = Run(Recipe(), Recipe().config(), given.data, given.trained, given.image_weights, resume=False)
    posts = run.posts["train"]
    labels = np.array([post.label for post in posts])
    groups = post_groups(posts)
    weights = resample(groups)
    kept = keep_words(run, run.new_model())
    found = {
        name: _out_of_fold(run, FusionRecipe(**FIXED, **WAYS[name]), groups, kept, given.seeds)
        for name in WAYS
    }
    measures = {
        name: rates(confusions(labels, opinions.argmax(axis=1), weights)) for name, opinions in found.items()
    }
    rows = [_row(name, found[name], labels, measures, given.seeds) for name in WAYS]
    with ROWS.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    sys.stdout.write(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        f"| way | accuracy | weighted F1 | log-loss | against {CONTROL} | against {PLAIN} |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row[name]['value']:.1%}" for name in ("accuracy", "weighted_f1")]
        cells.append(f"{row['log_loss']:.3f}")
        cells += [
            f"{100 * gain['value']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
            for gain in (row["gain_over_text_alone"], row["gain_over_fusion"])
        ]
        lines.append("| " + " | ".join([row["way"], *cells]) + " |")
    return "\n".join(lines) + "\n"


def _out_of_fold(
    run: Run, recipe: FusionRecipe, groups: NDArray[np.int64], kept: TextReader, seeds: int
) -> NDArray[np.float64]:
    """Probabilities (N, 3) of the fused head, each post by models that did not learn from it."""
    posts = run.posts["train"]
    fold = group_folds(groups, np.array([post.label for post in posts]))
    opinions = np.zeros((len(posts), 3))
    for seed in range(seeds):
        own = replace(run, recipe=Recipe(seed=seed, fusion=recipe))
        for number in np.unique(fold):
            out = np.flatnonzero(fold == number)
            model = own.new_model()
            maps = PictureMaps(own, model)
            with tempfile.TemporaryDirectory() as folder:
                fit_fusion(own, model, maps, np.flatnonzero(fold != number), Path(folder), kept=kept)
            reader = kept.part(out.tolist())
            logits = all_logits(model, reader, maps.views[0][out], pictures=recipe.pictures)
            opinions[out] += softmax(logits["fused"]) / seeds
    return opinions


def _row(
    name: str,
    opinions: NDArray[np.float64],
    labels: NDArray[np.int64],
    measures: dict[str, dict[str, Any]],
    seeds: int,
) -> dict[str, Any]:
    own = measures[name]
    return {
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": platform.machine(),
        "way": name,
        "posts": int((labels != IGNORED).sum()),
        "seeds": seeds,
        "accuracy": estimate(own["accuracy"]),
        "weighted_f1": estimate(own["weighted_f1"]),
        "log_loss": log_loss(labels, opinions),
        "gain_over_text_alone": estimate(own["accuracy"] - measures[CONTROL]["accuracy"]),
        "gain_over_fusion": estimate(own["accuracy"] - measures[PLAIN]["accuracy"]),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.balance", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trained", type=Path, required=True, help="folder of a text stage")
    parser.add_argument("--image-weights", type=Path, help="ResNet-18 in safetensors; default torchvision's")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
