"""Fault after fault under load, each followed by recovery and a check; then everything is counted."""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from aiokafka.errors import KafkaError

from mmsent.errors import MmsentError
from tests.chaos.faults import FAULTS, Circumstances
from tests.chaos.judgement import Findings
from tests.chaos.stack import Stack

PATIENCE_S = 150.0  # the watchdog's 120 s and a restart
TOGETHER = ("largest_worker_mib", "seconds")  # figures that do not add up over campaigns
FAILURES = (AssertionError, MmsentError, KafkaError, TimeoutError, OSError)


@dataclass
class Event:
    """One fault, and what came of it."""

    fault: str
    recovery_s: float | None = None  # from healing until all that stood on Kafka then was committed
    rework: int = 0  # records taken in hand again
    problems: list[str] = field(default_factory=list)
    told: dict[str, float] = field(default_factory=dict)

    @property
    def survived(self) -> bool:
        return not self.problems


@dataclass
class Outcome:
    """What a campaign found."""

    events: list[Event] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    figures: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        events = [Event(**event) for event in told["events"]]
        return cls(events, Findings(**told["findings"]), told["figures"])

    def __iadd__(self, other: "Outcome") -> Self:
        """That of a campaign over a stack of its own, at the same time."""
        self.events += other.events
        self.findings += other.findings
        for name, figure in other.figures.items():
            if name not in self.figures:
                self.figures[name] = figure
            elif isinstance(figure, dict):
                self.figures[name] = Counter(self.figures[name]) + Counter(figure)
            elif name in TOGETHER:
                self.figures[name] = max(self.figures[name], figure)
            elif isinstance(figure, int):
                self.figures[name] += figure
        return self


def plan(count: int, seed: int) -> list[str]:
    """`count` faults, every kind once before any comes again, in an order of the seed's."""
    names: list[str] = []
    order = random.Random(seed)
    while len(names) < count:
        names += order.sample(list(FAULTS), len(FAULTS))
    return names[:count]


async def run(stack: Stack, faults: Sequence[str], *, seed: int, long: bool, posts: int = 0) -> Outcome:
    """All of `faults`; at least `posts` messages are sent."""
    outcome = Outcome()
    begun = time.monotonic()
    for number, name in enumerate(faults, 1):
        now = Circumstances(stack, random.Random(f"{seed} {number}"), long)
        event = await _suffer(now, name)
        outcome.events.append(event)
        recovery = "not recovered" if event.recovery_s is None else f"recovered in {event.recovery_s:.1f} s"
        _say(f"{number}/{len(faults)} {name}: {recovery}, rework {event.rework}", *event.problems)
        if event.recovery_s is None:
            break
    if posts > stack.load.sent and outcome.events[-1].recovery_s is not None:
        await stack.load.send(stack.load.generator.take(posts - stack.load.sent))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await stack.load.stop()
        _say("all is sent; waiting for the workers")
        await stack.checker.until_quiet(PATIENCE_S)
        outcome.findings += await stack.checker.check_all()
    except (AssertionError, TimeoutError) as error:
        outcome.findings.wrong.append(f"in the end: {error}")
    outcome.figures |= _figures(stack) | {"seconds": round(time.monotonic() - begun, 1)}
    return outcome


async def _suffer(now: Circumstances, name: str) -> Event:
    """Fault, healing, recovery, check. What goes wrong is written down."""
    stack, event = now.stack, Event(name)
    surprises, again = dict(stack.workers.surprises), _taken_again(stack)
    healed = None
    try:
        healed = await FAULTS[name](now)
    except FAILURES as error:
        event.problems.append(f"{type(error).__name__}: {error}")
    healed = healed or time.monotonic()
    try:
        reached = await stack.checker.until_committed(await stack.checker.ends(), PATIENCE_S)
        event.recovery_s = round(max(0.0, reached - healed), 2)
        found = await stack.checker.check_committed()
        event.problems += [f"below committed offsets: {found}"] if found else []
    except FAILURES as error:
        event.problems.append(f"{type(error).__name__}: {error}")
    event.rework = _taken_again(stack) - again
    event.told = {what: round(value, 2) for what, value in now.told.items()}
    fresh = {code: count - surprises.get(code, 0) for code, count in stack.workers.surprises.items()}
    event.told |= {f"exit_code_{code}": count for code, count in fresh.items() if count}
    return event


def _taken_again(stack: Stack) -> int:
    taken, _ = stack.workers.journal()
    return taken.total() - len(taken)


def _figures(stack: Stack) -> dict[str, Any]:
    taken, assignments = stack.workers.journal()
    return {
        "engine": stack.settings.engine,
        "acknowledged": stack.checker.acknowledged,
        "records": stack.checker.records,
        "taken_in_hand": taken.total(),
        "taken_again": taken.total() - len(taken),
        "dead_letters_with_repeats": stack.checker.dead_letters,
        "assignments": assignments,
        "exit_codes_unordered": {str(code): times for code, times in stack.workers.surprises.items()},
        "largest_worker_mib": stack.workers.largest_memory,
        "tracebacks": stack.workers.tracebacks(),
    }


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{time.strftime('%H:%M:%S')} {line}\n" for line in lines))
    sys.stderr.flush()
