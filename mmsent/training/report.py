"""The figures of `mmsent evaluate` for people: a folder with Markdown and pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmsent.errors import InputError
from mmsent.model.inputs import LABELS
from mmsent.training.calibration import BINS
from mmsent.training.data import make_folder
from mmsent.training.metrics import MEASURES
from mmsent.training.plots import draw_all
from mmsent.training.summary import (
    AGREEMENTS,
    HEAD_NAMES,
    IN_SAMPLE,
    TITLES,
    ece,
    flag_rows,
    head_rows,
    percent,
    plain,
    sample_line,
    signed,
    title,
)

COMBINATIONS = {
    "both": "both",
    "text_only": "text only (picture withheld)",
    "picture_only": "picture only (text withheld)",
    "picture_missing": "picture missing (cannot be had)",
    "text_empty": "text empty (only a link and a mention)",
}


def write_report(figures: dict[str, Any], folder: Path) -> None:
    """`report.md`, its pictures and `figures.json` in `folder`; raises InputError if it cannot be written."""
    make_folder(folder)
    try:
        pictures = draw_all(figures, folder)
        images = "\n".join(f"![{title}]({name})\n" for name, title in pictures.items())
        text = f"# {title(figures)}\n\n{body(figures)}\n\n## Pictures\n\n{images}"
        (folder / "report.md").write_text(text, encoding="utf-8")
        (folder / "figures.json").write_text(as_json_text(figures) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write the report to {folder} ({error.strerror}): give another folder"
        ) from error


def as_json_text(figures: dict[str, Any], indent: int | None = 2) -> str:
    """Strict JSON: what does not exist is null, never NaN."""
    return json.dumps(figures, indent=indent, allow_nan=False)


def body(figures: dict[str, Any], level: int = 2) -> str:
    """All tables in Markdown, under headings of this level."""
    sections = [
        ("How to read this", _notes(figures)),
        ("Heads", _head_table(figures["heads"])),
        ("SemEval-2017 Task 4A", _semeval(figures["semeval"])),
        ("By what is there", _combination_table(figures["combinations"])),
        ("By agreement of the two labels", _agreement_table(figures["agreement"])),
        ("By intensity", _intensity_table(figures["intensity"])),
        ("Conflict", _conflict_section(figures["conflict"])),
        ("Without repeated tweets", _without_repeats(figures["without_repeats"])),
        ("The sample stream", sample_line(figures["sample"])),
    ]
    return "\n\n".join(f"{'#' * level} {title}\n\n{text}" for title, text in sections if text)


def _notes(figures: dict[str, Any]) -> str:
    missing = figures["missing_pictures"]
    notes = [
        f"In brackets: 95 % intervals by {figures['resamples']:,} bootstrap resamples of post groups; posts "
        "that repeat a text or a picture come and go together.",
        f"ECE: expected calibration error of the greatest probability (Guo et al. 2017), {BINS} bins of "
        "equal width; in brackets the band where 95 % of perfectly calibrated models would come out with as "
        "many posts.",
        "F1 and recall are over the classes that the labels hold. A head's own label is what annotators felt "
        "from the text alone, from the picture alone; fused has the post's.",
        _temperatures(figures["temperatures"]),
    ]
    if figures["conflict"]["calibration"]["shipped"]:
        notes.append(IN_SAMPLE)
    if missing:
        notes.append(
            f"{len(missing)} pictures are missing; their posts were judged by their text alone: "
            f"{', '.join(missing)}."
        )
    return "\n".join(f"* {note}" for note in notes)


def _temperatures(temperatures: dict[str, float]) -> str:
    if set(temperatures.values()) == {1.0}:
        return "No temperature is in the checkpoint: opinions are as confident as training left them."
    shown = ", ".join(f"{HEAD_NAMES[head]} {value:.3f}" for head, value in temperatures.items())
    return f"Opinions are calibrated by temperatures (Guo et al. 2017): {shown}."


def _head_table(heads: dict[str, Any]) -> str:
    rows = [
        [HEAD_NAMES[head], "own" if label == "own" else "the post's", row["posts"]]
        + [percent(row[name]) for name in MEASURES]
        + [f"{row['log_loss']:.3f}", ece(row["calibration"])]
        for head, label, row in head_rows(heads)
    ]
    confusion = [
        [HEAD_NAMES[head], LABELS[place], *counts]
        for head, by_label in heads.items()
        for place, counts in enumerate(by_label["own"]["confusion"])
    ]
    names = ["head", "label", "posts", *TITLES.values(), "log-loss", "ECE (calibrated)"]
    return (
        table(names, rows)
        + "\n\nConfusion, own labels along the rows:\n\n"
        + table(["head", "label", *(f"said {label}" for label in LABELS)], confusion)
    )


def _semeval(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    rows = [
        [name, each["posts"], *(percent(each[measure]) for measure in MEASURES), ece(each["calibration"])]
        for name, each in (("all", row), ("without repeats", row["without_repeats"]))
    ]
    return "The text head alone; macro recall is the task's measure.\n\n" + table(
        ["tweets", "number", *TITLES.values(), "ECE (calibrated)"], rows
    )


def _combination_table(combinations: dict[str, Any]) -> str:
    rows = [
        [COMBINATIONS[name], row["posts"], *(percent(row[measure]) for measure in MEASURES)]
        for name, row in combinations.items()
    ]
    return (
        "What the product answers, against the post's label: fused, or the only opinion there is. What is "
        "absent is masked, so a missing picture gives what no picture gives.\n\n"
        + table(["there", "posts", *TITLES.values()], rows)
    )


def _agreement_table(agreement: dict[str, Any]) -> str:
    rows = [
        [title, HEAD_NAMES[head], row["posts"], percent(row["accuracy"]), percent(row["macro_f1"])]
        for name, title in AGREEMENTS.items()
        for head, row in agreement[name].items()
        if head in HEAD_NAMES
    ]
    sides = agreement["opposite"]["fused_sides_with"]
    return (
        "Each head against its own label.\n\n"
        + table(["labels", "head", "posts", "accuracy", "macro F1"], rows)
        + f"\n\nOn opposite posts fused sides with the text in {percent(sides['text'])}, with the picture in "
        f"{percent(sides['image'])}, with neither in {percent(sides['neither'])}."
    )


def _intensity_table(intensity: dict[str, Any]) -> str:
    rows = [
        [
            HEAD_NAMES[head],
            name,
            f"{row['from']:.2f}–{row['to']:.2f}",
            row["posts"],
            percent(row["accuracy"]),
            percent(row["macro_f1"]),
        ]
        for head, by_name in intensity.items()
        for name, row in by_name.items()
    ]
    return "Intensity is the head's own |P(+) − P(−)|, in terciles; against its own label.\n\n" + table(
        ["head", "intensity", "from–to", "posts", "accuracy", "macro F1"], rows
    )


def _conflict_section(row: dict[str, Any]) -> str:
    ranking = [
        ["conflict", plain(row["auroc"]), plain(row["average_precision"])],
        [
            "the text's negativity alone",
            plain(row["text_negativity_auroc"]),
            plain(row["text_negativity_average_precision"]),
        ],
        ["difference, paired", plain(row["auroc_gain"]), plain(row["average_precision_gain"])],
    ]
    within = [
        [
            f"{label}, against {name}",
            each["posts"],
            each["against"],
            plain(each["auroc"]),
            plain(each["text_alone_auroc"]),
        ]
        for label, by_name in row["within"].items()
        for name, each in by_name.items()
    ]
    flags = [
        [
            title,
            f"{each['prevalence']:.1%}",
            percent(each["flag_rate"]),
            percent(each["precision"]),
            percent(each["recall"]),
        ]
        for title, each in flag_rows(row)
    ]
    return "\n\n".join(
        [
            f"{row['posts']} posts whose text and picture feel opposite, against {row['others']} others.",
            table(["ranked by", "AUROC", "average precision"], ranking),
            "Within posts whose text's own label is the same, against all others and against those whose "
            "picture agrees:",
            table(["text is", "opposite", "against", "AUROC", "P(text) alone"], within),
            "Flags:",
            table(["threshold", "opposite", "flagged", "precision", "recall"], flags),
            _probability_lines(row["calibration"], row["threshold"]),
        ]
    )


def _probability_lines(row: dict[str, Any], threshold: float) -> str:
    """A calibrated conflict is judged as the probability it is; of a score we say what would make it one."""
    prior, refit = f"{row['prior']:.1%}", signed(row["intercept"])
    if shipped := row["shipped"]:
        return (
            f"Conflict is a probability where {prior} are opposite: logit P = {shipped['slope']:.3f} · "
            f"logit(score) {signed(shipped['intercept'])} (Platt 1999). ECE {ece(row['shown'])}. Fitted anew "
            f"on these posts, logit P would become {row['slope']:.3f} · logit P {refit}; 1 and 0 are perfect "
            "(Cox 1958)."
        )
    return (
        f"Conflict is a score, no probability: as one, where {prior} are opposite, its ECE is "
        f"{ece(row['shown'])}. logit P = {row['slope']:.3f} · logit(score) {refit} would be "
        f"one (Platt 1999; Saerens et al. 2002); ECE out of fold {ece(row['out_of_fold_probability'])}. The "
        f"threshold of {threshold:.3f} stands for a probability of {row['threshold_as_probability']:.3f}."
    )


def _without_repeats(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    conflict = row["conflict"]
    return "\n\n".join(
        [
            f"{row['posts']} posts: the first of each group of equal texts or pictures, none in `train`.",
            _head_table(row["heads"]),
            _combination_table(row["combinations"]),
            _agreement_table(row["agreement"]),
            _intensity_table(row["intensity"]),
            _conflict_section(conflict),
        ]
    )


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
