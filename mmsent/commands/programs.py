"""`mmsent worker` and `mmsent dashboard`: become the program."""

import os
import sys
from typing import NoReturn

from mmsent.embedded.processes import environment_of
from mmsent.embedded.servers import require_free
from mmsent.settings import Settings


def run_worker(settings: Settings) -> NoReturn:
    """Become the worker."""
    _become("worker", settings)


def run_dashboard(settings: Settings) -> NoReturn:
    """Become the dashboard's server.

    Raises:
        SetupError: the port is taken.
    """
    if settings.dashboard_port:
        require_free(settings.dashboard_port, settings.dashboard_host)
    _become("dashboard", settings)


def _become(program: str, settings: Settings) -> NoReturn:
    command = [sys.executable, "-P", "-m", program]
    # What it would not read for itself; so a password that is in a file stays there.
    options = dict(environment_of(settings).items() - environment_of(Settings.load()).items())
    os.execve(sys.executable, command, {**os.environ, **options})  # noqa: S606  # our own
