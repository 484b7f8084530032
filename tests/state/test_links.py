"""From what the user wrote to the calendars that are there, also after they were renamed, unshared or made again."""

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.connection import CalendarKind, CalendarReference, RemoteCalendar
from busyd.state.links import Link, resolve_links
from busyd.store.mirror import CalendarRecord


def calendar(name: str, number: int, *, gone: bool = False, **others: object) -> CalendarRecord:
    remote = RemoteCalendar(f"/1/calendars/{name.lower()}-{number}/", name, **others)  # type: ignore[arg-type]
    return CalendarRecord(number, "anna", remote, gone=gone)


WORK, HOME = calendar("Work", 1), calendar("Home", 2)
HOLIDAYS = calendar("Holidays", 3, kind=CalendarKind.SUBSCRIBED, source="https://example.org/h.ics")
HIDDEN = calendar("Ideas", 4, transparent=True)


def ref(text: str) -> CalendarReference:
    return CalendarReference.parse(text)


def links(
    profile: Profile, *records: CalendarRecord, remembered: dict[str, str] | None = None, listed: bool = True
) -> tuple[Link, ...]:
    known = {"anna": records} if listed else {}
    return resolve_links(profile, known, remembered=remembered or {}, machine_zone="UTC")


def test_the_wildcard_leaves_out_the_primary_the_transparent_and_the_subscribed() -> None:
    profile = Profile("anna", primary=ref("anna/Work"), conflicts=(ref("anna/*"),))
    found = links(profile, WORK, HOME, HOLIDAYS, HIDDEN)
    assert [link.label for link in found] == ["anna/Work", "anna/Home"]


def test_a_calendar_named_by_itself_always_counts() -> None:
    profile = Profile("anna", conflicts=(ref("anna/Ideas"), ref("anna/Holidays")))
    assert [link.calendar for link in links(profile, WORK, HOLIDAYS, HIDDEN)] == [4, 3]


def test_a_calendar_named_twice_counts_once() -> None:
    profile = Profile("anna", primary=ref("anna/Work"), conflicts=(ref("anna/Work"), ref("anna/work-1"), ref("anna/*")))
    assert [link.calendar for link in links(profile, WORK, HOME)] == [1, 2]


def test_a_primary_that_does_not_block_counts_when_it_is_named_as_conflict() -> None:
    profile = Profile("anna", primary=ref("anna/Work"), primary_blocks=False)
    assert [link.blocks for link in links(profile, WORK)] == [False]
    both = Profile("anna", primary=ref("anna/Work"), conflicts=(ref("anna/Work"),), primary_blocks=False)
    assert [link.blocks for link in links(both, WORK)] == [True]


def test_a_renamed_calendar_is_still_meant() -> None:
    renamed = calendar("Büro", 1)
    profile = Profile("anna", conflicts=(ref("anna/Work"),))
    assert links(profile, renamed, HOME, remembered={"anna/Work": renamed.remote.href})[0].calendar == 1


def test_a_new_calendar_with_the_old_name_does_not_take_the_link_over() -> None:
    renamed, other = calendar("Büro", 1), calendar("Work", 9)
    profile = Profile("anna", conflicts=(ref("anna/Work"),))
    assert links(profile, renamed, other, remembered={"anna/Work": renamed.remote.href})[0].calendar == 1


def test_a_calendar_made_again_takes_over_once_the_old_one_is_gone() -> None:
    old, new = calendar("Work", 1, gone=True), calendar("Work", 9)
    profile = Profile("anna", conflicts=(ref("anna/Work"),))
    assert links(profile, old, new, remembered={"anna/Work": old.remote.href})[0].calendar == 9


def test_a_calendar_that_is_gone_keeps_its_link_while_there_is_no_other() -> None:
    old = calendar("Work", 1, gone=True)
    profile = Profile("anna", conflicts=(ref("anna/Work"),))
    assert links(profile, old, HOME, remembered={"anna/Work": old.remote.href})[0].calendar == 1


def test_two_calendars_of_one_name_lead_nowhere_and_both_ids_are_told() -> None:
    found = links(Profile("anna", conflicts=(ref("anna/Work"),)), WORK, calendar("Work", 9))
    assert found[0].calendar is None
    assert "work-1" in found[0].trouble
    assert "work-9" in found[0].trouble


def test_a_calendar_that_does_not_exist_is_told_with_those_that_do() -> None:
    found = links(Profile("anna", conflicts=(ref("anna/Wrok"),)), WORK, HOME)
    assert found[0].calendar is None
    assert "Home, Work" in found[0].trouble


def test_a_connection_never_listed_leaves_its_wildcard_unknown() -> None:
    found = links(Profile("anna", conflicts=(ref("anna/*"),)), listed=False)
    assert [(link.calendar, bool(link.trouble)) for link in found] == [(None, True)]


