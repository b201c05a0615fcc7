"""`python -m worker`: scores posts from Kafka until told to stop. Its settings come from the environment."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import func, select

from mmsent import __version__
from mmsent.batching import MicroBatcher
from mmsent.broker import Message, Publisher
from mmsent.detector import Detector
from mmsent.engine.base import Engine, Prediction, ScoringRequest, create_engine
from mmsent.errors import MmsentError
from mmsent.images.decode import ImageDecoder
from mmsent.images.fetch import ImageFetcher
from mmsent.live import LiveFeed
from mmsent.pipeline import Announcement, Delivery, Scorer
from mmsent.settings import Settings
from mmsent.store.tables import outbox
from mmsent.store.writes import Store
from worker.consumer import Worker
from worker.health import HealthServer, Heart, leave_if_stuck
from worker.intake import Intake, TrackedTopics
from worker.logs import configure_logging, say_why
from worker.metrics import Metrics, Reading

LEAVE_S = 10.0  # for closing everything after a failure

log = structlog.get_logger(__name__)

Batcher = MicroBatcher[ScoringRequest, Prediction]


def now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(UTC)


@dataclass
class Vitals:
    """What health, readiness and the heartbeat need; parts appear as they are built."""

    metrics: Metrics = field(default_factory=Metrics)
    model: bool = False
    worker: Worker | None = None
    heart: Heart | None = None
    failure: str = ""  # why the worker leaves

    def troubles(self) -> list[str]:
        standing = self.worker.trouble if self.worker else ""
        return [trouble for trouble in (self.failure, standing) if trouble]

    def checks(self) -> dict[str, bool]:
        worker, heart = self.worker, self.heart
        return {
            "model": self.model,
            "partitions": worker is not None and worker.ready,
            "database": worker is not None
            and heart is not None
            and heart.database_up
            and not worker.database_down,
        }

    def state(self) -> dict[str, Any]:
        worker = self.worker
        if worker is None:
            return {}
        return {
            "partitions": worker.assignment,
            "in_hand": worker.in_hand,
            "lag": self.metrics.lag_seen,
            "ready": worker.ready,
        }


@dataclass
class Serving:
    """A running worker, for whoever started it: `stop` it, look at `port`."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    vitals: Vitals = field(default_factory=Vitals)
    port: int = 0


async def serve(settings: Settings, serving: Serving) -> None:
    """Build everything, work until `serving.stop`, close everything.

    Raises:
        MmsentError: one line that says what is missing, or why the worker cannot go on.
    """
    vitals = serving.vitals
    metrics = vitals.metrics
    async with AsyncExitStack() as stack:
        metrics.read(*state_readings(vitals, settings.max_in_flight))
        health = HealthServer(
            settings.health_host,
            settings.health_port,
            troubles=vitals.troubles,
            checks=vitals.checks,
            registry=metrics.registry,
        )
        serving.port = (await stack.enter_async_context(health)).port
        log.info("starting", version=__version__, health=f"http://{settings.health_host}:{serving.port}")

        store = Store(settings.resolved_database_url)
        stack.push_async_callback(store.close)
        await store.open()
        topics = TrackedTopics(settings.resolved_database_url, settings.topics_refresh_s)
        await topics.load()

        engine = await asyncio.to_thread(create_engine, settings)
        stack.callback(engine.close)
        vitals.model = True
        metrics.build.info({"version": __version__, "model": engine.model_id, "engine": _name(engine)})
        threshold = settings.conflict_threshold or engine.conflict_threshold

        fetcher = await stack.enter_async_context(ImageFetcher(settings))
        decoder = ImageDecoder(settings, engine.image_size)
        stack.callback(decoder.close)
        await decoder.open()
        batcher = Batcher(
            engine,
            max_tokens=settings.batch_max_tokens,
            max_images=settings.batch_max_images,
            max_waiting=settings.batch_max_waiting,
        )
        batcher.start()
        stack.push_async_callback(batcher.close)

        live = LiveFeed(settings)
        stack.push_async_callback(live.aclose)
        publisher = await stack.enter_async_context(Publisher(settings))

        async def publish_scores(posts: Sequence[Announcement]) -> None:
            messages = [Message(post.post_id.encode(), post.to_json()) for post in posts]
            await publisher.send_all(settings.topic("scores"), messages)

        scorer = Scorer(
            load_image=metrics.fetching(fetcher.fetch),
            decoder=decoder,
            batcher=batcher,
            model=engine,
            conflict_threshold=threshold,
            now=now,
            observe=metrics.stage_took,
            image_failed=metrics.image_failed,
        )
        worker = vitals.worker = Worker(
            settings,
            intake=Intake(scorer, topics, now),
            delivery=Delivery(store=store, live=live, publish=publish_scores, now=now),
            store=store,
            publisher=publisher,
            metrics=metrics,
            now=now,
            engine_failures=lambda: batcher.stats.failed_in_a_row,
        )
        detector = Detector(store, settings, publisher.send, worker.end_offsets, now, threshold=threshold)
        worker_id = f"{socket.gethostname()}-{os.getpid()}"
        heart = vitals.heart = Heart(
            worker_id, outbox=lambda: count_outbox(store), live=live, state=vitals.state, now=now
        )
        stack.push_async_callback(heart.stop)
        metrics.read(*readings(worker, heart, batcher, live, detector))
        try:
            await worker.run(
                *(serving.stop.wait, detector.run, topics.follow, heart.run),
                last=detector.flush,
            )
        except MmsentError as error:
            vitals.failure = str(error)
            raise
    log.info("stopped")


