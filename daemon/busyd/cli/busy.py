"""`busyd busy`: the busy time of iCalendar files, by the code that the daemon runs. No configuration, no network."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from busyd.availability.busy import Busy, busy_periods
from busyd.availability.policy import Rules
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.clock import SystemClock
from busyd.errors import UserError
from busyd.ical.limits import MAX_OBJECT_BYTES
from busyd.ical.split import UnreadableFeed, split_feed
from busyd.ical.zones import UnknownZone, Zone, reading_zone
from busyd.period import FbType, Instant, Period, to_rfc3339
from busyd.timetext import BadText, parse_instant, parse_moment

_PROGRAM: Final = "busyd busy"
_BEGIN: Final = b"BEGIN:V"


def add_busy_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `busy` to the commands of the shell."""
    parser = subparsers.add_parser(
        "busy",
        help="compute the busy time of iCalendar files, without configuration or network",
        description="Print, as JSON, exactly the time that busyd would treat as busy for these calendar objects.",
        epilog="Times are RFC 3339, or a date, which means midnight in --tz. With --batch, each line of standard input "
        'is a JSON request, {"id", "ics": [TEXT, ...], "start", "end", "tz", "addresses"?, "availability"?, "rules"?}, '
        "and is answered with one line.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.ics")
    parser.add_argument("--start", metavar="T", help="start of the window")
    parser.add_argument("--end", metavar="T", help="end of the window, not included")
    parser.add_argument(
        "--tz", default="UTC", metavar="ZONE", help="time zone of all-day and floating times (default UTC)"
    )
    parser.add_argument(
        "--address", action="append", default=[], metavar="A", help="an address of the calendar's owner"
    )
    parser.add_argument("--rules", action="append", default=[], metavar="K=V", help="a rule, such as all_day=free")
    parser.add_argument("--availability", type=Path, metavar="FILE", help="a file with VAVAILABILITY components")
    parser.add_argument("--batch", action="store_true", help="answer JSON requests from standard input")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer on standard output. Raises UserError for what the caller can correct."""
    if arguments.batch:
        answer_lines(sys.stdin.buffer)
        return 0
    if not arguments.files or arguments.start is None or arguments.end is None:
        raise UsageError("give files, --start and --end, or --batch with requests on standard input", program=_PROGRAM)
    read = [_read_file(path) for path in arguments.files]
    try:
        answer = _answer_options(arguments, [payload for payloads in read for payload in payloads])
    except UsageError:
        raise
    except UserError as error:
        message = "; ".join(filter(None, (str(error), error.fix)))
        raise UsageError(message, program=_PROGRAM) from None
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    strange = [path for path, (first, *_) in zip(arguments.files, read, strict=True) if not _is_calendar(first)]
    for path in strange:
        print(f"busyd: {path} is no calendar: there is no BEGIN:VCALENDAR in it", file=sys.stderr)
    return ExitStatus.FAILED if strange else ExitStatus.OK


def _is_calendar(payload: bytes) -> bool:
    """Whether it may be one; also in UTF-16."""
    return _BEGIN in payload.replace(b"\0", b"").upper()


def _answer_options(arguments: argparse.Namespace, payloads: list[bytes]) -> dict[str, object]:
    rules: dict[str, object] = {}
    for setting in arguments.rules:
        name, equals, value = setting.partition("=")
        if not equals:
            message = f"--rules {setting}: expected NAME=VALUE"
            raise UserError(message, fix="write it like --rules all_day=free")
        rules[name] = value
    start, end = _asked(arguments)
    return _answer(
        payloads,
        start=start,
        end=end,
        zone=arguments.tz,
        addresses=arguments.address,
        rules=rules,
        availability=arguments.availability.read_bytes() if arguments.availability else None,
    )


def _asked(arguments: argparse.Namespace) -> list[str]:
    """--start and --end as every command takes them, in the zone that was named."""
    from busyd.cli.asked_time import asked_span

    zone, now = _zone(arguments.tz), SystemClock().now()
    span = asked_span({"start": arguments.start, "end": arguments.end}, zone, now=now, program=_PROGRAM)
    return [to_rfc3339(parse_moment(text, now=now, zone=lambda: zone).instant) for text in span.values() if text]


def answer_lines(lines: Iterable[bytes]) -> None:
    """Answer each request line at once with a line; an invalid request gets an `error`, and the next its answer."""
    for line in lines:
        if line.strip():
            answer = answer_request(line)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def answer_request(line: bytes) -> dict[str, object]:
    """The answer to one request: `{"id", "busy", "problems"}`, or `{"id", "error"}`."""
    identity: object = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            return {"id": None, "error": "a request must be a JSON object"}
        identity = request.get("id")
        return {"id": identity, **_answer_object(request)}
    except (ValueError, RecursionError) as error:
        return {"id": identity, "error": f"the line is not JSON: {error}"[:200]}
    except UserError as error:
        return {"id": identity, "error": "; ".join(filter(None, (str(error), error.fix)))}


def _answer_object(request: Mapping[str, Any]) -> dict[str, object]:
    texts = _texts(request, "ics")
    if "ics" not in request:
        raise UserError("the request has no ics", fix="pass a list of calendar objects as strings")
    availability = request.get("availability")
    if availability is not None and not isinstance(availability, str):
        raise UserError("availability must be a string")
    rules = request.get("rules", {})
    if not isinstance(rules, dict):
        raise UserError("rules must be an object")
    for name in ("start", "end"):
        if not isinstance(request.get(name), str):
            message = f"{name} must be given as a string"
            raise UserError(message)
    zone = request.get("tz") or "UTC"
    if not isinstance(zone, str):
        raise UserError("tz must be a string")
    return _answer(
        [_encode(text) for text in texts],
        start=request["start"],
        end=request["end"],
        zone=zone,
        addresses=_texts(request, "addresses"),
        rules=rules,
        availability=_encode(availability) if availability is not None else None,
    )


def _texts(request: Mapping[str, Any], name: str) -> list[str]:
    value = request.get(name) or []
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        message = f"{name} must be a list of strings"
        raise UserError(message)
    return texts


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _answer(
    payloads: list[bytes],
    *,
    start: str,
    end: str,
    zone: str,
    addresses: Iterable[str],
    rules: Mapping[str, object],
    availability: bytes | None,
) -> dict[str, object]:
    _zone(zone)
    first, last = read_instant(start, zone), read_instant(end, zone)
    if first >= last:
        raise UserError("the window is empty or reversed: start must be before end")
    busy = busy_periods(
        payloads,
        Period(first, last),
        zone=zone,
        rules=read_rules(rules),
        addresses=addresses,
        availability=availability,
    )
    return _to_json(busy)


def _zone(name: str) -> Zone:
    try:
        return reading_zone(name)
    except UnknownZone:
        message = f"{name!r} is not a time zone"
        raise UserError(message, fix="use an IANA name, such as Europe/Berlin") from None


def _to_json(busy: Busy) -> dict[str, object]:
    return {
        "busy": [
            {"start": to_rfc3339(start), "end": to_rfc3339(end), "type": FbType(fbtype).text}
            for start, end, fbtype in busy.periods
        ],
        "problems": [
            {"kind": problem.kind.value, "uid": problem.uid, "reason": problem.reason} for problem in busy.problems
        ],
    }


def read_instant(text: str, zone: str) -> Instant:
    """An RFC 3339 time, or a date: midnight in the zone. Raises UserError."""
    try:
        return parse_instant(text, zone=partial(reading_zone, zone))
    except BadText as error:
        message = f"{text[:40]!r} {error.reason}"
        raise UserError(message, fix=error.fix) from None


def read_rules(settings: Mapping[str, object]) -> Rules:
    """Rules from their names and values. Raises UserError that names the choices."""
    if not settings:
        return Rules()
    from busyd.config.rules import RULES  # loads YAML, too, which most calls do without

    chosen: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in RULES:
            message = f"unknown rule {name!r}"
            raise UserError(message, fix=f"known rules: {', '.join(RULES)}")
        try:
            chosen[name] = RULES[name](str(value))
        except ValueError as error:
            message = f"rule {name}: {error}"
            raise UserError(message) from None
    return Rules(**chosen)


def _read_file(path: Path) -> list[bytes]:
    try:
        payload = path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {(error.strerror or 'unknown reason').lower()}"
        raise CommandFailed(message) from error
    if len(payload) <= MAX_OBJECT_BYTES:
        return [payload]
    try:
        return [part.payload for part in split_feed(payload)]
    except UnreadableFeed:
        return [payload]
