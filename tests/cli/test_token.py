"""`busyd token`: made once, listed without the secret, revoked at once."""

from pathlib import Path

import pytest

from busyd.clock import SystemClock
from busyd.service.state_dir import write_admin_token
from busyd.store.ledger import Ledger
from tests.cli.conftest import Busyd, write_config
from tests.other_user import NOBODY, owners


def open_ledger(home: Path) -> Ledger:
    return Ledger.open(home / ".local/state/busyd/ledger.sqlite3")


def test_a_token_is_printed_with_its_feed_and_opens_the_ledger(busyd: Busyd, home: Path) -> None:
    write_config(home, "'[::1]:8377'")
    ran = busyd("token", "add", "anna", "--name", "booking page")
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines()[:3])
    assert lines["feed"] == f"http://[::1]:8377/feeds/{lines['token']}.ics"
    ledger = open_ledger(home)
    token = ledger.find_token(lines["token"], SystemClock().now())
    ledger.close()
    assert token is not None
    assert (token.id, token.profile, token.scopes, token.details, token.name) == (
        lines["id"], "anna", frozenset({"freebusy"}), False, "booking page"
    )  # fmt: skip


def test_a_token_as_json_has_the_members_of_the_contract(busyd: Busyd) -> None:
    made = busyd("token", "add", "anna", "--json", "--scope", "book,freebusy", "--scope", "details").json
    assert made["scopes"] == ["freebusy", "details", "book"]
    assert made["feed"] == f"/feeds/{made['token']}.ics"
    assert set(made) == {"id", "token", "scopes", "feed"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["anna", "--scope", "details,book,admin"], "the scope freebusy"),
        (["anna", "--scope", "admin", "--details"], "the scope freebusy"),
        (["*"], "shows one profile"),
    ],
)
def test_a_token_that_can_have_no_feed_is_told_so(busyd: Busyd, words: list[str], why: str) -> None:
    assert busyd("token", "add", *words, "--json").json["feed"] is None
    said = busyd("token", "add", *words).out
    assert why in said
    assert "/feeds/" not in said


@pytest.mark.parametrize(
    ("listen", "base"),
    [
        ("0.0.0.0:8377\nbehind_proxy: true\nhosts: [busy.example, b.example]", "https://busy.example"),
        ("unix:/run/x.sock\nbehind_proxy: true\nhosts: [busy.example]", "https://busy.example"),
        ("127.0.0.1:8377\nhosts: [busy.example]", "http://busy.example:8377"),
        ("['0.0.0.0:8377', '192.0.2.7:8377']\nbehind_proxy: true", "http://192.0.2.7:8377"),
        ("'[::]:8377'\nbehind_proxy: true", ""),
        ("unix:/run/x.sock", ""),
    ],
)
def test_the_address_of_a_feed_is_one_that_can_be_reached(busyd: Busyd, home: Path, listen: str, base: str) -> None:
    write_config(home, listen)
    lines = busyd("token", "add", "anna").out.splitlines()
    assert lines[2].split(maxsplit=1)[1].partition("/feeds/")[0] == base
    assert any("public_url:" in line for line in lines) is not bool(base)


def test_the_list_tells_all_but_the_token(busyd: Busyd) -> None:
    assert busyd("token", "list").out == "there are no tokens\n"
    made = busyd("token", "add", "*", "--details", "--expires", "90d", "--json").json
    listed = busyd("token", "list", "--json")
    (token,) = listed.json
    assert (token["id"], token["profile"], token["details"], token["last_used"]) == (made["id"], "*", True, None)
    assert token["expires"] > token["created"]
    table = busyd("token", "list").out
    assert made["id"] in table
    assert made["token"].split("_", 2)[2] not in table + listed.out


