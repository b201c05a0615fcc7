"""`python -m tests.chaos`: the long form. JSON on stdout, progress on stderr, a report at `--report`."""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.campaign import Outcome, plan, run
from tests.chaos.faults import FAULTS
from tests.chaos.report import markdown, summary
from tests.chaos.stack import running
from tests.chaos.throughput import measure
from tests.services.servers import MissingServerError


def main() -> int:
    """Run a campaign; 0 if everything was survived and nothing is lost, duplicated or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--campaigns", type=int, default=1, help="beside each other, each with servers and a seed of its own"
    )
    parser.add_argument("--faults", type=int, default=100, help="in each campaign")
    parser.add_argument("--posts", type=int, default=100_000, help="messages sent at least, in each campaign")
    parser.add_argument("--rate", type=float, default=150.0, help="messages a second, in each campaign")
    parser.add_argument("--workers", type=int, default=2, help="of each campaign")
    parser.add_argument("--seed", type=int, default=1, help="of the first campaign; the next has the next")
    parser.add_argument(
        "--engine", choices=("stub", "auto"), default="stub", help="auto = the real model, which is slower"
    )
    parser.add_argument("--only", choices=sorted(FAULTS), action="append", help="these faults, in this order")
    parser.add_argument(
        "--throughput", action="store_true", help="also measure what Redis costs when it fails"
    )
    parser.add_argument("--report", type=Path, help="Markdown file to write; its JSON stands beside it")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    given = parser.parse_args()
    try:
        outcome = asyncio.run(_campaigns(given))
    except MissingServerError as error:
        sys.exit(f"this {error}")
    text = json.dumps(summary(outcome), indent=1)
    sys.stdout.write(f"{text}\n")
    if given.report:
        given.report.write_text(
            markdown(
                outcome,
                command=command(sys.argv[1:]),
                machine=_machine(),
                day=f"{datetime.now(UTC):%Y-%m-%d}",
            )
        )
        given.report.with_suffix(".json").write_text(text + "\n")
    return 0 if not outcome.findings and all(event.survived for event in outcome.events) else 1


async def _campaigns(given: argparse.Namespace) -> Outcome:
    if given.campaigns == 1:
        return await _campaign(given)
    outcome, seeds = Outcome(), range(given.seed, given.seed + given.campaigns)
    for each in await asyncio.gather(*(_campaign_of_its_own(given, seed) for seed in seeds)):
        outcome += each
    return outcome


async def _campaign_of_its_own(given: argparse.Namespace, seed: int) -> Outcome:
    """In another process."""
    options = {"faults": given.faults, "posts": given.posts, "rate": given.rate, "workers": given.workers}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tests.chaos", "--seed", str(seed), "--engine", given.engine),
        *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        *(["--keep"] if given.keep else []),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    return Outcome.from_dict(json.loads(told))


async def _campaign(given: argparse.Namespace) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="mmsent-chaos-"))
    faults = given.only or plan(given.faults, given.seed)
    try:
        async with running(
            folder,
            seed=given.seed,
            workers=given.workers,
            rate=given.rate,
            session_timeout_s=10,
            engine=given.engine,
        ) as stack:
            kept = await measure(stack) if given.throughput else None
            outcome = await run(stack, faults, seed=given.seed, long=True, posts=given.posts)
            outcome.figures |= {"redis_outage": kept} if kept else {}
            return outcome
    finally:
        if given.keep:
            sys.stderr.write(f"logs are in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def command(options: list[str]) -> str:
    """What was typed, without where it left its files."""
    told, rest = [], iter(options)
    for option in rest:
        if option == "--report":
            next(rest, None)
        elif option != "--keep" and not option.startswith("--report="):
            told.append(option)
    return " ".join(["python -m tests.chaos", *told])


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return (
        f"a machine with {os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB and Python {python}"
    )


if __name__ == "__main__":
    sys.exit(main())
