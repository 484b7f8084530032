"""The report of `busyd doctor`: its entries, the names left out of them, and the two ways to print them."""

import platform
import re
import ssl
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, field

import busyd
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, printable
from busyd.store.sqlite.connection import SQLITE_VERSION


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not checked; the message says why."""


class ReportEntry(Struct, frozen=True):
    """One line of the report. Nothing in it names a person, a calendar or a server that is not iCloud's."""

    subject: str
    """`configuration`, `state`, `connection 1`, `profile 1`."""
    check: str
    """Stable, for programs: `login`, `sync-empty`."""
    level: Level
    message: str
    steps: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    status: ExitStatus = ExitStatus.FAILED
    """The exit status when this is the gravest failure."""
    code: str = ""
    """What went wrong with a server, for programs, as `Diagnosis.code`: the same as in `busyd status` and the log."""


_ADDRESS: Final = re.compile(r"[^\s<>\"'`]+@[^\s<>\"'`]+")
_HOST: Final = re.compile(
    r"(?:(?<=//)|(?<![\w./-]))(?:localhost|\d+(?:\.\d+){3}|\[[0-9A-Fa-f:.]{2,}\]|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f]*"
    r"|(?:[A-Za-z0-9_-]+\.)+(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{2,})(?::\d+)?(?![\w-])"
)
_APPLES: Final = re.compile(r"(?:[a-z0-9-]+\.)*(?:apple\.com|icloud\.com|icloud\.com\.cn|com\.apple)")
_GRAVEST: Final = (
    ExitStatus.CONFIG,
    ExitStatus.LOGIN_REFUSED,
    ExitStatus.REMOTE_UNAVAILABLE,
    ExitStatus.TRY_AGAIN,
    ExitStatus.FAILED,
)
"""What needs a person comes before what may pass by itself."""


class Labels:
    """`connection 1` in place of a name, unless names were asked for; numbered in the order of the configuration."""

    def __init__(self, *, show_names: bool) -> None:
        self.show_names = show_names
        self._known: dict[tuple[str, str], str] = {}

    def scrub(self, text: str) -> str:
        """A sentence without addresses and hosts other than Apple's, wherever they came from."""
        if self.show_names:
            return text
        for (kind, name), label in self._known.items():
            if kind == "connection":
                text = text.replace(f"connection {name}:", f"{label}:").replace(f"set {name}`", "set NAME`")
        text = _ADDRESS.sub("ADDRESS", text)
        return _HOST.sub(lambda match: match[0] if _APPLES.fullmatch(match[0].lower()) else "HOST", text)

    def of(self, kind: str, name: str) -> str:
        """The label of a thing of this kind (`connection`, `profile`, `calendar`)."""
        if self.show_names:
            return f"{kind} {name}"
        if (kind, name) not in self._known:
            number = 1 + sum(1 for known, _ in self._known if known == kind)
            self._known[kind, name] = f"{kind} {number}"
        return self._known[kind, name]


def status_of_entries(entries: Sequence[ReportEntry]) -> ExitStatus:
    """OK unless something failed; then the status of the gravest failure."""
    statuses = {entry.status for entry in entries if entry.level is Level.FAILED}
    return next((status for status in _GRAVEST if status in statuses), ExitStatus.OK)


def count(number: int, noun: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_entry(entry: ReportEntry) -> None:
    """A line that starts with the level, and below it what to do."""
    timing = entry.details.get("milliseconds")
    duration = f" ({timing} ms)" if timing is not None else ""
    code = f" [{entry.code}]" if entry.code else ""
    print(f"{entry.level:<8} {entry.subject}: {printable(entry.message)}{code}{duration}")
    for number, step in enumerate(entry.steps, 1):
        mark = f"{number}. " if len(entry.steps) > 1 else ""
        print(f"{'':<8}   {mark}{printable(step)}")
    if entry.level in (Level.WARNING, Level.FAILED):
        for exchange in entry.details.get("exchanges", ()):
            identified = f", request {exchange['request_id']}" if exchange["request_id"] else ""
            answered = exchange["status"] or exchange.get("error")
            print(f"{'':<8}   {exchange['method']} -> {answered}{printable(identified)}")


def print_summary(entries: Sequence[ReportEntry]) -> None:
    """How many entries there are of each level."""
    counts = {level: sum(1 for entry in entries if entry.level is level) for level in Level}
    print()
    print(", ".join(f"{count} {level}" for level, count in counts.items() if count))


def print_report(entries: Sequence[ReportEntry]) -> None:
    """All of it as one JSON document."""
    print_json(
        {
            **describe_installation(),
            "ok": status_of_entries(entries) is ExitStatus.OK,
            "findings": [
                {
                    "subject": entry.subject,
                    "check": entry.check,
                    "level": entry.level.value,
                    "message": entry.message,
                    **({"code": entry.code} if entry.code else {}),
                    "steps": list(entry.steps),
                    "details": dict(entry.details),
                }
                for entry in entries
            ],
        }
    )


def describe_installation() -> dict[str, str]:
    """The versions that matter for a bug report, without the name of the machine."""
    return {
        "busyd": busyd.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": SQLITE_VERSION,
        "openssl": ssl.OPENSSL_VERSION,
    }
