"""`busyd busy`: the busy time of iCalendar files, by the code that the daemon runs. No configuration, no network."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

from msgspec.structs import fields

from busyd.availability.busy import Busy, busy_periods
from busyd.availability.policy import Rules
from busyd.errors import UserError
from busyd.ical.limits import MAX_OBJECT_BYTES
from busyd.ical.split import UnreadableFeed, split_feed
from busyd.ical.zones import UnknownZone, reading_zone
from busyd.period import FbType, Instant, Period, to_rfc3339
from busyd.timetext import BadText, parse_instant


def add_busy_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `busy` to the commands of the shell."""
    parser = subparsers.add_parser(
        "busy",
        help="compute the busy time of iCalendar files, without configuration or network",
        description="Print, as JSON, exactly what busyd would hold busy for these calendar objects.",
        epilog="Times are RFC 3339, or a date: midnight in --tz. With --batch one JSON request a line is read from "
        'standard input, {"id", "ics": [TEXT, ...], "start", "end", "tz", "addresses"?, "availability"?, "rules"?}, '
        "and answered with one line each.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.ics")
    parser.add_argument("--start", metavar="T", help="start of the window")
    parser.add_argument("--end", metavar="T", help="end of the window, not included")
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="zone of all-day and floating times (default UTC)")
    parser.add_argument(
        "--address", action="append", default=[], metavar="A", help="an address of the calendar's owner"
    )
    parser.add_argument("--rules", action="append", default=[], metavar="K=V", help="a rule, all_day=free for instance")
    parser.add_argument("--availability", type=Path, metavar="FILE", help="a file with VAVAILABILITY components")
    parser.add_argument("--batch", action="store_true", help="answer JSON requests from standard input")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer on standard output. Raises UserError for what the caller can mend."""
    if arguments.batch:
        answer_lines(sys.stdin.buffer)
        return 0
    if not arguments.files or arguments.start is None or arguments.end is None:
        raise UserError("busy needs files, --start and --end", fix="or --batch, with requests on standard input")
    rules: dict[str, object] = {}
    for setting in arguments.rules:
        name, equals, value = setting.partition("=")
        if not equals:
            message = f"--rules {setting}: not NAME=VALUE"
            raise UserError(message, fix="write for instance --rules all_day=free")
        rules[name] = value
    answer = _answer(
        [payload for path in arguments.files for payload in _read_file(path)],
        start=arguments.start,
        end=arguments.end,
        zone=arguments.tz,
        addresses=arguments.address,
        rules=rules,
        availability=arguments.availability.read_bytes() if arguments.availability else None,
    )
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    return 0


def answer_lines(lines: Iterable[bytes]) -> None:
    """Answer each request line at once with a line; one that makes no sense gets an `error` and ends nothing."""
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
            return {"id": None, "error": "a request is a JSON object"}
        identity = request.get("id")
        return {"id": identity, **_answer_object(request)}
    except (ValueError, RecursionError) as error:
        return {"id": identity, "error": f"the line is not JSON: {error}"[:200]}
    except UserError as error:
        return {"id": identity, "error": " ".join(filter(None, (str(error), error.fix)))}


def _answer_object(request: Mapping[str, Any]) -> dict[str, object]:
    texts = _texts(request, "ics")
    if "ics" not in request:
        raise UserError("the request has no ics", fix="give a list of calendar object texts")
    availability = request.get("availability")
    if availability is not None and not isinstance(availability, str):
        raise UserError("availability is not a text")
    rules = request.get("rules", {})
    if not isinstance(rules, dict):
        raise UserError("rules are not an object")
    for name in ("start", "end"):
        if not isinstance(request.get(name), str):
            message = f"{name} is missing or not a text"
            raise UserError(message)
    zone = request.get("tz") or "UTC"
    if not isinstance(zone, str):
        raise UserError("tz is not a text")
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
    found = request.get(name) or []
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        message = f"{name} is not a list of texts"
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
    try:
        reading_zone(zone)
    except UnknownZone:
        message = f"{zone!r} is not a time zone"
        raise UserError(message, fix="write an IANA name, Europe/Berlin for instance") from None
    first, last = read_instant(start, zone), read_instant(end, zone)
    if first >= last:
        raise UserError("the window must end after it starts")
    found = busy_periods(
        payloads,
        Period(first, last),
        zone,
        rules=read_rules(rules),
        addresses=addresses,
        availability=availability,
    )
    return _to_json(found)


def _to_json(found: Busy) -> dict[str, object]:
    return {
        "busy": [
            {"start": to_rfc3339(start), "end": to_rfc3339(end), "type": FbType(fbtype).text}
            for start, end, fbtype in found.periods
        ],
        "problems": [
            {"kind": problem.kind.value, "uid": problem.uid, "reason": problem.reason} for problem in found.problems
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
    chosen_rules: dict[str, Any] = {}
    kinds = get_type_hints(Rules)
    names = [entry.name for entry in fields(Rules) if entry.name != "origin"]
    for name, value in settings.items():
        if name not in names:
            message = f"there is no rule {name!r}"
            raise UserError(message, fix=f"the rules are {', '.join(names)}")
        if kinds[name] is bool:
            choices: Mapping[str, object] = {"true": True, "false": False}
            chosen = choices.get(str(value).lower())
        else:
            choices = {choice: choice for choice in get_args(kinds[name])}
            chosen = choices.get(str(value))
        if chosen is None:
            message = f"{value!r} is no value of the rule {name}"
            raise UserError(message, fix=f"write {' or '.join(choices)}")
        chosen_rules[name] = chosen
    return Rules(**chosen_rules)


def _read_file(path: Path) -> list[bytes]:
    try:
        payload = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise UserError(message) from error
    if len(payload) <= MAX_OBJECT_BYTES:
        return [payload]
    try:
        return [part.payload for part in split_feed(payload)]
    except UnreadableFeed:
        return [payload]
