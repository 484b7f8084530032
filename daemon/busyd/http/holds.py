"""`/v1/profiles/{profile}/holds`: a slot kept for some minutes while somebody decides."""

from functools import partial
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from busyd.flow.backend import Backend
from busyd.flow.holds import LONGEST_HOLD, MOST_HOLDS, HoldView, TooManyHolds
from busyd.http import web
from busyd.http.bodies import Time
from busyd.http.booking_problems import explaining
from busyd.http.call import Call
from busyd.http.freebusy import check_configured, profile_of, zone_of
from busyd.http.idempotency import asked_of, invalid, read_json, tell
from busyd.http.problem import HttpProblem
from busyd.http.query import parse_window
from busyd.http.response import json_response, to_json
from busyd.http.span_fields import Length, Moment, bookable_span, end_of, read_duration, time_reader
from busyd.period import to_rfc3339

LIST_PARAMETERS: Final = frozenset({"start", "end", "tz"})
_MINUTE: Final = 60


class NewHold(Struct, forbid_unknown_fields=True):
    """A slot to keep: as long as `duration` says, or until `end`, or as long as the slots of the profile are."""

    start: Moment
    duration: Length | UnsetType = UNSET
    end: Moment | UnsetType = UNSET
    ttl: Length = "5m"


class Hold(Struct, frozen=True):
    """A slot that is kept until `expires`."""

    id: str
    profile: str
    start: Time
    end: Time
    expires: Time
    state: Literal["booked", "cancelled"]
    reason: str


class HoldsInForce(Struct, frozen=True):
    """The holds in force that touch a window."""

    profile: str
    holds: list[Hold]


class HoldsHandler:
    """Gives, shows and ends holds."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds

    async def post_hold(self, call: Call) -> web.StreamResponse:
        wanted, body = await read_json(call, self._body_seconds, of=NewHold)
        asked, profile = await asked_of(self._backend, call, body=body), profile_of(self._backend, call)
        read = time_reader(self._backend, call)
        start, ttl = read("start", wanted.start), read_duration("ttl", wanted.ttl, least=_MINUTE)
        if ttl > LONGEST_HOLD:
            raise invalid("a hold lasts 60 minutes at most", fix="ask for a shorter `ttl`, 5m for instance")
        length = int(profile.slots.duration.total_seconds())
        span = bookable_span(start, end_of(read, wanted, start=start, length=length))
        check_configured(profile)
        try:
            held = self._backend.holds.add(asked, span, ttl=ttl, render=_render)
            told = await explaining(held, call=call, backend=self._backend)
        except TooManyHolds as error:
            raise _too_many(error) from error
        return tell(told, location=f"/v1/profiles/{asked.profile}/holds/{told.booking}")

    async def get_holds(self, call: Call) -> web.StreamResponse:
        profile = profile_of(self._backend, call)
        window, _ = parse_window(call.query, now=self._backend.clock.now(), zone=partial(zone_of, profile))
        found = await self._backend.holds.in_force(await asked_of(self._backend, call), window)
        return await json_response(HoldsInForce(profile.name, [_hold(view) for view in found]), call.head)

    async def get_hold(self, call: Call) -> web.StreamResponse:
        asked = await asked_of(self._backend, call)
        return await json_response(_hold(await self._backend.holds.find(asked, call.values["hold"])), call.head)

    async def delete_hold(self, call: Call) -> web.StreamResponse:
        asked = await asked_of(self._backend, call)
        return tell(await self._backend.holds.give_back(asked, call.values["hold"]))


def _hold(view: HoldView) -> Hold:
    return Hold(
        id=view.id,
        profile=view.profile,
        start=to_rfc3339(view.span.start),
        end=to_rfc3339(view.span.end),
        expires=to_rfc3339(view.expires),
        state="cancelled" if view.state.value == "cancelled" else "booked",
        reason=view.reason,
    )


def _render(view: HoldView) -> bytes:
    return to_json(_hold(view))


def _too_many(error: TooManyHolds) -> HttpProblem:
    return HttpProblem(
        "too-many-holds",
        429,
        detail=str(error),
        fix=f"give holds back with DELETE, or wait; a token may have {MOST_HOLDS} of them at a time",
        headers={"Retry-After": str(error.retry_after)},
    )
