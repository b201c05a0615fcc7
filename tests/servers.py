"""Real servers for the tests, each in a private folder on a private port, without Docker."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: on the PATH, or where Debian puts the newest version."""
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def postgres(binaries: Path) -> Iterator[str]:
    """A PostgreSQL server of our own; yields its URL. It refuses to run as root, so root lends it a user."""
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    prefix = ["runuser", "-u", owner, "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="mmsent-postgres-"))
    try:
        shutil.chown(folder, owner)
        port, data = free_port(), folder / "data"
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off -c max_connections=50"
        control = [*prefix, str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
        run([*prefix, str(binaries / "initdb"), "-D", str(data), "-U", "mmsent", "-A", "trust", "-E", "UTF8"])
        run([*control, "-o", options, "start"])
        try:
            yield f"postgresql://mmsent@127.0.0.1:{port}/postgres"
        finally:
            run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


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


def run(command: list[str]) -> None:
    """Run a set-up command; a failure shows what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
