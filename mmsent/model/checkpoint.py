"""A checkpoint: one folder with everything the model needs to judge posts, checked before it is used.

Beside the ONNX parts it may hold torch's weights, `model*.safetensors`. Its `config.json` serves both
readers, `CheckpointConfig` and `fusion.FusionConfig`: each leaves the other's fields alone, and what both
need (`labels`, `image_size`, `max_length`) stands there once.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmsent.errors import CheckpointError
from mmsent.model.conflict import ConflictCalibration
from mmsent.model.inputs import LABELS, TextTokenizer

FORMAT_VERSION: Final = 2  # what is written
FORMATS = (1, 2)  # what is read; 1 has no conflict calibration, its threshold is one of scores

PartName = Literal["text", "image", "fusion"]
PART_FILES: dict[PartName, str] = {"text": "text.onnx", "image": "image.onnx", "fusion": "fusion.onnx"}
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"


class Temperatures(BaseModel):
    """What each head's logits are divided by before the softmax (Guo et al. 2017)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: float = Field(default=1.0, gt=0)
    image: float = Field(default=1.0, gt=0)
    fused: float = Field(default=1.0, gt=0)


class CheckpointConfig(BaseModel):
    """What engines need of `config.json`; `files` maps each file name to its SHA-256.

    `conflict_threshold` is on the scale of what engines show: a probability at the calibration's prior, a
    score without calibration. That is why the format is 2 since there are calibrations: a reader that
    ignored them would compare scores with a threshold of probabilities.
    """

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1, 2] = FORMAT_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    version: int = Field(ge=1)
    labels: tuple[str, ...] = LABELS
    image_size: int = Field(ge=32, le=1024)
    max_length: int = Field(ge=8, le=512)
    temperatures: Temperatures = Temperatures()
    conflict_calibration: ConflictCalibration | None = None
    conflict_threshold: float = Field(ge=0, le=1)
    languages: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose files were found complete and unchanged."""

    folder: Path
    config: CheckpointConfig

    @property
    def model_id(self) -> str:
        return f"{self.config.name}@{self.config.version}"

    @property
    def image_size(self) -> int:
        """Side of the square picture in pixels."""
        return self.config.image_size

    @property
    def max_length(self) -> int:
        """Most tokens of a text."""
        return self.config.max_length

    @property
    def temperatures(self) -> Temperatures:
        return self.config.temperatures

    @property
    def conflict_calibration(self) -> ConflictCalibration | None:
        """What makes conflict a probability; None: it is shown as the score it is."""
        return self.config.conflict_calibration

    @property
    def conflict_threshold(self) -> float:
        """A post is flagged when its conflict reaches this."""
        return self.config.conflict_threshold

    @property
    def languages(self) -> tuple[str, ...]:
        return self.config.languages

    def judges(self, lang: str | None) -> bool:
        """Whether posts of this BCP 47 tag are scored: by its first subtag; yes for an unknown language."""
        primary = (lang or "und").replace("_", "-").split("-")[0].lower()
        return primary == "und" or primary in self.languages

    def tokenizer(self) -> TextTokenizer:
        return TextTokenizer(self.folder / TOKENIZER_FILE, self.max_length)

    def part(self, name: PartName) -> Path:
        """The ONNX file of one part of the network."""
        return self.folder / PART_FILES[name]


def default_checkpoint() -> Path:
    """The folder of the checkpoint that is shipped."""
    return Path(str(resources.files("mmsent.model"))) / "checkpoints" / "default"


def load_checkpoint(path: Path | None = None) -> Checkpoint:
    """Check a checkpoint folder, the shipped one for None; raises CheckpointError that says what to do."""
    folder = default_checkpoint() if path is None else path
    remedy = "reinstall mmsent" if path is None else "run `mmsent export` again or unset MMSENT_CHECKPOINT"
    config = _read_config(folder, remedy)
    if config.labels != LABELS:
        raise CheckpointError(f"checkpoint {folder} has the labels {config.labels}, not {LABELS}: {remedy}")
    for name in (*PART_FILES.values(), TOKENIZER_FILE):
        try:
            found = file_hash(folder / name)
        except OSError as error:
            raise CheckpointError(f"checkpoint {folder} lacks {name} ({error.strerror}): {remedy}") from error
        if found != config.files.get(name):
            raise CheckpointError(
                f"checkpoint {folder}: {name} is not the file that config.json names: {remedy}"
            )
    return Checkpoint(folder, config)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def other_format(version: object) -> str:
    """Why a checkpoint of none of FORMATS is refused."""
    return f"is of format {version!r}, this mmsent reads formats {FORMATS[0]} to {FORMATS[-1]}"


def _read_config(folder: Path, remedy: str) -> CheckpointConfig:
    try:
        return CheckpointConfig.model_validate_json((folder / CONFIG_FILE).read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"no checkpoint at {folder} ({error.strerror}: {CONFIG_FILE}): {remedy}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        if isinstance(first["input"], dict) and "text_config" in first["input"]:
            reason = "holds a model for torch and no ONNX parts; `mmsent export` makes them"
        elif first["loc"] == ("format_version",):
            reason = other_format(first["input"])
        else:
            reason = (
                f"has a config.json that cannot be read ({'.'.join(map(str, first['loc']))}: {first['msg']})"
            )
        raise CheckpointError(f"checkpoint {folder} {reason}: {remedy}") from error
