"""The daemon and the command line with their stores in a PostgreSQL database."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import SCHEDULED, Answer, Scheduler, event, scheduler_of
from tests.journey.test_bookings import book_token
from tests.journey.test_caldav import App
from tests.postgres import LossyProxy, PostgresServer
from tests.receiver import Receiver, receiving


@pytest.fixture
def on_postgresql(busyd: Busyd, icloud: SimulatedIcloud, postgres: PostgresServer) -> Busyd:
    """Not started yet."""
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
    with busyd.config.open("a") as config:
        config.write(f"store: {postgres.new_database().conninfo}\n")
    return busyd


@pytest.fixture
def scheduler(on_postgresql: Busyd) -> Scheduler:
    return scheduler_of(on_postgresql)


def test_what_was_read_and_booked_is_there_after_a_kill(scheduler: Scheduler, anna: Account, ten: int) -> None:
    busyd = scheduler.busyd
    told = scheduler.book(ten, key="k")
    assert told.status == 201, (told.body, busyd.log.read_text())
    busyd.stop(how=signal.SIGKILL)
    busyd.start()
    assert scheduler.book(ten, key="k").body == told.body
    assert len(anna.calendars["work"].objects()) == 1
    assert not list(busyd.state.glob("*.sqlite3"))


def test_commands_work_on_the_database_whether_a_daemon_runs_or_not(on_postgresql: Busyd) -> None:
    busyd = on_postgresql
    made = json.loads(busyd.command("token", "add", "anna", "--json").stdout)
    busyd.start()
    wait_for(lambda: busyd.status_of(made["feed"]) == 200)
    assert made["id"] in busyd.command("token", "list").stdout
    assert busyd.command("token", "revoke", made["id"]).returncode == 0
    wait_for(lambda: busyd.status_of(made["feed"]) == 404)
    busyd.stop()
    assert made["id"] not in busyd.command("token", "list").stdout


def test_a_database_that_is_away_is_told_and_a_start_waits_for_it(
    on_postgresql: Busyd, postgres: PostgresServer
) -> None:
    busyd = on_postgresql
    busyd.change(str(postgres.folder), "/nowhere")
    found = busyd.command("run")
    assert found.returncode == 75
    assert "at /nowhere cannot be used: connection to server on socket" in found.stderr
    listed = busyd.command("token", "list")
    assert listed.returncode != 0
    assert "see whether the server runs" in listed.stderr


def test_the_place_of_the_stores_is_read_from_a_configuration_with_other_faults(on_postgresql: Busyd) -> None:
    busyd = on_postgresql
    assert busyd.command("token", "add", "*").returncode == 0
    with busyd.config.open("a") as config:
        config.write("lisen: 127.0.0.1:1\n")
    found = busyd.command("token", "list")
    assert found.returncode == 78
    assert "did you mean 'listen'?" in found.stderr
    assert not list(Path(busyd.state).glob("*.sqlite3"))


def store_of(busyd: Busyd) -> str:
    """The address of the database, as it is configured."""
    return busyd.config.read_text().partition("\nstore: ")[2].strip()


def test_doctor_tells_of_the_database_and_of_the_daemons_on_it(on_postgresql: Busyd, postgres: PostgresServer) -> None:
    busyd = on_postgresql

    def found() -> dict[str, tuple[str, str]]:
        findings = json.loads(busyd.command("doctor", "--json").stdout)["findings"]
        return {one["check"]: (one["level"], one["message"]) for one in findings if one["subject"] == "store"}

    assert found()["daemons"] == ("ok", "0 daemons with a session in the database")
    busyd.start()
    assert found()["daemons"] == ("ok", "1 daemon with a session in the database")
    assert found()["store"][1].startswith("the database can be used (PostgreSQL 1")
    busyd.stop(how=signal.SIGKILL)
    with psycopg.connect(store_of(busyd)) as connection:
        connection.execute("UPDATE fleet.session SET until=clock_timestamp() - interval '1 s'")
    message = "a daemon has not renewed its session in time; the others take over what it polls"
    assert found()["daemon-late"] == ("warning", message)
    with psycopg.connect(store_of(busyd)) as connection:
        connection.execute("DELETE FROM ledger.place")  # as after the files of the server were put back
    assert found()["put-back"][0] == "warning"
    busyd.change(str(postgres.folder), "/nowhere")
    level, message = found()["store"]
    assert level == "failed"
    assert "cannot be used" in message


def test_a_configuration_is_checked_while_the_database_is_away(on_postgresql: Busyd, postgres: PostgresServer) -> None:
    busyd = on_postgresql
    busyd.start()
    busyd.change(str(postgres.folder), "/nowhere")
    assert busyd.command("check").returncode == 0
    address = store_of(busyd)
    busyd.change(f"store: {address}", f"store: {{url: '{address}', password: {{credential: database}}}}")
    checked = busyd.command("check")
    assert (
        "store: there is no credential named database; store it with `busyd credential set database`" in checked.stderr
    )


def test_a_daemon_whose_session_has_ended_goes_on_with_the_configuration_that_was_reloaded(
    on_postgresql: Busyd, postgres: PostgresServer, anna: Account, ten: int
) -> None:
    busyd = on_postgresql
    busyd.start()
    anna.calendars["home"].put("a.ics", event("A", ten))
    window, busy = (to_rfc3339(ten), to_rfc3339(ten + 3600)), [(to_rfc3339(ten), to_rfc3339(ten + 1800), "BUSY")]
    busyd.until_busy(*window, busy)
    busyd.change("profiles:", "profiles:\n  more: {conflicts: [anna/Home]}")
    assert busyd.command("reload").returncode == 0
    busyd.until_busy(*window, busy, profile="more")
    name = re.search(r"/(test\d+)", busyd.config.read_text())
    assert name is not None
    with postgres.connect(name[1]) as database:
        database.execute("UPDATE fleet.session SET until=clock_timestamp() - interval '1 second'")
    wait_for(partial(is_anew, busyd), describe=busyd.log.read_text)
    busyd.until_busy(*window, busy, profile="more")


TWO = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
  ben: {{kind: icloud, url: "{url}", username: ben@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, conflicts: [anna/Home]}}
  ben: {{timezone: Europe/Berlin, primary: ben/Work, conflicts: [anna/Home]}}
  few: {{timezone: UTC, primary: anna/Home, slots: {{per_day: 1}}}}
store: {store}
"""


