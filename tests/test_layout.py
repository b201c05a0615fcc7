"""The import rule of docs/architecture.md: only down the floors, and the order within a floor counts."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = (
    ("errors", "posts", "settings"),
    (
        *("images", "model", "offsets", "batching", "topics", "trends", "store.tables"),
        *("broker", "dead_letters", "live"),
    ),
    (
        *(
            "alerts",
            "store.migrations",
            "store.schema",
            "store.rows",
            "store.writes",
            "store.prune",
            "store.reads",
            "store.edits",
        ),
        *("engine", "explain", "sources"),
    ),
    ("pipeline", "scoring", "explaining", "detector", "training"),
    ("embedded", "commands", "doctor", "cli", "worker", "dashboard"),
)
ORDER = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}
OWNERS = {
    "aiokafka": {"mmsent/broker.py"},
    "redis": {"mmsent/live.py"},
    "openvino": {"mmsent/engine/openvino.py", "mmsent/training/export.py"},
    "httpx": {"mmsent/images"},
    "httpcore": {"mmsent/images"},
    "PIL": {"mmsent/images/decode.py", "mmsent/images/heat_map.py", "mmsent/sources/drawings"},
    "confluent_kafka": {"mmsent/embedded"},
    "fakeredis": {"mmsent/embedded"},
    "streamlit": {"dashboard"},
    "altair": {"dashboard/charts.py"},
}
SOURCES = sorted(
    path for folder in ("mmsent", "worker", "dashboard") for path in (ROOT / folder).rglob("*.py")
)


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The entry of FLOORS that a dotted name of ours belongs to."""
    name = module.removeprefix("mmsent.")
    parts = name.split(".")
    return next((candidate for candidate in (".".join(parts[:2]), parts[0]) if candidate in ORDER), None)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_only_go_down(path: Path) -> None:
    own = room(dotted(path))
    if own is None:
        assert dotted(path) in {"mmsent", "mmsent.__main__", "mmsent.store"}, (
            f"{path.name} stands on no floor"
        )
        return
    for module in imports(path):
        if not module.startswith(("mmsent", "worker", "dashboard")) or module in {
            "mmsent",
            "mmsent.__version__",
        }:
            continue
        other = room(module)
        assert other is not None, f"{module} stands on no floor"
        assert other == own or ORDER[other] < ORDER[own], (
            f"{relative(path)} imports {module}, which stands above it"
        )


def test_worker_and_dashboard_do_not_know_each_other() -> None:
    for path in SOURCES:
        own = path.relative_to(ROOT).parts[0]
        other = {"worker": "dashboard", "dashboard": "worker"}.get(own)
        assert not any(module.split(".")[0] == other for module in imports(path)), path


@pytest.mark.parametrize("package", OWNERS)
def test_each_system_has_one_owner(package: str) -> None:
    users = {
        relative(path) for path in SOURCES if any(name.split(".")[0] == package for name in imports(path))
    }
    strangers = {user for user in users if not user.startswith(tuple(OWNERS[package]))}
    assert not strangers


def test_torch_stays_in_its_rooms() -> None:
    allowed = ("mmsent/model/fusion.py", "mmsent/engine/torch.py", "mmsent/training/")
    for path in SOURCES:
        heavy = {"torch", "torchvision", "transformers", "nncf", "onnx"} & {
            name.split(".")[0] for name in imports(path)
        }
        assert not heavy or relative(path).startswith(allowed), f"{relative(path)} imports {heavy}"


def test_importing_is_light() -> None:
    """The library and the command line need no torch, start no thread and read no environment."""
    program = (
        "import sys, threading, mmsent.cli, mmsent.pipeline, mmsent.detector, worker.consumer\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert not {'torch', 'streamlit', 'confluent_kafka', 'fakeredis'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_the_product_reads_only_its_own_settings() -> None:
    """The environment is read in settings.py alone; who starts other programs hands it on to them."""
    readers = {
        relative(path)
        for path in SOURCES
        if any(f"os.{name}" in path.read_text(encoding="utf-8") for name in ("environ", "getenv"))
    }
    starters = {
        "mmsent/embedded/browser.py",
        "mmsent/embedded/processes.py",
        "mmsent/commands/programs.py",
    }
    assert readers <= {"mmsent/settings.py", *starters}
