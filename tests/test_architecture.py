"""The layers and walls of the package, checked on its own source. `busyd/__init__.py` says what they are for."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "daemon" / "busyd"

LAYERS: Sequence[set[str]] = [
    {"__main__"},
    {"cli"},
    {"service"},
    {"http", "config", "systemd", "log"},
    {"flow"},
    {"sync", "booking"},
    {"index"},
    {"state"},
    {"availability", "advice"},
    {"remote", "store"},
    {"ical", "dav", "credentials", "running"},
    {
        "connection",
        "address",
        "clock",
        "cooperative",
        "own_thread",
        "progress",
        "timetext",
        "ownership",
        "spelling",
        "durations",
    },
    {"durable_file", "os_errors", "regular_file"},
    {"period", "errors"},
]
"""Top first. A module may import from the layers below its own, never from beside it or above."""
PURE = {
    "advice",
    "ical",
    "dav",
    "connection",
    "address",
    "timetext",
    "spelling",
    "durations",
    "period",
    "errors",
    "os_errors",
    "availability",
}
"""Packages whose modules compute and do nothing else."""
IO_MODULES = {"aiohttp", "asyncio", "socket", "sqlite3", "subprocess", "time"}
FILES = {"os", "pathlib", "shutil", "tempfile"}
READS_FILES = {"ical/tzfile.py", "ical/zone_names.py", "ical/rscale.py"}
"""Pure but for data that comes with the package or the system."""
NAMES_FILES = {"address.py"}
"""Carries a path without opening it."""
BANNED = {
    "sqlite3": {"store/sqlite", "store/backup.py"},
    "psycopg": {"store/postgresql"},
    "aiohttp": {"remote", "http"},
    "mcp": {"cli"},
}
"""Library -> the only packages, folders and files that may import it."""
HTTP_MAY_NOT_IMPORT = {"busyd.store", "busyd.state"}
CATCH_EVERYTHING = {
    "cli/run.py": 1,
    "flow/book.py": 1,
    "http/app.py": 1,
    "service/fleet.py": 1,
    "service/schedule.py": 2,  # its docstring names them all
}
"""Where an error nobody expected is logged, and life goes on, and how often. `except BaseException` cleans up and
raises again."""
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem != "__init__"]


def layer_of(package: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if package in layer)


def imports_of(source: str) -> Iterator[str]:
    """Every module that is imported, also inside functions and for type checking."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            names = (alias.name for alias in node.names if not alias.name.startswith("__"))
            yield from (f"{node.module}.{name}" for name in names if node.module == "busyd")


def violations(path: str, source: str) -> list[str]:
    """What a module at `path` inside the package may not import, and does."""
    package = path.split("/")[0].removesuffix(".py")
    imported = set(imports_of(source))
    own = layer_of(package)
    found = []
    for name in sorted(imported):
        first, _, rest = name.partition(".")
        if first == "busyd" and rest:
            other = rest.split(".")[0]
            if other != package and layer_of(other) <= own:
                found.append(f"{path} imports {name}, which is not below it")
        if first in BANNED and not any(path.startswith(place) for place in BANNED[first]):
            found.append(f"{path} imports {first}, which only {' and '.join(sorted(BANNED[first]))} may")
        if package in PURE and (first in IO_MODULES or (first in FILES and path not in READS_FILES | NAMES_FILES)):
            found.append(f"{path} is pure and imports {first}")
        if package == "http" and ".".join(name.split(".")[:2]) in HTTP_MAY_NOT_IMPORT:
            found.append(f"{path} imports {name}: handlers go through the Backend")
    if (count := catches_everything(source)) != CATCH_EVERYTHING.get(path, 0):
        found.append(f"{path} has `except Exception` {count} times")
    return found


def catches_everything(source: str) -> int:
    """How often an `except` catches Exception, or has no class at all."""
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    return sum(
        handler.type is None
        or any(isinstance(node, ast.Name) and node.id == "Exception" for node in ast.walk(handler.type))
        for handler in handlers
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(module: Path) -> None:
    assert violations(str(module.relative_to(PACKAGE)), module.read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("store/mirror.py", "from busyd.flow.ask import answer"),
        ("remote/client.py", "import busyd.store.mirror"),
        ("state/state.py", "def later():\n    from busyd.index.writer import IndexWriter"),
        ("http/feed.py", "from busyd import service"),
        ("ical/parse.py", "from pathlib import Path"),
        ("ical/parse.py", "import asyncio"),
        ("index/writer.py", "import sqlite3"),
        ("store/store.py", "import sqlite3"),
        ("store/ledger.py", "from psycopg import Connection"),
        ("flow/poll.py", "from aiohttp import ClientError"),
        ("http/feed.py", "from busyd.store.ledger import Token"),
        ("http/feed.py", "if TYPE_CHECKING:\n    from busyd.state.state import State"),
        ("sync/look.py", "try: ...\nexcept (ValueError, Exception): ..."),
        ("sync/look.py", "try: ...\nexcept: ..."),
    ],
)
def test_a_planted_violation_is_caught(path: str, source: str) -> None:
    assert len(violations(path, source)) == 1


def test_the_package_itself_imports_nothing_so_every_edge_is_seen() -> None:
    assert not list(imports_of((PACKAGE / "__init__.py").read_text()))


def test_the_architecture_docstring_names_every_package_and_module_of_the_top() -> None:
    text = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    layers = set(text.partition("Layers")[2].partition("Pipelines")[0].split())
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__main__"} <= layers


def test_every_package_says_what_it_is_for() -> None:
    packages = [path for path in PACKAGE.rglob("__init__.py") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert packages == []


def test_every_file_that_is_pointed_to_exists() -> None:
    pointers = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"`([a-z_/]+\.py)`", path.read_text())
        if not any((base / name).exists() for base in (path.parent, PACKAGE, PACKAGE.parent.parent))
    }
    assert pointers == set()


def test_no_two_classes_share_a_name() -> None:
    assert shared_class_names({str(path.relative_to(PACKAGE)): path.read_text() for path in MODULES}) == {}


def test_a_planted_second_class_of_a_name_is_caught() -> None:
    sources = {"dav/a.py": "class Written: ...\nclass Refused: ...", "http/b.py": "def make():\n    class Written: ..."}
    assert shared_class_names(sources) == {"Written": ["dav/a.py", "http/b.py"]}


def shared_class_names(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Every class name that is defined more than once, private and nested ones too -> where."""
    places = defaultdict(list)
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}
