"""The settings table: the environment twins, clear errors, and the README's copy of it."""

import re
from pathlib import Path

import pytest

from mmsent.errors import SettingsError
from mmsent.settings import Settings, parse_endpoint, settings_table

README = Path(__file__).parent.parent / "README.md"


def test_the_environment_and_overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMSENT_KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("MMSENT_FETCH_ALLOW_PRIVATE", "127.0.0.1:8000, 10.0.0.0/8:80")
    monkeypatch.setenv("MMSENT_TOPIC_PREFIX", "test.")
    monkeypatch.setenv("MMSENT_CHECKPOINT", "")
    settings = Settings.load(data_dir=tmp_path, kafka_group_id=None)
    assert settings.kafka_bootstrap_servers == "broker:9092"
    assert settings.fetch_allow_private == ("127.0.0.1:8000", "10.0.0.0/8:80")
    assert settings.topic("posts.dead") == "test.posts.dead"
    assert settings.kafka_group_id == "mmsent"
    assert settings.checkpoint is None
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/mmsent.db"


def test_a_setting_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "database_url"
    file.write_text("postgresql://mmsent:secret@host/mmsent\n")
    monkeypatch.setenv("MMSENT_DATABASE_URL_FILE", str(file))
    assert Settings.load().database_url == "postgresql://mmsent:secret@host/mmsent"
    file.unlink()
    with pytest.raises(SettingsError, match=r"MMSENT_DATABASE_URL_FILE=.*No such file"):
        Settings.load()
    monkeypatch.setenv("MMSENT_DATABASE_URL", "sqlite:///mine.db")
    assert Settings.load().database_url == "sqlite:///mine.db"


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    urls = {"database_url": "postgresql://u:hunter2@host/x", "redis_url": "redis://:hunter2@host"}
    assert "hunter2" not in repr(Settings.load(**urls))
    file = tmp_path / "redis_url"
    file.write_bytes(b"redis://:hunter\xff2@host")
    monkeypatch.setenv("MMSENT_REDIS_URL_FILE", str(file))
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value) == f"MMSENT_REDIS_URL_FILE={str(file)!r} cannot be read: it is no UTF-8 text"


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("ENGINE", "tpu", "openvino"),
        ("HEALTH_PORT", "70000", "65535"),
        ("FETCH_DEADLINE_S", "0", "greater than 0"),
        ("FETCH_ALLOW_PRIVATE", "127.0.0.1", "address-or-CIDR:port"),
        ("LIVE_TTL_S", "7200", "3600"),
    ],
)
def test_a_wrong_setting_names_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(f"MMSENT_{name}", value)
    with pytest.raises(SettingsError, match=re.escape(hint)) as caught:
        Settings.load()
    assert f"MMSENT_{name}" in str(caught.value)
    assert value in str(caught.value)


def test_the_table_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings(data_dir=tmp_path).engine = "stub"  # type: ignore[misc]


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.1:", ":80", "host:80", "1.2.3.4:0", "1.2.3.4:65536"])
def test_an_allowed_endpoint_names_address_and_port(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_endpoint(entry)


def test_parse_endpoint() -> None:
    network, port = parse_endpoint("[::1]:8000")
    assert (str(network), port) == ("::1/128", 8000)


def test_readme_shows_this_very_table() -> None:
    text = README.read_text(encoding="utf-8")
    shown = text.split("<!-- settings -->")[1].split("<!-- /settings -->")[0].strip()
    assert shown == settings_table(), (
        "put the output of `mmsent settings` between the README's settings marks"
    )
