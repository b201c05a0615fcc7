"""Which drawings the demo shows for which subject and mood."""

from mmsent.posts import Label
from mmsent.sources.drawings import (
    stream_coffee,
    stream_films,
    stream_football,
    stream_garden,
    stream_generic,
    stream_phone,
    stream_picnic,
    stream_trains,
    stream_weather,
)
from mmsent.sources.drawings.pen import Drawing

Moods = dict[Label, tuple[Drawing, ...]]

BY_SUBJECT: dict[str, Moods] = {
    "picnic": stream_picnic.DRAWINGS,
    "coffee": stream_coffee.DRAWINGS,
    "phone": stream_phone.DRAWINGS,
    "weather": stream_weather.DRAWINGS,
    "trains": stream_trains.DRAWINGS,
    "football": stream_football.DRAWINGS,
    "garden": stream_garden.DRAWINGS,
    "films": stream_films.DRAWINGS,
}
BY_NAME: dict[str, Drawing] = {
    drawing.__name__: drawing
    for moods in (*BY_SUBJECT.values(), stream_generic.DRAWINGS)
    for drawings_of_mood in moods.values()
    for drawing in drawings_of_mood
}


def drawings(subject: str, label: Label) -> tuple[Drawing, ...]:
    """The subject's own drawings in this mood, then those that suit any subject."""
    return (*BY_SUBJECT[subject].get(label, ()), *stream_generic.DRAWINGS[label])
