"""Heat maps as files: a folder, and names that any file system takes, whatever a post is called."""

import hashlib
import re
from pathlib import Path

from mmsent.errors import InputError
from mmsent.explain import Explanation
from mmsent.images.heat_map import heat_map_png
from mmsent.posts import ScoredPost

_READABLE = 60  # characters of a post's id that are kept in its file's name


def make_folder(folder: Path) -> None:
    """Make the folder, unless it is there; raises InputError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder for heat maps can be made there ({error.strerror})") from error


def write_heat_map(folder: Path, scored: ScoredPost, explanation: Explanation) -> str | None:
    """Write what the picture's opinion rests on as a PNG; its name in `folder`, None without a picture.

    Raises:
        InputError: the file cannot be written.
    """
    pixels, influence = explanation.request.pixels, explanation.image_regions
    if pixels is None or influence is None:
        return None
    name = file_name(scored)
    try:
        (folder / name).write_bytes(heat_map_png(pixels, influence))
    except OSError as error:
        raise InputError(f"{folder / name}: cannot be written ({error.strerror})") from error
    return name


def file_name(scored: ScoredPost) -> str:
    """Of a post's version: what can be read of its id, and a hash of all of it, which is its own."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", scored.post_id).strip("-")[-_READABLE:]
    digest = hashlib.sha256(f"{scored.post_id} {scored.version}".encode()).hexdigest()[:12]
    return f"{readable}-{digest}.png".lstrip("-")
