"""Fixtures of the self-tests: a simulated iCloud with a stopped clock, Anna's account, a bare client on each host."""

from collections.abc import AsyncIterator
from datetime import date

import aiohttp
import pytest

from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.apple_text import calendar, event, timed
from tests.icloud.raw_client import RawClient, client_for, open_session


class StoppedClock:
    """Seconds that pass only when a test says so."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def meeting(uid: str = "E1", summary: str = "Meeting", *lines: str, day: date = date(2026, 11, 23)) -> str:
    """An object iCloud accepts: 10:00 to 11:00 in Berlin."""
    return calendar(event(uid, summary, timed(day, "10:00", end="11:00"), *lines))


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def icloud(clock: StoppedClock) -> AsyncIterator[SimulatedIcloud]:
    async with SimulatedIcloud.start(now=clock) as simulated:
        yield simulated


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    account = icloud.add_account("anna@icloud.com", dsid="300000001", addresses=("anna@example.com",))
    account.add_default_calendars()
    return account


@pytest.fixture
def work(anna: Account) -> Calendar:
    return anna.calendars["work"]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
def generic(session: aiohttp.ClientSession, icloud: SimulatedIcloud, anna: Account) -> RawClient:
    """Anna at the generic host."""
    return client_for(session, anna, origin=icloud.places.bootstrap)


@pytest.fixture
def dav(session: aiohttp.ClientSession, icloud: SimulatedIcloud, anna: Account) -> RawClient:
    """Anna at her shard."""
    return client_for(session, anna, origin=icloud.places.shard)
