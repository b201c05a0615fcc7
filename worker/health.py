"""How a worker is doing, for orchestrators and people: /healthz, /readyz, /metrics; and its heartbeat."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn, Protocol, Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from mmsent.errors import SetupError, UnavailableError

BEAT_S = 5.0


class HealthServer:
    """Answers as long as the event loop runs, which is what /healthz means.

    `checks` names everything that readiness needs and whether it is there.
    """

    def __init__(
        self, host: str, port: int, *, checks: Callable[[], Mapping[str, bool]], registry: CollectorRegistry
    ) -> None:
        self._host = host
        self._port = port
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
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        checks = dict(self._checks())
        missing = [name for name, there in checks.items() if not there]
        body = {"ready": not missing, "missing": missing, "checks": checks}
        return web.json_response(body, status=503 if missing else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


class Database(Protocol):
    async def ping(self) -> None: ...


class Heartbeats(Protocol):
    async def heartbeat(self, worker: str, state: Mapping[str, Any], /) -> None: ...

    async def farewell(self, worker: str, /) -> None: ...


class Heart:
    """Every few seconds: is the database there, and tell those who watch how we are doing."""

    def __init__(
        self,
        worker_id: str,
        *,
        database: Database,
        live: Heartbeats,
        state: Callable[[], Mapping[str, Any]],
        now: Callable[[], datetime],
    ) -> None:
        self._worker_id = worker_id
        self._database = database
        self._live = live
        self._state = state
        self._now = now
        self.database_up = True

    async def beat(self) -> None:
        try:
            await self._database.ping()
        except UnavailableError:
            self.database_up = False
        else:
            self.database_up = True
        at = self._now().isoformat()
        await self._live.heartbeat(self._worker_id, {"at": at, "database": self.database_up, **self._state()})

    async def run(self) -> NoReturn:
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_S)

    async def stop(self) -> None:
        """Say that we leave."""
        await self._live.farewell(self._worker_id)
