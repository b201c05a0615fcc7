"""`python -m dashboard`: settings from the environment, then Streamlit takes this process over."""

import os
import sys

from dashboard.launch import choose_port, launch_arguments
from mmsent.errors import MmsentError
from mmsent.settings import Settings


def main() -> None:
    try:
        settings = Settings.load()
        port = choose_port(settings.dashboard_host, settings.dashboard_port)
        arguments = launch_arguments(settings.model_copy(update={"dashboard_port": port}))
    except MmsentError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from error
    os.execv(arguments[0], arguments)  # noqa: S606  # our own interpreter, no shell


if __name__ == "__main__":
    main()
