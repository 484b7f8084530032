"""The worker process: the same answer as in the daemon, a deadline, and a death that harms nobody."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from busyd.availability.index import index_object, pack_object
from busyd.dav.changes import read_sync_report
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import DavResponse
from busyd.dav.href import Href
from busyd.dav.objects import read_multiget
from busyd.ical.split import UnreadableFeed, split_feed
from busyd.index.worker import HEAVY_BYTES, STRIKES, Worker, WorkerFailed, environment_of_worker, is_heavy
from busyd.index.worker_process import ANSWER_BYTES, DIES_FIRST, MEMORY, NICE, Frame, Payloads, Work
from busyd.period import EARLIEST, LATEST, Instant, Period
from tests.index.inside import timed

T = TypeVar("T")
SPAN = Period(Instant(1_780_000_000), Instant(1_790_000_000))
PLAIN = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;VALUE=DATE:20260601\r\n"
    b"RRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
BOMB = PLAIN.replace(b"UID:a", b"UID:bomb")


class Doomed(Worker):
    """A worker whose real process is killed as soon as it is asked about certain bytes."""

    def __init__(self, doom: bytes) -> None:
        super().__init__()
        self.doom = doom
        self.started = 0

    async def _converse(self, work: Work, frame: type[Frame[T]]) -> tuple[list[T], str]:
        process = await self._running()
        if isinstance(work, Payloads) and any(self.doom in payload for payload in work.payloads):
            self.started += 1
            process.kill()
        return await super()._converse(work, frame)


@asynccontextmanager
async def killed_over(doom: bytes) -> AsyncIterator[Doomed]:
    worker = Doomed(doom)
    yield worker
    await worker.close()


async def test_the_worker_says_what_the_engine_says() -> None:
    worker = Worker()
    assert await worker.index([PLAIN], SPAN, zone="Europe/Berlin") == [
        pack_object(index_object(PLAIN, SPAN, zone="Europe/Berlin"))
    ]
    await worker.close()


async def test_what_takes_too_long_is_postponed_and_the_next_object_is_read() -> None:
    worker = Worker(deadline=0.0)
    (given_up,) = await worker.index([PLAIN], SPAN, zone="UTC")
    assert given_up.postponed
    assert "longer than" in given_up.incomplete
    worker._deadline = 30.0
    assert not (await worker.index([PLAIN], SPAN, zone="UTC"))[0].incomplete
    await worker.close()


async def test_a_worker_that_dies_is_replaced() -> None:
    worker = Worker()
    await worker.index([PLAIN], SPAN, zone="UTC")
    assert worker._process is not None
    worker._process.kill()
    await worker._process.wait()
    assert (await worker.index([PLAIN], SPAN, zone="UTC"))[0].uid == "a"
    await worker.close()


async def test_objects_asked_for_at_once_are_answered_each_with_its_own() -> None:
    worker = Worker()
    payloads = [PLAIN.replace(b"UID:a", b"UID:%d" % number) for number in range(20)]
    found = await asyncio.gather(*(worker.index([payload, PLAIN], SPAN, zone="UTC") for payload in payloads))
    assert [[one.uid for one in pair] for pair in found] == [[str(number), "a"] for number in range(20)]
    await worker.close()


async def test_one_object_that_ends_the_worker_does_not_take_its_neighbours_along() -> None:
    async with killed_over(BOMB) as worker:
        found = await worker.index([PLAIN, BOMB, PLAIN], SPAN, zone="UTC")
    assert [one.postponed for one in found] == [False, True, False]
    assert "signal 9" in found[1].incomplete


async def test_a_worker_that_cannot_live_is_not_started_for_each_object() -> None:
    async with killed_over(b"BEGIN") as worker:
        found = await worker.index([PLAIN] * 50, SPAN, zone="UTC")
        started = worker.started
    assert all(one.postponed for one in found)
    assert started == 2 * (STRIKES + 1)  # each question twice


def test_size_and_dense_rules_make_an_object_heavy() -> None:
    assert not is_heavy(PLAIN)
    assert is_heavy(PLAIN.replace(b"WEEKLY", b"SECONDLY"))
    assert is_heavy(PLAIN + b" " * HEAVY_BYTES)


async def test_a_question_that_is_broken_off_does_not_leave_its_answer_to_the_next() -> None:
    worker = Worker()
    await worker.index([timed("warm", "20260901T090000Z", "20260901T100000Z")], SPAN, zone="UTC")
    first = timed("first", "20260901T090000Z", "20260901T100000Z", "X-LONG:" + "x" * 3_000_000)
    asked = asyncio.create_task(worker.index([first], SPAN, zone="UTC"))
    await asyncio.sleep(0.005)  # the question is on its way
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    (second,) = await worker.index([timed("second", "20260902T090000Z", "20260902T100000Z")], SPAN, zone="UTC")
    await worker.close()
    assert second.uid == "second"


async def test_without_a_worker_process_heavy_objects_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr("sys.executable", "/nowhere/python3")
    (found,) = await worker.index([timed("a", "20260901T090000Z", "20260901T100000Z")], SPAN, zone="UTC")
    await worker.close()
    assert len(list(found.rows())) == 1


async def test_without_a_worker_process_what_may_take_long_is_postponed(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr("sys.executable", "/nowhere/python3")
    light, heavy = await worker.index([PLAIN, PLAIN.replace(b"WEEKLY", b"HOURLY")], SPAN, zone="UTC")
    await worker.close()
    assert (light.postponed, heavy.postponed) == (False, True)
    assert "No such file" in heavy.incomplete


async def test_an_object_that_takes_too_long_blocks_the_time_it_may_take_place() -> None:
    worker = Worker(deadline=0.0)
    (found,) = await worker.index([timed("a", "20260901T090000Z", "20260901T100000Z")], SPAN, zone="UTC")
    await worker.close()
    assert [(start, end) for start, end, _ in found.rows()] == [(EARLIEST, LATEST)]


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
    with pytest.raises(MalformedResponse, match="did not send a complete"):
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
    delta = await worker.read_sync_report("/1/work/", "1", response=response)
    await worker.close()
    assert delta == read_sync_report("/1/work/", "1", response=response)
    assert (dict(delta.changed), set(delta.vanished), delta.token) == ({HREFS[0]: '"1"'}, {HREFS[1]}, "2")


async def test_a_long_sync_report_comes_in_parts_and_counts_as_a_whole_or_not_at_all() -> None:
    rows = [
        f'<D:response><D:href>/1/work/{number}.ics</D:href><D:propstat><D:prop><D:getetag>"{number}"</D:getetag>'
        "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        for number in range(1234)
    ]
    gone = "<D:response><D:href>/1/work/7.ics</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"
    worker, response = Worker(), answer(gone, *rows, "<D:sync-token>2</D:sync-token>")
    delta = await worker.read_sync_report("/1/work/", "1", response=response)
    assert delta == read_sync_report("/1/work/", "1", response=response)
    assert (len(delta.changed), set(delta.vanished), delta.token) == (1234, set(), "2")
    for broken in (replace(response, body=response.body[:-40]), answer(*rows)):
        with pytest.raises(MalformedResponse):
            await worker.read_sync_report("/1/work/", "1", response=broken)
    assert await worker.read_sync_report("/1/work/", "1", response=response) == delta
    await worker.close()


async def test_what_does_not_fit_into_one_answer_is_left_for_the_next_question() -> None:
    worker = Worker()
    dense = PLAIN.replace(b"WEEKLY", b"HOURLY").replace(b";VALUE=DATE:20260601", b":20260601T080000Z")
    payloads = [dense] * (2 * ANSWER_BYTES // (24 * 2700))
    found = await worker.index(payloads, SPAN, zone="UTC")
    await worker.close()
    assert 0 < len(found) < len(payloads)
    assert found[0] == pack_object(index_object(dense, SPAN, zone="UTC"))


LIMITED = """
import os, resource
from pathlib import Path
{refusal}
from busyd.index.worker_process import limit_itself
limit_itself()
print(os.nice(0), Path("/proc/self/oom_score_adj").read_text().strip(), resource.getrlimit(resource.RLIMIT_DATA)[0])
"""
REFUSAL = """
def refuse(*_, **__):
    raise PermissionError
