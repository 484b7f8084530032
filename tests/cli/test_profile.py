"""`busyd profile`: settings for calendar apps, and the configuration profile of Apple's devices."""

import plistlib
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Busyd, write_config

PUBLIC = "public_url: https://Busy.Example.org:8443/\n"
APPS = ("thunderbird", "evolution", "davx5", "vdirsyncer", "khal")


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in a directory of their own."""
    directory = home / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def configure(home: Path, further: str = "") -> None:
    path = write_config(home, "127.0.0.1:1")
    path.write_text(path.read_text() + further)


@pytest.mark.parametrize("app", APPS)
def test_every_app_gets_the_address_the_user_name_and_a_token_of_its_own(busyd: Busyd, home: Path, app: str) -> None:
    configure(home)
    ran = busyd("profile", app, "anna")
    assert (ran.status, ran.err) == (0, "")
    assert "http://127.0.0.1:1/dav/anna/" in ran.out
    (token,) = busyd("token", "list", "--json").json
    assert (token["profile"], token["name"], token["scopes"]) == ("anna", app, ["details", "freebusy"])
    assert f"bd_{token['id']}_" in ran.out


def test_an_apple_device_gets_a_file_that_only_its_owner_can_read(busyd: Busyd, home: Path, elsewhere: Path) -> None:
    configure(home, PUBLIC)
    ran = busyd("profile", "apple", "anna")
    assert ran.status == 0, ran.err
    file = elsewhere / "anna.mobileconfig"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = plistlib.loads(file.read_bytes())
    (account,) = made["PayloadContent"]
    (token,) = busyd("token", "list", "--json").json
    assert account["CalDAVPassword"].startswith(f"bd_{token['id']}_")
    assert account["CalDAVPassword"] not in ran.out + ran.err
    wanted = {
        "PayloadType": "com.apple.caldav.account",
        "CalDAVHostName": "busy.example.org",
        "CalDAVPort": 8443,
        "CalDAVUseSSL": True,
        "CalDAVPrincipalURL": "/dav/anna/",
        "CalDAVUsername": "anna",
    }
    assert {name: account[name] for name in wanted} == wanted
    assert made["PayloadUUID"] != account["PayloadUUID"]
    assert made["PayloadType"] == "Configuration"


def test_a_file_that_is_there_is_not_replaced_and_no_token_is_made(busyd: Busyd, home: Path, elsewhere: Path) -> None:
    configure(home, PUBLIC)
    (elsewhere / "mine").write_text("precious")
    ran = busyd("profile", "apple", "anna", "--output", "mine")
    assert (ran.status, (elsewhere / "mine").read_text()) == (1, "precious")
    assert "exists already" in ran.err
    assert busyd("token", "list", "--json").json == []


@pytest.mark.parametrize("further", ["", "public_url: http://busy.example.org\n", "hosts: busy.example.org\n"])
def test_without_a_public_address_with_tls_there_is_nothing_for_a_phone(busyd: Busyd, home: Path, further: str) -> None:
    configure(home, further)
    ran = busyd("profile", "apple", "anna")
    assert ran.status == 1
    assert "public_url" in ran.err
    assert busyd("token", "list", "--json").json == []


def test_a_public_address_is_the_one_that_is_handed_out(busyd: Busyd, home: Path) -> None:
    configure(home, PUBLIC)
    assert busyd("profile", "davx5", "anna", "--json").json["url"] == "https://busy.example.org:8443/dav/anna/"
    assert "https://busy.example.org:8443/feeds/" in busyd("token", "add", "anna").out


def test_an_app_that_may_only_know_when_somebody_is_busy(busyd: Busyd, home: Path) -> None:
    configure(home)
    assert busyd("profile", "davx5", "anna", "--busy-only", "--expires", "90d").status == 0
    (token,) = busyd("token", "list", "--json").json
    assert token["scopes"] == ["freebusy"]
    assert token["expires"] is not None


def test_an_app_that_may_write(busyd: Busyd, home: Path) -> None:
    configure(home)
    assert "read_only = false" in busyd("profile", "vdirsyncer", "anna", "--write").out
    (token,) = busyd("token", "list", "--json").json
    assert token["scopes"] == ["book", "details", "freebusy"]
    assert busyd("profile", "vdirsyncer", "anna", "--write", "--busy-only").status == 64


@pytest.mark.parametrize(
    ("app", "profile", "status"), [("davx5", "nobody", 1), ("davx5", "*", 1), ("outlook", "anna", 64)]
)
def test_what_is_not_there_is_refused(busyd: Busyd, home: Path, app: str, profile: str, status: int) -> None:
    configure(home)
    ran = busyd("profile", app, profile)
    assert ran.status == status
    assert busyd("token", "list", "--json").json == []


def test_where_no_app_can_connect_there_is_nothing_to_hand_out(busyd: Busyd) -> None:
    """The tests' configuration listens on a unix socket."""
    ran = busyd("profile", "thunderbird", "anna")
    assert ran.status == 1
    assert "public_url" in ran.err
