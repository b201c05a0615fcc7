"""Every number that a worker shows moves when what it speaks of happens, and stands in docs/operations.md."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from mmsent import __version__
from mmsent.embedded.servers import local_kafka, local_redis
from mmsent.engine.stub import StubEngine
from mmsent.errors import BrokerUnavailableError, PartitionLostError
from mmsent.settings import Settings
from mmsent.store.schema import open_engine
from tests.test_consumer import Bench, MemoryKafka, values
from tests.test_worker import PATIENCE_S, delete, post, publish, settings_for, until_all_is_done, working
from worker import __main__ as program
from worker import health
from worker.__main__ import Serving
from worker.metrics import COMMIT_FAILURES, DEAD_STAGES, OUTCOMES, STAGES

OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"
Series = Mapping[str, dict[str, float]]  # name of the metric → its labels → value


class Watched:
    """What a worker's /metrics has said so far; those who ask wait for it to say something."""

    def __init__(self) -> None:
        self.now: Series = {}
        self.seen: dict[str, set[tuple[tuple[str, float], ...]]] = defaultdict(set)

    def read(self, exposed: str) -> None:
        self.now = parsed(exposed)
        for name, series in self.now.items():
            self.seen[name].add(tuple(sorted(series.items())))

    def moved(self) -> set[str]:
        return {name for name, states in self.seen.items() if len(states) > 1}

    def get(self, name: str, labels: str = "") -> float:
        return self.now.get(name, {}).get(labels, 0)

    async def until(self, name: str, at_least: float = 1, labels: str = "") -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.get(name, labels) < at_least:  # noqa: ASYNC110  # somebody else scrapes
                await asyncio.sleep(0.01)

    async def until_zero(self, name: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while name not in self.now or self.get(name):  # noqa: ASYNC110  # likewise
                await asyncio.sleep(0.01)


def parsed(exposed: str) -> Series:
    """Counters by the name people write in queries, histograms by their count."""
    series: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            if sample.name.endswith(("_bucket", "_sum")):
                continue
            name = family.name if family.type == "histogram" else sample.name
            series.setdefault(name, {})[",".join(sample.labels.values())] = sample.value
    return {name: values for name, values in series.items() if name.startswith("mmsent_")}


@asynccontextmanager
async def watching(serving: Serving) -> AsyncIterator[Watched]:
    watched = Watched()

    async def scrape() -> None:
        async with ClientSession() as session:
            while True:
                if serving.port:
                    async with session.get(f"http://127.0.0.1:{serving.port}/metrics") as answer:
                        watched.read(await answer.text())
                await asyncio.sleep(0.02)

    task = asyncio.create_task(scrape())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class SlowImageHost:
    """Serves a dark picture, once `released`."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        buffer = BytesIO()
        Image.new("RGB", (32, 32), "black").save(buffer, "PNG")
        self._picture = buffer.getvalue()

    async def answer(self, _request: web.Request) -> web.Response:
        await self.released.wait()
        return web.Response(body=self._picture, content_type="image/png")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/dark.png", self.answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self.released.set()
            await runner.cleanup()


@asynccontextmanager
async def locked(settings: Settings) -> AsyncIterator[None]:
    """Nobody else can write to the database meanwhile."""
    engine = open_engine(settings.resolved_database_url)
    connection = await asyncio.to_thread(engine.connect)
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK")
        connection.close()
        engine.dispose()


def documented() -> set[str]:
    """Names in the first column of the tables of metrics."""
    return set(re.findall(r"^\| `(mmsent_\w+)", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE))


async def test_every_number_moves_and_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "create_engine", lambda _settings: StubEngine(delay_s=0.2))
    monkeypatch.setattr(health, "BEAT_S", 0.2)
    images = SlowImageHost()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(images.listening())
        kafka, redis = stack.enter_context(ExitStack()), stack.enter_context(ExitStack())
        settings = settings_for(
            tmp_path,
            kafka_bootstrap_servers=await asyncio.to_thread(kafka.enter_context, local_kafka()),
            redis_url=redis.enter_context(local_redis()),
        ).model_copy(
            update={
                "fetch_allow_private": (host,),
                "fetch_deadline_s": PATIENCE_S,
                "kafka_request_timeout_s": 2.0,
                "batch_max_tokens": 32,
            }
        )
        picture = {"images": [{"url": f"http://{host}/dark.png"}]}
        serving = await stack.enter_async_context(working(settings, let_go=False))
        watched = await stack.enter_async_context(watching(serving))

        await watched.until("mmsent_ready")
        await good_times(settings, watched, images, picture)
        await locked_database(settings, watched)
        await everything_gone(settings, watched, images, picture, kafka=kafka, redis=redis)

        assert watched.now["mmsent_build_info"] == {f"stub,stub@1,{__version__}": 1}
        unmoved = set(watched.now) - watched.moved() - {"mmsent_build_info"}
        assert unmoved <= {"mmsent_commits_failed_total", "mmsent_lost_records_total"}  # which have their own
        assert set(watched.now) == documented()


async def good_times(
    settings: Settings, watched: Watched, images: SlowImageHost, picture: Mapping[str, Any]
) -> None:
    """Posts of every kind, a picture that is waited for, a conflict."""
    await publish(settings, [post(f"test/{n}") for n in range(80)])
    await watched.until("mmsent_engine_waiting")
    odd = [
        post("test/0"),
        post("test/1", version=2),
        post("test/1", version=1),
        delete("test/2", 3),
        post("test/held", **picture),
        post("test/refused", images=[{"url": "http://127.0.0.1:1/a.jpg"}]),
        post("test/poison", "stub-poison"),
        b"{",
        b"{}",
    ]
    await publish(settings, odd)
    await watched.until("mmsent_fetches_open")
    await watched.until("mmsent_in_flight")
    images.released.set()
    await until_all_is_done(settings)
    await watched.until("mmsent_outbox_published_total")
    await watched.until("mmsent_watermark_timestamp_seconds")
    for outcome in OUTCOMES:
        await watched.until("mmsent_posts_total", labels=outcome)
    for stage in STAGES:
        await watched.until("mmsent_stage_seconds", labels=stage)
    for dead in ("decode", "validate", "score"):
        await watched.until("mmsent_dead_letters_total", labels=dead)
    assert set(watched.now["mmsent_dead_letters_total"]) == set(DEAD_STAGES)
    assert watched.get("mmsent_image_errors_total", "forbidden_address") == 1
    assert watched.get("mmsent_conflicts_total") == 1
    assert watched.get("mmsent_live_up") == 1


async def locked_database(settings: Settings, watched: Watched) -> None:
    """Writes wait, and then are tried again; nothing more is taken."""
    async with locked(settings):
        await publish(settings, [post("locked/1")])
        await asyncio.sleep(1)
        await publish(settings, [post(f"locked/{n}") for n in range(2, 9)])
        await watched.until("mmsent_write_waiting")
        await watched.until("mmsent_database_retries_total")
        await watched.until("mmsent_intake_paused")
        await watched.until_zero("mmsent_database_up")
        await watched.until_zero("mmsent_ready")
        async with asyncio.timeout(PATIENCE_S):
            while not sum(watched.now["mmsent_lag_records"].values()):  # noqa: ASYNC110  # somebody else scrapes
                await asyncio.sleep(0.05)
    await until_all_is_done(settings)
    await watched.until("mmsent_ready")


async def everything_gone(
    settings: Settings,
    watched: Watched,
    images: SlowImageHost,
    picture: Mapping[str, Any],
    *,
    kafka: ExitStack,
    redis: ExitStack,
) -> None:
    """Redis and Kafka go while a post with a conflict is in hand."""
    images.released.clear()
    await publish(settings, [post("gone/1", **picture)])
    await watched.until("mmsent_fetches_open")
    await asyncio.to_thread(redis.close)
    await watched.until_zero("mmsent_live_up")
    await asyncio.to_thread(kafka.close)
    images.released.set()
    await watched.until("mmsent_broker_retries_total")
    await watched.until("mmsent_live_skipped_posts_total")
    await watched.until("mmsent_outbox_waiting")
    await watched.until("mmsent_detector_failures_total")


@pytest.mark.parametrize("reason", COMMIT_FAILURES)
async def test_commits_that_fail_are_counted(reason: str) -> None:
    bench = Bench(MemoryKafka(values("a", 3)))
    error = BrokerUnavailableError("down") if reason == "unavailable" else PartitionLostError("lost")
    bench.kafka.commit_errors = [error]
    async with bench.running():
        await bench.until_done()
    assert bench.count("mmsent_commits_failed_total", reason=reason) == 1


async def test_records_that_are_lost_are_counted() -> None:
    bench = Bench(MemoryKafka([b"a", *[None] * 5, b"b"]))
    async with bench.running():
        await bench.until_done()
    assert bench.count("mmsent_lost_records_total") == 5
