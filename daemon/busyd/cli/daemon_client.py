"""The client of the running daemon's HTTP API, over TCP or a unix socket. Standard library only: it starts fast."""

import http.client
import json
import os
import ssl
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from busyd.address import ListenAddress, UnixAddress
from busyd.cli.daemon_connection import connection_to
from busyd.cli.daemon_errors import OF_PROFILE, RequestRefused, broken_off, explain_refusal, profiles_in
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import SERVICE, Installation, find_installation
from busyd.cli.terminal import announce_wait
from busyd.config import Config
from busyd.credentials.tokens import LOCAL_TOKEN_NAME
from busyd.errors import Misconfigured, TryAgain
from busyd.ownership import as_owner_of
from busyd.regular_file import read_regular_file

LOCAL_TOKEN_FILE: Final = LOCAL_TOKEN_NAME
"""Written by the daemon at start, mode 0600: whoever may read the state directory may ask anything."""

_WITH_BODY: Final = ("POST", "PATCH")
_SECONDS: Final = 30.0
_PROBE_SECONDS: Final = 2.0
_PATIENT_SECONDS: Final = 600.0


class NotAnswering(CommandFailed):
    """Nobody answered: there is no daemon, or it hangs."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message, fix=fix, status=ExitStatus.REMOTE_UNAVAILABLE)


class NoAnswerInTime(NotAnswering):
    """The request was sent; what came of it is not known."""


class Reply(NamedTuple):
    """An answer that is no refusal."""

    status: int
    body: Any
    """Its JSON; None when it has none."""


class DaemonClient:
    """One request at a time to one daemon. Raises CommandFailed with a message for a person."""

    def __init__(
        self,
        listen: Sequence[ListenAddress],
        *,
        certificate: str,
        token: str,
        unanswered: str,
        unknown: CommandFailed | None = None,
        foreign: CommandFailed | None = None,
    ) -> None:
        """`certificate` is in PEM, empty without TLS; `unanswered` says what to do when nobody answers, `unknown` why
        there is no token that the daemon knows, `foreign` why nothing is asked of whoever answers.
        """
        self._listen = sorted(listen, key=lambda address: (not isinstance(address, UnixAddress), not address.loopback))
        self._certificate = certificate
        self._token = token
        self._unanswered = unanswered
        self._unknown = unknown
        self._foreign = foreign
        self.profiles: tuple[str, ...] = ()
        """The profiles of the configuration, for whoever misspells one."""

    def get(self, path: str, query: Mapping[str, str | None] | None = None, *, seconds: float = _SECONDS) -> Any:
        """The JSON of an answer; parameters that are None are left out. `seconds`: how long to wait for it."""
        return self._read_json(self._send("GET", path, query=query or {}, seconds=seconds))

    def post(self, path: str) -> Any:
        """POST, and the JSON of the answer, which may take minutes."""
        self._require_answering()
        return self._read_json(self._send("POST", path, query={}, seconds=_PATIENT_SECONDS))

    def change(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, str | None] | None = None
    ) -> Any:
        """POST or DELETE, and the JSON of the answer; None when it has none."""
        return self.request(method, path, body=body, query=query).body

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | None] | None = None,
        key: str = "",
    ) -> Reply:
        """POST, PATCH or DELETE; `key` is its Idempotency-Key. Raises AnswerLost, NoAnswerInTime, RequestRefused."""
        response = self._send(method, path, query=query or {}, seconds=_SECONDS, body=body, key=key)
        return Reply(response.status, None if response.status == 204 else self._read_json(response))

    def stream(self, path: str) -> Iterator[Any]:
        """POST, and the JSON lines of the answer as they come."""
        self._require_answering()
        response = self._send("POST", path, query={}, seconds=_PATIENT_SECONDS)
        try:
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError):
            raise broken_off() from None

    def events(self, path: str, query: Mapping[str, str | None]) -> http.client.HTTPResponse:
        """A stream of server-sent events, which is never silent for long."""
        return self._send("GET", path, query=query, seconds=_SECONDS, accept="text/event-stream")

    def _require_answering(self) -> None:
        """Raises CommandFailed for a daemon that hangs, which nobody should wait minutes for."""
        with suppress(RequestRefused):
            self.get("/healthz")

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None],
        seconds: float,
        accept: str = "application/json",
        body: object = None,
        key: str = "",
    ) -> http.client.HTTPResponse:
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        headers = {"Accept": accept, "Connection": "close"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if key:
            headers["Idempotency-Key"] = key
        if method in _WITH_BODY:
            # The daemon requires JSON on writes, which a web page cannot send across origins unasked.
            headers["Content-Type"] = "application/json"
        connection, waiting = self._connect(seconds), announce_wait()
        try:
            content = json.dumps(body or {}).encode() if method in _WITH_BODY else None
            connection.request(method, target, body=content, headers=headers)
            response = connection.getresponse()
        except TimeoutError:
            connection.close()
            message = f"the daemon has not answered within {seconds:g} seconds"
            raise NoAnswerInTime(message, fix=self._unanswered) from None
        except (OSError, http.client.HTTPException):
            connection.close()
            raise broken_off() from None
        finally:
            waiting.cancel()
        if response.status == 401 and self._unknown is not None:
            response.close()
            raise self._unknown
        if response.status >= 400:
            raise explain_refusal(
                response, authorised=bool(self._token), asked=profiles_in(path, query), profiles=self.profiles
            )
        return response

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        refused = False
        for listen in self._listen:
            connection = connection_to(listen, self._certificate, seconds=seconds)
            try:
                connection.connect()
            except ssl.SSLError as error:
                message = f"{listen} did not present the daemon's certificate: {error.reason or 'TLS failed'}"
                raise CommandFailed(message, fix="restart the daemon") from None
            except OSError as error:
                connection.close()
                refused = refused or isinstance(error, PermissionError)
            else:
                if self._foreign is not None:
                    connection.close()
                    raise self._foreign
                return connection
        where = " or ".join(str(listen) for listen in self._listen)
        if refused:
            message = f"this user may not connect to {where}"
            raise CommandFailed(message, fix="run this as the user busyd runs as", status=ExitStatus.FAILED)
        message = f"no daemon answers at {where}"
        raise NotAnswering(message, fix=self._unanswered)

    @staticmethod
    def _read_json(response: http.client.HTTPResponse) -> Any:
        try:
            return json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            raise broken_off() from None


def open_client(arguments: Namespace) -> tuple[DaemonClient, Config | None]:
    """A client for the daemon that the arguments mean, and the configuration, or None while that is invalid.

    Where a running daemon listens is taken from the daemon itself, whatever its file says now.
    """
    installation = find_installation(arguments)
    client, config = client_of(installation), installation.config_or_none
    client.profiles = tuple(config.profiles) if config is not None else ()
    return client, config


def client_of(installation: Installation) -> DaemonClient:
    """A client for the daemon of an installation. The token is sent only to a daemon that works on the state.

    Raises ConfigFaults, ConfigMissing when no daemon runs that could say where it listens.
    """
    installation.require_one_config()
    running = installation.running
    if running is not None:
        token = read_local_token(installation.state)
        revive = installation.how_to_revive
        return DaemonClient(running.addresses, certificate=running.certificate, token=token, unanswered=revive)
    config = installation.config
    certificate = _read_certificate(config.tls.cert) if config.tls is not None else ""
    if installation.is_in_use:
        token, starting = read_local_token(installation.state), "it may be starting: try again in a moment"
        return DaemonClient(config.listen, certificate=certificate, token=token, unanswered=starting)
    closed = installation.closed() if installation.is_closed else None
    where = " and ".join(str(address) for address in config.listen)
    message = f"the daemon at {where} does not use the state directory {installation.state}"
    foreign = CommandFailed(message, fix=_fix_foreign(installation)) if closed is None else None
    start = installation.how_to_start
    return DaemonClient(
        config.listen, certificate=certificate, token="", unanswered=start, unknown=closed, foreign=foreign
    )


def refuse_foreign_daemon(installation: Installation) -> None:
    """Raises CommandFailed when the daemon at the configured address does not work on this state.

    It would not know what is written into the state, such as a token.
    """
    config = installation.config_or_none
    if config is not None and not installation.is_in_use and (answering := who_answers(config.listen)) is not None:
        message = f"the daemon at {answering} does not use {installation.state} and would not know the token"
        raise CommandFailed(message, fix=_fix_foreign(installation))


def who_answers(listen: Iterable[ListenAddress]) -> ListenAddress | None:
    """The first of these addresses at which something listens."""
    for address in listen:
        connection = connection_to(address, "", seconds=_PROBE_SECONDS)
        try:
            connection.connect()
        except PermissionError:
            return address  # another user's socket
        except OSError:
            continue
        else:
            return address
        finally:
            connection.close()
    return None


def _fix_foreign(installation: Installation) -> str:
    if os.geteuid() == 0 and not installation.is_service:
        return "leave out --config and --state, so that the service is used, or pass the daemon's --state"
    if not installation.is_service and os.path.lexists(SERVICE.state):
        return f"busyd runs as a service here ({SERVICE.state}): use sudo, or pass the daemon's --state"
    return "pass the --state of that daemon, or stop it and start this one"


def read_local_token(state: Path) -> str:
    """The token of the running daemon, or an empty text where this user may not read it."""
    try:
        # Not as root in somebody else's directory: a link there could have any file sent to whoever listens.
        with as_owner_of(state):
            return read_regular_file(state / LOCAL_TOKEN_FILE).decode().strip()
    except (OSError, UnicodeDecodeError, TryAgain, Misconfigured):
        return ""


def profile_path(profile: str, question: str) -> str:
    """`/v1/profiles/PROFILE/QUESTION`."""
    return f"{OF_PROFILE}{quote(profile, safe='')}/{question}"


def _read_certificate(path: Path) -> str:
    try:
        return read_regular_file(path).decode()
    except (OSError, UnicodeDecodeError):
        message = f"cannot read the certificate {path}"
        raise CommandFailed(message, fix="it must be in PEM format, and readable by this user") from None
