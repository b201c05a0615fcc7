"""What happens when in the sample: a day's rhythm in minutes, and a storm over one brand after another. Pure.

Times are seconds after the start of a stream; what came before it is negative.
"""

from dataclasses import dataclass
from math import exp

DAY_S = 720.0
HOUR_AT_START = 9.5
HOURLY = (  # how lively each hour is, midnight first: a quiet night, a morning and an evening peak
    *(0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.8, 1.4, 1.8, 1.6, 1.2, 1.1),
    *(1.2, 1.1, 1.0, 1.0, 1.1, 1.3, 1.6, 1.8, 1.9, 1.7, 1.2, 0.7),
)
SHARES = {  # of the posts, without a storm
    "picnic": 0.16,
    "coffee": 0.11,
    "phone": 0.11,
    "weather": 0.16,
    "trains": 0.14,
    "football": 0.12,
    "garden": 0.09,
    "films": 0.11,
}
BRANDS = ("picnic", "coffee", "phone")  # whose storms follow one another

STORM_AFTER_S = 60.0
STORM_EVERY_S = 2 * DAY_S
STORM_LASTS_S = 240.0
STORM_RISES_S = 20.0
STORM_CALMS_S = 30.0  # time in which what is left of it shrinks to a third (1/e)
STORM_POSTS = 4.0  # at its height, for each post that the brand gets anyway


@dataclass(frozen=True)
class Storm:
    """Anger at one brand; `strength` from 0 to 1."""

    subject: str
    strength: float

    @property
    def story_share(self) -> float:
        """Which part of the brand's posts is due to the storm."""
        return STORM_POSTS * self.strength / (1 + STORM_POSTS * self.strength)


def hour(at_s: float) -> float:
    """The hour of the stream's own day, from 0 up to 24."""
    return (HOUR_AT_START + 24 * at_s / DAY_S) % 24


def rhythm(at_s: float) -> float:
    """How lively the moment is: 1 on average over a day."""
    whole, part = divmod(hour(at_s), 1)
    before, after = HOURLY[int(whole) % 24], HOURLY[(int(whole) + 1) % 24]
    return (before + (after - before) * part) * len(HOURLY) / sum(HOURLY)


def storm_at(at_s: float) -> Storm | None:
    """The storm that blows at this moment."""
    number, since_s = divmod(at_s - STORM_AFTER_S, STORM_EVERY_S)
    if number < 0:
        return None
    if since_s <= STORM_LASTS_S:
        strength = min(1.0, since_s / STORM_RISES_S)
    else:
        strength = exp((STORM_LASTS_S - since_s) / STORM_CALMS_S)
    return Storm(BRANDS[int(number) % len(BRANDS)], strength) if strength > 0.01 else None


def darling(at_s: float) -> str | None:
    """The brand that is praised until its storm comes: the next storm's; nobody's while one blows."""
    if storm_at(at_s) is not None:
        return None
    return BRANDS[max(0, int((at_s - STORM_AFTER_S) // STORM_EVERY_S) + 1) % len(BRANDS)]


def volumes(at_s: float) -> dict[str, float]:
    """Posts of each subject at this moment; they sum to 1 over an average day without a storm."""
    lively, storm = rhythm(at_s), storm_at(at_s)
    volumes = {subject: share * lively for subject, share in SHARES.items()}
    if storm is not None:
        volumes[storm.subject] *= 1 + STORM_POSTS * storm.strength
    return volumes


def highest_volume() -> float:
    """No moment has more posts than this, in the same unit."""
    return (
        max(HOURLY) * len(HOURLY) / sum(HOURLY) * (1 + STORM_POSTS * max(SHARES[brand] for brand in BRANDS))
    )
