"""Dead letters: what the worker writes, and what `mmsent dead` reads, shows and puts back.

On the embedded broker, and on a real Kafka.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from mmsent import cli
from mmsent.broker import MAX_MESSAGE_BYTES, Message, Publisher, Record, TopicName, create_topics
from mmsent.dead_letters import REPLAY_OF, DeadLetter, replay
from mmsent.embedded.record import DemoRecord, claimed, write_record
from mmsent.embedded.servers import free_port, local_kafka
from mmsent.errors import BrokerUnavailableError
from mmsent.settings import Settings
from mmsent.store.schema import upgrade
from mmsent.store.writes import Store
from tests.test_worker import everything_on
from tests.test_writer import Outside, writer_of
from worker.dead_letters import Failure, dead_letter
from worker.partitions import Finished, Partitions

JUNK = b'{"text": "\x1b[2J\xff evil"'
FAILURE = Failure("decode", "InvalidMessageError", "not JSON: expected `,` \x1b[31m")


def record(offset: int = 17, value: bytes | None = JUNK, **others: object) -> Record:
    return replace(Record("posts", 3, offset, 1_700_000_000_000, b"key\x00\xff", value), **others)


def as_read(letter: Message, offset: int = 0, died_at_ms: int = 1_800_000_000_000) -> Record:
    return Record("posts.dead", 0, offset, died_at_ms, letter.key, letter.value, letter.headers)


# The format


def test_a_record_comes_back_byte_for_byte() -> None:
    headers = (("trace", b"\x00\xff"), ("mmsent.error.stage", b"not ours"), ("trace", b"twice"))
    letter = as_read(dead_letter(record(headers=headers), FAILURE))
    assert (letter.key, letter.value) == (b"key\x00\xff", JUNK)
    known = DeadLetter.of(letter)
    assert known is not None
    assert (known.identity, known.stage, known.size) == ("posts/3/17", "decode", len(JUNK))
    assert dict(letter.headers)["mmsent.error.timestamp_ms"] == b"1700000000000"
    again = replay(letter)
    assert again == Message(b"key\x00\xff", JUNK, (*headers, (REPLAY_OF, b"posts/3/17")))


def test_a_second_replay_names_the_last_place_only() -> None:
    first = replay(as_read(dead_letter(record(), FAILURE)))
    died_again = as_read(dead_letter(record(40, headers=first.headers), FAILURE))
    assert replay(died_again).headers == ((REPLAY_OF, b"posts/3/40"),)


@pytest.mark.parametrize(
    "headers", [(), (("mmsent.error.stage", b"decode"),), (("mmsent.error.offset", b"x"),)]
)
def test_what_somebody_else_put_there_is_no_letter(headers: tuple[tuple[str, bytes], ...]) -> None:
    assert DeadLetter.of(record(headers=headers)) is None


# The commands


@dataclass(frozen=True)
class Done:
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


class Dead:
    """A broker with dead letters, and `mmsent dead` run against it in this process."""

    def __init__(self, run: Callable[..., Done], settings: Settings) -> None:
        self.run = run
        self.settings = settings

    def publish(self, topic: TopicName, *messages: Message) -> None:
        async def send() -> None:
            async with Publisher(self.settings) as publisher:
                for message in messages:  # one by one: the order across partitions is kept
                    await publisher.send_all(self.settings.topic(topic), [message])

        asyncio.run(send())

    def on(self, topic: TopicName) -> list[Record]:
        read = asyncio.run(everything_on(self.settings, self.settings.topic(topic)))
        return sorted(read, key=lambda each: each.timestamp_ms)

    def listed(self, *options: object) -> list[dict[str, object]]:
        done = self.run("list", "--json", *options)
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Callable[..., Done]:
    monkeypatch.setenv("MMSENT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(cli, "configure_logging", lambda _: None)  # it is for the process that we are in

    def command(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["mmsent", "dead", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsysbinary.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err.decode())

    return command


@pytest.fixture(params=["embedded", "real"])
def dead(request: pytest.FixtureRequest) -> Dead:
    made: Dead = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def embedded(run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> Iterator[Dead]:
    with local_kafka() as kafka:
        monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", kafka)
        yield Dead(run, Settings.load())


@pytest.fixture
def real(run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, kafka_url: str) -> Dead:
    monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", kafka_url)
    monkeypatch.setenv("MMSENT_TOPIC_PREFIX", f"test-{secrets.token_hex(4)}.")
    settings = Settings.load()
    asyncio.run(create_topics(settings))
    return Dead(run, settings)


def names(listed: Sequence[dict[str, object]]) -> list[str]:
    return [f"{each['partition']}:{each['offset']}" for each in listed]


def test_each_letter_is_listed_once_the_newest_first(dead: Dead) -> None:
    letters = [dead_letter(record(number), FAILURE) for number in (1, 2, 3)]
    dead.publish("posts.dead", *letters, letters[1], Message(b"k", b"somebody else's"))
    listed = dead.listed()
    assert sorted(names(listed)) == ["3:1", "3:2", "3:3"]
    died = [str(each["died_at"]) for each in listed]
    assert died == sorted(died, reverse=True)
    assert {each["stage"] for each in listed} == {"decode"}
    assert len(dead.listed("--limit", 2)) == 2

    table = dead.run("list")
    assert table.code == 0
    assert "\x1b" not in table.out
    assert all(f" posts {name} " in table.out for name in ("3:1", "3:2", "3:3"))
    assert max(map(len, table.out.splitlines())) <= 80
    assert table.err == "1 records on the topic are no dead letters of mmsent\n"


def test_a_letter_is_shown_safely_and_raw(dead: Dead) -> None:
    good = '{"post_id": "a", "text": "right\u202eto left\x9b", "deep": [1]}'.encode()
    dead.publish("posts.dead", dead_letter(record(), FAILURE), dead_letter(record(18, good), FAILURE))
    assert dead.run("show", "3:17", "--raw").raw == JUNK
    shown = dead.run("show", "3:17").out
    assert "mmsent.error.message: not JSON: expected `,`  [31m" in shown
    assert "\x1b" not in shown
    assert r"[2J\xff evil" in shown
    pretty = dead.run("show", "3:18").out
    assert '  "text": "right to left "' in pretty
    assert '  "deep": [\n    1\n  ]' in pretty


def test_records_go_back_as_they_came_and_may_die_again(dead: Dead) -> None:
    letters = [dead_letter(record(number, b"value %d" % number), FAILURE) for number in (1, 2)]
    dead.publish("posts.dead", *letters)
    dry = dead.run("replay", "3:1", "--dry-run")
    assert (dry.code, dry.out) == (0, "3:1\n")
    assert dead.on("posts") == []

    done = dead.run("replay", "3:1", "3:1")
    assert (done.code, done.out, done.err) == (0, "3:1\n", "1 record went back on posts\n")
    (back,) = dead.on("posts")
    assert (back.key, back.value) == (b"key\x00\xff", b"value 1")
    assert back.headers == ((REPLAY_OF, b"posts/3/1"),)

    dead.publish("posts.dead", dead_letter(back, FAILURE))
    listed = dead.listed()
    assert sorted(names(listed)) == sorted([f"{back.partition}:{back.offset}", "3:2"]), (
        "the new takes its place"
    )

    forged = replace(back, offset=99, value=b"another", headers=((REPLAY_OF, b"posts/3/2"),))
    dead.publish("posts.dead", dead_letter(forged, FAILURE))
    assert "3:2" in names(dead.listed()), "only the same record takes a letter's place"

    everything = dead.run("replay", "--all")
    assert everything.code == 0
    assert sorted(everything.out.split()) == sorted(names(dead.listed()))
    assert len(dead.on("posts")) == 4


def test_whatever_died_is_kept_as_it_was(dead: Dead) -> None:
    died = [
        record(1, b"\xff" * (1024 * 1024 - 500), key=b"largest"),  # as Kafka takes by default, framing aside
        record(2, None),
        record(3, key=None),
        record(4, b"", key=b"", headers=(("trace", b"\x00\xff"), ("trace", b""))),
    ]
    dead.publish("posts.dead", *(dead_letter(each, FAILURE) for each in died))
    letters = sorted(dead.on("posts.dead"), key=lambda each: dict(each.headers)["mmsent.error.offset"])
    for letter, came in zip(letters, died, strict=True):
        assert (letter.key, letter.value) == (came.key, came.value)
        assert letter.headers[: len(came.headers)] == came.headers
        assert dict(letter.headers[len(came.headers) :]) == {
            "mmsent.error.stage": b"decode",
            "mmsent.error.class": b"InvalidMessageError",
            "mmsent.error.message": FAILURE.message.encode(),
            "mmsent.error.topic": b"posts",
            "mmsent.error.partition": b"3",
            "mmsent.error.offset": b"%d" % came.offset,
            "mmsent.error.timestamp_ms": b"1700000000000",
            "__connect.errors.topic": b"posts",
            "__connect.errors.partition": b"3",
            "__connect.errors.offset": b"%d" % came.offset,
            "__connect.errors.connector.name": b"mmsent",
            "__connect.errors.stage": b"decode",
            "__connect.errors.class.name": b"mmsent.posts",
            "__connect.errors.exception.class.name": b"InvalidMessageError",
            "__connect.errors.exception.message": FAILURE.message.encode(),
        }

    listed = {each["offset"]: each["value_bytes"] for each in dead.listed()}
    assert listed == {each.offset: len(each.value or b"") for each in died}
    for each in died:
        assert dead.run("show", f"3:{each.offset}", "--raw").raw == (each.value or b"")
    assert dead.run("replay", "--all").code == 0
    back = {dict(each.headers)[REPLAY_OF]: each for each in dead.on("posts")}
    assert {name: (each.key, each.value, each.headers[:-1]) for name, each in back.items()} == {
        f"posts/3/{each.offset}".encode(): (each.key, each.value, each.headers) for each in died
    }


class PatientBurial(Outside):
    """Counts the letters' sendings that failed."""

    def __init__(self, publisher: Publisher, topic: str) -> None:
        super().__init__()
        self._send = partial(publisher.send_all, topic)
        self.failed = 0

    async def bury(self, letters: Sequence[Message]) -> None:
        try:
            await self._send(letters)
        except BrokerUnavailableError:
            self.failed += 1
            raise


