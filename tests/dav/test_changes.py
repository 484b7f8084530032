"""What a sync report or a listing says changed, and what may never be concluded from one."""

import pytest

from busyd.dav.changes import Members, SyncDelta, list_members, sync_collection
from busyd.dav.errors import (
    Forbidden,
    InvalidSyncToken,
    LoginRefused,
    MalformedResponse,
    NotFound,
    ServerFault,
    SyncUnsupported,
    TooManyRequests,
)
from busyd.dav.href import ETag, Href
from tests.dav.script import answer, etag, exchange, member, multistatus, status
from tests.wire.recording import recording

CALENDAR = "/300/calendars/home/"
A, B = Href("/300/calendars/home/A.ics"), Href("/300/calendars/home/B%40x.ics")
SELF = member(CALENDAR, etag("kkkgopik"))
INVALID = "<?xml version='1.0' encoding='UTF-8'?><error xmlns='DAV:'><valid-sync-token/></error>"


def delta(*members: str, token: str | None = "next", calendar: str = CALENDAR) -> SyncDelta:
    found, _ = exchange(sync_collection(calendar, "before"), multistatus(*members, token=token))
    return found


def test_a_sync_asks_for_etags_only_and_sends_the_token_as_it_was() -> None:
    _, (request,) = exchange(sync_collection(CALENDAR, "HwoQ+/=="), multistatus(token="HwoQ"))
    assert (request.method, request.target, request.depth) == ("REPORT", CALENDAR, "0")
    assert b">HwoQ+/==<" in request.body
    assert b"calendar-data" not in request.body and b"limit" not in request.body


def test_changed_and_vanished_members_are_told_apart() -> None:
    found = delta(SELF, member(A, etag("1")), status("/300/calendars/home/B@x.ics", "HTTP/1.1 404 Not Found"))
    assert found == SyncDelta({A: ETag('"1"')}, frozenset({B}), "next", itself=True)


@pytest.mark.parametrize(
    "href", ["/300/calendars/home/", "/300/calendars/home", "https://p1-caldav.icloud.com/300/calendars/home"]
)
def test_the_collection_is_never_its_own_member(href: str) -> None:
    """QUIRK(icloud): most reports on a collection list the collection, with or without the slash."""
    assert delta(member(href, etag("x")), member(A, etag("1"))).changed == {A: '"1"'}
    found = delta(status(href, "HTTP/1.1 404 Not Found"), member(A, etag("1")))
    assert (found.changed, found.vanished) == ({A: '"1"'}, frozenset())


def test_a_listing_of_the_home_says_nothing_of_a_calendar_in_it() -> None:
    home, sibling = member("/300/calendars/", etag("h")), member("/300/calendars/home2/", etag("s"))
    with pytest.raises(MalformedResponse, match="other collections"):
        exchange(list_members(CALENDAR), multistatus(home, SELF, sibling))
    with pytest.raises(MalformedResponse, match="other collections"):
        exchange(list_members(CALENDAR), multistatus(SELF, sibling))


def test_a_collection_that_says_only_that_it_is_gone_is_gone() -> None:
    """QUIRK(xandikos): a 404 may come within a 207."""
    with pytest.raises(NotFound):
        delta(status(CALENDAR, "HTTP/1.1 404 Not Found"))
    with pytest.raises(NotFound):
        exchange(list_members(CALENDAR), multistatus(status(CALENDAR, "HTTP/1.1 404 Not Found")))


def test_nothing_but_a_token_means_no_change() -> None:
    assert delta() == SyncDelta({}, frozenset(), "next")


def test_a_member_without_an_etag_is_changed_all_the_same() -> None:
    assert delta(member(A, "", missing="<getetag/>")).changed == {A: ""}


def test_a_member_refused_with_a_fault_is_looked_at_and_not_dropped() -> None:
    assert delta(status(A, "HTTP/1.1 500 Fault"), status(B, "")).changed == {A: "", B: ""}


def test_a_member_listed_as_there_and_as_gone_is_there() -> None:
    found = delta(member(A, etag("1")), status(A, "HTTP/1.1 404 Not Found"))
    assert (found.changed, found.vanished) == ({A: '"1"'}, frozenset())