def test_a_revoked_token_is_gone(busyd: Busyd, home: Path) -> None:
    made = busyd("token", "add", "anna", "--json").json
    assert busyd("token", "revoke", made["id"]).out == f"revoked {made['id']}\n"
    assert busyd("token", "revoke", made["id"]).status == 1
    ledger = open_ledger(home)
    assert ledger.find_token(made["token"], SystemClock().now()) is None
    ledger.close()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["ana"], 1, "there is no profile 'ana', did you mean 'anna'?"),
        (
            ["anna", "--scope", "write"],
            64,
            "unknown scope 'write'; known scopes: freebusy, details, book, metrics, admin",
        ),
        (["anna", "--expires", "90"], 64, "--expires: '90' has no unit, did you mean '90s' or '90m'?"),
        (["anna", "--expires", "0d"], 64, "--expires: it must be longer than 0 seconds"),
    ],
)
def test_what_cannot_be_is_told(busyd: Busyd, home: Path, words: list[str], status: int, said: str) -> None:
    ran = busyd("token", "add", *words)
    assert ran.status == status
    assert said in ran.err
    assert not (home / ".local/state/busyd/ledger.sqlite3").exists()


def test_a_token_that_would_allow_nothing_is_not_made(busyd: Busyd, home: Path) -> None:
    ran = busyd("token", "add", "anna", "--scope", "")
    assert ran.status == 64
    assert "known scopes: freebusy, details, book, metrics, admin" in ran.err
    assert not (home / ".local/state/busyd").exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [(("token", "list"), 0), (("webhook", "list"), 0), (("token", "revoke", "x"), 1), (("webhook", "remove", "x"), 1)],
)
def test_who_only_looks_makes_no_state_so_that_there_is_nothing_to_back_up(
    busyd: Busyd, home: Path, words: tuple[str, ...], status: int
) -> None:
    assert busyd(*words).status == status
    assert not (home / ".local/state/busyd").exists()
    ran = busyd("backup", str(home / "b.zip"))
    assert ran.status != 0
    assert "there is nothing to back up" in ran.err
    assert not (home / "b.zip").exists()


def test_a_state_directory_that_cannot_be_used_is_told(busyd: Busyd, home: Path) -> None:
    (home / "file").write_text("")
    ran = busyd("token", "list", "--state", str(home / "file"))
    assert ran.status == 78
    assert ran.err.startswith(f"busyd: the state directory {home}/file is not a directory")


def test_a_ledger_that_root_makes_for_a_service_belongs_to_the_user_of_the_service(
    busyd: Busyd, foreign_state: Path
) -> None:
    assert busyd("--state", str(foreign_state), "token", "add", "anna").status == 0
    assert len(busyd("--state", str(foreign_state), "token", "list", "--json").json) == 1
    assert owners(foreign_state) == {NOBODY.pw_uid}
    assert (foreign_state / "ledger.sqlite3").stat().st_mode & 0o777 == 0o600


def test_a_ledger_of_root_in_the_state_of_a_service_is_told_with_the_cure(busyd: Busyd, foreign_state: Path) -> None:
    path = foreign_state / "ledger.sqlite3"
    path.touch(mode=0o600)
    ran = busyd("--state", str(foreign_state), "token", "add", "anna")
    assert ran.status == 78
    assert f"{path} cannot be used: ledger.sqlite3 belongs to root, and user nobody may not use it" in ran.err
    assert f"chown -R nobody: {foreign_state}" in ran.err


def test_a_link_in_place_of_the_ledger_does_not_make_root_write_elsewhere(
    busyd: Busyd, foreign_state: Path, tmp_path: Path
) -> None:
    (foreign_state / "ledger.sqlite3").symlink_to(tmp_path / "planted")
    assert busyd("--state", str(foreign_state), "token", "add", "anna").status == 78
    assert not (tmp_path / "planted").exists()


def test_the_token_of_the_command_line_itself_is_neither_offered_nor_revoked(busyd: Busyd, home: Path) -> None:
    ledger = open_ledger(home)
    write_admin_token(home / ".local/state/busyd", ledger, now=SystemClock().now())
    [own] = ledger.tokens()
    made = busyd("token", "add", "anna", "--json").json["id"]
    assert [token["id"] for token in busyd("token", "list", "--json").json] == [made]
    assert own.id not in busyd("token", "list").out
    refused = busyd("token", "revoke", own.id)
    assert (refused.status, "command line of this machine" in refused.err) == (1, True)
    assert busyd("token", "add", "anna", "--name", "local-admin-token").status == 64
    assert {token.id for token in ledger.tokens()} == {own.id, made}
    ledger.close()
