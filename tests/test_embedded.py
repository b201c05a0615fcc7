"""The one-machine stack's parts: servers, pictures, programs, record, ingester."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession

from mmsent.broker import Message, OffsetReader, Publisher, TopicReader
from mmsent.embedded.figures import Counter, Summary
from mmsent.embedded.ingest import CHUNK, Ingester, Room, at_rate, record_of, size_of
from mmsent.embedded.pictures import PictureServer
from mmsent.embedded.processes import Program, environment_of, process_age_s
from mmsent.embedded.record import NAME, DemoRecord, claimed, remove_record, running_demo, write_record
from mmsent.embedded.servers import free_port, local_kafka, local_redis, require_free
from mmsent.errors import BrokerUnavailableError, InputError, SetupError
from mmsent.live import LiveFeed
from mmsent.posts import ForgetAuthor, Post
from mmsent.settings import Settings
from mmsent.store.schema import upgrade

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = DemoRecord(1, "127.0.0.1:1", "redis://127.0.0.1:2/0", "sqlite:///x", "http://h", None, "now")


def post(number: int, text: str = "") -> Post:
    return Post(post_id=f"test/{number}", source="test", created_at=NOON, text=text)


def sleeper(folder: Path, program: str) -> Program:
    return Program("sleeper", (sys.executable, "-c", program), {}, folder / "sleeper.log")


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


# Servers


async def test_kafka_and_redis_on_this_machine() -> None:
    with local_kafka() as kafka, local_redis() as redis:
        settings = Settings.load(kafka_bootstrap_servers=kafka, redis_url=redis, live_timeout_s=5.0)
        async with Publisher(settings) as publisher, OffsetReader(settings) as offsets:
            await publisher.send_all("posts", [record_of(post(number)) for number in range(100)])
            ends = await offsets.end_offsets("posts")
            assert (len(ends), sum(ends.values())) == (4, 100)
            assert sum((await offsets.committed_offsets("posts")).values()) == 0
        feed = LiveFeed(settings)
        await feed.ping()
        await feed.aclose()


def test_a_port_that_is_taken() -> None:
    with local_redis() as redis:
        port = int(redis.split(":")[2].split("/")[0])
        with pytest.raises(SetupError, match=f"port {port}.*--port"):
            require_free(port)


def test_a_free_port_is_none_that_connections_take_by_themselves() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) > 1
    assert max(ports) < 32_768  # the first ephemeral one, unless a machine was set up otherwise
    for port in ports:
        require_free(port)


# Pictures


async def test_only_the_given_pictures_are_served(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"PNG")
    (tmp_path / "secret.txt").write_text("secret")
    async with PictureServer() as server, ClientSession() as session:
        address = server.address_of(path)
        assert server.address_of(path) == address
        drawn = []
        sun = server.address_of_drawing("sun", lambda: drawn.append(1) or b"JPEG")
        assert sun not in {address, server.address_of_drawing("moon", lambda: b"JPEG")}
        assert server.address_of_drawing("sun", lambda: b"other") == sun
        assert "a.png" not in address
        async with session.get(address) as response:
            assert (response.status, await response.read()) == (200, b"PNG")
            assert response.content_type == "image/png"
        assert not drawn  # nobody asked
        for _ in range(2):
            async with session.get(sun) as response:
                assert await response.read() == b"JPEG"
        assert len(drawn) == 1
        for wrong in ("secret.txt", "a.png", "../secret.txt", "%2e%2e/secret.txt", "", str(path)):
            async with session.get(f"http://{server.endpoint}/{wrong}") as response:
                assert response.status == 404


async def test_a_picture_that_went_away_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"PNG")
    async with PictureServer() as server, ClientSession() as session:
        address = server.address_of(path)
        path.unlink()
        async with session.get(address) as response:
            assert response.status == 404


# Programs


async def test_a_program_ends_on_sigterm_and_its_log_is_kept(tmp_path: Path) -> None:
    program = sleeper(tmp_path, "import time; print('up'); x = bytearray(50_000_000); time.sleep(60)")
    await program.start()
    await until(lambda: program.last_lines() == ["up"])
    await until(lambda: program.measure() or program.peak_memory_mib > 50)
    await program.stop(grace_s=10)
    assert await program.ended() == -signal.SIGTERM


async def test_a_program_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    program = sleeper(
        tmp_path,
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid); time.sleep(60)",
    )
    await program.start()
    await until(program.last_lines)
    child = int(program.last_lines()[0])
    assert is_alive(child)
    await program.stop(grace_s=0.2)
    assert await program.ended() == -signal.SIGKILL
    await until(lambda: not is_alive(child))


async def test_a_program_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    starter = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from mmsent.embedded.processes import Program

        async def main():
            code = "import os, time; print(os.getpid()); time.sleep(60)"
            log = Path({str(tmp_path)!r}) / "child.log"
            program = Program("child", (sys.executable, "-c", code), {{}}, log)
            await program.start()
            await asyncio.sleep(60)

        asyncio.run(main())
    """)
    log = tmp_path / "child.log"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", starter)
    await until(lambda: log.exists() and log.read_text())
    child = int(log.read_text())
    assert is_alive(child)
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(child))


