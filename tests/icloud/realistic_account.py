"""An account with realistic data: what an iCloud account looks like after some years, placed around a given day.

Every event is there for a reason, which its summary states. The demo and the end-to-end tests use it.
"""

from datetime import date, timedelta

from tests.icloud.accounts import Account
from tests.icloud.apple_text import (
    BERLIN,
    NEW_YORK,
    WINDOWS_BERLIN,
    all_day,
    at,
    attendee,
    calendar,
    event,
    floating,
    organizer,
    timed,
)
from tests.icloud.calendars import Calendar
from tests.icloud.server import SimulatedIcloud

USER = "anna@icloud.com"
PASSWORD = "abcd-efgh-ijkl-mnop"
DSID = "300000001"
FAMILY_ID = "f" + "0123456789abcdef" * 3 + "a1b2c3d4e5f6078"  # 64 characters, as shared calendars have
TEAM_ID = "e" + "fedcba9876543210" * 3 + "807f6e5d4c3b2a1"
HOLIDAYS_PATH = "/holidays/de_de.ics"


def build_realistic_account(
    icloud: SimulatedIcloud, today: date, *, user: str = USER, password: str = PASSWORD
) -> Account:
    """Anna, who lives in Berlin: Home and Work, two shared calendars, holidays, a transparent one, reminders."""
    anna = icloud.add_account(
        user, password=password, dsid=DSID, display_name="Anna Example", addresses=("anna@example.com",)
    )
    anna.add_default_calendars()
    _fill_home(anna.calendars["home"], today)
    _fill_work(anna, anna.calendars["work"], today=today)
    _fill_reminders(anna.calendars["tasks"])
    family = anna.add_calendar("Family", id=FAMILY_ID, shared="read-only", color="#63DA38FF", symbolic_color="green")
    _put(family, "F1", event("F1", "School concert", timed(today + timedelta(days=2), "17:00", end="19:00")))
    _put(family, "F2", event("F2", "Parents visiting", all_day(today + timedelta(days=6), 3)))
    team = anna.add_calendar("Team", id=TEAM_ID, shared="read-write", color="#FFCC00FF", symbolic_color="yellow")
    weekly = timed(_monday(today) - timedelta(weeks=30), "13:00", end="14:00")
    _put(team, "T1", event("T1", "Team lunch", weekly, "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"))
    ideas = anna.add_calendar("Ideas", id="8E4B7C0A-1111-4222-8333-4445556667AA", transparent=True, color="#A2845EFF")
    _put(
        ideas,
        "I1",
        event("I1", "Open-air cinema?", timed(today + timedelta(days=1), "20:00", end="22:30")),
    )
    feed = icloud.add_feed(HOLIDAYS_PATH, holidays(today))
    anna.add_calendar("Holidays in Germany", subscribed_source=feed.url, color="#FF2D55FF", id="holidays-de")
    return anna


def holidays(today: date) -> str:
    """A holiday feed in Apple's manner: stamps that are dates, free days, no zone, some DTSTARTs without VALUE=DATE."""
    fixed = [("New Year", 1, 1), ("Labour Day", 5, 1), ("German Unity Day", 10, 3), ("Christmas Day", 12, 25)]
    events = [
        event(
            f"holiday-{month}-{day}",
            name,
            f"DTSTART;VALUE=DATE:{today.year - 1}{month:02}{day:02}",
            "DTSTAMP;VALUE=DATE:19760401",
            "CATEGORIES:Holidays",
            "RRULE:FREQ=YEARLY;COUNT=6",
            "TRANSP:TRANSPARENT",
            "X-APPLE-UNIVERSAL-ID:3a9d4c6e",
        )
        for name, month, day in fixed
    ]
    soon = today + timedelta(days=8)
    events.append(event("holiday-bare", "Regional holiday", f"DTSTART:{soon:%Y%m%d}", "TRANSP:TRANSPARENT"))
    return calendar(*events, producer="iCal 4.0")