real = os.nice
os.nice = lambda by: refuse() if by else real(by)
resource.setrlimit = Path.write_text = refuse
"""


def limits_of(refusal: str) -> list[int]:
    command = [sys.executable, "-c", LIMITED.format(refusal=refusal)]
    return [int(word) for word in subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()]


def test_the_worker_comes_last_dies_first_and_has_a_limit() -> None:
    assert limits_of("") == [min(os.nice(0) + NICE, 19), DIES_FIRST, MEMORY]


def test_a_worker_that_may_not_limit_itself_works_all_the_same() -> None:
    mine = Path("/proc/self/oom_score_adj").read_text()
    assert limits_of(REFUSAL) == [os.nice(0), int(mine), resource.getrlimit(resource.RLIMIT_DATA)[0]]


def test_the_worker_is_given_no_secret() -> None:
    daemon = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "BUSYD_PASSWORD": "x",
        "CREDENTIALS_DIRECTORY": "/run/x",
    }
    assert environment_of_worker(daemon) == {"PATH": "/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


async def test_the_process_itself_has_no_secret_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUSYD_PASSWORD", "secret-of-the-test")
    worker = Worker()
    await worker.index([PLAIN], SPAN, zone="UTC")
    assert worker._process is not None
    environment = await asyncio.to_thread(Path(f"/proc/{worker._process.pid}/environ").read_bytes)
    await worker.close()
    assert b"PATH=" in environment
    assert b"secret-of-the-test" not in environment


def feed(count: int, *lines: str) -> bytes:
    body = "".join(
        "BEGIN:VEVENT\r\nUID:{}\r\nDTSTART:20260901T090000Z\r\n{}END:VEVENT\r\n".format(
            number, "".join(f"{line}\r\n" for line in lines)
        )
        for number in range(count)
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{body}END:VCALENDAR\r\n".encode()


@pytest.mark.parametrize("count", [3, 3000])
async def test_a_feed_is_cut_as_the_engine_cuts_it(count: int) -> None:
    worker, body = Worker(), feed(count, "SUMMARY:Lunch")
    pieces = await worker.split_feed(body)
    await worker.close()
    assert [(piece.uid, piece.payload) for piece in pieces] == [
        (piece.uid, piece.payload) for piece in split_feed(body)
    ]
    assert {piece.digest for piece in pieces} == {sha256(piece.payload).hexdigest() for piece in pieces}


async def test_a_long_page_in_place_of_a_feed_is_unreadable() -> None:
    worker = Worker()
    with pytest.raises(UnreadableFeed, match="it starts with '<html>'"):
        await worker.split_feed(b"<html>\n" + b"<p>\n" * 100_000)
    await worker.close()


async def test_what_needs_too_much_memory_ends_the_worker_and_harms_nobody() -> None:
    worker, long = Worker(), b"SUMMARY:" + b"x" * (MEMORY // 10)
    bomb = feed(1).replace(b"END:VEVENT", long + "\U0001f4a3\r\n".encode() + b"END:VEVENT")  # four bytes a letter
    with pytest.raises(WorkerFailed, match="more memory than"):
        await worker.split_feed(bomb)
    assert [found.uid for found in await worker.index([PLAIN], SPAN, zone="UTC")] == ["a"]
    await worker.close()


def test_the_process_starts_without_what_only_the_daemon_needs() -> None:
    code = "import sys, busyd.index.worker_process; print({'asyncio', 'aiohttp', 'sqlite3', 'yaml'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
