"""busyd as its users start it, with what a measurement needs changed. `python -m tests.bench.entry [OPTIONS] run ...`.

`--plain-loop` hides uvloop. `--stalls FILE` writes a line whenever the loop was held up for more than a millisecond:
the monotonic time, and for how many milliseconds, in wall time and in CPU time of the loop's own thread, which a host
that steals CPU does not lengthen. `--unpaced` asks servers as fast as they answer. `--without-expansion` stores objects
without looking into them.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_TICK = 0.001


def watch_loop(file: Path) -> None:
    """Have the daemon's loop watched once it serves."""
    from busyd.service.lifecycle import Service

    live: Callable[..., Awaitable[None]] = Service._serve_until_stopped

    async def watched(self: Service, *arguments: Any) -> None:
        watcher = asyncio.create_task(_watch(file))
        try:
            await live(self, *arguments)
        finally:
            watcher.cancel()

    Service._serve_until_stopped = watched  # type: ignore[method-assign,assignment]


async def _watch(file: Path) -> None:
    with file.open("a", buffering=1) as lines:
        while True:
            wall, cpu = time.monotonic(), time.thread_time()
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            late = now - wall - _TICK
            if late > _TICK:
                lines.write(f"{now:.6f} {late * 1000:.3f} {(time.thread_time() - cpu) * 1000:.3f}\n")


def drop_pace() -> None:
    """Have no request wait for the next minute."""
    from busyd.remote.backoff import RequestBudget

    RequestBudget.take = lambda *_: 0.0  # type: ignore[method-assign]


def drop_expansion() -> None:
    """Have every object say nothing of time."""
    from busyd.availability.index import PackedObject
    from busyd.index.expansion import Expansion

    nothing = PackedObject("", recurring=False, zone_dependent=False, facts=(), occurrences=b"")

    async def index_some(_: Expansion, batch: list[bytes], *__: object, **___: object) -> list[PackedObject]:
        return [nothing for _ in batch]

    # Every reading of every object goes through this one.
    Expansion._index_some = index_some  # type: ignore[method-assign,assignment]


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--plain-loop"]:
        sys.modules["uvloop"] = None  # type: ignore[assignment]
        del arguments[0]
    if arguments[:1] == ["--stalls"]:
        watch_loop(Path(arguments[1]))
        del arguments[:2]
    if arguments[:1] == ["--unpaced"]:
        drop_pace()
        del arguments[0]
    if arguments[:1] == ["--without-expansion"]:
        drop_expansion()
        del arguments[0]
    from busyd.cli.main import run_command_line

    sys.exit(run_command_line(arguments))


if __name__ == "__main__":
    main()
