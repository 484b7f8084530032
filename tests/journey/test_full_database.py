"""The disk of a database that two daemons share is full: answers go on, and all the rest by itself once it is not."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import psycopg
import pytest

from busyd.period import to_rfc3339
from busyd.store.postgresql.server import DatabaseServer
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import DAY, Answer, Scheduler, event
from tests.journey.test_bookings import book_token
from tests.journey.test_caldav import App
from tests.journey.test_postgresql import TWO, logs, owned, until_booked
from tests.other_user import give_to_nobody
from tests.postgres import OWNER, PostgresServer, running
from tests.skips import skip

BIG = Random(1).randbytes(8000).hex()
"""A text for which no page that there is has a place, however it is compressed."""
BUSY = "BUSY"


class SmallDisk:
    """A file system of its own, and what takes its space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "given"
        self.folder.mkdir()
        give_to_nobody(self.folder)
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no space on it."""
        with self._filler.open("ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink()


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        skip("only root can mount a file system")
    with TemporaryDirectory(prefix="busyd-disk-") as folder:
        Path(folder).chmod(0o755)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=False)
        if mounted.returncode != 0:
            skip("no file system can be mounted here")
        try:
            yield SmallDisk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def database_on_small_disk(small_disk: SmallDisk, postgres: PostgresServer) -> Iterator[DatabaseServer]:
    """Its write-ahead log is elsewhere."""
    with postgres.connect("postgres") as connection:
        connection.execute(f"CREATE TABLESPACE small OWNER {OWNER} LOCATION '{small_disk.folder}'".encode())
        connection.execute(f"CREATE DATABASE small OWNER {OWNER} TABLESPACE small".encode())
        yield DatabaseServer(f"postgresql:///small?host={postgres.folder}&user={OWNER}")
        connection.execute(b"DROP DATABASE small WITH (FORCE)")
        connection.execute(b"DROP TABLESPACE small")


@contextlib.contextmanager
def sharing(folder: Path, icloud: SimulatedIcloud, database: DatabaseServer) -> Iterator[list[Busyd]]:
    """Two daemons, each with one of two connections; what is older than 20 seconds is stale."""
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    with ExitStack() as stack:
        daemons = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            daemon = stack.enter_context(busyd_in(folder / name, environment={"APPLE": PASSWORD}))
            daemon.configure(TWO.format(url=icloud.bootstrap_url, store=database.conninfo))
            daemon.change("conflicts: [anna/Home]}", "conflicts: [anna/Home], max_age: 20s}")
            daemon.start()
            daemons.append(daemon)
        wait_for(lambda: {owned(one) for one in daemons} == {1}, describe=lambda: logs(daemons))
        yield daemons


class Asker:
    """Somebody who asks one daemon for all that it would store."""

    def __init__(self, daemon: Busyd, *, first: int) -> None:
        self.daemon = daemon
        self.scheduler = Scheduler(daemon, book_token(daemon), keys=count(first))
        self._admin = Scheduler(daemon, daemon.admin_token())
        self._app = App(daemon, scope="details,book", calendar="Work")
        self._first, self._spans = first, count()

    def book(self) -> Answer:
        return self.scheduler.book(self._first, key=f"k{self._first}", description=BIG[:4000])

    def block(self) -> Answer:
        start = self._first + DAY + next(self._spans) * 60
        span = {"start": to_rfc3339(start), "end": to_rfc3339(start + 60)}
        return self.scheduler.ask("POST", "/v1/profiles/anna/blocks", {**span, "summary": BIG[:200]})

    def hold(self) -> Answer:
        wanted = {"start": to_rfc3339(self._first + 3 * DAY), "duration": "30m"}
        return self.scheduler.ask("POST", "/v1/profiles/anna/holds", wanted)

    def make_token(self) -> Answer:
        return self._admin.ask("POST", "/v1/tokens", {"profile": "anna", "name": BIG[:100]})

    def put(self) -> int:
        """The status of an event that an app writes."""
        return self._app.write("PUT", "app.ics", self.written, If_None_Match="*")

    @property
    def written(self) -> str:
        return event("APP", self._first + 4 * DAY, description=BIG)


def until_refused(answer: Answer) -> bool:
    """Whether something found no space, and was told so; what does find some is stored."""
    if answer.status == 201:
        return False
    assert (answer.status, answer.error) == (503, "out-of-space"), answer.body
    assert int(answer.headers["Retry-After"]) > 0
    assert "free some space" in answer.json["fix"]
    return True


def test_a_full_disk_of_the_database_is_told_and_waited_for(
    icloud: SimulatedIcloud,
    small_disk: SmallDisk,
    database_on_small_disk: DatabaseServer,
    anna: Account,
    ten: int,
    tmp_path: Path,
) -> None:
    with sharing(tmp_path, icloud, database_on_small_disk) as daemons:
        askers = [Asker(daemon, first=ten + number * 3600) for number, daemon in enumerate(daemons)]
        anna.calendars["home"].put("before.ics", event("BEFORE", ten + 9 * DAY))
        window = to_rfc3339(ten + 9 * DAY), to_rfc3339(ten + 10 * DAY)
        before = [(window[0], to_rfc3339(ten + 9 * DAY + 1800), BUSY)]
        for daemon in daemons:
            daemon.until_busy(*window, before)
            assert daemon.command("doctor", "--json").returncode in (0, 1)
        small_disk.fill()
        anna.calendars["home"].put("unstored.ics", event("UNSTORED", ten + 9 * DAY + 7200, description=BIG))
        put_at = daemons[0].status()["now"]
        for asker in askers:
            wait_for(lambda: until_refused(asker.block()))  # noqa: B023
            assert until_refused(asker.book())
            wait_for(lambda: until_refused(asker.make_token()))  # noqa: B023
            assert until_refused(asker.hold())
        assert askers[0].put() == 503
        for daemon in daemons:
            wait_for(lambda: daemon.freebusy(*window)["stale"], describe=daemon.log.read_text)  # noqa: B023
            answer = daemon.freebusy(*window)
            assert answer["complete"]
            assert answer["as_of"] <= put_at
            assert daemon.busy(*window) == before
            require_told(daemon)
        small_disk.free()
        after = [*before, (to_rfc3339(ten + 9 * DAY + 7200), to_rfc3339(ten + 9 * DAY + 9000), BUSY)]
        for asker in askers:
            wait_for(lambda: asker.book().status == 201, describe=asker.daemon.log.read_text)  # noqa: B023
            asker.daemon.until_busy(*window, after)
            assert asker.hold().status == 201
            assert asker.make_token().status == 201
        wait_for(lambda: askers[0].put() in (201, 204, 412))
        told = [json.loads(daemon.command("changes", "anna", "--last", "1000", "--json").stdout) for daemon in daemons]
        assert told[0]["changes"] == told[1]["changes"]
        became_busy = [one["data"]["start"] for one in told[0]["changes"] if one["event"] == "busy"]
        assert [start for start in became_busy if start >= window[0]] == [span[0] for span in after]
        assert all(daemon.process is not None and daemon.process.poll() is None for daemon in daemons)
    work = [one.text for one in anna.calendars["work"].objects().values()]
    assert len([one for one in work if "Intro call" in one]) == 2
    assert len([one for one in work if "UID:APP" in one]) == 1


def require_told(daemon: Busyd) -> None:
    """Whoever looks is told that there is no space, and what to do."""
    assert daemon.status_of("/healthz") == 200
    storage = daemon.status()["storage"]
    assert "No space left on device" in storage["detail"]
    assert storage["fix"] == "free some space on the disk of the server"
    assert "free some space on the disk of the server" in daemon.command("status").stderr
    assert 'busyd_storage_failures_total{reason="out-of-space"}' in daemon.get("/metrics")
    findings = json.loads(daemon.command("doctor", "--json").stdout)["findings"]
    store = {one["check"]: one for one in findings if one["subject"] == "store"}
    assert store["store"]["level"] == "failed", store
    assert "No space left on device" in store["store"]["message"]


def test_a_server_that_finds_no_space_for_its_log_and_ends_is_as_one_that_is_restarted(
    icloud: SimulatedIcloud, small_disk: SmallDisk, anna: Account, ten: int, tmp_path: Path
) -> None:
    with running(log_folder=small_disk.folder / "log") as postgres:
        database = postgres.new_database()
        with sharing(tmp_path, icloud, database) as daemons:
            schedulers = [Scheduler(daemon, book_token(daemon)) for daemon in daemons]
            assert schedulers[0].book(ten, key="before").status == 201
            window = to_rfc3339(ten), to_rfc3339(ten + DAY)
            for daemon in daemons:
                daemon.until_busy(*window, [(window[0], to_rfc3339(ten + 1800), BUSY)])
            small_disk.fill()
            use_up_the_log(postgres)
            for number, (daemon, scheduler) in enumerate(zip(daemons, schedulers, strict=True), start=1):
                refused = scheduler.book(ten + number * 3600, key=f"k{number}")
                assert refused.status == 503, refused.body
                assert int(refused.headers["Retry-After"]) > 0
                assert daemon.busy(*window)
            small_disk.free()
            wait_for(lambda: is_up(postgres))
            for number, scheduler in enumerate(schedulers, start=1):
                until_booked(scheduler, ten + number * 3600, key=f"k{number}")
            assert schedulers[0].book(ten, key="before").status == 201
            assert all(daemon.process is not None and daemon.process.poll() is None for daemon in daemons)
    assert len(anna.calendars["work"].objects()) == 3


def is_up(postgres: PostgresServer) -> bool:
    """Whether the server takes connections; where it has ended, it is started as its service would."""
    try:
        postgres.connect("postgres").close()
    except psycopg.OperationalError:
        if not postgres.runs:
            postgres.stop()
            postgres.start()
        return False
    return True


def use_up_the_log(postgres: PostgresServer) -> None:
    """Write until the server finds no space for its log, as which it ends all that it does."""
    with pytest.raises(psycopg.OperationalError), postgres.connect("postgres") as connection:
        while True:
            connection.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
