"""iCalendar text as Apple's devices write it. Only text: which events there are, `realistic_account.py` says."""

from datetime import date, datetime, timedelta

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"
WINDOWS_BERLIN = "W. Europe Standard Time"

_RULES = {
    BERLIN: ("+0100", "+0200", "CET", "CEST", "19961027T030000", "BYMONTH=10;BYDAY=-1SU", "19810329T020000",
             "BYMONTH=3;BYDAY=-1SU"),
    NEW_YORK: ("-0500", "-0400", "EST", "EDT", "20071104T020000", "BYMONTH=11;BYDAY=1SU", "20070311T020000",
               "BYMONTH=3;BYDAY=2SU"),
}  # fmt: skip
_RULES[WINDOWS_BERLIN] = _RULES[BERLIN]


def calendar(*components: str, producer: str = "iOS 18.5") -> str:
    """A whole object with the zones it uses, behind the events, as newer devices have it."""
    zones = [zone for zone in _RULES if any(f"TZID={zone}:" in text for text in components)]
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "CALSCALE:GREGORIAN",
            f"PRODID:-//Apple Inc.//{producer}//EN",
            "VERSION:2.0",
            *components,
            *(timezone(zone) for zone in zones),
            "END:VCALENDAR",
            "",
        ]
    )


def made_up(day: date, word: str) -> str:
    """An object in which everything that can have a name of somebody's own has this word in it."""
    lines = (
        "BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//{word} Ltd//Diary//EN", f"X-WR-CALNAME:{word}",
        f"X-{word}-SHELF:{word}", "BEGIN:VTIMEZONE", f"TZID:{word} Street", "BEGIN:STANDARD", f"TZNAME:{word}",
        "DTSTART:19700101T000000", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0100", "END:STANDARD", "END:VTIMEZONE",
        "BEGIN:VEVENT", f"UID:{word}-1", "DTSTAMP:20260101T000000Z", f"SUMMARY:{word}",
        f"DTSTART;TZID={word} Street;X-{word}=1:{at(day, '09:00')}", f"DTEND;TZID={word} Street:{at(day, '10:00')}",
        f"RRULE:FREQ=WEEKLY;X-{word}=1", f"X-APPLE-STRUCTURED-LOCATION;X-TITLE={word}:geo:1,1", f"X-{word}:{word}",
        f"{word.upper()}:{word}", f"STATUS:{word}", f"CLASS:X-{word}", f"CATEGORIES:{word}",
        "BEGIN:VALARM", f"X-{word}-ALARM:{word}", f"ACTION:X-{word}", "TRIGGER:-PT5M", "END:VALARM",
        "END:VEVENT", f"BEGIN:X-{word}", f"END:X-{word}", "END:VCALENDAR", "",
    )  # fmt: skip
    return "\r\n".join(lines)


def event(uid: str, summary: str, when: str, *lines: str) -> str:
    """One VEVENT; `when` is its DTSTART and DTEND lines, from `timed`, `all_day` or `floating`."""
    stamped = [line for line in lines if line.startswith("DTSTAMP")] or ["DTSTAMP:20250301T081530Z"]
    rest = [line for line in lines if not line.startswith("DTSTAMP")]
    transp = [] if any(line.startswith("TRANSP") for line in rest) else ["TRANSP:OPAQUE"]
    return "\r\n".join(
        [
            "BEGIN:VEVENT",
            "CREATED:20250301T081500Z",
            *stamped,
            when,
            "LAST-MODIFIED:20250301T081530Z",
            "SEQUENCE:0",
            f"SUMMARY:{summary}",
            *transp,
            f"UID:{uid}",
            *rest,
            "END:VEVENT",
        ]
    )


def at(day: date, clock: str) -> str:
    """`20261122T093000` for a day and "09:30"."""
    return f"{day:%Y%m%d}T{clock.replace(':', '')}00"


def timed(day: date, start: str, end: str, *, zone: str = BERLIN, days: int = 0) -> str:
    """Wall time in a zone, ending `days` later."""
    last = day + timedelta(days=days)
    return f"DTSTART;TZID={zone}:{at(day, start)}\r\nDTEND;TZID={zone}:{at(last, end)}"


def floating(day: date, start: str, *, end: str) -> str:
    return f"DTSTART:{at(day, start)}\r\nDTEND:{at(day, end)}"


def utc(start: datetime, end: datetime) -> str:
    return f"DTSTART:{start:%Y%m%dT%H%M%SZ}\r\nDTEND:{end:%Y%m%dT%H%M%SZ}"


def all_day(day: date, days: int = 1) -> str:
    """DTEND is exclusive."""
    return f"DTSTART;VALUE=DATE:{day:%Y%m%d}\r\nDTEND;VALUE=DATE:{day + timedelta(days=days):%Y%m%d}"


def timezone(zone: str) -> str:
    winter, summer, winter_name, summer_name, winter_from, winter_rule, summer_from, summer_rule = _RULES[zone]
    return "\r\n".join(
        [
            "BEGIN:VTIMEZONE",
            f"TZID:{zone}",
            "BEGIN:STANDARD",
            f"DTSTART:{winter_from}",
            f"RRULE:FREQ=YEARLY;{winter_rule}",
            f"TZNAME:{winter_name}",
            f"TZOFFSETFROM:{summer}",
            f"TZOFFSETTO:{winter}",
            "END:STANDARD",
            "BEGIN:DAYLIGHT",
            f"DTSTART:{summer_from}",
            f"RRULE:FREQ=YEARLY;{summer_rule}",
            f"TZNAME:{summer_name}",
            f"TZOFFSETFROM:{winter}",
            f"TZOFFSETTO:{summer}",
            "END:DAYLIGHT",
            "END:VTIMEZONE",
        ]
    )


def organizer(name: str, address: str) -> str:
    """A foreign organizer, known by mail address."""
    return f"ORGANIZER;CN={name};EMAIL={address}:mailto:{address}"


def attendee(name: str, value: str, *, answer: str, address: str = "", role: str = "REQ-PARTICIPANT") -> str:
    """`value` is a mailto: or a principal path; with a path, EMAIL tells whose it is."""
    email = f"EMAIL={address};" if address else ""
    rsvp = ";RSVP=TRUE" if answer == "NEEDS-ACTION" else ""
    return f"ATTENDEE;CN={name};CUTYPE=INDIVIDUAL;{email}PARTSTAT={answer};ROLE={role}{rsvp}:{value}"
