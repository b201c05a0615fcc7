"""Programs that the demo starts, each in a session of its own, and that never outlive it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmsent.errors import SetupError
from mmsent.settings import Settings

BOUND = Path(__file__).with_name("bound.py")


class Program:
    """A program of its own; what it says goes to `log`.

    Ctrl-C at the terminal does not reach it; `stop` ends it, and the kernel does if this process is killed.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.peak_memory_mib = 0.0
        self._command = command
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it.

        Raises:
            SetupError: the log cannot be written.
        """
        bound = (sys.executable, "-I", "-S", str(BOUND), str(os.getpid()))
        try:
            log = self.log.open("wb")
        except OSError as error:
            raise SetupError(f"{self.log} cannot be written ({error.strerror})") from error
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *bound,
                *self._command,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ended(self) -> int:
        """Wait until it ends; its exit code, negative for a signal."""
        return await self._running().wait()

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for it and all its children after `grace_s`."""
        if self._process is None:
            return
        self.measure()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """SIGKILL for it and its children, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def measure(self) -> None:
        """Note the largest memory it has held so far, its children not counted (VmHWM of proc(5))."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self._running().pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_memory_mib = max(self.peak_memory_mib, int(line.split()[1]) / 1024)

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of its log."""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip("\n") for line in deque(lines, maxlen=count)]

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


def environment_of(settings: Settings) -> dict[str, str]:
    """Every setting as its environment twin, for a program that should work with the same ones."""
    values = settings.model_dump()
    return {
        f"MMSENT_{name.upper()}": ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if value is not None
    }


def process_age_s() -> float:
    """Seconds since this process was started (field 22 of /proc/self/stat, in clock ticks since boot)."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]) - started_s
