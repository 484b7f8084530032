"""Webhooks from an edit on the phone to the receiver's program, over kills of the daemon and faults of the receiver."""

import json
from typing import Any

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.test_changes import hour, page, sync, until_read
from tests.journey.test_icloud import event
from tests.receiver import receiving


def added(busyd: Busyd, url: str, *more: str, profile: str = "anna") -> Any:
    made = busyd.command("webhook", "add", profile, url, "--json", *more)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def known(busyd: Busyd, count: int = 1) -> list[Any]:
    """The hooks as the daemon knows them, once it knows so many."""
    return wait_for(lambda: (hooks := busyd.status()["webhooks"]) and len(hooks) == count and hooks)  # type: ignore[no-any-return]


def put(icloud: SimulatedIcloud, number: int, name: str = "a.ics") -> None:
    start, end = hour(number)
    icloud.account("anna@icloud.com").calendars["work"].put(name, event(name, start, end=end))


def test_an_edit_on_the_phone_reaches_a_receiver_that_verifies_it_with_the_official_library(
    busyd: Busyd, icloud: SimulatedIcloud
) -> None:
    busyd.start()
    until_read(busyd)
    with receiving() as receiver:
        made = added(busyd, receiver.url)
        [hook] = known(busyd)
        assert (hook["id"], hook["profile"], hook["state"], hook["behind"]) == (made["id"], "anna", "ok", 0)
        put(icloud, 9)
        sync(busyd)
        [received] = receiver.wait_for(1)
        payload = received.verify(made["secret"])
        [entry] = page(busyd, payload["id"] - 1)["changes"]
        assert payload == {
            "id": entry["id"],
            "type": "busy",
            "timestamp": entry["data"]["at"],
            "data": entry["data"],
        }
        assert received.headers["content-type"] == "application/json"
        assert received.path == "/hooks/busyd?key=1"
        assert b"secret meeting" not in received.body
        assert made["secret"] not in busyd.log.read_text()
        assert made["secret"] not in busyd.command("webhook", "list", "--json").stdout
        for file in busyd.state.iterdir():
            assert made["secret"].encode() not in file.read_bytes() if file.is_file() else True
