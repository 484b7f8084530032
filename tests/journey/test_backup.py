"""A backup taken while the daemon runs, and what becomes of appointments after an old one was restored.

Nothing is created, moved or deleted by itself: each row is looked at once, and told.
"""

import json
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from busyd.period import EARLIEST, to_rfc3339
from busyd.store.ledger import Ledger
from busyd.store.postgresql.server import DatabaseServer
from tests.icloud.accounts import Account
from tests.icloud.faults import Fault
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import DAY, SCHEDULED, Answer, Scheduler, scheduler_of
from tests.postgres import PostgresServer, running
from tests.store.conftest import with_tables
from tests.store.filled import dump_database
from tests.store.test_put_back import put_back_by_dump

HOUR = 3600


@pytest.fixture(params=["sqlite", "postgresql"])
def scheduler(busyd: Busyd, icloud: SimulatedIcloud, request: pytest.FixtureRequest) -> Scheduler:
    """Of a daemon on each engine."""
    text = SCHEDULED.format(url=icloud.bootstrap_url)
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        text += f"store: {server.new_database().conninfo}\n"
    busyd.configure(text)
    return scheduler_of(busyd)


def back_up(scheduler: Scheduler, *options: str) -> Path:
    path = scheduler.busyd.folder / "backup.zip"
    made = scheduler.busyd.command("backup", str(path), *options)
    assert made.returncode == 0, made.stderr
    return path


def restore(scheduler: Scheduler, path: Path) -> subprocess.CompletedProcess[str]:
    """Stop the daemon, restore, start it; once it has read the calendars again."""
    scheduler.busyd.stop()
    done = scheduler.busyd.command("restore", str(path))
    assert done.returncode == 0, done.stderr
    scheduler.busyd.log.write_text("")
    scheduler.busyd.start()
    wait_for(lambda: not scheduler.busyd.freebusy("now", "+1d")["stale"], describe=scheduler.busyd.log.read_text)
    return done


def database_of(busyd: Busyd) -> DatabaseServer | None:
    """The one that is configured."""
    store = busyd.config.read_text().partition("\nstore: ")[2].strip()
    return DatabaseServer(store) if store else None


def let_sessions_expire(busyd: Busyd) -> None:
    """As if 30 seconds had passed since a daemon was killed."""
    if (database := database_of(busyd)) is not None:
        with closing(database.connect("fleet")) as connection:
            connection.execute(b"UPDATE session SET until=clock_timestamp() - interval '1 s'")


def looked_at(scheduler: Scheduler, booked: Answer) -> Any:
    """An appointment once it was looked at after a restore: that is told in the log, in one line."""
    appointment = booked.json["id"]
    lines = wait_for(
        lambda: re.findall(rf"restored \w+ {appointment} .*", scheduler.busyd.log.read_text()),
        describe=scheduler.busyd.log.read_text,
    )
    assert len(lines) == 1
    return scheduler.ask("GET", booked.headers["Location"]).json


def writes(icloud: SimulatedIcloud) -> list[tuple[str, str]]:
    """What was sent to change something, in order."""
    return [(one.method, one.path.rpartition("/")[2]) for one in icloud.log.entries if one.method in ("PUT", "DELETE")]


