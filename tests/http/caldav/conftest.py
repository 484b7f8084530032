"""A served backend with calendar objects, and a client that speaks WebDAV to it."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.connection import RemoteCalendar
from busyd.dav import names
from busyd.dav.multistatus import MemberResponse, Multistatus
from busyd.period import Instant
from tests.http.caldav.remote import Remote
from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import NOW, SmallBackend

HOME = "/anna/calendars/1/"
ME = "/dav/anna/"
GETETAG = "<D:prop><D:getetag/></D:prop>"


def event(uid: str, *lines: str, start: str = "20261124T090000Z", end: str = "20261124T100000Z") -> bytes:
    """An event, with further lines of its own."""
    body = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}"]
    body += ["DTSTAMP:20261101T000000Z", f"DTSTART:{start}", *([f"DTEND:{end}"] if end else []), *lines]
    return "\r\n".join([*body, "END:VEVENT", "END:VCALENDAR", ""]).encode()


@dataclass
class Dav:
    """The CalDAV server as a client of anna's sees it."""

    served: Served
    token: str
    user: str = "anna"

    @property
    def backend(self) -> SmallBackend:
        return self.served.backend

    async def ask(self, method: str, path: str, body: str = "", **fields: str) -> Answer:
        """One request; keyword names become header names."""
        password = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
        headers = {"Authorization": f"Basic {password}", "Content-Type": "text/xml"} if self.token else {}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        url = f"http://127.0.0.1:{self.served.port}{path}"
        data = io.BytesIO(body.encode()) if body else None
        async with self.served.session.request(
            method, url, data=data, headers=headers, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def propfind(self, path: str, *properties: str, depth: int = 0, **fields: str) -> list[MemberResponse]:
        """The responses for these properties, of which `D:`, `C:`, `CS:` and `A:` are known."""
        prop = "".join(f"<{name}/>" for name in properties)
        body = xml("D:propfind", f"<D:prop>{prop}</D:prop>" if prop else "<D:allprop/>")
        answer = await self.ask("PROPFIND", path, body, Depth=str(depth), **fields)
        return responses(answer)

    async def calendar(self) -> str:
        """The href of anna's calendar."""
        rows = await self.propfind(ME, "D:resourcetype", depth=1)
        return next(row.spelling for row in rows if row.spelling != ME)

    async def report(self, path: str, root: str, inner: str, **fields: str) -> Answer:
        return await self.ask("REPORT", path, xml(root, inner), **fields)

    async def sync(self, token: str = "", inner: str = "") -> tuple[dict[str, int], str]:
        """Name of each member that a sync-collection tells of -> its status; and the new token."""
        path = await self.calendar()
        level = "<D:sync-level>1</D:sync-level>"
        body = f"<D:sync-token>{token}</D:sync-token>{level}{inner}{GETETAG}"
        answer = await self.report(path, "D:sync-collection", body)
        told = Multistatus.from_xml(answer.body)
        assert told.sync_token is not None
        return {row.spelling.removeprefix(path): row.status or 200 for row in told.responses}, told.sync_token

    async def put(self, name: str, payload: bytes) -> None:
        """The remote has this object now, and the mirror too."""
        await self.backend.store_object(1, HOME + name, payload)

    async def remove(self, *member_names: str, at: int = NOW) -> None:
        hrefs = [HOME + name for name in member_names]
        await self.backend.store.transaction(lambda tx: tx.forget_objects(1, hrefs, at=Instant(at)))


def xml(root: str, inner: str) -> str:
    """A document with the usual prefixes."""
    nsmap = " ".join(f'xmlns:{prefix}="{namespace}"' for prefix, namespace in names.PREFIXES.items())
    return f'<?xml version="1.0" encoding="utf-8"?><{root} {nsmap}>{inner}</{root}>'


def responses(answer: Answer) -> list[MemberResponse]:
    assert answer.status == 207, answer.text
    assert answer.headers["Content-Type"].startswith("application/xml")
    return list(Multistatus.from_xml(answer.body).responses)


def hrefs(rows: Sequence[MemberResponse]) -> list[str]:
    return [row.spelling for row in rows]


@pytest.fixture
async def dav(serve: Serve, tmp_path: Path) -> Dav:
    """Anna's calendar Work with two objects, bob's with none."""
    backend = SmallBackend(tmp_path)
    for name, record in (("anna", 1), ("bob", 2)):
        remote = replace(backend.state.calendars[record].remote, color="#ff2968")
        calendars: list[RemoteCalendar] = [remote]
        await backend.store.record_listing(name, calendars, at=NOW)
        backend.state.calendars[record] = replace(backend.state.calendars[record], remote=remote)
    served = await serve(backend)
    client = Dav(served, backend.token("anna", "freebusy", "details"))
    await client.put("a.ics", event("a", "SUMMARY:Dentist"))
    await client.put("b%40c.ics", event("b@c", "SUMMARY:Lunch & more"))
    return client


@pytest.fixture
async def remote(dav: Dav) -> Remote:
    """The server of anna's calendar, and a token that may write to it."""
    remote = Remote()
    dav.backend.schedules = {"anna": remote}
    dav.token = dav.backend.token("anna", "freebusy", "details", "book")
    for name, payload in (
        ("a.ics", event("a", "SUMMARY:Dentist")),
        ("b%40c.ics", event("b@c", "SUMMARY:Lunch & more")),
    ):
        etag = remote.put(HOME + name, payload)
        await dav.backend.store_object(1, HOME + name, payload, etag=etag)
    return remote
