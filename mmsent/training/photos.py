"""Photos without labels, seen through random crops that threads cut ahead of the training step."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmsent.errors import ImageError, InputError
from mmsent.images.decode import decode_image
from mmsent.model.inputs import IMAGENET_MEAN, IMAGENET_STD

LEAST_SHARE = 0.4  # of the picture's central square that a crop shows; of Tiny ImageNet's 64 px about 40
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif"}
_AHEAD = 2  # batches per thread that are cut before they are asked for
_THUMBNAIL_PX = 8  # the decoder makes one whether it is wanted or not
_NAMED = 5


def photo_files(folder: Path) -> list[Path]:
    """Every picture file under `folder`, sorted; raises InputError where there is none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise InputError(f"no photos in {folder}: name a folder of JPEG, PNG, WebP or GIF files")
    return files


def check_photos(files: Sequence[Path]) -> None:
    """Decode every file once, small; raises InputError that counts the damaged ones and names the first."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        looked = track(
            threads.map(_damage, files), "checking photos", len(files), console=Console(stderr=True)
        )
        damaged = [reason for reason in looked if reason]
    if damaged:
        named = ", ".join(damaged[:_NAMED]) + (", …" if len(damaged) > _NAMED else "")
        raise InputError(f"{len(damaged)} photos cannot be read: {named}; repair or remove them")


def _damage(file: Path) -> str | None:
    try:
        decode_image(file.read_bytes(), 8, _THUMBNAIL_PX)
    except (OSError, ImageError) as error:
        return f"{file} ({error})"
    return None


def _square(file: Path, side: int) -> NDArray[np.uint8]:
    try:
        return decode_image(file.read_bytes(), side, _THUMBNAIL_PX).pixels
    except (OSError, ImageError) as error:
        raise InputError(f"cannot read the photo {file} ({error}): repair or remove it") from error


def centre_square(file: Path, side: int) -> Tensor:
    """What serving sees of a photo: uint8 (3, S, S); raises InputError if it cannot be read."""
    return torch.from_numpy(_square(file, side)).permute(2, 0, 1)


def random_crop(file: Path, side: int, seed: Sequence[int]) -> Tensor:
    """A square part of a photo, mirrored or not: uint8 (3, S, S); equal for equal seeds.

    The share of the area is uniform between LEAST_SHARE and 1, as in Szegedy et al. 2015, the shape square as
    in serving. Raises InputError if the photo cannot be read.
    """
    generator = np.random.default_rng(seed)
    whole = round(side / np.sqrt(generator.uniform(LEAST_SHARE, 1)))
    top, left = generator.integers(0, whole - side + 1, 2)
    pixels = _square(file, whole)[top : top + side, left : left + side]
    if generator.random() < 0.5:
        pixels = pixels[:, ::-1]
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


class Crops:
    """Batches of random crops: item `epoch · len(files) + number` is photo `number` as that epoch sees it.

    A crop depends on its item and the seed alone, so a run that was stopped goes on with the same pictures.
    """

    def __init__(self, files: Sequence[Path], side: int, seed: int) -> None:
        self.files, self.side, self.seed = files, side, seed
        self._workers = os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._workers)
        self._order: Sequence[list[int]] = ()
        self._place: dict[int, int] = {}
        self._cut: deque[tuple[list[int], Future[Tensor]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def plan(self, batches: Sequence[list[int]]) -> None:
        """Say which batches come next, so that they are cut while others are learned from."""
        self._order, self._place = batches, {batch[0]: place for place, batch in enumerate(batches)}

    def batch(self, items: list[int]) -> Tensor:
        """uint8 (B, 3, S, S), in the memory format channels_last."""
        if not self._cut or self._cut[0][0] != items:
            self._cut.clear()
            self._submit(items)
        self._cut_ahead()
        return self._cut.popleft()[1].result()

    def _cut_ahead(self) -> None:
        following = self._place.get(self._cut[-1][0][0], len(self._order)) + 1
        room = 1 + _AHEAD * self._workers - len(self._cut)
        for items in self._order[following : following + max(0, room)]:
            self._submit(items)

    def _submit(self, items: list[int]) -> None:
        self._cut.append((items, self._threads.submit(self._stack, items)))

    def _stack(self, items: list[int]) -> Tensor:
        crops = [
            random_crop(self.files[item % len(self.files)], self.side, [self.seed, item]) for item in items
        ]
        return torch.stack(crops).contiguous(memory_format=torch.channels_last)


def standardised(pixels: Tensor) -> Tensor:
    """Pixels (B, 3, S, S), 0 to 255 → float32 by ImageNet's mean and deviation, as in `pixel_values`."""
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32, device=pixels.device).view(3, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (pixels.float() / 255 - mean) / deviation
