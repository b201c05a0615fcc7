"""What every engine is: posts → arrays (`prepare`) → logits (`forward`) → opinions (`decode`)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mmsent.batching import RequestSize
from mmsent.errors import EngineError, SettingsError
from mmsent.model.conflict import ConflictCalibration
from mmsent.model.inputs import LABELS, conflict, pad_tokens, softmax
from mmsent.posts import Label, Opinion, Weights
from mmsent.settings import Settings

Head = Literal["text", "image", "fused"]
HEADS: tuple[Head, ...] = get_args(Head)
Rows = NDArray[np.intp]

_SUM_TOLERANCE = 1e-4  # of the attention weights, which come as float32


@dataclass(frozen=True)
class ScoringRequest:
    """What is judged of one post: its text (None if there is nothing to read), its picture (S, S, 3) RGB."""

    text: str | None
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Prediction:
    """Opinions of one post; `fused`, `conflict` and `weights` are there exactly when both others are.

    `conflict` is the probability that text and picture are opposite, the score of `inputs.conflict` where the
    engine has no calibration.
    """

    text: Opinion | None = None
    image: Opinion | None = None
    fused: Opinion | None = None
    conflict: float | None = None
    weights: Weights | None = None


@dataclass(frozen=True)
class Prepared:
    """A batch as arrays. Only posts that have a text are in the text's arrays, and so for pictures.

    `text_rows` (Nt,) and `image_rows` (Ni,) are ascending positions in the batch; `input_ids` and
    `attention_mask` (Nt, T) int64, T the longest of the batch; `pixels` (Ni, S, S, 3) uint8 RGB.
    """

    posts: int
    text_rows: Rows
    image_rows: Rows
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    pixels: NDArray[np.uint8]

    @property
    def both_rows(self) -> Rows:
        """Positions of the posts that have text and picture, ascending."""
        return np.intersect1d(self.text_rows, self.image_rows)


@dataclass(frozen=True)
class Outputs:
    """Logits (N, 3) of each head for the posts in its rows, and the attention shares (Nf, 2) text, image."""

    posts: int
    rows: Mapping[Head, Rows]
    logits: Mapping[Head, NDArray[Any]]
    weights: NDArray[Any]


class Engine(ABC):
    """Runs the model. One thread at a time; `judges` and `size` may be called from another.

    A post's opinions do not depend on its neighbours in the batch by more than rounding (below 0.001).
    `conflict_calibration` is for the stream's share of opposite posts. `conflict_threshold` is the least
    conflict that is flagged, whatever that share: fewer posts reach it where fewer are opposite.
    """

    model_id: str
    image_size: int
    conflict_threshold: float
    temperatures: Mapping[Head, float]
    conflict_calibration: ConflictCalibration | None = None

    @abstractmethod
    def judges(self, lang: str | None) -> bool:
        """Whether the model was made for this language; None and `und` are judged."""

    @abstractmethod
    def size(self, request: ScoringRequest) -> RequestSize:
        """What the post will cost, cheaply."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Token ids of each text."""

    def prepare(self, requests: Sequence[ScoringRequest]) -> Prepared:
        """Posts to arrays."""
        texts = [(row, request.text) for row, request in enumerate(requests) if request.text is not None]
        images = [(row, request.pixels) for row, request in enumerate(requests) if request.pixels is not None]
        token_ids = self.encode([text for _, text in texts]) if texts else []
        input_ids, attention_mask = pad_tokens(token_ids or [[]])
        return Prepared(
            posts=len(requests),
            text_rows=np.array([row for row, _ in texts], dtype=np.intp),
            image_rows=np.array([row for row, _ in images], dtype=np.intp),
            input_ids=input_ids[: len(texts)],
            attention_mask=attention_mask[: len(texts)],
            pixels=self._stack([pixels for _, pixels in images]),
        )

    def _stack(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        shape = (self.image_size, self.image_size, 3)
        for pixels in pictures:
            if pixels.shape != shape:
                raise EngineError(f"a picture has the shape {pixels.shape}, the model reads {shape}")
        return np.stack(pictures) if pictures else np.empty((0, *shape), np.uint8)

    @abstractmethod
    def forward(self, prepared: Prepared) -> Outputs:
        """Arrays to logits."""

    def decode(self, outputs: Outputs) -> list[Prediction]:
        """Logits to opinions, each head calibrated by its temperature, and conflict by its calibration.

        Raises:
            EngineError: an output is not a finite number.
        """
        heads = {
            head: _by_post(outputs.rows[head], self._probabilities(head, logits))
            for head, logits in outputs.logits.items()
        }
        weights = _by_post(outputs.rows["fused"], _checked_weights(outputs.weights))
        return [
            self._prediction(
                heads["text"].get(post), heads["image"].get(post), heads["fused"].get(post), weights.get(post)
            )
            for post in range(outputs.posts)
        ]

    def _prediction(
        self,
        text: NDArray[np.float64] | None,
        image: NDArray[np.float64] | None,
        fused: NDArray[np.float64] | None,
        weights: NDArray[np.float64] | None,
    ) -> Prediction:
        return Prediction(
            text=_opinion(text),
            image=_opinion(image),
            fused=_opinion(fused),
            conflict=None if text is None or image is None else self._conflict(text, image),
            weights=None if weights is None else Weights(text=float(weights[0]), image=float(weights[1])),
        )

    def _conflict(self, text: NDArray[np.float64], image: NDArray[np.float64]) -> float:
        calibration = self.conflict_calibration
        shown = conflict(text, image) if calibration is None else calibration.of(text, image)
        return float(np.clip(shown, 0, 1))

    def _probabilities(self, head: Head, logits: NDArray[Any]) -> NDArray[np.float64]:
        if not np.isfinite(logits).all():
            raise EngineError(f"the engine's {head} output is not a finite number")
        return softmax(logits, self.temperatures[head]) if len(logits) else np.empty((0, len(LABELS)))

    def score(self, requests: Sequence[ScoringRequest]) -> list[Prediction]:
        """One prediction per post, in order.

        Raises:
            EngineError: the numbers that came out are not probabilities.
        """
        return self.decode(self.forward(self.prepare(requests)))

    def close(self) -> None:  # noqa: B027  most engines hold nothing but memory
        """Give back what the engine holds; it must not be used after."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _by_post(rows: Rows, values: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    return dict(zip(rows.tolist(), values, strict=True))


def _checked_weights(weights: NDArray[Any]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = weights.astype(np.float64).reshape(-1, 2)
    total: NDArray[np.float64] = shares.sum(axis=1, keepdims=True)
    if not (np.abs(total - 1) <= _SUM_TOLERANCE).all() or (shares < 0).any():
        raise EngineError("the engine's attention weights are not shares of 1")
    return shares / total


def _opinion(shares: NDArray[np.float64] | None) -> Opinion | None:
    if shares is None:
        return None
    positive, neutral, negative = np.clip(shares, 0, 1).tolist()
    label = cast(Label, LABELS[int(shares.argmax())])
    return Opinion(label=label, positive=positive, neutral=neutral, negative=negative)


def create_engine(settings: Settings) -> Engine:
    """The engine that the settings name, ready to score.

    Raises:
        SettingsError: it is not in this version, or a prior is set for a conflict that is no probability.
        CheckpointError: the checkpoint is missing, damaged or of another version.
    """
    engine = _engine(settings)
    if settings.conflict_prior is not None and engine.conflict_calibration is None:
        engine.close()
        raise SettingsError(
            f"MMSENT_CONFLICT_PRIOR={settings.conflict_prior}: the conflict of {engine.model_id} is a score, "
            "no probability that a prior could change: unset it"
        )
    return engine


def _engine(settings: Settings) -> Engine:
    if settings.engine == "torch":
        raise SettingsError("MMSENT_ENGINE=torch is not in this version: use auto or openvino")
    if settings.engine == "stub":
        from mmsent.engine.stub import StubEngine  # noqa: PLC0415  it imports this module

        return StubEngine()
    # Only now: OpenVINO takes time and memory to import, which the stub and those who build no engine save.
    from mmsent.engine.openvino import OpenVinoEngine  # noqa: PLC0415  see above
    from mmsent.model.checkpoint import load_checkpoint  # noqa: PLC0415  see above

    return OpenVinoEngine(
        load_checkpoint(settings.checkpoint),
        threads=settings.engine_threads,
        conflict_prior=settings.conflict_prior,
    )
