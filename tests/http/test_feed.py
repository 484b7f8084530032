import asyncio
import gzip
import hashlib
from typing import Any

import icalendar
import pytest

from busyd.credentials.tokens import Token
from busyd.flow.explain import Explained
from busyd.http import feed
from busyd.http.feed import AHEAD, FORMAT, ShownSlots, feed_window, stamp_of
from busyd.ical.compose import BlockedSlot, compose_feed
from busyd.period import FbType, Instant
from busyd.store.errors import StorageError
from busyd.store.ledger import Ledger
from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import DAY, NOW, SmallBackend, busy


def events(answer: Answer) -> list[Any]:
    assert answer.status == 200
    return icalendar.Calendar.from_ical(answer.body).walk("VEVENT")


def uids(answer: Answer) -> list[str]:
    return [str(event["UID"]) for event in events(answer)]


async def test_a_feed_holds_one_event_for_each_blocked_slot(served: Served) -> None:
    answer = await served.ask(f"/feeds/{served.backend.token('anna')}.ics")
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert [event["DTSTART"].to_ical() for event in events(answer)] == [b"20261124T090000Z", b"20261124T120000Z"]
    assert {str(event["SUMMARY"]) for event in events(answer)} == {"Busy"}


async def test_an_unchanged_feed_has_the_same_bytes_after_polls_and_restarts(serve: Serve, served: Served) -> None:
    token = served.backend.token("anna")
    first = await served.ask(f"/feeds/{token}.ics")
    served.backend.clock.advance(3 * DAY)
    served.backend.confirm("anna", served.backend.clock.now())
    await served.backend.set_busy("anna", [busy(21), busy(24, 2)])
    assert (await served.ask(f"/feeds/{token}.ics")).body == first.body
    again = await serve(served.backend)
    second = await again.ask(f"/feeds/{token}.ics")
    for name in ("ETag", "Last-Modified"):
        assert second.headers[name] == first.headers[name]
    assert second.body == first.body


async def test_a_change_touches_no_other_event(served: Served) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    before = await served.ask(path)
    await served.backend.set_busy("anna", [busy(21), busy(24, 3), busy(48)])
    after = await served.ask(path)
    assert uids(before)[0] == uids(after)[0]
    assert uids(before)[1] not in uids(after)
    assert before.headers["ETag"] != after.headers["ETag"]
    first = before.body.split(b"BEGIN:VEVENT")[1]
    assert first in after.body


async def test_a_feed_says_that_it_is_not_complete_and_names_no_event(served: Served) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    assert b"X-WR-CALDESC" not in (await served.ask(path)).body
    await served.backend.set_busy("anna", [busy(21)], incomplete="its start cannot be read")
    told = icalendar.Calendar.from_ical((await served.ask(path)).body)
    assert str(told["X-WR-CALDESC"]).startswith("Not complete: an event could not be understood")
    assert "uid" not in str(told["X-WR-CALDESC"])
    await served.backend.set_busy("anna", [busy(21)])
    assert b"X-WR-CALDESC" not in (await served.ask(path)).body


async def test_a_feed_of_a_profile_without_calendars_says_so(served: Served) -> None:
    path = f"/feeds/{served.backend.token('nobody')}.ics"
    await served.backend.set_busy("nobody", [])
    told = icalendar.Calendar.from_ical((await served.ask(path)).body)
    assert str(told["X-WR-CALDESC"]).startswith("Not complete: no calendar is configured")


async def test_two_feeds_of_one_profile_share_no_uid(served: Served) -> None:
    one = await served.ask(f"/feeds/{served.backend.token('anna')}.ics")
    other = await served.ask(f"/feeds/{served.backend.token('anna')}.ics")
    assert not set(uids(one)) & set(uids(other))


async def test_stamps_are_never_in_the_future_and_move_only_with_the_slot(served: Served) -> None:
    await served.backend.set_busy("anna", [busy(hours, 5) for hours in range(-24 * 60, 24 * 430, 24)])
    found = events(await served.ask(f"/feeds/{served.backend.token('anna')}.ics"))
    assert len(found) > 400
    for event in found:
        assert event["DTSTAMP"].dt.timestamp() == stamp_of(int(event["DTEND"].dt.timestamp())) <= NOW


@pytest.mark.parametrize("moment", [NOW, NOW + 7 * DAY, 1_767_225_600, 1_769_903_999, 1_709_164_800])
def test_the_window_reaches_30_days_back_and_400_ahead_and_moves_once_a_month(moment: int) -> None:
    window = feed_window(Instant(moment))
    assert window.start <= moment - 30 * DAY
    assert moment + 400 * DAY <= window.end
    assert window.end - window.start == AHEAD + 30 * DAY