async def test_no_offset_passes_before_kafka_has_the_letter(kafka_url: str, tmp_path: Path) -> None:
    """At first there is no `posts.dead`; as soon as there is one, the letter goes there."""
    settings = Settings.load(
        kafka_bootstrap_servers=kafka_url,
        topic_prefix=f"test-{secrets.token_hex(4)}.",
        kafka_request_timeout_s=2,
        data_dir=tmp_path,
    )
    upgrade(settings.resolved_database_url)
    store, partitions = Store(settings.resolved_database_url), Partitions()
    (partition,) = partitions.assign([3])
    partition.located(17)
    partition.tracker.start(17)
    async with Publisher(settings) as publisher:
        outside = PatientBurial(publisher, settings.topic("posts.dead"))
        writer = writer_of(store, outside, partitions)
        writer.put(Finished(partition, record(), failure=FAILURE))
        delivering = asyncio.create_task(writer.round())
        while not outside.failed:  # noqa: ASYNC110  # the topic is missing for as long as it takes
            await asyncio.sleep(0.05)
        assert (outside.diary, partition.stored) == ([], 17)
        await create_topics(settings.model_copy(update={"kafka_request_timeout_s": 30.0}))
        await delivering
    assert outside.committed == {3: 18}
    assert [each.value for each in await everything_on(settings, settings.topic("posts.dead"))] == [JUNK]
    await store.close()


