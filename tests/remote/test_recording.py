"""Redaction: what is left of an exchange says how a server speaks, and about whom it says nothing."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.dav.exchange import DavRequest, DavResponse
from busyd.dav.multistatus import Multistatus
from busyd.errors import RemoteError
from busyd.period import Instant
from busyd.remote.ical_redaction import redact_icalendar
from busyd.remote.observer import Exchange, Observer
from busyd.remote.recording import render_exchange
from busyd.remote.redaction import WireRedactor
from busyd.remote.wire import USER_AGENT
from tests.remote.stage import StoppedClock
from tests.wire.recording import NAMES, recording

CANARY = "Canary"
ANSWER = b"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<multistatus xmlns='DAV:'>


\t<response xmlns="DAV:">
  <href>/300000001/calendars/Canary-Home/Canary%40one.ics</href>
  <propstat><prop>
    <getetag>"Canary&amp;1"</getetag>
    <displayname>Canary's &lt;own&gt;</displayname>
    <comp xmlns="urn:ietf:params:xml:ns:caldav" name='VEVENT'/>
    <odd secret="Canary > all">Canary</odd><!-- Canary -->
    <calendar-data xmlns='urn:ietf:params:xml:ns:caldav'><![CDATA[
BEGIN:VCALENDAR
BEGIN:VEVENT
UID:Canary-uid
DTSTART;TZID=Europe/Berlin:20261124T180000
SUMMARY;LANGUAGE=de:Canary with a long title that goes on and on beyond the fol
 d of the line
ATTENDEE;CN="Canary: Bird";PARTSTAT=DECLINED;EMAIL=Canary@example.org:mailto:c
 anary@example.org
X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE="Canary;1":geo:48.1,11.5
Canary without a colon
END:VEVENT
END:VCALENDAR
]]></calendar-data>
  </prop><status>HTTP/1.1 200 OK</status></propstat>
 </response>
 <sync-token>data:,Canary-7</sync-token>
</multistatus>
"""


def redacted(body: bytes) -> str:
    return WireRedactor().body(body).decode()


def test_the_style_of_the_xml_stays_and_the_person_goes() -> None:
    text = redacted(ANSWER)
    assert text.startswith(
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<multistatus xmlns=\'DAV:\'>\n\n\n\t'
    )
    assert CANARY.lower() not in text.lower()
    assert "<href>/100000001/calendars/collection-1/object-1.ics</href>" in text
    assert '<getetag>"etag-1"</getetag>' in text
    assert "<displayname>Name 1</displayname>" in text
    assert "name='VEVENT'" in text
    assert '<odd secret="redacted">redacted</odd>' in text
    assert "<sync-token>data:,token-1</sync-token>" in text


def test_what_is_left_is_read_like_the_original() -> None:
    before, after = Multistatus.from_xml(ANSWER), Multistatus.from_xml(WireRedactor().body(ANSWER))
    assert after.responses[0].href == "/100000001/calendars/collection-1/object-1.ics"
    names = [[found.name for found in one.propstats[0].properties] for one in (*before.responses, *after.responses)]
    assert names[0] == names[1]


def test_an_event_keeps_its_times_and_loses_its_words() -> None:
    lines = redacted(ANSWER).split("<![CDATA[\n")[1].split("]]>")[0].splitlines()
    assert lines == [
        "BEGIN:VCALENDAR",
        "BEGIN:VEVENT",
        "UID:uid-1",
        "DTSTART;TZID=Europe/Berlin:20261124T180000",
        "SUMMARY;LANGUAGE=de:redacted",
        "ATTENDEE;CN=redacted;PARTSTAT=DECLINED;EMAIL=person-1@example.com:mailto:pe",
        " rson-1@example.com",
        "X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE=redacted:redacted",
        "redacted",
        "END:VEVENT",
        "END:VCALENDAR",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Canary</body></html",
        b"Canary",
        b"<a>Canary",
        b"\xff\xfeC\x00a\x00",
        b'<!DOCTYPE a [<!ENTITY b "Canary">]><a>&b;</a>',
    ],
)
def test_of_what_cannot_be_read_only_the_size_is_kept(body: bytes) -> None:
    assert redacted(body) == f"({len(body)} bytes left out)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://p180-caldav.icloud.com:443/8123456789/calendars/", "https://p180-caldav.icloud.com:443/100000001/calendars/"),
        ("https://cloud.example.org/remote.php/dav/calendars/anna/?x=1", "https://server-1.example/remote.php/dav/calendars/collection-1/"),
        ("https://p1-caldav.icloud.com.evil.example/", "https://server-1.example/"),
        ("mailto:Anna@Example.org", "mailto:person-1@example.com"),
        ("urn:uuid:8F7A1B", "urn:uuid:00000000-0000-4000-8000-000000000001"),
        ("http://[::1:99999/", "redacted"),
    ],
)  # fmt: skip
def test_addresses_keep_their_shape(text: str, expected: str) -> None:
    assert WireRedactor().url(text) == expected


def test_the_same_thing_has_the_same_stand_in_everywhere() -> None:
    redactor = WireRedactor()
    assert redactor.url("/1234567/calendars/a%40b/") == redactor.url("https://x.example/1234567/calendars/a@b/")[24:]
    assert redactor.url("mailto:A@b.c") == redactor.url("mailto:a@B.c")
    assert redactor.url("/1234567/calendars/other/") != redactor.url("/1234567/calendars/third/")


words = st.text(string.ascii_letters + string.digits + " äß;:,\"'&<>\\", min_size=1, max_size=40)


