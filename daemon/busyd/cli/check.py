"""`busyd check`: is the configuration valid, and what does it mean? Offline, unless the servers are to be asked too."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from busyd.advice.errors import describe_error
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.stores import read_configured, stores_of
from busyd.cli.terminal import print_json, print_table, printable
from busyd.cli.unit_credentials import outdated_credentials
from busyd.config import Config, ConfigFault, ConfigFaults, find_file_faults, find_password_faults, find_socket_faults
from busyd.credentials import (
    CredentialMissing,
    FromCommand,
    FromCredential,
    FromFile,
    looks_app_specific,
    read_password,
)
from busyd.errors import Misconfigured
from busyd.service.storage import import_postgresql
from busyd.store.errors import StorageError, StoredElsewhere

if TYPE_CHECKING:
    from busyd.advice.diagnosis import Diagnosis

_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")


def add_check_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="check the configuration",
        description="Read the configuration and report all errors by file, line and column; the exit status is then "
        "78. With --online, also log into every connection, without changing anything, and look up every calendar "
        "that is named.",
    )
    parser.add_argument("--online", action="store_true", help="also ask the servers: logins, calendars, access")
    parser.add_argument("--json", action="store_true", help="print errors, warnings and the linked calendars as JSON")
    parser.set_defaults(run=check_configuration)


def check_configuration(arguments: argparse.Namespace) -> int:
    """Print the errors, or what would be linked."""
    try:
        installation = find_installation(arguments)
        config, warnings = read_as_the_daemon(installation)
        warnings += outdated_credentials(installation)
    except ConfigFaults as error:
        if not arguments.json:
            raise
        print_json({"ok": False, "faults": [_describe_fault(fault) for fault in error.faults], "warnings": []})
        return ExitStatus.CONFIG
    if arguments.online:
        return _check_online(arguments, installation, warnings=warnings)
    if faults := _faults_of_names(installation, config):
        if not arguments.json:
            _print_warnings(warnings)
            raise ConfigFaults(faults)
        print_json({"ok": False, "faults": [_describe_fault(fault) for fault in faults], "warnings": warnings})
        return ExitStatus.CONFIG
    withheld = _withheld(config, installation)
    if arguments.json:
        logins = [
            {"name": name, "ok": False, "code": found.code, "message": found.message, "steps": list(found.steps)}
            for name, found in withheld.items()
        ]
        told = {"file": str(installation.path), "faults": [], "warnings": warnings, **_describe(config)}
        print_json({"ok": not withheld, **told, **({"logins": logins} if logins else {})})
        return ExitStatus.LOGIN_REFUSED if withheld else ExitStatus.OK
    _print_warnings(warnings)
    if withheld:
        return _print_withheld(withheld)
    _print_valid(installation.path, config)
    _print_links(config)
    return ExitStatus.OK


def read_as_the_daemon(installation: Installation) -> tuple[Config, list[str]]:
    """The configuration and warnings, read as the user busyd runs as. Raises ConfigFaults, ConfigMissing."""
    with installation.as_its_user():
        config, later = installation.config, installation.made_at_start
    unusable = []
    if config.store is not None:
        try:
            import_postgresql()
        except Misconfigured as error:
            unusable.append(ConfigFault(config.locations["store"], describe_error(error)))
    with installation.as_its_user():
        faults = [*unusable, *find_file_faults(config, made_at_start=later), *find_password_faults(config)]
        if faults:
            raise ConfigFaults(sorted(faults))
        sockets = [str(fault) for fault in find_socket_faults(config, made_at_start=later)]
        warnings = [*config.warnings, *sockets, *_hidden_files(installation)]
        return config, [*warnings, *missing_passwords(config, installation)]


def _hidden_files(installation: Installation) -> list[str]:
    """Files that the unit hides from the service (ProtectHome=, PrivateTmp=), whatever their permissions."""
    if not installation.is_service:
        return []
    config = installation.config
    passwords = [settings.password for settings in config.connections.values()]
    sources = [source.path for source in passwords if isinstance(source, FromFile)]
    files = [*config.files, *sources, *([config.tls.cert, config.tls.key] if config.tls is not None else [])]
    return [
        f"{file}: the service cannot see this directory; move the file to {installation.state} or /etc/busyd"
        for file in files
        if any(file.absolute().is_relative_to(folder) for folder in _HIDDEN)
    ]


def _faults_of_names(installation: Installation, config: Config) -> list[ConfigFault]:
    """References to calendars that were not there when the daemon last looked."""
    from busyd.cli.known_calendars import known_calendars  # with the store, which few commands need
    from busyd.cli.references import reference_faults, remembered_links

    known = known_calendars(installation, config)
    if not known:
        return []
    seen = " (as the daemon knows it; `busyd check --online` asks the server)"
    faults = reference_faults(config, known, remembered=remembered_links(installation))
    return [ConfigFault(fault.location, fault.message + seen) for fault in faults]


def _check_online(arguments: argparse.Namespace, installation: Installation, *, warnings: list[str]) -> int:
    # The HTTP client and the XML parser are slow to load.
    from busyd.cli.check_online import ask_servers, describe_check, print_check

    config = installation.config
    check = ask_servers(installation)
    if arguments.json:
        faults = [_describe_fault(fault) for fault in check.faults]
        offline = {"file": str(installation.path), "faults": faults, "warnings": warnings, **_describe(config)}
        print_json({"ok": check.status is ExitStatus.OK, **offline, **describe_check(config, check)})
        return check.status
    _print_warnings(config.warnings)
    if not check.faults:
        _print_valid(installation.path, config)
    print_check(config, check)
    return check.status


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(printable(warning), file=sys.stderr)


def _print_valid(path: Path | None, config: Config) -> None:
    counts = f"{_count(len(config.connections), 'connection')}, {_count(len(config.profiles), 'profile')}"
    print(f"{path}: valid ({counts})")


def missing_passwords(config: Config, installation: Installation) -> list[str]:
    """A sentence for each password that cannot be read here and now; commands are not run for it.

    Only a warning: a unit may be given credentials and variables that this shell does not have.
    """
    sentences = []
    if config.store is not None and config.store.password is not None:
        try:
            read_password(config.store.password, installation.state, environment=installation.environment)
        except CredentialMissing as error:
            return [f"store: {describe_error(error)}"]  # no other password can be read then
    unread = _stored_elsewhere(installation)
    sentences += unread
    for name, settings in config.connections.items():
        if settings.password is None or isinstance(settings.password, FromCommand):
            continue
        if unread and isinstance(settings.password, FromCredential):
            continue  # to store it now would only be in the way of the move
        try:
            read_configured(settings.password, installation)
        except CredentialMissing as error:
            sentences.append(f"connection {name}: {describe_error(error)}")
        except (StorageError, Misconfigured) as error:
            return [*sentences, f"stored passwords: {describe_error(error)}"]  # the same for all of them
    return sentences


def _stored_elsewhere(installation: Installation) -> list[str]:
    """What a start would say where everything stored, the passwords too, has not been moved to where it should be."""
    try:
        stores_of(installation).require_ledger_in_place()
    except StoredElsewhere as error:
        return [f"{describe_error(error)}; the stored passwords move with it, so do not store them again"]
    except (StorageError, Misconfigured):
        pass  # it is told where a password is read
    return []


def _withheld(config: Config, installation: Installation) -> "dict[str, Diagnosis]":
    """Connection -> what to do, where its password is not one that is sent to Apple. Commands are not run for it."""
    withheld = {}
    for name, settings in config.connections.items():
        if settings.password is None or isinstance(settings.password, FromCommand):
            continue
        try:
            with installation.as_its_user():
                secret = read_configured(settings.password, installation)
        except (CredentialMissing, StorageError):
            continue  # there is a warning about it
        if not looks_app_specific(secret.reveal()):
            from busyd.cli.remote_session import find_withheld  # slow to load, and seldom needed

            if (diagnosis := find_withheld(settings.connection, secret)) is not None:
                withheld[name] = diagnosis
    return withheld


def _print_withheld(withheld: "Mapping[str, Diagnosis]") -> int:
    from busyd.cli.remote_session import print_diagnosis

    for name, diagnosis in withheld.items():
        print_diagnosis(diagnosis, about=f"connection {name}")
    return ExitStatus.LOGIN_REFUSED


def _print_links(config: Config) -> None:
    rows = [
        (
            profile.name,
            str(profile.primary or "none"),
            ", ".join(str(reference) for reference in profile.conflicts) or "none",
            profile.timezone or "the calendar's own",
        )
        for profile in config.profiles.values()
    ]
    if rows:
        print()
        print_table(("PROFILE", "PRIMARY", "CONFLICTS", "TIME ZONE"), rows)


def _describe(config: Config) -> dict[str, Any]:
    return {
        "listen": [str(listen) for listen in config.listen],
        "connections": [
            {
                "name": name,
                "kind": settings.connection.kind.value,
                "password": str(settings.password) if settings.password else None,
            }
            for name, settings in config.connections.items()
        ],
        "profiles": [
            {
                "name": profile.name,
                "timezone": profile.timezone,
                "primary": str(profile.primary) if profile.primary else None,
                "conflicts": [str(reference) for reference in profile.conflicts],
            }
            for profile in config.profiles.values()
        ],
    }


def _describe_fault(fault: Any) -> dict[str, Any]:
    location = fault.location
    return {"file": location.file, "line": location.line, "column": location.column, "message": fault.message}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
