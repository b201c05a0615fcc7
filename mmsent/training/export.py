"""`mmsent export`: trained weights to a checkpoint: three small ONNX parts, and fp16 weights for torch."""

import contextlib
import copy
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from mmsent.engine.base import HEADS, Head
from mmsent.engine.openvino import OpenVinoEngine
from mmsent.errors import InputError
from mmsent.model.checkpoint import (
    CONFIG_FILE,
    PART_FILES,
    TOKENIZER_FILE,
    CheckpointConfig,
    Temperatures,
    file_hash,
    load_checkpoint,
)
from mmsent.model.conflict import ConflictCalibration
from mmsent.model.fusion import WEIGHTS, FusionModel
from mmsent.model.inputs import TextTokenizer, pad_tokens, pixel_values, softmax
from mmsent.training.bootstrap import estimate, ratio, resample
from mmsent.training.card import model_card, training_records
from mmsent.training.data import IGNORED, LabelledPost, LabelledText, has_texts, head_labels, read_posts
from mmsent.training.drawn import drawn_posts
from mmsent.training.evaluate import evaluate, judge_texts, predict
from mmsent.training.features import picture
from mmsent.training.figures import opinions_of
from mmsent.training.fitted import fit_all, fitted_figures, read_fittable
from mmsent.training.kept_back import kept_back_texts
from mmsent.training.plots import draw_all
from mmsent.training.repeats import post_groups
from mmsent.training.report import as_json_text
from mmsent.training.text_stage import token_tensors
from mmsent.training.train import OUT_OF_FOLD_FILE, load_trained

CALIBRATION_TEXTS = 200
CALIBRATION_PICTURES = 120
CALIBRATION_DRAWINGS = 40
_BATCH_SIZE = 32


def export(
    trained: Path,
    data: Path,
    output: Path,
    *,
    name: str = "default",
    version: int = 1,
    appendix: Path | None = None,
) -> dict[str, Any]:
    """Write the checkpoint `name@version` to the folder `output`; returns its figures.

    Text and picture part are quantised to int8 (weights and activations) with statistics of training posts;
    the fusion part stays float32. Torch's weights lie beside them in fp16: one `config.json` serves both
    readers. Temperatures, conflict calibration and threshold are fitted on the out-of-fold
    logits in `trained`, never on `dev`. The figures are those of `evaluate`, and what only an export knows.
    `appendix` is a file of Markdown that goes into the model card. The folder appears only when it is
    complete.

    Raises:
        InputError: no trained model, no out-of-fold logits or none of use, no data, no appendix, or `output`
            holds something else than a checkpoint.
    """
    _require_replaceable(output)
    model, records = load_trained(trained), training_records(trained)
    kept_back = kept_back_texts(data) if has_texts(data, "train") else []
    appendix_text = "" if appendix is None else _text_of(appendix)
    posts = {split: read_posts(data, split) for split in ("train", "dev", "conflict")}
    fittable, groups = read_fittable(trained / OUT_OF_FOLD_FILE, [*posts["train"], *posts["conflict"]])
    fitted, on_other_folds = fit_all(fittable), fitted_figures(fittable, groups)
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    copy.deepcopy(model).half().save_pretrained(partial)
    export_parts(model, partial)
    drawn = drawn_posts(trained / "drawn", count=CALIBRATION_DRAWINGS)
    quantise_parts(model, partial, posts["train"], drawn)
    model = FusionModel.from_pretrained(partial)
    write_config(
        model,
        partial,
        name,
        version,
        conflict_threshold=fitted.threshold,
        conflict_calibration=fitted.conflict,
        temperatures=fitted.temperatures,
    )
    compared = [*posts["train"], *posts["dev"]]
    figures = _judge(model, partial, data, compared, kept_back) | {"out_of_fold": on_other_folds}
    (partial / "metrics.json").write_text(as_json_text(figures) + "\n")
    card = model_card(figures, draw_all(figures, partial), model.config, records, appendix_text)
    model.generate_model_card(text=card).save(partial / "README.md")
    shutil.rmtree(output, ignore_errors=True)
    partial.rename(output)
    return figures


