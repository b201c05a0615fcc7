"""Drawings of known mood, so that the picture head can read drawings too: none is of the sample stream."""

import random
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import track

from mmsent.errors import InputError
from mmsent.model.inputs import LABELS
from mmsent.posts import Label
from mmsent.sources.drawings import SUBJECTS, draw, jpeg, motifs
from mmsent.training.data import IGNORED, LabelledPost

DRAWINGS = 1_584  # each of 528 motifs thrice
DEV_SCENES = frozenset({"bus", "strip", "thumb", "vase"})  # of 22; kept for judging


def drawn_posts(folder: Path, *, count: int = DRAWINGS, seed: int = 0) -> list[LabelledPost]:
    """`count` drawings without words in `folder`, drawn unless they lie there; the same for the same seed.

    Fewer of them are the first of more. The scenes of split `dev` are others than those of split `train`.

    Raises:
        InputError: the folder cannot be written.
    """
    labels = get_args(Label)
    lessons = [(label, motif) for label in labels for motif in _motifs(label)]
    random.Random(seed).shuffle(lessons)  # noqa: S311  # lessons that repeat, nothing secret
    numbers = track(range(count), "drawing", console=Console(stderr=True), transient=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _drawn_post(folder, *lessons[number % len(lessons)], seed + number // len(lessons))
            for number in numbers
        ]
    except OSError as error:
        raise InputError(f"cannot draw into {folder} ({error.strerror}): give another folder") from error


def _motifs(label: Label) -> list[str]:
    return sorted({motif for subject in SUBJECTS for motif in motifs("lessons", subject, label)})


def _drawn_post(folder: Path, label: Label, motif: str, seed: int) -> LabelledPost:
    image = folder / f"{motif}-{seed}.jpg"
    if not image.exists():
        image.write_bytes(jpeg(draw(motif, seed)))
    return LabelledPost(
        post_id=f"drawn/{motif}-{seed}",
        split="dev" if DEV_SCENES & set(motif.split("-")) else "train",
        text="",
        image=image,
        label=IGNORED,
        text_label=IGNORED,
        image_label=LABELS.index(label),
    )
