"""The sample's words: templates with what they say literally, slots to fill, emoji and hashtags."""

import random
from dataclasses import dataclass
from string import Formatter
from typing import Literal

from mmsent.posts import Label
from mmsent.sources.sample_brands import BRAND_TEXTS
from mmsent.sources.sample_everyday import EVERYDAY_TEXTS
from mmsent.topics import TrackedTopic

LABELS: dict[str, Label] = {  # what the words of each kind say, read without any picture
    "praise": "positive",
    "happy_meme": "positive",
    "sarcasm": "positive",  # stands only beside a picture of the opposite
    "news": "neutral",
    "question": "neutral",
    "complaint": "negative",
    "sad_meme": "negative",
    "storm": "negative",  # of a story alone
    "mock": "negative",  # a mock complaint; stands only beside a picture of the opposite
}
SLOTS = {
    "place": (
        *("the lake", "Alder Park", "the old pier", "Quarry Hill", "the riverside", "Thistle Bay"),
        *("the castle ruins", "Heron Meadow", "the back yard", "Lantern Square"),
    ),
    "town": (
        *("Millbrook", "Larkfield", "Eastmere", "Oakhurst", "Saltby", "Fennimoor", "Highcombe"),
        *("Dunwater", "Pinewick", "Rosemead"),
    ),
    "who": (
        *("my sister", "grandad", "my flatmate", "mum", "my cousin", "the neighbour", "my boss"),
        *("our book club", "my best friend", "the new intern", "my little brother", "auntie"),
    ),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "time": ("7:15", "7:42", "8:05", "8:30", "9:10", "11:25", "12:40", "16:50", "17:20", "18:35", "21:05"),
    "n": ("2", "3", "4", "5", "6", "7", "8", "9"),
    "food": (
        *("scones", "olives", "cheese rolls", "peach tarts", "egg sandwiches", "lemon bars", "pies"),
        *("fig cakes", "pickles", "salads"),
    ),
    "drink": ("flat white", "espresso", "cold brew", "oat latte", "mocha", "filter coffee", "cortado"),
    "plant": (
        *("tomatoes", "courgettes", "sweet peas", "runner beans", "dahlias", "strawberries"),
        *("pumpkins", "radishes"),
    ),
    "club": (
        *("Eastmere Rovers", "Larkfield Town", "Saltby United", "Fennimoor Athletic", "Dunwater City"),
        *("the Highcombe under-12s", "Pinewick Wanderers"),
    ),
    "film": (
        *('"Nine Paper Boats"', '"Midnight in Saltby"', '"The Lantern Baker"', '"Gravity for Geese"'),
        *('"A Room Full of Kites"', '"Orchard of Static"', '"The Quiet Submarine"'),
    ),
}
EMOJI: dict[str, tuple[str, ...]] = {
    "praise": ("😊", "🎉", "❤️", "✨", "🙌", "🥳"),
    "sarcasm": ("🙃", "👏", "❤️", "✨", "💯"),
    "complaint": ("😡", "😤", "😢", "👎", "🤦"),
    "storm": ("😡", "🤬", "💔", "👎", "🤮"),
    "mock": ("😭", "😩", "💀"),
    "question": ("🤔", "👀"),
}
HASHTAGS = {
    "picnic": ("meadowbox", "picnic", "hamper"),
    "coffee": ("fernhollow", "coffee", "coffeetime"),
    "phone": ("zephyrine", "phone", "tech"),
    "weather": ("weather", "sky", "outside"),
    "trains": ("trains", "commute", "travel"),
    "football": ("football", "matchday", "goal"),
    "garden": ("garden", "gardening", "homegrown"),
    "films": ("films", "cinema", "filmnight"),
}
FOREIGN: tuple[tuple[str, str, Label, str], ...] = (  # subject, language, label, template
    ("picnic", "es", "positive", "¡Qué buena la cesta de Meadowbox! Un día perfecto con la familia 🧺"),
    ("picnic", "de", "negative", "Meadowbox kam {n} Stunden zu spät und alles war nass. Nie wieder!"),
    ("picnic", "fr", "neutral", "Est-ce que Meadowbox livre aussi à {town} ?"),
    ("coffee", "de", "positive", "Der beste Kaffee seit Langem, danke Fernhollow ☕"),
    ("coffee", "fr", "negative", "Café froid et brûlé chez Fernhollow, quelle déception 😞"),
    ("phone", "es", "negative", "Mi Zephyrine se apaga cada {n} minutos, qué desastre."),
    ("phone", "de", "neutral", "Das neue Zephyrine gibt es ab Freitag in {n} Farben."),
    ("weather", "es", "positive", "¡Por fin sol en {town}! Me encanta este tiempo ☀️"),
    ("weather", "de", "negative", "Seit {n} Tagen nur Regen in {town}. Ich mag nicht mehr."),
    ("trains", "fr", "negative", "Encore un train supprimé à {time}. J'en ai assez 😡"),
    ("trains", "de", "neutral", "Der Zug um {time} fährt heute von Gleis {n}."),
    ("football", "es", "positive", "¡Gol en el minuto 9{n}! Qué partido, qué alegría ⚽"),
    ("garden", "fr", "positive", "Premières fraises du jardin, quel bonheur 🍓"),
    ("films", "es", "neutral", "¿A qué hora empieza la película en {town}?"),
    ("films", "fr", "positive", "Quel beau film, j'ai ri et pleuré 🎬"),
)
TOPICS = (
    TrackedTopic("meadowbox", ("meadowbox",)),
    TrackedTopic("fernhollow", ("fernhollow",)),
    TrackedTopic("zephyrine", ("zephyrine",)),
    TrackedTopic(
        "weather", ("weather", "forecast", "rain", "rainbow", "snow", "fog", "sunshine", "Regen", "tiempo")
    ),
    TrackedTopic("trains", ("train", "trains", "railway", "commute", "platform", "Zug")),
    TrackedTopic("football", ("football", "match", "matchday", "goal", "gol", *SLOTS["club"])),
    TrackedTopic("garden", ("garden", "gardening", "homegrown", "jardin", *SLOTS["plant"])),
    TrackedTopic("films", ("film", "films", "filmnight", "cinema", "película", *SLOTS["film"])),
)
"""Tracked while the sample runs; every template belongs to its subject's by its own words."""

