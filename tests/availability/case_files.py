"""The machine-readable cases: where they are, and how one is asked and compared."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from busyd.availability.busy import busy_periods
from busyd.availability.policy import Rules
from busyd.period import FbType, Instant, Period, Span, clip, flatten

TESTS = Path(__file__).parents[1]
FOLDERS = (TESTS / "cases", TESTS / ".." / ".." / "shared" / "cases")
OVERRULED = {"rule-tz-missing"}
"""Cases that a later ruling contradicts: what is in an unknown zone may be at any time of the day."""
Case = dict[str, Any]


def read_cases() -> Iterator[Case]:
    """Every case of every file that is present; a file in the repository goes before one of its name elsewhere."""
    seen: set[str] = set()
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.jsonl")):
            if path.name not in seen:
                seen.add(path.name)
                with path.open(encoding="utf-8") as lines:
                    yield from (case for case in map(json.loads, lines) if case["id"] not in OVERRULED)


def payloads_of(case: Case) -> list[bytes]:
    """The objects of a case as bytes."""
    if "ics_bytes_hex" in case:
        return [bytes.fromhex(text) for text in case["ics_bytes_hex"]]
    return [text.encode() for text in case["ics"]]


def window_of(case: Case) -> Period:
    return Period(_instant(case["range_start"]), _instant(case["range_end"]))


def expected(case: Case) -> list[Span]:
    """The busy time a case expects, flattened."""
    kinds = {member.text: member for member in FbType}
    listed: list[Span] = [(_instant(start), _instant(end), int(kinds[kind])) for start, end, kind in case["expected"]]
    return flatten(clip(_blunt(case, listed), window_of(case)))


def answer(case: Case, payloads: list[bytes]) -> list[Span]:
    """The busy time busyd sees in these objects, asked as the case asks."""
    owner = case.get("owner") or []
    availability = case.get("availability")
    found = busy_periods(
        payloads,
        window_of(case),
        zone=case["tz"],
        rules=Rules(),
        addresses=[owner] if isinstance(owner, str) else owner,
        availability=availability.encode() if availability else None,
    )
    return flatten(_blunt(case, found.periods))


def _blunt(case: Case, spans: list[Span]) -> list[Span]:
    if case.get("compare") != "any":
        return spans
    return [(start, end, int(FbType.BUSY)) for start, end, _ in spans]


def _instant(text: str) -> Instant:
    return Instant(int(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()))
