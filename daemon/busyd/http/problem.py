"""Refusals: RFC 9457 problem details, with a stable type and a sentence for a person.

Nothing here decides. Code that refuses raises `HttpProblem`, or an error of `flow/` that `not_answered` translates, and
`app.py` turns it into an answer.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from busyd.errors import BusydError
from busyd.flow.ask import NotConfirmed, NotUnderstood, Unanswerable
from busyd.http import web
from busyd.http.bodies import ExplainedEvent
from busyd.http.response import SECURITY_HEADERS, to_json
from busyd.period import Period, to_rfc3339

ERROR_BASE: Final = "https://busyd.invalid/errors/"
"""What every `type` begins with: a name, not the address of a page."""

PROBLEM_TYPE: Final = "application/problem+json"

TITLES: Final[Mapping[str, str]] = {
    "bad-request": "The request cannot be understood",
    "unknown-parameter": "Unknown parameter",
    "bad-window": "The window is not valid",
    "login-needed": "A token is needed",
    "missing-scope": "The token does not allow this",
    "cross-site": "Other sites may not write here",
    "not-found": "There is nothing at this address",
    "unknown-profile": "There is no such profile",
    "no-connection": "No account is connected",
    "unknown-connection": "There is no such connection",
    "unknown-feed": "There is no such feed",
    "unknown-problem": "There is no such problem",
    "unknown-token": "There is no such token",
    "unknown-booking": "There is no such appointment, block or hold",
    "slot-taken": "The time is not free",
    "outside-hours": "The time is outside the working hours",
    "too-soon": "The time is too soon",
    "too-far": "The time is too far ahead",
    "limit-reached": "The day or week is full",
    "off-grid": "Nothing starts at this time",
    "too-many-holds": "Too many holds",
    "not-proven": "The calendars could not be confirmed",
    "no-primary": "There is no calendar to write to",
    "read-only": "The calendar cannot be written to",
    "out-of-space": "There is no space left",
    "hold-expired": "The hold is not in force",
    "ended": "The appointment has ended",
    "not-settled": "The last request is still under way",
    "not-current": "The appointment has changed",
    "change-refused": "The change was not carried out",
    "attention": "A person has to decide",
    "idempotency-mismatch": "The key belongs to another request",
    "invalid": "This cannot be done",
    "nothing-to-accept": "There is nothing to accept, or to take back",
    "method-not-allowed": "This address does not support that method",
    "unconfigured": "The profile has no calendars",
    "too-slow": "The request took too long to arrive",
    "too-large": "The request is too large",
    "address-too-long": "The address is too long",
    "header-too-large": "The header of the request is too large",
    "wrong-media-type": "A body of this type is not accepted",
    "misdirected": "Not a host name of this server",
    "too-many-tries": "Too many wrong tokens",
    "stale": "The data is too old",
    "incomplete": "Not everything is known",
    "not-ready": "Still reading the calendars for the first time",
    "unavailable": "Not possible at the moment",
    "too-many-connections": "Too many connections",
    "too-many-streams": "Too many streams",
    "not-implemented": "Not served yet",
    "dav-precondition": "A precondition of CalDAV is not met",
    "changed-meanwhile": "It is not as it was when it was read",
    "crash": "Internal error",
}
"""Every name that can follow `ERROR_BASE`, and its title."""


class Alternative(Struct, frozen=True):
    """A half-open period that is open."""

    start: str
    end: str


class ProblemDetails(Struct, frozen=True):
    """Why there is no answer, and what to do about it (RFC 9457)."""

    type: Annotated[str, Meta(pattern=f"/errors/({'|'.join(TITLES)})$")]
    title: str
    status: int
    detail: str
    fix: str | UnsetType = UNSET
    alternatives: tuple[Alternative, ...] | UnsetType = UNSET
    """What could be had instead, where that was asked for."""
    explain: tuple[ExplainedEvent, ...] | UnsetType = UNSET
    """What is in the way, for those who may know of it."""
    cause: Literal["login-refused"] | UnsetType = UNSET
    """What is behind it, where only a person can see to that."""


class HttpProblem(BusydError):
    """The request gets this answer instead of what it asked for."""

    def __init__(
        self,
        name: str,
        status: int,
        *,
        detail: str,
        fix: str = "",
        headers: Mapping[str, str] | None = None,
        alternatives: Sequence[Period] | None = None,
    ) -> None:
        super().__init__(detail)
        self.alternatives = alternatives
        self.explain: tuple[ExplainedEvent, ...] | UnsetType = UNSET
        self.cause: Literal["login-refused"] | UnsetType = UNSET
        self.name = name
        self.status = status
        self.fix = fix
        self.headers = headers or {}

    def body(self) -> bytes:
        """RFC 9457 §3: the same problem has the same bytes."""
        return to_json(
            ProblemDetails(
                type=ERROR_BASE + self.name,
                title=TITLES[self.name],
                status=self.status,
                detail=str(self),
                fix=self.fix or UNSET,
                alternatives=UNSET if self.alternatives is None else tuple(map(_alternative, self.alternatives)),
                explain=self.explain,
                cause=self.cause,
            )
        )

    def response(self) -> web.Response:
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-store", "Content-Type": PROBLEM_TYPE, **self.headers}
        return web.Response(body=self.body(), status=self.status, headers=headers)


def _alternative(span: Period) -> Alternative:
    return Alternative(to_rfc3339(span.start), to_rfc3339(span.end))


def bad_request(detail: str, *, fix: str = "", name: str = "bad-request") -> HttpProblem:
    """A 400 that says what is wrong with the request."""
    return HttpProblem(name, 400, detail=detail, fix=fix)


def not_answered(error: Unanswerable) -> HttpProblem:
    """503: the question cannot be answered as it was asked."""
    if isinstance(error, NotUnderstood):
        return HttpProblem(
            "incomplete",
            503,
            detail=str(error),
            fix="GET /v1/status lists it under problems: correct or delete it in your calendar app, or, if it does not"
            " matter, `busyd problems accept ID`; on_stale=serve offers what is free without it",
        )
    is_unconfirmed = isinstance(error, NotConfirmed)
    instead = "without max_age" if is_unconfirmed else "with on_stale=serve"
    return HttpProblem(
        "stale",
        503,
        detail=str(error),
        fix=f"GET /v1/status says which connection is in trouble; {instead}, the last known state is served",
        headers={"Retry-After": "30" if is_unconfirmed else "60"},
    )


def not_stored(*, is_full: bool) -> HttpProblem:
    """503: busyd cannot write, or read, what it keeps."""
    if is_full:
        return HttpProblem(
            "out-of-space",
            503,
            detail="there is no space left on the disk where busyd keeps its data",
            fix="free some space there (GET /v1/status says where), then ask again, for an appointment with the same"
            " Idempotency-Key",
            headers={"Retry-After": "30"},
        )
    return HttpProblem(
        "unavailable",
        503,
        detail="busyd cannot use what it has stored at the moment",
        fix="ask again in a moment, for an appointment with the same Idempotency-Key; GET /v1/status says why",
        headers={"Retry-After": "5"},
    )


def key_mismatch() -> HttpProblem:
    """422: the same Idempotency-Key with another request."""
    return HttpProblem(
        "idempotency-mismatch",
        422,
        detail="this Idempotency-Key was used before, for another request",
        fix="send another key with another request; the same key gives the answer to the first one again",
    )


def cross_site() -> HttpProblem:
    """403: a browser sends this for the page of somebody else."""
    return HttpProblem(
        "cross-site",
        403,
        detail="a page of another site may not write to busyd",
        fix="if the page is yours, add its origin to `cors:` in the configuration",
    )


def no_connection() -> HttpProblem:
    """409: there is nothing to answer from, so that a profile that is missing is not the point."""
    return HttpProblem(
        "no-connection",
        409,
        detail="no account is connected yet, so nothing is known of anybody's time",
        fix="run `busyd setup` (for a service: `sudo busyd setup`), which connects one",
    )


def unknown_profile(name: str) -> HttpProblem:
    """The same for a profile that does not exist and for one the caller may not see."""
    return HttpProblem(
        "unknown-profile",
        404,
        detail=f"there is no profile {name!r} that you may ask about",
        fix="GET /v1/profiles lists the profiles you may ask about",
    )
