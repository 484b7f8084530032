"""The import direction of the package, checked on its own source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "daemon" / "busyd"

# Top first. A room may import from the rows below it, never from its own row or above.
ROWS = [
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
    {"connection", "address", "clock", "cooperative", "progress", "timetext", "ownership"},
    {"os_errors"},
    {"period", "errors"},
]
PURE = {"ical", "dav", "connection", "address", "period", "errors", "os_errors"}
IO_MODULES = {"aiohttp", "asyncio", "socket", "sqlite3", "time", "os"}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem != "__init__"]


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def row_of(room: str) -> int:
    return next(index for index, row in enumerate(ROWS) if room in row)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_the_rows_below(module: Path) -> None:
    room = room_of(module)
    for name in imports_of(module):
        if name.startswith("busyd."):
            other = name.split(".")[1]
            assert other == room or row_of(other) > row_of(room), f"{room} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_pure_room_does_no_io(module: Path) -> None:
    if room_of(module) in PURE:
        assert not {name.split(".")[0] for name in imports_of(module)} & IO_MODULES


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_dialect_of_a_database_is_spoken_outside_the_store(module: Path) -> None:
    assert room_of(module) == "store" or "sqlite3" not in set(imports_of(module))


def test_the_package_itself_imports_nothing_so_every_edge_is_seen() -> None:
    assert not list(imports_of(PACKAGE / "__init__.py"))
