"""Which scenes and styles the picture head learns drawings from: every scene in every style and every mood."""

from mmsent.sources.drawings import lessons_faces
from mmsent.sources.drawings.lessons_styles import STYLES
from mmsent.sources.drawings.pen import Pen

__all__ = ["BY_NAME", "MOODS", "STYLES", "Pen", "scenes"]

Scene = lessons_faces.Scene
MOODS = {"positive": 1, "neutral": 0, "negative": -1}
GENERIC: tuple[Scene, ...] = (lessons_faces.portrait,)
BY_SUBJECT: dict[str, tuple[Scene, ...]] = {
    "picnic": (),
    "coffee": (),
    "phone": (),
    "weather": (),
    "trains": (),
    "football": (),
    "garden": (),
    "films": (),
}
BY_NAME: dict[str, Scene] = {
    scene.__name__: scene for group in (GENERIC, *BY_SUBJECT.values()) for scene in group
}


def scenes(subject: str) -> tuple[Scene, ...]:
    """Scenes that may stand for this subject."""
    return (*BY_SUBJECT[subject], *GENERIC)
