"""`busyd profile APP PROFILE`: what a calendar app needs to show a profile, with a token made for it."""

import argparse
import os
import plistlib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.known_names import require_profile
from busyd.cli.stores import ledger_of
from busyd.cli.terminal import print_json, print_note
from busyd.cli.token import base_address, parse_expiry, tokens_installation
from busyd.clock import SystemClock
from busyd.config import Config
from busyd.credentials.tokens import ALL_PROFILES
from busyd.os_errors import fault_of

_SCOPES: Final = ("freebusy", "details")
_BUSY_ONLY: Final = ("freebusy",)
_WRITING: Final = (*_SCOPES, "book")


class AppAccount(Struct, frozen=True):
    """What an app is told."""

    profile: str
    base: str
    """The address of busyd, without a path."""
    token: str
    writes: bool

    @property
    def home(self) -> str:
        """The principal of the profile, which is the home of its calendars too."""
        return f"{self.base}/dav/{quote(self.profile, safe='')}/"


def add_profile_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "profile",
        help="set up a calendar app to show a profile",
        description="Create a token for a calendar app and print what to enter there, or write the configuration "
        "profile that an Apple device installs. The token is shown only once; `busyd token list` names it by its app.",
    )
    parser.add_argument("app", metavar="APP", choices=tuple(_APPS), help=f"one of {', '.join(_APPS)}")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--busy-only", action="store_true", help="show only when somebody is busy, without titles")
    parser.add_argument("--write", action="store_true", help="let the app create, change and delete events")
    parser.add_argument("--expires", metavar="TIME", help="lifetime of the token, such as 90d (default: no expiry)")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="apple: the file to write (default: PROFILE.mobileconfig)"
    )
    parser.add_argument("--json", action="store_true", help="print address, user name and token as JSON")
    parser.set_defaults(run=make_profile)


def make_profile(arguments: argparse.Namespace) -> int:
    """Make the token, and print or write what the app needs."""
    now = SystemClock().now()
    expires = parse_expiry(arguments.expires, now, program="busyd profile")
    if arguments.busy_only and arguments.write:
        raise UsageError("--busy-only shows nothing that could be written to", program="busyd profile")
    installation = tokens_installation(arguments)
    config, profile = installation.config, arguments.profile
    if profile == ALL_PROFILES:
        raise CommandFailed("an app shows one profile", fix="name the profile; each gets a token of its own")
    require_profile(profile, config)
    base = _base_for(arguments.app, config)
    file = arguments.output or Path(f"{profile}.mobileconfig") if arguments.app == "apple" else None
    if file is not None and not arguments.json and os.path.lexists(file):
        message = f"{file} exists already"
        raise CommandFailed(message, fix="move it away, or name another one with --output")
    scopes = _BUSY_ONLY if arguments.busy_only else _WRITING if arguments.write else _SCOPES
    with ledger_of(installation) as ledger:
        token = ledger.add_token(profile, scopes=scopes, details=False, expires=expires, name=arguments.app, now=now)
    account = AppAccount(profile, base, token.text, arguments.write)
    if arguments.json:
        print_json({"id": token.id, "url": account.home, "username": profile, "token": token.text})
    elif file is not None:
        _write(file, mobileconfig(account, token.id))
        print(f"wrote {file}: send it to the device and open it there")
        print_note("it contains the token: treat it like a password, and delete it once it is installed")
    else:
        print(_APPS[arguments.app](account), end="")
    return ExitStatus.OK


