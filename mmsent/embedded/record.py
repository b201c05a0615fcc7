"""`<data-dir>/demo.json`: where a running demo can be reached. One demo a data folder."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mmsent.errors import SetupError

NAME = "demo.json"


@dataclass(frozen=True)
class DemoRecord:
    """Addresses of a running demo."""

    pid: int
    kafka_bootstrap_servers: str
    redis_url: str
    database_url: str
    health: str
    dashboard: str | None
    started_at: str


@contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir` for one demo while the block runs; a killed demo's hold ends with it (flock(2)).

    Raises:
        SetupError: the folder cannot be made or written, or another demo runs in it.
    """
    made = not data_dir.exists()
    folder = _open_folder(data_dir)
    try:
        _lock(folder, data_dir)
        (data_dir / NAME).unlink(missing_ok=True)  # of a demo that was killed
        yield
    finally:
        os.close(folder)
        if made:
            with contextlib.suppress(OSError):  # only if nothing was put in it
                data_dir.rmdir()


def _open_folder(data_dir: Path) -> int:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        probe = data_dir / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        return os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SetupError(
            f"folder {data_dir} cannot be used ({error.strerror}); choose another with --data-dir"
        ) from error


def _lock(folder: int, data_dir: Path) -> None:
    deadline = time.monotonic() + 0.5  # outlasts a look by `running_demo`
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise SetupError(
                    f"a demo is already running in {data_dir}; end it, or choose another --data-dir"
                ) from error
            time.sleep(0.05)
        else:
            return


def write_record(data_dir: Path, record: DemoRecord) -> None:
    """Put the record there in one step, readable by nobody else."""
    temporary = data_dir / f".{NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(data_dir / NAME)


def remove_record(data_dir: Path) -> None:
    """Take it away again."""
    (data_dir / NAME).unlink(missing_ok=True)


def running_demo(data_dir: Path) -> DemoRecord | None:
    """The demo that runs in `data_dir` now; None without one, also if a killed one left its record."""
    try:
        record = DemoRecord(**json.loads((data_dir / NAME).read_text(encoding="utf-8")))
        folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, ValueError, TypeError):
        return None
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return record
    finally:
        os.close(folder)
    return None
