"""Reads calendar objects and expands each with busyd's engine: `python -m tests.bench.expand_all FILE START END`.

The twin of `expand_with_libical.c`, with the same input; prints how many occurrences there are.
"""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

from busyd.availability.index import index_object
from busyd.period import Instant, Period


def read_objects(path: Path) -> Iterator[bytes]:
    """The payloads of a file, each behind its length."""
    with path.open("rb") as objects:
        while head := objects.readline():
            yield objects.read(int(head))


def main() -> None:
    gc.set_threshold(20_000)  # as in the worker process, where the daemon reads imports
    span = Period(Instant(int(sys.argv[2])), Instant(int(sys.argv[3])))
    print(
        sum(len(index_object(payload, span, zone="Europe/Berlin").rows) for payload in read_objects(Path(sys.argv[1])))
    )


if __name__ == "__main__":
    main()
