"""`busyd token`: who may ask. Works on the ledger in the state directory, whether the daemon runs or not."""

import argparse
import os
from pathlib import Path
from typing import Any, Final

from busyd.address import TcpAddress
from busyd.cli.daemon_client import LOCAL_TOKEN_FILE, read_local_token, refuse_foreign_daemon
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.installation import Installation, find_installation
from busyd.cli.terminal import print_json, print_table
from busyd.clock import SystemClock
from busyd.config import Config
from busyd.period import Instant, to_rfc3339
from busyd.store.ledger import ledger_of
from busyd.store.tokens import Token, split_token
from busyd.timetext import BadText, parse_duration

SCOPES: Final = ("freebusy", "details", "book", "admin")
DEFAULT_SCOPES: Final = ("freebusy",)
ALL_PROFILES: Final = "*"
_USUAL_PORT: Final = {"http": 80, "https": 443}
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})
"""To listen on; nobody can connect to them."""


def add_token_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "token",
        help="let programs in: add, list, revoke",
        description="Make, list and revoke tokens. The running daemon honours a change at once.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    adding = actions.add_parser(
        "add",
        help="make a token",
        description="Make a token for one profile and print it with its feed address, this once: only its hash is "
        "kept.",
    )
    adding.add_argument("profile", metavar="PROFILE", help=f"the profile it opens, or '{ALL_PROFILES}' for all")
    adding.add_argument(
        "--scope",
        metavar="SCOPE[,SCOPE]",
        action="append",
        help=f"what it allows: {', '.join(SCOPES)} (default {','.join(DEFAULT_SCOPES)})",
    )
    adding.add_argument("--details", action="store_true", help="let its feed show titles and places")
    adding.add_argument("--expires", metavar="TIME", help="from now, such as 90d; without it the token lasts")
    adding.add_argument("--name", metavar="TEXT", default="", help="what it is for")
    adding.add_argument("--json", action="store_true", help="print JSON")
    adding.set_defaults(run=add_token)
    listing = actions.add_parser("list", help="list tokens", description="List tokens with their last use.")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_tokens)
    revoking = actions.add_parser("revoke", help="revoke a token", description="Revoke a token: it opens nothing more.")
    revoking.add_argument("id", metavar="ID", help="as `busyd token list` shows it")
    revoking.set_defaults(run=revoke_token)


def add_token(arguments: argparse.Namespace) -> int:
    """Make a token and print it once."""
    if arguments.name == LOCAL_TOKEN_FILE:
        message = f"--name: {LOCAL_TOKEN_FILE} is the daemon's own, which it replaces at a start"
        raise UsageError(message, program="busyd token add")
    scopes = _parse_scopes(arguments.scope)
    now = SystemClock().now()
    expires = _parse_expiry(arguments.expires, now)
    found = _find_right_one(arguments)
    named = arguments.state is not None or bool(os.environ.get("STATE_DIRECTORY"))
    config = None if found.path is None and named else found.config
    _check_profile(arguments.profile, config)
    with ledger_of(found.state) as ledger:
        token = ledger.add_token(
            arguments.profile, scopes=scopes, details=arguments.details, expires=expires, name=arguments.name, now=now
        )
    without = _why_no_feed(arguments.profile, scopes)
    feed = None if without else f"/feeds/{token.text}.ics"
    if arguments.json:
        print_json({"id": token.id, "token": token.text, "scopes": scopes, "feed": feed})
        return ExitStatus.OK
    print(f"id      {token.id}")
    print(f"token   {token.text}")
    if feed is None:
        print(f"feed    none: {without}")
        print("\nThis is shown only now.")
        return ExitStatus.OK
    base = _base_address(config)
    print(f"feed    {base}{feed}")
    if not base:
        print(
            "\nPut the name under which others reach busyd in front, and write it under `hosts:` in the configuration."
        )
    print("\nThis is shown only now. Whoever has the feed address can read it: treat it like a password.")
    return ExitStatus.OK


def list_tokens(arguments: argparse.Namespace) -> int:
    """Print what is known of every token that somebody made."""
    found = _find_right_one(arguments)
    own = _id_of_local_token(found.state)
    with ledger_of(found.state) as ledger:
        tokens = [token for token in ledger.tokens() if token.id != own]
    if arguments.json:
        print_json([_describe(token) for token in tokens])
    elif tokens:
        headers = ("ID", "PROFILE", "SCOPES", "DETAILS", "NAME", "CREATED", "EXPIRES", "LAST USED")
        print_table(headers, [_row(token) for token in tokens])
    else:
        print("there are no tokens")
    return ExitStatus.OK


