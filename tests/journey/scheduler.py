"""Somebody who books, and the account that is booked into."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from busyd.period import to_rfc3339
from tests.journey.daemon import TIMEOUT, Busyd, wait_for

SCHEDULED = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, conflicts: [anna/Home]}}
"""
DAY = 86_400


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["type"]).rpartition("/")[2]


@dataclass
class Scheduler:
    """Somebody who books."""

    busyd: Busyd
    token: str
    keys: Any = field(default_factory=lambda: count(1))

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "", **fields: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **fields}
        headers["Idempotency-Key"] = key or f"key-{next(self.keys)}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.busyd.base + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def book(self, start: int, *, key: str = "", profile: str = "anna", **more: Any) -> Answer:
        body = {"start": to_rfc3339(start), "duration": "30m", "summary": "Intro call", **more}
        return self.ask("POST", f"/v1/profiles/{profile}/appointments", body, key=key)


def scheduler_of(busyd: Busyd) -> Scheduler:
    """Start a daemon that is configured, and somebody who books there once everything is read."""
    busyd.start()
    wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"], describe=busyd.log.read_text)
    made = busyd.command("token", "add", "anna", "--scope", "book", "--json")
    return Scheduler(busyd, json.loads(made.stdout)["token"])


def ten_o_clock() -> int:
    """Ten o'clock UTC, some weeks from now."""
    return (int(time.time()) // DAY + 30) * DAY + 10 * 3600


def event(uid: str, start: int, *, description: str = "") -> str:
    def stamp(at: int) -> str:
        return to_rfc3339(at).replace("-", "").replace(":", "")

    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Apple Inc.//iOS 18.0//EN\r\nBEGIN:VEVENT\r\n"
        f"UID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{stamp(start)}\r\nDTEND:{stamp(start + 1800)}\r\n"
        f"SUMMARY:Somebody else\r\n{f'DESCRIPTION:{description}{chr(13)}{chr(10)}' if description else ''}"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
