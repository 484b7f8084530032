"""Request bodies read back to what they were built from, and look as iCloud wants them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.dav import names
from busyd.dav.filter import CalendarQuery, CompFilter
from busyd.dav.href import Href, normalise_href
from busyd.dav.request import CalendarMultiget, Propfind, Selection, SyncCollection, WindowQuery
from busyd.dav.xml import NotXml, parse_xml
from busyd.period import EARLIEST, LATEST, Instant, Period
from tests.dav.server_side import read_multiget, read_propfind, read_sync_collection
from tests.wire.recording import NAMES, recording

PROPERTIES = st.lists(st.sampled_from([names.GETETAG, names.GETCTAG, names.CALENDAR_DATA, "{urn:x}y"])).map(tuple)
TOKENS = st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
HREFS = st.lists(st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: normalise_href("/" + text)))


@given(PROPERTIES)
def test_a_propfind_reads_back(properties: tuple[str, ...]) -> None:
    assert read_propfind(Propfind(properties).to_xml()) == Propfind(properties)


@given(TOKENS, PROPERTIES)
def test_a_sync_collection_reads_back(token: str | None, properties: tuple[str, ...]) -> None:
    value = SyncCollection(token, properties)
    assert read_sync_collection(value.to_xml()) == value


@given(HREFS.map(tuple), PROPERTIES)
def test_a_multiget_reads_back(hrefs: tuple[Href, ...], properties: tuple[str, ...]) -> None:
    value = CalendarMultiget(hrefs, properties)
    assert read_multiget(value.to_xml()) == value


@given(st.integers(EARLIEST, LATEST - 1), st.integers(1, 10**9))
def test_a_query_for_a_window_reads_back(start: int, length: int) -> None:
    window = Period(Instant(start), Instant(min(start + length, LATEST)))
    read = CalendarQuery.from_xml(parse_xml(WindowQuery(window).to_xml()))
    assert read == CalendarQuery(
        CompFilter("VCALENDAR", components=(CompFilter("VEVENT", window=window),)), (names.GETETAG,), Selection.NAMED
    )


@pytest.mark.parametrize("value", [Propfind((names.GETCTAG,)), SyncCollection("a&b"), CalendarMultiget(())])
def test_every_element_is_prefixed_and_nothing_stands_before_the_declaration(
    value: Propfind | SyncCollection | CalendarMultiget,
) -> None:
    """A prefixed root around default-namespace children gets 400 from iCloud, and so does a byte before <?xml."""
    document = value.to_xml()
    assert document.startswith(b"<?xml")
    assert b"xmlns=" not in document
    assert all(element.prefix for element in parse_xml(document).iter())


def test_a_name_that_looks_like_markup_is_escaped() -> None:
    value = CalendarMultiget((normalise_href("/c/a&b<c>.ics"),))
    assert read_multiget(value.to_xml()).hrefs == ("/c/a%26b%3Cc%3E.ics",)


def test_a_sync_collection_asks_for_one_level_without_a_limit() -> None:
    root = parse_xml(SyncCollection(None).to_xml())
    assert [child.tag for child in root] == [names.SYNC_TOKEN, names.SYNC_LEVEL, names.PROP]
    assert root.findtext(names.SYNC_LEVEL) == "1"
    assert not root.findtext(names.SYNC_TOKEN)


def test_requests_of_other_clients_are_understood() -> None:
    asked = recording("30-sync-initial")
    assert read_sync_collection(asked.request_body) == SyncCollection(None, (names.GETETAG,))
    bodies = [recording(name).request_body for name in NAMES]
    multigets = [body for body in bodies if b"calendar-multiget" in body and b" bytes]..." not in body]
    assert sum(len(read_multiget(body).hrefs) for body in multigets) > 20


@pytest.mark.parametrize(
    "document", [b"<a/>", b"<propfind xmlns='DAV:'/>", b"<propfind xmlns='DAV:'><allprop/></propfind>"]
)
def test_what_names_no_properties_is_no_propfind_of_ours(document: bytes) -> None:
    with pytest.raises(NotXml):
        read_propfind(document)
