"""What is written to a calendar: one event as Apple's own apps write it, rendered once and stored. And read back.

The mark of a PUT is put in last (`with_mark`), so that what the server has can be told from every other PUT of the row.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.index import index_object
from busyd.booking.decision import Version
from busyd.ical.compose import fold
from busyd.ical.facts import Attendee, Facts
from busyd.ical.unfolding import unfold
from busyd.period import Instant, Period
from busyd.store.bookings import Booking

MARK: Final = "X-BUSYD-MARK"
_BEGIN: Final = b"BEGIN:VEVENT\r\n"
_BEGIN_LINE: Final = re.compile(rb"^BEGIN:VEVENT[ \t]*(\r?\n)", re.IGNORECASE | re.MULTILINE)
_MARK_LINE: Final = re.compile(rb"^%b[:;][^\n]*\n(?:[ \t][^\n]*\n)*" % MARK.encode(), re.IGNORECASE | re.MULTILINE)
_TEXTS: Final = ("SUMMARY", "LOCATION", "DESCRIPTION", "URL")
_LINE: Final = re.compile(r"\n(BEGIN|END|[A-Z-]+)(?:;(?:[^\":\n]|\"[^\"\n]*\")*)?:([^\n]*)", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\([nN;,\\])")


class Content(Struct, frozen=True):
    """What an object says that busyd wrote; equal when nobody has changed it, however a server spells it."""

    rows: tuple[tuple[int, int, Facts], ...]
    recurring: bool
    texts: Mapping[str, str]


async def render(booking: Booking, *, zone: str, now: Instant, with_guests: bool = False) -> bytes:
    """As `compose`, in a thread: who never books never imports what composing takes."""

    def work() -> bytes:
        from busyd.booking.composing import compose

        return compose(booking, zone=zone, now=now, with_guests=with_guests)

    return await asyncio.to_thread(work)


def with_mark(body: bytes, mark: str) -> bytes:
    """The object as one PUT sends it."""
    return body.replace(_BEGIN, _BEGIN + fold(f"{MARK}:{mark}").encode() + b"\r\n", 1)


def with_new_mark(payload: bytes, mark: str) -> bytes:
    """What a server has, a person's changes included, under another mark; as it is where there is no event in it."""
    line = f"{MARK}:{mark}".encode()
    return _BEGIN_LINE.sub(lambda begin: begin[0] + line + begin[1], _MARK_LINE.sub(b"", payload), count=1)


def read_version(booking: Booking, payload: bytes, *, etag: str, zone: str = "UTC") -> Version:
    """What the server has under the name of a row, compared with what was rendered for it.

    Never raises because of what is in the payload.
    """
    there = read_content(payload, zone)
    has_wanted = booking.wanted is not None and there == read_content(booking.wanted.body)
    edited = not has_wanted and there != read_content(booking.body)
    span = None
    if len(there.rows) == 1 and not there.recurring:
        start, end, _ = there.rows[0]
        span = Period(Instant(start), Instant(end)) if start < end else None
    found = _properties(payload, (MARK, "ATTENDEE"))
    return Version(
        etag,
        span,
        found.get(MARK, ""),
        edited=edited,
        has_guests="ATTENDEE" in found,
        has_wanted=has_wanted,
        payload=payload,
    )


def read_content(payload: bytes, zone: str = "UTC") -> Content:
    """What an object says. Of one that recurs, what it says near its beginning."""
    everything = Period(Instant(0), Instant(4_102_444_800))  # until 2100, as far as a single event goes
    indexed = index_object(payload, everything, zone=zone)
    facts = [replace(one, attendees=tuple(map(_guest, one.attendees))) for one in indexed.facts]
    rows = tuple([(start, end, facts[number]) for start, end, number in indexed.rows[:10]])
    return Content(rows, indexed.recurring, _properties(payload, _TEXTS))


def _guest(attendee: Attendee) -> Attendee:
    """Who is invited; what a guest answers changes nothing of that."""
    return replace(attendee, partstat="")


def _properties(payload: bytes, wanted: tuple[str, ...]) -> dict[str, str]:
    """The first value of each of these properties of the first event, unescaped."""
    inside: list[str] = []
    found: dict[str, str] = {}
    for name, value in _LINE.findall(unfold(payload)):
        match name.upper():
            case "BEGIN":
                inside.append(value.strip().upper())
            case "END":
                if inside[-1:] == ["VEVENT"]:
                    break
                inside = inside[:-1]
            case other if other in wanted and inside[-1:] == ["VEVENT"]:
                found.setdefault(other, _ESCAPED.sub(_unescape, value).strip())
    return {name: value for name, value in found.items() if value}


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] in "nN" else match[1]