def test_the_window_is_the_same_all_month() -> None:
    november = {feed_window(Instant(NOW + day * DAY)) for day in range(-22, 7)}
    assert len(november) == 1


async def test_a_subscriber_that_has_it_gets_304(served: Served) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    first = await served.ask(path)
    tag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    assert not tag.startswith("W/")
    for fields in ({"If-None-Match": tag}, {"If-None-Match": f'"x", W/{tag}'}, {"If-Modified-Since": modified}):
        answer = await served.ask(path, **fields)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert (await served.ask(path, If_None_Match='"other"', If_Modified_Since=modified)).status == 200


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Mon, 23 Nov 2026 12:00:00 GMT", 304),
        ("Mon, 23 Nov 2026 12:00:01 GMT", 304),
        ("Wed, 06 Jan 2100 08:49:37 GMT", 304),
        ("Monday, 23-Nov-26 12:00:00 GMT", 304),
        ("Mon Nov 23 12:00:00 2026", 304),
        ("Mon, 23 Nov 2026 11:59:59 GMT", 200),
        ("yesterday", 200),
        ("Mon, 99 Nov 2026 12:00:00 GMT", 200),
    ],
)
async def test_a_subscriber_may_name_the_time_of_its_copy(served: Served, since: str, status: int) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    assert (await served.ask(path, If_Modified_Since=since)).status == status


async def test_a_change_moves_the_time_of_the_feed_even_within_a_second(served: Served) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    first = (await served.ask(path)).headers["Last-Modified"]
    await served.backend.set_busy("anna", [busy(21)])
    assert (await served.ask(path, If_Modified_Since=first)).status == 200
    served.backend.clock.advance(60)
    await served.backend.set_busy("anna", [busy(22)])
    later = await served.ask(path, If_Modified_Since=first)
    assert (later.status, later.headers["Last-Modified"]) == (200, "Mon, 23 Nov 2026 12:01:00 GMT")