Seasoning = Literal["plain", "emoji", "hashtag", "both"]


@dataclass(frozen=True)
class Template:
    """`text` with slots; `label` is what its words say literally, `kind` one of `LABELS` or `foreign`."""

    subject: str
    kind: str
    label: Label
    text: str
    lang: str = "en"


TEMPLATES = {
    (subject, kind): tuple(Template(subject, kind, LABELS[kind], text) for text in texts)
    for subject, kinds in (BRAND_TEXTS | EVERYDAY_TEXTS).items()
    for kind, texts in kinds.items()
}
FOREIGN_TEMPLATES = tuple(
    Template(subject, "foreign", label, text, lang) for subject, lang, label, text in FOREIGN
)


def render(template: Template, choose: random.Random) -> str:
    """The template with its slots filled, each differently, sometimes with emoji or hashtags after it."""
    text = _filled(template.text, choose)
    if template.lang != "en":
        return text
    seasoning: Seasoning = choose.choices(("plain", "emoji", "hashtag", "both"), (40, 15, 35, 10))[0]
    if seasoning in {"emoji", "both"} and template.kind in EMOJI and text[-1].isascii():
        text += f" {choose.choice(EMOJI[template.kind])}"
    if seasoning in {"hashtag", "both"}:
        count = choose.choice((1, 1, 2))
        text += "".join(f" #{tag}" for tag in choose.sample(HASHTAGS[template.subject], count))
    return text


def _filled(text: str, choose: random.Random) -> str:
    bags = {
        name: choose.sample(fillings, len(fillings))
        for name, fillings in SLOTS.items()
        if f"{{{name}}}" in text
    }
    parts: list[str] = []
    for literal, slot, _, _ in Formatter().parse(text):
        filling = bags[slot].pop() if slot else ""
        before = ("".join(parts) + literal).rstrip(" \n")
        at_start = not before or before[-1] in ".!?"
        parts += [literal, filling[:1].upper() + filling[1:] if at_start else filling]
    return "".join(parts)
