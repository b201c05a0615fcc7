"""The model card that travels with a checkpoint; its figures are those of `metrics.json`."""

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from mmsent.errors import InputError
from mmsent.model.conflict import ConflictCalibration, lift
from mmsent.model.fusion import PRESETS, FusionConfig
from mmsent.model.inputs import LABELS
from mmsent.training.data import read_record
from mmsent.training.report import body, table
from mmsent.training.summary import HEAD_NAMES, ece, percent, plain, signed

IRONY = (
    " beside irony ([TweetEval](https://github.com/cardiffnlp/tweeteval), Barbieri et al. 2020; SemEval-2018 "
    "Task 3A, Van Hee et al. 2018; research use),"
)


def training_records(trained: Path) -> dict[str, dict[str, Any]]:
    """What the text and the fusion stage noted in `trained`, by stage.

    Raises:
        InputError: one left no record, or one of an older training.
    """
    return {
        "text": _record(trained / "text.json", "texts", "irony_texts"),
        "fusion": _record(trained / "training.json", "posts", "drawings", "picture_start", "picture_record"),
    }


def model_card(
    figures: dict[str, Any],
    plots: Mapping[str, str],
    config: FusionConfig,
    records: Mapping[str, dict[str, Any]],
    appendix: str = "",
) -> str:
    """The card in Markdown, from the figures of `export` and `training_records`.

    `plots` are files beside the card and what they show; `appendix` is a document in Markdown, for a section.
    """
    template = resources.files("mmsent.training").joinpath("card.md").read_text(encoding="utf-8")
    conflict, left_out, parity = figures["conflict"], figures["out_of_fold"], figures["parity"]
    calibration = ConflictCalibration(**conflict["calibration"]["shipped"])
    training = records["fusion"]
    sizes, side = config.text_config, config.image_size
    return template.format(
        model=figures["model"],
        text_encoder=_text_start(config),
        text_sizes=f"{sizes.get('num_hidden_layers', 12)} layers of {sizes.get('hidden_size', 768)}",
        image_encoder=config.image_encoder,
        image_size=side,
        regions=(side // 32) ** 2,
        width=config.width,
        max_length=config.max_length,
        texts=f"{records['text']['texts']:,}",
        irony=IRONY if records["text"]["irony_texts"] else "",
        picture_start=picture_start(config, training["picture_start"], training["picture_record"] or {}),
        train_posts=f"{training['posts']:,}",
        drawings=f"{training['drawings']:,}",
        megabytes=_sizes(figures["megabytes"]),
        torch_megabytes=_sizes(figures["torch_megabytes"]),
        temperatures=", ".join(f"{HEAD_NAMES[head]} {t:.3f}" for head, t in figures["temperatures"].items()),
        prior=f"{calibration.prior:.1%}",
        conflict=f"{calibration.slope:.4f} · logit(score) {signed(calibration.intercept, 4)}",
        power=f"{calibration.image_power:g}",
        lift=_lift(calibration),
        threshold=f"{conflict['threshold']:.3f}",
        fitted_posts=f"{left_out['conflict']['posts'] + left_out['conflict']['others']:,}",
        folds=left_out["folds"],
        left_out=_left_out(left_out),
        moved=f"{max(row['mean_difference'] for row in parity.values()):.3f}",
        moved_most=f"{max(row['greatest_difference'] for row in parity.values()):.2f}",
        cost=", ".join(
            f"{HEAD_NAMES[head]} {percent(row['accuracy_change'])} of {row['posts']:,}"
            for head, row in parity.items()
        ),
        kept_back=_kept_back(figures["kept_back"]),
        results=body(figures, level=3),
        plots="\n".join(f"![{title}]({name})" for name, title in plots.items()),
        appendix=f"{_demoted(appendix)}\n\n" if appendix else "",
    )


def _record(path: Path, *needed: str) -> dict[str, Any]:
    found = read_record(path, "train again")
    if missing := [name for name in needed if name not in found]:
        raise InputError(f"{path} says nothing of {missing[0]}, it is of an older training: train again")
    return found


def _sizes(megabytes: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {size} MB" for name, size in megabytes.items())


def _kept_back(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return (
        f"\n\n`mmsent export` also judged {row['posts']:,} tweets of SemEval's `train` that no stage learned "
        f"from: there the text head has a macro recall of {percent(row['macro_recall'])} % and an ECE of "
        f"{ece(row['calibration'])}."
    )


def _demoted(document: str) -> str:
    """Every heading one level down."""
    return re.sub(r"^#", "##", document.strip(), flags=re.MULTILINE)


def _text_start(config: FusionConfig) -> str:
    if config.text_encoder is None:
        return "random weights"
    ours = config.text_encoder in {preset.get("text_encoder") for preset in PRESETS.values()}
    return config.text_encoder + (" (Apache-2.0)" if ours else "")


def picture_start(config: FusionConfig, start: str, record: Mapping[str, Any]) -> str:
    """Where the picture encoder comes from; `record` is the picture stage's, empty where there was none."""
    if start == config.image_weights:
        return f"{config.image_encoder} with torchvision's {start} (ImageNet; research use)"
    if not record:
        return f"{config.image_encoder} of the file `{start}`"
    begun = {
        "pretraining": "pre-trained on Tiny ImageNet (research use)",
        "torchvision": "with torchvision's weights (ImageNet; research use)",
    }.get(record["start"], f"of the file `{record['start']}`")
    if "teacher" not in record:
        return f"{config.image_encoder} {begun}"
    return (
        f"{config.image_encoder} {begun}, distilled from {record['teacher']} (Apache-2.0) over photos "
        f"without sentiment labels: {', '.join(record['sources'])}"
    )


def _lift(calibration: ConflictCalibration) -> str:
    rows = [
        [text, *(f"{each:.2f}" for each in row)]
        for text, row in zip(LABELS, lift(calibration.joint), strict=True)
    ]
    return table(["text \\ picture", *LABELS], rows)


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
