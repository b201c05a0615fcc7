"""`mmsent dead`: look at the records that could not be processed, and put them back on `posts`."""

import asyncio
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import aclosing, contextmanager

from pydantic_core import from_json

from mmsent.broker import Record
from mmsent.commands.alerts import reachable
from mmsent.commands.console import CONTROL, data_console, give, printable, say
from mmsent.dead_letters import DeadLetter, Letters, read_letters, read_records, replay_letters
from mmsent.embedded.record import running_demo
from mmsent.errors import BrokerUnavailableError, InputError, SettingsError
from mmsent.settings import Settings

ROWS = 50  # of the table, unless a limit is given
SHOWN_BYTES = 64 * 1024  # of a value
REASON_LENGTH, START_LENGTH = 200, 80


def show_letters(settings: Settings, *, as_json: bool, limit: int | None) -> None:
    """A table of the dead letters, or a JSON object for each, the newest first.

    Raises:
        BrokerUnavailableError: no broker answers, or the topic is missing.
    """
    read = _read(settings)
    rows = limit if limit is not None or as_json else ROWS
    shown = read.letters[:rows]
    if as_json:
        for letter in shown:
            give(json.dumps(_summary(letter), ensure_ascii=False))
    elif shown:
        _give_table(shown)
    if not read.letters:
        say("no dead letters")
    elif len(shown) < len(read.letters):
        say(f"{len(read.letters) - len(shown):,} older ones are left out; see --limit")
    if read.strangers:
        say(f"{read.strangers:,} records on the topic are no dead letters of mmsent")


def _summary(letter: DeadLetter) -> dict[str, object]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "topic": letter.topic,
        "died_at": letter.died_at.isoformat(),
        "stage": letter.stage,
        "class": letter.kind,
        "message": letter.message,
        "value_bytes": letter.size,
        "value_start": _text(letter.start),
        "replay_of": letter.replay_of,
    }


