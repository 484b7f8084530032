"""The time of what is asked for, as fields of a body: each fault a 422 that says what is wrong with which field."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, Protocol

from msgspec import UNSET, Meta, UnsetType

from busyd.flow.backend import Backend
from busyd.http.call import Call
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.idempotency import invalid
from busyd.http.problem import HttpProblem
from busyd.http.query import HOW_TO_WRITE_TIMES, MAX_WINDOW, parse_seconds, parse_time
from busyd.period import LATEST, Instant, Period

Moment = Annotated[str, Meta(max_length=64)]
Length = Annotated[str, Meta(max_length=32)]
Reader = Callable[[str, str], Instant]
_MINUTE: Final = 60


class EndFields(Protocol):
    """A body that says how long something is in one of two ways."""

    @property
    def end(self) -> Moment | UnsetType: ...

    @property
    def duration(self) -> Length | UnsetType: ...


def time_reader(backend: Backend, call: Call) -> Reader:
    """Reads times, dates in the zone of the profile. Raises HttpProblem."""
    profile, now = profile_of(backend, call), backend.clock.now()

    def read(name: str, text: str) -> Instant:
        try:
            return parse_time(name, text, now=now, zone=partial(zone_of, profile)).instant
        except HttpProblem as problem:
            raise invalid(str(problem), fix=problem.fix) from None

    return read


def read_duration(name: str, text: str, *, least: int) -> int:
    """Seconds of a duration. Raises HttpProblem."""
    try:
        return parse_seconds(name, text, least=least)
    except HttpProblem as problem:
        raise invalid(str(problem), fix=problem.fix) from None


def end_of(read: Reader, wanted: EndFields, *, start: Instant, length: int | None) -> Instant:
    """Where it ends; `length` in seconds is what counts when the body does not say. Raises HttpProblem."""
    if wanted.end is not UNSET and wanted.duration is not UNSET:
        raise invalid("`duration` and `end` say the same", fix="send one of them")
    if wanted.end is not UNSET:
        return read("end", wanted.end)
    if wanted.duration is not UNSET:
        length = read_duration("duration", wanted.duration, least=_MINUTE)
    if length is None:
        raise invalid("neither `end` nor `duration` was sent", fix="send one of them")
    return Instant(start + length)


def bookable_span(start: Instant, end: Instant) -> Period:
    """The same as `span_of`, for what must be a minute long at least."""
    span = span_of(start, end)
    if end - start < _MINUTE:
        raise invalid("the time is shorter than a minute", fix="ask for a longer one")
    return span


def span_of(start: Instant, end: Instant) -> Period:
    """Raises HttpProblem for a span that is empty or too long."""
    if start >= end:
        raise invalid("the time is empty or reversed: `start` must be before `end`", fix=HOW_TO_WRITE_TIMES)
    if end > LATEST:
        raise invalid("the time reaches beyond the year 9999", fix=HOW_TO_WRITE_TIMES)
    if end - start > MAX_WINDOW:
        raise invalid("the time is longer than 1000 days", fix="ask for it in several parts")
    return Period(start, end)
