"""State as older versions of busyd left it: the first dump of each file in tests/store/schemas."""

from typing import Final

from tests.systemd.machine import Machine

_WRITE: Final = "import sqlite3, sys; sqlite3.connect(sys.argv[2]).executescript(open(sys.argv[1]).read())"


def leave_old_files(machine: Machine, state: str, clone: str, *, owner: str) -> None:
    """Put a mirror and a ledger in place of those that are there. The ledger has a token named `phone`."""
    for name in ("mirror", "ledger"):
        file = f"{state}/{name}.sqlite3"
        machine.shell(
            f"rm -f {file}*; dump=$(ls {clone}/tests/store/schemas/{name}-*.sql | head -1);"
            f" python3 -c '{_WRITE}' $dump {file}; chown {owner}: {file}; chmod 600 {file}"
        )
