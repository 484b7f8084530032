"""Items 55 to 60: connections that break, bodies that lie, and listings that forget."""

import asyncio

import aiohttp
import pytest

from tests.icloud import Account, Calendar, Fault, SimulatedIcloud
from tests.icloud.conftest import meeting
from tests.icloud.raw_client import ConnectionLost, RawClient
from tests.icloud.xml import CALENDAR_SERVER, clark

HOME = "/300000001/calendars/"
WORK = HOME + "work/"
CTAG = clark(CALENDAR_SERVER, "getctag")


async def test_an_idle_connection_is_closed_without_notice(anna: Account, icloud: SimulatedIcloud) -> None:
    anna.knobs.idle_seconds = 0.01
    host, port = icloud.places.shard.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    basic = aiohttp.encode_basic_auth(anna.user, anna.password)
    writer.write(f"OPTIONS / HTTP/1.1\r\nHost: {host}\r\nAuthorization: {basic}\r\n\r\n".encode())
    answer = await reader.read()  # ends when the server closes
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" not in answer


async def test_a_reused_connection_may_be_dead_and_a_fresh_one_works(
    dav: RawClient, anna: Account, icloud: SimulatedIcloud
) -> None:
    anna.knobs.play("reset-if-reused", method="PUT")
    assert (await dav.propfind("/", "d:getetag")).status == 207
    with pytest.raises(ConnectionLost):
        await dav.put(WORK + "e1.ics", meeting())
    assert anna.calendars["work"].objects() == {}
    assert (await dav.put(WORK + "e1.ics", meeting())).status == 201
    first, failed, fresh = icloud.log.entries
    assert first.connection == failed.connection != fresh.connection


@pytest.mark.parametrize("kind", ["reset", "reset-after-headers", "half-body"])
async def test_a_connection_breaks_before_or_within_an_answer(dav: RawClient, anna: Account, kind: str) -> None:
    anna.knobs.play(kind)  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost):
        await dav.propfind(HOME, "d:getetag", depth="1")
    assert (await dav.propfind(HOME, "d:getetag", depth="1")).status == 207


async def test_the_answer_to_a_put_is_lost_after_it_was_applied(dav: RawClient, anna: Account, work: Calendar) -> None:
    anna.knobs.play("reset-after-applying", method="PUT")
    with pytest.raises(ConnectionLost):
        await dav.put(WORK + "e1.ics", meeting())
    assert list(work.objects()) == ["e1.ics"]
    anna.knobs.play("status-after-applying", method="PUT", status=504)
    assert (await dav.put(WORK + "e2.ics", meeting("E2"))).status == 504
    assert list(work.objects()) == ["e1.ics", "e2.ics"]


async def test_a_request_may_be_carried_out_long_after_its_client_has_gone(dav: RawClient, anna: Account) -> None:
    anna.knobs.play("late", method="PUT", seconds=0.05)
    with pytest.raises(ConnectionLost):
        await dav.put(WORK + "e1.ics", meeting(), If_None_Match="*")
    assert (await dav.ask("GET", WORK + "e1.ics")).status == 404
    while (await dav.ask("GET", WORK + "e1.ics")).status == 404:
        pass
    assert (await dav.put(WORK + "e1.ics", meeting(), If_None_Match="*")).status == 412


async def test_a_request_may_be_carried_out_twice(dav: RawClient, anna: Account) -> None:
    anna.knobs.play("twice", method="PUT")
    assert (await dav.put(WORK + "e1.ics", meeting(), If_None_Match="*")).status == 412
    anna.knobs.play("again", method="PUT", seconds=0)
    assert (await dav.put(WORK + "e2.ics", meeting().replace("e1", "e2"), If_None_Match="*")).status in (201, 412)


async def test_an_answer_may_drip_or_come_late_and_is_right_in_the_end(dav: RawClient, anna: Account) -> None:
    right = await dav.propfind(WORK, "d:displayname")
    anna.knobs.play("slow-drip", seconds=0)
    assert (await dav.propfind(WORK, "d:displayname")).raw == right.raw
    anna.knobs.play("delay", seconds=0.01)
    assert (await dav.propfind(WORK, "d:displayname")).raw == right.raw


async def test_a_request_may_never_be_answered(dav: RawClient, anna: Account, icloud: SimulatedIcloud) -> None:
    anna.knobs.play("never-answers")
    asking = asyncio.create_task(dav.propfind(WORK, "d:displayname"))
    await icloud.log.arrival()
    done, _ = await asyncio.wait([asking], timeout=0.05)
    assert not done
    asking.cancel()
    assert icloud.log.entries[0].finished is None


@pytest.mark.parametrize("kind", ["truncated", "html", "empty-body", "garbage", "hostile-xml"])
async def test_a_good_status_comes_with_a_bad_body(dav: RawClient, anna: Account, work: Calendar, kind: str) -> None:
    work.put("e1.ics", meeting())
    right = await dav.sync(WORK)
    anna.knobs.play(kind)  # type: ignore[arg-type]
    wrong = await dav.sync(WORK)
    assert wrong.status == (200 if kind == "empty-body" else 207)
    assert b"</multistatus>" not in wrong.raw or b"<!ENTITY" in wrong.raw
    assert int(wrong.headers["Content-Length"]) == len(wrong.raw)
    assert (await dav.sync(WORK)).raw == right.raw


