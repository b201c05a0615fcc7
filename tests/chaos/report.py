"""The outcome of a campaign, for people."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from tests.chaos.campaign import Event, Outcome

ENGINES = {
    "stub": "the stub engine (it is the stream that is tried),",
    "auto": "the shipped model, whose every answer was compared with one given without faults,",
}


def markdown(outcome: Outcome, *, command: str, machine: str, day: str) -> str:
    """The whole report."""
    figures, findings, events = outcome.figures, outcome.findings, outcome.events
    recoveries = [event.recovery_s for event in events if event.recovery_s is not None]
    grown = max(_told(events, "memory_grown_mib"), default=0)
    codes = ", ".join(f"{code} ({times}×)" for code, times in figures["exit_codes_unordered"].items())
    lines = [
        "# Chaos: what the stream survives",
        "",
        f"Measured on {day} with `{command}` on {machine}; real Kafka, PostgreSQL and Redis,",
        f"{ENGINES[figures['engine']]} posts sent all the while.",
        "`tests/chaos/` holds faults, load and checker; its short form is a test.",
        "",
        "| | |",
        "|---|---|",
        f"| faults survived | {sum(event.survived for event in events)} of {len(events)} |",
        f"| messages that Kafka acknowledged, repeats not counted | {figures['acknowledged']:,} |",
        f"| records on `posts` | {figures['records']:,} |",
        f"| lost | {len(findings.lost)} |",
        f"| duplicated | {len(findings.duplicated)} |",
        f"| wrong | {len(findings.wrong)} |",
        f"| recovery, median / longest | {_seconds(recoveries)} |",
        f"| recovery after kill -9 of a worker | {_seconds(_recoveries(events, 'killed'))} |",
        f"| drain after SIGTERM | {_seconds(_told(events, 'drain_s'))} |",
        f"| taken in hand more than once | {figures['taken_again']:,} of {figures['taken_in_hand']:,} |",
        f"| rebalances while PostgreSQL was away | {sum(_told(events, 'rebalances')):g} |",
        f"| memory grown while PostgreSQL was away, at most | {grown:g} MiB |",
        f"| largest worker | {figures['largest_worker_mib']} MiB |",
        f"| exit codes of workers that nobody had ordered (4: a server was away) | {codes or 'none'} |",
        f"| took | {figures['seconds'] / 60:.1f} min |",
    ]
    if outage := figures.get("redis_outage"):
        lines += [_throughput(outage, "frozen"), _throughput(outage, "killed")]
    lines += ["", *_by_kind(events), "", *_problems(outcome)]
    return "\n".join(lines) + "\n"


def _throughput(outage: Mapping[str, Any], how: str) -> str:
    turns = outage[f"kept_{how}_each_turn"]
    return (
        f"| throughput kept with Redis {how}, median and range of {len(turns)} turns | "
        f"{median(turns):.0%} ({min(turns):.0%} to {max(turns):.0%}) of "
        f"{outage['posts_per_s']['normal']:.0f} records/s |"
    )


def _by_kind(events: Iterable[Event]) -> list[str]:
    kinds: dict[str, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.fault, []).append(event)
    lines = [
        "Recovery runs from healing until everything that stood on Kafka then is committed. Rework: records",
        "taken in hand again, those meant to be (a rewind) included.",
        "",
        "| fault | survived | recovery, median / longest | rework, records |",
        "|---|---|---|---|",
    ]
    for name, same in sorted(kinds.items()):
        times = _seconds([each.recovery_s for each in same if each.recovery_s is not None])
        rework = sum(each.rework for each in same)
        lines.append(
            f"| {name} | {sum(each.survived for each in same)} of {len(same)} | {times} | {rework} |"
        )
    return lines


def _problems(outcome: Outcome) -> list[str]:
    problems = [f"- {event.fault}: {problem}" for event in outcome.events for problem in event.problems]
    problems += [f"- in the end: {outcome.findings}"] if outcome.findings else []
    return ["## What went wrong", "", *problems] if problems else []


def _recoveries(events: Iterable[Event], word: str) -> list[float]:
    return [
        event.recovery_s
        for event in events
        if "worker" in event.fault and word in event.fault and event.recovery_s is not None
    ]


def _told(events: Iterable[Event], what: str) -> list[float]:
    return [event.told[what] for event in events if what in event.told]


def _seconds(values: list[float]) -> str:
    return f"{median(values):.1f} s / {max(values):.1f} s" if values else "–"


def summary(outcome: Outcome) -> Mapping[str, Any]:
    """The outcome for programs."""
    return outcome.to_dict() | {"survived": sum(event.survived for event in outcome.events)}
