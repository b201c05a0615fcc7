"""The command line: data on stdout, one clear line on stderr for what cannot be done, exit codes."""

import ast
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

import mmsent
from mmsent import __main__ as entrance
from mmsent import cli
from mmsent.broker import Message, Publisher, TopicReader
from mmsent.commands.alert_view import line_of
from mmsent.commands.alerts import reachable
from mmsent.commands.console import printable
from mmsent.embedded.record import DemoRecord, claimed, running_demo, write_record
from mmsent.embedded.servers import free_port, local_kafka, local_redis
from mmsent.engine.stub import POISON
from mmsent.posts import Alert, Window
from mmsent.settings import Settings, settings_table
from mmsent.sources.drawings import draw, jpeg, motifs
from mmsent.store.reads import Quote

ROOT = Path(__file__).parent.parent
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
COMMANDS = [
    "demo",
    "ingest replay",
    "ingest sample",
    "worker",
    "dashboard",
    "alerts",
    "score",
    "train",
    "evaluate",
    "export",
    "kafka create",
    "topics list",
    "topics add",
    "topics remove",
    "dead list",
    "dead show",
    "dead replay",
    "db upgrade",
    "db prune",
    "schema",
    "settings",
    "doctor",
]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What stderr says, which must be one line, with nothing on stdout."""
        assert self.out == ""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("mmsent: ")
        assert "Traceback" not in self.err
        return self.err


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.setenv("MMSENT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(cli, "configure_logging", lambda _: None)  # it is for the process that we are in

    def command(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["mmsent", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return command


def alert(**changes: object) -> Alert:
    values = {
        "alert_id": "a1",
        "revision": 2,
        "kind": "conflict",
        "severity": 6,
        "created_at": NOON,
        "topic": "weather",
        "title": "Words and pictures disagree",
        "count": 3,
        "window": Window(start=NOON, end=NOON),
        "posts": ("test/1",),
    }
    return Alert.model_validate({**values, **changes})


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert f"\n    mmsent {command}" in done.out or f"mmsent {command}" in done.out.split("Examples:")[1]


def test_help_names_all_commands_and_exit_codes(run: Run) -> None:
    done = run("--help")
    assert all(command.split()[0] in done.out for command in COMMANDS)
    assert "Exit codes" in done.out


def test_version(run: Run) -> None:
    assert run("--version").out == f"mmsent {mmsent.__version__}\n"


def test_help_is_fast_because_it_imports_little() -> None:
    program = (
        "import sys, mmsent.cli\n"
        "heavy = {'openvino', 'streamlit', 'torch', 'sqlalchemy', 'aiokafka', 'numpy', 'pydantic', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", ["__init__", "__main__"])
def test_an_old_python_can_read_the_entrance(name: str) -> None:
    ast.parse((ROOT / "mmsent" / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_an_old_python_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 8, 10))
    with pytest.raises(SystemExit) as ended:
        entrance.main()
    said = capsys.readouterr().err
    assert ended.value.code == 4
    assert "needs Python 3.11 or newer" in said
    assert said.count("\n") == 1


# Wrong use


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--nonsense"], "No such option: --nonsense"),
        (["nonsense"], "No such command 'nonsense'"),
        (["demo", "--rate", "fast"], "--rate"),
        (["demo", "--rate", "-1"], "--rate"),
        (["demo", "--port", "70000"], "--port"),
        (["ingest", "replay"], "Missing argument"),
        (["schema", "nonsense"], "'post', 'scored', 'explained', 'alert'"),
    ],
)
def test_wrong_use_is_one_line(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert said in done.complaint
    assert "--help" in done.complaint


def test_a_group_without_a_command_shows_its_help(run: Run) -> None:
    done = run("db")
    assert done.code == 2
    assert "upgrade" in done.err


def test_a_setting_that_cannot_be_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_LATENESS_S", "soon")
    done = run("topics", "list")
    assert done.code == 2
    assert "MMSENT_LATENESS_S='soon'" in done.complaint


# Files


@pytest.mark.parametrize("command", [["ingest", "replay"], ["demo", "--headless", "--posts"], ["score"]])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("folder", "is a folder"),
        ("id,text\n", "posts.jsonl:1: not JSON"),
        ('{"id": "1"}\n{"id": "2", "te', "posts.jsonl:2: not JSON"),
        ('{"text": "a"}\n', "posts.jsonl:1: a post without an id"),
        ('{"id": "1", "image": "../a.jpg"}\n', "outside the file's folder"),
        ('{"id": "1", "image": "a.jpg"}\n', "is missing"),
        ("", "no posts in it"),
    ],
)
def test_files_that_cannot_be_used(
    run: Run, tmp_path: Path, command: list[str], content: str | None, said: str
) -> None:
    path = tmp_path / "posts.jsonl"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    done = run(*command, path)
    assert done.code == 3
    assert said in done.complaint
    assert not (tmp_path / "data").exists()


def test_local_pictures_need_an_address(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": "1", "image": "a.jpg"}\n')
    done = run("ingest", "replay", path)
    assert (done.code, "--pictures-at" in done.complaint) == (3, True)
    done = run("ingest", "replay", path, "--pictures-at", "ftp://example.org")
    assert (done.code, "https://" in done.complaint) == (3, True)


def test_replay_puts_posts_on_kafka(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "my pictures" / "a.jpg").write_bytes(b"\xff\xd8")
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": "1", "image": "my pictures/a.jpg"}\n{"id": "2"}\n')
    with local_kafka() as kafka:
        monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", kafka)
        done = run("ingest", "replay", path, "--source", "shop", "--pictures-at", "https://example.org/p/")
        assert (done.code, done.out) == (0, "")
        assert "2 posts are on posts" in done.err
        values = asyncio.run(_values(Settings.load(), "posts", 2))
    found = {value["post_id"]: [image["url"] for image in value["images"]] for value in values}
    assert found == {"shop/1": ["https://example.org/p/my%20pictures/a.jpg"], "shop/2": []}


async def _values(settings: Settings, topic: str, count: int) -> list[dict[str, object]]:
    values = []
    async with TopicReader(settings, topic, from_beginning=True) as reader, asyncio.timeout(20):
        async for record in reader:
            values.append(json.loads(record.value or b""))
            if len(values) == count:
                break
    return values


# What is not there


def test_no_kafka(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": "1"}\n')
    monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    for arguments in (["ingest", "replay", path], ["kafka", "create"]):
        done = run(*arguments)
        assert done.code == 4
        assert "Kafka at 127.0.0.1" in done.complaint


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["train", "--data", "x"], "train"),
        (["export", "x", "--data", "x", "--output", "y"], "export"),
        (["evaluate", "default", "x"], "evaluate"),
    ],
)
def test_without_the_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], module: str
) -> None:
    monkeypatch.setitem(sys.modules, f"mmsent.training.{module}", None)  # as if an import in it failed
    done = run(*command)
    assert done.code == 4
    assert "pip install 'mmsent[train]'" in done.complaint


def test_training_fails_before_its_hours_of_work(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text('[model]\npreset = "tiny"')
    missing = tmp_path / "none.safetensors"
    for options, complaint in (
        (["--config", missing], "give a TOML file"),
        (["--config", recipe, "--stage", "text"], "give the folder that holds the data sets"),
        (["--config", recipe, "--stage", "fusion"], "give the folder that holds the data sets"),
    ):
        done = run("train", "--data", tmp_path, "--output", tmp_path / "out", *options)
        assert done.code == 3
        assert complaint in done.complaint
        assert not (tmp_path / "out").exists()


def test_no_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_CHECKPOINT", str(tmp_path / "none"))
    done = run("demo", "--headless")
    assert done.code == 3
    assert str(tmp_path / "none") in done.complaint
    assert not (tmp_path / "data").exists()


def test_a_checkpoint_of_another_version(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"format_version": 99}')
    monkeypatch.setenv("MMSENT_CHECKPOINT", str(tmp_path))
    done = run("demo", "--headless")
    assert done.code == 3
    assert "99" in done.complaint


def test_a_data_folder_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    (tmp_path / "file").write_text("")
    for command in (["demo", "--headless", "--posts", _posts(tmp_path)], ["db", "upgrade"]):
        done = run(*command, "--data-dir", tmp_path / "file" / "data")
        assert done.code == 4
        assert "--data-dir" in done.complaint


def test_a_port_that_is_taken(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    with local_redis() as redis:
        port = redis.split(":")[2].split("/")[0]
        for command in (["demo", "--posts", _posts(tmp_path)], ["dashboard"]):
            done = run(*command, "--port", port)
            assert done.code == 4
            assert f"port {port}" in done.complaint
            assert "--port" in done.complaint
    assert not (tmp_path / "data").exists()


def test_a_second_demo_in_the_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    with claimed(tmp_path / "data"):
        done = run("demo", "--headless", "--posts", _posts(tmp_path))
    assert done.code == 4
    assert "already running" in done.complaint


def _posts(folder: Path) -> Path:
    path = folder / "good.jsonl"
    path.write_text('{"id": "1", "text": "a"}\n')
    return path


# The database


def test_upgrade_then_topics(run: Run, tmp_path: Path) -> None:
    assert "mmsent db upgrade" in run("topics", "list").complaint
    done = run("db", "upgrade")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "data" / "mmsent.db").exists()
    assert "no tracked topics" in run("topics", "list").err
    assert (
        run("topics", "add", "weather", "--any", "rain", "--any", '"first snow"', "--none", "toy").code == 0
    )
    assert json.loads(run("topics", "list", "--json").out) == {
        "name": "weather",
        "any_of": ["rain", '"first snow"'],
        "all_of": [],
        "none_of": ["toy"],
    }
    assert "weather" in run("topics", "list").out
    assert run("topics", "add", "all", "--any", "x").code == 3
    assert run("topics", "add", "empty").code == 3
    assert run("topics", "remove", "weather").code == 0
    assert run("topics", "remove", "weather").code == 3


# Data


@pytest.mark.parametrize("name", ["post", "scored", "explained", "alert"])
def test_schema(run: Run, name: str) -> None:
    schema = json.loads(run("schema", name).out)
    jsonschema.Draft202012Validator.check_schema(schema)
    if name == "alert":
        jsonschema.validate(json.loads(alert().to_json()), schema)


def test_settings(run: Run) -> None:
    assert run("settings").out == settings_table() + "\n"


# Scores


def test_scores_are_the_same_on_every_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    (tmp_path / "sad.jpg").write_bytes(jpeg(draw(motifs("stream", "picnic", "negative")[0], 0)))
    path = tmp_path / "posts.jsonl"
    lines = [{"id": number, "text": f"post {number}", "image": "sad.jpg"} for number in range(5)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    runs = [run("score", path, "--source", "shop") for _ in range(2)]
    assert [done.code for done in runs] == [0, 0]
    first, second = ([json.loads(line) for line in done.out.splitlines()] for done in runs)
    assert [scored["post_id"] for scored in first] == [f"shop/{number}" for number in range(5)]
    assert all(scored["image"] and scored["conflict"] is not None for scored in first)
    for scored in (*first, *second):
        del scored["scored_at"]
    assert first == second


def good_and_poison(folder: Path) -> Path:
    """A file of two posts; the stub engine fails on the second."""
    path = folder / "posts.jsonl"
    path.write_text(f'{{"id": 1, "text": "good"}}\n{{"id": 2, "text": "{POISON}"}}\n')
    return path


def test_a_post_that_the_engine_cannot_score(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    path = good_and_poison(tmp_path)
    done = run("score", path)
    assert done.code == 1
    assert [json.loads(line)["post_id"] for line in done.out.splitlines()] == ["posts/1"]
    assert "posts/2 is left out" in done.err
    assert "1 post in" in done.err
    assert "mmsent: 1 of 2 posts could not be scored" in done.err


def test_explained_scores(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    (tmp_path / "sad.jpg").write_bytes(jpeg(draw(motifs("stream", "picnic", "negative")[0], 0)))
    path, folder = tmp_path / "posts.jsonl", tmp_path / "new" / "maps"
    lines = [
        {"id": "../../etc/x", "text": "a good day", "image": "sad.jpg"},
        {"id": "..\\..\\etc\\x", "text": "", "image": "sad.jpg"},
        {"id": 3, "text": "a good day"},
        {"id": 4, "text": "https://example.org"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run("score", path, "--heat-maps", folder)
    assert done.code == 0
    found = [json.loads(line) for line in done.out.splitlines()]
    schema = json.loads(run("schema", "explained").out)
    for scored in found:
        jsonschema.validate(scored, schema)
    both, picture, words, nothing = (scored.pop("explanation") for scored in found)
    plain = [json.loads(line) for line in run("score", path).out.splitlines()]
    for scored in (*found, *plain):
        del scored["scored_at"]
    assert found == plain
    assert [word["word"] for word in both["words"] if word["text"] > 0] == ["good"]
    assert (both["fused_text"], picture["fused_text"], words["fused_text"]) == (
        pytest.approx(0.425),
        None,
        None,
    )
    assert (picture["words"], words["regions"], nothing) == ([], None, None)
    assert {both["heat_map"], picture["heat_map"]} == {file.name for file in folder.iterdir()}
    assert words["heat_map"] is None
    for file in folder.iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")
        assert re.fullmatch(r"posts-etc-x-[0-9a-f]{12}\.png", file.name)


def test_explanations_of_what_cannot_be_scored_or_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSENT_ENGINE", "stub")
    path = good_and_poison(tmp_path)
    assert "no folder for heat maps" in run("score", path, "--heat-maps", path).complaint
    done = run("score", path, "--explain")
    assert done.code == 1
    assert [json.loads(line)["explanation"]["heat_map"] for line in done.out.splitlines()] == [None]
    assert "posts/2 is left out" in done.err


# Alerts


def test_alerts_of_a_running_demo(run: Run, tmp_path: Path) -> None:
    with local_kafka() as kafka, claimed(tmp_path / "data"):
        url = f"sqlite:///{tmp_path / 'none.db'}"
        write_record(tmp_path / "data", DemoRecord(1, kafka, "redis://127.0.0.1:1/0", url, "", None, ""))
        asyncio.run(_publish(Settings.load(kafka_bootstrap_servers=kafka), b"{", alert().to_json()))
        lines = run("alerts", "--from-start", "--for", 3)
        data = run("alerts", "--from-start", "--for", 3, "--json")
        nothing = run("alerts", "--for", 1)
    assert (lines.code, data.code, nothing.code) == (0, 0, 0)
    assert lines.out == line_of(alert()) + "\n"
    assert "not an alert" in lines.err
    assert Alert.model_validate_json(data.out) == alert()
    assert nothing.out == ""


async def _publish(settings: Settings, *values: bytes) -> None:
    async with Publisher(settings) as publisher:
        await publisher.send_all("alerts", [Message(b"k", value) for value in values])


def test_kafka_that_was_named_wins_over_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSENT_DATA_DIR", str(tmp_path))
    record = DemoRecord(1, "127.0.0.1:5", "redis://127.0.0.1:6/0", "sqlite:///x", "", None, "")
    with claimed(tmp_path):
        write_record(tmp_path, record)
        assert reachable(Settings.load(), running_demo(tmp_path)).kafka_bootstrap_servers == "127.0.0.1:5"
        monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
        assert reachable(Settings.load(), running_demo(tmp_path)).kafka_bootstrap_servers == "kafka:9092"
    monkeypatch.delenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS")
    assert reachable(Settings.load(), running_demo(tmp_path)).kafka_bootstrap_servers == "127.0.0.1:29092"


def test_an_alert_in_one_line() -> None:
    quote = Quote("test/1", "Nice\nweather \x1b[2J\u202e" + "x" * 100, None, None, None)
    line = line_of(alert(count=1, state="recovered"), [quote])
    assert "1 post ·" in line
    assert "revision 2, recovered" in line
    assert "\x1b" not in line
    assert "\n" not in line
    assert line.endswith("…”")


def test_strangers_text_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\r\nc\u2066d\x9b") == "a [31mb c d"
    assert printable("abcdef", 4) == "abc…"
