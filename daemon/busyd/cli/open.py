"""`busyd open`: the web page in a browser, already logged in."""

import argparse
import os
import sys
import tempfile
import webbrowser
from html import escape
from pathlib import Path
from typing import Final

from busyd.address import ListenAddress, TcpAddress
from busyd.cli.daemon_client import client_of
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation

_LEADS_THERE: Final = (
    '<!doctype html><meta charset="utf-8"><title>busyd</title><meta http-equiv="refresh" content="0;url={}">'
)
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def add_open_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "open",
        help="open the web page, logged in",
        description="Open the web page of the running daemon in a browser, logged in with the rights of the command "
        "line. The address works once, within two minutes.",
    )
    parser.add_argument("--print", action="store_true", help="only print the address")
    parser.add_argument(
        "--base", metavar="URL", help="how the browser reaches busyd, https://busy.example.org for instance"
    )
    parser.set_defaults(run=open_page)


def open_page(arguments: argparse.Namespace) -> int:
    """Ask the daemon for a login that works once, and hand it to the browser."""
    installation = find_installation(arguments)
    base = (arguments.base or _base_address(installation)).rstrip("/")
    address = base + client_of(installation).post("/v1/logins")["path"]
    print(address)
    if not arguments.print and _has_browser() and not webbrowser.open(_file_that_leads_to(address).as_uri()):
        print("no browser could be started: open this address in one within two minutes", file=sys.stderr)
    return ExitStatus.OK


def _base_address(installation: Installation) -> str:
    """Where a browser on this machine reaches the daemon. Raises CommandFailed where it listens on no TCP address."""
    running = installation.running
    listen: tuple[ListenAddress, ...] = running.addresses if running is not None else tuple(installation.config.listen)
    tcp = sorted(
        (address for address in listen if isinstance(address, TcpAddress)), key=lambda address: not address.loopback
    )
    if not tcp:
        message = "busyd listens on a unix socket only, which no browser can reach"
        raise CommandFailed(message, fix="name the address of your proxy: busyd open --base https://busy.example.org")
    is_tls = bool(running.certificate) if running is not None else installation.config.tls is not None
    host = _EVERY_ADDRESS.get(tcp[0].host, f"[{tcp[0].host}]" if ":" in tcp[0].host else tcp[0].host)
    return f"{'https' if is_tls else 'http'}://{host}:{tcp[0].port}"


def _has_browser() -> bool:
    """Whether one can be expected to show up, and not as root."""
    has_screen = sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys())
    return has_screen and os.geteuid() != 0


def _file_that_leads_to(address: str) -> Path:
    """A file of this user alone: what a browser is started with can be read by everybody on this machine."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.mkdtemp(prefix="busyd-")
    path = Path(folder) / "busyd-open.html"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_LEADS_THERE.format(escape(address)))
    return path