def _give_table(letters: Sequence[DeadLetter]) -> None:
    from rich.table import Table  # noqa: PLC0415  # half of what a command takes to start
    from rich.text import Text  # noqa: PLC0415

    rows = [_cells(letter) for letter in letters]
    table = Table(box=None, pad_edge=False, expand=True)
    for place, name in enumerate(("when", "from", "stage", "bytes")):
        width = max(len(name), *(len(row[place]) for row in rows))
        table.add_column(name, width=width, no_wrap=True, justify="right" if name == "bytes" else "left")
    table.add_column("reason", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("begins with", ratio=2, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*map(Text, row))
    data_console().print(table)


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    return (
        f"{letter.died_at.astimezone():%m-%d %H:%M}",
        printable(f"{letter.topic} {letter.name}"),
        printable(letter.stage),
        f"{letter.size:,}",
        printable(letter.message, REASON_LENGTH),
        printable(_text(letter.start), START_LENGTH),
    )


def show_letter(settings: Settings, name: str, *, raw: bool) -> None:
    """One dead letter: its headers and its value, or the value's bytes alone.

    Raises:
        SettingsError: `name` is not PARTITION:OFFSET.
        InputError: there is no such letter, or its bytes were not kept.
        BrokerUnavailableError: no broker answers, or the topic is missing.
    """
    wanted = _named([name])
    (letter,) = _chosen(_read(settings), wanted)
    record = _record(settings, letter)
    if raw:
        _require_value(letter)
        sys.stdout.buffer.write(record.value or b"")
        sys.stdout.buffer.flush()
        return
    for header, value in record.headers:
        give(f"{printable(header)}: {printable(_text(value))}")
    give(f"key: {printable(_text(record.key or b''))}")
    give("")
    give(f"({letter.size:,} bytes, not kept)" if letter.digest else _pretty(record.value or b""))


def replay(settings: Settings, names: Sequence[str], *, everything: bool, dry_run: bool) -> None:
    """Put dead letters back on `posts` as they came; their names on stdout.

    Raises:
        SettingsError: nothing is chosen, or a name is not PARTITION:OFFSET.
        InputError: there is no such letter, or its bytes were not kept.
        BrokerUnavailableError: no broker answers, or not all were acknowledged.
    """
    if bool(names) == everything:
        raise SettingsError("name dead letters as PARTITION:OFFSET, or take --all; see: mmsent dead list")
    wanted = _named(names)
    read = _read(settings)
    chosen = [each for each in read.letters if not each.digest] if everything else _chosen(read, wanted)
    for letter in chosen:
        _require_value(letter)
    if everything and len(chosen) < len(read.letters):
        say(f"{len(read.letters) - len(chosen):,} are left out: they were too large to be kept")
    if chosen and not dry_run:
        with _reaching(settings) as reached:
            done = asyncio.run(_replay(reached, chosen))
        if done < len(chosen):
            raise InputError(
                f"only {done:,} of {len(chosen):,} were still on posts.dead; these went back on posts"
            )
    for letter in chosen:
        give(letter.name)
    what = "would go back" if dry_run else "went back"
    say(f"{len(chosen):,} {'record' if len(chosen) == 1 else 'records'} {what} on posts")


async def _replay(settings: Settings, chosen: Collection[DeadLetter]) -> int:
    return sum([count async for count in replay_letters(settings, chosen)])


def _require_value(letter: DeadLetter) -> None:
    if letter.digest:
        raise InputError(
            f"{letter.name} was too large to be kept ({letter.size:,} bytes); "
            f"its SHA-256 is {letter.digest}: send it again from its source"
        )


def _named(names: Sequence[str]) -> list[tuple[int, int]]:
    """`3:17` → (3, 17), each once."""
    pairs = dict.fromkeys(tuple(name.split(":")) for name in names)
    for pair in pairs:
        if len(pair) != 2 or not all(part.isascii() and part.isdecimal() for part in pair):
            raise SettingsError(f"{':'.join(pair)!r} is not PARTITION:OFFSET, e.g. 3:17")
    return [(int(partition), int(offset)) for partition, offset in pairs]


def _chosen(read: Letters, wanted: Sequence[tuple[int, int]]) -> list[DeadLetter]:
    """The letters of these records; the newest, should a topic of another name have had one too."""
    there = {(each.partition, each.offset): each for each in reversed(read.letters)}
    for partition, offset in wanted:
        if (partition, offset) not in there:
            raise InputError(f"there is no dead letter {partition}:{offset}; see: mmsent dead list")
    return [there[place] for place in wanted]


def _read(settings: Settings) -> Letters:
    with _reaching(settings) as reached:
        return asyncio.run(read_letters(reached))


def _record(settings: Settings, letter: DeadLetter) -> Record:
    async def read(settings: Settings) -> Record | None:
        async with aclosing(read_records(settings, [letter])) as records:
            return await anext(records, None)

    with _reaching(settings) as reached:
        record = asyncio.run(read(reached))
    if record is None:
        raise InputError(
            f"{letter.name} has just left {settings.topic('posts.dead')}: Kafka keeps it so long"
        )
    return record


@contextmanager
def _reaching(settings: Settings) -> Iterator[Settings]:
    """The settings of a running demo, unless a Kafka is named; says so if there is neither."""
    demo = running_demo(settings.data_dir)
    try:
        yield reachable(settings, demo)
    except BrokerUnavailableError as error:
        if demo is None and "kafka_bootstrap_servers" not in settings.model_fields_set:
            raise BrokerUnavailableError(
                f"{error}; nor does a demo run in {settings.data_dir}: name it with --data-dir"
            ) from error
        raise


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _pretty(value: bytes) -> str:
    """JSON with its structure, anything else as text; nothing in it can steer the terminal."""
    try:
        text = json.dumps(from_json(value), indent=2, ensure_ascii=False)
    except ValueError:
        text = _text(value[:SHOWN_BYTES])
    lines = [CONTROL.sub(" ", line).rstrip() for line in text[:SHOWN_BYTES].splitlines()]
    rest = len(text) > SHOWN_BYTES or len(value) > SHOWN_BYTES
    return "\n".join([*lines, "… (the whole: --raw)"] if rest else lines)
