"""Reload after reload of a changed configuration, while clients ask on and on."""

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.icloud.apple_text import calendar, event, utc
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for

CONFIG: Final = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
  team: {{kind: icloud, url: "{url}", username: team@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{conflicts: [anna/Work, "team/*"]}}
  ben: {{conflicts: ["anna/*", team/Home], timezone: Asia/Tokyo}}
"""
CHANGES: Final = (
    ("username: anna@icloud.com", "username: ben@icloud.com"),
    ("conflicts: [anna/Work", "conflicts: [anna/Home"),
    ("timezone: Asia/Tokyo", "timezone: America/New_York, rules: {tentative: busy}"),
    ("  ben: {", "  carl: {"),
    ("team", "crew"),
)
WINDOW: Final = "start=2026-06-01&end=2026-07-01"
PATHS: Final = (
    f"/v1/profiles/anna/freebusy?{WINDOW}",
    f"/v1/profiles/ben/freebusy?{WINDOW}",
    f"/v1/profiles/anna/explain?{WINDOW}",
    f"/v1/profiles/ben/explain?{WINDOW}",
    "/v1/profiles/anna/freebusy?start=2030-06-01&end=2030-06-08",
    "/v1/status",
    "/v1/profiles",
    "/metrics",
    "/v1/calendars",
    "/v1/problems",
)


class Clients:
    """Ask on and on; count the statuses."""

    def __init__(self, busyd: Busyd, paths: tuple[str, ...]) -> None:
        self.busyd = busyd
        self.paths = paths
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self.ended = threading.Event()

    def ask(self, first: int) -> None:
        number, token = first, self.busyd.admin_token()
        while not self.ended.is_set():
            number += 1
            path = self.paths[number % len(self.paths)]
            request = urllib.request.Request(self.busyd.base + path, headers={"Authorization": f"Bearer {token}"})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()
                    status = answer.status
            except urllib.error.HTTPError as error:
                with error:
                    status = error.code
                    if status >= 500:
                        self.faults.append(f"{path}: {status} {error.read().decode()}")
            self.statuses[status] += 1

    @contextmanager
    def asking(self, count: int) -> Iterator[None]:
        threads = [threading.Thread(target=self.ask, args=[number]) for number in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join()


def reload_under_load(folder: Path, icloud: SimulatedIcloud, *, reloads: int) -> Clients:
    """What clients have met while the configuration was changed so often."""
    for user in ("ben@icloud.com", "team@icloud.com", "crew@icloud.com"):
        _add_account(icloud, user)
    with busyd_in(folder, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        busyd.start()
        wait_for(lambda: busyd.get("/v1/profiles")["profiles"][1]["state"] == "fresh")
        feed = json.loads(busyd.command("token", "add", "anna", "--json").stdout)["feed"]
        clients = Clients(busyd, (*PATHS, feed))
        with clients.asking(4):
            for number in range(reloads):
                old, new = CHANGES[number // 2 % len(CHANGES)]
                busyd.change(*((old, new) if number % 2 == 0 else (new, old)))
                assert busyd.command("reload").returncode == 0
        clients.faults += [busyd.log.read_text()[-3000:]] if clients.faults else []
    return clients


def _add_account(icloud: SimulatedIcloud, user: str) -> None:
    anna = icloud.add_account(user, password=PASSWORD)
    for name in ("Work", "Home", "Sport"):
        made = anna.add_calendar(name, id=name.lower())
        for day in range(1, 28):
            lines = ("RRULE:FREQ=WEEKLY",) if day % 3 == 0 else ()
            moment = datetime(2026, 6, day, 9, tzinfo=UTC)
            text = event(f"{name}{day}", "Meeting", utc(moment, moment + timedelta(hours=1)), *lines)
            made.put(f"{day}.ics", calendar(text))
