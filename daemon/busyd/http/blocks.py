"""`/v1/profiles/{profile}/blocks`: time that somebody marks as busy by hand, here or in a calendar too."""

from functools import partial
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from busyd.flow.appointment_view import AppointmentState
from busyd.flow.backend import Backend
from busyd.flow.blocks import BlockChanges, BlockView
from busyd.flow.requests import KeyedRequest, Told
from busyd.http import web
from busyd.http.bodies import Time
from busyd.http.booking_problems import needs_a_person
from busyd.http.call import Call
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.idempotency import asked_of, invalid, read_json, tell
from busyd.http.query import parse_window
from busyd.http.response import json_response, to_json
from busyd.http.span_fields import Length, Moment, end_of, span_of, time_reader
from busyd.period import FbType, Period, to_rfc3339

LIST_PARAMETERS: Final = frozenset({"start", "end", "tz"})
CANCEL_PARAMETERS: Final = frozenset({"reason"})
MAX_TEXT: Final = 1000

BlockType = Literal["BUSY", "BUSY-UNAVAILABLE"]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class NewBlock(Struct, forbid_unknown_fields=True):
    """Time to mark as busy, until `end` or as long as `duration` says. Dates are midnights in the zone of the profile;
    `write`: in a calendar, too.
    """

    start: Moment
    end: Moment | UnsetType = UNSET
    duration: Length | UnsetType = UNSET
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
    state: AppointmentState
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
        asked = await asked_of(self._backend, call, body=body)
        read = time_reader(self._backend, call)
        start = read("start", wanted.start)
        span = span_of(start, end_of(read, wanted, start=start, length=None))
        fbtype = _fbtype(wanted.type)
        if wanted.write:
            made = await self._backend.written_blocks.add(asked, span, fbtype=fbtype, summary=wanted.summary)
            return await self._told(call, asked, outcome=made)
        told = await self._backend.blocks.add(asked, span, fbtype=fbtype, summary=wanted.summary, render=_render)
        return tell(told, location=f"/v1/profiles/{asked.profile}/blocks/{told.booking}")

    async def get_blocks(self, call: Call) -> web.StreamResponse:
        profile = profile_of(self._backend, call)
        window, _ = parse_window(call.query, now=self._backend.clock.now(), zone=partial(zone_of, profile))
        asked = await asked_of(self._backend, call)
        found = await self._backend.blocks.in_force(asked, window)
        return await json_response(Blocks(profile.name, [_block(view) for view in found]), call.head)

    async def get_block(self, call: Call) -> web.StreamResponse:
        asked = await asked_of(self._backend, call)
        view = await self._backend.blocks.find(asked, call.values["block"])
        return await json_response(_block(view), call.head)

    async def patch_block(self, call: Call) -> web.StreamResponse:
        changed, body = await read_json(call, self._body_seconds, of=ChangedBlock)
        asked = await asked_of(self._backend, call, body=body)
        read = time_reader(self._backend, call)
        start = read("start", changed.start) if changed.start is not UNSET else None
        end = read("end", changed.end) if changed.end is not UNSET else None

        def move(old: Period) -> Period:
            return span_of(old.start if start is None else start, old.end if end is None else end)

        changes = BlockChanges(
            span=UNSET if start is None and end is None else move,
            fbtype=_fbtype(changed.type) if changed.type is not UNSET else UNSET,
            summary=changed.summary,
        )
        if await self._is_written(call, asked):
            change = self._backend.written_blocks.change(asked, call.values["block"], changes=changes)
            return await self._told(call, asked, outcome=await change)
        told = await self._backend.blocks.change(asked, call.values["block"], changes=changes, render=_render)
        return tell(told)

    async def delete_block(self, call: Call) -> web.StreamResponse:
        asked, reason = await asked_of(self._backend, call), reason_of(call)
        if await self._is_written(call, asked):
            cancel = self._backend.written_blocks.cancel(asked, call.values["block"], reason=reason)
            return await self._told(call, asked, outcome=await cancel)
        told = await self._backend.blocks.cancel(asked, call.values["block"], reason=reason)
        return tell(told)

    async def _is_written(self, call: Call, asked: KeyedRequest) -> bool:
        return (await self._backend.blocks.find(asked, call.values["block"])).is_written

    async def _told(self, call: Call, asked: KeyedRequest, *, outcome: BlockView | Told) -> web.StreamResponse:
        """What came of a request about a written block, kept under its key as soon as it is settled."""
        location = f"/v1/profiles/{asked.profile}/blocks/"
        if isinstance(outcome, Told):
            return tell(outcome, location=location + outcome.booking if outcome.status == 201 else "")
        location += outcome.id
        if outcome.is_under_way:
            return tell(Told(202, _render(outcome), outcome.id), location=location, headers={"Retry-After": "2"})
        is_new = call.request.method == "POST" and outcome.state is AppointmentState.BOOKED
        status = 201 if is_new else 200
        body = _render(outcome)
        if call.request.method == "DELETE":
            status, body = 204, b""
        if outcome.state is AppointmentState.ATTENTION:
            status, body = 409, needs_a_person().body()
        told = Told(status, body, outcome.id)
        await self._backend.requests.keep_answer(asked, told)
        return tell(told, location=location if is_new else "")


def reason_of(call: Call) -> str:
    """Why something is cancelled, as the query says. Raises HttpProblem."""
    reason = call.query.get("reason", "")
    if len(reason) > MAX_TEXT:
        detail = f"the reason is longer than {MAX_TEXT} characters"
        raise invalid(detail, fix="shorten it")
    return reason


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
        write=view.is_written,
        state=view.state,
        created=to_rfc3339(view.created),
    )


def _render(view: BlockView) -> bytes:
    return to_json(_block(view))
