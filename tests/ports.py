"""Ports for servers that are told where to listen before they start."""

import os
import random
import socket
from collections.abc import Iterator
from typing import Final

_LOWEST: Final = 10_000
_EACH: Final = 1_000
"""How many each process that runs tests has to itself: what one has just picked is picked by no other."""
_PROCESSES: Final = 22
"""As many as end below 32,768: from there on, any connection may be given a port at any moment."""


def free_port() -> int:
    """One that nothing listens on, and that nothing takes until it is used."""
    return free_ports(1).start


def free_ports(count: int) -> range:
    """So many in a row."""
    while True:
        found = range(first := next(_starts), first + count)
        if found.stop <= _STOP and all(map(_is_free, found)):
            for _ in found[1:]:
                next(_starts)
            return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _start_anywhere(start: int) -> Iterator[int]:
    """All of a process's, again and again. Runs side by side begin at different places."""
    offset = random.randrange(_EACH)
    while True:
        yield start + offset
        offset = (offset + 1) % _EACH


_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_STOP: Final = _LOWEST + (_worker + 1) * _EACH
_starts: Final = _start_anywhere(_STOP - _EACH)