def _fill_home(home: Calendar, today: date) -> None:
    tuesday = _monday(today) + timedelta(days=1)
    moved, skipped = tuesday + timedelta(weeks=1), tuesday + timedelta(weeks=2)
    _put(
        home,
        "YOGA",
        event(
            "YOGA",
            "Yoga",
            timed(tuesday - timedelta(weeks=60), "18:00", end="19:00"),
            "RRULE:FREQ=WEEKLY;BYDAY=TU",
            f"EXDATE;TZID={BERLIN}:{at(skipped, '18:00')}",
            f"EXDATE;TZID={BERLIN}:{at(skipped + timedelta(weeks=3), '18:00')}",
        ),
        event(
            "YOGA",
            "Yoga, half an hour later",
            timed(moved, "18:30", end="19:30"),
            f"RECURRENCE-ID;TZID={BERLIN}:{at(moved, '18:00')}",
        ),
    )
    dentist = timed(today + timedelta(days=1), "08:30", end="09:15")
    alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:Reminder\r\nTRIGGER:-PT15M\r\nUID:A1\r\nEND:VALARM"
    _put(home, "DENTIST", event("DENTIST", "Dentist", dentist, alarm))
    _put(home, "MOVE", event("MOVE", "Moving house (busy all day)", all_day(today + timedelta(days=9), 2)))
    party = today + timedelta(days=3)
    _put(home, "DINNER", event("DINNER", "Dinner with Ben", timed(today, "19:00", end="21:00")))
    birthday = all_day(party.replace(year=party.year - 72))
    _put(home, "GRANDMA", event("GRANDMA", "Grandma's birthday", birthday, "RRULE:FREQ=YEARLY", "TRANSP:TRANSPARENT"))
    _put(home, "RUN", event("RUN", "Morning run (floating)", floating(today + timedelta(days=3), "06:30", end="07:15")))
    imported = timed(today + timedelta(days=4), "13:00", end="14:00", zone=WINDOWS_BERLIN)
    _put(home, "IMPORT", event("IMPORT", "Imported from Outlook", imported))
    _put(home, "BARE", event("BARE", "", timed(today + timedelta(days=6), "16:00", end="16:30")))
    home.put("ODD.ics", _odd_object(today + timedelta(days=5)))


def _fill_work(anna: Account, work: Calendar, *, today: date) -> None:
    monday = _monday(today)
    _put(work, "STANDUP", *_standup(monday))
    _put(
        work,
        "FOCUS",
        event("FOCUS", "Focus (free)", timed(today, "14:00", end="16:00"), "TRANSP:TRANSPARENT"),
    )
    off = timed(today + timedelta(days=1), "11:00", end="12:00")
    _put(work, "OFF", event("OFF", "Cancelled review", off, "STATUS:CANCELLED"))
    maybe = timed(today + timedelta(days=2), "15:00", end="16:00")
    _put(work, "MAYBE", event("MAYBE", "Budget, tentative", maybe, "STATUS:TENTATIVE"))
    # Three of the forms in which iCloud writes one and the same guest.
    for uid, summary, answer, days, me_value, address in (
        ("INV-YES", "Invitation, accepted", "ACCEPTED", 1, f"/{anna.principal_token}/principal/", anna.user),
        ("INV-OPEN", "Invitation, unanswered", "NEEDS-ACTION", 2, "mailto:2_GEYTAMRTGE3A@imip.me.com", anna.user),
        ("INV-NO", "Invitation, declined", "DECLINED", 3, f"urn:uuid:{anna.dsid}", ""),
    ):
        me = attendee("Anna Example", me_value, answer=answer, address=address)
        chair = attendee("Ben", "mailto:ben@example.org", answer="ACCEPTED", address="ben@example.org", role="CHAIR")
        when = timed(today + timedelta(days=days), "10:00", end="11:00")
        _put(work, uid, event(uid, summary, when, organizer("Ben", "ben@example.org"), chair, me))
    mine = f"/{anna.principal_token}/principal/"
    _put(
        work,
        "MINE",
        event(
            "MINE",
            "Interview",
            timed(today + timedelta(days=4), "10:00", end="11:30"),
            f"ORGANIZER;CN=Anna Example;EMAIL={anna.user}:{mine}",
            attendee("Anna Example", mine, answer="ACCEPTED", address=anna.user, role="CHAIR"),
            attendee("Cleo", "mailto:cleo@example.net", answer="TENTATIVE"),
        ),
    )
    meeting = timed(today + timedelta(days=3), "14:00", end="15:00")
    travel = ("X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT45M", "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC")
    _put(work, "CLIENT", event("CLIENT", "Client visit, 45 minutes away", meeting, *travel))
    call = timed(today + timedelta(days=2), "11:00", end="12:00", zone=NEW_YORK)
    _put(work, "CALL", event("CALL", "Call with New York", call))
    fair = timed(today + timedelta(days=12), "09:00", end="17:00", days=1)
    _put(work, "FAIR", event("FAIR", "Trade fair, two days", fair))
    _put_split_series(work, monday)
    alone = today + timedelta(days=5)
    guest = (organizer("Ben", "ben@example.org"), attendee("Anna", f"mailto:{anna.user}", answer="ACCEPTED"))
    single = f"RECURRENCE-ID;TZID={BERLIN}:{at(alone, '16:00')}"
    when = timed(alone, "16:00", end="17:00")
    _put(work, "ALONE", event("ALONE", "One meeting of somebody's series", when, single, *guest))


