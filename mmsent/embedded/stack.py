"""Everything a demo consists of: servers in this process, and the worker and the dashboard as programs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from os import getpid

from aiohttp import ClientError, ClientSession, ClientTimeout

from mmsent.embedded.pictures import PictureServer
from mmsent.embedded.processes import Program, environment_of
from mmsent.embedded.record import DemoRecord
from mmsent.embedded.servers import free_port, local_kafka, local_redis
from mmsent.embedded.topics import track_missing
from mmsent.errors import MmsentError, SetupError
from mmsent.settings import Settings
from mmsent.store.schema import upgrade
from mmsent.topics import TrackedTopic

READY_WITHIN_S = 120.0
LOOK_S = 0.1
DOING = {"worker": "the worker loads the model", "dashboard": "the dashboard starts"}
DONE = {"worker": "worker, with the model loaded", "dashboard": "dashboard"}
FETCH_DEADLINE_S = 60.0  # the pictures are our own: a busy machine is no slow stranger
STALL_TIMEOUT_S = 600.0  # nobody starts this worker again


@dataclass(frozen=True)
class Steps:
    """Hears how starting goes: `doing` what we wait for, `done` what is there."""

    doing: Callable[[str], None]
    done: Callable[[str], None]


class Stack:
    """What runs; `settings` say where."""

    def __init__(self, settings: Settings, pictures: PictureServer, steps: Steps, *, headless: bool) -> None:
        self._steps = steps
        self.settings = settings
        self.pictures = pictures
        self.worker = self._program("worker")
        self._programs = {self.worker: f"http://{settings.health_host}:{settings.health_port}/readyz"}
        self.dashboard: str | None = None
        if not headless:
            everywhere = settings.dashboard_host in {"0.0.0.0", "::"}  # noqa: S104  # compared, not bound
            host = "127.0.0.1" if everywhere else settings.dashboard_host
            self.dashboard = f"http://{host}:{settings.dashboard_port}"
            self._programs[self._program("dashboard")] = f"{self.dashboard}/_stcore/health"

    @property
    def programs(self) -> tuple[Program, ...]:
        return tuple(self._programs)

    def _program(self, name: str) -> Program:
        # -P: a folder that we happen to be started in cannot stand in for our packages
        command = (sys.executable, "-P", "-m", name)
        log = self.settings.data_dir / "logs" / f"{name}.log"
        return Program(name, command, environment_of(self.settings), log)

    async def start(self) -> None:
        """Start the programs."""
        (self.settings.data_dir / "logs").mkdir(exist_ok=True)
        for program in self.programs:
            await program.start()

    async def ready(self) -> None:
        """Wait until the worker may be sent posts and the dashboard answers.

        Raises:
            SetupError: one of them takes too long.
        """
        waiting = dict(self._programs)
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=5)) as session,
                asyncio.timeout(READY_WITHIN_S),
            ):
                while waiting:
                    self._steps.doing(" · ".join(DOING[program.name] for program in waiting))
                    for program, address in tuple(waiting.items()):
                        if await _answers(session, address):
                            del waiting[program]
                            self._steps.done(DONE[program.name])
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            slow = next(iter(waiting))
            raise SetupError(
                f"the {slow.name} is not ready after {READY_WITHIN_S:g} s; see {slow.log}"
            ) from error

    async def guard(self) -> None:
        """Wait until a program ends by itself, which none should.

        Raises:
            ProgramEndedError: names it.
        """
        ends = {asyncio.ensure_future(program.ended()): program for program in self.programs}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        end = done.pop()
        raise ProgramEndedError(ends[end], end.result())

    async def stop(self) -> None:
        """End the programs: what the worker has in hand it finishes first."""
        grace_s = self.settings.drain_timeout_s + 5.0
        await asyncio.gather(*(program.stop(grace_s) for program in self.programs))

    def kill(self) -> None:
        """End the programs at once."""
        for program in self.programs:
            program.kill()

    def record(self) -> DemoRecord:
        """Where it can be reached."""
        settings = self.settings
        return DemoRecord(
            pid=getpid(),
            kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
            redis_url=settings.redis_url,
            database_url=settings.resolved_database_url,
            health=f"http://{settings.health_host}:{settings.health_port}",
            dashboard=self.dashboard,
            started_at=datetime.now(UTC).isoformat(),
        )


class ProgramEndedError(MmsentError):
    """A program of the demo ended by itself."""

    def __init__(self, program: Program, code: int) -> None:
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        super().__init__(f"the {program.name} ended unexpectedly ({how}); its whole log: {program.log}")
        self.last_lines = program.last_lines()


@asynccontextmanager
async def running_stack(
    settings: Settings,
    *,
    headless: bool,
    started: Callable[[Stack], None],
    steps: Steps,
    topics: Sequence[TrackedTopic] = (),
) -> AsyncIterator[Stack]:
    """The stack for as long as the block runs. `started` is told before it is ready; `topics` are tracked.

    Its database is the data folder's, whatever the settings say: made-up posts belong in no other.
    """
    settings = settings.model_copy(update={"database_url": ""})
    with ExitStack() as servers:
        steps.doing("broker and live feed")
        kafka = servers.enter_context(local_kafka())
        redis = servers.enter_context(local_redis())
        steps.done("broker and live feed")
        steps.doing("database")
        await asyncio.to_thread(upgrade, settings.resolved_database_url)
        await asyncio.to_thread(track_missing, settings.resolved_database_url, topics)
        steps.done("database")
        async with PictureServer() as pictures:
            here = {
                "kafka_bootstrap_servers": kafka,
                "redis_url": redis,
                "topic_prefix": "",
                "fetch_allow_private": (pictures.endpoint,),
                "stall_timeout_s": max(settings.stall_timeout_s, STALL_TIMEOUT_S),
                "fetch_deadline_s": max(settings.fetch_deadline_s, FETCH_DEADLINE_S),
                "fetch_max_concurrent_per_host": settings.fetch_max_concurrent,  # one host has them all
                "health_host": "127.0.0.1",
                "health_port": free_port(),
                "dashboard_port": settings.dashboard_port or free_port(),
            }
            stack = Stack(settings.model_copy(update=here), pictures, steps, headless=headless)
            started(stack)
            try:
                await stack.start()
                yield stack
            finally:
                await stack.stop()


async def _answers(session: ClientSession, address: str) -> bool:
    try:
        async with session.get(address) as response:
            return response.status == 200
    except (ClientError, TimeoutError):
        return False
