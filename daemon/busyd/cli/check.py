"""`busyd check`: is the configuration right, and what does it mean? Offline, unless the servers are to be asked too."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.terminal import print_json, print_table, printable
from busyd.cli.unit_credentials import outdated_credentials
from busyd.config import Config, ConfigFaults, find_file_faults, find_password_faults, find_socket_faults
from busyd.credentials import CredentialMissing, FromCommand, FromFile, read_password

_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")


def add_check_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "check",
        help="check the configuration",
        description="Read the configuration and say everything that is wrong with it, by file, line and column. "
        "Exit status 78 when something is. With --online also log into every connection, without changing anything, "
        "and look for every calendar that is named.",
    )
    parser.add_argument("--online", action="store_true", help="ask the servers too: logins, calendars, access")
    parser.add_argument("--json", action="store_true", help="print faults, warnings and what would be linked as JSON")
    parser.set_defaults(run=check_configuration)


def check_configuration(arguments: argparse.Namespace) -> int:
    """Print the faults, or what would be linked."""
    try:
        found = find_installation(arguments)
        config, warnings = read_as_the_daemon(found)
        warnings += outdated_credentials(found)
    except ConfigFaults as error:
        if not arguments.json:
            raise
        print_json({"ok": False, "faults": [_describe_fault(fault) for fault in error.faults], "warnings": []})
        return ExitStatus.CONFIG
    if arguments.online:
        return _check_online(arguments, found, warnings)
    if arguments.json:
        print_json({"ok": True, "file": str(found.path), "faults": [], "warnings": warnings, **_describe(config)})
        return ExitStatus.OK
    _print_warnings(warnings)
    _print_right(found.path, config)
    _print_links(config)
    return ExitStatus.OK


def read_as_the_daemon(found: Installation) -> tuple[Config, list[str]]:
    """The configuration and warnings, with the rights of the user busyd runs as. Raises ConfigFaults, ConfigMissing."""
    with found.as_its_user():
        config = found.config
        if faults := [*find_file_faults(config), *find_password_faults(config)]:
            raise ConfigFaults(faults)
        sockets = [str(fault) for fault in find_socket_faults(config)]
        warnings = [*config.warnings, *sockets, *_hidden_files(found)]
        return config, [*warnings, *missing_passwords(config, found)]


def _hidden_files(found: Installation) -> list[str]:
    """Files that the unit of the service hides from it (ProtectHome=, PrivateTmp=), whoever may read them."""
    if not found.is_service:
        return []
    config = found.config
    sources = [one.password.path for one in config.connections.values() if isinstance(one.password, FromFile)]
    files = [*config.files, *sources, *([config.tls.cert, config.tls.key] if config.tls is not None else [])]
    return [
        f"{file}: the service does not see this directory: put the file into {found.state} or /etc/busyd"
        for file in files
        if any(file.absolute().is_relative_to(folder) for folder in _HIDDEN)
    ]


def _check_online(arguments: argparse.Namespace, found: Installation, warnings: list[str]) -> int:
    # The HTTP client and the XML parser are slow to load: only who asks for them waits for them.
    from busyd.cli.check_online import ask_servers, describe_check, print_check

    config = found.config
    check = ask_servers(found)
    if arguments.json:
        faults = [_describe_fault(fault) for fault in check.faults]
        told = {"file": str(found.path), "faults": faults, "warnings": warnings, **_describe(config)}
        print_json({"ok": check.status is ExitStatus.OK, **told, **describe_check(config, check)})
        return check.status
    _print_warnings(config.warnings)
    if not check.faults:
        _print_right(found.path, config)
    print_check(config, check)
    return check.status


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(printable(warning), file=sys.stderr)


def _print_right(path: Path | None, config: Config) -> None:
    print(f"{path}: ok, {_count(len(config.connections), 'connection')}, {_count(len(config.profiles), 'profile')}")


def missing_passwords(config: Config, found: Installation) -> list[str]:
    """A sentence for each password that cannot be had here and now; commands are not run for it.

    A warning only: a unit may be given credentials and variables that this shell does not have.
    """
    told = []
    for name, connection in config.connections.items():
        if connection.password is None or isinstance(connection.password, FromCommand):
            continue
        try:
            read_password(connection.password, found.state, found.environment)
        except CredentialMissing as error:
            told.append(f"connection {name}: {error} ({error.fix})" if error.fix else f"connection {name}: {error}")
    return told


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
            {"name": name, "kind": one.connection.kind.value, "password": str(one.password) if one.password else None}
            for name, one in config.connections.items()
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
    place = fault.place
    return {"file": place.file, "line": place.line, "column": place.column, "message": fault.message}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
