"""What the picture encoder, which is not trained further, sees: computed once and kept on disk."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from mmsent.errors import ImageError, InputError
from mmsent.images.decode import decode_image
from mmsent.model.fusion import PictureEncoder
from mmsent.model.inputs import pixel_values
from mmsent.training.data import LabelledPost
from mmsent.training.device import device_of

VIEWS = 3  # the picture as it is served, its mirror image, and a random cut of 75 to 100 % of it
_BATCH = 16


def picture_maps(
    encoder: PictureEncoder, posts: Sequence[LabelledPost], size: int, view: int, path: Path
) -> NDArray[np.float16]:
    """The encoder's maps (N, C, S/32, S/32) of one view of the posts' pictures, read from `path` if there.

    View 0 is what serving sees. Raises InputError for a picture that cannot be read.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        _compute(encoder, posts, size, view, partial)
        partial.replace(path)
    features: NDArray[np.float16] = np.load(path, mmap_mode="r")
    if len(features) != len(posts):
        raise InputError(
            f"{path} holds {len(features)} pictures, not {len(posts)}: delete it and train again"
        )
    return features


def _compute(
    encoder: PictureEncoder, posts: Sequence[LabelledPost], size: int, view: int, path: Path
) -> None:
    side = size // 32
    store = np.lib.format.open_memmap(
        path, "w+", dtype=np.float16, shape=(len(posts), encoder.width, side, side)
    )
    starts = range(0, len(posts), _BATCH)
    for start in track(starts, f"pictures, view {view + 1}", console=Console(stderr=True)):
        images = [picture(post, size, view) for post in posts[start : start + _BATCH]]
        with torch.inference_mode():
            pixels = torch.from_numpy(pixel_values(images)).to(device_of(encoder))
            store[start : start + _BATCH] = encoder(pixels).half().cpu().numpy()
    store.flush()


def picture(post: LabelledPost, size: int, view: int) -> NDArray[np.uint8]:
    """A view of the post's picture, uint8 (S, S, 3); the same for the same post, whenever asked."""
    generator = np.random.default_rng([view, *post.post_id.encode()])
    cut = 0 if view < 2 else int(generator.integers(0, size // 3 + 1))
    try:
        pixels = decode_image(post.image.read_bytes(), size + cut).pixels
    except (OSError, ImageError) as error:
        raise InputError(f"cannot read the picture {post.image} ({error}): repair the data set") from error
    top, left = generator.integers(0, cut + 1, 2)
    pixels = pixels[top : top + size, left : left + size]
    mirrored = view == 1 or (view > 1 and generator.random() < 0.5)
    return np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
