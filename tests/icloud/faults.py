"""Faults to be played to a client, in the order they were asked for. How each reaches the wire is `delivery.py`."""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from tests.icloud.exchange import Answer, Call, empty

Kind = Literal[
    "status",  # this status instead of doing anything; with retry_after and location as given
    "status-after-applying",  # the request is carried out, the answer is this status
    "delay",  # the right answer, `seconds` late
    "reset",  # TCP reset before anything is done
    "reset-if-reused",  # the same, but only on a connection that has served a request before
    "reset-after-applying",  # the request is carried out, the answer is lost
    "reset-after-headers",  # status and headers, then a reset
    "half-body",  # half of the body, then the connection is closed
    "slow-drip",  # the right answer, one byte every `seconds`
    "late",  # TCP reset at once; the request is carried out all the same, `seconds` later
    "twice",  # the request is carried out twice, and the answer is that of the second time
    "again",  # the right answer; the request is carried out once more, `seconds` later
    "never-answers",  # nothing, for as long as the client waits
    "truncated",  # the body cut after `at` bytes, or in the middle, as valid HTTP
    "html",  # a web page with the status of the right answer
    "empty-body",  # 200 and nothing
    "garbage",  # bytes that are no XML
    "hostile-xml",  # entities: a file of the machine, and a billion laughs
    "huge-body",  # `megabytes` of blank lines before the right answer
    "gzip-bomb",  # the same, compressed to almost nothing
]
KINDS: tuple[str, ...] = get_args(Kind)
BEFORE_DOING: tuple[Kind, ...] = ("status", "reset", "reset-if-reused", "late", "never-answers")


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """A fault for the next `times` matching requests (None: until cleared), after letting `skip` of them pass.

    `method` matches exactly, `path` is a regular expression searched in the path as sent.
    """

    kind: Kind
    times: int | None = 1
    skip: int = 0
    method: str = ""
    path: str = ""
    status: int = 503
    retry_after: int | str | None = None
    location: str = ""
    seconds: float = 1.0
    at: int | None = None
    megabytes: int = 64

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            message = f"no fault is called {self.kind!r}; there are {', '.join(KINDS)}"
            raise ValueError(message)

    def matches(self, call: Call) -> bool:
        return (not self.method or self.method == call.method) and bool(re.search(self.path, call.path))

    def answer(self) -> Answer:
        """The answer of the two "status" kinds: an empty body, as iCloud's refusals mostly have."""
        answer = empty(self.status)
        if self.retry_after is not None:
            answer.headers.append(("Retry-After", str(self.retry_after)))
        if self.location:
            answer.headers.append(("Location", self.location))
        return answer


@dataclass(slots=True)
class FaultQueue:
    """Faults waiting to be played; the first one that matches is taken."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        self.waiting.append(fault)
        return fault

    def clear(self) -> None:
        self.waiting.clear()

    def give_back(self, fault: Fault) -> None:
        """The request it was taken for did not get so far; the next one shall have it."""
        if fault.times is not None:
            fault.times += 1
        if fault not in self.waiting:
            self.waiting.insert(0, fault)

    def take(self, call: Call, *, reused_connection: bool) -> Fault | None:
        for fault in self.waiting:
            if not fault.matches(call) or (fault.kind == "reset-if-reused" and not reused_connection):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if not fault.times:
                    self.waiting.remove(fault)
            return fault
        return None