def _require_replaceable(output: Path) -> None:
    """Raises InputError unless `output` is free or an export: neither a training run nor a torch model."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        CheckpointConfig.model_validate_json((output / CONFIG_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{output} exists and is no checkpoint: give another folder") from error


def _judge(
    model: FusionModel,
    folder: Path,
    data: Path,
    compared: Sequence[LabelledPost],
    kept_back: Sequence[LabelledText],
) -> dict[str, Any]:
    with OpenVinoEngine(load_checkpoint(folder)) as engine:
        agreement = parity(model, engine, compared)
        on_kept_back = judge_texts(engine, kept_back) if kept_back else None
    return evaluate(folder, data) | {
        "parity": agreement,
        "kept_back": on_kept_back,
        "megabytes": {part: _megabytes(folder / file) for part, file in PART_FILES.items()},
        "torch_megabytes": {path.name: _megabytes(path) for path in sorted(folder.glob(WEIGHTS))},
    }


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file} ({error}): give a file of Markdown") from error


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 1)


def write_config(
    model: FusionModel,
    folder: Path,
    name: str,
    version: int,
    *,
    conflict_threshold: float,
    conflict_calibration: ConflictCalibration | None = None,
    temperatures: Temperatures | None = None,
) -> None:
    """`config.json` over the parts, weights and tokenizer that lie in `folder`, for engine and torch."""
    weights = sorted(path.name for path in folder.glob(WEIGHTS))
    config = CheckpointConfig(
        name=name,
        version=version,
        image_size=model.config.image_size,
        max_length=model.config.max_length,
        temperatures=temperatures or Temperatures(),
        conflict_calibration=conflict_calibration,
        conflict_threshold=conflict_threshold,
        languages=("en",),
        files={file: file_hash(folder / file) for file in (*PART_FILES.values(), TOKENIZER_FILE, *weights)},
    )
    fields = model.config.model_dump(mode="json") | config.model_dump(mode="json")
    (folder / CONFIG_FILE).write_text(json.dumps(fields, indent=2) + "\n")


def export_parts(model: FusionModel, folder: Path) -> None:
    """Write `text.onnx`, `image.onnx` and `fusion.onnx` in float32."""
    with _quiet():
        for part, file in PART_FILES.items():
            onnx.save(_stripped(_to_onnx(model.eval(), folder / file, part)), folder / file)


def quantise_parts(
    model: FusionModel, folder: Path, posts: Sequence[LabelledPost], drawn: Sequence[LabelledPost]
) -> None:
    """Turn text and picture part into int8, weights and activations, by statistics of posts and drawings."""
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, model.config.max_length)
    texts = _text_inputs(tokenizer, posts[:CALIBRATION_TEXTS])
    images = _image_inputs(model, [*posts[:CALIBRATION_PICTURES], *drawn])
    with _quiet():
        for path, inputs, kind in (
            (folder / PART_FILES["text"], texts, nncf.ModelType.TRANSFORMER),
            (folder / PART_FILES["image"], images, None),
        ):
            onnx.save(_stripped(_quantise(onnx.load(path), inputs, kind)), path)


def parity(model: FusionModel, engine: OpenVinoEngine, posts: Sequence[LabelledPost]) -> dict[str, Any]:
    """How far the parts' opinions lie from torch's: greatest and mean difference, share of equal labels.

    `accuracy_change` is the parts' accuracy minus torch's by each head's own label, with a paired interval.
    """
    said, predictions = _torch_opinions(model, engine, posts), predict(engine, posts)
    labels, weights = head_labels(posts), resample(post_groups(posts))
    figures: dict[str, Any] = {}
    for head in HEADS:
        there = np.array([getattr(prediction, head) is not None for prediction in predictions])
        labelled = (there & (labels[head] != IGNORED)).astype(np.float32)
        expected, found = said[head], opinions_of(predictions, head)
        chosen, chosen_by_torch = found.argmax(axis=1), expected.argmax(axis=1)
        gained = (chosen == labels[head]) * labelled - (chosen_by_torch == labels[head]) * labelled
        difference = np.abs(expected - found)[there]
        figures[head] = {
            "posts": int(labelled.sum()),
            "greatest_difference": float(difference.max()),
            "mean_difference": float(difference.mean()),
            "equal_labels": float((chosen == chosen_by_torch)[there].mean()),
            "accuracy_change": estimate(ratio(weights @ gained, weights @ labelled)),
        }
    return figures


def _torch_opinions(
    model: FusionModel, engine: OpenVinoEngine, posts: Sequence[LabelledPost]
) -> dict[Head, NDArray[np.float64]]:
    """Torch's probabilities (N, 3) of each head, calibrated like the engine's."""
    logits: dict[Head, list[NDArray[np.float32]]] = {head: [] for head in HEADS}
    starts = range(0, len(posts), _BATCH_SIZE)
    for start in track(starts, "judging by torch", console=Console(stderr=True), transient=True):
        batch = posts[start : start + _BATCH_SIZE]
        input_ids, attention_mask = token_tensors(engine.encode([post.text for post in batch]))
        pixels = torch.from_numpy(pixel_values([picture(post, engine.image_size, view=0) for post in batch]))
        with torch.inference_mode():
            feature_map = model.image_encoder(pixels)
            mask = torch.ones(len(batch), feature_map.shape[2] * feature_map.shape[3], dtype=torch.long)
            found = model(input_ids, attention_mask, feature_map, mask)
        for head in HEADS:
            logits[head].append(found[head].numpy())
    return {head: softmax(np.concatenate(logits[head]), engine.temperatures[head]) for head in HEADS}


class _Part(nn.Module):
    """One of the model's methods as a module of its own."""

    def __init__(self, model: FusionModel, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor] = getattr(self.model, self.method)(*inputs)
        return outputs


