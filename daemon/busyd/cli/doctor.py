"""`busyd doctor`: checks everything that can go wrong, in order, and writes a report that is safe to share."""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from busyd.advice.apple import steps_to_an_app_password
from busyd.advice.errors import next_step
from busyd.cli.check import read_as_the_daemon
from busyd.cli.doctor_account import WritingTest, examine_account
from busyd.cli.doctor_mirror import MirrorState, read_mirror_state
from busyd.cli.doctor_report import (
    Labels,
    Level,
    ReportEntry,
    count,
    describe_installation,
    print_entry,
    print_report,
    print_summary,
    status_of_entries,
)
from busyd.cli.doctor_state import examine_state
from busyd.cli.doctor_store import examine_store
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.installation import Installation, find_installation
from busyd.cli.known_names import require_connection
from busyd.cli.remote_session import RemoteSession, open_session, read_secret_of
from busyd.cli.self_test import DAY
from busyd.cli.unit_credentials import is_passed_on, outdated_credentials
from busyd.clock import Clock, SystemClock
from busyd.config import Config, ConfigFaults, ConfigMissing, ConnectionConfig
from busyd.credentials import CredentialMissing, Secret
from busyd.errors import Misconfigured, UserError
from busyd.remote.password import is_withheld
from busyd.remote.probe import Reachability, fetch_certificate, reach
from busyd.store.errors import StorageError


def add_doctor_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out what is wrong, in a report that is safe to share",
        description="Check configuration, state, network, clock, logins and calendars, and try everything busyd "
        "relies on. The report names no person, calendar, address or server of yours, so you can attach it to a "
        "bug report. Without --write, nothing is changed.",
    )
    parser.add_argument("--connection", metavar="NAME", help="only this connection")
    parser.add_argument("--write", action="store_true",
                        help="also test writing, in a scratch calendar that is removed afterwards")  # fmt: skip
    parser.add_argument(
        "--scratch",
        metavar="NAME",
        help="with --write: the calendar to write in, by name or id; it is made if need be, else it must be empty",
    )
    parser.add_argument(
        "--not-empty", action="store_true", help="with --scratch: the calendar may have events; they are not touched"
    )
    parser.add_argument("--names", action="store_true", help="show real names; such a report is not safe to share")
    parser.add_argument("--json", action="store_true", help="print JSON, with redacted server responses")
    parser.set_defaults(run=examine)


def examine(arguments: argparse.Namespace) -> int:
    """Check everything; print entries as they come."""
    if not arguments.write and (arguments.scratch is not None or arguments.not_empty):
        raise UsageError("--scratch and --not-empty are for --write", program="busyd doctor")
    try:
        entries = asyncio.run(_examine(arguments))
    except asyncio.CancelledError:
        return ExitStatus.INTERRUPTED
    if arguments.json:
        print_report(entries)
    else:
        print_summary(entries)
    return status_of_entries(entries)


async def _examine(arguments: argparse.Namespace) -> list[ReportEntry]:
    entries: list[ReportEntry] = []
    if arguments.write and (task := asyncio.current_task()) is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was written is removed first
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if not arguments.json:
        print(", ".join(f"{name} {version}" for name, version in describe_installation().items()))
    # Closed from outside in: whatever ends this, what was written is removed while the session is still open.
    async with aclosing(_until_refused(arguments, Labels(show_names=arguments.names))) as found:
        async for entry in found:
            entries.append(entry)
            if not arguments.json:
                print_entry(entry)
                sys.stdout.flush()
    return entries


async def _until_refused(arguments: argparse.Namespace, labels: Labels) -> AsyncGenerator[ReportEntry, None]:
    """The entries; where this user lacks access, they end with a line and not with a traceback."""
    try:
        async with aclosing(_all_entries(arguments, labels)) as entries:
            async for entry in entries:
                yield entry
    except OSError as error:
        message = f"the remaining checks failed: {(error.strerror or 'access denied').lower()}"
        yield ReportEntry(
            "doctor", "doctor", Level.FAILED, message, ("run this as root, or as the user busyd runs as",)
        )