async def count_outbox(store: Store) -> int:
    """Records that wait in the database to be published; raises StoreUnavailableError."""
    async with store.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(outbox)) or 0


def _name(engine: Engine) -> str:
    return type(engine).__module__.rpartition(".")[2]


def state_readings(vitals: Vitals, max_in_flight: int) -> Iterator[Reading]:
    """What can be said from the beginning."""

    def paused() -> bool:
        worker = vitals.worker
        return worker is not None and (worker.database_down or worker.in_hand >= max_in_flight)

    yield Reading("mmsent_ready", "1 while /readyz says so", lambda: all(vitals.checks().values()))
    yield Reading("mmsent_database_up", "1 while it answers", lambda: vitals.checks()["database"])
    yield Reading("mmsent_intake_paused", "1 while nothing more is taken", paused)


def readings(
    worker: Worker, heart: Heart, batcher: Batcher, live: LiveFeed, detector: Detector
) -> Iterator[Reading]:
    """Numbers that the parts keep for themselves."""
    stats, found = batcher.stats, detector.counters
    yield Reading("mmsent_live_up", "1 while Redis answers", lambda: heart.live_up)
    yield Reading("mmsent_assigned_partitions", "Partitions of posts", lambda: len(worker.assignment))
    yield Reading("mmsent_in_flight", "Records in hand", lambda: worker.in_hand)
    yield Reading("mmsent_write_waiting", "Scored posts that wait to be written", lambda: worker.waiting)
    yield Reading("mmsent_engine_waiting", "Posts that wait for the engine", lambda: batcher.waiting)
    yield Reading("mmsent_engine_batches_total", "Batches the engine was given", lambda: stats.batches)
    yield Reading("mmsent_engine_posts_total", "Posts the engine was given", lambda: stats.posts)
    yield Reading("mmsent_engine_largest_batch_posts", "Since the start", lambda: stats.largest_batch)
    yield Reading("mmsent_engine_failed_posts_total", "Posts the engine failed on", lambda: stats.failed)
    yield Reading("mmsent_engine_busy_seconds_total", "Time the engine worked", lambda: stats.busy_s)
    yield Reading("mmsent_engine_wait_seconds_total", "Time posts waited for it", lambda: stats.waited_s)
    yield Reading("mmsent_live_skipped_posts_total", "Posts not shown live", lambda: live.skipped)
    yield Reading("mmsent_conflicts_total", "Conflicts counted into alerts", lambda: found.conflicts)
    yield Reading("mmsent_alert_revisions_total", "Revisions of alerts made", lambda: found.revisions)
    yield Reading("mmsent_detector_failures_total", "Rounds that were cut short", lambda: found.failures)
    yield Reading("mmsent_outbox_waiting", "Alerts and deletes to be sent", lambda: heart.outbox_waiting)
    yield Reading("mmsent_outbox_published_total", "Alerts and deletes sent", lambda: detector.published)
    yield Reading(
        "mmsent_watermark_timestamp_seconds",
        "Minutes that end by then are complete; 0 = none known",
        lambda: detector.watermark.timestamp() if detector.watermark else 0,
    )


@contextmanager
def _obeying_signals(settings: Settings, serving: Serving) -> Iterator[None]:
    """The first SIGTERM or SIGINT drains, within `drain_timeout_s`; the second leaves at once.

    Leaving at once is safe: what was not committed comes again.
    """
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if serving.stop.is_set():
            os._exit(1)
        serving.stop.set()
        _leave_after(settings.drain_timeout_s)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _leave_after(seconds: float) -> None:
    """Whatever still hangs then, be it a thread, does not hold us."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


async def _run(settings: Settings) -> None:
    serving = Serving()
    guard = asyncio.create_task(leave_if_stuck(settings.stall_timeout_s))
    with _obeying_signals(settings, serving):
        try:
            await serve(settings, serving)
        except BaseException:
            _leave_after(LEAVE_S)
            raise
        finally:
            guard.cancel()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker; returns its exit code."""
    argparse.ArgumentParser(prog="python -m worker", description=__doc__).parse_args(argv)
    log_format = "text"
    try:
        settings = Settings.load()
        log_format = settings.log_format
        configure_logging(settings)
        asyncio.run(_run(settings))
    except MmsentError as error:
        say_why(error, log_format)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
