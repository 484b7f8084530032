"""The request log: what a client really sent, when, and how much of it at once. No password is ever kept."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from urllib.parse import unquote

from tests.icloud.exchange import Call

_KEPT_BYTES = 256 * 1024


@dataclass(slots=True)
class Entry:
    """One request. `finished` is None while it is being answered; `status` is 0 when no answer got out.

    `parallel` counts the account's requests being answered when this one began, itself among them.
    """

    origin: str
    host: str
    method: str
    path: str
    depth: str | None
    account: str | None
    authorization: bool
    headers: tuple[str, ...]
    body_size: int
    body: bytes = field(repr=False)
    started: float
    connection: int
    parallel: int
    finished: float | None = None
    status: int = 0
    answer_size: int = 0
    fault: str = ""

    @property
    def report(self) -> str:
        """`sync-collection`, `calendar-multiget`, `calendar-query`, ... or nothing when this is no REPORT."""
        known = ("sync-collection", "calendar-multiget", "calendar-query", "free-busy-query")
        return next((name for name in known if self.method == "REPORT" and name.encode() in self.body), "")

    @property
    def batch(self) -> int:
        """How many objects a calendar-multiget asked for."""
        closing_tags = self.body.count(b"href>") // 2
        return closing_tags if self.report == "calendar-multiget" else 0

    def as_json(self) -> dict[str, object]:
        shown = asdict(self)
        del shown["body"]
        return shown | {"report": self.report, "batch": self.batch}


@dataclass(slots=True)
class RequestLog:
    entries: list[Entry] = field(default_factory=list)
    watch: Callable[[], object] | None = None
    """Called when the first of the requests in flight arrives, and when the last of them is answered."""
    _in_flight: Counter[str | None] = field(default_factory=Counter)
    _awaited: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    def begin(self, call: Call, *, account: str | None, connection: int, now: float) -> Entry:
        entry = Entry(
            origin=call.origin,
            host=call.host,
            method=call.method,
            path=call.path,
            depth=call.depth,
            account=account,
            authorization="Authorization" in call.headers,
            headers=tuple(call.headers.keys()),
            body_size=len(call.body),
            body=call.body[:_KEPT_BYTES],
            started=now,
            connection=connection,
            parallel=self._in_flight[account] + 1,
        )
        if self.watch is not None and not self._in_flight.total():
            self.watch()
        self._in_flight[account] += 1
        self.entries.append(entry)
        for count, arrived in self._awaited:
            if len(self.entries) >= count:
                arrived.set()
        return entry

    def end(self, entry: Entry, *, now: float) -> None:
        self._in_flight[entry.account] -= 1
        entry.finished = now
        if self.watch is not None and not self._in_flight.total():
            self.watch()

    async def arrival(self, count: int = 1) -> None:
        """Wait until the log has so many entries; only for tests in the simulator's own event loop."""
        arrived = asyncio.Event()
        self._awaited.append((count, arrived))
        if len(self.entries) < count:
            await arrived.wait()
        self._awaited.remove((count, arrived))

    def requests(
        self,
        *,
        account: str | None = None,
        method: str | None = None,
        path: str | None = None,
        origin: str | None = None,
        report: str | None = None,
    ) -> list[Entry]:
        """The entries that match everything given; `path` is part of the decoded path."""
        return [
            entry
            for entry in list(self.entries)
            if (account is None or entry.account == account)
            and (method is None or entry.method == method)
            and (path is None or path in unquote(entry.path))
            and (origin is None or entry.origin == origin)
            and (report is None or entry.report == report)
        ]

    def clear(self) -> None:
        self.entries.clear()

    def per_minute(self, account: str | None = None) -> int:
        """The most requests that began within any 60 seconds."""
        starts = sorted(entry.started for entry in self.requests(account=account))
        best = first = 0
        for last, start in enumerate(starts):
            while start - starts[first] >= 60:
                first += 1
            best = max(best, last - first + 1)
        return best

    def max_parallel(self, account: str | None = None) -> int:
        """The most requests of one account that were being answered at the same time."""
        return max((entry.parallel for entry in self.requests(account=account)), default=0)

    def max_batch(self, account: str | None = None) -> int:
        return max((entry.batch for entry in self.requests(account=account)), default=0)

    def authorization_by_host(self) -> Counter[str]:
        """How many requests carried an Authorization header, for each Host header they were sent to."""
        return Counter(entry.host for entry in list(self.entries) if entry.authorization)

    def summary(self, account: str | None = None) -> dict[str, object]:
        entries = self.requests(account=account)
        return {
            "requests": len(entries),
            "by_method": Counter(entry.method for entry in entries),
            "by_status": Counter(entry.status for entry in entries),
            "per_minute": self.per_minute(account),
            "max_parallel": self.max_parallel(account),
            "max_batch": self.max_batch(account),
            "authorization_by_host": self.authorization_by_host(),
        }
