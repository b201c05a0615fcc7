"""Drawn posts, so that the model can read drawings too.

Their drawings and their words are others than those of the sample stream.
"""

import random
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmsent.errors import InputError
from mmsent.model.inputs import LABELS
from mmsent.posts import Label
from mmsent.sources.drawings import SUBJECTS, draw, jpeg, motifs
from mmsent.training.data import IGNORED, LabelledPost

DRAWN_POSTS = 1_800  # a third of what the picture head learns from
OPPOSITE_SHARE = 0.2
NEUTRAL_SHARE = 0.2  # words or picture without a mood beside one that has it

THINGS = {
    "picnic": ("lunch on the grass", "the sandwiches we packed", "our day at the lake", "the family outing"),
    "coffee": ("my flat white", "the barista downstairs", "this cappuccino", "the café by the station"),
    "phone": ("this handset", "the screen of my mobile", "the new camera app", "my charger"),
    "weather": ("today's forecast", "the sky over town", "the wind tonight", "our weekend weather"),
    "trains": ("the 7:42 to work", "the metro", "platform three", "the express home"),
    "football": ("our team", "the derby", "that penalty", "the season so far"),
    "garden": ("the flower bed", "our cherry tree", "the greenhouse", "my basil"),
    "films": ("the premiere", "that thriller", "the sequel", "movie night"),
}
SENTENCES: dict[Label, tuple[str, ...]] = {
    "positive": (
        "{thing} was a dream, we loved every minute",
        "Could not ask for more: {thing} is perfect today :)",
        "Proud and happy about {thing}!!",
        "{thing} put the biggest smile on my face",
        "Yay, {thing}! What a treat ❤️",
        "Finally some good news, {thing} is fantastic",
        "I recommend {thing} to everyone, really great",
        "Having so much fun with {thing}",
        "{thing} = pure joy",
        "Thank you for {thing}, you are awesome",
        "Wow. {thing} is beautiful",
        "Feeling lucky. {thing} turned out so well",
    ),
    "neutral": (
        "{thing} starts at nine",
        "Asking for a friend: where do you find out about {thing}?",
        "A photo of {thing} from this week",
        "Update on {thing}: see the thread",
        "We talked about {thing} in the meeting",
        "{thing}, Tuesday, 14:30",
        "List of links about {thing}",
        "Some numbers on {thing} in this report",
        "This is {thing}",
        "{thing} will move to another place next month",
        "Here is how {thing} works",
        "Does anyone have the schedule for {thing}?",
    ),
    "negative": (
        "{thing} is a joke, I want my money back",
        "I hate {thing} so much right now",
        "Really sad about {thing} :(",
        "{thing} failed again, so angry",
        "Ugh. {thing} is the worst",
        "Never again! {thing} was horrible",
        "{thing} made me cry today 😭",
        "Disgusting, {thing} should be ashamed",
        "What a disaster, {thing} is broken and nobody helps",
        "Sick of {thing} and all the excuses",
        "{thing} was boring, rude and late",
        "Heartbroken. {thing} is gone",
    ),
}
OPPOSITES: dict[Label, Label] = {"positive": "negative", "negative": "positive"}


def drawn_posts(folder: Path, *, count: int = DRAWN_POSTS, seed: int = 0) -> list[LabelledPost]:
    """`count` posts whose pictures are drawn into `folder`, unless they lie there.

    The same for the same seed; fewer of them are the first of more. `label` is what both feel, or the one
    that feels anything; IGNORED where they are opposite, as in MVSA-Single.

    Raises:
        InputError: the folder cannot be written.
    """
    choose = random.Random(seed)  # noqa: S311  # lessons that repeat, nothing secret
    numbers = track(range(count), "drawing", console=Console(stderr=True), transient=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_drawn_post(folder, number, choose) for number in numbers]
    except OSError as error:
        raise InputError(f"cannot draw into {folder} ({error.strerror}): give another folder") from error


def _drawn_post(folder: Path, number: int, choose: random.Random) -> LabelledPost:
    subject = SUBJECTS[number % len(SUBJECTS)]
    text_label, image_label = _labels(choose)
    motif = choose.choice(motifs("lessons", subject, image_label))
    picture_seed = choose.randrange(2**31)
    sentence = choose.choice(SENTENCES[text_label]).format(thing=choose.choice(THINGS[subject]))
    image = folder / f"{number:05}-{motif}-{picture_seed}.jpg"
    if not image.exists():
        image.write_bytes(jpeg(draw(motif, picture_seed)))
    return LabelledPost(
        post_id=f"drawn/{number}",
        split="train",
        text=sentence[0].upper() + sentence[1:],
        image=image,
        label=_fused(text_label, image_label),
        text_label=LABELS.index(text_label),
        image_label=LABELS.index(image_label),
    )


def _labels(choose: random.Random) -> tuple[Label, Label]:
    """(of the words, of the picture)."""
    label = choose.choice(tuple(SENTENCES))
    share = choose.random()
    if share < OPPOSITE_SHARE and label in OPPOSITES:
        return label, OPPOSITES[label]
    if share > 1 - NEUTRAL_SHARE:
        return (label, "neutral") if choose.random() < 0.5 else ("neutral", label)
    return label, label


def _fused(text: Label, image: Label) -> int:
    if OPPOSITES.get(text) == image:
        return IGNORED
    return LABELS.index(image if text == "neutral" else text)
