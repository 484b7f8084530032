"""Asking the running daemon over its own HTTP, by TCP or unix socket. Standard library only, so it starts fast."""

import http.client
import json
import os
import socket
import ssl
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from busyd.address import ListenAddress, UnixAddress
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import SERVICE, Installation, find_installation
from busyd.config import Config
from busyd.errors import Misconfigured, TryAgain
from busyd.ownership import as_owner_of
from busyd.regular_file import read_regular_file

LOCAL_TOKEN_FILE: Final = "local-admin-token"
"""Written by the daemon at start, mode 0600: whoever may read the state directory may ask for everything."""

_SECONDS: Final = 30.0
_PROBE_SECONDS: Final = 2.0
_PATIENT_SECONDS: Final = 600.0
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_TYPED: Final = {
    "GET /v1/status": "`busyd status`",
    "GET /v1/profiles": "`busyd status`",
    "on_stale=": "--on-stale ",
    "max_age": "--max-age",
    "tz=": "--tz",
}
"""Addresses and parameters of HTTP -> what to type instead."""
_STATUS: Final = {
    400: ExitStatus.USAGE,
    503: ExitStatus.TRY_AGAIN,
    429: ExitStatus.TRY_AGAIN,
    502: ExitStatus.REMOTE_UNAVAILABLE,
    504: ExitStatus.REMOTE_UNAVAILABLE,
}


