"""`mmsent doctor`: does everything that mmsent needs work here, and if not, what to do."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile

from mmsent.broker import OffsetReader, check_topics
from mmsent.commands.console import give
from mmsent.commands.packages import missing_packages
from mmsent.embedded.record import DemoRecord, running_demo
from mmsent.errors import MmsentError, SetupError
from mmsent.live import LiveFeed
from mmsent.settings import Settings
from mmsent.store.reads import Reader
from mmsent.store.schema import head_revision

EXTRAS = {"dashboard": "the dashboard", "demo": "`mmsent demo`", "train": "training and evaluation"}
PATIENCE_S = 3.0
FAILED = 4


@dataclass(frozen=True)
class Finding:
    """What one check found. `required` ones that are not `ok` make the command fail."""

    name: str
    ok: bool
    detail: str
    required: bool = True

    def line(self) -> str:
        """For people."""
        mark = "✔" if self.ok else "✘" if self.required else "–"
        return f"{mark} {self.name:<12} {self.detail}"


def run(settings: Settings, *, as_json: bool) -> int:
    """Print what was found on stdout; the exit code."""
    failed = False
    for finding in examine(settings):
        failed = failed or (finding.required and not finding.ok)
        give(json.dumps(asdict(finding), ensure_ascii=False) if as_json else finding.line())
    return FAILED if failed else 0


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, in the order in which one would set things up."""
    demo = running_demo(settings.data_dir)
    if demo is not None:
        settings = settings.model_copy(
            update={
                "kafka_bootstrap_servers": demo.kafka_bootstrap_servers,
                "redis_url": demo.redis_url,
                "database_url": demo.database_url,
            }
        )
    settings = settings.model_copy(update={"kafka_request_timeout_s": PATIENCE_S})
    yield Finding("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} at {sys.executable}")
    yield from _packages()
    yield _found("checkpoint", lambda: _checkpoint(settings))
    yield _found("data folder", lambda: _writable(settings.data_dir))
    yield _demo(demo, settings)
    yield _found("database", lambda: _database(settings))
    yield _found("kafka", lambda: asyncio.run(_kafka(settings, demo)))
    yield _found("redis", lambda: asyncio.run(_redis(settings)), required=False)
    if demo is None:
        yield _port("worker port", settings.health_host, settings.health_port, "MMSENT_HEALTH_PORT")
        yield _port("dash. port", settings.dashboard_host, settings.dashboard_port, "--port")


def _found(name: str, check: Callable[[], str], *, required: bool = True) -> Finding:
    try:
        return Finding(name, ok=True, detail=check(), required=required)
    except MmsentError as error:
        return Finding(name, ok=False, detail=str(error), required=required)


def _packages() -> Iterator[Finding]:
    missing = missing_packages("")
    yield Finding(
        "packages",
        not missing,
        f"missing: {', '.join(missing)}; run: pip install mmsent" if missing else "all there",
    )
    for extra, purpose in EXTRAS.items():
        missing = missing_packages(extra)
        detail = f"without {', '.join(missing)} no {purpose}; run: pip install 'mmsent[{extra}]'"
        yield Finding(f"[{extra}]", not missing, detail if missing else f"for {purpose}", required=False)


def _checkpoint(settings: Settings) -> str:
    if settings.engine == "stub":
        return "not needed by the stub engine"
    from mmsent.model.checkpoint import load_checkpoint  # noqa: PLC0415  # its failure is what we look for

    checkpoint = load_checkpoint(settings.checkpoint)
    return f"{checkpoint.model_id} in {checkpoint.folder}"


def _writable(data_dir: Path) -> str:
    """Nothing is left there; a folder that is still to be made is judged by the one it would be in."""
    folder = next(place for place in (data_dir, *data_dir.absolute().parents) if place.exists())
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SetupError(
            f"{folder} cannot be written ({error.strerror}); choose another with --data-dir"
        ) from error
    return f"{data_dir}" if folder == data_dir else f"{data_dir} (still to be made)"


def _demo(demo: DemoRecord | None, settings: Settings) -> Finding:
    if demo is None:
        detail = f"none runs in {settings.data_dir}; start one: mmsent demo"
        return Finding("demo", ok=False, detail=detail, required=False)
    where = demo.dashboard or "without a dashboard"
    return Finding("demo", ok=True, detail=f"runs as process {demo.pid}, {where}", required=False)


def _database(settings: Settings) -> str:
    reader = Reader(settings.resolved_database_url)
    try:
        reader.check()
    finally:
        reader.close()
    return f"at schema {head_revision()}"


async def _kafka(settings: Settings, demo: DemoRecord | None) -> str:
    if demo is not None:  # its broker makes topics by itself and knows no admin requests
        async with OffsetReader(settings) as offsets:
            waiting = sum((await offsets.end_offsets(settings.topic("posts"))).values())
        return f"the demo's, {waiting:,} posts so far"
    problems = await check_topics(settings)
    if problems:
        raise SetupError("; ".join(problems))
    return f"{settings.kafka_bootstrap_servers}, all topics there"


async def _redis(settings: Settings) -> str:
    feed = LiveFeed(settings)
    try:
        await feed.ping()
    finally:
        await feed.aclose()
    return settings.redis_url.rpartition("@")[2]


def _port(name: str, host: str, port: int, how: str) -> Finding:
    if port == 0:
        return Finding(name, ok=True, detail="any free one", required=False)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = f"{host}:{port} is in use ({os.strerror(error.errno or 0)}); choose another: {how}"
            return Finding(name, ok=False, detail=detail, required=False)
    return Finding(name, ok=True, detail=f"{host}:{port} is free", required=False)
