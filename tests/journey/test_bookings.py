"""Blocks and holds over kills of the daemon: what was told is kept, what is asked for again is done once."""

import json
import random
import signal
import threading
import urllib.request
from functools import partial
from typing import Any

from busyd.period import to_rfc3339
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for

DAY = ("2026-12-01", "2027-03-01")
BEGIN, HOUR = 1_796_083_200, 3600  # 2026-12-01T00:00:00Z
KILLS, WANTED = 6, 60


class Asking:
    """Somebody who asks for blocks, hour by hour, each under a key of its own, until the daemon is gone."""

    def __init__(self, busyd: Busyd, token: str) -> None:
        self._busyd, self.token = busyd, token
        self.told: dict[int, bytes] = {}
        self.asked: set[int] = set()

    def run(self) -> None:
        for number in range(WANTED):
            if number not in self.told and not self.ask(number):
                return

    def ask(self, number: int) -> bool:
        """Whether there was an answer."""
        self.asked.add(number)
        start = BEGIN + 2 * number * HOUR
        body = {"start": to_rfc3339(start), "end": to_rfc3339(start + HOUR)}
        request = urllib.request.Request(
            f"{self._busyd.base}/v1/profiles/anna/blocks",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": f"k{number}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = response.read()
        except OSError:
            return False
        assert self.told.setdefault(number, answer) == answer
        return True


def book_token(busyd: Busyd, profile: str = "anna") -> str:
    made = busyd.command("token", "add", profile, "--scope", "book,details", "--json")
    token: str = json.loads(made.stdout)["token"]
    return token


def until_answering(busyd: Busyd) -> None:
    wait_for(lambda: busyd.status_of("/readyz") == 200, describe=busyd.log.read_text)


def busy_of(busyd: Busyd) -> list[tuple[str, str]]:
    found = busyd.freebusy(*DAY)["busy"]
    return [(one["start"], one["end"]) for one in found]


def has_got(asking: Asking, thread: threading.Thread, *, wanted: int) -> bool:
    return len(asking.told) >= wanted or not thread.is_alive()


def test_no_kill_loses_or_doubles_a_block(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    del icloud
    busyd.start()
    until_answering(busyd)
    asking, dice = Asking(busyd, book_token(busyd)), random.Random(1)
    for _ in range(KILLS):
        thread = threading.Thread(target=asking.run)
        thread.start()
        wanted = len(asking.told) + dice.randrange(1, 8)
        wait_for(partial(has_got, asking, thread, wanted=wanted))
        busyd.stop(how=signal.SIGKILL)
        thread.join()
        busyd.start()
        until_answering(busyd)
        busy = set(busy_of(busyd))
        for answer in asking.told.values():
            block: dict[str, Any] = json.loads(answer)
            assert (block["start"], block["end"]) in busy
    for number in list(asking.told):
        assert asking.ask(number)  # the same answer again
    asking.run()
    query = "/v1/profiles/anna/blocks?start={}&end={}".format(*DAY)
    listed = busyd.get(query, token=asking.token)["blocks"]
    assert len(listed) == len(asking.told) == WANTED
    assert len(busy_of(busyd)) == WANTED
