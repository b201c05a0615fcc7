"""A checkpoint is used only when it is complete, unchanged and of this format."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmsent.errors import CheckpointError
from mmsent.model.checkpoint import FORMAT_VERSION, file_hash, load_checkpoint
from mmsent.model.conflict import ConflictCalibration

FILES = ("text.onnx", "image.onnx", "fusion.onnx", "tokenizer.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(f"content of {name}")
    write_config(tmp_path)
    return tmp_path


def write_config(folder: Path, **changes: Any) -> None:
    config = {
        "format_version": FORMAT_VERSION,
        "name": "small",
        "version": 3,
        "labels": ["positive", "neutral", "negative"],
        "image_size": 64,
        "max_length": 32,
        "temperatures": {"text": 1.0, "image": 1.5, "fused": 1.0},
        "conflict_threshold": 0.2,
        "languages": ["en"],
        "files": {name: file_hash(folder / name) for name in FILES},
    }
    (folder / "config.json").write_text(json.dumps(config | changes))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "export" in message
    return message


def test_a_complete_checkpoint_is_loaded(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    assert checkpoint.model_id == "small@3"
    assert (checkpoint.image_size, checkpoint.max_length) == (64, 32)
    assert checkpoint.temperatures.image == 1.5
    assert checkpoint.conflict_threshold == 0.2
    assert checkpoint.part("fusion") == folder / "fusion.onnx"


def test_conflict_is_calibrated_where_the_config_says_how(folder: Path) -> None:
    assert load_checkpoint(folder).conflict_calibration is None
    calibration = {"slope": 1.5, "intercept": -1.0, "prior": 0.074}
    write_config(folder, conflict_calibration=calibration)
    assert load_checkpoint(folder).conflict_calibration == ConflictCalibration(**calibration)
    write_config(folder, conflict_calibration=calibration | {"prior": 0})
    assert "conflict_calibration.prior" in refusal(folder)


def test_a_checkpoint_from_before_calibration_is_read(folder: Path) -> None:
    write_config(folder, format_version=1)
    checkpoint = load_checkpoint(folder)
    assert (checkpoint.conflict_threshold, checkpoint.conflict_calibration) == (0.2, None)


@pytest.mark.parametrize(
    ("lang", "expected"),
    [
        (None, True),
        ("", True),
        ("und", True),
        ("en", True),
        ("EN", True),
        ("en-GB", True),
        ("en_US", True),
        ("sv", False),
        ("enm", False),
    ],
)
def test_languages(folder: Path, lang: str | None, expected: bool) -> None:
    assert load_checkpoint(folder).judges(lang) is expected


@pytest.mark.parametrize("name", [*FILES, "config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in refusal(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text((folder / name).read_text()[:-1])
    assert name in refusal(folder)


def test_another_format_is_refused(folder: Path) -> None:
    write_config(folder, format_version=3)
    assert "format 3, this mmsent reads formats 1 to 2" in refusal(folder)


def test_a_folder_for_torch_alone_says_how_to_get_parts(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "mmsent", "text_config": {}, "image_size": 64}')
    assert "holds a model for torch" in refusal(folder)


def test_what_torch_needs_of_the_config_is_left_alone(folder: Path) -> None:
    write_config(folder, model_type="mmsent", text_config={"model_type": "bert"}, width=16)
    assert load_checkpoint(folder).model_id == "small@3"


def test_other_labels_are_refused(folder: Path) -> None:
    write_config(folder, labels=["negative", "neutral", "positive"])
    assert "labels" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}'])
def test_a_damaged_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert "config.json" in refusal(folder)


def test_a_value_out_of_range_is_named(folder: Path) -> None:
    write_config(folder, temperatures={"text": 0})
    assert "temperatures.text" in refusal(folder)


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert "no checkpoint" in refusal(tmp_path / "nowhere")


def test_the_shipped_checkpoint_is_whole() -> None:
    checkpoint = load_checkpoint()
    assert checkpoint.model_id == "default@4"
    assert checkpoint.conflict_calibration is not None
    size = sum(path.stat().st_size for path in checkpoint.folder.glob("*.onnx"))
    assert size <= 60e6
    assert checkpoint.judges("en")
    assert checkpoint.tokenizer().encode(["a lovely day"]) == [[101, 1037, 8403, 2154, 102]]
