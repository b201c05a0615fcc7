"""Fixtures that more than one test file uses."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with training data and starting weights, where there is one."""
    folder = Path(os.environ.get("MMSENT_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the data sets: no {folder}/data (set MMSENT_SHARED)")
    return folder
