"""The figures of `mmsent evaluate` in short, as plain text; and how figures are written everywhere."""

from collections.abc import Callable, Iterator
from typing import Any

from mmsent.training.metrics import MEASURES

HEAD_NAMES = {"text": "text", "image": "picture", "fused": "fused"}
TITLES = {
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "macro_recall": "macro recall",
}
IN_SAMPLE = (
    "Slope, power and threshold of a checkpoint by `mmsent export` were fitted on the posts of `conflict`: "
    "quote the figures out of fold in its card."
)
AGREEMENTS = {"same": "same", "one_neutral": "one neutral", "opposite": "opposite"}


def summary(figures: dict[str, Any]) -> str:
    """The figures in short, as plain text."""
    lines = [
        title(figures),
        "",
        f"{'head':8}{'label':7}" + "".join(f"{TITLES[name]:>21}" for name in MEASURES),
    ]
    for head, label, row in head_rows(figures["heads"]):
        shown = "".join(f"{percent(row[name]):>21}" for name in MEASURES)
        lines.append(f"{HEAD_NAMES[head]:8}{label:7}{shown}")
    if row := figures["semeval"]:
        lines.append(f"{'text':8}{'SemEval':7}" + "".join(f"{percent(row[name]):>21}" for name in MEASURES))
    lines += ["", *_calibration_lines(figures), "", *_conflict_lines(figures["conflict"])]
    return "\n".join([*lines, "", f"the sample stream: {sample_line(figures['sample'])}"]) + "\n"


def head_rows(heads: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Head, label and figures of each line; fused has no other label than the post's."""
    for head, by_label in heads.items():
        for label, row in by_label.items():
            if (head, label) != ("fused", "own"):
                yield head, label, row


def title(figures: dict[str, Any]) -> str:
    return (
        f"{figures['model']} on MVSA-Single {figures['split']}: {figures['posts']} posts, "
        f"and {figures['conflict_posts']} whose text and picture feel opposite"
    )


def sample_line(row: dict[str, Any]) -> str:
    return (
        f"{row['posts']:,} posts, {row['opposite']} with a picture of the opposite: "
        f"text accuracy {row['text_accuracy']:.3f}, picture accuracy {row['image_accuracy']:.3f}; "
        f"flags {row['flagged']}, precision {row['precision']:.3f}, recall {row['recall']:.3f}."
    )


def _calibration_lines(figures: dict[str, Any]) -> Iterator[str]:
    rows = {HEAD_NAMES[head]: by_label["own"] for head, by_label in figures["heads"].items()}
    if figures["semeval"]:
        rows["SemEval"] = figures["semeval"]
    errors = {name: row["calibration"] for name, row in rows.items()}
    if figures["conflict"]["calibration"]["shipped"]:
        errors["conflict"] = figures["conflict"]["calibration"]["shown"]
    shown = "   ".join(f"{name} {ece(row)}" for name, row in errors.items())
    yield f"ECE (calibrated models: 95 % between): {shown}"
    by_name = {name: figures["combinations"][name] for name in ("both", "text_only", "picture_only")}
    shown = "   ".join(
        f"{name.replace('_', ' ')} {percent(row['accuracy'])}" for name, row in by_name.items()
    )
    yield f"accuracy by what is there: {shown}"


def _conflict_lines(row: dict[str, Any]) -> Iterator[str]:
    yield (
        f"conflict: AUROC {plain(row['auroc'])}, {plain(row['auroc_gain'])} above the text's negativity; "
        f"average precision {plain(row['average_precision'])}"
    )
    shown = ", ".join(f"{label} {plain(each['others']['auroc'])}" for label, each in row["within"].items())
    yield f"  AUROC within equal text labels: {shown}"
    if row["calibration"]["shipped"]:
        yield f"  {IN_SAMPLE}"
    for title, each in flag_rows(row):
        yield (
            f"  threshold {title}, {each['prevalence']:.1%} opposite: flags {percent(each['flag_rate'])}, "
            f"precision {percent(each['precision'])}, recall {percent(each['recall'])}"
        )


def flag_rows(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{row['threshold']:.3f}, as sampled", row["at_sample"]),
        (f"{row['threshold']:.3f}", row["at_prior"]),
        ("chosen on other folds", row["out_of_fold"]),
    ]


def percent(row: dict[str, float | None]) -> str:
    """71.4 (67.1 to 75.5), or – for what does not exist."""
    return _shown(row, lambda value: f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "−"))


def plain(row: dict[str, float | None]) -> str:
    """0.752 (0.711 to 0.790), or – for what does not exist."""
    return _shown(row, lambda value: f"{value:.3f}".replace("-", "−"))


def signed(value: float, digits: int = 3) -> str:
    """+ 0.250 or − 0.250, as a term that follows another."""
    return f"{'+' if value >= 0 else '−'} {abs(value):.{digits}f}"


def _shown(row: dict[str, float | None], form: Callable[[float], str]) -> str:
    value, low, high = row["value"], row["low"], row["high"]
    if value is None:
        return "–"
    return form(value) if low is None or high is None else f"{form(value)} ({form(low)} to {form(high)})"


def ece(row: dict[str, Any]) -> str:
    low, high = row["band"]
    return f"{row['ece']:.3f} ({low:.3f} to {high:.3f})"
