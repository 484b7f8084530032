"""`scripts/soak NAME [--options]` runs a loop, `scripts/soak --list` names all: the modules of `tests/soak/loops`."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType

from tests.soak import loops


def names() -> list[str]:
    """The names of all loops."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(loops.__path__))


def loop_named(name: str) -> ModuleType:
    """The module of a loop."""
    return importlib.import_module(f"{loops.__name__}.{name.replace('-', '_')}")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name all loops, each with what it does")
    parser.add_argument("name", nargs="?", choices=names(), help="the loop; its own options follow")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of the loop: NAME --help tells them")
    wanted = parser.parse_args(arguments)
    if wanted.list:
        for name in names():
            print(f"{name:20} {(loop_named(name).__doc__ or '').splitlines()[0]}")
        return 0
    if wanted.name is None:
        parser.error("which loop? --list names them")
    status: int = loop_named(wanted.name).soak(wanted.options)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
