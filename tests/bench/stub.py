"""A CalDAV server that does nothing but answer at once: the network without a server's own work in it.

`python -m tests.bench.stub PORT [--calendars N] [--objects N] [--disjoint] [--delay MS] [--most N --within S]`: every
answer waits for the delay, and is made of pieces written in advance. `POST /control` with a `Wish` changes what is
there, and returns the log as it was before: a list of `Exchange`.
"""

import argparse
import asyncio
import contextlib
import re
import time
import urllib.request

import msgspec
from aiohttp import BasicAuth, web

from tests.bench.seed import spread_objects
from tests.generate import generate_objects

RETRY_AFTER = 5
"""Seconds for which a request that is refused asks to be left alone."""
_OPEN = (
    b'<?xml version="1.0" encoding="UTF-8"?><multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'
    b' xmlns:S="http://calendarserver.org/ns/">'
)
_CLOSE = b"</multistatus>"
_HREF = re.compile(rb"href>([^<]+)<")
_TOKEN = re.compile(rb"sync-token>([^<]*)<")
_MOVED = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:{start}\r\nDURATION:PT{length}M\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


class Exchange(msgspec.Struct):
    """One request and its answer."""

    kind: str
    """account, listing, members, sync, multiget or refused."""
    objects: int
    """How many objects were asked for."""
    size: int
    """Bytes of the answer's body."""
    began: float
    """When the request was there (monotonic, which all processes of a machine share)."""
    ended: float
    """When the answer was handed over."""
    user: str = ""
    """Who asked, by their login."""
    agent: str = ""
    """The program that asked, by its name."""


class Wish(msgspec.Struct):
    """What `/control` is asked."""

    objects: int = 0
    """Fill the calendars with so many objects; those of the same name are replaced."""
    touch: int = -1
    """Change this object to an event from `start`, a UTC stamp, of `length` minutes."""
    start: str = ""
    length: int = 0
    forget: bool = False
    """Clear the log."""


