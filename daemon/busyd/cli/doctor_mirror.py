"""How old the mirror is: asked of the running daemon, or read from the file when none runs (it has one reader only)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from busyd.cli.daemon_client import client_of
from busyd.cli.doctor_report import Finding, Labels, Level, count
from busyd.cli.exit_status import CommandFailed
from busyd.cli.installation import Installation
from busyd.clock import Clock
from busyd.config import Config
from busyd.errors import BusydError
from busyd.ownership import as_owner_of
from busyd.period import Instant
from busyd.service.state_dir import StateInUse, locked
from busyd.store.mirror import MIRROR_FILE
from busyd.store.store import read_calendars_of_stopped


class MirrorState(Struct, frozen=True):
    """When calendars last were proved to be as the mirror has them."""

    proofs: Mapping[str, tuple[Instant, ...]] = field(default_factory=dict)
    """By connection; empty for one that was never read."""
    running: bool = False
    unread: Mapping[str, int] = field(default_factory=dict)
    """How many calendars of a connection hold something that this machine could not read."""

    def worked_before(self, connection: str) -> bool:
        """Whether this connection was ever read."""
        return bool(self.proofs.get(connection))

    def failures(self, labels: Labels) -> Iterator[Finding]:
        """One finding for each connection of which something was fetched and could not be read."""
        for name, calendars in self.unread.items():
            message = f"{count(calendars, 'calendar')} could be fetched, but not be read as a whole on this machine"
            step = "`busyd status` tells which, why, and what to do"
            yield Finding(labels.of("connection", name), "reading", Level.WARNING, message, (step,))

    def ages(self, config: Config, labels: Labels, clock: Clock) -> Iterator[Finding]:
        """One finding a profile: is what it answers young enough?"""
        for name, profile in config.profiles.items():
            named = [*profile.conflicts, *([profile.primary] if profile.primary else [])]
            proofs = [proof for used in {one.connection for one in named} for proof in self.proofs.get(used, ())]
            subject = labels.of("profile", name)
            if not proofs:
                yield Finding(subject, "mirror", Level.WARNING, "none of its calendars was read yet")
                continue
            age, most = clock.now() - min(proofs), int(profile.max_age.total_seconds())
            told = f"its oldest proof is {_span(age)} old, {_span(most)} are allowed"
            if age <= most:
                yield Finding(subject, "mirror", Level.OK, told)
            else:
                step = "`busyd status` tells which calendar is not read and why"
                yield Finding(subject, "mirror", Level.WARNING, told, (step if self.running else "start the daemon",))


def read_mirror_state(found: Installation) -> tuple[MirrorState, Finding]:
    """What is known of the mirror, and whether the daemon runs."""
    try:
        answer = client_of(found).get("/v1/status")
    except CommandFailed:
        return _read_file(found.state)
    proofs = {
        str(one.get("name")): tuple(_moments(one.get("calendars") or ())) for one in answer.get("connections") or ()
    }
    unread = {
        str(one.get("name")): number
        for one in answer.get("connections") or ()
        if (number := sum(1 for calendar in one.get("calendars") or () if calendar.get("note")))
    }
    finding = Finding("daemon", "daemon", Level.OK, "it is running and answers")
    return MirrorState(proofs, running=True, unread=unread), finding


def _read_file(state: Path) -> tuple[MirrorState, Finding]:
    path = state / MIRROR_FILE
    asleep = Finding("daemon", "daemon", Level.WARNING, "it is not running", ("start it with `busyd run`",))
    try:
        if not path.exists():
            return MirrorState(), asleep
        with as_owner_of(state), locked(state):
            records = read_calendars_of_stopped(path)
    except PermissionError:
        message, step = "this user may not look whether it runs", "run this as root, or as the user busyd runs as"
        return MirrorState(), Finding("daemon", "daemon", Level.WARNING, message, (step,))
    except StateInUse:
        deaf = "it is running, but does not answer this user"
        return MirrorState(running=True), Finding("daemon", "daemon", Level.WARNING, deaf)
    except (OSError, BusydError):
        message = "the mirror cannot be read; it can be rebuilt"
        step = f"stop the daemon and move {MIRROR_FILE} out of the state directory: it is read anew"
        return MirrorState(), Finding("state", "mirror-file", Level.FAILED, message, (step,))
    proofs: dict[str, tuple[Instant, ...]] = {}
    for record in records:
        if record.as_of is not None and not record.gone:
            proofs[record.connection] = (*proofs.get(record.connection, ()), record.as_of)
    return MirrorState(proofs), asleep


def _moments(calendars: Any) -> Iterator[Instant]:
    for one in calendars:
        if one.get("linked") and one.get("as_of"):
            yield Instant(int(datetime.fromisoformat(one["as_of"]).timestamp()))


def _span(seconds: int) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} seconds"
