"""`mmsent doctor`: does everything that mmsent needs work here, and if not, what to do."""

import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from mmsent.broker import OffsetReader, check_topics
from mmsent.commands.console import data_console, give, printable
from mmsent.commands.packages import missing_packages
from mmsent.embedded.record import DemoRecord, running_demo
from mmsent.errors import BrokerUnavailableError, LiveUnavailableError, MmsentError, SetupError
from mmsent.live import LiveFeed
from mmsent.settings import Settings
from mmsent.store.reads import Reader
from mmsent.store.schema import head_revision

if TYPE_CHECKING:
    from rich.console import Console

EXTRAS = {"dashboard": "the dashboard", "demo": "`mmsent demo`", "train": "training and evaluation"}
PATIENCE_S = 3.0
FAILED = 4
ROOM_BYTES = 1_000_000_000  # for the demo's database over some hours
NAME_WIDTH = 14
INDENT = NAME_WIDTH + 3


@dataclass(frozen=True)
class Finding:
    """What one check found, and the `step` that would mend it.

    `required` ones that are not `ok` make the command fail.
    """

    name: str
    ok: bool
    detail: str
    required: bool = True
    step: str = ""

    def lines(self) -> list[Text]:
        """For people."""
        mark, style = ("✔", "green") if self.ok else ("✘", "bold red") if self.required else ("–", "yellow")
        first = Text.assemble((mark, style), f" {self.name:<{NAME_WIDTH}} ", printable(self.detail))
        return [first, *([Text(f"{' ' * INDENT}→ {self.step}", style="bold")] if self.step else [])]


def run(settings: Settings, *, as_json: bool) -> int:
    """Print what was found on stdout; the exit code."""
    missing = 0
    console = data_console()
    for finding in examine(settings):
        missing += finding.required and not finding.ok
        if as_json:
            give(json.dumps(asdict(finding), ensure_ascii=False))
        else:
            for line in finding.lines():
                _print(console, line)
    if not as_json:
        console.print(_verdict(missing))
    return FAILED if missing else 0


def _print(console: "Console", line: Text) -> None:
    """Wrapped below its detail on a terminal, in one piece elsewhere."""
    if not console.is_terminal:
        console.print(line, soft_wrap=True)
        return
    head, detail = line.divide([INDENT])
    grid = Table.grid()
    grid.add_column(width=INDENT)
    grid.add_column(overflow="fold")
    grid.add_row(head, detail)
    console.print(grid)


def _verdict(missing: int) -> Text:
    if not missing:
        return Text("all good", style="bold green")
    return Text("1 thing to do" if missing == 1 else f"{missing} things to do", style="bold red")


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
    yield _found("engine", lambda: _engine(settings))
    yield _found("data folder", lambda: _writable(settings.data_dir))
    yield _space(settings.data_dir)
    yield _demo(demo, settings)
    yield _found("database", lambda: _database(settings))
    yield from _kafka(settings, demo)
    yield _found("redis", lambda: asyncio.run(_redis(settings)), required=False)
    if demo is None:
        yield _port("worker port", settings.health_host, settings.health_port, "MMSENT_HEALTH_PORT=0")
        yield _port(
            "dashboard port", settings.dashboard_host, settings.dashboard_port, "mmsent demo --port 0"
        )


def _found(name: str, check: Callable[[], str], *, required: bool = True) -> Finding:
    """What a check says; our errors read "what is wrong; what to do"."""
    try:
        return Finding(name, ok=True, detail=check(), required=required)
    except MmsentError as error:
        wrong, _, step = str(error).rpartition("; ")
        return Finding(
            name,
            ok=False,
            detail=wrong or step,
            required=required,
            step=step.removeprefix("run: ") if wrong else "",
        )


