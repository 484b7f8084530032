"""What handlers see of the state: profiles, connections, calendars and problems as frozen values, made at a moment.

The address of a feed is a secret, so no value here holds more of it than its host.
"""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

from msgspec import Struct

from busyd.advice.bookings import describe_unknown
from busyd.advice.trouble import describe_missing, describe_uncounted
from busyd.availability.hours import AppointmentDefaults, Hours, SlotDefaults
from busyd.availability.snapshot import Snapshot
from busyd.connection import CalendarKind, ConnectionKind
from busyd.durations import Durations
from busyd.flow.freshness import Freshness
from busyd.ical.facts import HARMLESS, Problem, ProblemKind
from busyd.ical.zones import reading_zone
from busyd.period import Instant, to_rfc3339
from busyd.state.connection_state import ConnectionState
from busyd.state.own_rows import OwnStart
from busyd.state.problems import ObjectProblem
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.state.uncounted import much_ahead
from busyd.store.mirror import CalendarRecord


class ProfileHealth(StrEnum):
    """How far a profile can be answered for, in one word."""

    UNCONFIGURED = "unconfigured"
    """No calendar counts for it."""
    LOADING = "loading"
    """Its calendars are being read for the first time."""
    INCOMPLETE = "incomplete"
    """Some calendar was never read, or nothing can be proved to be free for another reason: no window is complete."""
    STALE = "stale"
    FRESH = "fresh"


class UnplacedEvent(Struct, frozen=True, order=True):
    """Something that may be at any time from a moment on."""

    since: int
    name: str
    """Its calendar and UID, and what is wrong with it; no title."""


class ProfileView(Struct, frozen=True):
    """One profile."""

    name: str
    timezone: str
    """IANA name of the zone in which its days begin."""
    configured_timezone: str
    """The same as the configuration has it; empty when it says nothing."""
    primary: str | None
    conflicts: tuple[str, ...]
    hours: Hours | None
    slots: SlotDefaults
    appointments: AppointmentDefaults
    max_age: timedelta
    """The shortest of the profile and its calendars."""
    state: ProfileHealth
    freshness: Freshness
    snapshot: Snapshot | None
    snapshot_version: int
    """Another number for each new snapshot of the profile."""
    revision: int
    """Another number whenever anything above changes: what was made from an older one is worth nothing."""
    own_starts: tuple[OwnStart, ...] = ()
    """When busyd's own appointments and holds of it start, in order; empty where nothing limits their number."""
    unplaced: tuple[UnplacedEvent, ...] = ()
    """What may be at any time, the earliest first; empty while the calendars are not loaded yet."""
    notes: tuple[str, ...] = ()
    """What its person should know of the calendars it names: those that are not there, and what they may have meant."""


class CalendarView(Struct, frozen=True, gc=False):
    """One calendar of a connection."""

    label: str
    """CONNECTION/NAME."""
    connection: str
    name: str
    id: str
    href: str
    """Of a feed only its host."""
    kind: CalendarKind
    writable: bool
    transparent: bool
    profiles: frozenset[str]
    """The profiles it is linked to."""
    is_complete: bool
    """Whether it was ever read completely."""
    is_missing: bool
    """Its server no longer lists it."""
    as_of: Instant | None
    trouble: str
    note: str
    """Why some of its time is not known although its server was read; empty when all of it is."""
    uncounted: str
    """That much is ahead in it although no profile names it; empty otherwise."""


class ConnectionView(Struct, frozen=True, gc=False):
    """One connection."""

    name: str
    kind: ConnectionKind
    profiles: frozenset[str]
    """The profiles that name it in the configuration."""
    trouble: str
    """What went wrong at the last poll and what to do; empty when it went well."""
    trouble_since: Instant | None
    code: str
    """What went wrong, for programs, as `Diagnosis.code`; empty when it went well."""
    has_other_password: bool
    """Its password is not an app-specific one, so it is not sent to Apple."""
    last_poll: Instant | None
    """When a poll last succeeded."""
    next_poll: Instant | None
    partial: str
    """Why it may have calendars that are not known; empty when all are."""
    requests: int
    """Requests sent to the remote since the start."""
    calendars: tuple[CalendarView, ...]
    reminders: tuple[str, ...]
    """The names of its reminders lists, which hold no events and never block."""
    polls: Durations
    """How long polls took, since the start."""
    owner: str
    """The daemon that polls it, where several share that; empty while none does."""


class ProblemView(Struct, frozen=True, gc=False):
    """Something in a calendar that could not be taken as it is."""

    calendar: str
    """The label of the calendar."""
    href: str
    uid: str
    kind: str
    reason: str
    id: str
    """Of the object as it is now: the same for all of its problems."""
    incomplete: bool
    """Its object makes windows incomplete, or would, were it not accepted."""
    accepted: str | None
    """When a person said that it does not matter; None when nobody did."""


def view_profile(
    state: State, profile_state: ProfileState, *, freshness: Freshness, revision: int, snapshot_version: int
) -> ProfileView:
    """A profile as it is now."""
    profile = profile_state.profile
    return ProfileView(
        name=profile.name,
        timezone=_timezone(state, profile_state),
        configured_timezone=profile.timezone or "",
        primary=str(profile.primary) if profile.primary is not None else None,
        conflicts=tuple(str(reference) for reference in profile.conflicts),
        hours=profile.hours,
        slots=profile.slots,
        appointments=profile.appointments,
        max_age=min((profile.max_age, *profile.calendar_max_age.values())),
        state=_health(freshness, profile_state.snapshot),
        freshness=freshness,
        snapshot=profile_state.snapshot,
        snapshot_version=snapshot_version,
        revision=revision,
        own_starts=state.own.starts(profile.name) if profile.slots.is_limited else (),
        unplaced=_unplaced(state, profile_state),
        notes=state.link_notes.about(profile.name),
    )