@pytest.fixture
def pair(icloud: SimulatedIcloud, postgres: PostgresServer, tmp_path: Path) -> Iterator[tuple[Busyd, Busyd]]:
    """Two daemons on one database, of which each polls one of two connections."""
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    store = postgres.new_database().conninfo
    environment = {"APPLE": PASSWORD, "WATCHDOG_USEC": "2000000"}  # as under systemd: nothing may look like a hang
    with ExitStack() as stack:
        daemons = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            daemon = stack.enter_context(busyd_in(tmp_path / name, environment=environment))
            daemon.configure(TWO.format(url=icloud.bootstrap_url, store=store))
            daemons.append(daemon)
        yield daemons[0], daemons[1]


def test_daemons_with_different_configurations_say_so(pair: tuple[Busyd, Busyd]) -> None:
    one, two = pair
    two.change("few: {timezone: UTC,", "few: {timezone: Asia/Tokyo,")
    one.start()
    two.start()
    note = f":{two.state}: configured differently from this daemon"
    wait_for(lambda: note in one.command("status").stderr, describe=lambda: logs(pair))
    assert f":{one.state}: configured differently" in two.command("status").stderr
    assert "the daemons have different configurations" in one.command("doctor").stdout
    two.change("few: {timezone: Asia/Tokyo,", "few: {timezone: UTC,")
    assert two.command("reload").returncode == 0
    wait_for(lambda: "configured differently" not in one.command("status").stderr, describe=lambda: logs(pair))


