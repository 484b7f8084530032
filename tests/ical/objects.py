"""Short ways to write calendar objects and to read what became of them, for the tests of the engine."""

from datetime import UTC, datetime

from busyd.availability.busy import Busy, busy_periods
from busyd.availability.index import IndexedObject, index_object
from busyd.availability.policy import Rules
from busyd.period import FbType, Instant, Period, to_rfc3339


def event(*lines: str, uid: str = "event@example.com") -> str:
    """A VEVENT of these lines."""
    head = ["BEGIN:VEVENT", *([f"UID:{uid}"] if uid else []), "DTSTAMP:20260101T000000Z"]
    return "\r\n".join((*head, *lines, "END:VEVENT"))


def calendar(*parts: str) -> bytes:
    """A VCALENDAR of components and properties."""
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *parts, "END:VCALENDAR", "")).encode()


def window(start: str, end: str) -> Period:
    """`window("20260601", "20260602T120000")`, in UTC."""
    return Period(_instant(start), _instant(end))


def _instant(text: str) -> Instant:
    form = "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d"
    return Instant(int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()))


JUNE = window("20260601", "20260701")


def busy(*payloads: bytes, span: Period = JUNE, zone: str = "UTC", rules: Rules | None = None, me: str = "") -> Busy:
    """The busy time of objects in June 2026."""
    addresses = [me] if me else []
    return busy_periods(payloads, span, zone=zone, rules=rules or Rules(), addresses=addresses, availability=None)


def why_incomplete(payload: bytes) -> str:
    """Why nobody can say when something in the payload takes place; empty when all of it is known."""
    return index_object(payload, JUNE, zone="UTC").incomplete


def spans(found: Busy | IndexedObject) -> list[str]:
    """`0601T0900-0601T1000`, with the type behind it unless it is BUSY."""
    if isinstance(found, IndexedObject):
        return [f"{_short(start)}-{_short(end)}" for start, end, _ in found.rows]
    return [
        f"{_short(start)}-{_short(end)}" + ("" if fbtype == FbType.BUSY else f" {FbType(fbtype).text}")
        for start, end, fbtype in found.periods
    ]


def index(*lines: str, span: Period = JUNE, zone: str = "UTC") -> IndexedObject:
    """What the index keeps of an object with one event of these lines."""
    return index_object(calendar(event(*lines)), span, zone=zone)


def _short(instant: int) -> str:
    text = to_rfc3339(instant)
    return f"{text[5:7]}{text[8:10]}T{text[11:13]}{text[14:16]}"
