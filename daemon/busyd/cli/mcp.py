"""`busyd mcp`: tools for an assistant, over the Model Context Protocol. A process of its own, a client of the API."""

import argparse
import os
import stat
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from busyd.address import ListenAddress, TcpAddress
from busyd.cli.daemon_client import DaemonClient
from busyd.cli.daemon_connection import SYSTEM_TRUST
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.installation import find_installation
from busyd.credentials.files import CredentialMissing, read_secret_bytes

TOKEN_VARIABLE: Final = "BUSYD_TOKEN"
URL_VARIABLE: Final = "BUSYD_URL"
REQUIREMENT: Final = "mcp>=2.3,<3"
"""As in the extra `mcp` of pyproject.toml."""
_USUAL: Final = TcpAddress("127.0.0.1", 8377)
_MAKE_ONE: Final = "make one with `busyd token add PROFILE --scope freebusy`"


def add_mcp_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "mcp",
        help="offer tools to an assistant (Model Context Protocol)",
        description="Serve tools for an assistant over standard input and output: list_profiles, check_busy, "
        "find_slots and explain, and with --allow-book hold, book, move and cancel. The daemon is asked with a token "
        f"from the environment variable {TOKEN_VARIABLE} or a file.",
    )
    parser.add_argument(
        "--token-file", metavar="FILE", type=Path, help="read the token from FILE, which must be mode 0600"
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help=f"address of the daemon, such as https://busy.example.org (default: {URL_VARIABLE}, else this machine's)",
    )
    parser.add_argument(
        "--allow-book", action="store_true", help="offer the tools that write, if the token has the scope book"
    )
    parser.add_argument(
        "--details", action="store_true", help="tell titles and places, if the token has the scope details"
    )
    parser.set_defaults(run=serve_tools)


def serve_tools(arguments: argparse.Namespace) -> int:
    """Serve until the assistant closes its end."""
    token = read_token(arguments.token_file, os.environ)
    connect = connector(arguments, token, url=arguments.url or os.environ.get(URL_VARIABLE, ""))
    try:
        from busyd.cli.mcp_server import serve
    except ModuleNotFoundError as error:
        message = f"busyd mcp needs the Python package mcp, which is not there ({error.name} is missing)"
        fix = f"install it: {sys.executable} -m pip install '{REQUIREMENT}'"
        raise CommandFailed(message, fix=fix, status=ExitStatus.CONFIG) from None
    serve(connect, allow_book=arguments.allow_book, details=arguments.details)
    return ExitStatus.OK


def read_token(file: Path | None, environment: MutableMapping[str, str]) -> str:
    """The token, taken out of the environment so that nothing else inherits it. Raises CommandFailed."""
    token = environment.pop(TOKEN_VARIABLE, "").strip()
    if file is not None:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            token = read_secret_bytes(file).decode("ascii", "replace").strip()
        except (OSError, CredentialMissing) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            message = f"the token cannot be read from {file}: {reason}"
            raise CommandFailed(message, fix=_MAKE_ONE, status=ExitStatus.CONFIG) from None
        if mode & 0o077:
            message = f"{file} can be read by others (mode {mode:04o})"
            raise CommandFailed(message, fix=f"chmod 600 {file}", status=ExitStatus.CONFIG)
    if not token:
        message = f"there is no token: {TOKEN_VARIABLE} is not set, and no --token-file was given"
        raise CommandFailed(message, fix=_MAKE_ONE, status=ExitStatus.CONFIG)
    if not all("!" <= character <= "~" for character in token):
        message = "the token has characters that no token has"
        raise CommandFailed(message, fix="give the token as `busyd token add` printed it", status=ExitStatus.CONFIG)
    return token


def connector(arguments: argparse.Namespace, token: str, *, url: str) -> Callable[[], DaemonClient]:
    """What makes a client for the daemon, wherever it listens by then. Raises UsageError for an unusable URL."""
    if url:
        listen, certificate = _parse_url(url)
        return lambda: DaemonClient(
            [listen], certificate=certificate, token=token, unanswered=f"see that {url} answers"
        )

    def connect() -> DaemonClient:
        installation = find_installation(arguments)
        running = installation.running
        if running is not None:
            addresses: list[ListenAddress] = list(running.addresses)
            certificate = running.certificate
        else:
            config = installation.config_or_none
            addresses, certificate = list(config.listen) if config is not None else [_USUAL], ""
        return DaemonClient(addresses, certificate=certificate, token=token, unanswered=installation.how_to_start)

    return connect


def _parse_url(url: str) -> tuple[TcpAddress, str]:
    """Where to connect, and what certificate to trust."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.path not in ("", "/")
        or parts.query
        or parts.username
    ):
        message = f"--url: {url[:80]!r} is not an address such as https://busy.example.org"
        raise UsageError(message, program="busyd mcp")
    address = TcpAddress(host, port or (443 if parts.scheme == "https" else 80))
    if parts.scheme == "http" and not address.loopback:
        message = f"--url: a token is not sent to {host} without TLS"
        raise UsageError(message, program="busyd mcp")
    return address, SYSTEM_TRUST if parts.scheme == "https" else ""
