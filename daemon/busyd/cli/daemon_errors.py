"""What went wrong with a request to the daemon, in terms of the command line."""

import http.client
import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.spelling import did_you_mean

_TYPED: Final = {
    "GET /v1/status": "`busyd status`",
    "GET /v1/profiles": "`busyd status`",
    "on_stale=": "--on-stale ",
    "max_age": "--max-age",
    "tz=": "--tz",
}
"""Paths and parameters of HTTP requests -> the command or option to type instead."""
_OF_PROFILE: Final = "/v1/profiles/"
_STATUS: Final = {
    400: ExitStatus.USAGE,
    503: ExitStatus.TRY_AGAIN,
    429: ExitStatus.TRY_AGAIN,
    502: ExitStatus.REMOTE_UNAVAILABLE,
    504: ExitStatus.REMOTE_UNAVAILABLE,
}


def broken_off() -> CommandFailed:
    """The answer ended early."""
    message = "the daemon ended the connection before its answer was complete"
    return CommandFailed(message, fix="try again, and see the daemon's log for the reason", status=ExitStatus.TRY_AGAIN)


def explain_refusal(
    response: http.client.HTTPResponse, *, authorised: bool, path: str = "", profiles: Iterable[str] = ()
) -> CommandFailed:
    """The daemon's own words (RFC 9457), or what the status means."""
    try:
        problem = json.loads(response.read(1_000_000))
    except (OSError, http.client.HTTPException, ValueError):
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    message = str(problem.get("detail") or problem.get("title") or f"the daemon answered with status {response.status}")
    fix = _for_the_shell(str(problem.get("fix") or ""))
    starts = [str(one.get("start")) for one in problem.get("alternatives") or [] if isinstance(one, dict)]
    if starts:
        fix = f"{fix}; open instead from {', '.join(starts)}"
    if str(problem.get("type")).endswith("/unknown-profile") and path.startswith(_OF_PROFILE):
        known = list(profiles)
        asked = unquote(path.removeprefix(_OF_PROFILE).partition("/")[0])
        message = f"there is no profile {asked!r}{did_you_mean(asked, known)}"
        fix = f"configured profiles: {', '.join(known)}" if known else "`busyd status` lists the profiles"
    if response.status == 401:
        message = "the daemon does not know this token" if authorised else "the daemon requires a token for this"
        fix = "run this as the user busyd runs as, with its --state, which holds the token (local-admin-token)"
    if response.status == 404 and not problem:
        message, fix = "the running daemon does not support this request", "restart it; it may be an older version"
    return CommandFailed(message, fix=fix, status=_STATUS.get(response.status, ExitStatus.FAILED))


def _for_the_shell(fix: str) -> str:
    """A fix that was written for HTTP clients, in terms of this command line."""
    for http_term, typed in _TYPED.items():
        fix = fix.replace(http_term, typed)
    return fix
