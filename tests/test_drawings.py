"""The drawn pictures: repeatable, varied, readable, and two collections that share nothing but the pen."""

import ast
import hashlib
from io import BytesIO
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from mmsent.images.decode import decode_image
from mmsent.posts import Label
from mmsent.settings import Settings
from mmsent.sources import drawings
from mmsent.sources.drawings import SUBJECTS, Use, draw, jpeg, motifs

USES = get_args(Use)
LABELS = get_args(Label)
FOLDER = Path(drawings.__file__).parent
SHARED = {"mmsent.sources.drawings.pen"}


def collection(use: Use) -> dict[str, Label]:
    """Each motif of this use with the mood it shows."""
    return {motif: label for subject in SUBJECTS for label in LABELS for motif in motifs(use, subject, label)}


EVERY_STREAM_MOTIF = sorted(collection("stream"))
SOME_LESSONS = sorted(collection("lessons"))[::17]


def pixels(motif: str, seed: int) -> str:
    return hashlib.sha256(draw(motif, seed).tobytes()).hexdigest()


@pytest.mark.parametrize("motif", [*EVERY_STREAM_MOTIF, *SOME_LESSONS])
def test_a_seed_is_one_picture_and_seeds_differ(motif: str) -> None:
    assert pixels(motif, 1) == pixels(motif, 1)
    assert pixels(motif, 1) != pixels(motif, 2)


@pytest.mark.parametrize("motif", [*EVERY_STREAM_MOTIF[::4], *SOME_LESSONS[::4]])
def test_the_product_can_read_every_picture(motif: str) -> None:
    data = jpeg(draw(motif, 3))
    image = Image.open(BytesIO(data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert all(320 <= side <= 640 for side in image.size)
    assert len(data) < Settings().image_max_bytes
    decode_image(data, size=64, thumbnail_px=96)


@pytest.mark.parametrize("use", USES)
def test_every_subject_has_three_drawings_in_every_mood(use: Use) -> None:
    for subject in SUBJECTS:
        for label in LABELS:
            names = motifs(use, subject, label)
            assert len(set(names)) == len(names) >= 3
    moods = [(motif, label) for s in SUBJECTS for label in LABELS for motif in motifs(use, s, label)]
    assert len(collection(use)) == len(set(moods)), "one motif shows two moods"


def imported(path: Path) -> set[str]:
    """The modules of the package that a file of it imports."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    package = drawings.__name__
    named = {
        f"{node.module}.{alias.name}" for node in nodes for alias in node.names if node.module == package
    }
    return named | {node.module for node in nodes if node.module and node.module.startswith(f"{package}.")}


def test_the_collections_share_the_pen_alone() -> None:
    assert not set(collection("stream")) & set(collection("lessons"))
    for use in USES:
        own = {f"{drawings.__name__}.{path.stem}" for path in FOLDER.glob(f"{use}*.py")}
        assert len(own) > 3
        for path in FOLDER.glob(f"{use}*.py"):
            assert imported(path) <= own | SHARED, f"{path.name} borrows from the other collection"


def test_an_unknown_motif_is_refused() -> None:
    with pytest.raises(KeyError):
        draw("stream-nothing", 1)