async def test_a_body_can_be_cut_at_any_byte(dav: RawClient, anna: Account) -> None:
    right = await dav.sync(WORK)
    for at in (0, 1, len(right.raw) - 2):
        anna.knobs.play("truncated", at=at)
        assert (await dav.sync(WORK)).raw == right.raw[:at]


@pytest.mark.parametrize("kind", ["huge-body", "gzip-bomb"])
async def test_a_body_may_be_far_too_large(dav: RawClient, anna: Account, icloud: SimulatedIcloud, kind: str) -> None:
    anna.knobs.play(kind, megabytes=2)  # type: ignore[arg-type]
    reply = await dav.propfind(WORK, "d:displayname")
    assert len(reply.raw) > 2 * 1024 * 1024
    assert reply.hrefs == [WORK]
    assert (icloud.log.entries[0].answer_size < 10_000) == (kind == "gzip-bomb")


async def test_a_listing_may_forget_a_calendar_or_all_of_them(dav: RawClient, anna: Account) -> None:
    anna.knobs.listing_hides = {"work"}
    reply = await dav.propfind(HOME, "d:getetag", depth="1")
    assert WORK not in reply.hrefs
    assert HOME + "home/" in reply.hrefs
    assert (await dav.sync(WORK)).status == 207
    anna.knobs.listing_only_home = True
    assert (await dav.propfind(HOME, "d:getetag", depth="1")).hrefs == [HOME]


async def test_sync_may_be_empty_though_the_ctag_changed(dav: RawClient, anna: Account, work: Calendar) -> None:
    token = (await dav.sync(WORK)).sync_token
    work.put("e1.ics", meeting())
    anna.knobs.sync_answers_empty = {"work"}
    assert (await dav.propfind(WORK, "cs:getctag")).props(WORK)[CTAG].text != token
    reply = await dav.sync(WORK, token)
    assert (reply.hrefs, reply.sync_token) == ([], token)


async def test_the_ctag_may_be_missing(dav: RawClient, anna: Account) -> None:
    anna.knobs.ctag_missing = {"work"}
    assert CTAG in (await dav.propfind(WORK, "cs:getctag")).props(WORK, status="404 Not Found")


async def test_a_calendar_may_be_gone_but_listed_or_really_deleted(dav: RawClient, anna: Account) -> None:
    anna.knobs.gone_but_listed = {"work"}
    assert (await dav.sync(WORK)).status == 404
    assert (await dav.propfind(WORK, "d:getetag", depth="1")).status == 404
    assert WORK in (await dav.propfind(HOME, "d:getetag", depth="1")).hrefs
    anna.remove_calendar("work")
    assert (await dav.sync(WORK)).status == 404
    assert WORK not in (await dav.propfind(HOME, "d:getetag", depth="1")).hrefs


async def test_dav_answers_may_be_gzipped_and_chunked_unasked(dav: RawClient, anna: Account) -> None:
    right = await dav.propfind(WORK, "d:displayname")
    assert "Content-Encoding" not in right.headers
    anna.knobs.apply({"gzip": True, "chunked": True})
    reply = await dav.ask("PROPFIND", WORK, Accept_Encoding="identity")
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in reply.headers


async def test_feed_hosts_always_gzip_and_need_no_login(icloud: SimulatedIcloud, dav: RawClient) -> None:
    feed = icloud.add_feed("/holidays/de_de.ics", meeting())
    for origin in (icloud.places.feeds, icloud.places.shard):
        reply = await dav.ask("GET", origin + feed.path, Authorization="", Accept_Encoding="identity")
        assert (reply.status, reply.headers["Content-Encoding"]) == (200, "gzip")
        assert reply.text == meeting()
    assert icloud.log.authorization_by_host() == {}


async def test_feeds_answer_conditional_requests_and_have_faults_of_their_own(
    icloud: SimulatedIcloud, dav: RawClient
) -> None:
    feed = icloud.add_feed("/published/2/opaque", meeting())
    first = await dav.ask("GET", feed.url, Authorization="")
    assert (await dav.ask("GET", feed.url, Authorization="", If_None_Match=first.headers["ETag"])).status == 304
    feed.replace(meeting(summary="Changed"))
    second = await dav.ask("GET", feed.url, Authorization="", If_None_Match=first.headers["ETag"])
    assert second.status == 200
    assert "Changed" in second.text
    since = second.headers["Last-Modified"]
    assert (await dav.ask("GET", feed.url, Authorization="", If_Modified_Since=since)).status == 304
    feed.faults.add(Fault(kind="status", status=404))
    assert (await dav.ask("GET", feed.url, Authorization="")).status == 404
