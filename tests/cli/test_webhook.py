"""`busyd webhook`: a secret shown once, who may be a receiver, and what is asked of the daemon."""

import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from busyd.clock import SystemClock
from busyd.period import Instant
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.webhooks import StoredWebhook, WebhookProgress
from tests.cli.conftest import Busyd
from tests.journey.daemon import wait_for
from tests.ports import free_port
from tests.receiver import receiving

README = Path(__file__).parents[2] / "README.md"
SOMEWHERE = "http://127.0.0.1:9/hooks/busyd"


def state_of(home: Path) -> Path:
    return home / ".local/state/busyd"


def stored(home: Path) -> list[StoredWebhook]:
    with closing(Ledger.open(state_of(home) / LEDGER_FILE)) as ledger:
        return ledger.webhooks(lambda kept: kept.all())


def note(home: Path, webhook: str, progress: WebhookProgress) -> None:
    with closing(Ledger.open(state_of(home) / LEDGER_FILE)) as ledger:
        ledger.webhooks(lambda kept: kept.note({webhook: progress}))


def test_the_secret_is_shown_once_and_is_in_no_file(busyd: Busyd, home: Path) -> None:
    ran = busyd("webhook", "add", "anna", SOMEWHERE)
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines()[:2])
    assert lines["secret"].startswith("whsec_")
    assert "no daemon runs" in ran.err
    shown = busyd("webhook", "list").out + busyd("webhook", "list", "--json").out + busyd("credential", "list").out
    assert lines["id"] in shown
    assert lines["secret"] not in shown
    assert not any(lines["secret"].encode() in file.read_bytes() for file in state_of(home).iterdir() if file.is_file())


def test_a_webhook_as_json_has_what_a_script_needs(busyd: Busyd) -> None:
    made = busyd("webhook", "add", "*", SOMEWHERE, "--events", "free,busy", "--json").json
    assert set(made) == {"id", "profile", "url", "events", "secret"}
    assert (made["profile"], made["url"], made["events"]) == ("*", SOMEWHERE, ["busy", "free"])
    [listed] = busyd("webhook", "list", "--json").json
    assert (listed["id"], listed["state"], listed["events"]) == (made["id"], "ok", ["busy", "free"])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["ana", SOMEWHERE], 1, "there is no profile 'ana', did you mean 'anna'?"),
        (["anna", SOMEWHERE, "--events", "busy,moved"], 64, "unknown event 'moved'; known events: busy, free, app"),
        (["anna", SOMEWHERE, "--events", ","], 64, "--events names no event"),
        (["anna", "ftp://127.0.0.1/"], 1, "not a plain web address"),
        (["anna", "https://user:secret@127.0.0.1/"], 1, "without user name or password"),
        (["anna", "http://169.254.169.254/latest"], 1, "nothing is ever sent there"),
        (["anna", "http://[fe80::1]/"], 1, "nothing is ever sent there"),
        (["anna", "http://[::ffff:169.254.169.254]/"], 1, "nothing is ever sent there"),
        (["anna", "http://2852039166/"], 1, "nothing is ever sent there"),
        (["anna", "http://100.100.100.200/"], 1, "nothing is ever sent there"),
        (["anna", "http://8.8.8.8/"], 1, "do not go through the internet unencrypted"),
        (["anna", "http://receiver.invalid/"], 1, "do not go through the internet unencrypted"),
    ],
)
def test_what_cannot_be_a_receiver_is_told(busyd: Busyd, home: Path, words: list[str], status: int, said: str) -> None:
    ran = busyd("webhook", "add", *words)
    assert (ran.status, said in ran.err) == (status, True), ran.err
    assert not (state_of(home) / "ledger.sqlite3").exists()


def test_a_receiver_in_the_private_network_is_allowed_there_and_one_in_the_internet_is_not(
    busyd: Busyd, home: Path
) -> None:
    busyd("webhook", "add", "anna", "http://localhost:9/")
    busyd("webhook", "add", "anna", "https://8.8.8.8/")
    assert "could not be resolved" in busyd("webhook", "add", "anna", "https://receiver.invalid/").err
    assert {one.webhook.url: one.webhook.private for one in stored(home)} == {
        "http://localhost:9/": True,
        "https://8.8.8.8/": False,
        "https://receiver.invalid/": False,
    }


@pytest.mark.parametrize("action", ["remove", "rotate", "test", "replay"])
def test_what_is_asked_of_a_webhook_that_is_not_there_leaves_no_trace(busyd: Busyd, home: Path, action: str) -> None:
    ran = busyd("webhook", action, "wh_nobody")
    assert (ran.status, "there is no webhook with the id wh_nobody" in ran.err) == (1, True), ran.err
    assert not (state_of(home) / "ledger.sqlite3").exists()


def test_a_removed_webhook_is_gone(busyd: Busyd, home: Path) -> None:
    made = busyd("webhook", "add", "anna", SOMEWHERE, "--json").json["id"]
    assert busyd("webhook", "remove", made).out == f"removed {made}\n"
    ran = busyd("webhook", "remove", made)
    assert (ran.status, f"there is no webhook with the id {made}" in ran.err) == (1, True)
    assert stored(home) == []


