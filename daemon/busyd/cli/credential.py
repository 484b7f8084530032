"""`busyd credential`: the encrypted store of passwords."""

import argparse
import getpass
import os
import sys

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.terminal import print_json, print_table
from busyd.config import Config
from busyd.connection import ConnectionKind
from busyd.credentials import FromCredential, Secret, looks_app_specific, normalise_app_specific
from busyd.credentials.files import credential_file
from busyd.credentials.store import CredentialStore


def add_credential_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "credential",
        help="keep passwords encrypted: set, list, remove",
        description="Keep passwords in the encrypted store of the state directory. The configuration refers to one as "
        "'password: {credential: NAME}'.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    setting = actions.add_parser(
        "set",
        help="store a password",
        description="Store a password. It is asked for without being shown, or read from standard input.",
    )
    setting.add_argument("name", metavar="NAME", help="the name the configuration refers to")
    setting.set_defaults(run=set_credential)
    listing = actions.add_parser("list", help="list the names", description="List what is stored; never a password.")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_credentials)
    removing = actions.add_parser("remove", help="forget a password", description="Forget a stored password.")
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(run=remove_credential)


def set_credential(arguments: argparse.Namespace) -> int:
    """Ask, and store."""
    found, config = _find(arguments)
    store = CredentialStore(found.state, found.environment)
    secret = read_secret(f"Password for {arguments.name}: ")
    if _belongs_to_icloud(config, arguments.name):
        if looks_app_specific(secret.reveal()):
            secret = Secret(normalise_app_specific(secret.reveal()))
        else:
            print(
                "This does not look like an app-specific password (xxxx-xxxx-xxxx-xxxx). iCloud refuses the ordinary "
                "password of an Apple Account:\nmake one at account.apple.com, Sign-In and Security, "
                "App-Specific Passwords. Stored as it is.",
                file=sys.stderr,
            )
    store.set(arguments.name, secret)
    print(f"stored {arguments.name}")
    given = credential_file(arguments.name, found.environment)
    if given is not None and given.exists():
        print(f"the unit passes a credential {arguments.name} of its own, which comes first", file=sys.stderr)
    return ExitStatus.OK


def list_credentials(arguments: argparse.Namespace) -> int:
    """Print the names and who uses them."""
    found, config = _find(arguments)
    users = _users(config)
    names = CredentialStore(found.state, found.environment).names()
    if arguments.json:
        print_json([{"name": name, "connections": users.get(name, [])} for name in names])
    elif names:
        print_table(("NAME", "CONNECTIONS"), [(name, ", ".join(users.get(name, [])) or "none") for name in names])
    else:
        print("no passwords are stored")
    return ExitStatus.OK


def remove_credential(arguments: argparse.Namespace) -> int:
    """Forget one."""
    found, config = _find(arguments)
    if not CredentialStore(found.state, found.environment).remove(arguments.name):
        message = f"there is no stored password named {arguments.name}"
        raise CommandFailed(message, fix="`busyd credential list` shows the names")
    print(f"removed {arguments.name}")
    if users := _users(config).get(arguments.name):
        print(f"the configuration still refers to it: {', '.join(users)}", file=sys.stderr)
    return ExitStatus.OK


def read_secret(prompt: str) -> Secret:
    """Ask for a password without showing it; where standard input is not a terminal, its first line is the password.

    Raises CommandFailed when nothing is given.
    """
    try:
        text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        text = ""
    text = text.rstrip("\r\n")
    if not text:
        raise CommandFailed("no password was given", fix="type it, or pipe it in; nothing was stored")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise CommandFailed("the password holds control characters", fix="nothing was stored: try again")
    return Secret(text)


def _find(arguments: argparse.Namespace) -> tuple[Installation, Config | None]:
    """The installation, and its configuration unless only its state was named. Raises ConfigFaults, ConfigMissing."""
    found = find_installation(arguments)
    found.require_access()
    named = arguments.state is not None or bool(os.environ.get("STATE_DIRECTORY"))
    return found, None if found.path is None and named else found.config


def _users(config: Config | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, connection in config.connections.items() if config else ():
        if isinstance(connection.password, FromCredential):
            found.setdefault(connection.password.name, []).append(name)
    return found


def _belongs_to_icloud(config: Config | None, name: str) -> bool:
    connections = _users(config).get(name, [])
    return config is not None and any(
        config.connections[connection].connection.kind is ConnectionKind.ICLOUD for connection in connections
    )
