"""The texts that no stage learns from."""

import json
from pathlib import Path

from mmsent.model.inputs import LABELS
from mmsent.training.kept_back import kept_back_texts, learned_texts


def write(data: Path, texts: list[str]) -> None:
    folder = data / "semeval2017-task4a"
    folder.mkdir()
    rows = [{"text": text, "label": LABELS[number % 3]} for number, text in enumerate(texts)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_a_twentieth_is_kept_back_and_repeats_stay_together(tmp_path: Path) -> None:
    texts = [f"word{number} and word{number % 7}" for number in range(4_000)]
    write(tmp_path, [*texts, *(f"RT @someone: {text.upper()}! https://t.co/{text[-1]}" for text in texts)])
    learned, kept = learned_texts(tmp_path), kept_back_texts(tmp_path)
    assert len(learned) + len(kept) == 2 * len(texts)
    assert 0.04 < len(kept) / (len(learned) + len(kept)) < 0.06
    originals = {item.text for item in kept} & set(texts)
    assert 2 * len(originals) == len(kept)
    assert not {item.text for item in learned} & originals
