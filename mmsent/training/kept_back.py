"""SemEval's `train` in two: what the stages learn from, and a twentieth that none of them sees.

`mmsent export` judges the text head on that twentieth, beside `dev`.
"""

import hashlib
from pathlib import Path

from mmsent.training.data import LabelledText, read_texts
from mmsent.training.repeats import words

_ONE_IN = 20


def learned_texts(data: Path) -> list[LabelledText]:
    """What stages learn from; raises InputError as `read_texts` does."""
    return [item for item in read_texts(data, "train") if not _is_kept_back(item)]


def kept_back_texts(data: Path) -> list[LabelledText]:
    """The others; texts that repeat each other are on one side. Raises InputError as `read_texts` does."""
    return [item for item in read_texts(data, "train") if _is_kept_back(item)]


def _is_kept_back(item: LabelledText) -> bool:
    return hashlib.sha256(words(item.text).encode()).digest()[0] * _ONE_IN // 256 == 0
