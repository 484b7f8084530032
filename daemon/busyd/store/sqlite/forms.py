"""What a file of the state directory is called while it is moved to or from another place, and once it was."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from busyd.store.errors import StoredElsewhere

MOVING: Final = ".moving"
_ASIDE: Final = re.compile(r"\.(?P<form>[a-z]+)-(?P<stamp>\d{8}t\d{6}z)")


def aside_as(path: Path, form: str, *, stamp: str) -> Path:
    """Where a file is set aside."""
    return path.with_name(f"{path.name}.{form}-{stamp}")


def set_aside_as(path: Path, form: str) -> Sequence[Path]:
    """The files that were, the last one last."""
    return sorted(
        one for one in path.parent.glob(f"{path.name}.{form}-*") if _ASIDE.fullmatch(one.name[len(path.name) :])
    )


def moving(path: Path) -> Path:
    """Where a file is made while it is not in use yet."""
    return path.with_name(path.name + MOVING)


def require_not_moved(path: Path) -> None:
    """Refuse to begin an empty file in place of one that was moved. Raises StoredElsewhere."""
    if path.exists():
        return
    if moving(path).exists():
        message = f"{path} is not in place yet: a move to {path.parent} was ended midway"
        fix = (
            f"run `busyd migrate-store sqlite` again; to begin without what was moved, remove {moving(path).name} first"
        )
        raise StoredElsewhere(message, fix=fix)
    if moved := set_aside_as(path, "moved"):
        message = f"{path} was moved to a database ({moved[-1].name} is what it was)"
        fix = (
            "say with `store:` in the configuration where that is, or bring it back with `busyd migrate-store sqlite`; "
            "to begin with an empty one, move that file elsewhere"
        )
        raise StoredElsewhere(message, fix=fix)
