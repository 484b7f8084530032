"""Objects are read whole, written under one condition, and gone only when the server says so."""

import pytest

from busyd.dav import names
from busyd.dav.errors import LoginRefused, MalformedResponse, ServerFault, TooManyRequests
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.dav.href import ETag, Href, normalise_href
from busyd.dav.objects import (
    Fetched,
    FetchedObject,
    Refused,
    Written,
    delete_object,
    fetch_object,
    fetch_objects,
    put_object,
)
from busyd.dav.xml import parse_xml
from tests.dav.script import answer, etag, exchange, member, multistatus, status
from tests.dav.server_side import read_multiget
from tests.wire.recording import recording

CALENDAR = "/300/calendars/home/"
A, B, C = (Href(f"/300/calendars/home/{name}.ics") for name in "ABC")
TEXT = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


def data(text: str) -> str:
    return f'<calendar-data xmlns="urn:ietf:params:xml:ns:caldav"><![CDATA[{text}]]></calendar-data>'


def fetched(*members: str, hrefs: tuple[Href, ...] = (A, B)) -> Fetched:
    found, _ = exchange(fetch_objects(CALENDAR, hrefs), multistatus(*members))
    return found


SPELLED = [
    f"{CALENDAR}{name}.ics"
    for name in ("a@b", "12:30", "copy(1)", "a%2Fb", "a%2fb2", "1+1", "a%20b", "a;b,c=d", "%c3%bc")
]


def hrefs_in(request: DavRequest) -> list[str | None]:
    return [href.text for href in parse_xml(request.body).iterchildren(names.HREF)]


def test_objects_are_asked_for_once_each() -> None:
    _, (request,) = exchange(fetch_objects(CALENDAR, [A, A, B]), multistatus())
    assert (request.method, request.target, request.depth) == ("REPORT", CALENDAR, "1")
    assert hrefs_in(request) == [A, B]


def test_objects_are_asked_for_as_they_are_spelled_and_named_in_canonical_form() -> None:
    found, (request,) = exchange(
        fetch_objects(CALENDAR, SPELLED), multistatus(*(member(href, etag("1") + data("X")) for href in SPELLED))
    )
    assert hrefs_in(request) == SPELLED
    assert [one.href for one in found.objects] == [normalise_href(href) for href in SPELLED]
    assert not found.vanished | found.missing


@pytest.mark.parametrize("href", SPELLED)
def test_an_object_is_read_singly_as_it_is_spelled_and_named_in_canonical_form(href: str) -> None:
    found, (request,) = exchange(fetch_object(href), answer(200, TEXT, ETag='"1"'))
    assert request.target == href
    assert found == FetchedObject(normalise_href(href), ETag('"1"'), TEXT)


def test_an_href_whose_escapes_are_answered_in_lower_case_is_the_same_and_a_name_in_lower_case_is_not() -> None:
    escaped = "/300/calendars/home/%C3%BC%2FA.ics"
    [same] = fetched(
        member("/300/calendars/home/%c3%bc%2fA.ics", etag("1") + data("X")), hrefs=(Href(escaped),)
    ).objects
    assert same.href == escaped
    assert fetched(member(A.lower(), etag("1") + data("X")), hrefs=(A,)) == Fetched(missing=frozenset({A}))
    assert fetched(status(A.lower(), "HTTP/1.1 404 Not Found"), hrefs=(A,)) == Fetched(missing=frozenset({A}))


def test_nothing_asked_is_nothing_sent() -> None:
    assert exchange(fetch_objects(CALENDAR, [])) == (Fetched(), [])


def test_every_href_ends_as_object_vanished_or_missing() -> None:
    found = fetched(
        member(A, etag("1") + data("\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n\n")),
        status(B, "HTTP/1.1 404 Not Found"),
        member(CALENDAR, etag("self")),
        hrefs=(A, B, C),
    )
    assert found == Fetched((FetchedObject(A, ETag('"1"'), TEXT),), frozenset({B}), frozenset({C}))


