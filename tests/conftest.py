"""Fixtures that more than one test file uses."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmsent.store import schema
from tests.services.servers import Kafka, MissingServerError, Postgres, Redis, Server, postgres_schema

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with training data and starting weights, where there is one."""
    folder = Path(os.environ.get("MMSENT_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the data sets: no {folder}/data (set MMSENT_SHARED)")
    return folder


@pytest.fixture(scope="session")
def kafka_url() -> Iterator[str]:
    """Bootstrap address of a real Kafka."""
    with _running(Kafka, "MMSENT_TEST_KAFKA") as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a real PostgreSQL."""
    with _running(Postgres, "MMSENT_TEST_POSTGRES_URL") as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis."""
    with _running(Redis, "MMSENT_TEST_REDIS_URL") as url:
        yield url


@pytest.fixture
def postgres_schema_url(postgres_url: str) -> Iterator[str]:
    """URL of an empty schema of our own on the PostgreSQL."""
    with postgres_schema(postgres_url) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database with our schema, of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('store')}/mmsent.db"
        schema.upgrade(url)
        yield url
        return
    with postgres_schema(request.getfixturevalue("postgres_url")) as url:
        schema.upgrade(url)
        yield url


@contextmanager
def _running(kind: type[Server], variable: str) -> Iterator[str]:
    """The server that the variable names, or a private one; skips where it cannot be started.

    With MMSENT_TEST_SERVICES nothing is skipped.
    """
    given = os.environ.get(variable)
    if given:
        yield given
        return
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f"mmsent-{kind.name}-") as folder,
            kind(Path(folder)) as server,
        ):
            yield server.url()
    except MissingServerError as error:
        if os.environ.get("MMSENT_TEST_SERVICES"):
            pytest.fail(f"MMSENT_TEST_SERVICES is set, but it {error}")
        pytest.skip(f"{error}, or name a running {kind.name} in {variable}")