def test_after_a_restore_each_appointment_is_looked_at_once_and_nothing_is_written(
    scheduler: Scheduler, icloud: SimulatedIcloud, anna: Account, ten: int
) -> None:
    work = anna.calendars["work"]
    stays, cancelled, moved, deleted, edited = [scheduler.book(ten + number * HOUR) for number in range(5)]
    gone = scheduler.book(ten + 5 * HOUR)
    assert scheduler.ask("DELETE", gone.headers["Location"]).status == 204
    hold = scheduler.ask("POST", "/v1/profiles/anna/holds", {"start": to_rfc3339(ten + DAY), "duration": "30m"})
    assert hold.status == 201
    path = back_up(scheduler)

    assert scheduler.ask("DELETE", cancelled.headers["Location"]).status == 204
    start = {"start": to_rfc3339(ten + 6 * HOUR)}
    assert scheduler.ask("PATCH", moved.headers["Location"], start).status == 200
    work.delete(f"{deleted.json['uid']}.ics")
    found = work.get(f"{edited.json['uid']}.ics")
    assert found is not None
    work.put(f"{edited.json['uid']}.ics", found.text.replace("Intro call", "Intro call with Ben"))
    later = scheduler.book(ten + 7 * HOUR, key="later")
    assert later.status == 201
    before = {name: one.etag for name, one in work.objects().items()}
    icloud.log.clear()
    restore(scheduler, path)

    told = {name: looked_at(scheduler, one) for name, one in (("stays", stays), ("moved", moved), ("edited", edited))}
    assert {one["state"] for one in told.values()} == {"booked"}
    assert (told["moved"]["changed_elsewhere"], told["moved"]["start"]) == ("moved", start["start"])
    assert (told["stays"]["changed_elsewhere"], told["edited"]["changed_elsewhere"]) == ("", "edited")
    assert [looked_at(scheduler, one)["state"] for one in (cancelled, deleted)] == ["removed", "removed"]
    assert looked_at(scheduler, gone)["state"] == "cancelled"
    assert scheduler.busyd.freebusy(to_rfc3339(ten + DAY), to_rfc3339(ten + DAY + HOUR))["busy"] == []

    # What the backup does not know is listed, and left alone; asked for again, it is the same event.
    wait_for(lambda: later.json["uid"] in detail_of_work(scheduler.busyd), describe=scheduler.busyd.status)
    assert later.json["uid"] in scheduler.busyd.command("status").stderr
    assert writes(icloud) == []
    assert {name: one.etag for name, one in work.objects().items()} == before
    again = scheduler.book(ten + 7 * HOUR, key="later")
    assert (again.status, again.json["uid"]) == (201, later.json["uid"])
    assert work.objects().keys() == before.keys()
    assert [method for method, _ in writes(icloud)] == ["PUT"]  # the fence
    scheduler.busyd.stop()
    scheduler.busyd.start()
    assert len(re.findall("^.*restored .*", scheduler.busyd.log.read_text(), re.M)) == 7


def detail_of_work(busyd: Busyd) -> str:
    """What status says of the calendar."""
    calendars = [one for connection in busyd.status()["connections"] for one in connection["calendars"]]
    (detail,) = [one["detail"] for one in calendars if one["calendar"] == "anna/Work"]
    return str(detail)


def test_what_was_pending_in_the_backup_and_is_there_counts_once_its_fence_is_written(
    scheduler: Scheduler, icloud: SimulatedIcloud, anna: Account, ten: int
) -> None:
    anna.knobs.faults.add(Fault(kind="reset-after-applying", method="PUT", times=None))
    anna.knobs.faults.add(Fault(kind="reset", method="GET", path="ics$", times=None))
    pending = scheduler.book(ten, key="k")
    assert pending.status == 202
    path = back_up(scheduler)
    anna.knobs.faults.clear()
    wait_for(lambda: scheduler.ask("GET", pending.headers["Location"]).json["state"] == "booked")
    ((name, written),) = anna.calendars["work"].objects().items()
    # A person has changed it since: the fence keeps that.
    anna.calendars["work"].put(name, written.text.replace("Intro call", "Intro call with Ben"))
    icloud.log.clear()
    restore(scheduler, path)
    told = wait_for(
        lambda: (now := scheduler.ask("GET", pending.headers["Location"]).json)["state"] == "booked" and now
    )
    assert told["changed_elsewhere"] == "edited"
    assert writes(icloud) == [("PUT", name)]
    ((_, fenced),) = anna.calendars["work"].objects().items()
    assert "SUMMARY:Intro call with Ben" in fenced.text
    assert fenced.text.count("X-BUSYD-MARK") == 1
    assert fenced.text.replace(mark_of(fenced.text), "") == written.text.replace(mark_of(written.text), "").replace(
        "Intro call", "Intro call with Ben"
    )
    assert scheduler.book(ten, key="k").json["uid"] == told["uid"]
    assert len(anna.calendars["work"].objects()) == 1


