"""`busyd connection`: the accounts and feeds of the configuration: add, list, remove."""

import argparse
import os
from typing import Any, Final

from busyd.cli.daemon_client import client_of
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.config import Config, load_config
from busyd.connection import ConnectionKind, shown_address
from busyd.credentials import FromCredential
from busyd.state.link_map import connections_of

_ANSWERS_WITHIN = 10.0
_NOT_LOADED: Final = {"state": "not-loaded", "detail": "the daemon has not read it yet: run `busyd reload`"}
"""What to say of a connection that was added since the daemon read the configuration."""
_NOT_LOADED_SHOWN: Final = "not loaded: run `busyd reload`"


def add_connection_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    from busyd.cli.account_options import add_account_options

    parser = subparsers.add_parser(
        "connection",
        help="manage connected accounts: add, list, remove",
        description="Manage the accounts and feeds that are connected.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    adding = actions.add_parser(
        "add",
        help="connect an account",
        description="Connect an account or a feed, as `busyd setup` does: tries the login, lists the calendars, and "
        "writes a configuration file of its own and the encrypted password. Nothing is saved unless the login works.",
    )
    add_account_options(adding)
    adding.set_defaults(run=add_connection)
    listing = actions.add_parser(
        "list", help="list the connections", description="List the connections and who uses them; never a password."
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_connections)
    removing = actions.add_parser(
        "remove",
        help="disconnect an account",
        description="Take a connection, its stored password and all that names it out of the configuration. The "
        "server is not asked, and nothing is deleted there.",
    )
    removing.add_argument("name", metavar="NAME", help="as `busyd connection list` shows it")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    removing.set_defaults(run=remove_connection)


def add_connection(arguments: argparse.Namespace) -> int:
    """Ask, try, choose, write."""
    from busyd.cli.account_setup import connect_account  # with all that a login needs

    installation = find_installation(arguments)
    place = connect_account(arguments, installation)
    if isinstance(place, int):
        return place
    _tell_next(installation)
    return ExitStatus.OK


def list_connections(arguments: argparse.Namespace) -> int:
    """Print them, with their state where a daemon runs."""
    installation = find_installation(arguments)
    installation.require_access()
    config = installation.config
    states, unknown = _states(installation), "not answering" if installation.is_in_use else "not running"
    missing = {} if states is None else _NOT_LOADED
    rows = [_describe(name, config) | (states or {}).get(name, missing) for name in config.connections]
    if arguments.json:
        print_json(rows)
    elif rows:
        headers = ("NAME", "KIND", "ACCOUNT", "PASSWORD", "STATE", "PROFILES")
        print_table(
            headers,
            [
                (
                    row["name"],
                    row["kind"],
                    row["username"] or row["url"],
                    row["password"] or "none",
                    _NOT_LOADED_SHOWN if row.get("state") == _NOT_LOADED["state"] else row.get("state", unknown),
                    ", ".join(row["profiles"]) or "none",
                )
                for row in rows
            ],
        )
    else:
        print("no account is connected; `busyd setup` connects one")
    return ExitStatus.OK


def remove_connection(arguments: argparse.Namespace) -> int:
    """Say what goes, ask, and take it out."""
    from busyd.cli.config_edit import carry_out, plan_removal
    from busyd.cli.known_names import require_connection
    from busyd.cli.questions import Questions
    from busyd.cli.stores import credentials_of

    name, installation = arguments.name, find_installation(arguments)
    installation.require_access()
    installation.require_one_config()
    config = installation.config
    require_connection(name, config)
    removal = plan_removal(config, name)
    for effect in removal.effects:
        print(effect)
    asking = Questions(accept_defaults=False)
    if not arguments.yes and not asking.confirm(f"Remove the connection {name}", default=False):
        raise CommandFailed("stopped; nothing was removed")
    path = installation.config_path
    carry_out(removal, main=path, reload=lambda: load_config(path, os.environ))
    print(f"removed {name} from {', '.join(map(str, removal.texts))}")
    source = config.connections[name].password
    others = [one.password for other, one in config.connections.items() if other != name]
    if isinstance(source, FromCredential) and source not in others:
        if credentials_of(installation).remove(source.name):
            print(f"removed the stored password {source.name}")
    elif source is not None:
        print_note(f"its password stays where it is: {source}")
    if config.connections[name].connection.kind is ConnectionKind.ICLOUD:
        print_note("to be sure, revoke its app-specific password at account.apple.com as well")
    _tell_next(installation)
    return ExitStatus.OK


def _tell_next(installation: Installation) -> None:
    print("next: `busyd reload`" if installation.is_in_use else f"next: {installation.how_to_start}")


def _describe(name: str, config: Config) -> dict[str, Any]:
    settings = config.connections[name]
    connection = settings.connection
    is_feed = connection.kind is ConnectionKind.ICS
    users = [profile.name for profile in config.profiles.values() if name in connections_of(profile)]
    return {
        "name": name,
        "kind": connection.kind.value,
        "username": connection.username,
        "url": shown_address(connection.url) if is_feed else connection.url,
        "password": str(settings.password) if settings.password is not None else None,
        "profiles": users,
    }


def _states(installation: Installation) -> dict[str, dict[str, Any]] | None:
    """What the daemon says of each connection; None where none answers."""
    if not installation.is_in_use:
        return None
    try:
        answer = client_of(installation).get("/v1/status", seconds=_ANSWERS_WITHIN)
    except CommandFailed:
        return None
    return {
        str(one.get("name")): {"state": one.get("state"), "detail": one.get("detail")}
        for one in answer.get("connections") or []
    }
