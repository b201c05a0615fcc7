"""Milliseconds per post of our engine, and of ONNX Runtime over the same checkpoint, in one run.

    python benchmarks/engine.py [--checkpoint FOLDER] [--peer FOLDER] [--rounds N] [--threads N]

The peer is ONNX Runtime run the plain way: one batch, padded to its longest text. It reads the same parts;
`--peer` names a checkpoint with other ones, for example in float32, as a second peer. Needs onnxruntime.
Rounds alternate between the engines, so that a busy machine slows all of them: read the ratios.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmsent.batching import RequestSize
from mmsent.engine.base import Engine, Outputs, Prepared, ScoringRequest
from mmsent.engine.openvino import OpenVinoEngine
from mmsent.model.checkpoint import Checkpoint, load_checkpoint
from mmsent.model.inputs import LABELS, pixel_values

WORDS = (
    *(
        "a",
        "about",
        "all",
        "and",
        "as",
        "at",
        "because",
        "coffee",
        "day",
        "for",
        "from",
        "good",
        "great",
        "had",
    ),
    *(
        "happy",
        "home",
        "i",
        "in",
        "is",
        "just",
        "know",
        "like",
        "love",
        "morning",
        "my",
        "new",
        "night",
        "not",
    ),
    *("of", "one", "out", "picnic", "rain", "really", "sad", "see", "so", "terrible", "that", "the", "this"),
    *("to", "today", "traffic", "up", "was", "we", "weather", "week", "what", "with", "work", "you", "your"),
)
KINDS = ("text", "picture", "both", "mixed")
BATCHES = (1, 8, 32, 64)


class OnnxRuntimeEngine(Engine):
    """The same three parts in ONNX Runtime's CPU provider, each called once for a batch."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415  the peer may be missing

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.model_id = checkpoint.model_id
        self.image_size = checkpoint.image_size
        self.conflict_threshold = checkpoint.conflict_threshold
        self.temperatures = {"text": 1.0, "image": 1.0, "fused": 1.0}
        self._tokenizer = checkpoint.tokenizer()
        self._text, self._image, self._fusion = (
            onnxruntime.InferenceSession(
                str(checkpoint.part(name)), options, providers=["CPUExecutionProvider"]
            )
            for name in ("text", "image", "fusion")
        )

    def judges(self, lang: str | None) -> bool:  # noqa: ARG002  the batcher's business
        return True

    def size(self, request: ScoringRequest) -> RequestSize:  # noqa: ARG002  the batcher's business
        return RequestSize(tokens=0, images=0)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenizer.encode(texts)

    def forward(self, prepared: Prepared) -> Outputs:
        """Three calls at most, one a part."""
        both = prepared.both_rows
        empty = np.empty((0, len(LABELS)), np.float32)
        text_logits, image_logits, fused_logits, weights = empty, empty, empty, np.empty((0, 2), np.float32)
        if len(prepared.text_rows):
            tokens = {"input_ids": prepared.input_ids, "attention_mask": prepared.attention_mask}
            text_hidden, text_logits = self._text.run(["text_hidden", "text_logits"], tokens)
        if len(prepared.image_rows):
            pictures = {"pixel_values": pixel_values(list(prepared.pixels))}
            image_hidden, image_logits = self._image.run(["image_hidden", "image_logits"], pictures)
        if len(both):
            words = np.searchsorted(prepared.text_rows, both)
            regions = image_hidden[np.searchsorted(prepared.image_rows, both)]
            inputs = {
                "text_hidden": text_hidden[words],
                "attention_mask": prepared.attention_mask[words],
                "image_hidden": regions,
                "image_mask": np.ones(regions.shape[:2], np.int64),
            }
            fused_logits, weights = self._fusion.run(["fused_logits", "weights"], inputs)
        return Outputs(
            posts=prepared.posts,
            rows={"text": prepared.text_rows, "image": prepared.image_rows, "fused": both},
            logits={"text": text_logits, "image": image_logits, "fused": fused_logits},
            weights=weights,
        )


def make_requests(kind: str, count: int, image_size: int, rng: random.Random) -> list[ScoringRequest]:
    """Posts of 6 to 34 words or pictures of noise; of `mixed`, three in ten have a picture too."""
    noise = np.random.default_rng(rng.getrandbits(32))

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(6, 34)))

    def picture() -> np.ndarray:
        return noise.integers(0, 256, (image_size, image_size, 3), dtype=np.uint8)

    makers: dict[str, Callable[[], ScoringRequest]] = {
        "text": lambda: ScoringRequest(text(), None),
        "picture": lambda: ScoringRequest(None, picture()),
        "both": lambda: ScoringRequest(text(), picture()),
        "mixed": lambda: ScoringRequest(text(), picture() if rng.random() < 0.3 else None),
    }
    return [makers[kind]() for _ in range(count)]


def measure(engines: dict[str, Engine], kind: str, batch: int, rounds: int) -> dict[str, float]:
    """Median milliseconds per post of each engine, over the same batches; every shape is seen once before."""
    rng = random.Random(f"{kind}{batch}")
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    size = next(iter(engines.values())).image_size
    batches = [make_requests(kind, batch, size, rng) for _ in range(rounds)]
    for requests in [*batches, *batches]:
        for name, engine in engines.items():
            started = time.perf_counter()
            engine.score(requests)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times[rounds:]) / batch * 1e3 for name, times in seconds.items()}


def processor() -> str:
    """The processor's name, and which of the units that matter it has."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    fields = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    units = [
        unit for unit in ("avx512_vnni", "avx512_bf16", "amx_int8") if unit in names.get("flags", "").split()
    ]
    name = names.get("model name", platform.processor())
    return f"{name}, {os.cpu_count()} cores, {' '.join(units) or 'no VNNI'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="default: the one that is shipped")
    parser.add_argument("--peer", type=Path, help="a checkpoint with other parts for a second peer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    checkpoint = load_checkpoint(options.checkpoint)
    started = time.perf_counter()
    engines: dict[str, Engine] = {"mmsent": OpenVinoEngine(checkpoint, options.threads)}
    start_s = time.perf_counter() - started
    try:
        engines["onnxruntime"] = OnnxRuntimeEngine(checkpoint, options.threads)
        if options.peer:
            engines[f"onnxruntime:{options.peer.name}"] = OnnxRuntimeEngine(
                load_checkpoint(options.peer), options.threads
            )
    except ImportError:
        print("no peer: pip install onnxruntime", file=sys.stderr)
    rows = [
        {"kind": kind, "batch": batch, "ms_per_post": measure(engines, kind, batch, options.rounds)}
        for kind in KINDS
        for batch in BATCHES
    ]
    report = {"processor": processor(), "model": checkpoint.model_id, "engine_start_s": start_s, "rows": rows}
    print(json.dumps(report) if options.json else as_table(report, list(engines)))


def as_table(report: dict, names: list[str]) -> str:
    """Milliseconds per post, and each peer's as a multiple of ours."""
    lines = [f"{report['processor']} · {report['model']} · engine ready in {report['engine_start_s']:.1f} s"]
    lines.append(f"{'kind':<8} {'batch':>5} " + " ".join(f"{name:>24}" for name in names))
    for row in report["rows"]:
        times = row["ms_per_post"]
        cells = [f"{times[name]:.2f} ms ({times[name] / times['mmsent']:.2f}×)" for name in names]
        lines.append(f"{row['kind']:<8} {row['batch']:>5} " + " ".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