class DaemonClient:
    """One question at a time to one daemon. Raises CommandFailed in words for a person."""

    def __init__(
        self, listen: Sequence[ListenAddress], *, certificate: str, token: str, unknown: CommandFailed | None = None
    ) -> None:
        """`certificate` is in PEM, empty without TLS; `unknown` tells why there is no token that the daemon knows."""
        self._listen = sorted(listen, key=lambda one: (not isinstance(one, UnixAddress), not one.loopback))
        self._certificate = certificate
        self._token = token
        self._unknown = unknown

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """The JSON of an answer; parameters that are None are left out."""
        return self._read_json(self._send("GET", path, query or {}, seconds=_SECONDS))

    def post(self, path: str) -> Any:
        """POST, and the JSON of the answer, which may be long in coming."""
        return self._read_json(self._send("POST", path, {}, seconds=_PATIENT_SECONDS))

    def stream(self, path: str) -> Iterator[Any]:
        """POST, and the JSON lines of the answer as they come."""
        response = self._send("POST", path, {}, seconds=_PATIENT_SECONDS)
        try:
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError):
            raise _broken_off() from None

    def _send(
        self, method: str, path: str, query: Mapping[str, str | None], *, seconds: float
    ) -> http.client.HTTPResponse:
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if method == "POST":
            # What writes must be JSON: that is how the daemon knows that no web page sent it.
            headers["Content-Type"] = "application/json"
        connection = self._connect(seconds)
        try:
            connection.request(method, target, body=b"{}" if method == "POST" else None, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise _broken_off() from None
        if response.status == 401 and self._unknown is not None:
            response.close()
            raise self._unknown
        if response.status >= 400:
            raise _explain(response, authorised=bool(self._token))
        return response

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        refused = False
        for listen in self._listen:
            connection = _connection_to(listen, self._certificate, seconds)
            try:
                connection.connect()
            except ssl.SSLError as error:
                message = f"{listen} does not show the certificate it was started with: {error.reason or 'TLS failed'}"
                raise CommandFailed(message, fix="restart the daemon") from None
            except OSError as error:
                connection.close()
                refused = refused or isinstance(error, PermissionError)
            else:
                return connection
        where = " or ".join(str(listen) for listen in self._listen)
        if refused:
            message = f"this user may not open {where}"
            raise CommandFailed(message, fix="run this as the user busyd runs as", status=ExitStatus.FAILED)
        message = f"no daemon answers at {where}"
        fix = "start it with `busyd run`, or `systemctl start busyd`"
        raise CommandFailed(message, fix=fix, status=ExitStatus.REMOTE_UNAVAILABLE)

    @staticmethod
    def _read_json(response: http.client.HTTPResponse) -> Any:
        try:
            return json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            raise _broken_off() from None


def open_client(arguments: Namespace) -> tuple[DaemonClient, Config | None]:
    """A client for the running daemon that the arguments mean, and the configuration if it is right at the moment.

    A daemon that runs is asked where it listens itself, whatever its file says now.
    """
    found = find_installation(arguments)
    return client_of(found), found.config_if_right


def client_of(found: Installation) -> DaemonClient:
    """A client for the daemon of an installation. No token goes to whoever does not hold the state.

    Raises ConfigFaults, ConfigMissing when no daemon runs that could say where it listens.
    """
    found.require_one_config()
    running = found.running
    if running is not None:
        token = read_local_token(found.state)
        return DaemonClient(running.addresses, certificate=running.certificate, token=token)
    config = found.config
    certificate = _read_certificate(config.tls.cert) if config.tls is not None else ""
    if found.is_in_use:
        return DaemonClient(config.listen, certificate=certificate, token=read_local_token(found.state))
    return DaemonClient(config.listen, certificate=certificate, token="", unknown=_why_unknown(found, config))


def refuse_foreign_daemon(found: Installation) -> None:
    """Raises CommandFailed when a daemon answers at the configured address that does not work on this state.

    What is written into the state, a token for instance, would be unknown to it.
    """
    config = found.config_if_right
    if config is not None and not found.is_in_use and (answering := who_answers(config.listen)) is not None:
        message = f"another daemon answers at {answering}: it does not use {found.state}, and would not know the token"
        raise CommandFailed(message, fix=_fix_foreign(found))


def who_answers(listen: Iterable[ListenAddress]) -> ListenAddress | None:
    """The first of these addresses where somebody listens."""
    for address in listen:
        connection = _connection_to(address, "", _PROBE_SECONDS)
        try:
            connection.connect()
        except PermissionError:
            return address  # a socket of somebody else's
        except OSError:
            continue
        else:
            return address
        finally:
            connection.close()
    return None


def _why_unknown(found: Installation, config: Config) -> CommandFailed:
    if found.is_closed:
        return found.closed()
    where = " and ".join(str(address) for address in config.listen)
    message = f"the daemon that answers at {where} does not use the state directory {found.state}"
    return CommandFailed(message, fix=_fix_foreign(found))


def _fix_foreign(found: Installation) -> str:
    if os.geteuid() == 0 and not found.is_service:
        return "leave out --config and --state: then root's commands find the service; else name its state directory"
    if not found.is_service and os.path.lexists(SERVICE.state):
        return f"busyd runs here as a service ({SERVICE.state}): use sudo; else name its directory with --state"
    return "name the state directory of that daemon with --state, or stop it and start this one"


def read_local_token(state: Path) -> str:
    """The token of the running daemon, or an empty text where this user may not know it."""
    try:
        # Not as root in somebody else's directory: a link there could have any file sent to whoever listens.
        with as_owner_of(state):
            return read_regular_file(state / LOCAL_TOKEN_FILE).decode().strip()
    except (OSError, UnicodeDecodeError, TryAgain, Misconfigured):
        return ""


def profile_path(profile: str, question: str) -> str:
    """`/v1/profiles/PROFILE/QUESTION`."""
    return f"/v1/profiles/{quote(profile, safe='')}/{question}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _connection_to(listen: ListenAddress, certificate: str, seconds: float) -> http.client.HTTPConnection:
    if isinstance(listen, UnixAddress):
        return _UnixConnection(listen.path, seconds)
    host = _EVERY_ADDRESS.get(listen.host, listen.host)
    if not certificate:
        return http.client.HTTPConnection(host, listen.port, timeout=seconds)
    return http.client.HTTPSConnection(host, listen.port, timeout=seconds, context=_pinned(certificate))


def _pinned(certificate: str) -> ssl.SSLContext:
    """Trusts this certificate and nothing else; its name is that of the outside, not of the loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=certificate)
    except (OSError, ssl.SSLError):
        raise CommandFailed("the certificate of the daemon cannot be used", fix="it must be PEM") from None
    return context


def _read_certificate(path: Path) -> str:
    try:
        return read_regular_file(path).decode()
    except (OSError, UnicodeDecodeError):
        message = f"cannot read the certificate {path}"
        raise CommandFailed(message, fix="it must be PEM, and readable by this user") from None


def _broken_off() -> CommandFailed:
    message = "the daemon broke off in the middle of its answer"
    return CommandFailed(message, fix="try again; its log tells why", status=ExitStatus.TRY_AGAIN)


def _for_the_shell(fix: str) -> str:
    """What to do, written for HTTP, in the words of this command line."""
    for asked, typed in _TYPED.items():
        fix = fix.replace(asked, typed)
    return fix


def _explain(response: http.client.HTTPResponse, *, authorised: bool) -> CommandFailed:
    """The daemon's own words (RFC 9457), or what the status means."""
    try:
        problem = json.loads(response.read(1_000_000))
    except (OSError, http.client.HTTPException, ValueError):
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    message = str(problem.get("detail") or problem.get("title") or f"the daemon answered with status {response.status}")
    fix = _for_the_shell(str(problem.get("fix") or ""))
    if response.status == 401:
        message = "the daemon does not know this token" if authorised else "the daemon wants a token for this"
        fix = f"run this as the user busyd runs as, with its state directory: the token is there, in {LOCAL_TOKEN_FILE}"
    if response.status == 404 and not problem:
        message, fix = "the running daemon does not know this question", "restart it: it may be an older version"
    return CommandFailed(message, fix=fix, status=_STATUS.get(response.status, ExitStatus.FAILED))
