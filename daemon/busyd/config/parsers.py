"""Single values of the configuration: text in, value out, or a ValueError whose message may be shown."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from busyd import timetext
from busyd.address import ListenAddress, TcpAddress, UnixAddress
from busyd.availability.hours import DAY, MinuteSpan
from busyd.config.errors import one_of, quote
from busyd.ical.zone_names import windows_zone
from busyd.ical.zones import iana_zone, similar_name
from busyd.spelling import did_you_mean

T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SPAN: Final = re.compile(r"(\d{1,2}):(\d{2})\s*[-\u2013]\s*(\d{1,2}):(\d{2})")
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_LOOPBACK_NAME: Final = "localhost"
"""The one host name that is this machine everywhere (RFC 6761 §6.3)."""


def parse_name(text: str) -> str:
    """A name of the user's own: `[a-z0-9][a-z0-9_-]*`."""
    if _NAME.fullmatch(text):
        return text
    plain = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    hint = f", did you mean '{plain}'?" if plain and quote(text) == f"'{text}'" else ""
    message = f"{quote(text)} is not a name: use lower-case letters, digits, '-' and '_'{hint}"
    raise ValueError(message)


def parse_flag(text: str) -> bool:
    """true or false; yes, no, on and off are accepted too."""
    match text.lower():
        case "true" | "yes" | "on":
            return True
        case "false" | "no" | "off":
            return False
    message = f"expected true or false, not {quote(text)}"
    raise ValueError(message)


def parse_choice(text: str, *, options: Sequence[T]) -> T:
    """One of a few words (literals or members of a StrEnum), in any case."""
    for option in options:
        if str(option) == text.lower():
            return option
    words = [str(option) for option in options]
    message = f"expected {one_of(words)}, not {quote(text)}{did_you_mean(text, words)}"
    raise ValueError(message)


def parse_duration(text: str) -> timedelta:
    """`60s`, `15m`, `6h`, `14d`, `2w`, or several together as in `1h30m`."""
    return _quoting(timetext.parse_duration, text)


def _quoting(parse: Callable[[str], T], text: str) -> T:
    """What `parse` reads; its error with as much of the text as may be shown."""
    try:
        return parse(text)
    except timetext.BadText as error:
        message = f"{quote(text)} {error}"
        raise ValueError(message) from None


def parse_count(text: str) -> int:
    """A whole number from 1 to 9999."""
    if re.fullmatch(r"[0-9]{1,4}", text) and int(text):
        return int(text)
    message = f"expected a whole number from 1 to 9999, not {quote(text)}"
    raise ValueError(message)


def parse_zone(text: str) -> str:
    """A name of the time-zone database that busyd uses."""
    if iana_zone(text) is not None:
        return text
    near = windows_zone(text) or similar_name(text)
    hint = f", did you mean '{near}'?" if near else ": write a name such as Europe/Berlin"
    message = f"{quote(text)} is not an IANA time zone{hint}"
    raise ValueError(message)


def parse_days(text: str) -> list[int]:
    """`mon-fri`, `sat`, `mon,wed`: numbers of weekdays, Monday is 0."""
    days: list[int] = []
    for part in text.lower().split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        start = _parse_day(first, text)
        end = _parse_day(last, text) if dash else start
        days.extend((start + offset) % 7 for offset in range((end - start) % 7 + 1))
    return days


def _parse_day(word: str, text: str) -> int:
    for number, day in enumerate(DAYS):
        if word in (day[:3], day):
            return number
    short = [day[:3] for day in DAYS]
    nearest = did_you_mean(word, [*DAYS, *short])
    message = f"{quote(text)} is not a day: write mon-fri, sat, or a date such as 2026-12-24{nearest}"
    raise ValueError(message)


def parse_date(text: str) -> date | None:
    """A date as `2026-12-24`; None when the text is not even shaped like one."""
    return _quoting(timetext.parse_date, text) if timetext.is_date(text) else None


def parse_span(text: str) -> MinuteSpan:
    """`09:00-17:30` in minutes from midnight; `24:00` is the end of the day."""
    match = _SPAN.fullmatch(text)
    if not match:
        message = f"{quote(text)} is not a time span, such as '09:00-17:00'"
        raise ValueError(message)
    hours = [int(part) for part in match.groups()]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if hours[1] > 59 or hours[3] > 59 or start >= DAY or end > DAY:
        message = f"{quote(text)} is not a valid time span: times go from 00:00 to 24:00"
        raise ValueError(message)
    if start >= end:
        night = (
            f": to span midnight, write '{text.strip()[:5]}-24:00', and the rest on the next day" if start > end else ""
        )
        message = f"{quote(text)} ends before it starts{night}" if start > end else f"{quote(text)} is empty"
        raise ValueError(message)
    return start, end


