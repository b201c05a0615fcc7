"""What the README shows is true: its messages are valid, and its programs run as they stand there."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from mmsent.embedded.record import DemoRecord, running_demo
from mmsent.posts import Alert, Post, parse_message
from mmsent.store.reads import Reader

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PATIENCE_S = 180.0
Found = TypeVar("Found")

pytestmark = pytest.mark.timeout(600)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def program(name: str) -> str:
    return next(block for block in blocks("python") if block.startswith(f"# {name}\n"))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoRecord]:
    """The sample over the stub engine, which finds disagreement of its own."""
    command = [
        sys.executable,
        "-m",
        "mmsent",
        "demo",
        "--headless",
        "--past",
        "3",
        "--data-dir",
        str(tmp_path),
    ]
    environment = {**os.environ, "MMSENT_ENGINE": "stub"}
    with (tmp_path / "demo.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield until(lambda: running_demo(tmp_path))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def until(look: Callable[[], Found | None]) -> Found:
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_a_post_in_and_an_alert_out() -> None:
    post, alert = (block.strip() for block in blocks("json"))
    assert isinstance(parse_message(post), Post)
    assert Alert.model_validate_json(alert).kind == "conflict"


def test_posts_and_alerts_travel_by_the_programs(demo: DemoRecord) -> None:
    broker = demo.kafka_bootstrap_servers
    subprocess.run([sys.executable, "-c", program("post.py"), broker], check=True, timeout=60)
    reader = Reader(demo.database_url)
    try:
        assert until(lambda: reader.quotes(["https://example.org/1"]) or None)
    finally:
        reader.close()
    with subprocess.Popen(
        [sys.executable, "-c", program("subscribe.py"), broker], stdout=subprocess.PIPE, text=True
    ) as subscriber:
        try:
            assert subscriber.stdout is not None
            assert "Words and picture disagree" in subscriber.stdout.readline()
        finally:
            subscriber.kill()
