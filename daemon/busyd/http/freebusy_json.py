"""A free/busy answer as the bytes of its JSON. What is known and complete was decided in `flow/ask.py`.

The bytes are those of `bodies.FreeBusy`, put together from parts: what depends on the freshness is written once for
each freshness, the busy periods once for each snapshot.
"""

import hashlib
from array import array

import msgspec
from msgspec import UNSET, Struct
from multidict import CIMultiDict

from busyd.cooperative import apply, in_slices
from busyd.flow.ask import FreeBusyAnswer
from busyd.flow.freshness import Freshness
from busyd.http.bodies import CalendarInAnswer, time_or_none
from busyd.http.rendered_periods import BusyList, RenderedPeriods, busy_list, write_period
from busyd.http.response import JSON, Finished, as_fields, headers_for
from busyd.period import Period, to_rfc3339


class _Parts(Struct, frozen=True):
    """The parts that depend on whether the answer is complete."""

    before: bytes
    """From behind the window's end to the bracket that opens the busy list."""
    headers: CIMultiDict[str]
    fields: bytes
    """The headers as they go over the wire."""
    tag: str
    """What an ETag must depend on beside the busy list: the state without its times."""


class _Frame(Struct, frozen=True):
    """What a freshness makes of an answer, without window and busy list."""

    freshness: Freshness
    opening: bytes
    """From the brace to the window's start."""
    closing: bytes
    """From the bracket behind the busy list to the end."""
    complete: _Parts
    incomplete: _Parts


class FreeBusyJson:
    """Renders answers, and remembers the parts that many of them share."""

    def __init__(self) -> None:
        self._frames: dict[str, _Frame] = {}
        """By profile; for its latest freshness."""
        self._periods: dict[str, RenderedPeriods] = {}
        """By profile; of its latest snapshot."""

    def render_at_once(self, answer: FreeBusyAnswer, edges: bytes) -> Finished | None:
        """The whole answer, when the texts of its snapshot can be used; `edges` is `write_edges(window)`."""
        snapshot = answer.snapshot
        if snapshot is None or not answer.gaps_are_free:
            return None
        periods = self._periods.get(answer.profile)
        if periods is None or periods.snapshot is not snapshot:
            periods = RenderedPeriods(snapshot)
            self._periods[answer.profile] = periods
        busy = periods.read(answer.window)
        return self._finish(answer, edges=edges, busy=busy) if busy is not None else None

    async def render(self, answer: FreeBusyAnswer) -> Finished:
        """The whole answer, period by period, while others run."""
        spans = answer.spans
        texts = await in_slices(apply(write_period, spans))
        starts, ends = (array("q", [span[edge] for span in spans]) for edge in (0, 1))
        busy = busy_list(texts, starts, ends=ends, types=bytes(span[2] for span in spans))
        return self._finish(answer, edges=write_edges(answer.window), busy=busy)

    def _finish(self, answer: FreeBusyAnswer, *, edges: bytes, busy: BusyList) -> Finished:
        """The whole answer around its busy list. The tag stands for the list and its state, not for `as_of`."""
        frame = self._frames.get(answer.profile)
        if frame is None or frame.freshness is not answer.freshness:
            frame = self._frames[answer.profile] = _frame(answer.profile, answer.freshness)
        parts = frame.complete if answer.complete else frame.incomplete
        body = b"".join((frame.opening, edges, parts.before, busy.json, frame.closing))
        return Finished(body, parts.headers, f'W/"{busy.digest}-{parts.tag}"', parts.fields)


def write_edges(window: Period) -> bytes:
    """A window as an answer shows it, without the quotation marks at its ends."""
    return f'{to_rfc3339(window.start)}","end":"{to_rfc3339(window.end)}'.encode()


def _frame(profile: str, freshness: Freshness) -> _Frame:
    calendars = [
        CalendarInAnswer(
            calendar=calendar.calendar,
            as_of=time_or_none(calendar.as_of),
            state=calendar.state,
            detail=calendar.note or UNSET,
        )
        for calendar in freshness.calendars
    ]
    return _Frame(
        freshness=freshness,
        opening=f'{{"profile":"{profile}","start":"'.encode(),
        closing=b'],"calendars":' + msgspec.json.encode(calendars) + b"}\n",
        complete=_parts(freshness, complete="true"),
        incomplete=_parts(freshness, complete="false"),
    )


def _parts(freshness: Freshness, *, complete: str) -> _Parts:
    states = [f"{calendar.calendar}={calendar.state.value}{calendar.note}" for calendar in freshness.calendars]
    identity = f"{complete};{freshness.stale};{';'.join(states)}"
    as_of = f'"{to_rfc3339(freshness.as_of)}"' if freshness.as_of is not None else "null"
    stale = "true" if freshness.stale else "false"
    headers = headers_as_of(JSON, freshness)
    return _Parts(
        before=f'","as_of":{as_of},"stale":{stale},"complete":{complete},"busy":['.encode(),
        headers=headers,
        fields=as_fields(headers),
        tag=hashlib.blake2b(identity.encode(), digest_size=5).hexdigest(),
    )


def headers_as_of(content_type: str, freshness: Freshness) -> CIMultiDict[str]:
    """The headers of an answer, with the time that it is as of, where there is one."""
    headers = headers_for(content_type)
    if freshness.as_of is not None:
        headers["Busyd-As-Of"] = to_rfc3339(freshness.as_of)
    return headers
