"""What the CalDAV client asks and writes, against servers nobody here wrote."""

from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

import pytest
from msgspec import Struct

from busyd.clock import SystemClock
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.errors import InvalidSyncToken, LoginRefused
from busyd.dav.href import Href
from busyd.dav.operation import (
    Operation,
    Refused,
    SyncDelta,
    Written,
    delete_object,
    discover_account,
    fetch_object,
    fetch_objects,
    list_homes,
    list_members,
    normalise_href,
    put_object,
    sync_collection,
)
from busyd.remote.client import CaldavClient
from busyd.remote.transport import Transport
from tests.journey.servers import PASSWORD, USER, CaldavServer
from tests.journey.test_foreign_servers import ALL, single

T = TypeVar("T")
MORNING = single("20260601T090000Z", "20260601T100000Z").encode()
EVENING = single("20260601T180000Z", "20260601T190000Z").encode()


@pytest.fixture(scope="module", params=ALL, ids=[one.__name__ for one in ALL])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaldavServer]:
    with request.param(tmp_path_factory.mktemp("protocol")) as server:
        yield server


class Login(Struct, frozen=True):
    """A login at a server, and the calendar that is used."""

    client: CaldavClient
    calendar: str

    async def run(self, operation: Operation[T]) -> T:
        return await self.client.run(operation)

    def href(self, name: str) -> Href:
        return normalise_href(self.calendar + name)

    async def changes(self, token: str | None) -> SyncDelta:
        return await self.run(sync_collection(self.calendar, token))

    async def delete(self, name: str) -> None:
        assert await self.run(delete_object(self.href(name), None)) == Written()


@pytest.fixture
async def login(server: CaldavServer) -> AsyncIterator[Login]:
    connection = Connection("team", ConnectionKind.CALDAV, server.url, USER)
    transport = Transport(connection, lambda: Secret(PASSWORD), clock=SystemClock())
    yield Login(CaldavClient(transport), server.calendar)
    await transport.close()


async def test_the_calendar_is_found_from_the_root(login: Login, server: CaldavServer) -> None:
    account = await login.run(discover_account(server.url))
    listing = await login.run(list_homes(account.homes))
    assert [(one.href, one.name) for one in listing.calendars] == [(login.href(""), "Work")]
    assert not listing.unreadable
    assert not account.is_single


async def test_the_calendar_is_found_from_its_own_address(login: Login, server: CaldavServer) -> None:
    for url in (server.calendar, server.calendar.rstrip("/")):
        account = await login.run(discover_account(url))
        assert account.is_single
        listing = await login.run(list_homes(account.homes, single=True))
        assert [one.name for one in listing.calendars] == ["Work"]


async def test_what_is_made_changed_and_deleted_is_told_since_a_token(login: Login) -> None:
    before = await login.changes(None)
    href = login.href("told.ics")
    assert isinstance(await login.run(put_object(href, MORNING, if_none_match=True)), Written)
    made = await login.changes(before.token)
    assert (list(made.changed), made.vanished) == ([href], frozenset())
    (found,) = (await login.run(fetch_objects(login.calendar, [href]))).objects
    assert found.etag == made.changed[href]
    assert isinstance(await login.run(put_object(href, EVENING, if_match=found.etag)), Written)
    changed = await login.changes(made.token)
    assert list(changed.changed) == [href]
    assert changed.changed[href] != found.etag
    await login.delete("told.ics")
    gone = await login.changes(changed.token)
    assert not gone.changed
    assert gone.vanished == {href}
    assert await login.run(fetch_object(href)) is None
    assert href in (await login.run(fetch_objects(login.calendar, [href]))).vanished
    assert href not in (await login.run(list_members(login.calendar))).etags


async def test_a_list_names_what_a_report_names(login: Login) -> None:
    for number in range(3):
        made = put_object(
            login.href(f"{number}.ics"), MORNING.replace(b"single", b"list%d" % number), if_none_match=True
        )
        assert isinstance(await login.run(made), Written)
    listed, told = await login.run(list_members(login.calendar)), await login.changes(None)
    assert listed.etags == told.changed
    assert {login.href(f"{number}.ics") for number in range(3)} <= listed.etags.keys()
    for number in range(3):
        await login.delete(f"{number}.ics")


async def test_a_token_nobody_gave_is_refused_as_one(login: Login) -> None:
    with pytest.raises(InvalidSyncToken):
        await login.changes("http://example.org/no-such-token")


async def test_an_object_is_made_once_and_changed_only_as_it_was_seen(login: Login) -> None:
    href = login.href("written.ics")
    assert isinstance(await login.run(put_object(href, MORNING, if_none_match=True)), Written)
    again = await login.run(put_object(href, EVENING, if_none_match=True))
    assert isinstance(again, Refused)
    assert again.status == 412
    seen = await login.run(fetch_object(href))
    assert seen is not None
    assert b"T090000Z" in seen.payload
    assert isinstance(await login.run(put_object(href, EVENING, if_match=seen.etag)), Written)
    for late in (put_object(href, MORNING, if_match=seen.etag), delete_object(href, seen.etag)):
        refused = await login.run(late)
        assert isinstance(refused, Refused)
        assert refused.status == 412
    now = await login.run(fetch_object(href))
    assert now is not None
    assert b"T180000Z" in now.payload
    assert await login.run(delete_object(href, now.etag)) == Written()
    assert await login.run(fetch_object(href)) is None
    assert await login.run(delete_object(href, now.etag)) == Written()


async def test_a_wrong_password_is_called_refused(server: CaldavServer) -> None:
    if not server.asks_for_password:
        return  # there is none to be wrong
    connection = Connection("team", ConnectionKind.CALDAV, server.url, USER)
    transport = Transport(connection, lambda: Secret("not-the-password"), clock=SystemClock())
    with pytest.raises(LoginRefused):
        await CaldavClient(transport).run(discover_account(server.url))
    await transport.close()
