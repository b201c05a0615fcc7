"""What a worker says of itself."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from mmsent.errors import LiveUnavailableError, SetupError, StoreUnavailableError
from worker import health
from worker.health import HealthServer, Heart
from worker.logs import Sparse
from worker.metrics import Metrics, Reading

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def health_server(
    port: int, checks: Mapping[str, bool], metrics: Metrics, troubles: Sequence[str] = ()
) -> HealthServer:
    return HealthServer(
        "127.0.0.1", port, troubles=lambda: troubles, checks=lambda: checks, registry=metrics.registry
    )


@asynccontextmanager
async def asking(
    checks: Mapping[str, bool], metrics: Metrics, troubles: Sequence[str] = ()
) -> AsyncIterator[ClientSession]:
    server = health_server(0, checks, metrics, troubles)
    async with server, ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session


async def test_ready_once_nothing_is_missing() -> None:
    checks = {"model": True, "partitions": False, "database": False}
    async with asking(checks, Metrics()) as session:
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["missing"] == ["partitions", "database"]
        async with session.get("/healthz") as answer:
            assert answer.status == 200  # alive all the same
        checks.update(partitions=True, database=True)
        async with session.get("/readyz") as answer:
            assert (answer.status, await answer.json()) == (
                200,
                {"ready": True, "missing": [], "checks": dict.fromkeys(checks, True)},
            )


async def test_unhealthy_with_a_reason() -> None:
    troubles: list[str] = []
    async with asking({}, Metrics(), troubles) as session:
        async with session.get("/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"healthy": True, "troubles": []})
        troubles.append("partition 3 has records waiting and has not moved for 60 s")
        async with session.get("/healthz") as answer:
            assert (answer.status, await answer.json()) == (503, {"healthy": False, "troubles": troubles})


STUCK = """
import asyncio, time
from worker.health import leave_if_stuck

async def main():
    guard = asyncio.create_task(leave_if_stuck(0.5))
    await asyncio.sleep(1.5)
    print("alive", flush=True)
    time.sleep(30)

asyncio.run(main())
"""


def test_a_loop_that_hangs_ends_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=25, check=False
    )
    assert (done.returncode, done.stdout) == (1, "alive\n")
    assert "in main" in done.stderr


async def test_metrics_can_be_read_and_move() -> None:
    metrics, depth = Metrics(), [3.0]
    metrics.read(
        Reading("mmsent_in_flight", "Records in hand", lambda: depth[0]),
        Reading("mmsent_engine_posts_total", "Posts", lambda: depth[0]),
    )
    metrics.image_failed("timeout")
    metrics.stage_took("decode", 0.02)
    async with asking({}, metrics) as session:

        async def read() -> dict[tuple[str, str], float]:
            async with session.get("/metrics") as answer:
                assert answer.content_type == "text/plain"
                text = await answer.text()
            return {
                (sample.name, ",".join(sample.labels.values())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }

        first = await read()
        assert first["mmsent_image_errors_total", "timeout"] == 1
        assert first["mmsent_stage_seconds_count", "decode"] == 1
        assert first["mmsent_in_flight", ""] == first["mmsent_engine_posts_total", ""] == 3
        assert first["process_resident_memory_bytes", ""] > 0
        depth[0] = 5
        assert (await read())["mmsent_in_flight", ""] == 5
    own = {name for name, _ in first if not name.startswith(("process_", "python_"))}
    assert all(name.startswith("mmsent_") for name in own)


async def test_a_port_that_is_taken() -> None:
    async with health_server(0, {}, Metrics()) as first:
        second = health_server(first.port, {}, Metrics())
        with pytest.raises(SetupError, match="choose another MMSENT_HEALTH_PORT"):
            await second.__aenter__()


def test_libraries_do_not_flood_the_log() -> None:
    def line(said: str, at: float) -> logging.LogRecord:
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, said, None, None)
        record.created = at
        return record

    sparse = Sparse()
    assert sparse.filter(line("down", 100))
    assert not sparse.filter(line("down", 105))
    assert sparse.filter(line("up", 105))
    assert sparse.filter(line("down", 110))


class DatabaseThatComesAndGoes:
    def __init__(self) -> None:
        self.up = True
        self.talks = asyncio.Event()
        self.talks.set()
        self.questions = 0

    async def outbox(self) -> int:
        self.questions += 1
        while not self.talks.is_set():
            with suppress(asyncio.CancelledError):  # as psycopg, which first wants the server to know
                await self.talks.wait()
        if not self.up:
            raise StoreUnavailableError("down")
        return 3


class Listener:
    """Hears heartbeats."""

    def __init__(self) -> None:
        self.workers: dict[str, Any] = {}
        self.up = True

    async def heartbeat(self, worker: str, state: Mapping[str, Any]) -> None:
        self.workers[worker] = json.loads(json.dumps(dict(state)))

    async def farewell(self, worker: str) -> None:
        del self.workers[worker]

    async def ping(self) -> None:
        if not self.up:
            raise LiveUnavailableError("down")


async def test_the_heart_feels_database_and_redis_and_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BEAT_S", 0.05)
    database, listener = DatabaseThatComesAndGoes(), Listener()
    heart = Heart("w1", outbox=database.outbox, live=listener, state=lambda: {"in_hand": 2}, now=lambda: NOW)
    await heart.beat()
    assert (heart.database_up, heart.live_up, heart.outbox_waiting) == (True, True, 3)
    assert listener.workers == {"w1": {"at": "2026-11-21T10:00:00+00:00", "database": True, "in_hand": 2}}
    database.up = listener.up = False
    await heart.beat()
    assert (heart.database_up, heart.live_up) == (False, False)
    assert listener.workers["w1"]["database"] is False
    database.up = listener.up = True
    await heart.beat()
    assert (heart.database_up, heart.live_up) == (True, True)
    asked = database.questions
    database.talks.clear()
    for _ in range(2):
        async with asyncio.timeout(5):
            await heart.beat()
        assert not heart.database_up
    assert database.questions == asked + 1
    database.talks.set()
    await heart.beat()
    assert heart.database_up
    await heart.stop()
    assert listener.workers == {}
