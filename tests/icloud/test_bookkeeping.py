"""Items 65 and 66, and the handlers to the simulator: its log, its headers, its control API, its process."""

import asyncio
import json
import urllib.request
from datetime import UTC, date, datetime

import pytest

from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.conftest import StoppedClock, meeting
from tests.icloud.live_on import live_on
from tests.icloud.raw_client import RawClient
from tests.icloud.realistic_account import build_realistic_account
from tests.icloud.running import icloud_process

WORK = "/300000001/calendars/work/"


async def test_the_log_tells_what_was_sent_but_no_password(
    dav: RawClient, icloud: SimulatedIcloud, clock: StoppedClock
) -> None:
    await dav.sync(WORK)
    await dav.ask("GET", "/", Authorization="")
    synced, anonymous = icloud.log.entries
    assert (synced.origin, synced.method, synced.path, synced.depth) == ("shard", "REPORT", WORK, "1")
    assert (synced.account, synced.report, synced.status) == ("anna@icloud.com", "sync-collection", 207)
    assert synced.body_size > 100
    assert synced.answer_size > 100
    assert (synced.started, synced.finished) == (clock.seconds, clock.seconds)
    assert {"Depth", "User-Agent", "Authorization"} <= set(synced.headers)
    assert (anonymous.account, anonymous.authorization, anonymous.status) == (None, False, 401)
    shown = json.dumps([entry.as_json() for entry in icloud.log.entries])
    assert "mnop" not in shown


async def test_the_log_finds_and_counts(dav: RawClient, icloud: SimulatedIcloud, clock: StoppedClock) -> None:
    for _ in range(3):
        await dav.propfind(WORK, "d:getetag")
    clock.seconds += 61
    await dav.multiget(WORK, *(f"{WORK}{number}.ics" for number in range(50)))
    log = icloud.log
    assert len(log.requests(method="PROPFIND", account="anna@icloud.com", path="/work/")) == 3
    assert len(log.requests(report="calendar-multiget", origin="shard")) == 1
    assert (log.per_minute("anna@icloud.com"), log.max_batch()) == (3, 50)
    assert log.authorization_by_host() == {icloud.places.shard.removeprefix("http://"): 4}
    log.clear()
    assert log.requests() == []


async def test_the_log_measures_parallel_requests(dav: RawClient, anna: Account, icloud: SimulatedIcloud) -> None:
    for _ in range(3):
        await dav.propfind(WORK, "d:getetag")
    assert icloud.log.max_parallel() == 1
    icloud.log.clear()
    anna.knobs.play("never-answers", times=3)
    asking = [asyncio.create_task(dav.propfind(WORK, "d:getetag")) for _ in range(3)]
    await icloud.log.arrival(3)
    assert icloud.log.max_parallel("anna@icloud.com") == 3
    for task in asking:
        task.cancel()


async def test_every_answer_carries_apples_headers(dav: RawClient, generic: RawClient) -> None:
    answers = [
        await dav.propfind(WORK, "d:getetag"),
        await generic.ask("GET", "/"),
        await dav.ask("GET", "/x", Authorization=""),
    ]
    for reply in answers:
        assert reply.headers["Server"].startswith("AppleHttpServer/")
        assert reply.headers["Via"].startswith("xrail:")
        assert reply.headers["x-apple-user-partition"] == "180"
    assert len({reply.headers["X-Apple-Request-UUID"] for reply in answers}) == 3


async def test_the_control_api_turns_knobs_and_explains_mistakes(
    dav: RawClient, anna: Account, icloud: SimulatedIcloud
) -> None:
    knobs = icloud.control_url + "accounts/anna@icloud.com/knobs"
    reply = await dav.ask(
        "POST", knobs, body=json.dumps({"listing_hides": ["work"], "lag_seconds": 2, "well_known": "404"})
    )
    assert json.loads(reply.raw)["listing_hides"] == ["work"]
    assert (anna.knobs.listing_hides, anna.knobs.lag_seconds, anna.knobs.well_known) == ({"work"}, 2.0, "404")
    for wrong in (
        {"no_such": 1},
        {"well_known": "405"},
        {"gzip": 1},
        {"sync_truncates_at": True},
        {"rewriting": ["x"]},
    ):
        reply = await dav.ask("POST", knobs, body=json.dumps(wrong))
        assert reply.status == 400
        assert next(iter(wrong)) in json.loads(reply.raw)["error"]
    assert (await dav.ask("DELETE", knobs)).status == 200
    assert anna.knobs.listing_hides == set()


async def test_the_control_api_changes_objects_calendars_and_passwords(
    dav: RawClient, anna: Account, work: Calendar, icloud: SimulatedIcloud
) -> None:
    account = icloud.control_url + "accounts/anna@icloud.com/"
    assert (await dav.ask("PUT", account + "calendars/work/objects/e1.ics", body=meeting())).status == 201
    assert (await dav.ask("GET", WORK + "e1.ics")).text == meeting()
    assert (await dav.ask("DELETE", account + "calendars/work/objects/e1.ics")).status == 204
    assert (await dav.ask("DELETE", account + "calendars/work/objects/e1.ics")).status == 404
    assert work.objects() == {}
    assert (await dav.ask("PATCH", account + "calendars/work", body='{"name": "Büro"}'.encode())).status == 200
    assert work.name == "Büro"
    assert (await dav.ask("POST", account + "calendars", body='{"name": "New", "id": "new"}')).status == 201
    assert (await dav.ask("DELETE", account + "calendars/new")).status == 204
    assert (
        await dav.ask("POST", account + "faults", body='{"kind": "status", "status": 503, "times": 2}')
    ).status == 201
    assert (await dav.propfind("/")).status == 503
    assert (await dav.ask("POST", account + "password", body='{"password": "x"}')).status == 204
    assert anna.password == "x"
    entries = json.loads((await dav.ask("GET", icloud.control_url + "log?method=PROPFIND")).raw)
    assert [entry["status"] for entry in entries] == [503]
    assert (await dav.ask("POST", icloud.control_url + "log/clear")).status == 204


async def test_life_goes_on_with_a_line_about_each_change(anna: Account, work: Calendar) -> None:
    said: list[str] = []

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    await live_on(anna, rounds=30, now=lambda: noon, sleep=at_once, say=said.append, seed=1)
    assert len(said) == 30
    assert " new in Work: " in said[0]
    assert all(any(f" {what} in Work: " in line for line in said) for what in ("new", "moved", "deleted"))
    assert work.revision == 31


def test_the_simulator_runs_in_a_thread() -> None:
    with SimulatedIcloud.in_thread() as icloud:
        build_realistic_account(icloud, date(2026, 11, 23))
        with urllib.request.urlopen(icloud.control_url) as reply:
            assert json.load(reply)["accounts"] == ["anna@icloud.com"]


@pytest.mark.parametrize("arguments", [(), ("--realistic", "--today", "2024-02-29")])
def test_the_simulator_runs_as_a_process_and_announces_itself(arguments: tuple[str, ...]) -> None:
    with icloud_process(*arguments) as icloud:
        assert icloud.accounts[0]["user"] == "anna@icloud.com"
        with urllib.request.urlopen(icloud.control_url + "accounts/anna@icloud.com/calendars") as reply:
            listed = [calendar["id"] for calendar in json.load(reply)]
    assert {"home", "work", "tasks"} <= set(listed)
    assert ("holidays-de" in listed) == bool(arguments)
