"""How a stage went, as a picture and as JSON: loss by step, figures by epoch."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_SIZE = (9.0, 3.6)  # inches


def write_curves(stage: str, folder: Path) -> None:
    """Write `<stage>.curves.json` and `<stage>.curves.png` from the log that `fit` left in the folder."""
    rows = _read_log(folder / f"{stage}.log.jsonl")
    losses = [row for row in rows if "loss" in row]
    epochs = [
        {name: value for name, value in row.items() if name != "time"} for row in rows if "loss" not in row
    ]
    curves = {"steps": [[row["epoch"], row["step"], row["loss"]] for row in losses], "epochs": epochs}
    (folder / f"{stage}.curves.json").write_text(json.dumps(curves, indent=1) + "\n")
    _draw(stage, losses, epochs).savefig(folder / f"{stage}.curves.png", dpi=120)


def _read_log(path: Path) -> list[dict[str, Any]]:
    """Each step and epoch as it was last seen: a resumed run repeats what followed its last snapshot.

    A line that a power cut tore is left out.
    """
    rows: dict[Any, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):
            row = json.loads(line)
            rows[row["epoch"], row.get("step", float("inf"))] = row
    return [rows[key] for key in sorted(rows)]


def _draw(stage: str, losses: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=_SIZE, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([row["step"] for row in losses], [row["loss"] for row in losses])
    left.set(title=f"{stage}: loss of a batch", xlabel="step")
    numbers = [row["epoch"] + 1 for row in epochs]
    for name in epochs[0]:
        if name not in {"epoch", "selection"} and not name.endswith("log_loss"):
            right.plot(numbers, [row[name] for row in epochs], marker="o", label=name)
    right.set(title="after an epoch, on what is held out", xlabel="epoch", xticks=numbers)
    right.legend(fontsize="small")
    return figure