@pytest.mark.parametrize(
    "refused",
    [
        status(A, "HTTP/1.1 400 Bad Request"),
        status(A, "HTTP/1.1 500 Fault"),
        status(A, ""),
        member(A, etag("1"), missing=data("")),
        member(A, etag("1") + data("  \n")),
        "",
    ],
)
def test_only_a_404_for_the_resource_is_proof_that_it_is_gone(refused: str) -> None:
    assert fetched(refused, hrefs=(A,)) == Fetched(missing=frozenset({A}))


def test_what_was_not_asked_for_is_not_taken() -> None:
    assert fetched(member(C, etag("1") + data("BEGIN:VCALENDAR")), status(B, "HTTP/1.1 404 x"), hrefs=(A,)) == Fetched(
        missing=frozenset({A})
    )


def test_an_object_is_found_under_another_spelling_of_its_href() -> None:
    asked = Href("/300/calendars/home/2001-123%40example.com.ics")
    found = fetched(member("/300/calendars/home/2001-123@example.com.ics", etag("1") + data("X")), hrefs=(asked,))
    assert [one.href for one in found.objects] == [asked]


def test_a_report_and_a_get_of_one_object_give_the_same_bytes() -> None:
    text = "BEGIN:VCALENDAR\r\nSUMMARY:ü\r\n😀\r\nEND:VCALENDAR\r\n"
    (by_report,) = fetched(member(A, etag("1") + data(text)), hrefs=(A,)).objects
    by_get, _ = exchange(fetch_object(A), answer(200, b"\xef\xbb\xbf" + text.encode(), ETag='"1"'))
    assert by_report == by_get
    assert by_report.payload == text.encode()


@pytest.mark.parametrize("status_code", [404, 410])
def test_a_get_answered_with_not_found_is_the_proof(status_code: int) -> None:
    found, (request,) = exchange(fetch_object(A), answer(status_code))
    assert found is None
    assert (request.method, request.target, request.depth, request.body) == ("GET", A, None, b"")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(200, "<html>Sign in</html>"), MalformedResponse),
        (answer(200, ""), MalformedResponse),
        (answer(204), MalformedResponse),
        (answer(401), LoginRefused),
        (answer(500), ServerFault),
        (answer(400), ServerFault),
        (answer(503, Retry_After="5"), TooManyRequests),
    ],
)
def test_any_other_answer_to_a_get_proves_nothing(given: DavResponse, error: type[Exception]) -> None:
    with pytest.raises(error):
        exchange(fetch_object(A), given)


def test_a_created_object_is_written_only_where_there_is_none() -> None:
    outcome, (request,) = exchange(put_object(A, TEXT, if_none_match=True), answer(201, ETag='"1"'))
    assert outcome == Written(ETag('"1"'))
    assert request.headers == (("Content-Type", "text/calendar; charset=utf-8"), ("If-None-Match", "*"))
    assert (request.method, request.depth, request.body) == ("PUT", None, TEXT)


def test_a_change_names_the_state_it_was_made_from() -> None:
    outcome, (request,) = exchange(put_object(A, TEXT, if_match=ETag('W/"1"')), answer(204))
    assert outcome == Written(None)
    assert ("If-Match", 'W/"1"') in request.headers


