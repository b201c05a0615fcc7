"""Logits of posts by models that did not learn from them: what temperatures and thresholds are fitted on.

The file is a NumPy archive (.npz, no pickle) with N posts in each array:

    format_version                           () int64, 1
    post_id, split                           (N,) str; split is train or conflict, never one to judge on
    fold                                     (N,) int64: which part the post was in when it was left out
    text_logits, image_logits, fused_logits  (N, 3) float32, columns as LABELS, before any temperature
    text_label, image_label, fused_label     (N,) int64: index in LABELS, or -100 for none
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from mmsent.engine.base import HEADS, Head
from mmsent.errors import InputError
from mmsent.model.inputs import LABELS
from mmsent.training.data import IGNORED

FORMAT_VERSION = 1
FITTED_SPLITS = ("train", "conflict")
FOLDS = 5


@dataclass(frozen=True)
class OutOfFoldLogits:
    """See above. `logits` and `labels` are by head."""

    post_id: NDArray[np.str_]
    split: NDArray[np.str_]
    fold: NDArray[np.int64]
    logits: Mapping[Head, NDArray[np.float32]]
    labels: Mapping[Head, NDArray[np.int64]]

    def save(self, path: Path) -> None:
        """Raises InputError, as `load_out_of_fold` would."""
        _check(self, path)
        arrays: dict[str, Any] = {"post_id": self.post_id, "split": self.split, "fold": self.fold}
        arrays |= {f"{head}_logits": self.logits[head] for head in HEADS}
        arrays |= {f"{head}_label": self.labels[head] for head in HEADS}
        with path.open("wb") as file:
            np.savez_compressed(file, format_version=np.int64(FORMAT_VERSION), **arrays)


def load_out_of_fold(path: Path) -> OutOfFoldLogits:
    """Read and check such a file; raises InputError that says what is wrong with it."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            version = int(arrays["format_version"])
            if version != FORMAT_VERSION:
                raise InputError(
                    f"{path} is of format {version}, this mmsent reads {FORMAT_VERSION}: train again"
                )
            found = OutOfFoldLogits(
                post_id=arrays["post_id"],
                split=arrays["split"],
                fold=arrays["fold"],
                logits={head: arrays[f"{head}_logits"] for head in HEADS},
                labels={head: arrays[f"{head}_label"] for head in HEADS},
            )
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read out-of-fold logits from {path} ({error}): train again") from error
    _check(found, path)
    return found


def group_folds(groups: NDArray[np.int64], kinds: NDArray[Any], seed: int = 0) -> NDArray[np.int64]:
    """A fold (N,) for each post, a group (N,) in one fold whole, `kinds` (N,) spread evenly over them.

    Raises:
        InputError: a kind has too few groups to be in two folds.
    """
    fewest = min(len(np.unique(groups[kinds == kind])) for kind in np.unique(kinds))
    if fewest < 2:
        raise InputError(
            "at least two posts of each kind, no repeats, are needed to judge out of fold: give more"
        )
    splitter = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    fold = np.zeros(len(groups), np.int64)
    for number, (_, left_out) in enumerate(splitter.split(groups, kinds, groups)):
        fold[left_out] = number
    return fold


def _check(found: OutOfFoldLogits, path: Path) -> None:
    posts = len(found.post_id)
    shapes = [found.split.shape == (posts,), found.fold.shape == (posts,)]
    shapes += [found.logits[head].shape == (posts, len(LABELS)) for head in HEADS]
    shapes += [found.labels[head].shape == (posts,) for head in HEADS]
    if not posts or not all(shapes):
        raise InputError(f"{path} holds no posts, or arrays of different lengths: train again")
    if strangers := sorted(set(found.split.tolist()) - set(FITTED_SPLITS)):
        raise InputError(
            f"{path} holds posts of split {strangers[0]!r}: only {' and '.join(FITTED_SPLITS)} "
            "are fitted on, the others are there to judge"
        )
    if len(set(found.post_id.tolist())) < posts:
        raise InputError(f"{path} holds a post twice: train again")
    for head in HEADS:
        if not np.isfinite(found.logits[head]).all():
            raise InputError(f"{path} has logits of the {head} head that are no finite numbers: train again")
        if not np.isin(found.labels[head], [*range(len(LABELS)), IGNORED]).all():
            raise InputError(f"{path} has labels of the {head} head out of the set: train again")
