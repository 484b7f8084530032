"""How old the mirror is: asked of the running daemon, or read from the file when none is running."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from busyd.cli.daemon_client import NotAnswering, client_of
from busyd.cli.doctor_report import Labels, Level, ReportEntry, count
from busyd.cli.exit_status import CommandFailed
from busyd.cli.installation import Installation
from busyd.cli.stores import stores_of
from busyd.clock import Clock
from busyd.config import Config
from busyd.credentials import CredentialMissing
from busyd.errors import BusydError, Misconfigured
from busyd.ownership import as_owner_of
from busyd.period import Instant
from busyd.running import LOCK_FILE
from busyd.store.errors import StorageDamaged, StorageError, StorageUnusable, StoredElsewhere
from busyd.store.mirror import MIRROR_FILE

ANSWERS_WITHIN: Final = 10.0
"""Seconds after which a daemon is taken for one that hangs; it answers in thousandths, also while it reads."""


class MirrorState(Struct, frozen=True):
    """When the servers last confirmed what the mirror holds."""

    proofs: Mapping[str, tuple[Instant, ...]] = field(default_factory=dict)
    """By connection; empty for one that was never read."""
    running: bool = False
    incomplete: frozenset[str] = frozenset()
    """Profiles of which nothing can be proved to be free."""
    fresh: frozenset[str] = frozenset()
    """Profiles of which the daemon says that all was confirmed recently enough."""
    known: bool = True
    """False when nobody could say what the mirror holds: `proofs` is empty then."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """How many calendars of a connection hold something that could not be parsed on this machine."""

    def worked_before(self, connection: str) -> bool:
        """Whether this connection was ever read."""
        return bool(self.proofs.get(connection))

    def failures(self, labels: Labels) -> Iterator[ReportEntry]:
        """One entry for each connection from which something was fetched that could not be parsed."""
        for name, calendars in self.unread.items():
            message = f"{count(calendars, 'calendar')} could be fetched, but not fully parsed on this machine"
            step = "run `busyd status` to see which, why, and what to do"
            yield ReportEntry(labels.of("connection", name), "reading", Level.WARNING, message, (step,))

    def ages(self, config: Config, labels: Labels, *, clock: Clock) -> Iterator[ReportEntry]:
        """One entry for each profile: are its answers fresh enough?"""
        for name, profile in config.profiles.items() if self.known else ():
            named = [*profile.conflicts, *([profile.primary] if profile.primary else [])]
            proofs = [
                proof for used in {reference.connection for reference in named} for proof in self.proofs.get(used, ())
            ]
            subject = labels.of("profile", name)
            if not proofs:
                yield ReportEntry(subject, "mirror", Level.WARNING, "none of its calendars has been read yet")
                continue
            age, most = clock.now() - min(proofs), int(profile.max_age.total_seconds())
            is_seldom = age > most and name in self.fresh  # a calendar has a longer max_age, or is polled seldom
            allowed = "all of it recently enough" if is_seldom else f"allowed: {_span(most)}"
            message = f"its oldest data was confirmed {_span(age)} ago ({allowed})"
            if name in self.incomplete:
                message = "nothing can be proved to be free: every answer is incomplete"
                step = "run `busyd status` to see which calendar is the reason"
                yield ReportEntry(subject, "complete", Level.WARNING, message, (step,))
            elif age <= most or is_seldom:
                yield ReportEntry(subject, "mirror", Level.OK, message)
            else:
                step = (
                    "run `busyd status` to see which calendar is not read, and why"
                    if self.running
                    else "start the daemon"
                )
                yield ReportEntry(subject, "mirror", Level.WARNING, message, (step,))


def read_mirror_state(installation: Installation) -> tuple[MirrorState, ReportEntry]:
    """What is known of the mirror, and whether the daemon is running and answering."""
    try:
        answer = client_of(installation).get("/v1/status", seconds=ANSWERS_WITHIN)
    except CommandFailed as error:
        return _without_answer(installation, hangs=isinstance(error, NotAnswering))
    proofs = {
        str(connection.get("name")): tuple(_moments(connection.get("calendars") or ()))
        for connection in answer.get("connections") or ()
    }
    unread = {
        str(connection.get("name")): number
        for connection in answer.get("connections") or ()
        if (number := sum(1 for calendar in connection.get("calendars") or () if calendar.get("note")))
    }
    entry = ReportEntry("daemon", "daemon", Level.OK, "running and answering")
    incomplete, fresh = (
        frozenset(str(profile.get("name")) for profile in answer.get("profiles") or () if profile.get("state") == state)
        for state in ("incomplete", "fresh")
    )
    return MirrorState(proofs, running=True, unread=unread, incomplete=incomplete, fresh=fresh), entry


def _without_answer(installation: Installation, *, hangs: bool) -> tuple[MirrorState, ReportEntry]:
    """Whether it runs is known from its lock, which is only looked at: the daemon alone holds it."""
    if installation.is_closed or _is_hidden(installation.state / LOCK_FILE):
        step = "run this as root, or as the user busyd runs as"
        return _unknown("this user may not check whether it is running", step)
    if not installation.is_in_use:
        return _read_store(installation)
    if not hangs:
        step = "run `busyd status` to see why"
        return _unknown("running, but it does not answer this user", step)
    if installation.running is None:
        step = f"try again in a moment; if it does not begin to answer, {installation.how_to_revive}"
        return _unknown("starting: it does not answer yet", step)
    entry = ReportEntry(
        "daemon", "daemon", Level.FAILED, "running, but it does not answer", (installation.how_to_revive,)
    )
    return MirrorState(running=True, known=False), entry


def _read_store(installation: Installation) -> tuple[MirrorState, ReportEntry]:
    stopped = ReportEntry("daemon", "daemon", Level.WARNING, "not running", (installation.how_to_start,))
    try:
        with as_owner_of(installation.state):
            storage = stores_of(installation)
            storage.require_ledger_in_place()
            records = storage.calendars_of_stopped()
    except (OSError, BusydError) as error:
        if installation.is_in_use:  # a daemon has begun to write meanwhile
            return _unknown("starting: it does not answer yet", "try again in a moment")
        is_of_store = isinstance(error, StorageError | CredentialMissing) and not isinstance(error, StoredElsewhere)
        if is_of_store and installation.config.store is not None:
            return MirrorState(known=False), stopped  # what is wrong with the database is told already
        return MirrorState(known=False), _unreadable(error)
    if records is None:
        return MirrorState(known=False), stopped
    proofs: dict[str, tuple[Instant, ...]] = {}
    for record in records:
        if record.as_of is not None and not record.gone:
            proofs[record.connection] = (*proofs.get(record.connection, ()), record.as_of)
    return MirrorState(proofs), stopped


def _unreadable(error: OSError | BusydError) -> ReportEntry:
    """Why the mirror of a stopped daemon cannot be read. The error itself may name the user or the directory."""
    if isinstance(error, StorageDamaged):
        message = "the mirror is damaged, but it can be rebuilt"
        step = f"move {MIRROR_FILE} out of the state directory before the next start: the calendars are then read again"
    elif isinstance(error, StoredElsewhere):
        message = "what is stored is not where the configuration says"
        step = "run `busyd token list`, which says where it is, and what to do"
    elif isinstance(error, StorageUnusable | PermissionError | Misconfigured):
        message = "the mirror cannot be opened"
        step = f"check owner, mode and type of {MIRROR_FILE} in the state directory"
    else:
        message = "the mirror cannot be read at the moment"
        step = "check the disk of the state directory (`df`, `dmesg`), and try again"
    return ReportEntry("state", "mirror-file", Level.FAILED, message, (step,))


def _unknown(message: str, step: str) -> tuple[MirrorState, ReportEntry]:
    return MirrorState(running=True, known=False), ReportEntry("daemon", "daemon", Level.WARNING, message, (step,))


def _is_hidden(lock: Path) -> bool:
    return os.path.lexists(lock) and not os.access(lock, os.R_OK, effective_ids=True)


def _moments(calendars: Any) -> Iterator[Instant]:
    for calendar in calendars:
        if calendar.get("linked") and calendar.get("as_of"):
            yield Instant(int(datetime.fromisoformat(calendar["as_of"]).timestamp()))


def _span(seconds: int) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} seconds"
