"""What a worker's lines say, and what they never say."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mmsent.embedded.servers import local_kafka
from mmsent.settings import Settings
from tests.test_worker import environment, post, publish, settings_for, until_all_is_done

SECRET = "s3cret-pass"  # noqa: S105  # nobody's
PRIVATE = "a-private-thought"
WORKER = [sys.executable, "-P", "-m", "worker"]


async def output_of_worker(settings: Settings, more: Mapping[str, str], log: Path) -> str:
    """Everything that the real program says until all is done and it was told to stop."""
    with log.open("wb") as lines:
        process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
            WORKER, env=environment(settings) | more, stdout=lines, stderr=lines
        )
        try:
            await until_all_is_done(settings)
            process.terminate()
            code = await asyncio.to_thread(process.wait, 60)
        finally:
            process.kill()
            process.wait()
    output = await asyncio.to_thread(log.read_text)
    assert code == 0, output
    return output


async def test_lines_name_the_record_and_give_nothing_away(tmp_path: Path) -> None:
    with local_kafka() as kafka:
        settings = settings_for(tmp_path, kafka_bootstrap_servers=kafka)
        picture = {"images": [{"url": f"http://127.0.0.1:1/{PRIVATE}.jpg"}]}
        odd = [
            post("test/refused", PRIVATE, **picture),
            post("test/poison", f"{PRIVATE} stub-poison"),
            json.dumps({"op": PRIVATE}).encode(),
        ]
        await publish(settings, odd)
        more = {"MMSENT_REDIS_URL": f"redis://:{SECRET}@127.0.0.1:1/0", "MMSENT_LOG_FORMAT": "json"}
        output = await output_of_worker(settings, more, tmp_path / "worker.log")
    assert SECRET not in output
    assert PRIVATE not in output
    lines = [json.loads(line) for line in output.splitlines()]
    assert {"starting", "assigned", "live_feed_unavailable", "stopped"} <= {line["event"] for line in lines}
    of_records = [line for line in lines if line["event"] in {"picture_not_fetched", "dead_letter"}]
    assert sorted(line["post_id"] for line in of_records) == ["key 1", "key 2", "test/refused"]
    assert all({"partition", "offset", "level", "timestamp"} <= line.keys() for line in of_records)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_database_out_of_reach_is_named_without_its_password(tmp_path: Path, log_format: str) -> None:
    url = f"postgresql://user:{SECRET}@127.0.0.1:1/mmsent"
    settings = Settings(data_dir=tmp_path, engine="stub", health_port=0, database_url=url)
    done = subprocess.run(
        WORKER,
        env=environment(settings) | {"MMSENT_LOG_FORMAT": log_format},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4
    last = done.stderr.splitlines()[-1]
    said = json.loads(last)["error"] if log_format == "json" else last
    assert said.startswith("the database does not answer")
    assert SECRET not in done.stderr


TALK = f"""
import asyncio, logging, structlog, sys, warnings
from mmsent.settings import Settings
from worker.logs import configure_logging

configure_logging(Settings(log_format=sys.argv[1]))
log = structlog.get_logger()
logging.getLogger("library").error("down:\\n%s", "two lines")
warnings.warn("old", DeprecationWarning, stacklevel=1)
log.warning("odd", host="evil\\x1b[31m\\nfake line")

def meet():
    raise KeyError("{PRIVATE}")

try:
    meet()
except KeyError:
    log.exception("bug", partition=3, offset=17)

async def main():
    asyncio.get_running_loop().call_exception_handler({{"message": "task died"}})
    meet()

asyncio.run(main())
"""


def talk(log_format: str) -> str:
    command = [sys.executable, "-W", "always", "-c", TALK, log_format]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    return done.stderr


def test_json_is_one_object_a_line_whoever_speaks() -> None:
    output = talk("json")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line.get("logger") for line in lines] == ["library", "py.warnings", None, None, "asyncio", None]
    assert [line["event"] for line in lines if "logger" not in line] == ["odd", "bug", "crashed"]
    assert lines[0]["event"] == "down:\ntwo lines"
    assert PRIVATE not in output
    bug, crash = lines[3], lines[5]
    assert (bug["partition"], bug["offset"], bug["level"]) == (3, 17, "error")
    assert "in meet" in bug["exception"]
    assert bug["exception"].endswith("KeyError")
    assert crash["exception"].endswith("KeyError")


def test_text_cannot_be_steered_by_strangers() -> None:
    output = talk("text")
    assert "\x1b" not in output
    assert not any(line.startswith("fake line") for line in output.splitlines())
    assert "in meet" in output
    assert PRIVATE not in output
