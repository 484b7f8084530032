"""Who may see the password: nobody but the connection's own servers, however an address is written."""

import random
import re

import pytest

from busyd.connection import Connection, ConnectionKind
from busyd.errors import UserError
from busyd.remote.allowlist import Address, AllowList, Origin, UnsafeUrl, to_ascii

ICLOUD = AllowList(Connection("anna", ConnectionKind.ICLOUD, "https://caldav.icloud.com/"))


def allowed(lists: AllowList, url: str) -> bool:
    try:
        return lists.permits(Address.parse(url).origin)
    except UnsafeUrl:
        return False


@pytest.mark.parametrize(
    "url",
    [
        "https://caldav.icloud.com/",
        "https://caldav.icloud.com:443/300/principal/",
        "https://p7-caldav.icloud.com/",
        "https://P180-CalDAV.iCloud.com:443/300/calendars/",
    ],
)
def test_icloud_and_its_shards_are_trusted(url: str) -> None:
    assert allowed(ICLOUD, url)


@pytest.mark.parametrize("host", ["caldav.icloud.com.cn", "p7-caldav.icloud.com.cn"])
def test_icloud_in_china_is_trusted_where_it_is_configured(host: str) -> None:
    assert not allowed(ICLOUD, f"https://{host}/")
    china = AllowList(Connection("anna", ConnectionKind.ICLOUD, "https://caldav.icloud.com.cn/"))
    assert allowed(china, f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://caldav.icloud.com/",
        "https://caldav.icloud.com:8443/",
        "https://caldav.icloud.com.evil.com/",
        "https://caldav.icloud.com./",
        "https://evil.com/caldav.icloud.com",
        "https://caldav.icloud.com@evil.com/",
        "https://caldav.icloud.com:443@evil.com/",
        "https://evil.com\\@caldav.icloud.com/",
        "https://caldav.icloud.com\\.evil.com/",
        "https://caldav.icloud.com\t.evil.com/",
        "https://caldav.icloud.com%2eevil.com/",
        "https://p1234-caldav.icloud.com/",
        "https://xp1-caldav.icloud.com/",
        "https://p\u0661-caldav.icloud.com/",
        "https://contacts.icloud.com/",
        "https://icloud.com/",
        "https://caldav\u2024icloud\u2024com/",
        "//caldav.icloud.com/",
        "ftp://caldav.icloud.com/",
        "https:/caldav.icloud.com/",
        " https://caldav.icloud.com/",
        "https://caldav.icloud.com/\r\nX: y",
        "https://caldav.icloud.com:99999/",
        "https://caldav.icloud.com:/x:0",
        "https://[::ffff:17.0.0.1]/",
        "",
    ],
)
def test_nothing_else_is_icloud(url: str) -> None:
    assert not allowed(ICLOUD, url)


def test_a_server_of_ones_own_is_trusted_with_its_upgrade_to_https_and_never_back() -> None:
    plain = AllowList(Connection("team", ConnectionKind.CALDAV, "http://dav.example.org:8008/"))
    assert allowed(plain, "http://dav.example.org:8008/x") and allowed(
        plain, "https://dav.example.org:8443/principals/"
    )
    assert not allowed(plain, "http://dav.example.org/") and not allowed(plain, "https://www.example.org/")
    secure = AllowList(Connection("team", ConnectionKind.CALDAV, "https://dav.example.org/"))
    assert allowed(secure, "https://dav.example.org:443/")
    assert not allowed(secure, "http://dav.example.org/") and not allowed(secure, "https://dav.example.org:8443/")


def test_origins_given_for_a_test_count_as_own() -> None:
    stand_in = AllowList(
        Connection("anna", ConnectionKind.ICLOUD, "http://127.0.0.1:1/"),
        extra=["http://127.0.0.1:1", "http://127.0.0.1:2"],
    )
    assert allowed(stand_in, "http://127.0.0.1:2/x") and not allowed(stand_in, "http://127.0.0.1:3/x")
    assert stand_in.is_shard(Origin("http", "127.0.0.1", 2)) and not stand_in.is_shard(Origin("http", "127.0.0.1", 1))


def test_a_stand_in_for_icloud_on_this_machine_has_its_shard_at_another_port_of_it() -> None:
    stand_in = AllowList(Connection("anna", ConnectionKind.ICLOUD, "http://127.0.0.1:1/"))
    assert allowed(stand_in, "http://127.0.0.1:2/x") and allowed(stand_in, "https://127.0.0.1:2/x")
    assert not allowed(stand_in, "http://127.0.0.2:1/") and not allowed(stand_in, "https://caldav.icloud.com/")


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (ConnectionKind.ICLOUD, "https://caldav.example.org/"),
        (ConnectionKind.ICLOUD, "http://caldav.icloud.com/"),
        (ConnectionKind.CALDAV, "https://anna:secret@example.org/"),
        (ConnectionKind.CALDAV, "example.org"),
        (ConnectionKind.CALDAV, "file:///etc/passwd"),
    ],
)
def test_an_unusable_url_is_said_to_the_person_without_repeating_it(kind: ConnectionKind, url: str) -> None:
    with pytest.raises(UserError) as caught:
        AllowList(Connection("anna", kind, url))
    assert "connection anna" in str(caught.value) and "secret" not in str(caught.value) + caught.value.fix


def test_a_host_in_another_script_is_read_as_its_ascii_form() -> None:
    assert Address.parse(to_ascii("https://kalender.müller.example/x")).origin.host == "kalender.xn--mller-kva.example"


def test_the_default_port_is_left_out_of_the_host_header() -> None:
    assert str(Address.parse("https://p1-caldav.icloud.com:443/a?b=c#d")) == "https://p1-caldav.icloud.com/a?b=c"
    assert str(Address.parse("http://[::1]:5232")) == "http://[::1]:5232/"


HOSTS = [
    "\uff12",
    "caldav.icloud.com",
    "p42-caldav.icloud.com",
    "caldav.icloud.com.cn",
    "evil.com",
    "127.0.0.1",
    "[::1]",
]
GLUE = [
    "",
    " ",
    "@",
    ":443",
    ":80",
    ":",
    ".",
    "/",
    "\\",
    "\t",
    "#",
    "?",
    "%2e",
    "%00",
    "%40",
    "\n",
    "\u3002",
    "//",
    ";",
    "-",
]
SCHEMES = ["", "https://", "http://", "//", "https:/", "https:\\\\", "HTTPS://", "javascript:", "https:", "/", "../"]


def test_fifty_thousand_strange_locations_lead_to_the_three_true_hosts_only() -> None:
    chance = random.Random(2)
    start = Address.parse("https://caldav.icloud.com/300/calendars/")
    true = re.compile(r"(p\d{1,3}-)?caldav\.icloud\.com(\.cn)?")
    permitted = 0
    for _ in range(50_000):
        parts = [chance.choice(SCHEMES)]
        for _ in range(chance.randint(1, 3)):
            parts += (chance.choice(HOSTS), chance.choice(GLUE))
        try:
            target = start.join("".join(parts))
        except UnsafeUrl:
            continue
        if ICLOUD.permits(target.origin):
            permitted += 1
            assert true.fullmatch(target.origin.host) and (target.origin.scheme, target.origin.port) == ("https", 443)
            assert str(target).startswith(f"https://{target.origin.host}/") and str(target).isascii()
    assert permitted > 250