def test_a_write_without_a_condition_or_with_two_is_never_sent() -> None:
    for condition in ({}, {"if_match": ETag('"1"'), "if_none_match": True}):
        with pytest.raises(ValueError, match="exactly one condition"):
            exchange(put_object(A, TEXT, **condition))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("50-put-again-if-none-match-star", Refused(412)),
        ("50-put-if-match-stale", Refused(412)),
        ("50-put-if-match-missing-resource", Refused(412)),
        ("51-put-dup-uid-other-name", Refused(403, "no-uid-conflict")),
        ("51-put-dup-uid-other-calendar", Refused(403, "unique-scheduling-object-resource")),
        ("52-put-malformed", Refused(403, "valid-calendar-data")),
        ("52-put-method", Refused(403, "valid-calendar-object-resource")),
        ("52-put-no-content-type", Refused(403, "supported-calendar-data")),
        ("53-put-oversized", Refused(403, "max-resource-size")),
        ("54-put-missing-collection", Refused(409)),
    ],
)
def test_each_refusal_of_a_write_keeps_its_reason(name: str, expected: Refused) -> None:
    outcome, _ = exchange(put_object(A, TEXT, if_none_match=True), recording(name).response)
    assert outcome == expected


def test_a_race_for_one_name_has_one_winner() -> None:
    outcomes = [
        exchange(put_object(A, TEXT, if_none_match=True), recording(f"63-race-same-href-{number}").response)[0]
        for number in range(6)
    ]
    assert (
        sorted(str(outcome) for outcome in outcomes).count("Written(etag=None)")
        + sum(isinstance(outcome, Written) and outcome.etag is not None for outcome in outcomes)
        == 1
    )
    assert {outcome for outcome in outcomes if isinstance(outcome, Refused)} == {Refused(403, "no-uid-conflict")}


def test_a_sentence_in_an_error_is_not_a_precondition() -> None:
    sentence = b'<error xmlns="DAV:"><responsedescription>Unknown tag</responsedescription></error>'
    assert exchange(put_object(A, TEXT, if_none_match=True), answer(403, sentence))[0] == Refused(403)


@pytest.mark.parametrize("status_code", [401, 429, 500, 503])
def test_an_answer_that_is_no_decision_about_a_write_is_raised(status_code: int) -> None:
    for write in (put_object(A, TEXT, if_none_match=True), delete_object(A, ETag('"1"'))):
        with pytest.raises((ServerFault, LoginRefused, TooManyRequests)):
            exchange(write, answer(status_code))


def test_a_redirect_that_was_not_followed_is_a_refusal() -> None:
    assert exchange(put_object(A, TEXT, if_none_match=True), answer(301))[0] == Refused(301)


def test_a_deletion_names_the_state_and_sends_no_depth() -> None:
    for name, expected in (
        ("55-delete-if-match-good", Written()),
        ("55-delete-missing", Written()),
        ("55-delete-if-match-stale", Refused(412)),
    ):
        outcome, (request,) = exchange(delete_object(A, ETag('"1"')), recording(name).response)
        assert outcome == expected
        assert (request.depth, request.headers) == (None, (("If-Match", '"1"'),))


def test_apples_server_delivers_a_batch() -> None:
    given = recording("41-multiget")
    hrefs = read_multiget(given.request_body).hrefs
    found, _ = exchange(fetch_objects(given.path, hrefs), given.response)
    assert (len(found.objects), found.vanished, found.missing) == (len(hrefs), frozenset(), frozenset())
    assert all(one.payload.startswith(b"BEGIN:VCALENDAR\r\n") and one.etag for one in found.objects)


def test_apples_server_tells_what_is_gone_from_what_it_will_not_say() -> None:
    for name, vanished, missing in (("41-multiget-only-missing", 1, 0), ("41-multiget-other-collection", 0, 1)):
        given = recording(name)
        hrefs = read_multiget(given.request_body).hrefs
        found, _ = exchange(fetch_objects(given.path, hrefs), given.response)
        assert (len(found.vanished) >= vanished, len(found.missing) >= missing) == (True, True)


def test_an_object_read_singly_is_the_one_of_the_batch() -> None:
    given = recording("13-get-simple-utc")
    found, _ = exchange(fetch_object(given.path), given.response)
    assert found is not None
    assert (found.href, found.payload[:15], found.etag[:1]) == (given.path, b"BEGIN:VCALENDAR", '"')
    assert exchange(fetch_object(given.path), recording("13-get-missing").response)[0] is None
