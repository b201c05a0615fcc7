"""How the dashboard is started: Streamlit's command line, from our settings."""

import importlib.util
import ipaddress
import socket
import sys
from pathlib import Path

from mmsent.errors import SetupError
from mmsent.settings import Settings

APP = Path(__file__).with_name("app.py")
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def launch_arguments(settings: Settings) -> list[str]:
    """The program that serves the dashboard. It reads the rest of its settings from the environment.

    Raises:
        SetupError: Streamlit is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise SetupError("the dashboard needs Streamlit; run: pip install 'mmsent[dashboard]'")
    options = {
        "server.address": settings.dashboard_host,
        "server.port": str(settings.dashboard_port),
        # Repeated from .streamlit/config.toml: here no environment variable undoes them.
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    # -P: a folder that we happen to be started in cannot stand in for our packages
    program = [sys.executable, "-P", "-m", "dashboard.serve", "run", str(APP)]
    return [*program, *flags, *_allowed_hosts(settings)]


def _allowed_hosts(settings: Settings) -> list[str]:
    """Against DNS rebinding: a page that only this machine serves answers to this machine's names alone."""
    if not _is_local(settings.dashboard_host):
        return []
    return [part for name in LOCAL_NAMES for part in ("--server.allowedHosts", name)]


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def choose_port(host: str, port: int) -> int:
    """`port` if it is free, or any free one for 0.

    Raises:
        SetupError: it is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"the dashboard cannot listen on {host}:{port} ({error.strerror}); set MMSENT_DASHBOARD_PORT"
            ) from error
        return int(listener.getsockname()[1])
