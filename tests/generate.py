"""A seeded generator of realistic calendar objects, as phones and desktops write them. For tests and for measuring."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

TODAY: Final = date(2026, 11, 1)
"""The day around which generated events lie: from three years before it to two years after."""
ZONES: Final = (
    "Europe/Berlin",
    "America/New_York",
    "Europe/London",
    "Asia/Tokyo",
    "America/Sao_Paulo",
    "Australia/Sydney",
)


def generate_objects(count: int, seed: int) -> list[bytes]:
    """That many calendar objects of about 1.4 kB: one in ten recurring, one in eight all-day, most with a VTIMEZONE,
    guests, an alarm and a description; some cancelled, transparent, tentative or with overrides. Same seed, same bytes.
    """
    chance = random.Random(seed)
    return [_object(number, chance) for number in range(count)]


_TITLES: Final = ("Jour fixe", "Zahnarzt", "Review", "Größe & Preis", "会議")
_NOTES: Final = "Agenda\\, Protokoll und Zugangsdaten: https://meet.example.com/j/9876543210\\n"


def _object(number: int, chance: random.Random) -> bytes:
    zone = chance.choices(ZONES, (60, 15, 10, 5, 5, 5))[0]
    uid = f"{chance.getrandbits(128):032X}-{number}"
    recurring = chance.random() < 0.101
    all_day = chance.random() < 0.12
    utc = not all_day and not recurring and chance.random() < 0.15
    start = datetime.combine(TODAY, datetime.min.time()) + timedelta(days=chance.randrange(-1095, 730))
    start += timedelta(minutes=15 * chance.randrange(28, 80))
    length = timedelta(minutes=chance.choice((15, 30, 45, 60, 60, 90, 120, 240)))
    write = _times(zone, all_day=all_day, utc=utc)
    if all_day:
        length = timedelta(days=chance.choice((1, 1, 1, 2, 5)))
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Apple Inc.//macOS 15.5//EN", "CALSCALE:GREGORIAN"]
    if not all_day and not utc:
        lines += _zone_lines(zone)
    body = _event(uid, start, length=length, write=write, chance=chance)
    rule = _rule(start, chance, all_day=all_day) if recurring else ""
    lines += [*body[:-1], *([rule] if rule else []), *_exceptions(start, write, rule=rule, chance=chance), body[-1]]
    if recurring and chance.random() < 0.2:
        moved = start + timedelta(hours=0 if all_day else 2)
        override = _event(uid, moved, length=length, write=write, chance=chance)
        lines += [override[0], write("RECURRENCE-ID", start), *override[1:]]
    lines.append("END:VCALENDAR")
    return b"".join(_fold(line) for line in lines)


def _times(zone: str, *, all_day: bool, utc: bool) -> Callable[[str, datetime], str]:
    def write(name: str, at: datetime) -> str:
        if all_day:
            return f"{name};VALUE=DATE:{at:%Y%m%d}"
        return f"{name}:{at:%Y%m%dT%H%M%SZ}" if utc else f"{name};TZID={zone}:{at:%Y%m%dT%H%M%S}"

    return write


def _event(
    uid: str, start: datetime, *, length: timedelta, write: Callable[[str, datetime], str], chance: random.Random
) -> list[str]:
    lines = [
        "BEGIN:VEVENT",
        "CREATED:20240105T101112Z",
        "DTSTAMP:20260105T101112Z",
        f"UID:{uid}",
        write("DTSTART", start),
        write("DTEND", start + length),
        "LAST-MODIFIED:20260105T101112Z",
        f"SEQUENCE:{chance.randrange(4)}",
        f"SUMMARY:{chance.choice(_TITLES)} {chance.randrange(999)}",
        f"TRANSP:{'TRANSPARENT' if chance.random() < 0.08 else 'OPAQUE'}",
        "X-APPLE-CREATOR-IDENTITY:com.apple.calendar",
        "DESCRIPTION:" + _NOTES * chance.randrange(1, 6),
    ]
    if chance.random() < 0.4:
        place = chance.choice(("Invalidenstraße 116\\, 10115 Berlin", "Building 4.2", "1 Infinite Loop\\, Cupertino"))
        lines += [
            f"LOCATION:{place}",
            f'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=141.2;X-TITLE="{place}":geo:52.53,13.38',
            "URL;VALUE=URI:https://calendar.example.com/event?id=4711",
        ]
    if chance.random() < 0.3:
        lines.append(f"STATUS:{chance.choice(('CONFIRMED', 'CONFIRMED', 'TENTATIVE', 'CANCELLED'))}")
    if chance.random() < 0.35:
        lines.append("ORGANIZER;CN=Anna Beispiel;EMAIL=anna@example.com:mailto:anna@example.com")
        for guest in range(chance.randrange(1, 6)):
            answer = chance.choice(("ACCEPTED", "ACCEPTED", "NEEDS-ACTION", "DECLINED", "TENTATIVE"))
            lines.append(
                f"ATTENDEE;CN=Guest {guest};CUTYPE=INDIVIDUAL;PARTSTAT={answer};ROLE=REQ-PARTICIPANT;"
                f"EMAIL=guest{guest}@example.com:mailto:guest{guest}@example.com"
            )
    if chance.random() < 0.6:
        lines += [
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            "DESCRIPTION:Reminder",
            "TRIGGER:-PT15M",
            f"UID:{chance.getrandbits(128):032X}",
            f"X-WR-ALARMUID:{chance.getrandbits(128):032X}",
            "END:VALARM",
        ]
    lines.append("END:VEVENT")
    return lines


def _rule(start: datetime, chance: random.Random, *, all_day: bool) -> str:
    weekdays = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    until = f"{start + timedelta(days=chance.randrange(60, 900)):%Y%m%d}" + ("" if all_day else "T220000Z")
    kind = chance.choices(
        (
            "FREQ=DAILY",
            "FREQ=WEEKLY",
            f"FREQ=WEEKLY;INTERVAL=2;BYDAY={weekdays[start.weekday()]}",
            "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
            f"FREQ=MONTHLY;BYDAY={(start.day - 1) // 7 + 1}{weekdays[start.weekday()]}",
            f"FREQ=MONTHLY;BYMONTHDAY={start.day}",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "FREQ=YEARLY",
        ),
        (10, 35, 15, 15, 8, 5, 2, 10),
    )[0]
    bounds = ("", f";UNTIL={until}", f";COUNT={chance.randrange(2, 60)}")
    return f"RRULE:{kind}" + chance.choices(bounds, (50, 30, 20))[0]


def _exceptions(
    start: datetime, write: Callable[[str, datetime], str], *, rule: str, chance: random.Random
) -> list[str]:
    if not rule or chance.random() > 0.3:
        return []
    return [write("EXDATE", start + timedelta(days=7 * week)) for week in range(1, chance.randrange(2, 5))]


def _zone_lines(zone: str) -> list[str]:
    standard, summer = {
        "Europe/Berlin": ("+0100", "+0200"),
        "Europe/London": ("+0000", "+0100"),
        "America/New_York": ("-0500", "-0400"),
        "Australia/Sydney": ("+1000", "+1100"),
    }.get(zone, ("+0900", "+0900") if zone == "Asia/Tokyo" else ("-0300", "-0300"))
    return [
        "BEGIN:VTIMEZONE",
        f"TZID:{zone}",
        "BEGIN:DAYLIGHT",
        f"TZOFFSETFROM:{standard}",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "DTSTART:19810329T020000",
        "TZNAME:S",
        f"TZOFFSETTO:{summer}",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        f"TZOFFSETFROM:{summer}",
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        "DTSTART:19961027T030000",
        "TZNAME:N",
        f"TZOFFSETTO:{standard}",
        "END:STANDARD",
        "END:VTIMEZONE",
    ]


def _fold(line: str) -> bytes:
    octets, folded = line.encode(), b""
    while len(octets) > 75:
        cut = 75
        while octets[cut] & 0xC0 == 0x80:
            cut -= 1
        folded += octets[:cut] + b"\r\n "
        octets = octets[cut:]
    return folded + octets + b"\r\n"
