"""The server of a calendar as the writer of objects meets it: a dictionary that can fail in every way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.errors import RemoteError
from busyd.remote.errors import Trouble, Unreachable

T = TypeVar("T")
HOST = "https://anna.example"


@dataclass
class Remote:
    """Stands for the schedule of a connection, and for its client."""

    objects: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Path -> ETag, bytes."""
    asked: list[DavRequest] = field(default_factory=list)
    is_refused: bool = False
    refuse: tuple[int, str] | None = None
    """Status and local name of the precondition with which every write is refused."""
    down: RemoteError | None = None
    """What every request ends in."""
    loses_answers: bool = False
    """Writes are carried out, and nobody is told."""
    rewrites: bool = False
    """What is written is stored in other words."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def context(self) -> "Remote":
        return self

    def note_write(self, calendar: int, href: str, *, etag: str) -> None:
        """Nobody polls here."""

    @property
    def writes(self) -> list[str]:
        return [request.method for request in self.asked if request.method in ("PUT", "DELETE", "MOVE")]

    def put(self, path: str, payload: bytes) -> str:
        """Somebody else has written this."""
        etag = f'"{next(self._numbers)}"'
        self.objects[path] = etag, payload
        return etag

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator["Remote"]:
        yield self

    @property
    def client(self) -> "Remote":
        return self

    async def look(self, *, is_awaited: bool = True) -> bool:
        raise NotImplementedError

    async def poll_now(self, report: object = None) -> bool:
        raise NotImplementedError

    async def check_now(self) -> bool:
        raise NotImplementedError

    async def run(self, operation: Operation[T]) -> T:
        try:
            request = next(operation)
            while True:
                request = operation.send(self._answer(request))
        except StopIteration as done:
            value: T = done.value
            return value

    def _answer(self, request: DavRequest) -> DavResponse:
        self.asked.append(request)
        if self.down is not None:
            raise self.down
        fields = dict(request.headers)
        known = self.objects.get(request.target)
        if request.method == "GET":
            return self._response(404) if known is None else self._response(200, known[1], etag=known[0])
        if self.refuse is not None:
            status, condition = self.refuse
            body = f'<D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><C:{condition}/></D:error>'
            return self._response(status, body.encode() if condition else b"")
        if "If-None-Match" in fields and known is not None:
            return self._response(412)
        if "If-Match" in fields and (known is None or known[0] != fields["If-Match"]):
            return self._response(412)
        etag = ""
        if request.method == "MOVE":
            destination = fields["Destination"]
            if fields["Overwrite"] == "F" and destination in self.objects:
                return self._response(412)
            self.put(destination, self.objects.pop(request.target)[1])
            known = None
        elif request.method == "DELETE":
            del self.objects[request.target]
        else:
            stored = request.body.replace(b"END:VEVENT", b"X-SERVER:1\r\nEND:VEVENT") if self.rewrites else request.body
            etag = self.put(request.target, stored)
        if self.loses_answers:
            raise Unreachable("anna.example", Trouble.RESET)
        return self._response(204 if known is not None else 201, etag=etag)

    def _response(self, status: int, body: bytes = b"", *, etag: str = "") -> DavResponse:
        headers = (("ETag", etag),) if etag else ()
        return DavResponse(status, HOST, headers, body)
