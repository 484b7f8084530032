"""Has aiohttp imported in two parts: what serving needs at a start, and its client once polling begins.

`import aiohttp` brings the client along, which reads the certificates of all authorities: a quarter of a start. Its
submodules need nothing of the package itself but a version.
"""

import importlib.util
import sys
from types import ModuleType


def import_server_alone() -> None:
    """Have aiohttp's server and what it needs be imported without the rest. For a process that has not imported either.

    Until `import_with_client`, the package has nothing but its submodules.
    """
    spec = importlib.util.find_spec("aiohttp") if "aiohttp" not in sys.modules else None
    if spec is not None:
        package = importlib.util.module_from_spec(spec)
        package.__dict__["__version__"] = ""  # of a Server field, in place of which answers have our own
        sys.modules["aiohttp"] = package


def import_with_client(name: str) -> ModuleType:
    """Import a module that needs all of aiohttp. That takes a while, so not on the loop."""
    package = sys.modules.get("aiohttp")
    if package is not None and package.__spec__ is not None and not hasattr(package, "ClientSession"):
        loader = package.__spec__.loader
        assert loader is not None
        loader.exec_module(package)
    return importlib.import_module(name)