def mark_of(text: str) -> str:
    (line,) = re.findall(r"X-BUSYD-MARK:.*\r\n", text)
    return str(line)


def test_what_was_pending_in_the_backup_and_is_not_there_is_written_when_asked_for_again(
    scheduler: Scheduler, icloud: SimulatedIcloud, anna: Account, ten: int
) -> None:
    anna.knobs.faults.add(Fault(kind="reset", method="PUT", times=None))
    anna.knobs.faults.add(Fault(kind="reset", method="GET", path="ics$", times=None))
    pending = scheduler.book(ten, key="k")
    assert pending.status == 202
    path = back_up(scheduler)
    scheduler.busyd.stop(how=signal.SIGKILL)
    let_sessions_expire(scheduler.busyd)
    anna.knobs.faults.clear()
    icloud.log.clear()

    restore(scheduler, path)
    told = looked_at(scheduler, pending)
    assert (told["state"], told["reason"]) == ("attention", "restored")
    assert scheduler.book(ten).error == "slot-taken"
    assert scheduler.ask("DELETE", pending.headers["Location"]).status == 204
    assert writes(icloud) == []

    restore(scheduler, path)
    assert looked_at(scheduler, pending)["state"] == "attention"
    again = scheduler.book(ten, key="k")
    assert (again.status, again.json["id"], again.json["uid"]) == (201, told["id"], told["uid"])
    assert writes(icloud) == [("PUT", f"{told['uid']}.ics")]


def test_a_move_that_the_backup_has_begun_is_told_by_what_is_there(
    scheduler: Scheduler, icloud: SimulatedIcloud, anna: Account, ten: int
) -> None:
    done, not_done = scheduler.book(ten), scheduler.book(ten + HOUR)
    names = [f"{one.json['uid']}.ics" for one in (done, not_done)]
    anna.knobs.faults.add(Fault(kind="reset-after-applying", method="PUT", path=names[0], times=None))
    anna.knobs.faults.add(Fault(kind="reset", method="PUT", path=names[1], times=None))

    def move(booked: Answer, start: int) -> int:
        return scheduler.ask("PATCH", booked.headers["Location"], {"start": to_rfc3339(start)}).status

    # Nobody sees what the PUTs have come to.
    for name in names:
        anna.knobs.faults.add(Fault(kind="reset", method="GET", path=name, times=None, skip=1))
    with ThreadPoolExecutor() as together:
        told = together.map(move, (done, not_done), (ten + 4 * HOUR, ten + 5 * HOUR))
        assert list(told) == [202, 202]
    path = back_up(scheduler)
    scheduler.busyd.stop(how=signal.SIGKILL)
    let_sessions_expire(scheduler.busyd)
    anna.knobs.faults.clear()
    claims = anna.calendars["work"].objects().keys() - set(names)
    assert len(claims) == 2
    icloud.log.clear()
    restore(scheduler, path)
    moved, kept = [looked_at(scheduler, one) for one in (done, not_done)]
    assert (moved["state"], moved["start"], moved["changed_elsewhere"]) == ("booked", to_rfc3339(ten + 4 * HOUR), "")
    assert (kept["state"], kept["start"], kept["changed_elsewhere"]) == ("booked", to_rfc3339(ten + HOUR), "")
    assert scheduler.busyd.log.read_text().count("what came of its last change is not known") == 1
    wait_for(lambda: anna.calendars["work"].objects().keys() == set(names))
    assert sorted(writes(icloud)) == [("DELETE", name) for name in sorted(claims)]


