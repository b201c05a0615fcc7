"""Every setting, in one frozen table. Each has an environment twin `MMSENT_<NAME>`; units are in the names.

`MMSENT_<NAME>_FILE` names a file that holds the value instead, which is how containers are given passwords.

The table is read once, by whoever starts a program, and handed down; no other module reads the environment.
"""

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mmsent.errors import SettingsError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
CountOrAuto = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/mmsent`, or `~/.local/share/mmsent` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "mmsent"


class Settings(BaseSettings):
    """What a deployment may choose."""

    model_config = SettingsConfigDict(
        env_prefix="MMSENT_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    data_dir: Path = Field(default_factory=default_data_dir, description="folder of the one-machine stack")
    database_url: str = Field(
        "", repr=False, description="SQLAlchemy URL; empty = SQLite at `<data-dir>/mmsent.db`"
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0", repr=False, description="live feed, thumbnails and heartbeats"
    )

    kafka_bootstrap_servers: str = Field("127.0.0.1:29092", description="Kafka brokers, comma-separated")
    kafka_group_id: str = Field("mmsent", description="consumer group of the workers")
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = Field(
        "", description="put before the names of Kafka's topics"
    )
    kafka_session_timeout_s: Positive = Field(
        10.0, description="a worker silent for so long loses its partitions"
    )
    kafka_rebalance_timeout_s: Positive = Field(
        60.0, description="time to finish in-hand work in a rebalance"
    )
    kafka_request_timeout_s: Positive = Field(10.0, description="bound on each commit, send and stop")

    engine: Literal["auto", "openvino", "torch", "stub"] = Field("auto", description="what runs the model")
    engine_threads: CountOrAuto = Field(0, description="CPU threads of the engine; 0 = all cores")
    checkpoint: Path | None = Field(
        None, description="model checkpoint folder; empty = the one that is shipped"
    )
    conflict_threshold: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="conflict from which a post is flagged; empty = the checkpoint's"
    )
    conflict_prior: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="share of your stream's posts whose text and picture are opposite; conflict is a "
        "probability there; empty = the checkpoint's",
    )

    batch_max_tokens: Count = Field(4096, description="padded tokens in one batch")
    batch_max_images: Count = Field(16, description="pictures in one batch")
    batch_max_waiting: Count = Field(512, description="posts that may wait for the engine")

    fetch_deadline_s: Positive = Field(5.0, description="from dialling to the last byte, redirects included")
    fetch_max_concurrent: Count = Field(64, description="pictures fetched at once")
    fetch_max_concurrent_per_host: Count = Field(8, description="of which from one host")
    fetch_max_redirects: CountOrAuto = Field(3, description="redirects followed")
    fetch_allow_private: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="`address-or-CIDR:port`, comma-separated; all else that is not public is refused"
    )
    image_max_bytes: Count = Field(8 * 1024 * 1024, description="largest picture file")
    image_max_pixels: Count = Field(16_000_000, description="largest picture, width × height")
    image_max_scans: Count = Field(64, description="most scans in a progressive JPEG")
    decode_timeout_s: Positive = Field(2.0, description="after which a decoding process is killed")
    decode_processes: CountOrAuto = Field(0, description="decoding processes; 0 = one per core, at most 4")
    decode_max_memory_mib: Count = Field(512, description="address space that a decoding process may add")
    thumbnail_px: Count = Field(160, description="longer side of the thumbnails we keep")

    max_in_flight: Count = Field(512, description="posts in hand at once, per worker")
    write_max_rows: Count = Field(256, description="rows in one database transaction")
    drain_timeout_s: Positive = Field(30.0, description="time to finish in-hand work on SIGTERM")
    stall_timeout_s: Positive = Field(120.0, description="lag without progress after which a worker gives up")
    topics_refresh_s: Positive = Field(15.0, description="how often tracked topics are read again")
    health_host: str = Field("127.0.0.1", description="address of /healthz, /readyz and /metrics")
    health_port: Port = Field(8081, description="port of /healthz, /readyz and /metrics; 0 = any free one")

    live_timeout_s: Positive = Field(0.25, description="longest wait for Redis")
    live_pause_s: Positive = Field(5.0, description="how long Redis is left alone after a failure")
    live_ttl_s: Annotated[int, Field(ge=1, le=3600)] = Field(3600, description="life of everything in Redis")
    live_feed_max: Count = Field(1000, description="posts in the live feed")

    detector_interval_s: Positive = Field(1.0, description="how often alerts are looked for")
    lateness_s: Positive = Field(
        90.0, description="how late posts may come before a minute counts as complete"
    )
    conflict_cooldown_s: Count = Field(3600, description="conflicts of a topic within it are one alert")
    alert_revision_interval_s: Positive = Field(3.0, description="least time between revisions of an alert")

    pictures_host: str = Field(
        "127.0.0.1", description="name or address under which workers reach the sample's pictures"
    )
    pictures_port: Port = Field(8082, description="port of the sample's pictures; 0 = any free one")
    dashboard_host: str = Field("127.0.0.1", description="address of the dashboard")
    dashboard_port: Port = Field(8501, description="port of the dashboard")

    log_format: Literal["text", "json"] = Field("text", description="for people or for programs")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line logged"
    )

    @field_validator("fetch_allow_private", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("fetch_allow_private")
    @classmethod
    def _name_a_port(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            parse_endpoint(entry)
        return value

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; `overrides` (command-line options that were given) win over it.

        Raises:
            SettingsError: names the setting, what is wrong with it and what it takes.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**(_from_files(cls.model_fields) | given))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "?"
            hint = cls.model_fields[name].description if name in cls.model_fields else ""
            raise SettingsError(
                f"MMSENT_{name.upper()}={first['input']!r}: {first['msg']} ({hint})"
            ) from error

    @property
    def resolved_database_url(self) -> str:
        """The database to use, the default spelled out."""
        return self.database_url or f"sqlite:///{self.data_dir / 'mmsent.db'}"

    def topic(self, name: Literal["posts", "scores", "alerts", "posts.dead"]) -> str:
        """Kafka's name of one of our topics."""
        return self.topic_prefix + name


def _from_files(names: Iterable[str]) -> dict[str, str]:
    """The settings for which there is no `MMSENT_<NAME>` but a `MMSENT_<NAME>_FILE`, which names a file."""
    found = {}
    for name in names:
        variable = f"MMSENT_{name.upper()}_FILE"
        file = os.environ.get(variable)
        if file and not os.environ.get(f"MMSENT_{name.upper()}"):
            try:
                found[name] = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{variable}={file!r} cannot be read: {error}") from error
            except UnicodeDecodeError:  # its words would quote what may be a password
                raise SettingsError(f"{variable}={file!r} cannot be read: it is no UTF-8 text") from None
    return found


def parse_endpoint(entry: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int]:
    """`127.0.0.1:8000`, `10.0.0.0/8:80` or `[::1]:8000` → (network, port).

    Raises:
        ValueError: not of that form, or without a port.
    """
    address, _, port = entry.rpartition(":")
    if not address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{entry!r} is not address-or-CIDR:port, e.g. 127.0.0.1:8000")
    return ipaddress.ip_network(address.strip("[]")), int(port)


def settings_table() -> str:
    """The table above as Markdown: environment name, default, meaning."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = (
            "`~/.local/share/mmsent`"
            if name == "data_dir"
            else f"`{default}`"
            if default not in ("", None, ())
            else ""
        )
        rows.append(f"| `MMSENT_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
