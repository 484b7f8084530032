"""`/v1/profiles/{profile}/appointments`: events written to the primary calendar, exactly once."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import UNSET

from busyd.flow.appointment_requests import AppointmentChanges, NewAppointment
from busyd.flow.appointment_view import AppointmentState, AppointmentView
from busyd.flow.backend import Backend
from busyd.flow.orders import NOT_PROVEN, refused_status
from busyd.flow.requests import KeyedRequest, Told
from busyd.http import web
from busyd.http.appointment_bodies import (
    AppointmentsInWindow,
    ChangedAppointmentBody,
    NewAppointmentBody,
    appointment_body,
    details_changer,
    details_of,
    etag_of,
)
from busyd.http.auth import scope_missing
from busyd.http.blocks import reason_of
from busyd.http.booking_problems import (
    explaining,
    needs_a_person,
    not_sent_after_restore,
    slot_taken,
    taken_back,
    write_refused,
)
from busyd.http.call import Call
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.idempotency import HOW_TO_WRITE_KEYS, asked_of, read_json, tell
from busyd.http.problem import HttpProblem, bad_request
from busyd.http.query import parse_window
from busyd.http.response import json_response, to_json
from busyd.http.span_fields import bookable_span, end_of, time_reader
from busyd.period import Period

LIST_PARAMETERS: Final = frozenset({"start", "end", "tz"})
CANCEL_PARAMETERS: Final = frozenset({"reason"})


class AppointmentsHandler:
    """Makes, shows, changes and cancels appointments."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds

    async def post_appointment(self, call: Call) -> web.StreamResponse:
        wanted, body = await read_json(call, self._body_seconds, of=NewAppointmentBody)
        asked, profile = await asked_of(self._backend, call, body=body), profile_of(self._backend, call)
        if not asked.key:
            raise bad_request("an appointment needs the header Idempotency-Key", fix=HOW_TO_WRITE_KEYS)
        invite = profile.appointments.invite.value if wanted.invite is UNSET else wanted.invite
        new = NewAppointment(
            span=self._span(call, wanted, length=int(profile.slots.duration.total_seconds())),
            details=details_of(wanted, profile.appointments),
            overrides=_overrides(call, wanted.override),
            hold=wanted.hold,
            invites=invite == "server" and bool(wanted.guests),
        )
        made = self._backend.appointments.add(asked, new, render=_booked)
        return await self._told(call, asked, outcome=await explaining(made, call=call, backend=self._backend))

    async def get_appointments(self, call: Call) -> web.StreamResponse:
        profile = profile_of(self._backend, call)
        window, _ = parse_window(call.query, now=self._backend.clock.now(), zone=partial(zone_of, profile))
        found = await self._backend.appointments.touching(await asked_of(self._backend, call), window)
        return await json_response(
            AppointmentsInWindow(profile.name, [appointment_body(view) for view in found]), call.head
        )

    async def get_appointment(self, call: Call) -> web.StreamResponse:
        view = await self._backend.appointments.find(await asked_of(self._backend, call), call.values["appointment"])
        return _tell(view, 200)

    async def patch_appointment(self, call: Call) -> web.StreamResponse:
        wanted, body = await read_json(call, self._body_seconds, of=ChangedAppointmentBody)
        asked = await asked_of(self._backend, call, body=body)
        condition = call.request.headers.get("If-Match", "").strip()
        changes = AppointmentChanges(
            span=self._mover(call, wanted),
            details=details_changer(wanted),
            overrides=_overrides(call, wanted.override),
            is_current=lambda view: condition in ("", "*") or etag_of(_bytes(view)) in condition.split(", "),
        )
        change = self._backend.appointments.change(asked, call.values["appointment"], changes=changes)
        return await self._told(call, asked, outcome=await explaining(change, call=call, backend=self._backend))

    async def delete_appointment(self, call: Call) -> web.StreamResponse:
        asked = await asked_of(self._backend, call)
        cancel = self._backend.appointments.cancel(asked, call.values["appointment"], reason=reason_of(call))
        return await self._told(call, asked, outcome=await cancel)

    async def _told(self, call: Call, asked: KeyedRequest, *, outcome: AppointmentView | Told) -> web.StreamResponse:
        """What came of a request, kept under its key as soon as it is settled."""
        location = f"/v1/profiles/{asked.profile}/appointments/"
        if isinstance(outcome, Told):
            location = location + outcome.booking if outcome.status == 201 else ""
            return tell(outcome, location=location, headers=_tags(outcome))
        view, method = outcome, call.request.method
        location += view.id
        if view.is_under_way:
            return _tell(view, 202, headers={"Location": location, "Retry-After": "2"})
        if view.state is AppointmentState.ATTENTION and view.reason == "restored":
            raise not_sent_after_restore()  # not kept: the same key sends it
        problem = await self._problem(view, method)
        if problem is not None:
            told = Told(problem.status, problem.body(), view.id)
        elif method == "DELETE":
            told = Told(204, b"", view.id)
        else:
            is_new = method == "POST" and view.state in (AppointmentState.BOOKED, AppointmentState.ATTENTION)
            told = Told(201 if is_new else 200, _bytes(view), view.id)
        await self._backend.requests.keep_answer(asked, told)
        headers = problem.headers if problem is not None else _tags(told)
        return tell(told, location=location if told.status == 201 else "", headers=headers)

    async def _problem(self, view: AppointmentView, method: str) -> HttpProblem | None:
        """Why what was asked for has not come about, once that is settled."""
        if view.state is AppointmentState.REFUSED and method == "POST":
            found = await self._backend.appointments.instead_of(view)
            return slot_taken("somebody else was there first, so the event was taken back", found)
        if view.state is AppointmentState.CANCELLED and method == "POST":
            if (status := refused_status(view.reason)) is not None:
                return write_refused(status)
            if view.reason == NOT_PROVEN:
                return taken_back()
        return needs_a_person() if view.is_written_over else None

    def _span(self, call: Call, wanted: NewAppointmentBody, *, length: int) -> Period:
        read = time_reader(self._backend, call)
        start = read("start", wanted.start)
        return bookable_span(start, end_of(read, wanted, start=start, length=length))

    def _mover(self, call: Call, wanted: ChangedAppointmentBody) -> Callable[[Period], Period]:
        """Makes the new time of the old one: what is not sent stays, and so does the length."""
        read = time_reader(self._backend, call)
        start = read("start", wanted.start) if wanted.start is not UNSET else None

        def move(old: Period) -> Period:
            begins = old.start if start is None else start
            return bookable_span(begins, end_of(read, wanted, start=begins, length=old.end - old.start))

        return move


def _tags(told: Told) -> dict[str, str]:
    return {"ETag": etag_of(told.body)} if told.status in (200, 201) else {}


def _booked(view: AppointmentView) -> Told | None:
    """What is told of a new appointment whose slot is certain; None while there is more to come of it."""
    is_open = view.is_under_way or view.is_written_over or view.invited == "pending"
    is_settled = view.state is AppointmentState.BOOKED and not is_open
    return Told(201, _bytes(view), view.id) if is_settled else None


def _tell(view: AppointmentView, status: int, *, headers: Mapping[str, str] | None = None) -> web.Response:
    body = _bytes(view)
    return tell(Told(status, body, view.id), headers={"ETag": etag_of(body), **(headers or {})})


def _bytes(view: AppointmentView) -> bytes:
    return to_json(appointment_body(view))


def _overrides(call: Call, names: Sequence[str]) -> tuple[str, ...]:
    if names and not call.caller.may("admin"):
        raise scope_missing(frozenset({"admin"}))
    return tuple(sorted(set(names)))
