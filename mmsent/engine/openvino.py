"""The model on a CPU: three ONNX parts in OpenVINO, each run only for the posts that need it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor

from mmsent.batching import RequestSize
from mmsent.engine.base import Engine, Outputs, Prepared, Rows, ScoringRequest
from mmsent.errors import CheckpointError, EngineError
from mmsent.model.checkpoint import Checkpoint
from mmsent.model.inputs import IMAGENET_MEAN, IMAGENET_STD, LABELS

# OpenVINO prepares its kernels anew for every shape it has not seen (20 to 130 ms and megabytes each), so
# shapes must be few: 1, 2, 4 or 8 posts by a multiple of 8 tokens. Larger chunks are no faster per post on a
# few cores. A text is padded to its own multiple, never to its neighbours': int8 rounding would show padding
# in the third decimal, and so a post gets the same numbers in any company, for 5 % of the text's time.
CHUNK_POSTS = 8
TOKEN_STEP = 8

CHARACTERS_PER_TOKEN = 4  # of English posts; good enough to sort by, `prepare` counts truly


class OpenVinoEngine(Engine):
    """Scores with the parts `text`, `image` and `fusion` of a checkpoint.

    Memory does not grow with the batch: at most `CHUNK_POSTS` posts are in a part at once.
    """

    def __init__(
        self, checkpoint: Checkpoint, threads: int = 0, *, conflict_prior: float | None = None
    ) -> None:
        """Compile the parts for this machine; `threads` 0 = as many as OpenVINO finds best.

        `conflict_prior` is the share of opposite posts that conflict probabilities are right for, by default
        the checkpoint's; scores of a checkpoint without calibration stay what they are.

        Raises:
            CheckpointError: OpenVINO cannot read a part, or the parts do not fit each other or config.json.
        """
        self.model_id = checkpoint.model_id
        self.image_size = checkpoint.image_size
        self.conflict_threshold = checkpoint.conflict_threshold
        calibration = checkpoint.conflict_calibration
        if calibration is not None and conflict_prior is not None:
            calibration = calibration.at(conflict_prior)
        self.conflict_calibration = calibration
        temperatures = checkpoint.temperatures
        self.temperatures = {
            "text": temperatures.text,
            "image": temperatures.image,
            "fused": temperatures.fused,
        }
        self._checkpoint = checkpoint
        self._max_length = checkpoint.max_length
        self._tokenizer = checkpoint.tokenizer()
        properties = cpu_properties(threads)
        with ThreadPoolExecutor(3) as pool:
            text, image, fusion = (
                pool.submit(_Part, checkpoint.part("text"), properties, ("text_hidden", "text_logits")),
                pool.submit(_Part, checkpoint.part("image"), properties, ("image_hidden", "image_logits")),
                pool.submit(_Part, checkpoint.part("fusion"), properties, ("fused_logits", "weights")),
            )
        self._text, self._image, self._fusion = text.result(), image.result(), fusion.result()
        self._check_shapes()

    def _check_shapes(self) -> None:
        pixels = ov.PartialShape([-1, self.image_size, self.image_size, 3])
        for what, found, expected in (
            ("its pictures", self._image.shape("pixel_values"), pixels),
            ("its words", self._text.shape("text_hidden"), self._fusion.shape("text_hidden")),
            ("its regions", self._image.shape("image_hidden"), self._fusion.shape("image_hidden")),
        ):
            if not found.compatible(expected):
                raise CheckpointError(
                    f"checkpoint {self._checkpoint.folder}: {what} {found} do not fit {expected}, "
                    "so config.json or a part is of another model: export it again"
                )

    def judges(self, lang: str | None) -> bool:
        return self._checkpoint.judges(lang)

    def size(self, request: ScoringRequest) -> RequestSize:
        """Tokens are estimated from the text's length."""
        images = int(request.pixels is not None)
        if request.text is None:
            return RequestSize(tokens=0, images=images)
        estimate = len(request.text) // CHARACTERS_PER_TOKEN + 2
        return RequestSize(tokens=min(estimate, self._max_length), images=images)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenizer.encode(texts)

    def forward(self, prepared: Prepared) -> Outputs:
        """Arrays to logits; a post without a picture costs the picture and fusion parts nothing."""
        both = prepared.both_rows
        image_hidden, image_logits = self._read_images(prepared.pixels)
        text_logits = np.empty((len(prepared.text_rows), len(LABELS)), np.float32)
        fused_logits = np.empty((len(both), len(LABELS)), np.float32)
        weights = np.empty((len(both), 2), np.float32)
        for chunk, length in self._chunks_of_like_length(prepared.attention_mask.sum(axis=1)):
            input_ids = _columns(prepared.input_ids[chunk], length)
            attention_mask = _columns(prepared.attention_mask[chunk], length)
            text_hidden, text_logits[chunk] = self._text(input_ids=input_ids, attention_mask=attention_mask)
            for pairs in _chunks(np.flatnonzero(np.isin(prepared.text_rows[chunk], both))):
                posts = prepared.text_rows[chunk[pairs]]
                regions = image_hidden[np.searchsorted(prepared.image_rows, posts)]
                at = np.searchsorted(both, posts)
                fused_logits[at], weights[at] = self._fusion(
                    text_hidden=text_hidden[pairs],
                    attention_mask=attention_mask[pairs],
                    image_hidden=regions,
                    image_mask=np.ones(regions.shape[:2], np.int64),
                )
        return Outputs(
            posts=prepared.posts,
            rows={"text": prepared.text_rows, "image": prepared.image_rows, "fused": both},
            logits={"text": text_logits, "image": image_logits, "fused": fused_logits},
            weights=weights,
        )

    def _read_images(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not len(pixels):
            return np.empty((0, 0, 0), np.float32), np.empty((0, len(LABELS)), np.float32)
        distinct: dict[bytes, int] = {}  # a picture that several posts share is read once
        places = [distinct.setdefault(picture.tobytes(), len(distinct)) for picture in pixels]
        firsts = np.unique(places, return_index=True)[1]
        outputs = [
            self._image(pixel_values=pixels[firsts[chunk]]) for chunk in _chunks(np.arange(len(firsts)))
        ]
        return np.concatenate([hidden for hidden, _ in outputs])[places], np.concatenate(
            [logits for _, logits in outputs]
        )[places]

    def _chunks_of_like_length(self, lengths: NDArray[np.int64]) -> Iterator[tuple[Rows, int]]:
        padded = np.minimum(-(-lengths // TOKEN_STEP) * TOKEN_STEP, self._max_length)
        for length in np.unique(padded):
            for chunk in _chunks(np.flatnonzero(padded == length)):
                yield chunk, int(length)


def device() -> str:
    """OpenVINO's version, and what it finds of this machine's CPU; raises EngineError if it finds none."""
    try:
        core = ov.Core()
        version = core.get_versions("CPU")["CPU"].build_number.partition("-")[0]
        name = core.get_property("CPU", "FULL_DEVICE_NAME")
        offers = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except RuntimeError as error:
        raise EngineError(f"OpenVINO finds no usable CPU: {error}") from error
    kinds = [kind for kind in ("INT8", "FP32", "BF16", "FP16") if kind in offers]
    return f"OpenVINO {version} on {' '.join(name.split())} ({', '.join(kinds)})"


def cpu_properties(threads: int) -> dict[str, Any]:
    """OpenVINO's CPU options. `threads` 0 leaves the number to OpenVINO: one per physical core.

    * LATENCY: one batch at a time over all threads; the batcher already gathers posts.
    * f32 is spelt out because OpenVINO's default is bf16 wherever the processor has it (AMX, AVX512-BF16):
      the same post would get other numbers on another machine. int8 layers, most of the work, stay int8.
    * Dynamic quantisation is off for the same reason.
    * Pinning is off: two workers on one machine would be pinned to the same cores.
    """
    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        "ENABLE_CPU_PINNING": False,
    }
    return properties | {"INFERENCE_NUM_THREADS": threads} if threads else properties


class _Part:
    """One compiled part; called with its inputs by name, it gives its outputs in the order asked for."""

    def __init__(self, path: Path, properties: dict[str, Any], outputs: tuple[str, str]) -> None:
        self._outputs = outputs
        try:
            core = ov.Core()
            model = core.read_model(path)
            if model.input(0).any_name == "pixel_values":
                model = _with_pixels_in(model)
            compiled = core.compile_model(model, "CPU", properties)
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise CheckpointError(f"{path} is not a model part OpenVINO can run: export it again") from error
        ports = (*compiled.inputs, *compiled.outputs)
        self._shapes = {name: port.partial_shape for port in ports for name in port.names}
        if not {*outputs} <= self._shapes.keys():
            raise CheckpointError(
                f"{path} is another part, it has no {' and '.join(outputs)}: export it again"
            )

    def shape(self, name: str) -> ov.PartialShape:
        """Of an input or output."""
        return self._shapes[name]

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        try:
            result = self._request.infer(inputs, share_inputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}") from error
        first, second = self._outputs
        return result[first], result[second]


def _with_pixels_in(model: ov.Model) -> ov.Model:
    """The picture part, fed with uint8 (B, S, S, 3): what `inputs.pixel_values` does, done in the graph.

    In numpy it would take a tenth of the picture part's own time.
    """
    steps = PrePostProcessor(model)
    picture = steps.input("pixel_values")
    picture.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    picture.model().set_layout(ov.Layout("NCHW"))
    picture.preprocess().convert_element_type(ov.Type.f32).mean((IMAGENET_MEAN * 255).tolist())
    picture.preprocess().scale((IMAGENET_STD * 255).tolist())
    return steps.build()


def _chunks(rows: Rows) -> Iterator[Rows]:
    """`rows` in order, in pieces of 8, 4, 2 and 1: no piece is padded with posts, and shapes are few."""
    start = 0
    while start < len(rows):
        size = min(CHUNK_POSTS, 1 << ((len(rows) - start).bit_length() - 1))
        yield rows[start : start + size]
        start += size


def _columns(array: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """(N, T) cut or padded with 0 to (N, length)."""
    trimmed = np.zeros((len(array), length), np.int64)
    width = min(length, array.shape[1])
    trimmed[:, :width] = array[:, :width]
    return trimmed
