"""What is written is read back, and a status counts only for what stands beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.dav import names
from busyd.dav.href import Href, normalise_href
from busyd.dav.multistatus import MemberResponse, Multistatus, Property, PropStat, parse_status
from busyd.dav.xml import NotXml
from tests.dav.server_side import write_multistatus

XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\r\n"), max_size=20)
NAMES = st.sampled_from([names.GETETAG, names.DISPLAYNAME, names.RESOURCETYPE, names.GETCTAG, "{urn:x}y", "bare"])
ATTRIBUTES = st.dictionaries(st.sampled_from(["name", "preferred"]), XML_TEXT).map(
    lambda found: tuple(sorted(found.items()))
)
LEAVES = st.builds(Property, NAMES, XML_TEXT, st.just(()), ATTRIBUTES)
PROPERTIES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        Property, NAMES, st.just(""), st.lists(inner, min_size=1, max_size=3).map(tuple), ATTRIBUTES
    ),
    max_leaves=6,
)
STATUSES = st.none() | st.sampled_from([200, 207, 403, 404, 424, 507])
PROPSTATS = st.builds(PropStat, STATUSES, st.lists(PROPERTIES, max_size=3).map(tuple))
MEMBERS = st.builds(
    lambda href, propstats, status: MemberResponse(href, propstats, status, spelling=href),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10).map(lambda name: normalise_href("/" + name)),
    st.lists(PROPSTATS, max_size=2).map(tuple),
    STATUSES,
)
TOKENS = st.none() | XML_TEXT.map(str.strip).filter(bool)


@given(st.builds(Multistatus, st.lists(MEMBERS, max_size=4).map(tuple), TOKENS))
def test_what_is_written_is_read_back(value: Multistatus) -> None:
    assert Multistatus.from_xml(write_multistatus(value)) == value


def test_an_empty_property_among_the_missing_never_hides_the_one_that_was_found() -> None:
    found = PropStat(200, (Property(names.DISPLAYNAME, "Work"),))
    missing = PropStat(404, (Property(names.DISPLAYNAME),))
    for order in ((found, missing), (missing, found)):
        assert MemberResponse(Href("/x"), order).text(names.DISPLAYNAME) == "Work"
    assert MemberResponse(Href("/x"), (missing,)).find(names.DISPLAYNAME) is None


def test_an_empty_status_line_counts_as_not_found() -> None:
    """QUIRK(icloud): an empty status line was seen once."""
    document = (
        b"<multistatus xmlns='DAV:'><response><href>/x</href><propstat><prop><displayname>Old</displayname></prop>"
        b"<status></status></propstat></response></multistatus>"
    )
    (member,) = Multistatus.from_xml(document).responses
    assert member.propstats[0].status is None
    assert member.text(names.DISPLAYNAME) is None


def test_cdata_and_the_elements_around_it_are_transparent() -> None:
    document = (
        b"<multistatus xmlns='DAV:'><response><href>\n /x </href><propstat><prop>\n\n<calendar-data "
        b"xmlns='urn:ietf:params:xml:ns:caldav'><![CDATA[BEGIN:VCALENDAR\r\n&<x>]]>\n</calendar-data></prop>"
        b"<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>"
    )
    (member,) = Multistatus.from_xml(document).responses
    assert (member.href, member.text(names.CALENDAR_DATA)) == ("/x", "BEGIN:VCALENDAR\n&<x>")


def test_a_token_counts_wherever_it_stands_below_the_root_and_nowhere_else() -> None:
    inner = b"<response><href>/x</href><propstat><prop><sync-token>inner</sync-token></prop></propstat></response>"
    first = b"<multistatus xmlns='DAV:'><sync-token> t+/= \n</sync-token>" + inner + b"</multistatus>"
    assert Multistatus.from_xml(first).sync_token == "t+/="
    assert Multistatus.from_xml(b"<multistatus xmlns='DAV:'>" + inner + b"</multistatus>").sync_token is None


def test_one_response_may_speak_of_several_hrefs() -> None:
    document = (
        b"<multistatus xmlns='DAV:'><response><href>/a</href><href>/b</href><status>HTTP/1.1 404 Gone</status>"
        b"</response></multistatus>"
    )
    assert [(one.href, one.status) for one in Multistatus.from_xml(document).responses] == [("/a", 404), ("/b", 404)]


@pytest.mark.parametrize(
    ("href", "canonical", "spelling"),
    [
        ("/c/a@b.ics", "/c/a%40b.ics", "/c/a@b.ics"),
        ("https://dav.example.org:443/c/a@b.ics", "/c/a%40b.ics", "/c/a@b.ics"),
        ("a(1).ics", "/c/a%281%29.ics", "/c/a(1).ics"),
        ("./x.ics", "/c/x.ics", "/c/x.ics"),
    ],
)
def test_a_member_has_a_canonical_href_and_the_spelling_of_its_server(href: str, canonical: str, spelling: str) -> None:
    document = f"<multistatus xmlns='DAV:'><response><href>{href}</href></response></multistatus>"
    for base in ("https://dav.example.org/c/", "https://dav.example.org/c"):
        [member] = Multistatus.from_xml(document.encode(), base).responses
        assert (member.href, member.spelling) == (canonical, spelling)


@pytest.mark.parametrize(
    "document",
    [
        b"<error xmlns='DAV:'/>",
        b"<multistatus/>",
        b"<multistatus xmlns='DAV'/>",
        b"<multistatus xmlns='DAV:'><response><status>HTTP/1.1 404 x</status></response></multistatus>",
        b"<multistatus xmlns='DAV:'><response><href> </href></response></multistatus>",
    ],
)
def test_what_is_no_multistatus_is_refused(document: bytes) -> None:
    with pytest.raises(NotXml):
        Multistatus.from_xml(document)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HTTP/1.1 404 Not Found", 404),
        ("\n HTTP/2 200\n", 200),
        ("HTTP/1.1 2000 x", None),
        ("404", None),
        ("", None),
        (None, None),
        ("HTTP/1.1 abc", None),
        ("HTTP/1.1 99 x", None),
    ],
)
def test_a_status_line_is_read_or_unknown(line: str | None, expected: int | None) -> None:
    assert parse_status(line) == expected
