"""The questions of `busyd setup` once the calendars are known: the primary, the conflicts, the profile."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.questions import Questions
from busyd.cli.setup_file import NewProfile, reference_to
from busyd.cli.terminal import print_note, print_table
from busyd.config import Config
from busyd.config.errors import quote
from busyd.config.parsers import parse_name, parse_zone
from busyd.connection import CalendarKind, Connection, RemoteCalendar
from busyd.dav.operation import Listing
from busyd.service.state_dir import machine_zone
from busyd.spelling import did_you_mean

T = TypeVar("T")
Calendars = tuple[RemoteCalendar, ...]

NONE: Final = "none"
ALL: Final = "all"

_UTC: Final = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/GMT", "GMT", "Etc/Universal", "Etc/Zulu"})
_WRITTEN: Final = (CalendarKind.OWN, CalendarKind.SHARED)
_KINDS: Final = {
    CalendarKind.OWN: "own",
    CalendarKind.SHARED: "shared with you",
    CalendarKind.SUBSCRIBED: "subscribed",
    CalendarKind.FEED: "feed",
}


def print_calendars(connection: Connection, listing: Listing) -> None:
    """The calendars of the account, numbered for the questions that follow, and what else it has."""
    calendars = listing.calendars
    print()
    print(f"The login works. {connection.name} has {len(calendars)} calendar{'s' if len(calendars) != 1 else ''}:")
    rows = [
        (str(number), calendar.name or calendar.id, _KINDS[calendar.kind], describe_access(calendar))
        for number, calendar in enumerate(calendars, 1)
    ]
    print_table(("", "CALENDAR", "KIND", "ACCESS"), rows)
    if any(calendar.transparent for calendar in calendars):
        print("\nA calendar of your own that is not in 'all' is marked as free, and counts only if you name it.")
    if listing.reminders:
        print(f"\nReminders lists ({', '.join(listing.reminders)}) hold no events, so they never block time.")
    print()


def describe_access(calendar: RemoteCalendar) -> str:
    """What may be done with it, and whether it counts when all calendars are chosen."""
    access = "read and write" if calendar.writable else "read-only"
    if calendar.transparent or calendar.kind is CalendarKind.SUBSCRIBED:
        return f"{access}; not in '{ALL}'"
    return access


def ask_profile(
    arguments: argparse.Namespace,
    questions: Questions,
    *,
    connection: Connection,
    calendars: Calendars,
    config: Config | None,
) -> NewProfile | None:
    """The profile the person wants, new or one that is there already; or None."""
    known = config.profiles if config else {}
    feed = any(calendar.kind is CalendarKind.FEED for calendar in calendars)
    name = _ask_name(arguments, questions, connection=connection, known=known, feed=feed) if known else ""
    before = known.get(name)
    primary: RemoteCalendar | None = None
    conflicts: tuple[str, ...] = (connection.name,)
    if not feed and name != NONE:
        if before is None or before.primary is None:
            primary = _choose(questions, arguments.primary, connection=connection, calendars=calendars)
        conflicts = _choose_conflicts(questions, arguments.conflicts, connection=connection, calendars=calendars)
    name = name or _ask_name(arguments, questions, connection=connection, known=known, feed=feed)
    if name == NONE:
        shown = connection.name if feed else f"{connection.name}/*"
        print(f"to use it in an existing profile, add '{shown}' to the conflicts of that profile")
        return None
    written = reference_to(primary, calendars, connection=connection.name) if primary else None
    if before is not None:
        return NewProfile(name, None, written, conflicts)
    return NewProfile(name, _ask_zone(arguments, questions, primary=primary), written, conflicts)


def _ask_name(
    arguments: argparse.Namespace,
    questions: Questions,
    *,
    connection: Connection,
    known: Mapping[str, object],
    feed: bool,
) -> str:
    """The name of a profile, new or known, or 'none'."""

    meant = ""

    def parse(text: str) -> str:
        nonlocal meant
        name = text.strip()
        if name == NONE or name in known:
            return name
        near = did_you_mean(parse_name(name), known)
        if near and questions.person_present and name != meant:
            meant = name
            message = f"there is no {quote(name)} yet{near} Type it again for another person of that name"
            raise ValueError(message)
        return name

    given = _given(arguments.profile, parse, option="--profile")
    if given is not None:
        return given
    default = NONE if (feed and known) or connection.name in known else connection.name
    if known:
        question = f"Whose calendars are these? ({', '.join(known)}; a new name for another person; or '{NONE}')"
    else:
        question = f"Name of the person or role ('{NONE}' for no profile)"
    return questions.ask(question, parse, default=default, option="--profile")


def _ask_zone(arguments: argparse.Namespace, questions: Questions, *, primary: RemoteCalendar | None) -> str:
    """The zone in which the person lives. That it is UTC is no default: it is what a machine has that nobody told."""
    zone = _given(arguments.timezone, parse_zone, option="--timezone")
    if zone is not None:
        return zone
    default = _default_zone(primary)
    if default in _UTC:
        print(file=sys.stderr)
        print_note(
            "ATTENTION: this machine is set to UTC, so it cannot tell in which time zone this person lives. All-day "
            "events and working hours would begin and end at the wrong time. Name the zone, such as Europe/Berlin."
        )
        if questions.person_present:
            return questions.ask("Time zone", parse_zone, option="--timezone")
        print_note(f"(the zone is now {default}; `timezone:` in the configuration changes it)")
    return questions.ask("Time zone", parse_zone, default=default, option="--timezone")


def default_primary(calendars: Sequence[RemoteCalendar]) -> RemoteCalendar | None:
    """The first calendar that appointments can be written to: the account's own that counts, else any writable one."""
    writable = [calendar for calendar in calendars if calendar.writable and calendar.kind in _WRITTEN]
    own = [calendar for calendar in writable if calendar.kind is CalendarKind.OWN]
    counting = [calendar for calendar in own if not calendar.transparent]
    return next(iter([*counting, *own, *writable]), None)