def test_rules_of_one_calendar_are_found_by_name_and_by_id() -> None:
    free = Rules(all_day="free")
    for written in ("anna/Home", "anna/home-2"):
        profile = Profile("anna", conflicts=(ref("anna/*"),), calendar_rules={ref(written): free})
        assert [link.rules for link in links(profile, WORK, HOME)] == [Rules(), free]


def test_rules_of_all_calendars_give_way_to_those_of_a_single_one() -> None:
    free, busy = Rules(all_day="free"), Rules(all_day="busy")
    profile = Profile("anna", conflicts=(ref("anna/*"),), calendar_rules={ref("anna/*"): free, ref("anna/Home"): busy})
    assert [link.rules for link in links(profile, WORK, HOME)] == [free, busy]


def test_the_zone_is_the_profiles_else_the_calendars_else_the_machines() -> None:
    own = calendar("Home", 2, timezone="Asia/Tokyo")
    everything = (ref("anna/*"),)
    assert [link.zone for link in links(Profile("anna", conflicts=everything), WORK, own)] == ["UTC", "Asia/Tokyo"]
    profile = Profile("anna", timezone="Europe/Berlin", conflicts=everything)
    assert {link.zone for link in links(profile, WORK, own)} == {"Europe/Berlin"}


def test_a_calendar_zone_that_is_none_is_passed_over_and_a_windows_one_translated() -> None:
    made_up = calendar("Home", 2, timezone="My Office")
    windows = calendar("Team", 3, timezone="W. Europe Standard Time")
    assert [link.zone for link in links(Profile("anna", conflicts=(ref("anna/*"),)), made_up, windows)] == [
        "UTC",
        "Europe/Berlin",
    ]


def test_a_wildcard_of_a_connection_that_does_not_show_all_of_its_calendars_leaves_time_unknown() -> None:
    profile = Profile("anna", conflicts=(ref("anna/Work"), ref("anna/*")))
    found = resolve_links(
        profile, {"anna": (WORK, HOME)}, remembered={}, machine_zone="UTC", partial={"anna": "only a part is listed"}
    )
    assert [(link.label, link.calendar) for link in found] == [("anna/Work", 1), ("anna/Home", 2), ("anna/*", None)]
    assert found[2].trouble == "only a part is listed; name the calendars that count instead of anna/*"
    named = Profile("anna", conflicts=(ref("anna/Work"),))
    assert len(resolve_links(named, {"anna": (WORK,)}, remembered={}, machine_zone="UTC", partial={"anna": "x"})) == 1


FREE, BUSY = Rules(all_day="free"), Rules(all_day="busy")


def rules_of(found: tuple[Link, ...]) -> dict[int | None, str]:
    return {link.calendar: link.rules.all_day for link in found}


def ruled(**rules: Rules) -> Profile:
    return Profile("anna", conflicts=(ref("anna/*"),), calendar_rules={ref(f"anna/{n}"): r for n, r in rules.items()})


def test_rules_stay_with_a_calendar_that_was_renamed_and_say_so() -> None:
    renamed = calendar("Büro", 1)
    found = links(ruled(Work=BUSY), renamed, HOME, remembered={"anna/Work": renamed.remote.href})
    assert rules_of(found) == {1: "busy", 2: "as-marked"}
    assert "go on applying to it; write anna/büro-1 under `calendars`" in found[0].note
    assert found[1].note == ""


def test_rules_do_not_go_over_to_a_calendar_that_takes_the_name() -> None:
    old, other = calendar("Old", 1), calendar("Birthdays", 2)
    found = links(ruled(Birthdays=FREE), old, other, remembered={"anna/Birthdays": old.remote.href})
    assert rules_of(found) == {1: "free", 2: "as-marked"}
    assert "not to the one that is called 'Birthdays' now" in found[0].note


def test_rules_of_a_calendar_that_is_gone_go_to_the_one_made_again_under_its_name() -> None:
    again = calendar("Work", 7)
    found = links(ruled(Work=BUSY), calendar("Work", 1, gone=True), again, remembered={"anna/Work": WORK.remote.href})
    assert (rules_of(found), found[0].note) == ({7: "busy"}, "")


def test_rules_for_a_name_that_two_calendars_bear_count_for_both() -> None:
    assert rules_of(links(ruled(Work=BUSY), WORK, calendar("Work", 5))) == {1: "busy", 5: "busy"}


def test_rules_for_a_name_or_an_id_count_whatever_its_case() -> None:
    profile = Profile(
        "anna", conflicts=(ref("anna/*"),), calendar_rules={ref("anna/work"): BUSY, ref("anna/home-2"): FREE}
    )
    assert rules_of(links(profile, WORK, HOME)) == {1: "busy", 2: "free"}
