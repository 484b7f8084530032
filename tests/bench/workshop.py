"""What every row is given: a folder, how long to measure, a way to speak, and households that are filled only once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.figures import Say
from tests.bench.processes import Server, server
from tests.bench.seed import ENVIRONMENT, Household
from tests.ports import free_port


@dataclass
class Workshop:
    """One run of the benchmark."""

    folder: Path
    say: Say
    quick: bool = False
    long: bool = False
    _filled: dict[str, Household] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """How often each side is measured in turn."""
        return 2 if self.quick else 15

    @property
    def seconds(self) -> float:
        """How long a side is under load in each round: many short rounds follow a machine whose speed changes."""
        return 0.5 if self.quick else 1.0

    def household(self, name: str, fill: Callable[[Household], None]) -> Household:
        """The household of this name, filled when first asked for; its daemon is not running."""
        if name not in self._filled:
            made = Household(self.folder / name)
            made.configure(free_port())
            fill(made)
            self._filled[name] = made
        return self._filled[name]

    def keep(self, name: str, body: bytes) -> Path:
        """A file with these bytes."""
        path = self.folder / name
        path.write_bytes(body)
        return path


@contextmanager
def busyd(
    household: Household,
    *options: str,
    pin: bool = True,
    plain_loop: bool = True,
    settled: bool = True,
    log: str = "error",
) -> Iterator[Server]:
    """busyd on a household, at a port of its own, once it has done what a start brings. `options` go to `entry.py`."""
    port = free_port()
    text = household.config.read_text()
    household.config.write_text("\n".join([f"listen: 127.0.0.1:{port}", *text.splitlines()[1:], ""]))
    plain = ["--plain-loop"] if plain_loop else []
    arguments = [*plain, *options, *household.arguments()]
    environment = {**ENVIRONMENT, "BUSYD_LOG": log}
    with server("tests.bench.entry", *arguments, port=port, environment=environment, pin=pin) as running:
        if settled:
            running.settle()
        yield running


@contextmanager
def bare(workshop: Workshop, body: bytes, *, uvloop: bool = False, pin: bool = True) -> Iterator[Server]:
    """The bare aiohttp handler that answers with these bytes."""
    file = workshop.keep("body.json", body)
    with server("tests.bench.bare", "{port}", str(file), *(["uvloop"] if uvloop else []), pin=pin) as running:
        yield running
