"""Items 53 and 54: the block that outlasts its Retry-After, and plain outages."""

import asyncio

import pytest

from tests.icloud import Account, SimulatedIcloud
from tests.icloud.conftest import StoppedClock
from tests.icloud.raw_client import RawClient, client_for


async def ask(client: RawClient) -> int:
    return (await client.propfind("/", "d:current-user-principal")).status


async def test_obeying_the_short_retry_after_prolongs_the_block(
    dav: RawClient, anna: Account, clock: StoppedClock
) -> None:
    anna.knobs.apply({"throttle_requests": 3, "throttle_block": 10})
    assert [await ask(dav) for _ in range(3)] == [207, 207, 207]
    blocked = await dav.propfind("/")
    assert (blocked.status, blocked.headers["Retry-After"], blocked.raw) == (503, "1", b"")
    for _ in range(20):
        clock.seconds += 1
        assert await ask(dav) == 503
    clock.seconds += 10
    assert await ask(dav) == 207


async def test_too_many_requests_at_once_are_throttled(dav: RawClient, anna: Account, icloud: SimulatedIcloud) -> None:
    anna.knobs.throttle_parallel = 1
    assert await ask(dav) == 207
    anna.knobs.play("never-answers")
    hanging = asyncio.create_task(ask(dav))
    await icloud.log.arrival(2)
    assert await ask(dav) == 503
    hanging.cancel()


async def test_a_refused_request_does_not_use_up_a_fault(dav: RawClient, anna: Account) -> None:
    anna.knobs.play("status-after-applying", status=504)
    anna.knobs.revoked = True
    assert await ask(dav) == 401
    anna.knobs.revoked = False
    assert [await ask(dav), await ask(dav)] == [504, 207]


async def test_a_block_concerns_one_account_only(dav: RawClient, anna: Account, icloud: SimulatedIcloud) -> None:
    ben = icloud.add_account("ben@icloud.com", password="qrst-uvwx-yzab-cdef")
    anna.knobs.throttle_requests = 1
    assert [await ask(dav), await ask(dav)] == [207, 503]
    assert await ask(client_for(dav.session, ben, origin=icloud.places.bootstrap)) == 207


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_bursts_of_errors_come_without_a_header(dav: RawClient, anna: Account, status: int) -> None:
    anna.knobs.fail_next(status, times=2)
    replies = [await dav.propfind("/", "d:current-user-principal") for _ in range(3)]
    assert [reply.status for reply in replies] == [status, status, 207]
    assert "Retry-After" not in replies[0].headers


async def test_the_throttle_can_leave_the_header_out(dav: RawClient, anna: Account) -> None:
    anna.knobs.apply({"throttle_requests": 1, "throttle_retry_after": None})
    await ask(dav)
    blocked = await dav.propfind("/")
    assert blocked.status == 503
    assert "Retry-After" not in blocked.headers


async def test_a_scripted_failure_meets_only_what_it_is_meant_for(dav: RawClient, anna: Account) -> None:
    anna.knobs.fail_next(503, method="REPORT", path="/work/$", skip=1, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    work, home = "/300000001/calendars/work/", "/300000001/calendars/home/"
    assert [(await dav.sync(path)).status for path in (home, work, home)] == [207, 207, 207]
    failed = await dav.sync(work)
    assert (failed.status, failed.headers["Retry-After"]) == (503, "Wed, 21 Oct 2026 07:28:00 GMT")