def mobileconfig(account: AppAccount, token_id: str) -> bytes:
    """A configuration profile with one CalDAV account, for iOS, iPadOS and macOS."""
    address = urlsplit(account.base)
    identifier = f"busyd.{address.hostname}.{account.profile}"
    payload = {
        "PayloadType": "com.apple.caldav.account",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.caldav",
        "PayloadUUID": _uuid(token_id, "caldav"),
        "PayloadDisplayName": f"busyd: {account.profile}",
        "CalDAVAccountDescription": f"busyd: {account.profile}",
        "CalDAVHostName": address.hostname,
        "CalDAVPort": address.port or 443,
        "CalDAVUseSSL": True,
        "CalDAVPrincipalURL": urlsplit(account.home).path,
        "CalDAVUsername": account.profile,
        "CalDAVPassword": account.token,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": _uuid(token_id, "profile"),
        "PayloadDisplayName": f"Calendars of {account.profile} (busyd)",
        "PayloadDescription": "Adds the calendars of one busyd profile.",
        "PayloadRemovalDisallowed": False,
        "PayloadContent": [payload],
    }
    return plistlib.dumps(profile)


def _base_for(app: str, config: Config) -> str:
    base = base_address(config)
    if app == "apple" and not config.public_url.startswith("https://"):
        raise CommandFailed(
            "a phone cannot reach this machine's own addresses, and Apple's apps send no password without TLS",
            fix="put `public_url: https://…`, the address by which others reach busyd, into the configuration",
        )
    if not base:
        raise CommandFailed(
            "busyd does not listen on an address that an app can be given",
            fix="put `public_url:`, the address by which others reach busyd, into the configuration",
        )
    return base


def _write(file: Path, content: bytes) -> None:
    """For nobody else to read. Never over a file that is there."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as opened:
            opened.write(content)
    except OSError as error:
        message = f"{file} cannot be written"
        raise fault_of(error, message) from error


def _uuid(token_id: str, what: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"busyd {token_id} {what}")).upper()


def _fields(account: AppAccount, *steps: str) -> str:
    lines = [*steps, f"  Address    {account.home}", f"  User name  {account.profile}", f"  Password   {account.token}"]
    return "\n".join([*lines, "", "The password is a token made for this app. It is shown only once.", ""])


def _thunderbird(account: AppAccount) -> str:
    return _fields(account, "In Thunderbird: File > New > Calendar > On the Network.")


def _evolution(account: AppAccount) -> str:
    return _fields(account, "In Evolution: File > New > Collection Account, or Calendar > New Calendar > CalDAV.")


def _davx5(account: AppAccount) -> str:
    return _fields(account, "In DAVx5: + > Login with URL and user name.")


def _apple(account: AppAccount) -> str:
    return _fields(account, "In Calendar: Add Account > Other > CalDAV > Advanced.")


def _vdirsyncer(account: AppAccount) -> str:
    return f"""\
[pair busyd_{account.profile}]
a = "busyd_{account.profile}_remote"
b = "busyd_{account.profile}_local"
collections = ["from a"]
conflict_resolution = "a wins"
metadata = ["displayname", "color"]

[storage busyd_{account.profile}_remote]
type = "caldav"
url = "{account.home}"
username = "{account.profile}"
password = "{account.token}"
read_only = {"false" if account.writes else "true"}

[storage busyd_{account.profile}_local]
type = "filesystem"
path = "~/.local/share/calendars/busyd/{account.profile}/"
fileext = ".ics"
"""


def _khal(account: AppAccount) -> str:
    vdirsyncer = "".join(f"# {line}\n".replace("# \n", "#\n") for line in _vdirsyncer(account).splitlines())
    return f"""\
# khal shows what vdirsyncer fetches. For ~/.config/vdirsyncer/config:
#
{vdirsyncer}#
# For ~/.config/khal/config:
[calendars]
[[busyd_{account.profile}]]
path = ~/.local/share/calendars/busyd/{account.profile}/*
type = discover
readonly = {not account.writes}
"""


_APPS: Final[Mapping[str, Callable[[AppAccount], str]]] = {
    "apple": _apple,
    "thunderbird": _thunderbird,
    "evolution": _evolution,
    "davx5": _davx5,
    "vdirsyncer": _vdirsyncer,
    "khal": _khal,
}
