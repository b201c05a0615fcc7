"""How far runs of `mmsent train` lie apart: each run's figures, as torch has them.

    python -m benchmarks.training DATA RUN... [--image-weights FILE] [--no-record]

`RUN` is a folder where the text and the fusion stage have been, and folds maybe. Each head is judged on
MVSA-Single's `dev` by its own label; the text head also by the macro recall on SemEval's `dev` and on the
tweets kept back; conflict, as the plain score, by how it ranks the posts of `conflict` against `dev`. Folds
add what is judged out of fold: accuracy of each head, conflict's AUROC, its flags' precision and recall, and
how many more posts are right than in the first RUN's folds (paired: the same resampled groups of posts). Each
run appends one row to `training.jsonl` beside this file; the table on stdout is of these runs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import recall_score

from benchmarks.engine import processor
from mmsent.engine.base import Head
from mmsent.training.bootstrap import Values, Weights, estimate, resample
from mmsent.training.data import LabelledPost, LabelledText, read_texts
from mmsent.training.fit import weights_hash
from mmsent.training.fitted import fitted_figures, read_fittable
from mmsent.training.fusion_stage import FusionJudge, TextReader
from mmsent.training.kept_back import kept_back_texts
from mmsent.training.metrics import confusions, rates
from mmsent.training.out_of_fold import OutOfFoldLogits
from mmsent.training.recipe import Recipe
from mmsent.training.run import PictureMaps, Run
from mmsent.training.text_stage import pooled_words
from mmsent.training.train import OUT_OF_FOLD_FILE, load_trained

ROWS = Path(__file__).with_suffix(".jsonl")


def main() -> None:
    given = _arguments()
    rows = []
    for folder in given.runs:
        rows.append(_row(given.data, folder, given.image_weights, first=given.runs[0]))
        if not given.no_record:
            with ROWS.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    sys.stdout.write(table(rows))


def _row(data: Path, folder: Path, image_weights: Path | None, *, first: Path) -> dict[str, Any]:
    recipe = Recipe.model_validate(json.loads((folder / "training.json").read_text())["recipe"])
    run = Run(recipe, recipe.config(), data, folder, image_weights)
    model = load_trained(folder)
    maps = PictureMaps(run, model)
    dev = run.posts["dev"]
    reader = TextReader(model, run.ids([*dev, *run.posts["conflict"]]))
    judge = FusionJudge(reader, dev, maps.judged, pictures=recipe.fusion.pictures)
    figures = judge.figures(model)
    texts = {"semeval_dev": read_texts(data, "dev"), "semeval_kept_back": kept_back_texts(data)}
    recalls = {f"{name}_recall": _recall(run, model, each) for name, each in texts.items()}
    return {
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "seed": recipe.seed,
        "picture_encoder": maps.encoder_hash,
        "text_encoder": weights_hash(model.text_encoder),
        **{name: round(value, 4) for name, value in (figures | recalls).items()},
        "out_of_fold": _out_of_fold(run, first) if (folder / OUT_OF_FOLD_FILE).exists() else None,
        "processor": processor(),
        "recipe": recipe.model_dump(mode="json"),
    }


def _recall(run: Run, model: Any, texts: list[LabelledText]) -> float:
    """Macro recall of the text head."""
    with torch.inference_mode():
        opinions = model.text_head(pooled_words(model, run.ids(texts))).numpy()
    labels = [text.label for text in texts]
    return float(recall_score(labels, opinions.argmax(axis=1), average="macro"))


def _out_of_fold(run: Run, first: Path) -> dict[str, Any]:
    found, groups = read_fittable(run.output / OUT_OF_FOLD_FILE, run.fitted)
    figures = fitted_figures(found, groups)
    conflict = figures["conflict"]
    weights = resample(groups)
    own = _rates(found, weights)
    others = _rates_of_same_posts(first / OUT_OF_FOLD_FILE, found, run.fitted, weights)
    return {
        **{f"{head}_accuracy": round(row["accuracy"], 4) for head, row in figures["heads"].items()},
        **{f"{head}_log_loss": round(row["log_loss"], 4) for head, row in figures["heads"].items()},
        "fused_weighted_f1": round(float(own["fused"]["weighted_f1"][0]), 4),
        "gain_over_first": others
        and {head: estimate(own[head]["accuracy"] - others[head]["accuracy"]) for head in own},
        "conflict_auroc": conflict["auroc"],
        "within": {label: each["others"]["auroc"] for label, each in conflict["within"].items()},
        "precision": conflict["precision"],
        "recall": conflict["recall"],
    }


def _rates(found: OutOfFoldLogits, weights: Weights) -> dict[Head, dict[str, Values]]:
    """Of each head; temperatures do not change which label is chosen."""
    return {
        head: rates(confusions(labels, found.logits[head].argmax(axis=1), weights))
        for head, labels in found.labels.items()
    }


def _rates_of_same_posts(
    file: Path, found: OutOfFoldLogits, posts: Sequence[LabelledPost], weights: Weights
) -> dict[Head, dict[str, Values]] | None:
    """None where `file` does not hold folds of the posts of `found`."""
    if not file.exists():
        return None
    other, _ = read_fittable(file, posts)
    return _rates(other, weights) if np.array_equal(found.post_id, other.post_id) else None


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = ["seed", "text", "picture", "fused", "conflict", "SemEval `dev`", "kept back"]
    names += ["fused, folds", "conflict, folds"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        shares = [row[f"{head}_accuracy"] for head in ("text", "image", "fused")]
        cells = [str(row["seed"]), *(f"{share:.1%}" for share in shares), f"{row['conflict_auroc']:.3f}"]
        cells += [f"{100 * row[f'semeval_{name}_recall']:.1f}" for name in ("dev", "kept_back")]
        folds = row["out_of_fold"]
        cells += (
            [f"{folds['fused_accuracy']:.1%}", f"{folds['conflict_auroc']['value']:.3f}"]
            if folds
            else ["", ""]
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of `mmsent train`")
    parser.add_argument("--image-weights", type=Path, help="as `mmsent train` had them")
    parser.add_argument("--no-record", action="store_true", help="append no row")
    return parser.parse_args()


if __name__ == "__main__":
    main()
