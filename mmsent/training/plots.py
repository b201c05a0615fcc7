"""The figures of `mmsent evaluate` as pictures. Blue, vermilion and grey stay apart for every kind of colour
vision (Okabe and Ito, Color Universal Design, 2008); marks and words say the same as colours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmsent.model.inputs import LABELS
from mmsent.training.summary import AGREEMENTS, HEAD_NAMES

BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#8a93a0"
BAND = "#cfd6dd"
ANSWERING = {  # the head whose opinion is the product's answer
    "both": "fused",
    "text_only": "text",
    "picture_only": "image",
    "picture_missing": "text",
    "text_empty": "image",
}
DOTS_PER_INCH = 120
LEAST_POSTS = 5  # thinner bins count in the ECE but are not drawn


def draw_all(figures: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write the pictures into `folder`; returns what each file shows, by its name."""
    drawings = {
        "confusion.png": (_confusion(figures), "Confusion matrices of the three heads"),
        "reliability.png": (_reliability(figures), "Reliability diagrams"),
        "strata.png": (_strata(figures), "Accuracy by what is there, by agreement and by intensity"),
        "conflict.png": (_conflict(figures["conflict"]), "ROC curve and reliability of conflict"),
    }
    for name, (figure, _) in drawings.items():
        figure.savefig(folder / name, dpi=DOTS_PER_INCH, facecolor="white")
    return {name: title for name, (_, title) in drawings.items()}


def _panels(count: int, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.1 * count, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _confusion(figures: dict[str, Any]) -> Figure:
    figure, panels = _panels(3, 3.9)
    for axes, (head, rows) in zip(panels, figures["heads"].items(), strict=True):
        counts = np.array(rows["own"]["confusion"])
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            axes.text(
                column,
                row,
                f"{share:.0%}\n{counts[row, column]}",
                ha="center",
                va="center",
                color="white" if share > 0.55 else "black",
            )
        label = "the post's label" if head == "fused" else f"the {HEAD_NAMES[head]}'s own label"
        axes.set(xlabel="said", ylabel=label, title=f"{HEAD_NAMES[head]} head, {counts.sum()} posts")
        axes.set(xticks=range(3), yticks=range(3), xticklabels=LABELS, yticklabels=LABELS)
    return figure


def _reliability(figures: dict[str, Any]) -> Figure:
    rows = {f"{HEAD_NAMES[head]}, own label": row["own"] for head, row in figures["heads"].items()}
    if figures["semeval"]:
        rows["text, SemEval-2017 4A"] = figures["semeval"]
    figure, panels = _panels(len(rows))
    for axes, (title, row) in zip(panels, rows.items(), strict=True):
        _reliability_panel(axes, row["calibration"], f"{title} ({row['posts']})", (0.3, 1.02))
        axes.set(xlabel="probability of what it says", ylabel="how often that is right")
    return figure


def _reliability_panel(
    axes: Axes, calibration: dict[str, Any], title: str, limits: tuple[float, float]
) -> None:
    """Frequency over probability, the area of a mark by its posts, and the band of a calibrated model."""
    bins = [each for each in calibration["bins"] if each["posts"] >= LEAST_POSTS]
    probability = [each["probability"] for each in bins]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    lows, highs = ([each[name] for each in bins] for name in ("low", "high"))
    axes.vlines(probability, lows, highs, color=BAND, linewidth=7, label="95 % if calibrated")
    most = max(each["posts"] for each in bins)
    areas = [15 + 100 * each["posts"] / most for each in bins]
    frequency = [each["frequency"] for each in bins]
    axes.scatter(
        probability, frequency, s=areas, color=BLUE, zorder=3, clip_on=False, label="measured (area: posts)"
    )
    low, high = calibration["band"]
    axes.set(xlim=limits, ylim=(min(0, *frequency), max(limits[1], *frequency)))
    axes.set_title(f"{title}\nECE {calibration['ece']:.3f}, calibrated {low:.3f}–{high:.3f}", fontsize=10)
    axes.legend(loc="upper left", frameon=False, fontsize=8, markerscale=0.6)


def _strata(figures: dict[str, Any]) -> Figure:
    combinations = {
        name.replace("_", " "): {ANSWERING[name]: row} for name, row in figures["combinations"].items()
    }
    agreement = {title: figures["agreement"][name] for name, title in AGREEMENTS.items()}
    intensity = {
        name: {head: rows[name] for head, rows in figures["intensity"].items()}
        for name in figures["intensity"]["fused"]
    }
    figure, panels = _panels(3)
    _forest(panels[0], combinations, "post's label, by what is there")
    _forest(panels[1], agreement, "own label, by agreement of the labels")
    _forest(panels[2], intensity, "own label, by intensity (terciles)")
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _forest(axes: Axes, strata: dict[str, dict[str, Any]], title: str) -> None:
    """Accuracy with its interval: one line for each stratum, one mark for each head."""
    marks = {"text": (BLUE, "o"), "image": (VERMILION, "s"), "fused": ("black", "D")}
    for place, (head, (color, mark)) in enumerate(marks.items()):
        rows = [
            (line + 0.22 * (place - 1) * (len(row) > 1), row[head]["accuracy"])
            for line, row in enumerate(strata.values())
            if head in row and row[head]["accuracy"]["low"] is not None
        ]
        lines = [line for line, _ in rows]
        lows, highs = ([each[name] for _, each in rows] for name in ("low", "high"))
        axes.hlines(lines, lows, highs, color=color, linewidth=2)
        values = [each["value"] for _, each in rows]
        axes.plot(values, lines, mark, color=color, label=f"{HEAD_NAMES[head]} head")
    axes.set(yticks=range(len(strata)), yticklabels=list(strata), xlim=(0, 1))
    axes.set_xlabel("accuracy, 95 % interval")
    axes.set_title(title, fontsize=10)
    axes.invert_yaxis()
    axes.grid(axis="x", color=BAND, linewidth=0.6)


def _conflict(conflict: dict[str, Any]) -> Figure:
    figure, panels = _panels(2, 4.4)
    axes = panels[0]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    _curve(axes, conflict["roc"], f"conflict {conflict['auroc']['value']:.3f}", BLUE, "-")
    negativity = f"the text's negativity {conflict['text_negativity_auroc']['value']:.3f}"
    _curve(axes, conflict["text_negativity_roc"], negativity, VERMILION, "--")
    axes.set(xlabel="false alarms", ylabel="recall", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axes.set_title(f"{conflict['posts']} opposite posts against {conflict['others']} others", fontsize=10)
    axes.legend(title="AUROC", loc="lower right", frameon=False)
    calibration = conflict["calibration"]
    row = calibration["shown" if calibration["shipped"] else "out_of_fold_probability"]
    highest = max(each["high"] for each in row["bins"])
    title = "as shown" if calibration["shipped"] else "a score, calibrated out of fold"
    title += f"; {calibration['prior']:.1%} opposite"
    _reliability_panel(panels[1], row, title, (0, min(1.02, highest + 0.1)))
    panels[1].set(xlabel="conflict probability", ylabel="share that is opposite")
    return figure


def _curve(axes: Axes, points: Sequence[Sequence[float]], label: str, color: str, style: str) -> None:
    alarms, recall = zip(*points, strict=True)
    axes.plot(alarms, recall, color=color, linestyle=style, linewidth=2, label=label)
