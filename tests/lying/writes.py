"""Servers that lie about what is written to them. Each is written to by an app of busyd's: never by another device."""

import re
from collections.abc import Mapping
from typing import ClassVar

from tests.lying.server import LyingServer, Member, Reply


class Writable(LyingServer):
    """Takes what is written. The event of the hour is there from the start."""

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        """Only the app does something."""

    def write(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> Reply:
        name = path.rpartition("/")[2]
        found = self.work.members.get(name)
        if "If-None-Match" in headers and found is not None:
            return Reply(412)
        if "If-Match" in headers and (found is None or found.etag != headers["If-Match"]):
            return Reply(412)
        if method == "DELETE":
            return self.remove(name)
        return self.take(name, body, found)

    def take(self, name: str, body: str, found: Member | None) -> Reply:
        self.work.put(name, body)
        return Reply(204 if found else 201, "", (("ETag", self.work.members[name].etag),))

    def remove(self, name: str) -> Reply:
        self.work.delete(name)
        return Reply(204)


class DropsPuts(Writable):
    """Says that it has taken a PUT, with an ETag, and has not."""

    gives_etag: ClassVar[bool] = True

    def take(self, name: str, body: str, found: Member | None) -> Reply:
        if not self.lies:
            return super().take(name, body, found)
        return Reply(204 if found else 201, "", (("ETag", '"said"'),) if self.gives_etag else ())


class DropsPutsWithoutEtag(DropsPuts):
    gives_etag = False


class DropsDeletes(Writable):
    """Says that it has removed an event, and has not."""

    def remove(self, name: str) -> Reply:
        return Reply(204) if self.lies else super().remove(name)


class BringsBack(Writable):
    """Undoes a write after some seconds, with the ETag of before, as a restored replica does."""

    def write(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> Reply:
        self.before = dict(self.work.members)
        return super().write(method, path, body, headers)

    def tick(self) -> None:
        if self.lies and self.passed > 12 and self.before:
            for name, member in self.before.items():
                self.work.put(name, member.text, etag=member.etag)
            self.before = {}

    before: Mapping[str, Member] = {}


class KeepsTheTime(Writable):
    """Stores a PUT with the time of before, under the ETag of the answer."""

    def take(self, name: str, body: str, found: Member | None) -> Reply:
        if self.lies and found is not None:
            times = re.findall(r"DT(?:START|END):\S+", found.text)
            for line, before in zip(re.findall(r"DT(?:START|END):\S+", body), times, strict=True):
                body = body.replace(line, before)
        return super().take(name, body, found)


class ReadsLag(Writable):
    """What is read is as it was some seconds ago."""

    def prepare(self) -> None:
        super().prepare()
        self.lag = dict.fromkeys(("listing", "sync", "members", "multiget", "get"), 12.0)


WRITTEN: tuple[type[Writable], ...] = (
    Writable,
    DropsPuts,
    DropsPutsWithoutEtag,
    DropsDeletes,
    BringsBack,
    KeepsTheTime,
    ReadsLag,
)