def test_daemons_that_were_stopped_or_cut_off_are_taken_over_from_and_come_back(
    icloud: SimulatedIcloud, postgres: PostgresServer, tmp_path: Path, anna: Account, ten: int
) -> None:
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    database = postgres.new_database()
    with LossyProxy(postgres) as proxy, ExitStack() as stack:
        daemons = []
        for name in ("cut", "stopped", "other"):
            (tmp_path / name).mkdir()
            daemon = stack.enter_context(busyd_in(tmp_path / name, environment={"APPLE": PASSWORD}))
            store = proxy.in_front_of(database) if name == "cut" else database
            daemon.configure(TWO.format(url=icloud.bootstrap_url, store=store.conninfo))
            daemons.append(daemon)
            daemon.start()
            if name == "stopped":
                wait_for(lambda: {owned(one) for one in daemons} == {1}, describe=lambda: logs(daemons))
        cut, stopped, other = daemons

        def is_busy_at(daemon: Busyd, start: int) -> None:
            window = to_rfc3339(start), to_rfc3339(start + 3600)
            daemon.until_busy(*window, [(window[0], to_rfc3339(start + 1800), "BUSY")])

        postgres.stop()  # for a moment: nothing changes hands
        postgres.start()
        anna.calendars["home"].put("first.ics", event("FIRST", ten))
        for daemon in daemons:
            is_busy_at(daemon, ten)
        assert [owned(daemon) for daemon in daemons] == [1, 1, 0]
        scheduler = Scheduler(cut, book_token(cut))
        told = [(daemon, len(daemon.log.read_text())) for daemon in (cut, stopped)]
        assert stopped.process is not None
        stopped.process.send_signal(signal.SIGSTOP)
        proxy.is_cut.set()
        assert scheduler.book(ten + 7200).status == 503
        wait_for(lambda: owned(other) == 2, describe=lambda: logs(daemons))
        assert "nothing is polled until it is" in cut.log.read_text()
        anna.calendars["home"].put("second.ics", event("SECOND", ten + 7200))
        is_busy_at(other, ten + 7200)
        answer = cut.freebusy(to_rfc3339(ten), to_rfc3339(ten + 10_800))
        assert len(answer["busy"]) == 1  # what it has, as old as it is
        assert answer["as_of"] < other.freebusy(to_rfc3339(ten), to_rfc3339(ten + 10_800))["as_of"]
        proxy.is_cut.clear()
        stopped.process.send_signal(signal.SIGCONT)
        for daemon, already in told:
            wait_for(partial(is_anew, daemon, already), describe=lambda: logs(daemons))
            is_busy_at(daemon, ten + 7200)
        wait_for(lambda: scheduler.book(ten + 7200).status == 409, describe=lambda: logs(daemons))
        assert scheduler.book(ten + 3600).status == 201, logs(daemons)
    assert len(anna.calendars["work"].objects()) == 1


def is_anew(daemon: Busyd, told: int = 0) -> bool:
    """Whether it has started anew and serves, by what its log tells behind that many characters."""
    return "starting anew in the same process" in daemon.log.read_text()[told:] and daemon.status_of("/healthz") == 200


def logs(daemons: Iterable[Busyd]) -> list[str]:
    return [daemon.log.read_text()[-3000:] for daemon in daemons]


def owned(daemon: Busyd) -> int:
    """How many connections a daemon polls, as it has said last."""
    told = re.findall(r"(\d+) of the \d+ connections are this daemon's", daemon.log.read_text())
    return int(told[-1]) if told else 0


def test_each_daemon_answers_for_what_the_other_polls(pair: tuple[Busyd, Busyd], anna: Account, ten: int) -> None:
    one, two = pair
    one.start()
    two.start()
    wait_for(lambda: (owned(one), owned(two)) == (1, 1), describe=lambda: one.log.read_text() + two.log.read_text())
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))
    window, busy = (to_rfc3339(ten - 3600), to_rfc3339(ten + 7200)), [(to_rfc3339(ten), to_rfc3339(ten + 1800), "BUSY")]
    for daemon in pair:
        for profile in ("anna", "ben"):
            daemon.until_busy(*window, busy, profile=profile)


@pytest.fixture
def running_pair(pair: tuple[Busyd, Busyd]) -> tuple[Busyd, Busyd]:
    """The one that polls anna's connection first."""
    for daemon in pair:
        daemon.start()
    wait_for(lambda: {owned(one) for one in pair} == {1}, describe=lambda: [one.log.read_text() for one in pair])

    def owner_of_anna() -> str:
        owners = {one["name"]: one.get("owner", "") for one in pair[0].status()["connections"]}
        return str(owners["anna"]) if owners["ben"] not in ("", owners["anna"]) else ""

    return pair if wait_for(owner_of_anna).endswith("one/state") else (pair[1], pair[0])


