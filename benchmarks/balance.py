"""What keeps text and picture in balance, and does fusion beat the text alone? Folds over fixed features.

    python -m benchmarks.balance --data DATA --trained RUN --image-weights FILE

`RUN` is a folder where `mmsent train --stage text` has been. The text encoder stays as that stage left it and
the picture encoder as it is, so that a model trains in seconds. Each way learns in five folds that keep
repeated texts and pictures together, with several seeds; a post's probabilities, from models that have not
seen it, are averaged over the seeds. Differences are paired: the same resampled groups of posts (bootstrap).
Each way appends one row to `balance.jsonl` beside this file; the table on stdout is of this run. What a way's
models said is kept under `RUN/balance`: a run that was ended goes on after the last way and seed. Where the
disk is slow, `TMPDIR=/dev/shm` keeps the snapshots of the fits off it.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine import processor
from mmsent.model.inputs import softmax
from mmsent.training.bootstrap import estimate, resample
from mmsent.training.data import IGNORED
from mmsent.training.fit import weights_hash
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
    maps = PictureMaps(run, kept.model)
    start = {
        "text_encoder": weights_hash(kept.model.text_encoder),
        "picture_encoder": weights_hash(kept.model.image_encoder),
        "seeds": given.seeds,
        "processor": processor(),
    }
    measures: dict[str, dict[str, Any]] = {}
    rows = []
    for name, way in WAYS.items():
        recipe = FusionRecipe(**FIXED, **way)
        opinions = _out_of_fold(run, recipe, groups, kept, maps, seeds=given.seeds)
        measures[name] = rates(confusions(labels, opinions.argmax(axis=1), weights))
        rows.append(_row(name, opinions, labels, measures) | start | {"recipe": recipe.model_dump()})
        with ROWS.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
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
        cells += [_gain(row["gain_over"].get(way)) for way in (CONTROL, PLAIN)]
        lines.append("| " + " | ".join([row["way"], *cells]) + " |")
    return "\n".join(lines) + "\n"


def _gain(gain: dict[str, float] | None) -> str:
    """In points of accuracy."""
    if gain is None:
        return "–"
    value, low, high = (100 * gain[name] for name in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def _out_of_fold(
    run: Run,
    recipe: FusionRecipe,
    groups: NDArray[np.int64],
    kept: TextReader,
    maps: PictureMaps,
    *,
    seeds: int,
) -> NDArray[np.float64]:
    """Probabilities (N, 3) of the fused head, each post by models that did not learn from it."""
    posts = run.posts["train"]
    fold = group_folds(groups, np.array([post.label for post in posts]))
    opinions = np.zeros((len(posts), 3))
    for seed in range(seeds):
        own = replace(run, recipe=Recipe(seed=seed, fusion=recipe))
        said = np.zeros_like(opinions)
        file = _file_of(own, kept)
        if file.exists():
            opinions += np.load(file) / seeds
            continue
        for number in np.unique(fold):
            out = np.flatnonzero(fold == number)
            model = own.new_model()
            with tempfile.TemporaryDirectory() as folder:
                fit_fusion(own, model, maps, np.flatnonzero(fold != number), Path(folder), kept=kept)
            reader = kept.part(out.tolist())
            logits = all_logits(model, reader, maps.views[0][out], pictures=recipe.pictures)
            said[out] = softmax(logits["fused"])
        np.save(file, said)
        opinions += said / seeds
    return opinions


def _file_of(run: Run, kept: TextReader) -> Path:
    folder = run.output / "balance"
    folder.mkdir(exist_ok=True)
    made_of = f"{run.recipe.model_dump_json()} {weights_hash(kept.model)} {len(run.posts['train'])}"
    return folder / f"{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.npy"


def _row(
    name: str,
    opinions: NDArray[np.float64],
    labels: NDArray[np.int64],
    measures: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    own = measures[name]
    others = [way for way in (CONTROL, PLAIN) if way in measures and way != name]
    return {
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "way": name,
        "posts": int((labels != IGNORED).sum()),
        "accuracy": estimate(own["accuracy"]),
        "weighted_f1": estimate(own["weighted_f1"]),
        "log_loss": log_loss(labels, opinions),
        "gain_over": {way: estimate(own["accuracy"] - measures[way]["accuracy"]) for way in others},
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