def test_a_program_inherits_the_settings(tmp_path: Path) -> None:
    settings = Settings.load(
        data_dir=tmp_path, fetch_allow_private=("127.0.0.1:80", "10.0.0.0/8:81"), lateness_s=7.5
    )
    environment = environment_of(settings)
    assert environment["MMSENT_FETCH_ALLOW_PRIVATE"] == "127.0.0.1:80,10.0.0.0/8:81"
    program = "from mmsent.settings import Settings; print(Settings.load().model_dump_json())"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, check=True
    )
    assert Settings.model_validate_json(done.stdout) == settings


def test_age_of_this_process() -> None:
    assert 0 < process_age_s() < 3600


# Record


def test_one_demo_a_folder_and_its_record(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert running_demo(folder) is None
    with claimed(folder):
        assert running_demo(folder) is None
        write_record(folder, RECORD)
        assert running_demo(folder) == RECORD
        with pytest.raises(SetupError, match="already running"), claimed(folder):
            pass
        assert sorted(path.name for path in folder.iterdir()) == [NAME]
        remove_record(folder)
    assert not folder.exists()  # we made it, nothing was put in it


def test_the_record_of_a_killed_demo_is_known_as_such(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert running_demo(tmp_path) is None
    with claimed(tmp_path):
        assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_is_no_demo(tmp_path: Path, text: str) -> None:
    with claimed(tmp_path):
        (tmp_path / NAME).write_text(text)
        assert running_demo(tmp_path) is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "data", Path("/proc/mmsent")):
        with pytest.raises(SetupError, match="--data-dir"), claimed(folder):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Ingester


class Broker:
    """Two partitions by turns; commits when told."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.done: dict[int, int] = {0: 0, 1: 0}
        self.fail = 0

    async def send_all(self, records: Sequence[Message]) -> None:
        if self.fail:
            self.fail -= 1
            raise BrokerUnavailableError("gone")
        self.values += [record.value or b"" for record in records]

    async def ends(self) -> Mapping[int, int]:
        count = len(self.values)
        return {0: (count + 1) // 2, 1: count // 2}

    async def committed(self) -> Mapping[int, int]:
        return dict(self.done)


async def test_all_messages_in_order() -> None:
    broker = Broker()
    posts = [post(number) for number in range(3 * CHUNK + 5)]
    ingester = Ingester(broker.send_all)
    await ingester.run(at_rate(posts, 0))
    assert broker.values == [one.to_json() for one in posts]
    assert ingester.sent == len(posts)


async def test_never_further_ahead_than_the_room() -> None:
    broker = Broker()
    room = Room(20_000, broker.ends, broker.committed)
    record_size = size_of(record_of(post(1, "x" * 1000)))
    ingesting = asyncio.ensure_future(
        Ingester(broker.send_all, room=room).run(at_rate((post(n, "x" * 1000) for n in range(100)), 0))
    )
    while not ingesting.done():
        await asyncio.sleep(0.03)
        ahead = len(broker.values) - sum(broker.done.values())
        assert ahead * record_size < 20_000 + 1_000
        broker.done = {0: min(broker.done[0] + 3, 50), 1: min(broker.done[1] + 2, 50)}
    assert len(broker.values) == 100


async def test_a_message_larger_than_the_room_goes_alone() -> None:
    broker = Broker()
    room = Room(100, broker.ends, broker.committed)
    ingesting = asyncio.ensure_future(
        Ingester(broker.send_all, room=room).run(at_rate([post(1), post(2)], 0))
    )
    await until(lambda: broker.values)
    await asyncio.sleep(0.1)
    assert len(broker.values) == 1
    broker.done = {0: 1, 1: 0}
    await asyncio.wait_for(ingesting, 5)
    assert len(broker.values) == 2


async def test_each_message_goes_when_it_is_due() -> None:
    """The past at once and the rest by the clock; no message is made earlier than needed."""
    broker, now_s, made = Broker(), [1000.0], []

    def messages() -> Iterator[tuple[float, Post]]:
        for number, due_s in enumerate((-60.0, -1.0, 0.0, 2.0, 2.5, 9.0)):
            made.append(due_s)
            yield due_s, post(number)

    ingesting = asyncio.ensure_future(Ingester(broker.send_all, clock=lambda: now_s[0]).run(messages()))
    for later_s, sent in ((0.0, 3), (1.9, 3), (2.0, 4), (3.0, 5), (9.0, 6)):
        now_s[0] = 1000.0 + later_s
        await until(lambda sent=sent: len(broker.values) == sent)
        await asyncio.sleep(0.05)
        assert len(broker.values) == sent
        assert len(made) <= sent + 1
    await asyncio.wait_for(ingesting, 5)


def test_a_rate_spreads_messages_evenly() -> None:
    assert [due_s for due_s, _ in at_rate(map(post, range(4)), 2)] == [0, 0.5, 1, 1.5]
    assert [due_s for due_s, _ in at_rate(map(post, range(3)), 0)] == [0, 0, 0]


async def test_a_broker_that_hiccups_and_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    broker = Broker()
    broker.fail = 2
    await Ingester(broker.send_all).run(at_rate([post(1)], 0))
    assert len(broker.values) == 1
    broker.fail = 3
    with pytest.raises(BrokerUnavailableError, match="after 0 posts: gone"):
        await Ingester(broker.send_all).run(at_rate([post(2)], 0))
    broker.fail, absences = 9, []
    patient = Ingester(broker.send_all, on_absence=absences.append)
    await patient.run(at_rate([post(3)], 0))
    assert (len(broker.values), patient.sent, len(absences)) == (2, 1, 1)
    broker.fail = 1000
    waiting = asyncio.ensure_future(patient.run(at_rate([post(4)], 0)))
    await until(lambda: len(absences) == 2)
    patient.stop()
    with pytest.raises(BrokerUnavailableError, match="after 1 posts: gone"):
        await asyncio.wait_for(waiting, 5)


async def test_what_a_file_says_wrong_ends_the_ingester() -> None:
    def messages() -> Iterator[Post]:
        yield post(1)
        raise InputError("line 2")

    with pytest.raises(InputError, match="line 2"):
        await Ingester(Broker().send_all).run(at_rate(messages(), 0))


def test_keys() -> None:
    assert record_of(post(1)).key == b"test/1"
    assert record_of(ForgetAuthor(author="h:1", source="test", created_at=NOON)).key == b"h:1"


async def test_room_on_the_local_broker() -> None:
    """Ends and commits of the real thing: nothing is committed, so the room stays taken."""
    with local_kafka() as kafka:
        settings = Settings.load(kafka_bootstrap_servers=kafka)
        async with Publisher(settings) as publisher, OffsetReader(settings) as offsets:
            room = Room(
                50_000,
                partial(offsets.end_offsets, "posts"),
                partial(offsets.committed_offsets, "posts"),
            )
            ingester = Ingester(partial(publisher.send_all, "posts"), room=room)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ingester.run(at_rate((post(n, "x" * 1000) for n in range(100)), 0)), 2)
            ends = sum((await offsets.end_offsets("posts")).values())
            assert 0 < ends <= 45
            async with TopicReader(settings, "posts", from_beginning=True) as reader:
                assert json.loads((await anext(aiter(reader))).value or b"")["source"] == "test"


# Figures


def test_counts_of_an_empty_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mmsent.db'}"
    upgrade(url)
    counter = Counter(url, NOON)
    assert counter.written() == (0, 0, 0)
    assert counter.gained().posts == 0
    assert counter.alerts_are_out()
    counter.close()


def test_summary_for_people_and_programs() -> None:
    summary = Summary(4240, 4200, 40, 300, 0, 0, 0, 60.5, 70.0826, 3.2, 512.25)
    assert summary.as_json()["posts_per_s"] == 70.083
    lines = summary.lines()
    assert lines[0].split() == ["posts", "4,240"]
    assert not any(line.startswith(("unchanged", "lag")) for line in lines)
    assert any(line.startswith("dead") for line in lines)
