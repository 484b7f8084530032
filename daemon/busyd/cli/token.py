"""`busyd token`: who has access. Works on the ledger in the state directory, whether or not the daemon is running."""

import argparse
from typing import Any, Final

from busyd.address import TcpAddress
from busyd.cli.daemon_client import LOCAL_TOKEN_FILE, refuse_foreign_daemon
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.installation import Installation, find_installation
from busyd.cli.known_names import config_that_counts, require_profile
from busyd.cli.stores import kept_ledger, ledger_of
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.window import show_time, zone_of_all
from busyd.clock import SystemClock
from busyd.config import Config
from busyd.credentials.tokens import ALL_PROFILES, SCOPES, Token, is_local
from busyd.ical.zones import Zone
from busyd.period import Instant, to_rfc3339
from busyd.timetext import BadText, parse_duration

DEFAULT_SCOPES: Final = ("freebusy",)
_USUAL_PORT: Final = {"http": 80, "https": 443}
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})
"""Addresses to listen on, which nobody can connect to."""


def add_token_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "token",
        help="manage access tokens: add, list, revoke",
        description="Create, list and revoke access tokens. The running daemon applies a change immediately.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    adding = actions.add_parser(
        "add",
        help="create a token",
        description="Create a token and print it with its feed address. It is shown only once, as only its hash is "
        "stored.",
    )
    adding.add_argument(
        "profile", metavar="PROFILE", help=f"the profile it gives access to, or '{ALL_PROFILES}' for all"
    )
    adding.add_argument(
        "--scope",
        metavar="SCOPE[,SCOPE]",
        action="append",
        help=f"what it allows: {', '.join(SCOPES)} (default {','.join(DEFAULT_SCOPES)})",
    )
    adding.add_argument("--details", action="store_true", help="include titles and places in its feed")
    adding.add_argument("--expires", metavar="TIME", help="lifetime from now, such as 90d (default: no expiry)")
    adding.add_argument("--name", metavar="TEXT", default="", help="a note on what it is for")
    adding.add_argument("--json", action="store_true", help="print JSON")
    adding.set_defaults(run=add_token)
    listing = actions.add_parser(
        "list",
        help="list tokens",
        description="List all tokens with their last use, which is exact to a minute and may lag by a few seconds.",
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=list_tokens)
    revoking = actions.add_parser(
        "revoke", help="revoke a token", description="Revoke a token; it stops working immediately."
    )
    revoking.add_argument("id", metavar="ID", help="the id shown by `busyd token list`")
    revoking.set_defaults(run=revoke_token)


def add_token(arguments: argparse.Namespace) -> int:
    """Create a token and print it once."""
    if is_local(arguments.name):
        message = f"--name: {LOCAL_TOKEN_FILE} is reserved for the daemon's own token"
        raise UsageError(message, program="busyd token add")
    scopes = _parse_scopes(arguments.scope)
    now = SystemClock().now()
    expires = parse_expiry(arguments.expires, now, program="busyd token add")
    installation = tokens_installation(arguments)
    config = config_that_counts(arguments, installation)
    require_profile(arguments.profile, config)
    with ledger_of(installation) as ledger:
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
        print("\nThe token is shown only once.")
        return ExitStatus.OK
    base = base_address(config)
    print(f"feed    {base}{feed}")
    if not base:
        print(
            "\nPrefix the feed with the address by which others reach busyd, and put that into the configuration as "
            "`public_url:`."
        )
    print("\nThe token is shown only once. Anyone with the feed address can read the feed: treat it like a password.")
    return ExitStatus.OK


def list_tokens(arguments: argparse.Namespace) -> int:
    """Print all tokens but the daemon's own, without their secrets."""
    installation = tokens_installation(arguments)
    with kept_ledger(installation) as ledger:
        stored = ledger.tokens() if ledger is not None else []
        tokens = [token for token in stored if not is_local(token.name)]
    if arguments.json:
        print_json([_describe(token) for token in tokens])
    elif tokens:
        zone = zone_of_all(installation.config_or_none)
        headers = ("ID", "PROFILE", "SCOPES", "FEED", "NAME", "EXPIRES", "LAST USED")
        print_table(headers, [_row(token, zone) for token in tokens])
        print_note(f"times in {zone.name}")
    else:
        print("there are no tokens")
    return ExitStatus.OK


def revoke_token(arguments: argparse.Namespace) -> int:
    """Revoke one."""
    installation = tokens_installation(arguments)
    with kept_ledger(installation) as ledger:
        stored = ledger.tokens() if ledger is not None else []
        if any(token.id == arguments.id and is_local(token.name) for token in stored):
            message = f"{arguments.id} is the token that the command line of this machine uses; it cannot be revoked"
            raise CommandFailed(message, fix="it is safe as long as others cannot read the state directory")
        if ledger is None or not ledger.revoke_token(arguments.id):
            message = f"there is no token with the id {arguments.id}"
            raise CommandFailed(message, fix="run `busyd token list` to see the ids")
    print(f"revoked {arguments.id}")
    return ExitStatus.OK


def tokens_installation(arguments: argparse.Namespace) -> Installation:
    """The installation whose tokens are meant; never one that the daemon at the configured address does not use."""
    installation = find_installation(arguments)
    installation.require_access()
    installation.require_one_config()
    refuse_foreign_daemon(installation)
    return installation


def _parse_scopes(given: list[str] | None) -> list[str]:
    words = [word.strip() for text in given or DEFAULT_SCOPES for word in text.split(",") if word.strip()]
    for word in words:
        if word not in SCOPES:
            message = f"unknown scope {word!r}; known scopes: {', '.join(SCOPES)}"
            raise UsageError(message, program="busyd token add")
    if not words:
        message = f"--scope: a token without a scope allows nothing; known scopes: {', '.join(SCOPES)}"
        raise UsageError(message, program="busyd token add")
    return [scope for scope in SCOPES if scope in words]


def parse_expiry(text: str | None, now: Instant, *, program: str) -> Instant | None:
    """When a token ends that lives so long from now; None for one without an end. Raises UsageError."""
    if text is None:
        return None
    try:
        lifetime = parse_duration(text)
    except BadText as error:
        message = f"--expires: {text[:40]!r} {error}"
        raise UsageError(message, program=program) from None
    if not lifetime:
        raise UsageError("--expires: it must be longer than 0 seconds", program=program)
    return Instant(now + int(lifetime.total_seconds()))


def _why_no_feed(profile: str, scopes: list[str]) -> str:
    """Why the token can have no feed; empty when it has one."""
    if profile == ALL_PROFILES:
        return "a feed shows one profile, but this token is for all of them"
    return "" if "freebusy" in scopes else "a feed needs the scope freebusy"


def base_address(config: Config | None) -> str:
    """Where clients reach busyd: its configured name, else where it listens; empty when neither is known."""
    if config is None:
        return ""
    if config.public_url:
        return config.public_url
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


def _row(token: Token, zone: Zone) -> tuple[str, ...]:
    return (
        token.id,
        token.profile,
        ", ".join(sorted(token.scopes)),
        "with titles" if token.details else "busy only" if "freebusy" in token.scopes else "none",
        token.name,
        "never" if token.expires is None else show_time(to_rfc3339(token.expires), zone),
        "never" if token.last_used is None else show_time(to_rfc3339(token.last_used), zone),
    )
