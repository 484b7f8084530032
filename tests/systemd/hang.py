"""Goes into the daemon's virtual environment: on SIGUSR1 the daemon hangs in the way that /run/busyd/hang names.

Loaded at the start of every process of that environment by a line in a .pth file; does nothing in any but the daemon.
"""

import os
import re
import signal
import threading
import time
from concurrent.futures import Future, thread
from pathlib import Path


def hang(*_: object) -> None:
    """Runs on the thread of the event loop."""
    kind = Path("/run/busyd/hang").read_text().strip()
    if kind == "busy-loop":
        while True:
            pass
    elif kind == "blocking-call":
        time.sleep(10_000)
    elif kind == "held-interpreter":
        re.match(r"(a|aa)+$", "a" * 5000 + "b")  # never lets another thread run
    elif kind == "lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    elif kind == "store-thread":
        for worker, queue in thread._threads_queues.items():
            if worker.name.startswith("mirror"):
                queue.put(thread._WorkItem(Future(), time.sleep, (10_000,), {}))


if "NOTIFY_SOCKET" in os.environ:
    signal.signal(signal.SIGUSR1, hang)
