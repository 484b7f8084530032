"""Zones: our tables against the standard library's, the order in which a TZID is looked up, the choice of the data."""

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from busyd.ical import tzfile, zone_names, zones
from busyd.ical.vtimezone import UnreadableDefinition, read_definition
from busyd.ical.zones import Zones, find_zone, reading_zone, tzdata_version
from tests.ical.objects import busy, calendar, event, spans

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = sorted(set(tzfile.zone_names().values()) - {"Factory"})
WEEK = 604_800
BERLIN_RULES = (
    "BEGIN:STANDARD\nDTSTART:16010101T030000\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\n"
    "TZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\n"
    "BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\n"
    "TZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nEND:DAYLIGHT\n"
)


@pytest.mark.parametrize("name", NAMES)
def test_every_zone_agrees_with_the_standard_library_in_both_directions(name: str) -> None:
    zone = find_zone(name)
    data = tzfile._read(name)
    assert zone is not None
    assert data is not None
    reference = ZoneInfo.from_file(BytesIO(data))
    chance = random.Random(name)
    for _ in range(40):
        at = EPOCH + timedelta(seconds=chance.randrange(-4_000_000_000, 8_000_000_000))
        instant = int((at - EPOCH).total_seconds())
        local = at.astimezone(reference)
        assert zone.wall(instant) == int((local.replace(tzinfo=UTC) - EPOCH).total_seconds())
        naive = at.replace(tzinfo=reference, fold=0)
        assert zone.instant(instant) == int((naive.astimezone(UTC) - EPOCH).total_seconds())


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin"])
def test_around_clock_changes_the_offset_before_the_change_holds_for_gaps_and_overlaps(name: str) -> None:
    zone = reading_zone(name)
    reference = ZoneInfo.from_file(BytesIO(tzfile._read(name) or b""))
    for minute in range(0, 366 * 24 * 60, 15):
        wall = 1767225600 + minute * 60
        naive = (EPOCH + timedelta(seconds=wall)).replace(tzinfo=reference, fold=0)
        assert zone.instant(wall) == int((naive.astimezone(UTC) - EPOCH).total_seconds())


def test_many_wall_times_at_once_are_the_same_as_one_by_one() -> None:
    zone = reading_zone("America/New_York")
    walls = sorted(random.Random(3).randrange(-(10**10), 2 * 10**10) for _ in range(500))
    assert zone.instants(walls) == [zone.instant(wall) for wall in walls]
    assert zone.instants(walls[:200]) == [zone.instant(wall) for wall in walls[:200]]


def test_pieces_of_one_offset_cover_a_span_of_wall_times_without_gap() -> None:
    zone = reading_zone("Europe/Berlin")
    pieces = list(zone.pieces(1767225600, 1798761600))
    assert len(pieces) == 3
    assert (pieces[0][0], pieces[-1][1]) == (1767225600, 1798761600)
    for first, last, offset in pieces:
        assert zone.instant(first) == first - offset
        assert zone.instant(last) == last - offset


