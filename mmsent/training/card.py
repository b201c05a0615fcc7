"""The model card that travels with a checkpoint; its figures are those of `metrics.json`."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from mmsent.model.conflict import ConflictCalibration
from mmsent.training.report import body, table
from mmsent.training.summary import HEAD_NAMES, ece, percent, plain, signed


def model_card(figures: dict[str, Any], plots: Mapping[str, str]) -> str:
    """The card in Markdown, from the figures of `export`; `plots` are files beside it and what they show."""
    template = resources.files("mmsent.training").joinpath("card.md").read_text(encoding="utf-8")
    conflict, left_out = figures["conflict"], figures["out_of_fold"]
    calibration = ConflictCalibration(**conflict["calibration"]["shipped"])
    moved = max(row["mean_difference"] for row in figures["parity"].values())
    return template.format(
        megabytes=", ".join(f"{part} {size} MB" for part, size in figures["megabytes"].items()),
        temperatures=", ".join(f"{HEAD_NAMES[head]} {t:.3f}" for head, t in figures["temperatures"].items()),
        prior=f"{calibration.prior:.1%}",
        conflict=f"{calibration.slope:.4f} · logit(score) {signed(calibration.intercept, 4)}",
        threshold=f"{conflict['threshold']:.3f}",
        fitted_posts=f"{left_out['conflict']['posts'] + left_out['conflict']['others']:,}",
        folds=left_out["folds"],
        left_out=_left_out(left_out),
        moved=f"{moved:.3f}",
        results=body(figures, level=3),
        plots="\n".join(f"![{title}]({name})" for name, title in plots.items()),
    )


def _left_out(row: dict[str, Any]) -> str:
    heads = [
        [HEAD_NAMES[head], f"{each['posts']:,}", f"{each['log_loss']:.3f}", ece(each["calibration"])]
        for head, each in row["heads"].items()
    ]
    conflict = row["conflict"]
    within = ", ".join(
        f"{plain(each['others']['auroc'])} within {label} texts" for label, each in conflict["within"].items()
    )
    return "\n\n".join(
        [
            table(["head", "posts", "log-loss", "ECE (calibrated)"], heads),
            f"Conflict, {conflict['posts']} opposite posts against {conflict['others']:,}: AUROC "
            f"{plain(conflict['auroc'])}, {plain(conflict['auroc_gain'])} above the text's negativity; "
            f"{within}. Where {row['prior']:.1%} are opposite: ECE {ece(conflict['calibration'])}; flags "
            f"{percent(conflict['flag_rate'])} % of posts, precision {percent(conflict['precision'])} %, "
            f"recall {percent(conflict['recall'])} %.",
        ]
    )