def test_a_test_message_is_verified_by_the_receiver_also_after_a_rotation(busyd: Busyd) -> None:
    with receiving() as receiver:
        made = busyd("webhook", "add", "anna", receiver.url, "--json").json
        ran = busyd("webhook", "test", made["id"])
        assert (ran.status, "took the message (204)" in ran.out) == (0, True), ran.err
        assert receiver.received[0].verify(made["secret"])["type"] == "test"
        rotated = busyd("webhook", "rotate", made["id"], "--json").json
        assert rotated["secret"] != made["secret"]
        assert busyd("webhook", "test", made["id"]).status == 0
        assert all(receiver.received[1].is_signed_with(one["secret"]) for one in (made, rotated))
        receiver.answer = lambda _: 500
        ran = busyd("webhook", "test", made["id"])
        assert (ran.status, "answered 500" in ran.err) == (69, True)
    ran = busyd("webhook", "test", made["id"])
    assert (ran.status, "it refused the connection" in ran.err) == (69, True)


def test_without_what_its_secret_was_made_from_a_webhook_is_rotated_not_signed_wrongly(
    busyd: Busyd, home: Path
) -> None:
    made = busyd("webhook", "add", "anna", SOMEWHERE, "--json").json["id"]
    (state_of(home) / "credentials").unlink()
    ran = busyd("webhook", "test", made)
    assert (ran.status, f"busyd webhook rotate {made}" in ran.err) == (1, True)
    busyd("webhook", "rotate", made)
    assert "it refused the connection" in busyd("webhook", "test", made).err


def test_what_webhooks_are_signed_with_is_no_password_of_a_person(busyd: Busyd) -> None:
    busyd("webhook", "add", "anna", SOMEWHERE)
    for action in ("set", "remove"):
        ran = busyd("credential", action, "busyd-webhooks")
        assert (ran.status, "secrets of webhooks" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("progress", "state", "said"),
    [
        (WebhookProgress(5, failing_since=Instant(1_790_000_000), attempts=3, detail="x answered 500"), "failing",
         "x answered 500; see what its receiver says"),
        (WebhookProgress(5, ended="gone", detail="x answered 410"), "gone", "x answered 410; remove it with"),
        (WebhookProgress(5, ended="given-up", detail="x answered 500"), "given-up", "goes on where it stopped"),
    ],
)  # fmt: skip
def test_the_list_says_what_is_wrong_and_replay_takes_it_up(
    busyd: Busyd, home: Path, progress: WebhookProgress, state: str, said: str
) -> None:
    made = busyd("webhook", "add", "anna", SOMEWHERE, "--json").json["id"]
    assert "say since when" in busyd("webhook", "replay", made).err
    note(home, made, progress)
    assert busyd("webhook", "list", "--json").json[0]["state"] == state
    assert said in busyd("webhook", "list").err
    assert busyd("webhook", "replay", made).out == f"{made} goes on where it stopped\n"
    assert stored(home)[0].asked == 0


@pytest.mark.parametrize(("since", "seconds"), [("2d", 172_800), ("now", 0), ("2026-01-01T00:00:00Z", None)])
def test_replay_takes_a_moment_in_the_past(busyd: Busyd, home: Path, since: str, seconds: int | None) -> None:
    made = busyd("webhook", "add", "anna", SOMEWHERE, "--json").json["id"]
    assert busyd("webhook", "replay", made, "--since", since).status == 0
    asked = stored(home)[0].asked
    assert asked == (1_767_225_600 if seconds is None else pytest.approx(SystemClock().now() - seconds, abs=60))


@pytest.mark.parametrize("since", ["2099-01-01", "yesteryear", "+2d"])
def test_replay_refuses_what_is_no_moment_in_the_past(busyd: Busyd, since: str) -> None:
    made = busyd("webhook", "add", "anna", SOMEWHERE, "--json").json["id"]
    assert busyd("webhook", "replay", made, "--since", since).status == 64


@pytest.mark.parametrize("with_key", [True, False])
def test_a_backup_has_the_webhooks_and_their_secrets_only_for_who_has_the_key(
    busyd: Busyd, home: Path, with_key: bool
) -> None:
    with receiving() as receiver:
        made = busyd("webhook", "add", "anna", receiver.url, "--json").json
        busyd("backup", str(home / "backup.zip"), *(["--with-key"] if with_key else []))
        with zipfile.ZipFile(home / "backup.zip") as archive:
            assert not any(made["secret"].encode() in archive.read(name) for name in archive.namelist())
        elsewhere = ["--state", str(home / "elsewhere")]
        assert busyd(*elsewhere, "restore", str(home / "backup.zip")).status == 0
        assert [one["id"] for one in busyd(*elsewhere, "webhook", "list", "--json").json] == [made["id"]]
        assert (busyd(*elsewhere, "webhook", "test", made["id"]).status == 0) is with_key
        assert [one.is_signed_with(made["secret"]) for one in receiver.received] == [True] * with_key


def test_the_receiver_of_the_readme_takes_what_is_genuine_and_nothing_else(busyd: Busyd, tmp_path: Path) -> None:
    code = README.read_text().partition("### Webhooks\n")[2].partition("```python\n")[2].partition("```")[0]
    port = free_port()
    made = busyd("webhook", "add", "anna", f"http://127.0.0.1:{port}/", "--json").json
    program = tmp_path / "receiver.py"
    program.write_text(code.replace("whsec_…", made["secret"]).replace("8000", str(port)))
    with subprocess.Popen([sys.executable, str(program)], stderr=subprocess.DEVNULL) as receiver:
        try:
            wait_for(lambda: busyd("webhook", "test", made["id"]).status == 0)
            busyd("webhook", "rotate", made["id"])
            assert busyd("webhook", "test", made["id"]).status == 0, "the old secret signs, too"
            other = busyd("webhook", "add", "anna", f"http://127.0.0.1:{port}/", "--json").json["id"]
            refused = busyd("webhook", "test", other)
            assert (refused.status, "answered 401" in refused.err) == (69, True)
        finally:
            receiver.kill()
