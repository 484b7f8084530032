"""`busyd setup`: connects an account interactively, and saves nothing before the login has worked."""

import argparse

from busyd.cli.account_options import add_account_options
from busyd.cli.account_setup import connect_account
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import SERVICE, find_installation
from busyd.cli.setup_file import ConfigTarget
from busyd.config.load import SYSTEM_CONFIG


def add_setup_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "setup",
        help="connect an account, step by step",
        description="Connect an iCloud account, another CalDAV server or a calendar feed: asks for what is needed, "
        "tries the login, lists the calendars, and writes the configuration and the encrypted password. Nothing is "
        "saved unless the login works. Answers can be piped in, one per line.",
    )
    add_account_options(parser)
    parser.set_defaults(run=set_up)


def set_up(arguments: argparse.Namespace) -> int:
    """Connect an account, and say what comes next."""
    place = connect_account(arguments, find_installation(arguments))
    if isinstance(place, int):
        return place
    print(f"next: {_next(place)}")
    return ExitStatus.OK


def _next(place: ConfigTarget) -> str:
    if place.config is not None:
        start = "systemctl start busyd" if place.main == SYSTEM_CONFIG else "busyd run"
        return f"`busyd reload` if the daemon is running, otherwise `{start}`"
    if place.main == SYSTEM_CONFIG:
        return "`systemctl enable --now busyd`"
    service = f"to set up the system service instead, pass `--config {SYSTEM_CONFIG} --state {SERVICE.state}`"
    return f"`busyd run` ({service})"