def test_a_truncated_answer_says_so() -> None:
    found = delta(member(A, etag("1")), status(CALENDAR, "HTTP/1.1 507 Insufficient Storage"))
    assert (found.truncated, found.token, found.changed) == (True, "next", {A: '"1"'})


def test_a_truncated_answer_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(MalformedResponse):
        delta(status(CALENDAR, "HTTP/1.1 507 Insufficient Storage"), token="before")


@pytest.mark.parametrize("members", [[], [SELF], [member(A, etag("1"))], [status(B, "HTTP/1.1 404 Not Found")]])
def test_an_answer_without_a_sync_token_is_malformed_whatever_it_names(members: list[str]) -> None:
    with pytest.raises(MalformedResponse):
        delta(*members, token=None)
    with pytest.raises(MalformedResponse):
        delta(*members, token=" ")


@pytest.mark.parametrize(
    ("href", "canonical", "spelled"),
    [
        ("/300/calendars/home/B@x.ics", B, "/300/calendars/home/B@x.ics"),
        ("https://p1-caldav.icloud.com/300/calendars/home/B@x.ics", B, "/300/calendars/home/B@x.ics"),
        ("B@x.ics", B, "/300/calendars/home/B@x.ics"),
        ("/300/calendars/home/1:(2)+.ics", "/300/calendars/home/1%3A%282%29%2B.ics", "/300/calendars/home/1:(2)+.ics"),
        ("/300/calendars/home/a%2fb.ics", "/300/calendars/home/a%2Fb.ics", "/300/calendars/home/a%2fb.ics"),
        ("/300/calendars/home/A.ics/", A, "/300/calendars/home/A.ics/"),
        (A, A, None),
        ("/300/calendars/home/a b.ics", "/300/calendars/home/a%20b.ics", None),
    ],
)
def test_a_member_is_compared_by_its_canonical_href_and_asked_for_as_it_is_spelled(
    href: str, canonical: str, spelled: str | None
) -> None:
    expected = {} if spelled is None else {canonical: spelled}
    found = delta(member(href, etag("1")))
    assert (found.changed, found.spelled) == ({canonical: '"1"'}, expected)
    listed, _ = exchange(list_members(CALENDAR), multistatus(SELF, member(href, etag("1"))))
    assert (listed.etags, listed.spelled) == ({canonical: '"1"'}, expected)
    assert delta(status(href, "HTTP/1.1 404 Not Found")).vanished == {canonical}


@pytest.mark.parametrize(
    "given", [answer(403, INVALID), answer(403), answer(409), answer(410), answer(403, "<html>403</html>")]
)
def test_a_refused_token_means_start_over(given: object) -> None:
    """QUIRK(icloud): an expired token may be a 403 without a word."""
    with pytest.raises(InvalidSyncToken):
        exchange(sync_collection(CALENDAR, "old"), given)  # type: ignore[arg-type]


def test_without_a_token_the_same_refusals_are_real() -> None:
    for refused, error in ((answer(403), Forbidden), (answer(410), NotFound), (answer(403, INVALID), Forbidden)):
        with pytest.raises(error):
            exchange(sync_collection(CALENDAR, None), refused)


