"""`busyd` that logs heavy modules whose import holds its loop up: `python -m tests.journey.loop_imports`."""

import logging
import sys
import threading
from typing import Final

HEAVY: Final = frozenset({"aiohttp.connector", "busyd.index.expansion", "lxml.etree"})
"""What only polling needs: the HTTP client, the engine and XML."""


def note_import(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook."""
    if event == "import" and arguments[0] in HEAVY and threading.current_thread() is threading.main_thread():
        logging.getLogger(__name__).error("the loop has imported %s", arguments[0])


if __name__ == "__main__":
    sys.addaudithook(note_import)

    from busyd.cli.main import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))
