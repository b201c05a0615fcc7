"""The model card that travels with a checkpoint; its figures are those of `metrics.json`."""

from importlib import resources
from typing import Any


def model_card(figures: dict[str, Any]) -> str:
    """The card in Markdown, from the figures of `export`."""
    names = ("accuracy", "macro_f1", "weighted_f1", "macro_recall")
    rows = [
        f"| {head} | " + " | ".join(f"{by_label['own'][name]:.1%}" for name in names) + " |"
        for head, by_label in figures["heads"].items()
    ]
    conflict = figures["conflict"]
    template = resources.files("mmsent.training").joinpath("card.md").read_text(encoding="utf-8")
    return template.format(
        posts=figures["posts"],
        conflict_posts=figures["conflict_posts"],
        megabytes=", ".join(f"{part} {size} MB" for part, size in figures["megabytes"].items()),
        heads="\n".join(rows),
        **{
            name: conflict[name]
            for name in ("auroc", "average_precision", "text_negativity_auroc", "threshold")
        },
        sample=figures["sample"],
        **{name: conflict["out_of_fold"][name] for name in ("flag_rate", "precision", "recall")},
    )
