"""The worker process: the same answer as in the daemon, a deadline, and a death that harms nobody."""

import asyncio

import pytest

from busyd.availability.index import IndexedObject, index_object
from busyd.availability.worker import HEAVY_BYTES, IndexWorker, Work, is_heavy
from busyd.period import EARLIEST, LATEST, Instant, Period
from tests.flow.inside import timed

SPAN = Period(Instant(1_780_000_000), Instant(1_790_000_000))
PLAIN = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;VALUE=DATE:20260601\r\n"
    b"RRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
BOMB = PLAIN.replace(b"UID:a", b"UID:bomb")


async def test_the_worker_says_what_the_engine_says() -> None:
    worker = IndexWorker()
    assert await worker.index([PLAIN], SPAN, "Europe/Berlin") == [index_object(PLAIN, SPAN, "Europe/Berlin")]
    await worker.close()


async def test_what_takes_too_long_is_not_understood_and_the_next_object_is() -> None:
    worker = IndexWorker(deadline=0.0)
    (given_up,) = await worker.index([PLAIN], SPAN, "UTC")
    assert "longer than" in given_up.incomplete
    assert given_up.problems[0].kind == "too-much"
    worker._deadline = 30.0
    assert not (await worker.index([PLAIN], SPAN, "UTC"))[0].incomplete
    await worker.close()


async def test_a_worker_that_dies_is_replaced() -> None:
    worker = IndexWorker()
    await worker.index([PLAIN], SPAN, "UTC")
    assert worker._process is not None
    worker._process.kill()
    await worker._process.wait()
    assert (await worker.index([PLAIN], SPAN, "UTC"))[0].uid == "a"
    await worker.close()


async def test_objects_asked_for_at_once_are_answered_each_with_its_own() -> None:
    worker = IndexWorker()
    payloads = [PLAIN.replace(b"UID:a", b"UID:%d" % number) for number in range(20)]
    found = await asyncio.gather(*(worker.index([payload, PLAIN], SPAN, "UTC") for payload in payloads))
    assert [[one.uid for one in pair] for pair in found] == [[str(number), "a"] for number in range(20)]
    await worker.close()


async def test_one_object_that_ends_the_worker_does_not_take_its_neighbours_along() -> None:
    worker = IndexWorker()
    asked: list[int] = []
    ask = worker._ask

    async def ask_and_die(work: Work) -> list[IndexedObject]:
        asked.append(len(work.payloads))
        if BOMB in work.payloads:
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
    worker = IndexWorker()
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
    worker = IndexWorker()
    monkeypatch.setattr("sys.executable", "/nowhere/python3")
    (found,) = await worker.index([timed("a", "20260901T090000Z", "20260901T100000Z")], SPAN, "UTC")
    await worker.close()
    assert len(found.rows) == 1


async def test_an_object_that_takes_too_long_blocks_the_time_it_may_take_place() -> None:
    worker = IndexWorker(deadline=0.0)
    (found,) = await worker.index([timed("a", "20260901T090000Z", "20260901T100000Z")], SPAN, "UTC")
    await worker.close()
    assert [(start, end) for start, end, _ in found.rows] == [(EARLIEST, LATEST)]
