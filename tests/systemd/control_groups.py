"""Control groups of their own for each machine: two systemds in one group would end each other's services."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MOUNTED: Final = Path("/sys/fs/cgroup")


@contextmanager
def own_control_groups(name: str) -> Iterator[list[Path]]:
    """A new group below our own in every hierarchy that lets us make one; removed at the end."""
    groups = [group for group in (parent / name for parent in _own_groups()) if _made(group)]
    try:
        yield groups
    finally:
        for group in groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # something in it still ends
                    Path(folder).rmdir()


def in_control_groups(groups: Sequence[Path]) -> list[str]:
    """What to put in front of a command that shall run in these groups."""
    script = 'for group in "${@:1:$0}"; do echo $$ > "$group/cgroup.procs"; done; exec "${@:$0+1}"'
    return ["bash", "-c", script, str(len(groups)), *map(str, groups)]


def _own_groups() -> Iterator[Path]:
    """Where this process is, in every hierarchy (cgroups(7), /proc/PID/cgroup)."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        name = controllers.removeprefix("name=")
        for mounted in (MOUNTED / name, *([MOUNTED / "unified"] if not name else [])):
            if (group := mounted / path.lstrip("/")).is_dir():
                yield group


def _made(group: Path) -> bool:
    try:
        group.mkdir()
        for inherited in ("cpuset.cpus", "cpuset.mems"):  # empty in a new group of the first version
            if (group / inherited).exists() and not (group / inherited).read_text().strip():
                (group / inherited).write_text((group.parent / inherited).read_text())
    except OSError:
        return False
    return True