def test_every_daemon_says_who_there_is_and_who_polls_how_much(running_pair: tuple[Busyd, Busyd]) -> None:
    def seen(daemon: Busyd) -> list[tuple[int, bool]]:
        return [(one["connections"], one["this"]) for one in daemon.status()["sharing"]["daemons"]]

    one, two = running_pair if str(running_pair[0].state).endswith("one/state") else running_pair[::-1]
    wait_for(lambda: (seen(one), seen(two)) == ([(1, True), (1, False)], [(1, False), (1, True)]))
    shown = one.command("status").stdout
    assert len([line for line in shown.splitlines() if "s left  1: " in line]) == 2, shown
    two.stop()
    wait_for(lambda: seen(one) == [(2, True)])


def until_said(daemon: Busyd, words: str) -> None:
    """Wait for something in the log."""
    wait_for(lambda: words in daemon.log.read_text(), describe=daemon.log.read_text)


def until_booked(scheduler: Scheduler, start: int, *, key: str = "k") -> None:
    """Ask with the same key until it is booked."""

    def is_booked() -> bool:
        try:
            return scheduler.book(start, key=key).status == 201
        except OSError:  # for a moment nobody listens, while a daemon begins another session
            return False

    wait_for(is_booked, describe=scheduler.busyd.log.read_text)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_while_the_database_is_away_answers_are_given_and_nothing_is_booked_and_then_all_goes_on(
    running_pair: tuple[Busyd, Busyd], postgres: PostgresServer, anna: Account, ten: int, receiver: Receiver
) -> None:
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))
    window = (to_rfc3339(ten - 3600), to_rfc3339(ten + 7200))
    schedulers = [Scheduler(daemon, book_token(daemon)) for daemon in running_pair]
    for daemon in running_pair:
        daemon.until_busy(*window, [(to_rfc3339(ten), to_rfc3339(ten + 1800), "BUSY")])
        daemon.status()  # with the tokens that there are now
    add_webhook(running_pair, receiver)
    feeds = [json.loads(daemon.command("token", "add", "anna", "--json").stdout)["feed"] for daemon in running_pair]
    before = [daemon.get(feed) for daemon, feed in zip(running_pair, feeds, strict=True)]
    first = last_number(running_pair[0])
    postgres.stop()
    try:
        for daemon in running_pair:  # for longer than a session lives
            until_said(daemon, "nothing is polled until it is")
        for daemon, scheduler in zip(running_pair, schedulers, strict=True):
            assert daemon.freebusy(*window)["complete"]
            assert scheduler.book(ten + 3600).status == 503
            noted = daemon.command("status").stderr
            assert "seconds ago what the others have written" in noted, noted
            assert "Is the server running" not in noted
        assert [daemon.get(feed) for daemon, feed in zip(running_pair, feeds, strict=True)] == before
        anna.calendars["home"].put("meanwhile.ics", event("MEANWHILE", ten + 7200))
    finally:
        postgres.start()
    for daemon, scheduler in zip(running_pair, schedulers, strict=True):
        until_booked(scheduler, ten + 3600)
        assert daemon.process is not None
        assert daemon.process.poll() is None, "it goes on in the same process"
        assert wait_for(partial(answered, schedulers[0], ten + 3600)) == 409
    expected = [to_rfc3339(ten + 3600), to_rfc3339(ten + 7200)]
    wait_for(lambda: {slots_in_feed(daemon, feed) for daemon in running_pair for feed in feeds} == {3})

    def told() -> list[list[str]]:
        """When what became busy since then does, as each daemon tells it, and as the receiver of webhooks was told."""
        changes = [changes_after(daemon, first) for daemon in running_pair]
        hooks = {one.id: one.json for one in receiver.received}
        return [sorted(one["data"]["start"] for one in rows if one["event"] == "busy") for rows in changes] + [
            sorted(one["data"]["start"] for one in hooks.values() if one["type"] == "busy")
        ]

    wait_for(lambda: told() == [expected] * 3, describe=told)
    numbers = [[one["id"] for one in changes_after(daemon, first)] for daemon in running_pair]
    assert numbers[0] == numbers[1] == sorted(set(numbers[0]))


def answered(scheduler: Scheduler, start: int) -> int | None:
    """The status of a booking, once the daemon is ready for one: it may be starting anew."""
    status = scheduler.book(start, key="other").status
    return status if status != 503 else None