def _standup(monday: date) -> tuple[str, ...]:
    """Each weekday, with a moved one, a cancelled one and a deleted one."""
    moved, cancelled, gone = (monday + timedelta(days=days) for days in (8, 9, 10))
    return (
        event(
            "STANDUP",
            "Stand-up",
            timed(monday - timedelta(weeks=40), "09:15", end="09:30"),
            "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
            f"EXDATE;TZID={BERLIN}:{at(gone, '09:15')}",
        ),
        event(
            "STANDUP",
            "Stand-up, long one",
            timed(moved, "11:00", end="12:00"),
            f"RECURRENCE-ID;TZID={BERLIN}:{at(moved, '09:15')}",
        ),
        event(
            "STANDUP",
            "Stand-up",
            timed(cancelled, "09:15", end="09:30"),
            f"RECURRENCE-ID;TZID={BERLIN}:{at(cancelled, '09:15')}",
            "STATUS:CANCELLED",
        ),
    )


def _put_split_series(work: Calendar, monday: date) -> None:
    """ "All future events" was chosen: the old part ends a second before the new one, and both know their set."""
    thursday = monday + timedelta(days=3)
    family = "RELATED-TO;RELTYPE=X-CALENDARSERVER-RECURRENCE-SET:5B0E4C1D-0000-4000-8000-000000000001"
    until = f"RRULE:FREQ=WEEKLY;BYDAY=TH;UNTIL={thursday - timedelta(days=1):%Y%m%d}T225959Z"
    old = event("SPLIT-1", "One-to-one", timed(thursday - timedelta(weeks=20), "16:00", end="16:30"), until, family)
    new = event("SPLIT-2", "One-to-one", timed(thursday, "16:30", end="17:00"), "RRULE:FREQ=WEEKLY;BYDAY=TH", family)
    _put(work, "SPLIT-1", old)
    _put(work, "SPLIT-2", new)


def _fill_reminders(tasks: Calendar) -> None:
    notice = "BEGIN:VTODO\r\nUID:NOTICE\r\nDTSTAMP:20200101T000000Z\r\nSUMMARY:Where are my reminders?\r\nEND:VTODO"
    tasks.put("NOTICE.ics", calendar(notice))


def _odd_object(day: date) -> str:
    """Folded without the blank, stamped twice, with the alarm that means "no alarm", bare lines, and an emoji."""
    broken = (
        'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="Hauptstr. 1\\\\n10115 Berlin";X-APPLE-MAPKIT-HANDLE=CAES\r\n'
    )
    dummy = "BEGIN:VALARM\r\nACTION:NONE\r\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\r\nEND:VALARM"
    stamps = ("DTSTAMP:20250301T081530Z", "DTSTAMP:20250302T081530Z")
    lines = ("DESCRIPTION:", broken + "kAIaEglq2J8:geo:52.53,13.38", dummy)
    return calendar(event("ODD", "Brunch 🥐 (odd object)", timed(day, "10:30", "12:00"), *stamps, *lines))


def _put(target: Calendar, uid: str, *events: str) -> None:
    target.put(f"{uid}.ics", calendar(*events))


def _monday(today: date) -> date:
    return today - timedelta(days=today.weekday())
