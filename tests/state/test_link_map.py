"""The inverse of all links says what a look through all of them would."""

from hypothesis import given
from hypothesis import strategies as st

from busyd.availability.profile import Profile
from busyd.connection import CalendarReference
from busyd.state.link_map import LinkMap
from busyd.state.links import CalendarRole, Link

NAMES = st.sampled_from(["anna", "bob", "cleo"])
CONNECTIONS = st.sampled_from(["home", "team", "club"])
LINKS = st.builds(
    lambda connection, calendar, zone: Link(
        CalendarReference(connection, "*"), CalendarRole.CONFLICT, "", calendar, zone=zone
    ),
    CONNECTIONS,
    st.none() | st.integers(1, 5),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)
STEPS = st.lists(st.tuples(NAMES, st.none() | st.tuples(CONNECTIONS, st.lists(LINKS, max_size=4))), max_size=12)


@given(STEPS)
def test_it_holds_what_the_links_in_force_say(steps: list[tuple[str, tuple[str, list[Link]] | None]]) -> None:
    links, plain = LinkMap(), dict[str, tuple[str, list[Link]]]()
    for name, new in steps:
        if new is None:
            links.forget(name)
            plain.pop(name, None)
        else:
            connection, own = new
            links.set(Profile(name, conflicts=(CalendarReference(connection, "*"),)), own)
            plain[name] = new
        for calendar in range(1, 6):
            found = {
                (profile, link.zone) for profile, (_, own) in plain.items() for link in own if link.calendar == calendar
            }
            assert links.profiles_of(calendar) == {profile for profile, _ in found}
            assert links.zones_of(calendar) == {zone for _, zone in found}
            assert (calendar in links.calendars) == bool(found)
        for connection in ("home", "team", "club"):
            assert links.profiles_naming(connection) == {
                profile
                for profile, (named, own) in plain.items()
                if connection in {named, *(link.reference.connection for link in own)}
            }
