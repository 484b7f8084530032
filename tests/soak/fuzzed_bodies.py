"""Bodies for `/v1/profiles/{profile}/appointments` that nobody would send on purpose, and their answers."""

import json
import random
import urllib.error
import urllib.request
from collections import Counter
from typing import Any, Final

from msgspec import Struct, field

from busyd.period import to_rfc3339
from tests.journey.daemon import TIMEOUT

ALLOWED: Final = frozenset({"not-proven", "incomplete", "stale", "read-only", "out-of-space", "unavailable"})
"""The reasons for which a 503 is documented."""
_DAY: Final = 86_400
_TEXTS: Final = (
    "", " ", "x", "Intro call", "\\u0000", "\x00", "\x1f", "\u2028", "\ufeff", "\u202e", "é" * 3, "😀" * 40, "x" * 999,
    "x" * 1000, "x" * 1001, "x" * 20_001, "a\r\nEND:VEVENT\r\nBEGIN:VEVENT", "a\nb", ";,:\\\"", "%s%n{}", "\ud800",
    "=?utf-8?q?x?=", "now", "+1h", "-1d", "9999-12-31T23:59:59Z", "0001-01-01", "2026-02-30", "2026-12-01T25:00:00Z",
    "2026-12-01T10:00:00+99:99", "2026-12-01T10:00:60Z", "1h", "0s", "1s", "59s", "999999999w", "-1h", "1h1h", "1",
    "https://example.org/", "javascript:alert(1)", "http://[", "//x", "https://e\u00e9.org/", "<b>", "ben@example.org",
    "@", "a@b@c", "mailto:ben@example.org", "private", "PRIVATE", "server", "none", "busy",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**63,
    2**64,
    10**400,
    1.5,
    -0.0,
    1e308,
    [],
    {},
    [[]],
    [None],
    {"": None},
)
_FIELDS: Final = (
    "start", "end", "duration", "summary", "description", "location", "url", "guests", "invite", "reminders", "class",
    "tentative", "metadata", "hold", "override", "unknown", "", "Start", "class_",
)  # fmt: skip
_RAW: Final = (
    b"", b"null", b"[]", b"1", b'"x"', b"{", b'{"start"', b"\xff\xfe", b"\x00", b'{"start": "now", "start": "+1h"}',
    b"[" * 5000, b'{"a":' * 2000, b'{"summary": "\\ud800", "start": "+1h"}', b'{"start": NaN}', b"{}" * 2,
)  # fmt: skip


class Answers(Struct):
    """How often each status was answered, and the requests that were answered as none may be."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def fuzz(base: str, token: str, *, seed: int, count: int, now: int) -> Answers:
    """Ask for so many appointments, and for changes of one that there is."""
    dice, answers, known = random.Random(seed), Answers(), "none"
    for number in range(count):
        is_change = dice.random() < 0.2
        path = f"/v1/profiles/anna/appointments{f'/{known}' if is_change else ''}"
        body = _body(dice, now)
        status, answer = _send(
            base + path, token, method="PATCH" if is_change else "POST", key=f"{seed}-{number}", body=body
        )
        name = str(answer.get("type", "")).rpartition("/")[2]
        answers.statuses[f"{status} {name}".strip()] += 1
        if status >= 500 and (status != 503 or name not in ALLOWED):
            answers.wrong.append(f"{status} {name}: {body[:300]!r}")
        if status == 201:
            known = answer["id"]
    return answers


def _body(dice: random.Random, now: int) -> bytes:
    if dice.random() < 0.1:
        return dice.choice(_RAW)
    start = (now // _DAY + dice.choice((1, 2))) * _DAY + dice.randrange(6) * 1800  # few: most are soon taken
    body: dict[str, Any] = {"start": to_rfc3339(start), "summary": "Intro call"}
    for _ in range(dice.randrange(4)):
        body[dice.choice(_FIELDS)] = _value(dice, depth=2)
    return json.dumps(body).encode("utf-8", "surrogatepass")


def _value(dice: random.Random, *, depth: int) -> Any:
    kind = dice.random()
    if depth and kind < 0.15:
        return [_value(dice, depth=depth - 1) for _ in range(dice.choice((1, 2, 11, 101)))]
    if depth and kind < 0.3:
        names = ("email", "name", "x", "")
        return {dice.choice(names): _value(dice, depth=depth - 1) for _ in range(2)}
    return dice.choice(_TEXTS) if kind < 0.8 else dice.choice(_VALUES)


def _send(address: str, token: str, *, method: str, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(address, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