def test_a_value_that_was_not_kept_cannot_go_back(dead: Dead) -> None:
    huge = record(5, b"x" * MAX_MESSAGE_BYTES)
    dead.publish("posts.dead", dead_letter(huge, FAILURE), dead_letter(record(6), FAILURE))
    for arguments in (("replay", "3:5"), ("show", "3:5", "--raw")):
        refused = dead.run(*arguments)
        assert (refused.code, refused.out) == (3, "")
        assert "too large to be kept" in refused.err
    assert f"({MAX_MESSAGE_BYTES:,} bytes, not kept)" in dead.run("show", "3:5").out
    done = dead.run("replay", "--all")
    assert (done.code, done.out) == (0, "3:6\n")
    assert "1 are left out" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("replay",), 2, "--all"),
        (("replay", "3:1", "--all"), 2, "--all"),
        (("replay", "3-1"), 2, "3:17"),
        (("show", "³:1"), 2, "3:17"),
        (("show", "3:99"), 3, "no dead letter 3:99"),
        (("replay", "3:99"), 3, "no dead letter 3:99"),
        (("replay", "--all"), 0, "0 records"),
        (("list",), 0, "no dead letters"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    embedded: Dead, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = embedded.run(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert said in done.err


def test_without_a_broker_it_says_where_it_looked(
    run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, nowhere = tmp_path / "data", f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("MMSENT_KAFKA_REQUEST_TIMEOUT_S", "0.5")
    monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", nowhere)
    done = run("list")
    assert (done.code, done.out) == (4, "")
    assert f"Kafka at {nowhere}" in done.err
    monkeypatch.delenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS")
    monkeypatch.delenv("MMSENT_KAFKA_REQUEST_TIMEOUT_S")
    with local_kafka() as kafka, claimed(data):
        write_record(data, DemoRecord(1, kafka, "redis://127.0.0.1:1/0", "sqlite:///x", "", None, ""))
        found = run("list")
    assert (found.code, found.err) == (0, "no dead letters\n"), "a running demo is found"
