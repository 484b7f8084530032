"""What `busyd doctor` says of the database that several daemons share; nothing where the stores are files."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from busyd.advice.diagnosis import COMPARE_CONFIGURATIONS, describe_clock
from busyd.advice.errors import describe_error, next_step
from busyd.cli.doctor_report import Labels, Level, ReportEntry, count
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.stores import credentials_of
from busyd.clock import SystemClock
from busyd.config import Config
from busyd.credentials import CredentialMissing
from busyd.credentials.store import CredentialStoreUnreadable
from busyd.errors import Misconfigured
from busyd.service.storage import database_of, import_postgresql
from busyd.store.errors import StorageError, StorageUnusable

if TYPE_CHECKING:
    from busyd.store.postgresql.server import DatabaseServer

_LATE: Final = 10
"""Seconds: a session that has no more left was not renewed twice."""
_SAYS_WHY: Final = "run `busyd credential list`, which says why, and what to do"
_BEGUN: Final = "SELECT to_regclass('session') IS NOT NULL"


def examine_store(config: Config, installation: Installation, *, labels: Labels) -> Iterator[ReportEntry]:
    """Can the password be read, the server be used, and who else has a session there? Changes nothing."""
    if config.store is None:
        return
    try:
        import_postgresql()
        with installation.as_its_user():
            server = database_of(config.store, installation.state, environment=installation.environment)
        yield from _examine(server, labels)
        yield from _examine_secrets(installation, labels)
    except (Misconfigured, CredentialMissing) as error:
        yield _failed(labels, error, status=ExitStatus.CONFIG)
    except StorageUnusable as error:
        yield _failed(labels, error, status=ExitStatus.CONFIG)
    except StorageError as error:
        yield _failed(labels, error, status=ExitStatus.TRY_AGAIN)


def _examine_secrets(installation: Installation, labels: Labels) -> Iterator[ReportEntry]:
    """Do the stored passwords open with the key of this machine? Their names are shown only when asked for."""
    try:
        with installation.as_its_user():
            opened = credentials_of(installation).open_all()
    except CredentialStoreUnreadable as error:
        message, step = "the stored secrets in the database cannot be read with the key of this machine", _SAYS_WHY
        if labels.show_names:
            message, step = str(error), error.fix
        yield ReportEntry("store", "secrets", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    if opened.damaged:
        message = f"{count(len(opened.damaged), 'stored secret')} in the database cannot be read"
        named = "; ".join(map(describe_error, opened.damaged.values()))
        step = named if labels.show_names else _SAYS_WHY
        yield ReportEntry("store", "secrets", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    message = f"{count(len(opened.texts), 'stored secret')} can be read with the key of this machine"
    yield ReportEntry("store", "secrets", Level.OK, message)


def _failed(
    labels: Labels, error: Misconfigured | CredentialMissing | StorageError, *, status: ExitStatus
) -> ReportEntry:
    step = next_step(error)
    steps = (labels.scrub(step),) if step else ()
    return ReportEntry("store", "store", Level.FAILED, labels.scrub(str(error)), steps, status=status)


def _examine(server: "DatabaseServer", labels: Labels) -> Iterator[ReportEntry]:
    from busyd.store.postgresql.fleet_connection import FleetConnection
    from busyd.store.postgresql.fleet_schema import FLEET
    from busyd.store.postgresql.fleet_view import read_daemons, read_time
    from busyd.store.postgresql.restoring import was_put_back

    with server.errors(), server.connect(FLEET.schema) as connection:
        server.require_supported(connection)
        version = connection.info.parameter_status("server_version")
    yield ReportEntry("store", "store", Level.OK, f"the database can be used (PostgreSQL {version})")
    if was_put_back(server):
        message = "the database was put back to an earlier state, or moved, and no daemon was started since"
        step = "start busyd: it looks at each appointment once, and creates, moves and deletes nothing by itself"
        yield ReportEntry("store", "put-back", Level.WARNING, message, (step,))
    with closing(FleetConnection(server)) as fleet:
        ((is_begun,),) = fleet.execute(_BEGUN)
        daemons = read_daemons(fleet) if is_begun else []
        if is_begun:
            fleet.try_to_write()
        skew = SystemClock().now() - read_time(fleet)
    if clock := describe_clock(skew, other="database"):
        step = "set the clock right; daemons date by the database, and the log and certificates by the machine"
        yield ReportEntry("store", "clock", Level.WARNING, clock, (step,))
    late = [daemon for daemon in daemons if daemon.left < _LATE]
    for daemon in late:
        name = f"the daemon {daemon.name}" if labels.show_names else "a daemon"
        message = f"{name} has not renewed its session in time; {_what_follows(daemon.left)}"
        step = "see whether it runs and reaches the database, in its log; `--names` shows which one it is"
        yield ReportEntry("store", "daemon-late", Level.WARNING, message, (step,))
    if len({one.config_digest for one in daemons if one.left > 0 and one.config_digest}) > 1:
        message = "the daemons have different configurations, so answers may depend on which one is asked"
        yield ReportEntry("store", "configurations", Level.WARNING, message, (COMPARE_CONFIGURATIONS,))
    shown = f"{count(len(daemons) - len(late), 'daemon')} with a session in the database"
    yield ReportEntry("store", "daemons", Level.OK, shown)


def _what_follows(left: int) -> str:
    return f"it expires in {left} seconds" if left > 0 else "the others take over what it polls"