def revoke_token(arguments: argparse.Namespace) -> int:
    """Delete one."""
    found = _find_right_one(arguments)
    if arguments.id == _id_of_local_token(found.state):
        message = f"{arguments.id} is the token with which the command line of this machine asks the daemon"
        raise CommandFailed(message, fix="it opens nothing to whoever may not read the state directory; it stays")
    with ledger_of(found.state) as ledger:
        if not ledger.revoke_token(arguments.id):
            message = f"there is no token with the id {arguments.id}"
            raise CommandFailed(message, fix="`busyd token list` shows the ids")
    print(f"revoked {arguments.id}")
    return ExitStatus.OK


def _find_right_one(arguments: argparse.Namespace) -> Installation:
    """The installation whose tokens count: never one that the daemon at the configured address does not use."""
    found = find_installation(arguments)
    found.require_access()
    found.require_one_config()
    refuse_foreign_daemon(found)
    return found


def _id_of_local_token(state: Path) -> str:
    """The token that the daemon made for the command line; empty where there is none."""
    parts = split_token(read_local_token(state))
    return parts[0] if parts is not None else ""


def _parse_scopes(given: list[str] | None) -> list[str]:
    words = [word.strip() for text in given or DEFAULT_SCOPES for word in text.split(",") if word.strip()]
    for word in words:
        if word not in SCOPES:
            message = f"there is no scope {word!r}: known are {', '.join(SCOPES)}"
            raise UsageError(message, program="busyd token add")
    return [scope for scope in SCOPES if scope in words]


def _parse_expiry(text: str | None, now: Instant) -> Instant | None:
    if text is None:
        return None
    try:
        lifetime = parse_duration(text)
    except BadText as error:
        message = f"--expires: {text[:40]!r} {error}"
        raise UsageError(message, program="busyd token add") from None
    if not lifetime:
        raise UsageError("--expires: it must be longer than 0 seconds", program="busyd token add")
    return Instant(now + int(lifetime.total_seconds()))


def _check_profile(profile: str, config: Config | None) -> None:
    if config is None or profile == ALL_PROFILES or profile in config.profiles:
        return
    known = ", ".join(config.profiles) or "none"
    message = f"there is no profile {profile!r}"
    raise CommandFailed(message, fix=f"profiles of the configuration: {known}")


def _why_no_feed(profile: str, scopes: list[str]) -> str:
    """Why the token can have no feed; empty when it has one."""
    if profile == ALL_PROFILES:
        return "a feed is of one profile, and this token is for all of them"
    return "" if "freebusy" in scopes else "a feed needs the scope freebusy"


def _base_address(config: Config | None) -> str:
    """Where clients reach busyd: by the name it is known under, else where it listens; empty when nobody can tell."""
    if config is None:
        return ""
    tcp = [listen for listen in config.listen if isinstance(listen, TcpAddress)]
    scheme = "https" if config.tls else "http"
    if config.hosts and (config.behind_proxy or not tcp):  # the port is the proxy's
        return f"https://{config.hosts[0]}"
    if config.hosts:
        port = "" if tcp[0].port == _USUAL_PORT[scheme] else f":{tcp[0].port}"
        return f"{scheme}://{config.hosts[0]}{port}"
    somewhere = [listen for listen in tcp if listen.host not in _EVERYWHERE]
    return f"{scheme}://{somewhere[0]}" if somewhere else ""


def _describe(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "profile": token.profile,
        "scopes": sorted(token.scopes),
        "details": token.details,
        "name": token.name,
        "created": to_rfc3339(token.created),
        "expires": None if token.expires is None else to_rfc3339(token.expires),
        "last_used": None if token.last_used is None else to_rfc3339(token.last_used),
    }


def _row(token: Token) -> tuple[str, ...]:
    return (
        token.id,
        token.profile,
        ",".join(sorted(token.scopes)),
        "yes" if token.details else "no",
        token.name,
        to_rfc3339(token.created),
        "never" if token.expires is None else to_rfc3339(token.expires),
        "never" if token.last_used is None else to_rfc3339(token.last_used),
    )
