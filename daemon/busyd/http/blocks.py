"""`/v1/profiles/{profile}/blocks`: time that somebody marks as busy by hand. It stays here: no calendar has it."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from busyd.flow.backend import Backend
from busyd.flow.bookings import BlockChanges, BlockView, UnknownBooking
from busyd.http.bodies import Time
from busyd.http.call import Call
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.idempotency import asked_of, invalid, read_json, tell
from busyd.http.problem import HttpProblem
from busyd.http.query import HOW_TO_WRITE_TIMES, MAX_WINDOW, parse_time, parse_window
from busyd.http.response import json_response
from busyd.period import EARLIEST, LATEST, FbType, Instant, Period, to_rfc3339

LIST_PARAMETERS: Final = frozenset({"start", "end", "tz"})
CANCEL_PARAMETERS: Final = frozenset({"reason"})
MAX_TEXT: Final = 1000

BlockType = Literal["BUSY", "BUSY-UNAVAILABLE"]
Moment = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class NewBlock(Struct, forbid_unknown_fields=True):
    """Time to mark as busy. Dates are midnights in the zone of the profile; `write` must be false for now."""

    start: Moment
    end: Moment
    summary: Text = ""
    type: BlockType = "BUSY"
    write: bool = False


class ChangedBlock(Struct, forbid_unknown_fields=True):
    """What is to be another in a block."""

    start: Moment | UnsetType = UNSET
    end: Moment | UnsetType = UNSET
    summary: Text | UnsetType = UNSET
    type: BlockType | UnsetType = UNSET


class Block(Struct, frozen=True):
    """Time that somebody marked as busy."""

    id: str
    profile: str
    start: Time
    end: Time
    type: BlockType
    summary: str
    write: bool
    state: Literal["booked", "cancelled"]
    created: Time


class Blocks(Struct, frozen=True):
    """The blocks in force that touch a window."""

    profile: str
    blocks: list[Block]


class BlocksHandler:
    """Makes, shows, changes and removes blocks."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds

    async def post_block(self, call: Call) -> web.StreamResponse:
        wanted, body = await read_json(call, self._body_seconds, of=NewBlock)
        if wanted.write:
            detail = "blocks cannot be written to a calendar yet"
            raise invalid(detail, fix="leave `write` out: the block counts in every answer and feed of busyd")
        asked = await asked_of(self._backend, call, body=body)
        read = self._reader(call)
        span = _span(read("start", wanted.start), read("end", wanted.end))
        told = await self._backend.bookings.add_block(
            asked, span, fbtype=_fbtype(wanted.type), summary=wanted.summary, render=_render
        )
        return tell(told, location=f"/v1/profiles/{asked.profile}/blocks/{told.booking}")

    async def get_blocks(self, call: Call) -> web.StreamResponse:
        profile = profile_of(self._backend, call)
        window, _ = parse_window(call.query, now=self._backend.clock.now(), zone=partial(zone_of, profile))
        asked = await asked_of(self._backend, call)
        found = await self._backend.bookings.blocks(asked, window)
        return await json_response(Blocks(profile.name, [_block(view) for view in found]), call.head)

    async def get_block(self, call: Call) -> web.StreamResponse:
        asked = await asked_of(self._backend, call)
        try:
            view = await self._backend.bookings.block(asked, call.values["block"])
        except UnknownBooking as error:
            raise _unknown(error) from error
        return await json_response(_block(view), call.head)

    async def patch_block(self, call: Call) -> web.StreamResponse:
        changed, body = await read_json(call, self._body_seconds, of=ChangedBlock)
        asked = await asked_of(self._backend, call, body=body)
        read = self._reader(call)
        start = read("start", changed.start) if changed.start is not UNSET else None
        end = read("end", changed.end) if changed.end is not UNSET else None

        def move(old: Period) -> Period:
            return _span(old.start if start is None else start, old.end if end is None else end)

        changes = BlockChanges(
            span=UNSET if start is None and end is None else move,
            fbtype=_fbtype(changed.type) if changed.type is not UNSET else UNSET,
            summary=changed.summary,
        )
        try:
            told = await self._backend.bookings.change_block(
                asked, call.values["block"], changes=changes, render=_render
            )
        except UnknownBooking as error:
            raise _unknown(error) from error
        return tell(told)

    async def delete_block(self, call: Call) -> web.StreamResponse:
        asked = await asked_of(self._backend, call)
        reason = call.query.get("reason", "")
        if len(reason) > MAX_TEXT:
            detail = f"the reason is longer than {MAX_TEXT} characters"
            raise invalid(detail, fix="shorten it")
        try:
            told = await self._backend.bookings.cancel_block(asked, call.values["block"], reason=reason)
        except UnknownBooking as error:
            raise _unknown(error) from error
        return tell(told)

    def _reader(self, call: Call) -> Callable[[str, str], Instant]:
        """Reads the times of a body, in the zone of the profile."""
        profile, now = profile_of(self._backend, call), self._backend.clock.now()

        def read(name: str, text: str) -> Instant:
            try:
                return parse_time(name, text, now=now, zone=partial(zone_of, profile)).instant
            except HttpProblem as problem:
                raise invalid(str(problem), fix=problem.fix) from None

        return read


def _span(start: Instant, end: Instant) -> Period:
    if start >= end:
        raise invalid("the block is empty or reversed: `start` must be before `end`", fix=HOW_TO_WRITE_TIMES)
    if end - start > MAX_WINDOW:
        raise invalid("the block is longer than 1000 days", fix="make several")
    if start < EARLIEST or end > LATEST:
        raise invalid("the block is before the year 1 or after 9999", fix=HOW_TO_WRITE_TIMES)
    return Period(start, end)


def _fbtype(text: BlockType) -> FbType:
    return FbType.BUSY if text == "BUSY" else FbType.BUSY_UNAVAILABLE


def _block(view: BlockView) -> Block:
    return Block(
        id=view.id,
        profile=view.profile,
        start=to_rfc3339(view.span.start),
        end=to_rfc3339(view.span.end),
        type="BUSY" if view.fbtype is FbType.BUSY else "BUSY-UNAVAILABLE",
        summary=view.summary,
        write=False,
        state="cancelled" if view.state.value == "cancelled" else "booked",
        created=to_rfc3339(view.created),
    )


def _render(view: BlockView) -> bytes:
    return msgspec.json.encode(_block(view))


def _unknown(error: UnknownBooking) -> HttpProblem:
    return HttpProblem("unknown-booking", 404, detail=str(error), fix=error.fix)
