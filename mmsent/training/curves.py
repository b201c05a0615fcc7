"""How a stage went, as a picture and as JSON: loss by step, figures by epoch."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmsent.training.data import read_jsonl

_SIZE = (9.0, 3.6)  # inches


def write_curves(stage: str, folder: Path) -> None:
    """Write `<stage>.curves.json` and `<stage>.curves.png` from the log that `fit` left in the folder."""
    rows = _last_run(read_jsonl(folder / f"{stage}.log.jsonl"))
    losses = [row for row in rows if "loss" in row]
    epochs = [
        {name: value for name, value in row.items() if name != "time"} for row in rows if "loss" not in row
    ]
    curves = {"steps": [[row["epoch"], row["step"], row["loss"]] for row in losses], "epochs": epochs}
    (folder / f"{stage}.curves.json").write_text(json.dumps(curves, indent=1) + "\n")
    _draw(stage, losses, epochs).savefig(folder / f"{stage}.curves.png", dpi=120)


def _last_run(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each step and epoch as it was last seen: a resumed run repeats what followed its last snapshot."""
    return [*{(row["epoch"], row.get("step", float("inf"))): row for row in rows}.values()]


def _draw(stage: str, losses: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=_SIZE, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(range(1, len(losses) + 1), [row["loss"] for row in losses], marker="o")
    left.set(title=f"{stage}: loss while training", xlabel="snapshot", ylabel="loss of a batch in nats")
    for name in epochs[0]:
        if name not in {"epoch", "selection"} and not name.endswith("log_loss"):
            right.plot(
                [row["epoch"] + 1 for row in epochs], [row[name] for row in epochs], marker="o", label=name
            )
    right.set(
        title="on the development set",
        xlabel="epoch",
        ylabel="share",
        xticks=[row["epoch"] + 1 for row in epochs],
    )
    right.legend(fontsize="small")
    return figure
