"""`mmsent doctor`: names what is missing, says what to do, and fails only for what is required."""

import asyncio
import importlib.metadata
import json
from pathlib import Path

import pytest

from mmsent import doctor
from mmsent.broker import Publisher
from mmsent.commands import packages
from mmsent.doctor import Finding, examine
from mmsent.embedded.ingest import record_of
from mmsent.embedded.record import DemoRecord, claimed, write_record
from mmsent.embedded.servers import free_port, local_kafka, local_redis
from mmsent.posts import DeletePost
from mmsent.settings import Settings
from mmsent.store.schema import upgrade


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Nothing is there: no servers, no database."""
    return Settings.load(
        data_dir=tmp_path / "data",
        engine="stub",
        kafka_bootstrap_servers=f"127.0.0.1:{free_port()}",
        redis_url=f"redis://127.0.0.1:{free_port()}/0?password=hunter2",
        health_port=0,
        dashboard_port=free_port(),
    )


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings)}


def test_nothing_is_there(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(settings)
    assert {name for name, finding in found.items() if not finding.ok and finding.required} == {
        "database",
        "kafka",
    }
    assert found["database"].step == "mmsent db upgrade"
    assert "MMSENT_KAFKA_BOOTSTRAP_SERVERS" in found["kafka"].step
    assert "topics" not in found  # nobody to ask
    assert not found["redis"].ok
    assert not found["redis"].required
    assert "hunter2" not in found["redis"].detail
    assert found["demo"].step == "mmsent demo"
    assert found["disk space"].ok
    assert found["worker port"].ok
    assert found["dashboard port"].ok
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind
    assert doctor.run(settings, as_json=False) == 4
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("✘ kafka") for line in lines)
    assert any(line.startswith("– redis") for line in lines)
    assert any(line.startswith("✔ python") for line in lines)
    database = lines.index(f"✘ {'database':<14} there is no database yet")
    assert lines[database + 1].strip() == "→ mmsent db upgrade"
    assert lines[-1] == "2 things to do"


def test_a_running_demo_is_found_and_healthy(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    folder = settings.data_dir
    url = f"sqlite:///{folder / 'mmsent.db'}"
    with local_kafka() as kafka, local_redis() as redis, claimed(folder):
        upgrade(url)
        write_record(folder, DemoRecord(7, kafka, redis, url, "http://x", "http://127.0.0.1:9", ""))
        asyncio.run(_publish(Settings.load(kafka_bootstrap_servers=kafka)))
        patient = settings.model_copy(update={"live_timeout_s": 5.0})
        found = findings(patient)
        assert doctor.run(patient, as_json=True) == 0
        machine = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert doctor.run(patient, as_json=False) == 0
    assert [entry["name"] for entry in machine] == list(found)
    assert capsys.readouterr().out.endswith("\nall good\n")
    assert all(finding.ok for finding in found.values()), found
    assert found["demo"].detail == "runs as process 7, http://127.0.0.1:9"
    assert found["topics"].detail == "1 posts so far"
    assert "worker port" not in found  # it is the demo that has them


async def _publish(settings: Settings) -> None:
    async with Publisher(settings) as publisher:
        message = DeletePost(post_id="test/1", version=0, source="test")
        await publisher.send_all("posts", [record_of(message)])


def test_a_data_folder_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = findings(settings.model_copy(update={"data_dir": tmp_path / "file"}))
    assert not found["data folder"].ok
    assert "--data-dir" in found["data folder"].step


def test_a_database_of_another_time(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "mmsent.db").write_bytes(b"not a database, but long enough to be looked at " * 50)
    found = findings(settings)["database"]
    assert not found.ok
    assert "\n" not in found.detail


def test_a_checkpoint_that_is_missing(settings: Settings, tmp_path: Path) -> None:
    changes = {"engine": "openvino", "checkpoint": tmp_path / "none"}
    found = findings(settings.model_copy(update=changes))["checkpoint"]
    assert (found.ok, found.required) == (False, True)
    assert str(tmp_path / "none") in found.detail


def test_a_port_that_is_taken(settings: Settings) -> None:
    with local_redis() as redis:
        port = int(redis.split(":")[2].split("/")[0])
        found = findings(settings.model_copy(update={"dashboard_port": port}))["dashboard port"]
    assert (found.ok, found.required) == (False, False)
    assert f":{port} is in use" in found.detail
    assert "--port" in found.step


def test_packages_that_are_missing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name in {"torch", "aiokafka"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(packages.importlib.metadata, "version", without)
    found = findings(settings)
    assert (found["packages"].ok, found["packages"].required) == (False, True)
    assert "aiokafka" in found["packages"].detail
    assert found["packages"].step == "pip install mmsent"
    assert (found["[train]"].ok, found["[train]"].required) == (False, False)
    assert found["[train]"].step == "pip install 'mmsent[train]'"


def test_the_engine_says_what_it_runs_on(settings: Settings) -> None:
    detail = findings(settings.model_copy(update={"engine": "openvino"}))["engine"].detail
    assert detail.startswith("OpenVINO 20")
    assert "FP32" in detail
