"""Fixtures that more than one test file uses."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with training data and starting weights, where there is one."""
    folder = Path(os.environ.get("MMSENT_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the data sets: no {folder}/data (set MMSENT_SHARED)")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL: the one named by MMSENT_TEST_POSTGRES_URL, or a private one if the binaries are here."""
    given, binaries = os.environ.get("MMSENT_TEST_POSTGRES_URL"), servers.postgres_binaries()
    if given:
        yield given
    elif binaries:
        with servers.postgres(binaries) as url:
            yield url
    elif os.environ.get("MMSENT_TEST_SERVICES"):
        pytest.fail("MMSENT_TEST_SERVICES is set, but there is no PostgreSQL: install the package postgresql")
    else:
        pytest.skip("needs PostgreSQL: install it, or name one in MMSENT_TEST_POSTGRES_URL")