def sort_spans(spans: list[MinuteSpan]) -> tuple[MinuteSpan, ...]:
    """The spans of one day in order; ValueError when two overlap."""
    ordered = sorted(spans)
    for before, after in pairwise(ordered):
        if before[1] > after[0]:
            message = f"{write_span(before)} and {write_span(after)} overlap"
            raise ValueError(message)
    return tuple(ordered)


def write_span(span: MinuteSpan) -> str:
    """`09:00-17:00`."""
    return "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in span)


def parse_listen(text: str, folder: Path, *, environment: Mapping[str, str]) -> ListenAddress:
    """`host:port`, `[::1]:port` or `unix:PATH`."""
    if text.startswith("unix:"):
        if not text[5:]:
            message = "the path after 'unix:' is missing, such as unix:/run/busyd/busyd.sock"
            raise ValueError(message)
        return UnixAddress(parse_path(text[5:].removeprefix("//"), folder, environment=environment))
    if text.startswith("/"):
        message = f"a socket path needs the prefix 'unix:', did you mean {quote('unix:' + text)}?"
        raise ValueError(message)
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":") or (":" in host and not host.startswith("[")):
        if re.fullmatch(r"\d{1,5}", text):
            message = f"{quote(text)} is only a port, did you mean '127.0.0.1:{text}'?"
        elif ":" in text:
            message = f"an IPv6 address needs brackets and a port, such as '[::1]:8377', not {quote(text)}"
        else:
            message = f"{quote(text)} has no port, such as '127.0.0.1:8377'"
        raise ValueError(message)
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        message = f"{quote(port)} is not a port number (at most 65535)"
        raise ValueError(message)
    if host in ("", "*"):
        message = f"the address is missing: 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} for all"
        raise ValueError(message)
    return _tcp(host, int(port))


def _tcp(host: str, port: int) -> TcpAddress:
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        name = bare.lower()
        if host.startswith("[") or not _HOST.fullmatch(name) or re.fullmatch(r"[\d.]+", name):
            message = f"{quote(host)} is neither an IP address nor a host name"
            raise ValueError(message) from None
        return TcpAddress(name, port)
    return TcpAddress(str(address), port)


def parse_path(text: str, folder: Path, *, environment: Mapping[str, str]) -> Path:
    """A path; a relative one is relative to the file it is written in, and `~/` is the home directory."""
    if "\0" in text or not text.strip():
        message = "expected a path"
        raise ValueError(message)
    if text == "~" or text.startswith("~/"):
        home = environment.get("HOME")
        if not home:
            message = "'~' cannot be used because HOME is not set; write the full path"
            raise ValueError(message)
        return Path(home, text[2:])
    if text.startswith("~"):
        message = f"{quote(text)}: only '~/' is supported; write the full path"
        raise ValueError(message)
    return folder / text


def parse_origin(text: str) -> str:
    """An origin as a browser sends it: `https://example.org`, with a port unless it is the default one."""
    if text == "*":
        message = "'*' would let every web page see when you are busy; list the origins"
        raise ValueError(message)
    parts = split_url(text, ("https", "http"))
    origin = f"{parts.scheme}://{parts.netloc.lower()}"
    if text.rstrip("/").lower() != origin:
        message = f"an origin has no path, did you mean {quote(origin)}?"
        raise ValueError(message)
    return origin


def parse_public_url(text: str) -> str:
    """The address by which others reach busyd, without a slash at its end."""
    parts = split_url(text, ("https", "http"))
    if parts.path.strip("/") or parts.query or parts.fragment:
        message = "busyd must be reachable at the root of a host, so leave out everything after the host name"
        raise ValueError(message)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def split_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of an address with one of these schemes, a host and no password. The address is never quoted."""
    try:
        parts = urlsplit(text)
        # Reading the port is what checks it.
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not text.lower().startswith(tuple(f"{scheme}://" for scheme in schemes)):
        message = f"expected an address that starts with {one_of([f'{scheme}://' for scheme in schemes])}"
        raise ValueError(message)
    if not valid or any(character.isspace() for character in text):
        message = "the address has no valid host, port or path; check it for typing mistakes and spaces"
        raise ValueError(message)
    if parts.username is not None:
        message = "the address contains a user name or password; use the keys username and password"
        raise ValueError(message)
    return parts


def is_loopback_host(host: str) -> bool:
    """Whether a host is certainly this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == _LOOPBACK_NAME


def parse_host(text: str) -> str:
    """A host name in lower case, without a port."""
    name = text.lower()
    if not _HOST.fullmatch(name):
        message = f"{quote(text)} is not a host name; leave out scheme, port and path"
        raise ValueError(message)
    return name