def add_webhook(daemons: tuple[Busyd, Busyd], receiver: Receiver) -> None:
    """For anna, from one of them; the files from which its secret is made are the same at both, as they have to be."""
    added = daemons[0].command("webhook", "add", "anna", receiver.url, "--json")
    assert added.returncode == 0, added.stderr
    for file in daemons[0].state.glob("credentials*"):
        shutil.copy2(file, daemons[1].state / file.name)
    wait_for(lambda: any(one["state"] == "ok" for daemon in daemons for one in daemon.status()["webhooks"]))


def changes_after(daemon: Busyd, number: int) -> list[Any]:
    """What a daemon tells of the log of changes."""
    found = json.loads(daemon.command("changes", "anna", "--last", "1000", "--json").stdout)["changes"]
    return [one for one in found if one["id"] > number]


def last_number(daemon: Busyd) -> int:
    return max((one["id"] for one in changes_after(daemon, 0)), default=0)


def slots_in_feed(daemon: Busyd, feed: str) -> int:
    """How many blocked slots a feed has; what touches is one."""
    return str(daemon.get(feed)).count("BEGIN:VEVENT")


def test_any_daemon_takes_a_booking_and_it_is_written_once(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int
) -> None:
    for number, daemon in enumerate(running_pair):
        scheduler = Scheduler(daemon, book_token(daemon))
        told = scheduler.book(ten + number * 3600, key=f"k{number}")
        assert told.status == 201, (told.body, daemon.log.read_text())
        again = Scheduler(running_pair[1 - number], scheduler.token)
        assert again.book(ten + number * 3600, key=f"k{number}").json["id"] == told.json["id"]
        assert again.book(ten + number * 3600, key="other").status == 409
    assert len(anna.calendars["work"].objects()) == 2


def test_what_a_daemon_is_asked_for_that_another_carries_out_is_told_as_it_became(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int
) -> None:
    _, other = running_pair
    scheduler = Scheduler(other, book_token(other))
    booked = scheduler.book(ten)
    assert (booked.status, booked.json["state"]) == (201, "booked"), booked.body
    path = f"/v1/profiles/anna/appointments/{booked.json['id']}"
    moved = scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 7200)})
    assert (moved.status, moved.json["start"]) == (200, to_rfc3339(ten + 7200)), moved.body
    renamed = scheduler.ask("PATCH", path, {"summary": "Second call"})
    assert (renamed.status, renamed.json["summary"]) == (200, "Second call"), renamed.body
    assert scheduler.ask("DELETE", path).status == 204
    assert not anna.calendars["work"].objects()


def at_once(*work: Callable[[], Answer]) -> list[Answer]:
    """What comes of it when all of it is asked in the same moment."""
    together = threading.Barrier(len(work))

    def ask(one: Callable[[], Answer]) -> Answer:
        together.wait()
        return one()

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(ask, work))


def test_daemons_that_are_asked_at_once_accept_what_one_of_them_would(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int
) -> None:
    schedulers = [Scheduler(daemon, book_token(daemon, "*")) for daemon in running_pair]
    for number in range(3):
        twins = at_once(*(partial(one.book, ten + number * 7200, key=f"twin-{number}") for one in schedulers))
        assert {told.status for told in twins} <= {201, 202}, [told.body for told in twins]
        assert len({told.json["id"] for told in twins}) == 1
        day = ten + (number + 1) * 86_400
        last = at_once(
            *(
                partial(one.book, day + at * 3600, profile="few", key=f"last-{number}-{at}")
                for at, one in enumerate(schedulers)
            ),
        )
        assert sorted(told.status for told in last) == [201, 422], [told.body for told in last]
        assert [told.error for told in last if told.status == 422] == ["limit-reached"]
    wait_for(lambda: [len(anna.calendars[name].objects()) for name in ("work", "home")] == [3, 3])


def test_what_is_asked_for_with_max_age_is_polled_by_the_daemon_that_owns_it(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int
) -> None:
    for daemon in running_pair:
        daemon.until_busy(to_rfc3339(ten), to_rfc3339(ten + 1800), [])
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))
    path = f"/v1/profiles/anna/freebusy?start={to_rfc3339(ten)}&end={to_rfc3339(ten + 1800)}&max_age=0s"
    found = running_pair[1].get(path)
    assert [one["type"] for one in found["busy"]] == ["BUSY"], found


