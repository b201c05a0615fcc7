"""What the picture head learns drawings from: every scene in every style and every mood."""

from mmsent.sources.drawings import lessons_faces, lessons_scenes, lessons_signs, lessons_things
from mmsent.sources.drawings.lessons_faces import Scene

MOODS: dict[str, int] = {"positive": 1, "neutral": 0, "negative": -1}
GENERIC: tuple[Scene, ...] = (
    lessons_faces.portrait,
    lessons_scenes.crowd,
    lessons_scenes.checklist,
    lessons_scenes.graph,
    lessons_scenes.love,
    lessons_scenes.thumb,
    lessons_scenes.toy,
    lessons_signs.sign,
    lessons_signs.strip,
    lessons_signs.bulbs,
)
BY_SUBJECT: dict[str, tuple[Scene, ...]] = {
    "picnic": (lessons_things.cake, lessons_things.cone, lessons_signs.fruit),
    "coffee": (lessons_things.teapot, lessons_things.cake),
    "phone": (lessons_things.laptop,),
    "weather": (lessons_scenes.boat, lessons_scenes.window),
    "trains": (lessons_things.bus, lessons_scenes.boat),
    "football": (lessons_things.podium,),
    "garden": (lessons_things.vase, lessons_scenes.house, lessons_signs.fruit),
    "films": (lessons_things.stage,),
}
BY_NAME: dict[str, Scene] = {
    scene.__name__: scene for group in (GENERIC, *BY_SUBJECT.values()) for scene in group
}


def scenes(subject: str) -> tuple[Scene, ...]:
    """Scenes that may stand for this subject."""
    return (*BY_SUBJECT[subject], *GENERIC)
