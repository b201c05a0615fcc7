"""Real servers without Docker, each in a private folder on a private port of 127.0.0.1."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sqlalchemy import create_engine, make_url, text

from mmsent.embedded.servers import free_port

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0


class MissingServerError(Exception):
    """A program that a server needs is not installed; the text says what to install."""


class Server:
    """A server that can be stopped, killed, frozen and started again over the same data."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the data folder; once."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def url(self) -> str:
        """The address as mmsent's settings want it."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                **self.owner(),
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.name} does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        self.prepare()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def owner(self) -> dict[str, str]:
        """Whom the process runs as, as `Popen` wants it; empty = us."""
        return {}

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """kill -9, all its processes."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait(STOP_WITHIN_S)
        self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To all its processes: PostgreSQL's are each in a session of their own."""
        if self._process is None or self._process.poll() is not None:
            return
        for process in _family(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(process, number)


class Kafka(Server):
    """Apache Kafka in KRaft mode, broker and controller in one; jars from Maven Central, kept in a cache."""

    name = "kafka"
    POM = Path(__file__).with_name("kafka-pom.xml")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._controller = free_port()
        self._jars = self._cached_jars()

    def prepare(self) -> None:
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.folder / "kafka-data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
        }
        lines = [f"{name}={value}" for name, value in properties.items()]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n")
        cluster = "-t", "bW1zZW50LXRlc3RzLTAwMQ", "-c", "server.properties"
        run([*self._java("kafka.tools.StorageTool"), "format", "--ignore-formatted", *cluster], self.folder)

    def command(self) -> list[str]:
        return [*self._java("kafka.Kafka", "-Xmx512m"), "server.properties"]

    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _java(self, main: str, *options: str) -> list[str]:
        return [_program("java", "openjdk-17-jre-headless"), *options, "-cp", f"{self._jars}/*", main]

    def _cached_jars(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mmsent-tests"
        jars = cache / f"kafka-{self.POM.stat().st_size}-{self._version()}"
        with (cache_folder(cache) / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may want them too
            if not jars.exists():
                partial = jars.with_name(f"{jars.name}.partial")
                goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
                run([_program("mvn", "maven"), "-q", "-B", "-f", str(self.POM), *goal], cache, 600)
                partial.replace(jars)
        return jars

    def _version(self) -> str:
        return self.POM.read_text().split("<version>")[2].split("<")[0]


class Postgres(Server):
    """PostgreSQL; it refuses to run as root, so root lends it the user `postgres`."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: ends sessions, rolls back
    OPTIONS = ("listen_addresses=127.0.0.1", "fsync=off", "max_connections=100")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._binaries = _postgres_binaries()

    def prepare(self) -> None:
        for user in self.owner().values():
            shutil.chown(self.folder, user)
        initialise = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", "mmsent"]
        run([*initialise, "-A", "trust", "-E", "UTF8"], self.folder, **self.owner())

    def command(self) -> list[str]:
        options = [part for option in self.OPTIONS for part in ("-c", option)]
        where = ["-D", str(self._data), "-p", str(self.port), "-k", str(self.folder)]
        return [str(self._binaries / "postgres"), *where, *options]

    def owner(self) -> dict[str, str]:
        return {"user": "postgres"} if os.geteuid() == 0 else {}

    def answers(self) -> bool:
        ask = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ask, check=False).returncode == 0

    def url(self) -> str:
        return f"postgresql://mmsent@127.0.0.1:{self.port}/postgres"

    @property
    def _data(self) -> Path:
        return self.folder / "data"


class Redis(Server):
    """Redis without persistence."""

    name = "redis"

    def command(self) -> list[str]:
        program = _program("redis-server", "redis-server")
        return [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@contextmanager
def postgres_schema(server: str) -> Iterator[str]:
    """An empty schema of our own on a PostgreSQL server; yields the URL that leads into it."""
    name = f"mmsent_test_{uuid.uuid4().hex[:12]}"
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    yield (
        make_url(server)
        .update_query_dict({"options": f"-csearch_path={name}"})
        .render_as_string(hide_password=False)
    )
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


def _family(process: int) -> list[int]:
    """The process and all that descend from it, parents first."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [process, *(each for child in children for each in _family(int(child)))]


def cache_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(command: list[str], folder: Path, timeout_s: float = 60, **owner: str) -> None:
    """Run a set-up command; a failure shows what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, timeout=timeout_s, **owner
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingServerError(f"needs {name}: install the package {package}")
    return found


def _postgres_binaries() -> Path:
    """The folder of `initdb` and `postgres`: where Debian puts the newest version, or on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    return Path(_program("postgres", "postgresql")).parent