def test_a_database_that_was_put_back_by_its_administrator_is_as_one_that_was_restored(
    busyd: Busyd, icloud: SimulatedIcloud, anna: Account, postgres: PostgresServer, ten: int
) -> None:
    database, copy = postgres.new_database(), postgres.new_database()
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url) + f"store: {database.conninfo}\n")
    scheduler = scheduler_of(busyd)
    known = scheduler.book(ten, key="known")
    put_back_by_dump(database, copy)
    later = scheduler.book(ten + HOUR, key="later")
    assert scheduler.ask("DELETE", known.headers["Location"]).status == 204
    told = int(json.loads(busyd.command("changes", "anna", "--json").stdout)["changes"][-1]["id"])
    busyd.stop()
    busyd.change(database.conninfo, copy.conninfo)
    icloud.log.clear()
    busyd.log.write_text("")
    busyd.start()
    assert looked_at(scheduler, known)["state"] == "removed"
    assert "was put back to an earlier state, or moved: 1 appointments and blocks" in busyd.log.read_text()
    wait_for(lambda: later.json["uid"] in busyd.command("status").stderr)
    assert writes(icloud) == []
    changes = json.loads(busyd.command("changes", "anna", "--json").stdout)["changes"]
    (reset,) = [one for one in changes if one["event"] == "reset"]
    assert int(reset["id"]) > told
    again = scheduler.book(ten + HOUR, key="later")
    assert (again.status, again.json["uid"]) == (201, later.json["uid"])
    assert len(anna.calendars["work"].objects()) == 1
    busyd.stop()
    busyd.start()
    assert busyd.log.read_text().count("was put back") == 1


def test_a_snapshot_of_the_disk_of_a_server_that_was_put_back_is_noticed(
    busyd: Busyd, icloud: SimulatedIcloud, ten: int
) -> None:
    with running() as server:
        busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url) + f"store: {server.new_database().conninfo}\n")
        scheduler = scheduler_of(busyd)
        known = scheduler.book(ten, key="known")
        busyd.stop()
        server.stop()
        data, snapshot = server.folder / "data", server.folder / "snapshot"
        subprocess.run(["cp", "-a", data, snapshot], check=True)
        server.start()
        busyd.start()
        later = wait_for(lambda: (told := scheduler.book(ten + HOUR, key="later")).status == 201 and told)
        newest = json.loads(busyd.command("changes", "anna", "--json").stdout)["changes"][-1]["id"]
        wait_for(lambda: f":{newest}}}" in (busyd.state / "database-seen").read_text())
        busyd.stop(how=signal.SIGKILL)
        server.stop()
        shutil.rmtree(data)
        snapshot.rename(data)
        server.start()
        icloud.log.clear()
        busyd.log.write_text("")
        busyd.start()
        assert looked_at(scheduler, known)["state"] == "booked"
        assert "was put back to an earlier state" in busyd.log.read_text()
        wait_for(lambda: later.json["uid"] in busyd.command("status").stderr)
        assert writes(icloud) == []
        busyd.stop()


def test_a_restore_into_a_database_that_is_killed_in_the_midst_has_changed_nothing_and_can_be_done_again(
    busyd: Busyd, icloud: SimulatedIcloud, postgres: PostgresServer, tmp_path: Path
) -> None:
    database = with_tables(postgres.new_database())
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url) + f"store: {database.conninfo}\n")
    path = tmp_path / "backup.zip"
    assert busyd.command("token", "add", "anna", "--name", "before").returncode == 0
    assert busyd.command("backup", str(path)).returncode == 0
    assert busyd.command("token", "add", "anna", "--name", "after").returncode == 0
    before = dump_database(database)
    waiting = b"SELECT COUNT(*) FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock'"
    others = b"SELECT COUNT(*) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()"
    with closing(database.connect("changes")) as holder, postgres.connect(database.database) as watcher:
        holder.execute(b"BEGIN; LOCK TABLE counter")  # what a restore needs once the ledger is in place
        line = [sys.executable, "-m", "busyd", "--state", str(busyd.state), "--config", str(busyd.config)]
        with subprocess.Popen([*line, "restore", str(path)]) as restoring:
            wait_for(lambda: watcher.execute(waiting).fetchone() == (1,))
            restoring.kill()
        holder.close()
        wait_for(lambda: watcher.execute(others).fetchone() == (0,))
    assert dump_database(database) == before
    assert (busyd.state / "restore.new").exists()  # what it had unpacked
    assert busyd.command("restore", str(path)).returncode == 0
    listed = busyd.command("token", "list").stdout
    assert ("before" in listed, "after" in listed) == (True, False)
    assert not (busyd.state / "restore.new").exists()


