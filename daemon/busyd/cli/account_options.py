"""What may be given to the commands that connect an account, instead of being asked for."""

import argparse
from pathlib import Path

from busyd.connection import ConnectionKind


def add_account_options(parser: argparse.ArgumentParser) -> None:
    """Everything that can be given instead of being asked for."""
    parser.add_argument("--kind", choices=[kind.value for kind in ConnectionKind], default="icloud",
                        help="what to connect (default: icloud)")  # fmt: skip
    parser.add_argument("--url", help="the CalDAV address of the server, or the address of the feed")
    parser.add_argument("--username", metavar="NAME", help="the Apple ID, or the user name")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--password-file", metavar="FILE", type=Path, help="read the password from a file")
    given.add_argument("--password-stdin", action="store_true", help="the first line of standard input is the password")
    parser.add_argument("--any-password", action="store_true",
                        help="send the password to Apple even if it is not an app-specific one")  # fmt: skip
    parser.add_argument("--name", help="name of the connection in the configuration")
    parser.add_argument("--profile", metavar="NAME", help="name of the profile; 'none' for no profile")
    parser.add_argument("--primary", metavar="CALENDAR", help="where appointments are written; 'none' for nowhere")
    parser.add_argument("--conflicts", metavar="CALENDARS",
                        help="calendars whose events block time, separated by commas; 'all', 'none'")  # fmt: skip
    parser.add_argument("--timezone", metavar="ZONE", help="the person's time zone, such as Europe/Berlin")
    parser.add_argument("--yes", action="store_true", help="do not ask; use the defaults")
