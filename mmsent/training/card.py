"""The model card that travels with a checkpoint; its figures are those of `metrics.json`."""

from importlib import resources
from typing import Any

from mmsent.training.report import body


def model_card(figures: dict[str, Any]) -> str:
    """The card in Markdown, from the figures of `export`."""
    template = resources.files("mmsent.training").joinpath("card.md").read_text(encoding="utf-8")
    megabytes = ", ".join(f"{part} {size} MB" for part, size in figures["megabytes"].items())
    return template.format(megabytes=megabytes, results=body(figures, level=3))