def view_connection(state: State, connection_state: ConnectionState) -> ConnectionView:
    """A connection as it is now, with all of its calendars; also one that a reload has just taken away."""
    name = connection_state.connection.name
    return ConnectionView(
        name=name,
        kind=connection_state.connection.kind,
        profiles=frozenset(state.links.profiles_naming(name)),
        trouble=connection_state.trouble,
        trouble_since=connection_state.trouble_since,
        code=connection_state.trouble_code,
        has_other_password=connection_state.has_other_password,
        partial=connection_state.partial,
        last_poll=connection_state.last_poll,
        next_poll=connection_state.next_poll,
        requests=connection_state.requests,
        polls=connection_state.polls,
        owner=connection_state.owner,
        reminders=connection_state.reminders,
        calendars=tuple(_view_calendar(state, connection_state, record=record) for record in state.calendars_of(name)),
    )


def view_problems(state: State, *, shared: Iterable[tuple[int, str, int, str]] = ()) -> list[ProblemView]:
    """What is wrong with single events, in the order of their calendars.

    `shared`: calendars with UIDs that several objects of theirs have, how many, and the href of one of them.
    """
    views = [view_problem(state, problem) for known in state.problems.values() for problem in known]
    views += [
        _view_shared_uid(state, uid, calendar=calendar, count=count, href=href)
        for calendar, uid, count, href in shared
        if state.zones_of(calendar)
    ]
    return sorted(views, key=lambda view: (view.calendar, view.uid, view.href))


def _view_shared_uid(state: State, uid: str, *, calendar: int, count: int, href: str) -> ProblemView:
    """What there is to say of a UID that several objects of a calendar have; `href` is that of one of them."""
    reason = f"{count} objects of the calendar have this UID; each of them counts"
    problem = Problem(ProblemKind.DUPLICATE_UID, uid, reason)
    return view_problem(state, ObjectProblem(calendar, href, problem, version=uid))


def view_problem(state: State, problem: ObjectProblem) -> ProblemView:
    """A problem with a single object."""
    record = state.calendars.get(problem.calendar)
    label, href = "", problem.href
    if record is not None:
        label = record.label
        if record.remote.kind is CalendarKind.FEED:
            href = href.replace(record.remote.href, record.remote.shown_href)
    acceptance = state.problems.accepted.get(problem.id)
    return ProblemView(
        calendar=label,
        href=href,
        uid=problem.problem.uid,
        kind=problem.problem.kind.value,
        reason=problem.problem.reason,
        id=problem.id,
        incomplete=problem.is_doubtful and problem.problem.kind not in HARMLESS,
        accepted=to_rfc3339(acceptance.at) if acceptance is not None else None,
    )


def _view_calendar(state: State, connection_state: ConnectionState, *, record: CalendarRecord) -> CalendarView:
    remote = record.remote
    since = record.missing_since
    missing = "" if since is None else describe_missing(to_rfc3339(since), is_gone=record.gone)
    names = state.unknown_events.get(record.id, ())
    unknown = describe_unknown(names) if names else ""
    profiles = frozenset(state.links.profiles_of(record.id))
    ahead = much_ahead(state.uncounted.get(record.id), record)
    return CalendarView(
        label=record.label,
        connection=record.connection,
        name=remote.name,
        id=remote.id,
        href=remote.shown_href,
        kind=remote.kind,
        writable=remote.writable,
        transparent=remote.transparent,
        profiles=profiles,
        is_complete=record.complete,
        is_missing=record.missing_since is not None,
        as_of=record.as_of,
        trouble=connection_state.calendar_trouble.get(record.id, "") or missing,
        note="; ".join(filter(None, (state.note_about(record.id), unknown))),
        uncounted=describe_uncounted(ahead) if ahead and not profiles else "",
    )


def _health(freshness: Freshness, snapshot: Snapshot | None) -> ProfileHealth:
    if not freshness.calendars:
        return ProfileHealth.UNCONFIGURED
    if snapshot is None:
        return ProfileHealth.LOADING
    if not freshness.known or snapshot.is_incomplete:
        return ProfileHealth.INCOMPLETE
    return ProfileHealth.STALE if freshness.stale else ProfileHealth.FRESH


def _unplaced(state: State, profile_state: ProfileState) -> tuple[UnplacedEvent, ...]:
    found: list[UnplacedEvent] = []
    for link in profile_state.links:
        tables = state.tables.get(link.calendar or 0, link.zone) if link.blocks else None
        for number, what in tables.incomplete.items() if tables is not None else ():
            noted = state.problems.get(number)
            uid = next((one.problem.uid for one in noted or () if one.problem.uid), "")
            event = f"event {uid}" if uid else "an event without UID"
            found.append(UnplacedEvent(what.since, f"{link.label}: {event}: {what.why}"))
    return tuple(sorted(found))


def _timezone(state: State, profile_state: ProfileState) -> str:
    """The profile's own zone, else that of its first linked calendar, else the machine's."""
    linked = next((link.zone for link in profile_state.links if link.zone), "")
    return reading_zone(profile_state.profile.timezone or linked or state.machine_zone).name
