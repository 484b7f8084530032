"""`busyd doctor`: everything that can be wrong, looked at in order, as a report that may be shown to others."""

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from busyd.cli.check import read_as_the_daemon
from busyd.cli.doctor_account import examine_account
from busyd.cli.doctor_mirror import MirrorState, read_mirror_state
from busyd.cli.doctor_report import (
    Finding,
    Labels,
    Level,
    count,
    describe_installation,
    print_finding,
    print_report,
    print_summary,
    status_of_findings,
)
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.probe import Reach, look_behind, reach
from busyd.cli.remote_session import Contact, open_contact, read_secret_of
from busyd.cli.self_test import DAY
from busyd.cli.unit_credentials import is_passed_on, outdated_credentials
from busyd.clock import Clock, SystemClock
from busyd.config import Config, ConfigFaults, ConfigMissing, ConnectionConfig
from busyd.connection import ConnectionKind
from busyd.credentials import CredentialMissing, Secret, looks_app_specific
from busyd.errors import UserError
from busyd.ownership import describe_user

_PRIVATE_FILES: Final = (
    "credentials",
    "credentials.key",
    "ledger.sqlite3",
    "mirror.sqlite3",
    "local-admin-token",
)


def add_doctor_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out what is wrong, as a report that may be shown to others",
        description="Look at configuration, state, network, clock, logins and calendars, and try everything busyd "
        "relies on. The report names no person, calendar, address or server of your own, so it may be attached to a "
        "bug report. Nothing is changed without --write.",
    )
    parser.add_argument("--connection", metavar="NAME", help="only this connection")
    parser.add_argument("--write", action="store_true",
                        help="also write, in a scratch calendar that is removed afterwards")  # fmt: skip
    parser.add_argument("--names", action="store_true", help="call things by their names; do not share such a report")
    parser.add_argument("--json", action="store_true", help="print JSON, with redacted answers of the servers")
    parser.set_defaults(run=examine)


def examine(arguments: argparse.Namespace) -> int:
    """Look at everything; print findings as they come."""
    findings = asyncio.run(_examine(arguments))
    if arguments.json:
        print_report(findings)
    else:
        print_summary(findings)
    return status_of_findings(findings)


async def _examine(arguments: argparse.Namespace) -> list[Finding]:
    findings: list[Finding] = []
    if not arguments.json:
        print(", ".join(f"{name} {version}" for name, version in describe_installation().items()))
    async for finding in _until_refused(_all_findings(arguments, Labels(show_names=arguments.names))):
        findings.append(finding)
        if not arguments.json:
            print_finding(finding)
            sys.stdout.flush()
    return findings


async def _until_refused(findings: AsyncIterator[Finding]) -> AsyncIterator[Finding]:
    """The findings; what this user may not look at ends them with a line, not with a traceback."""
    try:
        async for finding in findings:
            yield finding
    except OSError as error:
        message = f"the rest could not be looked at: {(error.strerror or 'refused').lower()}"
        yield Finding("doctor", "doctor", Level.FAILED, message, ("run this as root, or as the user busyd runs as",))


