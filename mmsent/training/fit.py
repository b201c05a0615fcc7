"""The loop that all stages share: steps, progress, snapshots, resuming, keeping the best epoch."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn

from mmsent.errors import InputError

LOG_STEPS = 20


class Task(Protocol):
    """What a stage trains: batches of an epoch, the loss of one, and the figures it is chosen by."""

    name: str

    @property
    def model(self) -> nn.Module: ...

    @property
    def learned_from(self) -> object:
        """Inputs and labels; another `repr` for other ones."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for AdamW, each with its peak learning rate `lr`."""

    def batches(self, epoch: int) -> list[list[int]]:
        """The epoch's batches; the same for the same epoch, whenever asked."""

    def loss(self, batch: list[int]) -> Tensor:
        """Mean loss of a batch, with gradients."""

    def judge(self) -> dict[str, float]:
        """Figures on the development set; `selection` is the one to maximise."""


@dataclass(frozen=True)
class Schedule:
    """AdamW under a one-cycle rate (Smith and Topin 2018): warm-up over the first tenth, then cosine to 0.

    It stops after `patience` epochs without a better one. `recipe` says what else must be the same in a run
    that goes on.
    """

    epochs: int
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    seed: int = 0
    snapshot_steps: int = 200
    patience: int = 2
    recipe: str = ""


@dataclass
class _State:
    epoch: int = 0
    step: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def fit(task: Task, schedule: Schedule, output: Path, *, resume: bool = True) -> list[dict[str, Any]]:
    """Train to the end, leave the best epoch's weights in `task.model`; returns each epoch's figures.

    Every `snapshot_steps` the whole state goes to `<output>/<name>.state.pt`: a killed run that is started
    again with the same arguments ends with the same weights. Losses and figures go to `<name>.log.jsonl`.

    Raises:
        InputError: the state is damaged, or of a run of another schedule, other starting weights, inputs or
            labels; or the loss is no number any more.
    """
    runner = _Runner(task, schedule, output)
    if resume and runner.path.exists():
        runner.restore()
    else:
        runner.forget()
    runner.run()
    task.model.eval()
    return runner.state.history


class _Runner:
    def __init__(self, task: Task, schedule: Schedule, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(schedule.seed)
        self.task, self.schedule, self.output = task, schedule, output
        self.state = _State()
        self.best_weights: dict[str, Tensor] = {}
        first_batches = task.batches(0)
        data = repr((task.learned_from, first_batches))
        self.arguments = f"{schedule} {weights_hash(task.model)} {_hash(data.encode())}"
        self.steps_per_epoch = len(first_batches)
        groups = task.parameter_groups()
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)
        steps = self.steps_per_epoch * schedule.epochs
        one_step = steps * schedule.warm_up == 1  # which OneCycleLR cannot do: it divides by what is left
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=steps,
            pct_start=2 / steps if one_step else schedule.warm_up,
        )

    @property
    def path(self) -> Path:
        return self.output / f"{self.task.name}.state.pt"

    @property
    def log(self) -> Path:
        return self.output / f"{self.task.name}.log.jsonl"

    @property
    def ended(self) -> bool:
        stale = self.state.epoch - self.state.best_epoch > self.schedule.patience
        return stale or self.state.epoch >= self.schedule.epochs

    @property
    def _steps_done(self) -> int:
        return self.state.epoch * self.steps_per_epoch + self.state.step

    def forget(self) -> None:
        """Nothing of an earlier run is taken for this one's."""
        self.path.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)

    def run(self) -> None:
        with _progress() as progress:
            total = self.steps_per_epoch * self.schedule.epochs
            bar = progress.add_task(self.task.name, total=total, completed=self._steps_done)
            while not self.ended:
                for loss in self._epoch():
                    progress.update(bar, advance=1, description=f"{self.task.name} loss {loss:.3f}")
                self._end_epoch(progress.console)
        self.task.model.load_state_dict(self.best_weights)

    def _epoch(self) -> Iterator[float]:
        batches = self.task.batches(self.state.epoch)
        self.task.model.train()
        for batch in batches[self.state.step :]:
            loss = self._step(batch)
            self.state.step += 1
            if self._steps_done % LOG_STEPS == 0:
                self._log({"epoch": self.state.epoch, "step": self._steps_done, "loss": round(loss, 4)})
            if self.state.step % self.schedule.snapshot_steps == 0:
                self.save()
            yield loss

    def _step(self, batch: list[int]) -> float:
        loss = self.task.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.parameters, self.schedule.clip)
        self.optimizer.step()
        self.scheduler.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InputError(
                f"the loss of {self.task.name} became {value} in epoch {self.state.epoch + 1}: lower the rate"
            )
        return value

    def _end_epoch(self, console: Console) -> None:
        self.task.model.eval()
        with torch.inference_mode():
            figures = self.task.judge()
        row = {"epoch": self.state.epoch} | {name: round(value, 4) for name, value in figures.items()}
        self.state.history.append(row)
        if figures["selection"] > self.state.best:
            self.state.best, self.state.best_epoch = figures["selection"], self.state.epoch
            self.best_weights = {
                name: tensor.clone() for name, tensor in self.task.model.state_dict().items()
            }
        self.state.epoch, self.state.step = self.state.epoch + 1, 0
        self._log(row)
        self.save()
        console.print(" · ".join(f"{name} {value}" for name, value in row.items()))

    def _log(self, row: dict[str, Any]) -> None:
        with self.log.open("a") as log:
            log.write(json.dumps({"time": round(time.time()), **row}) + "\n")

    def save(self) -> None:
        snapshot = {
            "arguments": self.arguments,
            "state": vars(self.state),
            "model": self.task.model.state_dict(),
            "best_weights": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        partial = self.path.with_suffix(".partial")
        torch.save(snapshot, partial)
        partial.replace(self.path)

    def restore(self) -> None:
        try:
            snapshot = torch.load(self.path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
            raise InputError(f"{self.path} is damaged: begin anew with --no-resume") from error
        if snapshot["arguments"] != self.arguments:
            raise InputError(
                f"{self.path} is of a run with other arguments, starting weights or data: "
                "give another output folder or --no-resume"
            )
        self.state = _State(**snapshot["state"])
        self.best_weights = snapshot["best_weights"]
        self.task.model.load_state_dict(snapshot["model"])
        self.optimizer.load_state_dict(snapshot["optimizer"])
        self.scheduler.load_state_dict(snapshot["scheduler"])
        torch.set_rng_state(snapshot["random"])
        if torch.cuda.is_available() and snapshot["cuda_random"]:
            torch.cuda.set_rng_state_all(snapshot["cuda_random"])


def weights_hash(module: nn.Module) -> str:
    """Eight hexadecimal digits that other weights would not have."""
    parts = (name.encode() + each.cpu().numpy().tobytes() for name, each in module.state_dict().items())
    return _hash(*parts)


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:8]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
