"""A small endless stream of made-up posts with drawn pictures, to see things move without any file.

Everything in it is invented here: sentences from templates, pictures from circles and lines.
"""

import io
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal

from PIL import Image, ImageDraw

from mmsent.posts import ImageRef, Label, Post

Mood = Literal["happy", "plain", "sad"]

SIDE_PX = 240
CONFLICT_SHARE = 0.08  # of the posts with a picture: words one way, picture the other
PICTURE_SHARE = 0.7

SUBJECTS = {
    "weather": ("the weather", "this morning's sky", "the rain", "the first snow"),
    "trains": ("the 8:15 train", "the new tram line", "the night bus", "my commute"),
    "coffee": ("the corner café", "my espresso", "the new roastery", "office coffee"),
    "football": ("the match", "our goalkeeper", "the second half", "the new coach"),
    "phones": ("my new phone", "the update", "the camera", "battery life"),
    "garden": ("the garden", "my tomato patch", "the old apple tree", "the balcony"),
}
SENTENCES: dict[Label, tuple[str, ...]] = {
    "positive": (
        "{subject} made my day, could not be happier!",
        "Honestly in love with {subject} 😍",
        "What a lovely surprise: {subject} is better than ever.",
        "So grateful for {subject} today.",
        "{subject}? Absolutely wonderful, ten out of ten.",
        "Best thing this week: {subject} 🎉",
        "Smiling all the way because of {subject}.",
        "Big thanks to everyone behind {subject}, brilliant work!",
    ),
    "neutral": (
        "Anyone else here because of {subject}?",
        "Notes on {subject}, part two.",
        "{subject}, as seen at noon.",
        "Today: {subject}. Tomorrow: more of it.",
        "Here is what we know about {subject} so far.",
        "Reading about {subject} over lunch.",
        "{subject} was on the agenda again.",
        "A short report on {subject} in the link.",
    ),
    "negative": (
        "{subject} ruined my whole evening.",
        "So tired of {subject}, what a mess 😡",
        "I have never been this disappointed by {subject}.",
        "{subject} again. Awful, just awful.",
        "Can somebody please fix {subject}? This is terrible.",
        "Crying over {subject}, no joke 😢",
        "Worst experience ever with {subject}.",
        "{subject} broke and nobody cares. Sad.",
    ),
}
MOODS: dict[Label, Mood] = {"positive": "happy", "neutral": "plain", "negative": "sad"}
OPPOSITE: dict[Label, Mood] = {"positive": "sad", "neutral": "plain", "negative": "happy"}
SCENES: dict[Mood, tuple[tuple[str, str, str], ...]] = {  # sky, ground, face
    "happy": (
        ("#8fd3ff", "#7ccf5a", "#ffd84d"),
        ("#ffe9b0", "#f7b267", "#fff1a8"),
        ("#c6f1e7", "#59c1a3", "#ffcf8f"),
    ),
    "plain": (
        ("#dfe6ea", "#b8c4c9", "#e8e2d4"),
        ("#e9e4f0", "#c9c0d3", "#efe7da"),
        ("#d7e3d4", "#aebfa9", "#e9e9e0"),
    ),
    "sad": (
        ("#4b5563", "#2f3742", "#8a97a6"),
        ("#3c4a63", "#27303f", "#7f8fb0"),
        ("#5a5148", "#37312b", "#9b8f83"),
    ),
}


def sample_messages(
    address_of: Callable[[str, bytes], str],
    *,
    source: str = "sample",
    seed: int = 0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Post]:
    """Posts without end; the same seed gives the same words and pictures, under ids of this start.

    Args:
        address_of: makes a picture's name and JPEG bytes into an address that workers can reach.
        now: the time at which each post is created.
    """
    choose = random.Random(seed)  # noqa: S311  # a stream that repeats, nothing secret
    pictures = {mood: _addresses(mood, address_of) for mood in SCENES}
    start = int(now().timestamp() * 1e6)
    number = 0
    while True:
        number += 1
        label = choose.choice(tuple(SENTENCES))
        topic = choose.choice(tuple(SUBJECTS))
        sentence = choose.choice(SENTENCES[label]).format(subject=choose.choice(SUBJECTS[topic]))
        mood = (OPPOSITE if choose.random() < CONFLICT_SHARE else MOODS)[label]
        address = choose.choice(pictures[mood])
        yield Post(
            post_id=f"{source}/{start}-{number}",
            source=source,
            created_at=now(),
            author=f"{source}-{choose.randrange(200)}",
            lang="en",
            text=f"{sentence[0].upper()}{sentence[1:]} #{topic}",
            tags=(topic,),
            images=(ImageRef(url=address),) if choose.random() < PICTURE_SHARE else (),
        )


def _addresses(mood: Mood, address_of: Callable[[str, bytes], str]) -> list[str]:
    return [address_of(f"{mood}-{number}", draw(mood, number)) for number in range(len(SCENES[mood]))]


def draw(mood: Mood, number: int) -> bytes:
    """A JPEG of a scene with a face in it."""
    sky, ground, face = SCENES[mood][number]
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), sky)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 170, SIDE_PX, SIDE_PX), fill=ground)
    pen.ellipse((60, 50, 180, 170), fill=face, outline="#333333", width=3)
    for x in (95, 135):
        pen.ellipse((x, 90, x + 12, 102), fill="#222222")
    _draw_mouth(pen, mood)
    if mood == "happy":
        pen.ellipse((180, 15, 225, 60), fill="#fff6b0")
    if mood == "sad":
        for x in range(10, SIDE_PX, 24):
            pen.line((x, 10, x - 8, 40), fill="#9fb4cc", width=2)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    return data.getvalue()


def _draw_mouth(pen: ImageDraw.ImageDraw, mood: Mood) -> None:
    if mood == "happy":
        pen.arc((90, 100, 150, 150), 20, 160, fill="#222222", width=4)
    elif mood == "sad":
        pen.arc((90, 125, 150, 165), 200, 340, fill="#222222", width=4)
    else:
        pen.line((95, 138, 145, 138), fill="#222222", width=4)
