"""What a worker says of itself."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from mmsent.errors import SetupError, StoreUnavailableError
from worker.__main__ import Sparse
from worker.health import HealthServer, Heart
from worker.metrics import Metrics, Reading

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


@asynccontextmanager
async def asking(checks: Mapping[str, bool], metrics: Metrics) -> AsyncIterator[ClientSession]:
    server = HealthServer("127.0.0.1", 0, checks=lambda: checks, registry=metrics.registry)
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
    async with HealthServer("127.0.0.1", 0, checks=dict, registry=Metrics().registry) as first:
        second = HealthServer("127.0.0.1", first.port, checks=dict, registry=Metrics().registry)
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

    async def ping(self) -> None:
        if not self.up:
            raise StoreUnavailableError("down")


class Listener:
    """Hears heartbeats."""

    def __init__(self) -> None:
        self.workers: dict[str, Any] = {}

    async def heartbeat(self, worker: str, state: Mapping[str, Any]) -> None:
        self.workers[worker] = json.loads(json.dumps(dict(state)))

    async def farewell(self, worker: str) -> None:
        del self.workers[worker]


async def test_the_heart_feels_the_database_and_is_heard() -> None:
    database, listener = DatabaseThatComesAndGoes(), Listener()
    heart = Heart("w1", database=database, live=listener, state=lambda: {"in_hand": 2}, now=lambda: NOW)
    await heart.beat()
    assert heart.database_up
    assert listener.workers == {"w1": {"at": "2026-11-21T10:00:00+00:00", "database": True, "in_hand": 2}}
    database.up = False
    await heart.beat()
    assert not heart.database_up
    assert listener.workers["w1"]["database"] is False
    database.up = True
    await heart.beat()
    assert heart.database_up
    await heart.stop()
    assert listener.workers == {}
