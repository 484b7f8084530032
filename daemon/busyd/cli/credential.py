"""`busyd credential`: passwords in the encrypted store."""

import argparse
import getpass
import sys
from pathlib import Path

from busyd.advice.apple import CREATE_APP_PASSWORD, NOT_APP_SPECIFIC
from busyd.advice.errors import describe_error
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.known_names import config_that_counts
from busyd.cli.stores import credentials_of
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.config import Config
from busyd.connection import ConnectionKind
from busyd.credentials import FromCredential, Secret, looks_app_specific, normalise_app_specific
from busyd.credentials.files import credential_file
from busyd.credentials.webhooks import MASTER_NAME
from busyd.spelling import did_you_mean


def add_credential_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "credential",
        help="manage stored passwords: set, list, remove, rotate",
        description="Manage the passwords in the encrypted store, which is in the state directory, or in the database "
        "that `store:` in the configuration names. The configuration refers to one as 'password: {credential: NAME}'.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    setting = actions.add_parser(
        "set",
        help="store a password",
        description="Store a password. It is read from the terminal without being shown, or from standard input.",
    )
    setting.add_argument("name", metavar="NAME", help="the name by which the configuration refers to it")
    setting.set_defaults(run=set_credential)
    listing = actions.add_parser("list", help="list the names", description="List the stored names, never a password.")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_credentials)
    removing = actions.add_parser("remove", help="remove a password", description="Remove a stored password.")
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(run=remove_credential)
    rotating = actions.add_parser(
        "rotate",
        help="encrypt all passwords with another key",
        description="Encrypt all stored passwords with another key: a new one in place of busyd's own, or that of a "
        "file, which you then put where busyd gets its key from.",
    )
    rotating.add_argument("--key-file", metavar="FILE", type=Path, help="a file with the key to use")
    rotating.set_defaults(run=rotate_key)


def set_credential(arguments: argparse.Namespace) -> int:
    """Ask, and store."""
    _require_own(arguments.name)
    installation, config = _find(arguments)
    store = credentials_of(installation)
    secret = read_secret(f"Password for {arguments.name}: ")
    if _belongs_to_icloud(config, arguments.name):
        if looks_app_specific(secret.reveal()):
            secret = Secret(normalise_app_specific(secret.reveal()))
        else:
            print_note(f"warning: {NOT_APP_SPECIFIC}, and iCloud accepts no other; {CREATE_APP_PASSWORD}")
    store.set(arguments.name, secret)
    print(f"stored {arguments.name}")
    if config is not None and arguments.name not in _users(config):
        known = [*_users(config), *config.connections]
        print_note(
            f"no connection uses it yet{did_you_mean(arguments.name, known)}; refer to it by "
            f"`password: {{credential: {arguments.name}}}`"
        )
    given = credential_file(arguments.name, installation.environment)
    if given is not None and given.exists():
        print_note(f"warning: the unit passes its own credential {arguments.name}, which takes precedence")
    return ExitStatus.OK


def list_credentials(arguments: argparse.Namespace) -> int:
    """Print the names and who uses them."""
    installation, config = _find(arguments)
    users = _users(config)
    opened = credentials_of(installation).open_all()
    names = [name for name in sorted({*opened.texts, *opened.damaged}) if _is_own(name)]
    if arguments.json:
        print_json([{"name": name, "connections": users.get(name, [])} for name in names])
    elif names:
        print_table(("NAME", "USED BY"), [(name, ", ".join(users.get(name, [])) or "none") for name in names])
    else:
        print("no passwords are stored")
    for error in opened.damaged.values():
        print_note(f"warning: {describe_error(error)}")
    return ExitStatus.OK


def remove_credential(arguments: argparse.Namespace) -> int:
    """Remove one."""
    _require_own(arguments.name)
    installation, config = _find(arguments)
    store = credentials_of(installation)
    if not store.remove(arguments.name):
        message = f"there is no stored password named {arguments.name}{did_you_mean(arguments.name, store.names())}"
        raise CommandFailed(message, fix="run `busyd credential list` to see the names")
    print(f"removed {arguments.name}")
    if users := _users(config).get(arguments.name):
        print_note(f"warning: the configuration still refers to it (connections: {', '.join(users)})")
    return ExitStatus.OK


def rotate_key(arguments: argparse.Namespace) -> int:
    """Encrypt all of them anew."""
    installation, _ = _find(arguments)
    store = credentials_of(installation)
    file = store.rotate_key(arguments.key_file)
    print(f"all stored passwords are encrypted with the key in {file}")
    if arguments.key_file is not None:
        print_note("put that key where busyd gets its key from (busyd-key, BUSYD_KEY_FILE), and restart busyd")
    if store.is_shared:
        print_note("give every other machine that key now: none can be started, nor store a password, without it")
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
        raise CommandFailed("no password was given; nothing was stored", fix="type it, or pipe it in")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise CommandFailed("the password contains control characters; nothing was stored", fix="try again")
    return Secret(text)


def _find(arguments: argparse.Namespace) -> tuple[Installation, Config | None]:
    """The installation, and its configuration unless only a state was named. Raises ConfigFaults, ConfigMissing."""
    installation = find_installation(arguments)
    installation.require_access()
    return installation, config_that_counts(arguments, installation)


def _is_own(name: str) -> bool:
    """Whether a person has stored it."""
    return name != MASTER_NAME


def _require_own(name: str) -> None:
    if not _is_own(name):
        message = f"{name} is what the secrets of webhooks are made from; busyd keeps it itself"
        raise CommandFailed(message, fix="`busyd webhook rotate` gives a webhook another secret")


def _users(config: Config | None) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for name, connection in config.connections.items() if config else ():
        if isinstance(connection.password, FromCredential):
            users.setdefault(connection.password.name, []).append(name)
    return users


def _belongs_to_icloud(config: Config | None, name: str) -> bool:
    connections = _users(config).get(name, [])
    return config is not None and any(
        config.connections[connection].connection.kind is ConnectionKind.ICLOUD for connection in connections
    )