@given(words, words)
def test_no_word_of_an_event_survives(one: str, other: str) -> None:
    canary = "qzxqzx"
    quoted = other.replace('"', "")
    lines = (f"SUMMARY:{canary}{one}", f"X-{canary}", f'LOCATION;X-A="{canary}{quoted}":{canary}')
    text = "\r\n".join(("BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""))
    assert canary not in redacted(text.encode())


@pytest.mark.parametrize("name", NAMES)
def test_recordings_of_a_real_server_stay_what_they_are(name: str) -> None:
    """Whatever a server sends is either kept in its structure or left out as a whole."""
    body = recording(name).response.body
    try:
        before = Multistatus.from_xml(body)
    except ValueError:
        return
    after = Multistatus.from_xml(WireRedactor().body(body))
    assert [(one.status, len(one.propstats)) for one in after.responses] == [
        (one.status, len(one.propstats)) for one in before.responses
    ]
    assert b"A0000000" not in WireRedactor().body(body)


def exchange(response: DavResponse | None) -> Exchange:
    request = DavRequest("PROPFIND", "https://dav.example.org/anna/", "1", (("If-Match", '"secret"'),), b"")
    return Exchange(request, response, None, 0.1, Instant(0))


def test_an_exchange_is_written_as_tests_read_it() -> None:
    headers = (
        ("Content-Type", "text/xml"), ("Set-Cookie", "secret"), ("Location", "https://dav.example.org/anna/x/"),
        ("WWW-Authenticate", 'Basic realm="secret"'), ("Content-Encoding", "gzip"),
    )  # fmt: skip
    content = render_exchange(
        exchange(DavResponse(401, "https://dav.example.org/anna/", headers, b"secret")), "01", redactor=WireRedactor()
    )
    assert content is not None
    assert b"secret" not in content
    assert content.decode().partition("\n\n")[2] == (
        "==== REQUEST\n> PROPFIND /collection-1/ HTTP/1.1\n> Host: server-1.example\n"
        f"> User-Agent: {USER_AGENT}\n> Depth: 1\n"
        '> If-Match: "etag-1"\n> \n\n==== RESPONSE\n< HTTP/1.1 401 Unauthorized\n< Content-Type: text/xml\n'
        "< Set-Cookie: redacted\n< Location: https://server-1.example/collection-1/collection-2/\n"
        '< WWW-Authenticate: Basic realm="redacted"\n< Content-Length: 18\n< \n(6 bytes left out)'
    )


def test_without_an_answer_there_is_nothing_to_keep() -> None:
    assert render_exchange(exchange(None), "01", redactor=WireRedactor()) is None


class Scripted:
    """Answers with what it was given, or raises it."""

    def __init__(self, *answers: DavResponse | RemoteError) -> None:
        self.answers = list(answers)

    async def send(self, request: DavRequest) -> DavResponse:
        del request
        answer = self.answers.pop(0)
        if isinstance(answer, RemoteError):
            raise answer
        return answer


async def test_an_observer_remembers_answers_and_failures_and_changes_neither() -> None:
    clock = StoppedClock()
    date = ("Date", "Tue, 14 Nov 2023 22:13:10 GMT")
    observer = Observer(Scripted(DavResponse(207, "u", (date,)), RemoteError("gone")), clock)
    assert (observer.last, observer.skew(), observer.ended_on_a_web_page()) == (None, None, False)
    assert (await observer.send(DavRequest("GET", "/"))).status == 207
    with pytest.raises(RemoteError, match="gone"):
        await observer.send(DavRequest("GET", "/"))
    assert [one.status for one in observer.exchanges] == [207, None]
    assert observer.skew() == 10


@pytest.mark.parametrize(
    ("status", "body", "page"),
    [
        (200, b"\n<!DOCTYPE HTML><p>", True),
        (200, b"<HTML>", True),
        (403, b"<html>", False),
        (207, b"<multistatus/>", False),
    ],
)
async def test_a_web_page_is_told_from_an_answer(status: int, body: bytes, page: bool) -> None:
    observer = Observer(Scripted(DavResponse(status, "u", (), body)), StoppedClock())
    await observer.send(DavRequest("PROPFIND", "/"))
    assert observer.ended_on_a_web_page() is page


def test_made_up_names_of_zones_products_and_properties_do_not_survive() -> None:
    lines = (
        "BEGIN:VCALENDAR", "PRODID:-//Canary Ltd//Diary//EN", "BEGIN:VTIMEZONE", "TZID:Canary Street",
        "X-LIC-LOCATION:Canary", "TZNAME:Canary", "END:VTIMEZONE", "BEGIN:X-CANARY", "X-CANARY-PHONE:1",
        "DTSTART;TZID=Canary Street;X-CANARY=2:20260601T090000", "DTEND;TZID=Europe/Berlin:20260601T100000",
        "X-APPLE-TRAVEL-DURATION:PT15M", "END:X-CANARY", "END:VCALENDAR",
    )  # fmt: skip
    told = redact_icalendar("\r\n".join(lines), str, uid=str).split("\r\n")
    assert "canary" not in "".join(told).lower()
    assert len(told) == len(lines)
    zone = told[3].partition(":")[2]
    assert told[9].startswith(f"DTSTART;TZID={zone};")
    assert (told[10], told[11]) == lines[10:12]
    for product in ("-//Apple Inc.//iOS 26.1//EN", "-//Google Inc//Google Calendar 70.9054//EN"):
        assert redact_icalendar(f"PRODID:{product}", str, uid=str) == f"PRODID:{product}"
