"""`mmsent train`, `export`, `evaluate`: make the model again, and judge it. They need the extra `train`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmsent.commands.console import give, say
from mmsent.commands.packages import missing_packages
from mmsent.errors import SetupError
from mmsent.training import Stage

USUAL: tuple[Stage, ...] = ("text", "fusion", "folds")


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        missing = ", ".join(missing_packages("train")) or str(error)
        raise SetupError(f"this needs {missing}; run: pip install 'mmsent[train]'") from error


def train(
    stage: Stage | None,
    data: Path,
    output: Path,
    *,
    config: Path | None,
    overrides: Mapping[str, int | None],
    image_weights: Path | None,
    photos: Sequence[Path],
    tiny_imagenet: Path | None,
    resume: bool,
) -> None:
    """Train one stage, or the usual ones in order, with a progress bar.

    Raises:
        InputError: recipe, data, the picture encoder's weights or the output folder is not good.
    """
    with _extra():
        from mmsent.training.recipe import load_recipe  # noqa: PLC0415  # torch
        from mmsent.training.run import Run  # noqa: PLC0415  # torch
        from mmsent.training.train import check, train  # noqa: PLC0415  # torch
    recipe = load_recipe(config, **{name: value for name, value in overrides.items() if value is not None})
    run = Run(recipe, recipe.config(), data, output, image_weights, photos, tiny_imagenet, resume)
    stages = [*USUAL] if stage is None else [stage]
    check(stages, run)
    for each in stages:
        say(f"stage {each} …")
        train(each, run)
    say(f"trained; weights and figures are in {output}")


def export(
    trained: Path, data: Path, output: Path, *, name: str, version: int, appendix: Path | None
) -> None:
    """Write a checkpoint of ONNX parts from trained weights; its figures on stdout."""
    with _extra():
        from mmsent.training.export import export as export_parts  # noqa: PLC0415  # torch
    figures = export_parts(trained, data, output, name=name, version=version, appendix=appendix)
    give(json.dumps(figures, indent=2))
    say(f"a checkpoint is in {output}; use it with MMSENT_CHECKPOINT={output}")


def evaluate(
    checkpoint: Path | None,
    data: Path,
    *,
    split: str,
    prior: float | None,
    text_only_for_missing: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Judge a checkpoint on labelled posts; figures on stdout, and at length in the folder `report`.

    Raises:
        InputError: checkpoint, data or the report's folder cannot be used.
    """
    with _extra():
        from mmsent.training.conflict_figures import NATURAL_PREVALENCE  # noqa: PLC0415  # scikit-learn
        from mmsent.training.data import make_folder  # noqa: PLC0415  # with evaluate
        from mmsent.training.evaluate import evaluate  # noqa: PLC0415  # scikit-learn
        from mmsent.training.report import as_json_text, write_report  # noqa: PLC0415  # matplotlib
        from mmsent.training.summary import summary  # noqa: PLC0415  # with the others
    if report is not None:
        make_folder(report)
    figures = evaluate(
        checkpoint,
        data,
        split=split,
        prior=NATURAL_PREVALENCE if prior is None else prior,
        text_only_for_missing=text_only_for_missing,
    )
    give(as_json_text(figures, indent=None) if as_json else summary(figures))
    if report is not None:
        write_report(figures, report)
        say(f"tables and pictures are in {report / 'report.md'}")
