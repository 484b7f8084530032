"""What the writing half of the self-test has found out about a server, and where it is kept for bookings."""

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from busyd.cli.doctor_report import Level, ReportEntry
from busyd.cli.installation import Installation
from busyd.cli.self_test import Steps
from busyd.cli.self_test_lag import describe_lag, longest
from busyd.cli.stores import ledger_of
from busyd.errors import BusydError
from busyd.period import Instant
from busyd.store.server_traits import ReadLag, ServerTraits


class Learned(Struct):
    """What the steps have found out; UNSET where none has."""

    lags: list[ReadLag] = field(default_factory=list)
    keeps_marks: bool | UnsetType = UNSET
    keeps_stamps: bool | UnsetType = UNSET
    buries_names: bool | UnsetType = UNSET
    needs_end: bool | UnsetType = UNSET
    late: float | None = None

    def traits(self, now: Instant) -> ServerTraits | None:
        """All of it; None where some step has found out nothing."""
        marks, stamps, buries, end = self.keeps_marks, self.keeps_stamps, self.buries_names, self.needs_end
        if not self.lags or marks is UNSET or stamps is UNSET or buries is UNSET or end is UNSET:
            return None
        return ServerTraits(
            measured=now,
            lag=longest(self.lags),
            keeps_marks=marks,
            keeps_stamps=stamps,
            buries_names=buries,
            needs_end=end,
            late=self.late,
        )


def keep_learned(steps: Steps, learned: Learned, *, installation: Installation) -> ReportEntry:
    """Keep what was found out for the daemon, which looks after its own writes by it."""
    check, connection = "write-learned", steps.session.connection
    traits = learned.traits(steps.session.clock.now())
    if traits is None:
        return ReportEntry(steps.subject, check, Level.SKIPPED, "too little was found out to keep it")
    details = {"learned": msgspec.to_builtins(traits)}
    try:
        with ledger_of(installation) as ledger:
            ledger.server_traits(lambda measured: measured.keep(connection, traits))
    except (BusydError, OSError):
        message, step = "what was found out could not be kept", "run this as root, or as the user busyd runs as"
        return ReportEntry(steps.subject, check, Level.WARNING, message, (step,), details)
    message = f"kept for bookings: {describe_lag(traits.lag)}"
    return ReportEntry(steps.subject, check, Level.OK, message, (), details)
