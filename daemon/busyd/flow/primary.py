"""The calendar that appointments of a profile are written to."""

from busyd.connection import FEEDS
from busyd.flow.membership import NotProven
from busyd.flow.wishes import NoPrimary, ReadOnlyCalendar
from busyd.state.links import CalendarRole
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.store.mirror import CalendarRecord


def find_primary(state: State, profile_state: ProfileState) -> CalendarRecord:
    """The calendar that is written to. Raises NoPrimary, ReadOnlyCalendar, NotProven."""
    name = profile_state.profile.name
    link = next((link for link in profile_state.links if link.role is CalendarRole.PRIMARY), None)
    record = state.calendars.get(link.calendar or 0) if link is not None else None
    if link is None:
        message = f"the profile {name} has no primary calendar to write to"
        raise NoPrimary(message, fix=f"set `primary: CONNECTION/CALENDAR` of the profile {name}")
    if record is None and not state.connection_state(link.reference.connection).listed:
        message = f"the calendars of {link.reference.connection} have not been listed yet"
        raise NotProven(message)
    if record is None:
        message = f"the primary calendar {link.label} is not there"
        raise NoPrimary(message, fix=link.trouble or "GET /v1/status says what is wrong with it")
    if not record.remote.writable or record.remote.kind in FEEDS:
        message = f"the primary calendar {link.label} cannot be written to"
        raise ReadOnlyCalendar(message, fix="take another one as `primary:`, or ask its owner for the right")
    return record