@pytest.mark.parametrize(
    ("tzid", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("US/Eastern", "US/Eastern"),
        ("/freeassociation.sourceforge.net/Europe/Berlin", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/Tzfile/Europe/Berlin", "Europe/Berlin"),
        ("/mozilla.org/20050126_1/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("/Europe/Stockholm", "Europe/Stockholm"),
        ("/freeassociation.sourceforge.net/Tzfile/europe/berlin", "Europe/Berlin"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("Qyzylorda Standard Time", "Asia/Qyzylorda"),
        ('"Europe/Berlin"', "Europe/Berlin"),
    ],
)
def test_a_tzid_is_found_by_name_vendor_prefix_or_windows_name(tzid: str, name: str) -> None:
    found, meant = find_zone(tzid), reading_zone(name)
    assert found is not None
    assert [found.instant(week * WEEK) for week in range(3000)] == [meant.instant(week * WEEK) for week in range(3000)]


@pytest.mark.parametrize(
    "tzid", ["", "../../etc/passwd", "/etc/passwd", "tzdata.zi", "posix/UTC", "Nowhere/Land", "\0", "x" * 9000]
)
def test_what_is_no_zone_is_not_found(tzid: str) -> None:
    assert find_zone(tzid) is None


def test_every_windows_zone_of_cldr_leads_to_a_zone() -> None:
    table = zone_names._ids()
    assert len(table) >= 139
    assert [name for name in table if find_zone(name) is None] == []


@pytest.mark.parametrize("tag", ["Begin:VTIMEZONE", "END:vtimezone", "begin:vtimezone", "END:STANDARD", "tzid:foo"])
def test_a_definition_is_found_in_whatever_case_it_is_written(tag: str) -> None:
    standard = "BEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0500\r\nTZOFFSETTO:+0500\r\nEND:STANDARD"
    zone = re.sub(tag, tag, f"BEGIN:VTIMEZONE\r\nTZID:Foo\r\n{standard}\r\nEND:VTIMEZONE", flags=re.IGNORECASE)
    found = busy(calendar(zone, event("DTSTART;TZID=Foo:20260601T110000", "DURATION:PT1H")))
    assert (spans(found), found.problems) == (["0601T0600-0601T0700"], [])


def test_a_definition_of_the_object_is_used_only_for_a_name_nobody_else_knows() -> None:
    wrong = BERLIN_RULES.replace("0200", "0900").replace("0100", "0900")
    own = Zones(reading_zone("UTC"), [f"\nTZID:Home\n{BERLIN_RULES}", f"\nTZID:Europe/Berlin\n{wrong}"])
    home, berlin = own.of_time("Home"), own.of_time("Europe/Berlin")
    noon = 1782907200
    assert home.instant(noon) == berlin.instant(noon) == noon - 7200
    assert not own.used_reader
    assert not own.unknown


def unknown_zone(*lines: str, zone: str = "Europe/Berlin") -> tuple[list[str], list[str]]:
    """The busy time of an event, and the kinds of its problems."""
    found = busy(calendar(event(*lines)), zone=zone)
    return spans(found), [problem.kind.value for problem in found.problems]


def test_an_event_in_an_unknown_zone_may_be_anywhere_from_the_earliest_to_the_latest_time_it_may_mean() -> None:
    lasting = ["DTSTART;TZID=Nowhere/Land:20260610T120000", "DURATION:PT1H"]
    ending = ["DTSTART;TZID=Nowhere/Land:20260610T120000", "DTEND;TZID=Nowhere/Land:20260610T130000"]
    expected = (["0609T2200-0611T0100 BUSY-UNAVAILABLE"], ["unknown-zone"])
    assert unknown_zone(*lasting) == unknown_zone(*ending) == expected


def test_one_end_in_an_unknown_zone_leaves_the_other_end_known() -> None:
    begins = unknown_zone("DTSTART;TZID=Nowhere:20260610T120000", "DTEND:20260610T130000Z")
    assert begins == (["0609T2200-0610T1300 BUSY-UNAVAILABLE"], ["unknown-zone"])
    ends = unknown_zone("DTSTART:20260610T120000Z", "DTEND;TZID=Nowhere:20260610T130000")
    assert ends == (["0610T1200-0611T0100 BUSY-UNAVAILABLE"], ["unknown-zone"])
    both = unknown_zone("DTSTART;TZID=Here:20260610T120000", "DTEND;TZID=There:20260610T110000")
    assert both == (["0609T2200-0610T2300 BUSY-UNAVAILABLE"], ["unknown-zone", "unknown-zone"])


def test_every_occurrence_in_an_unknown_zone_has_its_span_and_those_taken_out_have_none() -> None:
    series = ["DTSTART;TZID=Nowhere:20260610T120000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=3"]
    taken_out = unknown_zone(*series, "EXDATE;TZID=Nowhere:20260617T120000")
    expected = ["0609T2200-0611T0100 BUSY-UNAVAILABLE", "0623T2200-0625T0100 BUSY-UNAVAILABLE"]
    assert taken_out == (expected, ["unknown-zone"])


def test_a_date_in_an_unknown_zone_takes_nothing_out_of_a_series_in_a_known_one_nor_the_reverse() -> None:
    # Read as if it were known, each of them would free a time by chance.
    known = unknown_zone("DTSTART:20260610T220000Z", "DURATION:PT1H", "EXDATE;TZID=Nowhere:20260611T120000")
    assert known == (["0610T2200-0610T2300"], ["bad-time", "unknown-zone"])
    unknown = unknown_zone("DTSTART;TZID=Nowhere:20260611T120000", "DURATION:PT1H", "EXDATE:20260610T220000Z")
    assert unknown == (["0610T2200-0612T0100 BUSY-UNAVAILABLE"], ["bad-time", "unknown-zone"])
    moved = busy(
        calendar(
            event("DTSTART:20260610T220000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=1"),
            event("RECURRENCE-ID;TZID=Nowhere:20260611T120000", "DTSTART:20260612T120000Z", "DURATION:PT1H"),
        )
    )
    assert spans(moved) == ["0610T2200-0610T2300", "0612T1200-0612T1300"]


def test_an_extra_date_in_an_unknown_zone_has_its_span() -> None:
    extra = unknown_zone("DTSTART:20260601T090000Z", "DURATION:PT1H", "RDATE;TZID=Nowhere:20260610T120000")
    assert extra[0] == ["0601T0900-0601T1000", "0609T2200-0611T0100 BUSY-UNAVAILABLE"]
    period = "RDATE;TZID=Nowhere;VALUE=PERIOD:20260610T120000/PT2H"
    extra = unknown_zone("DTSTART:20260601T090000Z", "DURATION:PT1H", period)
    assert extra[0] == ["0601T0900-0601T1000", "0609T2200-0611T0200 BUSY-UNAVAILABLE"]


@pytest.mark.parametrize(
    "line", ["TRANSP:TRANSPARENT", "STATUS:CANCELLED", "DURATION:PT0S", "DTEND;TZID=Nowhere:20260610T120000"]
)
def test_what_blocks_nothing_does_not_block_in_an_unknown_zone_either(line: str) -> None:
    assert unknown_zone("DTSTART;TZID=Nowhere:20260610T120000", line)[0] == []


def test_floating_times_of_a_feed_whose_own_zone_is_unknown_may_be_anywhere() -> None:
    floating = event("DTSTART:20260610T120000", "DURATION:PT1H", uid="a")
    found = busy(calendar("X-WR-TIMEZONE:Nowhere", floating, event("DTSTART:20260601T120000Z", "DURATION:PT1H")))
    assert spans(found) == ["0601T1200-0601T1300", "0609T2200-0611T0100 BUSY-UNAVAILABLE"]


def test_availability_in_an_unknown_zone_makes_nobody_available() -> None:
    available = (
        "BEGIN:AVAILABLE", "UID:b", "DTSTART;TZID=Nowhere:20260610T090000", "DTEND;TZID=Nowhere:20260610T170000",
        "END:AVAILABLE",
    )  # fmt: skip
    found = busy(calendar("BEGIN:VAVAILABILITY", "UID:a", *available, "END:VAVAILABILITY"))
    assert spans(found) == ["0601T0000-0701T0000 BUSY-UNAVAILABLE"]


@pytest.mark.parametrize(
    ("tzid", "name"),
    [
        ("(UTC-08:00) Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("(GMT+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Berlin"),
        ("(UTC+01:00) amsterdam, berlin, bern, rome, stockholm, vienna 1", "Europe/Berlin"),
        ("(UTC) Coordinated Universal Time", "UTC"),
        ("W. Europe Standard Time 1", "Europe/Berlin"),
        ("W. Europe Daylight Time", "Europe/Berlin"),
        ("Russia Time Zone 10", "Asia/Srednekolymsk"),
    ],
)
def test_windows_zones_are_known_as_they_are_shown_and_with_a_number_behind_them(tzid: str, name: str) -> None:
    found, meant = find_zone(tzid), reading_zone(name)
    assert found is not None
    assert [found.instant(week * WEEK) for week in range(3000)] == [meant.instant(week * WEEK) for week in range(3000)]


def test_every_name_that_windows_shows_leads_to_a_zone() -> None:
    shown = zone_names._shown_names()
    assert len(shown) >= 140
    assert [name for name in shown if find_zone(name) is None] == []


@pytest.mark.parametrize(
    ("tzid", "hours"),
    [
        ("UTC+01", 1), ("UTC+01:00", 1), ("GMT-0400", -4), ("+0100", 1), ("GMT+5:30", 5.5), ("(UTC-03:00)", -3),
        ("utc+14", 14), ("CEST", 2), ("PST", -8), ("PDT", -7), ("(UTC)", 0), ("Z", 0),
    ],
)  # fmt: skip
def test_an_offset_or_an_abbreviation_in_the_place_of_a_name_is_meant_as_people_write_it(
    tzid: str, hours: float
) -> None:
    found = busy(calendar(event(f"DTSTART;TZID={tzid}:20260610T120000", "DURATION:PT1H")), zone="Asia/Tokyo")
    start = datetime(2026, 6, 10, 12, tzinfo=UTC) - timedelta(hours=hours)
    assert [period[0] for period in found.periods] == [start.timestamp()]
    assert [problem.kind.value for problem in found.problems] == ["forgiven"]


@pytest.mark.parametrize("tzid", ["UTC+15", "UTC+1:75", "CST", "BST", "IST", "UTC", "Europe/Berlin", "+", "Kerio City"])
def test_an_offset_nobody_has_and_an_abbreviation_of_several_meanings_are_no_offset(tzid: str) -> None:
    assert zone_names.fixed_zone(tzid) is None


def test_a_definition_of_the_object_goes_before_what_its_name_seems_to_say() -> None:
    own = Zones(reading_zone("UTC"), [f"\nTZID:UTC+09:00\n{BERLIN_RULES}"])
    assert own.named("UTC+09:00").instant(1782907200) == 1782907200 - 7200


def test_the_persons_own_names_go_before_windows_and_the_object_and_after_iana() -> None:
    names = {"kerio city": "Europe/Prague", "w. europe standard time": "Asia/Tokyo", "europe/berlin": "Asia/Tokyo"}
    own = Zones(reading_zone("UTC"), [f"\nTZID:Kerio City\n{BERLIN_RULES}"], own=names)
    assert own.named("Kerio City") is find_zone("Europe/Prague")
    assert own.named('"kerio  CITY"'.replace("  ", " ")) is find_zone("Europe/Prague")
    assert own.named("W. Europe Standard Time") is find_zone("Asia/Tokyo")
    assert own.named("Europe/Berlin") is find_zone("Europe/Berlin")


def test_an_unreadable_definition_leads_to_its_location() -> None:
    own = Zones(reading_zone("UTC"), ["\nTZID:Home\nX-LIC-LOCATION:Europe/Berlin"])
    assert own.named("Home") is find_zone("Europe/Berlin")


@pytest.mark.parametrize(
    "block",
    ["", "\nTZID:x", BERLIN_RULES.replace("YEARLY", "SECONDLY"), BERLIN_RULES.replace("+0100", "soon")],
)
def test_a_definition_that_defines_nothing_is_refused(block: str) -> None:
    with pytest.raises(UnreadableDefinition):
        read_definition("Home", f"\n{block}")


def test_the_first_observance_holds_for_all_time_before_it_and_the_rules_for_all_time_after() -> None:
    late = f"\n{BERLIN_RULES.replace('16010101', '19700101')}"
    zone = read_definition("Home", late)
    assert zone.instant(-10_000_000_000) == -10_000_000_000 - 3600
    berlin = reading_zone("Europe/Berlin")
    years = [86_400 * 365 * year + 15_000_000 for year in range(30, 800, 7)]
    assert [zone.instant(wall) for wall in years] == [berlin.instant(wall) for wall in years]


@pytest.fixture
def fresh_data() -> Iterator[None]:
    """Forget what was read of time zone data, before and after."""
    tables = (tzfile.load_zone, tzfile.zone_names, zones.find_zone, zones._database_zone)
    caches = (tzfile.tzdata_version, tzfile._system, tzfile._package_version, *tables)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("fresh_data")
@pytest.mark.parametrize(("release", "wins"), [("9999a", True), ("1999a", False)])
def test_the_newer_of_the_systems_and_the_packages_data_is_used(
    release: str, wins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Europe").mkdir()
    tokyo = tzfile._package_file("Asia/Tokyo")
    for name in ("UTC", "Europe/Berlin"):
        (tmp_path / name).write_bytes(tokyo)
    (tmp_path / "tzdata.zi").write_text(f"# version {release}\n")
    monkeypatch.setattr(tzfile, "TZPATH", (str(tmp_path),))
    assert (tzdata_version() == release) is wins
    assert reading_zone("Europe/Berlin").instant(0) == (-32400 if wins else -3600)


@pytest.mark.usefixtures("fresh_data")
def test_a_zone_that_only_the_newer_data_of_the_system_knows_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UTC", "Moon", "Base"):
        (tmp_path / name).write_bytes(tzfile._package_file("Asia/Tokyo"))
    (tmp_path / "tzdata.zi").write_text("# version 9999a\nR d 1916 o - Jun 14 23s 1 S\nZ Moon 9 - JST\nL Moon Base\n")
    monkeypatch.setattr(tzfile, "TZPATH", (str(tmp_path),))
    assert zones.iana_zone("Moon") is not None
    assert zones.iana_zone("Base") is not None
    assert zones.similar_name("mooon") == "Moon"