def control(port: int, wish: Wish) -> list[Exchange]:
    """Ask a running stub for something; its log before that."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/control", msgspec.json.encode(wish))
    with urllib.request.urlopen(request, timeout=60) as answer:
        return msgspec.json.decode(answer.read(), type=list[Exchange])


class Stub:
    """The account `anna`, its calendars, and what was asked."""

    def __init__(self, calendars: int, delay: float, *, disjoint: bool, most: int = 0, within: float = 10.0) -> None:
        self.calendars = calendars
        self.disjoint = disjoint
        """Plain events without overlap, so that every change shows; otherwise generated ones."""
        self.delay = delay
        self.most, self.within = most, within
        """So many requests within so many seconds are answered, all further ones refused; 0: all are answered."""
        self.objects: dict[str, tuple[int, bytes, bytes]] = {}
        """Path -> revision, and the pieces of answers that list it and that hold it."""
        self.revision = 1
        self.log: list[Exchange] = []

    def fill(self, count: int) -> None:
        """So many objects, dealt out to the calendars in turn."""
        self.revision += 1
        for number, payload in enumerate(
            spread_objects(count, 5) if self.disjoint else generate_objects(count, self.revision)
        ):
            self._put(number, payload)

    def touch(self, number: int, start: str, *, length: int) -> None:
        """Another event in place of an object."""
        self.revision += 1
        self._put(number, _MOVED.format(uid=number, start=start, length=length).encode())

    def _put(self, number: int, payload: bytes) -> None:
        path = f"/anna/{number % self.calendars}/{number}.ics"
        self.objects[path] = (self.revision, _row(path, self.revision), _object(path, self.revision, payload=payload))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request, whatever its method."""
        began = time.monotonic()
        body = await request.read()
        if request.path == "/control":
            return self._control(msgspec.json.decode(body, type=Wish))
        await asyncio.sleep(self.delay)
        if self._is_refused(began):
            self.log.append(Exchange("refused", 0, 0, began, time.monotonic(), *_asker(request)))
            return web.Response(status=429, headers={"Retry-After": str(RETRY_AFTER)})
        kind, objects, answer = self._answer(request, body)
        response = web.Response(status=207, body=answer, content_type="application/xml")
        with contextlib.suppress(ConnectionResetError):  # whoever asked may have been killed
            await response.prepare(request)
            await response.write_eof()
        self.log.append(Exchange(kind, objects, len(answer), began, time.monotonic(), *_asker(request)))
        return response

    def _is_refused(self, now: float) -> bool:
        if not self.most:
            return False
        return sum(one.kind != "refused" and one.began > now - self.within for one in self.log) >= self.most

    def _control(self, wish: Wish) -> web.Response:
        log = msgspec.json.encode(self.log)
        if wish.forget:
            self.log.clear()
        if wish.objects:
            self.fill(wish.objects)
        if wish.touch >= 0:
            self.touch(wish.touch, wish.start, length=wish.length)
        return web.Response(body=log)

    def _answer(self, request: web.BaseRequest, body: bytes) -> tuple[str, int, bytes]:
        path = request.path
        if request.method == "PROPFIND" and path != "/anna/" and request.headers.get("Depth") == "1":
            return "members", 0, self._members(path)
        if request.method == "PROPFIND":
            return (
                ("listing", 0, self._listing()) if request.headers.get("Depth") == "1" else ("account", 0, _who(path))
            )
        if b"calendar-multiget" in body:
            hrefs = [one.decode() for one in _HREF.findall(body)]
            return "multiget", len(hrefs), b"".join((_OPEN, *(self.objects[href][2] for href in hrefs), _CLOSE))
        found = _TOKEN.search(body)
        since = int(found[1] or b"0") if found else 0
        rows = [row for href, (revision, row, _) in self.objects.items() if revision > since and href.startswith(path)]
        token = f"<sync-token>{self._ctag(path)}</sync-token>".encode()
        return "sync", 0, b"".join((_OPEN, *rows, token, _CLOSE))

    def _members(self, path: str) -> bytes:
        itself = _response(path, "<resourcetype><collection/><C:calendar/></resourcetype>")
        rows = [row for href, (_, row, _) in self.objects.items() if href.startswith(path)]
        return b"".join((_OPEN, itself, *rows, _CLOSE))

    def _ctag(self, path: str) -> int:
        return max((revision for href, (revision, _, _) in self.objects.items() if href.startswith(path)), default=1)

    def _listing(self) -> bytes:
        rows = [_response("/anna/", "<resourcetype><collection/></resourcetype>")]
        ctags = dict.fromkeys(range(self.calendars), 1)
        for href, (revision, _, _) in self.objects.items():
            number = int(href.split("/")[2])
            ctags[number] = max(ctags[number], revision)
        for number, ctag in ctags.items():
            name = "Work" if number == 0 else f"Calendar {number}"
            rows.append(
                _response(
                    f"/anna/{number}/",
                    f"<resourcetype><collection/><C:calendar/></resourcetype><displayname>{name}</displayname>"
                    f"<sync-token>{ctag}</sync-token><S:getctag>{ctag}</S:getctag>",
                )
            )
        return b"".join((_OPEN, *rows, _CLOSE))


def _asker(request: web.BaseRequest) -> tuple[str, str]:
    """The user of the login, and the program."""
    login = request.headers.get("Authorization", "")
    user = BasicAuth.decode(login).login if login.startswith("Basic ") else ""
    return user, request.headers.get("User-Agent", "")


def _who(path: str) -> bytes:
    properties = (
        "<current-user-principal><href>/anna/</href></current-user-principal><C:calendar-home-set><href>/anna/</href>"
        "</C:calendar-home-set><resourcetype><collection/></resourcetype>"
    )
    return _OPEN + _response(path, properties) + _CLOSE


def _response(path: str, properties: str) -> bytes:
    return (
        f"<response><href>{path}</href><propstat><prop>{properties}</prop><status>HTTP/1.1 200 OK</status></propstat>"
        "</response>"
    ).encode()


def _row(href: str, revision: int) -> bytes:
    return _response(href, f'<getetag>"{revision}"</getetag>')


def _object(href: str, revision: int, *, payload: bytes) -> bytes:
    text = payload.decode().replace("&", "&amp;").replace("<", "&lt;")
    return _response(href, f'<getetag>"{revision}"</getetag><C:calendar-data>{text}</C:calendar-data>')


async def serve(port: int, stub: Stub) -> None:
    """Until killed."""
    runner = web.ServerRunner(web.Server(stub.handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--calendars", type=int, default=1)
    parser.add_argument("--objects", type=int, default=0)
    parser.add_argument("--disjoint", action="store_true")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--within", type=float, default=10.0)
    wanted = parser.parse_args()
    stub = Stub(
        wanted.calendars,
        wanted.delay / 1000,
        disjoint=wanted.disjoint,
        most=wanted.most,
        within=wanted.within,
    )
    stub.fill(wanted.objects)
    asyncio.run(serve(wanted.port, stub))


if __name__ == "__main__":
    main()
