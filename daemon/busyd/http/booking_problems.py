"""Why something was not booked, changed or held, as problems."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, TypeVar

from busyd.booking.applying import WriteRefused
from busyd.errors import BusydError
from busyd.flow.appointment_requests import (
    ChangeRefused,
    HasEnded,
    HoldExpired,
    NoPrimary,
    NotCurrent,
    NotSettled,
    ReadOnlyCalendar,
)
from busyd.flow.backend import Backend
from busyd.flow.inviting import NoOrganizer
from busyd.flow.membership import LoginNotAccepted, NotOffered, NotProven, WhyNot
from busyd.http.call import Call
from busyd.http.explain import explained
from busyd.http.problem import HttpProblem
from busyd.period import Period

T = TypeVar("T")
_FIXES: Final[Mapping[WhyNot, str]] = {
    WhyNot.SLOT_TAKEN: "`busyd explain` says what is there",
    WhyNot.OUTSIDE_HOURS: "`hours:` of the profile says when it is open",
    WhyNot.TOO_SOON: "`slots: notice:` of the profile says how long before",
    WhyNot.TOO_FAR: "`slots: window:` of the profile says how far ahead",
    WhyNot.OFF_GRID: "`slots: step:` of the profile says where slots start",
    WhyNot.LIMIT_REACHED: "`slots:` of the profile has `per_day` and `per_week`",
}


def _not_offered(error: NotOffered) -> HttpProblem:
    status = 409 if error.why is WhyNot.SLOT_TAKEN else 422
    fix = _instead(error.why, error.alternatives, is_past=error.is_past)
    return HttpProblem(error.why.value, status, detail=str(error), fix=fix, alternatives=error.alternatives)


async def explaining(request: Awaitable[T], *, call: Call, backend: Backend) -> T:
    """What comes of a request. Those with the scope `details` are told what is in the way of it.

    Raises HttpProblem, and what the request raises.
    """
    try:
        return await request
    except NotOffered as error:
        if error.why is not WhyNot.SLOT_TAKEN or not call.caller.may("details"):
            raise
        problem = _not_offered(error)
        events = map(explained, await backend.explain(call.values["profile"], error.reach))
        problem.explain = tuple(event for event in events if event.blocks)
        raise problem from error


def _instead(why: WhyNot, alternatives: Sequence[Period], *, is_past: bool = False) -> str:
    instead = "take one of the alternatives" if alternatives else "no other time can be offered now"
    return instead if is_past else f"{instead}; {_FIXES[why]}"


def _not_proven(error: NotProven) -> HttpProblem:
    return HttpProblem(
        "not-proven",
        503,
        detail=str(error),
        fix="try again in a moment; GET /v1/status says which connection is in trouble",
        headers={"Retry-After": "10"},
    )


def _login_not_accepted(error: LoginNotAccepted) -> HttpProblem:
    problem = HttpProblem(
        "not-proven",
        503,
        detail=str(error),
        fix=f"store the right password with `busyd credential set {error.connection}`, or where `password:` of the "
        "connection says that it is; GET /v1/status says more",
        headers={"Retry-After": "300"},
    )
    problem.cause = "login-refused"
    return problem


def taken_back() -> HttpProblem:
    """A booking of unproven outcome was removed again, and its name is used up."""
    return HttpProblem(
        "not-proven",
        503,
        detail="the calendars could not be confirmed, so that nothing was booked",
        fix="ask again with another Idempotency-Key",
    )


def slot_taken(detail: str, alternatives: Sequence[Period]) -> HttpProblem:
    """Somebody else was there first."""
    return HttpProblem(
        "slot-taken", 409, detail=detail, fix=_instead(WhyNot.SLOT_TAKEN, alternatives), alternatives=alternatives
    )


def needs_a_person() -> HttpProblem:
    """A person's version stays instead of what was asked for."""
    return HttpProblem(
        "attention",
        409,
        detail="the event is in the calendar as a person has changed it, so busyd leaves it alone",
        fix="look at it in the calendar; DELETE it here once more to have it removed all the same",
    )


def not_sent_after_restore() -> HttpProblem:
    """The state was restored from a backup, and nobody has said that it is still wanted."""
    return HttpProblem(
        "attention",
        409,
        detail="the state was restored from a backup, and the event is not in the calendar",
        fix="ask once more with the same Idempotency-Key to have it written, or DELETE it",
    )


def write_refused(status: int) -> HttpProblem:
    """The server of the primary does not write, and said so."""
    if status == 507:
        return HttpProblem(
            "out-of-space",
            503,
            detail="the account of the primary calendar has no space left",
            fix="make space in the account, then ask again with another Idempotency-Key",
            headers={"Retry-After": "300"},
        )
    if 300 <= status < 400:
        return HttpProblem(
            "read-only",
            503,
            detail=f"the server of the primary calendar sends whoever writes elsewhere (status {status})",
            fix="see to the `url` of the connection: it should be the address that the server itself names",
            headers={"Retry-After": "300"},
        )
    if status in (401, 403, 404, 405, 409, 410):
        return HttpProblem(
            "read-only",
            503,
            detail=f"the server of the primary calendar does not let busyd write to it (status {status})",
            fix="see to the rights on the calendar, then ask again with another Idempotency-Key",
            headers={"Retry-After": "300"},
        )
    return HttpProblem(
        "invalid",
        422,
        detail=f"the server of the primary calendar does not take the event (status {status})",
        fix="make it shorter or plainer, then ask again with another Idempotency-Key",
    )


def booking_problem(error: BusydError) -> HttpProblem | None:
    """The problem that an error is for whoever asked; None when it is none of bookings."""
    match error:
        case NotOffered():
            return _not_offered(error)
        case LoginNotAccepted():
            return _login_not_accepted(error)
        case NotProven():
            return _not_proven(error)
        case WriteRefused():
            return write_refused(error.status)
        case NoPrimary():
            return HttpProblem("no-primary", 409, detail=str(error), fix=error.fix)
        case ReadOnlyCalendar():
            return HttpProblem("read-only", 503, detail=str(error), fix=error.fix, headers={"Retry-After": "300"})
        case NoOrganizer():
            return HttpProblem("invalid", 422, detail=str(error), fix=error.fix)
        case HoldExpired():
            return HttpProblem("hold-expired", 410, detail=str(error), fix="ask for another hold, or book without one")
        case HasEnded():
            return HttpProblem("ended", 409, detail=str(error), fix="book another one, with another Idempotency-Key")
        case NotSettled():
            return HttpProblem(
                "not-settled",
                409,
                detail=str(error),
                fix="GET it in a moment, and ask again once its state is `booked`",
                headers={"Retry-After": "5"},
            )
        case NotCurrent():
            return HttpProblem("not-current", 412, detail=str(error), fix="GET it, and send the ETag it has now")
        case ChangeRefused():
            return HttpProblem("change-refused", 409, detail=str(error), fix="GET it, then ask for another time")
    return None