def test_after_a_restore_nothing_is_doubled_and_every_daemon_tells_what_the_backup_does_not_know(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int, tmp_path: Path
) -> None:
    owner, other = running_pair
    scheduler, path = Scheduler(other, book_token(other)), tmp_path / "backup.zip"
    done = threading.Event()

    def book() -> list[Answer]:
        answers: list[Answer] = []
        while not done.is_set():
            answers.append(scheduler.book(ten + len(answers) * 3600, key=f"k{len(answers)}"))
        return answers

    with ThreadPoolExecutor() as together:
        booking = together.submit(book)
        try:
            wait_for(lambda: len(anna.calendars["work"].objects()) > 2)
            made = owner.command("backup", str(path))
            count = len(anna.calendars["work"].objects())
            wait_for(lambda: len(anna.calendars["work"].objects()) > count + 2)
        finally:
            done.set()
        booked = booking.result()
    assert made.returncode == 0, made.stderr
    assert {one.status for one in booked} <= {201, 202}, [one.body for one in booked]
    wait_for(lambda: len(anna.calendars["work"].objects()) == len(booked))
    for running in (running_pair, running_pair[1:]):
        refused = owner.command("restore", str(path))
        assert (refused.returncode, "nothing was restored" in refused.stderr) == (75, True)
        running[0].stop()
    known = int(made.stdout.partition(": ")[2].split()[0])
    assert 2 < known < len(booked)
    before = anna.calendars["work"].objects()
    restored = owner.command("restore", str(path))
    assert restored.returncode == 0, restored.stderr
    for daemon in running_pair:
        daemon.log.write_text("")
        daemon.start()
    told = wait_for(
        lambda: (lines := re.findall(r"restored appointment (\w+) of", "".join(logs(running_pair)))) and set(lines),
        describe=lambda: logs(running_pair),
    )
    wait_for(lambda: len(re.findall("restored appointment", "".join(logs(running_pair)))) == known)
    assert told <= {one.json["id"] for one in booked[:known]}
    unknown = [one.json["uid"] for one in booked[known:]]
    for daemon in running_pair:
        wait_for(lambda: all(uid in daemon.command("status").stderr for uid in unknown))  # noqa: B023
    for number in (0, len(booked) - 1):  # the first the backup knows, the last it does not
        again = scheduler.book(ten + number * 3600, key=f"k{number}")
        assert (again.status, again.json["uid"]) == (201, booked[number].json["uid"]), again.body
    assert anna.calendars["work"].objects().keys() == before.keys()


def test_a_daemon_that_was_stopped_during_a_restore_goes_on_with_what_was_restored(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int, tmp_path: Path
) -> None:
    paused, other = running_pair
    scheduler, path = Scheduler(paused, book_token(other)), tmp_path / "backup.zip"
    known = scheduler.book(ten, key="known")
    assert other.command("backup", str(path)).returncode == 0
    later = scheduler.book(ten + 3600, key="later")
    assert (known.status, later.status) == (201, 201), (known.body, later.body)
    other.stop()
    assert paused.process is not None
    paused.process.send_signal(signal.SIGSTOP)
    with psycopg.connect(store_of(other)) as database:
        database.execute("UPDATE fleet.session SET until=clock_timestamp() - interval '1 s'")
    restored = other.command("restore", str(path))
    assert restored.returncode == 0, restored.stderr
    paused.process.send_signal(signal.SIGCONT)
    wait_for(partial(is_anew, paused), describe=paused.log.read_text)
    wait_for(lambda: f"restored appointment {known.json['id']} " in paused.log.read_text())
    wait_for(lambda: later.json["uid"] in paused.command("status").stderr)
    assert [scheduler.ask("GET", one.headers["Location"]).status for one in (known, later)] == [200, 404]
    assert scheduler.book(ten + 3600, key="later").json["uid"] == later.json["uid"]
    assert len(anna.calendars["work"].objects()) == 2


def test_a_daemon_that_stops_hands_its_connections_over(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int
) -> None:
    owner, other = running_pair
    assert owner.stop() == 0
    wait_for(lambda: owned(other) == 2, describe=other.log.read_text)
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))
    other.until_busy(to_rfc3339(ten), to_rfc3339(ten + 3600), [(to_rfc3339(ten), to_rfc3339(ten + 1800), "BUSY")])
    scheduler = Scheduler(other, book_token(other))
    assert scheduler.book(ten + 7200).status == 201
    assert scheduler.book(ten).status == 409