@pytest.mark.parametrize("status_code", [400, 405, 415, 501, 507])
def test_a_server_without_the_report_is_recognised(status_code: int) -> None:
    for token in (None, "old"):
        with pytest.raises(SyncUnsupported):
            exchange(sync_collection(CALENDAR, token), answer(status_code))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(401), LoginRefused),
        (answer(404), NotFound),
        (answer(429), TooManyRequests),
        (answer(503, Retry_After="1"), TooManyRequests),
        (answer(500), ServerFault),
        (answer(503), ServerFault),
        (answer(502), ServerFault),
        (answer(207, "<html/>"), MalformedResponse),
        (answer(207, ""), MalformedResponse),
        (answer(200, multistatus().body), MalformedResponse),
    ],
)
def test_other_answers_are_no_word_about_any_member(given: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        exchange(sync_collection(CALENDAR, "old"), given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["30-sync-initial", "30-sync-initial-depth1", "30-sync-initial-no-depth", "30-sync-level-infinite"]
)
def test_apples_server_lists_everything_for_an_empty_token(name: str) -> None:
    given = recording(name)
    found, _ = exchange(sync_collection(given.path, None), given.response)
    assert len(found.changed) > 5
    assert all(href.endswith(".ics") and tag for href, tag in found.changed.items())
    assert (found.vanished, found.truncated, (found.token or "")[:6]) == (frozenset(), False, "data:,")


@pytest.mark.parametrize(
    ("name", "changed", "vanished"),
    [
        ("31-sync-nochange", 0, 0),
        ("32-sync-one-new", 1, 0),
        ("32-sync-one-new-calendar-data", 1, 0),
        ("33-sync-one-changed", 1, 0),
        ("34-sync-one-deleted", 0, 1),
        ("34-sync-created-and-deleted-since", 0, 1),
        ("35-sync-token-other-config-hash", 0, 1),
        ("57-sync-after-identical-put", 1, 0),
        ("57-sync-after-proppatch", 0, 0),
        ("61-sync-after-delete-recreate", 1, 0),
        ("61-sync-after-rename", 1, 1),
        ("61-sync-move-source", 0, 1),
        ("61-sync-move-target", 1, 0),
    ],
)
def test_apples_server_reports_each_kind_of_change(name: str, changed: int, vanished: int) -> None:
    given = recording(name)
    found, _ = exchange(sync_collection(given.path, "data:,1_1/x"), given.response)
    assert (len(found.changed), len(found.vanished)) == (changed, vanished)
    assert found.token


@pytest.mark.parametrize(
    "name", ["35-sync-bad-token", "35-sync-bad-token-plain", "35-sync-token-future", "35-sync-token-other-collection"]
)
def test_apples_server_refuses_a_bad_token_by_name(name: str) -> None:
    with pytest.raises(InvalidSyncToken):
        exchange(sync_collection(CALENDAR, "x"), recording(name).response)


def test_a_token_of_another_server_is_a_fault_and_not_a_verdict() -> None:
    with pytest.raises(ServerFault):
        exchange(sync_collection(CALENDAR, "http://host/ns/sync/1"), recording("35-sync-bad-token-http").response)


def test_a_calendar_that_went_away_or_was_unshared_is_told_apart() -> None:
    with pytest.raises(NotFound):
        exchange(sync_collection(CALENDAR, "x"), recording("38-sync-deleted-calendar").response)
    with pytest.raises(NotFound):
        exchange(sync_collection(CALENDAR, "x"), recording("62-sync-unshared-calendar").response)


def test_a_listing_holds_members_and_neither_the_calendar_nor_collections() -> None:
    folder = member("/300/calendars/home/sub", "<resourcetype><collection/></resourcetype>" + etag("2"))
    slash = member("/300/calendars/home/sub2/", etag("3"))
    gone = status("/300/calendars/home/gone.ics", "HTTP/1.1 404 Not Found")
    found, asked = exchange(list_members(CALENDAR), multistatus(SELF, member(A, etag("1")), folder, slash, gone))
    assert found == Members({A: ETag('"1"')})
    assert (asked[0].method, asked[0].depth) == ("PROPFIND", "1")


def test_an_empty_calendar_lists_itself_and_an_empty_answer_proves_nothing() -> None:
    found, _ = exchange(list_members(CALENDAR), multistatus(SELF))
    assert found == Members({})
    with pytest.raises(MalformedResponse):
        exchange(list_members(CALENDAR), multistatus())


def test_apples_server_lists_members_with_their_etags() -> None:
    given = recording("21-calendar-depth1-etags")
    found, _ = exchange(list_members(given.path), given.response)
    assert [href.rpartition("/")[2] for href in found.etags] == ["allday-rec.ics", "birthday.ics", "multiday.ics"]
    assert all(tag.startswith('"') for tag in found.etags.values())


def test_a_listing_with_a_507_for_the_calendar_is_not_all_there_is() -> None:
    for itself in (CALENDAR, CALENDAR.rstrip("/"), "https://p1-caldav.icloud.com" + CALENDAR):
        cut = status(itself, "HTTP/1.1 507 Insufficient Storage")
        found, _ = exchange(list_members(CALENDAR), multistatus(SELF, member(A, etag("1")), cut))
        assert found == Members({A: ETag('"1"')}, truncated=True)
