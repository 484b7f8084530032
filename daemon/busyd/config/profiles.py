"""The section `profiles`: whose availability is asked for, from which calendars, with which rules and hours."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from msgspec.structs import replace

from busyd.availability.hours import AppointmentDefaults, Hours, Invite, MinuteSpan, SlotDefaults
from busyd.availability.policy import Rules
from busyd.config.errors import SourceLocation, quote
from busyd.config.model import ConnectionConfig, ProfileConfig
from busyd.config.parsers import (
    DAYS,
    parse_count,
    parse_date,
    parse_days,
    parse_duration,
    parse_flag,
    parse_name,
    parse_span,
    parse_zone,
    sort_spans,
)
from busyd.config.reader import ConfigReader
from busyd.config.rules import RULES
from busyd.config.tree import Entry
from busyd.connection import CalendarReference, ConnectionKind, Privacy
from busyd.spelling import did_you_mean
from busyd.timetext import write_duration

_MAX_AGE: Final = "max_age"
_KEYS: Final = (
    "timezone",
    "primary",
    "conflicts",
    "primary_blocks",
    "blocks",
    "addresses",
    "rules",
    "calendars",
    "hours",
    "slots",
    "appointments",
    _MAX_AGE,
)
_SLOTS: Final = ("duration", "step", "notice", "window", "buffer_before", "buffer_after", "per_day", "per_week")
_APPOINTMENTS: Final = ("invite", "reminders")
MOST_REMINDERS: Final = 10
"""Of one appointment."""


class ProfileReader:
    """Reads profiles against the connections they refer to."""

    def __init__(self, reader: ConfigReader, connections: Mapping[str, ConnectionConfig]) -> None:
        self._reader = reader
        self._connections = connections

    def read_all(self, entry: Entry | None) -> dict[str, ProfileConfig]:
        """All profiles, by name."""
        profiles = {}
        for name, written in self._reader.mapping(entry, "profiles").items():
            try:
                parse_name(name)
            except ValueError as error:
                self._reader.fault(written.location, f"profile {error}")
            profiles[name] = self._read(name, written)
        return profiles

    def _read(self, name: str, entry: Entry) -> ProfileConfig:
        reader = self._reader
        keys = reader.section(entry, f"profile {name}", known=_KEYS)
        primary = reader.value(keys.get("primary"), "primary", parse=self._written, default=None)
        conflicts = self._conflicts(keys.get("conflicts"))
        rules = self._rules(keys.get("rules"), Rules(), what="rules")
        linked = [reference for reference in (primary, *conflicts) if reference is not None]
        blocks = keys.get("primary_blocks")
        primary_blocks = reader.value(blocks, "primary_blocks", parse=parse_flag, default=True)
        if not conflicts and not (primary and primary_blocks):
            has, missing = (
                ("has no calendars", "'primary' and 'conflicts'")
                if primary is None
                else ("has no calendar that blocks", "'conflicts'")
            )
            reader.warn(entry.location, f"profile {name} {has}, so none of its time is known to be free; add {missing}")
        calendar_rules, calendar_max_age = self._calendars(keys.get("calendars"), rules, linked=linked)
        return ProfileConfig(
            name=name,
            timezone=reader.value(keys.get("timezone"), "timezone", parse=parse_zone, default=None),
            primary=primary,
            conflicts=conflicts,
            blocks=reader.value(keys.get("blocks"), "blocks", parse=self._written, default=None),
            primary_blocks=primary_blocks,
            primary_blocks_origin=blocks.location.short if blocks is not None else "",
            addresses=tuple(value for _, value in reader.values(keys.get("addresses"), "addresses", parse=_address)),
            rules=rules,
            calendar_rules=calendar_rules,
            hours=read_hours(reader, keys.get("hours")),
            slots=self._slots(keys.get("slots")),
            appointments=self._appointments(keys.get("appointments")),
            max_age=self._positive(keys.get(_MAX_AGE), _MAX_AGE, default=timedelta(minutes=15)),
            calendar_max_age=calendar_max_age,
        )

    def _conflicts(self, entry: Entry | None) -> tuple[CalendarReference, ...]:
        references: list[CalendarReference] = []
        for location, reference in self._reader.values(entry, "conflicts", parse=self._reference):
            if reference in references:
                self._reader.warn(location, f"conflicts: {reference} is listed twice")
            else:
                references.append(reference)
        return tuple(references)

    def _written(self, text: str) -> CalendarReference:
        reference = self._reference(text, is_single=True)
        if reference.is_wildcard:
            message = f"that must be a single calendar, such as {quote(f'{reference.connection}/Work')}"
            raise ValueError(message)
        if not reference.calendar:
            message = f"{reference} is a feed, which cannot be written to; choose a calendar of an account"
            raise ValueError(message)
        if self._connections[reference.connection].connection.privacy is Privacy.BUSY:
            message = (
                f"{reference.connection} has 'privacy: busy', so nothing is written to it; "
                "list the calendar under 'conflicts', or choose one of another connection"
            )
            raise ValueError(message)
        return reference

    def _reference(self, text: str, *, is_single: bool = False) -> CalendarReference:
        name, slash, calendar = text.partition("/")
        connection = self._connections.get(name)
        if connection is None:
            message = self._explain_unknown(name, slash, text=text)
            raise ValueError(message)
        if connection.connection.kind is ConnectionKind.ICS:
            if calendar not in ("", "*", name):
                message = f"{name} is a feed with one calendar, did you mean '{name}'?"
                raise ValueError(message)
            return CalendarReference(name, "")
        if not calendar:
            hint = f"; write the one you mean, such as '{name}/Work'" if is_single else f", did you mean '{name}/*'?"
            message = f"{name} is an account with several calendars{hint}"
            raise ValueError(message)
        return CalendarReference(name, calendar)

    def _explain_unknown(self, name: str, slash: str, *, text: str) -> str:
        if not self._connections:
            return f"there is no connection {quote(name)}; none is configured"
        if slash and not name:
            return "expected CONNECTION/CALENDAR; the name before the slash is missing"
        near = did_you_mean(name, self._connections)
        if near and slash:
            calendar = text.partition("/")[2]
            shown = quote(calendar)[1:-1] if calendar else ""
            near = f"{near.removesuffix(chr(39) + '?')}/{shown}'?"
        known = ", ".join(sorted(self._connections)[:8])
        return f"there is no connection {quote(name)}{near or f'; known connections: {known}'}"

    def _rules(self, entry: Entry | None, base: Rules, *, what: str) -> Rules:
        reader = self._reader
        keys = reader.section(entry, what, known=tuple(RULES))
        return self._merged(keys, base)

    def _merged(self, keys: Mapping[str, Entry], base: Rules) -> Rules:
        reader = self._reader
        keys = {key: written for key, written in keys.items() if key in RULES}
        changes: dict[str, Any] = {
            key: reader.value(written, key, parse=RULES[key], default=getattr(base, key))
            for key, written in keys.items()
        }
        origin = {**base.origin, **{key: written.location.short for key, written in keys.items()}}
        return replace(base, **changes, origin=origin)

    def _calendars(
        self, entry: Entry | None, rules: Rules, *, linked: Iterable[CalendarReference]
    ) -> tuple[dict[CalendarReference, Rules], dict[CalendarReference, timedelta]]:
        """What is written for single calendars: the rules of each, merged over `rules`, and the max_age of some."""
        reader = self._reader
        used = {reference.connection for reference in linked}
        calendar_rules: dict[CalendarReference, Rules] = {}
        calendar_max_age: dict[CalendarReference, timedelta] = {}
        for key, written in reader.mapping(entry, "calendars").items():
            try:
                reference = self._reference(key)
            except ValueError as error:
                reader.fault(written.location, f"calendars: {error}")
                continue
            if reference.connection not in used:
                reader.fault(written.location, f"calendars: this profile uses no calendar of {reference.connection}")
            keys = reader.section(written, f"the rules of {quote(key)}", known=(*RULES, _MAX_AGE))
            calendar_rules[reference] = self._merged(keys, rules)
            if _MAX_AGE in keys:
                calendar_max_age[reference] = self._positive(keys[_MAX_AGE], _MAX_AGE, default=timedelta(minutes=15))
        return calendar_rules, calendar_max_age

    def _slots(self, entry: Entry | None) -> SlotDefaults:
        reader, keys = self._reader, self._reader.section(entry, "slots", known=_SLOTS)
        default = SlotDefaults()
        lengths: dict[str, timedelta] = {
            name: reader.value(keys.get(name), name, parse=parse_duration, default=getattr(default, name))
            for name in ("notice", "buffer_before", "buffer_after")
        }
        counts = {
            name: reader.value(keys.get(name), name, parse=parse_count, default=None)
            for name in ("per_day", "per_week")
        }
        window, ahead = keys.get("window"), None
        if window is not None:
            ahead = reader.value(window, "window", parse=parse_duration, default=None)
            if ahead is not None and ahead <= lengths["notice"]:
                notice = write_duration(lengths["notice"])
                message = f"window: must be longer than 'notice' ({notice}), or no slot is ever offered"
                reader.fault(window.value.location, message)
        return SlotDefaults(
            duration=self._positive(keys.get("duration"), "duration", default=default.duration),
            step=self._positive(keys.get("step"), "step", default=default.step),
            window=ahead,
            per_day=counts["per_day"],
            per_week=counts["per_week"],
            **lengths,
        )

    def _appointments(self, entry: Entry | None) -> AppointmentDefaults:
        reader, keys = self._reader, self._reader.section(entry, "appointments", known=_APPOINTMENTS)
        reminders: dict[timedelta, None] = {}
        for location, before in reader.values(keys.get("reminders"), "reminders", parse=parse_duration):
            if before in reminders:
                reader.warn(location, "reminders: the same time is listed twice")
            elif len(reminders) == MOST_REMINDERS:
                reader.fault(location, f"reminders: at most {MOST_REMINDERS} of them")
                break
            reminders[before] = None
        invite = reader.choice(keys.get("invite"), "invite", options=tuple(Invite), default=Invite.NONE)
        return AppointmentDefaults(invite, tuple(reminders))

    def _positive(self, entry: Entry | None, what: str, *, default: timedelta) -> timedelta:
        span = self._reader.value(entry, what, parse=parse_duration, default=default)
        if entry is not None and not span:
            self._reader.fault(entry.value.location, f"{what}: must not be zero")
        return span


def read_hours(reader: ConfigReader, entry: Entry | None) -> Hours | None:
    """Working hours by weekday, and by date for exceptions; None without the key."""
    if entry is None:
        return None
    written = reader.mapping(entry, "hours")
    weekdays: dict[int, tuple[SourceLocation, tuple[MinuteSpan, ...]]] = {}
    exceptions: dict[date, tuple[MinuteSpan, ...]] = {}
    for key, day in written.items():
        spans = _read_spans(reader, key, entry=day)
        try:
            exception = parse_date(key)
            days = [] if exception else parse_days(key)
        except ValueError as error:
            reader.fault(day.location, f"hours: {error}")
            continue
        if exception and exception in exceptions:
            reader.fault(day.location, f"hours: {exception} is set twice")
        elif exception:
            exceptions[exception] = spans
        for number in days:
            if number in weekdays:
                first = weekdays[number][0]
                reader.fault(day.location, f"hours: {DAYS[number]} is already set in line {first.line}")
            weekdays[number] = (day.location, spans)
    if not weekdays and len(exceptions) == len(written):
        message = "hours: without a weekday, every day would be closed; add one, or leave 'hours' out"
        reader.fault(entry.location, message)
    return Hours(tuple(weekdays[number][1] if number in weekdays else () for number in range(7)), exceptions)


def _read_spans(reader: ConfigReader, key: str, *, entry: Entry) -> tuple[MinuteSpan, ...]:
    spans = reader.values(entry, f"hours {quote(key)}", parse=parse_span)
    try:
        return sort_spans([span for _, span in spans])
    except ValueError as error:
        reader.fault(entry.value.location, f"hours {quote(key)}: {error}")
        return ()


def _address(text: str) -> str:
    bare = text.strip()
    if not ("@" in bare or ":" in bare or "/" in bare):
        message = f"{quote(text)} is not an address, such as anna@example.com"
        raise ValueError(message)
    return bare
