"""The part of `busyd status` about the daemons that share a database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from busyd.advice.diagnosis import COMPARE_CONFIGURATIONS, describe_clock
from busyd.cli.terminal import print_table

_NAMED: Final = 5
"""So many connections of a daemon are named."""
BEHIND: Final = 10
"""Seconds after which it is told that this daemon is behind, and that somebody writes for long."""


def print_daemons(sharing: Mapping[str, Any], connections: Sequence[Mapping[str, Any]], *, now: object) -> None:
    """Who they are, how long the session of each still lives, and what each polls."""
    owned: dict[str, list[str]] = {}
    for connection in connections:
        owned.setdefault(str(connection.get("owner", "")), []).append(str(connection.get("name")))
    rows = []
    for daemon in sharing.get("daemons") or []:
        name, count = str(daemon.get("name")), int(daemon.get("connections", 0))
        names = sorted(owned.get(name, ()))
        more = ", ..." if len(names) > _NAMED else ""
        polls = f"{count}: {', '.join(names[:_NAMED])}{more}" if names else str(count)
        shown = f"{name} (this one)" if daemon.get("this") else name
        rows.append((shown, str(daemon.get("address")), _left(daemon.get("until"), now), polls))
    if free := owned.get(""):
        rows.append(("nobody yet", "", "", f"{len(free)}: {', '.join(sorted(free)[:_NAMED])}"))
    print_table(("DAEMON", "ADDRESS", "SESSION", "POLLS"), rows)
    print()


def daemon_notes(sharing: Mapping[str, Any] | None) -> list[str]:
    """What is not as it should be."""
    if sharing is None:
        return []
    behind, oldest = sharing.get("behind"), int(sharing.get("oldest_write") or 0)
    notes = []
    if behind is None:
        notes.append("this daemon has not read yet what the others have written")
    elif behind > BEHIND:
        notes.append(f"this daemon last read {behind} seconds ago what the others have written; its log says why")
    if oldest > BEHIND:
        notes.append(
            f"a transaction has been writing the database for {oldest} seconds, and others may wait for it: "
            "pg_stat_activity shows whose it is"
        )
    others = [str(one.get("name")) for one in sharing.get("daemons") or [] if one.get("same_configuration") is False]
    if others:
        notes.append(
            f"{', '.join(others)}: configured differently from this daemon, so answers may depend on which one is"
            f" asked; {COMPARE_CONFIGURATIONS}"
        )
    if clock := describe_clock(sharing.get("clock_ahead"), other="database"):
        notes.append(f"{clock}, by which everything is dated; set it right, as its log bears its own times")
    return notes


def _left(until: object, now: object) -> str:
    """`27 s`, or that it is over."""
    try:
        left = int((datetime.fromisoformat(str(until)) - datetime.fromisoformat(str(now))).total_seconds())
    except ValueError:
        return ""
    return f"{left} s left" if left > 0 else "expired"
