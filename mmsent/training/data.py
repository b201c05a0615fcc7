"""The labelled posts that the model learns from and is judged on."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmsent.engine.base import Head
from mmsent.errors import InputError
from mmsent.model.inputs import LABELS

IRONY = ("not_irony", "irony")
IGNORED = -100  # torch's cross_entropy leaves such a row out
_POSTS = Path("mvsa-single", "posts.jsonl")
_NAMED = 5  # missing pictures that an error names


@dataclass(frozen=True)
class LabelledText:
    """A text and the index in LABELS of what it feels."""

    text: str
    label: int


@dataclass(frozen=True)
class LabelledPost:
    """A post of MVSA-Single; a label is an index in LABELS, or IGNORED where annotators did not agree."""

    post_id: str
    split: str
    text: str
    image: Path
    label: int
    text_label: int
    image_label: int
    has_picture: bool = True  # False: its file is missing, and the text alone is to be judged


def read_texts(data: Path, split: str) -> list[LabelledText]:
    """SemEval-2017 Task 4A, `split` train or dev, from `<data>/semeval2017-task4a/<split>.jsonl`.

    Texts without a label are left out; raises InputError where nothing else is there.
    """
    path = _texts_file(data, split)
    texts = [LabelledText(_field(row, "text", path), _label(row, "label", path)) for row in read_jsonl(path)]
    if not texts:
        raise InputError(f"{path} is empty: give the folder that holds the whole data set")
    if not (labelled := [text for text in texts if text.label != IGNORED]):
        raise InputError(f"no text in {path} has a label: give the folder that holds the whole data set")
    return labelled


def read_irony(data: Path, split: str) -> list[LabelledText]:
    """TweetEval's irony from `<data>/tweeteval-irony/<split>.jsonl`: label 1 = irony; empty without that."""
    path = data / "tweeteval-irony" / f"{split}.jsonl"
    if not path.is_file():
        return []
    texts = []
    for row in read_jsonl(path):
        if row.get("label") not in IRONY:
            raise InputError(f"{path}: {row.get('label')!r} in 'label' is not one of {', '.join(IRONY)}")
        texts.append(LabelledText(_field(row, "text", path), IRONY.index(row["label"])))
    return texts


def has_texts(data: Path, split: str) -> bool:
    """Whether the folder holds that split of SemEval-2017 Task 4A."""
    return _texts_file(data, split).is_file()


def read_posts(data: Path, split: str, *, text_only_for_missing: bool = False) -> list[LabelledPost]:
    """MVSA-Single, `split` train, dev or conflict, from `<data>/mvsa-single/posts.jsonl`.

    Raises:
        InputError: the file is damaged or has an id twice, no post is of that split, or pictures are missing,
            unless their posts are to be judged by their text alone.
    """
    path = data / _POSTS
    rows = read_jsonl(path)
    names = Counter(row.get("id") for row in rows)
    if twice := [name for name, times in names.items() if times > 1]:
        raise InputError(
            f"{path} has the id {twice[0]!r} {names[twice[0]]} times: give each post one of its own"
        )
    posts = [_post(row, path) for row in rows if row.get("split") == split]
    if not posts:
        there = ", ".join(sorted({str(row.get("split")) for row in rows})) or "none"
        raise InputError(f"{path} holds no post of split {split!r}: it has {there}")
    missing = [post.image for post in posts if not post.image.is_file()]
    if missing and not text_only_for_missing:
        raise InputError(_say_missing(missing, len(posts), split))
    lost = set(missing)
    return [replace(post, has_picture=False) if post.image in lost else post for post in posts]


def head_labels(posts: Sequence[LabelledPost]) -> dict[Head, NDArray[np.int64]]:
    """Each head's own labels (N,) of the posts."""
    names: dict[Head, str] = {"text": "text_label", "image": "image_label", "fused": "label"}
    return {head: np.array([getattr(post, name) for post in posts]) for head, name in names.items()}


def require_labels(posts: Sequence[LabelledPost]) -> None:
    """Raises InputError unless each head has a post with its label, to learn from or to be judged by."""
    for name in ("label", "text_label", "image_label"):
        if all(getattr(post, name) == IGNORED for post in posts):
            raise InputError(
                f"no post of split {posts[0].split!r} has a {name}: label some, or name a split that has, "
                "such as dev"
            )


def has_posts(data: Path) -> bool:
    """Whether the folder holds MVSA-Single."""
    return (data / _POSTS).exists()


def post_splits(data: Path) -> set[str]:
    """The splits that `read_posts` can read."""
    return {str(row.get("split")) for row in read_jsonl(data / _POSTS)}


def _texts_file(data: Path, split: str) -> Path:
    return data / "semeval2017-task4a" / f"{split}.jsonl"


def _say_missing(missing: Sequence[Path], posts: int, split: str) -> str:
    named = ", ".join(map(str, missing[:_NAMED])) + (", …" if len(missing) > _NAMED else "")
    return (
        f"{len(missing)} of {posts} pictures of split {split!r} are missing: {named}; "
        "complete the data set, or evaluate with --text-only-for-missing"
    )


def make_folder(folder: Path) -> None:
    """Where results go; raises InputError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another folder") from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; raises InputError with file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): give the folder that holds the data sets") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number} is not JSON ({error}): repair or remove the line") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number} is not a JSON object: repair or remove the line")
        rows.append(row)
    return rows


def length_buckets(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Indices in shuffled batches of like length, so that little is padding; same seed, same batches.

    Within a window of 50 batches the items are sorted by length; the windows' content and the order of
    batches are random.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    window = 50 * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        chunk = sorted(order[start : start + window], key=lambda index: lengths[index])
        batches += [chunk[first : first + batch_size] for first in range(0, len(chunk), batch_size)]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


def _post(row: dict[str, Any], path: Path) -> LabelledPost:
    return LabelledPost(
        post_id=_field(row, "id", path),
        split=_field(row, "split", path),
        text=_field(row, "text", path),
        image=path.parent / _field(row, "image", path),
        label=_label(row, "label", path),
        text_label=_label(row, "text_label", path),
        image_label=_label(row, "image_label", path),
    )


def _field(row: dict[str, Any], name: str, path: Path) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise InputError(
            f"{path}: a row has no text in {name!r} (id {row.get('id')}): repair or remove the line"
        )
    return value


def _label(row: dict[str, Any], name: str, path: Path) -> int:
    if name not in row:
        raise InputError(f"{path}: a row has no {name!r} (id {row.get('id')}): repair or remove the line")
    value = row[name]
    if value is None:
        return IGNORED
    if value not in LABELS:
        raise InputError(
            f"{path}: {value!r} in {name!r} (id {row.get('id')}) is not one of {', '.join(LABELS)}"
        )
    return LABELS.index(value)


def class_weights(labels: Sequence[int], balance: float) -> torch.Tensor:
    """Weights (3,) of the labels in a loss: (mean number / own number)^balance, so 1 makes them all alike."""
    counts = torch.tensor([max(1, sum(label == each for label in labels)) for each in range(len(LABELS))])
    weights: torch.Tensor = (counts.float().mean() / counts) ** balance
    return weights


def row_weights(labels: Sequence[int], balance: float) -> torch.Tensor:
    """`class_weights` of each row (N,); rows without a label weigh nothing."""
    weights = class_weights(labels, balance)
    return torch.tensor([float(weights[label]) if label != IGNORED else 0.0 for label in labels])


def read_record(path: Path, remedy: str) -> dict[str, Any]:
    """What a stage noted of itself; raises InputError that ends with `remedy` if it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read what training noted in {path} ({error}): {remedy}") from error
    return found
