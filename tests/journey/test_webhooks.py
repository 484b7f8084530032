"""Webhooks from an edit on the phone to the receiver's program, over kills of the daemon and faults of the receiver."""

import json
import signal
import threading
from typing import Any

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.test_changes import hour, page, sync, until_read
from tests.journey.test_icloud import event
from tests.receiver import Received, receiving


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
        assert made["secret"] not in busyd.log.read_text() + busyd.command("webhook", "list", "--json").stdout
        files = [file for file in busyd.state.iterdir() if file.is_file()]
        assert not any(made["secret"].encode() in file.read_bytes() for file in files)
        assert 'busyd_webhooks{state="ok"} 1.0' in busyd.get("/metrics")


def test_what_was_taken_when_busyd_was_killed_comes_again_with_the_same_id_and_nothing_is_left_out(
    busyd: Busyd, icloud: SimulatedIcloud
) -> None:
    busyd.start()
    until_read(busyd)
    with receiving() as receiver:
        killed = 0

        def kill_before_the_answer(received: Received) -> int:
            nonlocal killed
            if len({one.id for one in receiver.received} | {received.id}) > 2 * killed + 1 and killed < 3:
                killed += 1
                busyd.stop(how=signal.SIGKILL)
            return 204

        receiver.answer = kill_before_the_answer
        added(busyd, receiver.url)
        known(busyd)
        began = page(busyd, 0)["last_event_id"]
        for number in range(8):
            put(icloud, number, f"{number}.ics")
        busyd.command("sync", "--now")
        while killed < 3 or busyd.process is None:
            wait_for(lambda: busyd.process is None)
            busyd.start()
        wait_for(lambda: len({one.id for one in receiver.received}) >= 8)
        told = page(busyd, began)["changes"]
        taken = receiver.received
    assert len(taken) > len({one.id for one in taken}), "what was not known to be taken came again"
    assert list(dict.fromkeys(one.json["id"] for one in taken)) == [entry["id"] for entry in told]


def test_a_receiver_that_fails_is_named_once_in_the_log_and_everywhere_else_until_it_works(
    busyd: Busyd, icloud: SimulatedIcloud
) -> None:
    busyd.start()
    until_read(busyd)
    with receiving() as receiver:
        receiver.answer = lambda _: 500
        made = added(busyd, receiver.url)
        known(busyd)
        put(icloud, 9)
        sync(busyd)
        receiver.wait_for(2)  # the second after five seconds
        [hook] = busyd.status()["webhooks"]
        assert (hook["state"], hook["behind"]) == ("failing", 1)
        assert "answered 500" in hook["detail"]
        shown = busyd.command("status")
        assert f"webhook {made['id']} of anna to 127.0.0.1" in shown.stderr
        assert "failing" in shown.stdout
        assert 'busyd_webhooks{state="failing"} 1.0' in busyd.get("/metrics")
        assert busyd.command("webhook", "replay", made["id"]).returncode == 0
        receiver.answer = lambda _: 204
        wait_for(lambda: busyd.status()["webhooks"][0]["state"] == "ok")
    lines = [line for line in busyd.log.read_text().splitlines() if made["id"] in line]
    assert len(lines) == 2, lines
    assert "key=1" not in "".join(lines)


def test_a_stop_waits_for_no_receiver_that_hangs(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    busyd.start()
    until_read(busyd)
    released = threading.Event()
    with receiving() as receiver:
        receiver.answer = lambda _: 204 if released.wait(60) else 500
        added(busyd, receiver.url)
        known(busyd)
        put(icloud, 9)
        sync(busyd)
        wait_for(lambda: busyd.status()["webhooks"][0]["behind"] == 1)
        assert busyd.stop() == 0
        released.set()
        busyd.start()
        receiver.wait_for(2)
        assert len({one.id for one in receiver.received}) == 1
