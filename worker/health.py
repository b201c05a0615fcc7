"""How a worker is doing, for orchestrators and people: /healthz, /readyz, /metrics; and its heartbeat."""

import asyncio
import faulthandler
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, Protocol, Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from mmsent.errors import SetupError, UnavailableError

BEAT_S = 5.0
LAST_WAIT_S = 1.0  # for a database that does not answer, when we leave


class HealthServer:
    """Answers as long as the event loop runs; silence is an answer too.

    `troubles` says what only a restart can mend, one line each; `checks` names everything that readiness
    needs and whether it is there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        troubles: Callable[[], Sequence[str]],
        checks: Callable[[], Mapping[str, bool]],
        registry: CollectorRegistry,
    ) -> None:
        self._host = host
        self._port = port
        self._troubles = troubles
        self._checks = checks
        self._registry = registry
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)

    @property
    def port(self) -> int:
        """The one in use, once started."""
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise SetupError(
                f"cannot listen on {self._host}:{self._port} ({error.strerror}); "
                "choose another MMSENT_HEALTH_PORT (0 = any free one)"
            ) from error
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        troubles = list(self._troubles())
        body = {"healthy": not troubles, "troubles": troubles}
        return web.json_response(body, status=503 if troubles else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        checks = dict(self._checks())
        missing = [name for name, there in checks.items() if not there]
        body = {"ready": not missing, "missing": missing, "checks": checks}
        return web.json_response(body, status=503 if missing else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


class Live(Protocol):
    async def heartbeat(self, worker: str, state: Mapping[str, Any], /) -> None: ...

    async def farewell(self, worker: str, /) -> None: ...

    async def ping(self) -> None: ...


class Heart:
    """Every few seconds: are database and Redis there, and tell those who watch how we are doing.

    `outbox` asks the database how many records wait there to be published.
    """

    def __init__(
        self,
        worker_id: str,
        *,
        outbox: Callable[[], Coroutine[Any, Any, int]],
        live: Live,
        state: Callable[[], Mapping[str, Any]],
        now: Callable[[], datetime],
    ) -> None:
        self._worker_id = worker_id
        self._outbox = outbox
        self._live = live
        self._state = state
        self._now = now
        self.database_up = True
        self.live_up = False
        self.outbox_waiting = 0
        self._question: asyncio.Task[int] | None = None

    async def beat(self) -> None:
        self.database_up = await self._ask_database()
        self.live_up = await self._ask_live()
        at = self._now().isoformat()
        await self._live.heartbeat(self._worker_id, {"at": at, "database": self.database_up, **self._state()})

    async def _ask_database(self) -> bool:
        """One question at a time; without an answer it stays open: cancelling waits for the server too."""
        if self._question is None:
            self._question = asyncio.create_task(self._outbox())
        await asyncio.wait([self._question], timeout=BEAT_S)
        if not self._question.done():
            return False
        question, self._question = self._question, None
        try:
            self.outbox_waiting = question.result()
        except UnavailableError:
            return False
        return True

    async def _ask_live(self) -> bool:
        try:
            await self._live.ping()
        except UnavailableError:
            return False
        return True

    async def run(self) -> NoReturn:
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_S)

    async def stop(self) -> None:
        """Say that we leave."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait([self._question], timeout=LAST_WAIT_S)
        await self._live.farewell(self._worker_id)


async def leave_if_stuck(timeout_s: float) -> NoReturn:
    """End this program, stacks on stderr, once its event loop has stood still for so long.

    The watchdog runs on that loop, so it cannot; the thread of `faulthandler` needs no Python to run.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(timeout_s, exit=True)
            await asyncio.sleep(timeout_s / 10)
    finally:
        faulthandler.cancel_dump_traceback_later()