def _choose(
    questions: Questions, given: str | None, *, connection: Connection, calendars: Calendars
) -> RemoteCalendar | None:
    def parse(text: str) -> RemoteCalendar | None:
        if text.strip().lower() == NONE:
            return None
        chosen = find_by_answer(text, calendars)
        if not chosen.writable or chosen.kind not in _WRITTEN:
            message = f"appointments cannot be written to {connection.name}/{chosen.name}, which is read-only"
            raise ValueError(message)
        return chosen

    default = default_primary(calendars)
    if given is not None:
        return _given(given, parse, option="--primary")
    shown = str(calendars.index(default) + 1) if default is not None else NONE
    return questions.ask(
        f"Primary calendar, where appointments are written (number, name, or '{NONE}')",
        parse,
        default=shown,
        option="--primary",
    )


def _choose_conflicts(
    questions: Questions, given: str | None, *, connection: Connection, calendars: Calendars
) -> tuple[str, ...]:
    def parse(text: str) -> tuple[str, ...]:
        if text.strip().lower() in (ALL, "*"):
            return (f"{connection.name}/*",)
        if text.strip().lower() == NONE:
            return ()
        chosen = dict.fromkeys(
            reference_to(calendar, calendars, connection=connection.name) for calendar in _several(text, calendars)
        )
        return tuple(chosen)

    if given is not None:
        return _given(given, parse, option="--conflicts") or ()
    question = f"Conflict calendars, whose events block time (numbers or names with commas, '{ALL}' or '{NONE}')"
    return questions.ask(question, parse, default=ALL, option="--conflicts")


def find_by_answer(text: str, calendars: Sequence[RemoteCalendar]) -> RemoteCalendar:
    """The calendar a person means by a number in the list, a name or an id. Raises ValueError."""
    answer = text.strip()
    number = int(answer) if answer.isascii() and answer.isdigit() else 0
    for matches in (
        [calendar for calendar in calendars if answer in (calendar.name, calendar.id)],
        [calendar for calendar in calendars if calendar.name.casefold() == answer.casefold()],
        [calendar for position, calendar in enumerate(calendars, 1) if position == number],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            message = f"{len(matches)} calendars are named {quote(answer)}; enter the number instead"
            raise ValueError(message)
    near = did_you_mean(answer, [calendar.name for calendar in calendars])
    message = f"there is no calendar {quote(answer)} in the list{near}"
    raise ValueError(message)


def _several(text: str, calendars: Sequence[RemoteCalendar]) -> list[RemoteCalendar]:
    try:
        return [find_by_answer(text, calendars)]  # a name may contain a comma
    except ValueError:
        if "," not in text:
            raise
    return [find_by_answer(part, calendars) for part in text.split(",") if part.strip()]


def _given(text: str | None, parse: Callable[[str], T], *, option: str) -> T | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        message = f"{option}: {error}; nothing was saved"
        raise CommandFailed(message, status=ExitStatus.USAGE) from None


def _default_zone(primary: RemoteCalendar | None) -> str:
    """The primary calendar's own zone if it has one, else the machine's."""
    for zone in (primary.timezone if primary is not None else None, machine_zone(os.environ)):
        try:
            return parse_zone(zone or "")
        except ValueError:
            continue
    return "UTC"