def test_a_backup_is_one_new_file_for_its_owner_and_restores_only_what_is_whole(
    scheduler: Scheduler, ten: int, tmp_path: Path
) -> None:
    busyd = scheduler.busyd
    assert scheduler.book(ten).status == 201
    path = back_up(scheduler)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = busyd.command("backup", str(path))
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)
    running = busyd.command("restore", str(path))
    assert (running.returncode, "busyd runs on" in running.stderr) == (75, True)
    busyd.stop()
    kept = stored(busyd)
    content = path.read_bytes()
    middle = len(content) // 2
    for number, bad in enumerate(
        (b"", b"hello", content[:middle], content[: middle - 9] + b"x" * 9 + content[middle:])
    ):
        broken = tmp_path / f"broken{number}"
        broken.write_bytes(bad)
        refused = busyd.command("restore", str(broken))
        assert (refused.returncode, refused.stdout) == (1, ""), refused
        assert refused.stderr.startswith(f"busyd: {broken} is "), refused.stderr
    assert busyd.command("restore", str(tmp_path / "none")).returncode == 1
    assert stored(busyd) == kept
    done = busyd.command("restore", str(path))
    assert done.returncode == 0
    if database_of(busyd) is not None:
        assert "kept as the schema ledger_before_restore_" in done.stdout
        return
    (aside,) = busyd.state.glob("before-restore-*")
    assert (aside / "ledger.sqlite3").read_bytes() == kept["ledger.sqlite3"]
    assert str(aside) in done.stdout


def stored(busyd: Busyd) -> dict[str, object]:
    """All that is."""
    files: dict[str, object] = {one.name: one.read_bytes() for one in busyd.state.iterdir() if one.is_file()}
    database = database_of(busyd)
    return files if database is None else {**files, "database": dump_database(database)}


def test_a_backup_is_whole_while_bookings_run(scheduler: Scheduler, ten: int, tmp_path: Path) -> None:
    told: list[str] = []
    done = threading.Event()
    files = tmp_path / "files.yaml"
    files.write_text(scheduler.busyd.config.read_text().partition("store: ")[0])

    def book() -> None:
        for number in count():
            if done.is_set():
                return
            booked = scheduler.book(ten + number % 8 * HOUR + number // 8 * DAY)
            if booked.status == 503:  # nothing could be confirmed in time, and nothing is acknowledged
                continue
            assert booked.status in (201, 202)  # what waits for the remote's budget is acknowledged, too
            told.append(booked.json["id"])

    def has_told(least: int) -> bool:
        return len(told) > least

    with ThreadPoolExecutor() as together:
        booking = together.submit(book)
        try:
            for number in range(4):
                wait_for(partial(has_told, 3 * number))
                before, path = list(told), tmp_path / f"{number}.zip"
                assert scheduler.busyd.command("backup", str(path)).returncode == 0
                into_files = ("--config", str(files), "--state", str(tmp_path / str(number)))
                restored = scheduler.busyd.command(*into_files, "restore", str(path))
                assert restored.returncode == 0, restored.stderr
                with closing(Ledger.open(tmp_path / str(number) / "ledger.sqlite3")) as ledger:
                    rows = ledger.outbox(lambda outbox: outbox.followed(EARLIEST))
                kept = {row.id for row in rows}
                assert set(before) <= kept
                assert {row.restored for row in rows} == {1}
        finally:
            done.set()
        booking.result()
