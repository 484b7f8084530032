"""The worker process: the same answer as in the daemon, a deadline, and a death that harms nobody."""

import asyncio

import pytest

from busyd.availability.index import index_object
from busyd.dav.changes import read_sync_report
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import DavResponse
from busyd.dav.href import Href
from busyd.dav.objects import read_multiget
from busyd.flow.worker import HEAVY_BYTES, Payloads, Work, Worker, is_heavy
from busyd.period import EARLIEST, LATEST, Instant, Period
from tests.flow.inside import timed

SPAN = Period(Instant(1_780_000_000), Instant(1_790_000_000))
PLAIN = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;VALUE=DATE:20260601\r\n"
    b"RRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
BOMB = PLAIN.replace(b"UID:a", b"UID:bomb")


async def test_the_worker_says_what_the_engine_says() -> None:
    worker = Worker()
    assert await worker.index([PLAIN], SPAN, "Europe/Berlin") == [index_object(PLAIN, SPAN, "Europe/Berlin")]
    await worker.close()


async def test_what_takes_too_long_is_not_understood_and_the_next_object_is() -> None:
    worker = Worker(deadline=0.0)
    (given_up,) = await worker.index([PLAIN], SPAN, "UTC")
    assert "longer than" in given_up.incomplete
    assert given_up.problems[0].kind == "too-much"
    worker._deadline = 30.0
    assert not (await worker.index([PLAIN], SPAN, "UTC"))[0].incomplete
    await worker.close()


async def test_a_worker_that_dies_is_replaced() -> None:
    worker = Worker()
    await worker.index([PLAIN], SPAN, "UTC")
    assert worker._process is not None
    worker._process.kill()
    await worker._process.wait()
    assert (await worker.index([PLAIN], SPAN, "UTC"))[0].uid == "a"
    await worker.close()


async def test_objects_asked_for_at_once_are_answered_each_with_its_own() -> None:
    worker = Worker()
    payloads = [PLAIN.replace(b"UID:a", b"UID:%d" % number) for number in range(20)]
    found = await asyncio.gather(*(worker.index([payload, PLAIN], SPAN, "UTC") for payload in payloads))
    assert [[one.uid for one in pair] for pair in found] == [[str(number), "a"] for number in range(20)]
    await worker.close()


async def test_one_object_that_ends_the_worker_does_not_take_its_neighbours_along() -> None:
    worker = Worker()
    asked: list[int] = []
    ask = worker._ask

    async def ask_and_die(work: Work) -> bytes:
        asked.append(len(work.payloads) if isinstance(work, Payloads) else 0)
        if isinstance(work, Payloads) and BOMB in work.payloads:
            raise asyncio.IncompleteReadError(b"", 4)
        return await ask(work)

    worker._ask = ask_and_die  # type: ignore[method-assign]
    found = await worker.index([PLAIN, BOMB, PLAIN], SPAN, "UTC")
    await worker.close()
    assert [bool(one.incomplete) for one in found] == [False, True, False]
    assert asked == [3, 1, 1, 1]


def test_size_and_dense_rules_make_an_object_heavy() -> None:
    assert not is_heavy(PLAIN)
    assert is_heavy(PLAIN.replace(b"WEEKLY", b"SECONDLY"))
    assert is_heavy(PLAIN + b" " * HEAVY_BYTES)


async def test_a_question_that_is_broken_off_does_not_leave_its_answer_to_the_next() -> None:
    worker = Worker()
    await worker.index([timed("warm", "20260901T090000Z", "20260901T100000Z")], SPAN, "UTC")
    first = timed("first", "20260901T090000Z", "20260901T100000Z", "X-LONG:" + "x" * 3_000_000)
    asked = asyncio.create_task(worker.index([first], SPAN, "UTC"))
    await asyncio.sleep(0.005)  # the question is on its way
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    (second,) = await worker.index([timed("second", "20260902T090000Z", "20260902T100000Z")], SPAN, "UTC")
    await worker.close()
    assert second.uid == "second"


async def test_without_a_worker_process_heavy_objects_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr("sys.executable", "/nowhere/python3")
    (found,) = await worker.index([timed("a", "20260901T090000Z", "20260901T100000Z")], SPAN, "UTC")
    await worker.close()
    assert len(found.rows) == 1


async def test_an_object_that_takes_too_long_blocks_the_time_it_may_take_place() -> None:
    worker = Worker(deadline=0.0)
    (found,) = await worker.index([timed("a", "20260901T090000Z", "20260901T100000Z")], SPAN, "UTC")
    await worker.close()
    assert [(start, end) for start, end, _ in found.rows] == [(EARLIEST, LATEST)]


HREFS = [Href(f"/1/work/{number}.ics") for number in range(3)]


def answer(*members: str) -> DavResponse:
    body = f'<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">{"".join(members)}</D:multistatus>'
    return DavResponse(207, "https://example.org/1/work/", body=body.encode())


async def test_the_worker_takes_a_multiget_apart_as_the_daemon_does() -> None:
    found = (
        f'<D:response><D:href>{HREFS[0]}</D:href><D:propstat><D:prop><D:getetag>"1"</D:getetag><C:calendar-data>'
        f"{PLAIN.decode()}</C:calendar-data></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
    gone = f"<D:response><D:href>{HREFS[1]}</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"
    worker, response = Worker(), answer(found, gone)
    fetched = await worker.read_multiget(HREFS, response)
    await worker.close()
    assert fetched == read_multiget(HREFS, response)
    assert [one.payload for one in fetched.objects] == [PLAIN]
    assert (set(fetched.vanished), set(fetched.missing)) == ({HREFS[1]}, {HREFS[2]})


@pytest.mark.parametrize("deadline", [0.0, 30.0])
async def test_an_answer_that_cannot_be_taken_apart_is_malformed(deadline: float) -> None:
    worker = Worker(deadline=deadline)
    with pytest.raises(MalformedResponse, match="it was set aside"):
        await worker.read_multiget(HREFS, DavResponse(207, "https://example.org/1/work/", body=b"<half"))
    await worker.close()


async def test_without_a_worker_process_answers_are_taken_apart_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr("sys.executable", "/nowhere/python3")
    assert (await worker.read_multiget(HREFS, answer())).missing == set(HREFS)
    await worker.close()


async def test_the_worker_takes_a_sync_report_apart_as_the_daemon_does() -> None:
    changed = (
        f'<D:response><D:href>{HREFS[0]}</D:href><D:propstat><D:prop><D:getetag>"1"</D:getetag></D:prop>'
        "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
    gone = f"<D:response><D:href>{HREFS[1]}</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"
    worker, response = Worker(), answer(changed, gone, "<D:sync-token>2</D:sync-token>")
    delta = await worker.read_sync_report("/1/work/", "1", response)
    await worker.close()
    assert delta == read_sync_report("/1/work/", "1", response)
    assert (dict(delta.changed), set(delta.vanished), delta.token) == ({HREFS[0]: '"1"'}, {HREFS[1]}, "2")