_BATCH, _TOKENS, _REGIONS = (torch.export.Dim(name) for name in ("batch", "tokens", "regions"))
_WORDS = {0: _BATCH, 1: _TOKENS}
_SIGNATURES: dict[str, tuple[str, dict[str, dict[int, Any]], tuple[str, str]]] = {
    "text": ("encode_text", {"input_ids": _WORDS, "attention_mask": _WORDS}, ("text_hidden", "text_logits")),
    "image": ("encode_image", {"pixel_values": {0: _BATCH}}, ("image_hidden", "image_logits")),
    "fusion": (
        "fuse",
        {
            "text_hidden": _WORDS,
            "attention_mask": _WORDS,
            "image_hidden": {0: _BATCH, 1: _REGIONS},
            "image_mask": {0: _BATCH, 1: _REGIONS},
        },
        ("fused_logits", "weights"),
    ),
}


def _to_onnx(model: FusionModel, path: Path, part: str) -> onnx.ModelProto:
    method, inputs, outputs = _SIGNATURES[part]
    examples = _examples(model)
    torch.onnx.export(
        _Part(model, method).eval(),
        tuple(examples[name] for name in inputs),
        path,
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=[*inputs],
        output_names=[*outputs],
        dynamic_shapes=(tuple(inputs.values()),),
    )
    return onnx.load(path)


def _examples(model: FusionModel) -> dict[str, Tensor]:
    size, width = model.config.image_size, model.config.width
    regions = (size // 32) ** 2
    return {
        "input_ids": torch.ones(3, 12, dtype=torch.long),
        "attention_mask": torch.ones(3, 12, dtype=torch.long),
        "pixel_values": torch.zeros(3, 3, size, size),
        "text_hidden": torch.zeros(3, 12, width),
        "image_hidden": torch.zeros(3, regions, width),
        "image_mask": torch.ones(3, regions, dtype=torch.long),
    }


def _text_inputs(tokenizer: TextTokenizer, posts: Sequence[LabelledPost]) -> list[dict[str, Any]]:
    encoded = tokenizer.encode([post.text for post in posts])
    return [dict(zip(("input_ids", "attention_mask"), pad_tokens([ids]), strict=True)) for ids in encoded]


def _image_inputs(model: FusionModel, posts: Sequence[LabelledPost]) -> list[dict[str, Any]]:
    size = model.config.image_size
    return [{"pixel_values": pixel_values([picture(post, size, view=0)])} for post in posts]


def _quantise(
    model: onnx.ModelProto, inputs: Sequence[dict[str, Any]], kind: nncf.ModelType | None
) -> onnx.ModelProto:
    """Post-training quantisation to int8; 200 tweets or 160 pictures fix the ranges well enough."""
    quantised: onnx.ModelProto = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        model_type=kind,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
    )
    return quantised


def _stripped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what exporters note beside the graph: source lines and paths of the machine it was made on."""
    for item in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    for item in (*model.graph.input, *model.graph.output):
        item.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters' warnings are about their own future; their progress bars go to stderr with ours."""
    nncf.set_log_level(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield
