"""The calendars of a profile that are written to."""

from busyd.connection import FEEDS
from busyd.flow.appointment_requests import NoPrimary, ReadOnlyCalendar
from busyd.flow.membership import NotProven
from busyd.state.links import CalendarRole
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.store.mirror import CalendarRecord


def find_primary(state: State, profile_state: ProfileState) -> CalendarRecord:
    """The calendar that appointments are written to. Raises NoPrimary, ReadOnlyCalendar, NotProven."""
    return _find(state, profile_state, role=CalendarRole.PRIMARY)


def find_block_calendar(state: State, profile_state: ProfileState) -> CalendarRecord:
    """The calendar that blocks are written to: the one of its own, else the primary. Raises as `find_primary`."""
    is_own = profile_state.profile.blocks is not None
    return _find(state, profile_state, role=CalendarRole.BLOCKS if is_own else CalendarRole.PRIMARY)


def _find(state: State, profile_state: ProfileState, *, role: CalendarRole) -> CalendarRecord:
    name = profile_state.profile.name
    link = next((link for link in profile_state.links if link.role is role), None)
    record = state.calendars.get(link.calendar or 0) if link is not None else None
    if link is None:
        message = f"the profile {name} has no primary calendar to write to"
        raise NoPrimary(message, fix=f"set `primary: CONNECTION/CALENDAR` of the profile {name}")
    if record is None and not state.connection_state(link.reference.connection).listed:
        message = f"the calendars of {link.reference.connection} have not been listed yet"
        raise NotProven(message)
    if record is None:
        message = f"the calendar {link.label}, which is to be written to, is not there"
        raise NoPrimary(message, fix=link.trouble or "GET /v1/status says what is wrong with it")
    if not record.remote.writable or record.remote.kind in FEEDS:
        message = f"the calendar {link.label} cannot be written to"
        raise ReadOnlyCalendar(message, fix=f"name another one as `{role.value}:`, or ask its owner for the right")
    return record
