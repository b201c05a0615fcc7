"""docker-compose.yml and the images: what must hold for every service, and how the passwords come about."""

import os
import runpy
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmsent.commands.programs import run_worker
from mmsent.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("mmsent-")]
ONCE = {"secrets", "init"}
DOCKERFILES = [ROOT / "worker" / "Dockerfile", ROOT / "dashboard" / "Dockerfile"]


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", ()))


def on_internet(name: str) -> bool:
    return any(not (COMPOSE["networks"][network] or {}).get("internal") for network in networks(name))


def test_the_public_images() -> None:
    public = {service["image"] for service in SERVICES.values()} - {SERVICES[name]["image"] for name in OURS}
    assert public == {"apache/kafka:4.3.0", "postgres:17-alpine", "redis:8-alpine"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "devices"}


@pytest.mark.parametrize("name", [*OURS, "postgres", "redis"])
def test_its_files_cannot_be_changed(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    for volume in service.get("volumes", ()):
        source, _, mode = volume.partition(":")
        assert source in COMPOSE["volumes"], "a folder of the machine is mounted"
        assert mode.endswith(":ro") or source.startswith(name)


def test_only_this_machine_reaches_the_dashboard_and_kafka() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"kafka": ["127.0.0.1:29092:29092"], "dashboard": ["127.0.0.1:8501:8501"]}


def test_the_page_does_not_see_kafka() -> None:
    assert not networks("dashboard") & networks("kafka")


def test_databases_cannot_be_reached_from_where_pictures_come_in() -> None:
    assert {name for name in SERVICES if "pictures" in networks(name)} == {"ingest", "worker", "worker-gpu"}
    for name in ("postgres", "redis"):
        assert networks(name) == {"database"}
        assert not on_internet(name)
    assert "pictures" not in networks("kafka")
    assert SERVICES["secrets"]["network_mode"] == "none"


def test_workers_may_fetch_the_samples_pictures_and_no_other_private_ones() -> None:
    address = SERVICES["ingest"]["networks"]["pictures"]["ipv4_address"]
    environment = SERVICES["worker"]["environment"]
    assert environment["MMSENT_FETCH_ALLOW_PRIVATE"] == f"{address}:{Settings().pictures_port}"
    assert SERVICES["ingest"]["environment"]["MMSENT_PICTURES_HOST"] == address


def test_a_worker_has_time_to_drain() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > Settings().drain_timeout_s + 10
    assert not SERVICES["worker"].keys() & {"container_name", "ports"}, "so that --scale works"


def test_what_lasts_has_a_health_check_and_what_needs_it_waits() -> None:
    for name in ("kafka", "postgres", "redis", "worker", "dashboard"):
        assert SERVICES[name]["healthcheck"]["test"]
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            finished = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how["condition"] == finished, name


def test_every_setting_exists() -> None:
    known = {f"MMSENT_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        for variable in SERVICES[name].get("environment", {}):
            assert variable.removesuffix("_FILE") in known or variable.startswith("STREAMLIT_")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_an_image_of_ours(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert "syntax" not in lines[0]  # it would fetch a front end
    assert {line.split()[1] for line in lines if line.startswith("FROM")} == {"python:3.11-slim"}
    assert [line for line in lines if line.startswith("USER")] == ["USER mmsent"]
    assert text.count("pip install") == text.count("--constraint constraints.txt") + text.count("--no-deps")


def test_passwords_are_made_once(tmp_path: Path) -> None:
    main = runpy.run_path(str(ROOT / "docker" / "passwords.py"))["main"]
    main(tmp_path)
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    (tmp_path / "redis_url").unlink()  # as if it had been killed
    main(tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == made
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o444}
    database, redis = made["postgres_password"].strip(), made["redis_password"].strip()
    assert database != redis
    assert min(len(database), len(redis)) == 64
    assert made["database_url"] == f"postgresql://mmsent:{database}@postgres:5432/mmsent\n"
    assert made["redis_url"] == f"redis://:{redis}@redis:6379/0\n"
    for name in OURS:
        for variable, file in SERVICES[name].get("environment", {}).items():
            assert not variable.endswith("_FILE") or Path(file).name in made


def test_a_password_in_a_file_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a worker is that of the processes which decode pictures, too."""
    monkeypatch.setenv("MMSENT_DATABASE_URL_FILE", str(tmp_path / "database_url"))
    (tmp_path / "database_url").write_text("postgresql://mmsent:hidden@postgres/mmsent")
    given: dict[str, str] = {}
    monkeypatch.setattr(os, "execve", lambda _program, _command, environment: given.update(environment))
    run_worker(Settings.load(data_dir=tmp_path))
    assert given["MMSENT_DATABASE_URL_FILE"] == str(tmp_path / "database_url")
    assert given["MMSENT_DATA_DIR"] == str(tmp_path)
    assert "hidden" not in str(given)