async def _all_findings(arguments: argparse.Namespace, labels: Labels) -> AsyncIterator[Finding]:
    try:
        found = find_installation(arguments)
        if found.is_closed:
            closed = "this user may not look into the state directory"
            message = f"busyd runs here as a service, and {closed}" if found.is_service else closed
            yield Finding("state", "state", Level.FAILED, message, ("use sudo, or run this as the user busyd runs as",))
        config, _ = read_as_the_daemon(found)
    except ConfigFaults as error:
        message = f"{count(len(error.faults), 'fault')} in the configuration"
        step = "run `busyd check`, which tells every one by file and line"
        yield Finding("configuration", "configuration", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    except CommandFailed:
        return  # told already: the configuration of a service is closed to this user, too
    except ConfigMissing:
        message, step = "there is no configuration", "make one with `busyd setup`"
        yield Finding("configuration", "configuration", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    for name in config.connections:
        labels.of("connection", name)
    for name in config.profiles:
        labels.of("profile", name)
    chosen = _chosen(config, arguments.connection)
    state = found.state
    clock = SystemClock()
    yield _configuration(config)
    if not found.is_closed:
        for finding in _state(state):
            yield finding
    mirror, finding = await asyncio.to_thread(read_mirror_state, found)
    yield finding
    for sentence in outdated_credentials(found):
        step = "restart the service: a reload does not pass it on again"
        message = sentence if labels.show_names else "a password that systemd passed on has changed since"
        yield Finding("credentials", "credential-changed", Level.WARNING, message, (step,))
    for finding in mirror.ages(config, labels, clock):
        yield finding
    for finding in mirror.failures(labels):
        yield finding
    for settings in chosen:
        async for finding in _connection(settings, found, labels, mirror, clock, write=arguments.write):
            yield finding


def _chosen(config: Config, name: str | None) -> list[ConnectionConfig]:
    if name is None:
        return list(config.connections.values())
    if name not in config.connections:
        message = f"there is no connection named {name}"
        known = ", ".join(sorted(config.connections)) or "none"
        raise CommandFailed(message, fix=f"there are: {known}", status=ExitStatus.USAGE)
    return [config.connections[name]]


def _configuration(config: Config) -> Finding:
    message = f"right, with {count(len(config.connections), 'connection')} and {count(len(config.profiles), 'profile')}"
    if not config.warnings:
        return Finding("configuration", "configuration", Level.OK, message)
    step = "run `busyd check`, which tells them by file and line"
    return Finding(
        "configuration", "configuration", Level.WARNING, f"{message}; {count(len(config.warnings), 'warning')}", (step,)
    )


def _state(state: Path) -> Iterator[Finding]:
    """Is the state directory there, ours, and closed to others?"""
    try:
        found = state.stat()
    except FileNotFoundError:
        yield Finding("state", "state", Level.WARNING, "there is no state directory yet: busyd has not run here")
        return
    except OSError as error:
        message = f"the state directory cannot be looked at: {(error.strerror or 'refused').lower()}"
        yield Finding("state", "state", Level.FAILED, message, ("run this as the user busyd runs as",))
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Finding("state", "state", Level.FAILED, "the state directory is not a directory")
        return
    if found.st_uid != os.geteuid() != 0:
        message = "the state directory belongs to another user than the one who runs this"
        yield Finding("state", "state-owner", Level.WARNING, message, ("run this as the user busyd runs as",))
    open_files = [name for name in _PRIVATE_FILES if _mode(state / name) & 0o077]
    if stat.S_IMODE(found.st_mode) & 0o077:
        message = f"others can look into the state directory (mode {stat.S_IMODE(found.st_mode):04o})"
        yield Finding("state", "state-mode", Level.WARNING, message, ("close it with `chmod 700` on the directory",))
    elif not open_files:
        yield Finding("state", "state-mode", Level.OK, "the state directory is closed to others")
    if foreign := [name for name in _PRIVATE_FILES if _owner(state / name) not in (None, found.st_uid)]:
        message = f"{', '.join(foreign)} in the state directory belong to another user than the directory"
        step = f"give them to its owner: `chown {describe_user(found.st_uid)}: {' '.join(foreign)}` in the directory"
        yield Finding("state", "state-owner", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
    if open_files:
        message = f"others can read {', '.join(open_files)} in the state directory"
        step = f"close with `chmod 600 {' '.join(open_files)}` in the state directory"
        yield Finding("state", "state-files", Level.FAILED, message, (step,))


def _mode(path: Path) -> int:
    try:
        found = path.lstat()  # not of what a link leads to: `chmod` would follow it
    except OSError:
        return 0
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else 0


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


async def _connection(
    settings: ConnectionConfig,
    found: Installation,
    labels: Labels,
    mirror: MirrorState,
    clock: Clock,
    *,
    write: bool,
) -> AsyncIterator[Finding]:
    connection = settings.connection
    subject = labels.of("connection", connection.name)
    try:
        secret = await read_secret_of(settings, found)
    except CredentialMissing as error:
        shown = labels.show_names
        message = str(error) if shown else "its password is not to be had from where the configuration says"
        step = error.fix if shown and error.fix else "run `busyd check`, which tells what is missing"
        yield Finding(subject, "credential", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        return
    yield _credential(subject, settings, secret, passed_on=is_passed_on(settings, found))
    try:
        async with open_contact(connection, secret, clock) as contact:
            async for finding in _network(contact, subject, clock):
                yield finding
            async for finding in examine_account(contact, found.config, found.state, labels, mirror, write=write):
                yield finding
    except UserError as error:
        steps = (labels.scrub(error.fix),) if error.fix else ()
        yield Finding(subject, "url", Level.FAILED, labels.scrub(str(error)), steps, status=ExitStatus.CONFIG)


def _credential(subject: str, settings: ConnectionConfig, secret: Secret | None, *, passed_on: bool) -> Finding:
    if secret is None:
        return Finding(subject, "credential", Level.OK, "it needs no password")
    if settings.connection.kind is ConnectionKind.ICLOUD and not looks_app_specific(secret.reveal()):
        message = "its password does not have the shape of an app-specific one"
        step = "make one at account.apple.com > Sign-In and Security > App-Specific Passwords"
        return Finding(subject, "credential", Level.WARNING, message, (step,))
    told = "; systemd passed it on: a changed one counts after a restart of the service, not after a reload"
    return Finding(subject, "credential", Level.OK, f"its password is there{told if passed_on else ''}")


async def _network(contact: Contact, subject: str, clock: Clock) -> AsyncIterator[Finding]:
    """Name, both IP families, certificate: without the password."""
    address = contact.address
    if address is None:
        return
    host, port = address.origin.host, address.origin.port
    families = await reach(host, port)
    yield _reach(subject, families)
    if address.origin.scheme == "https" and any(one.reached for one in families):
        certificate, _ = await look_behind(host, port)
        if certificate is None:
            return
        days = (certificate.not_after - clock.now()) // DAY
        if days < 0:
            return  # the login tells more about it
        level = Level.WARNING if days < 7 else Level.OK
        yield Finding(subject, "certificate", level, f"the server's certificate is valid for {days} more days")


def _reach(subject: str, families: tuple[Reach, Reach]) -> Finding:
    told = ", ".join(f"{one.family} {'works' if one.reached else one.reason}" for one in families)
    known = [one for one in families if one.addresses]
    if not known:
        steps = ("check that this machine is connected", "check the name servers of this machine (`resolvectl status`)")
        status = ExitStatus.REMOTE_UNAVAILABLE
        return Finding(subject, "dns", Level.FAILED, "its name cannot be resolved", steps, status=status)
    if not any(one.reached for one in known):
        step = "a firewall may be in the way: outgoing TCP to the port of the server must be allowed"
        status = ExitStatus.REMOTE_UNAVAILABLE
        return Finding(subject, "network", Level.FAILED, f"it cannot be reached: {told}", (step,), status=status)
    if not all(one.reached for one in known):
        step = "busyd uses the other one; a broken one makes every first connection slow"
        return Finding(subject, "network", Level.WARNING, f"one IP family leads nowhere: {told}", (step,))
    return Finding(subject, "network", Level.OK, f"it can be reached: {told}")
