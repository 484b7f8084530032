"""Logging to the journal or a terminal, with every known secret removed from messages and tracebacks.

Modules log with `logging.getLogger(__name__)`; the command line sets logging up once.
"""

import base64
import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from textwrap import shorten
from typing import Any, Final, Literal, TextIO
from urllib.parse import quote

from busyd.credentials import Secret, normalise_app_specific
from busyd.errors import Misconfigured

HIDDEN: Final = "***"

_PRIORITY: Final = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""Syslog priorities (sd-daemon(3)); 5, notice, has no equivalent in Python."""
_FIELDS: Final = ("connection", "profile", "calendar", "code")
"""What a record may be about (`extra=`), which JSON has as fields of their own."""
_SHORTEST: Final = 4
_MOST_LINES: Final = 5
_LONGEST_LINE: Final = 300
_PATTERNS: Final = (
    # Tokens of feeds and of busyd in general, credentials of HTTP, passwords in addresses.
    (re.compile(r"(/feeds/)[^\s/\"'?#]+?(?=\.ics\b|[\s/\"'?#]|$)"), rf"\1{HIDDEN}"),
    (re.compile(r"\bbd_([0-9a-f]+)_[A-Za-z0-9_-]+"), rf"bd_\1_{HIDDEN}"),
    (re.compile(r"(?i)\b(basic|bearer)(\s+)[A-Za-z0-9+/=._~-]{8,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@"), rf"\1{HIDDEN}@"),
)
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_QUIET: Final = ("aiohttp.access", "asyncio")
"""Third-party loggers that log nothing of interest to an operator below WARNING."""


class Redactor:
    """Removes secrets from texts: the known ones in every encoding, and anything that has the shape of one."""

    def __init__(self) -> None:
        self._forms: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None

    def hide(self, secret: Secret, *usernames: str) -> None:
        """Hide this secret from now on, also as Basic credentials with these user names (RFC 7617)."""
        if len(secret.reveal()) < _SHORTEST:
            return
        for text in {secret.reveal(), normalise_app_specific(secret.reveal())}:
            self._forms |= {text, quote(text), quote(text, safe=""), repr(text)[1:-1], json.dumps(text)[1:-1]}
            self._forms |= {base64.b64encode(f"{name}:{text}".encode()).decode() for name in usernames}
        # Longest first: a form may begin with a shorter one.
        self._known = re.compile("|".join(re.escape(form) for form in sorted(self._forms, key=len, reverse=True)))

    def redact(self, text: str) -> str:
        """The text with `***` in place of every secret."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


_redactor: Final = Redactor()


def hide_secret(secret: Secret, *usernames: str) -> None:
    """Keep a secret out of this process's log from now on."""
    _redactor.hide(secret, *usernames)


def _escaped(text: str) -> str:
    """One line without control characters: what a server calls a calendar must not look like a line of ours."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _harmless(value: object) -> object:
    """An argument of a message: texts and errors on one line; what is a table keeps its lines."""
    if isinstance(value, str | BaseException):
        return _escaped(str(value))
    if value is None or isinstance(value, int | float):
        return value
    return "\n".join(map(_escaped, str(value).split("\n")))


def _message_of(record: logging.LogRecord) -> str:
    """The message of a record; only our own text may break the line."""
    if isinstance(record.args, tuple):
        try:
            return str(record.msg) % tuple(map(_harmless, record.args)) if record.args else str(record.msg)
        except (TypeError, ValueError):
            pass  # a format that wants an object of its own kind
    return "\n".join(map(_escaped, record.getMessage().split("\n")))


class _Formatter(logging.Formatter):
    """Messages and tracebacks without control characters from outside."""

    def __init__(self, pattern: str, *, times: str | None = None, redactor: Redactor) -> None:
        super().__init__(pattern, datefmt=times)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        harmless = logging.makeLogRecord({**record.__dict__, "msg": _message_of(record), "args": None})
        return self._redactor.redact(super().format(harmless))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the standard library
        return "\n".join(map(_escaped, super().formatException(ei).split("\n")))


class JournalFormatter(_Formatter):
    """A `<PRIORITY>` in front of every line, so that the journal knows the level of a traceback's lines; no time."""

    def __init__(self, redactor: Redactor = _redactor) -> None:
        super().__init__("%(name)s: %(message)s", redactor=redactor)

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines() or [""])


class JsonFormatter(_Formatter):
    """An object in a line: time in UTC, level, logger, message, and what the message is about where that is known."""

    def __init__(self, redactor: Redactor = _redactor) -> None:
        super().__init__("%(message)s", redactor=redactor)

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redactor.redact(_message_of(record)),
        }
        for name in _FIELDS:
            if value := getattr(record, name, None):
                told[name] = self._redactor.redact(str(value))
        if record.exc_info:
            told["traceback"] = self._redactor.redact(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False)


class JournalJsonFormatter(JsonFormatter):
    """The same with the priority in front, which the journal takes away."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITY.get(record.levelno, 6)}>{super().format(record)}"


class PlainFormatter(_Formatter):
    """Time in UTC, level, logger and message, for a terminal or a file."""

    converter = staticmethod(time.gmtime)

    def __init__(self, redactor: Redactor = _redactor) -> None:
        pattern = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
        super().__init__(pattern, times="%Y-%m-%dT%H:%M:%SZ", redactor=redactor)


def set_up_logging(
    *, verbose: bool, environment: Mapping[str, str], stream: TextIO | None = None, level: int = logging.INFO
) -> None:
    """Log to standard error, `level` and above.

    `verbose` means DEBUG. The variable `BUSYD_LOG` is a level, or levels of single loggers, as in
    `info,busyd.sync=debug`. Raises Misconfigured when it is neither.
    """
    stream = stream or sys.stderr
    levels = _parse_levels(environment.get("BUSYD_LOG", ""))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JournalFormatter() if is_journal(stream, environment) else PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else levels.pop("", level))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)


def use_format(form: Literal["text", "json"], environment: Mapping[str, str]) -> None:
    """Write what is logged from now on as lines of text, or as JSON."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            in_journal = is_journal(handler.stream, environment)
            if form == "json":
                handler.setFormatter(JournalJsonFormatter() if in_journal else JsonFormatter())
            else:
                handler.setFormatter(JournalFormatter() if in_journal else PlainFormatter())


def first_few(lines: Sequence[str]) -> list[str]:
    """As much of a list of faults as a log should hold: the first lines, shortened, and how many more there are."""
    shown = [shorten(line, _LONGEST_LINE, placeholder=" …") for line in lines[:_MOST_LINES]]
    more = len(lines) - len(shown)
    return [*shown, f"and {more} more, which `busyd check` lists"] if more else shown


def error_prefix(stream: TextIO, environment: Mapping[str, str]) -> str:
    """The prefix that marks a line on this stream as an error: a priority in the journal, nothing elsewhere."""
    return f"<{_PRIORITY[logging.ERROR]}>" if is_journal(stream, environment) else ""


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream goes to the journal: systemd names its device and inode in JOURNAL_STREAM (systemd.exec(5))."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def _parse_levels(text: str) -> dict[str, int]:
    levels = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, level = part.rpartition("=")
        if level.lower() not in _LEVELS:
            message = f"BUSYD_LOG: {level!r} is not a log level"
            raise Misconfigured(message, fix="use debug, info, warning or error, or LOGGER=LEVEL")
        levels[name] = _LEVELS[level.lower()]
    return levels
