"""The demo from end to end: real programs, real protocols, nothing left running."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmsent.embedded.record import NAME, running_demo
from mmsent.sources.drawings import draw, jpeg, motifs

pytestmark = pytest.mark.timeout(600)
MARK = "MMSENT_TEST_OF_DEMO"

# Stands in for the worker: says it is ready, commits what comes, ends as the test wants.
WORKER = """
import asyncio, os, signal, sys
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from mmsent.settings import Settings

async def main():
    settings = Settings.load()
    if os.environ["BEHAVIOUR"] == "dies at once":
        sys.exit("cannot start: \\x1b[31mno engine")
    application = web.Application()
    application.router.add_get("/readyz", lambda request: web.Response(text="ok"))
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings.health_port).start()
    if os.environ["BEHAVIOUR"] == "ignores SIGTERM":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    consumer = AIOKafkaConsumer("posts", bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=settings.kafka_group_id, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    seen = 0
    while True:
        batch = await consumer.getmany(timeout_ms=100, max_records=50)
        seen += sum(map(len, batch.values()))
        if batch:
            await consumer.commit()
        if os.environ["BEHAVIOUR"] == "dies on the way" and seen > 20:
            print("out of luck", flush=True)
            os._exit(7)

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for one test; no program of the demo may be alive after it."""
    yield tmp_path
    deadline = time.monotonic() + 10
    while left := _programs_of(tmp_path):
        assert time.monotonic() < deadline, f"left running: {left}"
        time.sleep(0.1)


def _programs_of(folder: Path) -> list[str]:
    """Command lines of processes that carry the test's mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                if f"{MARK}={folder}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "MMSENT_ENGINE": "stub",
        "MMSENT_DATA_DIR": str(folder / "data"),
        MARK: str(folder),
        **more,
    }


def stand_in(folder: Path, behaviour: str) -> dict[str, str]:
    package = folder / "stand_in" / "worker"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(WORKER)
    return environment(folder, PYTHONPATH=str(package.parent), BEHAVIOUR=behaviour)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mmsent", "demo", "--headless", *map(str, arguments)]


def demo(env: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=env, capture_output=True, text=True, timeout=300, check=False
    )


def write_posts(
    folder: Path, count: int, *, name: str = "posts", pictures: bool = False, pad: str = ""
) -> Path:
    folder.mkdir(exist_ok=True)
    if pictures:
        (folder / "happy.jpg").write_bytes(jpeg(draw(motifs("stream", "picnic", "positive")[0], 0)))
        Image.new("RGB", (80, 60), "#334455").save(folder / "plain.png")
    path = folder / f"{name}.jsonl"
    image = ("happy.jpg", "plain.png", None)
    path.write_text(
        "".join(
            json.dumps(
                {
                    "id": number,
                    "text": f"post {number} {pad}",
                    "image": image[number % 3] if pictures else None,
                }
            )
            + "\n"
            for number in range(count)
        )
    )
    return path


def rows(folder: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(folder / "data" / "mmsent.db")) as connection:
        return connection.execute(query).fetchall()


