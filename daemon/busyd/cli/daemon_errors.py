"""What went wrong with a request to the daemon, in terms of the command line."""

import http.client
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.spelling import did_you_mean

_TYPED: Final = {
    ", with another Idempotency-Key": "",
    " with another Idempotency-Key": "",
    "GET …/appointments": "`busyd appointments PROFILE`",
    "GET …/blocks": "`busyd block list PROFILE`",
    "GET …/holds": "`busyd hold PROFILE --list`",
    "GET it, and send the ETag it has now": "`busyd appointments PROFILE` shows it as it is now",
    "GET it": "see `busyd appointments PROFILE`",
    "DELETE it here": "run `busyd cancel PROFILE ID`",
    "`busyd explain`": "`busyd explain PROFILE`",
    "GET /openapi.json describes the fields and their limits": "see the --help of the command",
    "GET /v1/status": "`busyd status`",
    "GET /v1/profiles": "`busyd status`",
    "on_stale=": "--on-stale ",
    "max_age": "--max-age",
    "tz=": "--tz",
}
"""Paths and parameters of HTTP requests -> the command or option to type instead; PROFILE is the one asked about."""
OF_PROFILE: Final = "/v1/profiles/"
_INVALID: Final = "invalid"
"""The daemon's name for values that it cannot use, whatever anybody's calendar says."""
_LOGIN_REFUSED: Final = "login-refused"
"""What the daemon names as the cause where a server does not take the password."""
_STATUS: Final = {
    400: ExitStatus.USAGE,
    503: ExitStatus.TRY_AGAIN,
    429: ExitStatus.TRY_AGAIN,
    502: ExitStatus.REMOTE_UNAVAILABLE,
    504: ExitStatus.REMOTE_UNAVAILABLE,
}


class AnswerLost(CommandFailed):
    """The request was sent, and its answer did not arrive whole: what came of it is not known."""


class RequestRefused(CommandFailed):
    """The daemon has answered that it does not do it."""

    def __init__(
        self,
        message: str,
        *,
        fix: str,
        http_status: int,
        alternatives: Sequence[Mapping[str, str]],
        name: str = "",
        cause: str = "",
    ) -> None:
        status = ExitStatus.USAGE if name == _INVALID else _STATUS.get(http_status, ExitStatus.FAILED)
        if cause == _LOGIN_REFUSED:
            status = ExitStatus.LOGIN_REFUSED
        super().__init__(message, fix=fix, status=status)
        self.http_status = http_status
        self.name = name
        """The last part of the problem's type."""
        self.alternatives = alternatives
        """Half-open periods that are open instead, as the daemon writes them."""


def broken_off() -> AnswerLost:
    """The answer ended early."""
    message = "the daemon ended the connection before its answer was complete"
    return AnswerLost(message, fix="try again, and see the daemon's log for the reason", status=ExitStatus.TRY_AGAIN)


def explain_refusal(
    response: http.client.HTTPResponse, *, authorised: bool, asked: Iterable[str] = (), profiles: Iterable[str] = ()
) -> RequestRefused:
    """The daemon's own words (RFC 9457), or what the status means.

    `asked` are the profiles that were asked about, `profiles` those of the configuration.
    """
    try:
        problem = json.loads(response.read(1_000_000))
    except (OSError, http.client.HTTPException, ValueError):
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    message = str(problem.get("detail") or problem.get("title") or f"the daemon answered with status {response.status}")
    about = list(asked)
    fix = _for_the_shell(str(problem.get("fix") or ""), profile=about[0] if len(about) == 1 else "")
    alternatives = [one for one in problem.get("alternatives") or [] if isinstance(one, dict)]
    name = str(problem.get("type")).rpartition("/")[2]
    known = list(profiles)
    unknown = [one for one in about if one not in known]
    if name == "unknown-profile" and unknown:
        message = f"there is no profile {unknown[0]!r}{did_you_mean(unknown[0], known)}"
        fix = f"configured profiles: {', '.join(known)}" if known else "`busyd status` lists the profiles"
    if response.status == 401:
        message = "the daemon does not know this token" if authorised else "the daemon requires a token for this"
        fix = "run this as the user busyd runs as, with its --state, which holds the token (local-admin-token)"
    if response.status == 404 and not problem:
        message, fix = "the running daemon does not support this request", "restart it; it may be an older version"
    return RequestRefused(
        message,
        fix=fix,
        http_status=response.status,
        alternatives=alternatives,
        name=name,
        cause=str(problem.get("cause") or ""),
    )


def profiles_in(path: str, query: Mapping[str, str | None]) -> list[str]:
    """The profiles that a request is about."""
    if path.startswith(OF_PROFILE):
        return [unquote(path.removeprefix(OF_PROFILE).partition("/")[0])]
    return (query.get("profiles") or "").split(",")


def _for_the_shell(fix: str, *, profile: str) -> str:
    """A fix that was written for HTTP clients, in terms of this command line."""
    for http_term, typed in _TYPED.items():
        fix = fix.replace(http_term, typed.replace("PROFILE", shlex.quote(profile) if profile else "PROFILE"))
    return fix