async def _all_entries(arguments: argparse.Namespace, labels: Labels) -> AsyncGenerator[ReportEntry, None]:
    try:
        installation = find_installation(arguments)
        if installation.is_closed:
            closed = "this user may not enter the state directory"
            message = f"busyd runs as a service here, and {closed}" if installation.is_service else closed
            yield ReportEntry(
                "state", "state", Level.FAILED, message, ("use sudo, or run this as the user busyd runs as",)
            )
        config, _ = read_as_the_daemon(installation)
    except ConfigFaults as error:
        message = f"{count(len(error.faults), 'error')} in the configuration"
        step = "run `busyd check` to see them by file and line"
        yield ReportEntry("configuration", "configuration", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    except CommandFailed:
        return  # reported already: this user cannot read the service's configuration either
    except ConfigMissing:
        message, step = "no configuration found", "create one with `busyd setup`"
        yield ReportEntry("configuration", "configuration", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    for name in config.connections:
        labels.of("connection", name)
    for name in config.profiles:
        labels.of("profile", name)
    chosen = _chosen(config, arguments.connection)
    clock = SystemClock()
    yield _configuration(config)
    if not installation.is_closed:
        for entry in examine_state(installation.state):
            yield entry
    for entry in await asyncio.to_thread(lambda: list(examine_store(config, installation, labels=labels))):
        yield entry
    mirror, entry = await asyncio.to_thread(read_mirror_state, installation)
    yield entry
    for sentence in outdated_credentials(installation):
        step = "restart the service: a reload does not pick it up"
        message = (
            sentence if labels.show_names else "a password passed by systemd has changed since the service started"
        )
        yield ReportEntry("credentials", "credential-changed", Level.WARNING, message, (step,))
    for entry in mirror.ages(config, labels, clock=clock):
        yield entry
    for entry in mirror.failures(labels):
        yield entry
    for settings in chosen:
        examined = _connection(
            settings, installation, labels=labels, mirror=mirror, clock=clock, writing=_writing(arguments)
        )
        async with aclosing(examined) as entries:
            async for entry in entries:
                yield entry


def _writing(arguments: argparse.Namespace) -> WritingTest | None:
    return WritingTest(arguments.scratch, arguments.not_empty) if arguments.write else None


def _chosen(config: Config, name: str | None) -> list[ConnectionConfig]:
    if name is None:
        return list(config.connections.values())
    require_connection(name, config)
    return [config.connections[name]]


def _configuration(config: Config) -> ReportEntry:
    message = f"valid: {count(len(config.connections), 'connection')}, {count(len(config.profiles), 'profile')}"
    if not config.warnings:
        return ReportEntry("configuration", "configuration", Level.OK, message)
    step = "run `busyd check` to see them by file and line"
    return ReportEntry(
        "configuration", "configuration", Level.WARNING, f"{message}; {count(len(config.warnings), 'warning')}", (step,)
    )


async def _connection(
    settings: ConnectionConfig,
    installation: Installation,
    *,
    labels: Labels,
    mirror: MirrorState,
    clock: Clock,
    writing: WritingTest | None,
) -> AsyncGenerator[ReportEntry, None]:
    connection = settings.connection
    subject = labels.of("connection", connection.name)
    try:
        secret = await read_secret_of(settings, installation)
    except (CredentialMissing, Misconfigured, StorageError) as error:
        shown = labels.show_names
        message = f"the password could not be read: {error}" if shown else "the password could not be read"
        step = next_step(error) if shown and next_step(error) else "run `busyd check` to see what is missing"
        yield ReportEntry(subject, "credential", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    credential = _credential(subject, settings, secret=secret, passed_on=is_passed_on(settings, installation))
    yield credential
    try:
        async with open_session(connection, secret, clock=clock) as session:
            async for entry in _network(session, subject, clock=clock):
                yield entry
            if credential.level is Level.FAILED:
                return
            examined = examine_account(session, installation, labels=labels, mirror=mirror, writing=writing)
            async with aclosing(examined) as entries:
                async for entry in entries:
                    yield entry
    except UserError as error:
        steps = (labels.scrub(error.fix),) if error.fix else ()
        yield ReportEntry(subject, "url", Level.FAILED, labels.scrub(str(error)), steps, status=ExitStatus.CONFIG)


def _credential(subject: str, settings: ConnectionConfig, *, secret: Secret | None, passed_on: bool) -> ReportEntry:
    if secret is None:
        return ReportEntry(subject, "credential", Level.OK, "no password is needed")
    if is_withheld(settings.connection, secret):
        message = "the password is not an app-specific one, so it is not sent to Apple"
        steps = steps_to_an_app_password("NAME")
        refused, code = ExitStatus.LOGIN_REFUSED, "auth.apple.not-app-specific"
        return ReportEntry(subject, "credential", Level.FAILED, message, steps, status=refused, code=code)
    source = "; systemd passes it to the service, so a new one needs a restart, not a reload" if passed_on else ""
    return ReportEntry(subject, "credential", Level.OK, f"the password was read{source}")


async def _network(session: RemoteSession, subject: str, *, clock: Clock) -> AsyncIterator[ReportEntry]:
    """Host name, both IP families, certificate; no password is sent."""
    address = session.address
    if address is None:
        return
    host, port = address.origin.host, address.origin.port
    families = await reach(host, port)
    yield _reach(subject, families)
    if address.origin.scheme == "https" and any(family.reached for family in families):
        certificate, _ = await fetch_certificate(host, port)
        if certificate is None:
            return
        days = (certificate.not_after - clock.now()) // DAY
        if days < 0:
            return  # the login will say more about it
        level = Level.WARNING if days < 7 else Level.OK
        yield ReportEntry(subject, "certificate", level, f"the server's certificate is valid for another {days} days")


def _reach(subject: str, families: tuple[Reachability, Reachability]) -> ReportEntry:
    results = ", ".join(f"{family.family} {'works' if family.reached else family.reason}" for family in families)
    known = [family for family in families if family.addresses]
    if not known:
        steps = ("check that this machine is online", "check the name servers of this machine (`resolvectl status`)")
        status = ExitStatus.REMOTE_UNAVAILABLE
        return ReportEntry(
            subject, "dns", Level.FAILED, "the server's name could not be resolved", steps, status=status
        )
    if not any(family.reached for family in known):
        step = "check whether a firewall forbids it: outgoing TCP to the server's port must be allowed"
        status = ExitStatus.REMOTE_UNAVAILABLE
        return ReportEntry(
            subject, "network", Level.FAILED, f"the server cannot be reached: {results}", (step,), status=status
        )
    if not all(family.reached for family in known):
        step = "busyd uses the one that works, but the broken one slows down every new connection"
        return ReportEntry(subject, "network", Level.WARNING, f"only one IP family works: {results}", (step,))
    return ReportEntry(subject, "network", Level.OK, f"the server can be reached: {results}")