def wait_for_demo(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while running_demo(folder / "data") is None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


# With the real worker


def test_every_post_of_a_file_comes_through(home: Path) -> None:
    posts = write_posts(home / "files", 120, pictures=True)
    done = demo(environment(home), "--posts", posts, "--rate", 0, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert {name: summary[name] for name in ("posts", "scored", "unscored", "dead", "unchanged", "lag")} == {
        "posts": 120,
        "scored": 120,
        "unscored": 0,
        "dead": 0,
        "unchanged": 0,
        "lag": 0,
    }
    assert summary["posts_per_s"] > 0
    assert summary["peak_memory_mib"] > 30
    assert rows(home, "SELECT count(*), sum(has_image), sum(flagged) FROM posts") == [
        (120, 80, summary["flagged"])
    ]
    assert rows(home, "SELECT sum(posts), sum(with_image) FROM rollups WHERE topic = 'all'") == [(120, 80)]
    assert rows(home, "SELECT count(*) FROM outbox UNION ALL SELECT count(*) FROM pending_conflicts") == [
        (0,),
        (0,),
    ]
    assert not (home / "data" / NAME).exists()


def test_a_second_run_counts_its_own_posts(home: Path) -> None:
    first = write_posts(home / "files", 30)
    second = write_posts(home / "files", 50, name="others")
    assert json.loads(demo(environment(home), "--posts", first, "--rate", 0, "--json").stdout)["scored"] == 30
    again = json.loads(demo(environment(home), "--posts", first, "--rate", 0, "--json").stdout)
    assert (again["posts"], again["scored"], again["unchanged"]) == (30, 0, 30)
    other = json.loads(demo(environment(home), "--posts", second, "--rate", 0, "--json").stdout)
    assert (other["posts"], other["scored"], other["unchanged"]) == (50, 50, 0)
    assert rows(home, "SELECT count(*) FROM posts") == [(80,)]


def test_the_sample_for_a_while(home: Path) -> None:
    """Into the data folder, also where the environment names the database and the broker of real work."""
    elsewhere = {
        "MMSENT_DATABASE_URL": f"sqlite:///{home / 'real.db'}",
        "MMSENT_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MMSENT_TOPIC_PREFIX": "real.",
    }
    done = demo(environment(home, **elsewhere), "--for", 4, "--rate", 20, "--past", 0.25, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert 250 < summary["posts"] < 700  # 19 s of them, of a lively hour
    assert (summary["dead"], summary["lag"]) == (0, 0)
    assert rows(home, "SELECT count(*) FROM posts WHERE image_errors != '[]'") == [(0,)]
    assert 0 < rows(home, "SELECT count(*) FROM posts WHERE deleted")[0][0] < 40
    late = "SELECT count(*) FROM posts WHERE julianday(scored_at) - julianday(created_at) > 12.0 / 86400"
    assert rows(home, late)[0][0] > 20  # of the past
    foreign = "SELECT count(*), sum(unscored_reason = 'language') FROM posts WHERE lang != 'en'"
    (count, unscored) = rows(home, foreign)[0]
    assert count == unscored > 0
    untracked = "SELECT count(*) FROM posts WHERE NOT deleted AND topics = '[]'"
    assert rows(home, untracked) == [(0,)]
    assert rows(home, "SELECT count(*) FROM topics") == [(8,)]
    assert not (home / "real.db").exists()


def test_a_file_larger_than_the_broker_keeps(home: Path) -> None:
    """32 MB of posts: 8 MB a partition, which would keep the newest 5 MB of what nobody has read."""
    posts = write_posts(home / "files", 800, pad="x " * 20_000)
    done = demo(environment(home), "--posts", posts, "--rate", 0, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scored"] == 800


def test_a_picture_address_of_another_port_of_this_machine_is_refused(home: Path) -> None:
    """In the demo the picture server alone may be reached; a post that names another port gets nothing."""
    path = home / "posts.jsonl"
    process = subprocess.Popen(
        command("--rate", 1, "--past", 0),
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_demo(home, process)
        record = running_demo(home / "data")
        assert record is not None
        redis = record.redis_url.removeprefix("redis://").removesuffix("/0")
        path.write_text(json.dumps({"id": "redis", "text": "look", "image": f"http://{redis}/"}) + "\n")
        sent = subprocess.run(
            [sys.executable, "-m", "mmsent", "ingest", "replay", str(path)],
            env=environment(home, MMSENT_KAFKA_BOOTSTRAP_SERVERS=record.kafka_bootstrap_servers),
            capture_output=True,
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        query = "SELECT image_errors FROM posts WHERE post_id = 'posts/redis'"
        deadline = time.monotonic() + 60
        while not (found := rows(home, query)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert json.loads(found[0][0]) == ["forbidden_address"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)


def test_with_the_dashboard(home: Path) -> None:
    pytest.importorskip("streamlit")
    arguments = [word for word in command("--rate", 20, "--past", 1, "--port", 0) if word != "--headless"]
    process = subprocess.Popen(
        arguments, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_demo(home, process)
        record = running_demo(home / "data")
        assert record is not None
        assert record.dashboard is not None
        with urllib.request.urlopen(record.dashboard, timeout=30) as page:  # noqa: S310  # http, as we know
            assert page.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    introduction = [line for line in err.splitlines() if not line.startswith("all posts")]
    address = introduction.index(f"dashboard: {record.dashboard}/?range=15m")
    steps = [line.split("s  ")[1] for line in introduction if line.startswith("✔")]
    assert sorted(steps) == ["broker and live feed", "dashboard", "database", "worker, with the model loaded"]
    assert not [line for line in introduction[address + 1 :] if " in · " not in line]  # it comes last
    assert f"mmsent alerts --data-dir {home / 'data'}" in err


# However it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(home: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        command("--rate", 20, "--past", 1),
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_demo(home, process)
    time.sleep(2)
    process.send_signal(number)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert out.startswith("posts")
    assert not (home / "data" / NAME).exists()


def test_a_signal_before_it_is_ready(home: Path) -> None:
    env = stand_in(home, "")
    process = subprocess.Popen(command(), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = home / "data" / "logs" / "worker.log"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err


def test_a_second_signal_does_not_wait(home: Path) -> None:
    process = subprocess.Popen(
        command("--rate", 20, "--past", 1),
        env=stand_in(home, "ignores SIGTERM"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_demo(home, process)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - started < 20  # the worker's grace is 35 s


def test_a_killed_demo_leaves_nothing_running(home: Path) -> None:
    process = subprocess.Popen(
        command("--rate", 20, "--past", 1),
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_demo(home, process)
    assert len(_programs_of(home)) > 1
    process.kill()
    process.communicate(timeout=30)
    assert (home / "data" / NAME).exists()
    assert running_demo(home / "data") is None  # what it left is known for what it is


@pytest.mark.parametrize(
    ("behaviour", "how", "said"),
    [
        ("dies at once", "exit code 1", "cannot start:  [31mno engine"),
        ("dies on the way", "exit code 7", "out of luck"),
    ],
)
def test_a_worker_that_dies(home: Path, behaviour: str, how: str, said: str) -> None:
    done = demo(stand_in(home, behaviour), "--rate", 0, "--posts", write_posts(home / "files", 100))
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("mmsent: the worker ended unexpectedly")
    assert how in lines[-1]
    assert "worker.log" in lines[-1]
    assert any(said in line for line in lines[:-1])
    assert not (home / "data" / NAME).exists()


def test_a_file_that_changes_on_the_way(home: Path) -> None:
    posts = write_posts(home / "files", 400)
    process = subprocess.Popen(
        command("--posts", posts, "--rate", 30),
        env=stand_in(home, ""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_demo(home, process)
    with posts.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\n{half\n")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "not JSON" in err.splitlines()[-1]