def _packages() -> Iterator[Finding]:
    missing = missing_packages("")
    yield Finding(
        "packages",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "all there",
        step="pip install mmsent" if missing else "",
    )
    for extra, purpose in EXTRAS.items():
        missing = missing_packages(extra)
        yield Finding(
            f"[{extra}]",
            not missing,
            f"no {purpose} without {', '.join(missing)}" if missing else f"for {purpose}",
            required=False,
            step=f"pip install 'mmsent[{extra}]'" if missing else "",
        )


def _checkpoint(settings: Settings) -> str:
    if settings.engine == "stub":
        return "not needed by the stub engine"
    from mmsent.model.checkpoint import load_checkpoint  # noqa: PLC0415  # its failure is what we look for

    checkpoint = load_checkpoint(settings.checkpoint)
    return f"{checkpoint.model_id} in {checkpoint.folder}"


def _engine(settings: Settings) -> str:
    if settings.engine == "stub":
        return "the stub, which is for tests"
    try:
        from mmsent.engine.openvino import device  # noqa: PLC0415  # its failure is what we look for
    except ImportError as error:
        raise SetupError(
            f"OpenVINO cannot be loaded ({error}); run: pip install --force-reinstall openvino"
        ) from error
    return device()


def _space(data_dir: Path) -> Finding:
    folder = next(place for place in (data_dir, *data_dir.absolute().parents) if place.exists())
    free = shutil.disk_usage(folder).free
    enough = free >= ROOM_BYTES
    step = "" if enough else "make room there, or choose another folder: --data-dir"
    return Finding("disk space", enough, f"{free / 1e9:.1f} GB free", required=False, step=step)


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
        detail = f"none runs in {settings.data_dir}"
        return Finding("demo", ok=False, detail=detail, required=False, step="mmsent demo")
    where = demo.dashboard or "without a dashboard"
    return Finding("demo", ok=True, detail=f"runs as process {demo.pid}, {where}", required=False)


def _database(settings: Settings) -> str:
    reader = Reader(settings.resolved_database_url)
    try:
        reader.check()
    finally:
        reader.close()
    return f"at schema {head_revision()}"


def _kafka(settings: Settings, demo: DemoRecord | None) -> Iterator[Finding]:
    where = settings.kafka_bootstrap_servers
    try:  # the demo's broker makes topics by itself and knows no admin requests
        missing = asyncio.run(check_topics(settings)) if demo is None else []
        posts = 0 if demo is None else asyncio.run(_posts_on(settings))
    except BrokerUnavailableError:
        step = "mmsent demo (brings its own), or name yours: MMSENT_KAFKA_BOOTSTRAP_SERVERS=host:9092"
        yield Finding("kafka", ok=False, detail=f"no broker answers at {where}", step=step)
        return
    yield Finding("kafka", ok=True, detail=where if demo is None else f"the demo's, at {where}")
    if missing:
        wrong = ", ".join(problem.partition(";")[0] for problem in missing)
        yield Finding("topics", ok=False, detail=wrong, step="mmsent kafka create")
    else:
        yield Finding("topics", ok=True, detail="all there" if demo is None else f"{posts:,} posts so far")


async def _posts_on(settings: Settings) -> int:
    async with OffsetReader(settings) as offsets:
        return sum((await offsets.end_offsets(settings.topic("posts"))).values())


async def _redis(settings: Settings) -> str:
    feed = LiveFeed(settings)
    try:
        await feed.ping()
    except LiveUnavailableError as error:
        raise SetupError(
            f"none answers at {feed.address}, so no live feed; name yours: MMSENT_REDIS_URL=redis://host:6379/0"
        ) from error
    finally:
        await feed.aclose()
    return feed.address


def _port(name: str, host: str, port: int, how: str) -> Finding:
    if port == 0:
        return Finding(name, ok=True, detail="any free one", required=False)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = f"{host}:{port} is in use ({os.strerror(error.errno or 0)})"
            return Finding(name, ok=False, detail=detail, required=False, step=f"choose another: {how}")
    return Finding(name, ok=True, detail=f"{host}:{port} is free", required=False)
