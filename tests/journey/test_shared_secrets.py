"""Passwords in the database that two daemons share: set on one machine, used on every one with the same key."""

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from busyd.credentials import Secret
from busyd.credentials.webhooks import sign
from busyd.period import Instant, to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import event
from tests.journey.test_postgresql import logs, owned
from tests.postgres import PostgresServer, find_programs

NEW = "mnop-ijkl-efgh-abcd"
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{credential: anna}}, poll: 5s}}
  ben: {{kind: icloud, url: "{url}", username: ben@icloud.com, password: {{credential: ben}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, conflicts: [anna/Home]}}
  ben: {{timezone: Europe/Berlin, primary: ben/Work}}
store: {store}
"""


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.new_database().conninfo


@pytest.fixture
def machines(icloud: SimulatedIcloud, database: str, tmp_path: Path) -> Iterator[list[Busyd]]:
    """Two, not started yet; the first has made the key."""
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            busyd = stack.enter_context(busyd_in(tmp_path / name))
            busyd.configure(CONFIG.format(url=icloud.bootstrap_url, store=database))
            found.append(busyd)
        for name in ("anna", "ben"):
            store(found[0], name, PASSWORD)
        yield found


def store(busyd: Busyd, name: str, password: str) -> None:
    done = busyd.command("credential", "set", name, typed=f"{password}\n")
    assert (done.returncode, done.stdout) == (0, f"stored {name}\n"), done.stderr


def key_of(busyd: Busyd) -> Path:
    return busyd.state / "credentials.key"


def copy_key(machines: list[Busyd]) -> None:
    one, two = machines
    two.state.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key_of(one), key_of(two))


def state_of(busyd: Busyd, connection: str) -> tuple[str, str]:
    """The state of a connection, and what is wrong."""
    (found,) = [one for one in busyd.status()["connections"] if one["name"] == connection]
    return found["state"], found.get("detail") or ""


def until_polled(machines: list[Busyd]) -> None:
    for busyd in machines:
        wait_for(
            lambda: all(state_of(busyd, name)[0] == "ok" for name in ("anna", "ben")),  # noqa: B023
            describe=lambda: logs(machines),
        )


def told_by(machines: list[Busyd]) -> str:
    return "".join(busyd.log.read_text() for busyd in machines)


def dump(database: str) -> str:
    programs = find_programs()
    assert programs is not None
    return subprocess.run([str(programs / "pg_dump"), database], capture_output=True, text=True, check=True).stdout


def test_a_password_set_on_one_machine_is_used_on_the_other_also_a_new_one_after_a_refusal(
    machines: list[Busyd], database: str, anna: Account, ten: int
) -> None:
    copy_key(machines)
    one, two = machines
    for busyd in machines:
        busyd.start()
    wait_for(lambda: {owned(busyd) for busyd in machines} == {1}, describe=lambda: logs(machines))
    until_polled(machines)
    assert not any((busyd.state / "credentials").exists() for busyd in machines)
    anna.password = NEW
    for busyd in machines:
        wait_for(lambda: state_of(busyd, "anna")[0] != "ok", describe=lambda: logs(machines))  # noqa: B023
    owners = {row["name"]: row.get("owner", "") for row in one.status()["connections"]}
    other = two if owners["anna"].endswith("one/state") else one
    store(other, "anna", NEW)
    until_polled(machines)
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))
    for busyd in machines:
        busyd.until_busy(to_rfc3339(ten), to_rfc3339(ten + 3600), [(to_rfc3339(ten), to_rfc3339(ten + 1800), "BUSY")])
    kept = dump(database)
    assert "COPY secrets.secret" in kept
    for text in (kept, told_by(machines)):
        for planted in (PASSWORD, NEW, key_of(one).read_text().strip(), PASSWORD.encode().hex(), NEW.encode().hex()):
            assert planted not in text


@pytest.mark.parametrize("has_key", [True, False])
def test_a_machine_without_the_right_key_does_not_start_and_says_what_to_do(
    machines: list[Busyd], has_key: bool
) -> None:
    one, two = machines
    one.start()
    until_polled([one])
    two.state.mkdir(mode=0o700)
    if has_key:
        key_of(two).write_text("o" * 64)
    for command in (("run",), ("credential", "list"), ("credential", "set", "anna"), ("credential", "rotate")):
        refused = two.command(*command, typed=f"{NEW}\n")
        assert refused.returncode == 78, (command, refused.stderr)
        told = " ".join(refused.stderr.split())
        assert "the database test" in told
        assert f"copy the key of a machine that can read them to {key_of(two)}" in told
        assert NEW not in refused.stdout + refused.stderr
    found = json.loads(two.command("doctor", "--json").stdout)["findings"]
    (secrets,) = [entry for entry in found if entry["check"] == "secrets"]
    assert secrets["level"] == "failed"
    assert str(two.state) not in json.dumps(secrets)
    assert str(key_of(two)) in two.command("doctor", "--names").stdout
    assert key_of(two).exists() is has_key
    copy_key(machines)
    two.start()
    until_polled(machines)
    assert "can be read with the key of this machine" in two.command("doctor").stdout


def test_a_damaged_row_is_named_and_the_other_connections_go_on(
    machines: list[Busyd], database: str, postgres: PostgresServer
) -> None:
    one, _ = machines
    with postgres.connect(database.partition("///")[2].partition("?")[0]) as connection:
        connection.execute("UPDATE secrets.secret SET sealed='\\x00' WHERE name='anna'")
    one.start()
    wait_for(lambda: state_of(one, "ben")[0] == "ok", describe=one.log.read_text)
    wait_for(lambda: "the stored secret anna in" in state_of(one, "anna")[1], describe=one.log.read_text)
    for command in (("credential", "list"), ("check",), ("doctor", "--names")):
        done = one.command(*command)
        told = " ".join((done.stdout + done.stderr).split())
        assert "is damaged" in told
        assert "busyd credential set anna" in told
    store(one, "anna", PASSWORD)
    until_polled([one])


def test_while_the_database_is_away_commands_say_so_and_the_passwords_that_were_read_are_used(
    machines: list[Busyd], postgres: PostgresServer
) -> None:
    one, _ = machines
    one.start()
    until_polled([one])
    postgres.stop()
    try:
        for command in (("credential", "list"), ("credential", "set", "anna"), ("credential", "remove", "anna")):
            refused = one.command(*command, typed=f"{NEW}\n")
            assert refused.returncode == 75, refused.stderr
            assert "cannot be used" in refused.stderr
            assert NEW not in refused.stderr
        checked = one.command("check")
        assert checked.returncode == 0, checked.stderr
        assert checked.stderr.count("cannot be used") == 1, "said once, not for each connection"
        assert state_of(one, "anna")[0] != "no-password"
    finally:
        postgres.start()
    until_polled([one])
    assert "could not be read" not in one.log.read_text()


def test_passwords_and_webhooks_move_to_the_database_and_back(
    busyd: Busyd, icloud: SimulatedIcloud, anna: Account, database: str, ten: int
) -> None:
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    plain = CONFIG.format(url=icloud.bootstrap_url, store="").replace("store: \n", "")
    busyd.configure(plain)
    for name in ("anna", "ben"):
        store(busyd, name, PASSWORD)
    with receiver() as (address, received):
        made = json.loads(busyd.command("webhook", "add", "anna", address, "--json").stdout)
        busyd.start()
        until_polled([busyd])
        for number, target in enumerate(("postgresql", "sqlite")):
            busyd.stop()
            if target == "postgresql":
                busyd.configure(f"{plain}store: {database}\n")
            moved = busyd.command("migrate-store", target)
            assert moved.returncode == 0, moved.stderr
            assert "1 webhooks, 3 passwords" in moved.stdout
            if target == "sqlite":
                busyd.configure(plain)
            assert (busyd.state / "credentials").exists() is (target == "sqlite")
            assert busyd.command("credential", "list", "--json").stdout.count('"name"') == 2
            busyd.start()
            until_polled([busyd])
            received.clear()
            anna.calendars["home"].put(f"{number}.ics", event(f"E{number}", ten + number * 7200))
            wait_for(lambda: received, describe=busyd.log.read_text)
            assert all(is_signed_with(made["secret"], one) for one in received)
    assert list(busyd.state.glob("credentials.moved-*"))
    assert made["secret"] not in busyd.log.read_text()


def test_an_account_that_is_connected_on_one_machine_has_its_password_on_all(
    machines: list[Busyd], icloud: SimulatedIcloud
) -> None:
    copy_key(machines)
    one, two = machines
    icloud.add_account("cara@icloud.com", password=PASSWORD, dsid="300000003").add_default_calendars()
    words = ("--url", icloud.bootstrap_url, "--username", "cara@icloud.com", "--profile", "cara", "--yes")
    added = one.command("connection", "add", *words, "--password-stdin", typed=f"{PASSWORD}\n")
    assert added.returncode == 0, added.stderr
    assert "stored the encrypted password as credential cara in the database test" in added.stdout
    assert "cara" in two.command("credential", "list").stdout
    one.start()
    until_polled([one])
    store(one, "dana", PASSWORD)
    one.change(
        "username: ben@icloud.com, password: {credential: ben}",
        "username: ben@icloud.com, password: {credential: dana}",
    )
    reloaded = one.command("reload")
    assert reloaded.returncode == 0, reloaded.stderr  # what was stored a moment ago is there
    assert one.stop() == 0
    removed = one.command("connection", "remove", "cara", "--yes")
    assert "removed the stored password cara" in removed.stdout, removed.stderr
    assert "cara" not in two.command("credential", "list").stdout
    key_of(two).unlink()
    refused = two.command("connection", "add", *words, "--password-stdin", typed=f"{PASSWORD}\n")
    assert refused.returncode == 78
    assert "no key for them here" in " ".join(refused.stderr.split())


def test_webhooks_of_one_machine_are_signed_on_every_one(machines: list[Busyd]) -> None:
    copy_key(machines)
    one, two = machines
    with receiver() as (address, received):
        two.start()
        until_polled([two])
        made = json.loads(one.command("webhook", "add", "anna", address, "--json").stdout)
        tested = two.command("webhook", "test", made["id"])
        assert tested.returncode == 0, tested.stderr
        assert is_signed_with(made["secret"], received[-1])
    wait_for(lambda: two.status()["webhooks"], describe=two.log.read_text)
    assert "its secret cannot be read" not in two.log.read_text()


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Takes everything, and keeps it."""
    received: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append({"body": body, **{name.lower(): value for name, value in self.headers.items()}})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_signed_with(secret: str, message: dict[str, Any]) -> bool:
    at = Instant(int(message["webhook-timestamp"]))
    return sign([Secret(secret)], message["webhook-id"], at=at, body=message["body"]) in message["webhook-signature"]