async def test_a_feed_is_served_when_its_change_cannot_be_noted(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    token = served.backend.token("anna")
    monkeypatch.setattr(Ledger, "feed_changed", fail)
    answer = await served.ask(f"/feeds/{token}.ics")
    assert (answer.status, "Last-Modified" in answer.headers) == (200, False)


async def test_a_compressed_feed_is_the_same_feed_under_a_tag_of_its_own(served: Served) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    await served.backend.set_busy("anna", [busy(hour) for hour in range(0, 48, 2)])
    plain, zipped = await served.ask(path), await served.ask(path, Accept_Encoding="gzip")
    assert gzip.decompress(zipped.body) == plain.body
    assert zipped.headers["ETag"] != plain.headers["ETag"]
    assert (await served.ask(path, Accept_Encoding="gzip", If_None_Match=zipped.headers["ETag"])).status == 304


async def test_feeds_that_are_none_are_all_the_same_404(served: Served) -> None:
    backend = served.backend
    gone, late = backend.token("anna"), backend.token("anna", expires=Instant(NOW + 1))
    backend.command_line.revoke_token(gone.split("_")[1])
    backend.clock.advance(1)
    others = [
        backend.token("ghost"),
        backend.token("*"),
        backend.token("anna", "book"),
        backend.token("anna")[:-1],
        "x",
    ]
    answers = [await served.ask(f"/feeds/{token}.ics") for token in (gone, late, *others)]
    assert {(answer.status, answer.error) for answer in answers} == {(404, "unknown-feed")}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.parametrize("query", ["_=1795435200", "t=1&t=2", "%ff", "start=now", ""])
async def test_what_calendar_apps_add_to_the_address_is_ignored(served: Served, query: str) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    plain, other = await served.ask(path), await served.ask(f"{path}?{query}")
    assert (other.status, other.body, other.headers["ETag"]) == (200, plain.body, plain.headers["ETag"])


async def test_a_feed_keeps_its_slots_when_the_remote_is_down(served: Served) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    first = await served.ask(path)
    served.backend.reachable = False
    served.backend.clock.advance(2 * DAY)
    assert (await served.ask(path)).body == first.body


async def test_before_the_first_reading_a_feed_is_unavailable_and_not_empty(
    serve: Serve, backend: SmallBackend
) -> None:
    served = await serve(backend)
    answer = await served.ask(f"/feeds/{backend.token('anna')}.ics")
    assert (answer.status, answer.error) == (503, "not-ready")
    assert answer.headers["Retry-After"]


async def test_only_a_token_made_for_it_shows_titles(served: Served) -> None:
    start, end, kind = busy(21)
    told = ("anna/Work", "uid-1", "/1.ics", "Dentist; suite, 3", "Main St\n5")
    served.backend.explained = [
        Explained(*told, Instant(start), Instant(end), kind, "opaque", "", ""),
        Explained(*told, Instant(start), Instant(end), FbType.FREE, "declined", "", ""),
    ]
    open_feed = await served.ask(f"/feeds/{served.backend.token('anna', details=True)}.ics")
    [event] = events(open_feed)
    assert (str(event["SUMMARY"]), str(event["LOCATION"])) == ("Dentist; suite, 3", "Main St\n5")
    assert b"uid-1" not in open_feed.body
    closed_feed = await served.ask(f"/feeds/{served.backend.token('anna', 'freebusy', 'details')}.ics")
    assert b"Dentist" not in closed_feed.body


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the feeds that were written, one after the other."""
    names: list[str] = []

    def noted(name: str, *arguments: Any, **settings: Any) -> Any:
        names.append(name)
        return compose_feed(name, *arguments, **settings)

    monkeypatch.setattr(feed, "compose_feed", noted)
    return names


async def test_who_has_a_feed_costs_no_writing_however_many_feeds_there_are(
    serve: Serve, served: Served, composed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BODIES_BYTES", 2000)  # room for a few of them
    paths = [f"/feeds/{served.backend.token('anna')}.ics" for _ in range(40)]
    first = [await served.ask(path) for path in paths]
    assert len(composed) == 40
    for one in (served, await serve(served.backend)):  # also after a restart
        for path, known in zip(paths, first, strict=True):
            assert (await one.ask(path, If_None_Match=known.headers["ETag"])).status == 304
    assert len(composed) == 40
    again = [await served.ask(path) for path in paths]
    assert [answer.body for answer in again] == [answer.body for answer in first]
    assert [answer.headers["ETag"] for answer in again] == [answer.headers["ETag"] for answer in first]


async def test_a_changed_feed_is_written_once_for_all_who_ask(served: Served, composed: list[str]) -> None:
    path = f"/feeds/{served.backend.token('anna')}.ics"
    await served.ask(path)
    await served.backend.set_busy("anna", [busy(hours) for hours in range(0, 4800, 8)])
    composed.clear()
    answers = await asyncio.gather(*(served.ask(path, Accept_Encoding=coding) for coding in ("gzip", "identity") * 5))
    assert {answer.status for answer in answers} == {200}
    plain = {gzip.decompress(one.body) if "Content-Encoding" in one.headers else one.body for one in answers}
    assert [one.count(b"BEGIN:VEVENT") for one in plain] == [600]
    assert len(composed) == 1


async def test_a_feed_with_titles_is_not_written_again_by_a_poll_that_changed_nothing(
    served: Served, composed: list[str]
) -> None:
    path = f"/feeds/{served.backend.token('anna', details=True)}.ics"
    first = await served.ask(path)
    served.backend.confirm("anna", served.backend.clock.now())
    assert (await served.ask(path, If_None_Match=first.headers["ETag"])).status == 304
    assert len(composed) == 1


async def test_who_writes_feeds_in_another_way_must_give_them_other_tags() -> None:
    """When this fails, raise FORMAT, and put the new digest here."""
    token = Token("id", "anna", frozenset({"freebusy"}), False, "", NOW, None, None, b"digest")
    slot = BlockedSlot("uid", NOW, NOW + 3600, FbType.BUSY, NOW - DAY, "Größe; 1", "x" * 80)
    texts = ("anna", "Europe/Berlin", "Not complete")
    shown = (ShownSlots(*texts, slots=[slot]), ShownSlots(*texts, spans=[(NOW, NOW + 60, 1), (NOW + 90, NOW + 99, 2)]))
    written = b"".join([gzip.decompress(await one.compose(token)) for one in shown])
    assert (FORMAT, hashlib.sha256(written).hexdigest()[:16]) == (1, "5cf03251361b7c1a")


async def test_a_feed_needs_no_other_token_through_a_proxy(served: Served) -> None:
    answer = await served.ask(f"/feeds/{served.backend.token('anna')}.ics", X_Forwarded_For="10.0.0.1")
    assert answer.status == 200


async def test_a_feed_with_titles_follows_a_title_that_changes_alone(served: Served) -> None:
    start, end, kind = busy(21)
    path = f"/feeds/{served.backend.token('anna', details=True)}.ics"
    for title in ("Dentist", "Vet"):
        told = ("anna/Work", "uid-1", "/1.ics", title, "")
        served.backend.explained = [Explained(*told, Instant(start), Instant(end), kind, "opaque", "", "")]
        served.backend.confirm("anna", served.backend.clock.now())  # the poll that brought it
        [event] = events(await served.ask(path))
        assert str(event["SUMMARY"]) == title
