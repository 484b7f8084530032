"""Asking the running daemon over its own HTTP, by TCP or unix socket. Standard library only, so it starts fast."""

import http.client
import json
import socket
import ssl
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from busyd.address import ListenAddress, UnixAddress
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.settings import load_settings, state_directory
from busyd.config import Config, Tls

LOCAL_TOKEN_FILE: Final = "local-admin-token"
"""Written by the daemon at start, mode 0600: whoever may read the state directory may ask for everything."""

_SECONDS: Final = 30.0
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
    """One question at a time to the daemon of a configuration. Raises CommandFailed in words for a person."""

    def __init__(self, listen: Sequence[ListenAddress], tls: Tls | None, token: str) -> None:
        self._listen = sorted(listen, key=lambda one: (not isinstance(one, UnixAddress), not one.loopback))
        self._tls = tls
        self._token = token

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """The JSON of an answer; parameters that are None are left out."""
        return self._read_json(self._send("GET", path, query or {}, seconds=_SECONDS))

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
        if response.status >= 400:
            raise _explain(response, authorised=bool(self._token))
        return response

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        refused = False
        for listen in self._listen:
            connection = _connection_to(listen, self._tls, seconds)
            try:
                connection.connect()
            except ssl.SSLError as error:
                message = f"{listen} does not show the certificate of the configuration: {error.reason or 'TLS failed'}"
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


def open_client(arguments: Namespace) -> tuple[DaemonClient, Config]:
    """A client for the daemon of the configuration that the arguments name, and that configuration."""
    _, config = load_settings(arguments)
    token = read_local_token(state_directory(arguments, config))
    return DaemonClient(config.listen, config.tls, token), config


def read_local_token(state: Path) -> str:
    """The token of the running daemon, or an empty text where this user may not know it."""
    try:
        return (state / LOCAL_TOKEN_FILE).read_text().strip()
    except (OSError, UnicodeDecodeError):
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


def _connection_to(listen: ListenAddress, tls: Tls | None, seconds: float) -> http.client.HTTPConnection:
    if isinstance(listen, UnixAddress):
        return _UnixConnection(listen.path, seconds)
    host = _EVERY_ADDRESS.get(listen.host, listen.host)
    if tls is None:
        return http.client.HTTPConnection(host, listen.port, timeout=seconds)
    return http.client.HTTPSConnection(host, listen.port, timeout=seconds, context=_pinned(tls))


def _pinned(tls: Tls) -> ssl.SSLContext:
    """Trusts the configured certificate and nothing else; its name is that of the outside, not of the loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(tls.cert)
    except (OSError, ssl.SSLError):
        message = f"cannot read the certificate {tls.cert}"
        raise CommandFailed(message, fix="it must be PEM, and readable by this user") from None
    return context


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
