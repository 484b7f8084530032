"""What the address of a connection means on servers nobody here wrote."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from busyd.clock import SystemClock
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.errors import DavError
from busyd.dav.operation import Account, Listing, discover_account, list_homes
from busyd.remote.client import CaldavClient
from busyd.remote.transport import Transport
from tests.journey.servers import PASSWORD, USER, CaldavServer, radicale, xandikos

SERVERS = {"radicale": radicale, "xandikos": xandikos}


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaldavServer]:
    with SERVERS[request.param](tmp_path_factory.mktemp("addresses")) as running:
        yield running


async def meant(server: CaldavServer, url: str) -> tuple[Account, Listing]:
    """The account and the calendars behind an address."""
    connection = Connection("team", ConnectionKind.CALDAV, server.url, USER)
    transport = Transport(replace(connection, url=url), lambda: Secret(PASSWORD), clock=SystemClock())
    try:
        client = CaldavClient(transport)
        account = await client.run(discover_account(url))
        return account, await client.run(list_homes(account.homes, single=account.is_single))
    finally:
        await transport.close()


def home_of(server: CaldavServer) -> str:
    return server.calendar.removesuffix("work/")


async def test_the_root_means_the_logins_own_calendars(server: CaldavServer) -> None:
    account, listing = await meant(server, server.url)
    assert (account.homes, account.is_single) == ((home_of(server),), False)
    assert "work" in [calendar.id for calendar in listing.calendars]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_principal_and_a_home_mean_the_calendars_in_them(server: CaldavServer, slash: str) -> None:
    for url in (f"{server.url}{USER}/", home_of(server)):
        account, listing = await meant(server, url.rstrip("/") + slash)
        assert (account.homes, account.is_single) == ((home_of(server),), False)
        assert "work" in [calendar.id for calendar in listing.calendars]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_calendar_means_that_one(server: CaldavServer, slash: str) -> None:
    account, listing = await meant(server, server.calendar.rstrip("/") + slash)
    assert (account.homes, account.is_single) == ((server.calendar,), True)
    assert [calendar.id for calendar in listing.calendars] == ["work"]


@pytest.mark.parametrize("path", ["nobody/", "nobody/work/", f"{USER}/no-such-calendar/", "nobody"])
async def test_what_is_not_there_means_nothing_and_nobody_elses(server: CaldavServer, path: str) -> None:
    with pytest.raises(DavError):
        await meant(server, server.url + path)