def test_a_daemon_that_is_killed_is_taken_over_from(running_pair: tuple[Busyd, Busyd], anna: Account, ten: int) -> None:
    owner, other = running_pair
    scheduler = Scheduler(other, book_token(other))
    owner.stop(how=signal.SIGKILL)
    told = scheduler.book(ten, key="k")
    assert told.status in (202, 503), told.body
    wait_for(lambda: owned(other) == 2, describe=other.log.read_text)
    wait_for(lambda: scheduler.book(ten, key="k").status == 201)
    assert len(anna.calendars["work"].objects()) == 1


def test_what_an_app_writes_at_any_daemon_is_written_by_the_one_that_owns_the_calendar(
    running_pair: tuple[Busyd, Busyd], anna: Account, ten: int
) -> None:
    for number, daemon in enumerate(running_pair):
        app, name, start = App(daemon, scope="details,book", calendar="Work"), f"app-{number}.ics", ten + number * 3600
        taken = (to_rfc3339(start), to_rfc3339(start + 1800))
        assert app.write("PUT", name, event(f"APP-{number}", start), If_None_Match="*") == 201, daemon.log.read_text()
        assert f"APP-{number}" in "".join(one.text for one in anna.calendars["work"].objects().values())
        for one in running_pair:
            one.until_busy(*taken, [(*taken, "BUSY")])
        assert app.write("PUT", name, event("ANOTHER", start), If_None_Match="*") == 412
        assert app.write("DELETE", name) == 204
        assert app.write("DELETE", name) == 404


def test_what_happens_is_told_once_at_every_daemon_though_one_is_told_nonsense_or_knows_more(
    running_pair: tuple[Busyd, Busyd], icloud: SimulatedIcloud, postgres: PostgresServer, anna: Account, ten: int
) -> None:
    _, other = running_pair
    with ExitStack() as stack:
        streams = []
        for daemon in running_pair:
            daemon.until_busy(to_rfc3339(ten), to_rfc3339(ten + 86_400), [])
            line = [sys.executable, "-m", "busyd", "--config", str(daemon.config), "--state", str(daemon.state)]
            command = [*line, "changes", "anna", "--follow", "--last", "0", "--json"]
            streams.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
            stack.callback(streams[-1].terminate)
            wait_for(lambda: "busyd_http_streams 1.0" in daemon.get("/metrics"))  # noqa: B023
        name = re.search(r"/(test\d+)", other.config.read_text())
        assert name is not None
        with postgres.connect(name[1]) as database:
            nonsense = "UPDATE fleet.lease SET health='{', reported=clock_timestamp() WHERE connection='anna'"

            def is_told() -> bool:
                database.execute(nonsense)  # again and again: the owner soon writes over it
                return "internal error in sharing" in other.log.read_text()

            wait_for(is_told, describe=other.log.read_text)
        told = []
        for number in range(3):
            anna.calendars["home"].put(f"{number}.ics", event(f"E{number}", ten + number * 3600))
            lines = [json.loads(stream.stdout.readline()) for stream in streams if stream.stdout is not None]
            assert lines[0] == lines[1]
            told.append(lines[0])
        assert [one["data"]["start"] for one in told] == [to_rfc3339(ten + number * 3600) for number in range(3)]
        assert [one["id"] for one in told] == sorted({one["id"] for one in told})
    cara = icloud.add_account("cara@icloud.com", password=PASSWORD, dsid="300000003")
    cara.add_calendar("Work", id="work").put("a.ics", event("A", ten))
    connection = (
        f'  cara: {{kind: icloud, url: "{icloud.bootstrap_url}", username: cara@icloud.com, password: {{env: APPLE}}}}'
    )
    other.change("profiles:", f"{connection}\nprofiles:\n  cara: {{primary: cara/Work}}")
    assert other.command("reload").returncode == 0
    busy = [(to_rfc3339(ten), to_rfc3339(ten + 1800), "BUSY")]
    other.until_busy(to_rfc3339(ten), to_rfc3339(ten + 3600), busy, profile="cara")
    for daemon in running_pair:
        assert daemon.busy(to_rfc3339(ten), to_rfc3339(ten + 3600)) == busy
        assert daemon.process is not None
        assert daemon.process.poll() is None
