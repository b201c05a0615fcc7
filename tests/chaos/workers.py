"""Workers as an orchestrator keeps them: each is started again when it ends, and what it said is kept."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mmsent.settings import Settings

RESTART_AFTER_S = 0.5
SAMPLE_S = 0.5
WAIT_S = 180.0  # a busy machine takes a minute to start a worker


@dataclass
class Slot:
    """One worker and those that came before it in its place."""

    number: int
    folder: Path
    wanted: bool = True
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None
    killed: bool = False  # by us, so that its end surprises nobody
    started_at_byte: int = 0  # of the journal
    memory: dict[int, int] = field(default_factory=dict)  # pid → largest resident set, MiB

    @property
    def journal(self) -> Path:
        return self.folder / f"journal-{self.number}"

    @property
    def orders(self) -> Path:
        return self.folder / f"orders-{self.number}"

    @property
    def log(self) -> Path:
        return self.folder / f"worker-{self.number}.log"


class Workers:
    """Starts, stops, kills and watches workers over one group."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._environment = {**os.environ, **environment(settings)}
        self._folder = folder
        self.slots: list[Slot] = []
        self.surprises: Counter[int] = Counter()  # exit codes that nobody ordered
        self._sampler: asyncio.Task[None] | None = None

    async def scale(self, count: int) -> None:
        """Let `count` workers run; those too many are told to leave in good order."""
        running = self.running
        for slot in running[count:]:
            await self.leave(slot)
        for _ in range(count - len(running)):
            slot = Slot(len(self.slots), self._folder)
            slot.journal.touch()
            self.slots.append(slot)
            slot.keeper = asyncio.create_task(self._keep(slot))
        if self._sampler is None:
            self._sampler = asyncio.create_task(self._sample())

    @property
    def running(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.wanted]

    async def leave(self, slot: Slot) -> int:
        """SIGTERM, and no successor; its exit code."""
        slot.wanted = False
        process = slot.process
        if process is None or slot.keeper is None:
            return 0
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.shield(slot.keeper), WAIT_S)
        return process.returncode if process.returncode is not None else -1

    async def kill(self, slot: Slot) -> None:
        """kill -9 from outside; a successor follows."""
        await self.until(lambda: slot.process is not None, "a worker to kill")
        assert slot.process is not None
        slot.killed = True
        with suppress(ProcessLookupError):
            slot.process.kill()

    async def kill_at(self, slot: Slot, point: str, passings: int) -> float:
        """Let it kill itself at a point of its code; returns when that was."""
        await self.until(lambda: self.has_partitions(slot), "a worker to have partitions")
        slot.orders.write_text(f"{point} {passings}")
        assert slot.process is not None
        slot.killed = True
        process = slot.process
        process.send_signal(signal.SIGUSR1)
        await self.until(lambda: process.returncode is not None, f"a worker to pass {point}")
        assert process.returncode == -signal.SIGKILL, f"{point}: exit code {process.returncode}"
        return time.monotonic()

    def has_partitions(self, slot: Slot) -> bool:
        """Whether this process has been assigned some, since it started."""
        if slot.process is None or slot.process.returncode is not None:
            return False
        with slot.journal.open("rb") as journal:
            journal.seek(slot.started_at_byte)
            return b"a " in journal.read()

    def journal(self) -> tuple[Counter[tuple[int, int]], int]:
        """How often each (partition, offset) was taken in hand, and how many assignments there were."""
        taken: Counter[tuple[int, int]] = Counter()
        assignments = 0
        for slot in self.slots:
            for line in slot.journal.read_text().splitlines():
                kind, *numbers = line.split()
                if kind == "r":
                    taken[int(numbers[0]), int(numbers[1])] += 1
                else:
                    assignments += 1
        return taken, assignments

    def memory(self) -> dict[int, int]:
        """Resident MiB of each process that runs now, by its id."""
        found = {}
        for slot in self.running:
            if slot.process is not None and slot.process.returncode is None:
                with suppress(OSError):
                    pages = int(Path(f"/proc/{slot.process.pid}/statm").read_text().split()[1])
                    found[slot.process.pid] = pages * os.sysconf("SC_PAGE_SIZE") >> 20
        return found

    @property
    def largest_memory(self) -> int:
        return max((most for slot in self.slots for most in slot.memory.values()), default=0)

    def tracebacks(self) -> int:
        return sum(slot.log.read_text(errors="replace").count("Traceback") for slot in self.slots)

    async def close(self) -> None:
        """End all, and leave nothing behind."""
        if self._sampler:
            self._sampler.cancel()
        for slot in self.slots:
            slot.wanted = False
            if slot.process is not None and slot.process.returncode is None:
                slot.process.kill()
        await asyncio.gather(*(slot.keeper for slot in self.slots if slot.keeper), return_exceptions=True)

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
        """Wait for it; an AssertionError says what did not come."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            assert time.monotonic() < deadline, f"waited {WAIT_S:g} s in vain for {what}"
            await asyncio.sleep(0.05)

    async def _keep(self, slot: Slot) -> None:
        while slot.wanted:
            slot.started_at_byte = slot.journal.stat().st_size
            slot.killed = False
            with slot.log.open("ab") as log:
                slot.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-c", "from tests.chaos.worker import run; run()"),
                    cwd=Path(__file__).parents[2],
                    env=self._environment
                    | {"CHAOS_JOURNAL": str(slot.journal), "CHAOS_ORDERS": str(slot.orders)}
                    | {"PYTHONPATH": str(Path(__file__).parents[2])},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            code = await slot.process.wait()
            if slot.wanted:
                if not slot.killed:
                    self.surprises[code] += 1
                await asyncio.sleep(RESTART_AFTER_S)

    async def _sample(self) -> None:
        while True:
            now = self.memory()
            for slot in self.running:
                if slot.process is not None and slot.process.pid in now:
                    pid = slot.process.pid
                    slot.memory[pid] = max(slot.memory.get(pid, 0), now[pid])
            await asyncio.sleep(SAMPLE_S)


def environment(settings: Settings) -> dict[str, str]:
    """`settings` for another process."""
    given = settings.model_dump(mode="json", exclude_unset=True)
    return {
        f"MMSENT_{name.upper()}": ",".join(value) if isinstance(value, list | tuple) else str(value)
        for name, value in given.items()
    }
